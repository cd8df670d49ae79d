"""Every row of docs/freebsd-facts.md#1.2's table, its timers, and equal and capped priorities."""

from __future__ import annotations

import pytest

from support.lab.carp_pair import Pair, call

ALIAS = "ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 advskew {} pass x alias"


def pair(*skews: int, preempt: bool = False) -> Pair:
    """Machines with one vhid each; the first one is MASTER before the second is set up."""
    made = Pair(len(skews))
    made.carp()
    for machine, skew in zip(made.machines, skews, strict=True):
        if preempt:
            call(machine, "sysctl net.inet.carp.preempt=1")
        call(machine, ALIAS.format(skew))
        made.world.advance(4.5)
    return made


def log(made: Pair, node: str) -> list[str]:
    """The CARP lines of a machine's kernel log."""
    return [
        line.removeprefix("carp: ") for line in made.world.machines[node].kernel.messages if line.startswith("carp: ")
    ]


def test_init_to_backup_when_operational_with_an_address() -> None:
    """A new vhid with an address on a working link is BACKUP at once."""
    made = Pair(1)
    made.carp(ALIAS.format(0))
    assert made.states() == "BACKUP"
    assert log(made, "nas-a") == ["1@vtnet1: INIT -> BACKUP (initialization complete)"]


def test_no_address_stays_init() -> None:
    """A vhid without an address never leaves INIT."""
    made = Pair(1)
    made.carp("ifconfig vtnet1 vhid 7 state master")
    made.world.advance(30)
    assert made.states(7) == "INIT"


@pytest.mark.parametrize(("base", "skew", "seconds"), [(1, 0, 3.0), (1, 100, 3.390625), (2, 254, 6.9921875)])
def test_master_down_time_uses_raw_advskew(base: int, skew: int, seconds: float) -> None:
    """BACKUP becomes MASTER after 3*advbase + advskew/256 s (plus the tick), demotion not included."""
    made = Pair(1)
    made.carp("sysctl net.inet.carp.demotion=240")
    call(made.a, f"ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 advbase {base} advskew {skew} alias")
    made.world.advance(seconds)
    assert made.states() == "BACKUP"
    made.world.advance(0.02)
    assert made.states() == "MASTER"


def test_backup_ignores_a_slower_master_without_preempt() -> None:
    """preempt=0: a better BACKUP only restarts its timer."""
    made = pair(100, 0)
    made.world.advance(30)
    assert made.states() == "MASTER BACKUP"


def test_backup_preempts_a_slower_master() -> None:
    """preempt=1: strictly faster takes over on the next advertisement."""
    made = pair(100, 0, preempt=True)
    assert made.states() == "BACKUP MASTER"
    assert log(made, "nas-b")[-1] == "1@vtnet1: BACKUP -> MASTER (preempting a slower master)"
    assert log(made, "nas-a")[-1] == "1@vtnet1: MASTER -> BACKUP (more frequent advertisement received)"


def test_backup_never_preempts_an_equal_master() -> None:
    """Equal T: the master stays."""
    made = pair(50, 50, preempt=True)
    made.world.advance(60)
    assert made.states() == "MASTER BACKUP"


def test_backup_takes_over_from_a_master_that_will_time_out() -> None:
    """T(3*advbase, eff) < T(ad): at once, even without preempt."""
    made = pair(0, 0)
    call(made.a, "ifconfig vtnet1 vhid 1 advbase 4")
    made.world.advance(1.5)
    assert made.states() == "BACKUP MASTER"
    assert log(made, "nas-b")[-1] == "1@vtnet1: BACKUP -> MASTER (master will time out)"


def test_advbase_dominates_advskew() -> None:
    """T compares base first: advbase 2 advskew 0 is slower than advbase 1 advskew 254."""
    made = pair(0, 254, preempt=True)
    call(made.a, "ifconfig vtnet1 vhid 1 advbase 2")
    made.world.advance(3)
    assert made.states() == "BACKUP MASTER"


def test_master_steps_down_on_an_equal_advertisement() -> None:
    """Two masters of equal T that hear each other: the one that hears first steps down."""
    made = pair(50, 50)
    call(made.b, "ifconfig vtnet1 vhid 1 state master")
    made.world.advance(0.1)
    assert made.states() == "BACKUP MASTER"


def test_two_equal_masters_that_send_at_once_both_step_down() -> None:
    """Advertisements that cross on the wire make both BACKUP, and the race begins again."""
    made = pair(50, 50)
    for machine in made.machines:
        made.world.cut(machine.name, "vtnet1", "in")
    made.world.advance(5)
    assert made.states() == "MASTER MASTER"
    for machine in made.machines:
        made.world.join(machine.name, "vtnet1")
    for machine in made.machines:
        call(machine, "sysctl net.inet.carp.demotion=0")
    made.world.advance(0.01)
    assert made.states() == "BACKUP BACKUP"


def test_faster_master_keeps_advertising() -> None:
    """A worse node forced to MASTER steps down on the next advertisement."""
    made = pair(0, 100)
    call(made.b, "ifconfig vtnet1 vhid 1 state master")
    assert made.states() == "MASTER MASTER"
    made.world.advance(1.1)
    assert made.states() == "MASTER BACKUP"


def test_better_node_keeps_the_state_it_asked_for_without_preempt() -> None:
    """`state master` on the better node moves at once and stays."""
    made = pair(100, 0)
    call(made.b, "ifconfig vtnet1 vhid 1 state MASTER")
    made.world.advance(10)
    assert made.states() == "BACKUP MASTER"


