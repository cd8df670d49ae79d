"""CARP vhids and their addresses, now.

Rules: every command names a vhid that exists or brings an address with `alias` (docs/freebsd-facts.md#trap-1, #trap-3);
what is there is never added again (#trap-2); advskew, advbase and password change in place; a change of what the HMAC
covers is made on the standby and at once after it on the active node, well inside the time in which the peer would take
over.
Man pages: ifconfig(8), carp(4).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from hactl.core.cluster import interface_on
from hactl.core.facts import Address, CarpState, HastRole, Interface, Vhid, family
from hactl.core.objects import GroupSpec, VirtualIP
from hactl.core.plan import checks
from hactl.core.plan.areas.leftovers import leftover_steps, removal
from hactl.core.plan.scene import Scene, Steps, known
from hactl.core.plan.virtual_ips import wanted_advskews
from hactl.core.plan.words import quote_plain
from hactl.core.steps import Check, Risk, SecretUse, Step


def password_variable(scene: Scene, group: GroupSpec, vip: VirtualIP) -> SecretUse | None:
    """The shell variable that carries the password of this virtual IP; None when the document names none."""
    if vip.password_from is None:
        return None
    for number, (other_group, other) in enumerate(scene.vips(), start=1):
        if other_group.name == group.name and other.name == vip.name:
            return SecretUse(f"HACTL_PASS_{number}", group.name, vip.name)
    raise KeyError(vip.name)


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
        return password_variable(self.scene, self.group, self.vip)

    def key_differs(self) -> bool:
        """Whether the key on the node is not the document's (compared by fingerprint)."""
        wanted = self.scene.cluster.keys.get((self.group.name, self.vip.name))
        return wanted is not None and self.there is not None and self.there.key != wanted

    def missing(self) -> list[Address]:
        """Wanted addresses that are not on the vhid with their prefix."""
        have = {(a.ip, a.prefix_length) for a in self.interface.of_vhid(self.vip.vhid)}
        return [a for a in wanted_addresses(self.vip) if (a.ip, a.prefix_length) not in have]

    def surplus(self) -> list[Address]:
        """Addresses on the vhid that the document does not have, each once."""
        wanted = {a.ip for a in wanted_addresses(self.vip)}
        return list({a.ip: a for a in self.interface.of_vhid(self.vip.vhid) if a.ip not in wanted}.values())

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


def wanted_addresses(vip: VirtualIP) -> list[Address]:
    """The addresses of a virtual IP in canonical form."""
    parsed = [ipaddress.ip_interface(text) for text in vip.addresses]
    return [Address(str(address.ip), address.network.prefixlen, vip.vhid) for address in parsed]


def repair_steps(scene: Scene) -> Steps:
    """Bring vhids that are in use somewhere to what the document says; standby first."""
    steps: Steps = leftover_steps(scene)
    for group, vip in scene.vips():
        places = _places(scene, group, vip)
        if any(place.there is not None and place.interface.of_vhid(vip.vhid) for place in places):
            steps += _repair(scene, group, places)
    return steps


def introduce_steps(scene: Scene) -> Steps:
    """Create vhids that are nowhere yet: an address appears only where its group serves."""
    steps: Steps = []
    for group, vip in scene.vips():
        places = _places(scene, group, vip)
        if not places or any(place.interface.of_vhid(vip.vhid) for place in places):
            continue
        silent = [node for node in group.preferred if node in scene.silent]
        if silent:
            scene.hold(
                "PeerSilent",
                f"{vip.name}: its addresses are not brought up while {', '.join(silent)} cannot be asked",
                node=silent[0],
                target=f"vhid {vip.vhid}",
            )
        elif group.storage and not serving(scene, group):
            scene.hold(
                "AddressWaits",
                f"{vip.name}: its addresses come up when {group.name} serves",
                target=f"vhid {vip.vhid}",
            )
        else:
            # The active node first: it is MASTER before the standby has waited long enough to try.
            steps += [step for place in reversed(places) for step in _bring_up(place)]
    return steps


