"""Copies of the record: saved while others write, examined, and put back in its place.

- A copy is of one moment: it is read in one transaction, which keeps nobody from writing (sqlite.org/wal.html).
- It is written beside, checked, flushed and renamed: never half a file; mode 0600.
- What is put back is counted on from: clients that watch list again, and the leases are newer than any that a node saw.
- Operations that would act are not taken up again: what they asked for may have been done since.
- Of a damaged record what can be read makes a new one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hactl.adapters.lock import lock_directory, open_lock_file, try_lock
from hactl.adapters.record.sqlite.file import open_reader, size_bytes, transaction, translated
from hactl.adapters.record.sqlite.schema import check_ours, check_readable
from hactl.adapters.record.sqlite.store import open_record
from hactl.core.operations import Kind, State
from hactl.errors import StoreError

#: What is counted on by: more than any record grows between two backups.
_AHEAD = 1_000_000
#: Lines of `PRAGMA integrity_check` that are shown.
_PROBLEMS = 20
#: Kinds that keep hactl from acting: they hold in a record that was put back.
_PROTECT = (Kind.DRAIN, Kind.PAUSE)
_SUFFIXES = ("", "-wal", "-shm")
#: After what can be read is taken over: rows for those that are referred to and were lost, and the count.
_LOST = (
    "INSERT INTO controllers (id, token, pid, host, command, actor, started_at, ended_at) "
    "SELECT controller, 'lost-' || controller, 0, '', 'not known: its row was damaged', '', min(at), max(at) "
    "FROM (SELECT controller, at FROM events UNION ALL SELECT controller, at FROM steps) "
    "WHERE controller NOT IN (SELECT id FROM controllers) GROUP BY controller",
    # Of those whose object is there the document was in force.
    "INSERT INTO clusters (name, managed, why, changed_at) "
    "SELECT cluster, EXISTS (SELECT 1 FROM objects WHERE resource = 'haclusters' AND name = cluster), "
    "'its row was damaged', max(at) FROM documents WHERE cluster NOT IN (SELECT name FROM clusters) GROUP BY cluster",
    # The row itself may be an old one.
    "INSERT INTO revision (id, newest, forgotten) SELECT 1, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM revision)",
    "UPDATE revision SET newest = max(newest, (SELECT coalesce(max(revision), 0) FROM objects), "
    "(SELECT coalesce(max(revision), 0) FROM events), (SELECT coalesce(max(revision), 0) FROM steps))",
)


@dataclass(frozen=True, slots=True)
class Table:
    """What can be read of a table."""

    name: str
    rows: int
    #: False: it is damaged, and there may be more.
    whole: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """What a file holds."""

    size_bytes: int
    tables: tuple[Table, ...]
    #: What is wrong with it, for people; none: it is sound.
    problems: tuple[str, ...]


def examine(path: Path) -> Examined:
    """Read all of a record. Raises StoreError when it is no database at all, another program's, or a newer hactl's."""
    connection = open_reader(path)
    try:
        problems: list[str] = []
        with translated(path):
            try:
                check_readable(connection)
                found = connection.execute(f"PRAGMA integrity_check({_PROBLEMS})").fetchall()
                problems += [line for row in found for line in str(row[0]).splitlines() if line != "ok"]
                lost = connection.execute("PRAGMA foreign_key_check").fetchall()
                problems += [f"a row of {row[0]} names what is not there" for row in lost]
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CORRUPT:
                    raise
                problems.append(str(error))
            names = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^' "
                "AND name <> '_sqlite_migrations' ORDER BY rowid"
            ).fetchall()
        tables = tuple(_counted(connection, row[0], damaged=bool(problems)) for row in names)
        problems += [f"table {table.name} cannot be read to its end" for table in tables if not table.whole]
        return Examined(size_bytes(path), tables, tuple(dict.fromkeys(problems)))
    finally:
        connection.close()


def _counted(connection: sqlite3.Connection, name: str, *, damaged: bool) -> Table:
    """The rows of a table; of a damaged one those that can be read from either end."""
    if not damaged:
        return Table(name, int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]), whole=True)
    seen: set[int] = set()
    whole = _from_both_ends(connection, name, lambda row: seen.add(row[0]))
    return Table(name, len(seen), whole)


def _from_both_ends(connection: sqlite3.Connection, name: str, take: Callable[[sqlite3.Row], object]) -> bool:
    """Give every row that can be read to `take`, its rowid first, some of them twice; whether it is all of them."""
    connection.row_factory = sqlite3.Row
    for order in ("ASC", "DESC"):
        with contextlib.suppress(sqlite3.DatabaseError):
            for row in connection.execute(f'SELECT rowid AS _rowid, * FROM "{name}" ORDER BY rowid {order}'):
                take(row)
            return True
    return False


def save(path: Path, target: Path, *, over: bool = False) -> Examined:
    """Copy the record to `target`, while others use it. Raises StoreError; nothing is left of a copy that failed."""
    if target.exists() and not over:
        raise StoreError(f"{target} is there already: name another file, or say --force")
    source = open_reader(path)
    try:
        with translated(path):
            check_readable(source)
        found = _written(source, target)
    finally:
        source.close()
    if found.problems:
        raise StoreError(f"the database {path} is damaged ({found.problems[0]}): hactl record verify says what is left")
    return found


def _written(source: sqlite3.Connection, target: Path) -> Examined:
    """The copy beside, examined, flushed; renamed when it is sound."""
    beside = target.with_name(f"{target.name}.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        os.close(os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with translated(beside), contextlib.closing(sqlite3.connect(beside)) as copy:
            source.backup(copy)
            # One file, without a log beside it.
            copy.execute("PRAGMA journal_mode = DELETE").close()
        found = examine(beside)
        if not found.problems:
            _flush(beside)
            beside.replace(target)
            _flush(target.parent)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from error
    finally:
        for suffix in (*_SUFFIXES, "-journal"):
            beside.with_name(beside.name + suffix).unlink(missing_ok=True)
    return found


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def in_use(path: Path) -> int:
    """How many processes have something to record in it now: each holds a lock file."""
    return sum(1 for _ in _held(lock_directory(path)))


def _held(directory: Path) -> Iterator[Path]:
    for lock in sorted(directory.glob("process-*.lock")):
        descriptor = open_lock_file(directory, lock.name)
        try:
            if not try_lock(descriptor):
                yield lock
        finally:
            os.close(descriptor)


async def put_back(path: Path, source: Path, *, actor: str, now: datetime) -> tuple[Path | None, int]:
    """Make the copy `source` the record. Returns where the old one is kept, and how many operations were cancelled.

    Raises StoreError: somebody uses the record, or the copy is not sound; then nothing was changed.
    """
    check_unused(path)
    if (found := examine(source)).problems:
        raise StoreError(f"{source} is damaged ({found.problems[0]}): hactl record verify {source} says what is left")
    fresh = path.with_name(f"{path.name}.restored")
    with contextlib.closing(open_reader(source)) as reader:
        _written(reader, fresh)
    try:
        with translated(fresh), contextlib.closing(sqlite3.connect(fresh)) as connection, transaction(connection):
            _count_on(connection)
        cancelled = await _cancel(fresh, f"the record was restored from {source.name}", actor)
        return _take_its_place(path, fresh, now), cancelled
    finally:
        _remove(fresh)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What a new record has of a damaged one."""

    #: Where the damaged one is kept.
    kept: Path | None
    tables: tuple[Table, ...]
    #: Operations that would have acted, and were open.
    cancelled: int


