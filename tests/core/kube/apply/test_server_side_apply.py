"""Server-side apply by example: what a real API server answers in the same situation."""

from __future__ import annotations

import copy

import pytest

from hactl.core.kube.errors import ApiError
from support.api.applying import T, V, apply, body, conflicts, fields, update, without_managed_fields


def test_the_first_apply_makes_the_object():
    """Its fields belong to the manager; what the server writes belongs to nobody."""
    config = body({"mode": "Apply", "groups": [{"name": "files", "preferred": ["a", "b"]}]}, labels={"team": "x"})
    made = apply(None, config)
    assert without_managed_fields(made) == config
    assert made["metadata"]["managedFields"] == [
        {
            "apiVersion": V,
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {"f:team": {}}},
                "f:spec": {
                    "f:groups": {
                        'k:{"name":"files"}': {
                            ".": {},
                            "f:name": {},
                            "f:preferred": {'v:"a"': {}, 'v:"b"': {}},
                        }
                    },
                    "f:mode": {},
                },
            },
            "manager": "alice",
            "operation": "Apply",
            "time": T[0],
        }
    ]


def test_a_create_owns_the_shapes_too():
    """Update managers also own the containers they made, as in any real object; finalizers are a set."""
    made = update(None, body({"carp": {"preempt": True}}, labels={"a": "1"}, finalizers=["x/y"]), "kubectl-create")
    [entry] = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["time"]) == ("kubectl-create", "Update", T[0])
    assert entry["fieldsV1"] == {
        "f:metadata": {
            "f:finalizers": {".": {}, 'v:"x/y"': {}},
            "f:labels": {".": {}, "f:a": {}},
        },
        "f:spec": {".": {}, "f:carp": {".": {}, "f:preempt": {}}},
    }


def test_the_same_apply_again_changes_nothing():
    """Not even the time; nor does one that says the same with nulls or in another order of keys."""
    made = apply(None, body({"mode": "Apply", "carp": {"preempt": True}}))
    assert apply(made, body({"carp": {"preempt": True}, "mode": "Apply"}), at=5) == made
    noisy = body({"mode": "Apply", "failover": None, "carp": {"preempt": True}}, creationTimestamp=None)
    assert apply(made, noisy, at=5) == made


def test_a_conflict_names_field_and_manager():
    """As kubectl prints it: the Update manager with its version, the Apply manager without."""
    made = update(None, body({"groups": [{"name": "files", "preferred": ["a"], "failback": "Never"}]}), "kubectl-edit")
    config = body({"groups": [{"name": "files", "failback": "WhenReady"}]})
    assert conflicts(lambda: apply(made, config)) == [
        ('.spec.groups[name="files"].failback', f'conflict with "kubectl-edit" using {V}')
    ]
    mine = apply(None, body({"mode": "Apply"}))
    with pytest.raises(ApiError) as caught:
        apply(mine, body({"mode": "Observe"}), "bob")
    assert str(caught.value) == 'Apply failed with 1 conflict: conflict with "alice": .spec.mode'
    assert caught.value.status()["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "alice"', "field": ".spec.mode"}
    ]


def test_several_conflicts_are_listed_by_manager():
    """In the form that kubectl prints."""
    made = apply(
        update(None, body({"mode": "Apply"})), body({"carp": {"preempt": True}, "failover": {"settleSeconds": 1}})
    )
    config = body({"mode": "Observe", "carp": {"preempt": False}, "failover": {"settleSeconds": 2}})
    with pytest.raises(ApiError) as caught:
        apply(made, config, "bob")
    assert str(caught.value) == (
        "Apply failed with 3 conflicts: "
        'conflicts with "alice":\n- .spec.carp.preempt\n- .spec.failover.settleSeconds\n'
        f'conflicts with "kubectl-edit" using {V}:\n- .spec.mode'
    )


def test_force_takes_over():
    """The others lose exactly those fields; who owns nothing any more is gone."""
    made = apply(None, body({"mode": "Apply", "carp": {"preempt": True}}), "bob")
    made = update(
        made, {**copy.deepcopy(made), "spec": {**made["spec"], "failover": {"settleSeconds": 5}}}, "edit", at=1
    )
    taken = apply(made, body({"mode": "Observe", "failover": {"settleSeconds": 6}}), at=2, force=True)
    assert taken["spec"] == {"mode": "Observe", "carp": {"preempt": True}, "failover": {"settleSeconds": 6}}
    assert fields(taken) == {
        ("bob", "Apply"): {"f:spec": {"f:carp": {"f:preempt": {}}}},
        ("alice", "Apply"): {"f:spec": {"f:failover": {"f:settleSeconds": {}}, "f:mode": {}}},
        ("edit", "Update"): {"f:spec": {"f:failover": {}}},
    }
    times = {entry["manager"]: entry["time"] for entry in taken["metadata"]["managedFields"]}
    assert times == {"alice": T[2], "bob": T[0], "edit": T[1]}


