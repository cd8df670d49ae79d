"""What another controller tells through the API: statuses and events of the clusters that name it, and of no others."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from hactl.api.serving import _as_of_now
from hactl.core.kube.codec import moment_of
from support.api.service import APPLY, CLUSTERS, EVENTS, JSON_PATCH, MERGE, OPERATIONS, Asking, asking, document, taken

NAS, WEB = f"{CLUSTERS}/nas", f"{CLUSTERS}/web"
AT = "2026-11-24T10:00:00Z"


def status(ready: str = "True", **more: Any) -> dict[str, Any]:
    """As another hactl tells it."""
    condition = {"type": "Ready", "status": ready, "reason": "AsDesired", "message": "", "lastTransitionTime": AT}
    whole = {"nodes": [], "groups": [], "holds": [], "problems": [], "plan": {}, "failing": {}}
    return {"observedAt": AT, "observedGeneration": 1, **whole, "conditions": [condition], **more}


def event(name: str = "nas.1.2", cluster: str = "nas", **more: Any) -> dict[str, Any]:
    """An Event as another hactl posts it."""
    about = {"apiVersion": "hactl.dev/v1alpha1", "kind": "HACluster", "namespace": "default", "name": cluster}
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "default"},
        "involvedObject": about,
        "reason": "NodeLost", "message": "nas-b is silent", "type": "Warning", "firstTimestamp": AT,
        "lastTimestamp": AT, "count": 1, "source": {"component": "hactl", "host": "nas-b"}, **more,
    }  # fmt: skip


async def two_clusters(ada: Asking) -> Asking:
    """nas names the controller second, web names none; an editor."""
    given = document()
    given["spec"]["managedBy"] = "second"
    await ada.ok("POST", CLUSTERS, given)
    await ada.ok("POST", CLUSTERS, document("web"))
    return ada.as_role("editor", "token:second")


async def test_a_status_is_written_in_every_way_and_nothing_else_is() -> None:
    """Replace, merge patch, JSON patch, apply; its fields have their owner; generation, spec and history stay."""
    async with asking(managed_by="") as ada:
        bob = await two_clusters(ada)
        made = await ada.ok("GET", NAS)
        history = len(await ada.store.history({}))
        odd = {**made, "spec": {"mode": "Observe"}, "status": status("False")}
        put = await bob.ok("PUT", f"{NAS}/status", odd)
        assert put["status"] == status("False")
        assert (put["spec"], put["metadata"]["generation"]) == (made["spec"], 1)
        assert await ada.ok("GET", NAS) == put
        patched = await bob.ok(
            "PATCH", f"{NAS}/status", [{"op": "add", "path": "/status", "value": status("True")}], kind=JSON_PATCH
        )
        assert patched["status"] == status("True")
        merged = await bob.ok("PATCH", f"{NAS}/status", {"status": {"active": "nas-a"}}, kind=MERGE)
        assert merged["status"] == status("True", active="nas-a")
        again = await bob.ok("PATCH", f"{NAS}/status", {"status": {"active": "nas-a"}}, kind=MERGE)
        assert again == merged, "nothing differs, nothing is written"
        given = {"apiVersion": "hactl.dev/v1alpha1", "kind": "HACluster", "status": {"sync": "complete"}}
        applied = await bob.ok("PATCH", f"{NAS}/status", given, kind=APPLY, fieldManager="second")
        assert (applied["status"]["sync"], applied["status"]["active"]) == ("complete", "nas-a")
        owners = {
            (entry["manager"], entry["operation"]): sorted(entry["fieldsV1"]["f:status"])
            for entry in applied["metadata"]["managedFields"]
            if entry.get("subresource") == "status"
        }
        assert owners["second", "Apply"] == ["f:sync"]
        assert "f:active" in owners["tests", "Update"]
        assert len(await ada.store.history({})) == history, "a status is no history"
        tried = await bob.ok("PATCH", f"{NAS}/status", {"status": {"active": "x"}}, kind=MERGE, dryRun="All")
        assert tried["status"]["active"] == "x"
        assert (await ada.ok("GET", NAS))["status"]["active"] == "nas-a"


async def test_a_status_survives_a_newer_document_and_ends_with_its_cluster() -> None:
    """What the document changes is not what was seen; a watcher is told of both."""
    async with asking(managed_by="") as ada:
        bob = await two_clusters(ada)
        stream = await ada.watch(CLUSTERS, fieldSelector="metadata.name=nas")
        await bob.ok("PATCH", f"{NAS}/status", {"status": status()}, kind=MERGE)
        after = await bob.ok("PATCH", NAS, {"spec": {"mode": "Observe"}}, kind=MERGE)
        assert (after["metadata"]["generation"], after["status"]) == (2, status())
        await bob.ok("DELETE", NAS)
        assert [kind for kind, _ in await taken(stream, 4)] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
        await bob.refused(404, "PATCH", f"{NAS}/status", {"status": status()}, kind=MERGE)


async def test_who_may_tell_and_of_what() -> None:
    """An editor, of clusters that name another controller; on a record without one nobody."""
    async with asking(managed_by="") as ada:
        bob = await two_clusters(ada)
        for code, who, path in (
            (403, bob, WEB),
            (403, ada.as_role("viewer"), NAS),
            (403, ada.as_role("operator"), NAS),
        ):
            await who.refused(code, "PATCH", f"{path}/status", {"status": status()}, kind=MERGE)
        told = await bob.refused(403, "POST", EVENTS, event("web.1.2", "web"))
        assert "written by the controller here" in told["message"]
        await ada.as_role("operator").refused(403, "POST", EVENTS, event())
        await bob.refused(404, "POST", EVENTS, event("x.1.2", "nobody"))
        await bob.refused(404, "PATCH", f"{CLUSTERS}/nobody/status", {"status": status()}, kind=MERGE)
    async with asking() as ada:
        bob = await two_clusters(ada)
        await bob.refused(403, "PATCH", f"{NAS}/status", {"status": status()}, kind=MERGE)
    async with asking(managed_by="second") as ada:
        bob = await two_clusters(ada)
        await bob.refused(403, "PATCH", f"{NAS}/status", {"status": status()}, kind=MERGE)
        await bob.ok("PATCH", f"{WEB}/status", {"status": status()}, kind=MERGE)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (None, "status"),
        ([], "status"),
        ({}, "status.conditions"),
        (status(observedAt="soon"), "status.observedAt"),
        (status(observedAt=5), "status.observedAt"),
        (status("Perhaps"), "status.conditions[0].status"),
        (status(conditions=[{"type": "Ready", "status": "True"}]), "status.conditions[0].reason"),
        (status(conditions=["Ready"]), "status.conditions[0]"),
        (status(groups={}), "status.groups"),
        (status(groups=["files"]), "status.groups[0]"),
        (status(groups=[{"name": "files"}]), "status.groups[0].active"),
        (status(groups=[{"name": "files", "active": 5, "addresses": []}]), "status.groups[0].active"),
        (status(groups=[{"name": "files", "active": None, "addresses": []}]), "status.groups[0].storage"),
        (status(nodes=[None]), "status.nodes[0]"),
        (status(nodes=[{}]), "status.nodes[0].name"),
        (status(plan=None), "status.plan"),
    ],
)
async def test_a_status_that_is_none_is_refused(given: Any, field: str) -> None:
    """With its field; whoever reads one counts on what hactl always writes."""
    async with asking(managed_by="") as ada:
        bob = await two_clusters(ada)
        before = await ada.ok("GET", NAS)
        told = await bob.refused(422, "PUT", f"{NAS}/status", {**before, "status": given})
        assert field in [cause["field"] for cause in told["details"]["causes"]]
        assert await ada.ok("GET", NAS) == before


async def test_two_that_tell_at_once() -> None:
    """A replace names what it replaces; a patch is done again on the newest state."""
    async with asking(managed_by="") as ada:
        bob = await two_clusters(ada)
        before = await ada.ok("GET", NAS)
        await bob.refused(422, "PUT", f"{NAS}/status", {**document(), "status": status()})
        await bob.ok("PATCH", f"{NAS}/status", {"status": status()}, kind=MERGE)
        told = await bob.refused(409, "PUT", f"{NAS}/status", {**before, "status": status("False")})
        assert told["reason"] == "Conflict"
        stale = {"metadata": {"resourceVersion": before["metadata"]["resourceVersion"]}, "status": {"active": "x"}}
        await bob.refused(409, "PATCH", f"{NAS}/status", stale, kind=MERGE)
        await bob.refused(415, "PATCH", f"{NAS}/status", {}, kind="application/strategic-merge-patch+json")


async def test_events_of_another_controller_stand_among_the_others() -> None:
    """As they were told, once each; with the history, and for watchers."""
    async with asking(managed_by="") as ada:
        bob = await two_clusters(ada)
        stream = await ada.watch(EVENTS, fieldSelector="reason=NodeLost")
        made = await bob.ok("POST", EVENTS, event())
        assert made["metadata"]["name"] == "nas.1.2"
        assert int(made["metadata"]["resourceVersion"]) > 0
        same = ("reason", "message", "type", "firstTimestamp", "lastTimestamp", "source")
        assert {key: made[key] for key in same} == {key: event()[key] for key in same}
        uid = (await ada.ok("GET", NAS))["metadata"]["uid"]
        assert made["involvedObject"]["uid"] == uid
        assert (await bob.refused(409, "POST", EVENTS, event()))["reason"] == "AlreadyExists"
        assert await taken(stream, 1) == [("ADDED", "nas.1.2")]
        assert await ada.ok("GET", f"{EVENTS}/nas.1.2") == made
        [row] = await ada.store.history({"kind": "Told"})
        assert (row["cluster"], row["node"], row["summary"]) == ("nas", "nas-b", "nas-b is silent")
        generated = {**event(), "metadata": {"generateName": "nas-"}}
        named = await bob.ok("POST", EVENTS, generated, dryRun="All")
        assert await ada.names(EVENTS, fieldSelector="reason=NodeLost") == ["nas.1.2"], named


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"involvedObject": {"kind": "Pod", "name": "x"}}, "involvedObject"),
        ({"involvedObject": {"kind": "HACluster"}}, "involvedObject.name"),
        ({"reason": ""}, "reason"),
        ({"message": "x" * 5000}, "message"),
        ({"message": ["x"]}, "message"),
        ({"type": "Error"}, "type"),
        ({"firstTimestamp": "9999-12-31T23:59:59-23:59"}, "firstTimestamp"),
        ({"source": {"host": 5}}, "source"),
        ({"metadata": {"name": "nas.00000000000000a1"}}, "metadata.name"),
        ({"metadata": {}}, "metadata.name"),
    ],
)
async def test_an_event_that_is_none_is_refused(change: dict[str, Any], field: str) -> None:
    """With its field; nothing is kept of it."""
    async with asking(managed_by="") as ada:
        bob = await two_clusters(ada)
        told = await bob.refused(422, "POST", EVENTS, {**event(), **change})
        assert field in [cause["field"] for cause in told["details"]["causes"]]
        assert await ada.store.history({"kind": "Told"}) == []


async def test_what_is_asked_for_is_asked_where_it_is_heard() -> None:
    """An operation of a cluster that another controller looks after would never be begun here."""
    async with asking(managed_by="") as ada:
        await two_clusters(ada)
        pause = {"apiVersion": "hactl.dev/v1alpha1", "kind": "HAOperation", "metadata": {"name": "p"}}
        told = await ada.refused(422, "POST", OPERATIONS, {**pause, "spec": {"type": "Pause", "cluster": "nas"}})
        assert "the controller second looks after nas" in json.dumps(told)
        await ada.ok("POST", OPERATIONS, {**pause, "spec": {"type": "Pause", "cluster": "web"}})


def told_ago(seconds: float) -> Any:
    """A clock so long after the look that was told."""
    moment = moment_of(AT)
    assert moment is not None
    return SimpleNamespace(now=lambda: moment + timedelta(seconds=seconds))


async def test_what_was_told_long_ago_is_not_believed() -> None:
    """Past its age it is Unknown, and says who has told nothing since."""
    async with asking(managed_by="") as ada:
        bob = await two_clusters(ada)
        body = await bob.ok("PATCH", f"{NAS}/status", {"status": status()}, kind=MERGE)

        live: Any = SimpleNamespace(statuses={}, fresh_seconds=120.0)
        fresh: Any = _as_of_now(body, live, told_ago(100), "")
        assert fresh["status"]["conditions"][0]["status"] == "True"
        stale: Any = _as_of_now(body, live, told_ago(130), "")
        condition = stale["status"]["conditions"][0]
        assert (condition["status"], condition["reason"]) == ("Unknown", "Stale")
        assert "the controller second looks after it, and has told nothing since" in condition["message"]
