"""What is shown of a step while a command follows: as it begins, what it printed, how it ended."""

from __future__ import annotations

from typing import Any, cast

import click
import pytest

from hactl.cli.api_client.client import Client
from hactl.cli.follow import FIRST_LOOK_SECONDS, Following, Screen
from hactl.core.kube.codec import event_body
from hactl.core.kube.kinds import STEP_OUTPUT, STEP_OUTPUT_CHARACTERS, STEP_REASON

BEGUN: dict[str, Any] = {
    "id": 7, "revision": 9, "kind": "StepBegun", "cluster": "nas", "node": "nas-b", "at": "2026-11-24T11:55:00+00:00",
    "summary": "fsck", "verb": "CheckFilesystem", "target": "/dev/hast/data", "command": "fsck -p /dev/hast/data",
    "why": "it is checked before it is mounted", "outcome": None,
}  # fmt: skip


def ended(outcome: str, output: str) -> dict[str, Any]:
    """The event of the step, once it has ended."""
    return event_body({**BEGUN, "kind": "StepEnded", "outcome": outcome, "output": output, "seconds": 1.25}, "")


def shown(capsys: pytest.CaptureFixture[str], event: dict[str, Any], *, quiet: bool = False) -> list[str]:
    """What a person sees from the beginning of the step to its end."""
    screen = Screen("", quiet=quiet)
    screen.step(event_body(BEGUN, ""))
    screen.step(event)
    return capsys.readouterr().out.splitlines()


def test_what_a_step_printed_is_shown_under_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line that is not empty, unable to play tricks, before the line that says how it ended."""
    assert shown(capsys, ended("Done", "FILE SYSTEM CLEAN\n\n\x1b[31mred\n")) == [
        "  nas-b  fsck -p /dev/hast/data  it is checked before it is mounted",
        "      | FILE SYSTEM CLEAN",
        "      | \\u001b[31mred",
        "  nas-b  done in 1.2 s",
    ]


def test_the_reason_of_a_failure_is_not_shown_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """The record adds it to the output as the last line; it stands where the step ended."""
    assert shown(capsys, ended("Failed", "BAD SUPER BLOCK\n[exit status 8]"))[1:] == [
        "      | BAD SUPER BLOCK",
        "  nas-b  failed in 1.2 s: [exit status 8]",
    ]


def test_quiet_hides_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`apply -q` shows no step, and nothing of what it printed."""
    assert shown(capsys, ended("Done", "FILE SYSTEM CLEAN\n"), quiet=True) == []


def test_an_event_carries_no_more_than_the_end_of_a_long_output() -> None:
    """The record has all of it; a step that printed nothing has no annotation."""
    long = "\n".join(f"line {number}" for number in range(5000))
    annotations = ended("Failed", f"{long}\n[exit status 1]")["metadata"]["annotations"]
    assert annotations[STEP_REASON] == "[exit status 1]"
    assert len(annotations[STEP_OUTPUT]) == STEP_OUTPUT_CHARACTERS
    assert long.endswith(annotations[STEP_OUTPUT])
    assert STEP_OUTPUT not in ended("Done", " \n")["metadata"]["annotations"]
    assert STEP_OUTPUT not in event_body(BEGUN, "")["metadata"]["annotations"]


class Record:
    """A client whose only cluster has a status."""

    record = None
    served = False

    def __init__(self, revision: str, holds: str) -> None:
        self.body = self.of(revision, holds)

    @staticmethod
    def of(revision: str, holds: str) -> dict[str, Any]:
        """The cluster at that revision, held by that."""
        status = {"holds": [{"message": holds}], "failing": {}}
        return {"metadata": {"name": "nas", "resourceVersion": revision}, "status": status}

    def send(self, _: Any) -> dict[str, Any]:
        """The list of clusters."""
        return {"items": [self.body]}

    def watch(self, _: Any, *, quiet_seconds: float) -> list[Any]:
        """Nothing happens."""
        del quiet_seconds
        return []


def test_what_was_on_record_before_is_not_waited_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be over: only what is seen from now on is told, or what is still so after a while."""
    now = [100.0]
    monkeypatch.setattr("hactl.cli.follow.time.monotonic", lambda: now[0])
    client = Record("7", "nfsd goes on running")
    rounds = Following(cast("Client", client), ["nas"], 60.0, revision="1").rounds(endless=True)
    next(rounds)
    next(rounds)
    assert capsys.readouterr().out == ""
    client.body = client.of("8", "nas-a does not answer")
    next(rounds)
    next(rounds)
    assert click.unstyle(capsys.readouterr().out) == "  waiting  nas-a does not answer\n"
    client.body = client.of("7", "nfsd goes on running")
    now[0] += FIRST_LOOK_SECONDS + 1
    next(rounds)
    next(rounds)
    assert click.unstyle(capsys.readouterr().out) == "  waiting  nfsd goes on running\n"
