"""Which form of an answer a client accepts: the object itself, a Table, or its metadata only; as JSON or as YAML.

https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from __future__ import annotations

from enum import Enum

from hactl.api.request.payload import JSON, YAML
from hactl.core.kube.errors import ApiError

_META = "meta.k8s.io"


class Form(Enum):
    """How objects are written."""

    OBJECT = "object"
    TABLE = "Table"
    PARTIAL = "PartialObjectMetadata"


def form(accept: str) -> Form:
    """The first form of an Accept header that there is. Raises ApiError (406) when there is none."""
    return _chosen(accept)[1]


def is_yaml(accept: str) -> bool:
    """Whether the answer is to be YAML. Raises ApiError (406) for a header that names no form there is."""
    return _chosen(accept)[0] == YAML


def not_acceptable(*accepted: str) -> ApiError:
    """406."""
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(accepted)}")


def _chosen(accept: str) -> tuple[str, Form]:
    """The media type and the form. Raises ApiError (406)."""
    if not accept.strip():
        return JSON, Form.OBJECT
    for clause in accept.split(","):
        kind, *parameters = (part.strip() for part in clause.split(";"))
        options = dict(part.split("=", 1) for part in parameters if "=" in part)
        if kind not in (JSON, YAML, "application/*", "*/*"):
            continue
        written = YAML if kind == YAML else JSON
        shape = options.get("as")
        if shape is None:
            return written, Form.OBJECT
        if options.get("g") != _META or options.get("v") != "v1":
            continue
        if shape == "Table":
            return written, Form.TABLE
        if shape in ("PartialObjectMetadata", "PartialObjectMetadataList"):
            return written, Form.PARTIAL
    raise not_acceptable(JSON, YAML)
