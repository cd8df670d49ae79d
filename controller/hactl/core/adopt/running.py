"""What runs on a node, from its answers: roles, pools, services, and what acts besides.

Man pages: hastctl(8), zpool-list(8), service(8), mount(8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hactl.core.facts import HastRole, Pool, Rival
from hactl.core.hook.devd_rules import rules_before, rules_behind
from hactl.core.parse.hastctl import parse_list
from hactl.core.parse.rivals import parse_rivals
from hactl.core.parse.storage import parse_zpool_list
from hactl.core.parse.text import NotUnderstood

#: Answers that stand among the files of a node, as their names end.
ROLES, POOLS, SERVICES, RIVALS = "hastctl list", "zpool list", "service onestatus", "scripts that act"
_ON_HAST = re.compile(r"/dev/hast/(\S+)")
_SERVICE = re.compile(r"([\w.-]+) (yes|no) ([0-9]+)", re.ASCII)


@dataclass(slots=True)
class Running:
    """What one node answered; empty: it was not asked."""

    roles: dict[str, HastRole] = field(default_factory=dict)
    #: Resource -> the pool that stands on it.
    pools: dict[str, Pool] = field(default_factory=dict)
    #: Dataset -> where it is mounted.
    datasets: dict[str, str] = field(default_factory=dict)
    #: Service that has a script -> the number of its process, in the order they came up; None: it does not run.
    services: dict[str, int | None] = field(default_factory=dict)
    rivals: tuple[Rival, ...] = ()
    #: File of devd -> its text.
    devd: dict[str, str] = field(default_factory=dict)

    def read(self, kind: str, text: str) -> None:
        """Take one answer in, of one of the kinds above. Raises ValueError when it is not understood."""
        _READERS[kind](self, text)

    def who_acts(self, vhids: Sequence[str]) -> Iterator[tuple[str, int, str]]:
        """File, line and words of what acts when a vhid changes its state, at boot or by the clock.

        `vhids`: as devd calls them, `80@em0`. Raises ValueError when devd could not read a file of its rules either.
        """
        rules = (*rules_before(self.devd, vhids), *rules_behind(self.devd, vhids))
        yield from ((rule.file, rule.line, rule.action) for rule in rules)
        yield from ((rival.file, rival.line, rival.words) for rival in self.rivals)


def _roles(found: Running, text: str) -> None:
    found.roles = {name: resource.role for name, resource in parse_list(text).items()}


def _pools(found: Running, text: str) -> None:
    found.pools = {
        resource[1]: pool
        for pool in parse_zpool_list(text).values()
        for device in pool.devices or ()
        if (resource := _ON_HAST.fullmatch(device))
    }


def _services(found: Running, text: str) -> None:
    rows = [_SERVICE.fullmatch(line) for line in text.splitlines() if line]
    if None in rows:
        raise NotUnderstood("not what was to be told of services")
    runs = {row[1]: int(row[3]) if row[2] == "yes" else None for row in rows if row is not None}
    found.services = dict(sorted(runs.items(), key=lambda item: item[1] or 0))


def _rivals(found: Running, text: str) -> None:
    found.rivals = parse_rivals(text)


_READERS: Mapping[str, Callable[[Running, str], None]] = {
    ROLES: _roles,
    POOLS: _pools,
    SERVICES: _services,
    RIVALS: _rivals,
}
