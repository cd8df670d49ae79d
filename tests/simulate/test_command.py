"""`hactl simulate` as a person runs it: stories, the record, what plan and apply say, refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.command_line import say
from support.lab.closed_loop import EXAMPLES
from support.limits import LIMIT_SECONDS

OBJECTIVES = "  objectives: {unavailableSeconds: 15, lostWrites: 0, needsPerson: Never}\n"


def simulated(directory: Path, *words: str, seed: str = "0") -> subprocess.CompletedProcess[str]:
    """`hactl simulate` in a process of its own: it forks."""
    environment = {**os.environ, "HACTL_STATE": str(directory / "hactl.db"), "PYTHONHASHSEED": seed}
    command = [sys.executable, "-m", "hactl", "simulate", *words]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS * 20, check=False
    )


def stories(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """What `-o json` printed, by what happens."""
    assert done.returncode in (0, 1), done.stderr
    return {", then ".join(each["faults"]): each for each in json.loads(done.stdout)[0]["stories"]}


def document(directory: Path, name: str, *changes: tuple[str, str]) -> Path:
    """An example, changed."""
    text = (EXAMPLES / f"{name}.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = directory / f"{name}.yaml"
    path.write_text(text)
    return path


def test_stories_of_a_storage_pair(tmp_path: Path) -> None:
    """The other node serves within the hook's seconds; both return; a service that does not stop stays where it is."""
    path = document(tmp_path, "nas", ("spec:\n", f"spec:\n{OBJECTIVES}"))
    only = ("power of nas-a", "lan link of nas-a", "back at once", "does not stop")
    words = [word for text in only for word in ("--only", text)]
    found = stories(simulated(tmp_path, "-f", str(path), "-o", "json", "-j", "2", *words))
    names = (
        "power of nas-a",
        "lan link of nas-a (vtnet1)",
        "nfsd of nas-a does not stop",
        "power of all, back at once",
    )
    assert tuple(found) == names

    power = found["power of nas-a"]
    assert power["serves"] == {"files": ["nas-b"]}
    # CARP's three advertisements, and what the hook needs (docs/failover.md); the lab's programs cost nothing.
    assert 3.0 <= power["unavailableSeconds"] <= 10.0
    assert (power["lostWrites"], power["needsPerson"], power["missed"]) == (0, None, [])
    # What nas-b wrote alone is on its disk only, and everything is on both when it is mended.
    assert power["writesOnOneCopy"] > 20
    assert power["acknowledgedWrites"] > power["writesOnOneCopy"]
    assert power["story"][0] == {"seconds": 0.0, "text": "power of nas-a"}
    assert "nas-b is primary of data" in [line["text"] for line in power["story"]]

    # The controller does not bring the group back to the node that lost its network, before CARP has a new MASTER.
    lan = found["lan link of nas-a (vtnet1)"]
    assert lan["serves"] == {"files": ["nas-b"]}
    assert lan["unavailableSeconds"] <= 10.0

    stuck = found["nfsd of nas-a does not stop"]
    # When it goes on, the move that was asked for goes on too.
    assert stuck["unavailableSeconds"] <= 10.0
    assert stuck["serves"] == {"files": ["nas-a"]}

    both = found["power of all, back at once"]
    assert both["weight"] == 2
    assert (both["lostWrites"], both["needsPerson"]) == (0, None)
    assert len(both["afterwards"]["files"]) == 1


def test_two_runs_are_the_same(tmp_path: Path) -> None:
    """The same document, the same words: whatever the number of processes and the hashes of a run are."""
    path = EXAMPLES / "nas.yaml"
    only = ("--only", "hastd of nas-a is killed", "-o", "json")
    first = simulated(tmp_path, "-f", str(path), *only, "-j", "1", seed="1")
    again = simulated(tmp_path, "-f", str(path), *only, "-j", "3", seed="2")
    assert stories(first) == stories(again)


