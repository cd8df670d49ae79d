"""From a change to what the controller does about it: a document's file, and a CARP state on a node.

The moments on the node's side are taken in the lab's process; CLOCK_MONOTONIC is one clock for both.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hactl.adapters.sources.files import POLL_SECONDS, FileSource
from hactl.app import App
from hactl.runtime.controller import Controller
from hactl.runtime.passes.types import Accepted

from .measure import Samples
from .site import BenchFailed, LabProcess, Site

#: Longer than this and it did not happen.
LIMIT_SECONDS = 10.0
#: How long the controller may take for its first look at everything, seconds.
SETTLE_SECONDS = 40.0
#: How often the lab is asked; the moments themselves come from the lab.
ASK_SECONDS = 0.05
REST_SECONDS = 4.0


@asynccontextmanager
async def controlling(app: App, site: Site, nodes: int) -> AsyncIterator[Controller]:
    """The controller over the site's documents, once it has looked at everything and hears every node's devd."""
    began = time.monotonic()
    controller = app.controller({str(site.clusters): FileSource([site.clusters], app.clock)})
    running = asyncio.ensure_future(controller.run())
    try:
        await _until(lambda: _looked(controller, running, nodes // 2), SETTLE_SECONDS, "the controller's first look")
        await _streams(site.lab, began, nodes)
        yield controller
    finally:
        controller.stop()
        await running


def _looked(controller: Controller, running: asyncio.Future[None], clusters: int) -> bool:
    if running.done():
        running.result()
        raise BenchFailed("the controller ended")
    return len(controller.statuses) == clusters


async def _until(happened: Callable[[], bool], limit_seconds: float, what: str) -> None:
    deadline = time.monotonic() + limit_seconds
    while not happened():
        if time.monotonic() > deadline:
            raise BenchFailed(f"{what} took longer than {limit_seconds:.0f} s")
        await asyncio.sleep(ASK_SECONDS)


async def _streams(lab: LabProcess, since: float, nodes: int) -> None:
    """Until every node is listened to."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        listening = {note["node"] for note in await lab.scripts(since) if note["kind"] == "stream"}
        if len(listening) == nodes:
            return
        if time.monotonic() > deadline:
            raise BenchFailed(f"only {len(listening)} of {nodes} nodes are listened to")
        await asyncio.sleep(0.5)


async def _first(lab: LabProcess, since: float, nodes: Sequence[str], kind: str) -> float:
    """When the first script of a kind began on one of the nodes, monotonic seconds."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        scripts = await lab.scripts(since)
        began = [note["began"] for note in scripts if note["kind"] == kind and note["node"] in nodes]
        if began:
            return float(min(began))
        await asyncio.sleep(ASK_SECONDS)
    raise BenchFailed(f"no {kind} on {', '.join(nodes)} within {LIMIT_SECONDS:.0f} s")


async def rest(lab: LabProcess) -> float:
    """CPU of this process while the controller has nothing to look at, as a share of one core."""
    # The first line of every devd stream asks for a look.
    deadline = time.monotonic() + SETTLE_SECONDS
    while any(note["kind"] == "probe" for note in await lab.scripts(time.monotonic() - 1.0)):
        if time.monotonic() > deadline:
            raise BenchFailed("the controller finds no rest")
        await asyncio.sleep(0.5)
    began, cpu = time.monotonic(), time.process_time()
    await asyncio.sleep(REST_SECONDS)
    return (time.process_time() - cpu) / (time.monotonic() - began)


async def file_changes(site: Site, clusters: Sequence[Accepted], chance: random.Random) -> tuple[Samples, Samples]:
    """One document after the other is replaced by one with another advbase: one ifconfig per node is needed.

    Seconds to the first look, and to the first command.
    """
    looks, commands = [], []
    for accepted in clusters:
        nodes = [node.name for node in accepted.document.cluster.spec.nodes]
        path = site.document(accepted.document.cluster.metadata.name)
        # The source is polled: a change comes at any moment between two polls.
        await asyncio.sleep(chance.uniform(0, 2 * POLL_SECONDS))
        began = replace(path, path.read_text().replace("advbase: 1", "advbase: 2"))
        commands.append(await _first(site.lab, began, nodes, "step") - began)
        looks.append(await _first(site.lab, began, nodes, "probe") - began)
    return Samples(tuple(looks)), Samples(tuple(commands))


def replace(path: Path, text: str) -> float:
    """Replace a file atomically, as editors and configuration tools do; returns the moment, monotonic seconds."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    began = time.monotonic()
    new.replace(path)
    return began


async def carp_changes(site: Site, clusters: Sequence[Accepted]) -> Samples:
    """One active node after the other is told to be BACKUP by hand: devd says so, and hactl looks."""
    seconds = []
    for accepted in clusters:
        group: Any = accepted.document.cluster.spec.groups[0]
        vip = group.virtual_ips[0]
        nodes = [node.name for node in accepted.document.cluster.spec.nodes]
        master = await _master(site.lab, nodes, vip.interface)
        began = time.monotonic()
        await site.lab.on(master, f"ifconfig {vip.interface} vhid {vip.vhid} state backup")
        seconds.append(await _first(site.lab, began, nodes, "probe") - began)
    return Samples(tuple(seconds))


async def _master(lab: LabProcess, nodes: Sequence[str], interface: str) -> str:
    for node in nodes:
        if "carp: MASTER" in await lab.on(node, f"ifconfig {interface}"):
            return node
    raise BenchFailed(f"none of {', '.join(nodes)} is MASTER")
