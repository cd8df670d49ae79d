"""Whose the nodes of a cluster are, before anything is done on them: asks the record, and where it must the nodes.

Rules: two clusters that meet on one machine are told apart by what the machine is (`core.pace.machines`); the one that
a machine says it belongs to, or whose document came first, goes on, the other is refused whole; a lease that was lost
is taken back only when whoever took it is surely gone: it gave the node up on this record, or it has listened on no
node for a while.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hactl.core.choices import Mode
from hactl.core.cluster import Cluster
from hactl.core.facts import Owner, Snapshot, System
from hactl.core.pace.machines import (
    Claim,
    Refusal,
    acted,
    claim,
    meetings,
    met,
    owned,
    owners,
    still_claims,
    system_of,
    twins,
)
from hactl.core.script import Ownership
from hactl.errors import DocumentError, SecretError
from hactl.ports import Clock, Document, Holder, Passes, Target
from hactl.runtime.passes.cluster_state import ClusterState
from hactl.runtime.passes.observe import Observer
from hactl.runtime.passes.types import Access

log = logging.getLogger("hactl.runtime.passes.ownership")

#: A controller that listens on no node for this long is gone, seconds: between two of its streams there is a second.
UNHEARD_SECONDS = 20.0


class Ownerships:
    """Of all clusters of a process."""

    def __init__(self, store: Passes, observer: Observer, clock: Clock, access: Access) -> None:
        """Everything is injected."""
        self._store = store
        self._observer = observer
        self._clock = clock
        self._revive = access.revive
        self._resolve = access.resolve
        self._holder: Holder | None = None
        #: What a controller has in force; None: nobody said, the record is asked.
        self._in_force: Mapping[str, Document] | None = None
        self._claims: dict[str, Claim] = {}
        #: What tells a machine -> the clusters that name one with it.
        self._named: dict[tuple[str, object], set[str]] = {}

    def know(self, documents: Mapping[str, Document]) -> None:
        """These documents are in force in this process, and no others."""
        before, self._in_force = self._in_force or {}, documents
        for name in self._claims.keys() - documents.keys():
            self._forget(name)
        for name, document in documents.items():
            known = self._claims.get(name)
            if known is None or before.get(name) is not document:
                fresh = claim(document.cluster, document.source)
                self._register(fresh if known is None else fresh.after(known))

    def _register(self, mine: Claim) -> None:
        if self._claims.get(mine.cluster) == mine:
            return
        self._forget(mine.cluster)
        self._claims[mine.cluster] = mine
        for mark in _marks(mine):
            self._named.setdefault(mark, set()).add(mine.cluster)

    def _forget(self, name: str) -> None:
        for mark in _marks(gone) if (gone := self._claims.pop(name, None)) is not None else ():
            self._named[mark].discard(name)

    # -- whose are they -------------------------------------------------------------------------------------------

    async def refusal(
        self, cluster: Cluster, source: str, snapshot: Snapshot, targets: Mapping[str, Target]
    ) -> tuple[Refusal | None, frozenset[str]]:
        """Why nothing may be done for a cluster; else the clusters that gave nodes of it up. Raises StoreError."""
        mine = claim(cluster.document, source, snapshot, {name: each.host_keys for name, each in targets.items()})
        self._register(mine)
        if mine.mode is Mode.OBSERVE:
            return None, frozenset()
        if twin := twins(cluster.document, snapshot):
            return twin, frozenset()
        noted = owners(snapshot)
        succeeds: set[str] = set()
        for node, (owner, _) in noted.items():
            if owner is None or owner.cluster == cluster.name:
                continue
            if why := await self._still_owns(owner, system_of(snapshot, node)):
                return owned(node, owner, why), frozenset()
            succeeds.add(owner.cluster)
        ours = {node for node, (owner, _) in noted.items() if owner is not None and owner.cluster == cluster.name}
        # A node that does not answer is not touched: of a cluster that has nodes it is asked again when it answers.
        asked = [m.node for m in mine.machines if m.node not in ours and (m.answers or not ours)]
        return await self._met(mine, asked), frozenset(succeeds)

    async def _still_owns(self, owner: Owner, system: System | None) -> str:
        """Why the cluster that acted on a machine last still has it; "": it gave it up."""
        if not await self._store.knows(owner.holder):
            return "from a record that this hactl does not have"
        row = next((row for row in await self._store.documents() if row["cluster"] == owner.cluster), None)
        if row is None:
            return ""
        document = (self._in_force or {}).get(owner.cluster)
        try:
            document = document or self._revive(row)
        except DocumentError:
            return f"and its document {row['source']} cannot be read now"
        if system is None or still_claims(document.cluster, system.hostname):
            return f"and its document {document.source} is in force"
        return ""

    async def _met(self, mine: Claim, nodes: Sequence[str]) -> Refusal | None:
        """The machine of a cluster that came before; None: there is none."""
        if not nodes:
            return None
        rows: Sequence[Mapping[str, Any]] | None = None
        if self._in_force is None:
            rows = await self._store.documents()
            await self._register_rows(mine, rows)
        others = {name for mark in _marks(mine) for name in self._named.get(mark, ())} - {mine.cluster}
        for machine, other, what in meetings(mine, (self._claims[name] for name in sorted(others)), nodes):
            if rows is None:
                rows = await self._store.documents()
            if _came_before(rows, other.cluster, mine.cluster):
                return met(machine, other, what)
        return None

    async def _register_rows(self, mine: Claim, rows: Iterable[Mapping[str, Any]]) -> None:
        """What the record has in force whose text has a name, a host or a key of ours; no other document is read."""
        words = {word for machine in mine.machines for word in (machine.host, machine.node.split(".")[0])}
        words |= {key.partition(" ")[2] for machine in mine.machines for key in machine.keys}
        for row in rows:
            text = str(row.get("text", ""))
            if row["cluster"] == mine.cluster or not any(word in text for word in words):
                continue
            try:
                document = self._revive(row)
            except DocumentError as error:
                log.warning(
                    "a recorded document cannot be read", extra={"cluster": row["cluster"], "error": str(error)}
                )
                continue
            try:
                targets = (await self._resolve(document, int(row["generation"]))).targets
                keys: Mapping[str, tuple[str, ...]] | None = {name: each.host_keys for name, each in targets.items()}
            except (SecretError, DocumentError):
                # Keys that a file of the controller should have; what the document says itself is left.
                keys = None
            self._register(claim(document.cluster, document.source, keys=keys))

    # -- the lease ------------------------------------------------------------------------------------------------

    async def lease(
        self, cluster: Cluster, targets: Mapping[str, Target], snapshot: Snapshot, state: ClusterState
    ) -> tuple[int, str]:
        """The lease to act under, and who keeps it from us (`state.newer_lease`). Raises StoreError."""
        me = await self._me()
        lease = await self._store.lease(cluster.name)
        noted = owners(snapshot)
        newer = {node: told for node, told in noted.items() if _is_newer(told, lease, me.token)}
        newest = max((number for _, number in newer.values()), default=0)
        asked_all = noted.keys() >= {node.name for node in cluster.nodes}
        state.newer_lease = newest if asked_all else max(newest, state.newer_lease)
        if lease > state.newer_lease or not newer:
            return lease, ""
        for node, (owner, _) in newer.items():
            if held_by := await self._held_by(cluster, targets[node], owner, state):
                return lease, held_by
        lease = await self._store.lease(cluster.name, above=state.newer_lease)
        log.warning("acting again: whoever acted meanwhile is gone", extra={"cluster": cluster.name, "lease": lease})
        state.newer_lease = 0
        state.unheard.clear()
        return lease, ""

    async def _held_by(self, cluster: Cluster, target: Target, owner: Owner | None, state: ClusterState) -> str:
        """Who keeps a node from us; "": nobody any more."""
        if owner is None:
            return f"{target.node} does not say who that is (an older hactl)"
        if owner.cluster != cluster.name or await self._store.knows(owner.holder):
            # It gave the node up (`refusal`), or is a process of this very record, which leases are counted on.
            return ""
        now = self._clock.monotonic()
        if await self._observer.listens(target, owner.holder) is not False:
            state.unheard.pop(owner.holder, None)
            return f"{acted(owner)}, and it listens on {target.node}"
        if now - state.unheard.setdefault(owner.holder, now) < UNHEARD_SECONDS:
            return f"{acted(owner)}, and does not listen on {target.node} now; this one goes on when it stays away"
        return ""

    async def ownership(self, cluster: str, succeeds: frozenset[str]) -> Ownership:
        """For whom steps are sent."""
        me = await self._me()
        return Ownership(cluster, me.token, me.who, succeeds)

    async def _me(self) -> Holder:
        if self._holder is None:
            self._holder = await self._store.holder()
        return self._holder


def _marks(mine: Claim) -> set[tuple[str, object]]:
    """What a machine of it can be known by."""
    found: set[tuple[str, object]] = set()
    for machine in mine.machines:
        found |= {("place", (machine.host, machine.port)), ("uuid", machine.hostuuid), ("name", machine.name)}
        found |= {("key", key) for key in machine.keys}
    return found - {("uuid", "")}


def _is_newer(told: tuple[Owner | None, int], lease: int, token: str) -> bool:
    """Whether somebody else acted under that lease, or one that we do not hold."""
    owner, number = told
    return number > lease or (number == lease and owner is not None and owner.holder != token)


def _came_before(rows: Iterable[Mapping[str, Any]], other: str, mine: str) -> bool:
    """Whether the record has had another cluster in force for longer; by name where it cannot tell."""
    since = {row["cluster"]: str(row.get("managed_at", "")) for row in rows}
    return other in since and (since[other], other) < (since.get(mine, "9"), mine)
