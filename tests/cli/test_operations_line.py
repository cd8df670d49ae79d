"""Pauses, approvals and what is refused, on a record without nodes."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hactl.adapters.lock import ClusterLock, lock_directory
from hactl.adapters.record.sqlite.store import open_record
from hactl.cli.commands.documents.apply import worst
from hactl.cli.commands.operations.drain import left_on
from hactl.core.operations import State
from support.api.served_record import document
from support.command_line import say

Hactl = Callable[..., subprocess.CompletedProcess[str]]
#: Something of the owner's that waits for an answer.
OWN = "/etc/hast.conf:data.exec"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A record with one managed cluster and its status."""
    path = tmp_path / "hactl.db"

    async def make() -> None:
        store = await open_record(path, actor="tester")
        await store.put_document(document("nas"), actor="tester")
        plan = {"digest": "24585e5da65f", "steps": 3, "next": {"title": "Boot"}}
        ready = {"type": "Ready", "status": "True", "reason": "AsDesired", "message": "fine"}
        status = {
            "conditions": [ready], "nodes": [{"name": "nas-a"}, {"name": "nas-b"}], "problems": [], "plan": plan,
            "groups": [{"name": "files", "active": "nas-a", "storage": [], "addresses": [], "services": []}],
            "holds": [{"reason": "NotInDocument", "node": "nas-a", "target": OWN, "message": "", "remedy": "",
                       "passing": False}],
        }  # fmt: skip
        await store.put_status("nas", status)
        await store.close()

    asyncio.run(make())
    return path


