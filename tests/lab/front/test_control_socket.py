"""The lab's control socket and what `hactl lab up` refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hactl.core.objects import HACluster
from hactl.lab.front import control
from hactl.lab.front.control import LabError
from hactl.lab.front.server import LabServer
from support.lab.documents import document, pair
from support.limits import LIMIT_SECONDS, until
from support.loopback import free_port


async def ask(server: LabServer, verb: str, **arguments: Any) -> dict[str, Any]:
    """From another thread, as another process would."""
    return await asyncio.get_running_loop().run_in_executor(
        None, lambda: control.request(server.control.path, verb, arguments)
    )


def lab(directory: Path, cluster: HACluster | None = None) -> LabServer:
    """A lab for a pair."""
    return LabServer([document(cluster or pair(), directory)], directory / "state", boot_seconds=0.1)


async def test_verbs_and_their_mistakes(tmp_path: Path) -> None:
    """Every verb answers; unknown nodes, interfaces, disks and verbs are named in the error."""
    server = lab(tmp_path)
    await server.start()
    try:
        assert [node["power"] for node in (await ask(server, "status"))["nodes"]] == ["on", "on"]
        assert (await ask(server, "exec", node="nas-b", script="hostname; exit 3")) == {
            "ok": True,
            "stdout": "nas-b\n",
            "stderr": "",
            "status": 3,
        }
        assert (await ask(server, "cut", node="nas-a", interface="vtnet1"))["cut"] == ["vtnet1"]
        assert "no carrier" in (await ask(server, "exec", node="nas-a", script="ifconfig vtnet1"))["stdout"]
        assert (await ask(server, "join", node="nas-a", interface="vtnet1"))["cut"] == []
        await ask(server, "fail-disk", node="nas-a", device="/dev/vtbd1")
        assert (await ask(server, "exec", node="nas-a", script="dd if=/dev/vtbd1 of=/dev/null count=1"))["status"] != 0
        await ask(server, "mend-disk", node="nas-a", device="vtbd1")
        assert (await ask(server, "exec", node="nas-a", script="dd if=/dev/vtbd1 of=/dev/null count=1"))["status"] == 0
        for verb, arguments, words in (
            ("power-off", {"node": "nas-x"}, "no node 'nas-x' in this lab; it has nas-a, nas-b"),
            ("cut", {"node": "nas-a", "interface": "em9"}, "no interface em9; it has vtnet0, vtnet1, vtnet2"),
            ("cut", {"node": "nas-a", "direction": "up"}, "direction is in, out or both"),
            ("fail-disk", {"node": "nas-a", "device": "da9"}, "no disk da9; it has vtbd0, vtbd1"),
            ("misbehave", {"node": "nas-a", "mood": "bad"}, "unknown manners: mood"),
            ("explode", {}, "unknown verb explode"),
        ):
            with pytest.raises(LabError, match=words.replace("(", r"\(")):
                await ask(server, verb, **arguments)
        await ask(server, "down")
        await asyncio.wait_for(server.wait(), LIMIT_SECONDS)
    finally:
        await server.stop()
    assert not server.control.path.exists()


async def test_reboot_over_the_socket(tmp_path: Path) -> None:
    """A reboot goes through shutdown and boot; the kernel has forgotten what it knew."""
    server = lab(tmp_path)
    await server.start()
    try:
        await ask(server, "exec", node="nas-a", script="kldload carp")
        await ask(server, "reboot", node="nas-a")
        machine = server.nodes["nas-a"].machine
        await until(lambda: machine.boot_count >= 2 and machine.running, "the reboot")
        assert (await ask(server, "exec", node="nas-a", script="kldstat -q -m carp"))["status"] == 1
    finally:
        await server.stop()


async def test_two_labs_in_one_place(tmp_path: Path) -> None:
    """The second lab on a state directory is refused and leaves the first alone."""
    first = lab(tmp_path)
    await first.start()
    try:
        with pytest.raises(LabError, match="a lab already runs here"):
            await lab(tmp_path).start()
        assert (await ask(first, "status"))["ok"]
    finally:
        await first.stop()


def test_no_lab_there(tmp_path: Path) -> None:
    """Asking a lab that does not run says how to start one."""
    with pytest.raises(LabError, match=r"no lab runs here .* hactl lab up"):
        control.request(tmp_path / "lab.sock", "status")


async def test_a_port_in_use(tmp_path: Path) -> None:
    """Somebody else on the node's port: a clear error and nothing left running."""
    cluster = pair()
    blocker = await asyncio.start_server(lambda r, w: None, "127.0.0.1", cluster.spec.nodes[1].ssh.port)
    server = lab(tmp_path, cluster)
    with pytest.raises(LabError, match=r"nas-b: cannot listen on 127\.0\.0\.1:"):
        await server.start()
    assert not server.control.path.exists()
    blocker.close()
    await blocker.wait_closed()


async def test_documents_the_lab_cannot_play(tmp_path: Path) -> None:
    """Real addresses, and literal host keys whose private key is elsewhere."""
    with pytest.raises(LabError, match=r"nas-a: a lab node needs a loopback address in ssh.host .* not 192.0.2.1"):
        await lab(tmp_path, pair(host="192.0.2.1")).start()
    literal = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQyHj"
    with pytest.raises(LabError, match="nas-a: the document pins a literal hostKey"):
        await lab(tmp_path, pair(hostKey=literal, hostKeyFrom=None)).start()
    (tmp_path / "lab").mkdir(exist_ok=True)
    (tmp_path / "lab" / "nas-a.pub").write_text(literal + "\n")
    with pytest.raises(LabError, match=r"private key .* is not"):
        await lab(tmp_path).start()


async def test_garbage_on_the_socket(tmp_path: Path) -> None:
    """What is no request gets an error, and the lab goes on."""
    server = lab(tmp_path)
    await server.start()
    try:
        reader, writer = await asyncio.open_unix_connection(str(server.control.path))
        writer.write(b"hello\n[1]\n")
        assert b"not a request" in await reader.readline()
        assert b"not a request" in await reader.readline()
        writer.close()
        assert (await ask(server, "status"))["ok"]
    finally:
        await server.stop()


def test_free_ports_differ() -> None:
    """The documents of these tests do not share ports."""
    assert len({free_port() for _ in range(300)}) == 300
