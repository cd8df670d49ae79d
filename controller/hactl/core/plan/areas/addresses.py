"""CARP vhids and their addresses, now.

Rules: every command names a vhid that exists or brings an address with `alias` (docs/freebsd-facts.md#trap-1, #trap-3);
what is there is never added again (#trap-2); advskew, advbase and password change in place; a change of what the HMAC
covers is made on the standby and at once after it on the active node, well inside the time in which the peer would take
over.
Addresses of a virtual IP that left the document go where hactl once brought them up: its own block for the next boot
names them; others are left alone (I10). Man pages: ifconfig(8), carp(4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hactl.core.catalogue import HoldReason
from hactl.core.changes.carp import AddAddress, RemoveAddress, SetVhid, VhidSettings
from hactl.core.changes.change import DEMOTION, SecretUse
from hactl.core.cluster import interface_on
from hactl.core.facts import Address, CarpState, HastRole, Interface, Vhid, family, known
from hactl.core.objects import GroupSpec, VirtualIP
from hactl.core.plan import checks
from hactl.core.plan.adopted import addresses as settings_of_addresses
from hactl.core.plan.adopted import set_by_scripts, stays, waits
from hactl.core.plan.scene import Findings, Scene
from hactl.core.plan.serving import serves_fully, serving
from hactl.core.plan.virtual_ips import key_of, password_of, wanted_addresses, wanted_advskews
from hactl.core.steps import Check, Hold, Risk, Step


@dataclass(frozen=True, slots=True)
class Place:
    """One virtual IP on one node: what is wanted and what is there."""

    scene: Scene
    group: GroupSpec
    vip: VirtualIP
    node: str
    interface: Interface
    advskew: int

    @property
    def there(self) -> Vhid | None:
        """The vhid as it is on the node."""
        return self.interface.vhid(self.vip.vhid)

    @property
    def target(self) -> str:
        """The vhid in FreeBSD's words."""
        return f"{self.interface.name} vhid {self.vip.vhid}"

    @property
    def secret(self) -> SecretUse | None:
        """The variable of the password."""
        return password_of(self.scene, self.group, self.vip)

    @property
    def key(self) -> str | None:
        """fingerprint of the wanted password."""
        return key_of(self.scene, self.group, self.vip)

    def key_differs(self) -> bool:
        """Whether the key on the node is not the document's (compared by fingerprint)."""
        wanted = self.key
        return wanted is not None and self.there is not None and self.there.key != wanted

    def missing(self) -> list[Address]:
        """Wanted addresses that are not on the vhid with their prefix."""
        have = {(a.ip, a.prefix_length) for a in self.interface.of_vhid(self.vip.vhid)}
        return [a for a in wanted_addresses(self.vip) if (a.ip, a.prefix_length) not in have]

    def surplus(self) -> list[Address]:
        """Addresses on the vhid that the document does not have, each once; not what its owner wrote into rc.conf."""
        wanted = {a.ip for a in wanted_addresses(self.vip)}
        there = {a.ip: a for a in self.interface.of_vhid(self.vip.vhid) if a.ip not in wanted}
        name, vhid = self.interface.name, self.vip.vhid
        return [a for a in there.values() if not stays(self.scene, self.node, name, vhid, a.ip)]

    def outlives_surplus(self) -> bool:
        """Whether the vhid keeps an address, and so stays, when the surplus ones are removed."""
        wanted = {a.ip for a in wanted_addresses(self.vip)}
        return any(a.ip in wanted for a in self.interface.of_vhid(self.vip.vhid))

    def standing(self, address: Address) -> Address | None:
        """The address as the interface has it, the node's own before one of a vhid."""
        same = [a for a in self.interface.addresses if a.ip == address.ip]
        return min(same, key=lambda a: a.vhid is not None, default=None)

    def taken(self) -> bool:
        """Whether a wanted address is an ordinary one of the interface, so that it cannot be added."""
        return any((same := self.standing(a)) is not None and same.vhid is None for a in self.missing())


def repair_steps(scene: Scene) -> Findings:
    """Bring vhids that are in use somewhere to what the document says; standby first."""
    yield from _leftovers(scene)
    for node in scene.view.facts:
        yield from waits(scene, node, settings_of_addresses(scene, node))
    for group, vip in scene.view.vips():
        places, holds = _places(scene, group, vip)
        yield from holds
        if any(place.there is not None and place.interface.of_vhid(vip.vhid) for place in places):
            yield from _repair(scene, group, places)


