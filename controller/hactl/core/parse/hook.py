"""What a node has of the node hook: its files, and the notes that the hook and earlier steps left.

Section `hook` of the probe: `file PATH` for each file that exists, then their permission bits and their sha256 in the
same order, then `note PATH TEXT` (first line of a note) and `move LINE` (of /var/db/hactl/moves).
Section `devd`: `FILE:LINE:TEXT`, every line of the files that could have rules devd prefers to the hook's.
Man pages: stat(1), sha256(1), devd.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from hactl.core.cluster import hooked_groups
from hactl.core.facts import DevdRule, HookFacts, Known, Reading
from hactl.core.hook.devd_rules import rules_before
from hactl.core.hook.render import carp_subsystems
from hactl.core.parse.answer.frames import Section
from hactl.core.parse.answer.reading import Reader, then
from hactl.core.parse.text import NotUnderstood

#: Bytes of devd's rules that are fetched; more is not understood.
RULES_LIMIT = 65536


def read_hook(reader: Reader) -> Reading[HookFacts]:
    """The hook of the node."""
    names = carp_subsystems(hooked_groups(reader.cluster, reader.node), reader.node)
    rules = reader.read("devd", lambda section: parse_rules(reader.good(section), names))
    overtaken_by = rules.value if isinstance(rules, Known) else None
    return then(reader.read("hook", parse_hook), lambda hook: replace(hook, overtaken_by=overtaken_by))


def parse_rules(text: str, subsystems: Sequence[str]) -> tuple[DevdRule, ...]:
    """Rules of others that devd prefers to the hook's. Raises ValueError when the files are not understood."""
    files: dict[str, list[str]] = {}
    for line in text.splitlines():
        found = re.fullmatch(r"(/[^:]+):([0-9]+):(.*)", line)
        if found is None or len(text) > RULES_LIMIT or int(found[2]) != len(files.get(found[1], ())) + 1:
            raise NotUnderstood("devd's rules are not as grep shows them, or too many")
        files.setdefault(found[1], []).append(found[3])
    return rules_before({path: "\n".join(lines) + "\n" for path, lines in files.items()}, subsystems)


def parse_hook(section: Section) -> HookFacts:
    """Raises NotUnderstood when the answer is not as the probe writes it."""
    paths: list[str] = []
    described: list[str] = []
    notes: dict[str, str] = {}
    moves: list[str] = []
    for line in section.text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "file":
            paths.append(rest)
        elif kind == "note":
            path, _, text = rest.partition(" ")
            notes[path.rsplit("/", 1)[-1].removeprefix("hactl.")] = text.strip()
        elif kind == "move":
            moves.append(rest)
        elif line:
            described.append(line)
    if len(described) != 2 * len(paths):
        raise NotUnderstood("stat and sha256 do not tell of every file of the node hook")
    count = len(paths)
    return HookFacts(
        files={path: (described[count + at], _octal(described[at])) for at, path in enumerate(paths)},
        devd_loaded=notes.get("devd", ""),
        held=_whole(notes.get("held", "0")),
        confirmed=_numbered(notes, "confirmed."),
        disconnected=_numbered(notes, "disconnected."),
        drained=notes.get("drained"),
        lease=_whole(notes.get("lease", "0")),
        moves=tuple(moves),
    )


def _numbered(notes: dict[str, str], prefix: str) -> dict[str, int]:
    return {
        name.removeprefix(prefix): _whole(text.partition(" ")[0])
        for name, text in notes.items()
        if name.startswith(prefix)
    }


def _whole(text: str) -> int:
    """A number; a note that was cut while it was written counts as 0."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0


def _octal(text: str) -> int:
    if not re.fullmatch(r"[0-7]{1,5}", text):
        raise NotUnderstood(f"not permission bits: {text[:40]!r}")
    return int(text, 8)
