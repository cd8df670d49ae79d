"""The lease and the owner that travel with a step, and who listens, as the sh of a node sees them: run under dash."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hactl.core.parse.hook import parse_notes
from hactl.core.probe.listening import is_listening, listening_script, noted_listener
from hactl.core.script import LEASE_FILE, Ownership, read_answer, step_script
from hactl.core.steps import Check, Outcome, Risk, Step, StepResult
from hactl.core.verbs import Verb
from support.limits import LIMIT_SECONDS

DASH = shutil.which("dash") or "/bin/sh"
NONCE = "0123456789abcdef"


def step(*, before: str = "true") -> Step:
    """A step that prints a word."""
    return Step("a", Verb.SET_SYSCTL, "x", "why", "echo ran", Risk.NONE, before=(Check("it may be", before),))


def run(
    directory: Path, lease: int, *, before: str = "true", fsync: str = "true", owner: Ownership | None = None
) -> StepResult:
    """One step on a node whose /var/db is that directory."""
    script = step_script([step(before=before)], {}, NONCE, lease=lease, owner=owner)
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


# -- whose the node is ------------------------------------------------------------------------------------------------

FIRST = Ownership("first", "t0", "root@ctl (hactl run --source /usr/local/etc/it's)")


def noted(directory: Path) -> str:
    """The note, without its time."""
    words = (directory / "hactl" / "owner").read_text().split(" ")
    assert words[3].isdigit()
    return " ".join(words[:3] + words[4:]).strip()


def test_who_acts_is_noted_once_for_each_lease_and_read_back(tmp_path: Path) -> None:
    """In a file of its own: an older hactl goes on reading the lease."""
    for _ in range(2):
        assert run(tmp_path, 1000, owner=FIRST).outcome is Outcome.DONE
    kept = tmp_path / "hactl" / "owner"
    assert noted(tmp_path) == f"1000 first t0 {FIRST.who}"
    assert (kept.stat().st_mode & 0o777, (tmp_path / "hactl" / "lease").read_text()) == (0o600, "1000\n")
    before = kept.stat()
    run(tmp_path, 1000, owner=FIRST)
    assert kept.stat().st_ino == before.st_ino
    lines = [f"note /var/db/hactl/{name} {(tmp_path / 'hactl' / name).read_text()}" for name in ("lease", "owner")]
    found = parse_notes("\n".join(lines)).owner
    assert found is not None
    assert (found.cluster, found.holder, found.who) == ("first", "t0", FIRST.who)
    assert parse_notes("\n".join([lines[0].replace("1000", "1001"), lines[1]])).owner is None
    assert parse_notes(lines[0]).owner is None


def test_another_clusters_node_runs_nothing_whatever_the_lease(tmp_path: Path) -> None:
    """A newer lease takes over for the same cluster, or for one that the other gave its nodes up to."""
    run(tmp_path, 1000, owner=FIRST)
    second = Ownership("second", "t0", "")
    refused = run(tmp_path, 2000, owner=second)
    assert (refused.outcome, refused.output, refused.busy) == (Outcome.FAILED, "", True)
    assert refused.reason == "not run: the node belongs to the cluster first now; looking again"
    assert noted(tmp_path).startswith("1000 first t0")
    assert (tmp_path / "hactl" / "lease").read_text() == "1000\n"
    assert run(tmp_path, 2000, owner=Ownership("first", "t1", "")).outcome is Outcome.DONE
    assert noted(tmp_path) == "2000 first t1"
    assert run(tmp_path, 2001, owner=Ownership("second", "t1", "", frozenset({"first"}))).outcome is Outcome.DONE
    assert noted(tmp_path) == "2001 second t1"


@pytest.mark.parametrize("note", ["999 second t0 1 x", "1000", "", "\n", "* ? t0", "1000 fir*t t0 1 x"])
def test_a_note_of_another_lease_or_a_torn_one_is_no_owner(tmp_path: Path, note: str) -> None:
    """An older hactl has acted since and noted nothing; a pattern is no name of ours, and the node's."""
    (tmp_path / "hactl").mkdir()
    (tmp_path / "hactl" / "lease").write_text("1000\n")
    (tmp_path / "hactl" / "owner").write_text(note)
    done = run(tmp_path, 1001, owner=FIRST)
    assert done.outcome is (Outcome.FAILED if note.startswith("1000 ") else Outcome.DONE)


def test_an_owner_that_does_not_reach_the_disk_is_not_acted_for(tmp_path: Path) -> None:
    """As with the lease."""
    run(tmp_path, 1000)
    assert run(tmp_path, 1000, owner=FIRST, fsync="return 1").outcome is Outcome.FAILED


def test_a_controller_listens_as_long_as_its_process_is_on_the_node(tmp_path: Path) -> None:
    """The process that is noted is the shell, or what it becomes; notes of processes that are gone are taken away."""

    def sh(script: str) -> str:
        script = script.replace("/var/run/", f"{tmp_path}/")
        done = subprocess.run([DASH, "-s"], input=script, capture_output=True, text=True, timeout=LIMIT_SECONDS)  # noqa: PLW1510
        return done.stdout + done.stderr

    def asked(token: str) -> bool | None:
        return is_listening(sh(listening_script(token, NONCE)), NONCE)

    assert asked("t0") is False
    script = noted_listener("t0").replace("/var/run/", f"{tmp_path}/") + "echo listening; exec sleep 60\n"
    with subprocess.Popen([DASH, "-s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdin is not None
        assert listener.stdout is not None
        listener.stdin.write(script)
        listener.stdin.close()
        assert listener.stdout.readline() == "listening\n"
        assert (asked("t0"), asked("t1")) == (True, False)
        assert sh(noted_listener("t1") + "exit 0\n") == ""
        assert asked("t0") is True
        listener.kill()
    assert asked("t0") is False
    assert sh(noted_listener("t2") + "exit 0\n") == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hactl.listens.t2"]
    assert is_listening("", NONCE) is None
    with pytest.raises(ValueError, match="letters and digits"):
        noted_listener("../t0")
