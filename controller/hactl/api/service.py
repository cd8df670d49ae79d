"""The whole API without HTTP: a request as a value in, an answer as a value out.

Rules: what may not be done is refused before anything of it is read; whatever goes wrong is answered with a Status
and never with a traceback; every write and every refusal of one is in the history.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from hactl.api.audit import Audit
from hactl.api.request.paths import Target, beside, target
from hactl.api.request.payload import flag
from hactl.api.request.selection import in_namespace, look, selection
from hactl.api.request.wire import Request, Response
from hactl.api.verbs.discovery import described, is_description, version
from hactl.api.verbs.operations import OperationMaker, cluster_of
from hactl.api.verbs.reads import Reader
from hactl.api.verbs.removes import Remover
from hactl.api.verbs.reviews import review
from hactl.api.verbs.watch import ordered
from hactl.api.verbs.writes import Writer, Written
from hactl.core.document.problems import printable
from hactl.core.kube.access import allowed, refusal
from hactl.core.kube.errors import (
    ApiError,
    forbidden,
    method_not_allowed,
    no_such_path,
    not_found,
    unauthorized,
    unavailable,
)
from hactl.core.kube.kinds import ACCESS_REVIEWS, HAOPERATIONS, Resource
from hactl.errors import StoreError
from hactl.ports import Clock, History, Objects

log = logging.getLogger("hactl.api")

#: Answers paths beside Kubernetes'; None: not one of its own. Who may is asked before.
Beside: TypeAlias = Callable[[Request], Awaitable[Response | None]]

_READS = frozenset({"get", "list", "watch"})


class Service:
    """Answers requests."""

    def __init__(
        self,
        objects: Objects,
        history: History,
        *,
        clock: Clock,
        secrets_directory: str,
        beside: Beside | None = None,
    ) -> None:
        """`secrets_directory`: where references of documents start. `beside` answers the paths beside Kubernetes'."""
        self.reader = Reader(objects, clock)
        self.audit = Audit(history)
        self._writer = Writer(objects, clock, secrets_directory=secrets_directory)
        self._remover = Remover(objects, clock, self._writer)
        self._operations = OperationMaker(objects, clock)
        #: Set once whoever answers those paths exists: it needs this service for its stream.
        self.beside = beside

    async def close(self) -> None:
        """End every watch."""
        await self.reader.close()

    async def handle(self, request: Request) -> Response:
        """The answer. Never raises but for a broken promise of ours."""
        try:
            return await self._route(request)
        except ApiError as refused:
            return answer(refused)
        except StoreError as broken:
            log.error("the record failed a request", extra={"path": request.path[:200], "error": str(broken)})
            return answer(unavailable("the record cannot be read or written"))
        except Exception:  # noqa: BLE001 - whatever it is, the client gets a number and the log the rest
            return unexpected(request)

    async def _route(self, request: Request) -> Response:
        found = target(request.path)
        if found is not None:
            return await self._resource(found, request)
        if request.path.strip("/") == "version":
            _only(request, "GET")
            return Response(body=version())
        if (asked := beside(request.path, request.method)) is not None and self.beside is not None:
            return await self._besides(*asked, request)
        if is_description(request.path):
            self._must(request, "get", "discovery", "")
            _only(request, "GET")
            return described(request)
        if request.identity.role is None and request.identity.actor == "anonymous":
            raise unauthorized()
        raise no_such_path()

    # -- who may ----------------------------------------------------------------------------------------------------

    def _must(
        self, request: Request, verb: str, resource: str, subresource: str, name: str = "", group: str = ""
    ) -> None:
        """Raises ApiError: 401 for nobody known, 403 for somebody who may not."""
        identity = request.identity
        if allowed(identity.role, verb, resource, subresource):
            return
        if identity.role is None and identity.actor == "anonymous":
            raise unauthorized()
        told = refusal(identity.actor, identity.role, verb, resource, subresource)
        raise forbidden(group, resource, name, told)

    async def _besides(self, verb: str, resource: str, subresource: str, request: Request) -> Response:
        """A path that is no resource of Kubernetes. Raises ApiError."""
        assert self.beside is not None
        try:
            self._must(request, verb, resource, subresource)
            response = await self.beside(request)
        except ApiError as refused:
            if verb not in _READS or refused.code in (401, 403):
                await self.audit.refused(request.identity, verb, resource, "", refused)
            raise
        if response is None:
            raise no_such_path()
        return response

    # -- resources --------------------------------------------------------------------------------------------------

    async def _resource(self, found: Target, request: Request) -> Response:
        resource = found.resource
        verb = _verb(found, request)
        writes = verb not in _READS and resource != ACCESS_REVIEWS
        try:
            if not found.subresource and verb not in resource.verbs and request.identity.role is not None:
                # Nobody may, so it is not about who asks.
                raise method_not_allowed()
            if found.subresource and verb != "get" and request.identity.role is not None:
                raise _status_is_ours()
            self._must(request, verb, resource.plural, found.subresource, found.name, resource.group)
            if not writes:
                return await self._read(found, verb, request)
            return await self._write(found, verb, request)
        except ApiError as refused:
            if writes or refused.code in (401, 403):
                what = f"{resource.plural}/{found.subresource}" if found.subresource else resource.plural
                await self.audit.refused(request.identity, verb, what, found.name or refused.details.name, refused)
            raise

    async def _read(self, found: Target, verb: str, request: Request) -> Response:
        if found.resource == ACCESS_REVIEWS:
            return review(request)
        if verb == "get":
            return await self.reader.get(found, request)
        return await (self.reader.watch if verb == "watch" else self.reader.listed)(found, request)

    async def _write(self, found: Target, verb: str, request: Request) -> Response:
        resource = found.resource
        if resource.namespaced and found.namespace is None:
            raise method_not_allowed()
        if not in_namespace(found):
            if verb in ("create", "patch"):
                raise not_found("", "namespaces", found.namespace or "")
            raise not_found(resource.group, resource.plural, found.name)
        if verb == "deletecollection":
            return await self._delete_collection(found, request)
        done = await self._done(found, verb, request)
        if done.changed:
            name = found.name or done.body["metadata"]["name"]
            cluster = cluster_of(done.about) if resource == HAOPERATIONS else ""
            await self.audit.accepted(request.identity, verb, resource.plural, name, cluster)
        headers = {"Warning": ", ".join(_warning(text) for text in done.warnings)} if done.warnings else {}
        response = await self._shown(resource, done, request)
        return Response(done.code, response, headers=headers)

    async def _done(self, found: Target, verb: str, request: Request) -> Written:
        if verb == "delete":
            return await self._remover.delete(found, request)
        if verb == "create":
            maker = self._operations if found.resource == HAOPERATIONS else self._writer
            return await maker.create(found, request)
        return await (self._writer.update if verb == "update" else self._writer.patch)(found, request)

    async def _shown(self, resource: Resource, done: Written, request: Request) -> object:
        """The object in the form that was asked for; a Status as it is."""
        if done.body.get("kind") == "Status":
            return done.body
        return self.reader.shown(resource, done.body, look(request))

    async def _delete_collection(self, found: Target, request: Request) -> Response:
        chosen_by = selection(found, request.query)
        feed = await self.reader.feed(found.resource)
        chosen = list(ordered(feed.state(found.resource.plural), chosen_by))
        deleted, changed = await self._remover.delete_each(found, request, chosen)
        for name in changed:
            await self.audit.accepted(request.identity, "delete", found.resource.plural, name)
        body = {
            "apiVersion": found.resource.api_version,
            "kind": f"{found.resource.kind}List",
            "metadata": {"resourceVersion": str(feed.revision)},
            "items": deleted,
        }
        return Response(body=body)


