"""Server-side apply by rule: what must hold for any objects and any order of writers."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hactl.core.kube.apply.fieldsets import MEMBER, both, decode, encode, leaf, minus, path_text, paths, union
from hactl.core.kube.apply.managed_fields import decoded
from hactl.core.kube.apply.server_side_apply import applied, updated
from hactl.core.kube.apply.structural_schema import object_schema, parts
from hactl.core.kube.apply.structured_merge import owned, whole
from hactl.core.kube.errors import ApiError

TEXT = {"type": "string"}
ITEMS = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "mode": TEXT,
        "tags": {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
        "parts": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": TEXT, "size": {"type": "integer"}}},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    },
}
SCHEMA = {
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "mode": TEXT,
                "on": {"type": "boolean"},
                "atoms": {"type": "array", "items": TEXT},
                "atom": {"type": "object", "x-kubernetes-map-type": "atomic"},
                "texts": {"type": "object", "additionalProperties": TEXT},
                "maps": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": TEXT}}},
                "inner": {"type": "object", "properties": {"a": TEXT, "b": TEXT}},
                "groups": {
                    "type": "array",
                    "items": ITEMS,
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                },
            },
        }
    }
}
FULL = object_schema(SCHEMA)
V = "hactl.dev/v1alpha1"

RULE = settings(max_examples=100)

words = st.sampled_from(["x", "y", "z"])


def some(**fields):
    """An object with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def named(**fields):
    """A list of objects with different names."""
    item = st.fixed_dictionaries({"name": words}, optional=fields)
    return st.lists(item, max_size=3, unique_by=lambda found: found["name"])


specs = some(
    mode=words,
    on=st.booleans(),
    atoms=st.lists(words, max_size=2),
    atom=st.dictionaries(words, words, max_size=2),
    texts=st.dictionaries(words, words, max_size=3),
    maps=st.dictionaries(words, some(a=words), max_size=2),
    inner=some(a=words, b=words),
    loose=st.recursive(words, lambda inner: st.dictionaries(words, inner, max_size=2) | st.lists(inner, max_size=2)),
    groups=named(mode=words, tags=st.lists(words, max_size=3, unique=True), parts=named(size=st.integers(0, 2))),
)
bodies = st.builds(
    lambda spec, metadata: {
        "apiVersion": V,
        "kind": "HACluster",
        "metadata": {"name": "nas", "namespace": "default", **metadata},
        "spec": spec,
    },
    specs,
    some(labels=st.dictionaries(words, words, max_size=2), finalizers=st.lists(words, max_size=2, unique=True)),
)
NOTHING = {"apiVersion": V, "kind": "HACluster", "metadata": {"name": "nas", "namespace": "default"}}
names = st.sampled_from(["alice", "bob", "carol"])
#: Writes in order: (manager, body, apply by force or update to it).
histories = st.lists(st.tuples(names, bodies, st.booleans()), max_size=5)


def apply(current, config, manager, *, force=False, at=0):
    """One server-side apply."""
    return applied(current, config, manager=manager, force=force, schema=SCHEMA, now=f"2026-11-24T10:00:{at:02}Z")


def played(history):
    """The object after these writes."""
    current = None
    for at, (manager, body, by_apply) in enumerate(history):
        if by_apply:
            current = apply(current, body, manager, force=True, at=at)
        else:
            current = updated(
                current, body, manager=manager, subresource="", schema=SCHEMA, now=f"2026-11-24T10:00:{at:02}Z"
            )
    return current


def bare(body):
    """Without managedFields."""
    return {**body, "metadata": {key: value for key, value in body["metadata"].items() if key != "managedFields"}}


def claimed(body):
    """Everything that anybody owns."""
    result = {}
    for entry in decoded(body["metadata"].get("managedFields")).values():
        result = union(result, entry.fields)
    return result


def at_path(value, path):
    """The value at a path of steps."""
    schema = FULL
    for step in path:
        part = (parts(value, schema) or {})[step]
        value, schema = part.value, part.schema
    return value


def leaves(value, schema=FULL, path=()):
    """The paths of everything that has no parts."""
    found = parts(value, schema)
    if not found:
        yield path
        return
    for step, part in found.items():
        yield from leaves(part.value, part.schema, (*path, step))


def is_bookkeeping(path):
    """What nobody owns."""
    return path in {("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace")}


@RULE
@given(histories, bodies, names)
def test_what_is_applied_is_there(history, config, manager):
    """Every leaf of the configuration has its value afterwards, and the manager owns exactly the configuration."""
    after = apply(played(history), config, manager, force=True, at=50)
    for path in leaves(config):
        value = at_path(config, path)
        found = at_path(bare(after), path)
        assert found == value or (value in ({}, []) and isinstance(found, type(value)))
    mine = [
        entry for owner, entry in decoded(after["metadata"].get("managedFields")).items() if owner.manager == manager
    ]
    wanted = {path for path in paths(owned(config, FULL)) if not is_bookkeeping(path)}
    assert wanted <= {path for entry in mine for path in paths(entry.fields)}


