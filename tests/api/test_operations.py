"""Operations through the API: what people ask for, checked, made once, cancelled by deleting."""

from __future__ import annotations

from typing import Any

import pytest

from support.api.service import CLUSTERS, MERGE, OPERATIONS, Asking, asking, document, taken


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


async def test_an_operation_is_not_changed() -> None:
    """Update and patch are 405; labels are not kept, and the answer says so."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        labelled = operation(name="a")
        labelled["metadata"]["labels"] = {"a": "b"}
        response = await ada.ask("POST", OPERATIONS, labelled)
        assert (response.status, "labels" in response.headers["Warning"]) == (201, True)
        await ada.refused(405, "PUT", f"{OPERATIONS}/a", operation(name="a"))
        await ada.refused(405, "PATCH", f"{OPERATIONS}/a", {}, kind=MERGE)
        await ada.refused(405, "DELETE", OPERATIONS)


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
