"""The database file: where it is, who may read it, how it is opened, and what its errors mean to a person.

- The file is 0600, a directory hactl makes for it 0700: history names hosts and shows commands.
- Write-ahead log with synchronous=FULL: what was recorded before a step survives a power cut.
- WAL needs a local disk (UFS, ZFS); over NFS it corrupts (sqlite.org/wal.html).
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import hactl
from hactl.errors import StoreError

BUSY_SECONDS = 5.0
#: The log is cut to this when all of it is in the database again.
LOG_BYTES = 16 * 1024 * 1024
#: SQLite's codes for a disk, quota or limit that lets nothing more be written.
_NO_ROOM = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
INSTALLED_PATH = Path("/var/db/hactl/hactl.db")

_REPAIR = (
    "hactl record verify says what can be read of it, hactl record restore puts a backup back, hactl record salvage "
    "makes a new one of what can be read; or use --state PATH"
)


def default_state_path(cwd: Path | None = None, package: Path | None = None) -> Path:
    """`state/hactl.db` of a checkout (the working directory, or the one this package runs from), else /var/db/hactl."""
    for root in (cwd or Path.cwd(), (package or Path(hactl.__file__)).resolve().parents[2]):
        if _is_checkout(root):
            return root / "state" / "hactl.db"
    return INSTALLED_PATH


def _is_checkout(root: Path) -> bool:
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(project.get("project", {}).get("name") == "hactl")


def prepare(path: Path) -> None:
    """Make the directory (0700) and the file (0600) if they are missing. Raises StoreError."""
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            f"cannot make the database {path}: {error.strerror}; choose another file with --state PATH"
        ) from error


def sqlite_version() -> str:
    """Of the library that keeps the record."""
    return sqlite3.sqlite_version


def exposed(path: Path) -> list[str]:
    """What others on this machine could do to the record, and what to do about it; []: nothing, or it is not there."""
    found = []
    with contextlib.suppress(OSError):
        directory = path.absolute().parent
        if directory.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            found.append(f"others may write to {directory} and put another record there: chmod go-w {directory}")
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            found.append(f"others may open {path}: chmod 600 {path}")
    return found


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes, to be used in the thread that opened it. Raises StoreError."""
    prepare(path)
    with translated(path):
        # autocommit as sqlite3 always had it: transactions begin where we say BEGIN.
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
        try:
            # Before there is anything in it: only then pages can be given back one after the other (`compact`).
            if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL").close()
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise StoreError(f"cannot have a write-ahead log here (journal mode {mode}): use a local disk")
            for pragma in ("synchronous = FULL", "foreign_keys = ON", f"journal_size_limit = {LOG_BYTES}"):
                connection.execute(f"PRAGMA {pragma}").close()
        except BaseException:
            connection.close()
            raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises StoreError."""
    if not path.exists():
        raise StoreError(f"there is no record yet: {path} does not exist; give the right one with --state PATH")
    with translated(path):
        # One reader thread at a time uses it, but `close` comes from another.
        uri = f"{path.resolve().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)


def data_version(connection: sqlite3.Connection) -> int:
    """A number that changes when another connection wrote (sqlite.org/pragma.html#pragma_data_version)."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def next_revision(connection: sqlite3.Connection) -> int:
    """The next number of the record's one count; inside a transaction."""
    return int(connection.execute("UPDATE revision SET newest = newest + 1 RETURNING newest").fetchone()[0])


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Take the write lock at once: a transaction that reads first could not get it later (SQLITE_BUSY_SNAPSHOT)."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.commit()
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()
        raise


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as StoreErrors that name the file and what to do."""
    try:
        yield
    except StoreError as error:
        if str(path) in str(error):
            raise
        raise StoreError(f"the database {path} {error}") from error
    except sqlite3.Error as error:
        raise StoreError(f"the database {path} {_words(error)}") from error
    except UnicodeEncodeError as error:
        raise StoreError(f"the database {path} cannot keep text that is not Unicode: {error}") from error


def is_full(error: BaseException | None) -> bool:
    """Whether a write failed because there is no room for it."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    code = getattr(error, "sqlite_errorcode", 0)
    return isinstance(error, sqlite3.Error) and (code & 0xFF == sqlite3.SQLITE_FULL or code in _NO_ROOM)


def size_bytes(path: Path) -> int:
    """The database with its log. Raises OSError."""
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _words(error: sqlite3.Error) -> str:
    text = str(error)
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return f"is damaged ({text}): {_REPAIR}"
    if is_full(error):
        return f"cannot grow ({text}): make room on its disk; hactl does not act until it can record again"
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return f"is locked by another process for more than {BUSY_SECONDS:g} s ({text}); fstat(1) shows which"
    if primary == sqlite3.SQLITE_READONLY:
        return (
            f"cannot be written ({text}): check the owner and mode of the file and its directory, or use --state PATH"
        )
    if primary == sqlite3.SQLITE_CANTOPEN:
        return f"cannot be opened ({text}): check the owner and mode of its directory, or use --state PATH"
    if primary == sqlite3.SQLITE_IOERR:
        return f"cannot be read or written ({text}): check its disk and quotas; hactl does not act until it can record"
    return f"failed ({text}): {_REPAIR}"