@RULE
@given(histories, bodies, names)
def test_apply_is_idempotent(history, config, manager):
    """The second time nothing changes, not even a time, and no force is needed."""
    once = apply(played(history), config, manager, force=True, at=50)
    assert apply(once, config, manager, at=51) == once


@RULE
@given(histories, bodies, names)
def test_force_always_works_and_takes_from_the_others(history, config, manager):
    """What conflicts without force is owned by the applier alone with it; nothing else is taken."""
    before = played(history)
    try:
        plain = apply(before, config, manager, at=50)
    except ApiError as error:
        plain, code = None, error.code
        contested = {cause.field for cause in error.details.causes}
    else:
        code, contested = 409, set()
    assert code == 409
    after = apply(before, config, manager, force=True, at=50)
    if plain is not None:
        assert plain == after
    others = {
        owner: entry
        for owner, entry in decoded(after["metadata"].get("managedFields")).items()
        if (owner.manager, owner.operation) != (manager, "Apply")
    }
    for entry in others.values():
        assert not contested & {path_text(path) for path in paths(entry.fields)}


@RULE
@given(histories)
def test_owners_cover_exactly_what_is_there(history):
    """Every leaf has an owner, and nothing that is owned does not exist."""
    after = played(history)
    if after is None:
        return
    found = {path for path in paths(claimed(after)) if not is_bookkeeping(path)}
    there = set(paths(whole(bare(after), FULL)))
    assert {path for path in leaves(bare(after)) if not is_bookkeeping(path)} <= found <= there


def split(config, side):
    """Every other named thing of a configuration: two halves have no leaf in common but keys of shared items."""

    def mine(name):
        return (ord(name[-1]) % 2 == 0) is side

    spec = {key: value for key, value in config["spec"].items() if key != "groups" and mine(key)}
    groups = [group for group in config["spec"].get("groups", ()) if mine(group["name"])]
    labels = {key: value for key, value in config["metadata"].get("labels", {}).items() if mine(key)}
    metadata = {**NOTHING["metadata"], **({"labels": labels} if labels else {})}
    return {**NOTHING, "metadata": metadata, "spec": {**spec, **({"groups": groups} if groups else {})}}


@RULE
@given(bodies, bodies)
def test_disjoint_managers_never_conflict(one, other):
    """Two who apply different things, in any order, also when each changes its mind."""
    current = None
    for first, second in ((one, other), (other, one)):
        current = apply(current, split(first, True), "alice")
        current = apply(current, split(second, False), "bob")
    alone = apply(apply(None, split(other, True), "alice"), split(one, False), "bob")
    assert sorted(leaves(bare(current))) == sorted(leaves(bare(alone)))


@RULE
@given(st.lists(st.tuples(names, bodies, st.just(True)), max_size=5))
def test_when_everybody_drops_everything_nothing_is_left(history):
    """Only who the object is; no owner either."""
    current = played(history)
    for manager in ("bob", "alice", "carol"):
        current = apply(current, NOTHING, manager, force=True, at=50)
    assert current == NOTHING


@RULE
@given(bodies)
def test_the_wire_form_says_the_same(body):
    """FieldsV1 read back is the set it was written from; no member is `{".": {}}` alone."""
    for found in (owned(body, FULL), whole(body, FULL)):
        wire = encode(found)
        assert decode(wire) == found
        assert {MEMBER: {}} not in [wire, *wire.values()]


@RULE
@given(bodies, bodies)
def test_the_algebra_of_sets(one, other):
    """Union, difference and intersection agree with those of the paths."""
    first, second = owned(one, FULL), owned(other, FULL)
    a, b = set(paths(first)), set(paths(second))
    assert set(paths(union(first, second))) == a | b
    assert set(paths(minus(first, second))) == a - b
    assert set(paths(both(first, second))) == a & b
    assert minus(first, first) == {}
    assert union({}, first) == first


def test_decode_refuses_what_is_no_set():
    """Steps of unknown kinds, broken keys, things that are no objects."""
    for bad in (
        None,
        [],
        {"f": {}},
        {"x:y": {}},
        {"f:a": 1},
        {"k:{": {}},
        {"v:{}": {}},
        {"i:x": {}},
        {"k:" + "[" * 9999: {}},
    ):
        with pytest.raises(ValueError, match=r"."):
            decode(bad)
    assert decode({"f:a": {}, 'k:{"b":1, "a":2}': {}}) == {"f:a": leaf(), 'k:{"a":2,"b":1}': leaf()}


@RULE
@given(histories, bodies, names)
def test_nothing_given_is_changed(history, config, manager):
    """Whatever happens, the current object and the configuration stay as they are."""
    current = played(history)
    before = copy.deepcopy((current, config))
    apply(current, config, manager, force=True)
    updated(current, config, manager=manager, subresource="", schema=SCHEMA, now="2026-11-24T10:00:00Z")
    assert (current, config) == before
