"""What every change can say of itself: its verb, its target and its exact sh text, and the secrets that names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from hactl.core.verbs import Verb

DEMOTION = "net.inet.carp.demotion"
#: Off: every vhid stays INIT (carp(4)).
ALLOW = "net.inet.carp.allow"
#: What the hook and the controller's steps write down on a node.
STATE_DIRECTORY = "/var/db/hactl"


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A secret a step needs: the shell variable that carries it and whose it is."""

    variable: str
    group: str
    virtual_ip: str


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """What a step writes of a file, for people who decide on it."""

    path: str
    text: str
    #: Permission bits; None: they stay.
    mode: int | None = None
    #: Only these lines of it; the rest stays.
    part: bool = False


@dataclass(frozen=True, slots=True)
class Change(ABC):
    """What every change can say of itself."""

    verb: ClassVar[Verb]

    @property
    @abstractmethod
    def target(self) -> str:
        """What it changes, in FreeBSD's words: "vtnet1 vhid 80", "data", "/etc/hast.conf"."""

    @property
    @abstractmethod
    def command(self) -> str:
        """Exact sh text, one or more lines, as shown to people; secrets only as shell variables."""

    @property
    def secrets(self) -> tuple[SecretUse, ...]:
        """The secrets its text names."""
        return ()

    @property
    def writes(self) -> WrittenFile | None:
        """The file it writes; None: no file, or the command says it all."""
        return None


@dataclass(frozen=True, slots=True)
class NamedChange(Change):
    """A change of one thing that has a name."""

    name: str

    @property
    def target(self) -> str:
        return self.name
