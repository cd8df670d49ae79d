"""Strategic merge patches of a Lease, as kubectl makes them."""

from __future__ import annotations

from typing import Any

import pytest

from hactl.api.verbs.admission import schema_of
from hactl.core.kube.errors import ApiError
from hactl.core.kube.kinds import LEASES
from hactl.core.kube.strategic_merge import strategic_merge_patch

OWNERS = [{"uid": "1", "name": "one"}, {"uid": "2", "name": "two"}]
BODY: dict[str, Any] = {
    "metadata": {"name": "l", "labels": {"a": "b", "c": "d"}, "finalizers": ["x/1", "x/2"], "ownerReferences": OWNERS},
    "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15},
}


def patched(patch: Any) -> dict[str, Any]:
    """The lease after it."""
    return strategic_merge_patch(BODY, patch, schema_of(LEASES))


@pytest.mark.parametrize(
    ("metadata", "field", "expected"),
    [
        ({"labels": {"a": None, "e": "f"}}, "labels", {"c": "d", "e": "f"}),
        ({"labels": {"$patch": "replace", "e": "f"}}, "labels", {"e": "f"}),
        ({"labels": {"$patch": "delete"}}, "labels", {}),
        ({"labels": {"$retainKeys": ["c", "e"], "e": "f"}}, "labels", {"c": "d", "e": "f"}),
        ({"labels": None}, "labels", None),
        # Lists of values are sets, lists of mappings have a key.
        ({"finalizers": ["x/2", "x/3"]}, "finalizers", ["x/1", "x/2", "x/3"]),
        ({"$deleteFromPrimitiveList/finalizers": ["x/1"]}, "finalizers", ["x/2"]),
        ({"$setElementOrder/finalizers": ["x/2", "x/1"]}, "finalizers", ["x/2", "x/1"]),
        (
            {"$setElementOrder/finalizers": ["x/3", "x/2"], "finalizers": ["x/3"]},
            "finalizers",
            ["x/1", "x/3", "x/2"],
        ),
        ({"ownerReferences": [{"uid": "2", "name": "b"}]}, "ownerReferences", [OWNERS[0], {"uid": "2", "name": "b"}]),
        ({"ownerReferences": [{"uid": "1", "$patch": "delete"}]}, "ownerReferences", OWNERS[1:]),
        ({"ownerReferences": [{"uid": "3", "$patch": "delete"}]}, "ownerReferences", OWNERS),
        ({"ownerReferences": [{"$patch": "replace"}, {"uid": "4"}]}, "ownerReferences", [{"uid": "4"}]),
    ],
)  # fmt: skip
def test_what_is_merged(metadata: dict[str, Any], field: str, expected: Any) -> None:
    """Mappings and the lists that Kubernetes merges; what the patch does not name stays."""
    result = patched({"metadata": metadata})
    assert result["metadata"].get(field) == expected
    others = {key: value for key, value in BODY["metadata"].items() if key != field}
    assert {key: value for key, value in result["metadata"].items() if key != field} == others
    assert result["spec"] == BODY["spec"]


def test_a_result_shares_nothing_with_the_object() -> None:
    """A changed result leaves the object, which others look at, alone."""
    result = patched({"spec": {"holderIdentity": "you"}})
    result["metadata"]["finalizers"].append("x/9")
    assert (result["spec"]["holderIdentity"], BODY["metadata"]["finalizers"]) == ("you", ["x/1", "x/2"])


@pytest.mark.parametrize(
    "patch",
    [
        [],
        {"$patch": "turn"},
        {"metadata": {"$setElementOrder/labels": ["a"]}},
        {"metadata": {"$setElementOrder/finalizers": "x/1"}},
        {"metadata": {"$somethingElse": []}},
        {"metadata": {"ownerReferences": [{"name": "who"}]}},
        {"metadata": {"$retainKeys": "labels"}},
    ],
)
def test_what_is_no_patch(patch: Any) -> None:
    """Malformed ones are refused with 400, never a traceback."""
    with pytest.raises(ApiError) as refused:
        patched(patch)
    assert refused.value.code == 400
