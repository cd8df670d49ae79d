"""The record in one SQLite file, opened to be written or only read."""

from __future__ import annotations

import sys
from pathlib import Path

from hactl.adapters.clock import SystemClock
from hactl.adapters.record.sqlite.backend import SQLiteBackend, open_reading
from hactl.adapters.record.sqlite.reserve import Reserve
from hactl.adapters.record.sqlite.upgrade import migrate
from hactl.adapters.record.store import Store
from hactl.ports import Clock


async def open_record(
    path: Path,
    *,
    actor: str = "",
    command: str | None = None,
    clock: Clock | None = None,
    read_only: bool = False,
    reserve_bytes: int = 0,
) -> Store:
    """Open the record, making it when it is missing (not with `read_only`). It belongs to one event loop.

    `actor` and `command` say who this process is; default: its command line. `reserve_bytes`: room to keep on its disk
    for last words (`reserve`); 0: none. Raises StoreError.
    """
    if read_only:
        return await open_reading(path, clock=clock)
    backend = SQLiteBackend(path, clock or SystemClock(), Reserve(path, reserve_bytes) if reserve_bytes else None)
    try:
        await backend.begin_writing(actor, command or " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]), migrate)
    except BaseException:
        await backend.close()
        raise
    return Store(backend)
