"""Bodies of stored objects: what the store adds to them, what it keeps of the one before, when two are the same.

Pure functions, shared by the real store and the one in memory. No body is ever changed in place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hactl.adapters.record.rows import canonical
from hactl.core.kube.codec import cluster_body
from hactl.core.kube.kinds import HACLUSTERS, HAOPERATIONS, NAMESPACE
from hactl.errors import StoreError

if TYPE_CHECKING:
    from hactl.core.objects import HACluster

#: What of the metadata only the store knows; what others write there is not looked at.
OURS: Final = ("uid", "resourceVersion", "generation", "creationTimestamp")
#: What of a cluster's metadata its document says.
_OF_DOCUMENT: Final = ("labels", "annotations")

Body = dict[str, Any]


def compact(body: Mapping[str, Any]) -> str:
    """A body as JSON, keys in their order. Raises StoreError for what is not JSON."""
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()  # half a surrogate pair is no text
    except (TypeError, ValueError) as error:
        raise StoreError(f"cannot record what is not JSON: {error}") from error
    return text


def name_of(body: Mapping[str, Any]) -> str:
    """`metadata.name`."""
    return str(body["metadata"]["name"])


def revision_of(body: Mapping[str, Any]) -> int:
    """The revision in which a stored body was written."""
    return int(body["metadata"]["resourceVersion"])


def generation_of(body: Mapping[str, Any]) -> int | None:
    """`metadata.generation`; None for resources without one."""
    found = body["metadata"].get("generation")
    return None if found is None else int(found)


def assembled(
    resource: str, given: Mapping[str, Any], *, uid: str, created: str, generation: int | None, status: Any
) -> Body:
    """What somebody gave, with what the store knows; `put_object` adds the revision.

    `status` None: none for clusters and operations; other resources have what was given.
    """
    metadata = given.get("metadata", {})
    known: Body = {"name": metadata.get("name"), "namespace": NAMESPACE, "uid": uid, "resourceVersion": ""}
    if generation is not None:
        known["generation"] = generation
    known["creationTimestamp"] = created
    rest = {key: value for key, value in metadata.items() if key not in known and key not in OURS}
    ours = resource in (HACLUSTERS.plural, HAOPERATIONS.plural)
    body = {**given, "metadata": {**known, **rest}}
    if ours:
        body.pop("status", None)
        if status is not None:
            body["status"] = status
    return body


def replaced(resource: str, before: Mapping[str, Any], given: Mapping[str, Any], generation: int | None) -> Body:
    """What `before` becomes when `given` takes its place."""
    metadata = before["metadata"]
    return assembled(
        resource,
        given,
        uid=metadata["uid"],
        created=metadata["creationTimestamp"],
        generation=generation,
        status=before.get("status"),
    )


def of_document(cluster: HACluster, before: Mapping[str, Any] | None) -> Body:
    """The object a document asks for: its labels, annotations and spec; the rest as it was."""
    made = cluster_body(cluster)
    if before is None:
        return made
    kept = {key: value for key, value in before["metadata"].items() if key not in _OF_DOCUMENT}
    return {**made, "metadata": {**kept, **made["metadata"]}}


def at_revision(body: Mapping[str, Any], revision: int) -> Body:
    """The body as of that revision."""
    return {**body, "metadata": {**body["metadata"], "resourceVersion": str(revision)}}


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two bodies differ in nothing but their revision and generation."""
    return _meaning(one) == _meaning(other)


def _meaning(body: Mapping[str, Any]) -> str:
    counted = ("resourceVersion", "generation")
    metadata = {key: value for key, value in body["metadata"].items() if key not in counted}
    return canonical({**body, "metadata": metadata})
