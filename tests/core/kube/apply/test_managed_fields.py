"""The entries of managedFields: what clients may do to them, their order and number, the way from `kubectl apply`."""

from __future__ import annotations

import copy
import json

import pytest

from hactl.core.kube.errors import ApiError
from support.api.applying import T, V, apply, body, conflicts, fields, update


def test_the_status_is_written_through_its_subresource():
    """It owns only status, and says so in its entry and in conflicts."""
    made = update(None, body({"mode": "Apply"}))
    after = apply(made, {**body({"mode": "Observe"}), "status": {"active": "a"}}, "hactl", at=1, subresource="status")
    assert after["spec"] == {"mode": "Apply"}
    assert after["status"] == {"active": "a"}
    [entry] = [each for each in after["metadata"]["managedFields"] if each["manager"] == "hactl"]
    assert entry["subresource"] == "status"
    assert entry["fieldsV1"] == {"f:status": {"f:active": {}}}
    other = {**body(), "status": {"active": "b"}}
    found = conflicts(lambda: apply(after, other, "bob", subresource="status"))
    assert found == [(".status.active", 'conflict with "hactl" with subresource "status"')]
    changed = {**copy.deepcopy(after), "status": {"active": "b"}}
    changed["metadata"]["managedFields"] = []
    written = update(after, changed, "hactl", at=2, subresource="status")
    assert fields(written) == {
        ("hactl", "Update"): {"f:status": {"f:active": {}}},
        ("kubectl-edit", "Update"): {"f:spec": {".": {}, "f:mode": {}}},
    }


@pytest.mark.parametrize("reset", [[], [{}]])
def test_a_client_can_reset_the_owners(reset):
    """An empty list, or one of an empty entry."""
    made = apply(None, body({"mode": "Apply"}))
    sent = copy.deepcopy(made)
    sent["metadata"]["managedFields"] = reset
    after = update(made, sent, at=1)
    assert "managedFields" not in after["metadata"]
    sent["spec"]["mode"] = "Observe"
    assert list(fields(update(made, sent, at=1))) == [("kubectl-edit", "Update")]


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "x",
        [{"manager": "x"}],
        [{"manager": "x", "operation": "Apply", "apiVersion": V, "fieldsType": "FieldsV1", "fieldsV1": {"x:y": {}}}],
        [{"manager": "x", "operation": "Apply", "apiVersion": V, "fieldsType": "FieldsV1", "fieldsV1": {"f:y": 1}}],
        [{"manager": "x", "operation": "Apply", "apiVersion": V, "fieldsType": "FieldsV1", "fieldsV1": {"k:{": {}}}],
        [{"manager": "x", "operation": "Apply", "apiVersion": V, "fieldsType": "FieldsV1", "fieldsV1": {"v:[1]": {}}}],
        [{"manager": "x", "operation": "Apply", "apiVersion": V, "fieldsType": "FieldsV2", "fieldsV1": {"f:y": {}}}],
        [{"manager": 7, "operation": "Apply", "apiVersion": V, "fieldsType": "FieldsV1", "fieldsV1": {"f:y": {}}}],
        [{"manager": "x", "operation": "Patch", "apiVersion": V, "fieldsType": "FieldsV1", "fieldsV1": {"f:y": {}}}],
        [{"manager": "x", "operation": "Apply", "apiVersion": "", "fieldsType": "FieldsV1", "fieldsV1": {"f:y": {}}}],
        ["x"],
    ],
)
def test_owners_that_cannot_be_read_do_not_count(sent):
    """A client that does not understand managedFields does not destroy them."""
    made = apply(None, body({"mode": "Apply"}))
    after = copy.deepcopy(made)
    if sent is None:
        del after["metadata"]["managedFields"]
    else:
        after["metadata"]["managedFields"] = sent
    assert update(made, after, at=1) == made


