"""`hactl.ports.Store` in memory: passes the same tests as the real one, for tests and for looking without a record.

Nothing is durable, and there is no other process, so `recover` has nothing to settle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from hactl.adapters.record.memory.objects import MemoryObjects
from hactl.adapters.record.operations import in_force
from hactl.adapters.record.rows import (
    FAILED_EVENTS,
    NOT_DONE,
    STEP_KEYS,
    canonical,
    check_newest,
    check_query,
    event_row,
    merged,
    plain,
    seconds_between,
    shortened,
    step_row,
    step_values,
    time_text,
    without_ages,
)
from hactl.adapters.record.rules import (
    end_operation,
    forget_operations,
    is_unmanaged,
    kept_generation,
    open_operation,
    put_document,
    put_status,
    unmanage,
)
from hactl.adapters.record.sqlite.operations import check_lease
from hactl.core.operations import Operation, State
from hactl.core.steps import Outcome
from hactl.errors import StoreError
from hactl.ports import Change, Clock, Document

_UNENDED: dict[str, Any] = dict.fromkeys(("ended_at", "outcome", "exit_status", "output", "seconds"))


class MemoryStore(MemoryObjects):
    """The record, for as long as the process lives."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        """Start empty."""
        super().__init__(clock=clock)
        self._seen: dict[str, float] = {}
        self._leases: dict[str, int] = {}

    async def put_document(self, document: Document, *, actor: str, origin: str | None = None) -> int:
        """See `hactl.ports.Store`."""
        self._check_open()
        kept = kept_generation(self._tables, document, origin)
        if kept is not None:
            return kept
        with self._writing():
            return put_document(self._tables, document, actor=actor, origin=origin)

    async def unmanage(self, cluster: str, *, why: str, origin: str | None = None) -> None:
        """See `hactl.ports.Store`."""
        self._check_open()
        if not is_unmanaged(self._tables, cluster, origin):
            with self._writing():
                unmanage(self._tables, cluster, why, origin)

    async def documents(self) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        self._check_open()
        tables = self._tables
        newest = [(name, known[-1]) for name, known in sorted(tables.documents.items()) if known]
        return [dict(row) for name, row in newest if name not in tables.unmanaged]

    async def generations(self, cluster: str) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        self._check_open()
        return [dict(row) for row in self._tables.documents.get(cluster, [])]

    async def begin_step(self, record: Mapping[str, Any], *, lease: int | None = None) -> int:
        """See `hactl.ports.Store`."""
        self._check_open()
        fields = dict(zip(STEP_KEYS, step_values(record), strict=True))
        newest = self._tables.newest(fields["cluster"])
        check_newest(fields["cluster"], fields["generation"], newest.generation, newest.managed)
        held = self._leases.get(fields["cluster"])
        check_lease(None if held is None else ("", held), fields["cluster"], "", lease)
        with self._writing():
            step = self._tables.next_id()
            head = {"id": step, "at": self._now(), "revision": self._tables.next_revision()}
            self._tables.steps[step] = head | fields | _UNENDED
        return step

    async def end_step(self, step: int, *, outcome: str, exit_status: int | None, output: str, seconds: float) -> None:
        """See `hactl.ports.Store`."""
        self._check_open()
        if step not in self._tables.steps or self._tables.steps[step]["outcome"] is not None:
            raise StoreError(f"has no running step {step} of this process")
        ended = {
            "ended_at": self._now(),
            "outcome": Outcome(outcome).value,
            "exit_status": exit_status,
            "output": shortened(output),
            "seconds": seconds,
        }
        with self._writing():
            self._tables.writes += 1
            self._tables.steps[step] |= ended | {"revision": self._tables.next_revision()}

    async def record(
        self, kind: str, cluster: str, summary: str, *, node: str | None = None, detail: Any = None
    ) -> None:
        """See `hactl.ports.Store`."""
        self._check_open()
        with self._writing():
            self._tables.event(kind, cluster, summary, node, detail)

    async def lease(self, cluster: str) -> int:
        """See `hactl.ports.Store`: there is no other process that could act."""
        self._check_open()
        if cluster not in self._leases:
            self._tables.writes += 1
            self._leases[cluster] = int(self._clock.now().timestamp())
        return self._leases[cluster]

    async def open_operation(self, request: Mapping[str, Any]) -> int:
        """See `hactl.ports.Store`."""
        self._check_open()
        with self._writing():
            return open_operation(self._tables, request, "")[0]

    async def end_operation(self, number: int, state: State, message: str, *, seconds: float | None = None) -> bool:
        """See `hactl.ports.Store`."""
        self._check_open()
        with self._writing():
            return end_operation(self._tables, number, state, message, seconds)

    async def operations(self, cluster: str | None = None, *, open_only: bool = False) -> Sequence[Operation]:
        """See `hactl.ports.Store`."""
        self._check_open()
        return [
            each
            for each in self._tables.operations.values()
            if (cluster is None or each.about(cluster)) and (not open_only or each.state is State.OPEN)
        ]

    async def requests(self, cluster: str) -> Sequence[Operation]:
        """See `hactl.ports.Store`."""
        self._check_open()
        return in_force(self._tables.operations.values(), cluster)

    async def put_status(self, cluster: str, status: Mapping[str, Any], *, events: Sequence[Change] = ()) -> bool:
        """See `hactl.ports.Store`."""
        self._check_open()
        meaning = canonical(without_ages(status))
        self._seen[cluster] = self._clock.monotonic()
        tables = self._tables
        if cluster in tables.statuses and tables.statuses[cluster]["meaning"] == meaning:
            return False
        kept = plain(status)
        with self._writing():
            tables.writes += 1
            tables.statuses[cluster] = {"status": kept, "meaning": meaning, "changed_at": self._now()}
            put_status(tables, cluster, kept)
            for kind, summary, node, detail in events:
                tables.event(kind, cluster, summary, node, detail)
        return True

    async def statuses(self) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        self._check_open()
        return [
            {
                "cluster": name,
                "managed": name not in self._tables.unmanaged,
                "status": plain(kept["status"]),
                "changed_at": kept["changed_at"],
                "age_seconds": self._clock.monotonic() - self._seen[name]
                if name in self._seen
                else seconds_between(kept["changed_at"], self._clock.now()),
            }
            for name, kept in sorted(self._tables.statuses.items())
        ]

    async def history(self, query: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        self._check_open()
        since, until, limit = check_query(query)
        rows = [event_row(row) for row in self._tables.events.values()] + [
            step_row(row) for row in self._tables.steps.values()
        ]
        return merged([row for row in rows if _matches(row, query, since, until)], limit)

    async def prune(self, *, keep_days: float | None = None, keep_rows: int | None = None) -> int:
        """See `hactl.ports.Store`."""
        self._check_open()
        before = "" if keep_days is None else time_text(self._clock.now() - timedelta(days=keep_days))
        ids = sorted(self._tables.events.keys() | self._tables.steps.keys())
        first_kept = ids[-max(1, keep_rows)] if keep_rows is not None and len(ids) >= max(1, keep_rows) else 0
        deleted = 0
        ended = [each for each in self._tables.operations.values() if each.ended_at is not None]
        old = [each.id for each in ended if each.ended_at is not None and time_text(each.ended_at) < before]
        forget_operations(self._tables, old)
        for rows in (self._tables.events, self._tables.steps):
            for key, row in list(rows.items()):
                runs = rows is self._tables.steps and row["outcome"] is None
                if not runs and key != ids[-1] and (row["at"] < before or key < first_kept):
                    del rows[key]
                    deleted += 1
        used = {(row["cluster"], row["generation"]) for row in self._tables.steps.values()}
        for name, known in self._tables.documents.items():
            kept = [row for row in known[:-1] if row["at"] >= before or (name, row["generation"]) in used]
            deleted += len(known[:-1]) - len(kept)
            self._tables.documents[name] = kept + known[-1:]
        for number in old:
            del self._tables.operations[number], self._tables.operation_names[number]
            deleted += 1
        if deleted:
            with self._writing():
                self._tables.writes += 1
        return deleted

    async def recover(self) -> int:
        """See `hactl.ports.Store`: there are no other processes."""
        self._check_open()
        return 0

    async def close(self) -> None:
        """Nothing is pending; nothing is taken any more."""
        self._closed = True

    def _now(self) -> str:
        return time_text(self._clock.now())


def _matches(row: Mapping[str, Any], query: Mapping[str, Any], since: str | None, until: str | None) -> bool:
    kind = query.get("kind")
    is_step = "verb" in row
    return (
        query.get("cluster") in {None, row["cluster"]}
        and query.get("node") in {None, row["node"]}
        and (kind is None or row["kind"] == kind or (kind == "Step" and is_step))
        and (since is None or row["at"] >= since)
        and (until is None or row["at"] <= until)
        and (not query.get("failed") or (row["outcome"] in NOT_DONE if is_step else row["kind"] in FAILED_EVENTS))
    )
