"""Demotion accounting, authentication and counters, preemption by demotion (docs/freebsd-facts.md#1.1 to #1.3)."""

from __future__ import annotations

from support.lab.carp_pair import Pair, call

ALIAS = "ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 advskew {} pass {} alias"


def pair(preempt: int = 1) -> Pair:
    """nas-a MASTER (0), nas-b BACKUP (100)."""
    made = Pair()
    made.carp(f"sysctl net.inet.carp.preempt={preempt}", f"sysctl net.inet.carp.preempt={preempt}")
    made.carp(ALIAS.format(0, "s3cret"), ALIAS.format(100, "s3cret"))
    made.world.advance(5)
    assert made.states() == "MASTER BACKUP"
    return made


def test_demoting_the_master_moves_the_address_in_milliseconds() -> None:
    """The demoted node advertises at once and the peer preempts on that packet."""
    made = pair()
    assert call(made.a, "sysctl net.inet.carp.demotion=240").stdout == "net.inet.carp.demotion: 0 -> 240\n"
    made.world.advance(0.005)
    assert made.states() == "BACKUP MASTER"


def test_demotion_moves_nothing_without_preempt() -> None:
    """preempt=0 on the peer: the demoted node stays MASTER."""
    made = pair(preempt=0)
    call(made.a, "sysctl net.inet.carp.demotion=240")
    made.world.advance(60)
    assert made.states() == "MASTER BACKUP"


def test_writing_demotion_adds() -> None:
    """The sysctl adds what is written, also negative values; each write is logged."""
    made = pair()
    assert call(made.a, "sysctl net.inet.carp.demotion=100").stdout.endswith("0 -> 100\n")
    assert call(made.a, "sysctl net.inet.carp.demotion=100").stdout.endswith("100 -> 200\n")
    assert call(made.a, "sysctl net.inet.carp.demotion=-200").stdout.endswith("200 -> 0\n")
    assert made.a.kernel.messages[-1] == "carp: demoted by -200 to 0 (sysctl)"
    assert "carp: demoted by 100 to 200 (sysctl)" in made.a.kernel.messages


def test_factor_changed_while_down_leaves_a_residue() -> None:
    """What is subtracted is the factor of that moment."""
    made = pair()
    made.world.cut("nas-a", "vtnet1")
    call(made.a, "sysctl net.inet.carp.ifdown_demotion_factor=100")
    made.world.join("nas-a", "vtnet1")
    assert call(made.a, "sysctl -n net.inet.carp.demotion").stdout == "140\n"


def test_removing_a_suppressed_vhid_gives_its_demotion_back() -> None:
    """`vhid removed` subtracts the factor."""
    made = pair()
    made.world.cut("nas-a", "vtnet1")
    call(made.a, "ifconfig vtnet1 inet 192.0.2.50 -alias")
    assert call(made.a, "sysctl -n net.inet.carp.demotion").stdout == "0\n"
    assert "carp: demoted by -240 to 0 (vhid removed)" in made.a.kernel.messages


def test_send_errors_demote_until_three_sends_work() -> None:
    """Three failed sends demote, three good ones undo it."""
    made = Pair(1)
    made.carp(ALIAS.format(0, "s3cret"))
    made.world.advance(5)
    port = made.a.net.interfaces["vtnet1"]
    port.send_error = 50
    made.world.advance(6)
    assert "carp: demoted by 240 to 240 (send error 50 on vtnet1)" in made.a.kernel.messages
    port.send_error = None
    made.world.advance(6)
    assert "carp: demoted by -240 to 0 (send ok on vtnet1)" in made.a.kernel.messages


def test_wrong_password_is_a_silent_dual_master() -> None:
    """Different keys: both MASTER, nothing logged about it, only the counter grows on both."""
    made = pair()
    call(made.b, "ifconfig vtnet1 vhid 1 pass wrong")
    made.world.advance(10)
    assert made.states() == "MASTER MASTER"
    for machine in made.machines:
        assert machine.net.carp is not None
        assert machine.net.carp.counters.bad_authentication >= 5
        assert not any("hash" in line for line in machine.kernel.messages)
    call(made.b, "ifconfig vtnet1 vhid 1 pass s3cret")
    made.world.advance(3)
    assert made.states() == "MASTER BACKUP"


def test_log_level_two_names_bad_hashes_and_zero_is_silent() -> None:
    """net.inet.carp.log: 2 logs bad packets, 0 logs nothing but still emits devd events."""
    made = pair()
    call(made.a, "sysctl net.inet.carp.log=2")
    call(made.b, "ifconfig vtnet1 vhid 1 pass wrong")
    made.world.advance(6)
    assert "carp_input_c: incorrect hash for VHID 1@vtnet1" in made.a.kernel.messages
    call(made.a, "sysctl net.inet.carp.log=0")
    seen: list[str] = []
    made.a.devctl.listeners.append(seen.append)
    before = len(made.a.kernel.messages)
    call(made.a, "ifconfig vtnet1 vhid 1 state backup")
    assert seen == ["!system=CARP subsystem=1@vtnet1 type=BACKUP"]
    assert [line for line in list(made.a.kernel.messages)[before:] if line.startswith("carp:")] == []


def test_a_different_address_set_is_a_silent_dual_master() -> None:
    """The HMAC covers the set of addresses, in any order, but not their masks."""
    made = pair()
    call(made.a, "ifconfig vtnet1 inet 192.0.2.51/32 vhid 1 alias")
    made.world.advance(10)
    assert made.states() == "MASTER MASTER"
    call(made.b, "ifconfig vtnet1 inet 192.0.2.50 -alias")
    call(made.b, "ifconfig vtnet1 inet 192.0.2.51/24 vhid 1 alias")
    call(made.b, "ifconfig vtnet1 inet 192.0.2.50/24 vhid 1 advskew 100 pass s3cret alias")
    call(made.b, "ifconfig vtnet1 vhid 1 advskew 100 pass s3cret")
    made.world.advance(10)
    assert made.states() == "MASTER BACKUP"


def test_an_unknown_vhid_is_counted() -> None:
    """A vhid the receiving interface does not have counts as bad vhid; an interface without any counts nothing."""
    made = pair()
    call(made.b, "ifconfig vtnet1 inet 192.0.2.99/32 vhid 9 alias")
    made.world.advance(10)
    assert made.a.net.carp is not None
    assert made.a.net.carp.counters.bad_vhid > 3
    assert "\t\t0 discarded for bad vhid\n" not in call(made.a, "netstat -s -p carp").stdout


def test_only_nineteen_characters_of_a_password_count() -> None:
    """The rest is dropped; an empty password changes nothing."""
    made = pair()
    call(made.a, "ifconfig vtnet1 vhid 1 pass 12345678901234567890")
    call(made.b, "ifconfig vtnet1 vhid 1 pass 1234567890123456789X")
    call(made.b, 'ifconfig vtnet1 vhid 1 pass ""')
    made.world.advance(10)
    assert made.states() == "MASTER BACKUP"
    assert 'key "1234567890123456789"' in call(made.a, "ifconfig -k vtnet1").stdout
    assert "key" not in call(made.a, "ifconfig -k vtnet1", user="operator").stdout


def test_one_way_loss_makes_two_masters_until_it_heals() -> None:
    """The backup stops hearing the master but is heard: it takes over, the better master keeps its place."""
    made = pair()
    made.world.cut("nas-b", "vtnet1", "in")
    made.world.advance(10)
    assert made.states() == "MASTER MASTER"
    made.world.join("nas-b", "vtnet1")
    made.world.advance(2)
    assert made.states() == "MASTER BACKUP"
