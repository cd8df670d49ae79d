"""Health, who is active, metrics and tokens: what machines ask that is not Kubernetes'."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hactl.api.identity import Authenticator, token_digest
from hactl.api.non_kubernetes.endpoints import Endpoints
from hactl.api.non_kubernetes.metrics import METRICS, Metrics
from hactl.api.request.paths import non_kubernetes
from hactl.api.request.wire import Identity, Request, Response
from hactl.api.workers import Lane
from hactl.core.evidence.view import View
from hactl.core.kube.errors import ApiError
from hactl.core.status.cluster import Origin, cluster_status
from hactl.core.status.freshness import FRESH_SECONDS
from hactl.core.steps import Plan
from hactl.errors import AlreadyExists, StoreError
from hactl.ports import SourceHealth
from support.contracts.store import START, ManualClock
from support.facts.builder import healthy_pair

ADMIN = Identity("carol@local", "admin", "unix")


class Record:
    """The part of the record that these paths ask."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.broken = ""

    async def revision(self) -> int:
        """As `Objects.revision`."""
        if self.broken:
            raise StoreError(self.broken)
        return 1

    async def tokens(self) -> Sequence[Mapping[str, Any]]:
        """As `Objects.tokens`."""
        return list(self.rows.values())

    async def create_token(self, name: str, *, digest: str, role: str, actor: str, expires_at: datetime | None) -> None:
        """As `Objects.create_token`."""
        if name in self.rows:
            raise AlreadyExists(name)
        until = None if expires_at is None else expires_at.isoformat()
        self.rows[name] = {
            "name": name, "digest": digest, "role": role, "created_at": "2026-11-24T03:00:00.000Z",
            "created_by": actor, "expires_at": until, "last_used_at": None,
        }  # fmt: skip

    async def revoke_token(self, name: str, *, actor: str) -> bool:
        """As `Objects.revoke_token`."""
        return self.rows.pop(name, None) is not None


class Place:
    """Endpoints on a cluster as it is at START."""

    def __init__(self) -> None:
        scene = healthy_pair()
        active: dict[str, str | None] = {group.name: "nas-a" for group in scene.cluster.groups}
        plan = Plan("nas", 1, (), (), active)
        status = cluster_status(View.at(scene.cluster, scene.snapshot, scene.now), plan, Origin("nas.yaml"), wall=START)
        self.statuses = {"nas": json.loads(json.dumps(status))}
        self.record, self.clock = Record(), ManualClock()
        self.authenticator = Authenticator(self.record, self.clock)  # type: ignore[arg-type]
        self.health = {"clusters": SourceHealth("", 2, 61.0), "git": SourceHealth("git: cannot be read", 0, None)}
        self.troubles: list[str] = []
        self.metrics = Metrics(
            lambda: self.statuses, lambda: 3, self.clock.now, sources=lambda: self.health, failed_writes=lambda: 5
        )
        self.nudged: list[str | None] = []
        self.endpoints = Endpoints(
            self.record, self.clock, lambda: self.statuses, self.metrics, self.authenticator,  # type: ignore[arg-type]
            self.nudged.append, self.changes, Lane("tests"), lambda: self.troubles,
        )  # fmt: skip

    async def changes(self, after: int | None) -> AsyncIterator[Mapping[str, Any]]:
        """One change after that revision."""
        yield {"revision": (after or 0) + 1}

    async def ask(self, path: str, method: str = "GET", body: object = None, **query: str) -> Response:
        """Ask as an administrator."""
        data = b"" if body is None else json.dumps(body).encode()
        return await self.endpoints.handle(Request(method, path, ADMIN, query, {}, data))

    async def text(self, path: str, **query: str) -> tuple[int, str]:
        """Status and text."""
        found = await self.ask(path, **query)
        assert found.raw is not None
        return found.status, found.raw.decode().strip()


async def test_a_load_balancer_is_told_who_is_active() -> None:
    """200 where traffic should go, 503 everywhere else."""
    place = Place()
    assert await place.text("/clusters/nas/active") == (200, "nas-a")
    assert await place.text("/clusters/nas/nodes/nas-a/role") == (200, "active")
    assert await place.text("/clusters/nas/nodes/nas-b/role", group="files") == (503, "standby")


