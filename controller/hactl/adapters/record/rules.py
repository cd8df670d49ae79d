"""What documents, statuses, operations and the API make of stored objects: one set of rules for every store.

A store offers its tables as `Tables` and calls these functions inside one transaction, so that a document, its
object, the log of changes and the history never disagree. What is refused is refused before anything is written.

- The object of a cluster exists exactly as long as the cluster is managed.
- A cluster that was made through the API (origin "") has its truth in the record: only the API changes or removes it;
  the controller, which reads it from there, cannot bring an older version back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from hactl.adapters.record.bodies import (
    Body,
    assembled,
    generation_of,
    name_of,
    of_document,
    replaced,
    revision_of,
    same,
)
from hactl.adapters.record.operations import described, ended_summary, opened_detail
from hactl.adapters.record.rows import accepted_summary
from hactl.core.kube.codec import REFERENCES, operation_body, status_view, time_text
from hactl.core.kube.kinds import HACLUSTERS, HAOPERATIONS
from hactl.core.kube.summary import requests_view
from hactl.core.operations import Operation, State
from hactl.errors import AlreadyExists, NoSuchObject, StaleRevision, StoreError
from hactl.ports import API_ORIGIN, FILES_ORIGIN, Document

CLUSTERS = HACLUSTERS.plural
OPERATIONS = HAOPERATIONS.plural


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest generation of a cluster; generation 0: there is none."""

    generation: int = 0
    digest: str = ""
    managed: bool = False
    origin: str = ""
    source: str = ""
    directory: str = ""
    text: str = ""


class Tables(Protocol):
    """What the rules read and write."""

    def now(self) -> datetime:
        """The wall clock."""
        ...

    def new_uid(self) -> str:
        """A uid nobody had before."""
        ...

    def newest(self, cluster: str) -> Newest:
        """The newest generation of a cluster."""
        ...

    def add_generation(self, document: Document, generation: int, *, actor: str, origin: str) -> None:
        """Keep a document as a generation."""
        ...

    def amend_generation(self, document: Document, generation: int, *, origin: str) -> None:
        """The same generation, told otherwise: another file, other labels, a comment."""
        ...

    def set_managed(self, cluster: str, managed: bool, why: str) -> None:
        """From now on it is, or is not."""
        ...

    def next_status_is_news(self, cluster: str) -> None:
        """The next status is written even if it is the same: there is a new object that has none."""
        ...

    def event(self, kind: str, cluster: str, summary: str, node: str | None, detail: Any) -> None:
        """Record an event."""
        ...

    def get_object(self, resource: str, name: str) -> Body | None:
        """A stored object."""
        ...

    def object_names(self, resource: str) -> list[str]:
        """The names of stored objects."""
        ...

    def put_object(self, resource: str, body: Body, kind: Literal["ADDED", "MODIFIED"]) -> Body:
        """Store an object under the next revision; returns it with that."""
        ...

    def remove_object(self, resource: str, body: Body) -> Body:
        """Remove an object under the next revision; returns it with that."""
        ...

    def open_operations(self) -> list[Operation]:
        """What is asked for now, oldest first."""
        ...

    def insert_operation(self, request: Mapping[str, Any]) -> Operation:
        """Raises Busy when the same is asked for already."""
        ...

    def close_operation(self, number: int, state: State, message: str, seconds: float | None) -> Operation | None:
        """End it; None when it is over already. Raises StoreError when there is none."""
        ...

    def name_operation(self, number: int, name: str | None) -> None:
        """Keep the name of its object; None: the object was removed."""
        ...

    def operation_name(self, number: int) -> str | None:
        """The name of its object; None when that was removed."""
        ...


def kept_generation(tables: Tables, document: Document, origin: str | None) -> int | None:
    """The generation of a document that is in the record as it is; None: something is to be written.

    Raises StoreError for a document that must not take the place of the one in the record.
    """
    name = document.cluster.name
    newest = tables.newest(name)
    if origin == API_ORIGIN:
        if newest.managed and newest.origin == API_ORIGIN and newest.digest == document.digest:
            return newest.generation
        raise StoreError(f"has another {name} by now than the one the API's source gave; it will be read again")
    if newest.managed and newest.origin == API_ORIGIN and origin is not None:
        raise StoreError(
            f"has a {name} that was made through the API; delete that first, or take {document.source} away"
        )
    before = tables.get_object(CLUSTERS, name)
    if not newest.managed or newest.digest != document.digest or before is None:
        return None
    if not same(before, _next_body(before, document, newest.generation)):
        return None
    place = (newest.origin, newest.source, newest.directory)
    moved = origin is not None and place != (origin, document.source, document.directory)
    return None if moved else newest.generation


