"""/etc/hast.conf by meaning: two files that configure the same compare equal, whatever they look like.

Follows sbin/hastd/{token.l,parse.y} to the letter, oddities included (docs/freebsd-facts.md#2.2): characters that are
no word are skipped, keywords are reserved, a comment must end with a newline, globals apply wherever they stand, the
last value wins. Man page: hast.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from hactl.core.cluster import HAST_PORT

_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        "control pidfile listen replication checksum compression timeout exec metaflush resource name local remote"
        " source on off fullsync memsync async none crc32 sha256 hole lzf",
    )
)
_CHOICES: Mapping[str, frozenset[str]] = {
    "replication": frozenset({"fullsync", "memsync", "async"}),
    "checksum": frozenset({"none", "crc32", "sha256"}),
    "compression": frozenset({"none", "hole", "lzf"}),
    "metaflush": frozenset({"on", "off"}),
}
_TOKEN = re.compile(
    r"(?P<comment>#[^\n]*(?=\n))|(?P<word>[a-zA-Z0-9._/:\[\]-]+)|(?P<brace>[{}])|(?P<line>\n)|(?P<other>.)"
)
_SCHEME = re.compile(r"(?:tcp4|tcp6|tcp)://")


@dataclass(frozen=True, slots=True)
class HastConfError:
    """hastd would refuse the file. `line` counts from 0, as hastd's own message does."""

    line: int
    near: str
    message: str

    def __str__(self) -> str:
        """hastd's words."""
        if self.message == "syntax error":
            return f"Unable to parse configuration file at line {self.line} near '{self.near}': syntax error"
        return self.message


@dataclass(frozen=True, slots=True)
class ResourceOn:
    """What an `on` block of a resource says for one node."""

    local: str | None = None
    #: Canonical `host:port`, or `none`.
    remote: str | None = None
    #: Canonical `host`, or `host:port` when a port is given.
    source: str | None = None
    #: Device name below /dev/hast; None: that of the resource.
    provname: str | None = None
    metaflush: bool | None = None


@dataclass(frozen=True, slots=True)
class ConfResource:
    """One resource with every default filled in."""

    name: str
    provname: str
    replication: str
    checksum: str
    compression: str
    timeout_seconds: int
    exec: str
    metaflush: bool
    #: By the name the file uses for the node (host name, uuid or hostidN).
    nodes: Mapping[str, ResourceOn]


@dataclass(frozen=True, slots=True)
class HastConf:
    """A whole file. Equal values mean the same to every node."""

    resources: Mapping[str, ConfResource] = field(default_factory=dict)
    control: str = "/var/run/hastctl"
    pidfile: str = "/var/run/hastd.pid"
    #: Addresses to listen on; empty: the defaults.
    listen: tuple[str, ...] = ()
    #: control, pidfile and listen of `on` blocks outside resources: (node, keyword, values).
    node_settings: frozenset[tuple[str, str, tuple[str, ...]]] = frozenset()


@dataclass(frozen=True, slots=True)
class _Token:
    #: `word` (STR), `number` (NUM), a keyword, `{`, `}` or `end`.
    kind: str
    text: str
    line: int


class _Refused(Exception):
    def __init__(self, error: HastConfError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class _Draft:
    settings: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, ResourceOn] = field(default_factory=dict)


@lru_cache(maxsize=256)  # every look reads the same few texts; nobody changes what comes out
def parse_hastconf(text: str) -> HastConf | HastConfError:
    """Read a file. What depends on the node that reads it (a missing `on` block) is not an error here."""
    parser = _Parser(_tokens(text))
    try:
        return parser.file()
    except _Refused as refused:
        return refused.error


def canonical_address(text: str, port: int | None = HAST_PORT) -> str:
    """`tcp4://192.0.2.1` and `192.0.2.1:8457` are one address. `port` None: none is added."""
    if text == "none":
        return text
    bare = _SCHEME.sub("", text, count=1)
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::([0-9]+))?", bare)
    if bracketed:
        host, given = bracketed[1], bracketed[2]
    elif bare.count(":") == 1:
        host, _, given = bare.partition(":")
    else:
        host, given = bare, None
    suffix = f":{int(given[:9])}" if given and given.isascii() and given.isdigit() else (f":{port}" if port else "")
    return (f"[{host.lower()}]" if ":" in host else host) + suffix


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    line = 0
    for match in _TOKEN.finditer(text):
        word = match["word"]
        if match["line"]:
            line += 1
        elif match["brace"]:
            tokens.append(_Token(match["brace"], match["brace"], line))
        elif word:
            kind = word if word in _KEYWORDS else "number" if re.fullmatch(r"[0-9]+", word) else "word"
            tokens.append(_Token(kind, word, line))
    tokens.append(_Token("end", "", line))
    return tokens


