"""An address of an interface: what CARP and the interfaces know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["inet", "inet6"]


@dataclass(slots=True, eq=False)
class Address:
    """One address of an interface; `text` is canonical, `vhid` the CARP vhid it belongs to."""

    family: Family
    text: str
    prefixlen: int
    broadcast: str | None = None
    vhid: int | None = None
    tentative_until: float = 0.0
    linklocal: bool = False
