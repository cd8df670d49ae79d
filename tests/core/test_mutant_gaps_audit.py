"""Rules of the audit whose absence no other test noticed (tests/mutants): a bad plan each, and its good twin."""

from __future__ import annotations

from dataclasses import replace

from hactl.core.audit.check import audit
from hactl.core.facts import HastRole, Mount
from hactl.core.plan import make_plan
from hactl.core.steps import Check, Plan, Risk, SecretUse, Stage, Step
from support.facts.audit_plans import complaints, step
from support.facts.builder import MEDIASIZE, Scene, blank_pair, edge_pair, fresh_primary, healthy_pair

CREATE = step("nas-a", "CreateMetadata", "hastctl create data", target="data", risk=Risk.DESTRUCTIVE)
NEWFS = step("nas-a", "MakeFilesystem", "newfs -U /dev/hast/data", target="/dev/hast/data", risk=Risk.DESTRUCTIVE)
MOUNT = step("nas-a", "Mount", "mkdir -p /data && mount -t ufs -o noatime /dev/hast/data /data", target="/data")
RELOAD = step("nas-a", "ReloadHastd", "service hastd onereload", target="hastd", risk=Risk.REDUNDANCY)


def says(found: tuple[str, ...], *words: str) -> bool:
    """Whether one complaint has all the words."""
    return any(all(word in line for word in words) for line in found)


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


def test_a_step_does_nothing_besides_what_its_verb_says() -> None:
    """A correction of an advskew that also stops a service."""
    drifted = healthy_pair().vhid("nas-b", advskew=50)
    command = "ifconfig vtnet1 vhid 80 advskew 100"
    assert not complaints(drifted, [step("nas-b", "SetVhid", command, risk=Risk.BLIP)])
    more = step("nas-b", "SetVhid", f"{command}\nsysctl net.inet.carp.preempt=1", risk=Risk.BLIP)
    assert says(complaints(drifted, [more]), "does something SetVhid does not say")


def test_i3_no_metadata_under_a_daemon_that_may_be_primary() -> None:
    """hastd does not tell, and may work with the disk."""
    assert not says(complaints(blank_pair(), [CREATE]), "may be primary")
    silent = blank_pair().unknown("nas-a", "hastd", "resources")
    assert says(complaints(silent, [CREATE]), "I3", "nas-a may be primary")


def test_a_copy_is_not_made_larger_than_the_other_disk() -> None:
    """Copies of different size never connect; -m gives the smaller size."""
    larger = blank_pair().device("nas-a", mediasize=2 * MEDIASIZE)
    assert says(complaints(larger, [CREATE]), "would be larger here")
    fitting = replace(CREATE, command=f"hastctl create -m {MEDIASIZE} data")
    assert not says(complaints(larger, [fitting]), "larger")


def test_i5_hastd_of_the_active_node_is_not_reloaded_while_its_standby_is_silent() -> None:
    """The standby has to have the same first."""
    assert says(complaints(healthy_pair().silent("nas-b"), [RELOAD]), "I5", "although nas-b does not answer")


def test_i3_no_filesystem_on_a_device_that_was_not_seen() -> None:
    """In the stage that is carried out the device must be there and blank; later it is looked at again."""
    unseen = fresh_primary().hast_device("nas-a", exists=False, blank=None)
    assert not complaints(fresh_primary(), [NEWFS])
    assert says(complaints(unseen, [NEWFS]), "I3", "not known to be blank")


def test_nothing_is_mounted_over_another_filesystem() -> None:
    """It would hide it."""
    free = healthy_pair().unmounted("nas-a")
    assert not complaints(free, [MOUNT])
    taken = Mount("/dev/da9", "/data", "ufs", frozenset({"local"}))
    busy = free.node("nas-a", mounts=(*free.known("nas-a", "mounts"), taken))
    assert says(complaints(busy, [MOUNT]), "this would hide it")


def _without_rcvar() -> Scene:
    """nfsd starts at boot, and the node did not say by which variable."""
    return healthy_pair().service("nas-b", enabled=True, rcvar=None)


def test_i10_no_vital_service_is_switched_off_under_the_name_of_another() -> None:
    """The step calls itself DisableService nfsd."""

    def disables(variable: str) -> tuple[str, ...]:
        return complaints(_without_rcvar(), [step("nas-b", "DisableService", f"sysrc {variable}=NO", target="nfsd")])

    assert not disables("nfs_server_enable")
    for vital in ("sshd_enable", "hastd_enable", "netif_enable", "devd_enable"):
        assert says(disables(vital), "I10", vital)


def test_i4_no_promotion_after_a_primary_that_was_not_in_sync() -> None:
    """What it wrote while it was not connected is on its disk only, however properly it is given up."""
    off = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    stages = [
        [step("nas-a", "SetRole", "hastctl role secondary data", target="data", risk=Risk.OUTAGE)],
        [step("nas-b", "SetRole", "hastctl role primary data", target="data")],
    ]
    for status, right in (("complete", True), ("degraded", False), (None, False)):
        found = complaints(off.resource("nas-a", status=status), *stages, active="nas-b")
        assert says(found, "I4", "nas-a was primary for data", "this copy is not complete") is not right


