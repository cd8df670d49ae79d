"""A lab over real SSH on loopback: keys, execs, streams, limits, and what happens when the machine goes away."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from hactl.core.objects import HACluster
from hactl.lab.front import control
from hactl.lab.front.server import LabServer
from support.lab.documents import document, pair
from support.limits import LIMIT_SECONDS, until

EXEC = "timeout -k 5 20 /bin/sh -s"


class Lab:
    """A running lab and a client for it."""

    def __init__(self, server: LabServer, cluster: HACluster, directory: Path) -> None:
        self.server, self.cluster, self.directory = server, cluster, directory

    async def connect(self, node: str = "nas-a", **more: Any) -> asyncssh.SSHClientConnection:
        """Log in, with the pinned host key."""
        spec = next(each for each in self.cluster.spec.nodes if each.name == node)
        pinned = asyncssh.read_public_key(str(self.directory / "lab" / f"{node}.pub"))
        options: dict[str, Any] = {
            "username": spec.ssh.user,
            "client_keys": [str(self.directory / "lab" / "id_ed25519")],
            "known_hosts": ([pinned], [], []),
            "config": None,
            "agent_path": None,
        }
        return await asyncssh.connect("127.0.0.1", spec.ssh.port, **{**options, **more})

    async def control(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Ask through the control socket, as the command line does."""
        return await asyncio.get_running_loop().run_in_executor(
            None, lambda: control.request(self.server.control.path, verb, arguments)
        )

    async def power(self, node: str = "nas-a") -> str:
        """on, off, booting or frozen."""
        status = await self.control("status")
        return str(next(each["power"] for each in status["nodes"] if each["node"] == node))


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A pair, up."""
    cluster = pair()
    server = LabServer([document(cluster, tmp_path)], tmp_path / "state", boot_seconds=0.1)
    await server.start()
    yield Lab(server, cluster, tmp_path)
    await server.stop()


async def test_exec_like_hactl_does(lab: Lab) -> None:
    """The exec request of the contract: script on standard input, streams apart, exit status."""
    async with await lab.connect() as link:
        done = await link.run(EXEC, input="hostname; echo problem >&2; exit 7")
        assert (done.exit_status, done.stdout, done.stderr) == (7, "nas-a\n", "problem\n")
        done = await link.run("ifconfig -l")
        assert done.stdout == "vtnet0 vtnet1 vtnet2 lo0\n"
        done = await link.run("echo $SHELL; sysctl -n kern.ostype")
        assert done.stdout == "/bin/csh\nFreeBSD\n"


async def test_keys_are_made_once_and_kept_private(lab: Lab) -> None:
    """Host and client keys: private ones 0600, and the same after the next start."""
    keys = lab.directory / "lab"
    for name in ("nas-a.key", "nas-b.key", "id_ed25519"):
        assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
    before = (keys / "nas-a.pub").read_text()
    assert before.startswith("ssh-ed25519 ")
    await lab.server.stop()
    again = LabServer([document(lab.cluster, lab.directory)], lab.directory / "state", boot_seconds=0.1)
    await again.start()
    assert (keys / "nas-a.pub").read_text() == before
    await again.stop()


async def test_other_keys_and_users_are_refused(lab: Lab) -> None:
    """Only the authorised key, only the document's user."""
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        await lab.connect(client_keys=[stranger])
    with pytest.raises(asyncssh.PermissionDenied):
        await lab.connect(username="toor")
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await lab.connect(known_hosts=([stranger.convert_to_public()], [], []))


async def test_output_streams_live(lab: Lab) -> None:
    """A line arrives while the script still runs, and so do devd's events."""
    async with await lab.connect() as link, await lab.connect() as other:
        process = await link.create_process(EXEC)
        process.stdin.write("echo first; sleep 20; echo never\n")
        process.stdin.write_eof()
        async with asyncio.timeout(LIMIT_SECONDS):
            assert await process.stdout.readline() == "first\n"
        process.close()
        stream = await link.create_process("timeout -k 5 60 /bin/sh -s")
        stream.stdin.write("exec nc -dU /var/run/devd.pipe\n")
        stream.stdin.write_eof()
        machine = lab.server.nodes["nas-a"].machine
        await until(lambda: bool(machine.devctl.listeners))
        await other.run(EXEC, input="kldload -n carp; ifconfig vtnet1 inet 192.0.2.80/24 vhid 80 pass x alias")
        async with asyncio.timeout(LIMIT_SECONDS):
            assert await stream.stdout.readline() == "!system=CARP subsystem=80@vtnet1 type=BACKUP\n"
        stream.close()
        await until(lambda: not machine.devctl.listeners)


async def test_scripts_die_with_their_client(lab: Lab) -> None:
    """Closing the connection ends what runs."""
    link = await lab.connect()
    process = await link.create_process(EXEC)
    process.stdin.write("sleep 100; touch /var/db/survived\n")
    process.stdin.write_eof()
    running = lab.server.nodes["nas-a"].machine.rc.processes
    await until(lambda: any(each.command == "sleep 100" for each in running.values()))
    link.abort()
    await until(lambda: not any(each.command == "sleep 100" for each in running.values()))
    assert not lab.server.nodes["nas-a"].machine.files.exists("/var/db/survived")


async def test_timeout_on_the_node(lab: Lab) -> None:
    """timeout(1) ends a hanging script and its output until then arrives."""
    async with await lab.connect() as link:
        done = await link.run("timeout -k 5 0.2 /bin/sh -s", input="echo before; sleep 30; echo after")
        assert (done.exit_status, done.stdout) == (124, "before\n")


