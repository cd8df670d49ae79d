"""`hactl why`, `why-not` and `resolve`: what is printed, recorded and refused. The nodes are scenes."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from hactl.adapters.record.sqlite.store import open_record
from hactl.cli.commands.operations.resolve import resolve
from hactl.cli.commands.reports.why import why
from hactl.cli.commands.reports.why_not import why_not
from hactl.cli.documents import load_all
from hactl.core.facts import CarpState, Snapshot
from hactl.core.operations import Kind, Overrides
from support.facts.builder import NOW, Scene
from support.facts.hooked_scene import hooked_pair, plan_of

EXAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "examples"


@dataclass
class FakeApp:
    """One scene after the other, the last one for ever; time does not pass."""

    scenes: list[Scene]
    looks: list[Overrides | None] = field(default_factory=list)
    slept: float = 0.0

    @property
    def clock(self) -> FakeApp:
        return self

    @property
    def reconciler(self) -> FakeApp:
        return self

    def monotonic(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds

    async def look(
        self, accepted: Any, *, overrides: Overrides | None = None, previous: Any = None
    ) -> tuple[Any, Snapshot, Any]:
        scene = self.scenes[min(len(self.looks), len(self.scenes) - 1)]
        self.looks.append(overrides)
        return scene, scene.snapshot, plan_of(scene)


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    """nas.yaml with everything it refers to."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "lab").mkdir()
    (tmp_path / "secrets" / "files.carp").write_text("s3cret\n")
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQyHj"
    for node in ("nas-a", "nas-b"):
        (tmp_path / "lab" / f"{node}.pub").write_text(key + "\n")
    shutil.copy(EXAMPLES / "nas.yaml", tmp_path / "nas.yaml")
    return tmp_path / "nas.yaml"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FakeApp:
    """The nodes as commands see them."""
    app = FakeApp([hooked_pair()])

    @asynccontextmanager
    async def opened(path: Path | None, *, sight: object = None) -> AsyncIterator[FakeApp]:
        assert path is None, "a command that explains records nothing"
        yield app

    monkeypatch.setattr("hactl.app.opened", opened)
    return app


def run(command: click.Command, *arguments: str, state: Path, typed: str | None = None) -> Result:
    """One invocation; `return_value` is the exit status."""
    return CliRunner().invoke(command, list(arguments), obj={"state": state}, input=typed, standalone_mode=False)


def recorded(nas: Path, state: Path) -> None:
    """nas.yaml is on record."""

    async def put() -> None:
        store = await open_record(state, actor="kim@host")
        (document,) = load_all([str(nas)])
        await store.put_document(document, actor="kim@host")
        await store.close()

    asyncio.run(put())


def operations(state: Path) -> list[Any]:
    """The operations of the record."""

    async def read() -> list[Any]:
        store = await open_record(state, read_only=True)
        found = list(await store.operations("nas"))
        await store.close()
        return found

    return asyncio.run(read())


def diverged() -> Scene:
    """Recording 05."""
    scene = hooked_pair().resource("nas-a", status="degraded", dirty=10485760)
    scene = scene.resource("nas-b", status=None, workerpid=None)
    return scene.metadata("nas-a", localcnt=1).metadata("nas-b", localcnt=1)


def test_why_explains_from_a_file(nas: Path, world: FakeApp, tmp_path: Path) -> None:
    """The headline, facts with node and age, what could be done; 0 when all is well; no record is made."""
    done = run(why, "nas", "-f", str(nas), state=tmp_path / "h.db")
    assert (done.exception, done.return_value) == (None, 0)
    assert done.output.startswith("files is active on nas-a")
    assert "nas-a, 2s ago: vhid 80 is MASTER: advskew 0 + demotion 0 = 0" in done.output
    assert not (tmp_path / "h.db").exists()


def test_why_takes_the_document_in_force(nas: Path, world: FakeApp, tmp_path: Path) -> None:
    """Without -f: from the record; 3 when something is the matter."""
    state = tmp_path / "h.db"
    recorded(nas, state)
    world.scenes = [hooked_pair().sysctl("nas-b", preempt=0)]
    done = run(why, "nas", "files", state=state)
    assert (done.exception, done.return_value) == (None, 3)
    assert "what helps: on nas-b: sysctl net.inet.carp.preempt=1" in done.output
    assert world.looks == [Overrides()]


def test_two_masters_are_looked_at_twice(nas: Path, world: FakeApp, tmp_path: Path) -> None:
    """Only counters that move tell: what was discarded long ago is no clash."""
    counters = {"packets received (IPv4)": 90, "discarded for bad authentication": 41}
    scene = hooked_pair().vhid("nas-b", state=CarpState.MASTER)
    scene = scene.node("nas-a", carp_counters=counters).node("nas-b", carp_counters=counters)
    world.scenes = [scene, scene.node("nas-a", carp_counters={**counters, "packets received (IPv4)": 93})]
    done = run(why, "nas", "-f", str(nas), "-o", "json", state=tmp_path / "h.db")
    (told,) = json.loads(done.output)
    assert told["cause"] == "TwoMastersHeardOneWay"
    assert told["facts"][0]["ageSeconds"] == 2.0
    assert world.slept == 3.0


