"""Writing through the API: what is stored, what is refused and how, what is tried without being kept."""

from __future__ import annotations

from typing import Any

import pytest

from hactl.adapters.clock import SystemClock
from hactl.adapters.record.memory import MemoryBackend
from hactl.adapters.record.store import Store
from hactl.adapters.yaml.documents import digest
from hactl.core.objects import HACluster
from hactl.errors import StaleRevision
from hactl.ports import FILES_ORIGIN, Document
from support.api.service import APPLY, CLUSTERS, JSON_PATCH, LEASES, MERGE, STRATEGIC, Asking, asking, document, lease

NAS = f"{CLUSTERS}/nas"


async def test_a_created_cluster_is_in_force() -> None:
    """It has what the store adds, and its document is a generation of the record, with the references' directory."""
    async with asking() as ada:
        made = await ada.ok("POST", CLUSTERS, document(labels={"a": "b"}))
        metadata = made["metadata"]
        assert (metadata["generation"], metadata["namespace"], metadata["labels"]) == (1, "default", {"a": "b"})
        assert {"uid", "resourceVersion", "creationTimestamp", "managedFields"} <= metadata.keys()
        [row] = await ada.store.documents()
        assert (row["cluster"], row["generation"], row["actor"]) == ("nas", 1, "ada@here")
        assert row["directory"] == "/var/db/hactl/secrets"
        kinds = [row["kind"] for row in await ada.store.history({})]
        assert kinds == ["DocumentAccepted", "RequestAccepted"]