def introduce_steps(scene: Scene) -> Findings:
    """Create vhids that are nowhere yet: an address appears only where its group serves."""
    for group, vip in scene.view.vips():
        places, holds = _places(scene, group, vip)
        yield from holds
        if not places or any(place.interface.of_vhid(vip.vhid) for place in places):
            continue
        silent = [node for node in group.preferred if node in scene.view.silent]
        if silent:
            yield Hold(
                HoldReason.PEER_SILENT,
                f"{vip.name}: its addresses are not brought up while {', '.join(silent)} cannot be asked",
                node=silent[0],
                target=f"vhid {vip.vhid}",
            )
        elif group.storage and not serving(scene, group):
            yield Hold(
                HoldReason.ADDRESS_WAITS,
                f"{vip.name}: its addresses come up when {group.name} serves",
                target=f"vhid {vip.vhid}",
            )
        else:
            # The active node first: it is MASTER before the standby has waited long enough to try.
            for place in reversed(places):
                yield from _bring_up(place)


def _places(scene: Scene, group: GroupSpec, vip: VirtualIP) -> tuple[list[Place], list[Hold]]:
    """The virtual IP on every node that can be acted on, standby first; and why not on the others."""
    skews = wanted_advskews(scene, group, vip)
    places: list[Place] = []
    holds: list[Hold] = []
    for node in scene.standby_first(group):
        if node not in scene.view.facts:
            continue
        interface, facts = scene.view.interface(vip, node), scene.view.facts[node]
        if known(facts.modules) is not None and not scene.view.carp_loaded(node):
            # The kernel area loads it, or says why not.
            if interface is not None and interface.vhids:
                why = f"{node}: ifconfig shows vhids and kldstat no carp module; the vhids are left as they are"
                holds.append(Hold(HoldReason.FACTS_UNKNOWN, why, node, f"{interface.name} vhid {vip.vhid}"))
        elif interface is None:
            holds.append(_no_interface(node, interface_on(vip, node), seen=known(facts.interfaces) is not None))
        else:
            places.append(Place(scene, group, vip, node, interface, skews[node]))
    return places, holds


def _no_interface(node: str, name: str, *, seen: bool) -> Hold:
    if not seen:
        return Hold(HoldReason.FACTS_UNKNOWN, f"{node}: cannot read ifconfig", node, name)
    why = f"{node} has no interface {name}"
    return Hold(HoldReason.INTERFACE_MISSING, why, node, name, "correct the interface in the document")


def _repair(scene: Scene, group: GroupSpec, places: list[Place]) -> Findings:
    """The steps of one vhid, those of the node that serves it last, and only when no standby is in doubt (I5)."""
    serving_node = _serving_node(scene, group, places)
    doubtful = [node for node in group.preferred if node not in {place.node for place in places}]
    for place in sorted(places, key=lambda place: place.node == serving_node):
        found = list(_steps_of(place))
        yield from (each for each in found if isinstance(each, Hold))
        mine = [each for each in found if isinstance(each, Step)]
        if mine and place.node == serving_node and doubtful:
            yield Hold(
                HoldReason.STANDBY_FIRST,
                f"{place.target} on {place.node} is left as it is until {', '.join(doubtful)} can be changed first",
                node=place.node,
                target=place.target,
            )
        elif mine and (refusal := _unicast(place)) is not None:
            yield refusal
            doubtful.append(place.node)
        else:
            yield from mine
            if place.taken():
                doubtful.append(place.node)


def _serving_node(scene: Scene, group: GroupSpec, places: list[Place]) -> str | None:
    """The node that is MASTER of the vhid; of several, or while there is none, the one where the group is active, or
    while that is not known a primary.
    """
    active = scene.active.get(group.name)
    masters = [p.node for p in places if p.there is not None and p.there.state is CarpState.MASTER]
    if not masters or active in masters:
        return active
    primaries = [node for node in masters for s in group.storage if scene.view.role(s.name, node) is HastRole.PRIMARY]
    return min(primaries or masters, key=group.preferred.index)


def _unicast(place: Place) -> Hold | None:
    there = place.there
    if there is None or there.peer in (None, "224.0.0.18"):
        return None
    return Hold(
        HoldReason.UNICAST_PEER,
        f"{place.target} on {place.node} talks to {there.peer} only; the document cannot say that yet",
        node=place.node,
        target=place.target,
        remedy=f"ifconfig {place.interface.name} vhid {place.vip.vhid} mcast",
    )


