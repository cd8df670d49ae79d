"""An API that is served on plain loopback to whom a token makes known, in the process of the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from hactl.adapters.clock import SystemClock
from hactl.api.http.server import Listener, Server
from hactl.api.identity import Authenticator, token_digest
from hactl.api.limits import FAILURES, FailureLimit
from hactl.api.non_kubernetes.endpoints import Endpoints
from hactl.api.non_kubernetes.metrics import Metrics
from support.api.service import Asking, asking
from support.limits import LIMIT_SECONDS

ADMIN, VIEWER = "hactl_admin", "hactl_viewer"


@dataclass
class Site:
    """A server on plain loopback where people show tokens, as they do over TLS."""

    server: Server
    port: int
    ada: Asking
    session: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, body: bytes | None = None, *, token: str = ADMIN, kind: str = "application/json",
        **headers: str,
    ) -> tuple[int, Any]:  # fmt: skip
        """Status and body of an answer."""
        given = {"Authorization": f"Bearer {token}"} if token else {}
        given |= {"Content-Type": kind} if body is not None else {}
        url = URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)
        async with self.session.request(method, url, data=body, headers={**given, **headers}) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else text

    async def raw(self, sent: bytes, *more: bytes) -> bytes:
        """Send bytes, and read until the other side hangs up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for part in (sent, *more):
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(LIMIT_SECONDS):
            found = await reader.read(-1)
        writer.close()
        return found


@asynccontextmanager
async def a_site(tmp_path: Path, *, failures: int = FAILURES) -> AsyncIterator[Site]:
    """With an admin's and a viewer's token; so many wrong ones are 401, more of them 429."""
    async with asking() as ada:
        clock = SystemClock()
        for name in ("admin", "viewer"):
            digest = token_digest(f"hactl_{name}")
            await ada.store.create_token(name, digest=digest, role=name, actor="ada", expires_at=None)
        authenticator = Authenticator(ada.store, clock)
        authenticator.limit = FailureLimit(clock, failures=failures)
        metrics = Metrics(dict, lambda: 0, clock.now)

        async def changes(after: int | None) -> AsyncIterator[Any]:
            yield {"event": "none", "data": str(after)}

        ada.service.non_kubernetes = Endpoints(
            ada.store, clock, dict, metrics, authenticator, lambda label: None, changes, ada.service.reads
        ).handle

        async def who(headers: Any, address: str, certificate: Any) -> Any:
            return await authenticator.of_request(headers, address=address, certificate=certificate)

        server = Server(ada.service)
        port = await server.start(Listener(who, host="127.0.0.1"))
        try:
            async with aiohttp.ClientSession() as session:
                yield Site(server, port, ada, session)
        finally:
            await server.stop()
