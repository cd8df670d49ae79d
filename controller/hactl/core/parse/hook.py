"""What a node has of the node hook: its files, and the notes that the hook and earlier steps left.

Section `hook` of the probe: `file PATH` for each file that exists, then their sha256 in the same order, then
`move LINE` (of /var/db/hactl/moves); modes are in section `stat`. Section `notes`: `note PATH TEXT`, a first line each.
Section `devd`: `FILE:LINE:TEXT`, every line of the files that could have rules devd prefers to the hook's.
Section `rivals`: see `hactl.core.parse.rivals`. Man pages: stat(1), sha256(1), devd.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from hactl.core.cluster import hooked_groups
from hactl.core.facts import HookFacts, Known, Owner, Reading, Unknown, known
from hactl.core.hook.devd_rules import directories, rules_before, rules_behind
from hactl.core.hook.render import carp_subsystems
from hactl.core.parse.answer.frames import Section
from hactl.core.parse.answer.reading import Reader, then
from hactl.core.parse.answer.stat import Stat
from hactl.core.parse.question import Part
from hactl.core.parse.rivals import parse_rivals
from hactl.core.parse.text import NotUnderstood

#: Bytes of devd's rules that are fetched; more is not understood.
RULES_LIMIT = 65536


def read_hook(reader: Reader, stats: Reading[Mapping[str, Stat]]) -> Reading[HookFacts]:
    """The hook of the node: its files as they are or were when they were read last, and its notes."""
    before = reader.before.hook if reader.before is not None else None
    files = _files(reader, stats) if reader.reads_files else reader.of_files(before)
    notes = reader.read("notes", lambda section: parse_notes(section.text)) if reader.asks(Part.NOTES) else before
    if isinstance(files, Unknown):
        return files
    if not isinstance(notes, Known):
        return notes or reader.missing("notes")
    found = notes.value
    hook = replace(
        files.value,
        devd_loaded=found.devd_loaded,
        held=found.held,
        confirmed=found.confirmed,
        disconnected=found.disconnected,
        fenced=found.fenced,
        drained=found.drained,
        lease=found.lease,
        owner=found.owner,
        tried=found.tried,
    )
    return Known(hook, min(files.seen_at, notes.seen_at))


def _files(reader: Reader, stats: Reading[Mapping[str, Stat]]) -> Reading[HookFacts]:
    names = carp_subsystems(hooked_groups(reader.cluster, reader.node), reader.node)
    rules = reader.read("devd", lambda section: rules_before(parse_rules(reader.good(section)), names))
    behind = reader.read("devd", lambda section: rules_behind(parse_rules(reader.good(section)), names))
    listed = reader.read("devd", lambda section: directories(parse_rules(reader.good(section))))
    if isinstance(stats, Unknown):
        return stats
    hook = reader.read("hook", lambda section: parse_hook(section, stats.value))
    # No section: there is no such file, or the node hook acts.
    asked = "rivals" in reader.frames.sections or "rivals" in reader.frames.partial
    rivals = reader.read("rivals", lambda section: parse_rivals(reader.good(section))) if asked else reader.known(())
    return then(
        hook,
        lambda found: replace(
            found, overtaken_by=known(rules), disarmed=known(behind), directories=known(listed), rivals=known(rivals)
        ),
    )


def parse_rules(text: str) -> dict[str, str]:
    """Path -> text of devd's files. Raises ValueError when they are not as grep shows them."""
    files: dict[str, list[str]] = {}
    for line in text.splitlines():
        found = re.fullmatch(r"(/[^:]+):([0-9]+):(.*)", line)
        if found is None or len(text) > RULES_LIMIT or int(found[2]) != len(files.get(found[1], ())) + 1:
            raise NotUnderstood("devd's rules are not as grep shows them, or too many")
        files.setdefault(found[1], []).append(found[3])
    return {path: "\n".join(lines) + "\n" for path, lines in files.items()}


def parse_hook(section: Section, stats: Mapping[str, Stat]) -> HookFacts:
    """Raises NotUnderstood when the answer is not as the probe writes it."""
    paths: list[str] = []
    sums: list[str] = []
    moves: list[str] = []
    for line in section.text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "file":
            paths.append(rest)
        elif kind == "move":
            moves.append(rest)
        elif line:
            sums.append(line)
    files = dict(zip(paths, sums, strict=False))
    if len(sums) != len(paths) or not files.keys() <= stats.keys():
        raise NotUnderstood("stat and sha256 do not tell of every file of the node hook")
    return HookFacts(
        files={path: (checksum, stats[path].mode) for path, checksum in files.items()},
        moves=tuple(moves),
    )


def parse_notes(text: str) -> HookFacts:
    """The notes alone: lines `note PATH FIRST-LINE`."""
    notes: dict[str, str] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "note":
            path, _, first = rest.partition(" ")
            notes[path.rsplit("/", 1)[-1].removeprefix("hactl.")] = first.strip()
    return HookFacts(
        devd_loaded=notes.get("devd", ""),
        held=_whole(notes.get("held", "0")),
        confirmed=_numbered(notes, "confirmed."),
        disconnected=_numbered(notes, "disconnected."),
        fenced=_fenced(notes),
        drained=notes.get("drained"),
        lease=_whole(notes.get("lease", "0")),
        owner=_owner(notes),
        tried=notes.get("hastd", ""),
    )


def _owner(notes: Mapping[str, str]) -> Owner | None:
    """Who acted under the lease: "LEASE CLUSTER HOLDER EPOCH WHO". One of another lease is an older hactl's affair."""
    words = notes.get("owner", "").split(maxsplit=4)
    if len(words) < 4 or words[0] != notes.get("lease") or not words[3].isdigit():
        return None
    return Owner(words[1], words[2], _whole(words[3]), words[4] if len(words) > 4 else "")


def _numbered(notes: dict[str, str], prefix: str) -> dict[str, int]:
    return {
        name.removeprefix(prefix): _whole(text.partition(" ")[0])
        for name, text in notes.items()
        if name.startswith(prefix)
    }


def _fenced(notes: dict[str, str]) -> dict[str, tuple[int, int | None]]:
    found = {name.removeprefix("fenced."): text.split() for name, text in notes.items() if name.startswith("fenced.")}
    return {
        name: (_whole(words[0]), None if words[1] == "?" else _whole(words[1]))
        for name, words in found.items()
        if len(words) == 2
    }


def _whole(text: str) -> int:
    """A number; a note that was cut while it was written counts as 0."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0
