"""The audit on CARP, boot configuration and secrets: bad plans that must be refused, and good twins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hactl.core.changes.change import SecretUse
from hactl.core.facts import CarpState, Unknown
from hactl.core.steps import Check, Risk, Step
from support.facts.audit_plans import complaints, says, step
from support.facts.builder import Scene, blank_pair, edge_pair, healthy_pair, nas_cluster

SECOND = "192.0.2.81/24"


def add(
    node: str, address: str = SECOND, *, words: str = "vhid 80", risk: Risk = Risk.BLIP, tail: str = "alias"
) -> Step:
    """AddAddress on vtnet1."""
    return step(node, "AddAddress", f"ifconfig vtnet1 inet {address} {words} {tail}", risk=risk)


def remove(node: str, address: str, risk: Risk = Risk.BLIP) -> Step:
    """RemoveAddress on vtnet1."""
    return step(node, "RemoveAddress", f"ifconfig vtnet1 inet {address} -alias", risk=risk)


def vhid(node: str, words: str) -> Step:
    """SetVhid 80 on vtnet1."""
    return step(node, "SetVhid", f"ifconfig vtnet1 vhid 80 {words}")


def loaded() -> Scene:
    """The blank pair with the carp module."""
    scene = blank_pair()
    for node in ("nas-a", "nas-b"):
        scene = scene.node(node, modules={"carp": True}, carp_sysctls={"preempt": 0, "allow": 1, "demotion": 0})
    return scene


def two_addresses() -> Scene:
    """The document wants a second address on vhid 80."""
    return healthy_pair().wants(nas_cluster({"spec.groups.0.virtualIPs.0.addresses": ["192.0.2.80/24", SECOND]}))


def test_a_new_vhid_comes_up_as_the_document_says() -> None:
    """The address, advskew, advbase and password are the document's, and `alias` is there.

    See docs/freebsd-facts.md#trap-1.
    """
    words = 'vhid 80 advskew 0 pass "$HACTL_PASS_1"'
    assert not complaints(loaded(), [add("nas-a", "192.0.2.80/24", words=words, risk=Risk.NONE)])
    assert says(complaints(loaded(), [add("nas-a", "192.0.2.80/24", words=words, tail="")]), "alias")
    assert says(complaints(loaded(), [add("nas-a", "192.0.2.80/24", words="vhid 80")]), "password")
    seven = words.replace("advskew 0", "advskew 7")
    assert says(complaints(loaded(), [add("nas-b", "192.0.2.80/24", words=seven)]), "advskew")
    assert says(complaints(loaded(), [add("nas-a", "192.0.2.99/24", words=words)]), "not an address")
    assert says(complaints(loaded(), [add("nas-a", "192.0.2.80/32", words=words)]), "not an address")
    assert says(complaints(loaded(), [add("nas-a", "192.0.2.80/24", words=words.replace("80", "81"))]), "not in the")
    assert says(complaints(blank_pair(), [add("nas-a", "192.0.2.80/24", words=words)]), "module")


def test_i5_an_address_is_added_on_the_standby_first() -> None:
    """I5: MASTER takes the new address set only when the standby has it; never in parallel; never with it silent."""
    assert not complaints(two_addresses(), [add("nas-b", risk=Risk.NONE), add("nas-a")])
    assert not complaints(two_addresses(), [add("nas-b")], [add("nas-a")])
    assert says(complaints(two_addresses(), [add("nas-a"), add("nas-b")]), "I5")
    assert says(complaints(two_addresses(), [add("nas-b"), add("nas-a")], ordered=False), "I5")
    assert says(complaints(two_addresses().silent("nas-b"), [add("nas-a")]), "I5")
    assert says(complaints(two_addresses().aged(40, "nas-b"), [add("nas-a")]), "I6")
    assert says(complaints(two_addresses(), [add("nas-b"), add("nas-a", risk=Risk.NONE)]), "risk")


def test_i5_an_address_is_removed_on_the_standby_first() -> None:
    """I5, the other way round."""
    scene = healthy_pair().address("nas-a", SECOND, 80).address("nas-b", SECOND, 80)
    assert not complaints(scene, [remove("nas-b", "192.0.2.81"), remove("nas-a", "192.0.2.81")])
    assert says(complaints(scene, [remove("nas-a", "192.0.2.81")]), "I5")


@pytest.mark.parametrize("words", ['pass "$HACTL_PASS_1"', "advbase 2"])
def test_i5_password_and_advbase_standby_first(words: str) -> None:
    """I5: a key or advbase change of the MASTER waits for the standby."""
    scene = healthy_pair().wants(nas_cluster({"spec.groups.0.virtualIPs.0.advbase": 2}))
    for node in ("nas-a", "nas-b"):
        scene = scene.vhid(node, key="old")
    assert not complaints(scene, [vhid("nas-b", words), vhid("nas-a", words)])
    assert says(complaints(scene, [vhid("nas-a", words), vhid("nas-b", words)]), "I5")
    assert says(complaints(scene, [vhid("nas-b", words), vhid("nas-a", words)], ordered=False), "I5")


def test_i5_of_two_masters_the_one_with_the_storage_is_active() -> None:
    """A wrong key makes both MASTER; either node's key can then be mended without a deadlock of rules."""
    both = healthy_pair().vhid("nas-b", state=CarpState.MASTER)
    mend = 'pass "$HACTL_PASS_1"'
    assert not complaints(both.vhid("nas-b", key="x"), [vhid("nas-b", mend)])
    assert not complaints(both.vhid("nas-a", key="x"), [vhid("nas-a", mend)])
    wrong = both.vhid("nas-a", key="x").vhid("nas-b", key="y")
    assert not complaints(wrong, [vhid("nas-b", mend), vhid("nas-a", mend)])
    assert says(complaints(wrong, [vhid("nas-a", mend), vhid("nas-b", mend)]), "I5")


