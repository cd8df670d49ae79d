"""`hactl.ports.Store` in memory: passes the same tests as the real one, for tests and for looking without a record.

Nothing is durable, and there is no other process, so `recover` has nothing to settle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hactl.adapters.clock import SystemClock
from hactl.adapters.operation_rows import (
    check_new,
    described,
    ended_summary,
    in_force,
    opened_detail,
    operation,
    request_row,
)
from hactl.adapters.store_requests import check_lease
from hactl.adapters.store_rows import (
    FAILED_EVENTS,
    NOT_DONE,
    STEP_KEYS,
    accepted_summary,
    canonical,
    check_kind,
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
from hactl.core.operations import Operation, State
from hactl.core.steps import Outcome
from hactl.errors import StoreError
from hactl.ports import Change, Clock, Document

_UNENDED: dict[str, Any] = dict.fromkeys(("ended_at", "outcome", "exit_status", "output", "seconds"))


class MemoryStore:
    """The record, for as long as the process lives."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        """Start empty."""
        self._clock = clock or SystemClock()
        self._documents: dict[str, list[dict[str, Any]]] = {}
        self._unmanaged: dict[str, str] = {}
        self._steps: dict[int, dict[str, Any]] = {}
        self._events: dict[int, dict[str, Any]] = {}
        self._statuses: dict[str, dict[str, Any]] = {}
        self._seen: dict[str, float] = {}
        self._operations: dict[int, Operation] = {}
        self._leases: dict[str, int] = {}
        self._last_operation = 0
        self._last_id = 0
        self._closed = False
        #: How many calls changed the record: an unchanged pass changes nothing.
        self.writes = 0

    async def put_document(self, document: Document, *, actor: str) -> int:
        """See `hactl.ports.Store`."""
        self._check_open()
        name = document.cluster.name
        known = self._documents.setdefault(name, [])
        same = bool(known) and known[-1]["digest"] == document.digest
        if same and name not in self._unmanaged:
            return int(known[-1]["generation"])
        self._unmanaged.pop(name, None)
        if not same:
            known.append(
                {
                    "cluster": name,
                    "generation": (known[-1]["generation"] if known else 0) + 1,
                    "digest": document.digest,
                    "source": document.source,
                    "directory": document.directory,
                    "actor": actor,
                    "at": self._now(),
                    "text": document.text,
                }
            )
        generation = int(known[-1]["generation"])
        detail = {"digest": document.digest, "actor": actor}
        await self.record("DocumentAccepted", name, accepted_summary(document, generation), detail=detail)
        return generation

    async def unmanage(self, cluster: str, *, why: str) -> None:
        """See `hactl.ports.Store`."""
        self._check_open()
        if self._documents.get(cluster) and cluster not in self._unmanaged:
            self._unmanaged[cluster] = why
            await self.record("DocumentVanished", cluster, f"unmanaged: {why}; nothing is torn down")

    async def documents(self) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        self._check_open()
        return [
            dict(known[-1]) for name, known in sorted(self._documents.items()) if known and name not in self._unmanaged
        ]

    async def generations(self, cluster: str) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        self._check_open()
        return [dict(row) for row in self._documents.get(cluster, [])]

    async def begin_step(self, record: Mapping[str, Any], *, lease: int | None = None) -> int:
        """See `hactl.ports.Store`."""
        self._check_open()
        fields = dict(zip(STEP_KEYS, step_values(record), strict=True))
        known = self._documents.get(fields["cluster"], [])
        managed = bool(known) and fields["cluster"] not in self._unmanaged
        check_newest(fields["cluster"], fields["generation"], known[-1]["generation"] if known else 0, managed)
        held = self._leases.get(fields["cluster"])
        check_lease(None if held is None else ("", held), fields["cluster"], "", lease)
        step = self._next_id()
        self._steps[step] = {"id": step, "at": self._now()} | fields | _UNENDED
        return step

    async def end_step(self, step: int, *, outcome: str, exit_status: int | None, output: str, seconds: float) -> None:
        """See `hactl.ports.Store`."""
        self._check_open()
        if step not in self._steps or self._steps[step]["outcome"] is not None:
            raise StoreError(f"has no running step {step} of this process")
        self.writes += 1
        self._steps[step] |= {
            "ended_at": self._now(),
            "outcome": Outcome(outcome).value,
            "exit_status": exit_status,
            "output": shortened(output),
            "seconds": seconds,
        }

    async def record(
        self, kind: str, cluster: str, summary: str, *, node: str | None = None, detail: Any = None
    ) -> None:
        """See `hactl.ports.Store`."""
        self._check_open()
        check_kind(kind)
        text = None if detail is None else canonical(detail)
        event = self._next_id()
        self._events[event] = {
            "id": event,
            "at": self._now(),
            "kind": kind,
            "cluster": cluster,
            "node": node,
            "summary": summary,
            "detail": text,
        }

    async def lease(self, cluster: str) -> int:
        """See `hactl.ports.Store`: there is no other process that could act."""
        self._check_open()
        if cluster not in self._leases:
            self.writes += 1
            self._leases[cluster] = int(self._clock.now().timestamp())
        return self._leases[cluster]

    async def open_operation(self, request: Mapping[str, Any]) -> int:
        """See `hactl.ports.Store`."""
        self._check_open()
        now = self._clock.now()
        made = operation(request_row(request, now) | {"id": self._last_operation + 1})
        check_new(made, self._operations.values(), now)
        self._last_operation = made.id
        self._operations[made.id] = made
        summary = f"operation {made.id}: {described(made)}"
        await self.record("OperationOpened", made.cluster, summary, detail=opened_detail(made))
        return made.id

    async def end_operation(self, number: int, state: State, message: str, *, seconds: float | None = None) -> bool:
        """See `hactl.ports.Store`."""
        self._check_open()
        if number not in self._operations:
            raise StoreError(f"has no operation {number}")
        if self._operations[number].state is not State.OPEN:
            return False
        now = datetime.fromisoformat(self._now())
        ended = replace(self._operations[number], state=state, message=message, ended_at=now, seconds=seconds)
        self._operations[number] = ended
        detail = {**opened_detail(ended), "state": state.value, "seconds": seconds}
        await self.record("OperationEnded", ended.cluster, ended_summary(ended), detail=detail)
        return True

    async def operations(self, cluster: str | None = None, *, open_only: bool = False) -> Sequence[Operation]:
        """See `hactl.ports.Store`."""
        self._check_open()
        return [
            each
            for each in self._operations.values()
            if (cluster is None or each.about(cluster)) and (not open_only or each.state is State.OPEN)
        ]

    async def requests(self, cluster: str) -> Sequence[Operation]:
        """See `hactl.ports.Store`."""
        self._check_open()
        return in_force(self._operations.values(), cluster)

    async def put_status(self, cluster: str, status: Mapping[str, Any], *, events: Sequence[Change] = ()) -> bool:
        """See `hactl.ports.Store`."""
        self._check_open()
        meaning = canonical(without_ages(status))
        self._seen[cluster] = self._clock.monotonic()
        if cluster in self._statuses and self._statuses[cluster]["meaning"] == meaning:
            return False
        self.writes += 1
        self._statuses[cluster] = {"status": plain(status), "meaning": meaning, "changed_at": self._now()}
        for kind, summary, node, detail in events:
            await self.record(kind, cluster, summary, node=node, detail=detail)
        return True

    async def statuses(self) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        self._check_open()
        return [
            {
                "cluster": name,
                "managed": name not in self._unmanaged,
                "status": plain(kept["status"]),
                "changed_at": kept["changed_at"],
                "age_seconds": self._clock.monotonic() - self._seen[name]
                if name in self._seen
                else seconds_between(kept["changed_at"], self._clock.now()),
            }
            for name, kept in sorted(self._statuses.items())
        ]

    async def history(self, query: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """See `hactl.ports.Store`."""
        self._check_open()
        since, until, limit = check_query(query)
        rows = [event_row(row) for row in self._events.values()] + [step_row(row) for row in self._steps.values()]
        return merged([row for row in rows if _matches(row, query, since, until)], limit)

    async def prune(self, *, keep_days: float | None = None, keep_rows: int | None = None) -> int:
        """See `hactl.ports.Store`."""
        self._check_open()
        before = "" if keep_days is None else time_text(self._clock.now() - timedelta(days=keep_days))
        ids = sorted(self._events.keys() | self._steps.keys())
        first_kept = ids[-max(1, keep_rows)] if keep_rows is not None and len(ids) >= max(1, keep_rows) else 0
        deleted = 0
        for rows in (self._events, self._steps):
            for key, row in list(rows.items()):
                runs = rows is self._steps and row["outcome"] is None
                if not runs and key != ids[-1] and (row["at"] < before or key < first_kept):
                    del rows[key]
                    deleted += 1
        used = {(row["cluster"], row["generation"]) for row in self._steps.values()}
        for name, known in self._documents.items():
            kept = [row for row in known[:-1] if row["at"] >= before or (name, row["generation"]) in used]
            deleted += len(known[:-1]) - len(kept)
            self._documents[name] = kept + known[-1:]
        for number, each in list(self._operations.items()):
            if each.ended_at is not None and time_text(each.ended_at) < before:
                del self._operations[number]
                deleted += 1
        self.writes += 1 if deleted else 0
        return deleted

    async def recover(self) -> int:
        """See `hactl.ports.Store`: there are no other processes."""
        self._check_open()
        return 0

    async def close(self) -> None:
        """Nothing is pending; nothing is taken any more."""
        self._closed = True

    def _next_id(self) -> int:
        self.writes += 1
        self._last_id += 1
        return self._last_id

    def _now(self) -> str:
        return time_text(self._clock.now())

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the record in memory is closed")


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
