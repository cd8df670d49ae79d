"""`hactl record` as people type it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hactl.adapters.record.sqlite.store import open_record


def hactl(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One command on that record."""
    return subprocess.run(
        [sys.executable, "-m", "hactl", *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "HACTL_STATE": str(state), "NO_COLOR": "1"},
    )  # fmt: skip


async def _filled(path: Path) -> None:
    store = await open_record(path, actor="kim", command="test")
    await store.create_operation({"kind": "Drain", "cluster": "nas", "node": "nas-a", "actor": "kim"}, name="")
    move = {"kind": "Switchover", "cluster": "nas", "group": "files", "node": "nas-b", "actor": "kim"}
    await store.create_operation(move, name="")
    await store.close()


def test_backup_verify_restore(tmp_path: Path) -> None:
    """There and back, and what is said at each step."""
    state, copy = tmp_path / "hactl.db", tmp_path / "copy.db"
    asyncio.run(_filled(state))
    saved = hactl(state, "record", "backup", str(copy))
    assert (saved.returncode, saved.stderr) == (0, "")
    assert saved.stdout.startswith(f"wrote {copy}: ")
    assert hactl(state, "record", "backup", str(copy)).returncode != 0
    assert "is sound" in hactl(state, "record", "verify").stdout
    told = json.loads(hactl(state, "record", "verify", str(copy), "-o", "json").stdout)
    assert (told["problems"], {"name": "operations", "rows": 2, "whole": True} in told["tables"]) == ([], True)
    asked = hactl(state, "record", "restore", str(copy))
    assert (asked.returncode, "Traceback" in asked.stderr) == (1, False)
    done = hactl(state, "record", "restore", str(copy), "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 open operation was cancelled" in done.stdout
    assert "restored from copy.db" in hactl(state, "history").stdout


@pytest.mark.parametrize("words", [("backup", "x"), ("verify",), ("restore", "x", "--yes")])
def test_without_a_record(tmp_path: Path, words: tuple[str, ...]) -> None:
    """One sentence, and nothing is made."""
    said = hactl(
        tmp_path / "none.db", "record", words[0], *(str(tmp_path / each) if each == "x" else each for each in words[1:])
    )
    assert said.returncode == 1
    assert said.stderr.startswith("hactl: ")
    assert "Traceback" not in said.stderr
    assert list(tmp_path.iterdir()) == []
