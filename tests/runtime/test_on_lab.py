"""The runtime on simulated FreeBSD nodes: real step scripts in a real shell, real devd lines."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hactl.adapters.record.memory import memory_record
from hactl.core.cluster import Cluster
from hactl.core.facts import fingerprint
from hactl.core.pace.convergence import Summary
from hactl.core.steps import Check, Outcome, Plan, Risk, Stage, StageOutcome, Step
from hactl.core.verbs import Verb
from hactl.lab.build import build_world, plug_recorded
from hactl.lab.front.nodes import LabNodes, Trouble
from hactl.lab.shell.shell import run_script
from hactl.lab.virtual_time import VirtualTime
from hactl.lab.world import World
from hactl.ports import Document, Target
from hactl.runtime.converge import converge
from hactl.runtime.passes.execute import ExecutionContext, Executor
from hactl.runtime.passes.observe import Observer
from hactl.runtime.passes.reconcile import Decisions, Reconciler
from hactl.runtime.passes.types import Accepted, Access, PassRequest, ResolvedCluster
from hactl.runtime.watch import DevdWatch
from support.lab.closed_loop import example
from support.toy_world import ToyStore

LOAD = Step(
    node="nas-a",
    verb=Verb.LOAD_MODULE,
    target="carp",
    why="carp is not loaded",
    command="kldload -n carp && echo loaded",
    risk=Risk.NONE,
    before=(Check("carp is not loaded", "! kldstat -q -m carp"),),
    after=(Check("carp is loaded", "kldstat -q -m carp", within_seconds=5),),
)


@dataclass
class Lab:
    """The recorded pair in virtual time."""

    time: VirtualTime
    world: World
    nodes: LabNodes
    store: ToyStore = field(default_factory=ToyStore)
    lease: int = 1000

    @property
    def targets(self) -> dict[str, Target]:
        """How to reach them; the lab goes by the name."""
        return {n: Target("pair", n, n, 22, "root", ("ssh-ed25519 AAAA",)) for n in ("nas-a", "nas-b")}

    async def execute(self, *steps: Step) -> StageOutcome:
        """Carry out one stage."""
        plan = Plan("pair", 1, (Stage("test", steps),))
        self.store.leases["pair"] = self.lease
        context = ExecutionContext(plan, self.targets, lambda use: "s3cret-pass", "tester", "test", self.lease)
        executor = Executor(self.nodes, self.store, self.time)
        return await executor.execute(context, plan.stages[0], stop=asyncio.Event())

    async def sh(self, node: str, script: str) -> None:
        """Do something by hand."""
        await run_script(self.world.machines[node], script)


def on_lab(story: Callable[[Lab], Coroutine[Any, Any, None]]) -> None:
    """Run a story with the pair switched on."""

    async def told() -> None:
        async with VirtualTime() as time:
            world = World(time, 1)
            for name in ("nas-a", "nas-b"):
                plug_recorded(world, name)
            time.attach(world)
            world.start()
            await time.sleep(1.0)
            await story(Lab(time, world, LabNodes(world)))

    asyncio.run(told())


def test_a_step_is_checked_carried_out_and_proved_by_the_node() -> None:
    """The second time its condition no longer holds: the node refuses, nothing is run."""

    async def story(lab: Lab) -> None:
        first = await lab.execute(LOAD)
        assert first.done, first.ended[0].result
        assert [step["output"] for step in lab.store.steps.values()] == ["loaded"]
        second = await lab.execute(LOAD)
        assert second.ended[0].result.outcome is Outcome.FAILED
        assert "no longer true that carp is not loaded" in second.ended[0].result.reason
        assert lab.store.steps[2]["output"].startswith("[not run: ")

    on_lab(story)


def test_a_lost_answer_is_indeterminate_although_the_step_ran() -> None:
    """Looking again is the only way to know."""

    async def story(lab: Lab) -> None:
        lab.nodes.faults["nas-a"] = Trouble("lost", once=True)
        outcome = await lab.execute(LOAD)
        assert outcome.ended[0].result.outcome is Outcome.INDETERMINATE
        again = await lab.execute(LOAD)
        assert "no longer true" in again.ended[0].result.reason

    on_lab(story)


def test_a_frozen_node_is_indeterminate_in_time_and_one_that_is_off_is_failed() -> None:
    """One may have run it, the other surely has not."""

    async def story(lab: Lab) -> None:
        lab.world.freeze("nas-a")
        began = lab.time.monotonic()
        outcome = await lab.execute(LOAD)
        assert outcome.ended[0].result.outcome is Outcome.INDETERMINATE
        assert lab.time.monotonic() - began < 90
        lab.world.thaw("nas-a")
        lab.world.power_off("nas-a")
        outcome = await lab.execute(LOAD)
        assert outcome.ended[0].result.outcome is Outcome.FAILED
        assert outcome.ended[0].result.reason.startswith("not run: ")

    on_lab(story)


def test_a_carp_change_on_a_node_wakes_its_cluster_within_a_second() -> None:
    """The real script, devd's own lines."""
    overrides: list[float] = []

    async def story(lab: Lab) -> None:
        watch = DevdWatch(
            lab.nodes,
            lab.time,
            random.Random(1),
            lambda cluster, seconds: overrides.append(lab.time.monotonic() + seconds),
            "toy",
        )
        watch.follow("pair", lab.targets)
        await lab.sh("nas-a", "kldload -n carp")
        await lab.time.sleep(5)
        overrides.clear()
        changed = lab.time.monotonic()
        await lab.sh("nas-a", "ifconfig vtnet1 inet 192.0.2.80/24 vhid 80 pass x alias")
        await lab.time.sleep(10)
        assert overrides
        assert overrides[0] - changed <= 1.0
        lab.world.power_off("nas-a")
        await lab.time.sleep(60)
        await watch.close()

    on_lab(story)


# --- a service that keeps failing: the count outlives the controller

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
                    Access(resolve, nobody_else, lambda row: None),
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