def put_document(tables: Tables, document: Document, *, actor: str, origin: str | None) -> int:
    """See `hactl.ports.Store.put_document`."""
    kept = kept_generation(tables, document, origin)
    if kept is not None:
        return kept
    name = document.cluster.name
    newest = tables.newest(name)
    if origin is None:
        origin = newest.origin if newest.managed else FILES_ORIGIN
    generation = _accept(tables, document, newest, actor=actor, origin=origin)
    before = tables.get_object(CLUSTERS, name)
    if before is None:
        _add_cluster(tables, of_document(document.cluster, None), generation)
    else:
        after = _next_body(before, document, generation)
        moved = newest.managed and newest.origin != origin
        if moved or generation != generation_of(before) or not same(before, after):
            tables.put_object(CLUSTERS, after, "MODIFIED")
    return generation


def _next_body(before: Body, document: Document, generation: int) -> Body:
    return replaced(CLUSTERS, before, of_document(document.cluster, before), generation)


def _accept(tables: Tables, document: Document, newest: Newest, *, actor: str, origin: str) -> int:
    """The document is in force; its event when that is news."""
    name = document.cluster.name
    if not newest.managed:
        tables.set_managed(name, True, f"document {document.source}")
    generation = newest.generation
    if newest.digest != document.digest:
        generation += 1
        tables.add_generation(document, generation, actor=actor, origin=origin)
    elif (newest.origin, newest.source, newest.directory, newest.text) != (
        origin,
        document.source,
        document.directory,
        document.text,
    ):
        tables.amend_generation(document, generation, origin=origin)
    if not newest.managed or generation != newest.generation:
        tables.event(
            "DocumentAccepted", name, accepted_summary(document, generation), None, _detail(document, actor, origin)
        )
    return generation


def _detail(document: Document, actor: str, origin: str) -> dict[str, Any]:
    """What the event of a document that came into force keeps."""
    known = {
        "origin": origin if origin != FILES_ORIGIN else "",
        "revision": document.revision,
        "author": document.author,
    }
    return {"digest": document.digest, "actor": actor, **{key: value for key, value in known.items() if value}}


def _add_cluster(tables: Tables, given: Mapping[str, Any], generation: int) -> Body:
    tables.next_status_is_news(name_of(given))
    return _add(tables, CLUSTERS, given, generation, None)


def _add(tables: Tables, resource: str, given: Mapping[str, Any], generation: int | None, status: Any) -> Body:
    created = time_text(tables.now())
    body = assembled(resource, given, uid=tables.new_uid(), created=created, generation=generation, status=status)
    return tables.put_object(resource, body, "ADDED")


def unmanage(tables: Tables, cluster: str, why: str, origin: str | None) -> None:
    """See `hactl.ports.Store.unmanage`."""
    if is_unmanaged(tables, cluster, origin):
        return
    tables.set_managed(cluster, False, why)
    before = tables.get_object(CLUSTERS, cluster)
    if before is not None:
        tables.remove_object(CLUSTERS, before)
    tables.event("DocumentVanished", cluster, f"unmanaged: {why}; nothing is torn down", None, None)


def is_unmanaged(tables: Tables, cluster: str, origin: str | None) -> bool:
    """Whether there is nothing to do for a document that vanished from `origin` (None: wherever it was)."""
    newest = tables.newest(cluster)
    return not newest.managed or origin == API_ORIGIN or (origin is not None and newest.origin != origin)


def put_status(tables: Tables, cluster: str, status: Mapping[str, Any]) -> None:
    """A status that is news becomes the object's."""
    before = tables.get_object(CLUSTERS, cluster)
    if before is not None:
        view = status_view(status, cluster=cluster, operations=tables.open_operations())
        tables.put_object(CLUSTERS, {**before, "status": view}, "MODIFIED")


def _tell_requests(tables: Tables, about: str) -> None:
    """What is asked of a cluster (empty: of all) changed: it is part of the statuses that there are."""
    operations = tables.open_operations()
    for name in [about] if about else tables.object_names(CLUSTERS):
        before = tables.get_object(CLUSTERS, name)
        if before is None or "status" not in before:
            continue
        status = {key: value for key, value in before["status"].items() if key != "requests"}
        if asked := requests_view(operations, name):
            status["requests"] = asked
        if status.get("requests") != before["status"].get("requests"):
            tables.put_object(CLUSTERS, {**before, "status": status}, "MODIFIED")


def open_operation(tables: Tables, request: Mapping[str, Any], name: str) -> tuple[int, Body]:
    """See `hactl.ports.Objects.create_operation`; the number and the object."""
    if name and tables.get_object(OPERATIONS, name) is not None:
        raise AlreadyExists(f"there is an operation {name} already")
    made = tables.insert_operation(request)
    name = name or _free_name(tables, made)
    tables.name_operation(made.id, name)
    given = operation_body(made, name)
    body = _add(tables, OPERATIONS, given, 1, given["status"])
    _tell_requests(tables, made.cluster)
    summary = f"operation {made.id}: {described(made)}"
    tables.event("OperationOpened", made.cluster, summary, None, opened_detail(made))
    return made.id, body