async def test_the_same_name_twice() -> None:
    """A second one of that name is 409 AlreadyExists, also in a dry run."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        for query in ({}, {"dryRun": "All"}):
            told = await ada.refused(409, "POST", CLUSTERS, document(), **query)
            assert told["reason"] == "AlreadyExists"


async def test_generated_names() -> None:
    """generateName makes names that differ; neither name nor generateName is 422."""
    async with asking() as ada:
        made = [await ada.ok("POST", LEASES, {**lease("x"), "metadata": {"generateName": "l-"}}) for _ in range(2)]
        names = {each["metadata"]["name"] for each in made}
        assert len(names) == 2
        assert all(name.startswith("l-") and len(name) == 7 for name in names)
        await ada.refused(422, "POST", LEASES, {**lease("x"), "metadata": {}})


async def test_what_validate_refuses_is_refused() -> None:
    """Every fault at once, with its field path as a cause; nothing is stored, the refusal is on record."""
    async with asking() as ada:
        wrong = document()
        wrong["spec"]["mod"] = "Apply"
        wrong["spec"]["groups"][0]["virtualIPs"][0]["vhid"] = 800
        wrong["spec"]["groups"][0]["preferred"] = ["nas-a", "nas-c"]
        told = await ada.refused(422, "POST", CLUSTERS, wrong, fieldValidation="Ignore")
        fields = [cause["field"] for cause in told["details"]["causes"]]
        assert "spec.mod" in fields
        assert "spec.groups[0].virtualIPs[0].vhid" in fields
        assert any(field.startswith("spec.groups[0].preferred") for field in fields)
        assert await ada.names(CLUSTERS) == []
        assert [row["kind"] for row in await ada.store.history({})] == ["RequestRefused"]


@pytest.mark.parametrize(
    ("field", "reference"),
    [("file", "/etc/master.passwd"), ("file", "../../etc/passwd"), ("file", "~/x"), ("env", "HOME")],
)
async def test_references_stay_below_the_secrets(field: str, reference: str) -> None:
    """A document that comes through the API cannot name any file or variable of the controller."""
    async with asking() as ada:
        wrong = document()
        wrong["spec"]["groups"][0]["virtualIPs"][0]["passwordFrom"] = {field: reference}
        told = await ada.refused(422, "POST", CLUSTERS, wrong)
        [cause] = told["details"]["causes"]
        assert cause["field"] == f"spec.groups[0].virtualIPs[0].passwordFrom.{field}"


async def test_update_names_what_it_replaces() -> None:
    """Without a version 422, with an old one 409, with another uid 409; with the right one it is stored."""
    async with asking() as ada:
        first = await ada.ok("POST", CLUSTERS, document())
        changed = {**first, "spec": {**first["spec"], "mode": "Observe"}}
        bare = {**changed, "metadata": {"name": "nas"}}
        told = await ada.refused(422, "PUT", NAS, bare)
        assert "must be specified for an update" in told["message"]
        second = await ada.ok("PUT", NAS, changed)
        assert (second["spec"]["mode"], second["metadata"]["generation"]) == ("Observe", 2)
        told = await ada.refused(409, "PUT", NAS, changed)
        assert told["reason"] == "Conflict"
        await ada.refused(409, "PUT", NAS, {**second, "metadata": {**second["metadata"], "uid": "other"}})
        await ada.refused(
            404, "PUT", f"{CLUSTERS}/other", {**second, "metadata": {**second["metadata"], "name": "other"}}
        )
        await ada.refused(400, "PUT", f"{CLUSTERS}/other", second)


async def test_nothing_differs_nothing_is_written() -> None:
    """The same again, by update, patch or apply, gives the same resourceVersion and no event."""
    async with asking() as ada:
        first = await ada.ok("PATCH", NAS, document(), kind=APPLY, fieldManager="me")
        before = len(await ada.store.history({}))
        for again in (
            await ada.ok("PUT", NAS, first, fieldManager="me"),
            await ada.ok("PATCH", NAS, {"spec": {"mode": "Apply"}}, kind=MERGE),
            await ada.ok("PATCH", NAS, document(), kind=APPLY, fieldManager="me"),
        ):
            assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        assert len(await ada.store.history({})) == before


async def test_labels_change_the_object_and_not_the_generation() -> None:
    """A label gives a new resourceVersion; the generation counts what is wanted only."""
    async with asking() as ada:
        first = await ada.ok("POST", CLUSTERS, document())
        second = await ada.ok("PATCH", NAS, {"metadata": {"labels": {"a": "b"}}}, kind=MERGE)
        assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
        assert second["metadata"]["generation"] == 1


async def test_patches() -> None:
    """Merge and JSON patches change what they say; a failing test is 422; strategic merge is 415."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        merged = await ada.ok("PATCH", NAS, {"metadata": {"annotations": {"x": "1"}}}, kind=MERGE)
        assert merged["metadata"]["annotations"] == {"x": "1"}
        operations = [{"op": "replace", "path": "/spec/groups/0/virtualIPs/0/advbase", "value": 3}]
        patched = await ada.ok("PATCH", NAS, operations, kind=JSON_PATCH)
        assert patched["spec"]["groups"][0]["virtualIPs"][0]["advbase"] == 3
        await ada.refused(422, "PATCH", NAS, [{"op": "test", "path": "/spec/mode", "value": "x"}], kind=JSON_PATCH)
        await ada.refused(415, "PATCH", NAS, {}, kind="application/strategic-merge-patch+json")
        await ada.refused(404, "PATCH", f"{CLUSTERS}/other", {}, kind=MERGE)


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"metadata": {"resourceVersion": "1"}}, 409),
        ({"metadata": {"resourceVersion": "x"}}, 400),
        ({"metadata": {"name": "other"}}, 400),
        ({"metadata": {"namespace": "other"}}, 400),
        ({"metadata": {"uid": "other"}}, 409),
        ({"metadata": "x"}, 400),
        ({"metadata": {"labels": {"a": 1}}}, 422),
        ({"metadata": {"owner": "me"}}, 422),
        ({"kind": "Pod"}, 422),
        ({"spec": None}, 422),
        ({"spec": {"mode": None}}, 200),
        ("x", 400),
        ([], 400),
        ({"status": {"active": "x"}}, 200),
        ({"metadata": {"generation": 77, "creationTimestamp": None}}, 200),
    ],
)
async def test_odd_merge_patches(patch: Any, code: int) -> None:
    """What a patch may not change is refused or has no effect; never an error of ours."""
    async with asking() as ada:
        first = await ada.ok("POST", CLUSTERS, document())
        response = await ada.ask("PATCH", NAS, patch, kind=MERGE)
        assert response.status == code, response.body
        now = await ada.ok("GET", NAS)
        for key in ("uid", "creationTimestamp", "name", "namespace"):
            assert now["metadata"][key] == first["metadata"][key]
        assert "status" not in now


