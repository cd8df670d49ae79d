"""What strangers cost: nothing in the record, a line a minute in the log."""

from __future__ import annotations

import logging

import pytest

from hactl.api.audit import REFUSALS_KEPT
from hactl.api.request.wire import anonymous
from support.api.service import CLUSTERS, LEASES, Asking, asking, lease
from support.contracts.store import ManualClock


async def test_strangers_leave_nothing_in_the_record(caplog: pytest.LogCaptureFixture) -> None:
    """Reads, writes, tokens, paths that are not there: a line with the first, and one with their number."""
    clock = ManualClock()
    caplog.set_level(logging.INFO, "hactl.api")
    async with asking(clock=clock) as ada:
        before = await ada.store.revision()
        nobody = Asking(ada.service, ada.store, None)
        nobody.identity = anonymous("192.0.2.7")
        for _ in range(50):
            for method, path in (("GET", CLUSTERS), ("POST", LEASES), ("DELETE", f"{LEASES}/a"), ("GET", "/apis"),
                                 ("GET", "/nosuch"), ("PUT", "/version")):  # fmt: skip
                assert (await nobody.ask(method, path)).status in (401, 405), path
        assert await ada.store.history({}) == []
        assert await ada.store.revision() == before
        assert [record.getMessage() for record in caplog.records] == ["a stranger was refused"]
        clock.seconds = 61.0
        ada.service.audit.flush()
    record = vars(caplog.records[-1])
    assert (record["address"], record["times"]) == ("192.0.2.7", 149)


async def test_who_is_refused_again_and_again_has_a_few_rows_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A broken client's refusals do not push out what people did; nobody else's are lost for it."""
    clock = ManualClock()
    async with asking(clock=clock) as ada:
        viewer, other = ada.as_role("viewer", "token:broken"), ada.as_role("viewer", "token:other")
        for _ in range(200):
            assert (await viewer.ask("POST", LEASES, lease("a"))).status == 403
        assert (await other.ask("POST", LEASES, lease("a"))).status == 403
        actors = [row["detail"]["actor"] for row in await ada.store.history({"kind": "RequestRefused"})]
        assert actors == ["token:broken"] * REFUSALS_KEPT + ["token:other"]
        clock.seconds = 61.0
        ada.service.audit.flush()
    assert [vars(record)["times"] for record in caplog.records] == [200 - REFUSALS_KEPT]


async def test_renewing_a_lease_is_no_history() -> None:
    """Its making and its end are; a holder renews it every few seconds for years."""
    async with asking() as ada:
        await ada.ok("POST", LEASES, lease("a"))
        for number in range(3):
            patch = {"spec": {"holderIdentity": f"holder {number}"}}
            await ada.ok("PATCH", f"{LEASES}/a", patch, kind="application/merge-patch+json")
        await ada.ok("DELETE", f"{LEASES}/a")
        verbs = [row["detail"]["verb"] for row in await ada.store.history({"kind": "RequestAccepted"})]
        assert verbs == ["create", "delete"]
