"""Limits of tests: they scale with HACTL_SLOW, and a test past its own fails alone.

pytest-timeout's alarm (SIGALRM) raises in the main thread, whatever it waits for there: a lock, a process, the loop.
What that cannot end (code in C that keeps the GIL, a cleaning up that hangs as well) ends its whole process after
twice the limit, with every thread's stack on standard error; pytest-xdist then fails that test and starts another.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from support.limits import SLOW

# Hypothesis would fail an example for its time on a busy machine.
settings.register_profile("hactl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hactl")

_STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the real standard error: during a test it is captured. Let programs hear Ctrl-C, whoever started us.

    A shell has its background jobs ignore SIGINT, and what is ignored is ignored by every child as well.
    """
    config.stash[_STDERR] = os.dup(2)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _logs_go_where_they_went() -> Iterator[None]:
    """A command that ran in this process may have set up logs on a standard error that is closed by now."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test has a limit of its own; those that may take longest come first, so that no worker ends alone."""
    items.sort(key=_usual_limit, reverse=True)
    for item in items:
        item.add_marker(pytest.mark.timeout(_usual_limit(item) * SLOW), append=False)


def _usual_limit(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0] if mark else item.config.getini("timeout"))


def _end_the_process_in_time(item: pytest.Item) -> None:
    seconds = 2 * _usual_limit(item)  # of the mark that was added: scaled already
    faulthandler.dump_traceback_later(seconds, exit=True, file=item.config.stash[_STDERR])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """From here on; and again from the start of each phase, because pytest calls it off when one fails."""
    _end_the_process_in_time(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """See pytest_runtest_setup."""
    _end_the_process_in_time(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """See pytest_runtest_setup."""
    _end_the_process_in_time(item)


def pytest_runtest_logfinish() -> None:
    """It ended in time."""
    faulthandler.cancel_dump_traceback_later()