async def test_dry_runs_keep_nothing() -> None:
    """Create, update, patch, apply and delete with dryRun=All answer as they would, and change nothing."""
    async with asking() as ada:
        tried = await ada.ok("POST", CLUSTERS, document(), dryRun="All")
        assert {"uid", "creationTimestamp"} <= tried["metadata"].keys()
        assert await ada.names(CLUSTERS) == []
        await ada.ok("PATCH", NAS, document(), kind=APPLY, fieldManager="me", dryRun="All")
        assert await ada.names(CLUSTERS) == []
        first = await ada.ok("POST", CLUSTERS, document())
        tried = await ada.ok("PATCH", NAS, {"spec": {"mode": "Observe"}}, kind=MERGE, dryRun="All")
        assert (tried["spec"]["mode"], tried["metadata"]["generation"]) == ("Observe", 2)
        await ada.ok("DELETE", NAS, dryRun="All")
        assert await ada.ok("GET", NAS) == first
        await ada.refused(400, "DELETE", NAS, dryRun="Some")


async def test_deleting() -> None:
    """A deletion is Success with the uid; preconditions are looked at; the cluster is no longer managed."""
    async with asking() as ada:
        made = await ada.ok("POST", CLUSTERS, document())
        await ada.refused(409, "DELETE", NAS, {"preconditions": {"uid": "other"}})
        await ada.refused(409, "DELETE", NAS, {"preconditions": {"resourceVersion": "1"}})
        await ada.refused(400, "DELETE", NAS, {"propagationPolicy": "Sideways"})
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
        done = await ada.ok("DELETE", NAS, body)
        assert (done["status"], done["details"]["uid"]) == ("Success", made["metadata"]["uid"])
        assert await ada.store.documents() == []
        await ada.refused(404, "DELETE", NAS)


