"""The whole API without HTTP: a request as a value in, an answer as a value out.

Rules: what may not be done is refused before anything of it is read (`refusal`, before a server takes the body in);
whatever goes wrong is answered with a Status
and never with a traceback; every write and every refusal of one is in the history.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

from hactl.adapters.yaml.write import written
from hactl.api.audit import Act, Audit
from hactl.api.request.negotiate import is_yaml, not_acceptable
from hactl.api.request.paths import ResourcePath, non_kubernetes, non_kubernetes_methods, resource_path
from hactl.api.request.payload import JSON, YAML, flag
from hactl.api.request.selection import in_namespace, presentation, selection
from hactl.api.request.wire import Request, Response
from hactl.api.verbs.deletes import Deleter
from hactl.api.verbs.discovery import described, is_description, version
from hactl.api.verbs.operations import cluster_of
from hactl.api.verbs.reads import Reader
from hactl.api.verbs.reviews import review
from hactl.api.verbs.watch import ordered
from hactl.api.verbs.writes import Writer
from hactl.api.verbs.written import Written
from hactl.api.workers import Lane, is_long
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
from hactl.core.kube.kinds import HAOPERATIONS, REVIEWS, Resource
from hactl.errors import StoreError
from hactl.ports import Clock, History, Objects

log = logging.getLogger("hactl.api")

#: Answers the paths that are not Kubernetes'. Who may is asked before. Raises ApiError.
NonKubernetes: TypeAlias = Callable[[Request], Awaitable[Response]]

_READS = frozenset({"get", "list", "watch"})
#: What the headers begin with in which a client says that it acts for somebody else; in lower case.
_IMPERSONATION = "impersonate-"


class Service:
    """Answers requests."""

    def __init__(
        self,
        objects: Objects,
        history: History,
        *,
        clock: Clock,
        secrets_directory: str,
        non_kubernetes: NonKubernetes | None = None,
    ) -> None:
        """`secrets_directory`: where references of documents start. None: no other paths are served."""
        self._writes = Lane("writes")
        #: Also for what answers other paths, and for writing out long answers.
        self.reads = Lane("reads")
        self.reader = Reader(objects, clock, self.reads)
        self.audit = Audit(history, clock)
        self._writer = Writer(objects, clock, self._writes, secrets_directory=secrets_directory)
        self._deleter = Deleter(objects, clock, self._writer, self._writes)
        #: Set once whoever answers those paths exists: it needs this service for its stream.
        self.non_kubernetes = non_kubernetes

    async def close(self) -> None:
        """End every watch."""
        await self.reader.close()
        self.reads.close()
        self._writes.close()

    async def handle(self, request: Request) -> Response:
        """The answer. Never raises but for a broken promise of ours."""
        return await self.refusal(request) or await self.answered(request)

    async def refusal(self, request: Request) -> Response | None:
        """The answer to a request that nobody may make, whatever its body says; None: it may be made."""
        return await self._guarded(self._check(request), request)

    async def answered(self, request: Request) -> Response:
        """The answer to a request that `refusal` has nothing against."""
        response = await self._guarded(self._route(request), request)
        assert response is not None
        return response

    async def _guarded(self, work: Awaitable[Response | None], request: Request) -> Response | None:
        try:
            return await work
        except ApiError as refused:
            return answer(refused)
        except StoreError as broken:
            log.error("the record failed a request", extra={"path": request.path[:200], "error": str(broken)})
            return answer(unavailable("the record cannot be read or written"))
        except Exception:  # noqa: BLE001 - whatever it is, the client gets a number and the log the rest
            return unexpected(request)

    async def _check(self, request: Request) -> None:
        """Whether it may be asked, from everything but the body. Raises ApiError."""
        found = resource_path(request.path)
        ours = non_kubernetes(request.path, request.method)
        if any(name.startswith(_IMPERSONATION) for name in request.headers):
            await self._refuse_impersonation(request)
        if found is not None:
            verb = _verb(found, request)
            async with self._noted(_act(found, verb, request), writes=_writes(found, verb)):
                self._check_resource(found, verb, request)
        elif request.path.strip("/") == "version":
            _only(request, "GET")
        elif ours is not None and self.non_kubernetes is not None:
            verb, resource, subresource = ours
            async with self._noted(Act(request.identity, verb, resource), writes=verb not in _READS):
                methods = non_kubernetes_methods(request.path)
                if request.method not in methods and not (request.identity.is_anonymous and resource != "health"):
                    # Nobody may, so it is not about who asks; but strangers are not told what there is.
                    raise method_not_allowed(*methods)
                self._must(request, verb, resource, subresource)
        elif is_description(request.path):
            self._must(request, "get", "discovery", "")
            _only(request, "GET")
        elif request.identity.is_anonymous:
            raise unauthorized()
        else:
            raise no_such_path()

    async def _route(self, request: Request) -> Response:
        """What `_check` has nothing against."""
        found = resource_path(request.path)
        if found is not None:
            return await self._resource(found, request)
        if request.path.strip("/") == "version":
            return Response(body=version())
        ours = non_kubernetes(request.path, request.method)
        if ours is not None and self.non_kubernetes is not None:
            async with self._noted(Act(request.identity, *ours[:2]), writes=ours[0] not in _READS):
                return await self.non_kubernetes(request)
        return await self.reads.run(request.identity.actor, lambda: described(request))

    # -- who may ----------------------------------------------------------------------------------------------------

    def _must(
        self, request: Request, verb: str, resource: str, subresource: str, name: str = "", group: str = ""
    ) -> None:
        """Raises ApiError: 401 for nobody known, 403 for somebody who may not."""
        identity = request.identity
        if allowed(identity.role, verb, resource, subresource):
            return
        if identity.is_anonymous:
            raise unauthorized()
        message = refusal(identity.actor, identity.role, verb, resource, subresource)
        raise forbidden(group, resource, name, message)

    async def _refuse_impersonation(self, request: Request) -> None:
        """Nobody may act as somebody else here: who says so must not be taken for himself. Raises ApiError."""
        if request.identity.is_anonymous:
            raise unauthorized()
        whom = request.headers.get(f"{_IMPERSONATION}user", "")
        message = f'{request.identity.actor} cannot impersonate resource "users"; nobody can'
        async with self._noted(Act(request.identity, "impersonate", "users", whom), writes=True):
            raise forbidden("", "users", whom, message)

    @asynccontextmanager
    async def _noted(self, act: Act, *, writes: bool) -> AsyncIterator[None]:
        """Refusals of writes, and of reads that who asks may not make, are in the history."""
        try:
            yield
        except ApiError as refused:
            if writes or refused.code in (401, 403):
                await self.audit.refused(act if act.name else act._replace(name=refused.details.name), refused)
            raise

    # -- resources --------------------------------------------------------------------------------------------------

    def _check_resource(self, path: ResourcePath, verb: str, request: Request) -> None:
        """Raises ApiError: 401, 403, 405."""
        resource = path.resource
        if not path.subresource and verb not in resource.verbs and request.identity.role is not None:
            # Nobody may, so it is not about who asks.
            raise method_not_allowed(*_methods(path))
        if path.subresource and verb != "get" and request.identity.role is not None:
            raise _status_is_ours()
        self._must(request, verb, resource.plural, path.subresource, path.name, resource.group)

    async def _resource(self, path: ResourcePath, request: Request) -> Response:
        verb = _verb(path, request)
        writes = _writes(path, verb)
        async with self._noted(_act(path, verb, request), writes=writes):
            as_yaml = is_yaml(request.headers.get("accept", ""))
            if as_yaml and verb == "watch":
                # A stream of values is lines of JSON; in YAML nobody could tell where one ends.
                raise not_acceptable(JSON)
            response = await (self._write if writes else self._read)(path, verb, request)
            return await self._in_yaml(response, request) if as_yaml else response

    async def _in_yaml(self, response: Response, request: Request) -> Response:
        """The answer as YAML. A long list is written as JSON, which is YAML too: a writer of YAML takes seconds."""
        if not is_long(response.body):
            text = await self.reads.run(request.identity.actor, lambda: written(response.body, {}).encode())
            response = replace(response, raw=text)
        return replace(response, content_type=YAML)

    async def _read(self, path: ResourcePath, verb: str, request: Request) -> Response:
        if path.resource in REVIEWS:
            return await self.reads.run(request.identity.actor, lambda: review(request, path.resource))
        if verb == "get":
            return await self.reader.get(path, request)
        return await (self.reader.watch if verb == "watch" else self.reader.listed)(path, request)

    async def _write(self, path: ResourcePath, verb: str, request: Request) -> Response:
        resource = path.resource
        if resource.namespaced and path.namespace is None:
            raise method_not_allowed("GET")
        if not in_namespace(path):
            if verb in ("create", "patch"):
                raise not_found("", "namespaces", path.namespace or "")
            raise not_found(resource.group, resource.plural, path.name)
        if verb == "deletecollection":
            return await self._delete_collection(path, request)
        done = await self._done(path, verb, request)
        if done.changed:
            name = path.name or done.body["metadata"]["name"]
            cluster = cluster_of(done.about) if resource == HAOPERATIONS else ""
            await self.audit.accepted(Act(request.identity, verb, resource.plural, name, cluster))
        headers = {"Warning": ", ".join(_warning(text) for text in done.warnings)} if done.warnings else {}
        response = await self._shown(resource, done, request)
        return Response(done.code, response, headers=headers)

    async def _done(self, path: ResourcePath, verb: str, request: Request) -> Written:
        if verb == "delete":
            return await self._deleter.delete(path, request)
        if verb == "create":
            return await self._writer.create(path, request)
        return await (self._writer.update if verb == "update" else self._writer.patch)(path, request)

    async def _shown(self, resource: Resource, done: Written, request: Request) -> object:
        """The object in the form that was asked for; a Status as it is."""
        if done.body.get("kind") == "Status":
            return done.body
        return self.reader.shown(resource, done.body, presentation(request))

    async def _delete_collection(self, path: ResourcePath, request: Request) -> Response:
        chosen_by = selection(path, request.query)
        feed = await self.reader.feed(path.resource)
        chosen = list(ordered(feed.state(path.resource.plural), chosen_by))
        deleted, changed = await self._deleter.delete_each(path, request, chosen)
        for name in changed:
            await self.audit.accepted(Act(request.identity, "delete", path.resource.plural, name))
        body = {
            "apiVersion": path.resource.api_version,
            "kind": f"{path.resource.kind}List",
            "metadata": {"resourceVersion": str(feed.revision)},
            "items": deleted,
        }
        return Response(body=body)


def _writes(path: ResourcePath, verb: str) -> bool:
    return verb not in _READS and path.resource not in REVIEWS


def _act(path: ResourcePath, verb: str, request: Request) -> Act:
    """What is asked for, for the history."""
    what = f"{path.resource.plural}/{path.subresource}" if path.subresource else path.resource.plural
    return Act(request.identity, verb, what, path.name)


def _verb(path: ResourcePath, request: Request) -> str:
    """The verb of Kubernetes. Raises ApiError (405)."""
    method = request.method
    if path.name:
        verbs = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    else:
        verbs = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
        if method == "GET" and flag(request.query, "watch"):
            return "watch"
    if method not in verbs:
        raise method_not_allowed(*_methods(path))
    return verbs[method]


def _methods(path: ResourcePath) -> tuple[str, ...]:
    """The methods of HTTP that there are for a path."""
    if path.subresource:
        return ("GET",)
    ways = {"get": "GET", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
    if not path.name:
        ways = {"list": "GET", "create": "POST", "deletecollection": "DELETE"}
    return tuple(method for verb, method in ways.items() if verb in path.resource.verbs)


def _status_is_ours() -> ApiError:
    message = "the status is written by hactl itself, from what it sees on the nodes"
    refusal = ApiError(405, "MethodNotAllowed", message)
    refusal.allow = ("GET",)
    return refusal


def _only(request: Request, method: str) -> None:
    if request.method != method:
        raise method_not_allowed(method)


def _warning(text: str) -> str:
    """RFC 7234 5.5, as Kubernetes writes it; nothing that a header cannot hold."""
    safe = printable(text).encode("ascii", "backslashreplace").decode()
    quoted = safe.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'


def answer(refused: ApiError) -> Response:
    """A refusal as an answer."""
    headers = {}
    if refused.allow:
        headers["Allow"] = ", ".join(refused.allow)
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
    message = f"an unexpected error (see {number} in the log of the server)"
    return answer(ApiError(500, "InternalError", f"Internal error occurred: {message}"))