def test_a_standby_does_not_get_a_vhid_that_wins() -> None:
    """A lower advskew than the document's takes the address away from the node that serves."""
    bare = healthy_pair().without_vhid("nas-b")
    words = 'ifconfig vtnet1 inet 192.0.2.80/24 vhid 80 advskew {} pass "$HACTL_PASS_1" alias'
    for advskew, right in ((100, True), (0, False), (200, False)):
        found = complaints(bare, [step("nas-b", "AddAddress", words.format(advskew), risk=Risk.BLIP)])
        assert says(found, f"would get advskew {advskew}") is not right


# --- the node hook ------------------------------------------------------------------------------------------------


def planned(scene: Scene, verb: str) -> Step:
    """The first step of that verb that the planner would take."""
    plan = make_plan(scene.cluster, scene.snapshot, scene.now)
    return next(step for step in plan.steps if step.verb == verb)


def test_i4_a_copy_is_called_complete_only_on_its_primarys_fresh_word() -> None:
    """Connected, nothing dirty, said a short while ago, and while the same connection stands."""
    new = healthy_pair().hook("nas-b", confirmed={})
    confirm = planned(new, "ConfirmCopy")
    assert not complaints(new, [confirm])
    both = "does not say that everything of data is on both disks"
    assert says(complaints(new.resource("nas-a", status="degraded"), [confirm]), "I4", both)
    assert says(complaints(new.resource("nas-a", dirty=4096), [confirm]), "I4", both)
    assert says(complaints(new.unknown("nas-a", "resources"), [confirm]), "I4", "no other node is known to be primary")
    assert says(complaints(new.aged(40, "nas-a"), [confirm]), "I6", "nas-a is 42 s old")
    assert says(complaints(new, [replace(confirm, before=confirm.before[:1])]), "I4", "connection")
    assert says(complaints(new.resource("nas-b", role=HastRole.INIT), [confirm]), "I4", "not known to be secondary")


def test_i4_the_boot_hold_is_lifted_only_where_the_node_could_serve() -> None:
    """Its copy is known to be complete; exactly what is held is taken back."""
    log = ((240, 240, "sysctl"),)
    held = healthy_pair().hook("nas-b", held=240).sysctl("nas-b", demotion=240).node("nas-b", demotions=log)
    lift = planned(held, "LiftHold")
    assert not complaints(held, [lift])
    assert says(complaints(held.hook("nas-b", confirmed={}), [lift]), "I4", "lifts the boot hold")
    for number in (120, 480, 0):
        assert says(complaints(held.hook("nas-b", held=number), [lift]), f"held is {number}")


def let_go(scene: Scene, given_up: Step, goal: str = "nas-b") -> tuple[str, ...]:
    """What the audit says when nas-a gives its resource up for that node."""
    plan = Plan(
        scene.cluster.name,
        scene.cluster.generation,
        (Stage("let go", (given_up,), ordered=True),),
        active={"files": "nas-a"},
        goals={"files": goal},
    )
    return audit(scene.cluster, scene.snapshot, plan, scene.now)


def test_i5_a_group_is_given_up_only_for_a_node_that_can_take_it() -> None:
    """It is to be elsewhere, the other copy is complete and in use by a node that answers, and the node looks again."""
    scene = healthy_pair().unmounted("nas-a").service("nas-a", running=False)
    demote = step("nas-a", "SetRole", "hastctl role secondary data", target="data", risk=Risk.OUTAGE)
    assert not let_go(scene, demote)
    assert says(let_go(scene, demote, goal="nas-a"), "I5", "is not to be elsewhere")
    assert says(let_go(scene.resource("nas-a", status="degraded"), demote), "I4", "the other copy is not complete")
    assert says(let_go(scene.silent("nas-b"), demote), "I5", "nas-b does not answer")
    assert says(let_go(scene.resource("nas-b", role=HastRole.INIT), demote), "I5", "nas-b is not secondary")
    assert says(let_go(scene.aged(40, "nas-b"), demote), "I6", "nas-b is 42 s old")
    blind = replace(demote, before=(Check("it is so", "test -e /etc/rc.conf"),))
    assert says(let_go(scene, blind), "I4", "without making sure")


def test_i10_a_hook_file_is_one_of_ours_and_says_what_the_document_makes_it() -> None:
    """WriteHook writes the whole text to its own file and nothing else."""
    new = healthy_pair().hook("nas-b", files={}, devd_loaded="")
    write = planned(new, "WriteHook")
    assert not complaints(new, [write])
    assert says(complaints(new, [replace(write, target="/etc/rc.conf")]), "I10", "is no file of the node hook")
    other = replace(write, command=write.command.replace("Written by hactl", "Written by eve", 1))
    assert other != write
    assert says(complaints(new, [other]), "does not write what the document makes of")
