"""A key that only looks, against OpenSSH's own sshd and this machine's sh: what a thief of it can do is nothing."""

from __future__ import annotations

import asyncio
import getpass
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from hactl.adapters.ssh.nodes import SSHNodes
from hactl.core.choices import NodeAccess
from hactl.core.cluster import Cluster
from hactl.core.gate.install import Level, Login
from hactl.core.gate.render import GATE, gate_id, gate_text
from hactl.core.gate.request import GATE_SAYS, REFUSED_STATUS, listen_request, look_request, texts_request
from hactl.core.parse.question import EVERYTHING
from hactl.core.script import PATH
from hactl.errors import LoginRefused
from hactl.ports import Target
from support.attacks.gate import HARMLESS, REQUESTS, filled
from support.facts.builder import nas_cluster
from support.limits import LIMIT_SECONDS
from support.loopback import free_port
from support.needs import need
from support.sshd_server import Sshd, script_in, sshd, write_key

NONCE = "0123456789abcdef"
CLUSTER: Cluster = nas_cluster()
#: `{mark}` is a file that must never be there.
COMMANDS = (
    "touch {mark}", "rm -rf {home}", "/bin/sh -s", "/bin/sh -c 'touch {mark}'", "gate root", "gate observe again",
    "observe; touch {mark}", "$(touch {mark})", "`touch {mark}`", "hactl-gate\ntouch {mark}", "sftp-server", "scp -t /",
    "internal-sftp", "doas -n sh", "sudo -n sh", "timeout --foreground 9 /bin/sh -s", "env", "", "A" * 30_000,
)  # fmt: skip


class Thief:
    """Who has the private key that only looks, and the node it is for."""

    def __init__(self, server: Sshd, key: Path, gate: Path) -> None:
        self.server, self.key, self.gate = server, key, gate
        self.mark = server.directory / "mark"
        self.noted = server.directory / "noted"

    async def connect(self, **more: Any) -> asyncssh.SSHClientConnection:
        """Log in."""
        target = self.target()
        host_key = asyncssh.import_public_key(target.host_keys[0])
        return await asyncssh.connect(
            target.host, target.port, username=target.user, client_keys=[str(self.key)],
            known_hosts=([host_key], [], []), config=None, agent_path=None, **more,
        )  # fmt: skip

    def target(self, access: NodeAccess = NodeAccess.OBSERVE) -> Target:
        """As hactl has it from a document."""
        gate = gate_id(CLUSTER, "nas-a", path=str(self.gate)) if access is NodeAccess.OBSERVE else ""
        return self.server.target(identities=(str(self.key),), access=access, gate=gate)

    def filled(self, text: str) -> str:
        """With the names of this place in it."""
        text = filled(text, gate_id(CLUSTER, "nas-a", path=str(self.gate)), str(self.mark))
        return text.replace("{home}", str(self.server.directory))

    def found(self) -> dict[str, bytes]:
        """Every file of the node's place, but for the log of sshd and what the gate noted."""
        files = [path for path in self.server.directory.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in files if path.name not in ("log", "noted", "hactl.lock")}


@pytest.fixture(scope="module")
def thief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thief]:
    """One sshd with two keys: one that may do everything, one behind the gate, by the line hactl makes for it."""
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        key, gate = server.directory / "observe", server.directory / "gate"
        public = write_key(key)
        login = Login(Level.OBSERVE, getpass.getuser(), None, public, ("127.0.0.1",))
        line = login.line.replace(GATE, str(gate))
        with (server.directory / "authorized_keys").open("a") as file:
            file.write(line + "\n")
        script_in(server.bin, "logger", f'echo "$*" >>{server.directory / "noted"}\n')
        # The node's own programs come first in the gate's PATH, so that the note can be read; and it waits less long.
        text = gate_text(CLUSTER, "nas-a", path=str(gate))
        for found, other in ((f"PATH={PATH}", f"PATH={server.bin}:{PATH}"), ("g_patience=20", "g_patience=1")):
            assert text.count(found) == 1
            text = text.replace(found, other)
        gate.write_text(text)
        gate.chmod(0o500)
        yield Thief(server, key, gate)


@pytest.fixture
async def nodes() -> AsyncIterator[SSHNodes]:
    """The adapter."""
    made = SSHNodes(grace_seconds=1.0, linger_seconds=0.1)
    yield made
    await made.close()


async def test_hactl_looks_with_it(thief: Thief, nodes: SSHNodes) -> None:
    """What a controller sends is answered, over one warm connection: looks, texts and the stream."""
    target = thief.target()
    answer = await nodes.run(
        target, look_request(target.gate, CLUSTER, NONCE, EVERYTHING, 10), timeout_seconds=LIMIT_SECONDS
    )
    assert answer.exit_status == 0
    assert f"%%hactl {NONCE} begin sysctl\n" in answer.stdout
    assert answer.stdout.endswith(f"%%hactl {NONCE} done\n")
    answer = await nodes.run(target, texts_request(target.gate, [], NONCE, 10), timeout_seconds=LIMIT_SECONDS)
    assert answer.stdout == f"%%hactl {NONCE} done\n"
    lines = [line async for line in _until_it_ends(nodes, target)]
    assert lines == ["# listening"]


