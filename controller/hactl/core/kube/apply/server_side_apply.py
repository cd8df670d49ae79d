"""Who owns which field of an object: server-side apply, and the bookkeeping of every other write.

`metadata.managedFields` has an entry for each writer: what it applied (Apply), or what it changed otherwise (Update).
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from hactl.core.kube.apply import last_applied
from hactl.core.kube.apply.fieldsets import Fields, both, json_text, leaf, minus, path_text, paths, union
from hactl.core.kube.apply.managed_fields import Entry, Owner, decoded, encoded, is_reset, joined, oldest_joined
from hactl.core.kube.apply.structural_schema import Schema, check_depth, faults, object_schema, same, without_nulls
from hactl.core.kube.apply.structured_merge import differences, merged, owned, pruned
from hactl.core.kube.errors import Cause, apply_conflict, bad_request, invalid
from hactl.core.kube.kinds import RESOURCES, Resource, part

#: Metadata that only the server writes; an applied object cannot change it.
_SERVERS = (
    "name", "namespace", "generateName", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink",
    "deletionTimestamp", "deletionGracePeriodSeconds",
)  # fmt: skip
#: Of these, what a client says when the object is made.
_CLIENTS = ("name", "namespace", "generateName")
#: What nobody ever owns.
_UNOWNED: Fields = {
    "f:apiVersion": leaf(),
    "f:kind": leaf(),
    "f:metadata": leaf() | {f"f:{name}": leaf() for name in (*_SERVERS, "managedFields") if name != "generateName"},
}


@dataclass(frozen=True, slots=True)
class _Conflict:
    owner: Owner
    path: tuple[str, ...]


def applied(
    current: Mapping[str, Any] | None,
    wanted: Mapping[str, Any],
    *,
    manager: str,
    force: bool,
    schema: Schema,
    now: str,
    subresource: str = "",
) -> dict[str, Any]:
    """The object after `manager` applied a configuration to it, with managedFields; `current` None: there is none yet.

    `now` is the time in RFC 3339 with seconds. Nothing changes, not even a time: a copy of `current`. A null says
    nothing. The status counts only for the subresource status, which counts nothing else. A resourceVersion or uid in
    the configuration is not compared here. Raises ApiError: 409 with a cause for each field that another manager owns
    with another value (not with `force`), 422 for the same key twice in a list, 400 for another version.
    """
    _check_manager(manager)
    _check_configuration(current, wanted)
    full = object_schema(schema)
    config = without_nulls(_selected(wanted, subresource), full)
    _refuse_faults(config, None, full, wanted)
    live = _bare(current or {})
    known = decoded(part(current, "metadata").get("managedFields"))
    me = Owner(manager, "Apply", subresource)
    last = known.get(me)
    mine = minus(owned(config, full), _UNOWNED)
    others = {owner: entry for owner, entry in known.items() if owner != me}
    after = merged(live, config, full)
    if last is not None:
        kept = mine
        for entry in others.values():
            kept = union(kept, entry.fields)
        after = pruned(after, full, last.fields, kept)
    after["metadata"] = _metadata(after, live, made=current is None)
    found = differences(live, after, full)
    if not force:
        _refuse_conflicts(_conflicts(others, found.changed), current or {}, full, manager)
    if manager == last_applied.MANAGER:
        last_applied.refresh(after, wanted)
    if current is not None and same(live, after) and mine == (last.fields if last is not None else {}):
        return copy.deepcopy(dict(current))
    entries = _without(others, found.changed, found.removed)
    if mine:
        entries[me] = Entry(mine, str(wanted["apiVersion"]), now)
    return _with_managed_fields(after, entries)


def updated(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    *,
    manager: str,
    subresource: str,
    schema: Schema,
    now: str,
) -> dict[str, Any]:
    """`after` with managedFields: what differs from `before` (None: it is created) now belongs to `manager` alone.

    Clients may write managedFields themselves; none, or some that cannot be read: those of `before` count; an empty
    list, or a list of one empty entry, forgets every owner. Raises ApiError: 422 for the same key twice in a list
    (unless it was there before), 400 for data nested too deep.
    """
    check_depth(after)
    full = object_schema(schema)
    old = None if before is None else _selected(_bare(before), subresource)
    new = _selected(_bare(after), subresource)
    _refuse_faults(new, old, full, after)
    known = _known(before, after, subresource)
    found = differences(old, new, full)
    changed = union(found.changed, found.emptied)
    kept = _without(known, changed, found.removed)
    gained = minus(changed, _UNOWNED)
    if gained:
        version = str(after.get("apiVersion", ""))
        me = Owner(manager, "Update", subresource, version)
        kept[me] = joined(kept.get(me), Entry(gained, version, now))
        kept = oldest_joined(kept)
    return _with_managed_fields(_bare(after), kept)


def _check_manager(manager: str) -> None:
    """https://kubernetes.io/docs/reference/using-api/server-side-apply/: required, 128 printable characters."""
    why = ""
    if not manager:
        why = "Required value: is required for apply patch"
    elif len(manager.encode(errors="surrogatepass")) > 128:
        why = f"Invalid value: {json_text(manager[:32])}...: may not be more than 128 bytes"
    elif not manager.isprintable():
        why = f"Invalid value: {json_text(manager)}: should only contain printable characters"
    if why:
        raise invalid("meta.k8s.io", "PatchOptions", "", [Cause("fieldManager", why)])