async def test_what_is_not_known_is_not_yes() -> None:
    """Nobody active, groups apart, or a look that is too old."""
    place = Place()
    place.clock.seconds = FRESH_SECONDS + 1
    assert (await place.text("/clusters/nas/active"))[0] == 503
    assert await place.text("/clusters/nas/nodes/nas-a/role") == (503, "unknown")
    place.clock.seconds = 0.0
    groups = place.statuses["nas"]["groups"]
    groups.append({**groups[0], "name": "other", "active": "nas-b"})
    assert await place.text("/clusters/nas/active") == (503, "apart: nas-a, nas-b")
    assert await place.text("/clusters/nas/active", group="other") == (200, "nas-b")
    for group in groups:
        group["active"] = None
    assert await place.text("/clusters/nas/active") == (503, "nobody")
    assert await place.text("/clusters/nas/nodes/nas-a/role") == (503, "unknown")


@pytest.mark.parametrize(
    "path", ["/clusters/other/active", "/clusters/nas/nodes/nas-c/role", "/clusters", "/clusters/nas", "/tokens/a/b"]
)
async def test_what_there_is_not_is_404(path: str) -> None:
    """A typing error in a load balancer's configuration must show."""
    with pytest.raises(ApiError) as refused:
        await Place().ask(path)
    assert refused.value.code == 404


async def test_other_paths_are_somebody_elses() -> None:
    """Kubernetes' paths, for one."""
    place = Place()
    with pytest.raises(ApiError) as refused:
        await place.endpoints.handle(Request("GET", "/apis", ADMIN))
    assert refused.value.code == 404
    assert non_kubernetes("/apis/hactl.dev", "GET") is None
    assert non_kubernetes("/clusters/nas/active", "GET") == ("get", "clusters", "active")


async def test_ready_needs_the_record() -> None:
    """Without it nothing is done."""
    place = Place()
    assert await place.text("/readyz") == (200, "ok")
    place.record.broken = "the disk is full"
    status, text = await place.text("/readyz")
    assert status == 503
    assert text.splitlines() == ["not ready: the disk is full"]
    assert await place.text("/livez") == (200, "ok")


async def test_ready_needs_sources_that_can_be_read_and_a_record_that_can_be_written() -> None:
    """Every reason, one a line; being alive is another question."""
    place = Place()
    place.troubles = ["/nosuch: cannot be read: no such directory", "the record cannot be written: disk full"]
    status, text = await place.text("/readyz")
    assert status == 503
    assert text.splitlines() == [f"not ready: {each}" for each in place.troubles]
    assert await place.text("/livez") == (200, "ok")


async def test_metrics_past_the_age_of_a_status_say_unknown_and_not_where_things_were() -> None:
    """An alert on Ready that waits for False would never come."""
    place = Place()
    place.clock.seconds = FRESH_SECONDS + 1
    text = (await place.text("/metrics"))[1]
    assert 'hactl_condition{cluster="nas",status="Unknown",type="Ready"} 1.0' in text
    assert "hactl_group_active{" not in text
    assert "hactl_node_answers{" in text


async def test_metrics_are_what_the_documentation_says() -> None:
    """Every metric is named there, and every named one exists."""
    place = Place()
    place.metrics.passed("wait", 0.2)
    place.metrics.requested("get", "haclusters", 200)
    step = {"kind": "StepEnded", "cluster": "nas", "risk": "blip", "outcome": "Done"}
    moved = {"kind": "GroupMoved", "cluster": "nas", "detail": {"group": "files", "to": "nas-b", "seconds": 18.5}}
    for row in (step, step, moved):
        place.metrics.took_in(row)
    place.statuses["nas"]["holds"] = [{"reason": "Paused"}, {"reason": "Paused"}]
    families = {f.name: f for f in text_string_to_metric_families((await place.text("/metrics"))[1])}
    # A counter's family has no _total, its samples have.
    assert {name.removesuffix("_total") for name in METRICS} == set(families)
    samples = {
        (s.name, *sorted(s.labels.values())): s.value for family in families.values() for s in family.samples
    }  # fmt: skip
    assert samples["hactl_steps_total", "Done", "blip"] == 2
    assert samples["hactl_failover_seconds", "files", "nas"] == 18.5
    assert samples["hactl_holds", "Paused", "nas"] == 2
    assert samples["hactl_group_active", "files", "nas", "nas-a"] == 1
    ready = [s.value for s in families["hactl_condition"].samples if s.labels["type"] == "Ready"]
    assert sorted(ready) == [0, 0, 1]
    assert samples["hactl_queue_depth",] == 3
    assert samples["hactl_record_writes_failed_total",] == 5
    assert (samples["hactl_source_ready", "clusters"], samples["hactl_source_ready", "git"]) == (1, 0)
    assert (samples["hactl_documents_refused", "clusters"], samples["hactl_source_age_seconds", "clusters"]) == (2, 61)
    assert ("hactl_source_age_seconds", "git") not in samples
    roles = {s.labels["node"]: s.labels["role"] for s in families["hactl_hast_role"].samples}
    assert roles == {"nas-a": "primary", "nas-b": "secondary"}
    assert all(s.value >= 0 for s in families["hactl_observation_age_seconds"].samples)


