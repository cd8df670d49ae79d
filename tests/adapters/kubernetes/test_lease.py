"""Leader election, in virtual time, against a lease that answers, refuses, hangs or is taken away."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from hactl.adapters.kubernetes.client import KubeError
from hactl.adapters.kubernetes.lease import DURATION_SECONDS, RENEW_SECONDS, Election
from support.toy_world import VirtualClock, play


class LeaseServer:
    """One lease, with resourceVersions."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.writes = 0

    def write(self, body: dict[str, Any], *, create: bool) -> dict[str, Any]:
        """As the API server does it."""
        known = self.lease["metadata"]["resourceVersion"] if self.lease else None
        if create != (self.lease is None) or body["metadata"].get("resourceVersion") != known:
            raise KubeError(409, "conflict")
        self.version += 1
        self.writes += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)

    @property
    def holder(self) -> str:
        """Who holds it."""
        return self.lease["spec"]["holderIdentity"] if self.lease else ""


class Client:
    """`KubeClient` as far as an election needs it."""

    def __init__(self, server: LeaseServer) -> None:
        self.server = server
        self.status = 0
        self.hangs = False

    async def namespace(self) -> str:
        """Of the context."""
        return "default"

    async def request(self, method, path, *, body=None, timeout_seconds=30.0, **rest):
        """One request, in no time, unless it hangs."""
        await asyncio.sleep(0.001)
        if self.hangs:
            await asyncio.sleep(timeout_seconds)
            raise KubeError(0, "no answer")
        if self.status:
            raise KubeError(self.status, "broken")
        if method == "GET":
            if self.server.lease is None:
                raise KubeError(404, "no such lease")
            return copy.deepcopy(self.server.lease)
        return self.server.write(body, create=method == "POST")


class Candidate:
    """A controller that wants to lead, and when it believed that it did."""

    def __init__(self, server: LeaseServer, name: str) -> None:
        self.client = Client(server)
        self.election = Election(self.client, VirtualClock(), identity=name)
        self.changes: list[tuple[float, bool]] = []
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Campaign."""
        self.task = asyncio.ensure_future(self.election.campaign(self._changed))

    async def stop(self) -> None:
        """End it as the controller does."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def kill(self) -> None:
        """It is frozen: nothing of it runs any more, and it cannot give anything back."""
        self.client.hangs = True

    def _changed(self) -> None:
        self.changes.append((VirtualClock().monotonic(), self.election.leads))


def test_one_of_two_leads_and_the_other_knows_who() -> None:
    """As long as it renews, for an hour."""

    async def story() -> None:
        server = LeaseServer()
        first, second = Candidate(server, "first"), Candidate(server, "second")
        first.start()
        await asyncio.sleep(1)
        second.start()
        for _ in range(360):
            await asyncio.sleep(10)
            assert (first.election.leads, second.election.leads) == (True, False)
        assert second.election.leader == "first"
        assert len(first.changes) == 1
        await first.stop()
        await second.stop()

    play(story)


def test_two_that_start_together_never_both_lead() -> None:
    """The resourceVersion decides."""

    async def story() -> None:
        server = LeaseServer()
        candidates = [Candidate(server, f"c{n}") for n in range(5)]
        for candidate in candidates:
            candidate.start()
        for _ in range(100):
            await asyncio.sleep(0.1)
            assert sum(candidate.election.leads for candidate in candidates) <= 1
        assert sum(candidate.election.leads for candidate in candidates) == 1
        for candidate in candidates:
            await candidate.stop()

    play(story)


def test_a_leader_that_stops_gives_the_lease_back() -> None:
    """The other one leads within seconds."""

    async def story() -> None:
        server = LeaseServer()
        first, second = Candidate(server, "first"), Candidate(server, "second")
        first.start()
        await asyncio.sleep(5)
        second.start()
        await asyncio.sleep(5)
        await first.stop()
        assert server.holder == ""
        assert not first.election.leads
        await asyncio.sleep(3)
        assert second.election.leads
        assert server.lease is not None
        assert server.lease["spec"]["leaseTransitions"] == 1
        await second.stop()

    play(story)


def test_a_leader_that_cannot_renew_stops_before_another_can_begin() -> None:
    """At no moment do two lead; the lapse is told when it comes, although a request hangs."""

    async def story() -> None:
        server = LeaseServer()
        first, second = Candidate(server, "first"), Candidate(server, "second")
        first.start()
        await asyncio.sleep(5)
        second.start()
        await asyncio.sleep(5)
        cut = VirtualClock().monotonic()
        first.kill()
        gap = False
        for _ in range(400):
            await asyncio.sleep(0.1)
            leads = (first.election.leads, second.election.leads)
            assert leads != (True, True)
            gap = gap or leads == (False, False)
        assert gap
        assert second.election.leads
        lost = next(at for at, leads in first.changes if not leads)
        won = next(at for at, leads in second.changes if leads)
        assert lost - cut <= RENEW_SECONDS
        assert DURATION_SECONDS - 4 <= won - cut <= DURATION_SECONDS + 5
        await first.stop()
        await second.stop()

    play(story)


def test_the_lead_ends_by_the_clock_even_if_nothing_of_the_process_ran() -> None:
    """A frozen process that wakes asks the clock first."""

    async def story() -> None:
        server = LeaseServer()
        one = Candidate(server, "one")
        one.start()
        await asyncio.sleep(1)
        assert one.election.leads
        asyncio.get_running_loop().jump(RENEW_SECONDS + 1)  # type: ignore[attr-defined]
        assert not one.election.leads
        await one.stop()

    play(story)


def test_a_short_outage_of_the_server_costs_nothing() -> None:
    """The lease is still ours for some seconds."""

    async def story() -> None:
        server = LeaseServer()
        one = Candidate(server, "one")
        one.start()
        await asyncio.sleep(5)
        one.client.status = 500
        await asyncio.sleep(6)
        one.client.status = 0
        await asyncio.sleep(20)
        assert one.election.leads
        assert len(one.changes) == 1
        await one.stop()

    play(story)


def test_a_lease_that_somebody_took_is_lost_at_once() -> None:
    """Whoever wrote it over: we believe the server."""

    async def story() -> None:
        server = LeaseServer()
        one = Candidate(server, "one")
        one.start()
        await asyncio.sleep(5)
        assert server.lease is not None
        server.lease["spec"] |= {"holderIdentity": "thief", "renewTime": "2026-11-24T00:00:00Z"}
        await asyncio.sleep(2.1)
        assert not one.election.leads
        assert one.election.leader == "thief"
        await one.stop()
        assert server.holder == "thief"

    play(story)


def test_without_permission_for_leases_nobody_leads() -> None:
    """403 is not taken for a lease of ours."""

    async def story() -> None:
        one = Candidate(LeaseServer(), "one")
        one.client.status = 403
        one.start()
        await asyncio.sleep(60)
        assert not one.election.leads
        assert one.changes == []
        await one.stop()

    play(story)
