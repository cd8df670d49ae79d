"""An SSH server for one lab machine, as FreeBSD's sshd behaves towards `hactl`.

Rules:
- Own ed25519 host key; public keys of an authorised set, and those of the machine's own authorized_keys, whose
  `command=` runs instead of what was asked for and whose `from=` counts; no agent, no forwarding, no subsystem.
- An exec request is what root's csh would run: `[doas -n|sudo -n] [timeout ...] /bin/sh -s` gets the script on standard
  input; any other text runs as `sh -c` would.
- Output goes out while the script runs; when the client closes, the script is killed (SIGHUP).
- Power off: connections break, new ones are refused. Frozen: TCP connects, nothing is answered.
- MaxSessions 10 per connection (sshd_config(5)), which asyncssh does not enforce by itself.
- Man pages: sshd(8), sshd_config(5), csh(1).
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from hactl.lab.machine import Machine
from hactl.lab.process import Process, attend
from hactl.lab.program import COMMANDS, Call
from hactl.lab.shell.shell import ENVIRONMENT, Shell
from hactl.lab.shell.words import PLAYED

MAX_SESSIONS = 10
_CSH_META = frozenset("\"'`$()|&;<>*?[]{}~!\\\n")


@dataclass(slots=True)
class Manners:
    """How this sshd or root's login shell misbehaves; all off by default."""

    #: root's .cshrc prints this before every command.
    banner: str = ""
    #: Answer every command with this instead of running it.
    garbage: str = ""
    #: Run the command but send nothing, ever.
    hang: bool = False
    #: Break the connection after this many bytes of output.
    cut_after_bytes: int | None = None
    #: What uname says if this is not a FreeBSD at all ("Linux"): every program but uname is missing.
    foreign: str = ""


class Sshd:
    """The SSH server of one machine."""

    def __init__(
        self,
        machine: Machine,
        *,
        host: str,
        port: int,
        host_key: asyncssh.SSHKey,
        authorized: Sequence[asyncssh.SSHKey],
        users: Sequence[str] = ("root",),
        become: str | None = None,
    ) -> None:
        """Nothing listens yet. `become`: what users other than root may use to become root."""
        self.machine = machine
        self.host, self.port = host, port
        self.manners = Manners()
        self.users = frozenset(users)
        self.become = become
        self.connections: set[_Server] = set()
        self._host_key = host_key
        self._authorized = {key.convert_to_public().public_data for key in authorized}
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._frozen: asyncio.Server | None = None
        self._silent: set[asyncio.StreamWriter] = set()
        self._lock = asyncio.Lock()

    def allows(self, user: str, key: asyncssh.SSHKey) -> bool:
        """Whether this key may log in as this user."""
        return user in self.users and (
            self.options(user, key) is not None or key.convert_to_public().public_data in self._authorized
        )

    def options(self, user: str, key: asyncssh.SSHKey) -> Mapping[str, Any] | None:
        """What the machine's own authorized_keys says of the key; None: nothing."""
        path = ("/root" if user == "root" else f"/home/{user}") + "/.ssh/authorized_keys"
        files = self.machine.files
        text = files.read_text(path) if files.exists(path) else ""
        if not any(line.strip() and not line.startswith("#") for line in text.splitlines()):
            return None
        found = asyncssh.import_authorized_keys(text).validate(key.convert_to_public(), self.host, self.host)
        return found if found is None else dict(found)

    async def follow(self) -> None:
        """Make the sockets what the machine's power says: answering, hanging, or refused."""
        async with self._lock:
            await self._follow()

    async def _follow(self) -> None:
        machine = self.machine
        for server in list(self.connections):
            server.pause(machine.frozen)
        up = machine.running and machine.powered and machine.rc.pid_of("sshd") is not None
        if machine.frozen:
            await self._listen_silently()
        elif up:
            await self._stop_silence()
            await self._listen()
        else:
            await self.close()

    async def _listen(self) -> None:
        if self._acceptor is not None:
            return
        self._acceptor = await asyncssh.listen(
            self.host,
            self.port,
            server_factory=lambda: _Server(self),
            server_host_keys=[self._host_key],
            encoding=None,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_pty=False,
            gss_host=None,
            keepalive_interval=0,
            login_timeout=30,
            config=None,
            reuse_address=True,
        )

    async def _listen_silently(self) -> None:
        """A stopped machine whose host's TCP still completes handshakes: nothing is ever said."""
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        if self._frozen is None:
            self._frozen = await asyncio.start_server(self._swallow, self.host, self.port, reuse_address=True)

    async def _swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._silent.add(writer)
        try:
            while await reader.read(4096):
                continue
        except OSError:
            return
        finally:
            self._silent.discard(writer)
            writer.close()

    async def _stop_silence(self) -> None:
        if self._frozen is not None:
            self._frozen.close()
            for writer in list(self._silent):
                writer.transport.abort()
            self._frozen = None

    async def close(self) -> None:
        """Refuse connections and break the open ones."""
        await self._stop_silence()
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        for server in list(self.connections):
            server.abort()


