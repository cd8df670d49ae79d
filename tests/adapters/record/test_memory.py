"""The record in memory passes the contract of the record."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hactl.adapters.record.memory import memory_record
from hactl.adapters.record.store import Store
from support.contracts.objects import ObjectsContract
from support.contracts.store import ManualClock, StoreContract, document, intent


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[Store]:
    """An empty record."""
    made = memory_record(clock=clock)
    yield made
    await made.close()


class TestMemoryStoreContract(StoreContract):
    """The contract, in memory."""


class TestMemoryObjectsContract(ObjectsContract):
    """The API's side of the contract, in memory."""


async def test_an_unchanged_pass_counts_no_write(store: Store) -> None:
    """Tests elsewhere rely on `writes` to see whether a pass wrote anything."""
    await store.put_document(document(), actor="root")
    await store.put_status("nas", {"ageSeconds": 1, "ready": True})
    before = store.backend.tables.writes
    await store.put_document(document(), actor="root")
    await store.put_status("nas", {"ageSeconds": 2, "ready": True})
    await store.unmanage("fw", why="gone")
    await store.history({})
    await store.prune(keep_days=1)
    assert store.backend.tables.writes == before
    await store.begin_step(intent())
    assert store.backend.tables.writes == before + 1
