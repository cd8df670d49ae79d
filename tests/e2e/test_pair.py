"""End to end: simulated nodes in a process of their own, the program as a person runs it, real SSH on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "manifests" / "examples" / "nas.yaml"
BOUND_SECONDS = 60


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Site:
    """A directory with a document, a lab, and a record."""

    directory: Path
    environment: dict[str, str]

    @property
    def document(self) -> Path:
        """The cluster's file."""
        return self.directory / "clusters" / "nas.yaml"

    def hactl(self, *arguments: str, bound_seconds: float = BOUND_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        return subprocess.run(
            [sys.executable, "-m", "hactl", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=bound_seconds,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the program."""
        return subprocess.Popen(
            [sys.executable, "-m", "hactl", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def on(self, node: str, command: str) -> str:
        """Do something on a node by hand."""
        return self.hactl("lab", "exec", node, "--", command).stdout

    def steps(self) -> list[dict[str, Any]]:
        """Every step on record."""
        found = json.loads(self.hactl("history", "nas", "--kind", "Step", "-o", "json").stdout or "[]")
        assert isinstance(found, list)
        return found

    def status(self) -> dict[str, Any]:
        """The recorded status."""
        rows = json.loads(self.hactl("status", "nas", "-o", "json").stdout)
        assert isinstance(rows[0], dict)
        return rows[0]

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait, bounded."""
        deadline = time.monotonic() + BOUND_SECONDS
        while not happened():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.2)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A running lab for nas.yaml on free ports."""
    clusters = tmp_path / "clusters"
    (clusters / "secrets").mkdir(parents=True)
    secret = clusters / "secrets" / "files.carp"
    secret.write_text("e2e-free\n".replace("-", "_"))
    secret.chmod(0o600)
    text = EXAMPLE.read_text().replace("2221", str(free_port())).replace("2222", str(free_port()))
    (clusters / "nas.yaml").write_text(text)
    environment = {
        **os.environ,
        "HACTL_LAB": str(tmp_path / "lab"),
        "HACTL_STATE": str(tmp_path / "hactl.db"),
        "HACTL_IDENTITY": str(clusters / "lab" / "id_ed25519"),
    }
    place = Site(tmp_path, environment)
    up = place.hactl("lab", "up", "-f", str(place.document), "--detach", "--boot-seconds", "2")
    assert up.returncode == 0, up.stderr + up.stdout
    yield place
    place.hactl("lab", "down")


@pytest.mark.timeout(180)
def test_a_blank_pair_becomes_ready_and_stays_so(site: Site) -> None:
    """plan, apply, plan, apply: changes, Ready, nothing, nothing; the history has every command and no password."""
    assert site.hactl("plan", "-f", str(site.document)).returncode == 2
    first = site.hactl("apply", "-f", str(site.document))
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Ready" in first.stdout
    count = len(site.steps())
    assert count > 20
    assert site.hactl("plan", "-f", str(site.document)).returncode == 0
    again = site.hactl("apply", "-f", str(site.document))
    assert again.returncode == 0
    assert "nothing was done" in again.stdout
    assert len(site.steps()) == count
    assert site.hactl("status").returncode == 0
    for place in (
        first.stdout,
        site.hactl("history", "-o", "json").stdout,
        site.hactl("plan", "-f", str(site.document)).stdout,
    ):
        assert "e2e_free" not in place
    assert b"e2e_free" not in (site.directory / "hactl.db").read_bytes()


@pytest.mark.timeout(240)
def test_kill_minus_nine_anywhere_loses_nothing(site: Site) -> None:
    """`apply` is killed again and again; the next one goes on, nothing destructive runs twice, and it converges."""
    for seconds in (0.9, 1.2, 1.5, 1.8):
        process = site.start("apply", "-f", str(site.document))
        time.sleep(seconds)
        process.kill()
        process.communicate()
    # A destroying step that was cut may still run on its node: hactl waits for its whole time before it goes on.
    last = site.hactl("apply", "-f", str(site.document), bound_seconds=150)
    assert last.returncode == 0, last.stdout + last.stderr
    destructive = [(row["node"], row["command"]) for row in site.steps() if row["risk"] == "destructive"]
    done = [row for row in site.steps() if row["risk"] == "destructive" and row["outcome"] == "Done"]
    assert len({(row["node"], row["command"]) for row in done}) == len(done), destructive
    assert site.on("nas-a", "hastctl status").count("complete") == 1


@pytest.mark.timeout(180)
def test_ctrl_c_says_what_was_and_was_not_done(site: Site) -> None:
    """Exit 130, a summary, and the next apply goes on."""
    process = site.start("apply", "-f", str(site.document))
    time.sleep(1.3)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 130, output
    assert "stopped" in output
    assert "Traceback" not in output
    assert site.hactl("apply", "-f", str(site.document)).returncode == 0


@pytest.mark.timeout(180)
def test_the_controller_corrects_refuses_and_stops(site: Site) -> None:
    """Drift is corrected, a broken file leaves the last good document in force, SIGTERM ends it with 0."""
    assert site.hactl("apply", "-f", str(site.document)).returncode == 0
    count = len(site.steps())
    process = site.start("run", "--source", str(site.document.parent), "--resync", "2s")
    try:
        site.until(lambda: "a controller is running" in site.hactl("status").stdout)
        site.on("nas-b", "ifconfig vtnet1 vhid 80 advskew 50")
        site.until(lambda: len([s for s in site.steps() if s["outcome"] == "Done"]) > count)
        assert [s["command"] for s in site.steps()[count:]] == ["ifconfig vtnet1 vhid 80 advskew 100"]
        good = site.document.read_text()
        site.document.write_text(good.replace("vhid: 80", "vhid: 800"))
        site.until(lambda: bool(site.status()["problems"]))
        assert "vhid" in site.status()["problems"][0]
        other = site.directory / "other.yaml"
        other.write_text(good.replace("advbase: 1", "advbase: 2"))
        refused = site.hactl("apply", "-f", str(other))
        assert refused.returncode == 1
        site.document.write_text(good)
        site.until(lambda: not site.status()["problems"])
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=BOUND_SECONDS)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert len(site.steps()) == count + 1


@pytest.mark.timeout(180)
def test_the_wrong_host_key_is_refused_before_anything_is_sent(site: Site) -> None:
    """Pinned means pinned."""
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQyHj"
    (site.document.parent / "lab" / "nas-a.pub").write_text(other + "\n")
    done = site.hactl("plan", "-f", str(site.document))
    assert "host key" in (done.stdout + done.stderr).lower()
    assert "Traceback" not in done.stderr
    stopped = site.hactl("apply", "-f", str(site.document), "--timeout", "20s")
    assert stopped.returncode == 3
    assert not [step for step in site.steps() if step["node"] == "nas-a"]
