"""A step as a sh script, and the reading of what came back: run in a real sh, where `sleep` only leaves a mark."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hactl.core.script import FRAME, read_answer, step_budget_seconds, step_script
from hactl.core.steps import Check, Outcome, Risk, Step, StepResult
from hactl.core.verbs import Verb
from support.limits import LIMIT_SECONDS

NONCE = "0123456789abcdef"
DASH = shutil.which("dash") or "/bin/sh"


def step(command: str, *, before: str = "true", after: str = "true", within_seconds: float = 0.0) -> Step:
    """A step with a condition before and one after it."""
    return Step(
        "a",
        Verb.LOAD_MODULE,
        "one",
        "because",
        command,
        Risk.NONE,
        before=(Check("it may", before),),
        after=(Check("it is so", after, within_seconds),),
    )


def run(each: Step, place: Path, **programs: str) -> StepResult:
    """Carry it out in a real sh, in that directory, where `sleep` only leaves a mark."""
    return run_all([each], place, **programs)[0]


def run_all(steps: list[Step], place: Path, **programs: str) -> list[StepResult]:
    """Carry them out in one exec."""
    stubs = {"sleep": "echo slept >> slept", **programs}
    text = "\n".join(f"{name}() {{ {body}; }}" for name, body in stubs.items())
    script = f"{text}\n{step_script(steps, {}, NONCE)}"
    ran = subprocess.run(
        [DASH, "-s"], input=script, text=True, cwd=place, capture_output=True, timeout=LIMIT_SECONDS, check=False
    )
    return read_answer(steps, ran.stdout, NONCE, exit_status=ran.returncode, timed_out=False)


def test_a_step_whose_condition_does_not_hold_changes_nothing(tmp_path: Path) -> None:
    """The node tests it itself and says which."""
    result = run(step("touch done", before="false"), tmp_path)
    assert result.outcome is Outcome.FAILED
    assert "it is no longer true that it may" in result.reason
    assert list(tmp_path.iterdir()) == []
    assert run(step("touch done"), tmp_path).outcome is Outcome.DONE


def test_a_step_without_its_effect_is_not_done(tmp_path: Path) -> None:
    """However well the command ended."""
    result = run(step("true", after="test -e done"), tmp_path)
    assert result.outcome is Outcome.FAILED
    assert "it is so did not become true" in result.reason


def test_a_command_that_fails_is_done_when_the_state_says_so(tmp_path: Path) -> None:
    """`service nfsd onestop` exits 1 with `kill: N: No such process`, and it is stopped (docs/freebsd-facts.md#7.2)."""
    result = run(step("echo no; exit 3"), tmp_path)
    assert (result.outcome, result.exit_status, result.output) == (Outcome.DONE, 3, "no")
    assert result.note == "exit status 3, and all the same it is so"


def test_a_command_that_fails_and_has_not_brought_it_about_says_all_it_printed(tmp_path: Path) -> None:
    """Its last line alone seldom says why (docs/freebsd-facts.md#7.20); its state is not waited for as long."""
    why = "echo 'Cannot start mountd.'; echo 'no /etc/exports' >&2; echo 'WARNING: failed to start nfsd'; exit 1"
    result = run(step(why, after="false", within_seconds=60.0), tmp_path)
    assert (result.outcome, result.exit_status) == (Outcome.FAILED, 1)
    assert result.reason == (
        "exit status 1, and it is so did not become true within 5 s: "
        "Cannot start mountd.; no /etc/exports; WARNING: failed to start nfsd"
    )
    assert (tmp_path / "slept").read_text().count("slept") == 25


def test_what_destroys_or_writes_is_done_only_when_its_command_says_so_too(tmp_path: Path) -> None:
    """newfs that ends early leaves a device that is not blank any more."""
    for verb in (Verb.MAKE_FILESYSTEM, Verb.CREATE_METADATA, Verb.WRITE_HAST_CONF, Verb.RESTART_DEVD):
        result = run(replace(step("echo no; exit 3"), verb=verb), tmp_path)
        assert (result.outcome, result.exit_status, result.reason) == (Outcome.FAILED, 3, "exit status 3: no")


def test_without_a_condition_after_it_the_exit_status_decides(tmp_path: Path) -> None:
    """Nothing else could."""
    assert run(replace(step("exit 3"), after=()), tmp_path).outcome is Outcome.FAILED


def test_steps_of_one_exec_are_told_apart(tmp_path: Path) -> None:
    """Each with its own output and its own end."""
    results = run_all([step("echo a"), step("echo b; exit 2"), step("echo c")], tmp_path)
    assert [(each.outcome, each.output, each.exit_status) for each in results] == [
        (Outcome.DONE, "a", 0),
        (Outcome.DONE, "b", 2),
        (Outcome.DONE, "c", 0),
    ]


@pytest.mark.parametrize("second", [step("touch two", before="false"), step("touch two", after="false")])
def test_nothing_comes_after_a_step_that_is_not_done(tmp_path: Path, second: Step) -> None:
    """What was to follow is not run, and not told of."""
    results = run_all([step("touch one"), second, step("touch three")], tmp_path)
    assert [each.outcome for each in results] == [Outcome.DONE, Outcome.FAILED]
    assert (tmp_path / "one").exists()
    assert not (tmp_path / "three").exists()


def test_when_the_answer_ends_early_everything_after_it_is_in_doubt() -> None:
    """The node may have gone on with all of it."""
    text = f"{FRAME} {NONCE} begun\n{FRAME} {NONCE} exit 0\n{FRAME} {NONCE} done\n"
    steps = [step("true"), step("true"), step("true")]
    results = read_answer(steps, text, NONCE, exit_status=None, timed_out=False)
    assert [each.outcome for each in results] == [Outcome.DONE, Outcome.INDETERMINATE, Outcome.INDETERMINATE]


def test_an_effect_that_takes_time_is_waited_for_and_not_longer_than_allowed(tmp_path: Path) -> None:
    """Five times a second."""
    eighth = '[ -e slept ] && [ "$(wc -l < slept)" -ge 8 ]'
    assert run(step("true", after=eighth, within_seconds=2.0), tmp_path).outcome is Outcome.DONE
    (tmp_path / "slept").unlink()
    assert run(step("true", after=eighth, within_seconds=1.0), tmp_path).outcome is Outcome.FAILED
    assert (tmp_path / "slept").read_text().count("slept") == 5


def test_the_time_for_the_conditions_after_is_part_of_the_budget() -> None:
    """The node must not be killed while it waits."""
    each = step("true", within_seconds=35.0)
    assert step_budget_seconds(each) - step_budget_seconds(step("true")) == 35.0


def test_hastctl_has_a_time_limit_of_its_own() -> None:
    """One stuck worker of hastd would hang it for ever (docs/freebsd-facts.md#2.4)."""
    script = step_script([replace(step("true"), timeout_seconds=30.0)], {}, NONCE)
    assert 'hastctl() { command timeout -k 2 30 hastctl "$@"; }' in script


@pytest.mark.parametrize(
    ("text", "timed_out", "truncated"),
    [
        (f"{FRAME} {NONCE} begun\nsome output\n", False, False),
        (f"{FRAME} {NONCE} begun\nsome output\n", True, False),
        (f"{FRAME} {NONCE} begun\nsome output\n", False, True),
        (f"{FRAME} {NONCE} begun\n{FRAME} fedcba9876543210 done\n", False, False),
        (f"{FRAME} {NONCE} begun\n{FRAME} fedcba9876543210 exit 1\n", False, False),
        ("", False, False),
    ],
    ids=["cut", "timed out", "too much", "another's frame: done", "another's frame: failed", "nothing"],
)
def test_whatever_leaves_room_for_doubt_is_indeterminate(text: str, timed_out: bool, truncated: bool) -> None:
    """It may have run, so nobody may call it failed, and a command's output is no frame of ours."""
    result = read_answer([step("true")], text, NONCE, exit_status=0, timed_out=timed_out, truncated=truncated)[0]
    assert result.outcome is Outcome.INDETERMINATE
