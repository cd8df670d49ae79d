"""CRD, JSON Schema and explain: generated from the models, in the form their readers demand."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from hactl.adapters.generated import GENERATORS, main, stale_files
from hactl.adapters.yaml.tree import read_trees
from hactl.core.document.crd.cluster import MAX_ITEMS, custom_resource_definition
from hactl.core.document.crd.operation import operation_definition, operation_schema
from hactl.core.document.explain import UnknownField, explain
from hactl.core.document.schema import document_schema, json_schema
from hactl.core.kube import codec as bodies
from hactl.core.kube import kinds
from hactl.core.kube.tables import COLUMNS
from hactl.core.objects import PATTERNS
from hactl.core.operations import Kind, Operation, State
from support.documents import ROOT, firewall_data, nas_data

DEFINITIONS = [custom_resource_definition, operation_definition]


def nodes(schema):
    """Every mapping inside a schema."""
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from nodes(inner)


def schemas(schema):
    """Every schema inside a schema (not the maps of properties)."""
    yield schema
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for one in inner:
        if isinstance(one, dict):
            yield from schemas(one)


def structural(definition=custom_resource_definition):
    """The schema of a CRD."""
    return definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def test_committed_files_are_fresh():
    """`make gen` was run after the last change of the models."""
    assert stale_files(ROOT) == []


def test_generator_writes_and_checks(tmp_path, capsys):
    """--check names what is stale and fails; without it the files are written; then --check passes."""
    assert main(["--check"], GENERATORS, tmp_path) == 1
    assert "crds/hactl.dev_haclusters.yaml is stale" in capsys.readouterr().err
    assert main([], GENERATORS, tmp_path) == 0
    assert main(["--check"], GENERATORS, tmp_path) == 0


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_crd_text_is_the_crd(definition):
    """The committed YAML reads back as the definition."""
    [tree] = read_trees(GENERATORS[f"crds/hactl.dev_{definition()['spec']['names']['plural']}.yaml"]().encode(), "crd")[
        0
    ]
    assert tree.problems == []
    assert tree.data == definition()


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_crd_is_structural(definition):
    """What Kubernetes forbids in a structural schema is not there, and every node has a type."""
    forbidden = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "title", "const", "propertyNames", "uniqueItems"}
    for node in schemas(structural(definition)):
        assert not forbidden & node.keys()
        assert isinstance(node["type"], str)
        assert not ("properties" in node and "additionalProperties" in node)
        assert node.get("additionalProperties") is not False
        assert None not in node.values()
        if node["type"] == "array":
            assert "items" in node
        for key in node.get("x-kubernetes-list-map-keys", ()):
            assert key in node["items"]["required"]
            assert node["items"]["properties"][key]["type"] == "string"
        if node.get("x-kubernetes-list-type") == "set":
            assert node["items"]["type"] == "string"


#: Field names of apiextensions.k8s.io/v1 JSONSchemaProps that our schemas may use; others are errors or are dropped.
SCHEMA_WORDS = {
    "description", "type", "format", "default", "enum", "required", "properties", "additionalProperties", "items",
    "pattern", "maxLength", "minLength", "minimum", "maximum", "minItems", "maxItems", "nullable",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
}  # fmt: skip


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_crd_uses_words_a_real_server_knows(definition):
    """A real kube-apiserver knows every word; defaults fit their own schema, and no metadata but the name is bound."""
    for node in schemas(structural(definition)):
        assert node.keys() <= SCHEMA_WORDS
        if "default" in node:
            assert fits(node["default"], node)
        for rule in node.get("x-kubernetes-validations", ()):
            assert rule.keys() == {"rule", "message"}
    metadata = structural(definition)["properties"]["metadata"]
    assert metadata.get("properties", {}).keys() <= {"name"}


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_crd_columns_are_simple(definition):
    """Columns have known types and paths to fields the schema has; the server shows only the first match of a path."""
    for column in definition()["spec"]["versions"][0]["additionalPrinterColumns"]:
        assert column["type"] in {"string", "integer", "number", "date", "boolean"}
        assert "*" not in column["jsonPath"]
        first, *rest = column["jsonPath"].removeprefix(".").split("[")[0].split(".")
        node = structural(definition)["properties"][first]
        for part in rest if first != "metadata" else ():
            node = node["properties"][part]


@pytest.mark.parametrize(
    ("definition", "resource"),
    [(custom_resource_definition, kinds.HACLUSTERS), (operation_definition, kinds.HAOPERATIONS)],
)
def test_crd_names_are_those_of_our_own_api(definition, resource):
    """A real API server that holds the CRDs and hactl's own API call everything the same."""
    spec = definition()["spec"]
    assert definition()["metadata"]["name"] == f"{resource.plural}.{resource.group}"
    names = spec["names"]
    assert (names["plural"], names["singular"], names["kind"]) == (resource.plural, resource.singular, resource.kind)
    assert (tuple(names["shortNames"]), tuple(names["categories"])) == (resource.short_names, resource.categories)
    assert names["listKind"] == f"{resource.kind}List"
    [version] = spec["versions"]
    assert f"{spec['group']}/{version['name']}" == resource.api_version
    assert version["subresources"] == {"status": {}}


