"""The meaning of a hast.conf, for the audit: what each resource is, with every default filled in.

Rules: two texts with the same meaning compare equal, whatever their order, comments and defaults; text with a
statement that is not in hast.conf(5) has no meaning (None). Shares no code with the renderer.
Source of the grammar: FreeBSD sbin/hastd/parse.y, token.l (docs/freebsd-facts.md#2.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hactl.core.cluster import Cluster
from hactl.core.hook.render import HOOK
from hactl.core.objects import StorageSpec

_PORT = "8457"
_DEFAULTS = {
    "replication": "memsync",
    "checksum": "none",
    "compression": "hole",
    "timeout": "20",
    "metaflush": "on",
    "exec": "",
}
_GLOBAL = frozenset({"replication", "checksum", "compression", "timeout", "exec", "metaflush"})
_DAEMON = frozenset({"control", "pidfile", "listen"})
_ON_NODE = frozenset({"name", "local", "remote", "source", "metaflush"})


@dataclass(frozen=True, slots=True)
class NodePart:
    """One `on` block. Addresses are in canonical form; source "" when it is not given."""

    name: str
    local: str
    remote: str
    source: str


@dataclass(frozen=True, slots=True)
class ResourcePart:
    """One resource: its settings, and its nodes by name."""

    settings: Mapping[str, str]
    nodes: Mapping[str, NodePart]


@dataclass(slots=True)
class _Open:
    settings: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, dict[str, str]] = field(default_factory=dict)


def address(text: str) -> str:
    """An address without scheme and default port."""
    bare = re.sub(r"^tcp[46]?://", "", text)
    six = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?", bare)
    if six:
        host, port = six.group(1), six.group(2) or _PORT
    elif bare.count(":") == 1:
        host, _, port = bare.partition(":")
    else:
        host, port = bare, _PORT
    return host.lower() if port == _PORT else f"{host.lower()} port {port}"


def meaning(text: str) -> dict[str, ResourcePart] | None:
    """The resources of a hast.conf by name; None when the text is not one."""
    try:
        defaults, resources = _parse(_tokens(text))
    except _NotHastConf:
        return None
    return {
        name: ResourcePart(
            {**_DEFAULTS, **defaults, **{k: v for k, v in part.settings.items() if k in _DEFAULTS}},
            {node: _node(name, part, settings) for node, settings in part.nodes.items()},
        )
        for name, part in resources.items()
    }


def _node(resource: str, part: _Open, settings: dict[str, str]) -> NodePart:
    return NodePart(
        name=settings.get("name", part.settings.get("name", resource)),
        local=settings.get("local", part.settings.get("local", "")),
        remote=address(settings.get("remote", "")),
        source=address(settings["source"]) if "source" in settings else "",
    )


class _NotHastConf(Exception):
    """A statement that hast.conf(5) does not have."""


def _tokens(text: str) -> Iterator[str]:
    yield from re.findall(r"[A-Za-z0-9.\-_/:\[\]]+|[{}]", re.sub(r"#[^\n]*", "", text))


def _parse(tokens: Iterator[str]) -> tuple[dict[str, str], dict[str, _Open]]:
    defaults: dict[str, str] = {}
    resources: dict[str, _Open] = {}
    for token in tokens:
        if token == "resource":
            name = _next(tokens)
            if name in resources:
                raise _NotHastConf
            resources[name] = _resource(tokens)
        elif token in _GLOBAL:
            defaults[token] = _next(tokens)
        elif token in _DAEMON:
            _next(tokens)
        elif token == "on":
            _next(tokens)
            _block(tokens, _DAEMON)
        else:
            raise _NotHastConf
    return defaults, resources


def _next(tokens: Iterator[str]) -> str:
    word = next(tokens, "}")
    if word in ("{", "}"):
        raise _NotHastConf
    return word


def _block(tokens: Iterator[str], allowed: frozenset[str]) -> dict[str, str]:
    if next(tokens, "") != "{":
        raise _NotHastConf
    found: dict[str, str] = {}
    for token in tokens:
        if token == "}":
            return found
        if token not in allowed:
            raise _NotHastConf
        found[token] = _next(tokens)
    raise _NotHastConf


def _resource(tokens: Iterator[str]) -> _Open:
    if next(tokens, "") != "{":
        raise _NotHastConf
    part = _Open()
    for token in tokens:
        if token == "}":
            return part
        if token == "on":
            node = _next(tokens)
            part.nodes[node] = _block(tokens, _ON_NODE)
        elif token in _GLOBAL | {"name", "local"}:
            part.settings[token] = _next(tokens)
        else:
            raise _NotHastConf
    raise _NotHastConf


def contradictions(cluster: Cluster, parts: Mapping[str, ResourcePart]) -> Iterator[str]:
    """How a hast.conf differs from what the document says, in words; nothing when it says the same."""
    wanted = {storage.name: storage for group in cluster.groups for storage in group.storage}
    for name in parts.keys() - wanted.keys():
        yield f"has resource {name}, which is not in the document"
    hooked = {s.name for group in cluster.groups if group.virtual_ips for s in group.storage}
    for name, storage in wanted.items():
        if name not in parts:
            yield f"lacks resource {name}"
        else:
            program = HOOK if hooked else ""
            yield from (f"{name}: {what}" for what in _resource_contradictions(storage, parts[name], program))


def _resource_contradictions(storage: StorageSpec, part: ResourcePart, program: str) -> Iterator[str]:
    hast = storage.hast
    wanted = {
        "replication": str(hast.replication.value),
        "checksum": hast.checksum,
        "compression": hast.compression,
        "timeout": str(hast.timeout_seconds),
        "metaflush": "on" if hast.metaflush else "off",
        "exec": program,
    }
    for keyword, value in wanted.items():
        if part.settings[keyword] != value:
            yield f"{keyword} is {part.settings[keyword] or 'not set'}, the document says {value or 'none'}"
    if part.nodes.keys() != hast.devices.keys():
        yield f"is on {', '.join(sorted(part.nodes))}, the document says {', '.join(sorted(hast.devices))}"
        return
    for node, here in part.nodes.items():
        peers = [address(text) for peer, text in hast.addresses.items() if peer != node]
        if here.name != storage.name:
            yield f"its device on {node} is called {here.name}"
        if here.local != hast.devices[node]:
            yield f"local on {node} is {here.local}, the document says {hast.devices[node]}"
        if peers and here.remote not in peers:
            yield f"remote on {node} is {here.remote}, the document says {peers[0]}"
        if here.source and here.source != address(hast.addresses[node]):
            yield f"source on {node} is {here.source}, the document says {hast.addresses[node]}"