def test_addresses_alone_and_the_record(tmp_path: Path) -> None:
    """Every fault of a firewall, objectives that are missed, what is told by plan and apply, and another revision."""
    path = document(tmp_path, "firewall", ("spec:\n", "spec:\n  objectives: {unavailableSeconds: 1, faults: 1}\n"))
    state = {"HACTL_STATE": str(tmp_path / "hactl.db")}
    assert "no simulation of this document is on record" in say("plan", "-f", str(path), **state)[2]

    done = simulated(tmp_path, "-f", str(path), "--compare", str(EXAMPLES / "firewall.yaml"))
    assert done.returncode == 1, done.stderr
    assert "power of fw-1 " in done.stdout
    assert "unavailableSeconds 3, at most 1" in done.stdout
    assert "0 of 14 faults become worse, 0 better" in done.stdout
    assert "ssh.host: 203.0.113.1 is on no network" in done.stderr
    assert "14 stories in " in done.stderr
    assert "\r" not in done.stderr

    _, _, errors = say("plan", "-f", str(path), **state)
    assert "edge: objectives: missed in " in errors
    _, _, errors = say("apply", "--timeout", "1s", "-f", str(path), **state)
    assert "edge: objectives: missed in " in errors
    assert "Simulated" in say("history", "edge", "-o", "json", **state)[1]
    assert "objectives" not in say("plan", "-f", str(EXAMPLES / "firewall.yaml"), **state)[2]


def test_a_revision_of_the_repository(tmp_path: Path) -> None:
    """`--compare HEAD` reads the file as it was committed; Markdown is for a comment."""
    path = document(tmp_path, "firewall")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", "firewall.yaml"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    document(tmp_path, "firewall", ("vhid: 10\n", "vhid: 10\n          advbase: 3\n"))
    words = ("-f", str(path), "--compare", "HEAD", "--only", "power of fw-1", "-o", "markdown")
    done = simulated(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "**1 of 1 faults become worse, 0 better**" in done.stdout
    assert not (tmp_path / "hactl.db").exists()
    wrong = simulated(tmp_path, "-f", str(path), "--compare", "nowhere", "--only", "x")
    assert wrong.returncode == 2
    assert "nowhere is no file, and git has no firewall.yaml of such a revision" in wrong.stderr


@pytest.mark.parametrize(
    ("name", "changes", "words", "said"),
    [
        (
            "nas",
            [("nas-b: /dev/vtbd1}", "nas-b: /var/db/data.img}")],
            (),
            "spec.groups[0].storage[0].hast.devices.nas-b: /var/db/data.img is a plain file",
        ),
        ("firewall", [], ("--only", "no such fault"), "no fault of it is called so: no such fault"),
        ("nas", [], ("--compare", str(EXAMPLES / "firewall.yaml")), "has no cluster nas, only edge"),
    ],
)
def test_what_cannot_be_played(
    tmp_path: Path, name: str, changes: list[tuple[str, str]], words: tuple[str, ...], said: str
) -> None:
    """A sentence with the field, status 2, and no table."""
    done = simulated(tmp_path, "-f", str(document(tmp_path, name, *changes)), *words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_without_the_lab(tmp_path: Path) -> None:
    """One sentence says what to install."""
    script = "import sys; sys.modules['bashkit'] = None; from hactl.cli.main import main; main()"
    command = [sys.executable, "-c", script, "simulate", "-f", str(EXAMPLES / "nas.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS * 5)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "hactl: simulated nodes are not installed (bashkit): pip install 'hactl[lab]'\n"


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """It ends at once, says so in a word, and every process of it is gone."""
    environment = {**os.environ, "HACTL_STATE": str(tmp_path / "hactl.db")}
    command = [sys.executable, "-m", "hactl", "simulate", "-f", str(EXAMPLES / "nas.yaml")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.parent.exists():
        process.kill()
        pytest.skip("needs /proc to see the processes")
    deadline = time.monotonic() + LIMIT_SECONDS * 5
    while not children.read_text().split() and time.monotonic() < deadline:
        time.sleep(0.05)
    stage = int(children.read_text().split()[0])
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=LIMIT_SECONDS * 5)
    assert (process.returncode, out, errors.strip()) == (130, "", "stopped")
    assert not Path(f"/proc/{stage}").exists()
