"""The only wiring: which adapter stands behind which port, for the commands that look, apply and run.

Everything heavy (asyncssh, sqlite-utils) is imported by the adapters when it is first used, so that importing this
module costs little.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import random
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hactl.adapters.clock import SystemClock
from hactl.adapters.lock import ClusterLock, lock_directory
from hactl.adapters.record.memory import memory_record
from hactl.adapters.record.sqlite.reserve import RESERVE_BYTES
from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.store import Store
from hactl.adapters.references import resolve_references
from hactl.adapters.ssh.nodes import SSHNodes
from hactl.adapters.yaml.documents import read_documents
from hactl.core.choices import NodeAccess
from hactl.core.cluster import Cluster
from hactl.core.facts import fingerprint
from hactl.core.gate.render import TEXTS
from hactl.core.gate.request import texts_request
from hactl.core.operations import Operation
from hactl.core.pace.convergence import Summary
from hactl.core.pace.interval import Pace
from hactl.core.pace.result import PassResult
from hactl.core.probe.texts import parse_texts, texts_script
from hactl.errors import Busy, DocumentError, NodeError
from hactl.ports import Document, Holder, Source, Target
from hactl.runtime.controller import Controller
from hactl.runtime.converge import converge
from hactl.runtime.documents import DocumentsInForce
from hactl.runtime.passes.execute import Executor
from hactl.runtime.passes.observe import Observer, make_nonce
from hactl.runtime.passes.reconcile import Reconciler
from hactl.runtime.passes.types import Accepted, Access, PassRequest, Resolve, ResolvedCluster
from hactl.runtime.watch import DevdWatch
from hactl.runtime.workqueue import WorkQueue

log = logging.getLogger("hactl.app")

#: How long a pass waits for another process that holds the cluster, seconds.
LOCK_WAIT_SECONDS = 2.0
#: How long reading a few files of a node may take, seconds.
TEXTS_SECONDS = 20.0


def actor() -> str:
    """Who does it, for the history: user@host."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def make_resolver(salt: bytes) -> Resolve:
    """References looked up on the controller; passwords stay here, only fingerprints go to the planner."""

    async def resolve(document: Document, generation: int) -> ResolvedCluster:
        found = await asyncio.to_thread(resolve_references, document)
        keys = {name: fingerprint(password, salt) for name, password in found.passwords.items()}
        passwords = found.passwords
        return ResolvedCluster(
            Cluster(document.cluster, generation, keys),
            found.targets,
            lambda use: passwords[use.group, use.virtual_ip],
        )

    return resolve


def revive(row: Mapping[str, Any]) -> Document:
    """A document of the record, as it was accepted. Raises DocumentError when it does not load any more."""
    content = read_documents(row["text"].encode(), source=row["source"], directory=row["directory"])
    for document in content.documents:
        if document.cluster.name == row["cluster"]:
            return document
    raise DocumentError(content.problems)


@dataclass(slots=True)
class App:
    """What one command works with."""

    clock: SystemClock
    store: Store
    nodes: SSHNodes
    locks: ClusterLock | None
    reconciler: Reconciler
    #: This process, as nodes note it.
    holder: Holder

    async def converge(
        self, request: PassRequest, *, timeout_seconds: float, until: Callable[[PassResult], bool] | None = None
    ) -> Summary:
        """For commands that do the work themselves: see `hactl.runtime.converge`."""
        return await converge(self.reconciler, self.clock, request, timeout_seconds=timeout_seconds, until=until)

    def controller(self, sources: Mapping[str, Source], managed_by: str = "") -> Controller:
        """For `run`: it keeps what the sources say, by their labels; `managed_by`: its name in `spec.managedBy`."""
        queue = WorkQueue(self.clock, random.Random())

        def wake(cluster: str, after_seconds: float) -> None:
            controller.wake(cluster, after_seconds)

        watch = DevdWatch(self.nodes, self.clock, random.Random(), wake, self.holder.token)
        documents = DocumentsInForce(sources, self.store, revive=revive, managed_by=managed_by)
        controller = Controller(documents, self.store, self.reconciler, queue, watch, self.clock)
        return controller

    async def texts(
        self, targets: Mapping[str, Target], wanted: Mapping[str, Sequence[str]]
    ) -> dict[tuple[str, str], str]:
        """(node, path) -> what is in that file now, of the files that could be read; nothing is changed."""

        async def read(node: str, paths: Sequence[str]) -> dict[tuple[str, str], str]:
            nonce = make_nonce()
            try:
                target = targets[node]
                if target.access is NodeAccess.ROOT:
                    script = texts_script(paths, nonce)
                else:
                    paths = [path for path in paths if path in TEXTS]
                    script = texts_request(target.gate, paths, nonce, TEXTS_SECONDS)
                answer = await self.nodes.run(target, script, timeout_seconds=TEXTS_SECONDS)
            except NodeError:
                return {}
            return {(node, path): text for path, text in parse_texts(paths, answer.stdout, nonce).items()}

        found = await asyncio.gather(*(read(node, paths) for node, paths in wanted.items() if paths))
        return {place: text for each in found for place, text in each.items()}

    async def accept(self, document: Document, *, who: str) -> Accepted:
        """Hand a document in. Raises Busy when a running controller manages the cluster from another text."""
        name = document.cluster.name
        known = {row["cluster"]: row for row in await self.store.documents()}
        same = name in known and known[name]["digest"] == document.digest
        holder = self.locks.controller_holder() if self.locks is not None else None
        if holder is not None and name in known and not same:
            raise Busy(
                f"{name} is managed by a running controller ({holder}) from {known[name]['source']}, "
                f"which says something else than {document.source}; change that file instead"
            )
        return Accepted(document, await self.store.put_document(document, actor=who))