def test_crd_columns():
    """`kubectl get hac` shows what people ask for first; -o wide adds the machines, the generation and the reason."""
    [version] = custom_resource_definition()["spec"]["versions"]
    columns = version["additionalPrinterColumns"]
    assert [c["name"].upper() for c in columns if not c.get("priority")] == [
        "READY",
        "ACTIVE",
        "FAILOVER",
        "SYNC",
        "AGE",
    ]
    assert [c["name"].upper() for c in columns if c.get("priority")] == ["NODES", "GENERATION", "REASON"]
    paths = {c["name"]: c["jsonPath"] for c in columns}
    assert (paths["Active"], paths["Sync"]) == (".status.active", ".status.sync")
    assert structural()["properties"]["status"]["x-kubernetes-preserve-unknown-fields"] is True
    assert structural()["properties"]["metadata"].keys() == {"type", "properties"}


def test_operations_have_the_fields_that_are_read():
    """The schema of HAOperation has the fields `operation_fields` reads and no other, and every type and state."""
    fields = operation_schema()["properties"]["spec"]["properties"]
    assert set(fields) == {"type", *bodies._PLAIN, *bodies._DETAIL, *bodies._TIMES}
    assert fields["type"]["enum"] == [kind.value for kind in Kind]
    status = operation_schema()["properties"]["status"]["properties"]
    assert status["state"]["enum"] == [state.value for state in State]


def test_operations_as_they_are_stored_fit_their_schema():
    """What hactl writes itself is valid, status and conditions included."""
    now = datetime(2026, 11, 24, tzinfo=UTC)
    for state in State:
        made = Operation(
            4, "nas", Kind.SWITCHOVER, "alice", "why", now, "files", "nas-b", detail={"from": "nas-a"},
            not_before=now, expires_at=now, state=state, message="m", ended_at=now, seconds=1.5,
        )  # fmt: skip
        body = bodies.operation_body(made, "switchover-4")
        body = {**body, "metadata": {}}
        assert fits(body, operation_schema())
        assert not fits({**body, "spec": {**body["spec"], "type": "Reboot"}}, operation_schema())


def fits(value, schema):
    """Whether a value fits a schema, as far as the schema uses JSON Schema."""
    types = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "number": float | int}
    if not isinstance(value, types[schema["type"]]) or (schema["type"] == "integer" and isinstance(value, bool)):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        extra = schema.get("additionalProperties", False)
        return set(schema.get("required", ())) <= value.keys() and all(
            fits(inner, known[key]) if key in known else bool(extra) and fits(inner, extra)
            for key, inner in value.items()
        )
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(fits(item, schema["items"]) for item in value)
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    return schema.get("minimum", value) <= value <= schema.get("maximum", value)


@pytest.mark.parametrize("data", [nas_data, firewall_data])
def test_examples_fit_the_schema(data):
    """Both examples fit the editors' schema; an unknown field and a wrong number do not."""
    assert fits(data(), document_schema())
    wrong = data()
    wrong["spec"]["groups"][0]["virtualIPs"][0]["vhid"] = 256
    assert not fits(wrong, document_schema())
    assert not fits(data() | {"status": {}}, document_schema())


def test_json_schema_is_2020_12():
    """Editors are told the dialect and refuse unknown fields."""
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert not any("$ref" in node for node in nodes(schema))


