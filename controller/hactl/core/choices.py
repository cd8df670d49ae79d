"""What fields of a document that offer a choice may say. Nothing of pydantic is needed for it."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """How far hactl may go."""

    OBSERVE = "Observe"
    PROPOSE = "Propose"
    APPLY = "Apply"


class NodeAccess(StrEnum):
    """What the key that hactl logs in to a node with can do there (docs/security.md)."""

    ROOT = "Root"
    OBSERVE = "Observe"


class Failback(StrEnum):
    """Whether a group goes back to its preferred node by itself."""

    NEVER = "Never"
    WHEN_READY = "WhenReady"


class Replication(StrEnum):
    """HAST replication modes (hast.conf(5)); all three work in 13.2 and later."""

    MEMSYNC = "memsync"
    FULLSYNC = "fullsync"
    ASYNC = "async"


class Initialize(StrEnum):
    """Whether hactl may create HAST metadata and a filesystem on blank devices."""

    NEVER = "Never"
    IF_BLANK = "IfBlank"


class PoolLayout(StrEnum):
    """How a ZFS pool spreads its data over the resources it stands on (zpoolconcepts(7))."""

    STRIPE = "Stripe"
    MIRROR = "Mirror"
    RAIDZ1 = "Raidz1"
    RAIDZ2 = "Raidz2"
    RAIDZ3 = "Raidz3"

    @property
    def vdev(self) -> str:
        """The word zpool(8) has for it in front of its devices; empty: none."""
        return "" if self is PoolLayout.STRIPE else self.value.lower()

    @property
    def fewest(self) -> int:
        """The fewest devices it is possible with."""
        return _FEWEST[self]


#: A mirror of one device is none, and a raidz needs more devices than it has of parity (zpoolconcepts(7)).
_FEWEST = {
    PoolLayout.STRIPE: 1,
    PoolLayout.MIRROR: 2,
    PoolLayout.RAIDZ1: 2,
    PoolLayout.RAIDZ2: 3,
    PoolLayout.RAIDZ3: 4,
}


class RunOn(StrEnum):
    """Where a service runs."""

    ACTIVE = "Active"
    ALL = "All"


class FailureAction(StrEnum):
    """What hactl does about a service that stopped by itself."""

    RESTART = "Restart"
    MOVE = "Move"
    NOTHING = "Nothing"


class FailoverPolicy(StrEnum):
    """Whether the nodes move storage and services by themselves when CARP moves the addresses."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class OnStaleWriter(StrEnum):
    """What becomes of what a node wrote after its peer had taken over while it slept."""

    ASK = "Ask"
    DISCARD = "Discard"


class NeedsPerson(StrEnum):
    """When a person may be needed after a fault, once what broke works again."""

    NEVER = "Never"
    WHILE_SERVING = "WhileServing"
