"""One line at the end that says how fast the simulation was, also when the tests ran in several processes."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Sum up what the tests recorded as `simulated_seconds`."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    seconds = [
        (value, report.duration)
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == "simulated_seconds"
    ]
    if not seconds:
        return
    simulated, real = (sum(column) for column in zip(*seconds, strict=True))
    terminalreporter.line(
        f"{len(seconds)} episodes, {simulated / 3600:.1f} simulated hours in {real:.0f} s: "
        f"{simulated / 3600 / real:.3f} simulated hours per second"
    )
