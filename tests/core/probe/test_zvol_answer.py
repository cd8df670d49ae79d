"""HAST on a zvol, from the answer of a node to the plan: ZFS alone on a machine, replication below a volume of it.

`zvol.mesh` is the probe's section about GEOM of such a node, with a pool on a partition and swap on another volume. It
follows sys/geom/geom_dump.c and the classes of docs/freebsd-facts.md#7.61; it is not recorded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hactl.core.facts import Device, Known, Snapshot
from hactl.core.parse import parse_probe
from hactl.core.plan import make_plan
from hactl.core.probe.script import probe_script
from hactl.core.steps import Plan
from hactl.lab.shell.shell import drive, run_script
from support.lab.closed_loop import NONCE, SALT, Loop, example

MESH = (Path(__file__).parent / "zvol.mesh").read_text()
VOLUME = "/dev/zvol/zroot/hast0"
PROVIDER = "provider 0xfffff80003b77000 r0w0e0 zvol/zroot/hast0\n"


def on_zvols(data: dict[str, Any]) -> None:
    """The example, on volumes."""
    data["spec"]["groups"][0]["storage"][0]["hast"]["devices"] = {"nas-a": VOLUME, "nas-b": VOLUME}


def planned(mesh: str) -> tuple[Device, Plan]:
    """What is known of the volume of nas-a where GEOM is like that there, and the plan."""
    loop = Loop(example("nas", on_zvols))
    nodes = {}
    for name, tells in (("nas-a", mesh), ("nas-b", MESH)):
        answer, _, _ = drive(run_script(loop.machine(name), probe_script(loop.cluster, name, NONCE)))
        answer, places = re.subn(r"(begin mesh\n)[\s\S]*?(\n%%hactl \w+ end mesh )", rf"\1{tells}\2", answer)
        assert places == 1
        facts = parse_probe(loop.cluster, name, answer, nonce=NONCE, seen_at=loop.now, salt=SALT).facts
        nodes[name] = Known(facts, loop.now)
    device = nodes["nas-a"].value.devices[VOLUME]
    assert isinstance(device, Known)
    return device.value, make_plan(loop.cluster, Snapshot(loop.now, dict(nodes)), loop.now)


def test_a_volume_that_nobody_uses_is_initialised() -> None:
    """It is no disk, has no table and no label: GEOM knows it all the same, and that nobody has it."""
    device, plan = planned(MESH)
    assert device == Device(VOLUME, True, 134217728, 512, blank=True, used_by=(), use_known=True)
    assert {step.node for step in plan.steps if step.verb == "CreateMetadata"} == {"nas-a", "nas-b"}


def test_a_volume_that_is_swap_is_left_alone() -> None:
    """Who it is, is said."""
    swapped = MESH.replace("consumer 0xfffff80003b77300 r1w1e0", "consumer 0xfffff80003b77000 r1w1e0")
    device, plan = planned(swapped.replace(PROVIDER, PROVIDER.replace("r0w0e0", "r1w1e0")))
    assert device.used_by == ("swap",)
    assert not [step for step in plan.steps if step.verb == "CreateMetadata"]
    assert [hold.message for hold in plan.holds if hold.reason == "DeviceInUse"] == [
        f"data: {VOLUME} on nas-a is in use: swap"
    ]


def test_a_volume_that_is_no_provider_cannot_be_told() -> None:
    """volmode=dev: a device node, and nothing in GEOM. What would prove it is said, and what a person can do."""
    assert PROVIDER in MESH
    device, plan = planned(MESH.replace(PROVIDER, ""))
    assert (device.use_known, device.use_unknown) == (False, "it is no GEOM provider")
    assert not [step for step in plan.steps if step.verb == "CreateMetadata"]
    (hold,) = [hold for hold in plan.holds if hold.reason == "FactsUnknown" and hold.target == "data"]
    assert hold.message == (
        f"data: {VOLUME} on nas-a may be in use: hactl cannot tell who uses it (it is no GEOM provider)"
    )
    assert hold.remedy == (
        f"`hastctl create data` on nas-a yourself when you know that nobody uses {VOLUME}; "
        "or make it a provider: `zfs set volmode=geom zroot/hast0`, then export and import its pool"
    )


def test_a_mesh_that_was_cut_proves_nothing() -> None:
    """Whoever is missing could be the user."""
    device, plan = planned(MESH.replace("\nend\n", "\n"))
    assert (device.use_known, device.blank) == (False, True)
    assert device.use_unknown == "sysctl kern.geom.confxml: the list of GEOM's providers is not whole"
    assert not [step for step in plan.steps if step.verb == "CreateMetadata"]