def serving(scene: Scene, group: GroupSpec) -> bool:
    """Whether the active node has every filesystem of the group."""
    from hactl.core.plan.areas.filesystems import filesystem_ready

    active = scene.active.get(group.name)
    return (
        active is not None
        and active in scene.facts
        and all(filesystem_ready(scene, storage, active) for storage in group.storage)
    )


def _places(scene: Scene, group: GroupSpec, vip: VirtualIP) -> list[Place]:
    """The virtual IP on every node that can be acted on, standby first."""
    skews = wanted_advskews(scene, group, vip)
    places = []
    for node in scene.standby_first(group):
        if node not in scene.facts:
            continue
        interface = scene.interface(vip, node)
        if known(scene.facts[node].modules) is not None and not scene.carp_loaded(node):
            # The kernel area loads it, or says why not.
            if interface is not None and interface.vhids:
                scene.hold(
                    "FactsUnknown",
                    f"{node}: ifconfig shows vhids and kldstat no carp module; the vhids are left as they are",
                    node=node,
                    target=f"{interface.name} vhid {vip.vhid}",
                )
            continue
        if interface is None:
            name = interface_on(vip, node)
            seen = known(scene.facts[node].interfaces) is not None
            scene.hold(
                "InterfaceMissing" if seen else "FactsUnknown",
                f"{node} has no interface {name}" if seen else f"{node}: cannot read ifconfig",
                node=node,
                target=name,
                remedy="correct the interface in the document" if seen else "",
            )
            continue
        places.append(Place(scene, group, vip, node, interface, skews[node]))
    return places


def _repair(scene: Scene, group: GroupSpec, places: list[Place]) -> Steps:
    """The steps of one vhid, those of the node that serves it last, and only when no standby is in doubt (I5)."""
    steps: Steps = []
    serving_node = _serving_node(scene, group, places)
    doubtful = [node for node in group.preferred if node not in {place.node for place in places}]
    for place in sorted(places, key=lambda place: place.node == serving_node):
        mine = _steps_of(place)
        if mine and place.node == serving_node and doubtful:
            scene.hold(
                "StandbyFirst",
                f"{place.target} on {place.node} is left as it is until {', '.join(doubtful)} can be changed first",
                node=place.node,
                target=place.target,
            )
        elif mine and not _peer_allows(scene, place):
            doubtful.append(place.node)
        else:
            steps += mine
            if place.taken():
                doubtful.append(place.node)
    return steps


def _serving_node(scene: Scene, group: GroupSpec, places: list[Place]) -> str | None:
    """The node that is MASTER of the vhid; of several, or while there is none, the one where the group is active, or
    while that is not known a primary.
    """
    active = scene.active.get(group.name)
    masters = [p.node for p in places if p.there is not None and p.there.state is CarpState.MASTER]
    if not masters or active in masters:
        return active
    primaries = [node for node in masters for s in group.storage if scene.role(s.name, node) is HastRole.PRIMARY]
    return min(primaries or masters, key=group.preferred.index)


def _peer_allows(scene: Scene, place: Place) -> bool:
    there = place.there
    if there is None or there.peer in (None, "224.0.0.18"):
        return True
    scene.hold(
        "UnicastPeer",
        f"{place.target} on {place.node} talks to {there.peer} only; the document cannot say that yet",
        node=place.node,
        target=place.target,
        remedy=f"ifconfig {place.interface.name} vhid {place.vip.vhid} mcast",
    )
    return False


def _steps_of(place: Place) -> Steps:
    """What one vhid on one node needs."""
    removals = [_remove(place, address, "the document does not have it") for address in place.surplus()]
    there = place.there
    if there is None:
        return removals + _bring_up(place)
    steps: Steps = []
    differs = _differences(place, there)
    if differs:
        steps.append(_set_vhid(place, there, differs))
    added = [step for address in place.missing() for step in _add(place, address, new=False)]
    if place.outlives_surplus():
        return removals + steps + added
    # The vhid would go with the last of them, and its password with it: a wanted address comes first.
    return steps + added + removals if added else steps