def test_why_not_finds_the_cluster_by_its_node(nas: Path, world: FakeApp, tmp_path: Path) -> None:
    """No cluster needs to be named when there is only one."""
    done = run(why_not, "nas-b", "primary", "-f", str(nas), state=tmp_path / "h.db")
    assert (done.exception, done.return_value) == (None, 0)
    assert done.output.startswith("nas-b is not primary for data: nas-a is primary for data")
    assert "hactl switchover nas files --to nas-b" in done.output


@pytest.mark.parametrize(
    ("command", "arguments", "word"),
    [
        (why, ("mail",), "there is no cluster mail"),
        (why, ("nas", "mail"), "nas has no group mail; it has files"),
        (why_not, ("nas-c", "master"), "there is no node nas-c"),
        (why_not, ("nas-a", "master", "--cluster", "mail"), "there is no node nas-a in cluster mail"),
        (resolve, ("nas", "logs", "--discard", "nas-b"), "nas has no resource logs; it has data"),
        (resolve, ("nas", "data", "--discard", "nas-b"), "NoSplitBrain"),
    ],
)
def test_mistakes_are_told_in_words(
    command: click.Command, arguments: tuple[str, ...], word: str, nas: Path, world: FakeApp, tmp_path: Path
) -> None:
    """An error of ours, which the program prints; never a traceback."""
    done = run(command, *arguments, "-f", str(nas), state=tmp_path / "h.db")
    assert type(done.exception).__module__.startswith("hactl."), done.exception
    assert word in str(done.exception)


def test_without_record_and_file_it_is_said_what_to_name(world: FakeApp, tmp_path: Path) -> None:
    """No record: which option helps."""
    done = run(why, "nas", state=tmp_path / "none.db")
    assert "there is no record" in str(done.exception)


def test_resolve_shows_both_copies_and_the_steps(nas: Path, world: FakeApp, tmp_path: Path) -> None:
    """--dry-run: the table, the exact commands, nothing recorded."""
    world.scenes = [diverged()]
    state = tmp_path / "h.db"
    recorded(nas, state)
    arguments = ("nas", "data", "--discard", "nas-b", "--preserve", "/var/tmp/data.img", "--dry-run")
    done = run(resolve, *arguments, state=state)
    assert (done.exception, done.return_value) == (None, 0)
    assert "wrote alone" in done.output
    for command in (
        "dd if=/dev/vtbd1",
        "hastctl create -e 2097152 -k 64 -m 134217728 data",
        "hastctl role secondary data",
    ):
        assert command in done.output
    assert "[DiscardCopy, risk: destructive]" in done.output
    assert operations(state) == []


def test_resolve_is_recorded_once_the_name_is_given(nas: Path, world: FakeApp, tmp_path: Path) -> None:
    """With the name: one operation, with what the planner needs; the second time there is one already."""
    world.scenes = [diverged()]
    state = tmp_path / "h.db"
    recorded(nas, state)
    arguments = ("nas", "data", "--discard", "nas-b", "--yes-discard", "nas-b", "--preserve", "/var/tmp/d.img")
    done = run(resolve, *arguments, "--reason", "a has the mail", state=state)
    assert (done.exception, done.return_value) == (None, 0)
    (operation,) = operations(state)
    assert (operation.kind, operation.resource, operation.node) == (Kind.RESOLVE, "data", "nas-b")
    assert operation.detail == {"preserve": "/var/tmp/d.img"}
    assert operation.reason == "a has the mail"
    assert "hactl apply -f" in done.output
    again = run(resolve, *arguments, state=state)
    assert again.exception is not None
    assert len(operations(state)) == 1


@pytest.mark.parametrize("given", [("--yes-discard", "nas-a"), ()])
def test_without_the_right_name_nothing_is_done(
    given: tuple[str, ...], nas: Path, world: FakeApp, tmp_path: Path
) -> None:
    """Another name, or nobody who could type it: nothing is recorded."""
    world.scenes = [diverged()]
    state = tmp_path / "h.db"
    recorded(nas, state)
    done = run(resolve, "nas", "data", "--discard", "nas-b", *given, state=state, typed="yes\n")
    assert "nothing was done" in str(done.exception)
    assert operations(state) == []


def test_the_serving_copy_is_not_thrown_away(nas: Path, world: FakeApp, tmp_path: Path) -> None:
    """Not even with its name."""
    world.scenes = [diverged()]
    state = tmp_path / "h.db"
    recorded(nas, state)
    done = run(resolve, "nas", "data", "--discard", "nas-a", "--yes-discard", "nas-a", state=state)
    assert "refused, Serving" in str(done.exception)
    assert operations(state) == []
