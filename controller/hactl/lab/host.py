"""The machine a part lives in, as far as every part may know it: name, power, files, clocks, logs, events.

Rules:
- What a part needs beyond this it says in a protocol of its own, beside it; nothing reaches through a part to another.
"""

from __future__ import annotations

from typing import Literal, Protocol

from hactl.lab.events import Events
from hactl.lab.fiber import Owner
from hactl.lab.files import Files

LogFile = Literal["messages", "daemon"]


class Host(Owner, Protocol):
    """A machine, seen from inside."""

    name: str
    hostname: str
    hostid: int
    powered: bool
    files: Files

    @property
    def world(self) -> Events: ...
    #: Its time stands still.
    @property
    def frozen(self) -> bool: ...
    #: It handles packets and commands now.
    @property
    def awake(self) -> bool: ...
    #: The next process id.
    def pid(self) -> int: ...

    #: When each was given out, seconds of uptime.
    born: dict[int, float]

    #: What its clock says, seconds since 1970; and how long the kernel runs, seconds.
    def epoch(self) -> float: ...
    def uptime_seconds(self) -> float: ...
    #: The kernel has an event for devd (a raw line without its newline).
    def devd(self, line: str) -> None: ...
    #: A line of a log, by the program `ident`; a kernel message (dmesg, and the log).
    def log(self, facility_file: LogFile, ident: str, text: str) -> None: ...
    def klog(self, text: str) -> None: ...
