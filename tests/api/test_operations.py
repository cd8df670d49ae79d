"""Operations through the API: what people ask for, checked, made once, cancelled by deleting."""

from __future__ import annotations

from typing import Any

import pytest

from support.api.service import APPLY, CLUSTERS, MERGE, OPERATIONS, Asking, asking, document, taken


def operation(kind: str = "Pause", *, name: str = "", prefix: str = "", **spec: Any) -> dict[str, Any]:
    """What somebody posts."""
    metadata = {"name": name} if name else {"generateName": prefix} if prefix else {}
    body = {"type": kind, "cluster": "nas", **spec}
    return {"apiVersion": "hactl.dev/v1alpha1", "kind": "HAOperation", "metadata": metadata, "spec": body}


async def make(ada: Asking, *arguments: Any, **more: Any) -> Any:
    """Post one."""
    return await ada.ok("POST", OPERATIONS, operation(*arguments, **more))


async def test_an_operation_is_asked_for() -> None:
    """It is open, has its actor, and counts for its cluster; its name is given, generated, or made of its number."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        bob = ada.as_role("operator")
        made = await make(bob, "Switchover", group="files", node="nas-b", name="move")
        assert (made["status"]["state"], made["status"]["actor"]) == ("Open", "bob@there")
        assert (await make(bob, "Drain", node="nas-a"))["metadata"]["name"] == "drain-2"
        assert (await make(bob, prefix="quiet-"))["metadata"]["name"].startswith("quiet-")
        found = await ada.store.operations_in_force("nas")
        assert [each.kind for each in found] == ["Switchover", "Drain", "Pause"]


async def test_the_same_twice_is_a_conflict() -> None:
    """A second move of a group is 409 with the reason; a name that is taken is AlreadyExists."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        await make(ada, "Switchover", group="files", node="nas-b", name="a")
        told = await ada.refused(
            409, "POST", OPERATIONS, operation("Switchover", group="files", node="nas-a", name="b")
        )
        assert told["reason"] == "Conflict"
        assert (await ada.refused(409, "POST", OPERATIONS, operation(name="a")))["reason"] == "AlreadyExists"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"kind": "Switchover", "node": "nas-b"}, "spec.group"),
        ({"kind": "Switchover", "group": "fils", "node": "nas-b"}, "spec.group"),
        ({"kind": "Drain", "node": "nas-c"}, "spec.node"),
        ({"kind": "Resolve", "resource": "datum", "node": "nas-a"}, "spec.resource"),
        ({"kind": "Pause", "cluster": "nobody"}, "spec.cluster"),
        ({"kind": "Dance"}, "spec.type"),
        ({"kind": "Pause", "expiresAt": "soon"}, "spec.expiresAt"),
        ({"kind": "Pause", "colour": "red"}, "spec.colour"),
        ({"kind": "Pause", "reason": 5}, "spec.reason"),
    ],
)
async def test_what_makes_no_sense(spec: dict[str, Any], field: str) -> None:
    """What is missing, wrong, or about something the cluster does not have is named; nothing is asked."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        told = await ada.refused(422, "POST", OPERATIONS, operation(**spec))
        assert field in [cause["field"] for cause in told["details"]["causes"]]
        assert await ada.store.operations() == []


async def test_no_plan_is_approved_that_no_key_can_carry_out() -> None:
    """Every node's key only looks; one that may act is enough to ask."""
    async with asking() as ada:
        body = document()
        body["spec"]["mode"] = "Propose"
        for node in body["spec"]["nodes"]:
            node["ssh"]["access"] = "Observe"
        await ada.ok("POST", CLUSTERS, body)
        told = await ada.refused(422, "POST", OPERATIONS, operation("Approve", digest="0123456789ab"))
        assert "only look (ssh.access: Observe): do it by hand" in told["message"]
        body["spec"]["nodes"][0]["ssh"]["access"] = "Root"
        await ada.ok("PATCH", f"{CLUSTERS}/nas", {"spec": body["spec"]}, kind=MERGE)
        await make(ada, "Approve", digest="0123456789ab")


