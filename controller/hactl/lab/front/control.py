"""The lab's control socket: one JSON object per line each way, for `hactl lab power-off` and its kin.

Rules:
- A request is {"verb": ..., "arguments": {...}}; the answer {"ok": true, ...} or {"ok": false, "error": "..."}.
- `request` is for people's commands: no asyncio, standard library only.
- The socket is 0600 in the lab's state directory: who can open it owns the lab.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from hactl.errors import HactlError

#: The socket's name in the lab's state directory.
SOCKET_NAME = "lab.sock"
VERBS = (
    "power-off", "power-on", "reboot", "cut", "join", "freeze", "thaw", "fail-disk", "mend-disk", "exec", "misbehave",
    "status", "down",
)  # fmt: skip
Handler = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]


class LabError(HactlError):
    """The lab cannot do what was asked, or does not run."""


def request(
    path: str | Path, verb: str, arguments: Mapping[str, Any] | None = None, *, timeout_seconds: float = 30.0
) -> dict[str, Any]:
    """Ask a running lab. Raises LabError: no lab there, no answer in time, or what the lab says is wrong."""
    line = json.dumps({"verb": verb, "arguments": dict(arguments or {})}) + "\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout_seconds)
        try:
            link.connect(str(path))
            link.sendall(line.encode())
            answer = _read_line(link)
        except TimeoutError as problem:
            raise LabError(f"the lab did not answer within {timeout_seconds:g} s: {verb}") from problem
        except OSError as problem:
            raise LabError(
                f"no lab runs here ({path}: {problem.strerror}); start one: hactl lab up -f FILE"
            ) from problem
    return _check(answer)


def _read_line(link: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = link.recv(65536)
        if not piece:
            break
        data += piece
    return data


def _check(answer: bytes) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except ValueError as problem:
        raise LabError("the lab closed the connection without an answer") from problem
    if not isinstance(found, dict) or not found.get("ok"):
        raise LabError(str(found.get("error", "the lab refused")) if isinstance(found, dict) else "not an answer")
    return found


class ControlServer:
    """The other end: reads requests, hands them to `handler`, writes its answers."""

    def __init__(self, path: Path, handler: Handler) -> None:
        """Nothing listens yet."""
        self.path = path
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen. Raises LabError if another lab answers on this socket."""
        if self.path.exists():
            if await self._answers():
                raise LabError(f"a lab already runs here: {self.path}")
            self.path.unlink()
        self._server = await asyncio.start_unix_server(self._serve, str(self.path), limit=1 << 20)
        self.path.chmod(0o600)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(str(self.path))
        except OSError:
            return False
        writer.close()
        return True

    async def stop(self) -> None:
        """Close and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._server = None
            for writer in list(self._writers):
                writer.close()
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.LimitOverrunError, ValueError):
            # The asker went away or sent no lines: it gets nothing more.
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            verb, arguments = str(request["verb"]), dict(request.get("arguments") or {})
        except (ValueError, KeyError, TypeError):
            return {"ok": False, "error": "not a request: one JSON object per line with a verb"}
        if verb not in VERBS:
            return {"ok": False, "error": f"unknown verb {verb}; the lab knows: {', '.join(VERBS)}"}
        try:
            return {"ok": True, **await self._handler(verb, arguments)}
        except LabError as problem:
            return {"ok": False, "error": str(problem)}
        except Exception as problem:  # noqa: BLE001
            # A mistake in the lab must not end the lab: the asker sees what it was.
            return {"ok": False, "error": f"{verb}: {type(problem).__name__}: {problem}"}