def _check_configuration(current: Mapping[str, Any] | None, config: Mapping[str, Any]) -> None:
    check_depth(config)
    version = config.get("apiVersion")
    if not isinstance(version, str) or not version or not isinstance(config.get("kind"), str):
        raise bad_request("apiVersion and kind are required in an apply patch")
    metadata = config.get("metadata")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise bad_request("metadata must be an object")
    if metadata and metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    if current is not None and current.get("apiVersion", version) != version:
        raise bad_request(
            "Incorrect version specified in apply patch. "
            f"Specified patch version: {version}, expected: {current['apiVersion']}"
        )


def _refuse_faults(
    value: Mapping[str, Any], before: Mapping[str, Any] | None, schema: Schema, body: Mapping[str, Any]
) -> None:
    """Faults that are new; what was stored before the rule may still be changed elsewhere."""
    found = list(faults(value, schema))
    if found and before is not None:
        known = set(faults(before, schema))
        found = [fault for fault in found if fault not in known]
    if found:
        resource = _resource(body)
        raise invalid(resource.group if resource else "", str(body.get("kind", "")), _name(body), found)


def _conflicts(others: Mapping[Owner, Entry], changed: Fields) -> list[_Conflict]:
    return [
        _Conflict(owner, path)
        for owner in sorted(others)
        for path in paths(both(others[owner].fields, changed))
    ]  # fmt: skip


def _refuse_conflicts(conflicts: list[_Conflict], current: Mapping[str, Any], schema: Schema, manager: str) -> None:
    """kubectl may take over what `kubectl apply` without --server-side wrote and nobody changed since."""
    if conflicts and manager == last_applied.MANAGER:
        excused = set(paths(last_applied.untouched(current, schema)))
        conflicts = [conflict for conflict in conflicts if conflict.path not in excused]
    if conflicts:
        _raise_conflicts(conflicts, current)


def _raise_conflicts(conflicts: Iterable[_Conflict], current: Mapping[str, Any]) -> NoReturn:
    causes = [
        Cause(path_text(conflict.path), f"conflict with {conflict.owner}", "FieldManagerConflict")
        for conflict in conflicts
    ]
    resource = _resource(current)
    group, plural = (resource.group, resource.plural) if resource else ("", "")
    raise apply_conflict(group, plural, _name(current), causes)


def _without(known: Mapping[Owner, Entry], changed: Fields, removed: Fields) -> dict[Owner, Entry]:
    """The entries without what changed or went; who owns nothing any more is gone."""
    result = {}
    for owner, entry in known.items():
        fields = minus(minus(entry.fields, changed), removed)
        if fields:
            result[owner] = Entry(fields, entry.version, entry.time)
    return result


def _known(before: Mapping[str, Any] | None, after: Mapping[str, Any], subresource: str) -> dict[Owner, Entry]:
    """Whose entries count before a write."""
    live = decoded(part(before, "metadata").get("managedFields"))
    sent = part(after, "metadata").get("managedFields")
    if subresource or sent is None:
        return live
    if is_reset(sent):
        return {}
    return decoded(sent) or live


def _selected(body: Mapping[str, Any], subresource: str) -> dict[str, Any]:
    """What of a body a request may write: the status is a subresource, and a subresource is nothing else."""
    if subresource:
        return {key: value for key, value in body.items() if key in ("apiVersion", "kind", subresource)}
    return {key: value for key, value in body.items() if key != "status"}


def _bare(body: Mapping[str, Any]) -> dict[str, Any]:
    """A copy without managedFields."""
    metadata = part(body, "metadata")
    if "managedFields" not in metadata:
        return copy.deepcopy(dict(body))
    rest = {key: value for key, value in metadata.items() if key != "managedFields"}
    return copy.deepcopy({**body, "metadata": rest})


def _metadata(after: Mapping[str, Any], live: Mapping[str, Any], *, made: bool) -> dict[str, Any]:
    """The metadata of a merged object, with the server's own part as it was."""
    found = after.get("metadata") or {}
    owns = {key: value for key, value in found.items() if key not in _SERVERS}
    source, keys = (found, _CLIENTS) if made else (live.get("metadata") or {}, _SERVERS)
    return {**{key: source[key] for key in keys if key in source}, **owns}


def _with_managed_fields(body: dict[str, Any], known: Mapping[Owner, Entry]) -> dict[str, Any]:
    if known:
        body["metadata"] = {**(body.get("metadata") or {}), "managedFields": encoded(known)}
    return body


def _resource(body: Mapping[str, Any]) -> Resource | None:
    for resource in RESOURCES:
        if (resource.api_version, resource.kind) == (body.get("apiVersion"), body.get("kind")):
            return resource
    return None


def _name(body: Mapping[str, Any]) -> str:
    name = part(body, "metadata").get("name")
    return name if isinstance(name, str) else ""
