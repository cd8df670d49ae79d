"""Discovery: the same resources in every form a client may ask for."""

from __future__ import annotations

import pytest

from hactl.core.kube import discovery
from hactl.core.kube.kinds import RESOURCES

#: What kubectl 1.37 asks with.
KUBECTL = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


def plain():
    """(group, version, name) -> verbs, by walking the plain forms as an old client does."""
    found = {}
    places = [("", version) for version in discovery.core_versions()["versions"]]
    places += [
        (group["name"], each["version"]) for group in discovery.group_list()["groups"] for each in group["versions"]
    ]
    for group, version in places:
        listed = discovery.resource_list(group, version)
        assert listed["groupVersion"] == (f"{group}/{version}" if group else version)
        found |= {(group, version, each["name"]): each["verbs"] for each in listed["resources"]}
    return found


def test_plain_and_aggregated_say_the_same():
    """Resources, subresources and verbs are the same both ways, and are those of the table of kinds."""
    aggregated = {}
    for core in (True, False):
        for group in discovery.aggregated(core)["items"]:
            for version in group["versions"]:
                assert version["freshness"] == "Current"
                for each in version["resources"]:
                    key = (group["metadata"].get("name", ""), version["version"])
                    assert each["responseKind"]["group"] == key[0]
                    assert each["scope"] in ("Namespaced", "Cluster")
                    aggregated[(*key, each["resource"])] = each["verbs"]
                    for sub in each.get("subresources", ()):
                        aggregated[(*key, f"{each['resource']}/{sub['subresource']}")] = sub["verbs"]
    assert plain() == aggregated
    expected = {(r.group, r.version, r.plural): list(r.verbs) for r in RESOURCES}
    expected |= {
        (r.group, r.version, f"{r.plural}/{name}"): ["get", "patch", "update"]
        for r in RESOURCES
        for name in r.subresources
    }
    assert aggregated == expected


def test_a_resource_has_what_kubectl_needs():
    """Short names, categories, singular and kind are there, so that `kubectl get hac` finds it."""
    [cluster] = [r for r in discovery.resource_list("hactl.dev", "v1alpha1")["resources"] if r["name"] == "haclusters"]
    assert cluster == {
        "name": "haclusters",
        "singularName": "hacluster",
        "namespaced": True,
        "kind": "HACluster",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["hac"],
        "categories": ["all", "hactl"],
    }


def test_groups_prefer_their_version():
    """Every named group has a preferred version; core is none of them; hactl's own comes first."""
    groups = discovery.group_list()["groups"]
    assert [group["name"] for group in groups] == [
        "hactl.dev",
        "coordination.k8s.io",
        "authorization.k8s.io",
        "authentication.k8s.io",
    ]
    assert groups[0]["preferredVersion"] == {"groupVersion": "hactl.dev/v1alpha1", "version": "v1alpha1"}
    assert discovery.group("hactl.dev")["kind"] == "APIGroup"


def test_what_is_not_there_is_none():
    """Unknown groups and versions are nothing, core is no named group."""
    assert discovery.group("apps") is None
    assert discovery.group("") is None
    assert discovery.resource_list("hactl.dev", "v1") is None
    assert discovery.resource_list("", "v2") is None


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        (KUBECTL, "v2"),
        (KUBECTL.split(",", 1)[1], "v2beta1"),
        (KUBECTL.replace(";", " ; "), "v2"),
        ("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList," + KUBECTL, "v2"),
        ("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList", None),
        ("application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", None),
        ("application/json, " + KUBECTL, None),
        ("application/json;charset=utf-8", None),
        ("*/*", None),
        ("", None),
        (";;,=;g,", None),
    ],
)
def test_which_form_is_asked_for(accept, version):
    """The first form of Accept that we have; the plain one otherwise."""
    assert discovery.aggregated_version(accept) == version


def test_the_two_aggregated_versions_differ_in_name_only():
    """v2beta1 is what kubectl up to 1.29 reads; its shape is the same."""
    new, old = discovery.aggregated(False), discovery.aggregated(False, "v2beta1")
    assert (new.pop("apiVersion"), old.pop("apiVersion")) == ("apidiscovery.k8s.io/v2", "apidiscovery.k8s.io/v2beta1")
    assert new == old
    assert discovery.aggregated_type("v2") == KUBECTL.split(",")[0]
