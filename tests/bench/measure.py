"""Numbers: samples, CPU, memory, and what a database's files look like. Linux and FreeBSD."""

from __future__ import annotations

import gc
import os
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Samples:
    """Durations of one thing, seconds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """19 of 20 are not longer."""
        return quantile(self.seconds, 0.95)

    @property
    def mean(self) -> float:
        """The average."""
        return statistics.fmean(self.seconds)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def rss_kib() -> int:
    """Resident memory of this process, KiB (ps(1): the same on Linux and FreeBSD)."""
    gc.collect()
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True)
    return int(shown.stdout)


def cpu_seconds_each(work: Callable[[], object], *, for_seconds: float = 0.25) -> float:
    """CPU one call takes, seconds: the mean over as many calls as fit."""
    work()
    calls = 0
    began = time.process_time()
    while (used := time.process_time() - began) < for_seconds:
        work()
        calls += 1
    return used / calls


@dataclass(frozen=True, slots=True)
class Record:
    """What a database file holds, and how its files look from outside."""

    rows: int
    #: SQLite's own count of commits by others, as this connection sees it.
    version: int
    #: (name, size, mtime in ns) of the database, its log and its locks.
    files: tuple[tuple[str, int, int], ...]


class RecordWatch:
    """Looks at a database from outside, without writing to it."""

    def __init__(self, path: Path) -> None:
        """Open it to read."""
        self._path = path
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def look(self) -> Record:
        """What is there now. The shared-memory index is left out: readers touch it too."""
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        tables = [str(row[0]) for row in self._connection.execute(query)]
        rows = sum(int(self._connection.execute(f'SELECT count(*) FROM "{t}"').fetchone()[0]) for t in tables)
        version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        files = sorted(file for file in self._path.parent.rglob("*") if file.is_file() and file.suffix != ".db-shm")
        return Record(rows, version, tuple((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files))

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()
