"""A lab in real time: the worlds of one or more documents, one SSH server per node, one control socket.

Rules:
- One process, one event loop, any number of nodes; one pump runs every world's due events.
- Host keys: made once under the path the document's `hostKeyFrom` names (private key beside it, `.key`, 0600).
  A literal `hostKey` needs its private key there too: without it the lab cannot be that host, and says so.
- The client key is `lab/id_ed25519` beside the document unless the document names an identity.
- `down` ends everything and leaves only keys behind.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hactl.core.choices import NodeAccess
from hactl.core.objects import HACluster, NodeSpec
from hactl.lab.build import build_world
from hactl.lab.clock import RealClock
from hactl.lab.front.control import SOCKET_NAME, ControlServer, LabError
from hactl.lab.front.sshd import Key, Manners, Sshd, is_private_key_of, new_key, read_key
from hactl.lab.machine import Machine
from hactl.lab.shell.shell import run_script
from hactl.lab.world import World
from hactl.ports import Document

#: From power to a reachable sshd in the lab, seconds (recorded: about a minute, most of it emulation).
BOOT_SECONDS = 15.0


@dataclass(slots=True)
class LabNode:
    """One node of the lab."""

    cluster: str
    machine: Machine
    sshd: Sshd
    #: Why it cannot be reached although it runs; "" if nothing is wrong.
    problem: str = ""


class LabServer:
    """Everything `hactl lab up` runs."""

    def __init__(
        self,
        documents: Sequence[Document],
        state_directory: str | Path,
        *,
        seed: int = 0,
        release: str = "13.2-RELEASE",
        boot_seconds: float = BOOT_SECONDS,
    ) -> None:
        """Nothing runs yet. The state directory gets the control socket."""
        self.documents = tuple(documents)
        self.state_directory = Path(state_directory)
        self.nodes: dict[str, LabNode] = {}
        self.worlds: list[World[Machine]] = []
        self.control = ControlServer(self.state_directory / SOCKET_NAME, self._handle)
        self._seed, self._release, self._boot_seconds = seed, release, boot_seconds
        self._pump_task: asyncio.Task[None] | None = None
        self._earlier = asyncio.Event()
        self._done = asyncio.Event()
        self._power_moved = asyncio.Event()
        self._serving = False
        self._followers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Make keys, boot every node, listen. Raises LabError with what is wrong; then nothing is left running."""
        self.state_directory.mkdir(parents=True, exist_ok=True)
        await self.control.start()
        try:
            for number, document in enumerate(self.documents):
                self._add(document, number)
            self._pump_task = asyncio.get_running_loop().create_task(self._pump())
            await asyncio.sleep(0)
            await self._booted()
            self._serving = True
            for node in self.nodes.values():
                await self._listen(node)
        except BaseException:
            await self.stop()
            raise

    async def _booted(self) -> None:
        """Until every machine runs; each tells through `on_power`."""
        while not all(node.machine.running for node in self.nodes.values()):
            self._power_moved.clear()
            await self._power_moved.wait()

    async def _listen(self, node: LabNode) -> None:
        try:
            await node.sshd.follow()
        except OSError as problem:
            where = f"{node.sshd.host}:{node.sshd.port}"
            raise LabError(f"{node.machine.name}: cannot listen on {where}: {problem.strerror}") from problem

    async def wait(self) -> None:
        """Until somebody asks for `down`."""
        await self._done.wait()

    async def stop(self) -> None:
        """End everything."""
        self._done.set()
        for task in [*self._followers, *([self._pump_task] if self._pump_task else [])]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._pump_task = None
        for node in self.nodes.values():
            for process in list(node.machine.rc.processes.values()):
                process.kill(9)
            await node.sshd.close()
        for world in self.worlds:
            await world.close()
        await asyncio.sleep(0)
        await self.control.stop()

    def _add(self, document: Document, number: int) -> None:
        directory = Path(document.directory)
        authorized = client_keys(document.cluster, directory)
        world = build_world(document.cluster, RealClock(), self._seed + number, release=self._release)
        world.boot_seconds = self._boot_seconds
        world.on_earlier = self._earlier.set
        world.on_power.append(self._power_changed)
        self.worlds.append(world)
        for spec in document.cluster.spec.nodes:
            machine = world.machines[spec.name]
            sshd = Sshd(
                machine,
                host=_listen_address(spec),
                port=spec.ssh.port,
                host_key=host_key(spec, directory),
                authorized=authorized,
                users=("root", spec.ssh.user),
                become=spec.ssh.become,
            )
            cluster = document.cluster.metadata.name
            name = spec.name if spec.name not in self.nodes else f"{cluster}/{spec.name}"
            self.nodes[name] = LabNode(cluster, machine, sshd)

    async def _pump(self) -> None:
        """Run what is due in every world, then wait for the next event or for an earlier one."""
        while True:
            self._earlier.clear()
            waits = [wait for world in self.worlds if (wait := world.run_due()) is not None]
            with suppress(TimeoutError):
                await asyncio.wait_for(self._earlier.wait(), min(waits, default=3600.0))

    def _power_changed(self, machine: Machine) -> None:
        self._power_moved.set()
        for node in self.nodes.values():
            if node.machine is machine:
                if not self._serving:
                    continue
                task = asyncio.get_running_loop().create_task(self._follow(node))
                self._followers.add(task)
                task.add_done_callback(self._followers.discard)

    async def _follow(self, node: LabNode) -> None:
        """A power change of a running lab: a port somebody else took meanwhile is a problem status shows."""
        try:
            await node.sshd.follow()
            node.problem = ""
        except OSError as problem:
            node.problem = f"cannot listen on {node.sshd.host}:{node.sshd.port}: {problem.strerror}"

    # control

    async def _handle(self, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if verb == "status":
            return {"nodes": [self._describe(name, node) for name, node in self.nodes.items()]}
        if verb == "down":
            self._done.set()
            return {}
        node = self._node(arguments)
        world, name = node.machine.world, node.machine.name
        if verb == "exec":
            out, err, status = await run_script(node.machine, str(arguments.get("script", "")))
            return {"stdout": out, "stderr": err, "status": status}
        if verb == "misbehave":
            return self._misbehave(node, arguments)
        interface = str(arguments["interface"]) if arguments.get("interface") else None
        if verb in {"cut", "join"}:
            known = [port.name for port in node.machine.net.interfaces.values() if not port.loopback]
            if interface is not None and interface not in known:
                raise LabError(f"{name}: no interface {interface}; it has {', '.join(known)}")
            if verb == "join":
                world.join(name, interface)
            else:
                world.cut(name, interface, _direction(arguments))
        elif verb in {"fail-disk", "mend-disk"}:
            device = self._device(node, arguments)
            (world.fail_disk if verb == "fail-disk" else world.mend_disk)(name, device)
        else:
            self._power(world, verb, name)
        return self._describe(name, node)

    def _power(self, world: World[Machine], verb: str, name: str) -> None:
        actions = {
            "power-off": world.power_off,
            "power-on": world.power_on,
            "reboot": world.reboot,
            "freeze": world.freeze,
            "thaw": world.thaw,
        }
        actions[verb](name)

    def _misbehave(self, node: LabNode, arguments: Mapping[str, Any]) -> dict[str, Any]:
        known = set(Manners.__dataclass_fields__)
        unknown = set(arguments) - known - {"node"}
        if unknown:
            raise LabError(f"unknown manners: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
        node.sshd.manners = Manners(**{name: value for name, value in arguments.items() if name in known})
        return {}

    def _node(self, arguments: Mapping[str, Any]) -> LabNode:
        name = str(arguments.get("node", ""))
        node = self.nodes.get(name)
        if node is None:
            raise LabError(f"no node {name!r} in this lab; it has {', '.join(self.nodes)}")
        return node

    def _device(self, node: LabNode, arguments: Mapping[str, Any]) -> str:
        device = str(arguments.get("device", "")).removeprefix("/dev/")
        if device not in node.machine.disks.disks:
            raise LabError(f"{node.machine.name}: no disk {device}; it has {', '.join(node.machine.disks.disks)}")
        return device

    def _describe(self, name: str, node: LabNode) -> dict[str, Any]:
        machine = node.machine
        if machine.frozen:
            power = "frozen"
        elif machine.running:
            power = "on"
        else:
            power = "booting" if machine.powered else "off"
        return {
            "node": name,
            "cluster": node.cluster,
            "address": f"{node.sshd.host}:{node.sshd.port}",
            "power": power,
            "problem": node.problem,
            "carp": {
                f"{port.name}/{number}": vhid.state
                for port in machine.net.interfaces.values()
                for number, vhid in port.vhids.items()
            },
            "hast": {resource.name: resource.role for resource in machine.hast.resources.values()},
            "cut": [port.name for port in machine.net.interfaces.values() if not port.carrier],
        }


def _direction(arguments: Mapping[str, Any]) -> Any:
    direction = str(arguments.get("direction") or "both")
    if direction not in {"both", "in", "out"}:
        raise LabError(f"direction is in, out or both, not {direction!r}")
    return direction


# keys


def host_key(node: NodeSpec, directory: Path) -> Key:
    """The private host key of a node: read, or made where `hostKeyFrom` points. Raises LabError."""
    if node.ssh.host_key_from is None:
        return _literal_host_key(node, directory)
    public = directory / node.ssh.host_key_from.file
    private = public.with_suffix(".key")
    if private.exists():
        key = _read_key(private)
        if not public.exists():
            _write(public, key.export_public_key(), 0o644)
        return key
    if public.exists():
        raise LabError(f"{public} is there but its private key {private} is not: the lab cannot be {node.name}")
    key = new_key(node.name)
    _write(private, key.export_private_key(), 0o600)
    _write(public, key.export_public_key(), 0o644)
    return key


def _literal_host_key(node: NodeSpec, directory: Path) -> Key:
    private = directory / "lab" / f"{node.name}.key"
    if private.exists():
        key = _read_key(private)
        if is_private_key_of(key, node.ssh.host_key or ""):
            return key
    raise LabError(
        f"{node.name}: the document pins a literal hostKey and {private} is not its private key: the lab cannot be "
        f"this host. Use hostKeyFrom: {{file: lab/{node.name}.pub}} instead"
    )


def client_keys(cluster: HACluster, directory: Path) -> list[Key]:
    """The keys that may log in: those the document names, and lab/id_ed25519, made if there is no other.

    A key that only looks is made, and logs in when the node's own authorized_keys has it (`hactl node-access install`).
    """
    keys = []
    for node in cluster.spec.nodes:
        if node.ssh.identity_from is not None:
            path = directory / node.ssh.identity_from.file
            if not path.exists():
                _write(path, new_key("hactl").export_private_key(), 0o600)
            if node.ssh.access is NodeAccess.ROOT:
                keys.append(_read_key(path))
    own = directory / "lab" / "id_ed25519"
    if not own.exists() and not keys:
        key = new_key("hactl-lab")
        _write(own, key.export_private_key(), 0o600)
        _write(own.with_suffix(".pub"), key.export_public_key(), 0o644)
    if own.exists():
        keys.append(_read_key(own))
    return keys


def _read_key(path: Path) -> Key:
    try:
        return read_key(path)
    except (OSError, ValueError) as problem:
        raise LabError(f"{path}: not a private key: {problem}") from problem


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whose mode is right from the start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    path.chmod(mode)


def _listen_address(node: NodeSpec) -> str:
    """A lab listens on loopback only. Raises LabError for any other host."""
    host = "127.0.0.1" if node.ssh.host == "localhost" else node.ssh.host
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise LabError(f"{node.name}: a lab node needs a loopback address in ssh.host (127.0.0.1), not {node.ssh.host}")
    return host
