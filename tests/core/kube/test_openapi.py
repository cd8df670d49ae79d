"""OpenAPI v3: what kubectl looks for is there, what is named exists, and every answer of the API is documented."""

from __future__ import annotations

import json
import re

import pytest

from core.document.test_schema_generated import fits
from hactl.core.kube.access import ROLES
from hactl.core.kube.discovery import SUBRESOURCE_VERBS
from hactl.core.kube.kinds import HACLUSTERS, HAOPERATIONS, RESOURCES
from hactl.core.kube.openapi import index as openapi
from hactl.core.kube.openapi.schemas import gvk, list_name_of, name_of
from support.documents import firewall_data, nas_data

#: Documents of a group's version, and of the paths Kubernetes does not have.
PATHS = [path for path in openapi.index()["paths"] if path != "hactl"]
EVERY = [*PATHS, "hactl"]
METHODS = {"get": "get", "put": "update", "post": "create", "patch": "patch", "delete": "delete"}
GROUP = "apis/hactl.dev/v1alpha1"


def operations(path):
    """(path, method, operation, parameters of the path) of every request in a document."""
    for where, item in openapi.document(path)["paths"].items():
        for method in item.keys() & METHODS.keys():
            yield where, method, item[method], item.get("parameters", [])


def references(node):
    """Every $ref inside."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def test_the_index_names_every_version():
    """One document for every group's version, at an address with its hash."""
    assert set(PATHS) == {resource.prefix.strip("/") for resource in RESOURCES}
    assert set(openapi.index()["paths"]) == set(EVERY)
    for path, entry in openapi.index()["paths"].items():
        assert entry == {"serverRelativeURL": f"/openapi/v3/{path}?hash={openapi.document_hash(path)}"}
        assert re.fullmatch("[0-9A-F]{32}", openapi.document_hash(path))
    assert len({openapi.document_hash(path) for path in EVERY}) == len(EVERY)


def test_what_is_not_there_is_none():
    """Unknown documents have neither text nor hash."""
    for path in ("", "api", "apis/hactl.dev", "apis/apps/v1", "/api/v1"):
        assert openapi.document(path) is None
        assert openapi.document_hash(path) is None


@pytest.mark.parametrize("path", EVERY)
def test_a_document_stands_alone(path):
    """Every reference leads to a schema of the same document, every schema is used or is a kind, and it is JSON."""
    document = openapi.document(path)
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= schemas
    kinds = [
        name for name, one in document["components"]["schemas"].items() if "x-kubernetes-group-version-kind" in one
    ]
    assert schemas - set(references(document)) <= {f"#/components/schemas/{name}" for name in kinds}
    assert json.loads(json.dumps(document)) == document
    assert document["openapi"] == "3.0.0"


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)
def test_every_kind_has_its_schema(resource):
    """kubectl finds the schema of an object by group, version and kind; lists have one too."""
    schemas = openapi.document(resource.prefix.strip("/"))["components"]["schemas"]
    assert schemas[name_of(resource)]["x-kubernetes-group-version-kind"] == [gvk(resource)]
    assert {"apiVersion", "kind", "metadata"} <= schemas[name_of(resource)]["properties"].keys()
    if "list" in resource.verbs:
        assert schemas[list_name_of(resource)]["properties"]["items"]["items"] == {
            "$ref": f"#/components/schemas/{name_of(resource)}"
        }