@pytest.fixture
def hactl(state: Path) -> Hactl:
    """Run the program on that record as a person does, without a terminal."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(arguments, *say(*arguments, HACTL_STATE=str(state)))

    return run


def operations(state: Path) -> list[tuple[str, str, str, str, str]]:
    """Kind, cluster, group, node, state of every operation."""

    async def read() -> list[tuple[str, str, str, str, str]]:
        store = await open_record(state, read_only=True)
        found = await store.operations()
        await store.close()
        return [(o.kind.value, o.cluster, o.group, o.node, o.state.value) for o in found]

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("words", "scope"),
    [
        (("nas",), ("nas", "", "")),
        (("nas", "--group", "files"), ("nas", "files", "")),
        (("--node", "nas-b"), ("nas", "", "nas-b")),
        (("--all",), ("", "", "")),
    ],
    ids=["cluster", "group", "node", "fleet"],
)
def test_a_pause_shows_in_every_listing_until_it_is_resumed_with_the_same_words(
    hactl: Hactl, state: Path, words: tuple[str, ...], scope: tuple[str, str, str]
) -> None:
    """Owner, reason and end; resuming something else ends nothing and says what is paused."""
    paused = hactl("pause", *words, "--reason", "new switch", "--for", "4h")
    assert paused.returncode == 0, paused.stderr
    assert "still fail over by themselves" in paused.stdout
    for listing in (("status",), ("history",), ("status", "nas")):
        told = hactl(*listing).stdout
        assert "is paused, until" in told, listing
        assert "new switch" in told
    (operation,) = json.loads(hactl("status", "-o", "json").stdout)[0]["requests"]
    assert (operation["kind"], operation["reason"], operation["state"]) == ("Pause", "new switch", "Open")
    other = ("--all",) if words != ("--all",) else ("nas",)
    wrong = hactl("resume", *other)
    assert wrong.returncode == 1
    assert "new switch" in wrong.stderr
    assert hactl("resume", *words).returncode == 0
    assert operations(state) == [("Pause", *scope, "Cancelled")]
    assert "paused" not in hactl("status").stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("pause", "nas"), 64, "--reason"),
        (("pause", "--reason", "x"), 64, "name a cluster"),
        (("pause", "nas", "--all", "--reason", "x"), 64, "whole fleet"),
        (("pause", "nas", "--group", "files", "--node", "nas-a", "--reason", "x"), 64, "not both"),
        (("pause", "fw", "--reason", "x"), 1, "no cluster fw, only nas"),
        (("pause", "nas", "--group", "web", "--reason", "x"), 1, "no group web"),
        (("pause", "--node", "fw-a", "--reason", "x"), 1, "no node fw-a"),
        (("pause", "nas", "--reason", "x", "--for", "soon"), 64, "no duration"),
        (("resume", "nas"), 1, "nas is not paused"),
        (("approve", "nas", "0" * 12), 1, "digest 24585e5da65f"),
        (("approve", "fw", "0" * 12), 1, "no cluster fw, only nas"),
        (("give-up", "nas", "nas-b", OWN), 1, f"what waits for an answer is nas-a {OWN}"),
        (("give-up", "nas", "nas-a", "/etc/rc.conf"), 1, f"what waits for an answer is nas-a {OWN}"),
        (("give-up", "fw", "nas-a", OWN), 1, "no cluster fw, only nas"),
        (("give-up", "nas", "nas-a"), 64, "SETTING"),
        (("uncordon", "fw-a"), 1, "no node fw-a"),
        (("switchover", "fw"), 1, "no cluster fw"),
        (("switchover", "nas", "--cancel"), 1, "no switchover of nas"),
        (("switchover", "nas", "--at", "2020-01-01T00:00"), 64, "over already"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    hactl: Hactl, state: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    """One line, no traceback, nothing on record."""
    done = hactl(*arguments)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert operations(state) == []


def test_an_approval_is_recorded_once_and_says_who_carries_it_out(hactl: Hactl, state: Path) -> None:
    """A controller does, or apply."""
    first = hactl("approve", "nas", "24585e5da65f")
    assert first.returncode == 0, first.stderr
    assert "a running controller carries it out, else: hactl apply" in first.stdout
    again = hactl("approve", "nas", "24585e5da65f")
    assert again.returncode == 1
    assert "asked for already" in again.stderr
    assert operations(state) == [("Approve", "nas", "", "", "Open")]


def test_what_is_given_up_is_recorded_with_who_and_why(hactl: Hactl, state: Path) -> None:
    """Once; it shows until the node goes by the document."""
    done = hactl("give-up", "nas", "nas-a", OWN, "--reason", "the pager script is gone")
    assert done.returncode == 0, done.stderr
    assert f"{OWN} of nas-a is given up" in done.stdout
    assert operations(state) == [("GiveUp", "nas", "", "nas-a", "Open")]
    assert "the pager script is gone" in hactl("status", "nas").stdout
    assert OWN in hactl("history").stdout
    again = hactl("give-up", "nas", "nas-a", OWN)
    assert again.returncode == 1
    assert "asked for already" in again.stderr


def test_what_is_left_to_a_controller_needs_one(hactl: Hactl, state: Path) -> None:
    """Also one without an API: by its lock. Else it is refused, and nothing is on record."""

    async def drained() -> None:
        store = await open_record(state)
        await store.open_operation({"kind": "Drain", "cluster": "nas", "actor": "root", "node": "nas-b"})
        await store.close()

    asyncio.run(drained())
    before = operations(state)
    words = ("uncordon", "nas-b", "--no-wait")
    for each in (words, ("drain", "nas-a", "--yes", "--no-wait"), ("switchover", "nas", "--at", "2h", "--yes")):
        refused = hactl(*each)
        assert (refused.returncode, operations(state)) == (1, before)
        assert "no controller runs" in refused.stderr

    async def with_a_controller() -> subprocess.CompletedProcess[str]:
        async with ClusterLock(lock_directory(state), command="hactl run --source x").controller():
            return await asyncio.to_thread(hactl, *words)

    left = asyncio.run(with_a_controller())
    assert (left.returncode, left.stdout) == (0, "the drain of nas-b is cancelled\n")
    assert operations(state) == [("Drain", "nas", "", "nas-b", "Cancelled")]


def test_cancelling_a_switchover_ends_it(hactl: Hactl, state: Path) -> None:
    """As Cancelled."""

    async def make() -> None:
        store = await open_record(state)
        operation = {"kind": "Switchover", "cluster": "nas", "actor": "root", "group": "files", "node": "nas-b"}
        await store.open_operation(operation)
        await store.close()

    asyncio.run(make())
    assert "files is to move to nas-b" in hactl("status").stdout
    assert hactl("switchover", "nas", "--cancel").returncode == 0
    assert operations(state) == [("Switchover", "nas", "files", "nas-b", State.CANCELLED.value)]


def test_an_error_counts_more_than_what_is_only_not_there_yet() -> None:
    """The one exit status of an apply of several clusters."""
    assert [worst(each) for each in ([], [0, 0], [0, 3], [3, 1, 0], [3, 1, 130])] == [0, 0, 3, 1, 130]


def test_a_node_is_empty_when_everything_of_its_groups_is_at_another_one() -> None:
    """Address, role and service; a group of other nodes does not count."""

    def status(active: str | None, master: str, primary: str) -> dict[str, object]:
        def states(chosen: str, one: str, other: str) -> dict[str, str]:
            return {node: one if node == chosen else other for node in ("a", "b")}

        group = {
            "name": "files", "active": active,
            "addresses": [{"states": states(master, "MASTER", "BACKUP")}],
            "storage": [{"roles": states(primary, "primary", "secondary")}],
        }  # fmt: skip
        return {"groups": [group, {"name": "web", "active": None, "addresses": [], "storage": []}]}

    assert left_on(status("b", "b", "b"), "a") == []
    for still in (status("a", "b", "b"), status("b", "a", "b"), status("b", "b", "a"), status(None, "b", "b")):
        assert left_on(still, "a") == ["files"]
    assert left_on(status("b", "b", "b"), "c") == []


def test_render_prints_the_hook_of_a_node(hactl: Hactl, tmp_path: Path) -> None:
    """Every file under a line that names it; a wrong node is told."""
    example = Path(__file__).resolve().parents[2] / "manifests" / "examples" / "nas.yaml"
    shown = hactl("render", "nas-a", "-f", str(example))
    assert shown.returncode == 0, shown.stderr
    assert "# --- /usr/local/libexec/hactl/hook (mode 0755)" in shown.stdout
    assert "#!/bin/sh" in shown.stdout
    assert "no node nas-x" in hactl("render", "nas-x", "-f", str(example)).stderr
