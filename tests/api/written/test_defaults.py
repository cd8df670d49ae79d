"""Defaults of the CRD through the API: shown after a write, owned as Kubernetes has it, and no change by themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hactl.adapters.yaml.documents import digest
from hactl.api.request.wire import Identity
from hactl.core.kube.codec import REFERENCES
from hactl.core.objects import HACluster
from hactl.ports import Document
from support.api.service import APPLY, CLUSTERS, MERGE, Asking, asking, document

NAS = f"{CLUSTERS}/nas"
SPARSE = ("mode", "failover")


def sparse() -> dict[str, Any]:
    """A document that leaves out what it can."""
    found = document()
    for key in SPARSE:
        found["spec"].pop(key, None)
    for number, node in enumerate(found["spec"]["nodes"], 11):
        key = node["ssh"]["hostKeyFrom"]
        node["ssh"] = {"host": f"192.0.2.{number}", "hostKeyFrom": key}
    found["spec"]["failover"] = {"settleSeconds": 3}
    return found


def check_filled(spec: dict[str, Any]) -> None:
    """Everything that has a default in the CRD."""
    assert spec["mode"] == "Apply"
    assert [(node["ssh"]["port"], node["ssh"]["user"]) for node in spec["nodes"]] == [(22, "root")] * 2
    assert (spec["failover"]["settleSeconds"], spec["failover"]["policy"]) == (3, "Automatic")
    assert "timeoutSeconds" not in spec["groups"][0]["storage"][0]["hast"], "its absence says something"


async def an_older_one(ada: Asking) -> None:
    """As an older hactl stored it: as it was sent, from this machine, with files only this machine may name."""
    given = sparse()
    for node in given["spec"]["nodes"]:
        node["ssh"]["hostKeyFrom"] = {"file": "/etc/hactl/nodes.pub"}
    given["metadata"]["annotations"] = {REFERENCES: "/clusters"}
    body = {**given, "metadata": {**given["metadata"], "namespace": "default"}}
    cluster = HACluster.model_validate(given)
    kept = Document(cluster, "api", "/clusters", digest(cluster), "")
    await ada.store.create_object("haclusters", body, actor="ada", document=kept)


async def test_what_was_left_out_is_shown_after_a_write() -> None:
    """By create, update, patch and apply; a default that was given back to is filled in again."""
    async with asking() as ada:
        check_filled((await ada.ok("POST", CLUSTERS, sparse()))["spec"])
        made = await ada.ok("GET", NAS)
        check_filled(made["spec"])
        put = await ada.ok("PUT", NAS, {**sparse(), "metadata": made["metadata"]})
        assert put == made, "what is left out again is no change"
        observing = await ada.ok("PATCH", NAS, {"spec": {"mode": "Observe"}}, kind=MERGE)
        assert (observing["spec"]["mode"], observing["metadata"]["generation"]) == ("Observe", 2)
        check_filled((await ada.ok("PATCH", NAS, {"spec": {"mode": None}}, kind=MERGE))["spec"])
        await ada.ok("DELETE", NAS)
        check_filled((await ada.ok("POST", CLUSTERS, sparse(), dryRun="All"))["spec"])
        applied = await ada.ok("PATCH", NAS, sparse(), kind=APPLY, fieldManager="alice")
        check_filled(applied["spec"])


async def test_who_applies_owns_what_they_said_and_nobody_the_rest() -> None:
    """So that somebody else may say it later without a conflict; who creates owns all, as in Kubernetes."""
    async with asking() as ada:
        applied = await ada.ok("PATCH", NAS, sparse(), kind=APPLY, fieldManager="alice")
        [entry] = applied["metadata"]["managedFields"]
        assert "f:mode" not in entry["fieldsV1"]["f:spec"]
        again = await ada.ok("PATCH", NAS, sparse(), kind=APPLY, fieldManager="alice")
        assert again == applied, "nothing differs, nothing is written"
        mode = {"apiVersion": "hactl.dev/v1alpha1", "kind": "HACluster", "metadata": {"name": "nas"}}
        other = await ada.ok("PATCH", NAS, {**mode, "spec": {"mode": "Observe"}}, kind=APPLY, fieldManager="bob")
        assert other["spec"]["mode"] == "Observe"
        gone = await ada.ok("PATCH", NAS, {**mode, "spec": {}}, kind=APPLY, fieldManager="bob")
        check_filled(gone["spec"])
        await ada.ok("DELETE", NAS)
        made = await ada.ok("POST", CLUSTERS, sparse())
        assert "f:mode" in made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]


@pytest.mark.parametrize("origin", ["unix", "192.0.2.9"])
async def test_an_upgrade_changes_no_generation_and_asks_for_no_right(origin: str) -> None:
    """An object of an older hactl is labelled: its defaults come along, its generation stays, nothing is refused.

    Also by somebody elsewhere, who may not say what such an object refers to.
    """
    async with asking() as ada:
        await an_older_one(ada)
        before = await ada.ok("GET", NAS)
        assert "mode" not in before["spec"]
        bob = ada.as_role("editor")
        bob.identity = Identity("bob@there", "editor", origin)
        unchanged = await bob.ok("PATCH", NAS, {"spec": {"mode": "Apply"}}, kind=MERGE)
        assert unchanged["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        after = await bob.ok("PATCH", NAS, {"metadata": {"labels": {"a": "b"}}}, kind=MERGE)
        check_filled(after["spec"])
        assert after["metadata"]["generation"] == before["metadata"]["generation"]
        assert len(await ada.store.generations("nas")) == 1


async def test_kubectl_apply_sees_no_difference() -> None:
    """What `kubectl apply` sends after a create: the annotation, and nothing of the fields that were filled in."""
    async with asking() as ada:
        given = sparse()
        given["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(sparse())}
        made = await ada.ok("POST", CLUSTERS, given)
        # The three-way merge of last, wanted and live is empty: last and wanted are the same.
        assert await ada.ok("PATCH", NAS, {}, kind=MERGE) == made
