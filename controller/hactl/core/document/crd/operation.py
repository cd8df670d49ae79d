"""The CustomResourceDefinition of HAOperation: what people ask for, as an object of the Kubernetes API.

Fields are those of `hactl.core.kube.codec.operation_fields`; what each type needs is checked there.
"""

from __future__ import annotations

from functools import cache

from hactl.core.document.crd.definition import AGE, column, definition, status_schema
from hactl.core.document.schema import Schema
from hactl.core.operations import Kind, State

KIND = "HAOperation"
PLURAL = "haoperations"

#: Names and paths are no longer than this anywhere in a document.
_LONGEST = 4096


def _text(description: str, *, longest: int = 255, form: str | None = None) -> Schema:
    return {
        "type": "string",
        "maxLength": longest,
        **({"format": form} if form else {}),
        "description": description,
    }


_SPEC: Schema = {
    "type": {
        "type": "string",
        "enum": [kind.value for kind in Kind],
        "description": (
            "Switchover: move a group to another node. Drain: keep a node empty until this is deleted. "
            "Pause: change nothing until this is deleted. Approve: mode Propose, carry out a plan. "
            "Resolve: throw away one of two diverged copies. "
            "GiveUp: let hactl end something that was on a node before it and that the document does not say."
        ),
    },
    "cluster": _text("The cluster it is about. Pause: absent for the whole fleet."),
    "group": _text("Switchover: the group that moves. Pause: the group that is left alone."),
    "node": _text(
        "Switchover: where the group goes. Drain, Pause, GiveUp: the node meant. "
        "Resolve: the node whose copy is thrown away."
    ),
    "resource": _text("Resolve: the HAST resource."),
    "reason": _text("Why, for people and for history.", longest=_LONGEST),
    "digest": _text("Approve: digest of the plan that is approved."),
    "preserve": _text("Resolve: a path on the node that the copy is kept in first.", longest=_LONGEST),
    "setting": _text("GiveUp: what is given up, as `hactl plan` calls it.", longest=_LONGEST),
    "from": _text("Switchover: the node the group leaves."),
    "notBefore": _text("Not before that moment.", form="date-time"),
    "expiresAt": _text("Not after that moment; a drain or a pause ends then.", form="date-time"),
}
_STATUS: Schema = {
    "number": {"type": "integer", "format": "int64", "description": "Its number in the record."},
    "state": {
        "type": "string",
        "enum": [state.value for state in State],
        "description": "Open until it is over.",
    },
    "actor": {"type": "string", "description": "Who asked for it."},
    "target": {"type": "string", "description": "The group, node, resource or plan it is about, in a word."},
    "openedAt": {"type": "string", "description": "When it was asked for."},
    "endedAt": {"type": "string", "description": "When it was over."},
    "message": {"type": "string", "description": "How it ended, for people."},
    "seconds": {"type": "number", "description": "How long service was interrupted or the work took."},
}


def _needed_by(kind: Kind) -> Schema:
    """The rule of CEL that a kind has all it needs."""
    needs = kind.traits.needs
    given = " && ".join(f"has(self.{field})" for field in needs)
    message = f"{kind.value} needs {', '.join(needs[:-1])} and {needs[-1]}"
    return {"rule": f"self.type != '{kind.value}' || ({given})", "message": message}


@cache
def operation_schema() -> Schema:
    """The structural schema of HAOperation. Built once: callers must not change it."""
    spec: Schema = {
        "description": "What is asked for. It never changes: ask again instead.",
        "type": "object",
        "required": ["type"],
        "properties": _SPEC,
        "x-kubernetes-validations": [
            {"rule": "self == oldSelf", "message": "what is asked for never changes"},
            *(_needed_by(kind) for kind in Kind if kind.traits.needs),
        ],
    }
    return {
        "description": "What somebody asked for: a switchover, a drain, a pause, an approval, a resolution and so on.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status_schema(_STATUS),
        },
    }


@cache
def operation_definition() -> Schema:
    """The CustomResourceDefinition of HAOperation. Built once: callers must not change it."""
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": KIND.lower(),
        "shortNames": ["haop"],
        "categories": ["hactl"],
    }
    columns = [
        column("Type", ".spec.type", "Switchover, Drain, Pause, Approve, Resolve or GiveUp."),
        column("Cluster", ".spec.cluster", "The cluster it is about; none: the whole fleet."),
        column("Target", ".status.target", "The group, node, resource or plan it is about."),
        column("State", ".status.state", "Open, Done, Failed, Cancelled or Expired."),
        AGE,
        column("Actor", ".status.actor", "Who asked for it.", wide=True),
        column("Reason", ".spec.reason", "Why, in their words.", wide=True),
        column("Seconds", ".status.seconds", "How long service was interrupted or the work took.", "number", wide=True),
    ]
    return definition(names, columns, operation_schema())
