"""Mutation testing: make one mistake at a time in a copy of hactl and see whether the tests notice.

    cd tests && python -m mutants                 all of them (about twenty minutes on two cores)
    cd tests && python -m mutants --only NAME     one (may be given several times); the part of a name is enough
    cd tests && python -m mutants --quick         only the tests that should notice, not all that could
    cd tests && python -m mutants --list          what there is

The working tree is never edited: each worker copies the project to a directory of its own, puts one mistake into it,
runs the tests that should notice and, if they pass, everything that could. Exit status 1 when a mistake is
not noticed or does not apply, 2 when the tests fail without any.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mutants.mutations import ROOT, DoesNotApply, Mutation, read_mutations
from support.limits import SLOW

#: What is not copied: caches, environments, databases.
NOT_COPIED = (".*", "__pycache__", "*.pyc", "*.db*")
#: Everything that could notice a mistake of the core or the runtime.
EVERYTHING = ("core", "hook", "runtime", "scenarios", "simulation")
#: A mistake may make a test wait for ever: limits of one test, of the tests chosen for a mistake, and of everything.
TEST_SECONDS = 60
CHOSEN_SECONDS = 300.0 * SLOW
EVERYTHING_SECONDS = 3600.0 * SLOW

Verdict = Literal["killed", "survived", "broken"]


@dataclass(frozen=True)
class Run:
    """One run of pytest."""

    status: int
    #: The first test that failed, or what else happened.
    detail: str


@dataclass(frozen=True)
class Report:
    """What became of one mutation."""

    mutation: Mutation
    verdict: Verdict
    detail: str
    seconds: float
    #: The chosen tests did not notice, others did.
    late: bool = False


class Workspace:
    """A copy of the repository that may be spoiled."""

    def __init__(self, place: Path) -> None:
        """Copy."""
        self.place = place
        shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(*NOT_COPIED))

    @contextmanager
    def mistaken(self, mutation: Mutation) -> Iterator[None]:
        """The copy with the mistake in it."""
        path = self.place / "controller" / "hactl" / mutation.file
        right = path.read_text()
        try:
            _write(path, mutation.applied_to(right))
            yield
        finally:
            _write(path, right)

    def pytest(self, selections: Sequence[str], limit_seconds: float = CHOSEN_SECONDS) -> Run:
        """Run the tests up to the first that fails."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HACTL_", "PYTEST_"))}
        kept["HACTL_SLOW"] = str(SLOW)
        options = ("-x", "--tb=no", "-rfE", "-p", "no:cacheprovider", "-o", f"timeout={TEST_SECONDS}")
        command = [sys.executable, "-m", "pytest", *options]
        with tempfile.TemporaryFile("w+", errors="replace") as printed:
            process = subprocess.Popen(
                [*command, *(f"tests/{selection}" for selection in selections)],
                cwd=self.place,
                env={**kept, "PYTHONPATH": str(self.place / "controller")},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            try:
                process.wait(limit_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return Run(1, f"no end within {limit_seconds:.0f} s")
            printed.seek(0)
            output = printed.read()
        return Run(process.returncode, _first_failure(output))

    def is_used(self) -> bool:
        """Whether Python really takes hactl from this copy."""
        code = "import hactl; print(hactl.__file__)"
        env = {**os.environ, "PYTHONPATH": str(self.place / "controller")}
        found = subprocess.run(
            [sys.executable, "-c", code], cwd=self.place, env=env, capture_output=True, text=True, check=True
        )
        return Path(found.stdout.strip()).is_relative_to(self.place)


def _write(path: Path, text: str) -> None:
    """Write a module and forget its compiled form: two texts of one length and second look the same to Python."""
    path.write_text(text)
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def _first_failure(output: str) -> str:
    found = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(.*)$", output, re.MULTILINE)
    if found:
        return found[1].split(" - ")[0]
    if "Timeout" in output:
        return "a test found no end within its time"
    return next((line for line in reversed(output.splitlines()) if line.strip()), "pytest said nothing")


class Everything:
    """The tests beyond the chosen ones; of use only if they pass without a mistake, which is asked when it matters."""

    def __init__(self, place: Path, *, wanted: bool) -> None:
        """Nothing is run yet."""
        self._place = place
        self._lock = threading.Lock()
        self._passes = None if wanted else False

    def passes(self) -> bool:
        """Whether they pass without a mistake."""
        with self._lock:
            if self._passes is None:
                run = Workspace(self._place).pytest(EVERYTHING, EVERYTHING_SECONDS)
                self._passes = run.status == 0
                if not self._passes:
                    print(f"only the chosen tests are run: without a mistake fails {run.detail}", flush=True)
            return self._passes


def judge(workspace: Workspace, mutation: Mutation, everything: Everything) -> Report:
    """Make the mistake and see who notices."""
    began = time.monotonic()
    late = False
    try:
        with workspace.mistaken(mutation):
            run = workspace.pytest(mutation.tests)
            if run.status == 0 and everything.passes():
                late = True
                run = workspace.pytest(EVERYTHING, EVERYTHING_SECONDS)
    except DoesNotApply as what:
        return Report(mutation, "broken", str(what), time.monotonic() - began)
    seconds = time.monotonic() - began
    if run.status == 0:
        return Report(mutation, "survived", mutation.breaks, seconds)
    # 1: tests failed. Anything else (nothing collected, wrong usage) is no verdict of a test.
    verdict: Verdict = "killed" if run.status == 1 else "broken"
    return Report(mutation, verdict, run.detail, seconds, late)


def _say(number: int, count: int, report: Report) -> None:
    words = f"[{number:3}/{count}] {report.verdict:8} {report.seconds:6.1f} s  {report.mutation.name}"
    print(f"{words}  {'(late) ' if report.late else ''}{report.detail}", flush=True)


def _without_mistake(spaces: Sequence[Workspace], mutations: Sequence[Mutation]) -> Run:
    """The chosen tests on the untouched copies; they must pass, or nothing that fails later means anything."""
    chosen = sorted({selection.partition("::")[0] for mutation in mutations for selection in mutation.tests})
    parts = [chosen[number :: len(spaces)] for number in range(len(spaces))]
    jobs = [(space, part) for space, part in zip(spaces, parts, strict=True) if part]
    with ThreadPoolExecutor(len(spaces)) as pool:
        runs = list(pool.map(lambda job: job[0].pytest(job[1], EVERYTHING_SECONDS), jobs))
    return next((run for run in runs if run.status != 0), Run(0, ""))


def run_all(mutations: Sequence[Mutation], workers: int, *, quick: bool) -> int:
    """Judge them; the exit status."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hactl-mutants-") as root:
        spaces = [Workspace(Path(root) / str(number)) for number in range(workers)]
        if not all(space.is_used() for space in spaces):
            print("Python does not take hactl from the copy; nothing was tested")
            return 2
        clean = _without_mistake(spaces, mutations)
        if clean.status != 0:
            print(f"the tests fail without any mistake: {clean.detail}")
            return 2
        print(f"without a mistake the chosen tests pass ({time.monotonic() - began:.0f} s)", flush=True)
        everything = Everything(Path(root) / "everything", wanted=not quick)
        free: queue.Queue[Workspace] = queue.Queue()
        for space in spaces:
            free.put(space)
        reports: list[Report] = []

        def work(mutation: Mutation) -> None:
            space = free.get()
            try:
                report = judge(space, mutation, everything)
            finally:
                free.put(space)
            reports.append(report)
            _say(len(reports), len(mutations), report)

        pool = ThreadPoolExecutor(workers)
        try:
            list(pool.map(work, mutations))
        finally:
            pool.shutdown(cancel_futures=True)
    return _summary(reports, time.monotonic() - began)


def _summary(reports: Sequence[Report], seconds: float) -> int:
    bad = [report for report in reports if report.verdict != "killed"]
    for report in bad:
        print(f"\n{report.verdict}: {report.mutation.name} ({report.mutation.invariant}), {report.mutation.file}")
        print(f"    {report.mutation.breaks}")
        if report.verdict == "broken":
            print(f"    {report.detail}")
    counts = {word: sum(report.verdict == word for report in reports) for word in ("killed", "survived", "broken")}
    print(f"\n{', '.join(f'{count} {word}' for word, count in counts.items())} of {len(reports)} in {seconds:.0f} s")
    return 1 if bad else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m mutants", description="Make mistakes; see whether tests notice.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only those with NAME in theirs")
    parser.add_argument("--quick", action="store_true", help="only the tests that should notice")
    parser.add_argument("--list", action="store_true", help="say what there is, and do nothing")
    parser.add_argument("--workers", type=int, default=2, help="how many at a time (2)")
    chosen = parser.parse_args()
    mutations = [m for m in read_mutations() if not chosen.only or any(word in m.name for word in chosen.only)]
    if not mutations:
        print("no mutation has that name")
        return 2
    if chosen.list:
        for mutation in mutations:
            print(f"{mutation.name:44} {mutation.invariant:12} {mutation.file:28} {mutation.breaks}")
        return 0
    return run_all(mutations, max(1, chosen.workers), quick=chosen.quick)


if __name__ == "__main__":
    sys.exit(main())
