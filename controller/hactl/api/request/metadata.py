"""The metadata of an object that a client sends: what it may say, and what stays as it was.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from hactl.api.request.payload import to_number
from hactl.core.document.problems import printable
from hactl.core.kube.errors import ApiError, Cause, bad_request, conflict, invalid
from hactl.core.kube.kinds import NAMESPACE, Resource
from hactl.core.kube.selectors import label_key_faults, label_value_faults

#: Set by us; what a client sends here counts for nothing.
_OURS = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
_IGNORED = (*_OURS, "resourceVersion", "selfLink", "managedFields", "namespace")
#: What of a client's metadata is kept.
_KEPT = ("name", "generateName", "labels", "annotations", "finalizers", "ownerReferences")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
#: No vowels and nothing that looks alike: no words by chance (as Kubernetes' generated names).
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_MAX_NAME = 253
_MAX_PREFIX = 58
_WANTED = "lower-case letters, digits, - and ., beginning and ending with a letter or digit"
#: Of all annotations of an object together, keys and values, bytes (as in Kubernetes).
_MAX_ANNOTATIONS = 256 * 1024


def generated_name(prefix: str) -> str:
    """The prefix and five random characters."""
    return prefix[:_MAX_PREFIX] + "".join(secrets.choice(_SUFFIX) for _ in range(5))


def given_metadata(body: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata as sent. Raises ApiError (400) when it is no mapping."""
    found = body.get("metadata")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad_request("metadata: expected a mapping")
    return found


def check_place(metadata: Mapping[str, Any], namespace: str | None, name: str) -> None:
    """The object must be where the request says. Raises ApiError (400)."""
    given = metadata.get("namespace")
    if namespace is not None and given not in (None, "", namespace):
        raise bad_request(
            f"the namespace of the provided object does not match the namespace sent on the request ({namespace})"
        )
    if name and metadata.get("name", name) != name:
        raise bad_request(f"the name of the object does not match the name on the URL ({name})")


def name_for(resource: Resource, metadata: Mapping[str, Any]) -> str:
    """The name of a new object; made of generateName when there is none. Raises ApiError (422)."""
    name, prefix = metadata.get("name"), metadata.get("generateName")
    if name in (None, "") and isinstance(prefix, str) and prefix:
        name = generated_name(prefix)
        if not _NAME.fullmatch(name):
            raise invalid(resource.group, resource.kind, "", [Cause("metadata.generateName", f"write {_WANTED}")])
        return name
    if name in (None, ""):
        cause = Cause("metadata.name", "Required value: name or generateName is required", "FieldValueRequired")
        raise invalid(resource.group, resource.kind, "", [cause])
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        given = name if isinstance(name, str) else ""
        raise invalid(resource.group, resource.kind, given[:_MAX_NAME], [Cause("metadata.name", f"write {_WANTED}")])
    return name


def settled(
    resource: Resource, metadata: Mapping[str, Any], name: str, before: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The metadata as they will be stored, less what only the store knows. Raises ApiError (422)."""
    causes = list(_faults(metadata, before))
    if causes:
        raise invalid(resource.group, resource.kind, name, causes)
    kept = {key: metadata[key] for key in _KEPT if metadata.get(key) not in (None, {}, [], "")}
    ours = {} if before is None else {key: before[key] for key in (*_OURS, "resourceVersion") if key in before}
    owners = metadata.get("managedFields", (before or {}).get("managedFields"))
    if owners is not None:
        # What a client may say about them is decided where they are read.
        ours["managedFields"] = owners
    place = {"namespace": NAMESPACE} if resource.namespaced else {}
    return {**kept, **place, "name": name, **ours}


def _faults(metadata: Mapping[str, Any], before: Mapping[str, Any] | None) -> Iterator[Cause]:
    known = (*_KEPT, *_IGNORED)
    for key in metadata:
        if key not in known:
            yield Cause(f"metadata.{key}"[:100], f"unknown field; known here: {', '.join(_KEPT)}")
    for key in ("labels", "annotations"):
        values = metadata.get(key)
        if values is None:
            continue
        if not isinstance(values, dict):
            yield Cause(f"metadata.{key}", "expected a mapping of text to text")
            continue
        for name, value in values.items():
            # Prefixes are compared without regard to case, and so are the names of annotations.
            for fault in label_key_faults(name.lower() if key == "annotations" else name):
                yield Cause(f"metadata.{key}", f'Invalid value: "{printable(name[:80])}": {fault}')
            if not isinstance(value, str):
                yield Cause(f"metadata.{key}.{printable(name)}"[:200], "expected text; quote it")
            elif key == "labels" and (faults := label_value_faults(value)):
                yield Cause("metadata.labels", f'Invalid value: "{printable(value[:80])}": {faults[0]}')
        size = sum(len(f"{each}{value}".encode(errors="replace")) for each, value in values.items())
        if key == "annotations" and size > _MAX_ANNOTATIONS:
            yield Cause("metadata.annotations", f"Too long: may not be more than {_MAX_ANNOTATIONS} bytes")
    finalizers = metadata.get("finalizers")
    if finalizers is not None and not (
        isinstance(finalizers, list) and all(isinstance(each, str) and 0 < len(each) <= 316 for each in finalizers)
    ):
        yield Cause("metadata.finalizers", "expected a list of texts")
    elif before is not None and "deletionTimestamp" in before:
        added = set(finalizers or ()) - set(before.get("finalizers", ()))
        if added:
            message = "no new finalizers can be added if the object is being deleted, found new finalizers"
            yield Cause("metadata.finalizers", f"Forbidden: {message} {sorted(added)}", "FieldValueForbidden")
    owners = metadata.get("ownerReferences")
    if owners is not None and not (isinstance(owners, list) and all(isinstance(each, dict) for each in owners)):
        yield Cause("metadata.ownerReferences", "expected a list of mappings")


def check_versions(resource: Resource, metadata: Mapping[str, Any], before: Mapping[str, Any], name: str) -> bool:
    """Whether the client named the resourceVersion it changes. Raises ApiError (409) when that is no longer it."""
    uid = metadata.get("uid")
    if uid not in (None, "", before["uid"]):
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {before['uid']}"
        raise conflict(resource.group, resource.plural, name, why)
    version = metadata.get("resourceVersion")
    if version in (None, "", "0"):
        return False
    if to_number(version, "metadata.resourceVersion") != int(before["resourceVersion"]):
        raise conflict(resource.group, resource.plural, name)
    return True


def must_name_version(resource: Resource, name: str) -> ApiError:
    """422 for an update that does not say what it replaces."""
    message = "Invalid value: 0x0: must be specified for an update"
    return invalid(resource.group, resource.kind, name, [Cause("metadata.resourceVersion", message)])