def test_i7_in_place_changes_only_what_differs() -> None:
    """I7: advskew by one word; nothing when nothing differs; nothing besides; no re-creation."""
    drifted = healthy_pair().vhid("nas-b", advskew=200)
    assert not complaints(drifted, [vhid("nas-b", "advskew 100")])
    assert says(complaints(healthy_pair(), [vhid("nas-b", "advskew 100")]), "I7")
    assert says(complaints(drifted, [vhid("nas-b", 'advskew 100 pass "$HACTL_PASS_1"')]), "I7", "password")
    assert says(complaints(drifted, [vhid("nas-b", "advskew 50")]), "document says 100")
    assert says(complaints(drifted, [vhid("nas-b", "advskew 100 state backup")]), "I7")
    again = step("nas-b", "SetVhid", "ifconfig vtnet1 inet 192.0.2.80/24 vhid 80 advskew 100 alias")
    assert says(complaints(drifted, [again]), "I7")
    assert says(complaints(healthy_pair(), [add("nas-b", "192.0.2.80/24")]), "I7")
    assert says(complaints(healthy_pair(), [remove("nas-b", "192.0.2.80")]), "I7")
    assert says(complaints(healthy_pair(), [remove("nas-b", "192.0.2.90")]), "I7")


def test_no_orphans_and_no_foreign_addresses() -> None:
    """A vhid that is not there or not wanted, the node's own address (docs/freebsd-facts.md#trap-2, #trap-3)."""
    orphan = step("nas-b", "SetVhid", "ifconfig vtnet1 vhid 7 advskew 100")
    assert says(complaints(healthy_pair(), [orphan]), "not in the document")
    assert says(complaints(healthy_pair().without_vhid("nas-b"), [vhid("nas-b", "advskew 100")]), "orphan")
    assert says(complaints(healthy_pair(), [remove("nas-b", "192.0.2.12")]), "not a CARP address")
    named = step("nas-b", "RemoveAddress", "ifconfig vtnet1 inet 192.0.2.90 vhid 9 -alias")
    assert says(complaints(healthy_pair().address("nas-b", "192.0.2.90/24", 9), [named]), "orphan")
    own = {"spec.groups.0.virtualIPs.0.addresses": ["192.0.2.80/24", "192.0.2.12/24"]}
    found = complaints(healthy_pair().wants(nas_cluster(own)), [add("nas-b", "192.0.2.12/24")])
    assert says(found, "node's own address")
    foreign = healthy_pair().address("nas-b", "192.0.2.90/24", 9)
    assert not complaints(foreign, [remove("nas-b", "192.0.2.90", Risk.NONE)])


def test_a_demotion_is_taken_back_exactly() -> None:
    """docs/freebsd-facts.md#trap-6: the write adds, so it must be the exact negative."""
    by_hand = healthy_pair().sysctl("nas-a", demotion=100).node("nas-a", demotions=((100, 100, "sysctl"),))

    def takes(value: str) -> Step:
        return step("nas-a", "AdjustDemotion", f"sysctl net.inet.carp.demotion={value}")

    assert not complaints(by_hand, [takes("-100")])
    for value in ("0", "100", "-240", "-99"):
        assert says(complaints(by_hand, [takes(value)]), "exact negative")
    mixed = healthy_pair().sysctl("nas-a", demotion=340)
    mixed = mixed.node("nas-a", demotions=((240, 240, "interface down"), (100, 340, "sysctl")))
    assert not complaints(mixed, [takes("-100")])
    assert says(complaints(mixed, [takes("-340")]), "exact negative")
    assert says(complaints(by_hand.unknown("nas-a", "carp_sysctls"), [takes("-100")]), "not known")


