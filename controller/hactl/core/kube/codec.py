"""hactl's nouns as API objects: clusters, operations and events, and the way back from a body to what hactl works with.

A body is plain JSON data with wire names. What only the store knows (uid, resourceVersion, generation,
creationTimestamp) is added there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hactl.core.catalogue import ConditionType, EventKind
from hactl.core.kube.errors import Cause, invalid
from hactl.core.kube.kinds import (
    HACLUSTERS,
    HAOPERATIONS,
    NAMESPACE,
    STEP_COMMAND,
    STEP_OUTCOME,
    STEP_OUTPUT,
    STEP_OUTPUT_CHARACTERS,
    STEP_REASON,
    STEP_SECONDS,
    STEP_WHY,
    part,
)
from hactl.core.kube.summary import node_names, operations_view, reason
from hactl.core.operations import Kind, Operation, State

if TYPE_CHECKING:
    from hactl.core.objects import HACluster

#: Annotation: the directory that relative references of the document start from. Only somebody on the server's own
#: machine (its Unix socket) may set it; documents from the network start from the server's directory for secrets.
REFERENCES = "hactl.dev/references"
#: Keys of a status that the object's metadata says already.
_SAID = frozenset({"name", "generation"})

_WARNINGS = frozenset(kind for kind in EventKind if kind.warning)

#: Fields of an operation's spec -> keys of `OperationLog.open_operation`.
_PLAIN = {"cluster": "cluster", "group": "group", "node": "node", "resource": "resource", "reason": "reason"}
_DETAIL = ("digest", "preserve", "from", "setting")
_OF_AN_OBJECT = ("apiVersion", "kind", "metadata", "spec", "status")
_TIMES = {"notBefore": "not_before", "expiresAt": "expires_at"}


def cluster_body(cluster: HACluster) -> dict[str, Any]:
    """A document as an object without what only the store knows; the spec as it was given, no defaults filled in."""
    data = cluster.model_dump(mode="json", by_alias=True, exclude_unset=True)
    metadata = {key: value for key, value in data["metadata"].items() if value}
    return {
        "apiVersion": HACLUSTERS.api_version,
        "kind": HACLUSTERS.kind,
        "metadata": {**metadata, "namespace": NAMESPACE},
        "spec": data["spec"],
    }


def document_data(body: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object is the document, as `hactl.core.document.load.read_cluster` takes it."""
    metadata = body.get("metadata")
    kept: Any = metadata
    if isinstance(metadata, Mapping):
        kept = {key: metadata[key] for key in ("name", "labels", "annotations") if metadata.get(key) is not None}
    rest = {key: value for key, value in body.items() if key not in ("metadata", "status")}
    return {**rest, "metadata": kept} if metadata is not None else rest


def status_view(
    status: Mapping[str, Any], *, cluster: str = "", operations: Iterable[Operation] = ()
) -> dict[str, Any]:
    """A status of the record as the object's status, with a line each for ACTIVE, SYNC, REASON.

    `operations`: those of `cluster`; the open ones become `requests`.
    """
    view = {key: value for key, value in status.items() if key not in _SAID}
    if found := operations_view(operations, cluster):
        view["requests"] = found
    groups = status.get("groups", ())
    nobody = "nobody"
    by_group = {group["name"]: group.get("active") or nobody for group in groups}
    nodes = sorted(set(by_group.values()))
    view["active"] = nodes[0] if len(nodes) == 1 else ",".join(f"{name}={node}" for name, node in by_group.items())
    view["sync"] = ",".join(sorted({_sync(storage) for group in groups for storage in group.get("storage", ())})) or "-"
    view["reason"] = reason(view)
    view["nodeNames"] = node_names(view)
    return view


def _sync(storage: Mapping[str, Any]) -> str:
    dirty = storage.get("dirtyBytes")
    return f"{storage.get('status') or 'unknown'}" + (f" ({dirty // 1048576} MiB dirty)" if dirty else "")