def test_a_client_can_write_the_owners():
    """kubectl does when it moves from client-side to server-side apply; spellings become canonical."""
    made = update(None, body({"groups": [{"name": "a"}]}), "kubectl-client-side-apply")
    sent = copy.deepcopy(made)
    sent["metadata"]["managedFields"] = [
        {
            "manager": "kubectl",
            "operation": "Apply",
            "apiVersion": V,
            "time": T[3],
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:groups": {'k:{"name": "a"}': {".": {}, "f:name": {}}}}},
        }
    ]
    after = update(made, sent, "kubectl", at=4)
    assert fields(after) == {
        ("kubectl", "Apply"): {"f:spec": {"f:groups": {'k:{"name":"a"}': {".": {}, "f:name": {}}}}}
    }
    assert after["metadata"]["managedFields"][0]["time"] == T[3]


def test_from_client_side_to_server_side_apply():
    """kubectl takes over what `kubectl apply` wrote and nobody changed; others conflict, unless values are equal."""
    config = body({"mode": "Apply", "carp": {"preempt": True}})
    annotation = "kubectl.kubernetes.io/last-applied-configuration"
    sent = {**config, "metadata": {**config["metadata"], "annotations": {annotation: json.dumps(config)}}}
    made = update(None, sent, "kubectl-client-side-apply")
    wanted = body({"mode": "Observe", "carp": {"preempt": True}})
    assert apply(made, config, "alice", at=1)["spec"] == config["spec"]
    assert conflicts(lambda: apply(made, wanted, "alice")) == [
        (".spec.mode", f'conflict with "kubectl-client-side-apply" using {V}')
    ]
    after = apply(made, wanted, "kubectl", at=1)
    assert after["spec"]["mode"] == "Observe"
    assert json.loads(after["metadata"]["annotations"][annotation]) == wanted
    assert apply(after, wanted, "kubectl", at=2) == after

    edited = copy.deepcopy(made)
    edited["spec"] = {"mode": "Propose", "carp": {"preempt": True}}
    edited = update(made, edited, "kubectl-edit", at=1)
    assert conflicts(lambda: apply(edited, wanted, "kubectl")) == [
        (".spec.mode", f'conflict with "kubectl-edit" using {V}')
    ]


def test_a_broken_annotation_excuses_nothing():
    """Whatever somebody wrote there."""
    for text in ("", "{", "[]", "[" * 100_000, json.dumps({**body({"mode": "Apply"}), "apiVersion": "v1"})):
        sent = body(
            {"mode": "Apply"}, annotations={"kubectl.kubernetes.io/last-applied-configuration": text}
        )  # fmt: skip
        made = update(None, sent, "kubectl-client-side-apply")
        assert conflicts(lambda made=made: apply(made, body({"mode": "Observe"}), "kubectl"))


def test_the_order_of_entries_is_stable():
    """Apply before Update, then by time, then by name, whatever the order of the writes."""
    made = None
    for number, name in enumerate(["zoe", "bob", "alice"]):
        made = apply(made, body({"mode": "Apply"}), name, at=3 - number if number else 3)
    labelled = copy.deepcopy(made)
    labelled["metadata"]["labels"] = {"a": "1"}
    made = update(made, labelled, "kubectl-label", at=0)
    assert [entry["manager"] for entry in made["metadata"]["managedFields"]] == ["alice", "bob", "zoe", "kubectl-label"]


def test_old_update_managers_become_one():
    """Ten are kept apart; the oldest are joined, so that entries do not grow for ever."""
    made = update(None, body({"mode": "Apply"}), "creator")
    for number in range(30):
        after = copy.deepcopy(made)
        after["metadata"].setdefault("labels", {})[f"l{number}"] = "x"
        made = update(made, after, f"m{number:02}", at=number + 1)
    names = [entry["manager"] for entry in made["metadata"]["managedFields"]]
    assert names == ["ancient-changes", *[f"m{number}" for number in range(21, 30)]]
    ancient = fields(made)["ancient-changes", "Update"]
    assert "f:l0" in ancient["f:metadata"]["f:labels"]
    assert "f:mode" in ancient["f:spec"]


@pytest.mark.parametrize(
    ("manager", "message"),
    [
        ("", "fieldManager: Required value: is required for apply patch"),
        ("x" * 129, "may not be more than 128 bytes"),
        ("a\nb", "should only contain printable characters"),
    ],
)
def test_the_name_of_the_manager(manager, message):
    """Required, short and printable, as in PatchOptions."""
    with pytest.raises(ApiError, match=message) as caught:
        apply(None, body(), manager)
    assert caught.value.code == 422