def test_the_same_value_is_shared():
    """No conflict; it goes only when both have dropped it."""
    made = apply(None, body({"mode": "Apply", "carp": {"preempt": True}}))
    made = apply(made, body({"mode": "Apply"}), "bob", at=1)
    made = apply(made, body({"carp": {"preempt": True}}), at=2)
    assert made["spec"]["mode"] == "Apply"
    made = apply(made, body(), "bob", at=3)
    assert made["spec"] == {"carp": {"preempt": True}}
    assert list(fields(made)) == [("alice", "Apply")]


def test_dropped_fields_are_removed():
    """Fields, keys of maps, items of lists and sets; what somebody else owns stays."""
    first = body(
        {
            "mode": "Apply",
            "failover": {"settleSeconds": 5, "witness": ["192.0.2.1"]},
            "groups": [
                {"name": "files", "preferred": ["a", "b"], "services": [{"name": "nfsd"}, {"name": "samba"}]},
                {"name": "web", "preferred": ["a"]},
            ],
        },
        labels={"a": "1", "b": "2"},
        finalizers=["x/one", "x/two"],
    )
    made = apply(None, first)
    made = apply(made, body({"groups": [{"name": "files", "services": [{"name": "samba"}]}]}, labels={"b": "2"}), "bob")
    after = apply(made, body({"groups": [{"name": "files", "preferred": ["b"]}]}, finalizers=["x/two"]), at=1)
    assert after["spec"] == {"groups": [{"name": "files", "preferred": ["b"], "services": [{"name": "samba"}]}]}
    assert after["metadata"]["labels"] == {"b": "2"}
    assert after["metadata"]["finalizers"] == ["x/two"]


def test_an_item_goes_with_what_others_changed_in_it():
    """Somebody who edited one field of an item does not keep the item: it would have no name."""
    made = apply(None, body({"groups": [{"name": "files", "preferred": ["a"]}, {"name": "web", "preferred": ["a"]}]}))
    edited = copy.deepcopy(made)
    edited["spec"]["groups"][0]["failback"] = "WhenReady"
    made = update(made, edited, at=1)
    assert fields(made)["kubectl-edit", "Update"] == {
        "f:spec": {"f:groups": {'k:{"name":"files"}': {"f:failback": {}}}}
    }
    after = apply(made, body({"groups": [{"name": "web", "preferred": ["a"]}]}), at=2)
    assert after["spec"] == {"groups": [{"name": "web", "preferred": ["a"]}]}
    assert list(fields(after)) == [("alice", "Apply")]


def test_a_list_goes_with_its_last_item():
    """Also when somebody edited that item: no empty list that nobody owns is left behind."""
    made = apply(None, body({"mode": "Apply", "groups": [{"name": "files"}]}))
    edited = copy.deepcopy(made)
    edited["spec"]["groups"][0]["services"] = []
    after = apply(update(made, edited, at=1), body({"mode": "Apply"}), at=2)
    assert after["spec"] == {"mode": "Apply"}
    assert list(fields(after)) == [("alice", "Apply")]


def test_an_item_somebody_else_made_stays():
    """Without the fields that only we had in it."""
    made = update(None, body({"groups": [{"name": "files", "preferred": ["a"]}]}), "kubectl-create")
    made = apply(made, body({"groups": [{"name": "files", "failback": "WhenReady"}]}), at=1)
    after = apply(made, body(), at=2)
    assert after["spec"] == {"groups": [{"name": "files", "preferred": ["a"]}]}


def test_a_list_without_type_is_one_field():
    """It conflicts as a whole and is replaced as a whole."""
    made = apply(None, body({"failover": {"witness": ["192.0.2.1"]}}))
    assert fields(made)["alice", "Apply"] == {"f:spec": {"f:failover": {"f:witness": {}}}}
    config = body({"failover": {"witness": ["192.0.2.2"]}})
    assert conflicts(lambda: apply(made, config, "bob")) == [(".spec.failover.witness", 'conflict with "alice"')]
    assert apply(made, config, "bob", force=True)["spec"]["failover"]["witness"] == ["192.0.2.2"]


