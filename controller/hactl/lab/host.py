"""The machine a part lives in, as far as every part may know it: name, power, files, clocks, logs, events.

Rules:
- What a part needs beyond this it says in a protocol of its own, beside it; nothing reaches through a part to another.
"""

from __future__ import annotations

from typing import Literal, Protocol

from hactl.lab.events import Events
from hactl.lab.fiber import Owner
from hactl.lab.storage.files import Files

LogFile = Literal["messages", "daemon"]


class Host(Owner, Protocol):
    """A machine, seen from inside."""

    name: str
    hostname: str
    hostid: int
    powered: bool
    files: Files

    @property
    def world(self) -> Events:
        """The time it lives in."""
        ...

    @property
    def frozen(self) -> bool:
        """Whether its time stands still."""
        ...

    @property
    def awake(self) -> bool:
        """Whether it handles packets and commands now."""
        ...

    def pid(self) -> int:
        """The next process id."""
        ...

    def epoch(self) -> float:
        """What its clock says, seconds since 1970."""
        ...

    def uptime_seconds(self) -> float:
        """Seconds since the kernel started, as the machine counts them."""
        ...

    def devd(self, line: str) -> None:
        """Emit an event for devd (a raw line without its newline)."""
        ...

    def log(self, facility_file: LogFile, ident: str, text: str) -> None:
        """Append to /var/log/messages or daemon.log."""
        ...

    def klog(self, text: str) -> None:
        """A kernel message: dmesg and /var/log/messages."""
        ...