def test_kernel_steps() -> None:
    """Module and sysctls: only carp's, only the document's values, only when they differ."""
    load = step("nas-a", "LoadModule", "kldload -n carp")
    preempt = step("nas-a", "SetSysctl", "sysctl net.inet.carp.preempt=1")
    assert not complaints(blank_pair(), [load, preempt])
    assert says(complaints(healthy_pair(), [load]), "I7")
    assert says(complaints(healthy_pair(), [preempt]), "I7")
    other = step("nas-a", "SetSysctl", "sysctl net.inet.carp.log=2")
    assert says(complaints(healthy_pair(), [other]), "not a sysctl")
    off = step("nas-a", "SetSysctl", "sysctl net.inet.carp.preempt=0")
    assert says(complaints(healthy_pair(), [off]), "document says 1")
    assert complaints(blank_pair(), [step("nas-a", "LoadModule", "kldload -n zfs")])


# --- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "ifconfig vtnet1 vhid 80 pass s3cret",
        "ifconfig vtnet1 vhid 80 pass 's3cret'",
        'ifconfig vtnet1 vhid 80 pass "$OTHER"',
    ],
)
def test_i8_no_password_in_clear(command: str) -> None:
    """I8: only a $HACTL_ variable may follow `pass`."""
    assert says(complaints(healthy_pair().vhid("nas-b", key="x"), [step("nas-b", "SetVhid", command)]), "I8")


def test_i8_a_secret_is_declared_right_and_seen_by_ifconfig_only() -> None:
    """I8: undeclared, of another virtual IP, or on the command line of a program that ps shows for long."""
    scene = healthy_pair().vhid("nas-b", key="x")
    good = vhid("nas-b", 'pass "$HACTL_PASS_1"')
    assert not complaints(scene, [good])
    assert says(complaints(scene, [replace(good, secrets=())]), "I8")
    assert says(complaints(scene, [replace(good, secrets=(SecretUse("HACTL_PASS_1", "files", "other"),))]), "I8")
    assert says(complaints(scene, [replace(good, command=f"timeout 5 {good.command}")]), "I8", "timeout")
    leak = Check("the key is there", 'ifconfig -k vtnet1 | grep -q "$HACTL_PASS_1"')
    assert says(complaints(scene, [replace(good, after=(leak,))]), "I8", "grep")
    inside = Check("the key is there", 'case "$(ifconfig -k vtnet1)" in *"$HACTL_PASS_1"*) ;; *) exit 1 ;; esac')
    assert not complaints(scene, [replace(good, after=(inside,))])


# --- boot ---------------------------------------------------------------------------------------------------------

BLOCK = """\
umask 077
new=$(mktemp /etc/rc.conf.d/.hactl.XXXXXX)
cat > "$new" <<END
# BEGIN hactl
ifconfig_vtnet1_alias8000="inet vhid 80 advskew {advskew} pass $HACTL_PASS_1 192.0.2.80/24"
# END hactl
END
chmod 600 "$new" && fsync "$new" && mv -f "$new" /etc/rc.conf.d/netif && fsync /etc/rc.conf.d
"""


def edited(words: str, path: str = "/etc/rc.conf") -> str:
    """sysrc on a copy that takes the place of the file."""
    return f"""\
cp -p {path} /etc/.hactl.new &&
cp /etc/.hactl.new /var/run/hactl.rc.conf &&
sysrc -f /var/run/hactl.rc.conf {words} &&
cat /var/run/hactl.rc.conf > /etc/.hactl.new &&
fsync /etc/.hactl.new && mv -f /etc/.hactl.new {path} && fsync /etc
"""