@pytest.mark.parametrize(("late_seconds", "winner"), [(0.1, "MASTER BACKUP"), (0.9, "BACKUP MASTER")])
def test_state_backup_is_a_race(late_seconds: float, winner: str) -> None:
    """`state backup` makes both silent; who times out first depends on when the last advertisement was sent."""
    made = pair(0, 100)
    carp = made.a.net.carp
    assert carp is not None
    sent = carp.counters.sent["inet"]
    while carp.counters.sent["inet"] == sent:
        made.world.advance(0.01)
    made.world.advance(late_seconds)
    call(made.a, "ifconfig vtnet1 vhid 1 state backup")
    assert made.states() == "BACKUP BACKUP"
    made.world.advance(3.5)
    assert made.states() == winner


def test_state_is_ignored_in_init_and_init_does_nothing() -> None:
    """A request in INIT and a request for INIT both exit 0 and change nothing."""
    made = pair(0, 100)
    assert call(made.a, "ifconfig vtnet1 vhid 1 state init").status == 0
    assert made.states() == "MASTER BACKUP"
    made.world.cut("nas-a", "vtnet1")
    assert call(made.a, "ifconfig vtnet1 vhid 1 state master").status == 0
    assert made.states().startswith("INIT")


def test_link_loss_and_return() -> None:
    """No carrier: INIT and demotion; carrier: demotion back, BACKUP, election."""
    made = pair(0, 100)
    made.world.cut("nas-a", "vtnet1")
    assert made.states() == "INIT BACKUP"
    assert made.a.net.carp is not None
    assert made.a.net.carp.demotion == 240
    made.world.advance(3.5)
    assert made.states() == "INIT MASTER"
    made.world.join("nas-a", "vtnet1")
    assert made.a.net.carp.demotion == 0
    assert list(made.a.kernel.messages)[-3:] == [
        "carp: 1@vtnet1: INIT -> BACKUP (initialization complete)",
        "carp: demoted by -240 to 0 (interface up)",
        "vtnet1: link state changed to UP",
    ]


def test_interface_down_and_allow_zero_force_init() -> None:
    """`ifconfig down` and net.inet.carp.allow=0 count as not operational and demote per vhid."""
    made = pair(0, 100)
    call(made.a, "ifconfig vtnet1 inet 192.0.2.51/32 vhid 2 alias")
    call(made.a, "ifconfig vtnet1 down")
    assert made.run(made.a, "sysctl -n net.inet.carp.demotion").stdout == "480\n"
    call(made.a, "ifconfig vtnet1 up")
    assert made.run(made.a, "sysctl -n net.inet.carp.demotion").stdout == "0\n"
    call(made.a, "sysctl net.inet.carp.allow=0")
    assert made.states(1).split()[0] == made.states(2).split()[0] == "INIT"
    assert made.run(made.a, "sysctl -n net.inet.carp.demotion").stdout == "480\n"


def test_unknown_link_counts_as_down() -> None:
    """An interface that cannot tell its link state keeps vhids in INIT and demotes the node."""
    made = pair(0, 100)
    made.a.net.interfaces["vtnet1"].set_link_unknown()
    assert made.states().startswith("INIT")
    assert made.run(made.a, "sysctl -n net.inet.carp.demotion").stdout == "240\n"


def test_fully_demoted_node_ties_with_240() -> None:
    """advskew 240 and more, and a node demoted to the cap, are all equal: nobody preempts."""
    made = pair(240, 254, preempt=True)
    made.world.advance(20)
    assert made.states() == "MASTER BACKUP"
    call(made.a, "sysctl net.inet.carp.demotion=240")
    made.world.advance(20)
    assert made.states() == "MASTER BACKUP"


def test_family_timers_are_independent() -> None:
    """A vhid with both families becomes MASTER when only the IPv6 advertisements stop."""
    made = pair(0, 100)
    for machine in made.machines:
        call(machine, "ifconfig vtnet1 inet6 2001:db8::50/64 vhid 1 alias")
    made.world.advance(10)
    assert made.states() == "MASTER BACKUP"
    deaf = made.b.net.interfaces["vtnet1"]
    hear = deaf.receive
    deaf.receive = lambda ad: hear(ad) if ad.family == "inet" else None  # type: ignore[method-assign]
    made.world.advance(3.9)
    assert "1@vtnet1: BACKUP -> MASTER (master timed out)" in log(made, "nas-b")


def test_first_interval_as_master_uses_raw_advskew() -> None:
    """The advertisement after the first one ignores demotion, later ones include it."""
    made = Pair(1)
    made.carp("sysctl net.inet.carp.demotion=128")
    call(made.a, "ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 alias")
    carp = made.a.net.carp
    assert carp is not None
    made.world.advance(3.02)
    sent = [carp.counters.sent["inet"]]
    for seconds in (1.02, 1.02, 0.5):
        made.world.advance(seconds)
        sent.append(carp.counters.sent["inet"])
    assert sent == [1, 2, 2, 3]


def test_master_is_silent_when_it_loses_its_place_by_init() -> None:
    """There is no resign message: the peer waits for its own timer."""
    made = pair(0, 100)
    made.world.advance(0.2)
    call(made.a, "ifconfig vtnet1 inet 192.0.2.50 -alias")
    assert made.states() == "- BACKUP"
    made.world.advance(2.0)
    assert made.states() == "- BACKUP"
    made.world.advance(1.5)
    assert made.states() == "- MASTER"
