"""Patches: RFC 7386 and RFC 6902 as kubectl uses them, never in place, never without bounds."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hactl.core.kube.errors import ApiError
from hactl.core.kube.patches import MAX_OPERATIONS, json_patch, merge_patch

BODY = {"metadata": {"name": "nas", "labels": {"a": "1"}}, "spec": {"mode": "Apply", "nodes": [{"name": "x"}, 1, True]}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), json_values, max_size=3)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # RFC 7386, appendix A, where both sides are objects.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "foo"}, {"a": {"b": 1, "c": None}}, {"a": {"b": 1}}),
    ],
)
def test_merge_patch_of_the_rfc(target, patch, result):
    """The examples of the RFC."""
    assert merge_patch(target, patch) == result


@given(objects, objects)
def test_a_merge_patch_changes_neither_side_and_is_idempotent(target, patch):
    """New data every time; a second time changes nothing."""
    before = copy.deepcopy((target, patch))
    once = merge_patch(target, patch)
    assert (target, patch) == before
    assert merge_patch(once, patch) == once


def test_a_merge_patch_gives_new_data():
    """Changing the result does not change the body."""
    body = copy.deepcopy(BODY)
    merge_patch(body, {"metadata": {"labels": {"b": "2"}}})["spec"]["nodes"].append(1)
    assert body == BODY


@pytest.mark.parametrize("patch", [[], "x", None, 1])
def test_a_merge_patch_is_an_object(patch):
    """400 otherwise."""
    with pytest.raises(ApiError, match="must be a JSON object") as caught:
        merge_patch(BODY, patch)
    assert caught.value.code == 400


def nested(depth):
    """An object nested so deep."""
    value: object = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def test_depth_and_size_are_limited():
    """400 for what is too deep, 413 for what becomes too large."""
    with pytest.raises(ApiError, match="nested deeper") as caught:
        merge_patch(BODY, nested(5000))
    assert caught.value.code == 400
    with pytest.raises(ApiError, match="the size of the patched object exceeds") as caught:
        merge_patch({"a": "x" * 2_000_000}, {"b": "x" * 2_000_000})
    assert caught.value.code == 413
    with pytest.raises(ApiError, match="nested deeper") as caught:
        json_patch(BODY, [{"op": "add", "path": "/x", "value": nested(5000)}])
    assert caught.value.code == 400


def test_json_patch_operations():
    """All six, in order, with the body unchanged."""
    body = copy.deepcopy(BODY)
    result = json_patch(
        body,
        [
            {"op": "test", "path": "/spec/mode", "value": "Apply"},
            {"op": "replace", "path": "/spec/mode", "value": "Observe"},
            {"op": "add", "path": "/metadata/labels/b~1c", "value": "2"},
            {"op": "add", "path": "/spec/nodes/-", "value": {"name": "y"}},
            {"op": "copy", "from": "/spec/nodes/0", "path": "/spec/first"},
            {"op": "move", "from": "/metadata/labels/a", "path": "/metadata/labels/z"},
            {"op": "remove", "path": "/spec/nodes/1"},
        ],
    )
    assert result == {
        "metadata": {"name": "nas", "labels": {"z": "1", "b/c": "2"}},
        "spec": {"mode": "Observe", "nodes": [{"name": "x"}, True, {"name": "y"}], "first": {"name": "x"}},
    }
    assert body == BODY


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ({"op": "test", "path": "/spec/mode", "value": "x"}, "testing value /spec/mode failed: test failed"),
        ({"op": "test", "path": "/spec/nodes/1", "value": True}, "testing value /spec/nodes/1 failed: test failed"),
        ({"op": "test", "path": "/no/no", "value": None}, "testing value /no/no failed: test failed"),
        (
            {"op": "remove", "path": "/spec/no"},
            'remove operation does not apply: doc is missing path: "/spec/no": missing value',
        ),
        (
            {"op": "replace", "path": "/spec/no", "value": 1},
            'replace operation does not apply: doc is missing path: "/spec/no": missing value',
        ),
        (
            {"op": "add", "path": "/no/no", "value": 1},
            'add operation does not apply: doc is missing path: "/no/no": missing value',
        ),
        (
            {"op": "copy", "from": "/no", "path": "/x"},
            'copy operation does not apply: doc is missing path: "/no": missing value',
        ),
        (
            {"op": "move", "from": "/no", "path": "/x"},
            'move operation does not apply: doc is missing path: "/no": missing value',
        ),
        ({"op": "remove", "path": ""}, "remove operation does not apply: "),
        ({"op": "move", "from": "/spec", "path": "/spec/x"}, "move operation does not apply: "),
        ({"op": "add", "path": "/spec/nodes/9", "value": 1}, "add operation does not apply: "),
        ({"op": "add", "path": "/spec/nodes/x", "value": 1}, "add operation does not apply: "),
        ({"op": "add", "path": "/spec/mode/x", "value": 1}, "add operation does not apply: "),
        ({"op": "remove", "path": "/spec/nodes/-"}, "remove operation does not apply: "),
    ],
)
def test_operations_that_do_not_apply(operation, why):
    """422 Invalid; the cause names the operation; true is not 1."""
    with pytest.raises(ApiError) as caught:
        json_patch(BODY, [{"op": "test", "path": "/spec/mode", "value": "Apply"}, operation])
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    [cause] = caught.value.details.causes
    assert cause.field == "patch[1]"
    assert cause.message.startswith(why)
    assert str(caught.value) == f"the server rejected our request due to an error in our request: {cause.message}"


@pytest.mark.parametrize(
    "operations",
    [
        {},
        "[]",
        None,
        ["add"],
        [{"path": "/a"}],
        [{"op": "append", "path": "/a", "value": "b"}],
        [{"op": ["add"], "path": "/a", "value": "b"}],
        [{"op": "add", "value": 1}],
        [{"op": "add", "path": "/a"}],
        [{"op": "add", "path": 1, "value": 1}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "add", "path": "/a~2", "value": 1}],
        [{"op": "move", "path": "/a"}],
        [{"op": "copy", "path": "/a", "from": None}],
    ],
)
def test_what_is_no_json_patch(operations):
    """400, before anything is applied."""
    with pytest.raises(ApiError, match=r"^error decoding patch: ") as caught:
        json_patch(BODY, operations)
    assert caught.value.code == 400


def test_the_result_is_an_object():
    """A root replaced by something else is refused."""
    with pytest.raises(ApiError, match="must be a JSON object") as caught:
        json_patch(BODY, [{"op": "replace", "path": "", "value": []}])
    assert caught.value.code == 422


def test_the_number_of_operations_is_limited():
    """10,000 are fine, one more is 413, as Kubernetes says it."""
    operation = {"op": "test", "path": "/spec/mode", "value": "Apply"}
    assert json_patch(BODY, [operation] * MAX_OPERATIONS) == BODY
    with pytest.raises(ApiError, match="maximum operations in a JSON patch is 10000, got 10001") as caught:
        json_patch(BODY, [operation] * (MAX_OPERATIONS + 1))
    assert caught.value.code == 413


def test_copies_of_copies_are_stopped():
    """Doubling ends at the limit, not when the memory does; nesting ends too."""
    wide = [{"op": "add", "path": "/l", "value": ["x" * 100]}]
    wide += [{"op": "copy", "from": "/l", "path": f"/{n}"} for n in range(3)]
    wide += [{"op": "copy", "from": "", "path": f"/l{n}"} for n in range(60)]
    with pytest.raises(ApiError) as caught:
        json_patch({}, wide)
    assert caught.value.code in (413, 422)
    flat = [{"op": "copy", "from": "/l", "path": "/l/-"} for _ in range(60)]
    with pytest.raises(ApiError) as caught:
        json_patch({"l": ["x" * 10_000]}, flat)
    assert caught.value.code in (413, 422)


operations = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])},
        optional={
            "path": st.sampled_from(["", "/", "/a", "/a/b", "/a/0", "/a/-", "/b", "/b/c/0", "/c"]),
            "from": st.sampled_from(["", "/a", "/a/b", "/a/0", "/b"]),
            "value": json_values,
        },
    ),
    max_size=6,
)


@settings(max_examples=300)
@given(objects, operations)
def test_any_json_patch_applies_or_is_refused(body, found):
    """An object, or ApiError 400, 413, 422; the body stays as it is."""
    before = copy.deepcopy(body)
    try:
        result = json_patch(body, found)
    except ApiError as error:
        result = error.code
    assert isinstance(result, dict) or result in (400, 413, 422)
    assert body == before
