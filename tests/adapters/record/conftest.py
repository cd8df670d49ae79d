"""A record in a file, and the clock it was made with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.store import Store
from support.contracts.store import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """Time as the test wants it."""
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the record is; the directory does not exist yet."""
    return tmp_path / "var" / "hactl.db"


@pytest.fixture
async def store(path: Path, clock: ManualClock) -> AsyncIterator[Store]:
    """A new record."""
    made = await open_record(path, clock=clock, actor="root", command="hactl apply")
    yield made
    await made.close()