async def _until_it_ends(nodes: SSHNodes, target: Target) -> AsyncIterator[str]:
    async for line in nodes.stream(target, listen_request(target.gate)):
        yield line
        break


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[:20] or "a shell")
async def test_whatever_is_asked_for_the_gate_runs(thief: Thief, command: str) -> None:
    """sshd runs the gate in the place of every command; with a script on standard input it refuses."""
    before = thief.found()
    async with await thief.connect() as link:
        done = await link.run(thief.filled(command) or None, input=f"touch {thief.mark}\n")
        assert done.exit_status == REFUSED_STATUS
        assert done.stdout == ""
    assert thief.found() == before


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_is_no_request_is_refused_and_noted(thief: Thief, name: str) -> None:
    """With a sentence of the gate's own, which repeats nothing of what was sent."""
    before = thief.found()
    thief.noted.unlink(missing_ok=True)
    async with await thief.connect() as link:
        process = await link.create_process("x", encoding="utf-8", errors="surrogateescape")
        try:
            process.stdin.write(thief.filled(REQUESTS[name]))
            process.stdin.write_eof()
        except BrokenPipeError:
            # It had read enough.
            pass
        done = await process.wait()
    assert done.exit_status == REFUSED_STATUS, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert str(done.stderr).startswith(GATE_SAYS)
    assert str(thief.mark) not in str(done.stderr)
    assert "-p auth.warning -t hactl-gate refused: " in thief.noted.read_text()
    assert "from 127.0.0.1 " in thief.noted.read_text()
    assert str(thief.mark) not in thief.noted.read_text()
    assert thief.found() == before


@pytest.mark.parametrize("name", HARMLESS)
async def test_words_of_a_good_request_are_only_compared(thief: Thief, name: str) -> None:
    """Whatever they look like to a shell."""
    before = thief.found()
    async with await thief.connect() as link:
        done = await link.run("x", input=thief.filled(HARMLESS[name]), encoding="utf-8", errors="surrogateescape")
    assert done.exit_status == 0, done.stderr
    assert thief.found() == before


async def test_nothing_but_commands_is_had_with_it(thief: Thief) -> None:
    """No terminal, no subsystem, no forwarding in either direction, no environment, no agent."""
    before = thief.found()
    async with await thief.connect() as link:
        with pytest.raises(asyncssh.Error):
            await link.run("x", term_type="xterm", input="\n")
        # A subsystem is a command like any other: the gate, which has no use for SFTP's words.
        with pytest.raises(asyncssh.Error):
            async with asyncio.timeout(LIMIT_SECONDS):
                await link.start_sftp_client()
        with pytest.raises(asyncssh.ChannelOpenError):
            await link.open_connection("127.0.0.1", thief.server.port)
        with pytest.raises(asyncssh.ChannelOpenError):
            await link.open_unix_connection("/var/run/devd.pipe")
        with pytest.raises(asyncssh.ChannelListenError):
            await link.forward_remote_port("127.0.0.1", free_port(), "127.0.0.1", thief.server.port)
        done = await link.run("x", input="\n", env={"PATH": str(thief.server.directory), "g_self": "/bin/sh"})
        assert done.exit_status == REFUSED_STATUS
    assert thief.found() == before


def test_openssh_s_own_programs_get_nothing(thief: Thief, tmp_path: Path) -> None:
    """ssh, scp and sftp."""
    for program in ("ssh", "scp", "sftp"):
        need(program, "openssh-client")
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{thief.server.port} {thief.server.host_key}\n")
    given = ["-o", f"UserKnownHostsFile={known}", "-o", "IdentitiesOnly=yes", "-i", str(thief.key), "-F", "/dev/null"]
    place, port = f"{getpass.getuser()}@127.0.0.1", str(thief.server.port)
    before = thief.found()
    for command in (
        ["ssh", *given, "-p", port, place],
        ["ssh", *given, "-tt", "-p", port, place, "sh"],
        ["ssh", *given, "-A", "-X", "-p", port, place, f"touch {thief.mark}"],
        ["ssh", *given, "-s", "-p", port, place, "sftp"],
        ["scp", *given, "-P", port, str(known), f"{place}:{thief.mark}"],
        ["scp", "-O", *given, "-P", port, str(known), f"{place}:{thief.mark}"],
        ["scp", *given, "-P", port, f"{place}:/etc/passwd", str(tmp_path / "got")],
        ["sftp", *given, "-P", port, place],
    ):
        ran = subprocess.run(
            command, input=f"touch {thief.mark}\nput {known} {thief.mark}\n", capture_output=True, text=True,
            timeout=LIMIT_SECONDS, check=False,
        )  # fmt: skip
        assert ran.returncode != 0, command
    assert not (tmp_path / "got").exists()
    assert thief.found() == before


async def test_a_key_in_the_wrong_place_is_told(thief: Thief, nodes: SSHNodes) -> None:
    """access: Root with a key that only looks, and access: Observe with a key that no gate holds."""
    with pytest.raises(LoginRefused, match="this key only looks, and the document says access: Root"):
        await nodes.run(thief.target(NodeAccess.ROOT), "echo hello\n", timeout_seconds=LIMIT_SECONDS)
    free = thief.server.target(access=NodeAccess.OBSERVE, gate="0" * 16)
    with pytest.raises(LoginRefused, match=r"not held by a gate there .* run hactl node-access install"):
        await nodes.run(free, "gate\n.\n", timeout_seconds=LIMIT_SECONDS)
    with pytest.raises(LoginRefused, match=r"the gate refuses: this is gate [0-9a-f]{16}, the request is for another"):
        await nodes.run(
            thief.target(), look_request("0" * 16, CLUSTER, NONCE, EVERYTHING, 5), timeout_seconds=LIMIT_SECONDS
        )
