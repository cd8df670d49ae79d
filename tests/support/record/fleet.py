"""A record as a controller leaves it after many days with a busy fleet.

One cluster goes through an incident by the very code that writes records: documents, statuses and what changed between
them, steps of real plans, a switchover, its objects. Its rows are then repeated for every cluster and day, with names,
times and numbers of their own, and old ones are forgotten as often as a controller does it, by the code that does it.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hactl.adapters.record.rows import stored_time
from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.store import Store
from hactl.core.evidence.view import View
from hactl.core.operations import State
from hactl.core.plan import make_plan
from hactl.core.status.changes import changes
from hactl.core.status.cluster import Origin, cluster_status
from hactl.core.steps import Plan
from hactl.ports import Document
from support.contracts.store import ManualClock
from support.documents import NAS, read
from support.facts.builder import Scene, blank_pair, healthy_pair, rebooted_pair

#: Old history is forgotten so often, days. A controller does it every hour, which comes to the same.
_PRUNE_DAYS = 20
#: A document of each cluster is changed so often, days.
_GENERATION_DAYS = 30
#: Of so many incidents one is a planned move: an operation.
_MOVE_EVERY = 4
_TABLES = ("events", "steps")


class Calendar(ManualClock):
    """Ends now."""

    def __init__(self, days: float) -> None:
        """So many days ago."""
        super().__init__()
        self._from = datetime.now(UTC) - timedelta(days=days)

    def now(self) -> datetime:
        """That day, and what was moved since."""
        return self._from + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Incident:
    """Rows of one, in the order in which they were written: table and row."""

    rows: Sequence[tuple[str, dict[str, Any]]]


def name_of(number: int) -> str:
    """Of a cluster."""
    return f"pair{number:04}"


def _document(name: str, *, other: bool = False) -> Document:
    """`other`: with another mount option, which is another generation."""
    text = NAS.replace("name: nas\n", f"name: {name}\n").replace("nas-", f"{name}-")
    text = text.replace("[noatime]", "[noatime, nosuid]") if other else text
    (found,) = read(text, f"clusters/{name}.yaml").documents
    return found


def _status(scene: Scene, clock: Calendar, before: Mapping[str, Any] | None) -> dict[str, Any]:
    plan = make_plan(scene.cluster, scene.snapshot, scene.now)
    view = View.at(scene.cluster, scene.snapshot, scene.now)
    made = cluster_status(view, plan, Origin("clusters/nas.yaml"), wall=clock.now(), previous=before)
    return dict(json.loads(json.dumps(made)))


async def _one_incident(store: Store, clock: Calendar, *, move: bool) -> None:
    """A node of nas reboots and is repaired; or a person moves its group."""
    status: dict[str, Any] | None = None
    for scene in (healthy_pair(), rebooted_pair(), healthy_pair()):
        clock.seconds += 5
        after = _status(scene, clock, status)
        await store.put_status("nas", after, events=changes(status, after))
        status = after
    if move:
        fields = {"kind": "Switchover", "cluster": "nas", "group": "files", "node": "nas-b", "actor": "kim@ops"}
        number = await store.open_operation({**fields, "reason": "new firmware for nas-a tonight"})
    plan: Plan = make_plan(blank_pair().cluster, blank_pair().snapshot, blank_pair().now)
    steps = [step for stage in plan.stages for step in stage.steps if len(step.command) < 4096]
    for step in steps[:10] if move else steps[:3]:
        clock.seconds += 1
        begun = await store.begin_step({
            "cluster": "nas", "generation": 1, "plan": plan.digest, "node": step.node, "verb": step.verb,
            "target": step.target, "command": step.command, "risk": step.risk.value, "why": step.why,
            "actor": "hactl@controller", "cause": "incident",
        })  # fmt: skip
        await store.end_step(begun, outcome="Done", exit_status=0, output="done\n" * 8, seconds=0.4)
    if move:
        clock.seconds += 1
        await store.end_operation(number, State.DONE, "files is active on nas-b", seconds=8.4)


async def _templates(path: Path) -> dict[bool, Incident]:
    """The rows of an incident, and of a planned move."""
    found = {}
    clock = Calendar(0)
    store = await open_record(path, actor="hactl@controller", command="hactl run", clock=clock)
    try:
        await store.put_document(_document("nas"), actor="hactl@controller", origin="clusters")
        for move in (False, True):
            newest = max((row["id"] for row in await store.history({"limit": 1})), default=0)
            await _one_incident(store, clock, move=move)
            with sqlite3.connect(path) as connection:
                connection.row_factory = sqlite3.Row
                rows = [
                    (table, dict(row))
                    for table in _TABLES
                    for row in connection.execute(f"SELECT * FROM {table} WHERE id > ?", (newest,))
                ]
            connection.close()
            found[move] = Incident(sorted(rows, key=lambda each: int(each[1]["id"])))
    finally:
        await store.close()
    return found


async def fill(path: Path, *, clusters: int, days: int, incidents_a_day: float, seed: int = 1) -> int:
    """Make the record; how many rows of history were written, of which old ones are forgotten."""
    templates = await _templates(path.with_name("template.db"))
    chance = random.Random(seed)
    clock = Calendar(days)
    store = await open_record(path, actor="hactl@controller", command="hactl run", clock=clock)
    written = 0
    try:
        await store.record("ControllerStarted", "", "controller started with clusters")
        for day in range(days):
            if day % _GENERATION_DAYS == 0:
                for number in range(clusters):
                    document = _document(name_of(number), other=bool(day // _GENERATION_DAYS % 2))
                    await store.put_document(document, actor="hactl@controller", origin="clusters")
            happens = chance.choices(range(clusters), k=round(clusters * incidents_a_day))
            kinds = [chance.randrange(_MOVE_EVERY) == 0 for _ in happens]
            moments = sorted(chance.uniform(0, 86400) for _ in happens)
            rows = _repeated(templates, clock.now(), happens, kinds, moments)
            written += await store.backend.write(lambda tables, rows=list(rows): _insert(tables, rows))
            clock.seconds += 86400
            if day % _PRUNE_DAYS == 0:
                await store.prune(keep_days=400)
        await _now(store, clock, clusters, chance)
        await store.prune(keep_days=400)
    finally:
        await store.close()
    return written


def _repeated(
    templates: Mapping[bool, Incident],
    day: datetime,
    happens: Sequence[int],
    kinds: Sequence[bool],
    moments: Sequence[float],
) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, move, moment in zip(happens, kinds, moments, strict=True):
        at, name = stored_time(day + timedelta(seconds=moment)), name_of(number)
        for table, row in templates[move].rows:
            made = {key: value.replace("nas", name) if isinstance(value, str) else value for key, value in row.items()}
            yield table, {**made, "at": at, **({"ended_at": at} if table == "steps" else {})}


def _insert(tables: Any, rows: Sequence[tuple[str, dict[str, Any]]]) -> int:
    """With numbers of their own, in one transaction."""
    connection: sqlite3.Connection = tables.connection
    with tables.writing():
        head = tables._head()
        for number, (table, row) in enumerate(rows):
            numbered = {**row, "id": head["id"] + number, "revision": head["revision"] + number}
            numbered["controller"] = head["controller"]
            places = ", ".join(f":{column}" for column in numbered)
            connection.execute(f"INSERT INTO {table} ({', '.join(numbered)}) VALUES ({places})", numbered)
        connection.execute("UPDATE revision SET newest = ?", (head["revision"] + len(rows),))
    return len(rows)


async def _now(store: Store, clock: Calendar, clusters: int, chance: random.Random) -> None:
    """What the fleet is like today: a status of each cluster; operations of the last year; some are open."""
    well = _status(healthy_pair(), clock, None)
    away = _status(rebooted_pair(), clock, well)
    for number in range(clusters):
        name = name_of(number)
        status = away if chance.randrange(20) == 0 else well
        await store.put_status(name, json.loads(json.dumps(status).replace("nas", name)))
    for number in range(clusters):
        name = name_of(number)
        fields = {"kind": "Switchover", "cluster": name, "group": "files", "node": f"{name}-b", "actor": "kim@ops"}
        for _ in range(4):
            operation = await store.open_operation({**fields, "reason": "new firmware tonight"})
            await store.end_operation(operation, State.DONE, f"files is active on {name}-b", seconds=8.4)
        if number % 100 == 0:
            await store.open_operation({"kind": "Pause", "cluster": name, "actor": "kim@ops", "reason": "new switch"})