class _Server(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, sshd: Sshd) -> None:
        self.sshd = sshd
        self.sessions = 0
        #: What runs instead of whatever is asked for; "": nothing does.
        self.forced = ""
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self.sshd.connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.sshd.connections.discard(self)

    def abort(self) -> None:
        """Break the connection without a word."""
        if self._connection is not None:
            self._connection.abort()

    def begin_auth(self, _username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.forced = str((self.sshd.options(username, key) or {}).get("command", ""))
        return self.sshd.allows(username, key)

    def session_requested(self) -> Any:
        if self.sessions >= MAX_SESSIONS:
            return False
        self.sessions += 1
        return asyncssh.SSHServerProcess(self._serve, None, 3, False)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        channel = _Channel(self.sshd, process, self.forced)
        try:
            await channel.serve()
        except (asyncssh.Error, OSError):
            # The client went away in the middle: nothing is left to say to it.
            channel.kill()
        finally:
            channel.kill()
            self.sessions -= 1

    def pause(self, frozen: bool) -> None:
        """A stopped machine does not even read what arrives."""
        transport = getattr(self._connection, "_transport", None)
        if transport is not None and not transport.is_closing():
            (transport.pause_reading if frozen else transport.resume_reading)()


class _Channel:
    """One exec request."""

    def __init__(self, sshd: Sshd, process: asyncssh.SSHServerProcess[bytes], forced: str) -> None:
        self.sshd, self.process, self.forced = sshd, process, forced
        self.machine = sshd.machine
        self._sent = 0
        self._job = Process(self.machine.pid(), "sshd: root@notty")

    @property
    def user(self) -> str:
        return str(self.process.get_extra_info("username") or "root")

    def kill(self) -> None:
        """The client is gone: end what runs."""
        self._job.kill(1)

    async def serve(self) -> None:
        """Read the script, run it, send what it prints, say how it ended."""
        manners = self.sshd.manners
        if manners.banner:
            self._send(manners.banner)
        text = self.forced or self.process.command or ""
        data = await self._read_input(text)
        if manners.garbage:
            self._send(manners.garbage)
            self.process.exit(0)
            return
        if manners.hang:
            await self.process.wait_closed()
            return
        watcher = asyncio.ensure_future(self._watch())
        try:
            status = await self._run(text, data.decode("utf-8", "surrogateescape"))
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
        if self.machine.running:
            self.process.exit(status)

    async def _read_input(self, text: str) -> bytes:
        """All of standard input where the command reads it; elsewhere what is there by now."""
        if self.forced or not text or text.split()[-1] == "-s" or "cat" in text or "dd " in text:
            return await self.process.stdin.read()
        try:
            return await asyncio.wait_for(self.process.stdin.read(), 0.2)
        except TimeoutError:
            return b""

    async def _watch(self) -> None:
        """Kill the script when the client closes its channel."""
        await self.process.wait_closed()
        self.kill()

    async def _run(self, text: str, stdin: str) -> int:
        while self.machine.frozen:
            await self.machine.world.clock.sleep(0.25)
        words = _plain_words(text)
        user = self.user
        if words and user != "root" and words[:2] == [self.sshd.become or "", "-n"]:
            words, user = words[2:], "root"
        elif words and words[0] in {"doas", "sudo"} and words[0] != self.sshd.become:
            self._complain(f"{words[0]}: Command not found.\n")
            return 1
        elif words and words[:2] == [self.sshd.become or "", "-n"]:
            words = words[2:]
        env = {**ENVIRONMENT, "USER": user, "LOGNAME": user}
        if words and self.sshd.manners.foreign and words[0] != "uname":
            return await self._foreign(stdin)
        if words and (name := words[0].rsplit("/", 1)[-1]) in COMMANDS and name not in PLAYED - {"timeout", "sh"}:
            call = Call(self.machine, name, words[1:], stdin, env, "/root", self._job, self._send, self._complain)
            result = await attend(self._job, COMMANDS[name](call))
            self._send(result.stdout)
            self._complain(result.stderr)
            return result.status
        if not text:
            text, stdin = stdin, ""
        return await self._play(Shell(self.machine, env=env, stdin=stdin, process=self._job), text)

    async def _play(self, shell: Shell, script: str) -> int:
        _, _, status = await shell.run(script, on_output=self._send, on_error=self._complain)
        return status

    async def _foreign(self, stdin: str) -> int:
        """Another operating system: the script runs in its shell, but FreeBSD's programs are not there."""
        script = (
            f"uname() {{ echo {shlex.quote(self.sshd.manners.foreign)}; }}\n"
            'ifconfig() { echo "ifconfig: not found" >&2; return 127; }\n'
            f"sysctl() {{ return 127; }}\nkldstat() {{ return 127; }}\n{stdin}"
        )
        return await self._play(Shell(self.machine, process=self._job), script)

    def _send(self, text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        limit = self.sshd.manners.cut_after_bytes
        if limit is not None and self._sent + len(data) >= limit:
            self.process.stdout.write(data[: max(0, limit - self._sent)])
            self.process.channel.get_connection().abort()
            return
        self._sent += len(data)
        if data and not self.process.is_closing():
            self.process.stdout.write(data)

    def _complain(self, text: str) -> None:
        if text and not self.process.is_closing():
            self.process.stderr.write(text.encode("utf-8", "surrogateescape"))


# keys

Key = asyncssh.SSHKey


def new_key(comment: str) -> Key:
    """A fresh ed25519 key."""
    return asyncssh.generate_private_key("ssh-ed25519", comment=comment)


def read_key(path: Path) -> Key:
    """A private key file. Raises OSError, or ValueError if it holds none."""
    return asyncssh.read_private_key(str(path))


def is_private_key_of(key: Key, public_line: str) -> bool:
    """Whether a one-line public key ("ssh-ed25519 AAAA...") belongs to this private key. Raises ValueError."""
    return key.convert_to_public().public_data == asyncssh.import_public_key(public_line).public_data


def _plain_words(text: str) -> list[str]:
    """The words of a command csh reads without expanding anything; empty if it has any special character."""
    return [] if set(text) & _CSH_META else text.split()
