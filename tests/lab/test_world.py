"""The event engine, power, frozen time, cables, logs and the documents' wiring."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from hactl.core.objects import HACluster
from hactl.lab.build import build_world
from hactl.lab.clock import RealClock, VirtualClock
from hactl.lab.machine import Machine, osreldate
from hactl.lab.shell.shell import drive
from hactl.lab.world import World
from support.lab.carp_pair import Pair, call
from support.limits import LIMIT_SECONDS

EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"


def document(name: str) -> HACluster:
    """One of the example documents."""
    return HACluster.model_validate(YAML(typ="safe").load((EXAMPLES / name).read_text()))


# the engine


def test_events_of_one_instant_run_in_order() -> None:
    """Time first, then the order of scheduling; what is scheduled meanwhile still runs in this advance."""
    world, seen = World(VirtualClock()), list[str]()
    world.at(2, lambda: seen.append("c"))
    world.at(1, lambda: seen.append("a"))
    world.at(1, lambda: world.at(0, lambda: seen.append("b")))
    world.advance(1)
    assert seen == ["a", "b"]
    world.advance(1)
    assert seen == ["a", "b", "c"]
    assert world.clock.monotonic() == 2.0


def test_cancelled_events_do_not_happen() -> None:
    """A handle can be cancelled until it fires."""
    world, seen = World(VirtualClock()), list[int]()
    world.at(1, lambda: seen.append(1)).cancel()
    world.advance(5)
    assert seen == []


def test_virtual_sleep_advances_the_world_without_suspending() -> None:
    """A coroutine driven by hand runs to its end in one go, and events happen meanwhile."""
    world, seen = World(VirtualClock()), list[str]()

    async def work() -> None:
        await world.clock.sleep(3)
        seen.append("woke")

    world.at(1, lambda: seen.append("event"))
    drive(work())
    assert seen == ["event", "woke"]


def test_suspending_under_virtual_time_is_an_error() -> None:
    """A coroutine that awaits anything but the clock would hang the world: say so."""
    world = World(VirtualClock())

    async def work() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="not the clock"):
        world.spawn(work())


def test_a_machines_coroutine_ends_with_its_power() -> None:
    """What a machine was doing when the plug was pulled is not finished."""
    made, seen = Pair(), list[str]()

    async def work() -> None:
        seen.append("begun")
        await made.world.clock.sleep(5)
        seen.append("finished")

    made.world.at(2, lambda: made.world.power_off("nas-a"))
    made.world.spawn(work(), machine=made.a)
    made.world.advance(10)
    assert seen == ["begun"]


async def test_a_machines_task_ends_with_its_power() -> None:
    """The same under real time: the task is cancelled."""
    world, seen = World(RealClock()), list[str]()
    machine = Machine(world, "nas-a")
    machine.powered = True

    async def work() -> None:
        try:
            await world.clock.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    world.spawn(work(), machine=machine)
    await asyncio.sleep(0)
    world.power_off("nas-a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == ["cancelled"]


def test_wait_until() -> None:
    """True as soon as the condition holds, False after the timeout."""
    world, facts = World(VirtualClock()), list[bool]()
    world.at(2, lambda: facts.append(True))

    async def work() -> None:
        assert await world.wait_until(lambda: bool(facts), 5)
        assert world.clock.monotonic() == pytest.approx(2.0, abs=0.11)
        assert not await world.wait_until(lambda: False, 1)

    drive(work())


async def test_real_time_runs_what_is_due_and_tells_the_pump() -> None:
    """`run_due` runs due events and says how long to wait; `on_earlier` wakes the pump for a nearer event."""
    world, seen, woken = World(RealClock()), list[str](), list[str]()
    world.on_earlier = lambda: woken.append("wake")
    world.at(30, lambda: seen.append("later"))
    world.at(-1, lambda: seen.append("due"))
    world.at(60, lambda: seen.append("much later"))
    wait = world.run_due()
    assert seen == ["due"]
    assert woken == ["wake", "wake"]
    assert wait is not None
    assert 29 < wait <= 30


async def test_real_time_spawns_tasks() -> None:
    """Under real time a coroutine becomes a task of the running loop."""
    world, done = World(RealClock()), asyncio.Event()

    async def work() -> None:
        done.set()

    world.spawn(work())
    await asyncio.wait_for(done.wait(), LIMIT_SECONDS)


# power


def alias_at_boot(made: Pair) -> None:
    """The boot-time configuration of recording 09 on nas-b."""
    with_alias = made.b.files.read_text("/etc/rc.conf")
    with_alias += 'ifconfig_vtnet1_alias0="inet vhid 80 advskew 100 pass s3cret alias 192.0.2.80/24"\nkld_list="carp"\n'
    made.b.files.write_text("/etc/rc.conf", with_alias)
    made.b.files.append("/etc/sysctl.conf", "net.inet.carp.preempt=1\n")
    made.b.disks.root.write_all()


def test_power_loss_takes_memory_and_leaves_the_disk() -> None:
    """Module, vhids, demotion and the message buffer are gone; files, uuid and cables stay."""
    made = Pair()
    made.carp("ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 alias")
    call(made.a, "sysctl net.inet.carp.demotion=7")
    made.a.files.write_text("/var/db/kept", "kept")
    call(made.a, "fsync /var/db/kept")
    uuid = made.a.hostuuid
    made.world.power_off("nas-a")
    assert (made.a.powered, made.a.running) == (False, False)
    made.world.power_on("nas-a")
    made.world.advance(14.9)
    assert made.a.powered
    assert not made.a.running
    made.world.advance(0.2)
    assert made.a.running
    assert made.states() == "- -"
    assert call(made.a, "kldstat -q -m carp").status == 1
    assert made.a.files.read_text("/var/db/kept") == "kept"
    assert (made.a.hostuuid, made.a.boot_count) == (uuid, 2)
    assert not any("carp" in line for line in made.a.kernel.messages)


def test_boot_brings_the_address_up_as_recorded() -> None:
    """Recording 09: kld_list and an alias in rc.conf make the node MASTER within seconds of boot."""
    made = Pair()
    alias_at_boot(made)
    made.world.power_off("nas-b")
    made.world.power_on("nas-b")
    made.world.advance(22)
    shown = call(made.b, "ifconfig vtnet1").stdout
    assert "\tinet 192.0.2.80 netmask 0xffffff00 broadcast 192.0.2.255 vhid 80\n" in shown
    assert "\tcarp: MASTER vhid 80 advbase 1 advskew 100\n" in shown
    assert [line for line in made.b.kernel.messages if "carp" in line or "promisc" in line] == [
        "vtnet1: promiscuous mode enabled",
        "carp: 80@vtnet1: INIT -> BACKUP (initialization complete)",
        "carp: 80@vtnet1: BACKUP -> MASTER (master timed out)",
    ]
    assert call(made.b, "sysctl net.inet.carp.preempt net.inet.carp.demotion").stdout == (
        "net.inet.carp.preempt: 1\nnet.inet.carp.demotion: 0\n"
    )
    assert call(made.b, "uptime").stdout.split("up", 1)[1].startswith(" 17 secs, 0 users")


def test_two_unknown_names_exit_with_two() -> None:
    """Recording 08, step 3: sysctl's exit status counts failures; -i makes them no failures."""
    made = Pair(1)
    result = call(made.a, "sysctl net.inet.carp.preempt net.inet.carp.demotion")
    assert (result.status, result.stdout) == (2, "")
    assert result.stderr == (
        "sysctl: unknown oid 'net.inet.carp.preempt'\nsysctl: unknown oid 'net.inet.carp.demotion'\n"
    )
    assert call(made.a, "sysctl -i net.inet.carp.preempt").status == 0


