"""Refusals of the API, each with the Status object that Kubernetes clients understand.

https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md, "Response
Status Kind": `reason` is for programs, `message` for people, `details.causes` names the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hactl.errors import HactlError


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason: `field` is a path as `hactl validate` writes it; `reason` e.g. FieldValueInvalid."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"


@dataclass(frozen=True, slots=True)
class Details:
    """More about a refusal. `kind` is the plural resource name, or the Kind for Invalid, as Kubernetes does."""

    group: str = ""
    kind: str = ""
    name: str = ""
    causes: tuple[Cause, ...] = ()
    retry_after_seconds: int | None = None

    def wire(self) -> dict[str, Any]:
        """StatusDetails (meta/v1), without what is empty."""
        causes = [
            {"reason": cause.reason, "message": cause.message, **({"field": cause.field} if cause.field else {})}
            for cause in self.causes
        ]
        known = {
            "name": self.name,
            "group": self.group,
            "kind": self.kind,
            "retryAfterSeconds": self.retry_after_seconds,
            "causes": causes,
        }
        return {key: value for key, value in known.items() if value not in ("", None, [])}


class ApiError(HactlError):
    """A request that is refused, with the HTTP status and the Status object that says so."""

    def __init__(self, code: int, reason: str, message: str, details: Details | None = None) -> None:
        """`code` is the HTTP status, `reason` one word for programs."""
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details or Details()
        #: 405: the methods there are (the header Allow, RFC 9110, 15.5.6).
        self.allow: tuple[str, ...] = ()

    def status(self) -> dict[str, Any]:
        """The Status object (meta/v1)."""
        details = self.details.wire()
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            **({"details": details} if details else {}),
            "code": self.code,
        }


def success(details: Mapping[str, Any]) -> dict[str, Any]:
    """The Status object of a request that worked and has no object to return (a deletion)."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": dict(details)}


def _of(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> ApiError:
    """404 for an object."""
    message = f'{_of(group, plural)} "{name}" not found'
    return ApiError(404, "NotFound", message, Details(group, plural, name))


def no_such_path() -> ApiError:
    """404 for a path that is no resource."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """409 for a create."""
    message = f'{_of(group, plural)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, Details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str = "") -> ApiError:
    """409 for an update of what changed meanwhile."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {_of(group, plural)} "{name}": {why}'
    return ApiError(409, "Conflict", message, Details(group, plural, name))


def apply_conflict(group: str, plural: str, name: str, causes: Iterable[Cause]) -> ApiError:
    """409 of server-side apply: fields that other managers own; each cause has reason FieldManagerConflict."""
    causes = tuple(causes)
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}"
    else:
        lines: list[str] = []
        for owner in sorted({cause.message for cause in causes}):
            lines.append(f"{owner.replace('conflict', 'conflicts', 1)}:")
            lines += [f"- {cause.field}" for cause in causes if cause.message == owner]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, Details(group, plural, name, causes))


def invalid(group: str, kind: str, name: str, causes: Iterable[Cause]) -> ApiError:
    """422: every fault of an object at once."""
    causes = tuple(causes)
    faults = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes]
    text = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
    message = f'{_of(group, kind)} "{name}" is invalid: {text}'
    return ApiError(422, "Invalid", message, Details(group, kind, name, causes))


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> ApiError:
    """401: nobody knows who asks."""
    return ApiError(401, "Unauthorized", message)


def forbidden(group: str, plural: str, name: str, message: str) -> ApiError:
    """403: who asks may not."""
    why = f'{_of(group, plural)} "{name}" is forbidden: {message}' if plural else f"forbidden: {message}"
    return ApiError(403, "Forbidden", why, Details(group, plural, name))


def gone(message: str) -> ApiError:
    """410: the version asked for is no longer kept; list again."""
    return ApiError(410, "Expired", message)


def unsupported_media_type(found: str, supported: Iterable[str]) -> ApiError:
    """415."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
    return ApiError(415, "UnsupportedMediaType", f"{message} (found {found})" if found else message)


def method_not_allowed(*methods: str) -> ApiError:
    """405, with the methods that there are."""
    refusal = ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    refusal.allow = methods
    return refusal


def too_many(message: str, seconds: int) -> ApiError:
    """429."""
    return ApiError(429, "TooManyRequests", message, Details(retry_after_seconds=seconds))


def too_large(limit_bytes: int) -> ApiError:
    """413."""
    return ApiError(413, "RequestEntityTooLarge", f"the request is larger than {limit_bytes} bytes")


def unavailable(message: str) -> ApiError:
    """503: for instance the record cannot be written."""
    return ApiError(503, "ServiceUnavailable", message, Details(retry_after_seconds=1))
