"""Defaults: filled in where the schema has them, and without any meaning of their own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hactl.adapters.yaml.documents import digest
from hactl.core.document.crd.cluster import custom_resource_definition
from hactl.core.document.load import read_cluster
from hactl.core.kube.apply.defaults import filled
from hactl.core.objects import HACluster
from support.documents import firewall_data, nas_data

SCHEMA = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
SMALL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "default": "x"},
        "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"default": 1}}}},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"n": {"default": 2}}}},
        "whole": {"type": "object", "default": {}, "properties": {"n": {"default": 3}}},
        "maybe": {"nullable": True, "default": 4},
    },
}


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ({}, {"a": "x", "whole": {"n": 3}, "maybe": 4}),
        ({"a": None, "maybe": None}, {"a": "x", "whole": {"n": 3}, "maybe": None}),
        ({"a": "", "whole": {"n": 0}, "maybe": 0}, {"a": "", "whole": {"n": 0}, "maybe": 0}),
        ({"list": [{}, {"n": 9}]}, {"list": [{"n": 1}, {"n": 9}], "a": "x", "whole": {"n": 3}, "maybe": 4}),
        ({"map": {"k": {}}, "b": {}}, {"map": {"k": {"n": 2}}, "b": {}, "a": "x", "whole": {"n": 3}, "maybe": 4}),
        ({"list": "text", "whole": []}, {"list": "text", "whole": [], "a": "x", "maybe": 4}),
        ("text", "text"),
    ],
)
def test_what_is_filled_in(value: Any, becomes: Any) -> None:
    """As Kubernetes: only where the object around it is there, never over what was given; odd shapes stay."""
    before = copy.deepcopy(value)
    found = filled(value, SMALL)
    assert found == becomes
    assert value == before
    assert filled(found, SMALL) is found, "twice is once"


@pytest.mark.parametrize("data", [nas_data(), firewall_data()])
def test_a_document_with_its_defaults_is_the_same_document(data: dict[str, Any]) -> None:
    """What is hashed for a generation has them already: an upgrade that fills them in makes no new generation.

    And nothing is filled in whose absence says something: what nobody stated of HAST is not written over what an
    owner's hast.conf says (`hactl.core.plan.adopted`).
    """
    data["spec"]["failover"] = {}
    found = filled(data, SCHEMA)
    assert found["spec"]["failover"]["policy"] == "Automatic"
    plain, full = read_cluster(data), read_cluster(found)
    assert isinstance(plain, HACluster)
    assert isinstance(full, HACluster)
    assert digest(plain) == digest(full)
    assert plain == full
    for one, other in zip(plain.spec.groups, full.spec.groups, strict=True):
        for mine, theirs in zip(one.storage, other.storage, strict=True):
            assert theirs.hast.model_fields_set - mine.hast.model_fields_set <= {"initialize"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["spec", "groups", "mode", "x"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=200)
def test_no_data_breaks_it(value: Any) -> None:
    """Whatever was sent: what was given is still there."""
    found = filled(value, SCHEMA)
    if isinstance(value, dict):
        assert {key: child for key, child in value.items() if not isinstance(child, dict | list)}.items() <= {
            key: child for key, child in found.items() if not isinstance(child, dict | list)
        }.items()
    else:
        assert type(found) is type(value)