def _free_name(tables: Tables, made: Operation) -> str:
    """`switchover-7`; somebody may have given another operation that name."""
    name = plain_name = operation_name(made)
    again = 1
    while tables.get_object(OPERATIONS, name) is not None:
        again += 1
        name = f"{plain_name}-{again}"
    return name


def operation_name(made: Operation) -> str:
    """The name of an operation nobody named."""
    return f"{made.kind.value.lower()}-{made.id}"


def end_operation(tables: Tables, number: int, state: State, message: str, seconds: float | None) -> bool:
    """See `hactl.ports.Store.end_operation`."""
    name = tables.operation_name(number)
    ended = _close(tables, number, state, message, seconds)
    if ended is None:
        return False
    before = None if name is None else tables.get_object(OPERATIONS, name)
    if before is not None and name is not None:
        tables.put_object(OPERATIONS, {**before, "status": operation_body(ended, name)["status"]}, "MODIFIED")
    return True


def _close(tables: Tables, number: int, state: State, message: str, seconds: float | None) -> Operation | None:
    ended = tables.close_operation(number, state, message, seconds)
    if ended is not None:
        _tell_requests(tables, ended.cluster)
        detail = {**opened_detail(ended), "state": state.value, "seconds": seconds}
        tables.event("OperationEnded", ended.cluster, ended_summary(ended), None, detail)
    return ended


def forget_operations(tables: Tables, numbers: Iterable[int]) -> None:
    """Operations that are no longer kept: their objects go."""
    for number in numbers:
        name = tables.operation_name(number)
        before = None if name is None else tables.get_object(OPERATIONS, name)
        if before is not None:
            tables.remove_object(OPERATIONS, before)


def create(tables: Tables, resource: str, body: Mapping[str, Any], *, actor: str, document: Document | None) -> Body:
    """See `hactl.ports.Objects.create_object`."""
    name = name_of(body)
    if tables.get_object(resource, name) is not None:
        raise AlreadyExists(f"there is a {resource} {name} already")
    if resource == OPERATIONS:
        raise ValueError("operations are made with create_operation")
    if resource != CLUSTERS:
        return _add(tables, resource, body, None, None)
    document = _needed(document, name)
    newest = tables.newest(name)
    generation = _accept(tables, document, newest, actor=actor, origin=API_ORIGIN)
    return _add_cluster(tables, body, generation)


def kept_object(
    tables: Tables, resource: str, body: Mapping[str, Any], *, expected: int, document: Document | None
) -> Body | None:
    """The object as it is stored, when `body` says nothing else; None: something is to be written.

    Raises as `hactl.ports.Objects.update_object`.
    """
    name = name_of(body)
    before = _at(tables, resource, name, expected)
    if not same(before, replaced(resource, before, body, None)):
        return None
    if resource == CLUSTERS and tables.newest(name).digest != _needed(document, name).digest:
        return None
    return before


def update(
    tables: Tables, resource: str, body: Mapping[str, Any], *, expected: int, actor: str, document: Document | None
) -> Body:
    """See `hactl.ports.Objects.update_object`, for a body that says something else than the one that is stored."""
    name = name_of(body)
    before = _at(tables, resource, name, expected)
    generation = generation_of(before)
    if resource == CLUSTERS:
        newest = tables.newest(name)
        # What a command handed in becomes the API's when such a command hands it in here.
        adopted = newest.origin == FILES_ORIGIN and REFERENCES in (body["metadata"].get("annotations") or {})
        origin = API_ORIGIN if adopted else newest.origin
        generation = _accept(tables, _needed(document, name), newest, actor=actor, origin=origin)
    return tables.put_object(resource, replaced(resource, before, body, generation), "MODIFIED")


def delete(tables: Tables, resource: str, name: str, *, actor: str, expected: int | None) -> Body:
    """See `hactl.ports.Objects.delete_object`."""
    before = _at(tables, resource, name, expected)
    if resource == CLUSTERS:
        why = f"deleted by {actor}"
        tables.set_managed(name, False, why)
        removed = tables.remove_object(resource, before)
        tables.event("DocumentVanished", name, f"unmanaged: {why}; nothing is torn down", None, None)
        return removed
    if resource == OPERATIONS:
        number = int(before["status"]["number"])
        ended = _close(tables, number, State.CANCELLED, f"deleted by {actor}", None)
        tables.name_operation(number, None)
        if ended is not None:
            before = {**before, "status": operation_body(ended, name)["status"]}
    return tables.remove_object(resource, before)


def _at(tables: Tables, resource: str, name: str, expected: int | None) -> Body:
    """The object, as long as it is the one that was expected."""
    found = tables.get_object(resource, name)
    if found is None:
        raise NoSuchObject(f"there is no {resource} {name}")
    if expected is not None and revision_of(found) != expected:
        raise StaleRevision(f"{resource} {name} was changed: it has revision {revision_of(found)}, not {expected}")
    return found


def _needed(document: Document | None, name: str) -> Document:
    if document is None or document.cluster.name != name:
        raise ValueError(f"a cluster is stored together with its document ({name})")
    return document
