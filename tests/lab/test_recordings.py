"""The lab prints what real FreeBSD 13.2 machines printed: every recording, step by step."""

from __future__ import annotations

import asyncio
import difflib

import pytest

from support.lab.recordings import NAMES, Outcome, normalise, replay_all

#: Steps that do not match, and why. A step that matches must not stand here.
REASONS = {
    "06/26": "Two lines `vtnet2: watchdog timeout on queue 0` of the emulated network card push others out of tail -4.",
    "11/51": "The lab's sh does not say `Killed` when a program in the foreground was.",
    "11/52": "Nor `Terminated`.",
    "13/20": "A port with a new link hears the master a moment earlier there than in the lab.",
    "13/22": "The slow machine printed when duplicate address detection was over.",
    "13/23": "As 13/22.",
}
#: Steps that match, of all steps, per recording. It may only grow.
FLOOR = {
    "01-baseline": (51, 51),
    "02-carp-lifecycle": (124, 124),
    "03-hast-lifecycle": (94, 94),
    "04-hast-empty-config": (7, 7),
    "05-hast-split-brain": (41, 41),
    "06-failover-timeline": (23, 24),
    "07-boot-configuration": (33, 33),
    "08-after-reboot": (11, 11),
    "09-after-reboot-kld-list": (7, 7),
    "10-reject-route": (46, 46),
    "11-shell": (52, 54),
    "12-sleeper": (28, 28),
    "13-cables": (36, 39),
}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, list[Outcome]]:
    """All recordings replayed once, in the order they were made."""
    return asyncio.run(replay_all())


def _difference(outcome: Outcome) -> str:
    wanted, got = (normalise(f"exit {s}\n{out}\n{err}").splitlines() for s, out, err in (outcome.wanted, outcome.got))
    return "\n".join(difflib.unified_diff(wanted, got, "FreeBSD", "lab", lineterm="", n=0))


@pytest.mark.parametrize("name", NAMES)
def test_recording_is_reproduced(outcomes: dict[str, list[Outcome]], name: str) -> None:
    """The share of steps that match does not fall, and every step that does not has a reason."""
    found = outcomes[name]
    missed = [outcome for outcome in found if not outcome.matches]
    unexplained = [outcome for outcome in missed if outcome.key not in REASONS]
    report = "\n\n".join(f"{each.key} {each.node} $ {each.command}\n{_difference(each)}" for each in unexplained)
    assert not unexplained, f"{name}: {len(unexplained)} steps differ without a reason\n{report}"
    assert (len(found) - len(missed), len(found)) >= FLOOR[name]


def test_reasons_are_current(outcomes: dict[str, list[Outcome]]) -> None:
    """A step that matches has no reason left in the table."""
    matching = {outcome.key for found in outcomes.values() for outcome in found if outcome.matches}
    assert sorted(matching & REASONS.keys()) == []


def test_replay_repeats_itself(outcomes: dict[str, list[Outcome]]) -> None:
    """The same history gives the same outputs to the last byte."""
    again = asyncio.run(replay_all(("01-baseline", "02-carp-lifecycle")))
    assert again["02-carp-lifecycle"] == outcomes["02-carp-lifecycle"]


def test_comparison_sees_differences() -> None:
    """Normalising hides ids and times, not words, roles or counters that matter."""
    assert normalise("localcnt: 1") != normalise("localcnt: 0")
    assert normalise("carp: MASTER vhid 1") != normalise("carp: BACKUP vhid 1")
    assert normalise("hastd is running as pid 468.") == normalise("hastd is running as pid 2015.")
    assert normalise("dirty: 10485760 (10MB)") != normalise("dirty: 0 (0B)")
