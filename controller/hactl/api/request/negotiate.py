"""Which form of an answer a client accepts: the object itself, a Table, or its metadata only.

https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from __future__ import annotations

from enum import Enum

from hactl.core.kube.errors import ApiError

_META = "meta.k8s.io"


class Form(Enum):
    """How objects are written."""

    OBJECT = "object"
    TABLE = "Table"
    PARTIAL = "PartialObjectMetadata"


def form(accept: str) -> Form:
    """The first form of an Accept header that there is. Raises ApiError (406) when there is none."""
    if not accept.strip():
        return Form.OBJECT
    for clause in accept.split(","):
        kind, *parameters = (part.strip() for part in clause.split(";"))
        options = dict(part.split("=", 1) for part in parameters if "=" in part)
        if kind not in ("application/json", "application/*", "*/*"):
            continue
        shape = options.get("as")
        if shape is None:
            return Form.OBJECT
        if options.get("g") != _META or options.get("v") != "v1":
            continue
        if shape == "Table":
            return Form.TABLE
        if shape in ("PartialObjectMetadata", "PartialObjectMetadataList"):
            return Form.PARTIAL
    message = "only the following media types are accepted: application/json"
    raise ApiError(406, "NotAcceptable", message)
