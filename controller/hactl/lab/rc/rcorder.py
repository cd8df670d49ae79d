"""In which order rc runs its scripts: the lab's table, and between its lines what somebody installed.

Rules:
- An installed script runs as soon as everything it requires has run, but before what it names in BEFORE
  (sbin/rcorder/rcorder.c works from the last file backwards, so that a local script comes as early as it may).
- A requirement nobody provides, or one that comes too late, is a message on the console and does not count.
- KEYWORD: `nostart` is not run at boot, only `shutdown` is run at shutdown.
- Man pages: rcorder(8), rc(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Where the table's placeholders stand: (name, the script before it). 13.2: kld runs after FILESYSTEMS.
PLACEHOLDERS = {
    "cleanvar": "FILESYSTEMS",
    "devd": "NETWORKING",
    "savecore": "SERVERS",
    "ctld": "DAEMON",
    "powerd": "LOGIN",
}
_LINE = re.compile(r"^#[ \t]*(PROVIDE|REQUIRE|BEFORE|KEYWORD)S?:[ \t]*(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Installed:
    """A script somebody put into /usr/local/etc/rc.d that the node's shell runs."""

    name: str
    path: str
    provides: tuple[str, ...]
    requires: tuple[str, ...]
    before: tuple[str, ...]
    keywords: tuple[str, ...]
    #: As its text sets it (service(8) greps for it); None: not at all.
    rcvar: str | None


def setting(text: str, variable: str, name: str) -> str | None:
    """What a script's text sets a variable to; `name` is its own name, which the value may contain."""
    match = re.search(rf"""(?m)^{variable}=["']?([^"'\n]*)["']?""", text)
    return match.group(1).replace("${name}", name).replace("$name", name) if match else None


def read(name: str, path: str, text: str) -> Installed:
    """What a script's comments say."""
    found: dict[str, list[str]] = {}
    for keyword, words in _LINE.findall(text):
        found.setdefault(keyword, []).extend(words.split())

    own = setting(text, "name", name) or name
    rcvar = setting(text, "rcvar", own)
    words = {keyword: tuple(found.get(keyword, ())) for keyword in ("PROVIDE", "REQUIRE", "BEFORE", "KEYWORD")}
    return Installed(
        name, path, words["PROVIDE"] or (name,), words["REQUIRE"], words["BEFORE"], words["KEYWORD"], rcvar
    )


def order(table: Iterable[str], installed: Sequence[Installed]) -> tuple[list[str | Installed], list[str]]:
    """Names of the table and installed scripts in rc's order, and what rcorder complains about."""
    line: list[str | Installed] = []
    for name in table:
        line.append(name)
        if name in PLACEHOLDERS:
            line.append(PLACEHOLDERS[name])
    complaints: list[str] = []
    waiting = sorted(installed, key=lambda script: script.name)
    while waiting:
        provided = {name for script in waiting for name in script.provides}
        # Those that wait for nobody who still waits; in a circle the first one goes anyway.
        ready = next((script for script in waiting if not _needs(script, waiting) & provided), waiting[0])
        if _needs(ready, waiting) & provided:
            complaints.append(f"rcorder: Circular dependency in file `{ready.path}'.")
        waiting.remove(ready)
        line.insert(_place(ready, line, provided, complaints), ready)
    placeholders = set(PLACEHOLDERS.values())
    return [step for step in line if step not in placeholders], complaints


def _needs(script: Installed, waiting: Sequence[Installed]) -> set[str]:
    """What a script requires, and who wants to be before it."""
    needs = set(script.requires)
    for other in waiting:
        if other is not script and set(other.before) & set(script.provides):
            needs |= set(other.provides)
    return needs - set(script.provides)


def _place(script: Installed, line: list[str | Installed], coming: set[str], complaints: list[str]) -> int:
    places: dict[str, int] = {}
    for place, step in enumerate(line):
        for name in (step,) if isinstance(step, str) else step.provides:
            places[name] = place
    lowest = places.get("FILESYSTEMS", -1) + 1
    for name in script.requires:
        if name in places:
            lowest = max(lowest, places[name] + 1)
        elif name not in coming:
            complaints.append(f"rcorder: requirement `{name}' in file `{script.path}' has no providers.")
    highest = min((places[name] for name in script.before if name in places), default=len(line))
    if highest < lowest:
        complaints.append(f"rcorder: Circular dependency on file `{script.path}'.")
        return lowest
    # Behind earlier ones that need the same.
    while lowest < highest and isinstance(line[lowest], Installed):
        lowest += 1
    return lowest
