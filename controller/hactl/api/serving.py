"""The API of a running controller, put together: service, non-Kubernetes paths, who asks, and where it listens."""

from __future__ import annotations

import asyncio
import getpass
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hactl.api.audit import Audit
from hactl.api.http import tls
from hactl.api.http.connections import descriptors, most_connections, most_local
from hactl.api.http.server import Authenticate, Listener, Server
from hactl.api.identity import Authenticator, of_owner
from hactl.api.non_kubernetes.endpoints import Endpoints
from hactl.api.non_kubernetes.metrics import Metrics
from hactl.api.non_kubernetes.stream import changes
from hactl.api.request.wire import Identity, Role
from hactl.api.service import Service
from hactl.core.kube.codec import status_view
from hactl.core.kube.errors import ApiError, not_found
from hactl.core.kube.kinds import is_elsewhere, looked_after_by
from hactl.core.status.freshness import believed, is_fresh, newer
from hactl.core.why.looked import Seen
from hactl.errors import HactlError, StoreError
from hactl.ports import Clock, History, Objects, SourceHealth, Tokens, WriteHealth

log = logging.getLogger("hactl.api")

#: The delay of the loop is measured this often, seconds.
LAG_SECONDS = 0.25
#: The certificate's files are read again, and ours renewed where it is time, this often, seconds.
RENEW_SECONDS = 60.0


#: When tokens were used last is written down this often, seconds.
USES_SECONDS = 600.0


class Live(Protocol):
    """What a running controller tells (`hactl.runtime.controller.Controller`)."""

    @property
    def statuses(self) -> Mapping[str, Mapping[str, Any]]:
        """The newest status of every cluster."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """The labels of the sources."""
        ...

    @property
    def source_health(self) -> Mapping[str, SourceHealth]:
        """How each source is."""
        ...

    @property
    def fresh_seconds(self) -> float:
        """A status that is older says nothing about now."""
        ...

    @property
    def depth(self) -> int:
        """How many clusters wait to be looked at."""
        ...

    def seen(self, cluster: str) -> Seen | None:
        """The last look at a cluster; None: nobody has looked."""
        ...

    def nudge(self, label: str | None = None) -> None:
        """Read one source soon, or every one."""
        ...


class Record(History, Objects, Tokens, Protocol):
    """What of the record the API needs."""

    @property
    def writes(self) -> WriteHealth:
        """Whether it can be written."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where the API is to listen, and with what."""

    #: A Unix socket; None: none.
    socket: Path | None
    #: False: a socket that cannot be made is only logged.
    socket_needed: bool = True
    #: TCP addresses and ports.
    listen: tuple[tuple[str, int], ...] = ()
    #: The server's certificate and key; both None: made by ourselves in `tls_directory`.
    certificate: Path | None = None
    key: Path | None = None
    #: Who signs client certificates; None: there are none.
    client_authority: Path | None = None
    tls_directory: Path = Path("tls")
    #: More names and addresses that clients call this server by, for the certificate that we make.
    names: tuple[str, ...] = ()
    #: Plain TCP on loopback addresses, where everybody has this role; None: TLS.
    insecure: Role | None = None


class Serving:
    """The API while it runs."""

    def __init__(self, metrics: Metrics, audit: Audit, authenticator: Authenticator) -> None:
        """`metrics` are to be told of passes."""
        self.metrics = metrics
        #: None: nobody is served over TLS.
        self.tls: tls.ServerTLS | None = None
        self._audit = audit
        self._authenticator = authenticator
        self._reload = asyncio.Event()
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    def start(self) -> None:
        """Begin to measure the loop, and to keep certificates and counts."""
        loop = asyncio.get_running_loop()
        tasks = (self._measure(), self._renew(), self._keep_uses())
        self._tasks = tuple(loop.create_task(each) for each in tasks)

    def reload(self) -> None:
        """Read the certificate again soon (SIGHUP). Returns at once."""
        self._reload.set()

    async def stop(self) -> None:
        """No more of that."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            await self._write_uses()
        self._audit.flush(end=True)

    async def _measure(self) -> None:
        """How late everything on this loop gets its turn: what hurts the reconciler and /healthz."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.metrics.lagged(max(0.0, loop.time() - due))
            self._audit.flush()

    async def _keep_uses(self) -> None:
        while True:
            await asyncio.sleep(USES_SECONDS)
            await self._write_uses()

    async def _write_uses(self) -> None:
        try:
            await self._authenticator.keep_uses()
        except StoreError as error:
            log.warning("when tokens were used last cannot be written down", extra={"error": str(error)})

    async def _renew(self) -> None:
        """The certificate is renewed before it ends, and read again when somebody put another one there."""
        told = ""
        while self.tls is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._reload.wait()
            self._reload.clear()
            try:
                if await asyncio.to_thread(self.tls.reload):
                    log.info("new connections get the certificate that is there now")
            except HactlError as error:
                if str(error) != told:
                    # Perhaps a key is still to come to its certificate: it is tried again.
                    log.error("the certificate cannot be read again; the old one stays", extra={"error": str(error)})
                told = str(error)
            else:
                told = ""