def test_boot_aliases() -> None:
    """The written block brings up what the document says, is private, and is written only when it differs."""
    bare = healthy_pair().boot("nas-b", aliases=())
    good = step("nas-b", "WriteBootAliases", BLOCK.format(advskew=100))
    assert not complaints(bare, [good])
    assert says(complaints(healthy_pair(), [good]), "I7")
    assert says(complaints(bare, [step("nas-b", "WriteBootAliases", BLOCK.format(advskew=0))]), "does not write")
    loose = BLOCK.format(advskew=100).replace("umask 077\n", "").replace("chmod 600", "chmod 644")
    assert says(complaints(bare, [step("nas-b", "WriteBootAliases", loose)]), "I8")
    clear = BLOCK.format(advskew=100).replace("$HACTL_PASS_1", "s3cret")
    assert says(complaints(bare, [step("nas-b", "WriteBootAliases", clear)]), "I8", "clear")
    elsewhere = BLOCK.format(advskew=100).replace("/etc/rc.conf.d/netif", "/etc/rc.local")
    assert says(complaints(bare, [step("nas-b", "WriteBootAliases", elsewhere)]), "I10")
    foreign = BLOCK.format(advskew=100).replace("vhid 80", "vhid 81")
    assert says(complaints(bare, [step("nas-b", "WriteBootAliases", foreign)]), "vhid 81")
    assert says(complaints(bare.unknown("nas-b", "boot"), [good]), "not known")


@pytest.mark.parametrize(
    ("verb", "command", "word"),
    [
        ("SetRcVariable", edited("hastd_enable=NO"), "hastd_enable"),
        ("SetRcVariable", edited("hastd_enable=YES"), "I7"),
        ("SetRcVariable", edited("kld_list=carp"), "I10"),
        ("SetRcVariable", edited("kld_list+=zfs"), "carp"),
        ("SetRcVariable", edited("ifconfig_vtnet1='inet 192.0.2.12/24'"), "I10"),
        ("SetRcVariable", "sysrc -f /boot/loader.conf hastd_enable=YES", "I10"),
        ("SetRcVariable", edited("hastd_enable=YES", "/etc/hosts"), "I10"),
        ("SetRcVariable", "sysrc hastd_enable=YES", "rename"),
        (
            "SetRcVariable",
            edited("hastd_enable=YES").replace("cat /var/run/hactl.rc.conf", "cat /etc/hosts"),
            "made of it",
        ),
        ("RemoveRcVariable", edited("-x sshd_enable"), "I10"),
        ("RemoveRcVariable", edited("-x hactl_node_enable"), "the node has a hook"),
        ("RemoveRcVariable", edited("-x ifconfig_vtnet1_alias8000"), "I7"),
        ("RemoveRcVariable", edited("-x ifconfig_vtnet1_alias7"), "I7"),
        ("EnableService", edited("nfs_server_enable=YES"), "does not start at boot"),
        ("DisableService", edited("sshd_enable=NO"), "I10"),
        ("DisableService", edited("nfs_server_enable=YES"), "sets nfs_server_enable=YES"),
        ("DisableService", edited("nfs_server_enable=NO"), "I7"),
        ("SetSysctlConf", "echo net.inet.carp.preempt=1 >> /etc/sysctl.conf", "rename"),
    ],
)
def test_boot_steps_that_must_be_refused(verb: str, command: str, word: str) -> None:
    """I7 and I10 for rc.conf and sysctl.conf."""
    assert says(complaints(healthy_pair(), [step("nas-a", verb, command, target="nfsd")]), word)


def test_boot_steps_that_are_right() -> None:
    """The good twins."""
    scene = healthy_pair().rc("nas-a", hastd_enable="NO", kld_list="zfs").service("nas-a", enabled=True)
    scene = scene.boot("nas-a", sysctl_conf={"net.inet.carp.preempt": "0"})
    line = (
        "new=$(mktemp /etc/sysctl.conf.XXXXXX)\n{ grep -v preempt /etc/sysctl.conf; echo 'net.inet.carp.preempt=1'; }"
        ' > "$new" && fsync "$new" && mv -f "$new" /etc/sysctl.conf && fsync /etc'
    )
    steps = [
        step("nas-a", "SetRcVariable", edited("hastd_enable=YES")),
        step("nas-a", "SetRcVariable", edited("kld_list+=carp")),
        step("nas-a", "SetSysctlConf", line),
        step("nas-a", "DisableService", edited("nfs_server_enable=NO"), target="nfsd"),
    ]
    assert not complaints(scene, steps, ordered=False)


def test_ipv6_and_interfaces_by_node() -> None:
    """The firewall pair: interfaces differ by node, and a group of addresses only has no storage to ask."""
    scene = edge_pair().vhid("fw-2", 20, interface="igb1", advskew=7)
    fix = step("fw-2", "SetVhid", "ifconfig igb1 vhid 20 advskew 100")
    assert not complaints(scene, [fix])
    assert says(complaints(scene, [step("fw-2", "SetVhid", "ifconfig ix1 vhid 20 advskew 100")]), "not in the document")


