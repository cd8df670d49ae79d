"""A record after years: it keeps to its budgets, and a question costs what it shows, however much there is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hactl.adapters.record import rules
from hactl.adapters.record.sqlite.backend import open_reading
from hactl.adapters.record.sqlite.compact import compact
from hactl.adapters.record.store import Store
from hactl.core.catalogue import EventKind
from support.record.fleet import fill, name_of
from support.store_process import rows

CLUSTERS = 5
#: Every question of `hactl history`, alone and together.
QUESTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"cluster": name_of(3)},
    {"node": f"{name_of(3)}-a"},
    {"cluster": name_of(3), "node": f"{name_of(3)}-b"},
    {"cluster": "nobody"},
    {"node": "nobody"},
    {"kind": "NodeRebooted"},
    {"kind": "TokenCreated"},
    {"kind": "Step"},
    {"kind": "StepBegun"},
    {"failed": True},
    {"kind": "Step", "failed": True},
    {"since": datetime.now(UTC) + timedelta(days=1)},
    {"since": datetime.now(UTC) - timedelta(hours=2), "kind": "ControllerStarted"},
    {"until": datetime.now(UTC) - timedelta(days=15)},
    {"kind": "StateChanged", "until": datetime.now(UTC) - timedelta(days=15)},
)


async def _work(store: Store, ask: Callable[[Store], Any]) -> int:
    """Instructions of SQLite's machine for a question, in hundreds: the same on any computer."""
    count = 0

    def note() -> int:
        nonlocal count
        count += 1
        return 0

    def counting(reading: Any) -> None:
        reading.connection.set_progress_handler(note, 100)

    # As many as there are reader threads: each has a connection.
    await asyncio.gather(*(store.backend.read(counting) for _ in range(8)))
    await ask(store)
    return count


async def test_a_question_costs_what_it_shows(tmp_path: Path) -> None:
    """Six times the history: no question takes twice the work, but for what is due to small numbers."""
    costs: dict[int, list[int]] = {}
    for days in (20, 120):
        path = tmp_path / f"{days}.db"
        await fill(path, clusters=CLUSTERS, days=days, incidents_a_day=1)
        store = await open_reading(path)
        try:
            costs[days] = [
                await _work(store, lambda store, asked=asked: store.history({**asked, "limit": 50}))
                for asked in QUESTIONS
            ]
            costs[days].append(await _work(store, lambda store: store.documents()))
            costs[days].append(await _work(store, lambda store: store.operations_in_force(name_of(3))))
        finally:
            await store.close()
    assert rows(tmp_path / "120.db", "SELECT count(*) FROM events")[0][0] > 10_000
    slow = [
        (asked, before, after)
        for asked, before, after in zip([*QUESTIONS, "documents", "operations"], costs[20], costs[120], strict=True)
        if after > 2 * before + 40
    ]
    assert slow == []


async def test_it_keeps_to_its_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the days: the file is as large as before, the newest of every kind is there, and what people did."""
    small = 96 * 1024
    monkeypatch.setattr(rules, "BUDGETS", dict.fromkeys(EventKind, small))
    monkeypatch.setattr(rules, "DOCUMENTS_BYTES", small)
    sizes = []
    for days in (60, 120):
        path = tmp_path / f"{days}.db"
        written = await fill(path, clusters=CLUSTERS, days=days, incidents_a_day=1)
        kinds = dict(rows(path, "SELECT kind, bytes FROM sizes"))
        assert max(kinds.values()) <= small
        assert min(kinds["ConditionChanged"], kinds["StepEnded"]) > small * 3 // 4
        assert rows(path, "SELECT count(*) FROM events")[0][0] < written / 4
        assert rows(path, "SELECT count(*) FROM operations")[0][0] == 4 * CLUSTERS + 1
        sizes.append((await asyncio.to_thread(compact, path)).after)
    assert sizes[1] < 1.25 * sizes[0]