async def test_deleting_cancels() -> None:
    """The request is Cancelled and the object gone; a watch sees it."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        stream = await ada.watch(OPERATIONS)
        await make(ada, name="quiet")
        await ada.ok("DELETE", f"{OPERATIONS}/quiet")
        assert await taken(stream, 2) == [("ADDED", "quiet"), ("DELETED", "quiet")]
        [found] = await ada.store.operations()
        assert (found.state, found.message) == ("Cancelled", "deleted by ada@here")


async def test_what_is_asked_for_while_it_is_paused_says_what_it_waits_for() -> None:
    """Before and after the pause, for the whole fleet too; nothing is said any more once the pause is over."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        await ada.ok("POST", CLUSTERS, document("web"))
        await make(ada, name="quiet", reason="disk")
        waits = "it waits: nas is paused by ada@here: disk"
        made = await make(ada, "Switchover", group="files", node="nas-b", name="move")
        assert (made["status"]["state"], made["status"]["message"]) == ("Open", waits)
        assert {one["message"] for one in made["status"]["conditions"]} == {waits}
        elsewhere = await make(ada, "Drain", cluster="web", node="nas-a", name="other")
        assert "message" not in elsewhere["status"]
        stream = await ada.watch(OPERATIONS)
        assert [name for _, name in await taken(stream, 3)] == ["move", "other", "quiet"]
        await make(ada, name="fleet", cluster="")
        assert await taken(stream, 3) == [("ADDED", "fleet"), ("MODIFIED", "move"), ("MODIFIED", "other")]
        found = await ada.ok("GET", f"{OPERATIONS}/move")
        assert found["status"]["message"] == f"{waits}; the whole fleet is paused by ada@here"
        for name in ("quiet", "fleet"):
            await ada.ok("DELETE", f"{OPERATIONS}/{name}")
        for name in ("move", "other"):
            assert "message" not in (await ada.ok("GET", f"{OPERATIONS}/{name}"))["status"]


async def test_a_pause_of_a_part_holds_what_is_about_that_part() -> None:
    """Of a group or a node: what names another one, or none, is not said to wait for it."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        await make(ada, name="quiet", node="nas-b")
        made = await make(ada, "Switchover", group="files", node="nas-b", name="move")
        assert made["status"]["message"] == "it waits: node nas-b is paused by ada@here"
        assert "message" not in (await make(ada, "Drain", node="nas-a", name="other"))["status"]


async def test_what_is_asked_for_never_changes_but_its_labels_may() -> None:
    """Labels, annotations, finalizers and owners are kept; a changed spec is refused by its field."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        labelled = operation("Pause", name="a", expiresAt="2027-01-01T01:00:00+01:00")
        kept = {"labels": {"a": "b"}, "annotations": {"why": "disk"}, "ownerReferences": [{"name": "x", "uid": "1"}]}
        labelled["metadata"] |= kept
        made = await ada.ok("POST", OPERATIONS, labelled)
        assert {key: made["metadata"][key] for key in kept} == kept
        assert made["metadata"]["generation"] == 1
        put = await ada.ok("PUT", f"{OPERATIONS}/a", {**made, "spec": labelled["spec"]})
        assert put == made, "another spelling of a time is no change"
        changed = await ada.ok("PATCH", f"{OPERATIONS}/a", {"metadata": {"labels": {"a": "c"}}}, kind=MERGE)
        assert changed["metadata"]["labels"] == {"a": "c"}
        assert changed["status"]["state"] == "Open"
        told = await ada.refused(422, "PATCH", f"{OPERATIONS}/a", {"spec": {"reason": "other"}}, kind=MERGE)
        assert [cause["field"] for cause in told["details"]["causes"]] == ["spec.reason"]
        assert "never changes" in told["message"]
        status = await ada.ok("PATCH", f"{OPERATIONS}/a", {"status": {"state": "Done"}}, kind=MERGE)
        assert status["status"]["state"] == "Open", "only hactl says how it went"
        await ada.as_role("viewer").refused(403, "PATCH", f"{OPERATIONS}/a", {"metadata": {}}, kind=MERGE)


