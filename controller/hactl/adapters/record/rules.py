"""What is done to the record and what is refused: one set of rules for every backend.

Each function that writes does so in one transaction, so that a document, its object, the log of changes and the history
never disagree. What is refused is refused before anything is written.

- What would change nothing is found out by reading, and then nothing is written: not a page, not a timestamp.
- A step of an older generation than the newest is refused: somebody applied another document meanwhile (I9).
- The object of a cluster exists exactly as long as the cluster is managed.
- A cluster that was made through the API (origin "") has its truth in the record: only the API changes or removes it;
  the controller, which reads it from there, cannot bring an older version back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from hactl.adapters.record.backend import Lease, Newest, Tables
from hactl.adapters.record.bodies import (
    Body,
    assembled,
    compact,
    generation_of,
    name_of,
    of_document,
    replaced,
    revision_of,
    same,
)
from hactl.adapters.record.operations import (
    check_new,
    described,
    ended_summary,
    opened_detail,
    operation,
    operation_row,
)
from hactl.adapters.record.rows import canonical, check_newest, shortened, step_fields, stored_time
from hactl.core.catalogue import EventKind
from hactl.core.kube.codec import REFERENCES, operation_body, status_view, time_text
from hactl.core.kube.kinds import HACLUSTERS, HAOPERATIONS
from hactl.core.kube.summary import operations_view
from hactl.core.operations import Operation, State
from hactl.core.status.changes import without_ages
from hactl.core.steps import Outcome
from hactl.errors import AlreadyExists, Busy, NoSuchObject, StaleRevision, StoreError
from hactl.ports import API_ORIGIN, FILES_ORIGIN, Change, Document

CLUSTERS = HACLUSTERS.plural
OPERATIONS = HAOPERATIONS.plural

_MIB = 1024 * 1024
#: What machines, clients and broken nodes can repeat without end, and how many bytes of it are kept, the newest: so it
#: never fills the disk nor takes the place of what people did (operations, moves, steps, documents, tokens).
BUDGETS: Mapping[EventKind, int] = {
    EventKind.REQUEST_REFUSED: 4 * _MIB,
    EventKind.REQUEST_ACCEPTED: 64 * _MIB,
    EventKind.DOCUMENT_REFUSED: 16 * _MIB,
    EventKind.PLAN_CHANGED: 64 * _MIB,
    EventKind.STATE_CHANGED: 64 * _MIB,
    EventKind.CONDITION_CHANGED: 64 * _MIB,
    EventKind.HOLD_CHANGED: 64 * _MIB,
    EventKind.NODE_LOST: 16 * _MIB,
    EventKind.NODE_BACK: 16 * _MIB,
}


# -- documents --------------------------------------------------------------------------------------------------------


def put_document(tables: Tables, document: Document, *, actor: str, origin: str | None) -> int:
    """See `hactl.ports.Documents`."""
    kept = _kept_generation(tables, document, origin)
    if kept is not None:
        return kept
    with tables.writing():
        # Nobody else writes from here on, but somebody may have meanwhile.
        kept = _kept_generation(tables, document, origin)
        return kept if kept is not None else _put_document(tables, document, actor=actor, origin=origin)


def _put_document(tables: Tables, document: Document, *, actor: str, origin: str | None) -> int:
    name = document.cluster.name
    newest = tables.newest(name)
    if origin is None:
        origin = newest.origin if newest.managed else FILES_ORIGIN
    generation = _accept(tables, document, newest, actor=actor, origin=origin)
    before = _get(tables, CLUSTERS, name)
    if before is None:
        _add_cluster(tables, of_document(document.cluster, None), generation)
    else:
        after = _next_body(before, document, generation)
        moved = newest.managed and newest.origin != origin
        if moved or generation != generation_of(before) or not same(before, after):
            tables.put_object(CLUSTERS, after, "MODIFIED")
    return generation


def _kept_generation(tables: Tables, document: Document, origin: str | None) -> int | None:
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
    before = _get(tables, CLUSTERS, name)
    if not newest.managed or newest.digest != document.digest or before is None:
        return None
    if not same(before, _next_body(before, document, newest.generation)):
        return None
    place = (newest.origin, newest.source, newest.directory)
    moved = origin is not None and place != (origin, document.source, document.directory)
    return None if moved else newest.generation


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
        summary = f"generation {generation} of {document.source} accepted"
        tables.event(EventKind.DOCUMENT_ACCEPTED, name, summary, None, _detail(document, actor, origin))
    return generation


def _detail(document: Document, actor: str, origin: str) -> dict[str, Any]:
    """What the event of a document that came into force keeps."""
    known = {
        "origin": origin if origin != FILES_ORIGIN else "",
        "revision": document.revision,
        "author": document.author,
    }
    return {"digest": document.digest, "actor": actor, **{key: value for key, value in known.items() if value}}


def unmanage(tables: Tables, cluster: str, why: str, origin: str | None) -> None:
    """See `hactl.ports.Documents`."""
    if not _is_ours(tables, cluster, origin):
        return
    with tables.writing():
        if _is_ours(tables, cluster, origin):
            _unmanage(tables, cluster, _get(tables, CLUSTERS, cluster), why)


def _is_ours(tables: Tables, cluster: str, origin: str | None) -> bool:
    """Whether a document that vanished from `origin` (None: wherever it was) is the one in force."""
    newest = tables.newest(cluster)
    return newest.managed and origin != API_ORIGIN and origin in (None, newest.origin)


def _unmanage(tables: Tables, cluster: str, before: Body | None, why: str) -> Body | None:
    """Its object as it was last, if there was one."""
    tables.set_managed(cluster, False, why)
    removed = None if before is None else tables.remove_object(CLUSTERS, before)
    tables.event(EventKind.DOCUMENT_VANISHED, cluster, f"unmanaged: {why}; nothing is torn down")
    return removed


# -- history, passes and their steps ----------------------------------------------------------------------------------


def record(tables: Tables, kind: EventKind, cluster: str, summary: str, node: str | None, detail: Any) -> None:
    """See `hactl.ports.History`. Raises ValueError for a kind that is none: a mistake of ours."""
    if kind not in set(EventKind):
        raise ValueError(f"{kind} is no kind of event (hactl.core.catalogue.EventKind)")
    with tables.writing():
        tables.event(kind, cluster, summary, node, detail)


def take_lease(tables: Tables, cluster: str, above: int = 0) -> int:
    """See `hactl.ports.Passes`.

    Generations start from the wall clock, so that a record that was lost or copied does not start over from one.
    """
    held = tables.held_lease(cluster)
    if held is not None and held.process == tables.process and held.generation > above:
        return held.generation
    with tables.writing():
        held = tables.held_lease(cluster)
        taken = max(0 if held is None else held.generation + 1, above + 1, int(tables.now().timestamp()))
        tables.set_lease(cluster, taken)
        if held is not None:
            tables.event(EventKind.LEASE_TAKEN, cluster, f"{tables.command} acts now, with lease {taken}")
    return taken


def begin_step(tables: Tables, intent: Mapping[str, Any], lease: int | None) -> int:
    """See `hactl.ports.Steps`."""
    fields = step_fields(intent)
    cluster = fields["cluster"]
    with tables.writing():
        newest = tables.newest(cluster)
        check_newest(cluster, fields["generation"], newest.generation, newest.managed)
        if lease is not None:
            _check_lease(tables, cluster, lease)
        return tables.insert_step(fields)


def _check_lease(tables: Tables, cluster: str, generation: int) -> None:
    """Refuse a step under a lease that is no longer the newest. Raises Busy."""
    held = tables.held_lease(cluster)
    if held != Lease(tables.process, generation):
        newest = "none" if held is None else f"lease {held.generation}"
        raise Busy(
            f"another hactl process has acted on {cluster} ({newest}; this is lease {generation}); looking again"
        )


def end_step(tables: Tables, step: int, outcome: str, exit_status: int | None, output: str, seconds: float) -> None:
    """See `hactl.ports.Steps`."""
    value, kept = Outcome(outcome).value, shortened(output)
    with tables.writing():
        if not tables.end_step(step, outcome=value, exit_status=exit_status, output=kept, seconds=seconds):
            raise StoreError(f"has no running step {step} of this process")


def put_status(tables: Tables, cluster: str, status: Mapping[str, Any], events: Sequence[Change]) -> bool:
    """See `hactl.ports.Passes`."""
    text, meaning = canonical(status), canonical(without_ages(status))
    if tables.status_meaning(cluster) == meaning:
        return False
    with tables.writing():
        tables.set_status(cluster, text, meaning)
        before = _get(tables, CLUSTERS, cluster)
        if before is not None:
            open_operations = tables.operations(None, open_only=True)
            view = status_view(status, cluster=cluster, operations=open_operations)
            tables.put_object(CLUSTERS, {**before, "status": view}, "MODIFIED")
        for kind, summary, node, detail in events:
            tables.event(kind, cluster, summary, node, detail)
    return True


def prune(tables: Tables, keep_days: float | None, keep_rows: int | None) -> int:
    """See `hactl.ports.Upkeep`."""
    before = "" if keep_days is None else stored_time(tables.now() - timedelta(days=keep_days))
    with tables.writing():
        for number in tables.old_operations(before):
            name = tables.operation_name(number)
            found = None if name is None else _get(tables, OPERATIONS, name)
            if found is not None:
                tables.remove_object(OPERATIONS, found)
        forgotten = tables.forget(before, keep_rows)
        return forgotten + sum(tables.forget_beyond(kind, size) for kind, size in BUDGETS.items())


# -- operations -------------------------------------------------------------------------------------------------------


def open_operation(
    tables: Tables, fields: Mapping[str, Any], name: str, metadata: Mapping[str, Any] | None = None
) -> tuple[int, Body]:
    """See `hactl.ports.Objects.create_operation`; the number and the object."""
    with tables.writing():
        if name and _get(tables, OPERATIONS, name) is not None:
            raise AlreadyExists(f"there is an operation {name} already")
        row = operation_row(fields, tables.now())
        check_new(operation(row | {"id": 0}), tables.operations(None, open_only=True), tables.now())
        made = tables.insert_operation(row)
        name = name or _free_name(tables, made)
        tables.name_operation(made.id, name)
        given = operation_body(made, name)
        given["metadata"] = {**(metadata or {}), **given["metadata"]}
        body = _add(tables, OPERATIONS, given, 1, given["status"])
        _show_operations(tables, made.cluster)
        tables.event(
            EventKind.OPERATION_OPENED,
            made.cluster,
            f"operation {made.id}: {described(made)}",
            None,
            opened_detail(made),
        )
    return made.id, body


def _free_name(tables: Tables, made: Operation) -> str:
    """`switchover-7`; somebody may have given another operation that name."""
    name = plain_name = operation_name(made)
    again = 1
    while _get(tables, OPERATIONS, name) is not None:
        again += 1
        name = f"{plain_name}-{again}"
    return name


def operation_name(made: Operation) -> str:
    """The name of an operation nobody named."""
    return f"{made.kind.value.lower()}-{made.id}"


def end_operation(tables: Tables, number: int, state: State, message: str, seconds: float | None) -> bool:
    """See `hactl.ports.OperationLog`."""
    with tables.writing():
        name = tables.operation_name(number)
        ended = _close(tables, number, state, message, seconds)
        before = None if ended is None or name is None else _get(tables, OPERATIONS, name)
        if ended is not None and before is not None and name is not None:
            tables.put_object(OPERATIONS, {**before, "status": operation_body(ended, name)["status"]}, "MODIFIED")
    return ended is not None


def _close(tables: Tables, number: int, state: State, message: str, seconds: float | None) -> Operation | None:
    """End it; None when it is over already. Raises StoreError when there is none."""
    found = tables.operation(number)
    if found is None:
        raise StoreError(f"has no operation {number}")
    if found.state is not State.OPEN:
        return None
    ended = tables.close_operation(number, state, message, seconds)
    _show_operations(tables, ended.cluster)
    detail = {**opened_detail(ended), "state": state.value, "seconds": seconds}
    tables.event(EventKind.OPERATION_ENDED, ended.cluster, ended_summary(ended), None, detail)
    return ended


def _show_operations(tables: Tables, about: str) -> None:
    """What is asked of a cluster (empty: of all) changed: it is part of the statuses that there are."""
    operations = tables.operations(None, open_only=True)
    for before in tables.objects(CLUSTERS, about or None):
        if "status" not in before:
            continue
        status = {key: value for key, value in before["status"].items() if key != "requests"}
        if shown := operations_view(operations, name_of(before)):
            status["requests"] = shown
        if status.get("requests") != before["status"].get("requests"):
            tables.put_object(CLUSTERS, {**before, "status": status}, "MODIFIED")


# -- objects ----------------------------------------------------------------------------------------------------------


def create(tables: Tables, resource: str, body: Mapping[str, Any], *, actor: str, document: Document | None) -> Body:
    """See `hactl.ports.Objects`."""
    name = name_of(body)
    compact(body)  # refuses what is not JSON
    with tables.writing():
        if _get(tables, resource, name) is not None:
            raise AlreadyExists(f"there is a {resource} {name} already")
        if resource == OPERATIONS:
            raise ValueError("operations are made with create_operation")
        if resource != CLUSTERS:
            return _add(tables, resource, body, None, None)
        document = _needed(document, name)
        generation = _accept(tables, document, tables.newest(name), actor=actor, origin=API_ORIGIN)
        return _add_cluster(tables, body, generation)


def _add_cluster(tables: Tables, given: Mapping[str, Any], generation: int) -> Body:
    tables.next_status_is_news(name_of(given))
    return _add(tables, CLUSTERS, given, generation, None)


def _add(tables: Tables, resource: str, given: Mapping[str, Any], generation: int | None, status: Any) -> Body:
    created = time_text(tables.now())
    body = assembled(resource, given, uid=tables.new_uid(), created=created, generation=generation, status=status)
    return tables.put_object(resource, body, "ADDED")


def update(
    tables: Tables, resource: str, body: Mapping[str, Any], *, expected: int, actor: str, document: Document | None
) -> Body:
    """See `hactl.ports.Objects`."""
    name = name_of(body)
    compact(body)  # refuses what is not JSON
    before = _at(tables, resource, name, expected)
    if _is_kept(tables, resource, before, body, document):
        return before
    with tables.writing():
        before = _at(tables, resource, name, expected)
        generation = generation_of(before)
        if resource == CLUSTERS:
            newest = tables.newest(name)
            # What a command handed in becomes the API's when such a command hands it in here.
            adopted = newest.origin == FILES_ORIGIN and REFERENCES in (body["metadata"].get("annotations") or {})
            origin = API_ORIGIN if adopted else newest.origin
            generation = _accept(tables, _needed(document, name), newest, actor=actor, origin=origin)
        if resource == OPERATIONS and "deletionTimestamp" in body["metadata"]:
            # Its finalizers hold the object, not what it asks for.
            before = _cancelled(tables, name, before, actor)
        return tables.put_object(resource, replaced(resource, before, body, generation), "MODIFIED")


def _is_kept(tables: Tables, resource: str, before: Body, body: Mapping[str, Any], document: Document | None) -> bool:
    """Whether `body` says nothing else than what is stored."""
    if not same(before, replaced(resource, before, body, None)):
        return False
    name = name_of(body)
    return resource != CLUSTERS or tables.newest(name).digest == _needed(document, name).digest


def delete(tables: Tables, resource: str, name: str, *, actor: str, expected: int | None) -> Body:
    """See `hactl.ports.Objects`."""
    with tables.writing():
        before = _at(tables, resource, name, expected)
        if resource == CLUSTERS:
            return _unmanage(tables, name, before, f"deleted by {actor}") or before
        if resource == OPERATIONS:
            before = _cancelled(tables, name, before, actor)
            tables.name_operation(int(before["status"]["number"]), None)
        return tables.remove_object(resource, before)


def _cancelled(tables: Tables, name: str, before: Body, actor: str) -> Body:
    """The operation as it is when nobody asks for it any more."""
    number = int(before["status"]["number"])
    ended = _close(tables, number, State.CANCELLED, f"deleted by {actor}", None)
    return before if ended is None else {**before, "status": operation_body(ended, name)["status"]}


def _get(tables: Tables, resource: str, name: str) -> Body | None:
    return next(iter(tables.objects(resource, name)), None)


def _at(tables: Tables, resource: str, name: str, expected: int | None) -> Body:
    """The object, as long as it is the one that was expected."""
    found = _get(tables, resource, name)
    if found is None:
        raise NoSuchObject(f"there is no {resource} {name}")
    if expected is not None and revision_of(found) != expected:
        raise StaleRevision(f"{resource} {name} was changed: it has revision {revision_of(found)}, not {expected}")
    return found


def _needed(document: Document | None, name: str) -> Document:
    if document is None or document.cluster.name != name:
        raise ValueError(f"a cluster is stored together with its document ({name})")
    return document


# -- tokens -----------------------------------------------------------------------------------------------------------


def create_token(tables: Tables, name: str, digest: str, *, role: str, actor: str, expires_at: datetime | None) -> None:
    """See `hactl.ports.Tokens`. The event never has the digest."""
    created, until = stored_time(tables.now()), None if expires_at is None else stored_time(expires_at)
    with tables.writing():
        if any(row["name"] == name for row in tables.tokens()):
            raise AlreadyExists(f"there is a token {name} already")
        row = {"name": name, "digest": digest, "role": role}
        tables.insert_token(
            row | {"created_at": created, "created_by": actor, "expires_at": until, "last_used_at": None}
        )
        detail = {"name": name, "role": role, "actor": actor, "expiresAt": until}
        lasting = f" until {until}" if until else ""
        tables.event(EventKind.TOKEN_CREATED, "", f"token {name} ({role}){lasting} made by {actor}", None, detail)


def use_tokens(tables: Tables, uses: Mapping[str, datetime]) -> None:
    """See `hactl.ports.Tokens`."""
    with tables.writing():
        for name, at in uses.items():
            tables.use_token(name, stored_time(at))


def revoke_token(tables: Tables, name: str, actor: str) -> bool:
    """See `hactl.ports.Tokens`."""
    with tables.writing():
        gone = tables.delete_token(name)
        if gone:
            tables.event(
                EventKind.TOKEN_REVOKED, "", f"token {name} revoked by {actor}", None, {"name": name, "actor": actor}
            )
    return gone
