"""One running `hactl run` that is attacked: over TLS, with tokens and client certificates, a cluster in force."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh

from support.api.kubectl_site import Server, a_server
from support.api.service import CLUSTERS, document
from support.api.tls_files import Authority
from support.limits import LIMIT_SECONDS, wait_until
from support.loopback import free_port

ROLES = ("viewer", "operator", "editor", "admin")


class OnSocket(http.client.HTTPConnection):
    """The owner of the machine, on the Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=LIMIT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """To the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LIMIT_SECONDS)
        self.sock.connect(str(self._path))


@dataclass
class Daemon:
    """The process, and what an attacker or a client has of it."""

    server: Server
    #: Role -> a token that is good, and "revoked" and "expired".
    tokens: Mapping[str, str]
    authority: Authority
    #: An authority that the process does not know.
    other: Authority

    @property
    def port(self) -> int:
        """Of TLS."""
        return self.server.port

    @property
    def log(self) -> str:
        """What it logged by now."""
        return (self.server.directory / "run.log").read_text(errors="replace")

    def as_owner(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask on the Unix socket: status and body."""
        connection = OnSocket(self.server.directory / "state" / "api.sock")
        try:
            given = None if body is None else json.dumps(body)
            connection.request(method, path, given, {"Content-Type": "application/json"} if given else {})
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if text.startswith("{") else text
        finally:
            connection.close()

    def history(self) -> list[dict[str, Any]]:
        """Every row of the record."""
        return list(json.loads(self.server.hactl("history", "-o", "json")))

    def resident_bytes(self) -> int:
        """Memory of the process; 0 where that is not told."""
        place = Path(f"/proc/{self.server.process.pid}/statm")
        return int(place.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if place.exists() else 0

    def open_files(self) -> int:
        """Descriptors of the process; 0 where that is not told."""
        place = Path(f"/proc/{self.server.process.pid}/fd")
        return len(list(place.iterdir())) if place.is_dir() else 0

    def lags(self) -> dict[float, int]:
        """Measured delays of the loop: upper bound in seconds -> how many were within it."""
        text = str(self.as_owner("GET", "/metrics")[1])
        found = re.findall(r'hactl_loop_lag_seconds_bucket\{le="([^"]+)"\} ([0-9.]+)', text)
        return {float(bound): int(float(count)) for bound, count in found}

    # -- over TLS ---------------------------------------------------------------------------------------------------

    def trust(self, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
        """What a client needs; with a certificate of its own perhaps."""
        context = ssl.create_default_context(cafile=str(self.server.directory / "state" / "tls" / "ca.crt"))
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        return context

    @asynccontextmanager
    async def connected(
        self, context: ssl.SSLContext | None = None
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """One connection with TLS."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context or self.trust())
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def raw(self, sent: bytes, *more: bytes, context: ssl.SSLContext | None = None) -> str:
        """Send bytes, read to the end: the statuses of all answers; "cut off": there was none."""
        try:
            async with self.connected(context) as (reader, writer), asyncio.timeout(LIMIT_SECONDS):
                for part in (sent, *more):
                    writer.write(part)
                    await writer.drain()
                return statuses(await reader.read(-1))
        except (ConnectionError, ssl.SSLError):
            return "cut off"

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        role: str = "admin",
        kind: str = "application/json",
        headers: str = "",
    ) -> tuple[int, dict[str, str], bytes]:
        """One request: status, headers by lower-case name, and body of its answer. `role` "": no token."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}"
        head += f"Authorization: Bearer {self.tokens[role]}\r\n" if role else ""
        if body is not None:
            head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        async with self.connected() as (reader, writer), asyncio.timeout(LIMIT_SECONDS):
            writer.write(head.encode("utf-8", "surrogateescape") + b"\r\n" + (body or b""))
            await writer.drain()
            top = await reader.readuntil(b"\r\n\r\n")
            content = await reader.read(-1)
        first, *lines = top.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, content


def statuses(answers: bytes) -> str:
    """The status of each answer that was sent on one connection; "cut off": none."""
    found = []
    while (head := answers.partition(b"\r\n\r\n"))[1]:
        line = head[0].split()
        if not line or not line[0].startswith(b"HTTP/"):
            found.append("garbage")
            break
        found.append(line[1].decode())
        length = re.search(rb"(?im)^content-length: *(\d+)", head[0])
        if length is None and found[-1] not in ("100", "304"):
            # A stream: what comes after is its body.
            break
        answers = head[2][int(length[1]) if length else 0 :]
    return " ".join(found) or "cut off"


def a_host_key() -> str:
    """Of a machine that is not there."""
    return str(asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().strip())


@contextmanager
def a_daemon(directory: Path) -> Iterator[Daemon]:
    """Started once for all attacks: a cluster whose nodes do not answer is looked at every two seconds meanwhile."""
    authority = Authority(directory / "clients")
    with a_server(directory, "--client-ca", str(authority.file), "--resync", "2s") as server:
        daemon = Daemon(server, {}, authority, Authority(directory / "others", "another authority"))
        tokens: dict[str, str] = {}
        end = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
        for name in (*ROLES, "revoked", "expired"):
            wanted = {"name": name, "role": name if name in ROLES else "admin"}
            if name == "expired":
                wanted["expiresAt"] = f"{end:%Y-%m-%dT%H:%M:%SZ}"
            tokens[name] = daemon.as_owner("POST", "/tokens", wanted)[1]["token"]
        daemon.as_owner("DELETE", "/tokens/revoked")
        daemon.tokens = tokens
        spec = document()
        secrets = directory / "state" / "secrets"
        for node in spec["spec"]["nodes"]:
            node["ssh"] |= {"port": free_port(), "hostKey": a_host_key()}
            del node["ssh"]["hostKeyFrom"]
        secrets.mkdir(mode=0o700, parents=True)
        (secrets / "files.carp").write_text("not-for-strangers\n")
        (secrets / "files.carp").chmod(0o600)
        spec["spec"]["groups"][0]["virtualIPs"][0]["passwordFrom"]["file"] = "files.carp"
        status, found = daemon.as_owner("POST", CLUSTERS, spec)
        assert status == 201, found
        wait_until(lambda: daemon.as_owner("GET", f"{CLUSTERS}/nas")[1].get("status", {}).get("conditions"), "a look")
        wait_until(lambda: datetime.now(UTC) > end, "the end of the token whose time is over")
        yield daemon
