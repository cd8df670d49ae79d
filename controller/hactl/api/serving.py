"""The API of a running controller, put together: service, non-Kubernetes paths, who asks, and where it listens."""

from __future__ import annotations

import asyncio
import getpass
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hactl.api.http import tls
from hactl.api.http.server import Authenticate, Listener, Server
from hactl.api.identity import Authenticator, of_owner
from hactl.api.non_kubernetes.endpoints import Endpoints
from hactl.api.non_kubernetes.metrics import Metrics
from hactl.api.non_kubernetes.stream import changes
from hactl.api.request.wire import Identity, Role
from hactl.api.service import Service
from hactl.core.kube.errors import ApiError, not_found
from hactl.errors import HactlError
from hactl.ports import Clock, History, Objects, Tokens

log = logging.getLogger("hactl.api")


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
    def depth(self) -> int:
        """How many clusters wait to be looked at."""
        ...

    def nudge(self, label: str | None = None) -> None:
        """Read one source soon, or every one."""
        ...


class Record(History, Objects, Tokens, Protocol):
    """What of the record the API needs."""


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
    #: Plain TCP on loopback addresses, where everybody has this role; None: TLS.
    insecure: Role | None = None


@asynccontextmanager
async def serving(
    record: Record, live: Live, wanted: Wanted, *, clock: Clock, secrets_directory: str
) -> AsyncIterator[Metrics]:
    """The API, as long as the context lasts; gives the metrics, to be told of passes. Raises HactlError."""
    metrics = Metrics(lambda: live.statuses, lambda: live.depth, clock.now)
    authenticator = Authenticator(record, clock)
    service = Service(record, record, clock=clock, secrets_directory=secrets_directory)
    endpoints = Endpoints(
        record,
        clock,
        lambda: live.statuses,
        metrics,
        authenticator,
        lambda label: _nudge(live, label),
        lambda after: changes(service.reader, after),
    )
    service.non_kubernetes = endpoints.handle
    server = Server(service, answered=metrics.requested)
    try:
        for listener in await _listeners(wanted, service, authenticator, clock):
            await _start(server, listener, needed=listener.socket is None or wanted.socket_needed)
        service.reader.events.on_row = metrics.took_in
        await service.reader.everything()
        metrics.watches.set_function(lambda: service.reader.watchers)
        yield metrics
    finally:
        await server.stop()


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
    certificates = await asyncio.to_thread(_certificates, wanted, clock)
    context = await asyncio.to_thread(tls.server_context, certificates, wanted.client_authority)
    stranger = _stranger(service, authenticator)
    return found + [Listener(stranger, host=host, port=port, tls=context) for host, port in wanted.listen]


def _certificates(wanted: Wanted, clock: Clock) -> tls.Certificates:
    if wanted.certificate is not None and wanted.key is not None:
        return tls.given(wanted.certificate, wanted.key)
    hosts = [name for host, _ in wanted.listen for name in tls.default_hosts(host)]
    made = tls.ensured(wanted.tls_directory, hosts, clock.now())
    if made.authority is not None:
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
