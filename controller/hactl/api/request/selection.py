"""What a list or watch is asked for: which objects, from which revision, in which form."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hactl.api.request.negotiate import Form, form
from hactl.api.request.paths import ResourcePath
from hactl.api.request.payload import flag, number
from hactl.api.request.wire import Request
from hactl.core.kube.errors import ApiError, bad_request
from hactl.core.kube.kinds import NAMESPACE
from hactl.core.kube.selectors import Fields, Labels, parse_fields, parse_labels
from hactl.core.kube.tables import Included


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a resource."""

    labels: Labels
    fields: Fields
    namespace: str | None
    #: Neither label nor field selector was given.
    everything: bool

    def match(self, body: Mapping[str, Any]) -> bool:
        """Whether the object is one of them."""
        metadata = body["metadata"]
        if self.namespace is not None and metadata.get("namespace", self.namespace) != self.namespace:
            return False
        return self.everything or (self.labels.match(metadata.get("labels") or {}) and self.fields.match(body))


def selection(path: ResourcePath, query: Mapping[str, str]) -> Selection:
    """What the query selects. Raises ApiError (400)."""
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    return Selection(parse_labels(labels), parse_fields(fields), path.namespace, not (labels or fields))


@dataclass(frozen=True, slots=True)
class Presentation:
    """How objects are written: the form, and what a row of a Table carries."""

    form: Form
    included: Included = "Metadata"


def presentation(request: Request) -> Presentation:
    """The form a client wants. Raises ApiError (400, 406)."""
    included = request.query.get("includeObject") or "Metadata"
    if included not in ("None", "Metadata", "Object"):
        raise bad_request('includeObject: supported values: "Metadata", "None", "Object"')
    return Presentation(form(request.headers.get("accept", "")), included)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `revision` None: the newest state."""

    limit: int | None = None
    revision: int | None = None
    #: True: exactly that revision; False: that one or a newer one.
    exact: bool = False
    #: Names up to this one were on earlier pages.
    after: str = ""


def page(plural: str, query: Mapping[str, str]) -> Page:
    """Limit, continue and resource version of a list. Raises ApiError (400)."""
    limit = number(query, "limit") or None
    token = query.get("continue", "")
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    if match and match not in ("Exact", "NotOlderThan"):
        raise bad_request('resourceVersionMatch: Unsupported value: supported values: "Exact", "NotOlderThan"')
    if token:
        if match or version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        at, after = _read_token(plural, token)
        return Page(limit, at, True, after)
    if match and not version:
        raise bad_request("resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden without resourceVersion")
    if match == "Exact" and version == "0":
        raise bad_request('resourceVersionMatch: Forbidden: "Exact" is forbidden with resourceVersion "0"')
    revision = number(query, "resourceVersion")
    # Kubernetes takes a version with a limit, and without a word about the match, as the exact one.
    exact = match == "Exact" or (bool(limit) and bool(revision) and not match)
    return Page(limit, revision or None, exact)


def token_of(plural: str, revision: int, after: str) -> str:
    """Where the next page begins; opaque to clients."""
    text = json.dumps({"v": 1, "resource": plural, "rv": revision, "after": after}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_token(plural: str, token: str) -> tuple[int, str]:
    try:
        found = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars="-_", validate=True))
        revision, after = found["rv"], found["after"]
        if (found["v"], found["resource"]) != (1, plural) or type(revision) is not int or revision < 0:
            raise ValueError(token)
        return revision, str(after)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise bad_request("continue key is not valid") from None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a watch begins."""

    #: Changes after this revision; None: after the newest one.
    revision: int | None
    #: What is there already is sent first, as ADDED.
    replay: bool
    #: After that a bookmark says that this was all.
    marked: bool
    bookmarks: bool
    timeout_seconds: int | None


def start(query: Mapping[str, str]) -> Start:
    """Where the watch begins. Raises ApiError (400, 422)."""
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    bookmarks = flag(query, "allowWatchBookmarks")
    timeout = number(query, "timeoutSeconds")
    revision = number(query, "resourceVersion")
    if "sendInitialEvents" in query:
        if match != "NotOlderThan":
            message = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: {message}')
        initial = flag(query, "sendInitialEvents")
        return Start(revision or None, initial, initial, bookmarks, timeout)
    if match:
        message = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        raise ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: {message}')
    return Start(revision or None, version in ("", "0"), False, bookmarks, timeout)


def in_namespace(path: ResourcePath) -> bool:
    """Whether there can be anything at all in the namespace asked for."""
    return path.namespace in (None, NAMESPACE)
