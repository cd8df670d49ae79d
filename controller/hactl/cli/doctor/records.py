"""The record and the sources: sound, private, with room left; readable as the controller would read them."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hactl.cli.doctor.finding import Finding, Level
from hactl.errors import HactlError

if TYPE_CHECKING:
    from hactl.cli.commands.controller.source_option import SourceOption

#: Free room below which somebody should look, and below which writing is about to fail, bytes.
LITTLE_BYTES, NONE_BYTES = 1024**3, 64 * 1024**2
_MIB = 1024**2


def record(path: Path, *, free_bytes: int | None = None) -> Iterator[Finding]:
    """How the record is. `free_bytes`: None: what its filesystem says."""
    from hactl.adapters.lock import ClusterLock, lock_directory
    from hactl.adapters.record.sqlite.copies import examine
    from hactl.adapters.record.sqlite.file import exposed

    if not path.exists():
        yield Finding(
            "warn", "record", str(path), "there is none yet", "hactl apply and hactl run make it; --state names another"
        )
        return
    for text in exposed(path):
        what, _, remedy = text.partition(": ")
        yield Finding("warn", "record", str(path), what, remedy)
    if not os.access(path, os.W_OK) or not os.access(path.absolute().parent, os.W_OK):
        yield Finding("fail", "record", str(path), "this user cannot write it", "run hactl as its owner")
    try:
        found = examine(path)
        for problem in found.problems:
            yield Finding("fail", "record", str(path), problem, "stop hactl; hactl record restore BACKUP")
        if not found.problems:
            rows = sum(each.rows for each in found.tables)
            yield Finding("ok", "record", str(path), f"sound: {found.size_bytes / _MIB:.1f} MiB, {rows} rows")
    except HactlError as error:
        yield Finding("fail", "record", str(path), str(error), "name the right file with --state")
    free = shutil.disk_usage(path.absolute().parent).free if free_bytes is None else free_bytes
    text = f"{free / _MIB:.0f} MiB are free on its filesystem"
    remedy = "" if free >= LITTLE_BYTES else "make room: without a record hactl does not act"
    level: Level = "ok" if free >= LITTLE_BYTES else "warn" if free >= NONE_BYTES else "fail"
    yield Finding(level, "record", "room", text, remedy)
    holder = ClusterLock(lock_directory(path)).controller_holder()
    if holder is None:
        yield Finding(
            "warn", "record", "controller", "none runs on this record", "hactl run --source ... keeps clusters"
        )
    else:
        yield Finding("ok", "record", "controller", f"runs: {holder}")


async def sources(options: Sequence[SourceOption], *, limit_seconds: float) -> list[Finding]:
    """Each source read once, all at the same time, none longer than the limit; nothing is kept of them."""
    return list(await asyncio.gather(*(_source(option, limit_seconds) for option in options)))


async def _source(option: SourceOption, limit_seconds: float) -> Finding:
    from hactl.adapters.clock import SystemClock
    from hactl.cli.commands.controller.source_option import make_source

    try:
        # Git fetches into a directory beside the record: this one is thrown away.
        with tempfile.TemporaryDirectory() as directory:
            state = Path(directory) / "hactl.db"
            source = make_source(option, SystemClock(), state=state, secrets=Path(directory))
            async with asyncio.timeout(limit_seconds):
                found = await source.read()
    except TimeoutError:
        return Finding(
            "fail", "source", option.label, f"no answer in {limit_seconds:.0f} s", "is it reachable from here?"
        )
    except HactlError as error:
        return Finding("fail", "source", option.label, str(error), "hactl run would keep what it read last")
    if found.down is not None:
        return Finding("fail", "source", option.label, str(found.down), "hactl run would keep what it read last")
    if found.problems:
        more = f" (and {len(found.problems) - 1} more)" if len(found.problems) > 1 else ""
        return Finding("fail", "source", option.label, f"{found.problems[0]}{more}", "hactl validate says all of it")
    return Finding("ok", "source", option.label, f"{len(found.documents)} documents")
