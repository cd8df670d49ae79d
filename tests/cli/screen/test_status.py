"""The one line that `hactl status` has for a cluster: one thing to know, and how many more there are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hactl.adapters.record.sqlite.store import open_record
from support.api.served_record import document
from support.command_line import say


def shown(path: Path, messages: list[str]) -> str:
    """The row of a cluster that is held for these reasons."""
    text = "; ".join(messages)
    conditions = [
        {"type": "Ready", "status": "False", "reason": "Held", "message": text},
        {"type": "Stalled", "status": "True", "reason": "NodeSilent", "message": text},
    ]
    status: dict[str, Any] = {
        "conditions": conditions, "nodes": [{"name": "nas-a"}], "problems": [], "groups": [],
        "plan": {"digest": "24585e5da65f", "steps": 0, "next": None},
        "holds": [{"message": message, "passing": False} for message in messages],
    }  # fmt: skip

    async def make() -> None:
        store = await open_record(path, actor="tester")
        await store.put_document(document("nas"), actor="tester")
        await store.put_status("nas", status)
        await store.close()

    asyncio.run(make())
    _, out, _ = say("status", HACTL_STATE=str(path))
    return next(line for line in out.splitlines() if line.startswith("nas "))


def test_of_many_reasons_the_first_is_told(tmp_path: Path) -> None:
    """The rest is counted; `hactl status NAME` has all of them."""
    row = shown(tmp_path / "h.db", ["nas-a does not answer", "data: cannot be asked; it may be primary", "third"])
    assert row.endswith("Stalled: nas-a does not answer (and 2 more)")


def test_one_reason_is_told_whole(tmp_path: Path) -> None:
    """Whatever stands in it."""
    row = shown(tmp_path / "h.db", ["data: cannot be asked; it may be primary"])
    assert row.endswith("Stalled: data: cannot be asked; it may be primary")
