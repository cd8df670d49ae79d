"""End to end: groups moved on purpose on simulated nodes, with and without a controller, as a person does it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.lab.site import Site, a_site
from support.limits import LIMIT_SECONDS


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A pair that serves."""
    with a_site(tmp_path, "nas") as place:
        done = place.hactl("apply", "-f", str(place.document), "-q")
        assert done.returncode == 0, done.stdout + done.stderr
        yield place


def ok(done: subprocess.CompletedProcess[str]) -> str:
    """What it printed."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def active(site: Site) -> str:
    """Who serves."""
    return str(site.status()["groups"][0]["active"])


def test_moving_a_group_and_draining_a_node_without_a_controller(site: Site) -> None:
    """The command does the work itself; what is not confirmed does not happen; the drain stays until it is undone."""
    dry = ok(site.hactl("switchover", "nas", "--dry-run"))
    assert "files: nas-a -> nas-b" in dry
    assert "hastctl role secondary data" in dry
    unconfirmed = site.hactl("switchover", "nas")
    assert (unconfirmed.returncode, "say --yes" in unconfirmed.stderr) == (1, True)
    assert "no controller runs" in site.hactl("switchover", "nas", "--at", "2h", "--yes").stderr
    assert active(site) == "nas-a"
    assert site.on("nas-a", "ls -l /var/db/hactl/lease").startswith("-rw-------")

    moved = ok(site.hactl("switchover", "nas", "--yes", "--reason", "a test"))
    assert "files: Done, at most" in moved
    assert "data: nas-a says secondary, nas-b says primary" in moved
    assert site.on("nas-b", "mount -p").count("/dev/hast/data") == 1
    assert "nothing to do: files is served by nas-b" in ok(site.hactl("switchover", "nas", "--to", "nas-b", "--yes"))

    assert "drained: nothing is served by nas-b" in ok(site.hactl("drain", "nas-b", "--yes", "--reason", "new disk"))
    assert "drained by" in site.on("nas-b", "cat /var/db/hactl/drained")
    assert "new disk" in site.hactl("status").stdout
    assert (
        "is drained" in site.hactl("switchover", "nas", "--to", "nas-b", "--yes").stderr + site.hactl("status").stdout
    )
    assert site.hactl("apply", "-f", str(site.document), "-q", "--timeout", "5s").returncode in (0, 3)
    assert active(site) == "nas-a"
    ok(site.hactl("uncordon", "nas-b"))
    assert site.on("nas-b", "ls /var/db/hactl/drained").strip() == ""
    rows = json.loads(site.hactl("history", "nas", "--kind", "GroupMoved", "-o", "json").stdout)
    assert [(row["detail"]["to"], row["detail"]["by"]) for row in rows] == [("nas-b", "hactl"), ("nas-a", "hactl")]


def test_the_controller_moves_what_it_is_asked_to_and_heeds_a_pause(site: Site) -> None:
    """The command only watches; a paused cluster keeps its drift until it is resumed."""
    controller = site.start("run", "--source", str(site.document.parent), "--resync", "2s")
    try:
        site.until(lambda: "a controller is running" in site.hactl("status").stdout)
        moved = ok(site.hactl("switchover", "nas", "--yes"))
        assert "switchover-1 is on record" in moved
        assert "files: Done, at most" in moved
        assert active(site) == "nas-b"
        ok(site.hactl("pause", "nas", "--reason", "switch work", "--for", "1h"))
        site.until(lambda: any(hold["reason"] == "Paused" for hold in site.status()["holds"]))
        site.on("nas-a", "sysctl net.inet.carp.preempt=0")
        site.until(lambda: bool(site.status()["plan"]["steps"]))
        assert "preempt: 0" in site.on("nas-a", "sysctl net.inet.carp.preempt")
        ok(site.hactl("resume", "nas"))
        site.until(lambda: "preempt: 1" in site.on("nas-a", "sysctl net.inet.carp.preempt"))
        ok(site.hactl("drain", "nas-b", "--yes"))
        assert active(site) == "nas-a"
        ok(site.hactl("uncordon", "nas-b"))
        site.until(lambda: not site.status()["requests"] and not site.status()["plan"]["steps"])
    finally:
        controller.terminate()
        controller.communicate(timeout=LIMIT_SECONDS)
