"""Running git(1) on a bare clone of ours: nothing asks, nothing is checked out, nothing of the repository is run.

- `GIT_TERMINAL_PROMPT=0` and ssh's BatchMode: a question is a failure, not a hang; every command has a time limit.
- `core.hooksPath=/dev/null`, no template, no submodules, and only the protocols file, https and ssh
  (GIT_ALLOW_PROTOCOL): a repository cannot make us run a program (gitprotocol and `ext::` remotes).
- Variables GIT_* of our own environment that say where a repository is are not handed on: hactl may itself run in a
  hook of git. Credentials, proxies and signing keys come from the user's own configuration.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hactl.core.document.problems import printable
from hactl.errors import HactlError

PROTOCOLS = "file:https:ssh"
LOCAL_SECONDS = 30.0
#: A listing and all documents together.
MAX_OUTPUT_BYTES = 64 * 1024 * 1024
_MESSAGE_CHARACTERS = 300
#: Variables that say how to reach a server or where the user's configuration is.
_KEPT = frozenset({
    "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY",
    "GIT_PROXY_SSL_CAINFO", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH",
})  # fmt: skip
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
    "log.showSignature=false",
)


class GitFailed(HactlError):
    """git did not do it; the message is what it said, on one line."""


@dataclass(frozen=True, slots=True)
class Git:
    """git on one bare repository."""

    directory: Path
    environ: Mapping[str, str] | None = None

    async def prepare(self) -> None:
        """Make the repository when it is missing; take away what a killed git left. Raises GitFailed."""
        if await asyncio.to_thread(self._usable):
            try:
                await self.run("rev-parse", "--git-dir")
            except GitFailed:
                await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)
            else:
                return
        try:
            await asyncio.to_thread(self.directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise GitFailed(f"cannot make {self.directory}: {error.strerror}") from error
        await self.run("init", "--quiet", "--bare", "--template=", ".")

    def _usable(self) -> bool:
        if not (self.directory / "HEAD").exists():
            return False
        # One controller runs on a record: a lock file here belongs to a git that was killed.
        for left in self.directory.rglob("*.lock"):
            left.unlink(missing_ok=True)
        return True

    async def text(self, *arguments: str, timeout_seconds: float = LOCAL_SECONDS) -> str:
        """What it prints, without the last line break. Raises GitFailed."""
        output = await self.run(*arguments, timeout_seconds=timeout_seconds)
        return output.decode(errors="replace").rstrip("\n")

    async def run(self, *arguments: str, stdin: bytes = b"", timeout_seconds: float = LOCAL_SECONDS) -> bytes:
        """What it prints. Raises GitFailed when it fails, takes too long, prints too much or is not installed."""
        settings = [word for each in (*_SETTINGS, f"safe.directory={self.directory}") for word in ("-c", each)]
        try:
            process = await asyncio.create_subprocess_exec(
                "git", "--no-pager", *settings, *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                cwd=self.directory, env=self._environment(), start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise GitFailed("git is not installed; install devel/git-tiny or git") from error
        except OSError as error:
            raise GitFailed(f"git cannot be run: {error.strerror}") from error
        try:
            async with asyncio.timeout(timeout_seconds):
                output, errors = await _talk(process, stdin)
        except TimeoutError:
            raise GitFailed(f"git {arguments[0]} took longer than {timeout_seconds:g} s") from None
        finally:
            await _end(process)
        if process.returncode != 0:
            raise GitFailed(_one_line(errors) or f"git {arguments[0]} ended with status {process.returncode}")
        return output

    def _environment(self) -> dict[str, str]:
        ours = os.environ if self.environ is None else self.environ
        kept = {key: value for key, value in ours.items() if not key.startswith("GIT_") or key in _KEPT}
        return {
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=15",
            **kept,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "GIT_ALLOW_PROTOCOL": PROTOCOLS,
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_DIR": str(self.directory),
            "LC_ALL": "C",
        }


async def _talk(process: asyncio.subprocess.Process, stdin: bytes) -> tuple[bytes, bytes]:
    """Feed it, and read all it prints, at most MAX_OUTPUT_BYTES."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None

    async def feed(pipe: asyncio.StreamWriter) -> None:
        try:
            pipe.write(stdin)
            await pipe.drain()
            pipe.close()
            await pipe.wait_closed()
        except (BrokenPipeError, ConnectionResetError):
            # It ended before it had read everything; its status says why.
            return

    async def read(pipe: asyncio.StreamReader) -> bytes:
        kept = bytearray()
        while chunk := await pipe.read(65536):
            kept += chunk
            if len(kept) > MAX_OUTPUT_BYTES:
                raise GitFailed(f"git printed more than {MAX_OUTPUT_BYTES // 1048576} MiB")
        return bytes(kept)

    _, output, errors = await asyncio.gather(feed(process.stdin), read(process.stdout), read(process.stderr))
    await process.wait()
    return output, errors


async def _end(process: asyncio.subprocess.Process) -> None:
    """Nothing of it is left: its ssh and index-pack are in its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # All of it has ended (or, on BSD, what is left are zombies).
        if process.returncode is not None:
            return
    await process.wait()


def _one_line(errors: bytes) -> str:
    """What git complained about, fit for a status: no hints, no control characters, no credentials of a URL."""
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines()]
    kept = [line for line in lines if line and not line.startswith(("hint:", "warning:", "remote: hint"))] or lines
    text = "; ".join(line.removeprefix("fatal: ").removeprefix("error: ") for line in kept if line)
    text = printable(text)
    return text if len(text) <= _MESSAGE_CHARACTERS else text[: _MESSAGE_CHARACTERS - 3] + "..."
