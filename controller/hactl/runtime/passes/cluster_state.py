"""What a process knows of one cluster between passes; all of it may be lost at any time."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hactl.core.facts import Snapshot
from hactl.core.pace.approval import Approval
from hactl.core.pace.backoff import Backoff
from hactl.core.pace.interval import Passing
from hactl.core.parse.question import WHOLE
from hactl.core.why.looked import Seen
from hactl.ports import Document, Target
from hactl.runtime.operations import Operations


class ClusterState:
    """One cluster's."""

    def __init__(self, chance: random.Random, operations: Operations) -> None:
        """Nothing is known yet."""
        self.generation = 0
        #: What the record has of it was read.
        self.remembered = False
        self.status: Mapping[str, Any] | None = None
        #: Why the record does not let this generation act; empty: it does.
        self.outdated = ""
        #: The lease of another controller that a node has seen, newer than ours; 0: none.
        self.newer_lease = 0
        #: Token of a process that acted last -> since when it has listened on no node, monotonic seconds.
        self.unheard: dict[str, float] = {}
        #: The claim of its document, for those that meet it on a machine.
        self.document: Document | None = None
        self.backoff = Backoff(chance.random)
        #: (service, node) -> when hactl started it since the last status, wall clock; None: it stopped it.
        self.touched: dict[tuple[str, str], datetime | None] = {}
        #: The last pass had work: take the lock before looking.
        self.working = False
        #: What the next look has to ask: less than all only right after a stage of ours.
        self.next_look = WHOLE
        #: The last pass found nothing to do, to wait for or to ask: the next one may be a quick look.
        self.quiet = False
        self.passing = Passing()
        self.snapshot: Snapshot | None = None
        #: The last look and what was planned then, for who asks why.
        self.seen: Seen | None = None
        self.approval = Approval()
        self.operations = operations
        #: How the nodes are reached; empty until references have resolved.
        self.targets: Mapping[str, Target] = {}

    def renew(self, generation: int) -> None:
        """Another generation is in force: what failed before, or was approved, says nothing about it."""
        if self.generation != generation:
            self.backoff.forget()
            self.approval.forget()
            self.outdated = ""
            self.generation = generation
