"""Lines at the end that say what was simulated and how fast, also when the tests ran in several processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Sum up what the tests recorded as `simulated_seconds` and `small_scope`."""
    seconds = list(_recorded(terminalreporter, "simulated_seconds"))
    if seconds:
        simulated, real = (sum(column) for column in zip(*seconds, strict=True))
        terminalreporter.line(
            f"{len(seconds)} episodes, {simulated / 3600:.1f} simulated hours in {real:.0f} s: "
            f"{simulated / 3600 / real:.3f} simulated hours per second"
        )
    tallies = [tally for tally, _ in _recorded(terminalreporter, "small_scope")]
    if tallies:
        states, transitions, took = (sum(t[key] for t in tallies) for key in ("states", "transitions", "seconds"))
        terminalreporter.line(
            f"small scope: {states} states, {transitions} transitions, depth {tallies[0]['depth']}, "
            f"{took:.0f} s of work, {sum(t['simulated_seconds'] for t in tallies) / 3600:.1f} simulated hours"
        )


def _recorded(terminalreporter: Any, wanted: str) -> Iterator[tuple[Any, float]]:
    """(value, seconds the test took) of every test that recorded a property of that name."""
    for kind in ("passed", "failed"):
        for report in terminalreporter.getreports(kind):
            if isinstance(report, pytest.TestReport) and report.when == "call":
                yield from ((value, report.duration) for name, value in report.user_properties if name == wanted)