class Sight:
    """How nodes are reached and looked at: connections that stay open, and what was read last. For one event loop."""

    def __init__(self) -> None:
        """Nothing is connected yet."""
        self.clock = SystemClock()
        self.nodes = SSHNodes()
        self.salt = secrets.token_bytes(16)
        self.observer = Observer(self.nodes, self.clock, self.salt)

    async def close(self) -> None:
        """Close the connections."""
        await self.nodes.close()


@asynccontextmanager
async def opened(path: Path | None, *, pace: Pace | None = None, sight: Sight | None = None) -> AsyncIterator[App]:
    """Everything wired. `path` None: nothing is recorded (for commands that only look).

    `sight`: the caller's, who closes it; so that what a command does goes on with what it looked at first.
    """
    eyes = sight or Sight()
    clock, nodes = eyes.clock, eyes.nodes
    locks = None if path is None else ClusterLock(lock_directory(path))
    store = memory_record() if path is None else await open_record(path, actor=actor(), reserve_bytes=RESERVE_BYTES)

    def lock(name: str) -> AbstractAsyncContextManager[Any]:
        return nullcontext() if locks is None else locks.cluster(name, wait_seconds=LOCK_WAIT_SECONDS)

    reconciler = Reconciler(
        eyes.observer,
        Executor(nodes, store, clock),
        store,
        clock,
        Access(make_resolver(eyes.salt), lock, revive),
        pace=pace,
    )
    try:
        yield App(clock, store, nodes, locks, reconciler, await store.holder())
    finally:
        if sight is None:
            await eyes.close()
        await store.close()


async def operations_in_force(path: Path, cluster: str) -> list[Operation]:
    """What counts for the cluster on that record; nothing when there is no record."""
    if not await asyncio.to_thread(path.exists):
        return []
    store = await open_record(path, read_only=True)
    try:
        return list(await store.operations_in_force(cluster))
    finally:
        await store.close()


async def last_statuses(path: Path) -> dict[str, Mapping[str, Any]]:
    """The newest status of every cluster on that record; nothing when there is no record."""
    if not await asyncio.to_thread(path.exists):
        return {}
    store = await open_record(path, read_only=True)
    try:
        return {row["cluster"]: row["status"] for row in await store.statuses()}
    finally:
        await store.close()


async def likely_generations(path: Path, documents: Sequence[Document]) -> dict[str, int]:
    """The generation each document has, or would get: so that `plan` names the digest that `apply` will have."""
    known: dict[str, tuple[str, int]] = {}
    if await asyncio.to_thread(path.exists):
        store = await open_record(path, read_only=True)
        try:
            known = {row["cluster"]: (row["digest"], row["generation"]) for row in await store.documents()}
        finally:
            await store.close()
    likely = {}
    for document in documents:
        digest, generation = known.get(document.cluster.name, ("", 0))
        likely[document.cluster.name] = generation if digest == document.digest else generation + 1
    return likely
