"""End to end: simulated nodes in a process of their own, the program as a person runs it, real SSH on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.lab.site import Site, a_site
from support.limits import LIMIT_SECONDS


def came_as_far_as(process: subprocess.Popen[str], lines: int) -> None:
    """Wait until a command has printed that many lines: steps that begin, and how they ended."""
    assert process.stdout is not None
    for _ in range(lines):
        assert process.stdout.readline()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A running lab for nas.yaml."""
    with a_site(tmp_path, "nas") as place:
        yield place


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


def test_kill_minus_nine_anywhere_loses_nothing(site: Site) -> None:
    """`apply` is killed again and again; the next one goes on, nothing destructive runs twice, and it converges."""
    for lines in (0, 20):
        process = site.start("apply", "-f", str(site.document))
        came_as_far_as(process, lines)
        process.kill()
        process.communicate()
    # A destroying step that was cut may still run on its node: hactl waits for its whole time before it goes on.
    last = site.hactl("apply", "-f", str(site.document), bound_seconds=2 * LIMIT_SECONDS)
    assert last.returncode == 0, last.stdout + last.stderr
    destructive = [(row["node"], row["command"]) for row in site.steps() if row["risk"] == "destructive"]
    done = [row for row in site.steps() if row["risk"] == "destructive" and row["outcome"] == "Done"]
    assert len({(row["node"], row["command"]) for row in done}) == len(done), destructive
    assert site.on("nas-a", "hastctl status").count("complete") == 1


def test_ctrl_c_says_what_was_and_was_not_done(site: Site) -> None:
    """Exit 130, a summary, and the next apply goes on."""
    process = site.start("apply", "-f", str(site.document))
    came_as_far_as(process, lines=8)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 130, output
    assert "stopped" in output
    assert "Traceback" not in output
    assert site.hactl("apply", "-f", str(site.document)).returncode == 0


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
        output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert len(site.steps()) == count + 1


def test_the_wrong_host_key_is_refused_before_anything_is_sent(site: Site) -> None:
    """Pinned means pinned."""
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQyHj"
    (site.document.parent / "lab" / "nas-a.pub").write_text(other + "\n")
    done = site.hactl("plan", "-f", str(site.document))
    assert "host key" in (done.stdout + done.stderr).lower()
    assert "Traceback" not in done.stderr
    stopped = site.hactl("apply", "-f", str(site.document), "--timeout", "5s")
    assert stopped.returncode == 3
    assert not [step for step in site.steps() if step["node"] == "nas-a"]


def test_every_form_of_what_is_shown(site: Site) -> None:
    """-o wide, json, yaml and name show the same thing; --dry-run changes nothing; colour only when asked."""
    file = str(site.document)
    plan = json.loads(site.hactl("plan", "-f", file, "-o", "json").stdout)[0]
    steps = [step for stage in plan["stages"] for step in stage["steps"]]
    assert len(site.hactl("plan", "-f", file, "-o", "name").stdout.splitlines()) == len(steps)
    assert f"digest: {plan['digest']}" in site.hactl("plan", "-f", file, "-o", "yaml").stdout
    wide = site.hactl("plan", "-f", file, "-o", "wide").stdout
    dry = site.hactl("apply", "-f", file, "--dry-run")
    assert dry.returncode == 2
    assert not (site.directory / "hactl.db").exists(), "looking leaves no record"
    full = site.hactl("plan", "-f", file, "--full").stdout
    for step in steps:
        lines = step["command"].splitlines()
        assert all(line in full for line in lines)
        assert (lines[0] if len(lines) == 1 else f"{step['verb']} {step['target']}:") in dry.stdout
        assert all(check in wide for check in [*step["before"], *step["after"]])
    assert plan["digest"] in dry.stdout
    assert site.hactl("apply", "-f", file, "-q").returncode == 0
    assert site.hactl("status", "-o", "name").stdout == "nas\n"
    assert "name: nas" in site.hactl("status", "-o", "yaml").stdout
    shown = site.hactl("status", "-o", "wide").stdout
    assert all(word in shown for word in ("no controller runs", "nas-a MASTER", "FailoverReady", "booted"))
    assert "\x1b" not in shown
    assert "\x1b[" in site.hactl("--color", "always", "status").stdout
    steps_of_one = ("history", "nas", "--kind", "Step", "--node", "nas-b", "-o", "wide")
    told = site.hactl(*steps_of_one).stdout
    assert "nas-a  " not in told
    assert all(word in told for word in ("why:", "by:", "lines in all: --full shows them"))
    assert "<<'HACTL_END'" in site.hactl(*steps_of_one, "--full").stdout
    assert "nothing on record" in site.hactl("history", "nas", "--failed").stdout
    assert "nothing on record" in site.hactl("history", "--until", "1h").stdout
    assert "kind: DocumentAccepted" in site.hactl("history", "--since", "1h", "-o", "yaml").stdout