def time_text(moment: datetime) -> str:
    """RFC 3339 with seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def operation_body(operation: Operation, name: str, waits: str = "") -> dict[str, Any]:
    """What somebody asked for, as an object. `waits`: why nothing is done for it now (`core.operations.waits_for`)."""
    message = operation.message or waits
    spec: dict[str, Any] = {"type": operation.kind.value}
    spec |= {field: value for field, key in _PLAIN.items() if (value := getattr(operation, key))}
    spec |= {key: operation.detail[key] for key in _DETAIL if operation.detail.get(key)}
    spec |= {field: time_text(value) for field, key in _TIMES.items() if (value := getattr(operation, key))}
    status: dict[str, Any] = {
        "number": operation.id,
        "state": operation.state.value,
        "actor": operation.actor,
        "openedAt": time_text(operation.opened_at),
    }
    if target := target_of(spec):
        status["target"] = target
    if operation.ended_at is not None:
        status["endedAt"] = time_text(operation.ended_at)
    if message:
        status["message"] = message
    if operation.seconds is not None:
        status["seconds"] = round(operation.seconds, 1)
    status["conditions"] = _operation_conditions(operation, message)
    return {
        "apiVersion": HAOPERATIONS.api_version,
        "kind": HAOPERATIONS.kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
        "status": status,
    }


def target_of(spec: Mapping[str, Any]) -> str:
    """What an operation is about, in a word: the group and where it goes, a resource and a copy, a plan, a node."""
    group, node, resource = (str(spec.get(key) or "") for key in ("group", "node", "resource"))
    match spec.get("type"):
        case Kind.SWITCHOVER:
            return f"{group}->{node}"
        case Kind.RESOLVE:
            return f"{resource}@{node}"
        case Kind.APPROVE:
            return str(spec.get("digest") or "")
    return node or group


def _operation_conditions(operation: Operation, message: str) -> list[dict[str, Any]]:
    """Complete and Failed, as Jobs have them, so that `kubectl wait` can wait."""
    at = time_text(operation.ended_at or operation.opened_at)
    over = operation.state is not State.OPEN
    good = operation.state is State.DONE
    truths = {"Complete": over and good, "Failed": over and not good}
    return [
        {
            "type": kind,
            "status": str(truth),
            "reason": operation.state.value,
            "message": message,
            "lastTransitionTime": at,
        }
        for kind, truth in truths.items()
    ]


def operation_fields(body: Mapping[str, Any], name: str, *, actor: str) -> dict[str, Any]:
    """What `OperationLog.open_operation` takes, from a posted spec. Raises ApiError (Invalid) with every fault."""
    spec = body.get("spec")
    if not isinstance(spec, Mapping):
        raise invalid(HAOPERATIONS.group, HAOPERATIONS.kind, name, [Cause("spec", "this required field is missing")])
    causes: list[Cause] = []
    known = {"type", *_PLAIN, *_DETAIL, *_TIMES}
    causes += [
        Cause(f"spec.{field}", "unknown field; known here: " + ", ".join(sorted(known)))
        for field in spec
        if field not in known
    ]
    causes += [Cause(f"spec.{field}", "expected text") for field in spec if not isinstance(spec[field], str)]
    causes += [Cause(key[:100], "unknown field") for key in body if key not in _OF_AN_OBJECT]
    if causes:
        raise invalid(HAOPERATIONS.group, HAOPERATIONS.kind, name, causes)
    kinds = [kind.value for kind in Kind]
    if spec.get("type") not in kinds:
        raise invalid(
            HAOPERATIONS.group, HAOPERATIONS.kind, name, [Cause("spec.type", f"write one of {', '.join(kinds)}")]
        )
    kind = Kind(spec["type"])
    missing = [field for field in kind.traits.needs if not spec.get(field)]
    causes += [Cause(f"spec.{field}", f"a {kind.value} needs it", "FieldValueRequired") for field in missing]
    request: dict[str, Any] = {"kind": kind.value, "actor": actor, "cluster": ""}
    request |= {key: spec[field] for field, key in _PLAIN.items() if field in spec}
    request["detail"] = {key: spec[key] for key in _DETAIL if spec.get(key)}
    for field, key in _TIMES.items():
        if field in spec:
            # Without an offset it is UTC.
            moment = moment_of(spec[field]) or moment_of(f"{spec[field]}Z")
            if moment is None:
                causes.append(Cause(f"spec.{field}", "write a time as 2026-11-24T03:00:00Z"))
                continue
            request[key] = moment
    if causes:
        raise invalid(HAOPERATIONS.group, HAOPERATIONS.kind, name, causes)
    return request


def moment_of(text: object) -> datetime | None:
    """A time with its offset that a client sent, in UTC; None for what is none, or is beyond the year 9999 there."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
        return None if found is None or found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def event_body(row: Mapping[str, Any], uid: str) -> dict[str, Any]:
    """A row of the history (with its `revision`) as a core/v1 Event about the cluster whose uid is given ("": none).

    What another controller told has the name, reason, type and times that it gave (`told_event`).
    """
    if row["kind"] == EventKind.TOLD:
        return _told_body(row, uid)
    step = row["kind"] in (EventKind.STEP_BEGUN, EventKind.STEP_ENDED)
    bad = row.get("outcome") in ("Failed", "Indeterminate") if step else row["kind"] in _WARNINGS
    if row["kind"] == EventKind.CONDITION_CHANGED:
        bad = _is_trouble(row.get("detail") or {})
    message = row["summary"]
    if step:
        message = f"{row['node']} {row['summary']} ({row['why']})"
    cluster = row["cluster"] or ""
    ended = row.get("ended_at") or row["at"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{cluster or 'fleet'}.{row['id']:016x}",
            "namespace": NAMESPACE,
            "uid": f"event-{row['id']}",
            "resourceVersion": str(row["revision"]),
            "creationTimestamp": _seconds(row["at"]),
            **({"annotations": _step(row)} if step else {}),
        },
        "involvedObject": {
            "apiVersion": HACLUSTERS.api_version,
            "kind": HACLUSTERS.kind,
            "namespace": NAMESPACE,
            "name": cluster,
            **({"uid": uid} if uid else {}),
        },
        "reason": row["verb"] if step else row["kind"],
        "message": message,
        "type": "Warning" if bad else "Normal",
        "firstTimestamp": _seconds(row["at"]),
        "lastTimestamp": _seconds(ended),
        "count": 1,
        "source": {"component": "hactl", **({"host": row["node"]} if row["node"] else {})},
        "reportingComponent": "hactl.dev/controller",
        "reportingInstance": row["node"] or "",
    }