async def test_a_daemon_outlives_a_foreground_timeout(lab: Lab) -> None:
    """What hactl sends: the daemon the script starts stays, and the answer comes at once."""
    async with await lab.connect() as link:
        async with asyncio.timeout(LIMIT_SECONDS):
            done = await link.run("timeout --foreground -k 5 20 /bin/sh -s", input="service nfsd onestart")
        assert done.exit_status == 0
        assert done.stdout.endswith("\nStarting nfsd.\n")
        assert (await link.run(EXEC, input="service nfsd onestatus")).exit_status == 0
        done = await link.run("timeout 0.3 /bin/sh -s", input="service ctld onestart")
        assert (done.exit_status, done.stdout) == (124, "Starting ctld.\n")
        assert (await link.run(EXEC, input="service ctld onestatus")).exit_status == 1


async def test_at_most_ten_sessions(lab: Lab) -> None:
    """MaxSessions: the eleventh channel of a connection is refused, and a slot frees when one ends."""
    async with await lab.connect() as link:
        held = [await link.create_process(EXEC) for _ in range(10)]
        with pytest.raises(asyncssh.ChannelOpenError):
            await link.create_process(EXEC)
        held[0].stdin.write_eof()
        await held[0].wait()
        assert (await link.run(EXEC, input="echo ok")).stdout == "ok\n"
        for each in held[1:]:
            each.close()


async def test_power_off_breaks_connections_until_power_on(lab: Lab) -> None:
    """No answer, no new connection, memory gone; afterwards the node serves again."""
    link = await lab.connect()
    await link.run(EXEC, input="touch /tmp/x; kldload carp")
    await lab.control("power-off", node="nas-a")
    async with asyncio.timeout(LIMIT_SECONDS):
        await link.wait_closed()
    with pytest.raises((asyncssh.Error, OSError)):
        await link.run(EXEC, input="true")
    with pytest.raises(OSError, match="Connect"):
        await lab.connect()
    await lab.control("power-on", node="nas-a")
    await until(lambda: lab.server.nodes["nas-a"].machine.running)
    await lab.server.nodes["nas-a"].sshd.follow()
    async with await lab.connect() as again:
        assert (await again.run(EXEC, input="ls /tmp; kldstat -q -m carp; echo $?")).stdout == "1\n"


async def test_frozen_nodes_accept_and_say_nothing(lab: Lab) -> None:
    """TCP connects, SSH never answers; after the thaw everything goes on, the open connection too."""
    link = await lab.connect()
    await lab.control("freeze", node="nas-a")
    sshd = lab.server.nodes["nas-a"].sshd
    await sshd.follow()
    waiting = asyncio.ensure_future(link.run(EXEC, input="echo late"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await lab.connect()
    assert not waiting.done()
    assert await lab.power() == "frozen"
    await lab.control("thaw", node="nas-a")
    async with asyncio.timeout(LIMIT_SECONDS):
        assert (await waiting).stdout == "late\n"
    link.close()
    await sshd.follow()
    async with await lab.connect() as again:
        assert (await again.run(EXEC, input="echo back")).stdout == "back\n"


@pytest.mark.parametrize(
    ("manners", "expected"),
    [
        ({"banner": "Welcome to csh\n"}, "Welcome to csh\nok\n"),
        ({"garbage": "\x00<html>\n"}, "\x00<html>\n"),
    ],
)
async def test_bad_manners(lab: Lab, manners: dict[str, Any], expected: str) -> None:
    """A .cshrc that prints, a node that answers nonsense."""
    await lab.control("misbehave", node="nas-a", **manners)
    async with await lab.connect() as link:
        assert (await link.run(EXEC, input="echo ok")).stdout == expected


async def test_answers_cut_and_never_given(lab: Lab) -> None:
    """A connection that breaks in the middle of an answer, and one that stays silent."""
    await lab.control("misbehave", node="nas-a", cut_after_bytes=10)
    link = await lab.connect()
    process = await link.create_process(EXEC)
    process.stdin.write("for i in 1 2 3 4 5 6 7 8 9; do echo abcdefgh; done\n")
    process.stdin.write_eof()
    with contextlib.suppress(asyncssh.Error):
        assert len(await process.stdout.read()) <= 10
    async with asyncio.timeout(LIMIT_SECONDS):
        await link.wait_closed()
    await lab.control("misbehave", node="nas-a", hang=True)
    link = await lab.connect()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await link.run(EXEC, input="echo ok")
    link.abort()


async def test_not_freebsd(lab: Lab) -> None:
    """A Linux that answers on the node's port."""
    await lab.control("misbehave", node="nas-a", foreign="Linux")
    async with await lab.connect() as link:
        done = await link.run(EXEC, input="uname -s; ifconfig; echo $?")
        assert (done.stdout, done.stderr) == ("Linux\n127\n", "ifconfig: not found\n")


async def test_become(tmp_path: Path) -> None:
    """A login that is not root becomes root with doas; without it, it is not root."""
    cluster = pair(user="admin", become="doas")
    server = LabServer([document(cluster, tmp_path)], tmp_path / "state", boot_seconds=0.1)
    await server.start()
    try:
        lab = Lab(server, cluster, tmp_path)
        async with await lab.connect() as link:
            assert (await link.run(f"doas -n {EXEC}", input="id -u")).stdout == "0\n"
            assert (await link.run(EXEC, input="id -u")).stdout == "1001\n"
            assert (await link.run(f"sudo -n {EXEC}", input="id -u")).exit_status == 1
    finally:
        await server.stop()
