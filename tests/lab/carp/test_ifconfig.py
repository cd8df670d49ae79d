"""ifconfig's words, errors and surprises (docs/freebsd-facts.md#1.6, #1.7, #5; recordings 01, 02, 07)."""

from __future__ import annotations

import pytest

from hactl.lab.machine import Machine
from support.lab.carp_pair import Pair, call


def loaded(release: str = "13.2-RELEASE", count: int = 1) -> Pair:
    """Machines with the carp module."""
    made = Pair(count, release=release)
    made.carp()
    return made


def vhid_lines(machine: Machine, port: str = "vtnet1") -> list[str]:
    """The lines that speak of vhids."""
    return [line.strip() for line in call(machine, f"ifconfig {port}").stdout.splitlines() if "vhid" in line]


ERRORS = [
    ("ifconfig vtnet9", "interface vtnet9 does not exist"),
    ("ifconfig vtnet1 inet 192.0.2.60/32 vhid 0 alias", "vhid must be greater than 0 and less than 255"),
    ("ifconfig vtnet1 inet 192.0.2.60/32 vhid abc alias", "vhid must be greater than 0 and less than 255"),
    ("ifconfig vtnet1 pass x vhid 1", "passwd requires vhid"),
    ("ifconfig vtnet1 advskew 1 vhid 1", "advskew requires vhid"),
    ("ifconfig vtnet1 advbase 1 vhid 1", "advbase requires vhid"),
    ("ifconfig vtnet1 state master", "state requires vhid"),
    ("ifconfig vtnet1 vhid 1 state king", "unknown state"),
    ("ifconfig vtnet1 vhid 1 advskew 255", "SIOCSVH: Invalid argument"),
    ("ifconfig vtnet1 vhid 1 advbase 256", "SIOCSVH: Invalid argument"),
    ("ifconfig lo0 vhid 1", "SIOCGVH: Operation not supported"),
    ("ifconfig vtnet1 inet 203.0.113.77 -alias", "ioctl (SIOCDIFADDR): Can't assign requested address"),
    ("ifconfig vtnet1 inet 192.0.2.1/33 alias", "192.0.2.1/33: bad value (width too large)"),
    ("ifconfig vtnet1 inet 192.0.2.1/x alias", "192.0.2.1/x: bad value (width invalid)"),
    ("ifconfig vtnet1 inet foo alias", "foo: bad value"),
    ("ifconfig vtnet1 inet6 2001:db8::1/129 alias", "129: bad value"),
]


@pytest.mark.parametrize(("line", "text"), ERRORS)
def test_errors(line: str, text: str) -> None:
    """Exact text on stderr, nothing on stdout, exit 1."""
    result = call(loaded().a, line)
    assert (result.status, result.stdout, result.stderr) == (1, "", f"ifconfig: {text}\n")


def test_without_alias_the_first_address_is_deleted() -> None:
    """docs/freebsd-facts.md#1.7: no `alias`, and the base address is gone."""
    made = loaded()
    call(made.a, "ifconfig vtnet1 inet 192.0.2.100/32 vhid 1 advskew 100 pass s3cret")
    assert [address.text for address in made.a.net.interfaces["vtnet1"].addresses] == ["192.0.2.100"]


def test_no_mask_warns_and_takes_the_class_mask() -> None:
    """13.2 warns and goes on."""
    made = loaded()
    result = call(made.a, "ifconfig vtnet1 inet 192.0.2.60 vhid 1 alias")
    assert result.status == 0
    assert result.stderr.startswith("ifconfig: WARNING: setting interface address without mask is deprecated,\n")
    assert "inet 192.0.2.60 netmask 0xffffff00 broadcast 192.0.2.255 vhid 1" in vhid_lines(made.a)


def test_readding_an_address_bounces_its_vhid() -> None:
    """Exit 0, and the master is BACKUP for three seconds."""
    made = loaded(count=2)
    made.carp("ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 pass x alias")
    made.world.advance(4)
    assert call(made.a, "ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 pass x alias").status == 0
    assert list(made.a.kernel.messages)[-2:] == [
        "carp: 1@vtnet1: MASTER -> INIT (hardware interface up)",
        "carp: 1@vtnet1: INIT -> BACKUP (initialization complete)",
    ]


