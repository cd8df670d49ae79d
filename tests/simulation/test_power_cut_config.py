"""Configuration survives: whatever hactl wrote on a node is there after a power cut at any moment, whole.

A step that is Done is on the disk; one that was cut left the old file or the new one. Facts:
docs/freebsd-facts.md#7.1, #7.17.
"""

from __future__ import annotations

import pytest

from hactl.core.changes import AnyChange
from hactl.core.changes.boot import SetRcVariable, SetSysctlConf, WriteBootAliases
from hactl.core.changes.change import STATE_DIRECTORY
from hactl.core.changes.hast import WriteHastConf
from hactl.core.changes.hook import NoteDrained, WriteHook
from hactl.core.steps import Outcome, Risk, Step, StepResult
from hactl.lab.machine import Machine
from hactl.lab.rc.costs import Costs
from support.lab.closed_loop import Fate, Loop, example
from support.lab.serving import complaints

#: What a step is for, and is made anew by whoever needs it.
MOUNT_POINTS = ("/data", "/tank")


def written(machine: Machine) -> list[str]:
    """What a power cut could change of what hactl's steps write."""
    notes = (f"{STATE_DIRECTORY}/{name}" for name in ("lease", "drained", "confirmed.data"))
    known = {STATE_DIRECTORY, *notes}
    return [
        path
        for path in machine.disks.root.volatile()
        if path not in MOUNT_POINTS and (path in known or not path.startswith(f"{STATE_DIRECTORY}/"))
    ]


class Careful(Loop):
    """A loop in which each step that is Done is on the disk."""

    def step(self, step: Step, fate: Fate = "ok", *, lease: int | None = None) -> StepResult:
        """As ever, and then the disk is asked."""
        result = super().step(step, fate, lease=lease)
        if result.outcome is Outcome.DONE:
            assert written(self.machine(step.node)) == [], step.key
        return result


@pytest.mark.parametrize("name", ["nas", "firewall"])
def test_what_a_step_wrote_is_on_the_disk_when_it_is_done(name: str) -> None:
    """From blank machines to serving, and then a change of the document."""
    loop = Careful(example(name))
    loop.converge()

    def edit(data: dict[str, object]) -> None:
        data["spec"]["groups"][0]["virtualIPs"][0]["addresses"] = ["192.0.2.90/24"]  # type: ignore[index]
        data["spec"]["carp"] = {"preempt": False}  # type: ignore[index]

    loop.document, loop.generation = example(name, edit), 2
    loop.converge()
    assert loop.executed


def test_a_cut_right_after_any_step_loses_nothing_of_it() -> None:
    """The power of the node goes the moment the step is Done; it comes back, and all converges."""
    for kind in ("WriteHastConf", "WriteHook", "sysrc"):
        loop = Loop(example("nas"))
        while not any(text.split(" ")[1] == kind for text in loop.executed):
            stage = loop.plan().stages[0]
            for step in stage.steps:
                loop.step(step)
                if loop.executed[-1].split(" ")[1] == kind:
                    break
            loop.world.advance(0.5)
        node = loop.executed[-1].split(":")[0]
        before = loop.machine(node).files.tree("/etc")
        loop.world.power_off(node)
        after = loop.machine(node).files.tree("/etc")
        assert after == before, kind
        loop.world.power_on(node)
        loop.world.advance(60.0)
        loop.converge()
        assert complaints(loop) == [], kind


HAST_CONF = """\
# Written by hactl
resource data {
	on nas-a {
		local /dev/vtbd1
		remote 198.51.100.12
	}
	on nas-b {
		local /dev/vtbd1
		remote 198.51.100.11
	}
}
"""
#: More than a step starts programs.
TRIES = 20
#: What was there before the step, and the step.
OLD = {
    "/etc/rc.conf": 'hostname="nas-b"\nkld_list="zfs" # mine\n',
    "/etc/sysctl.conf": "net.inet.carp.preempt=0\n",
    "/etc/hast.conf": "# Written by hactl\n",
    "/etc/rc.conf.d/netif": '# BEGIN hactl\nifconfig_vtnet1_alias0="inet 192.0.2.9/24 vhid 9"\n# END hactl\nmine=1\n',
    "/usr/local/etc/devd/hactl.conf": "# Written by hactl\n",
    f"{STATE_DIRECTORY}/drained": "old\n",
}
WRITES: dict[str, AnyChange] = {
    "/etc/rc.conf": SetRcVariable("kld_list", "carp", append=True),
    "/etc/sysctl.conf": SetSysctlConf("net.inet.carp.preempt", 1),
    "/etc/hast.conf": WriteHastConf(HAST_CONF),
    "/etc/rc.conf.d/netif": WriteBootAliases(()),
    "/usr/local/etc/devd/hactl.conf": WriteHook("/usr/local/etc/devd/hactl.conf", "# Written by hactl 2\n", 0o644, ""),
    f"{STATE_DIRECTORY}/drained": NoteDrained("new"),
}


@pytest.mark.parametrize("path", WRITES)
def test_a_cut_within_a_step_leaves_the_old_file_or_the_new_one(path: str) -> None:
    """At each program of the step the power goes, often enough to meet every chance of the disk."""
    step = Step.of("nas-b", WRITES[path], "why", Risk.NONE)
    loop = Loop(example("nas"))
    machine = loop.machine("nas-b")
    machine.rc.costs = Costs(0.1)
    found: set[str | None] = set()
    whole = ""
    for cut in range(TRIES):
        machine.files.mkdir(path.rpartition("/")[0])
        machine.files.write_text(path, OLD[path])
        machine.disks.root.write_all()
        if cut:
            loop.world.at(cut * 0.1 - 0.05, lambda: loop.world.power_off("nas-b"))
        loop.step(step)
        if not cut:
            whole = machine.files.read_text(path)
            assert whole != OLD[path]
            continue
        loop.world.advance(TRIES * 0.1)
        found.add(machine.files.read_text(path) if machine.files.exists(path) else None)
        loop.world.power_on("nas-b")
        loop.world.advance(loop.world.boot_seconds + 1.0)
    assert found == {OLD[path], whole}
