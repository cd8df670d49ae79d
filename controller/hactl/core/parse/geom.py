"""GEOM's mesh: which provider is made of what, and who has it open or stands on it.

The kernel tells all of it in one answer, whatever the class (sysctl kern.geom.confxml). The probe cuts it to lines, in
the kernel's order (core/probe/probe.sh, h_mesh), names as the kernel escapes them:

    class NAME, geom NAME, scheme NAME (of a partition table), provider ID MODE NAME, file PATH (behind an md(4)),
    consumer PROVIDER-ID MODE, end
Sources: sys/geom/geom_dump.c (g_conf_specific), docs/freebsd-facts.md#7.60.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hactl.core.parse.text import NotUnderstood

#: Read, write and exclusive open counts.
Opens = tuple[int, int, int]

_MODE = re.compile(r"r(-?[0-9]+)w(-?[0-9]+)e(-?[0-9]+)", re.ASCII)
_ESCAPED = re.compile(r"&#x([0-9A-Fa-f]{1,2});")
#: Classes that attach to whatever has their marks on it, and use it only while somebody uses their own providers.
_TASTERS = frozenset({"PART", "LABEL"})


@dataclass(frozen=True, slots=True)
class User:
    """A geom that has a provider open, or stands on it."""

    #: Of GEOM: "MIRROR", "ELI", "VFS", "DEV" (a process, by its device node) ...
    geom_class: str
    #: Of the geom; of a label the provider it makes.
    name: str
    opens: Opens = (0, 0, 0)


@dataclass(slots=True)
class _Geom:
    geom_class: str
    name: str
    scheme: str = ""
    #: Names of its providers; ids of the providers it consumes.
    providers: list[str] = field(default_factory=list)
    consumes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Provider:
    identity: str
    geom: _Geom
    opens: Opens
    file: str = ""


@dataclass(slots=True)
class Mesh:
    """All of it, as one answer of the kernel."""

    #: By name. Two of one name: the older one is being destroyed.
    _providers: dict[str, list[_Provider]] = field(default_factory=dict)
    #: Who consumes a provider, by the provider's id.
    _consumers: dict[str, list[tuple[_Geom, Opens]]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        """Whether there is a provider of that name (without /dev/)."""
        return name in self._providers

    def users(self, name: str) -> tuple[User, ...]:
        """Everybody who uses the bytes of a provider, under whatever name. A label or a partition table that is
        written on it counts: it is not blank.
        """
        found: list[User] = []
        for provider in self._providers.get(name, []):
            asked: list[_Geom] = []
            found += self._upon(provider, asked)
            if _sum(opens for _, opens in self._on(provider)) != provider.opens:
                # GEOM adds them up (g_access(9)): what no consumer has is somebody this does not understand.
                found.append(User("", "", provider.opens))
            found += self._beneath(provider, asked)
        return tuple(dict.fromkeys(found))

    def of_file(self, path: str) -> tuple[str, ...]:
        """The memory disks (md(4)) whose bytes are in a file."""
        return tuple(n for n, made in self._providers.items() if any(p.file == path for p in made))

    def _on(self, provider: _Provider) -> list[tuple[_Geom, Opens]]:
        return self._consumers.get(provider.identity, [])

    def _upon(self, provider: _Provider, asked: list[_Geom]) -> Iterator[User]:
        """Who stands on a provider or has it open. `asked`: geoms that were asked already, each once."""
        for geom, opens in self._on(provider):
            if not any(geom is other for other in asked):
                asked.append(geom)
                yield from self._by(geom, opens, asked)

    def _by(self, geom: _Geom, opens: Opens, asked: list[_Geom]) -> Iterator[User]:
        """What one consumer is: a device node or a label that nobody has open is no user."""
        if geom.geom_class == "DEV":
            if any(opens):
                yield User("DEV", geom.name, opens)
            return
        if geom.geom_class not in _TASTERS:
            yield User(geom.geom_class, geom.name, opens)
            return
        if geom.geom_class == "PART":
            yield User("PART", geom.scheme)
        for name in geom.providers:
            if geom.geom_class == "LABEL":
                yield User("LABEL", name)
            for provider in self._providers[name]:
                if provider.geom is geom:
                    yield from self._upon(provider, asked)

    def _beneath(self, provider: _Provider, asked: list[_Geom]) -> Iterator[User]:
        """Others than its own geom who use what a provider is made of: they write to the same bytes."""
        if any(provider.geom is other for other in asked):
            return
        asked.append(provider.geom)
        for lower in (each for made in self._providers.values() for each in made):
            if lower.identity in provider.geom.consumes:
                yield from self._upon(lower, asked)
                yield from self._beneath(lower, asked)


def _sum(opens: Iterable[Opens]) -> Opens:
    """Open counts of several consumers together."""
    reads, writes, exclusive = 0, 0, 0
    for each in opens:
        reads, writes, exclusive = reads + each[0], writes + each[1], exclusive + each[2]
    return reads, writes, exclusive


def parse_mesh(text: str) -> Mesh:
    """The probe's lines. A list that does not reach its end is not understood: who is missing could be a user."""
    mesh = Mesh()
    geom_class, geom, provider, ended = "", _Geom("", ""), None, False
    for line in filter(str.strip, text.split("\n")):
        word, _, rest = line.partition(" ")
        if ended:
            raise NotUnderstood("the list of GEOM's providers goes on behind its end")
        match word:
            case "class":
                geom_class = _plain(rest)
            case "geom":
                geom = _Geom(geom_class, _plain(rest))
            case "scheme":
                geom.scheme = _plain(rest)
            case "provider":
                identity, opens, name = _words(rest, 3)
                provider = _Provider(identity, geom, _opens(opens))
                geom.providers.append(_plain(name))
                mesh._providers.setdefault(_plain(name), []).append(provider)
            case "file" if provider is not None:
                provider.file = _plain(rest)
            case "consumer":
                identity, opens = _words(rest, 2)
                geom.consumes.append(identity)
                mesh._consumers.setdefault(identity, []).append((geom, _opens(opens)))
            case "end":
                ended = True
            case _:
                raise NotUnderstood(f"not a line about GEOM: {line.strip()[:60]}")
    if not ended:
        raise NotUnderstood("the list of GEOM's providers is not whole")
    return mesh


def _words(text: str, count: int) -> list[str]:
    words = text.split(" ", count - 1)
    if len(words) != count or not all(words):
        raise NotUnderstood("a line about GEOM that is too short")
    return words


def _opens(text: str) -> Opens:
    match = _MODE.fullmatch(text)
    if match is None:
        raise NotUnderstood("open counts that GEOM does not print")
    return int(match[1]), int(match[2]), int(match[3])


def _plain(text: str) -> str:
    """A name without the kernel's escapes (geom_dump.c, g_conf_cat_escaped)."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
