"""What is wrong with the addresses of a group: two MASTERs, nobody, on the wrong node, the wrong vhid, demoted.

Each function answers for one case: an Explanation when it is the case, None when it is not. Man page: carp(4).
"""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.catalogue import Cause, ConditionReason, HoldReason
from hactl.core.cluster import interface_on
from hactl.core.evidence.carp import Reaction, hears
from hactl.core.evidence.two_masters import two_masters_cause
from hactl.core.evidence.view import VhidState
from hactl.core.facts import Interface, known
from hactl.core.objects import VirtualIP
from hactl.core.why.answer import Explanation, Fact, Remedy, each
from hactl.core.why.demotion import HELD, demotion_of
from hactl.core.why.subject import Subject


def two_masters(subject: Subject) -> Explanation | None:
    """Two nodes are MASTER for one vhid."""
    for vip in subject.group.virtual_ips:
        masters = subject.view.masters(vip)
        if len(masters) < 2:
            continue
        found = two_masters_cause(subject.view, subject.group, vip, subject.background.before)
        facts = [subject.spoken(vip, node) or subject.fact(node, f"vhid {vip.vhid} is MASTER") for node in masters]
        remedies = [Remedy(remedy) for remedy in found.remedies]
        if found.cause in (Cause.TWO_MASTERS_PASSWORD_DIFFERS, Cause.TWO_MASTERS_ADDRESS_SETS_DIFFER):
            remedies.insert(0, subject.applied("in mode Apply hactl makes them equal, or by hand:"))
        return Explanation(
            found.cause,
            f"{' and '.join(masters)} are both MASTER of vhid {vip.vhid}: {found.clause}",
            (*facts, *_counter_facts(subject, masters)),
            tuple(remedies),
        )
    return None


def _counter_facts(subject: Subject, nodes: list[str]) -> Iterator[Fact]:
    """What netstat says that is not 0 and bears on it."""
    for node in nodes:
        facts = subject.facts(node)
        counters = known(facts.carp_counters) if facts is not None else None
        counts = [f"{count} {name}" for name, count in (counters or {}).items() if _telling(name, count)]
        if counts:
            yield subject.fact(node, f"netstat -s -p carp: {', '.join(counts)}")


def _telling(name: str, count: int) -> bool:
    return "received (" in name or (count > 0 and name.startswith("discarded"))


# --- nobody -------------------------------------------------------------------------------------------------------


def nobody(subject: Subject) -> Explanation | None:
    """No node is MASTER for a vhid, and every node was heard."""
    for vip in subject.group.virtual_ips:
        states = subject.view.states(vip)
        if subject.view.masters(vip) or VhidState.UNKNOWN in states.values():
            continue
        reasons = [reason for node in states if (reason := why_no_part(subject, vip, node)) is not None]
        head = f"nobody is MASTER of vhid {vip.vhid} ({vip.name})"
        if reasons and len(reasons) == len(states):
            first = reasons[0]
            return Explanation(
                first.cause,
                f"{head}: {'; '.join(reason.headline for reason in reasons)}",
                tuple(fact for reason in reasons for fact in reason.facts),
                tuple(remedy for reason in reasons for remedy in reason.remedies),
            )
        able = [node for node, state in states.items() if state is VhidState.BACKUP]
        waits = [voice.patience_seconds for node in able if (voice := subject.voice(vip, node)) is not None]
        wait = f"{min(waits):.2f} s of silence" if waits else "3 s or more of silence"
        rest = "".join(f"; {reason.headline}" for reason in reasons)
        return Explanation(
            HoldReason.ELECTING,
            f"{head} yet: {' and '.join(able)} takes over after {wait}{rest}",
            (*each(*(subject.spoken(vip, node) for node in able)), *(f for reason in reasons for f in reason.facts)),
            (Remedy(f"hactl why {subject.cluster} {subject.name}", None, "again, in a few seconds"),),
        )
    return None


