"""One line of `hactl doctor`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

#: From best to worst.
Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and how it is."""

    level: Level
    #: Where: machine, document, record, source, node.
    area: str
    #: Of several there the one that is meant: a cluster, cluster/node, a file.
    about: str
    text: str
    #: What a person can do; empty when all is well.
    remedy: str = ""


def worst(findings: Iterable[Finding]) -> Level:
    """The level of the worst one."""
    levels = {each.level for each in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"