def test_names_are_those_of_kubernetes():
    """Generators of clients make types of them."""
    assert name_of(HACLUSTERS) == "dev.hactl.v1alpha1.HACluster"
    assert list_name_of(HAOPERATIONS) == "dev.hactl.v1alpha1.HAOperationList"
    schemas = openapi.document("api/v1")["components"]["schemas"]
    assert {"io.k8s.api.core.v1.Event", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"} <= schemas.keys()


def verb_of(method, operation):
    """The Kubernetes verb of a request."""
    action = operation.get("x-kubernetes-action")
    return action if action in ("list", "deletecollection") else METHODS[method]


def test_the_paths_are_the_verbs():
    """What discovery says can be done is documented, on the object, its subresources and its list; nothing else is."""
    found = {}
    for path in PATHS:
        for where, method, operation, _ in operations(path):
            if "x-kubernetes-group-version-kind" in operation:
                rest = where.removeprefix(f"/{path}/").removeprefix("namespaces/{namespace}/").split("/")
                name = "/".join(part for part in rest if part != "{name}")
                found.setdefault(name, set()).add(verb_of(method, operation))
    for resource in RESOURCES:
        assert found.pop(resource.plural) == set(resource.verbs) - {"watch"}
        for name in resource.subresources:
            assert found.pop(f"{resource.plural}/{name}") == set(SUBRESOURCE_VERBS)
    assert not found


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_documented(path):
    """A client, or a fuzzer, meets no status that the document does not know; refusals are Status objects."""
    always = {"400", "401", "403", "404", "405", "410", "413", "429", "503"}
    for where, method, operation, _ in operations(path):
        codes = set(operation["responses"])
        assert always <= codes, where
        assert "200" in codes
        if method != "get":
            assert {"409", "415", "422"} <= codes
        for code, answer in operation["responses"].items():
            schema = answer["content"]["application/json"]["schema"]
            assert answer["description"]
            if code >= "400":
                assert schema["$ref"].endswith(".Status")


@pytest.mark.parametrize("path", EVERY)
def test_parameters_and_ids(path):
    """Every name in a path is a parameter, no parameter is there twice, and no two requests have one id."""
    ids = [operation["operationId"] for _, _, operation, _ in operations(path)]
    assert len(ids) == len(set(ids))
    for where, _, operation, shared in operations(path):
        parameters = [(each["in"], each["name"]) for each in [*operation.get("parameters", []), *shared]]
        assert len(parameters) == len(set(parameters))
        assert {name for kind, name in parameters if kind == "path"} == set(re.findall(r"{(\w+)}", where))


def test_a_patch_is_what_kubectl_looks_for():
    """fieldValidation and dryRun are parameters of the PATCH of the kind; it takes three types of patches.

    Were application/strategic-merge-patch+json among those of a custom resource, `kubectl apply` would send that, and
    get a 415, as from a real API server. A Lease, which Kubernetes has itself, takes it.
    """
    found = 0
    for path in PATHS:
        for _, method, operation, _ in operations(path):
            if method != "patch":
                continue
            found += 1
            assert {"fieldValidation", "dryRun", "fieldManager", "force"} <= {
                each["name"] for each in operation["parameters"]
            }
            kind = operation["x-kubernetes-group-version-kind"]["kind"]
            assert set(operation["requestBody"]["content"]) == {
                "application/apply-patch+yaml",
                "application/json-patch+json",
                "application/merge-patch+json",
                *(["application/strategic-merge-patch+json"] if kind == "Lease" else []),
            }
            assert operation["x-kubernetes-action"] == "patch"
            assert kind in ("HACluster", "HAOperation", "Lease")
    assert found == 3


def test_the_paths_beside():
    """What Kubernetes has not is documented too: who may ask without a name, and that 503 is an answer like another."""
    found = openapi.document("hactl")["paths"]
    first = {where.split("/")[1] for where in found}
    assert first == {"healthz", "livez", "readyz", "version", "metrics", "clusters", "stream", "nudge", "tokens"}
    anonymous = {where for where, item in found.items() if item.get("get", {}).get("security") == []}
    assert anonymous == {"/healthz", "/livez", "/readyz", "/version"}
    for where in ("/readyz", "/clusters/{cluster}/active", "/clusters/{cluster}/nodes/{node}/role"):
        assert {"200", "503"} <= found[where]["get"]["responses"].keys()
        assert "text/plain" in found[where]["get"]["responses"]["503"]["content"]
    roles = found["/tokens"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["role"]
    assert roles["enum"] == list(ROLES)


def test_a_watch_is_documented_where_there_is_one():
    """The parameters of a watch are on lists of what can be watched."""
    for path in PATHS:
        for _, _, operation, _ in operations(path):
            if operation.get("x-kubernetes-action") == "list":
                assert {"watch", "allowWatchBookmarks", "sendInitialEvents", "resourceVersion"} <= {
                    each["name"] for each in operation["parameters"]
                }


def test_the_document_of_clusters_is_that_of_the_crd():
    """`kubectl explain` shows what `hactl explain` shows: one source of fields."""
    schema = openapi.document(GROUP)["components"]["schemas"]["dev.hactl.v1alpha1.HACluster"]
    groups = schema["properties"]["spec"]["properties"]["groups"]
    assert groups["x-kubernetes-list-map-keys"] == ["name"]
    assert (
        "CARP virtual host id"
        in groups["items"]["properties"]["virtualIPs"]["items"]["properties"]["vhid"]["description"]
    )
    assert schema["required"] == ["spec"]


def test_everything_is_described():
    """Every field and parameter says what it is."""

    def walk(schema, where):
        for name, field in schema.get("properties", {}).items():
            assert field.get("description"), f"{where}.{name}"
            walk(field, f"{where}.{name}")
        if isinstance(schema.get("items"), dict):
            walk(schema["items"], where)

    for path in PATHS:
        for name, schema in openapi.document(path)["components"]["schemas"].items():
            if not name.startswith("dev.hactl"):
                walk(schema, name)
        for where, _, operation, shared in operations(path):
            assert operation["description"], where
            assert all(each["description"] for each in [*operation.get("parameters", []), *shared])


def test_the_stub_of_version_2():
    """`swagger: "2.0"` in protobuf: field 1, three bytes; the type has a dot where the request has an @."""
    assert bytes([1 << 3 | 2, 3]) + b"2.0" == openapi.V2_STUB
    assert "@" not in openapi.V2_TYPE


@pytest.mark.parametrize("data", [nas_data, firewall_data])
def test_the_examples_fit(data):
    """The schema of the object takes the examples as the API stores them, and refuses a wrong one."""
    schemas = openapi.document(GROUP)["components"]["schemas"]
    schema = schemas["dev.hactl.v1alpha1.HACluster"]["properties"]["spec"]
    assert fits(data()["spec"], schema)
    assert not fits({**data()["spec"], "mode": "Sometimes"}, schema)
    assert not fits({**data()["spec"], "nodes": {}}, schema)