def _steps_of(place: Place) -> Findings:
    """What one vhid on one node needs."""
    removals = [_remove(place, address, "the document does not have it") for address in place.surplus()]
    there = place.there
    if there is None:
        yield from removals
        yield from _bring_up(place)
        return
    by_script = place.vip.vhid in set_by_scripts(place.scene, place.node)
    differs = [] if by_script else _differences(place, there)
    change = [_set_vhid(place, there, differs)] if differs else []
    added = [each for address in place.missing() for each in _add(place, address, new=False)]
    if place.outlives_surplus():
        yield from (*removals, *change, *added)
    else:
        # The vhid would go with the last of them, and its password with it: a wanted address comes first.
        yield from (*change, *added)
        yield from removals if any(isinstance(each, Step) for each in added) else ()


def _differences(place: Place, there: Vhid) -> list[str]:
    differs = []
    if there.advbase != place.vip.advbase:
        differs.append(f"advbase is {there.advbase}, the document says {place.vip.advbase}")
    if there.advskew != place.advskew:
        said = "the document says"
        if place.vip.advskews is None:
            said = "a node that stands by has" if place.advskew else "the node that is to have the address has"
        differs.append(f"advskew is {there.advskew}, {said} {place.advskew}")
    if place.key_differs():
        differs.append("the password is not the document's")
    return differs


def _set_vhid(place: Place, there: Vhid, differs: list[str]) -> Step:
    """Exactly what differs.

    A node is told to be MASTER (`ifconfig ... state master`) where that is what its advskew would bring within an
    advertisement, and never while another has as good a one: each steps down on the other's advertisement, and nobody
    is MASTER for three seconds (docs/freebsd-facts.md#1.2, seen).
    """
    name, vip = place.interface.name, place.vip
    secret = place.secret if place.key_differs() else None
    change = SetVhid(
        name,
        vip.vhid,
        advbase=vip.advbase if there.advbase != vip.advbase else None,
        advskew=place.advskew if there.advskew != place.advskew else None,
        password=secret,
        key=place.key if secret else None,
        master=secret is None and _takes_at_once(place, there),
    )
    after = checks.vhid_is(name, vip.vhid, vip.advbase, place.advskew, secret.variable if secret else None)
    before = [checks.vhid_exists(name, vip.vhid)]
    if change.master:
        before.append(checks.sysctl_is(DEMOTION, 0))
    return Step.of(
        place.node,
        change,
        "; ".join(differs),
        Risk.BLIP,
        before=tuple(before),
        after=(after,),
    )


def _takes_at_once(place: Place, there: Vhid) -> bool:
    """Whether the node is the one that serves the group, is to be MASTER and is the best of all from now on."""
    scene, group, vip = place.scene, place.group, place.vip
    others = [scene.view.vhid(vip, node) for node in group.preferred if node != place.node]
    return (
        bool(group.storage)
        and scene.active.get(group.name) == place.node
        and serves_fully(scene, group)
        and there.state is CarpState.BACKUP
        and there.advbase == vip.advbase
        and scene.view.sysctl(place.node, "demotion") == 0
        and all(o is not None and o.advbase == vip.advbase and o.advskew > place.advskew for o in others)
    )


def _bring_up(place: Place) -> Findings:
    """The vhid with its first address and all its values, then its other addresses."""
    if place.missing() and (hold := _password_unsaid(place)) is not None:
        yield hold
        return
    new = True
    for address in place.missing():
        for each in _add(place, address, new=new):
            yield each
            new &= isinstance(each, Hold)


def _password_unsaid(place: Place) -> Hold | None:
    """A vhid comes back only with the password of the others: without it each node would be MASTER."""
    others = {node: place.scene.view.vhid(place.vip, node) for node in place.group.preferred if node != place.node}
    keyed = [node for node, vhid in others.items() if vhid is not None and vhid.key is not None]
    if place.vip.password_from is not None or not keyed:
        return None
    return Hold(
        HoldReason.NOT_IN_DOCUMENT,
        f"{place.target} is not on {place.node}; {', '.join(keyed)} has it with a password that the document does not "
        "say, and without it both nodes would be MASTER",
        node=place.node,
        target=place.target,
        remedy=f"service netif start {place.interface.name} on {place.node} brings up what its rc.conf says; or name "
        f"passwordFrom in the document for {place.vip.name}",
    )


