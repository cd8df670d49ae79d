"""What every record must do for `Objects` and `Tokens` of `hactl.ports`: the same suite for SQLite and memory.

A test module derives a class from `ObjectsContract` and provides the fixtures `store` and `clock`, as in `store`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hactl.adapters.record import backend
from hactl.adapters.record.store import Store
from hactl.core.kube.codec import REFERENCES, status_view
from hactl.core.objects import HACluster
from hactl.core.operations import State
from hactl.errors import AlreadyExists, Busy, NoSuchObject, StaleRevision, StoreError, TooOld
from hactl.ports import API_ORIGIN, Document
from support.contracts.store import ManualClock, document, intent

SPEC = {
    "nodes": [{"name": "nas-a", "ssh": {"host": "192.0.2.11", "hostKey": "ssh-ed25519 AAAA"}}],
    "groups": [{"name": "files", "preferred": ["nas-a"]}],
}


def body(name: str = "nas", **metadata: Any) -> dict[str, Any]:
    """A cluster as somebody posts it."""
    return {
        "apiVersion": "hactl.dev/v1alpha1",
        "kind": "HACluster",
        "metadata": {"name": name, **metadata},
        "spec": SPEC,
    }


def lease(name: str = "leader", holder: str = "a") -> dict[str, Any]:
    """Another object of the API."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {"holderIdentity": holder},
    }


def labelled(found: Document, **labels: str) -> Document:
    """The same document with labels: they are not in its digest."""
    wire = found.cluster.model_dump(mode="json", by_alias=True, exclude_unset=True)
    wire["metadata"]["labels"] = labels
    return replace(found, cluster=HACluster.model_validate(wire), text=f"# {labels}\n")


async def only(store: Store, resource: str = "haclusters") -> dict[str, Any]:
    """The one object of a resource."""
    (found,) = (await store.objects(resource))[1]
    return dict(found)


async def create(store: Store, name: str = "nas", digest: str = "d1", **metadata: Any) -> Mapping[str, Any]:
    """A cluster made through the API."""
    made = document(name, digest)
    return await store.create_object("haclusters", body(name, **metadata), actor="token:ci", document=made)


async def told(store: Store, after: int = 0) -> list[tuple[str, str, str]]:
    """The log of changes, as (resource, name, type)."""
    return [(change.resource, change.name, change.type) for change in await store.changes_since(after)]


