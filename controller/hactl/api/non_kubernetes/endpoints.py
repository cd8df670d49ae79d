"""What the API serves that is not Kubernetes': health, metrics, who is active, tokens, nudges, the stream of changes.

Which paths these are, and who may ask: `hactl.api.request.paths.non_kubernetes` and `hactl.core.kube.access`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from hactl.api.identity import ROLES, Authenticator, new_token, token_digest
from hactl.api.non_kubernetes import health
from hactl.api.non_kubernetes.metrics import CONTENT_TYPE_LATEST, Metrics
from hactl.api.request.payload import read_json, to_number
from hactl.api.request.wire import Request, Response
from hactl.api.workers import Lane
from hactl.core.kube.codec import moment_of
from hactl.core.kube.errors import (
    Cause,
    already_exists,
    bad_request,
    invalid,
    method_not_allowed,
    no_such_path,
    not_found,
)
from hactl.core.status.freshness import FRESH_SECONDS
from hactl.errors import AlreadyExists, StoreError
from hactl.ports import Clock, ObjectLog, Tokens

_TOKEN_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")

Statuses = Callable[[], Mapping[str, Mapping[str, Any]]]


class Record(ObjectLog, Tokens, Protocol):
    """What of the record these paths need."""


@dataclass(slots=True)
class Endpoints:
    """Everything but the resources."""

    record: Record
    clock: Clock
    #: The newest status of every cluster, as the controller saw it last (`hactl.core.status.cluster`).
    statuses: Statuses
    metrics: Metrics
    authenticator: Authenticator
    #: Sources are read again at once: all, or the one of that label.
    nudge: Callable[[str | None], None]
    #: Changes of stored objects after a revision, for ever.
    changes: Callable[[int | None], AsyncIterator[Mapping[str, Any]]]
    #: What takes long is done there.
    lane: Lane
    #: Why the controller cannot do its work now, one line each.
    troubles: Callable[[], Sequence[str]] = list
    #: A status that is older says nothing about now, seconds.
    limit: float = FRESH_SECONDS

    async def handle(self, request: Request) -> Response:
        """The answer. Raises ApiError."""
        match request.path.strip("/").split("/"):
            case ["healthz" | "livez"]:
                return health.plain(200, "ok")
            case ["readyz"]:
                return await self._ready()
            case ["metrics"]:
                text = await self.lane.run(request.identity.actor, self.metrics.writer())
                return Response(raw=text, content_type=CONTENT_TYPE_LATEST)
            case ["clusters", name, "active"]:
                group = request.query.get("group", "")
                status = self.statuses().get(name)
                return health.active(status, self.clock.now(), group=group, limit=self.limit)
            case ["clusters", name, "nodes", node, "role"]:
                group = request.query.get("group", "")
                status = self.statuses().get(name)
                return health.role(status, node, self.clock.now(), group=group, limit=self.limit)
            case ["tokens", *rest]:
                return await self._tokens(request, rest)
            case ["nudge"]:
                return self._nudge(request)
            case ["stream"]:
                return self._stream(request)
        raise no_such_path()

    async def _ready(self) -> Response:
        try:
            await self.record.revision()
        except StoreError as error:
            return health.plain(503, f"not ready: {error}")
        if troubles := self.troubles():
            return health.plain(503, "\n".join(f"not ready: {each}" for each in troubles))
        return health.plain(200, "ok")

    def _nudge(self, request: Request) -> Response:
        """`POST /nudge[?source=LABEL]`: what a webhook of a Git server calls."""
        if request.method != "POST":
            raise method_not_allowed("POST")
        self.nudge(request.query.get("source") or None)
        return health.plain(202, "the sources are read again")

    def _stream(self, request: Request) -> Response:
        """`GET /stream`: server-sent events, one for each change; Last-Event-ID goes on after that revision."""
        if request.method != "GET":
            raise method_not_allowed("GET")
        after = request.headers.get("last-event-id") or request.query.get("after")
        stream = self.changes(None if after is None else to_number(after, "Last-Event-ID"))
        return Response(content_type="text/event-stream", stream=stream)

    # -- tokens -------------------------------------------------------------------------------------------------------

    async def _tokens(self, request: Request, rest: list[str]) -> Response:
        match request.method, rest:
            case "GET", []:
                rows = await self.record.tokens()
                return Response(body={"items": [_shown(row) for row in rows]})
            case "POST", []:
                return await self._make_token(request)
            case "DELETE", [name]:
                if not await self.record.revoke_token(name, actor=request.identity.actor):
                    raise not_found("", "tokens", name)
                self.authenticator.forget()
                return Response(body={"name": name, "revoked": True})
            case _, []:
                raise method_not_allowed("GET", "POST")
            case _, [_]:
                raise method_not_allowed("DELETE")
        raise no_such_path()

    async def _make_token(self, request: Request) -> Response:
        """The token itself is in this answer and nowhere else, ever."""
        now = self.clock.now()
        name, role, expires_at = await self.lane.run(request.identity.actor, lambda: _wanted(request.body, now))
        token = new_token()
        try:
            await self.record.create_token(
                name, digest=token_digest(token), role=role, actor=request.identity.actor, expires_at=expires_at
            )
        except AlreadyExists as error:
            raise already_exists("", "tokens", name) from error
        self.authenticator.forget()
        until = None if expires_at is None else expires_at.isoformat()
        return Response(201, body={"name": name, "role": role, "expiresAt": until, "token": token})


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A token without anything of it."""
    return {
        "name": row["name"],
        "role": row["role"],
        "createdAt": row["created_at"],
        "createdBy": row["created_by"],
        "expiresAt": row["expires_at"],
        # Written down every ten minutes (`hactl.api.serving`).
        "lastUsedAt": row["last_used_at"],
    }


def _wanted(body: bytes, now: datetime) -> tuple[str, str, datetime | None]:
    """Name, role and end of a token to be made. Raises ApiError with every fault."""
    data = read_json(body)
    if not isinstance(data, dict):
        raise bad_request("the body is a mapping: {name, role, expiresAt}")
    name, role, until = (data.get(key) for key in ("name", "role", "expiresAt"))
    causes = [Cause(key[:100], "unknown field") for key in data if key not in ("name", "role", "expiresAt")]
    if not isinstance(name, str) or len(name) > 63 or not _TOKEN_NAME.fullmatch(name):
        causes.append(Cause("name", "lower-case letters, digits, - and ., at most 63"))
    if role not in ROLES:
        causes.append(Cause("role", f"one of {', '.join(ROLES)}"))
    expires_at = None
    if until is not None:
        expires_at = moment_of(until)
        if expires_at is None or expires_at <= now:
            causes.append(Cause("expiresAt", "a time to come, as 2026-11-24T03:00:00Z"))
    if causes:
        raise invalid("", "Token", name if isinstance(name, str) else "", causes)
    return str(name), str(role), expires_at
