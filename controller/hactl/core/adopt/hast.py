"""hast.conf(5) with the line of everything in it, also where hastd(8) would refuse the file.

What hastd makes of a file is `hactl.core.parse.hastconf`; here is what its author meant, as far as that shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hactl.core.adopt.finding import Finding, Place
from hactl.core.parse.hastconf import HastConf, HastConfError, parse_hastconf

_TOKEN = re.compile(r"#[^\n]*|(?P<word>[a-zA-Z0-9._/:\[\]-]+)|(?P<brace>[{}])|(?P<line>\n)", re.ASCII)
#: Settings with one value, wherever they may stand.
_SETTINGS = frozenset(
    {
        "checksum", "compression", "control", "exec", "listen", "local", "metaflush", "name", "pidfile", "remote",
        "replication", "source", "timeout",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and its line."""

    value: str
    place: Place


@dataclass(slots=True)
class Block:
    """A resource, an `on` section of one, or the file itself."""

    name: str
    place: Place
    settings: dict[str, Setting] = field(default_factory=dict)
    #: Of a file: its resources; of a resource: its `on` sections.
    parts: list[Block] = field(default_factory=list)

    def value(self, keyword: str) -> str:
        """Empty: it is not set here."""
        setting = self.settings.get(keyword)
        return setting.value if setting is not None else ""

    def part(self, name: str) -> Block | None:
        """The last one of that name."""
        return next((part for part in reversed(self.parts) if part.name == name), None)


@dataclass(slots=True)
class HastFile:
    """One hast.conf."""

    place: Place
    whole: Block
    listen: list[Setting] = field(default_factory=list)
    #: `on` blocks outside of resources: settings of hastd itself on one node.
    of_nodes: list[Block] = field(default_factory=list)
    #: As hastd reads it; None: it refuses it.
    read: HastConf | None = None

    @property
    def resources(self) -> list[Block]:
        """In the order of the file."""
        return self.whole.parts


def read_hast(file: str, text: str) -> tuple[HastFile, list[Finding]]:
    """What a file says, and why hastd would refuse it."""
    whole = Block("", Place(file))
    found = HastFile(Place(file), whole)
    _Reader(file, list(_words(text)), found).read()
    conf = parse_hastconf(text)
    if not isinstance(conf, HastConfError):
        found.read = conf
        return found, []
    place = Place(file, min(conf.line + 1, text.count("\n") + 1))
    near = f" near '{conf.near}'" if conf.message == "syntax error" else ""
    said = f"hastd refuses the whole file here: {conf.message}{near}"
    return found, [Finding(place, said, "what can be read of it is used, and hactl writes a right one")]


def _words(text: str) -> Iterator[tuple[str, int]]:
    line = 1
    for match in _TOKEN.finditer(text):
        if match["line"]:
            line += 1
        elif match["word"] or match["brace"]:
            yield match[0], line


class _Reader:
    """Words in the order of the file; a word that fits nowhere is passed over."""

    def __init__(self, file: str, words: list[tuple[str, int]], found: HastFile) -> None:
        self._file, self._words, self._next, self._found = file, words, 0, found

    def read(self) -> None:
        open_blocks = [self._found.whole]
        while self._next < len(self._words):
            word, line = self._take()
            if word == "}":
                del open_blocks[max(1, len(open_blocks) - 1) :]
            elif word == "resource":
                # A resource stands in no other block: one that is still open was not closed.
                name = self._name()
                resource = self._found.whole.part(name) or Block(name, Place(self._file, line))
                if name and resource not in self._found.whole.parts:
                    self._found.whole.parts.append(resource)
                open_blocks = [self._found.whole, resource]
            elif word == "on":
                section = Block(self._name(), Place(self._file, line))
                if section.name:
                    (open_blocks[1].parts if len(open_blocks) > 1 else self._found.of_nodes).append(section)
                open_blocks = [*open_blocks[:2], section]
            elif word in _SETTINGS:
                self._setting(word, line, open_blocks)

    def _take(self) -> tuple[str, int]:
        self._next += 1
        return self._words[self._next - 1]

    def _name(self) -> str:
        """The name of a block and its brace; empty: there is none."""
        name = ""
        if self._next < len(self._words) and self._words[self._next][0] not in "{}":
            name = self._take()[0]
        if self._next < len(self._words) and self._words[self._next][0] == "{":
            self._take()
        return name

    def _setting(self, word: str, line: int, open_blocks: list[Block]) -> None:
        if self._next >= len(self._words) or self._words[self._next][0] in "{}":
            return
        setting = Setting(self._take()[0], Place(self._file, line))
        if word == "listen" and len(open_blocks) == 1:
            self._found.listen.append(setting)
        else:
            open_blocks[-1].settings[word] = setting