async def salvage(path: Path, *, actor: str, now: datetime) -> Salvaged:
    """Make a new record of all that can be read of a damaged one, in its place. Raises StoreError.

    What is counted goes on as in one that was put back, and what would act is cancelled: that it was done may be what
    was lost.
    """
    check_unused(path)
    fresh = path.with_name(f"{path.name}.salvaged")
    _remove(fresh)
    try:
        await (await open_record(fresh, actor=actor, command="hactl record salvage")).close()
        with (
            contextlib.closing(open_reader(path)) as damaged,
            translated(fresh),
            contextlib.closing(sqlite3.connect(fresh)) as connection,
        ):
            with translated(path):
                _check_not_anothers(damaged)
            tables = _taken_over(damaged, connection)
        cancelled = await _cancel(fresh, "the record was damaged, and saved in part", actor)
        if problems := examine(fresh).problems:
            raise StoreError(f"what could be read of {path} does not make a record ({problems[0]})")
        return Salvaged(_take_its_place(path, fresh, now), tables, cancelled)
    finally:
        _remove(fresh)


def _check_not_anothers(damaged: sqlite3.Connection) -> None:
    """Raises StoreError for another program's database, and for a newer hactl's."""
    # Where not even that can be read it was named as the record, and nothing of it is changed.
    with contextlib.suppress(sqlite3.DatabaseError):
        check_ours(damaged)