async def test_finalizers_hold_a_deletion() -> None:
    """It is marked, no finalizer can be added, and it goes when the last one is taken away."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document(finalizers=["example.org/wait"]))
        marked = await ada.ok("DELETE", NAS)
        assert marked["metadata"]["deletionTimestamp"]
        again = await ada.ok("DELETE", NAS)
        assert again["metadata"]["resourceVersion"] == marked["metadata"]["resourceVersion"]
        more = {"metadata": {"finalizers": ["example.org/wait", "example.org/more"]}}
        await ada.refused(422, "PATCH", NAS, more, kind=MERGE)
        await ada.ok("PATCH", NAS, {"metadata": {"finalizers": None}}, kind=MERGE)
        await ada.refused(404, "GET", NAS)
        assert await ada.store.documents() == []


async def test_deleting_a_selection() -> None:
    """Every selected object goes, the others stay."""
    async with asking() as ada:
        for name in "abc":
            await ada.ok("POST", CLUSTERS, document(name, labels={"keep": str(name == "b").lower()}))
        done = await ada.ok("DELETE", CLUSTERS, labelSelector="keep=false")
        assert [item["metadata"]["name"] for item in done["items"]] == ["a", "c"]
        assert await ada.names(CLUSTERS) == ["b"]


async def test_what_another_source_keeps_is_read_only() -> None:
    """Every write to a cluster of a directory is refused, says where to change it, and changes nothing."""
    async with asking() as ada:
        cluster = HACluster.model_validate(document())
        kept = Document(cluster, "clusters/nas.yaml", "/clusters", digest(cluster), "")
        await ada.store.put_document(kept, actor="controller", origin="clusters")
        before = await ada.ok("GET", NAS)
        for method, body, kind in (
            ("PUT", {**before, "spec": {**before["spec"], "mode": "Observe"}}, ""),
            ("PATCH", {"metadata": {"labels": {"a": "b"}}}, MERGE),
            ("DELETE", None, ""),
        ):
            told = await ada.refused(403, method, NAS, body, kind=kind)
            assert "kept by the source clusters" in told["message"]
        await ada.refused(403, "DELETE", CLUSTERS)
        assert await ada.ok("GET", NAS) == before


@pytest.mark.parametrize(
    ("origin", "told"),
    [("clusters", "kept by the source clusters; write metadata."), (FILES_ORIGIN, "; write metadata.")],
)
async def test_who_labels_what_another_source_keeps_is_told_where(origin: str, told: str) -> None:
    """Labels and annotations are a part of the document; the refusal names the fields and the place."""
    async with asking() as ada:
        bob = Asking(ada.service, ada.store, "editor", "bob@there")
        cluster = HACluster.model_validate(document())
        kept = Document(cluster, "clusters/nas.yaml", "/clusters", digest(cluster), "")
        await ada.store.put_document(kept, actor="controller", origin=origin)
        for field in ("labels", "annotations"):
            refused = await bob.refused(403, "PATCH", NAS, {"metadata": {field: {"a": "b"}}}, kind=MERGE)
            assert f"{told}{field} in its document" in refused["message"]
        both = {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}
        refused = await bob.refused(403, "PATCH", NAS, both, kind=MERGE)
        assert "write metadata.labels and metadata.annotations in its document" in refused["message"]
        refused = await bob.refused(403, "PATCH", NAS, {**both, "spec": {"mode": "Observe"}}, kind=MERGE)
        assert "metadata.labels" not in refused["message"]


async def test_the_status_is_ours() -> None:
    """It can be read as a subresource; writing it is 405."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        assert (await ada.ok("GET", f"{NAS}/status"))["metadata"]["name"] == "nas"
        await ada.refused(405, "PATCH", f"{NAS}/status", {"status": {}}, kind=MERGE)


async def test_leases_follow_field_validation() -> None:
    """Unknown fields of a lease: Strict refuses, Warn warns and drops, Ignore drops. Wrong values are 422."""
    async with asking() as ada:
        odd = lease("a")
        odd["spec"]["colour"] = "red"
        await ada.refused(400, "POST", LEASES, odd, fieldValidation="Strict")
        response = await ada.ask("POST", LEASES, odd, fieldValidation="Warn")
        assert response.headers["Warning"] == '299 - "unknown field \\"spec.colour\\""'
        assert "colour" not in response.body["spec"]
        quiet = await ada.ask("PUT", f"{LEASES}/a", {**response.body, "more": 1}, fieldValidation="Ignore")
        assert (quiet.status, dict(quiet.headers)) == (200, {})
        for field, value in (("leaseDurationSeconds", 0), ("renewTime", "soon"), ("holderIdentity", 5)):
            wrong = {"spec": {field: value}}
            told = await ada.refused(422, "PATCH", f"{LEASES}/a", wrong, kind=MERGE)
            assert told["details"]["causes"][0]["field"] == f"spec.{field}"