def _differences(place: Place, there: Vhid) -> list[str]:
    differs = []
    if there.advbase != place.vip.advbase:
        differs.append(f"advbase is {there.advbase}, the document says {place.vip.advbase}")
    if there.advskew != place.advskew:
        differs.append(f"advskew is {there.advskew}, the document says {place.advskew}")
    if place.key_differs():
        differs.append("the password is not the document's")
    return differs


def _set_vhid(place: Place, there: Vhid, differs: list[str]) -> Step:
    """One ifconfig with exactly the words that differ: no address is named, so MASTER is not dropped."""
    words = [f"ifconfig {quote_plain(place.interface.name)} vhid {place.vip.vhid}"]
    secret = place.secret if place.key_differs() else None
    if there.advbase != place.vip.advbase:
        words.append(f"advbase {place.vip.advbase}")
    if there.advskew != place.advskew:
        words.append(f"advskew {place.advskew}")
    if secret is not None:
        words.append(f'pass "${secret.variable}"')
    return Step(
        place.node,
        "SetVhid",
        place.target,
        "; ".join(differs),
        " ".join(words),
        Risk.BLIP,
        before=(checks.vhid_exists(place.interface.name, place.vip.vhid),),
        after=(
            checks.vhid_is(
                place.interface.name,
                place.vip.vhid,
                place.vip.advbase,
                place.advskew,
                secret.variable if secret else None,
            ),
        ),
        secrets=(secret,) if secret else (),
    )


def _bring_up(place: Place) -> Steps:
    """The vhid with its first address and all its values, then its other addresses."""
    steps: Steps = []
    for address in place.missing():
        steps += _add(place, address, new=not steps)
    return steps


def _add(place: Place, address: Address, *, new: bool) -> Steps:
    """Add one address; if it stands on another vhid it is taken off there first, if it is the node's own it is not."""
    same = place.standing(address)
    steps: Steps = []
    why = f"{address.cidr} is not there"
    before = [checks.carp_loaded()]
    if same is not None and same.vhid is None:
        place.scene.hold(
            "AddressInUse",
            f"{address.ip} is an ordinary address of {place.interface.name} on {place.node}",
            node=place.node,
            target=place.target,
            remedy=f"take it off {place.interface.name} ({family(address.ip)} {address.ip} -alias, and in "
            "/etc/rc.conf), or use another address in the document",
        )
        return []
    if same is not None and same.vhid != place.vip.vhid:
        steps.append(_remove(place, same, f"it belongs to vhid {place.vip.vhid}"))
    elif same is not None:
        # The prefix can only be changed by adding the address again, which costs an election.
        why = f"the prefix length is {same.prefix_length}, the document says {address.prefix_length}"
        before.append(checks.address_on(place.interface.name, address.ip, place.vip.vhid))
    if same is None or same.vhid != place.vip.vhid:
        before.append(checks.address_absent(place.interface.name, address.ip))
    if not new:
        before.append(checks.vhid_exists(place.interface.name, place.vip.vhid))
    steps.append(_add_step(place, address, why, tuple(before), new=new))
    return steps


def _add_step(place: Place, address: Address, why: str, before: tuple[Check, ...], *, new: bool) -> Step:
    name = place.interface.name
    words = f"ifconfig {quote_plain(name)} {family(address.ip)} {address.cidr} vhid {place.vip.vhid}"
    secret = place.secret if new else None
    if new:
        words += f" advbase {place.vip.advbase} advskew {place.advskew}"
    if secret is not None:
        words += f' pass "${secret.variable}"'
    after = [checks.address_on(name, address.ip, place.vip.vhid)]
    if new:
        after.append(
            checks.vhid_is(name, place.vip.vhid, place.vip.advbase, place.advskew, secret.variable if secret else None)
        )
    return Step(
        place.node,
        "AddAddress",
        f"{place.target} {address.cidr}",
        why,
        f"{words} alias",
        Risk.NONE if new and place.there is None else Risk.BLIP,
        before=before,
        after=tuple(after),
        secrets=(secret,) if secret else (),
    )


def _remove(place: Place, address: Address, why: str) -> Step:
    assert address.vhid is not None
    return removal(place.node, place.interface.name, address.ip, address.cidr, address.vhid, why)
