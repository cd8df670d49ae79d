"""Devices of every GEOM class below HAST: blank and unused they are initialised, used they are left alone by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from hactl.core.facts import Known
from hactl.lab.machine import Machine
from support.lab.closed_loop import Loop, example
from support.lab.serving import complaints

CLASSES = {
    "disk": "/dev/vtbd1",
    "zvol": "/dev/zvol/zroot/hast0",
    "mirror": "/dev/mirror/gm0",
    "partition of a mirror": "/dev/mirror/gm0p3",
    "partition": "/dev/vtbd1p2",
    "gpt label": "/dev/gpt/hast0",
    "label": "/dev/label/hast0",
    "geli": "/dev/vtbd1.eli",
    "md": "/dev/md4",
    "multipath": "/dev/multipath/hast0",
    "stripe": "/dev/stripe/hast0",
}


def on(device: str) -> Callable[[dict[str, Any]], None]:
    """The document with that device on both nodes."""

    def change(data: dict[str, Any]) -> None:
        data["spec"]["groups"][0]["storage"][0]["hast"]["devices"] = {"nas-a": device, "nas-b": device}

    return change


@pytest.mark.parametrize("device", CLASSES.values(), ids=CLASSES)
def test_a_blank_device_of_any_class_is_initialised_and_serves(device: str) -> None:
    """IfBlank; the pair converges, and a second look has nothing against it."""
    loop = Loop(example("nas", on(device)))
    executed = loop.converge()
    assert [line for line in executed if "hastctl create" in line] == [
        "nas-a: hastctl create data",
        "nas-b: hastctl create data",
    ]
    loop.world.advance(10.0)
    assert complaints(loop) == []
    assert loop.plan().stages == ()


@pytest.mark.parametrize("device", [device for name, device in CLASSES.items() if name != "disk"])
def test_a_device_of_another_class_is_no_disk(device: str) -> None:
    """geom(8) lists disks of one class only, as on FreeBSD: it says nothing about the others."""
    loop = Loop(example("nas", on(device)))
    name = device.removeprefix("/dev/")
    assert f"Name: {name}\n" not in loop.sh("nas-a", "geom disk list")
    assert f"<name>{name}</name>\n" in loop.sh("nas-a", "sysctl -n kern.geom.confxml")


def run(script: str) -> Callable[[Loop, Machine, str], None]:
    """By hand, with DEVICE in place of the device."""

    def use(loop: Loop, machine: Machine, device: str) -> None:
        said = loop.sh(machine.name, script.replace("DEVICE", device) + " >/dev/null && echo went well")
        assert said.endswith("went well\n"), said

    return use


def under(name: str) -> Callable[[Loop, Machine, str], None]:
    """A provider made of the device: gmirror label, geli attach, gmultipath create, glabel label."""

    def use(_: Loop, machine: Machine, device: str) -> None:
        machine.disks.stack(name, machine.disks.disks[device.removeprefix("/dev/")])

    return use


def opened(_: Loop, machine: Machine, device: str) -> None:
    """A process has it open."""
    machine.disks.disks[device.removeprefix("/dev/")].open("dd", 1, 0, 0)


def dumped(_: Loop, machine: Machine, device: str) -> None:
    """dumpon(8)."""
    machine.disks.dump_device = device.removeprefix("/dev/")


USES: dict[str, tuple[Callable[[Loop, Machine, str], None], str]] = {
    "mirror": (under("mirror/other"), "mirror other"),
    "stripe": (under("stripe/other"), "stripe other"),
    "multipath": (under("multipath/other"), "multipath other"),
    "geli": (under("md9.eli"), "geli md9.eli"),
    "label": (under("label/other"), "label label/other"),
    "partition table": (run("gpart create -s gpt DEVICE"), "GPT partition table"),
    "mounted": (run("newfs -U DEVICE && mkdir -p /mnt && mount DEVICE /mnt"), "mounted on /mnt"),
    "pool": (run("kldload zfs; zpool create other DEVICE"), "a ZFS pool"),
    "swap": (run("swapon DEVICE"), "swap"),
    "open": (opened, "open (r1w0e0)"),
    "dumps": (dumped, "crash dumps (dumpon(8))"),
}


def creating(loop: Loop) -> list[str]:
    """What the plan would create, in all of its stages."""
    return [step.command for step in loop.plan().steps if step.verb in ("CreateMetadata", "MakeFilesystem")]


@pytest.mark.parametrize("device", [CLASSES["zvol"], CLASSES["gpt label"]])
@pytest.mark.parametrize(("use", "user"), USES.values(), ids=USES)
def test_a_used_device_is_left_alone(device: str, use: Callable[[Loop, Machine, str], None], user: str) -> None:
    """Neither node's device would be touched, and the hold says who uses the one."""
    loop = Loop(example("nas", on(device)))
    use(loop, loop.machine("nas-a"), device)
    assert creating(loop) == []
    # Where something is written the reason is that; who uses it is said all the same.
    (hold,) = [h for h in loop.plan().holds if h.reason in ("DeviceInUse", "MetadataUnknown", "ForeignData")]
    assert hold.node == "nas-a"
    assert re.search(rf"in use: (.*, )?{re.escape(user)}", hold.message)