def test_a_null_says_nothing():
    """A field applied as null is a field not applied."""
    made = apply(None, body({"mode": "Apply", "carp": {"preempt": None}}, labels={"a": None}))
    assert without_managed_fields(made) == body({"mode": "Apply", "carp": {}}, labels={})
    assert apply(made, body({"mode": None, "carp": {}}), at=1)["spec"] == {"carp": {}}


def test_the_order_of_items():
    """What is applied stands in its order, what others have keeps its place, new items come last."""
    made = update(None, body({"groups": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}))

    def names(*wanted):
        found = apply(made, body({"groups": [{"name": name} for name in wanted]}))
        return [group["name"] for group in found["spec"]["groups"]]

    assert names("x") == ["a", "b", "c", "x"]
    assert names("b", "x") == ["a", "b", "c", "x"]
    assert names("x", "a") == ["x", "a", "b", "c"]
    assert names("c", "a") == ["b", "c", "a"]
    assert names("a", "b", "c") == ["a", "b", "c"]
    assert names("c", "b", "a") == ["c", "b", "a"]


def test_a_new_order_of_preferred_counts():
    """Best first: who applies the same nodes in another order changes it, and needs no force."""
    made = update(None, body({"groups": [{"name": "files", "preferred": ["a", "b"]}]}))
    after = apply(made, body({"groups": [{"name": "files", "preferred": ["b", "a"]}]}), at=1)
    assert after["spec"]["groups"][0]["preferred"] == ["b", "a"]


@pytest.mark.parametrize("through", [lambda config: apply(None, config), lambda config: update(None, config)])
def test_the_same_key_twice_is_invalid(through):
    """422 with the index of each: in maps, in sets, at any depth; so is an item without its key."""
    groups = [
        {"name": "a", "preferred": ["x", "x"]},
        {"name": "a", "services": [{"runOn": "All"}]},
        "b",
    ]
    with pytest.raises(ApiError) as caught:
        through(body({"groups": groups}))
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert [(cause.field, cause.message, cause.reason) for cause in caught.value.details.causes] == [
        ("spec.groups[0].preferred[1]", 'Duplicate value: "x"', "FieldValueDuplicate"),
        ("spec.groups[1]", 'Duplicate value: {"name":"a"}', "FieldValueDuplicate"),
        (
            "spec.groups[1].services[0].name",
            "Required value: it is the key of this item",
            "FieldValueRequired",
        ),
        ("spec.groups[2]", "Invalid value: every item of this list is an object", "FieldValueTypeInvalid"),
    ]


def test_updates_move_ownership():
    """Who writes a value owns it; who had it does not any more; what did not change keeps its owner and time."""
    made = apply(None, body({"mode": "Apply", "carp": {"preempt": True}}))
    edited = copy.deepcopy(made)
    edited["spec"]["mode"] = "Observe"
    after = update(made, edited, at=1)
    assert fields(after) == {
        ("alice", "Apply"): {"f:spec": {"f:carp": {"f:preempt": {}}}},
        ("kubectl-edit", "Update"): {"f:spec": {"f:mode": {}}},
    }
    assert update(after, copy.deepcopy(after), at=2) == after
    removed = copy.deepcopy(after)
    del removed["spec"]["mode"]
    assert list(fields(update(after, removed, at=3))) == [("alice", "Apply")]


def test_bookkeeping_of_the_server_is_nobodys():
    """Revision, generation and times may change with every write."""
    made = update(None, body({"mode": "Apply"}))
    stored = copy.deepcopy(made)
    stored["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 1, "creationTimestamp": T[0]}
    stored["status"] = {"active": "a"}
    assert fields(update(stored, copy.deepcopy(stored), "other", at=1)) == fields(made)
    config = body({"carp": {"preempt": True}}, resourceVersion="3", uid="z", generation=9, creationTimestamp=T[9])
    after = apply(stored, {**config, "status": {"active": "forged"}}, at=1)
    assert after["metadata"]["resourceVersion"] == "7"
    assert after["metadata"]["uid"] == "u"
    assert after["metadata"]["creationTimestamp"] == T[0]
    assert after["status"] == {"active": "a"}
    assert fields(after)["alice", "Apply"] == {"f:spec": {"f:carp": {"f:preempt": {}}}}


def test_what_cannot_be_applied():
    """Another version, managedFields, data that is nested too deep, something that is no object of the API."""
    made = apply(None, body({"mode": "Apply"}))
    bad = {
        "Specified patch version: hactl.dev/v2, expected: hactl.dev/v1alpha1": {**body(), "apiVersion": "hactl.dev/v2"},
        "metadata.managedFields must be nil": body(managedFields=[]),
        "apiVersion and kind are required": {"metadata": {"name": "nas"}},
        "metadata must be an object": {**body(), "metadata": []},
    }
    for message, config in bad.items():
        with pytest.raises(ApiError, match=message) as caught:
            apply(made, config)
        assert caught.value.code == 400
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ApiError, match="nested deeper"):
        apply(made, body({"mode": deep}))
    with pytest.raises(ApiError, match="nested deeper"):
        update(made, body({"mode": deep}))


