"""`-w` and `wait`: every change is shown once, in order, over restarts of the server; Ctrl-C ends it cleanly."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hactl.adapters.record.sqlite.store import open_record
from hactl.cli.api_client import watch as watching
from hactl.cli.api_client.client import EVENTS, Call, StatusError, Unreachable
from hactl.cli.api_client.local import Local
from support.api.served_record import filled, serving
from support.command_line import say
from support.limits import LIMIT_SECONDS, wait_until


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A record; no server runs."""
    path = tmp_path / "hactl.db"
    asyncio.run(filled(path))
    return path


def environment(record: Path) -> dict[str, str]:
    """For commands on that record."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HACTL_")}
    return {**kept, "HACTL_STATE": str(record), "HACTL_CONFIG": str(record.parent / "config.yaml")}


def ask(record: Path, group: str) -> None:
    """Somebody asks for something."""

    async def asked() -> None:
        store = await open_record(record, actor="tester")
        await store.open_operation({"kind": "Pause", "cluster": "nas", "group": group, "actor": "tester"})
        await store.close()

    asyncio.run(asked())


class Watcher:
    """A command that follows something, as a process."""

    def __init__(self, record: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hactl", *words],
            env=environment(record),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def until(self, words: str) -> None:
        """Wait for a line with these words, bounded."""

        def appeared() -> bool:
            assert self.process.poll() is None, self.lines
            return any(words in line for line in self.lines)

        wait_until(appeared, f"{words!r} in {self.lines}")

    def close(self) -> None:
        """Nothing is read any more."""
        self._reading.join(LIMIT_SECONDS)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def stop(self) -> tuple[int, str]:
        """Ctrl-C; the exit status and what was said on standard error."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stderr is not None
        error = self.process.stderr.read()
        status = self.process.wait(LIMIT_SECONDS)
        self._reading.join(LIMIT_SECONDS)
        return status, error


@pytest.fixture
def watchers() -> Iterator[list[Watcher]]:
    """None outlives its test."""
    made: list[Watcher] = []
    yield made
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()
        each.close()


def test_a_watch_outlives_the_servers_restart(record: Path, watchers: list[Watcher]) -> None:
    """Changes before, during and after are each shown once; then Ctrl-C: 130, one word, no traceback."""
    with serving(record):
        watcher = Watcher(record, "get", "haop", "-w")
        watchers.append(watcher)
        watcher.until("pause-1")
        ask(record, "files")
        watcher.until("pause-2")
    ask(record, "other")
    with serving(record):
        watcher.until("pause-3")
        ask(record, "third")
        watcher.until("pause-4")
    status, error = watcher.stop()
    assert status == 130
    assert error.splitlines()[-1] == "stopped"
    assert "Traceback" not in error
    assert [line.split()[0] for line in watcher.lines] == ["NAME", "pause-1", "pause-2", "pause-3", "pause-4"]


@pytest.mark.parametrize(
    ("words", "first", "then"),
    [
        (("get", "haop", "-w"), "pause-1", "pause-2"),
        (("get", "haop", "-w", "-o", "name"), "haoperation.hactl.dev/pause-1", "haoperation.hactl.dev/pause-2"),
        (("get", "haop", "-w", "-o", "yaml"), "name: pause-1", "name: pause-2"),
        (("get", "haop", "-w", "-o", "jsonpath={..metadata.name}{'\\n'}"), "pause-1", "pause-2"),
        (("events", "-w"), "new switch", "operation 2: Pause"),
        (("status", "-w"), "operation 1", "operation 2"),
        (("status", "-w", "-o", "jsonpath={[*].name} {[*].requests[*].id}{'\\n'}"), "nas", "nas 2"),
    ],
    ids=["table", "name", "yaml", "jsonpath", "events", "status", "status-jsonpath"],
)
def test_the_record_itself_can_be_watched(
    record: Path, watchers: list[Watcher], words: tuple[str, ...], first: str, then: str
) -> None:
    """Without a server, what other processes write is shown; Ctrl-C ends it with nothing left behind."""
    watcher = Watcher(record, *words)
    watchers.append(watcher)
    watcher.until(first)
    # The watch begins after the list was printed; what happens in between is not lost.
    ask(record, "files")
    watcher.until(then)
    status, error = watcher.stop()
    assert (status, error.strip()) == (130, "stopped")