def test_an_address_moves_silently_to_another_vhid() -> None:
    """The old vhid stays behind as an orphan in INIT; the base address can become a CARP address too."""
    made = loaded()
    made.carp("ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 alias")
    assert call(made.a, "ifconfig vtnet1 inet 192.0.2.50/32 vhid 2 alias").status == 0
    assert call(made.a, "ifconfig vtnet1 inet 192.0.2.11/32 vhid 3 alias").status == 0
    assert vhid_lines(made.a) == [
        "inet 192.0.2.50 netmask 0xffffffff broadcast 192.0.2.50 vhid 2",
        "inet 192.0.2.11 netmask 0xffffffff broadcast 192.0.2.11 vhid 3",
        "carp: INIT vhid 1 advbase 1 advskew 0",
        "carp: BACKUP vhid 2 advbase 1 advskew 0",
        "carp: BACKUP vhid 3 advbase 1 advskew 0",
    ]


def test_orphans_keep_the_module_busy_until_an_address_came_and_went() -> None:
    """Any vhid command creates one; deleting an absent address does too; the cure is add and delete."""
    made = loaded()
    call(made.a, "ifconfig vtnet1 inet 203.0.113.9/32 vhid 7 pass x -alias")
    assert vhid_lines(made.a) == ["carp: INIT vhid 7 advbase 1 advskew 0"]
    assert call(made.a, "kldunload carp").stderr == "kldunload: can't unload file: Device busy\n"
    call(made.a, "ifconfig vtnet1 inet 203.0.113.7/32 vhid 7 alias")
    call(made.a, "ifconfig vtnet1 inet 203.0.113.7 -alias")
    assert vhid_lines(made.a) == []
    assert made.a.kernel.messages[-1] == "vtnet1: promiscuous mode disabled"
    assert call(made.a, "kldunload carp").status == 0
    assert call(made.a, "sysctl net.inet.carp").stderr == "sysctl: unknown oid 'net.inet.carp'\n"


def test_a_bad_advskew_has_already_created_the_vhid_in_13() -> None:
    """13.2 creates the orphan and applies a valid advbase before it refuses."""
    made = loaded()
    assert call(made.a, "ifconfig vtnet1 vhid 4 advbase 3 advskew 300").status == 1
    assert vhid_lines(made.a) == ["carp: INIT vhid 4 advbase 3 advskew 0"]


def test_deleting_the_last_address_of_a_master() -> None:
    """`MASTER -> INIT (hardware interface up)`, an INIT event, and the vhid is gone."""
    made = loaded()
    made.carp("ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 alias")
    made.world.advance(4)
    seen: list[str] = []
    made.a.devctl.listeners.append(seen.append)
    call(made.a, "ifconfig vtnet1 inet 192.0.2.50 -alias")
    assert seen == ["!system=CARP subsystem=1@vtnet1 type=INIT"]
    assert "carp: 1@vtnet1: MASTER -> INIT (hardware interface up)" in made.a.kernel.messages
    assert vhid_lines(made.a) == []


def test_changing_advskew_and_password_does_not_bounce() -> None:
    """No address named: no state change, other values kept."""
    made = loaded()
    made.carp("ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 advbase 2 pass x alias")
    made.world.advance(7)
    call(made.a, "ifconfig vtnet1 vhid 1 advskew 50")
    call(made.a, "ifconfig vtnet1 vhid 1 advskew -3")
    call(made.a, "ifconfig vtnet1 vhid 1 pass y")
    assert 'carp: MASTER vhid 1 advbase 2 advskew 50 key "y"' in call(made.a, "ifconfig -k vtnet1").stdout


def test_a_family_hides_carp_lines() -> None:
    """`ifconfig IF inet` prints addresses only; -f inet:cidr prints prefix lengths."""
    made = loaded()
    made.carp("ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 alias")
    text = call(made.a, "ifconfig vtnet1 inet").stdout
    assert "carp:" not in text
    assert "ether" not in text
    assert "\tinet 192.0.2.50/32 broadcast 192.0.2.50 vhid 1\n" in call(made.a, "ifconfig -f inet:cidr vtnet1").stdout