def test_sysctl_refusals() -> None:
    """Read-only, bad and refused values: text, status, and the old value where it was printed."""
    made = Pair(1)
    made.carp()
    result = call(made.a, "sysctl net.inet.carp.dscp=99")
    assert (result.stdout, result.status) == ("net.inet.carp.dscp: 56\n", 1)
    assert result.stderr == "sysctl: net.inet.carp.dscp=99: Invalid argument\n"
    assert call(made.a, "sysctl net.inet.carp.log=x").stderr == "sysctl: invalid integer 'x'\n"
    assert call(made.a, "sysctl kern.osrelease=1").stderr == "sysctl: oid 'kern.osrelease' is read only\n"
    assert call(made.a, "sysctl net.inet.carp=1").stderr == "sysctl: oid 'net.inet.carp' isn't a leaf node\n"


def test_reboot_is_clean_and_returns() -> None:
    """reboot: down for boot_seconds, then running with a new boot."""
    made = Pair()
    made.world.boot_seconds = 6
    made.world.reboot("nas-a")
    assert not made.a.running
    made.world.advance(10)
    assert made.a.running
    assert made.a.boot_count == 2


def test_events_of_a_machine_die_with_its_power() -> None:
    """Nothing that was scheduled before a power loss happens after it."""
    made, seen = Pair(), list[str]()
    made.world.at(20, lambda: seen.append("old"), machine=made.a)
    made.world.power_off("nas-a")
    made.world.power_on("nas-a")
    made.world.advance(60)
    assert seen == []


