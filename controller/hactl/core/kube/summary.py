"""The few words a listing has room for: how a cluster is, why, and what people asked of it.

Rules: a listing never hides an operation: a cluster that is paused, drained or being moved shows that in its READY
cell, as a cordoned Kubernetes node does (`Ready,SchedulingDisabled`); conditions stay plain, they are for programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hactl.core.catalogue import ConditionType, HoldReason
from hactl.core.operations import Kind, Operation, State

#: Conditions that exist only while something is the matter, worst first.
_TROUBLES = (ConditionType.SPLIT_BRAIN, ConditionType.STALLED, ConditionType.RECONCILING)


def operations_view(operations: Iterable[Operation], cluster: str) -> list[dict[str, str]]:
    """`status.requests`: the open operations about a cluster, oldest first, as `hactl status` shows them."""
    found = sorted((o for o in operations if o.state is State.OPEN and o.about(cluster)), key=lambda each: each.id)
    return [
        {
            "type": operation.kind.value,
            **{
                key: value
                for key, value in (
                    ("group", operation.group),
                    ("node", operation.node),
                    ("resource", operation.resource),
                    ("actor", operation.actor),
                    ("reason", operation.reason),
                )
                if value
            },
        }
        for operation in found
    ]


def operation_words(status: Mapping[str, Any]) -> tuple[str, ...]:
    """Words for what people asked of the cluster, each once: `Paused`, `Drained`.

    From `status.requests`, and from what the plan and the nodes say themselves, which outlives a record.
    """
    kinds = [str(each.get("type")) for each in _each(status, "requests")]
    words = [known.traits.word for kind in kinds for known in Kind if kind == known]
    words += ["Paused" for hold in _each(status, "holds") if hold.get("reason") == HoldReason.PAUSED]
    hooks = [node.get("hook") for node in _each(status, "nodes")]
    words += ["Drained" for hook in hooks if isinstance(hook, Mapping) and hook.get("drained")]
    return tuple(dict.fromkeys(words))


def _each(status: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The mappings of a list; whatever else somebody may have written there is left out."""
    found = status.get(key)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list | tuple) else []


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition; empty when it does not exist."""
    return next((each for each in _each(status, "conditions") if each.get("type") == kind), {})


def truth(status: Mapping[str, Any], kind: str) -> str:
    """True, False or Unknown: a condition that nobody has judged yet is Unknown."""
    return str(condition(status, kind).get("status", "Unknown"))


def ready(status: Mapping[str, Any]) -> str:
    """The READY cell: the condition, and what people asked for: `False,Paused`."""
    return ",".join((truth(status, ConditionType.READY), *operation_words(status)))


def reason(status: Mapping[str, Any]) -> str:
    """The one reason to know, in one word: of the worst condition there is, else of Ready; `-`: nobody looked yet."""
    if status.get("problems"):
        return "DocumentProblems"
    for kind in (*_TROUBLES, ConditionType.READY):
        found = condition(status, kind).get("reason")
        if found:
            return str(found)
    return "-"


def node_names(status: Mapping[str, Any]) -> str:
    """The machines of a status (or of a spec), as one word."""
    return ",".join(str(node.get("name")) for node in _each(status, "nodes")) or "-"
