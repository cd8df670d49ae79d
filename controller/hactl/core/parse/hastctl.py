"""`hastctl list` and `dump`, and what hastctl says when it cannot.

hastctl echoes characters that hast.conf(5) does not know to standard output before anything else
(docs/freebsd-facts.md#2.2, hd/token.l), and its messages `[LEVEL] text` may stand anywhere in the merged output: both
are taken away first. Man page: hastctl(8). Sources: sbin/hastctl/hastctl.c, sbin/hastd/{control,metadata}.c.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from hactl.core.facts import HastMetadata, HastResource, HastRole, NoMetadata
from hactl.core.parse.text import Failed, NotUnderstood, number

_MESSAGE = re.compile(r"\[(ERROR|WARNING|INFO|DEBUG)(?:\]\[[0-9]+)?\] (.*)")
#: What the lexer of hast.conf echoes: anything that is not part of a word. A word is what every answer begins with.
_ECHO = re.compile(r"[^A-Za-z0-9._/:\[\]-]+")
_SIZE = re.compile(r"([0-9]{1,20}) \(\S+\)", re.ASCII)
_ERRORS = re.compile(
    r"read: ([0-9]{1,20}), write: ([0-9]{1,20}), delete: ([0-9]{1,20}), flush: ([0-9]{1,20})", re.ASCII
)


class HastError(StrEnum):
    """What a failing hastctl means."""

    #: hastd does not listen: stopped, or killed.
    NOT_RUNNING = "hastd does not run"
    #: hastd runs but does not answer: an empty hast.conf, or it died while it was asked.
    NO_REPLY = "hastd does not answer"
    NO_CONFIG = "there is no hast.conf"
    #: hast.conf has no `on` block for this node in some resource: all of HAST is off here.
    NOT_FOR_THIS_NODE = "hast.conf has no section for this node"
    BAD_CONFIG = "hast.conf is not valid"
    UNKNOWN_RESOURCE = "the resource is not in hast.conf"
    #: A worker died while it was asked; ask again.
    WORKER_DIED = "hastd reported an error"
    NOT_ROOT = "not permitted"
    OTHER = "hastctl failed"


_MEANINGS: tuple[tuple[str, HastError], ...] = (
    (r"Unable to connect to hastd via .*: (?:No such file or directory|Connection refused)\.", HastError.NOT_RUNNING),
    (r"Unable to connect to hastd via .*: Permission denied\.", HastError.NOT_ROOT),
    (r"cannot receive reply from hastd via .*", HastError.NO_REPLY),
    (r"Unable to open configuration file .*: No such file or directory\.", HastError.NO_CONFIG),
    (r"No resource \S+ configuration for this node .*", HastError.NOT_FOR_THIS_NODE),
    (r"Unable to parse configuration file .*", HastError.BAD_CONFIG),
    (r"(?:Remote address|Path to local component) not configured for resource .*", HastError.BAD_CONFIG),
    (r"Resource \S+ configured more than once\.", HastError.BAD_CONFIG),
    (r"Negative or zero timeout\.", HastError.BAD_CONFIG),
    (r"Unknown resource .*", HastError.UNKNOWN_RESOURCE),
    (r"(?:\[\S+\] )?Received error 1 from hastd\.", HastError.UNKNOWN_RESOURCE),
    (r"(?:\[\S+\] )?(?:Received error|Error) [0-9]+ (?:received )?from hastd\.", HastError.WORKER_DIED),
)
_NO_METADATA: tuple[tuple[str, NoMetadata], ...] = (
    (r"(?:\[\S+\] )?Unable to read metadata from .*: No such file or directory\.", NoMetadata.ABSENT),
    (r"(?:\[\S+\] )?Metadata read from .* is invalid: .*", NoMetadata.INVALID),
    (r"(?:\[\S+\] )?Provider .* is not part of resource .*", NoMetadata.FOREIGN),
)


def split_messages(text: str) -> tuple[str, tuple[str, ...]]:
    """What is left of the output without messages and echoed junk, and the texts of ERROR and WARNING messages."""
    messages: list[str] = []
    lines: list[str] = []
    for line in text.replace("\r", "").split("\n"):
        match = _MESSAGE.search(line)
        # Only junk may stand before a message; a resource may be called [ERROR].
        if match and _ECHO.sub("", line[: match.start()]) == "":
            if match[1] in ("ERROR", "WARNING"):
                messages.append(match[2])
        else:
            lines.append(line)
    body = "\n".join(lines).strip("\n")
    echo = _ECHO.match(body)
    return (body[echo.end() :] if echo else body), tuple(messages)


def meaning(text: str) -> tuple[HastError, str]:
    """What a failed hastctl means, and its own words (all messages)."""
    messages = split_messages(text)[1]
    for message in messages:
        for pattern, error in _MEANINGS:
            if re.fullmatch(pattern, message):
                return error, " ".join(messages)
    return HastError.OTHER, " ".join(messages)


def parse_list(text: str) -> dict[str, HastResource]:
    """`hastctl list`: resources by name. A resource hastd does not know (`error: 1`) is left out.

    Raises NotUnderstood.
    """
    body, _ = split_messages(text)
    resources: dict[str, HastResource] = {}
    for name, fields in _blocks(body):
        if "error" in fields:
            continue
        if name in resources:
            raise NotUnderstood(f"hastctl lists {name} twice")
        resources[name] = _resource(name, fields)
    return resources


def _blocks(body: str) -> list[tuple[str, dict[str, str]]]:
    blocks: list[tuple[str, dict[str, str]]] = []
    for line in body.split("\n"):
        if not line.strip():
            continue
        if not line.startswith(" "):
            if not line.endswith(":") or " " in line:
                raise NotUnderstood("a line that hastctl list does not print")
            blocks.append((line[:-1], {}))
            continue
        key, colon, value = line.strip().partition(":")
        if not blocks or not colon:
            raise NotUnderstood("a line that hastctl list does not print")
        blocks[-1][1][key] = value.strip()
    return blocks


def _resource(name: str, fields: Mapping[str, str]) -> HastResource:
    missing = {"role", "provname", "localpath", "extentsize", "keepdirty", "remoteaddr", "replication", "dirty"} - set(
        fields
    )
    if missing:
        raise NotUnderstood(f"hastctl list shows no {min(missing)} of {name}")
    errors = _ERRORS.fullmatch(fields.get("local errors", "read: 0, write: 0, delete: 0, flush: 0"))
    if errors is None:
        raise NotUnderstood(f"the error counts of {name} are not understood")
    status = fields.get("status", "-")
    if status not in ("complete", "degraded", "-"):
        raise NotUnderstood(f"the status of {name} is not understood")
    return HastResource(
        name=name,
        role=_role(fields["role"]),
        provname=fields["provname"],
        localpath=fields["localpath"],
        remoteaddr=fields["remoteaddr"],
        sourceaddr=fields.get("sourceaddr") or None,
        replication=fields["replication"],
        status=None if status == "-" else status,
        workerpid=number(fields["workerpid"], "workerpid") if "workerpid" in fields else None,
        extentsize=_size(fields["extentsize"]),
        keepdirty=number(fields["keepdirty"], "keepdirty"),
        dirty=_size(fields["dirty"]),
        writes=number(fields.get("writes", "0"), "writes"),
        local_errors=sum(int(count) for count in errors.groups()),
    )


def _role(text: str) -> HastRole:
    try:
        return HastRole(text)
    except ValueError:
        raise NotUnderstood("a role that is none of init, primary, secondary") from None


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise NotUnderstood("a size is not understood")
    return int(match[1])


def parse_dump(text: str, status: int) -> HastMetadata | NoMetadata:
    """`hastctl dump NAME`: the metadata, or what is there instead.

    Raises Failed when hastctl could not look (no such resource, device gone, not permitted), NotUnderstood else.
    """
    body, messages = split_messages(text)
    if status != 0:
        for message in messages:
            for pattern, absent in _NO_METADATA:
                if re.fullmatch(pattern, message):
                    return absent
        raise Failed(" ".join(messages) or f"hastctl dump ended with {status} and printed nothing")
    fields: dict[str, str] = {}
    for line in filter(str.strip, body.split("\n")):
        key, colon, value = line.strip().partition(":")
        if not colon or key in fields:
            raise NotUnderstood("a line that hastctl dump does not print")
        fields[key] = value.strip()
    try:
        return HastMetadata(
            resource=fields["resource"],
            datasize=_size(fields["datasize"]),
            extentsize=_size(fields["extentsize"]),
            keepdirty=number(fields["keepdirty"], "keepdirty"),
            localoff=number(fields["localoff"], "localoff"),
            resuid=number(fields["resuid"], "resuid"),
            localcnt=number(fields["localcnt"], "localcnt"),
            remotecnt=number(fields["remotecnt"], "remotecnt"),
            prevrole=fields["prevrole"],
        )
    except KeyError as error:
        raise NotUnderstood(f"hastctl dump shows no {error.args[0]}") from None