def test_ipv6_brings_the_link_local_address_after_dad() -> None:
    """IFDISABLED goes, fe80 comes last, both are tentative for a second (recording 02, step 133)."""
    made = loaded()
    call(made.a, "ifconfig vtnet1 inet6 2001:db8::50/128 vhid 6 pass sesame6 alias")
    lines = call(made.a, "ifconfig vtnet1").stdout.splitlines()
    assert "\tinet6 2001:db8::50 prefixlen 128 tentative vhid 6" in lines
    made.world.advance(1.1)
    lines = call(made.a, "ifconfig vtnet1").stdout.splitlines()
    assert lines[4:6] == [
        "\tinet6 2001:db8::50 prefixlen 128 vhid 6",
        "\tinet6 fe80::5054:ff:fe00:101%vtnet1 prefixlen 64 scopeid 0x2",
    ]
    assert lines[-1] == "\tnd6 options=21<PERFORMNUD,AUTO_LINKLOCAL>"


def test_only_root_changes_anything() -> None:
    """The texts of docs/freebsd-facts.md#1.7."""
    made = loaded()
    assert call(made.a, "ifconfig vtnet1 vhid 1", user="op").stderr == "ifconfig: SIOCSVH: Operation not permitted\n"
    text = call(made.a, "ifconfig vtnet1 inet 192.0.2.60/32 alias", user="op").stderr
    assert text == "ifconfig: ioctl (SIOCAIFADDR): permission denied\n"


def test_module_missing_in_13() -> None:
    """Nothing is changed."""
    made = Pair(1)
    for line in ("ifconfig vtnet1 vhid 1", "ifconfig vtnet1 inet 192.0.2.50/32 vhid 1"):
        assert call(made.a, line).stderr == "ifconfig: SIOCGVH: Protocol not supported\n"
    assert made.a.net.interfaces["vtnet1"].find("192.0.2.11") is not None


@pytest.mark.parametrize("release", ["14.2-RELEASE", "15.1-RELEASE"])
def test_module_missing_in_14_and_15(release: str) -> None:
    """Silent success without an address; with one an error, and without `alias` the old address is already gone."""
    made = Pair(1, release=release)
    result = call(made.a, "ifconfig vtnet1 vhid 1 state master")
    assert (result.status, result.stderr) == (0, "")
    result = call(made.a, "ifconfig vtnet1 inet 192.0.2.50/32 vhid 1")
    assert (result.status, result.stderr) == (1, "ifconfig: ioctl (SIOCAIFADDR): Protocol not supported\n")
    assert made.a.net.interfaces["vtnet1"].addresses == []


@pytest.mark.parametrize("release", ["14.2-RELEASE", "15.1-RELEASE"])
def test_newer_releases_print_peers_and_lower_up(release: str) -> None:
    """The peer line follows every carp line; flags gain LOWER_UP and lose 0x20."""
    made = loaded(release)
    made.carp("ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 pass x alias")
    lines = call(made.a, "ifconfig vtnet1").stdout.splitlines()
    assert lines[0].startswith("vtnet1: flags=1008943<UP,BROADCAST,RUNNING,PROMISC,SIMPLEX,MULTICAST,LOWER_UP>")
    place = lines.index("\tcarp: BACKUP vhid 1 advbase 1 advskew 0")
    assert lines[place + 1] == "\t      peer 224.0.0.18 peer6 ff02::12"


def test_14_forgets_the_unicast_peer_and_15_does_not() -> None:
    """The trap of docs/freebsd-facts.md#1.7: any vhid command without `peer` goes back to multicast in 14."""
    for release, peer in (("14.2-RELEASE", None), ("15.1-RELEASE", "192.0.2.12")):
        made = loaded(release)
        made.carp("ifconfig vtnet1 inet 192.0.2.50/32 vhid 1 peer 192.0.2.12 alias")
        call(made.a, "ifconfig vtnet1 vhid 1 advskew 50")
        assert made.a.net.interfaces["vtnet1"].vhids[1].peer == peer


def test_15_refuses_an_address_without_mask_and_makes_no_orphan() -> None:
    """The two mercies of 15.1."""
    made = loaded("15.1-RELEASE")
    result = call(made.a, "ifconfig vtnet1 inet 192.0.2.60 vhid 1 alias")
    assert result.stderr == "ifconfig: ERROR: setting interface address without mask is no longer supported.\n"
    assert call(made.a, "ifconfig vtnet1 vhid 4 advskew 300").status == 1
    assert vhid_lines(made.a) == []
