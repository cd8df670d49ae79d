"""`hactl record` as people type it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hactl.adapters.record.sqlite.store import open_record
from support.limits import LIMIT_SECONDS, wait_until
from support.record.small_disk import small_disk


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
    unsure = hactl(state, "record", "restore", str(copy))
    assert (unsure.returncode, "Traceback" in unsure.stderr) == (1, False)
    done = hactl(state, "record", "restore", str(copy), "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 open operation was cancelled" in done.stdout
    assert "restored from copy.db" in hactl(state, "history").stdout


@pytest.mark.parametrize(
    "words", [("backup", "x"), ("verify",), ("compact",), ("salvage", "--yes"), ("restore", "x", "--yes")]
)
def test_without_a_record(tmp_path: Path, words: tuple[str, ...]) -> None:
    """One sentence, and nothing is made."""
    said = hactl(
        tmp_path / "none.db", "record", words[0], *(str(tmp_path / each) if each == "x" else each for each in words[1:])
    )
    assert said.returncode == 1
    assert said.stderr.startswith("hactl: ")
    assert "Traceback" not in said.stderr
    assert list(tmp_path.iterdir()) == []


class OnTheSocket(http.client.HTTPConnection):
    """The API of a controller."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=LIMIT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """To its Unix socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT_SECONDS)
        self.sock.connect(str(self._path))


def asked(path: Path, where: str) -> tuple[int, str]:
    """What the controller answers; 0 while it does not listen."""
    connection = OnTheSocket(path)
    try:
        connection.request("GET", where)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def test_a_controller_on_a_full_disk_says_so_and_goes_on_by_itself(tmp_path: Path) -> None:
    """/readyz, metrics and the log while there is no room; an operation is refused; then all is well without a hand."""
    listening = tmp_path / "api.sock"
    with small_disk(tmp_path / "disk", 12 * 1024 * 1024) as disk:
        state = disk.path / "hactl.db"
        env = {**os.environ, "HACTL_STATE": str(state), "HACTL_CONFIG": str(tmp_path / "config.yaml")}
        command = [*disk.inside, sys.executable, "-m", "hactl", "run", "--socket", str(listening)]
        with (tmp_path / "log").open("w") as log:
            running = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: asked(listening, "/readyz")[0] == 200, "ready")
            disk.fill()
            pausing = ("--server", f"unix:{listening}", "--all", "--for", "1h")
            while hactl(state, "pause", *pausing, "--reason", "x" * 2000).returncode == 0:
                assert hactl(state, "resume", "--server", f"unix:{listening}", "--all").returncode in (0, 1)
            status, said = asked(listening, "/readyz")
            assert (status, "the record cannot be written" in said) == (503, True)
            assert "hactl_record_writable 0.0" in asked(listening, "/metrics")[1]
            assert asked(listening, "/healthz")[0] == 200
            disk.make_room()
            wait_until(lambda: asked(listening, "/readyz")[0] == 200, "ready again")
            assert "hactl_record_writable 1.0" in asked(listening, "/metrics")[1]
            assert hactl(state, "pause", *pausing, "--reason", "works").returncode == 0
        finally:
            running.terminate()
            running.wait(LIMIT_SECONDS)
    told = (tmp_path / "log").read_text()
    assert "the record can be written again" in told
    assert "Traceback" not in told
    assert running.returncode == 0