def _add(place: Place, address: Address, *, new: bool) -> Findings:
    """Add one address; if it stands on another vhid it is taken off there first, if it is the node's own it is not."""
    same = place.standing(address)
    why = f"{address.cidr} is not there"
    before = [checks.carp_loaded()]
    if same is not None and same.vhid is None:
        yield Hold(
            HoldReason.ADDRESS_IN_USE,
            f"{address.ip} is an ordinary address of {place.interface.name} on {place.node}",
            node=place.node,
            target=place.target,
            remedy=f"take it off {place.interface.name} ({family(address.ip)} {address.ip} -alias, and in "
            "/etc/rc.conf), or use another address in the document",
        )
        return
    if same is not None and same.vhid != place.vip.vhid:
        yield _remove(place, same, f"it belongs to vhid {place.vip.vhid}")
    elif same is not None:
        # The prefix can only be changed by adding the address again, which costs an election.
        why = f"the prefix length is {same.prefix_length}, the document says {address.prefix_length}"
        before.append(checks.address_on(place.interface.name, address.ip, place.vip.vhid))
    if same is None or same.vhid != place.vip.vhid:
        before.append(checks.address_absent(place.interface.name, address.ip))
    if not new:
        before.append(checks.vhid_exists(place.interface.name, place.vip.vhid))
    yield _add_step(place, address, why, tuple(before), new=new)


def _add_step(place: Place, address: Address, why: str, before: tuple[Check, ...], *, new: bool) -> Step:
    name, vip, secret = place.interface.name, place.vip, place.secret
    settings = VhidSettings(vip.advbase, place.advskew, secret, place.key) if new else None
    after = [checks.address_on(name, address.ip, place.vip.vhid)]
    if new:
        after.append(checks.vhid_is(name, vip.vhid, vip.advbase, place.advskew, secret.variable if secret else None))
    return Step.of(
        place.node,
        AddAddress(name, address, settings),
        why,
        Risk.NONE if new and place.there is None else Risk.BLIP,
        before=before,
        after=tuple(after),
    )


def _remove(place: Place, address: Address, why: str) -> Step:
    return _removal(place.node, place.interface, address, why)


def _removal(node: str, interface: Interface, address: Address, why: str) -> Step:
    """Take one address off its vhid; the vhid goes with its last address."""
    assert address.vhid is not None
    return Step.of(
        node,
        RemoveAddress(interface.name, address),
        why,
        Risk.OUTAGE,
        before=(checks.address_on(interface.name, address.ip, address.vhid),),
        after=(checks.address_gone(interface.name, address.ip, address.vhid),),
    )


# --- what left the document ---------------------------------------------------------------------------------------


def _leftovers(scene: Scene) -> Findings:
    """Addresses that hactl wrote for the next boot once and the document no longer has: a virtual IP was removed.

    They go where they answer last (I5), so that no standby becomes MASTER of what is taken away.
    """
    found = list(_leftover_steps(scene))
    yield from (step for step, answers in found if not answers)
    for step, answers in found:
        if answers and not scene.view.silent:
            yield step
        elif answers:
            until = f"until {', '.join(sorted(scene.view.silent))} can be changed first"
            why = f"{step.target} stays on {step.node} {until}"
            yield Hold(HoldReason.STANDBY_FIRST, why, node=step.node, target=step.target)


def _leftover_steps(scene: Scene) -> Iterator[tuple[Step, bool]]:
    """Each with whether the node answers to the address."""
    view = scene.view
    wanted = {(node, interface_on(vip, node), vip.vhid) for group, vip in view.vips() for node in group.preferred}
    for node in reversed(view.nodes):
        facts = view.facts.get(node)
        boot, interfaces = (known(facts.boot), known(facts.interfaces)) if facts else (None, None)
        if boot is None or interfaces is None:
            continue
        for alias in boot.aliases:
            interface = interfaces.get(alias.interface)
            if not alias.managed or interface is None or (node, alias.interface, alias.vhid) in wanted:
                continue
            vhid = interface.vhid(alias.vhid)
            answers = vhid is not None and vhid.state is CarpState.MASTER
            for address in interface.of_vhid(alias.vhid):
                if address.ip == alias.ip:
                    why = f"the document has no vhid {alias.vhid} there"
                    yield _removal(node, interface, address, why), answers