class ObjectsContract:
    """Objects of documents and operations, objects of the API, changes, revisions, tokens."""

    async def test_an_empty_record_has_no_objects(self, store: Store) -> None:
        """Revision 0, nothing to list, nothing changed."""
        assert await store.revision() == 0
        assert await store.objects("haclusters") == (0, [])
        assert list(await store.changes_since(0)) == []
        assert await store.event_rows() == (0, [])
        assert await store.origin("nas") is None
        assert await store.origins() == {}

    async def test_a_document_has_an_object(self, store: Store) -> None:
        """Whole, with what only the store knows; its resourceVersion is the revision it was written in."""
        await store.put_document(document(), actor="root", origin="/etc/hactl")
        found = await only(store)
        uid = found["metadata"].pop("uid")
        version = found["metadata"].pop("resourceVersion")
        assert found == body() | {
            "metadata": {
                "name": "nas",
                "namespace": "default",
                "generation": 1,
                "creationTimestamp": "2026-11-24T03:00:00Z",
            }
        }
        assert len(uid) == 36
        (change,) = await store.changes_since(0)
        assert (change.revision, change.resource, change.name, change.type) == (
            int(version),
            "haclusters",
            "nas",
            "ADDED",
        )
        assert change.body["metadata"]["uid"] == uid
        assert await store.origin("nas") == "/etc/hactl"
        assert await store.origins() == {"nas": "/etc/hactl"}

    async def test_every_write_takes_the_next_revision(self, store: Store) -> None:
        """Objects, events and steps share one sequence without gaps; a step takes one more when it ends."""
        await store.put_document(document(), actor="root")
        await store.put_status("nas", {"a": 1})
        step = await store.begin_step(intent())
        await store.end_step(step, outcome="Done", exit_status=0, output="", seconds=0)
        number = await store.open_operation({"kind": "Pause", "cluster": "nas", "actor": "root"})
        await store.end_operation(number, State.DONE, "")
        await store.create_object("leases", lease(), actor="root")
        revision, rows = await store.event_rows()
        changes = [change.revision for change in await store.changes_since(0)]
        taken = [row["revision"] for row in rows] + changes
        assert revision == await store.revision() == max(taken)
        assert len(taken) == len(set(taken))
        # The only number nobody has any more is the one the step had while it ran.
        assert set(range(1, revision + 1)) - set(taken) == {rows[1]["revision"] - 1}

    async def test_what_changes_nothing_takes_no_revision(self, store: Store) -> None:
        """The same document, a status of another age, an object as it is: the record stays as it was."""
        await store.put_document(document(), actor="root", origin="x")
        await store.put_status("nas", {"ready": True, "ageSeconds": 1})
        await store.create_object("leases", lease(), actor="root")
        before = await store.revision()
        await store.put_document(document(text="# other words\n"), actor="eve", origin="x")
        await store.put_document(document(), actor="eve")
        await store.put_status("nas", {"ready": True, "ageSeconds": 2})
        await store.unmanage("fw", why="gone")
        for resource, other in (("haclusters", document()), ("leases", None)):
            found = await only(store, resource)
            revision = int(found["metadata"]["resourceVersion"])
            kept = await store.update_object(resource, found, expected=revision, actor="eve", document=other)
            assert kept == found
        assert await store.revision() == before

    async def test_labels_change_the_object_and_not_the_generation(self, store: Store) -> None:
        """The same digest with other labels: one change, no event; what stays in force has the new text."""
        await store.put_document(document(), actor="root", origin="x")
        before, history = await only(store), await store.history({})
        assert await store.put_document(labelled(document(), site="b"), actor="root", origin="x") == 1
        after = await only(store)
        assert after["metadata"]["labels"] == {"site": "b"}
        assert after["metadata"]["generation"] == 1
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert int(after["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])
        assert await store.history({}) == history
        assert (await store.documents())[0]["text"] == "# {'site': 'b'}\n"
        await store.put_document(document(), actor="root", origin="x")
        assert "labels" not in (await only(store))["metadata"]

    async def test_another_place_changes_the_origin_and_not_the_generation(self, store: Store) -> None:
        """A file that was renamed, a source that has another name: known from then on; None keeps what is known."""
        await store.put_document(document(), actor="root")
        assert await store.origin("nas") == "files"
        before = await store.revision()
        moved = replace(document(), source="git/nas.yaml")
        assert await store.put_document(moved, actor="root", origin="git") == 1
        assert await store.origin("nas") == "git"
        assert (await store.documents())[0]["source"] == "git/nas.yaml"
        assert await store.revision() == before + 1
        assert await store.put_document(document(), actor="root") == 1
        assert (await store.documents())[0]["source"] == "git/nas.yaml"
        assert await store.put_document(document(digest="d2"), actor="root") == 2
        assert await store.origin("nas") == "git"

    async def test_where_a_generation_comes_from_is_kept(self, store: Store) -> None:
        """Commit, author and time of the source, as its word was when the document became a generation."""
        made = replace(document(), revision="abc", author="kim", revised_at="2026-11-24T02:00:00Z")
        await store.put_document(made, actor="controller", origin="git")
        await store.put_document(replace(made, revision="def"), actor="controller", origin="git")
        (row,) = await store.documents()
        assert (row["origin"], row["revision"], row["author"]) == ("git", "abc", "kim")
        assert row["revised_at"] == "2026-11-24T02:00:00Z"
        detail = (await store.history({}))[0]["detail"]
        assert detail == {"digest": "d1", "actor": "controller", "origin": "git", "revision": "abc", "author": "kim"}

    async def test_a_new_generation_keeps_status_and_finalizers(self, store: Store) -> None:
        """What the document does not say stays: status, uid, creation time, finalizers."""
        await store.put_document(document(), actor="root")
        await store.put_status("nas", {"a": 1})
        found = await only(store)
        guarded = found | {"metadata": {**found["metadata"], "finalizers": ["x/y"]}}
        revision = int(found["metadata"]["resourceVersion"])
        await store.update_object("haclusters", guarded, expected=revision, actor="root", document=document())
        await store.put_document(document(digest="d2"), actor="root")
        after = await only(store)
        assert after["metadata"]["generation"] == 2
        assert after["metadata"]["finalizers"] == ["x/y"]
        assert after["metadata"]["uid"] == found["metadata"]["uid"]
        assert after["status"]["a"] == 1

    async def test_a_status_becomes_the_objects(self, store: Store) -> None:
        """As `status_view` shows it, once; of a cluster without an object it is kept and nobody is told."""
        await store.put_document(document(), actor="root")
        before = await store.revision()
        storage = [{"status": "complete", "dirtyBytes": 0}]
        groups = [{"name": "files", "active": "nas-a", "storage": storage, "ageSeconds": 1}]
        status = {"name": "nas", "generation": 1, "groups": groups}
        await store.put_status("nas", status)
        assert (await only(store))["status"] == status_view(status)
        assert await told(store, before) == [("haclusters", "nas", "MODIFIED")]
        after = await store.revision()
        await store.put_status("fw", {"a": 1})
        assert await store.revision() == after
        assert len((await store.objects("haclusters"))[1]) == 1

    async def test_an_object_that_is_new_again_gets_its_status_again(self, store: Store) -> None:
        """Its document vanished and came back: another uid, no status, until the next one is put, even the same."""
        await store.put_document(document(), actor="root")
        await store.put_status("nas", {"a": 1})
        first = await only(store)
        await store.unmanage("nas", why="gone")
        assert (await store.objects("haclusters"))[1] == []
        assert await store.put_document(document(), actor="root") == 1
        again = await only(store)
        assert again["metadata"]["uid"] != first["metadata"]["uid"]
        assert "status" not in again
        assert await store.put_status("nas", {"a": 1})
        assert (await only(store))["status"]["a"] == 1
        types = [kind for _, _, kind in await told(store)]
        assert types == ["ADDED", "MODIFIED", "DELETED", "ADDED", "MODIFIED"]

    async def test_a_deleted_change_has_the_last_object_with_the_new_version(self, store: Store) -> None:
        """As Kubernetes tells it."""
        await store.put_document(document(), actor="root")
        last = await only(store)
        await store.unmanage("nas", why="gone")
        change = (await store.changes_since(0))[-1]
        assert change.type == "DELETED"
        assert change.body["metadata"]["resourceVersion"] == str(change.revision)
        assert change.body["spec"] == last["spec"]
        assert change.revision > int(last["metadata"]["resourceVersion"])

    async def test_a_cluster_is_made_through_the_api(self, store: Store) -> None:
        """Object, generation and event in one; what only the store may say is not taken from the body."""
        given = body(uid="mine", resourceVersion="77", generation=9, creationTimestamp="x", labels={"a": "b"})
        given["status"] = {"a": 1}
        made = await store.create_object("haclusters", given, actor="token:ci", document=document())
        assert made == await only(store)
        metadata = made["metadata"]
        assert (metadata["generation"], metadata["labels"], metadata["namespace"]) == (1, {"a": "b"}, "default")
        assert metadata["creationTimestamp"] == "2026-11-24T03:00:00Z"
        assert metadata["uid"] != "mine"
        assert int(metadata["resourceVersion"]) == await store.revision()
        assert "status" not in made
        assert await store.origin("nas") == API_ORIGIN
        assert [row["actor"] for row in await store.documents()] == ["token:ci"]
        assert [row["kind"] for row in await store.history({})] == ["DocumentAccepted"]
        assert await store.begin_step(intent()) > 0

    async def test_a_name_is_used_once(self, store: Store) -> None:
        """Through the API or from a source: AlreadyExists, and nothing was written."""
        await store.put_document(document(), actor="root", origin="x")
        await store.create_object("leases", lease(), actor="root")
        before = await store.revision()
        with pytest.raises(AlreadyExists, match="nas"):
            await create(store)
        with pytest.raises(AlreadyExists, match="leader"):
            await store.create_object("leases", lease(holder="b"), actor="root")
        assert await store.revision() == before
        assert await store.origin("nas") == "x"

    async def test_a_cluster_that_was_there_before_goes_on_counting(self, store: Store) -> None:
        """Made again after it was deleted: the next generation, or the same one for the same document."""
        await create(store)
        await store.delete_object("haclusters", "nas", actor="token:ci")
        assert (await create(store))["metadata"]["generation"] == 1
        await store.delete_object("haclusters", "nas", actor="token:ci")
        assert (await create(store, digest="d2"))["metadata"]["generation"] == 2

    async def test_an_update_needs_the_newest_revision(self, store: Store) -> None:
        """Somebody was faster: StaleRevision. Nobody of that name: NoSuchObject. Nothing was written."""
        first = await create(store)
        revision = int(first["metadata"]["resourceVersion"])
        await store.put_status("nas", {"a": 1})
        before = await store.revision()
        with pytest.raises(StaleRevision, match="nas"):
            await store.update_object("haclusters", body(), expected=revision, actor="a", document=document())
        with pytest.raises(StaleRevision, match="nas"):
            await store.delete_object("haclusters", "nas", actor="a", expected=revision)
        with pytest.raises(NoSuchObject, match="fw"):
            await store.update_object("haclusters", body("fw"), expected=1, actor="a", document=document("fw"))
        with pytest.raises(NoSuchObject, match="fw"):
            await store.delete_object("haclusters", "fw", actor="a")
        assert await store.revision() == before

    async def test_an_update_through_the_api(self, store: Store) -> None:
        """Another digest is another generation; else only the object changes. Status and identity are the store's."""
        first = await create(store)
        await store.put_status("nas", {"a": 1})
        found = await only(store)
        given = body(uid="mine", labels={"a": "b"}) | {"status": {"a": 2}}
        revision = int(found["metadata"]["resourceVersion"])
        second = await store.update_object("haclusters", given, expected=revision, actor="a", document=document())
        assert second == await only(store)
        assert (second["metadata"]["generation"], second["metadata"]["labels"]) == (1, {"a": "b"})
        assert second["metadata"]["uid"] == first["metadata"]["uid"]
        assert second["status"]["a"] == 1
        revision = int(second["metadata"]["resourceVersion"])
        third = await store.update_object(
            "haclusters", given, expected=revision, actor="a", document=document(digest="d2")
        )
        assert third["metadata"]["generation"] == 2
        assert await store.origin("nas") == API_ORIGIN
        assert [row["digest"] for row in await store.generations("nas")] == ["d1", "d2"]

    async def test_deleting_a_cluster_unmanages_it(self, store: Store) -> None:
        """No step any more, history stays, the object as it was last is given back."""
        made = await create(store)
        gone = await store.delete_object(
            "haclusters", "nas", actor="token:ci", expected=int(made["metadata"]["resourceVersion"])
        )
        assert gone["metadata"]["uid"] == made["metadata"]["uid"]
        assert (await store.objects("haclusters"))[1] == []
        assert list(await store.documents()) == []
        assert (await store.history({}))[-1]["summary"] == "unmanaged: deleted by token:ci; nothing is torn down"
        assert await store.origin("nas") is None
        with pytest.raises(Busy, match="not managed"):
            await store.begin_step(intent())

    async def test_the_controller_cannot_bring_back_what_the_api_changed(self, store: Store) -> None:
        """What it read from the API's objects is taken only while it is still the newest; else it must read again."""
        await create(store)
        before = await store.revision()
        assert await store.put_document(document(text="{}"), actor="controller", origin=API_ORIGIN) == 1
        assert await store.revision() == before
        found = await only(store)
        revision = int(found["metadata"]["resourceVersion"])
        await store.update_object("haclusters", found, expected=revision, actor="a", document=document(digest="d2"))
        with pytest.raises(StoreError, match="read again"):
            await store.put_document(document(), actor="controller", origin=API_ORIGIN)
        await store.unmanage("nas", why="gone", origin=API_ORIGIN)
        assert (await only(store))["metadata"]["generation"] == 2
        await store.delete_object("haclusters", "nas", actor="a")
        with pytest.raises(StoreError, match="read again"):
            await store.put_document(document(digest="d2"), actor="controller", origin=API_ORIGIN)
        assert (await store.objects("haclusters"))[1] == []

    async def test_a_source_does_not_take_over_what_the_api_made(self, store: Store) -> None:
        """Nor does a source remove what comes from another one."""
        await create(store)
        with pytest.raises(StoreError, match="made through the API"):
            await store.put_document(document(digest="d2"), actor="controller", origin="/etc/hactl")
        await store.unmanage("nas", why="gone", origin="/etc/hactl")
        assert await store.origin("nas") == API_ORIGIN
        await store.delete_object("haclusters", "nas", actor="a")
        assert await store.put_document(document(digest="d2"), actor="controller", origin="/etc/hactl") == 2
        await store.unmanage("nas", why="gone", origin="git")
        assert await store.origin("nas") == "/etc/hactl"
        await store.unmanage("nas", why="gone", origin="/etc/hactl")
        assert await store.origin("nas") is None

    async def test_what_a_command_handed_in_becomes_the_apis(self, store: Store) -> None:
        """When it is handed in again through the API by somebody on this machine; not what comes from a source."""
        handed = body(annotations={REFERENCES: "/srv/kim"})
        for name, origin, after in (("nas", None, API_ORIGIN), ("fw", "/etc/hactl", "/etc/hactl")):
            await store.put_document(document(name), actor="kim", origin=origin)
            (found,) = (await store.objects("haclusters", name))[1]
            revision = int(found["metadata"]["resourceVersion"])
            given = handed | {"metadata": {**handed["metadata"], "name": name}}
            await store.update_object("haclusters", given, expected=revision, actor="kim", document=document(name))
            assert await store.origin(name) == after

    async def test_a_cluster_comes_with_its_document(self, store: Store) -> None:
        """An object and a document of another name, or none, is our own mistake; operations are made otherwise."""
        for wrong in (None, document("fw")):
            with pytest.raises(ValueError, match="document"):
                await store.create_object("haclusters", body(), actor="a", document=wrong)
        with pytest.raises(ValueError, match="create_operation"):
            await store.create_object("haoperations", body("x"), actor="a")
        assert await store.revision() == 0

    async def test_objects_are_listed_by_name(self, store: Store) -> None:
        """All of a resource, or one; the revision is that of the read."""
        for name in ("web", "fw", "nas"):
            await store.put_document(document(name), actor="root")
        await store.create_object("leases", lease(), actor="root")
        revision, found = await store.objects("haclusters")
        assert [each["metadata"]["name"] for each in found] == ["fw", "nas", "web"]
        assert revision == await store.revision()
        assert [each["metadata"]["name"] for each in (await store.objects("haclusters", "nas"))[1]] == ["nas"]
        assert (await store.objects("haclusters", "none"))[1] == []
        assert len((await store.objects("leases"))[1]) == 1

    async def test_what_is_given_out_is_nobodys(self, store: Store) -> None:
        """Changing a body that was given, or given out, changes nothing in the record."""
        given = lease()
        made: Any = await store.create_object("leases", given, actor="root")
        for each in (given, made, await only(store, "leases"), (await store.changes_since(0))[0].body):
            each["spec"]["holderIdentity"] = "eve"
        assert (await only(store, "leases"))["spec"]["holderIdentity"] == "a"
        assert (await store.changes_since(0))[0].body["spec"]["holderIdentity"] == "a"

    async def test_other_objects_are_kept_as_given(self, store: Store) -> None:
        """Leases: no generation, no event; update, delete, and a status of their own."""
        made = await store.create_object("leases", lease() | {"status": {"x": 1}}, actor="root")
        assert "generation" not in made["metadata"]
        assert made["status"] == {"x": 1}
        revision = int(made["metadata"]["resourceVersion"])
        after = await store.update_object("leases", lease(holder="b"), expected=revision, actor="root")
        assert after["spec"] == {"holderIdentity": "b"}
        assert "status" not in after
        await store.delete_object("leases", "leader", actor="root")
        assert await told(store) == [("leases", "leader", kind) for kind in ("ADDED", "MODIFIED", "DELETED")]
        assert list(await store.history({})) == []

    async def test_an_operation_has_an_object(self, store: Store) -> None:
        """Whoever asked, under a name of its own; its end changes the object."""
        number = await store.open_operation({"kind": "Drain", "cluster": "nas", "actor": "root", "node": "nas-a"})
        named = await store.create_operation({"kind": "Pause", "cluster": "nas", "actor": "kim"}, name="tonight")
        found = (await store.objects("haoperations"))[1]
        assert [each["metadata"]["name"] for each in found] == [f"drain-{number}", "tonight"]
        assert found[1] == named
        assert found[0]["spec"] == {"type": "Drain", "cluster": "nas", "node": "nas-a"}
        assert found[0]["metadata"]["generation"] == 1
        assert (found[0]["status"]["state"], found[0]["status"]["number"]) == ("Open", number)
        assert await store.end_operation(number, State.DONE, "drained", seconds=2)
        assert not await store.end_operation(number, State.DONE, "drained", seconds=2)
        ended = (await store.objects("haoperations", f"drain-{number}"))[1][0]
        assert (ended["status"]["state"], ended["status"]["message"]) == ("Done", "drained")
        assert ended["metadata"]["uid"] == found[0]["metadata"]["uid"]

    async def test_what_is_asked_of_a_cluster_is_in_its_status(self, store: Store) -> None:
        """As long as it is open, of one cluster or of all; a cluster without a status is not touched."""

        async def asked() -> list[list[str]]:
            found = (await store.objects("haclusters"))[1]
            return [[each["type"] for each in one.get("status", {}).get("requests", ())] for one in found]

        for name in ("fw", "nas", "new"):
            await store.put_document(document(name), actor="root")
        for name in ("fw", "nas"):
            await store.put_status(name, {"a": 1})
        drain = {"kind": "Drain", "cluster": "nas", "actor": "root", "node": "nas-a"}
        number = await store.open_operation(drain)
        assert await asked() == [[], ["Drain"], []]
        pause = await store.create_operation({"kind": "Pause", "cluster": "", "actor": "kim"}, name="all")
        assert await asked() == [["Pause"], ["Drain", "Pause"], []]
        await store.put_status("fw", {"a": 2})
        assert (await asked())[0] == ["Pause"]
        await store.end_operation(number, State.DONE, "")
        assert await asked() == [["Pause"], ["Pause"], []]
        await store.delete_object("haoperations", "all", actor="kim")
        assert await asked() == [[], [], []]
        assert pause["metadata"]["name"] == "all"

    async def test_a_name_of_an_operation_is_used_once(self, store: Store) -> None:
        """AlreadyExists for one that was chosen; one that nobody chose avoids what is there."""
        pause = {"kind": "Pause", "cluster": "nas", "actor": "kim"}
        await store.create_operation(pause, name="pause-2")
        with pytest.raises(AlreadyExists, match="pause-2"):
            await store.create_operation(pause, name="pause-2")
        second = await store.create_operation(pause, name="")
        assert second["metadata"]["name"] == "pause-2-2"
        drain = {"kind": "Drain", "cluster": "nas", "actor": "root", "node": "nas-a"}
        await store.open_operation(drain)
        before = await store.revision()
        with pytest.raises(Busy, match="asked for already"):
            await store.create_operation(drain, name="mine")
        assert await store.revision() == before
        assert len(await store.operations()) == 3

    async def test_deleting_an_operation_cancels_it(self, store: Store) -> None:
        """An open one is Cancelled, one that is over only goes; the list of operations still has both."""
        drain = {"kind": "Drain", "cluster": "nas", "actor": "root", "node": "nas-a"}
        number = await store.open_operation(drain)
        gone = await store.delete_object("haoperations", f"drain-{number}", actor="kim")
        assert (gone["status"]["state"], gone["status"]["message"]) == ("Cancelled", "deleted by kim")
        assert (await store.operations())[0].state is State.CANCELLED
        assert (await store.history({}))[-1]["kind"] == "OperationEnded"
        assert (await store.objects("haoperations"))[1] == []
        assert not await store.end_operation(number, State.DONE, "")
        again = await store.open_operation(drain)
        await store.end_operation(again, State.DONE, "")
        await store.delete_object("haoperations", f"drain-{again}", actor="kim")
        assert [each.state for each in await store.operations()] == [State.CANCELLED, State.DONE]

    async def test_retention_takes_the_objects_of_old_operations_along(self, store: Store, clock: ManualClock) -> None:
        """And tells those who watch."""
        number = await store.open_operation({"kind": "Pause", "cluster": "nas", "actor": "kim"})
        await store.end_operation(number, State.CANCELLED, "")
        await store.open_operation({"kind": "Pause", "cluster": "nas", "actor": "kim"})
        clock.seconds = 10 * 86400
        before = await store.revision()
        await store.prune(keep_days=9)
        assert await told(store, before) == [("haoperations", f"pause-{number}", "DELETED")]
        assert len((await store.objects("haoperations"))[1]) == 1

    async def test_changes_are_told_from_any_revision_on(self, store: Store) -> None:
        """In order, in portions; from the newest one on there are none; one the record never had is TooOld."""
        for number in range(5):
            await store.create_object("leases", lease(f"l{number}"), actor="root")
        assert [change.revision for change in await store.changes_since(2)] == [3, 4, 5]
        assert [change.revision for change in await store.changes_since(0, limit=2)] == [1, 2]
        assert list(await store.changes_since(5)) == []
        with pytest.raises(TooOld, match="not of this record"):
            await store.changes_since(6)

    async def test_only_the_newest_changes_are_kept(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """At least 4096 (here: 128); what came before is TooOld, for everybody in the same way."""
        assert backend.CHANGES_KEPT == 4096
        monkeypatch.setattr(backend, "CHANGES_KEPT", 128)
        made = await store.create_object("leases", lease(), actor="root")
        for number in range(299):
            revision = int(made["metadata"]["resourceVersion"])
            made = await store.update_object("leases", lease(holder=str(number)), expected=revision, actor="root")
        newest = await store.revision()
        assert newest == 300
        assert len(await store.changes_since(newest - 128, limit=5000)) == 128
        with pytest.raises(TooOld, match="no longer kept"):
            await store.changes_since(0)
        with pytest.raises(TooOld, match="no longer kept"):
            await store.changes_since(newest - 128 - 64)

    async def test_large_changes_are_kept_for_a_shorter_time(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At most so many bytes of them (here: 30 of 200 with 1 KB), whatever their number."""
        monkeypatch.setattr(backend, "CHANGES_BYTES", 30_000)
        made = await store.create_object("leases", lease(), actor="root")
        for number in range(199):
            revision = int(made["metadata"]["resourceVersion"])
            changed = lease(holder=f"{number:01000}")
            made = await store.update_object("leases", changed, expected=revision, actor="root")
        newest = await store.revision()
        assert len(await store.changes_since(newest - 10)) == 10
        with pytest.raises(TooOld, match="no longer kept"):
            await store.changes_since(newest - 30 - 64)

    async def test_history_rows_by_revision(self, store: Store) -> None:
        """The newest ones, or what came after a revision; a step that ends comes again, later."""
        await store.put_document(document(), actor="root")
        step = await store.begin_step(intent())
        await store.record("NodeLost", "nas", "x")
        revision, rows = await store.event_rows()
        assert [row["kind"] for row in rows] == ["DocumentAccepted", "StepBegun", "NodeLost"]
        assert revision == rows[-1]["revision"]
        plain = [{key: value for key, value in row.items() if key != "revision"} for row in rows]
        assert plain == list(await store.history({}))
        assert [row["kind"] for row in (await store.event_rows(limit=1))[1]] == ["NodeLost"]
        await store.end_step(step, outcome="Done", exit_status=0, output="", seconds=0)
        after, rows = await store.event_rows(after=revision)
        assert [(row["kind"], row["id"]) for row in rows] == [("StepEnded", step)]
        assert after == rows[0]["revision"] == revision + 1
        assert [row["kind"] for row in (await store.event_rows(after=0, limit=2))[1]] == [
            "DocumentAccepted",
            "NodeLost",
        ]
        assert list((await store.event_rows(after=after))[1]) == []

    async def test_listeners_are_told_after_a_write(self, store: Store) -> None:
        """On the event loop, when what was written can be read; not for what wrote nothing, nor after the end."""
        calls: list[int] = []
        end = store.on_change(lambda: calls.append(1))
        twice = store.on_change(lambda: calls.append(2))
        await store.put_document(document(), actor="root")
        await asyncio.sleep(0)
        assert sorted(set(calls)) == [1, 2]
        twice()
        calls.clear()
        await store.put_document(document(), actor="root")
        await store.objects("haclusters")
        await asyncio.sleep(0)
        assert calls == []
        step = await store.begin_step(intent())
        await asyncio.sleep(0)
        assert calls == [1]
        end()
        end()
        await store.end_step(step, outcome="Done", exit_status=0, output="", seconds=0)
        await asyncio.sleep(0)
        assert calls == [1]

    async def test_our_own_writes_are_not_from_outside(self, store: Store) -> None:
        """Nobody else wrote."""
        await store.put_document(document(), actor="root")
        assert not await store.changed_outside()

    async def test_tokens_are_kept_as_digests(self, store: Store) -> None:
        """By name, with who made them and when; their coming and going is in the history, their digest is not."""
        until = datetime(2027, 1, 1, tzinfo=UTC)
        await store.create_token("ci", digest="a" * 64, role="editor", actor="root", expires_at=until)
        await store.create_token("bot", digest="b" * 64, role="viewer", actor="root", expires_at=None)
        with pytest.raises(AlreadyExists, match="ci"):
            await store.create_token("ci", digest="c" * 64, role="admin", actor="eve", expires_at=None)
        assert list(await store.tokens()) == [
            {
                "name": "bot",
                "digest": "b" * 64,
                "role": "viewer",
                "created_at": "2026-11-24T03:00:00.000Z",
                "created_by": "root",
                "expires_at": None,
                "last_used_at": None,
            },
            {
                "name": "ci",
                "digest": "a" * 64,
                "role": "editor",
                "created_at": "2026-11-24T03:00:00.000Z",
                "created_by": "root",
                "expires_at": "2027-01-01T00:00:00.000Z",
                "last_used_at": None,
            },
        ]
        await store.use_tokens({"ci": until, "nobody": until})
        assert [row["last_used_at"] for row in await store.tokens()] == [None, "2027-01-01T00:00:00.000Z"]
        assert await store.revoke_token("ci", actor="kim")
        assert not await store.revoke_token("ci", actor="kim")
        assert [row["name"] for row in await store.tokens()] == ["bot"]
        history = await store.history({})
        assert [row["kind"] for row in history] == ["TokenCreated", "TokenCreated", "TokenRevoked"]
        assert "aaaa" not in str(history)
        assert history[-1]["detail"] == {"name": "ci", "actor": "kim"}
        await store.create_token("ci", digest="a" * 64, role="editor", actor="root", expires_at=None)

    async def test_what_is_not_json_is_refused_whole(self, store: Store) -> None:
        """Not a number, or half a character: StoreError, and neither object nor document nor event is there."""
        for wrong in (float("nan"), object(), "\ud800"):
            with pytest.raises(StoreError, match="not JSON"):
                await store.create_object("leases", lease() | {"spec": {"x": wrong}}, actor="root")
            labels = {"x": wrong}
            with pytest.raises(StoreError, match="not JSON"):
                await create(store, labels=labels)
        assert await store.revision() == 0
        assert list(await store.documents()) == []

    async def test_many_writers_of_one_object(self, store: Store) -> None:
        """Of those who read the same revision one wins; every other is told, and what is stored is the winner's."""
        made = await store.create_object("leases", lease(), actor="root")
        revision = int(made["metadata"]["resourceVersion"])
        writes = [
            store.update_object("leases", lease(holder=f"h{number}"), expected=revision, actor="root")
            for number in range(20)
        ]
        results = await asyncio.gather(*writes, return_exceptions=True)
        won = [each for each in results if isinstance(each, dict)]
        assert len(won) == 1
        assert sum(isinstance(each, StaleRevision) for each in results) == 19
        assert await only(store, "leases") == won[0]

    async def test_a_closed_record_has_no_objects(self, store: Store) -> None:
        """StoreError for every question."""
        await store.close()
        for question in (store.revision(), store.objects("haclusters"), store.tokens(), store.changed_outside()):
            with pytest.raises(StoreError, match="closed"):
                await question

    async def test_an_expiring_operation_keeps_its_times(self, store: Store, clock: ManualClock) -> None:
        """What was asked for comes back in the object's spec."""
        until = clock.now() + timedelta(hours=1)
        made = await store.create_operation(
            {"kind": "Pause", "cluster": "nas", "actor": "kim", "reason": "disks", "expires_at": until}, name=""
        )
        assert made["spec"] == {
            "type": "Pause",
            "cluster": "nas",
            "reason": "disks",
            "expiresAt": "2026-11-24T04:00:00Z",
        }
