"""The document's shape for machines: JSON Schema for editors, CustomResourceDefinition for the Kubernetes API.

Both come from the pydantic models and nothing else, with every reference written out: a structural schema of
Kubernetes may not use `$ref`, `anyOf` with null, or `additionalProperties: false`.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

from hactl.core.objects import API_VERSION, KIND, HACluster

Schema: TypeAlias = dict[str, Any]

GROUP, VERSION = API_VERSION.split("/")
PLURAL = "haclusters"
CRD_NAME = f"{PLURAL}.{GROUP}"

#: Lists of objects that are maps by name: server-side apply then merges them by name.
_BY_NAME = frozenset({"nodes", "groups", "virtualIPs", "storage", "services"})
#: Lists whose items are all different.
_SETS = frozenset({"preferred", "addresses", "options"})
#: The rest of JSON Schema is either the same in a structural schema or forbidden there.
_EDITOR_ONLY = frozenset({"propertyNames", "const", "title"})


@cache
def document_schema() -> Schema:
    """The shape of a document, references written out; wire names, required fields, limits, descriptions.

    Built once and shared: callers must not change it.
    """
    raw = HACluster.model_json_schema(by_alias=True)
    inlined: Schema = _inline(raw, raw.get("$defs", {}))
    return inlined


def _inline(node: Any, definitions: Schema) -> Any:
    """Write references out, and drop what only says that an optional field may be null."""
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: value for key, value in node.items() if key not in {"$defs", "title"} or isinstance(value, dict)}
    node.pop("$defs", None)
    if "$ref" in node:
        node = definitions[node.pop("$ref").removeprefix("#/$defs/")] | node
        return _inline(node, definitions)
    if "anyOf" in node:
        [choice] = [choice for choice in node.pop("anyOf") if choice != {"type": "null"}]
        return _inline(choice | node, definitions)
    if "default" in node and node["default"] is None:
        del node["default"]
    if "const" in node:
        node["enum"] = [node.pop("const")]
    return {
        key: {name: _inline(field, definitions) for name, field in value.items()}
        if key == "properties"
        else value
        if key == "default"
        else _inline(value, definitions)
        for key, value in node.items()
    }


def json_schema() -> Schema:
    """JSON Schema 2020-12 of a document, for editors (yaml-language-server and the like)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://{GROUP}/schemas/{VERSION}/hacluster.schema.json",
        "title": KIND,
        **document_schema(),
    }


@cache
def custom_resource_definition() -> Schema:
    """The CustomResourceDefinition (apiextensions.k8s.io/v1) of HACluster. Built once: callers must not change it."""
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": KIND.lower(),
        "shortNames": ["hac"],
        "categories": ["all", "hactl"],
    }
    return definition(names, _printer_columns(), _structural_schema())


def definition(names: Schema, columns: list[Schema], schema: Schema) -> Schema:
    """A CustomResourceDefinition of our group, namespaced, one version, with a status of its own."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def column(name: str, path: str, description: str, kind: str = "string", *, wide: bool = False) -> Schema:
    """One column of `kubectl get`; `wide`: with -o wide only. A path must give one value: others are not shown."""
    more = {"priority": 1} if wide else {}
    return {"name": name, "type": kind, "jsonPath": path, "description": description, **more}


#: The column every list ends with.
AGE = column("Age", ".metadata.creationTimestamp", "How long ago it was made.", "date")


def _printer_columns() -> list[Schema]:
    """What `kubectl get hac` shows: what people ask for first."""

    def condition(name: str, kind: str, description: str) -> Schema:
        return column(name, f'.status.conditions[?(@.type=="{kind}")].status', description)

    return [
        condition("Ready", "Ready", "Observed equals desired on every node, and a failover would work."),
        column("Active", ".status.active", "The node the groups are active on."),
        condition("Failover", "FailoverReady", "Whether the standby would take over completely now."),
        column("Sync", ".status.sync", "State of replication, and what is on one disk only."),
        AGE,
        column("Nodes", ".status.nodeNames", "The machines.", wide=True),
        column("Generation", ".metadata.generation", "Counts changes of the spec.", "integer", wide=True),
        column("Reason", ".status.reason", "The reason of the worst condition.", wide=True),
    ]


def _structural_schema() -> Schema:
    """The document's shape as Kubernetes accepts it, with a status nobody but hactl writes."""
    schema: Schema = _structural(document_schema(), None)
    name = schema["properties"]["metadata"]["properties"]["name"]
    # apiVersion, kind and metadata belong to Kubernetes; of metadata only the name may be restricted.
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {
            "type": "object",
            "properties": {"name": {key: name[key] for key in ("type", "pattern", "maxLength")}},
        },
        "spec": schema["properties"]["spec"],
        "status": _status_schema(),
    }
    schema["required"] = ["spec"]
    return schema


def _status_schema() -> Schema:
    """What may be relied on in a status; the rest is there too, and not promised."""
    return status_schema(
        {
            "active": {"type": "string", "description": "The node the groups are active on; by group, if they differ."},
            "sync": {"type": "string", "description": "State of replication, and what is on one disk only."},
            "reason": {"type": "string", "description": "The reason of the worst condition."},
            "nodeNames": {"type": "string", "description": "The machines, for listings."},
            "mode": {"type": "string", "description": "How far hactl may go."},
            "observedGeneration": {
                "type": "integer",
                "format": "int64",
                "description": "The generation the conditions are about.",
            },
            "observedAt": {"type": "string", "description": "When the nodes were looked at last."},
            "problems": {
                "type": "array",
                "items": {"type": "string"},
                "description": "What is wrong around the document; the last good one stays in force.",
            },
        }
    )


def status_schema(fields: Schema) -> Schema:
    """A status nobody but hactl writes: these fields, conditions, and whatever else there is."""
    text = {"type": "string"}
    condition = {
        "type": {**text, "description": "What it is about."},
        "status": {**text, "enum": ["True", "False", "Unknown"], "description": "Whether it is so."},
        "reason": {**text, "description": "Why, in one word."},
        "message": {**text, "description": "Why, for people."},
        "lastTransitionTime": {**text, "description": "Since when the status is what it is."},
        "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation it is about."},
    }
    return {
        "description": "What hactl observes; written by hactl only.",
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {
            **fields,
            "conditions": {
                "description": "What is true now.",
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {"type": "object", "required": ["type", "status"], "properties": condition},
            },
        },
    }


def _structural(node: Any, name: str | None) -> Any:
    """One node of a structural schema; `name` is the field it describes."""
    if isinstance(node, list):
        return [_structural(item, None) for item in node]
    if not isinstance(node, dict):
        return node
    result = {
        key: {field: _structural(value, field) for field, value in value.items()}
        if key == "properties"
        else _structural(value, None)
        for key, value in node.items()
        if key not in _EDITOR_ONLY and not (key == "additionalProperties" and value is False)
    }
    if result.get("type") == "array" and name in _BY_NAME:
        result |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    elif result.get("type") == "array" and name in _SETS:
        result["x-kubernetes-list-type"] = "set"
    return result
