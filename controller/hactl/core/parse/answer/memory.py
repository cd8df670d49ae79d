"""What of an answer the node is told the next time, so that it need not read or ask it again.

Rules: only what was understood is kept; files only where their times are fine enough to tell two changes apart, and
where rc.conf reads and runs nothing else; of services those whose processes rc named, and those that do not run.
"""

from __future__ import annotations

import re

from hactl.core.cluster import checks_of
from hactl.core.facts import NodeFacts, Unknown
from hactl.core.parse.answer.processes import parse_processes, telling
from hactl.core.parse.answer.reading import Reader
from hactl.core.parse.question import Part, Remembered

_NAMED = re.compile(r"is running as pid ([0-9 ]+)\.", re.ASCII)
_STOPPED = re.compile(r"is not running\.", re.ASCII)
#: vfs.timestamp_precision: 0 keeps whole seconds, in which a file can change twice (sys/kern/vfs_subr.c).
_COARSE = re.compile(r"^vfs\.timestamp_precision: 0$", re.MULTILINE)


def remember(reader: Reader, facts: NodeFacts) -> Remembered:
    """Of this answer, and of what the question told the node already."""
    known = reader.question.known
    files = stat_text(reader) if reader.reads_files and _rereadable(reader, facts) else ""
    if not reader.reads_files:
        files = known.files
    if not reader.asks(Part.SERVICES):
        return Remembered(files, known.processes, known.services, known.pids)
    processes, services, pids = _services(reader, facts)
    return Remembered(files, processes, services, pids)


def stat_text(reader: Reader) -> str:
    """What the node compares: the rows of stat."""
    section = reader.frames.sections.get("stat")
    return section.text.partition("\n")[2].strip("\n") if section is not None and section.status == 0 else ""


def _rereadable(reader: Reader, facts: NodeFacts) -> bool:
    """Whether what was read from files is understood, and would be the same if it were read again."""
    sysctl, boot = reader.frames.sections.get("sysctl"), reader.frames.sections.get("bootfiles")
    if sysctl is None or boot is None or "vfs.timestamp_precision" not in sysctl.text or _COARSE.search(sysctl.text):
        return False
    if re.search(r"^live$", boot.text, re.MULTILINE):
        return False
    return not any(isinstance(each, Unknown) for each in (facts.boot, facts.hook, facts.system, *facts.files.values()))


def _services(reader: Reader, facts: NodeFacts) -> tuple[str, frozenset[str], str]:
    """Processes that tell, the services they tell about, and the pids of these."""
    known = reader.question.known
    listed = reader.read("ps", parse_processes)
    if isinstance(listed, Unknown):
        return "", frozenset(), ""
    # Of a check of the document no process tells.
    checked = checks_of(reader.cluster)
    alive = {each.pid for each in listed.value}
    services: set[str] = set()
    pids: set[int] = set()
    for number, (name, service) in enumerate(facts.services.items()):
        section = reader.frames.sections.get(f"service.{number}")
        if reader.says_same(str(number)):
            services.add(name)
            pids |= {int(word) for word in known.pids.split()}
        elif section is not None and not isinstance(service, Unknown) and name not in checked:
            named = {int(word) for found in _NAMED.findall(section.text) for word in found.split()}
            if (named and named <= alive) or (not named and _STOPPED.search(section.text)):
                services.add(name)
                pids |= named
    words = " ".join(str(pid) for pid in sorted(pids))
    return telling(listed.value, pids), frozenset(services), words
