"""Objects as rows for people: Table and PartialObjectMetadata of meta.k8s.io/v1, which kubectl asks for.

Columns of priority 1 appear with `-o wide` only. Cells are text (or numbers) that cannot play tricks on a terminal.
https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from hactl.core.catalogue import ConditionType
from hactl.core.document.problems import printable
from hactl.core.kube import summary
from hactl.core.kube.codec import target_of
from hactl.core.kube.kinds import EVENTS, HACLUSTERS, HAOPERATIONS, LEASES, NAMESPACES, Resource, part

Body: TypeAlias = Mapping[str, Any]
#: How much of the object a row carries (query parameter includeObject).
Included: TypeAlias = Literal["None", "Metadata", "Object"]

META = "meta.k8s.io/v1"
#: What a cell says where there is nothing to say.
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """One column and what stands in it."""

    name: str
    description: str
    cell: Callable[[Body], str | int | float]
    type: str = "string"
    format: str = ""
    #: 1: with -o wide only.
    priority: int = 0
    #: The cell is a time, shown as how long ago it was.
    is_age: bool = False

    def show(self, body: Body, now: datetime) -> str | int | float:
        """What is shown at that moment of the wall clock."""
        return age(self.cell(body), now) if self.is_age else self.cell(body)

    def definition(self) -> dict[str, Any]:
        """TableColumnDefinition; every field is there, as clients in Go have none of them optional."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


def human(seconds: float) -> str:
    """A duration as kubectl writes ages: `45s`, `5m`, `3h12m`, `3d2h`, `2y40d`; what lies ahead is `<invalid>`."""
    whole = int(seconds)
    if whole < 0:
        # Two clocks may differ by a second.
        return "<invalid>" if whole < -1 else "0s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    years = days // 365
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if years < 2:
        return f"{days}d"
    if years < 8:
        return _two(years, "y", days % 365, "d")
    return f"{years}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def age(moment: object, now: datetime) -> str:
    """How long ago a time of an object was; `<unknown>` when it is none."""
    try:
        return human((now - datetime.fromisoformat(str(moment))).total_seconds())
    except (ValueError, TypeError):
        return "<unknown>"


def _text(value: object) -> str:
    """A value on one line, printable; NOTHING for what is not there."""
    return printable(" ".join(str(value).split())) if value not in (None, "") else NOTHING


def _at(*path: str) -> Callable[[Body], str]:
    """The cell of a field."""

    *above, name = path

    def cell(body: Body) -> str:
        return _text(part(body, *above).get(name))

    return cell


def _ready(body: Body) -> str:
    """The condition, what people asked for, and whether the object is being deleted."""
    leaving = ",Terminating" if part(body, "metadata").get("deletionTimestamp") else ""
    return _text(summary.ready(part(body, "status")) + leaving)


def _nodes(body: Body) -> str:
    return _text(summary.node_names(part(body, "spec")))


def _generation(body: Body) -> int | str:
    found = part(body, "metadata").get("generation")
    return found if isinstance(found, int) else NOTHING


def _target(body: Body) -> str:
    return _text(target_of(part(body, "spec")))


def _whose(body: Body) -> str:
    """The cluster; `*`: the whole fleet."""
    return _text(part(body, "spec").get("cluster") or "*")


def _seconds(body: Body) -> int | float | str:
    found = part(body, "status").get("seconds")
    return found if isinstance(found, int | float) else NOTHING


def _last_seen(body: Body) -> str:
    return str(body.get("lastTimestamp") or part(body, "metadata").get("creationTimestamp"))


def _about(body: Body) -> str:
    """`hacluster/nas`, as kubectl writes it; an event about no cluster is about none."""
    involved = part(body, "involvedObject")
    return _text(f"{str(involved.get('kind', '')).lower()}/{involved['name']}") if involved.get("name") else NOTHING


def _source(body: Body) -> str:
    source = part(body, "source")
    return _text(", ".join(str(source[key]) for key in ("component", "host") if source.get(key)))


def _condition(kind: str) -> Callable[[Body], str]:
    return lambda body: _text(summary.truth(part(body, "status"), kind))


_NAME = Column("Name", "Name, unique in its namespace.", _at("metadata", "name"), format="name")
_AGE = Column("Age", "How long ago it was made.", _at("metadata", "creationTimestamp"), is_age=True)

