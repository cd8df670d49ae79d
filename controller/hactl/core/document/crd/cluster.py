"""The CustomResourceDefinition of HACluster, from the document's shape.

A structural schema of Kubernetes may not use `$ref`, `anyOf` with null, or `additionalProperties: false`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hactl.core.document.crd.definition import AGE, column, definition, status_schema
from hactl.core.document.schema import Schema, document_schema
from hactl.core.objects import KIND

PLURAL = "haclusters"

#: Lists of objects that are maps by name: server-side apply then merges them by name.
_BY_NAME = frozenset({"nodes", "groups", "virtualIPs", "storage", "services"})
#: Lists whose items are all different.
_SETS = frozenset({"preferred", "addresses", "options"})
#: Settings of hast.conf: an API server that filled their defaults in would make it look as if somebody had stated them,
#: and what nobody stated is not written over what an owner's file says (`hactl.core.plan.adopted`). And `access`: it is
#: younger than the documents, and every `kubectl apply` of one without it would say "configured".
_NOT_FILLED_IN = frozenset({"replication", "checksum", "compression", "timeoutSeconds", "metaflush", "access"})
#: Pairs of fields of which exactly one is given; checked by rules of the document too, in words (CEL has few).
_EITHER = (("hostKey", "hostKeyFrom"), ("file", "env"), ("ufs", "zfs"), ("tcp", "command"))
#: Items of a list, at most: an API server refuses rules whose cost it cannot bound. hactl's own API has the same limit.
MAX_ITEMS = 500
#: The rest of JSON Schema is either the same in a structural schema or forbidden there.
_EDITOR_ONLY = frozenset({"propertyNames", "const", "title"})


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
    if name in _NOT_FILLED_IN and "default" in result:
        value = result.pop("default")
        result["description"] = (
            f"{result['description']} Default: {str(value).lower() if isinstance(value, bool) else value}."
        )
    if rules := _rules(result.get("properties", {})):
        result["x-kubernetes-validations"] = rules
    if result.get("type") == "array":
        result.setdefault("maxItems", MAX_ITEMS)
    if result.get("type") == "array" and name in _BY_NAME:
        result |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    elif result.get("type") == "array" and name in _SETS:
        result["x-kubernetes-list-type"] = "set"
    return result


def _rules(fields: Schema) -> list[Schema]:
    """Rules of CEL for an object with these fields (kubernetes.io: CRD validation rules)."""
    return [
        {"rule": f"has(self.{one}) != has(self.{other})", "message": f"give exactly one of {one} and {other}"}
        for one, other in _EITHER
        if one in fields and other in fields
    ]