async def test_strategic_merge_is_for_what_kubernetes_has() -> None:
    """kubectl sends it for a Lease; for custom resources it is 415 with the types there are, as from Kubernetes."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        await ada.ok("POST", LEASES, lease("l", finalizers=["x/1"]))
        patch = {"metadata": {"finalizers": ["x/2"]}, "spec": {"holderIdentity": "you"}}
        after = await ada.ok("PATCH", f"{LEASES}/l", patch, kind=STRATEGIC)
        assert (after["metadata"]["finalizers"], after["spec"]["holderIdentity"]) == (["x/1", "x/2"], "you")
        told = await ada.refused(415, "PATCH", NAS, {"spec": {}}, kind=STRATEGIC)
        assert MERGE in told["message"]
        assert STRATEGIC not in told["message"].partition("(found")[0]
        await ada.refused(400, "PATCH", f"{LEASES}/l", [], kind=STRATEGIC)


async def test_leases_are_deleted_as_a_collection() -> None:
    """All that a selector names, and no other."""
    async with asking() as ada:
        for name in ("a", "b"):
            await ada.ok("POST", LEASES, lease(name, labels={"of": name}))
        await ada.ok("DELETE", LEASES, labelSelector="of=a")
        assert await ada.names(LEASES) == ["b"]


async def test_one_of_two_takes_the_lease() -> None:
    """Two who update the same state: one wins, the other is told so. That is what leader election rests on."""
    async with asking() as ada:
        first = await ada.ok("POST", LEASES, lease("leader"))
        mine = {**first, "spec": {**first["spec"], "holderIdentity": "a"}}
        yours = {**first, "spec": {**first["spec"], "holderIdentity": "b"}}
        await ada.ok("PUT", f"{LEASES}/leader", mine)
        await ada.refused(409, "PUT", f"{LEASES}/leader", yours)


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"kind":"Pod"}', "application/json", 400),
        (b'{"a":1,"a":2}', "application/json", 400),
        (b'{"a":NaN}', "application/json", 400),
        (b'{"metadata":{"name":"\\ud800"}}', "application/json", 400),
        (b"[" * 5000 + b"]" * 5000, "application/json", 400),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"a: b: c", "application/yaml", 400),
        (b"a: 1\n---\nb: 2\n", "application/yaml", 400),
        (b"metadata:\n  name: on\n", "application/yaml", 422),
        (b"{}", "text/plain", 415),
        (b"k8s\0", "application/vnd.kubernetes.protobuf", 415),
    ],
)
async def test_bodies_that_are_none(body: bytes, kind: str, code: int) -> None:
    """Whatever is sent instead of an object is refused with a Status."""
    async with asking() as ada:
        await ada.refused(code, "POST", CLUSTERS, body, kind=kind)


async def test_yaml_is_taken() -> None:
    """A document as YAML, as people write it, is stored."""
    async with asking() as ada:
        text = b"apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: z}\nspec: {holderIdentity: me}\n"
        assert (await ada.ok("POST", LEASES, text, kind="application/yaml"))["metadata"]["name"] == "z"


class _Contested(Store):
    """A record in which somebody else is faster, a few times."""

    faster = 0

    async def update_object(self, resource: str, body: Any, **more: Any) -> Any:
        if self.faster > 0:
            self.faster -= 1
            raise StaleRevision("somebody else was faster")
        return await super().update_object(resource, body, **more)


@pytest.mark.parametrize(("faster", "patch", "code"), [
    (4, {"spec": {"mode": "Observe"}}, 200),
    (5, {"spec": {"mode": "Observe"}}, 409),
    (1, {"metadata": {"resourceVersion": "{now}"}, "spec": {"mode": "Observe"}}, 200),
])  # fmt: skip
async def test_a_patch_is_tried_again(faster: int, patch: dict[str, Any], code: int) -> None:
    """Who names no version does not hear of others who were faster, unless it happens again and again."""
    store = _Contested(MemoryBackend(SystemClock()))
    async with asking(store) as ada:
        now = await ada.ok("POST", CLUSTERS, document())
        if "metadata" in patch:
            patch = {**patch, "metadata": {"resourceVersion": now["metadata"]["resourceVersion"]}}
        store.faster = faster
        response = await ada.ask("PATCH", NAS, patch, kind=MERGE)
        assert response.status == code
        if code == 409:
            assert response.body["reason"] == "Conflict"