def test_wait_outlives_the_servers_restart(record: Path, watchers: list[Watcher]) -> None:
    """The condition may come true while no server runs."""
    with serving(record):
        waiting = Watcher(record, "wait", "haop", "pause-1", "--for=delete", "--timeout", f"{LIMIT_SECONDS:.0f}s")
        watchers.append(waiting)
        time.sleep(1.0)
        assert waiting.process.poll() is None
    assert say("delete", "haop", "pause-1", HACTL_STATE=str(record))[0] == 0
    with serving(record):
        assert waiting.process.wait(LIMIT_SECONDS) == 0


class Scripted:
    """A server that says what it was told to, one watch after the other."""

    where = "https://ha:1"
    here = False

    def __init__(self, *watches: Sequence[object]) -> None:
        self._watches = list(watches)
        self.asked: list[Mapping[str, str]] = []

    def send(self, call: Call) -> Any:
        """Nothing but watches is asked for."""
        raise AssertionError(call)

    def watch(self, call: Call, *, quiet_seconds: float | None = None) -> Iterator[Mapping[str, Any]]:
        """The next script: events, or an exception."""
        del quiet_seconds
        self.asked.append(call.query)
        for each in self._watches.pop(0):
            if isinstance(each, Exception):
                raise each
            assert isinstance(each, dict)
            yield each


def event(kind: str, revision: int) -> dict[str, Any]:
    """An event of a watch."""
    return {"type": kind, "object": {"metadata": {"name": f"o{revision}", "resourceVersion": str(revision)}}}


def test_a_watch_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Bookmarks count; a server that is away is told once; missed changes (410) are listed; a refusal ends it."""
    monkeypatch.setattr(watching, "RETRY_SECONDS", 0.0)
    away = Unreachable("https://ha:1 does not answer: refused")
    server = Scripted(
        [event("ADDED", 5), event("BOOKMARK", 9)],
        [away],
        [away],
        [StatusError(503, {"message": "busy"})],
        [StatusError(410, {"message": "too old"})],
        [event("MODIFIED", 60), StatusError(410, {"message": "too slow"})],
        [StatusError(403, {"message": "not any more"})],
    )
    again = iter(["50", "70"])
    seen: list[str] = []
    following = watching.follow(server, Call("GET", "/x"), "3", again=lambda: next(again))
    with pytest.raises(StatusError, match="not any more"):
        seen.extend(each["object"]["metadata"]["name"] for each in following)
    assert seen == ["o5", "o60"]
    assert [query["resourceVersion"] for query in server.asked] == ["3", "9", "9", "9", "9", "50", "70"]
    assert capsys.readouterr().err.count("trying again") == 1


def test_get_lists_again_when_changes_were_missed(record: Path) -> None:
    """A revision that the record does not keep any more, or has not reached (another record): 410, then a list."""
    from hactl.cli.api_client.local import Local
    from hactl.cli.commands.objects.get import _Lister
    from hactl.core.kube.kinds import HAOPERATIONS

    local = Local(record)
    try:
        lister = _Lister(local, HAOPERATIONS, [], {}, None, headers=True)
        assert lister.show() == 0
        call = Call("GET", "/apis/hactl.dev/v1alpha1/namespaces/default/haoperations")
        shown = []

        def again() -> str:
            shown.append("again")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(watching.follow(local, call, "999999", again=again))
        assert shown == ["again"]
    finally:
        local.close()


def test_a_watch_of_the_record_ends_when_nothing_comes(record: Path) -> None:
    """Whoever follows work that is done here sees its end sooner than a watch of whole seconds is over."""
    client = Local(record)
    try:
        list(client.watch(Call("GET", EVENTS, {"watch": "true"}), quiet_seconds=0.1))
        assert client.send(Call("GET", "/version"))
    finally:
        client.close()


def test_ctrl_c_between_an_answer_and_the_end_of_its_run(record: Path) -> None:
    """The next question is answered all the same."""
    client = Local(record)

    async def interrupted() -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        client._run(interrupted())
    assert client.send(Call("GET", "/version"))
    client.close()


def test_ctrl_c_before_a_run_began(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was to be run does not go on in the next run."""
    client = Local(record)
    done = []

    async def question() -> None:
        done.append("answered")

    def too_early(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    # asyncio.Runner has made the task when it looks for the handler of SIGINT, and nothing yet that cancels it.
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.runners.functools, "partial", too_early)
        with pytest.raises(KeyboardInterrupt):
            client._run(question())
    try:
        assert client.send(Call("GET", "/version"))
        assert done == []
    finally:
        client.close()
