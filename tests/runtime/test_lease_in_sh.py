"""The lease that travels with a step, as a node's sh sees it: run for real under dash, with a directory of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hactl.core.outcome import StepResult
from hactl.core.script import LEASE_FILE, read_answer, step_script
from hactl.core.steps import Check, Outcome, Risk, Step
from hactl.core.verbs import Verb
from support.limits import LIMIT_SECONDS

DASH = shutil.which("dash") or "/bin/sh"
NONCE = "0123456789abcdef"


def step(*, before: str = "true") -> Step:
    """A step that prints a word."""
    return Step("a", Verb.SET_SYSCTL, "x", "why", "echo ran", Risk.NONE, before=(Check("it may be", before),))


def run(directory: Path, lease: int, *, before: str = "true", fsync: str = "true") -> StepResult:
    """One step on a node whose /var/db is that directory."""
    script = step_script([step(before=before)], {}, NONCE, lease=lease)
    script = f"fsync() {{ {fsync}; }}\n" + script.replace(LEASE_FILE.rsplit("/", 1)[0], str(directory / "hactl"))
    done = subprocess.run([DASH, "-s"], input=script.encode(), capture_output=True, timeout=LIMIT_SECONDS, check=False)
    assert done.stderr == b""
    return read_answer([step()], done.stdout.decode(), NONCE, exit_status=done.returncode, timed_out=False)[0]


def test_the_first_lease_is_noted_privately_before_anything_else(tmp_path: Path) -> None:
    """Also by a step that is refused: what was known to its controller was known under that lease."""
    assert run(tmp_path, 1000, before="false").reason.startswith("not run: on the node")
    kept = tmp_path / "hactl" / "lease"
    assert kept.read_text() == "1000\n"
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [path.name for path in kept.parent.iterdir()] == ["lease"]


def test_the_same_and_a_newer_lease_run_and_an_older_one_does_not(tmp_path: Path) -> None:
    """A newer one is noted; the refusal names both."""
    for lease in (1000, 1000, 1001):
        assert run(tmp_path, lease).outcome is Outcome.DONE
    old = run(tmp_path, 1000)
    assert (old.outcome, old.exit_status, old.output, old.newer_lease) == (Outcome.FAILED, None, "", 1001)
    assert old.reason == (
        "not run: a newer controller (lease 1001) acts on this node; this one (lease 1000) is out of date"
    )
    assert (tmp_path / "hactl" / "lease").read_text() == "1001\n"


def test_a_lease_that_does_not_reach_the_disk_is_not_acted_under(tmp_path: Path) -> None:
    """A power cut would bring back a node that takes an older controller for the newest."""
    refused = run(tmp_path, 1000, fsync="return 1")
    assert (refused.outcome, refused.output) == (Outcome.FAILED, "")
    assert refused.reason == "not run: /var/db/hactl/lease on the node cannot be written"


def test_the_same_lease_is_not_written_again(tmp_path: Path) -> None:
    """I7: nothing differs, nothing is written."""
    run(tmp_path, 1000)
    before = (tmp_path / "hactl" / "lease").stat()
    run(tmp_path, 1000)
    after = (tmp_path / "hactl" / "lease").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("held", ["", "\n"])
def test_a_file_that_a_power_cut_left_empty_is_written_anew(tmp_path: Path, held: str) -> None:
    """It was being written when the node died."""
    (tmp_path / "hactl").mkdir()
    (tmp_path / "hactl" / "lease").write_text(held)
    assert run(tmp_path, 1000).outcome is Outcome.DONE
    assert (tmp_path / "hactl" / "lease").read_text() == "1000\n"


@pytest.mark.parametrize("held", ["soon", "-5", "1 2", "99999999999999999999", "$(touch pwned)"])
def test_a_file_that_holds_no_number_is_not_understood_and_nothing_is_run(tmp_path: Path, held: str) -> None:
    """Unknown is not absent; a person looks at it."""
    (tmp_path / "hactl").mkdir()
    (tmp_path / "hactl" / "lease").write_text(held)
    result = run(tmp_path, 1000)
    assert (result.outcome, result.newer_lease) == (Outcome.FAILED, 0)
    assert "holds no number" in result.reason
    assert (tmp_path / "hactl" / "lease").read_text() == held


def test_a_lease_that_cannot_be_written_lets_nothing_run(tmp_path: Path) -> None:
    """A full or read-only filesystem: the next controller could not be told from this one."""
    (tmp_path / "hactl").write_text("a file where the directory should be")
    result = run(tmp_path, 1000)
    assert result.outcome is Outcome.FAILED
    assert result.reason == f"not run: {LEASE_FILE} on the node cannot be written"
    assert result.output == ""
