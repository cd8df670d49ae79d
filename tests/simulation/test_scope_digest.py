"""What the digest of the small scope tells apart: a note it overlooks hides the states that differ by nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hactl.core.changes.change import STATE_DIRECTORY
from hactl.core.hook.render import HOOK, PROGRAM
from hactl.core.script import LEASE_FILE
from support.small_scope.digest import DATED, LOCKS, RECENT_SECONDS, RUN_DIRECTORY, SOLE_SECONDS, Digest
from support.small_scope.play import Scope
from support.small_scope.world import GROUP, LAN, RESOURCE, A, B

#: What comes after the kind in the name of a note.
ABOUT = {"master": ".80@vtnet1", "lost": ".80@vtnet1", "claimed": f".{GROUP}"}
BARE = frozenset({"drained", "moves", "lease", "held", "devd", "event"})


def _notes() -> list[str]:
    """Paths of all notes that the hook's text names, and of those that only the controller writes."""
    kept = {*re.findall(r'\$STATE"?/([a-z]+)', PROGRAM), LEASE_FILE.rpartition("/")[2]}
    run = set(re.findall(r'\$RUN"?\.([a-z]+)', PROGRAM)) - LOCKS
    paths = [f"{STATE_DIRECTORY}/{kind}{_about(kind)}" for kind in kept]
    return sorted(paths + [f"{RUN_DIRECTORY}/hactl.{kind}{_about(kind)}" for kind in run])


def _about(kind: str) -> str:
    return "" if kind in BARE else ABOUT.get(kind, f".{RESOURCE}")


@pytest.fixture(scope="module")
def world() -> Iterator[Scope]:
    """The pair at rest for half an hour; every test puts back what it writes."""
    scope = Scope()
    scope.advance(1800.0)
    yield scope
    scope.world.end_jobs()


@pytest.fixture
def scope(world: Scope) -> Iterator[Scope]:
    """The pair, with the notes of nas-b as they were afterwards."""
    files = world.machine(B).files
    before = {path: files.read_text(path) for path in _notes() if files.exists(path)}
    yield world
    for path in _notes():
        if path in before:
            files.write_text(path, before[path])
        elif files.exists(path):
            files.remove(path)


def _core(scope: Scope, **notes: str) -> str:
    """The state with the notes of nas-b as given: `{ago:N}` in one is what its hook noted N seconds ago."""
    machine = scope.machine(B)
    now = int(machine.uptime_seconds() if "kern.boottime" in PROGRAM else machine.epoch())
    for path in _notes():
        kind = re.split(r"[.@]", path.rpartition("/")[2].removeprefix("hactl."))[0]
        if kind in notes:
            text = re.sub(r"\{ago:(\d+)\}", lambda found: str(now - int(found[1])), notes[kind])
            machine.files.write_text(path, f"{text}\n")
    return Digest(scope).core()


@pytest.mark.parametrize("path", _notes())
def test_every_note_counts(scope: Scope, path: str) -> None:
    """A note makes another state of the pair, and so does what it says."""
    files = scope.machine(B).files
    found = set()
    for text in (None, "here", "there"):
        if files.exists(path):
            files.remove(path)
        if text is not None:
            files.write_text(path, f"1 {GROUP} stopped 3 {text}\n")
        found.add(Digest(scope).core())
    assert len(found) == 3


@pytest.mark.parametrize("kind", DATED)
def test_the_age_of_a_note_counts_in_classes(scope: Scope, kind: str) -> None:
    """On both sides of a limit the states differ; on one side of it they are the same."""
    for limit in DATED[kind]:
        older = _core(scope, **{kind: f"{{ago:{int(limit) + 1}}}"})
        assert older != _core(scope, **{kind: f"{{ago:{int(limit) - 1}}}"})
    assert _core(scope, **{kind: "{ago:500}"}) == _core(scope, **{kind: "{ago:600}"})


@pytest.mark.parametrize(
    ("first", "second", "limit"),
    [*(("master", "disconnected", seconds) for seconds in RECENT_SECONDS), ("lost", "alone", SOLE_SECONDS)],
    ids=["closed", "silent", "sole"],
)
def test_notes_that_the_hook_compares_are_compared(scope: Scope, first: str, second: str, limit: int) -> None:
    """Long ago, too, it counts what happened how long before what."""
    near, at, far = (
        _core(scope, **{first: "{ago:1000}", second: f"{{ago:{1000 + seconds}}}"})
        for seconds in (limit - 1, limit, limit + 1)
    )
    assert near != far
    assert at in (near, far)


def test_a_cable_of_a_node_without_power_counts() -> None:
    """It is in or out when the node comes back."""
    scope = Scope()
    scope.world.power_off(B)
    before = Digest(scope).core()
    scope.world.cut(B, LAN)
    assert Digest(scope).core() != before


def test_what_people_read_does_not_count(scope: Scope) -> None:
    """How long a move took is no difference; what was moved is."""
    state = _core(scope, moves="{ago:9} files took 7 peer 3 role 1")
    assert state == _core(scope, moves="{ago:99} files took 17 peer 4 role 11")
    assert state != _core(scope, moves="{ago:9} files gave 7 ")


def test_the_limits_are_those_of_the_hook(scope: Scope) -> None:
    """They are what the hook of either node of this pair computes."""
    for node in (A, B):
        text = scope.machine(node).files.read_text(HOOK)
        wait = int(re.findall(r"VHIDS='?80/vtnet1/0/100/(\d+)", text)[0])
        timeout = int(re.findall(rf"\t{RESOURCE}\)\n.*TIMEOUT=(\d+)", text)[0])
        assert "came - WAIT + 2 + late" in text
        assert "late=$((20 - TIMEOUT))" in text
        assert "lost - TIMEOUT - 45" in text
        assert (wait - 2, wait - 2 - (20 - timeout)) == RECENT_SECONDS
        assert timeout + 45 == SOLE_SECONDS
