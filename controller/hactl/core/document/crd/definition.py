"""What the CustomResourceDefinitions of our group share: one namespaced version with a status nobody but hactl writes.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

from hactl.core.document.schema import GROUP, VERSION, Schema


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