#: Columns by plural name.
COLUMNS: Mapping[str, tuple[Column, ...]] = {
    HACLUSTERS.plural: (
        _NAME,
        Column(
            "Ready",
            "Whether observed equals desired on every node and a failover would work; and what people asked for.",
            _ready,
        ),
        Column("Active", "The node the groups are active on.", _at("status", "active")),
        Column(
            "Failover",
            "Whether the standby would take over completely by itself now.",
            _condition(ConditionType.FAILOVER_READY),
        ),
        Column("Sync", "State of replication, and what is on one disk only.", _at("status", "sync")),
        _AGE,
        Column("Nodes", "The machines.", _nodes, priority=1),
        Column("Generation", "Counts changes of the spec.", _generation, type="integer", format="int64", priority=1),
        Column(
            "Reason",
            "The reason of the worst condition.",
            lambda body: _text(summary.reason(part(body, "status"))),
            priority=1,
        ),
    ),
    HAOPERATIONS.plural: (
        _NAME,
        Column("Type", "Switchover, Drain, Pause, Approve or Resolve.", _at("spec", "type")),
        Column("Cluster", "The cluster it is about; *: the whole fleet.", _whose),
        Column("Target", "The group, node, resource or plan it is about.", _target),
        Column("State", "Open, Done, Failed, Cancelled or Expired.", _at("status", "state")),
        _AGE,
        Column("Actor", "Who asked for it.", _at("status", "actor"), priority=1),
        Column("Reason", "Why, in their words.", _at("spec", "reason"), priority=1),
        Column(
            "Seconds", "How long service was interrupted or the work took.", _seconds, type="number", priority=1
        ),
    ),
    EVENTS.plural: (
        Column("Last Seen", "How long ago it ended.", _last_seen, is_age=True),
        Column("Type", "Normal or Warning.", _at("type")),
        Column("Reason", "What happened, in one word.", _at("reason")),
        Column("Object", "What it is about.", _about),
        Column("Message", "What happened.", _at("message")),
        Column("Source", "Who says so, and about which node.", _source, priority=1),
        Column("Name", _NAME.description, _NAME.cell, format="name", priority=1),
    ),
    NAMESPACES.plural: (
        _NAME,
        Column("Status", "Always Active.", _at("status", "phase")),
        _AGE,
    ),
    LEASES.plural: (
        _NAME,
        Column("Holder", "Who has it.", _at("spec", "holderIdentity")),
        _AGE,
    ),
}  # fmt: skip


def table(
    resource: Resource,
    bodies: Iterable[Body],
    *,
    rv: str,
    wide_objects: Included = "Metadata",
    now: datetime,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A Table of objects. `rv`: the list's resourceVersion; `more`: continue and remainingItemCount, if any."""
    columns = COLUMNS.get(resource.plural, (_NAME, _AGE))
    return {
        "kind": "Table",
        "apiVersion": META,
        "metadata": {"resourceVersion": rv, **(more or {})},
        "columnDefinitions": [column.definition() for column in columns],
        "rows": [table_row(resource, body, wide_objects=wide_objects, now=now) for body in bodies],
    }


def table_row(resource: Resource, body: Body, *, wide_objects: Included = "Metadata", now: datetime) -> dict[str, Any]:
    """One TableRow."""
    cells = [column.show(body, now) for column in COLUMNS.get(resource.plural, (_NAME, _AGE))]
    if wide_objects == "None":
        return {"cells": cells}
    return {"cells": cells, "object": partial(body) if wide_objects == "Metadata" else body}


def table_of_one(
    resource: Resource, body: Body, *, first: bool, wide_objects: Included = "Metadata", now: datetime
) -> dict[str, Any]:
    """The object of one watch event. Only the `first` of a stream has the columns, as Kubernetes does it."""
    one = table(resource, [body], rv=_version(body), wide_objects=wide_objects, now=now)
    return one if first else {**one, "columnDefinitions": []}


def bookmark_table(body: Body) -> dict[str, Any]:
    """A bookmark in a stream of Tables: no row to show, and its metadata where a client looks for it."""
    return {
        "kind": "Table",
        "apiVersion": META,
        "metadata": {"resourceVersion": _version(body)},
        "columnDefinitions": [],
        "rows": [{"cells": [], "object": partial(body)}],
    }


def partial(body: Body) -> dict[str, Any]:
    """PartialObjectMetadata: the object without spec and status."""
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": body.get("metadata", {})}


def partial_list(bodies: Iterable[Body], *, rv: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """PartialObjectMetadataList."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": META,
        "metadata": {"resourceVersion": rv, **(more or {})},
        "items": [partial(body) for body in bodies],
    }


def _version(body: Body) -> str:
    return str(part(body, "metadata").get("resourceVersion", ""))
