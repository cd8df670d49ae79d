"""The one line that `hactl status` has for a cluster: one thing to know, how many more there are, and how old it is."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hactl.adapters.record.sqlite.store import open_record
from support.api.served_record import document
from support.command_line import say


def recorded(path: Path, messages: list[str], conditions: list[dict[str, Any]], ago_seconds: float = 0.0) -> None:
    """A record with a cluster that was looked at so long ago, and without a controller."""
    status: dict[str, Any] = {
        "observedAt": (datetime.now(UTC) - timedelta(seconds=ago_seconds)).strftime("%Y-%m-%dT%H:%M:%SZ"),
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


def shown(path: Path, messages: list[str]) -> str:
    """The row of a cluster that is held for these reasons."""
    text = "; ".join(messages)
    held = {"type": "Ready", "status": "False", "reason": "Held", "message": text}
    recorded(path, messages, [held, {"type": "Stalled", "status": "True", "reason": "NodeSilent", "message": text}])
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


READY = {"type": "Ready", "status": "True", "reason": "AsDesired", "message": "", "lastTransitionTime": "2026-11-30"}


def test_a_ready_of_long_ago_is_unknown_and_nobody_waits_for_it_in_vain(tmp_path: Path) -> None:
    """No controller runs: the exit status says so, in every form, and `wait` is met by a fresh look only."""
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    recorded(old, [], [READY], ago_seconds=600.0)
    recorded(new, [], [READY])
    code, out, _ = say("status", HACTL_STATE=str(old))
    row = next(line for line in out.splitlines() if line.startswith("nas "))
    assert (code, row.split()[1]) == (3, "Unknown")
    assert "Stale: nobody has looked at the nodes since " in row
    assert row.endswith("Z: no controller runs on this record; then it was True")
    code, out, _ = say("status", "-o", "json", HACTL_STATE=str(old))
    assert (code, json.loads(out)[0]["conditions"][0]["status"]) == (3, "Unknown")
    assert json.loads(say("get", "nas", "-o", "json", HACTL_STATE=str(old))[1])["status"]["conditions"][0][
        "reason"
    ] == ("Stale")
    wanted = ("wait", "nas", "--for", "condition=Ready", "--timeout", "1s")
    code, out, err = say(*wanted, HACTL_STATE=str(old))
    assert (code, out) == (3, "")
    assert "time is up: Ready is Unknown: nobody has looked at the nodes since " in err
    assert say(*wanted, HACTL_STATE=str(new))[0] == 0
    assert say("status", HACTL_STATE=str(new))[0] == 0