async def test_an_unknown_reading_has_no_number() -> None:
    """A demotion that is not known is not 0."""
    place = Place()
    for node in place.statuses["nas"]["nodes"]:
        node["carpDemotion"] = None
    assert "hactl_carp_demotion{" not in (await place.text("/metrics"))[1]


async def test_a_token_is_shown_once_and_works_until_it_is_revoked() -> None:
    """Only its hash is kept."""
    place = Place()
    made = await place.ask("/tokens", "POST", {"name": "ci", "role": "editor"})
    assert made.status == 201
    token = made.body["token"]
    assert place.record.rows["ci"]["digest"] == token_digest(token)
    headers = {"authorization": f"Bearer {token}"}
    assert (await place.authenticator.of_request(headers, address="::1")).role == "editor"
    listed = await place.ask("/tokens")
    assert token not in json.dumps(listed.body)
    assert place.record.rows["ci"]["digest"] not in json.dumps(listed.body)
    assert [(each["name"], each["createdBy"]) for each in listed.body["items"]] == [("ci", "carol@local")]
    with pytest.raises(ApiError) as refused:
        await place.ask("/tokens", "POST", {"name": "ci", "role": "viewer"})
    assert refused.value.code == 409
    await place.ask("/tokens/ci", "DELETE")
    with pytest.raises(ApiError) as refused:
        await place.authenticator.of_request(headers, address="::1")
    assert refused.value.code == 401
    with pytest.raises(ApiError) as refused:
        await place.ask("/tokens/ci", "DELETE")
    assert refused.value.code == 404


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name", "role"]),
        ({"name": "CI!", "role": "root"}, ["name", "role"]),
        ({"name": "ci", "role": "viewer", "expires": "x"}, ["expires"]),
        ({"name": "ci", "role": "viewer", "expiresAt": "2020-01-01T00:00:00Z"}, ["expiresAt"]),
        ({"name": "ci", "role": "viewer", "expiresAt": "2027-01-01T00:00:00"}, ["expiresAt"]),
        ({"name": "ci", "role": "viewer", "expiresAt": 5}, ["expiresAt"]),
        ({"name": "ci", "role": ["viewer"]}, ["role"]),
    ],
)
async def test_a_bad_token_request_is_told_every_fault(body: object, fields: list[str]) -> None:
    """And nothing is made."""
    place = Place()
    with pytest.raises(ApiError) as refused:
        await place.ask("/tokens", "POST", body)
    assert refused.value.code == 422
    assert sorted(cause.field for cause in refused.value.details.causes) == sorted(fields)
    assert not place.record.rows


async def test_an_end_is_kept() -> None:
    """In UTC or with any other offset."""
    place = Place()
    end = (START + timedelta(days=1)).astimezone(UTC).isoformat()
    await place.ask("/tokens", "POST", {"name": "ci", "role": "viewer", "expiresAt": end})
    assert place.record.rows["ci"]["expires_at"] == end


async def test_a_nudge_reads_the_sources() -> None:
    """All of them, or one; only by POST, because a GET changes nothing."""
    place = Place()
    await place.ask("/nudge", "POST")
    await place.ask("/nudge", "POST", source="git")
    assert place.nudged == [None, "git"]
    with pytest.raises(ApiError) as refused:
        await place.ask("/nudge")
    assert refused.value.code == 405


async def test_the_stream_goes_on_where_it_was() -> None:
    """A browser sends Last-Event-ID by itself."""
    place = Place()
    request = Request("GET", "/stream", ADMIN, {}, {"last-event-id": "41"})
    found = await place.endpoints.handle(request)
    assert found is not None
    assert found.content_type == "text/event-stream"
    assert found.stream is not None
    assert [each["revision"] async for each in found.stream] == [42]
    with pytest.raises(ApiError):
        await place.endpoints.handle(Request("GET", "/stream", ADMIN, {"after": "x"}))
