"""The runtime on simulated FreeBSD nodes: real step scripts in a real shell, real devd lines."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from hactl.core.outcome import StageOutcome
from hactl.core.steps import Check, Outcome, Plan, Risk, Stage, Step
from hactl.core.verbs import Verb
from hactl.lab.build import plug_recorded
from hactl.lab.front.nodes import LabNodes, Trouble
from hactl.lab.shell.shell import run_script
from hactl.lab.virtual_time import VirtualTime
from hactl.lab.world import World
from hactl.ports import Target
from hactl.runtime.passes.execute import ExecutionContext, Executor
from hactl.runtime.watch import DevdWatch
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