@pytest.mark.parametrize("named", ["by its file", "again by somebody else"])
async def test_applying_twice_asks_once(named: str) -> None:
    """kubectl apply --server-side of the same file: made once, then nothing changes; the fields have their owner."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        wanted = operation("Switchover", group="files", node="nas-b", name="move")
        wanted["metadata"]["labels"] = {"ticket": "17"}
        made = await ada.ok("PATCH", f"{OPERATIONS}/move", wanted, kind=APPLY, fieldManager="kubectl")
        assert (made["metadata"]["labels"], made["status"]["state"]) == ({"ticket": "17"}, "Open")
        manager = "kubectl" if named == "by its file" else "argo"
        again = await ada.ok("PATCH", f"{OPERATIONS}/move", wanted, kind=APPLY, fieldManager=manager)
        assert again["metadata"]["uid"] == made["metadata"]["uid"]
        managers = [each["manager"] for each in again["metadata"]["managedFields"]]
        assert sorted(managers) == sorted({manager, "kubectl"}), "in order of time, which has whole seconds"
        assert (again == made) is (manager == "kubectl")
        assert len(await ada.store.operations()) == 1
        wanted["spec"]["node"] = "nas-a"
        code = 422 if manager == "kubectl" else 409
        await ada.refused(code, "PATCH", f"{OPERATIONS}/move", wanted, kind=APPLY, fieldManager="kubectl")
        await ada.refused(409, "PATCH", f"{OPERATIONS}/move", wanted, kind=APPLY, fieldManager="third")


async def test_finalizers_hold_the_object_and_not_what_it_asks_for() -> None:
    """Deleting cancels at once; the object goes with its last finalizer."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        held = operation(name="a")
        held["metadata"]["finalizers"] = ["example.org/told"]
        await ada.ok("POST", OPERATIONS, held)
        await ada.ok("DELETE", f"{OPERATIONS}/a")
        [found] = await ada.store.operations()
        assert (found.state, found.message) == ("Cancelled", "deleted by ada@here")
        there = await ada.ok("GET", f"{OPERATIONS}/a")
        assert (there["status"]["state"], "deletionTimestamp" in there["metadata"]) == ("Cancelled", True)
        await ada.ok("PATCH", f"{OPERATIONS}/a", {"metadata": {"finalizers": None}}, kind=MERGE)
        await ada.refused(404, "GET", f"{OPERATIONS}/a")


async def test_deleting_a_collection_cancels_what_is_chosen() -> None:
    """By label; the rest stays open."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        for kind, name, more in (("Pause", "a", {}), ("Drain", "b", {"node": "nas-a"})):
            made = operation(kind, name=name, **more)
            made["metadata"]["labels"] = {"name": name}
            await ada.ok("POST", OPERATIONS, made)
        await ada.ok("DELETE", OPERATIONS, labelSelector="name=a")
        assert [(each.kind, each.state) for each in await ada.store.operations()] == [
            ("Pause", "Cancelled"),
            ("Drain", "Open"),
        ]


async def test_trying() -> None:
    """A dry run answers as if, and asks for nothing."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        tried = await ada.ok("POST", OPERATIONS, operation("Drain", node="nas-a"), dryRun="All")
        assert (tried["spec"]["node"], tried["status"]["state"]) == ("nas-a", "Open")
        assert await ada.store.operations() == []


async def test_who_asked_is_on_record_with_the_cluster() -> None:
    """The history of the cluster tells who made and who cancelled an operation."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        await make(ada.as_role("operator"), name="quiet")
        await ada.ok("DELETE", f"{OPERATIONS}/quiet")
        rows = await ada.store.history({"cluster": "nas", "kind": "RequestAccepted"})
        told = [(row["detail"]["actor"], row["detail"]["verb"], row["detail"]["resource"]) for row in rows]
        assert ("bob@there", "create", "haoperations") in told
        assert ("ada@here", "delete", "haoperations") in told