class _Parser:
    """Recursive descent over parse.y's grammar."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._globals: dict[str, str] = {}
        self._listen: list[str] = []
        self._node_settings: dict[tuple[str, str], list[str]] = {}
        self._resources: dict[str, _Draft] = {}

    def file(self) -> HastConf:
        while (token := self._take()).kind != "end":
            if token.kind in ("control", "pidfile"):
                self._globals[token.kind] = self._take("word").text
            elif token.kind == "listen":
                self._listen.append(self._take("word").text)
            elif token.kind in ("replication", "checksum", "compression", "timeout", "exec", "metaflush"):
                self._globals[token.kind] = self._value(token.kind)
            elif token.kind == "on":
                self._node_block()
            elif token.kind == "resource":
                self._resource_block()
            else:
                self._refuse(token)
        return self._finish()

    def _take(self, kind: str | None = None) -> _Token:
        token = self._tokens[min(self._next, len(self._tokens) - 1)]
        self._next += 1
        if kind is not None and token.kind != kind:
            self._refuse(token)
        return token

    def _refuse(self, token: _Token, message: str = "syntax error") -> None:
        raise _Refused(HastConfError(token.line, token.text, message))

    def _value(self, keyword: str) -> str:
        token = self._take()
        if keyword == "timeout":
            if token.kind != "number":
                self._refuse(token)
            if int(token.text[:12]) <= 0:
                self._refuse(token, "Negative or zero timeout.")
        elif keyword in _CHOICES:
            if token.kind not in _CHOICES[keyword]:
                self._refuse(token)
        elif keyword == "remote":
            if token.kind not in ("word", "none"):
                self._refuse(token)
        elif token.kind != "word":
            self._refuse(token)
        return token.text

    def _node_block(self) -> None:
        node = self._take("word").text
        self._take("{")
        while (token := self._take()).kind != "}":
            if token.kind not in ("control", "pidfile", "listen"):
                self._refuse(token)
            value = self._take("word").text
            values = self._node_settings.setdefault((node, token.kind), [])
            if token.kind != "listen":
                values.clear()
            values.append(value)

    def _resource_block(self) -> None:
        name = self._take("word")
        if name.text in self._resources:
            self._refuse(name, f"Resource {name.text} configured more than once.")
        draft = self._resources[name.text] = _Draft()
        self._take("{")
        while (token := self._take()).kind != "}":
            if token.kind == "on":
                self._resource_on(draft)
            elif token.kind in (
                "replication", "checksum", "compression", "timeout", "exec", "metaflush", "name", "local",
            ):  # fmt: skip
                draft.settings[token.kind] = self._value(token.kind)
            else:
                self._refuse(token)

    def _resource_on(self, draft: _Draft) -> None:
        node = self._take("word").text
        self._take("{")
        on = draft.nodes.get(node, ResourceOn())
        while (token := self._take()).kind != "}":
            if token.kind not in ("name", "local", "remote", "source", "metaflush"):
                self._refuse(token)
            value = self._value(token.kind)
            match token.kind:
                case "name":
                    on = replace(on, provname=value)
                case "local":
                    on = replace(on, local=value)
                case "remote":
                    on = replace(on, remote=canonical_address(value))
                case "source":
                    on = replace(on, source=canonical_address(value, None))
                case _:
                    on = replace(on, metaflush=value == "on")
        draft.nodes[node] = on

    def _finish(self) -> HastConf:
        defaults = {
            "replication": "memsync",
            "checksum": "none",
            "compression": "hole",
            "timeout": "20",
            "exec": "",
            "metaflush": "on",
        }
        resources: dict[str, ConfResource] = {}
        for name, draft in self._resources.items():
            given = {**defaults, **self._globals, **draft.settings}
            provname = draft.settings.get("name", name)
            nodes = {
                node: replace(
                    on,
                    local=on.local or draft.settings.get("local"),
                    # What an on block repeats of its resource says nothing new.
                    provname=None if on.provname == provname else on.provname,
                    metaflush=None if on.metaflush == (given["metaflush"] == "on") else on.metaflush,
                )
                for node, on in draft.nodes.items()
            }
            resources[name] = ConfResource(
                name=name,
                provname=provname,
                replication=given["replication"],
                checksum=given["checksum"],
                compression=given["compression"],
                timeout_seconds=int(given["timeout"][:12]),
                exec=given["exec"],
                metaflush=given["metaflush"] == "on",
                nodes=nodes,
            )
        return HastConf(
            resources=resources,
            control=self._globals.get("control", HastConf().control).removeprefix("uds://").removeprefix("unix://"),
            pidfile=self._globals.get("pidfile", HastConf().pidfile),
            listen=tuple(sorted({canonical_address(address) for address in self._listen})),
            node_settings=frozenset(
                (node, keyword, tuple(values)) for (node, keyword), values in self._node_settings.items()
            ),
        )