def test_frozen_time_stands_still() -> None:
    """Events keep the rest of their time, the clock is behind, uptime does not count the pause."""
    made, seen = Pair(), list[float]()
    made.world.at(10, lambda: seen.append(made.world.clock.monotonic()), machine=made.a)
    up, start = made.a.uptime_seconds(), made.world.clock.monotonic()
    made.world.advance(4)
    made.world.freeze("nas-a")
    made.world.advance(100)
    assert seen == []
    made.world.thaw("nas-a")
    made.world.advance(6)
    assert seen == [start + 110]
    assert made.a.uptime_seconds() == pytest.approx(up + 10)
    assert made.b.epoch() - made.a.epoch() == pytest.approx(100)


# cables


def test_connected_is_one_way() -> None:
    """in and out cut one direction, both pulls the cable, join heals; frozen machines answer nothing."""
    made = Pair()
    world = made.world

    def ways() -> tuple[bool, bool]:
        return world.connected("nas-a", "nas-b", "replication"), world.connected("nas-b", "nas-a", "replication")

    assert ways() == (True, True)
    world.cut("nas-a", "vtnet2", "out")
    assert ways() == (False, True)
    world.join("nas-a", "vtnet2")
    world.cut("nas-a", "vtnet2")
    assert ways() == (False, False)
    assert "status: no carrier" in call(made.a, "ifconfig vtnet2").stdout
    world.join("nas-a", "vtnet2")
    world.advance(5)
    assert ways() == (True, True)
    world.freeze("nas-b")
    assert ways() == (False, False)


def test_cut_without_an_interface_takes_all_cables() -> None:
    """Every interface but the loopback loses its carrier."""
    made = Pair()
    made.world.cut("nas-a")
    down = [port.name for port in made.a.net.interfaces.values() if not port.carrier]
    assert down == ["vtnet0", "vtnet1", "vtnet2"]


def test_reaches_follows_the_master() -> None:
    """A packet for a virtual IP goes where it is MASTER, for a base address to its machine."""
    made = Pair(3)
    lines = [f"ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 advskew {skew} alias" for skew in (0, 100, 200)]
    made.carp(*lines)
    made.world.advance(5)
    assert made.world.reaches("nas-c", "192.0.2.50") is made.a
    assert made.world.reaches("nas-c", "192.0.2.12") is made.machines[1]
    made.world.power_off("nas-a")
    made.world.advance(5)
    assert made.world.reaches("nas-c", "192.0.2.50") is made.machines[1]


# logs


def test_kernel_messages_reach_syslog() -> None:
    """Recording 02, step 137: `Nov 23 15:58:39 nas-a kernel: carp: ...`."""
    made = Pair(1)
    made.carp("ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 alias")
    last = made.a.files.read_text("/var/log/messages").splitlines()[-1]
    assert last == "Nov 23 15:33:38 nas-a kernel: carp: 1@vtnet1: INIT -> BACKUP (initialization complete)"


