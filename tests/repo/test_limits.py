"""A test that hangs fails alone: the others of its process go on. Limits scale with HACTL_SLOW."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support.limits import LIMIT_SECONDS
from support.source_tree import ROOT

HANGS = '''"""Tests that hang, each in its way."""
import asyncio, subprocess, threading
import pytest

def test_lock(): threading.Event().wait()
def test_thread():
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    thread.join()
def test_process(): subprocess.run(["sleep", "1000"])
async def test_loop(): await asyncio.create_task(asyncio.Event().wait())
async def test_blocked_loop(): threading.Event().wait()
@pytest.fixture
async def stuck(): await asyncio.Event().wait()
def test_fixture(stuck): pass
@pytest.mark.parametrize("number", range(20))
def test_well(number): pass
'''
SWALLOWS = '''"""A test that its alarm does not end, between two others: a task takes it."""
import asyncio

def test_before(): pass
async def busy():
    while True: pass
async def test_swallows():
    task = asyncio.create_task(busy())
    await asyncio.Event().wait()
def test_after(): pass
'''


def _pytest(place: Path, text: str, *options: str) -> str:
    """What pytest says of these tests with this project's settings: a limit of 4 seconds on a machine twice as fast."""
    shutil.copy(ROOT / "pyproject.toml", place)
    (place / "tests" / "support").mkdir(parents=True)
    for name in ("conftest.py", "support/__init__.py", "support/limits.py"):
        shutil.copy(ROOT / "tests" / name, place / "tests" / name)
    (place / "tests" / "test_it.py").write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-o",
        "timeout=4",
        "--tb=no",
        "-rfEs",
        "-p",
        "no:cacheprovider",
        *options,
    ]
    env = {**os.environ, "HACTL_SLOW": "0.5", "COLUMNS": "150"}
    done = subprocess.run(
        command, cwd=place, env=env, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    return done.stdout + done.stderr


def test_a_test_that_hangs_fails_alone(tmp_path: Path) -> None:
    """Whatever it waits for, in a worker of xdist: it is said to have timed out, and no worker is lost."""
    out = _pytest(tmp_path, HANGS, "-n", "3")
    timed_out = re.findall(
        r"^(?:FAILED|ERROR) tests/test_it.py::test_(\w+) - Failed: Timeout \(>2.0s\)", out, re.MULTILINE
    )
    assert sorted(timed_out) == ["blocked_loop", "fixture", "lock", "loop", "process", "thread"], out
    assert "20 passed" in out
    assert "crashed" not in out


def test_one_that_its_alarm_does_not_end_costs_its_process_and_no_other_test(tmp_path: Path) -> None:
    """After twice the limit the process goes, with the stacks of its threads, and another one runs the rest."""
    out = _pytest(tmp_path, SWALLOWS, "-n", "1")
    assert "Timeout (0:00:04)!" in out, out
    assert re.search(r"^FAILED .*::test_swallows", out, re.MULTILINE), out
    assert "1 failed, 2 passed" in out, out


def test_no_limit_is_a_number_of_its_own() -> None:
    """Whoever waits for what should come says LIMIT_SECONDS: it is generous, and it scales."""
    literal = re.compile(r"(?<![-&\w])timeout=[1-9]|asyncio\.timeout\([1-9]|wait_for\([^\n]*, [1-9][0-9.]*\)")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path != Path(__file__) and path.parts[-2] != "bench"
        for line in path.read_text().splitlines()
        if literal.search(line)
    ]
    assert found == []


#: Tests of real processes and sockets; the others have clocks of their own, on which nothing is late.
REAL_TIME = ("adapters", "api", "cli", "e2e", "repo")
_MEASURED = re.compile(r"\.seconds\b|monotonic\(|perf_counter\(|\btime\.time\(|\bnow\(|\b(elapsed|duration|took)\b")


def _upper_bounds(text: str) -> Iterator[str]:
    """Asserted comparisons of a measured time with a number it must not exceed."""
    asserts = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert))
    for node in (inner for each in asserts for inner in ast.walk(each) if isinstance(inner, ast.Compare)):
        sides = [node.left, *node.comparators]
        for left, sign, right in zip(sides, node.ops, sides[1:], strict=False):
            less, more = (left, right) if isinstance(sign, ast.Lt | ast.LtE) else (right, left)
            number = all(name.id == "timedelta" for name in ast.walk(more) if isinstance(name, ast.Name))
            if isinstance(sign, ast.Lt | ast.LtE | ast.Gt | ast.GtE) and number and _MEASURED.search(ast.unparse(less)):
                yield ast.unparse(node)


def test_no_test_asserts_how_fast_it_was() -> None:
    """On a busy machine everything takes longer: what came, and in which order, is asserted instead."""
    slow = (
        "assert answer.seconds < 3 and abs(now() - then) <= timedelta(seconds=5)\nassert 2 > time.monotonic() - began"
    )
    assert len(list(_upper_bounds(slow))) == 3
    assert list(_upper_bounds("assert answer.seconds >= 0\nassert before <= now() <= after")) == []
    found = [
        f"{path.relative_to(ROOT)}: {bound}"
        for folder in REAL_TIME
        for path in sorted((ROOT / "tests" / folder).rglob("*.py"))
        for bound in _upper_bounds(path.read_text())
    ]
    assert found == []