def _taken_over(damaged: sqlite3.Connection, fresh: sqlite3.Connection) -> tuple[Table, ...]:
    """Copy what can be read, table by table; what a lost row was referred to by gets one that says so."""
    names = [
        row[0]
        for row in fresh.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^' "
            "AND name NOT IN ('_sqlite_migrations', 'sizes', 'changes') ORDER BY rowid"
        )
    ]
    with transaction(fresh):
        fresh.execute("DELETE FROM revision")
        tables = tuple(_table_taken_over(damaged, fresh, name) for name in names)
        for statement in _LOST:
            fresh.execute(statement)
        _count_on(fresh)
    return tables


def _table_taken_over(damaged: sqlite3.Connection, fresh: sqlite3.Connection, name: str) -> Table:
    known = [row[1] for row in fresh.execute(f'PRAGMA table_info("{name}")')]

    def take(row: sqlite3.Row) -> None:
        columns = [column for column in row.keys() if column in known]  # noqa: SIM118 - a Row is no mapping
        places = ", ".join("?" * len(columns))
        # One that breaks a rule of its table is damaged as well.
        fresh.execute(
            f'INSERT OR IGNORE INTO "{name}" ({", ".join(columns)}) VALUES ({places})', [row[each] for each in columns]
        )

    whole = _from_both_ends(damaged, name, take)
    return Table(name, int(fresh.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]), whole)


def check_unused(path: Path) -> None:
    """Raises StoreError when somebody uses the record."""
    if users := in_use(path):
        who = "hactl processes use" if users > 1 else "hactl process uses"
        raise StoreError(f"{users} {who} {path}: stop them first (service hactl stop, and any apply)")


def _take_its_place(path: Path, fresh: Path, now: datetime) -> Path | None:
    """The record is `fresh` from now on; where the old one is kept."""
    try:
        _flush(fresh)
        kept = _set_aside(path, now)
        fresh.replace(path)
        _flush(path.parent)
    except OSError as error:
        raise StoreError(f"cannot put another record in the place of {path}: {error.strerror}") from error
    return kept


def _remove(fresh: Path) -> None:
    for suffix in _SUFFIXES:
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)


def _count_on(connection: sqlite3.Connection) -> None:
    """Revisions and leases go on behind all that anybody has seen; inside a transaction."""
    connection.execute("UPDATE revision SET newest = newest + ?", (_AHEAD,))
    # Nobody can be told what changed since a revision that this record may never have had.
    connection.execute("UPDATE revision SET forgotten = newest")
    connection.execute("DELETE FROM changes")
    connection.execute("UPDATE leases SET generation = generation + ?", (_AHEAD,))


async def _cancel(fresh: Path, why: str, actor: str) -> int:
    """What would act is cancelled; what keeps hactl from acting goes on."""
    store = await open_record(fresh, actor=actor, command="hactl record restore")
    try:
        acting = [each for each in await store.operations(open_only=True) if each.kind not in _PROTECT]
        for each in acting:
            await store.end_operation(each.id, State.CANCELLED, why)
    finally:
        await store.close()
        with contextlib.suppress(OSError):
            lock_directory(fresh).rmdir()
    return len(acting)


def _set_aside(path: Path, now: datetime) -> Path | None:
    """The old record with its log, under a name that says when; None: there was none."""
    if not path.exists():
        return None
    kept = path.with_name(f"{path.name}.before-{now:%Y%m%dT%H%M%SZ}")
    if kept.exists():
        raise StoreError(f"{kept} is there already: move it away first")
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(kept.with_name(kept.name + suffix))
    return kept
