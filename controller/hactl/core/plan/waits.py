"""What is waited for with nothing left to do: CARP's elections, HAST's connections, and what time alone does not bring.

Rules: what CARP and hastd do by themselves is named while it is not as it should be; where a person has to decide
first, nothing is called a matter of time. Man pages: carp(4), hastd(8).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hactl.core.catalogue import HoldReason
from hactl.core.cluster import interface_on
from hactl.core.evidence.carp import master_down_seconds
from hactl.core.evidence.connects import device_never_came, never_connects
from hactl.core.evidence.copies import choose
from hactl.core.evidence.two_masters import two_masters_cause
from hactl.core.evidence.view import View
from hactl.core.facts import CarpState, HastRole, Vhid
from hactl.core.objects import GroupSpec, StorageSpec, VirtualIP
from hactl.core.plan.placement import nobody_can_say
from hactl.core.plan.scene import Scene
from hactl.core.plan.virtual_ips import wanted_advskews
from hactl.core.steps import Hold


def with_waits(scene: Scene, holds: Sequence[Hold]) -> list[Hold]:
    """The holds of a plan with no step left, and what it waits for besides."""
    found = [*holds, *storage_waits(scene)]
    found += election_waits(scene, found)
    if all(hold.passing for hold in found):
        return found
    # Time alone lifts no boot hold where a person has to decide first: it is nothing to wait for.
    return [replace(h, passing=False) if h.reason == HoldReason.HELD_AT_BOOT else h for h in found]


# --- HAST ---------------------------------------------------------------------------------------------------------


def storage_waits(scene: Scene) -> Iterator[Hold]:
    """What only time can bring: a first sync, a reconnect; or that the copies refuse each other."""
    for group, storage in scene.view.storages():
        active = scene.active.get(group.name)
        resource = scene.view.resource(storage.name, active) if active else None
        if active is None or resource is None or resource.role is not HastRole.PRIMARY:
            continue
        if never_connects(scene.view, active) or device_never_came(scene.view, storage, active):
            continue  # time brings nothing; the trial's area says so
        peers = [n for n in storage.hast.devices if n != active]
        refusal = _never_connects(scene, group, storage) if resource.status != "complete" else None
        if refusal is not None:
            yield refusal
            continue
        if not all(scene.view.role(storage.name, n) is HastRole.SECONDARY for n in peers):
            continue  # a peer that is silent or has no role is said elsewhere, and connects to nobody by itself
        message = ""
        if resource.status != "complete":
            message = f"{active} is not connected to {', '.join(peers)}; it tries every 10 s"
        elif alone := [n for n in peers if n in scene.view.unconnected(storage)]:
            # A primary hears of a peer that lost its power, or of a cut, minutes later if it has nothing to send.
            message = f"{', '.join(alone)} has no connection from {active}, which has not noticed yet"
        if message:
            yield Hold(
                HoldReason.RECONNECTING,
                f"{storage.name}: {message}",
                node=active,
                target=storage.name,
                passing=True,
                remedy=f"if it lasts: grep hastd /var/log/messages on {active}",
            )


def _never_connects(scene: Scene, group: GroupSpec, storage: StorageSpec) -> Hold | None:
    """The copies refuse each other for good: split-brain, another resource."""
    choice = choose(scene.view, storage, group.preferred)
    return nobody_can_say(scene.view, storage, choice) if choice is not None and choice.refused else None


# --- CARP ---------------------------------------------------------------------------------------------------------


def election_waits(scene: Scene, holds: Sequence[Hold]) -> list[Hold]:
    """A hold for every vhid that does not have exactly one MASTER, on the node where its group is active.

    `holds`: everything else that is held.
    """
    shown = View.at(scene.view.cluster, scene.view.snapshot, scene.view.now)
    found: list[Hold] = []
    for group, vip in scene.view.vips():
        seen = _seen(scene, group, vip)
        if not seen:
            continue
        masters = [node for node, vhid in seen.items() if vhid.state is CarpState.MASTER]
        if len(masters) > 1:
            cause = two_masters_cause(shown, group, vip)
            message, remedy = f"vhid {vip.vhid}: {cause.clause}", "; ".join(cause.remedies)
            found.append(Hold(HoldReason.TWO_MASTERS, message, None, f"vhid {vip.vhid}", remedy, passing=True))
        elif not masters:
            found += _nobody(scene, group, vip, seen)
        else:
            found += _elsewhere(scene, group, vip, masters[0], [*holds, *found])
    return found


def _seen(scene: Scene, group: GroupSpec, vip: VirtualIP) -> dict[str, Vhid]:
    """The vhid where it is and has an address."""
    seen = {}
    for node in group.preferred:
        interface = scene.view.interface(vip, node)
        vhid = interface.vhid(vip.vhid) if interface else None
        if vhid is not None and interface is not None and interface.of_vhid(vip.vhid):
            seen[node] = vhid
    return seen


def _nobody(scene: Scene, group: GroupSpec, vip: VirtualIP, seen: dict[str, Vhid]) -> Iterator[Hold]:
    down = [node for node, vhid in seen.items() if vhid.state is CarpState.INIT]
    for node in down:
        if scene.view.sysctl(node, "allow") == 0:
            continue  # CARP is off, which is told (HeldAtBoot) or set right
        name = interface_on(vip, node)
        yield Hold(
            HoldReason.INTERFACE_DOWN,
            f"vhid {vip.vhid} on {node} is INIT: {name} is down or has no link",
            node=node,
            target=f"{name} vhid {vip.vhid}",
            remedy=f"ifconfig {name} up; check the cable and the switch port",
        )
    if len(down) < len(seen) and not any(node in scene.view.silent for node in group.preferred):
        wait = master_down_seconds(vip.advbase, max(wanted_advskews(scene, group, vip).values()))
        yield Hold(
            HoldReason.ELECTING,
            f"vhid {vip.vhid}: nobody is MASTER yet; it takes up to {wait:.1f} s",
            target=f"vhid {vip.vhid}",
            passing=True,
        )


def _elsewhere(scene: Scene, group: GroupSpec, vip: VirtualIP, master: str, holds: Sequence[Hold]) -> Iterator[Hold]:
    """The address is not where the group is; with everything as the document says, preemption brings it.

    By advskews of the document it stays, and the storage follows: not while a person has to decide about that.
    """
    active = scene.active.get(group.name)
    if not group.storage or active in (None, master):
        return
    yield Hold(
        HoldReason.ADDRESS_ELSEWHERE,
        f"vhid {vip.vhid}: {master} is MASTER, {group.name} is active on {active}",
        target=f"vhid {vip.vhid}",
        passing=vip.advskews is None or all(hold.passing for hold in holds),
        remedy=f"if it lasts, on {active}: sysctl net.inet.carp.demotion; ifconfig {interface_on(vip, master)}",
    )
