"""What a bench stands on: generated documents in a directory of its own, and the lab process that plays their nodes.

Rules: everything is below one temporary directory and gone afterwards, however the bench ends; the lab gets no
signals of the terminal and ends when we do.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from hactl.lab.front.control import SOCKET_NAME

EXAMPLE = Path(__file__).resolve().parents[2] / "manifests" / "examples" / "nas.yaml"
#: One answer of the lab process may hold many scripts.
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
UP_SECONDS = 60.0
DOWN_SECONDS = 10.0


class BenchFailed(Exception):
    """The bench cannot be done; says why."""


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def name_of(pair: int) -> str:
    """The cluster's name; its nodes are this with -a and -b."""
    return f"nas-{pair:03}"


def password_of(pair: int) -> str:
    """The CARP password of its virtual IP."""
    return f"bench_{pair:03}"


def _network(base: int, pair: int) -> str:
    """The first three numbers of a network of its own."""
    high, low = divmod(pair, 250)
    return f"10.{base + high}.{low}."


def as_of(pair: int, text: str) -> str:
    """What holds for pair 0, as it is for another pair."""
    text = text.replace(name_of(0), name_of(pair))
    for base in (80, 180):
        text = text.replace(_network(base, 0), _network(base, pair))
    return text


def document_text(pair: int, ports: tuple[int, int]) -> str:
    """manifests/examples/nas.yaml as pair number `pair`: same shape and comments, names and addresses of its own."""
    yaml = YAML()
    data = yaml.load(EXAMPLE.read_text())
    name = name_of(pair)
    renamed = {node["name"]: f"{name}-{node['name'][-1]}" for node in data["spec"]["nodes"]}
    data["metadata"]["name"] = name
    for node, port in zip(data["spec"]["nodes"], ports, strict=True):
        node["name"] = renamed[node["name"]]
        node["ssh"]["port"] = port
        node["ssh"]["hostKeyFrom"]["file"] = f"lab/{node['name']}.pub"
    for group in data["spec"]["groups"]:
        group["preferred"] = [renamed[node] for node in group["preferred"]]
        for vip in group["virtualIPs"]:
            vip["addresses"] = [f"{_network(80, pair)}80/24"]
            vip["passwordFrom"]["file"] = f"secrets/{name}.carp"
        for storage in group["storage"]:
            hast = storage["hast"]
            hast["devices"] = {renamed[node]: device for node, device in hast["devices"].items()}
            hast["addresses"] = {
                renamed[node]: f"{_network(180, pair)}{host}" for host, node in enumerate(hast["addresses"], 11)
            }
    out = StringIO()
    yaml.dump(data, out)
    return out.getvalue()


@dataclass(slots=True)
class LabProcess:
    """The other end of `lab_process.py`."""

    process: asyncio.subprocess.Process
    socket_path: Path
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self, **question: Any) -> dict[str, Any]:
        """One question, one answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        async with self._asking:
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
            line = await self.process.stdout.readline()
        if not line:
            raise BenchFailed("the lab process ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def cpu_seconds(self) -> float:
        """CPU the lab has used so far."""
        return float((await self.ask())["cpu_seconds"])

    async def scripts(self, since: float) -> list[dict[str, Any]]:
        """Scripts that began on any node since a monotonic moment: kind, node, began, seconds."""
        scripts: list[dict[str, Any]] = (await self.ask(since=since))["scripts"]
        return scripts

    async def on(self, node: str, script: str) -> str:
        """Run something on a node by hand, not over SSH. Raises BenchFailed when its exit status is not 0."""
        reader, writer = await asyncio.open_unix_connection(str(self.socket_path))
        try:
            writer.write(json.dumps({"verb": "exec", "arguments": {"node": node, "script": script}}).encode() + b"\n")
            answer = json.loads(await reader.readline())
        finally:
            writer.close()
        if not answer["ok"] or answer["status"] != 0:
            reason = answer.get("error") or answer["stderr"].strip() or answer["stdout"].strip()
            raise BenchFailed(f"{node}: {reason}: {script}")
        return str(answer["stdout"])


@dataclass(frozen=True, slots=True)
class Site:
    """A directory with documents, and the lab that plays them."""

    directory: Path
    lab: LabProcess

    @property
    def clusters(self) -> Path:
        """The documents."""
        return self.directory / "clusters"

    @property
    def state(self) -> Path:
        """The record; alone in its directory, so that whatever is written there was written by it."""
        return self.directory / "state" / "hactl.db"

    def document(self, cluster: str) -> Path:
        """The file of one cluster."""
        return self.clusters / f"{cluster}.yaml"


@asynccontextmanager
async def running(pairs: int) -> AsyncIterator[Site]:
    """A site with that many pairs, up; everything of it is gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="hactl-bench-"))
    identity = os.environ.get("HACTL_IDENTITY")
    try:
        _write_documents(directory / "clusters", pairs)
        (directory / "state").mkdir()
        os.environ["HACTL_IDENTITY"] = str(directory / "clusters" / "lab" / "id_ed25519")
        lab = await _start(directory)
        try:
            yield Site(directory, lab)
        finally:
            await _stop(lab.process)
    finally:
        os.environ.pop("HACTL_IDENTITY", None)
        if identity is not None:
            os.environ["HACTL_IDENTITY"] = identity
        shutil.rmtree(directory, ignore_errors=True)


def _write_documents(clusters: Path, pairs: int) -> None:
    (clusters / "secrets").mkdir(parents=True)
    ports = free_ports(pairs * 2)
    for pair in range(pairs):
        secret = clusters / "secrets" / f"{name_of(pair)}.carp"
        secret.touch(0o600)
        secret.write_text(f"{password_of(pair)}\n")
        (clusters / f"{name_of(pair)}.yaml").write_text(document_text(pair, (ports[2 * pair], ports[2 * pair + 1])))


async def _start(directory: Path) -> LabProcess:
    log = directory / "lab.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("lab_process.py")),
            str(directory / "clusters"),
            str(directory / "lab-state"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=ANSWER_LIMIT_BYTES,
            start_new_session=True,
        )
    assert process.stdout is not None
    line = b""
    try:
        async with asyncio.timeout(UP_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    finally:
        if not line:
            await _stop(process)
    if not line:
        message = log.read_text(errors="replace").strip()
        raise BenchFailed(f"the lab did not come up within {UP_SECONDS:.0f} s: {message or 'no message'}")
    return LabProcess(process, directory / "lab-state" / SOCKET_NAME)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Ask it to end by closing its standard input; then insist."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(DOWN_SECONDS):
            await process.wait()
    except BaseException as problem:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if not isinstance(problem, TimeoutError):
            raise