def test_modes_say_how_far_it_may_go(site: Site) -> None:
    """Observe never touches; Propose waits for the digest of the plan, and takes no other."""
    file = str(site.document)
    text = site.document.read_text()
    site.document.write_text(text.replace("mode: Apply", "mode: Observe"))
    observed = site.hactl("apply", "-f", file)
    assert observed.returncode == 3, observed.stdout
    assert "ObserveOnly" in observed.stdout
    site.document.write_text(text.replace("mode: Apply", "mode: Propose"))
    plan = json.loads(site.hactl("plan", "-f", file, "-o", "json").stdout)[0]
    for words in ((), ("--approve", "000000000000")):
        proposed = site.hactl("apply", "-f", file, *words)
        assert proposed.returncode == 3, proposed.stdout
        assert f"--approve {plan['digest']}" in proposed.stdout
    assert site.steps() == []
    approved = site.hactl("apply", "-f", file, "--approve", plan["digest"])
    assert approved.returncode == 0, approved.stdout
    assert {step["generation"] for step in site.steps()} == {2}


def test_the_lab_can_be_broken_and_says_how_it_is(site: Site) -> None:
    """Every verb does what it says, a wrong name is told, and a dead node is no "nothing to do"."""

    def node(name: str) -> dict[str, Any]:
        rows = json.loads(site.hactl("lab", "status", "-o", "json").stdout)
        found = next(row for row in rows if row["node"] == name)
        assert isinstance(found, dict)
        return found

    assert "nas-a" in site.hactl("lab", "status").stdout
    assert site.hactl("lab", "cut", "nas-a", "vtnet1").returncode == 0
    assert node("nas-a")["cut"] == ["vtnet1"]
    assert "cut: vtnet1" in site.hactl("lab", "status").stdout
    assert site.hactl("lab", "join", "nas-a", "vtnet1").returncode == 0
    assert node("nas-a")["cut"] == []
    assert site.hactl("lab", "freeze", "nas-b").returncode == 0
    assert node("nas-b")["power"] == "frozen"
    assert site.hactl("lab", "thaw", "nas-b").returncode == 0
    assert site.hactl("lab", "fail-disk", "nas-a", "vtbd1").returncode == 0
    read = ("lab", "exec", "nas-a", "--", "dd if=/dev/vtbd1 of=/dev/null bs=512 count=1")
    assert site.hactl(*read).returncode != 0
    assert site.hactl("lab", "mend-disk", "nas-a", "vtbd1").returncode == 0
    assert site.hactl(*read).returncode == 0
    for words in (("power-off", "nas-x"), ("fail-disk", "nas-a", "ada9"), ("cut", "nas-a", "em9")):
        wrong = site.hactl("lab", *words)
        assert wrong.returncode == 1
        assert "it has" in wrong.stderr
    for name in ("nas-a", "nas-b"):
        site.hactl("lab", "power-off", name)
        assert node(name)["power"] == "off"
    dead = site.hactl("plan", "-f", str(site.document))
    assert dead.returncode == 1
    assert "NodeSilent" in dead.stdout
    site.hactl("lab", "power-on", "nas-a")
    site.until(lambda: node("nas-a")["power"] == "on")


def test_several_clusters_converge_side_by_side(tmp_path: Path) -> None:
    """Their lines are told apart; status lists the worse one first; a name that is no cluster is refused."""
    with a_site(tmp_path, "nas", "backup") as site:
        clusters = str(site.document.parent)
        done = site.hactl("apply", "-f", clusters)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = done.stdout.splitlines()
        assert lines[-2:] == [line for line in lines if "Ready, " in line]
        assert all(line.startswith(("nas: ", "backup: ")) for line in lines)
        first = next(n for n, line in enumerate(lines) if line.startswith("nas: ") and "done in" in line)
        assert any(line.startswith("backup: ") for line in lines[:first]), "one did not wait for the other"
        site.hactl("lab", "power-off", "nas/nas-b")
        site.hactl("lab", "power-off", "nas-b")
        dead = next(name for name in ("nas", "backup") if site.hactl("plan", "-f", clusters, name).returncode == 1)
        assert site.hactl("apply", "-f", clusters, dead, "--timeout", "5s").returncode == 3
        assert site.hactl("status", "-o", "name").stdout.split()[0] == dead
        assert site.hactl("status").returncode == 3
        wrong = site.hactl("plan", "-f", clusters, str(site.document))
        assert wrong.returncode == 1
        assert f"-f {site.document}" in wrong.stderr
