"""The words of a pass: what it is given, and what it needs of the outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from hactl.core.cluster import Cluster
from hactl.ports import Document, Target
from hactl.runtime.passes.execute import Secret


@dataclass(frozen=True, slots=True)
class Accepted:
    """A document in force: what a pass works towards."""

    document: Document
    generation: int
    #: What is wrong around it (its file is broken now, another source has the same name), for its status.
    problems: tuple[str, ...] = ()
    #: Of these, what a newer document was refused for, and what is wrong with the source itself; "": nothing.
    refused: str = ""
    source_trouble: str = ""
    #: The label of its source among those of the controller; "" when it came otherwise (`apply`).
    label: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedCluster:
    """A document with its references looked up on the controller."""

    cluster: Cluster
    targets: Mapping[str, Target]
    #: The value of a secret, read when a step needs it. Raises SecretError.
    secret: Secret


#: Looks up references. Raises SecretError or DocumentError (a key file is missing ...), never with the secret.
Resolve = Callable[[Document, int], Awaitable[ResolvedCluster]]
#: Makes a document of a row of `Documents.documents`. Raises DocumentError when this hactl no longer accepts it.
Revive = Callable[[Mapping[str, Any]], Document]
#: Holds a cluster against every other hactl process. Entering raises Busy when another one holds it.
Lock = Callable[[str], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Access:
    """How a pass gets at a cluster on this machine."""

    resolve: Resolve
    lock: Lock
    revive: Revive


#: Causes of a pass that a person waits for: an operation, done by the controller and by the command itself.
ASKED = frozenset({"request", "operation"})


@dataclass(frozen=True, slots=True)
class PassRequest:
    """What one pass is for."""

    accepted: Accepted
    #: Why now: "spec", "incident", "resync", "apply" ...
    cause: str = "resync"
    actor: str = "controller"
    #: False: look and record, never touch.
    act: bool = True
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def cluster(self) -> str:
        """The name of the cluster."""
        return self.accepted.document.cluster.name
