"""A real OpenSSH sshd on a loopback port with keys of its own, for tests.

It logs in the user who runs the tests. PATH on "the node" begins with an empty directory of the server, so that
tests can put commands there. Without sshd the tests that need it are skipped.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from hactl.ports import Target
from support.limits import LIMIT_SECONDS, wait_until
from support.loopback import free_port, listens
from support.needs import need


@dataclass(frozen=True)
class Sshd:
    """A running server."""

    directory: Path
    port: int
    host_key: str
    identity: str
    process: subprocess.Popen[bytes]

    @property
    def bin(self) -> Path:
        """First directory of PATH on the node."""
        return self.directory / "bin"

    def target(self, **changes: object) -> Target:
        """The way to this server."""
        fields: dict[str, object] = {
            "cluster": "nas",
            "node": "nas-a",
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "host_keys": (self.host_key,),
            "identities": (self.identity,),
        }
        return Target(**{**fields, **changes})  # type: ignore[arg-type]

    def logged_in(self) -> int:
        """How many logins the server accepted so far."""
        return (self.directory / "log").read_text().count("Accepted publickey")

    def connection_pids(self) -> list[int]:
        """The processes of the connections that are open now."""
        found = subprocess.run(
            [need("pgrep", "procps"), "-P", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]


def write_key(path: Path, algorithm: str = "ssh-ed25519", passphrase: str | None = None) -> str:
    """Make a key pair; returns the public key in one line."""
    key = asyncssh.generate_private_key(algorithm)
    path.write_bytes(key.export_private_key("pkcs8-pem" if passphrase else "openssh", passphrase=passphrase))
    path.chmod(0o600)
    return key.export_public_key().decode().strip()


@contextlib.contextmanager
def sshd(directory: Path, *extra: str) -> Iterator[Sshd]:
    """Run a server; `extra` are lines for its sshd_config (before ours: the first value of a keyword counts)."""
    program = need("sshd", "openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    (directory / "bin").mkdir()
    # FreeBSD's lockf(1) as hactl calls it: -k -t SECONDS FILE COMMAND...
    flock = need("flock", "util-linux")
    script_in(
        directory / "bin",
        "lockf",
        f'seconds=$3; shift 4\n{flock} -o -E 75 -w "$seconds" {directory / "hactl.lock"} "$@"\nstatus=$?\n'
        '[ $status -ne 75 ] || echo "lockf: already locked" >&2\nexit $status\n',
    )
    host_key = write_key(directory / "host_key")
    (directory / "authorized_keys").write_text(write_key(directory / "identity") + "\n")
    port = free_port()
    path = f"{directory / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    config = [
        *extra,
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {directory / 'host_key'}",
        f"PidFile {directory / 'pid'}",
        f"AuthorizedKeysFile {directory / 'authorized_keys'}",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "LogLevel VERBOSE",
        f"SetEnv PATH={path}",
    ]
    (directory / "config").write_text("\n".join(config) + "\n")
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(directory / "config")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    server = Sshd(directory, port, host_key, str(directory / "identity"), process)
    try:
        _wait_until_it_listens(server)
        yield server
    finally:
        pids = server.connection_pids()
        process.terminate()
        process.wait(LIMIT_SECONDS)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _wait_until_it_listens(server: Sshd) -> None:
    def ready() -> bool:
        assert server.process.poll() is None, f"sshd ended: {(server.directory / 'log').read_text()}"
        return listens(server.port)

    wait_until(ready, "sshd listening")


def script_in(directory: Path, name: str, body: str) -> None:
    """Put a command on the node's PATH."""
    path = directory / name
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)
