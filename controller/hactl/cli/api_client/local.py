"""The API in this process, on the record: what commands ask when no server runs.

Reads open the record so that nothing can change it; the first write opens it again for writing.
"""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from hactl.adapters.clock import SystemClock
from hactl.adapters.lock import ClusterLock, lock_directory
from hactl.adapters.record.sqlite.store import open_record
from hactl.adapters.record.store import Store
from hactl.api.request.wire import Identity, Request, Response
from hactl.api.service import NonKubernetes, Service
from hactl.api.workers import Lane
from hactl.app import actor
from hactl.cli.api_client.client import Call, StatusError, checked
from hactl.core.status.freshness import believed, is_fresh

T = TypeVar("T")


class Local:
    """The service on the record; `hactl.cli.api_client.client.Client`."""

    def __init__(self, record: Path) -> None:
        """Nothing is opened yet."""
        self.where = str(record)
        self.served = False
        self.here = True
        self.record: Path | None = record
        self._path = record
        # It turns Ctrl-C into a cancellation, so that a watch ends in order.
        self._runner = asyncio.Runner()
        self._open: dict[bool, tuple[Service, Store]] = {}

    def send(self, call: Call) -> Any:
        """See `Client`. Raises also StoreError."""
        response = self._run(self._answer(call))
        if response.raw is not None:
            return json.loads(response.raw) if "json" in response.content_type else response.raw.decode()
        return response.body

    def watch(self, call: Call, *, quiet_seconds: float | None = None) -> Iterator[Mapping[str, Any]]:
        """See `Client`."""
        response = self._run(self._answer(call))
        assert response.stream is not None
        stream = response.stream
        try:
            while (event := self._run(_next(stream, quiet_seconds))) is not None:
                yield checked(event)
        finally:
            self._run(_ended(stream))

    def close(self) -> None:
        """Close the record."""
        try:
            self._run(self._close())
        finally:
            self._runner.close()

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        try:
            return self._runner.run(doing)
        except asyncio.CancelledError:
            # Nobody else cancels what runs here; the runner says so itself unless something was cancelled besides.
            raise KeyboardInterrupt from None
        except KeyboardInterrupt:
            self._interrupted(doing)
            raise
        finally:
            # Ctrl-C may come before it was begun; one that has ended does not mind.
            doing.close()

    def _interrupted(self, doing: Coroutine[Any, Any, T]) -> None:
        """Ctrl-C at either end of a run, where nobody turns it into a cancellation."""
        loop = self._runner.get_loop()
        # At the beginning its task is made already, and would go on in the next run.
        left = [task for task in asyncio.all_tasks(loop) if task.get_coro() is doing]
        for task in left:
            task.cancel()
        # At the end the loop's order to stop is left behind, which would end the next run before its answer came.
        loop.call_soon(loop.stop)
        loop.run_forever()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    async def _answer(self, call: Call) -> Response:
        service = await self._service(writes=call.method != "GET")
        headers = {"accept": call.accept, "user-agent": "hactl"}
        if call.body is not None:
            headers["content-type"] = call.content_type
        # As on the Unix socket of a server: a person of this machine.
        identity = Identity(f"{getpass.getuser()}@local", "admin", "local")
        response = await service.handle(Request(call.method, call.path, identity, call.parameters, headers, call.data))
        if response.status >= 400:
            raise StatusError(response.status, response.body if isinstance(response.body, Mapping) else {})
        return response

    async def _service(self, *, writes: bool) -> Service:
        if writes not in self._open:
            if writes:
                store = await open_record(self._path, actor=actor())
            else:
                store = await open_record(self._path, read_only=True)
            clock = SystemClock()
            secrets = str(self._path.absolute().parent / "secrets")
            service = Service(store, store, clock=clock, secrets_directory=secrets)
            service.non_kubernetes = _non_kubernetes(store, clock, service.reads)
            service.reader.as_of_now = self._as_of_now
            self._open[writes] = service, store
        return self._open[writes][0]

    def _as_of_now(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Without a controller a cluster is as the last look left it, which is believed for a short while only."""
        now = SystemClock().now()
        if is_fresh(body["status"], now) or ClusterLock(lock_directory(self._path)).controller_holder() is not None:
            return body
        return {**body, "status": believed(body["status"], now, why="no controller runs on this record")}

    async def _close(self) -> None:
        for service, store in self._open.values():
            await service.close()
            await store.close()


async def _next(stream: AsyncIterator[Mapping[str, Any]], seconds: float | None) -> Mapping[str, Any] | None:
    """The next event; None: the stream is over, or nothing came for so long, which ends it."""
    try:
        async with asyncio.timeout(seconds):
            return await anext(stream, None)
    except TimeoutError:
        return None


async def _ended(stream: AsyncIterator[Mapping[str, Any]]) -> None:
    """Whoever watched stops before the stream does."""
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()


def _non_kubernetes(store: Store, clock: SystemClock, lane: Lane) -> NonKubernetes:
    """Tokens and the rest of what has no controller behind it here; imported when it is asked for."""

    async def answer(request: Request) -> Response:
        from hactl.api.identity import Authenticator
        from hactl.api.non_kubernetes.endpoints import Endpoints
        from hactl.api.non_kubernetes.metrics import Metrics

        def nobody_reads(label: str | None) -> None:
            """No controller runs: its sources are read when it starts."""

        async def no_changes(after: int | None) -> AsyncIterator[Mapping[str, Any]]:
            del after
            nothing: tuple[Mapping[str, Any], ...] = ()
            for each in nothing:
                yield each

        statuses = {row["cluster"]: row["status"] for row in await store.statuses() if row["managed"]}
        metrics = Metrics(lambda: statuses, lambda: 0, clock.now)
        authenticator = Authenticator(store, clock)
        endpoints = Endpoints(store, clock, lambda: statuses, metrics, authenticator, nobody_reads, no_changes, lane)
        return await endpoints.handle(request)

    return answer
