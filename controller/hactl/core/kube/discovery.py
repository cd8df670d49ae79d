"""Discovery: which groups, versions and resources the API has, in the forms clients ask for.

Plain (APIVersions, APIGroupList, APIResourceList; meta/v1) and aggregated (APIGroupDiscoveryList of
apidiscovery.k8s.io, v2 and v2beta1, which have one shape), all from `hactl.core.kube.kinds`.
https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

from typing import Any

from hactl.core.kube.kinds import RESOURCES, Resource

#: Subresources have these.
SUBRESOURCE_VERBS = ("get", "patch", "update")
_AGGREGATED_VERSIONS = ("v2", "v2beta1")


def groups() -> tuple[str, ...]:
    """The named groups (all but core), hactl's own first, in the order clients should prefer them."""
    return tuple(dict.fromkeys(resource.group for resource in RESOURCES if resource.group))


def versions(group: str) -> tuple[str, ...]:
    """Versions of a group, the preferred one first; empty: there is no such group."""
    return tuple(dict.fromkeys(resource.version for resource in RESOURCES if resource.group == group))


def core_versions() -> dict[str, Any]:
    """/api: APIVersions."""
    # No address by client network: clients go on with the address they came by.
    return {"kind": "APIVersions", "versions": list(versions("")), "serverAddressByClientCIDRs": []}


def group_list() -> dict[str, Any]:
    """/apis: APIGroupList."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in groups()]}


def group(name: str) -> dict[str, Any] | None:
    """/apis/NAME: APIGroup; None: there is no such group."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)} if name in groups() else None


def _group(name: str) -> dict[str, Any]:
    found = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions(name)]
    return {"name": name, "versions": found, "preferredVersion": found[0]}


def resource_list(group: str, version: str) -> dict[str, Any] | None:
    """/api/v1, /apis/GROUP/VERSION: APIResourceList; None: there is no such group or version."""
    found = _resources(group, version)
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": [entry for resource in found for entry in _entries(resource)],
    }


def _resources(group: str, version: str) -> list[Resource]:
    return [resource for resource in RESOURCES if (resource.group, resource.version) == (group, version)]


def _entries(resource: Resource) -> list[dict[str, Any]]:
    """The resource, and its subresources as resources named RESOURCE/SUBRESOURCE."""
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        **_uses(resource),
    }
    return [
        entry,
        *(
            {
                "name": f"{resource.plural}/{name}",
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": list(SUBRESOURCE_VERBS),
            }
            for name in resource.subresources
        ),
    ]


def _uses(resource: Resource) -> dict[str, Any]:
    """What can be done with a resource, and by which short words; what is empty is left out."""
    known = {"verbs": resource.verbs, "shortNames": resource.short_names, "categories": resource.categories}
    return {key: list(words) for key, words in known.items() if words}


def aggregated(core: bool, version: str = "v2") -> dict[str, Any]:
    """/api (`core`) or /apis as APIGroupDiscoveryList of that version of apidiscovery.k8s.io."""
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_discovered_group(name) for name in (("",) if core else groups())],
    }


def _discovered_group(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name} if name else {},
        "versions": [
            {
                "version": version,
                "freshness": "Current",
                "resources": [_discovered(resource) for resource in _resources(name, version)],
            }
            for version in versions(name)
        ],
    }


def _discovered(resource: Resource) -> dict[str, Any]:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    found: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        **_uses(resource),
    }
    if resource.subresources:
        found["subresources"] = [
            {"subresource": name, "responseKind": kind, "verbs": list(SUBRESOURCE_VERBS)}
            for name in resource.subresources
        ]
    return found


def aggregated_type(version: str) -> str:
    """The Content-Type of an aggregated answer, which is also what a client puts into Accept to get it."""
    return f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"


def aggregated_version(accept: str) -> str | None:
    """The first version of aggregated discovery that an Accept header names and we have; None: the plain form."""
    for choice in accept.split(","):
        kind, *rest = [part.strip() for part in choice.split(";")]
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        if kind != "application/json":
            continue
        if parameters.get("g") == "apidiscovery.k8s.io" and parameters.get("as") == "APIGroupDiscoveryList":
            if parameters.get("v") in _AGGREGATED_VERSIONS:
                return parameters["v"]
        elif not parameters.keys() & {"g", "as"}:
            return None
    return None