@asynccontextmanager
async def serving(
    record: Record, live: Live, wanted: Wanted, *, clock: Clock, secrets_directory: str, managed_by: str = ""
) -> AsyncIterator[Serving]:
    """The API, as long as the context lasts. `managed_by`: the controller's name in documents. Raises HactlError."""
    metrics = _metrics(record, live, clock)
    authenticator = Authenticator(record, clock)
    service = Service(record, record, clock=clock, secrets_directory=secrets_directory, managed_by=managed_by)
    endpoints = Endpoints(
        record,
        clock,
        lambda: live.statuses,
        metrics,
        authenticator,
        lambda label: _nudge(live, label),
        lambda after: changes(service.reader, after),
        service.reads,
        lambda: _troubles(record, live),
        live.seen,
        live.fresh_seconds,
        managed_by,
    )
    service.reader.as_of_now = lambda body: _as_of_now(body, live, clock, managed_by)
    service.non_kubernetes = endpoints.handle
    open_files = descriptors()
    server = Server(
        service,
        max_connections=most_connections(open_files, len(wanted.listen)),
        max_local=most_local(open_files),
        answered=metrics.requested,
    )
    serving = Serving(metrics, service.audit, authenticator)
    try:
        listeners = await _listeners(wanted, service, authenticator, clock)
        serving.tls = next((each.tls for each in listeners if each.tls is not None), None)
        for listener in listeners:
            await _start(server, listener, needed=listener.socket is None or wanted.socket_needed)
        service.reader.events.on_row = metrics.took_in
        await service.reader.everything()
        metrics.watches.set_function(lambda: service.reader.watchers)
        serving.start()
        yield serving
    finally:
        await serving.stop()
        await server.stop()


def _metrics(record: Record, live: Live, clock: Clock) -> Metrics:
    return Metrics(
        lambda: live.statuses,
        lambda: live.depth,
        clock.now,
        sources=lambda: live.source_health,
        writes=lambda: record.writes,
        limit=live.fresh_seconds,
    )


def _troubles(record: Record, live: Live) -> list[str]:
    """Why a controller cannot do its work."""
    found = [f"the record cannot be written: {record.writes.trouble}"] if record.writes.trouble else []
    return found + [source.trouble for source in live.source_health.values() if source.trouble]


def _as_of_now(body: Mapping[str, Any], live: Live, clock: Clock, managed_by: str) -> Mapping[str, Any]:
    """A stored cluster with what the controller saw last, which a record without change or without room lacks."""
    stored = body["status"]
    seen = live.statuses.get(body["metadata"]["name"])
    now, limit = clock.now(), live.fresh_seconds
    if seen is not None and (newer(stored, seen) is seen or not is_fresh(stored, now, limit)):
        stored = {**status_view(seen), **({"requests": stored["requests"]} if "requests" in stored else {})}
    why = "its controller does not come round to it"
    if is_elsewhere(body, managed_by):
        why = f"{looked_after_by(body)} looks after it, and has told nothing since"
    return {**body, "status": believed(stored, now, why=why, limit=limit)}


async def _start(server: Server, listener: Listener, *, needed: bool) -> None:
    try:
        await server.start(listener)
    except HactlError as error:
        if needed:
            raise
        # The clusters are kept whether or not anybody can ask.
        log.error("the API does not listen on its usual socket", extra={"why": str(error)})


def _nudge(live: Live, label: str | None) -> None:
    """Raises ApiError (404) for a source that is not there."""
    if label is not None and label not in live.sources:
        raise not_found("", "sources", label)
    live.nudge(label)


async def _listeners(wanted: Wanted, service: Service, authenticator: Authenticator, clock: Clock) -> list[Listener]:
    """Raises HactlError for certificates that cannot be used, and plain TCP elsewhere than on loopback."""
    found = []
    if wanted.socket is not None:
        found.append(Listener(of_owner(getpass.getuser()), socket=wanted.socket))
    if not wanted.listen:
        return found
    if wanted.insecure is not None:
        # Plain loopback: there is nothing to tell them apart by.
        everybody = Identity("somebody", wanted.insecure, "")
        return found + [Listener(everybody, host=host, port=port) for host, port in wanted.listen]
    context = await asyncio.to_thread(tls.ServerTLS, lambda: _certificates(wanted, clock), wanted.client_authority)
    stranger = _stranger(service, authenticator)
    return found + [Listener(stranger, host=host, port=port, tls=context) for host, port in wanted.listen]


def _certificates(wanted: Wanted, clock: Clock) -> tls.Certificates:
    if wanted.certificate is not None and wanted.key is not None:
        return tls.given(wanted.certificate, wanted.key)
    hosts = [name for host, _ in wanted.listen for name in tls.default_hosts(host)]
    made = tls.ensured(wanted.tls_directory, [*hosts, *wanted.names], clock.now())
    if made.fresh and made.authority is not None:
        log.info(
            "clients trust this authority",
            extra={"file": str(made.authority), "fingerprint": tls.fingerprint(made.authority)},
        )
    return made


def _stranger(service: Service, authenticator: Authenticator) -> Authenticate:
    """TLS: tokens and client certificates; what is wrong is in the log once a minute for each address."""

    async def known(headers: Mapping[str, str], address: str, certificate: Mapping[str, Any] | None) -> Identity:
        try:
            return await authenticator.of_request(headers, address=address, certificate=certificate)
        except ApiError as refused:
            service.audit.stranger(address, f"wrong credentials: {refused}")
            raise

    return known