@pytest.mark.parametrize("name", ["disk", "partition of a mirror"])
@pytest.mark.parametrize("use", ["mirror", "pool"])
def test_a_used_device_keeps_what_is_on_it(name: str, use: str) -> None:
    """Everything that can be done is done, and the device is as it was."""
    loop = Loop(example("nas", on(CLASSES[name])))
    machine = loop.machine("nas-a")
    USES[use][0](loop, machine, CLASSES[name])
    disk = machine.disks.disks[CLASSES[name].removeprefix("/dev/")]
    before = disk.read(0, disk.mediasize)
    executed = loop.converge()
    assert disk.read(0, disk.mediasize) == before
    assert not [line for line in executed if "hastctl create" in line or "newfs" in line]


@pytest.mark.parametrize("device", ["/dev/gpt/hast0", "/dev/vtbd1p2", "/dev/multipath/hast0"])
def test_a_device_whose_bytes_somebody_uses_under_another_name_is_left_alone(device: str) -> None:
    """What a label, a partition and a path of several are made of is asked too."""
    loop = Loop(example("nas", on(device)))
    disks = loop.machine("nas-b").disks
    disks.disks[device.removeprefix("/dev/")].made_of[0].open("zfs other", 1, 1, 1)
    assert creating(loop) == []
    (hold,) = [hold for hold in loop.plan().holds if hold.reason == "DeviceInUse"]
    assert hold.message == f"data: {device} on nas-b is in use: a ZFS pool"


@pytest.mark.parametrize("device", ["/dev/vtbd1", "/dev/zvol/zroot/hast0"])
def test_a_node_that_does_not_tell_its_mesh_is_not_guessed_at(device: str) -> None:
    """sysctl without an answer: cannot tell, and what a person can do; with one, the pair converges."""
    loop = Loop(example("nas", on(device)))
    disks = loop.machine("nas-b").disks
    whole = disks.confxml
    disks.confxml = lambda: whole().partition("</class>")[0]  # type: ignore[method-assign]
    assert creating(loop) == []
    (hold,) = [hold for hold in loop.plan().holds if hold.reason == "FactsUnknown"]
    assert (
        "cannot tell who uses it (sysctl kern.geom.confxml: the list of GEOM's providers is not whole)" in hold.message
    )
    assert hold.remedy.startswith("`hastctl create data` on nas-b yourself when you know that nobody uses")
    disks.confxml = whole  # type: ignore[method-assign]
    loop.converge()
    loop.world.advance(10.0)
    assert complaints(loop) == []


def test_what_a_person_created_is_taken() -> None:
    """The remedy of a device about which hactl cannot tell works: what they create is served."""
    loop = Loop(example("nas", on("/dev/zvol/zroot/hast0")))
    for node in ("nas-a", "nas-b"):
        disks = loop.machine(node).disks
        disks.confxml = lambda: "<mesh>\n</mesh>\n"  # type: ignore[method-assign]
    loop.converge()
    assert "FactsUnknown" in {hold.reason for hold in loop.plan().holds}
    for node in ("nas-a", "nas-b"):
        assert loop.sh(node, "hastctl create data") == ""
    loop.converge()
    loop.world.advance(10.0)
    assert complaints(loop) == []


def test_a_check_on_the_node_sees_a_use_that_came_after_the_look() -> None:
    """The step's own check asks GEOM again: a mirror that took the volume meanwhile keeps it."""
    loop = Loop(example("nas", on("/dev/zvol/zroot/hast0")))
    for _ in range(20):
        plan = loop.plan()
        if any(step.verb == "CreateMetadata" for step in plan.stages[0].steps):
            break
        loop.stage(plan.stages[0])
    (create,) = [step for step in plan.stages[0].steps if step.verb == "CreateMetadata" and step.node == "nas-a"]
    machine = loop.machine("nas-a")
    disk = machine.disks.disks["zvol/zroot/hast0"]
    machine.disks.stack("mirror/gm0", disk)
    assert loop.step(create).outcome.value != "Done"
    assert not any(disk.read(0, 1 << 20))
    reading = loop.look().nodes["nas-a"]
    assert isinstance(reading, Known)
    device = reading.value.devices["/dev/zvol/zroot/hast0"]
    assert isinstance(device, Known)
    assert device.value.used_by == ("mirror gm0",)