def why_no_part(subject: Subject, vip: VirtualIP, node: str) -> Explanation | None:
    """Why a node that answers takes no part in the election of a vhid; None: it does, or that is not known."""
    facts, state = subject.facts(node), subject.view.state(vip, node)
    if facts is None or state in (VhidState.MASTER, VhidState.BACKUP, VhidState.UNKNOWN):
        return None
    name, modules = interface_on(vip, node), known(facts.modules)
    if modules is not None and not modules.get("carp", False):
        fact = subject.fact(node, "the carp module is not loaded")
        return Explanation(
            Cause.CARP_NOT_LOADED, f"{node} has no carp module", (fact,), (Remedy("kldload carp", node),)
        )
    interface, vhid = subject.view.interface(vip, node), subject.view.vhid(vip, node)
    if interface is None:
        fact = subject.fact(node, f"there is no interface {name}")
        return Explanation(
            HoldReason.INTERFACE_MISSING, f"{node} has no {name}", (fact,), (Remedy("ifconfig -l", node),)
        )
    hook = subject.view.hook(node)
    if subject.view.sysctl(node, "allow") == 0 and (hook is None or not hook.held):
        fact = subject.fact(node, "net.inet.carp.allow is 0: every vhid stays INIT, and the node is demoted")
        remedy = Remedy("sysctl net.inet.carp.allow=1", node)
        return Explanation(ConditionReason.CARP_OFF, f"{node} has net.inet.carp.allow=0", (fact,), (remedy,))
    if state is VhidState.ABSENT:
        fact = subject.fact(node, f"{name} has no vhid {vip.vhid}")
        remedy = subject.looked_at("it says when hactl adds the vhid")
        return Explanation(Cause.VHID_MISSING, f"{node} has no vhid {vip.vhid}", (fact,), (remedy,))
    if vhid is not None and not interface.of_vhid(vip.vhid):
        return orphan_of(subject, node, interface, vip.vhid)
    status = interface.status or ("no UP flag" if "UP" not in interface.flags else "link unknown")
    fact = subject.fact(node, f"{name}: {status}; a vhid is INIT until flag and link are up")
    remedy = Remedy(f"ifconfig {name} up", node, "or look at the cable and the switch port")
    return Explanation(HoldReason.INTERFACE_DOWN, f"{name} of {node} is down ({status})", (fact,), (remedy,))


# --- addresses and vhids that do not belong together --------------------------------------------------------------


def orphan_of(subject: Subject, node: str, interface: Interface, number: int) -> Explanation:
    """A vhid without an address never elects (docs/freebsd-facts.md#1.7); it goes with the last address it is given."""
    taken = next((vip for vip in subject.group.virtual_ips if vip.vhid == number), None)
    if taken is not None and interface_on(taken, node) == interface.name:
        address = taken.addresses[0]
        family = "inet6" if ":" in address else "inet"
        remedy = Remedy(f"ifconfig {interface.name} {family} {address} alias vhid {number}", node, "or hactl apply")
    else:
        free = "198.18.255.255/32"
        add = f"ifconfig {interface.name} inet {free} alias vhid {number}"
        remedy = Remedy(f"{add} && ifconfig {interface.name} inet {free[:-3]} -alias", node, "removes the vhid")
    return Explanation(
        Cause.ORPHAN_VHID,
        f"vhid {number} on {interface.name} of {node} has no address: it stays INIT and never elects",
        (subject.fact(node, f"{interface.name}: carp: INIT vhid {number}, and no address with vhid {number}"),),
        (remedy,),
    )


def orphan(subject: Subject) -> Explanation | None:
    """A vhid without an address on an interface of the group."""
    for node in subject.group.preferred:
        facts = subject.facts(node)
        interfaces = known(facts.interfaces) if facts is not None else None
        names = dict.fromkeys(interface_on(vip, node) for vip in subject.group.virtual_ips)
        for interface in (interfaces[name] for name in names if interfaces and name in interfaces):
            for vhid in interface.vhids:
                if not interface.of_vhid(vhid.vhid):
                    return orphan_of(subject, node, interface, vhid.vhid)
    return None


def wrong_vhid(subject: Subject) -> Explanation | None:
    """An address of the group is on another vhid, on another interface or an ordinary address."""
    for vip in subject.group.virtual_ips:
        for node in subject.group.preferred:
            facts = subject.facts(node)
            interfaces = known(facts.interfaces) if facts is not None else None
            for interface in (interfaces or {}).values():
                found = _misplaced(subject, vip, node, interface)
                if found is not None:
                    return found
    return None