def _verb(found: Target, request: Request) -> str:
    """The verb of Kubernetes. Raises ApiError (405)."""
    method = request.method
    if found.name:
        verbs = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    else:
        verbs = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
        if method == "GET" and flag(request.query, "watch"):
            return "watch"
    if method not in verbs:
        raise method_not_allowed()
    return verbs[method]


def _status_is_ours() -> ApiError:
    told = "the status is written by hactl itself, from what it sees on the nodes"
    return ApiError(405, "MethodNotAllowed", told)


def _only(request: Request, method: str) -> None:
    if request.method != method:
        raise method_not_allowed()


def _warning(text: str) -> str:
    """RFC 7234 5.5, as Kubernetes writes it; nothing that a header cannot hold."""
    safe = printable(text).encode("ascii", "backslashreplace").decode()
    quoted = safe.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'


def answer(refused: ApiError) -> Response:
    """A refusal as an answer."""
    headers = {}
    if refused.details.retry_after_seconds is not None:
        headers["Retry-After"] = str(refused.details.retry_after_seconds)
    if refused.code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(refused.code, refused.status(), headers=headers)


def unexpected(request: Request) -> Response:
    """500: what happened is in the log, under a number that is in the answer. To be called while handling it."""
    number = secrets.token_hex(4)
    log.exception(
        "a request failed unexpectedly", extra={"id": number, "method": request.method, "path": request.path[:200]}
    )
    told = f"an unexpected error (see {number} in the log of the server)"
    return answer(ApiError(500, "InternalError", f"Internal error occurred: {told}"))