def test_repeated_lines_are_counted_as_syslogd_counts() -> None:
    """Equal lines in a row become one count, written after 30 s or before the next different line."""
    made = Pair(1)
    for _ in range(5):
        made.a.log("daemon", "hastd[9]", "again")
        made.world.advance(10)
    made.a.log("daemon", "hastd[9]", "other")
    lines = [line.split(" ", 3)[3] for line in made.a.files.read_text("/var/log/daemon.log").splitlines()]
    assert lines == [
        "nas-a hastd[9]: again",
        "nas-a syslogd: last message repeated 3 times",
        "nas-a syslogd: last message repeated 1 times",
        "nas-a hastd[9]: other",
    ]


# documents


def test_storage_document_is_wired_like_the_recorded_pair() -> None:
    """nas.yaml: vtnet1 in the VIP's subnet, vtnet2 with the HAST address, the disk blank, the service known."""
    world = build_world(document("nas.yaml"), VirtualClock())
    machine = world.machines["nas-b"]
    assert [port.name for port in machine.net.interfaces.values()] == ["vtnet0", "vtnet1", "vtnet2", "lo0"]
    assert call(machine, "ifconfig -l").stdout == "vtnet0 vtnet1 vtnet2 lo0\n"
    assert "inet 192.0.2.12 netmask 0xffffff00" in call(machine, "ifconfig vtnet1").stdout
    assert "inet 198.51.100.12 netmask 0xffffff00" in call(machine, "ifconfig vtnet2").stdout
    assert "inet 10.0.2.15 netmask 0xffffff00" in call(machine, "ifconfig vtnet0").stdout
    assert machine.disks.provider("/dev/vtbd1") is not None
    assert machine.running
    assert call(machine, "kldstat -q -m carp").status == 1


def test_firewall_document_has_both_families_and_named_interfaces() -> None:
    """firewall.yaml: interfaces by node share a segment; IPv6 base addresses; no base address is a virtual one."""
    world = build_world(document("firewall.yaml"), VirtualClock())
    one, two = world.machines["fw-1"], world.machines["fw-2"]
    assert one.net.interfaces["ix1"].segment == two.net.interfaces["igb1"].segment
    assert one.net.interfaces["ix0"].segment != one.net.interfaces["ix1"].segment
    assert "inet6 2001:db8:1::11 prefixlen 64" in call(one, "ifconfig ix1").stdout
    assert "inet 198.51.100.12 netmask" in call(two, "ifconfig igb0").stdout


def test_hast_address_in_the_subnet_of_a_virtual_ip_needs_no_own_interface() -> None:
    """One LAN for everything: the base address is the HAST address."""
    text = (EXAMPLES / "nas.yaml").read_text().replace("198.51.100.", "192.0.2.1")
    world = build_world(HACluster.model_validate(YAML(typ="safe").load(text)), VirtualClock())
    machine = world.machines["nas-a"]
    assert [port.name for port in machine.net.interfaces.values()] == ["vtnet0", "vtnet1", "lo0"]
    assert machine.net.interfaces["vtnet1"].find("192.0.2.111") is not None


@pytest.mark.parametrize(
    ("release", "number"), [("13.2-RELEASE-p5", 1302001), ("14.2-RELEASE", 1402000), ("15.1-RELEASE", 1501000)]
)
def test_osreldate(release: str, number: int) -> None:
    """Known releases as recorded in docs/freebsd-facts.md#5, others from their name."""
    assert osreldate(release) == number


def test_a_day_of_a_steady_pair_costs_little() -> None:
    """Simulated time is cheap: about two events a second, and the election is still as it was."""
    made = Pair()
    made.carp(*(f"ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 advskew {skew} alias" for skew in (0, 100)))
    made.world.advance(5)
    order = made.world._order
    made.world.advance(3600)
    assert made.states() == "MASTER BACKUP"
    assert made.world._order - order < 3600 * 2
