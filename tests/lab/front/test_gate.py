"""What a controller does with a key that only looks: it asks the gate for looks and for what tells at once, and acts
never.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hactl.core.choices import NodeAccess
from hactl.core.facts import Known, Unknown
from hactl.core.gate.render import GATE, gate_id, gate_text
from hactl.core.probe.script import probe_script
from hactl.core.steps import Outcome, Plan, Risk, Stage, Step
from hactl.core.verbs import Verb
from hactl.lab.build import build_world
from hactl.lab.front.nodes import LabNodes
from hactl.lab.virtual_time import VirtualTime
from hactl.ports import Target
from hactl.runtime.passes.execute import ExecutionContext, Executor
from hactl.runtime.passes.observe import Depth, Observer
from support.facts.builder import nas_cluster
from support.toy_world import ToyStore

CLUSTER = nas_cluster()
NAMES = [node.name for node in CLUSTER.nodes]


def targets(access: NodeAccess = NodeAccess.OBSERVE) -> dict[str, Target]:
    """How to reach them; the lab goes by the name."""
    root = {name: Target(CLUSTER.name, name, name, 22, "root", ("ssh-ed25519 AAAA",)) for name in NAMES}
    return {name: replace(each, access=access, gate=gate_id(CLUSTER, name)) for name, each in root.items()}


def test_a_controller_looks_through_the_gate_and_never_acts() -> None:
    """Full and quick looks, and the stream; without the gate the node is Unknown with the reason; no step is sent."""

    async def story(time: VirtualTime) -> None:
        world = build_world(CLUSTER.document, time)
        time.attach(world)
        await time.sleep(30.0)
        nodes = LabNodes(world)
        observer = Observer(nodes, time, b"salt")
        blind = await observer.observe(CLUSTER, targets())
        assert all(isinstance(reading, Unknown) for reading in blind.nodes.values())
        for name in NAMES:
            files = world.machines[name].files
            files.mkdir(GATE.rpartition("/")[0])
            files.write_text(GATE, gate_text(CLUSTER, name), 0o500)
        await time.sleep(30.0)
        snapshot = await observer.observe(CLUSTER, targets())
        assert all(isinstance(reading, Known) for reading in snapshot.nodes.values()), snapshot.nodes
        by_root = await Observer(nodes, time, b"salt").observe(CLUSTER, targets(NodeAccess.ROOT))
        for name in NAMES:
            gated, root = snapshot.nodes[name], by_root.nodes[name]
            assert isinstance(gated, Known)
            assert isinstance(root, Known)
            assert replace(gated.value, seen_at=0.0) == replace(root.value, seen_at=0.0)
        nodes.log.clear()
        quick = await observer.observe(CLUSTER, targets(), depth=Depth.QUICK)
        assert all(isinstance(reading, Known) for reading in quick.nodes.values())
        assert all(ran.script.startswith(f"gate {gate_id(CLUSTER, ran.node)}\nlook ") for ran in nodes.log)
        assert not any(probe_script(CLUSTER, ran.node, "0" * 16)[:40] in ran.script for ran in nodes.log)
        assert await observer.listens(targets()[NAMES[0]], "token") is None

        nodes.log.clear()
        step = Step(NAMES[0], Verb.LOAD_MODULE, "carp", "it is not loaded", "kldload carp", Risk.NONE)
        plan = Plan(CLUSTER.name, 1, (Stage("test", (step,)),))
        store = ToyStore()
        store.leases[CLUSTER.name] = 1000
        context = ExecutionContext(plan, targets(), lambda _: "", "tester", "test", 1000)
        outcome = await Executor(nodes, store, time).execute(context, plan.stages[0], stop=asyncio.Event())
        (ended,) = outcome.ended
        assert ended.result.outcome is Outcome.FAILED
        assert f"the key for {NAMES[0]} only looks (access: Observe); nothing was sent" in ended.result.reason
        assert nodes.log == []
        await nodes.close()

    async def told() -> None:
        async with VirtualTime() as time:
            await story(time)

    asyncio.run(told())
