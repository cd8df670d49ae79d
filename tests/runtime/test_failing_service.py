"""A service that keeps failing, with the whole runtime on simulated nodes: the count outlives the controller."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hactl.adapters.record.memory import memory_record
from hactl.core.cluster import Cluster
from hactl.core.facts import fingerprint
from hactl.core.pace.convergence import Summary
from hactl.lab.build import build_world
from hactl.lab.front.nodes import LabNodes
from hactl.lab.shell.shell import run_script
from hactl.lab.virtual_time import VirtualTime
from hactl.ports import Document, Target
from hactl.runtime.converge import converge
from hactl.runtime.passes.execute import Executor
from hactl.runtime.passes.observe import Observer
from hactl.runtime.passes.reconcile import Decisions, Reconciler
from hactl.runtime.passes.types import Accepted, Access, PassRequest, ResolvedCluster
from support.lab.closed_loop import example

SALT = b"salt"


def with_rule(data: dict[str, Any]) -> None:
    """The group moves when nfsd was started once and stops again."""
    data["spec"]["groups"][0]["services"][0]["onFailure"] = {"action": "Move", "limit": 1, "withinSeconds": 3600}


async def resolve(document: Document, generation: int) -> ResolvedCluster:
    """One password for everything."""
    keys = {("files", vip.name): fingerprint("s3cret", SALT) for vip in document.cluster.spec.groups[0].virtual_ips}
    targets = {n: Target("nas", n, n, 22, "root", ("ssh-ed25519 AAAA",)) for n in ("nas-a", "nas-b")}
    return ResolvedCluster(Cluster(document.cluster, generation, keys), targets, lambda use: "s3cret")


@asynccontextmanager
async def nobody_else(_: str) -> AsyncIterator[None]:
    """The cluster's lock."""
    yield


def test_a_new_controller_goes_on_counting_and_says_why_the_group_moved() -> None:
    """Each converge is a process of its own, on one record."""

    async def story() -> None:
        async with VirtualTime() as time:
            document = example("nas", with_rule)
            world = build_world(document, time, 1)
            time.attach(world)
            world.start()
            await time.sleep(1.0)
            nodes, record = LabNodes(world), memory_record(clock=time)
            accepted = Accepted(Document(document, "nas.yaml", ".", "digest", "text"), 1)
            await record.put_document(accepted.document, actor="tester", origin="files")

            async def process() -> Summary:
                reconciler = Reconciler(
                    Observer(nodes, time, SALT),
                    Executor(nodes, record, time),
                    record,
                    time,
                    Access(resolve, nobody_else),
                    decisions=Decisions(chance=random.Random(1)),
                )
                request = PassRequest(accepted, actor="tester")
                return await converge(reconciler, time, request, timeout_seconds=900)

            async def killed() -> tuple[str, dict[str, Any]]:
                await run_script(world.machines["nas-a"], "kill $(cat /var/run/nfsd.pid)")
                await process()
                (row,) = await record.statuses()
                (group,) = row["status"]["groups"]
                return group["active"], group["services"][0]["failures"]["nas-a"]

            await process()
            await time.sleep(30)  # the node's own hook looks once whether everything runs
            active, failures = await killed()
            assert (active, len(failures["restarts"]), failures["givenUpAt"]) == ("nas-a", 1, None)
            active, failures = await killed()
            assert active == "nas-b"
            assert failures["givenUpAt"] is not None
            moved = await record.history({"cluster": "nas", "kind": "GroupMoved"})
            assert [row["summary"] for row in moved] == [
                "files moved from nas-a to nas-b, by hactl, because nfsd failed there"
            ]

    asyncio.run(story())
