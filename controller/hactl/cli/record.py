"""The record as commands read it: where it is, and opening it without being able to change it.

Nothing of the wiring is imported here: `status` and `history` need no SSH and start at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hactl.errors import HactlError

if TYPE_CHECKING:
    from hactl.adapters.record.store import Store


def state_path(ctx: click.Context) -> Path:
    """The record's file: --state, else HACTL_STATE, else the default of this checkout or machine."""
    given: Path | None = ctx.obj["state"]
    if given is not None:
        return given
    named = os.environ.get("HACTL_STATE")
    if named:
        return Path(named)
    from hactl.adapters.record.sqlite.file import default_state_path

    return default_state_path()


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[Store]:
    """The record, read only. Raises StoreError; HactlError when there is none yet."""
    from hactl.adapters.record.sqlite.backend import open_reading

    if not await asyncio.to_thread(path.exists):
        raise HactlError(
            f"there is no record at {path} yet: `hactl apply` and `hactl run` make it; --state PATH names another"
        )
    store = await open_reading(path)
    try:
        yield store
    finally:
        await store.close()
