"""CRD, JSON Schema and explain: generated from the models, in the form their readers demand."""

from __future__ import annotations

import re

import pytest

from document_texts import ROOT, firewall_data, nas_data
from hactl.adapters.generated import GENERATORS, generated_files, main, stale_files
from hactl.adapters.yaml_tree import read_trees
from hactl.core.explain import UnknownField, explain
from hactl.core.objects import PATTERNS
from hactl.core.schema import custom_resource_definition, document_schema, json_schema


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


def structural():
    """The schema of the CRD."""
    return custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def test_committed_files_are_fresh():
    """`make gen` was run after the last change of the models."""
    assert stale_files(ROOT) == []


def test_generator_writes_and_checks(tmp_path, capsys):
    """--check names what is stale and fails; without it the files are written; then --check passes."""
    assert main(["--check"], GENERATORS, tmp_path) == 1
    assert "crds/hactl.dev_haclusters.yaml is stale" in capsys.readouterr().err
    assert main([], GENERATORS, tmp_path) == 0
    assert main(["--check"], GENERATORS, tmp_path) == 0


def test_crd_text_is_the_crd():
    """The committed YAML reads back as the definition."""
    [tree] = read_trees(generated_files()["crds/hactl.dev_haclusters.yaml"].encode(), "crd")[0]
    assert tree.problems == []
    assert tree.data == custom_resource_definition()


def test_crd_is_structural():
    """What Kubernetes forbids in a structural schema is not there, and every node has a type."""
    forbidden = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "title", "const", "propertyNames", "uniqueItems"}
    for node in schemas(structural()):
        assert not forbidden & node.keys()
        assert isinstance(node["type"], str)
        assert not ("properties" in node and "additionalProperties" in node)
        assert node.get("additionalProperties") is not False
        assert None not in node.values()
        if node["type"] == "array":
            assert "items" in node
        for key in node.get("x-kubernetes-list-map-keys", ()):
            assert key in node["items"]["required"]


def test_crd_names_and_columns():
    """`kubectl get hac` works and shows what people ask for first."""
    spec = custom_resource_definition()["spec"]
    assert custom_resource_definition()["metadata"]["name"] == "haclusters.hactl.dev"
    assert spec["names"]["shortNames"] == ["hac"]
    [version] = spec["versions"]
    assert [column["name"].upper() for column in version["additionalPrinterColumns"]] == [
        "READY",
        "ACTIVE",
        "FAILOVER",
        "SYNC",
        "AGE",
    ]
    assert version["subresources"] == {"status": {}}
    assert structural()["properties"]["status"]["x-kubernetes-preserve-unknown-fields"] is True
    assert structural()["properties"]["metadata"].keys() == {"type", "properties"}


def fits(value, schema):
    """Whether a value fits a schema, as far as the schema uses JSON Schema."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if not isinstance(value, kinds[schema["type"]]) or (schema["type"] == "integer" and isinstance(value, bool)):
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