def _misplaced(subject: Subject, vip: VirtualIP, node: str, interface: Interface) -> Explanation | None:
    wanted = {address.partition("/")[0]: address for address in vip.addresses}
    right = interface_on(vip, node)
    for address in interface.addresses:
        if address.ip not in wanted or (address.vhid == vip.vhid and interface.name == right):
            continue
        place = f"vhid {address.vhid}" if address.vhid is not None else "no vhid"
        family = "inet6" if ":" in address.ip else "inet"
        remove = f"ifconfig {interface.name} {family} {address.ip} -alias"
        add = f"ifconfig {right} {family} {wanted[address.ip]} alias vhid {vip.vhid}"
        return Explanation(
            Cause.WRONG_VHID,
            f"{address.ip} is on {place} of {interface.name} on {node}, the document has it on vhid {vip.vhid} "
            f"of {right}",
            (
                subject.fact(node, f"{interface.name}: {family} {address.cidr} {place}"),
                Fact("the addresses of a vhid are part of what is authenticated: nodes with other sets do not hear "
                     "each other"),
            ),
            (Remedy(f"{remove} && {add}", node, "and pass PASSWORD if the vhid is new"),),
        )  # fmt: skip
    return None


# --- demotion -----------------------------------------------------------------------------------------------------


def demoted(subject: Subject) -> Explanation | None:
    """A node of the group is demoted: held since it booted, or for a reason of the kernel's or a person's."""
    for node in subject.group.preferred:
        found = demotion_of(subject, node)
        if found is None:
            continue
        voices = (subject.spoken(vip, node) for vip in subject.group.virtual_ips[:1])
        cause = (
            HoldReason.HELD_AT_BOOT
            if found.source == HELD
            else Cause.STICKY_DEMOTION
            if found.sticky
            else HoldReason.DEMOTED
        )
        return Explanation(cause, found.clause, (*found.facts, *each(*voices)), (found.remedy,))
    return None


# --- the election -------------------------------------------------------------------------------------------------


def why_backup(subject: Subject, vip: VirtualIP, node: str, master: str) -> Explanation:
    """Why a node that takes part is BACKUP while another one is MASTER: the arithmetic of both."""
    mine, theirs = subject.voice(vip, node), subject.voice(vip, master)
    facts = each(subject.spoken(vip, master), subject.spoken(vip, node))
    number = vip.vhid
    if mine is None or theirs is None:
        unknown = node if mine is None else master
        head = f"{node} is BACKUP of vhid {number} while {master} is MASTER; the numbers of {unknown} are not known"
        return Explanation(Cause.NUMBERS_UNKNOWN, head, facts, (Remedy("sysctl net.inet.carp", unknown),))
    preempt = subject.view.sysctl(node, "preempt") == 1
    if hears(mine, theirs, master=False, preempt=True) is not Reaction.LISTENS:
        if not preempt:
            off = subject.fact(node, "net.inet.carp.preempt is 0: a BACKUP waits until the MASTER is silent")
            head = f"{node} is better than {master} for vhid {number}, but net.inet.carp.preempt is 0 on it"
            return Explanation(
                ConditionReason.PREEMPT_OFF, head, (*facts, off), (Remedy("sysctl net.inet.carp.preempt=1", node),)
            )
        head = f"{node} is better than {master} for vhid {number} and preempts at the next advertisement it hears"
        remedy = Remedy(f"tcpdump -ni {interface_on(vip, node)} -c 5 ip proto 112", node, "if it lasts")
        return Explanation(HoldReason.ELECTING, head, facts, (remedy,))
    own = demotion_of(subject, node)
    if own is not None and mine.advskew < theirs.advskew:
        head = f"{own.clause}, so its {mine.skew} loses against {theirs.skew} of {master}"
        return Explanation(HoldReason.DEMOTED, head, (*own.facts[:2], *facts), (own.remedy,))
    if (mine.advbase, mine.skew) == (theirs.advbase, theirs.skew):
        head = f"{node} and {master} are equal for vhid {number} ({mine.skew}); a BACKUP never preempts an equal MASTER"
        return Explanation(Cause.EQUAL_SKEWS, head, facts, (Remedy(f"ifconfig {interface_on(vip, node)}", node),))
    seconds = f"{theirs.interval_seconds:.2f} s against {mine.interval_seconds:.2f} s"
    head = f"{master} is better for vhid {number}: {seconds}"
    wait = Fact(f"{node} becomes MASTER after {mine.patience_seconds:.2f} s of silence")
    return Explanation(Cause.SLOWER_THAN_MASTER, head, (*facts, wait), (_move(subject, node),))


def _move(subject: Subject, node: str) -> Remedy:
    return Remedy(f"hactl switchover {subject.cluster} {subject.name} --to {node}", None, f"if {node} should have it")