def test_every_field_is_described():
    """Undocumented is broken: every field has a description, every pattern has words."""

    def walk(schema, path):
        for name, field in schema.get("properties", {}).items():
            assert field.get("description"), f"{path}.{name}"
            walk(field, f"{path}.{name}")
        for inner in (schema.get("items"), schema.get("additionalProperties")):
            if isinstance(inner, dict):
                walk(inner, path)

    walk(document_schema(), "HACluster")
    for schema in schemas(document_schema()):
        assert schema.get("pattern", next(iter(PATTERNS))) in PATTERNS


def test_explain_a_list_of_objects():
    """The fields of a group, with types, what is required, defaults and choices."""
    text = explain("HACluster.spec.groups")
    assert "KIND:       HACluster\nVERSION:    v1alpha1\n" in text
    assert "FIELD: spec.groups <[]Object> -required-" in text
    assert "  virtualIPs\t<[]Object>\n" in text
    assert "  preferred\t<[]string> -required-\n" in text
    assert "    one of: Never, WhenReady\n    default: Never\n" in text


def test_explain_a_scalar():
    """A leaf shows its limits; kubectl's spellings of the path work too."""
    assert "range: 1 to 255" in explain("hac.spec.groups.virtualIPs.vhid")
    assert explain("spec.groups[0].virtualIPs[1].vhid") == explain("HACluster.spec.groups.virtualIPs.vhid")
    assert "default: 22" in explain("spec.nodes.ssh.port")
    assert "FIELD: spec.groups.virtualIPs.interfaces <map[string]string>" in explain(
        "spec.groups.virtualIPs.interfaces"
    )


def test_explain_the_kind_recursively():
    """--recursive shows the whole tree, one field per line."""
    text = explain("HACluster", recursive=True)
    assert "\n            mountpoint\t<string> -required-\n" in text
    assert text.count("\n") > 60


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("HACluster.spec.group", "did you mean HACluster.spec.groups?"),
        ("spec.groups.virtualips", "did you mean HACluster.spec.groups.virtualIPs?"),
        ("Deployment", 'HACluster has no field "Deployment"; it has apiVersion, kind, metadata and spec'),
        ("spec.mode.x", 'HACluster.spec.mode has no fields, so there is no "x" in it'),
    ],
)
def test_explain_wrong_path(path, expected):
    """A wrong path says what was probably meant."""
    with pytest.raises(UnknownField, match=re.escape(expected)):
        explain(path)


def test_rules_that_an_api_server_checks_too() -> None:
    """Exactly one of two fields where the document says so; what an operation of each kind needs; bounded in cost."""
    found: dict[str, str] = {}

    def walk(path: str, node: Any, bounded: bool) -> None:
        if not isinstance(node, dict):
            return
        for rule in node.get("x-kubernetes-validations", ()):
            found[path] = rule["rule"]
            assert bounded, f"{path}: a list around it has no maxItems, and its cost no bound"
        for name, each in node.get("properties", {}).items():
            walk(f"{path}.{name}" if path else name, each, bounded)
        walk(path, node.get("items"), bounded and 0 < node.get("maxItems", 0) <= MAX_ITEMS)

    version = custom_resource_definition()["spec"]["versions"][0]
    walk("", version["schema"]["openAPIV3Schema"], True)
    assert found == {
        "spec.nodes.ssh": "has(self.hostKey) != has(self.hostKeyFrom)",
        "spec.groups.virtualIPs.passwordFrom": "has(self.file) != has(self.env)",
        "spec.groups.storage.filesystem": "has(self.ufs) != has(self.zfs)",
        "spec.groups.services.check": "has(self.tcp) != has(self.command)",
    }
    rules = [rule["rule"] for rule in operation_schema()["properties"]["spec"]["x-kubernetes-validations"]]
    assert "self.type != 'Drain' || (has(self.cluster) && has(self.node))" in rules
    assert len(rules) == 1 + sum(bool(kind.traits.needs) for kind in Kind)


def test_tables_have_the_columns_of_the_crds() -> None:
    """`kubectl get` shows the same against hactl's API as against one that has the CRDs."""
    for plural, definition in (("haclusters", custom_resource_definition()), ("haoperations", operation_definition())):
        columns = definition["spec"]["versions"][0]["additionalPrinterColumns"]
        assert [each["name"] for each in columns] == [column.name for column in COLUMNS[plural]][1:]
