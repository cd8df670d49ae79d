"""Who asks: wrong, old and stolen credentials, roles that want more, certificates of others."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import warnings
from datetime import timedelta
from typing import Any

from support.api.service import CLUSTERS, LEASES, OPERATIONS, document, lease
from support.attacks.attack import Attack
from support.attacks.daemon import Daemon
from support.limits import LIMIT_SECONDS


def _shown(name: str, header: bytes, *expected: str) -> Attack:
    """A header where a credential is shown, for a list that viewers may see."""

    async def play(daemon: Daemon) -> str:
        lines = header
        for role, token in daemon.tokens.items():
            lines = lines.replace(b"{" + role.encode() + b"}", token.encode())
        head = f"GET {LEASES} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
        return await daemon.raw(head + lines + b"\r\n")

    return Attack(name, repr(header[:80])[2:-1], expected or ("401", "429"), play)


TOKENS = [
    _shown("a revoked token", b"Authorization: Bearer {revoked}\r\n"),
    _shown("a token whose time is over", b"Authorization: Bearer {expired}\r\n"),
    _shown("half of a token", b"Authorization: Bearer hactl_\r\n"),
    _shown("bytes above 127", b"Authorization: Bearer hactl_\xff\xfe\xe4\r\n"),
    _shown("UTF-8", "Authorization: Bearer hactl_é\r\n".encode()),
    _shown("an escape in a token", b"Authorization: Bearer \x1b[2J\r\n", "401", "429", "400", "cut off"),
    _shown("a token of 7 KB", b"Authorization: Bearer " + b"x" * 7000 + b"\r\n"),
    _shown("another scheme", b"Authorization: Basic YWRtaW46YWRtaW4=\r\n"),
    _shown("a wrong one after a right one", b"Authorization: Bearer {viewer} x\r\n"),
    _shown("two of them", b"Authorization: Bearer wrong\r\nAuthorization: Bearer {viewer}\r\n", "400", "401", "429"),
    _shown("in a cookie", b"Cookie: token={admin}; Authorization={admin}\r\n", "401"),
    _shown("in another header", b"X-Auth-Token: {admin}\r\nProxy-Authorization: Bearer {admin}\r\n", "401"),
    _shown("of a signed kind", b"Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.\r\n"),
    _shown("somebody else's name", b"Authorization: Bearer {admin}\r\nImpersonate-User: system:admin\r\n", "403"),
    _shown("somebody else's group", b"Authorization: Bearer {viewer}\r\nImpersonate-Group: system:masters\r\n", "403"),
    _shown("somebody else's name in bytes", b"Authorization: Bearer {viewer}\r\nImpersonate-Extra-\x7f: \xff\r\n",
           "403", "400", "cut off"),
]  # fmt: skip


def _more(role: str, method: str, path: str, body: Any = None, *, kind: str = "application/json") -> Attack:
    async def play(daemon: Daemon) -> str:
        content = None if body is None else json.dumps(body).encode()
        return str((await daemon.ask(method, path, content, role=role, kind=kind))[0])

    return Attack(f"{role or 'nobody'}: {method} {path.rpartition('/default/')[2]}", f"{method} {path}",
                  ("403",) if role else ("401",), play)  # fmt: skip


_PAUSE = {"spec": {"type": "Pause", "cluster": "nas"}}
_MERGE, _APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
ESCALATIONS = [
    each
    for role in ("", "viewer", "operator")
    for each in (
        _more(role, "POST", CLUSTERS, document("mine")),
        _more(role, "PUT", f"{CLUSTERS}/nas", document()),
        _more(role, "PATCH", f"{CLUSTERS}/nas", {"spec": {"mode": "Apply"}}, kind=_MERGE),
        _more(role, "PATCH", f"{CLUSTERS}/mine?fieldManager=x&force=true", document("mine"), kind=_APPLY),
        _more(role, "DELETE", f"{CLUSTERS}/nas"),
        _more(role, "DELETE", CLUSTERS),
        _more(role, "POST", LEASES, lease("mine")),
        _more(role, "DELETE", f"{LEASES}/mine"),
    )
] + [
    each
    for role in ("", "viewer")
    for each in (
        _more(role, "POST", OPERATIONS, _PAUSE),
        _more(role, "DELETE", OPERATIONS),
        _more(role, "PATCH", f"{OPERATIONS}/x?fieldManager=x", _PAUSE, kind=_APPLY),
    )
] + [
    each
    for role in ("", "viewer", "operator", "editor")
    for each in (
        _more(role, "POST", "/tokens", {"name": "mine", "role": "admin"}),
        _more(role, "GET", "/tokens"),
        _more(role, "DELETE", "/tokens/admin"),
    )
]  # fmt: skip


def _certified(name: str, sent: str, expected: tuple[str, ...], *, mine: bool = True, **options: Any) -> Attack:
    """A client certificate, for a list that viewers may see, and for one that admins may."""

    async def play(daemon: Daemon) -> str:
        pair = (daemon.authority if mine else daemon.other).pair(name.replace(" ", "-"), **options)
        context = daemon.trust(pair.cert, pair.key)
        heads = (f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" for path in (LEASES, "/tokens"))
        return " ".join([await daemon.raw(head.encode(), context=context) for head in heads])

    return Attack(name, sent, expected, play)


def _tls(name: str, sent: bytes) -> Attack:
    """Bytes in place of TLS."""

    async def play(daemon: Daemon) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
        try:
            writer.write(sent)
            async with asyncio.timeout(LIMIT_SECONDS):
                found = await reader.read(-1)
        except ConnectionError:
            return "cut off"
        finally:
            writer.transport.abort()
        # An alert of TLS is no answer.
        return "cut off" if found[:1] in (b"", b"\x15") else "answered"

    return Attack(name, repr(sent[:60])[2:-1], ("cut off",), play)


async def _old_tls(daemon: Daemon) -> str:
    context = daemon.trust()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return await daemon.raw(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n", context=context)


async def _gone_at_once(daemon: Daemon) -> str:
    """A hundred connections that are reset."""
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", daemon.port)) as each:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return str((await daemon.ask("GET", "/version", role=""))[0])


CERTIFICATES = [
    _certified("a viewer", "O=hactl:viewer", ("200 403",), organisation="hactl:viewer"),
    _certified("viewer and admin", "O=hactl:admin, O=hactl:viewer", ("200 403",),
               organisation=("hactl:admin", "hactl:viewer")),
    _certified("masters", "O=system:masters", ("403 403",), organisation="system:masters"),
    _certified("a role that is none", "O=hactl:root", ("403 403",), organisation="hactl:root"),
    _certified("another authority", "signed by somebody else", ("cut off cut off",), mine=False,
               organisation="hactl:admin"),
    _certified("over since yesterday", "not valid any more", ("cut off cut off",), organisation="hactl:admin",
               ends=timedelta(hours=-1)),
    _certified("from tomorrow on", "not valid yet", ("cut off cut off",), organisation="hactl:admin",
               begins=timedelta(hours=1)),
]  # fmt: skip
HANDSHAKES = [
    _tls("HTTP without TLS", b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"),
    _tls("garbage for TLS", bytes(range(256)) * 8),
    _tls("a record of TLS that is too long", b"\x16\x03\x01\xff\xff" + b"\0" * 20_000),
    _tls("a greeting of SSL 2", b"\x80\x2e\x01\x00\x02" + b"\0" * 60),
    _tls("an alert", b"\x15\x03\x01\x00\x02\x02\x28"),
    _tls("SSH", b"SSH-2.0-OpenSSH_9.9\r\n" + b"\0" * 600),
    Attack("TLS 1.1", "at most TLS 1.1", ("cut off",), _old_tls),
    Attack("gone at once", "100 connections that are reset", ("200",), _gone_at_once),
]

ALL = [*TOKENS, *ESCALATIONS, *CERTIFICATES, *HANDSHAKES]