def test_unknown_interfaces_and_readings_are_not_absence() -> None:
    """What is not known of the node's addresses allows nothing."""
    blind = two_addresses().node("nas-b", interfaces=Unknown("garbled", 0.0))
    assert complaints(blind, [add("nas-b")])
    assert says(complaints(blind, [add("nas-a")]), "I5")


def test_i8_a_vhid_does_not_get_the_password_of_another() -> None:
    """Both are secrets of the document, and only one is this vhid's."""
    passwords = {
        name: SecretUse(f"HACTL_PASS_{number}", "gateway", name) for number, name in enumerate(("wan", "lan"), start=1)
    }
    drifted = edge_pair().vhid("fw-2", 10, interface="igb0", key="0" * 16)
    for name, right in (("wan", True), ("lan", False)):
        use = passwords[name]
        command = f'ifconfig igb0 vhid 10 pass "${use.variable}"'
        bad = replace(step("fw-2", "SetVhid", command, risk=Risk.BLIP), secrets=(use,))
        assert says(complaints(drifted, [bad]), "I8", "is not the password of wan") is not right


def test_a_standby_does_not_get_a_vhid_that_wins() -> None:
    """A lower advskew than the document's takes the address away from the node that serves."""
    bare = healthy_pair().without_vhid("nas-b")
    words = 'ifconfig vtnet1 inet 192.0.2.80/24 vhid 80 advskew {} pass "$HACTL_PASS_1" alias'
    for advskew, right in ((100, True), (0, False), (200, False)):
        found = complaints(bare, [step("nas-b", "AddAddress", words.format(advskew), risk=Risk.BLIP)])
        assert says(found, f"would get advskew {advskew}") is not right


def _without_rcvar() -> Scene:
    """nfsd starts at boot, and the node did not say by which variable."""
    return healthy_pair().service("nas-b", enabled=True, rcvar=None)


def test_i10_no_vital_service_is_switched_off_under_the_name_of_another() -> None:
    """The step calls itself DisableService nfsd."""

    def disables(variable: str) -> tuple[str, ...]:
        command = edited(f"{variable}=NO")
        return complaints(_without_rcvar(), [step("nas-b", "DisableService", command, target="nfsd")])

    assert not disables("nfs_server_enable")
    for vital in ("sshd_enable", "hastd_enable", "netif_enable", "devd_enable"):
        assert says(disables(vital), "I10", vital)


def _moved() -> Scene:
    """nas-b serves, and nas-a, which has let go, still has the address."""
    served = healthy_pair("nas-b").vhid("nas-b", advskew=100, state=CarpState.BACKUP)
    return served.vhid("nas-a", advskew=100, state=CarpState.MASTER)


MASTERS: list[tuple[str, Callable[[Scene], Scene], str]] = [
    ("with an advskew as good as its own", lambda s: s.vhid("nas-a", advskew=0), "both step down"),
    ("which may have a better one", lambda s: s.without_vhid("nas-a"), "both step down"),
    ("seen long ago", lambda s: s.aged(31, "nas-a"), "I6"),
    ("and has no filesystem", lambda s: s.unmounted("nas-b"), "without serving"),
    ("and its service is down", lambda s: s.service("nas-b", running=False), "without serving"),
    ("and is MASTER already", lambda s: s.vhid("nas-b", state=CarpState.MASTER), "I7"),
    ("and is demoted", lambda s: s.sysctl("nas-b", demotion=240), "demoted"),
    ("and nobody knows whether it is demoted", lambda s: s.unknown("nas-b", "carp_sysctls"), "demoted"),
]


@pytest.mark.parametrize(("tweak", "phrase"), [case[1:] for case in MASTERS], ids=[case[0] for case in MASTERS])
def test_a_node_is_told_to_be_master_only_where_carp_would_make_it_one(
    tweak: Callable[[Scene], Scene], phrase: str
) -> None:
    """It serves and is the best; else both step down, or clients come to a node without the data (#1.2)."""
    taking = vhid("nas-b", "advskew 0 state master")
    assert not complaints(_moved(), [taking], active="nas-b")
    assert says(complaints(tweak(_moved()), [taking], active="nas-b"), phrase)
    assert says(complaints(_moved(), [vhid("nas-b", "advskew 0 state backup")], active="nas-b"), "I7")


def test_the_address_of_a_group_that_nobody_serves_stays_where_it_is() -> None:
    """What lets go may become as good as the others, not worse: it would move to a node that does not serve."""
    idle = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    assert not complaints(idle, [vhid("nas-a", "advskew 100")])
    assert says(complaints(idle.vhid("nas-b", advskew=0), [vhid("nas-a", "advskew 100")]), "does not serve yet")
