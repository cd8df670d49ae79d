"""Giving back to the disk what the record does not need any more, while others use it.

- A record made by this hactl gives its unused pages back a few at a time: others write in between, and no more room is
  needed than for a few pages (sqlite.org/pragma.html#pragma_incremental_vacuum).
- One made before that is written anew once, in one piece: nobody else can write meanwhile, and twice its size is needed
  for a moment. Others that cannot record for that long begin nothing; afterwards it is as any other.
- A full disk is what this may be there to mend: the room that is kept for last words may be used.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hactl.adapters.record.sqlite.file import open_reader, open_writer, size_bytes, translated
from hactl.adapters.record.sqlite.process import with_room
from hactl.adapters.record.sqlite.reserve import Reserve
from hactl.adapters.record.sqlite.schema import check_readable

#: Pages that are given back in one transaction: 2 MiB.
_SLICE = 512
#: Between two of them others get their turn, seconds.
_TURN_SECONDS = 0.02
_INCREMENTAL = 2


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of the file, with its log, bytes."""

    before: int
    after: int
    #: It was of an older hactl, and written anew.
    rewritten: bool


def compact(path: Path) -> Compacted:
    """Make it as small as what it holds. Raises StoreError; a record that could not be made smaller is as it was."""
    reserve = Reserve(path)
    reserve.give_back_to_open()
    # Never makes a record, nor brings an older one up to date: a controller of that version may be using it.
    with contextlib.closing(open_reader(path)) as reader, translated(path):
        check_readable(reader)
    before = size_bytes(path)
    with contextlib.closing(open_writer(path)) as connection, translated(path):
        rewritten = _number(connection, "auto_vacuum") != _INCREMENTAL
        if rewritten:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL").close()
            with_room(reserve, _statement(connection, "VACUUM"))
        while (free := _number(connection, "freelist_count")) > 0:
            with_room(reserve, _statement(connection, f"PRAGMA incremental_vacuum({_SLICE})"))
            with_room(reserve, _statement(connection, "PRAGMA wal_checkpoint(PASSIVE)"))
            if _number(connection, "freelist_count") >= free:
                # Others need pages as fast as they are given back.
                break
            time.sleep(_TURN_SECONDS)
        with_room(reserve, _statement(connection, "PRAGMA wal_checkpoint(TRUNCATE)"))
    return Compacted(before, size_bytes(path), rewritten)


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _statement(connection: sqlite3.Connection, sql: str) -> Callable[[], object]:
    # incremental_vacuum is a row without columns for each page; `execute` stops at the first of them.
    return lambda: connection.executescript(sql).close()