def told_event(body: Mapping[str, Any], name: str) -> tuple[str, str | None, dict[str, Any]]:
    """(message, node, detail) of the row that keeps an Event of another controller, which was checked before."""
    source = part(body, "source")
    detail = {
        "name": name,
        "reason": body["reason"],
        "type": body["type"],
        "first": body.get("firstTimestamp") or body.get("lastTimestamp"),
        "last": body.get("lastTimestamp") or body.get("firstTimestamp"),
        "annotations": part(body, "metadata").get("annotations"),
        "component": source.get("component"),
    }
    kept = {key: value for key, value in detail.items() if value}
    return str(body["message"]), source.get("host") or None, kept


def _told_body(row: Mapping[str, Any], uid: str) -> dict[str, Any]:
    """The Event of `told_event` again."""
    told = row["detail"] or {}
    plain = event_body({**row, "kind": EventKind.OPERATION_OPENED}, uid)
    annotations = {"annotations": told["annotations"]} if told.get("annotations") else {}
    return {
        **plain,
        "metadata": {**plain["metadata"], "name": told["name"], **annotations},
        "reason": told["reason"],
        "type": told["type"],
        "firstTimestamp": told.get("first") or plain["firstTimestamp"],
        "lastTimestamp": told.get("last") or plain["lastTimestamp"],
        "source": {**plain["source"], "component": told.get("component") or plain["source"]["component"]},
    }


def _is_trouble(condition: Mapping[str, Any]) -> bool:
    """Whether a condition that became so is a warning: what should be True is not, or a trouble is there."""
    kind, status = condition.get("type"), condition.get("status")
    if kind == ConditionType.RECONCILING:
        return False
    return (status == "True") is (kind in (ConditionType.STALLED, ConditionType.SPLIT_BRAIN))


def _step(row: Mapping[str, Any]) -> dict[str, str]:
    """What the annotations of a step's event say."""
    lines = row["command"].splitlines()
    found = {STEP_COMMAND: lines[0] if len(lines) == 1 else f"{row['verb']} {row['target']}", STEP_WHY: row["why"]}
    if (outcome := row.get("outcome")) is None:
        return found
    found |= {STEP_OUTCOME: outcome, STEP_SECONDS: f"{row['seconds'] or 0.0:.1f}"}
    output = (row["output"] or "").strip().splitlines()
    if output and outcome != "Done":
        found[STEP_REASON] = output.pop()
    printed = "\n".join(output)
    return found | ({STEP_OUTPUT: printed[-STEP_OUTPUT_CHARACTERS:]} if printed else {})


def _seconds(text: str) -> str:
    """A time of the record without its milliseconds."""
    return time_text(datetime.fromisoformat(text))