def test_a_fault_that_was_stored_already_may_stay():
    """A label can be put on an object that has a set with the same item twice."""
    stored = body({"groups": [{"name": "a", "preferred": ["x", "x"]}]})
    after = copy.deepcopy(stored)
    after["metadata"]["labels"] = {"a": "1"}
    assert update(stored, after)["metadata"]["labels"] == {"a": "1"}


def test_without_a_schema_objects_merge_and_lists_do_not():
    """As for fields a schema does not know: each key of an object is one that somebody put there."""
    made = apply(None, body({"a": {"b": [1], "c": 2}}), schema={})
    assert fields(made)["alice", "Apply"] == {"f:spec": {"f:a": {".": {}, "f:b": {}, "f:c": {}}}}
    after = apply(made, body({"a": {"c": 2}, "d": 1}), at=1, schema={})
    assert after["spec"] == {"a": {"c": 2}, "d": 1}


def test_nothing_given_is_changed():
    """Pure: current and configuration stay as they are, and share nothing with the result."""
    made = apply(None, body({"groups": [{"name": "a", "preferred": ["x"]}]}))
    config = body({"groups": [{"name": "b", "preferred": ["x"]}]})
    before = copy.deepcopy((made, config))
    after = apply(made, config, at=1)
    after["spec"]["groups"][0]["preferred"].append("y")
    again = update(made, config)
    again["spec"]["groups"][0]["preferred"].append("y")
    assert (made, config) == before


def test_true_is_not_one():
    """Values are compared as JSON."""
    made = apply(None, body({"carp": {"preempt": True}}))
    assert conflicts(lambda: apply(made, body({"carp": {"preempt": 1}}), "bob"))


def test_many_items_take_no_square():
    """2,000 nodes, each with a few fields, are merged and compared in a moment."""
    config = body({"nodes": [{"name": f"n{number}", "ssh": {"host": "h"}} for number in range(2000)]})
    made = update(None, config)
    assert len(apply(made, body({"nodes": config["spec"]["nodes"][::-1]}), at=1)["spec"]["nodes"]) == 2000


def test_what_is_emptied_belongs_to_who_emptied_it():
    """A list or map without parts is a field of its own; it has an owner like any other."""
    made = apply(None, body({"mode": "Apply", "groups": [{"name": "a"}]}, labels={"a": "1"}))
    emptied = copy.deepcopy(made)
    emptied["spec"]["groups"] = []
    emptied["metadata"]["labels"] = {}
    after = update(made, emptied, at=1)
    assert fields(after) == {
        ("alice", "Apply"): {"f:spec": {"f:mode": {}}},
        ("kubectl-edit", "Update"): {"f:metadata": {"f:labels": {}}, "f:spec": {"f:groups": {}}},
    }


def test_what_somebody_else_emptied_stays():
    """Owning something inside of it once does not make the empty rest ours to remove."""
    made = apply(None, body({"mode": "Apply", "carp": {"preempt": True}}))
    bare = without_managed_fields(made)
    entry = {**made["metadata"]["managedFields"][0]}
    current = {**bare, "spec": {"mode": "Apply", "carp": {}}}
    current["metadata"] = {**bare["metadata"], "managedFields": [entry]}
    assert apply(current, body({"mode": "Apply"}), at=1)["spec"] == {"mode": "Apply", "carp": {}}


def test_the_key_of_an_item_that_stays_is_not_removed():
    """Also when a client wrote managedFields by which we own the key and not the item."""
    made = apply(None, body({"groups": [{"name": "a", "failback": "Never"}]}))
    made["metadata"]["managedFields"][0]["fieldsV1"] = {
        "f:spec": {"f:groups": {'k:{"name":"a"}': {"f:name": {}, "f:failback": {}}}}
    }
    assert apply(made, body(), at=1)["spec"] == {"groups": [{"name": "a"}]}
