"""Which machine a node of a document is, and whose: two clusters that meet on one machine would undo each other's work.

A machine is not how a document spells its address. It is what answers there: the SSH host key, kern.hostuuid, and
the owner that hactl noted on it beside the lease (`facts.Owner`).

Rules: what a machine itself says of its owner comes first, and the owner goes on; where it says nothing, the cluster
whose document came into force later is refused; that two nodes with one key or one hostuuid are two machines must be
proven, by both of them answering at the same time. Nothing is touched for a cluster that is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations

from hactl.core.catalogue import HoldReason
from hactl.core.choices import Mode
from hactl.core.facts import Known, Owner, Snapshot, System, known
from hactl.core.objects import HACluster, NodeSpec
from hactl.core.steps import Hold

#: The least a hostuuid must have to tell machines apart: firmware without one gives a single digit all over.
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of the machine behind one node of a document."""

    node: str
    host: str
    port: int
    #: The pinned host keys: type and base64 each.
    keys: frozenset[str]
    #: kern.hostuuid as it was seen last; "": not seen, or one that tells nothing.
    hostuuid: str = ""
    #: It answered the newest look.
    answers: bool = False

    def same_as(self, other: Machine) -> str:
        """What two nodes have in common that makes them one machine, for people; "": they are two."""
        if (self.host, self.port) == (other.host, other.port):
            return f"{self.host} port {self.port}"
        same_id = self.hostuuid != "" and self.hostuuid == other.hostuuid
        # Both answer now: one machine has one hostuuid, and its sshd one key of each type.
        both = self.answers and other.answers
        if (shared := self.keys & other.keys) and not (both and self.hostuuid and other.hostuuid and not same_id):
            return f"the SSH host key {_short(min(shared))}"
        if same_id and not (both and _types(self.keys) & _types(other.keys)):
            return f"kern.hostuuid {self.hostuuid}"
        return ""

    def undecided(self, other: Machine) -> bool:
        """Whether nothing that is known tells two nodes of one name apart that have nothing in common either.

        A machine has one name (any other is held: WrongHost), one key of each type and one hostuuid.
        """
        told = _types(self.keys) & _types(other.keys) or (self.hostuuid and other.hostuuid)
        return self.name == other.name and not told

    @property
    def name(self) -> str:
        """As it is up to the first dot, which is what its host name is compared with."""
        return self.node.split(".")[0].casefold()

    def with_what_was_seen(self, before: Machine) -> Machine:
        """A node of a newer document, which says nothing new of the machine."""
        if (self.node, self.host, self.port) != (before.node, before.host, before.port):
            return self
        return replace(self, keys=self.keys or before.keys, hostuuid=before.hostuuid, answers=before.answers)


@dataclass(frozen=True, slots=True)
class Claim:
    """A document in force, and what is known of the machines that it names."""

    cluster: str
    source: str
    mode: Mode
    machines: tuple[Machine, ...]

    def after(self, before: Claim) -> Claim:
        """A newer document's, with what was seen of the machines that the older one named too."""
        known = {machine.node: machine for machine in before.machines}
        machines = (each.with_what_was_seen(known.get(each.node, each)) for each in self.machines)
        return replace(self, machines=tuple(machines))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is done for a cluster: one of its nodes is a machine of another one."""

    node: str
    message: str
    remedy: str
    #: A look at the other cluster decides it.
    passing: bool = False

    @property
    def hold(self) -> Hold:
        """As a reason not to act."""
        return Hold(HoldReason.MACHINE_TAKEN, self.message, self.node, remedy=self.remedy, passing=self.passing)


def claim(
    document: HACluster,
    source: str,
    snapshot: Snapshot | None = None,
    keys: Mapping[str, Iterable[str]] | None = None,
) -> Claim:
    """What a document claims, with what the newest look told of its machines.

    `keys`: the pinned host keys of each node, with those that files of the controller hold.
    """
    machines = tuple(_machine(node, snapshot, (keys or {}).get(node.name)) for node in document.spec.nodes)
    return Claim(document.name, source, document.spec.mode, machines)


def _machine(node: NodeSpec, snapshot: Snapshot | None, keys: Iterable[str] | None) -> Machine:
    system = system_of(snapshot, node.name)
    uuid = system.hostuuid.lower() if system is not None else ""
    telling = uuid if len(set(uuid) - {"-"}) >= _DIGITS else ""
    pinned = [node.ssh.host_key] if node.ssh.host_key else []
    words = frozenset(" ".join(key.split()[:2]) for key in (pinned if keys is None else keys))
    return Machine(node.name, node.ssh.host.casefold(), node.ssh.port, words, telling, system is not None)


def _types(keys: frozenset[str]) -> frozenset[str]:
    return frozenset(key.partition(" ")[0] for key in keys)


def _short(key: str) -> str:
    kind, _, blob = key.partition(" ")
    return f"{kind} ...{blob[-12:]}"


def system_of(snapshot: Snapshot | None, node: str) -> System | None:
    """What machine answered for a node in a look; None: none did, or it did not say."""
    reading = None if snapshot is None else snapshot.nodes.get(node)
    return known(reading.value.system) if isinstance(reading, Known) else None


def owners(snapshot: Snapshot) -> Mapping[str, tuple[Owner | None, int]]:
    """Node -> who acted on it last, as it says, and under which lease; nodes whose notes are not known are left out."""
    found: dict[str, tuple[Owner | None, int]] = {}
    for node, reading in snapshot.nodes.items():
        hook = known(reading.value.hook) if isinstance(reading, Known) else None
        if hook is not None:
            found[node] = hook.owner, hook.lease
    return found


def meetings(mine: Claim, others: Iterable[Claim], nodes: Iterable[str]) -> Iterator[tuple[Machine, Claim, str]]:
    """Where these nodes of a cluster are machines of others that act: the node, whose it is too, and by what.

    By "": nothing tells yet whether they are.
    """
    if mine.mode is Mode.OBSERVE:
        return
    wanted = frozenset(nodes)
    for other in others:
        if other.cluster == mine.cluster or other.mode is Mode.OBSERVE:
            continue
        for machine in mine.machines:
            for its in other.machines if machine.node in wanted else ():
                if (what := machine.same_as(its)) or machine.undecided(its):
                    yield machine, other, what


def met(machine: Machine, other: Claim, what: str) -> Refusal:
    """A cluster that came later is refused, or waits until it is known whether it met the other one."""
    if not what:
        return Refusal(
            machine.node,
            f"whether {machine.node} is a machine of the cluster {other.cluster} ({other.source}) too is not known "
            "before that one was looked at: neither a host key of one type nor kern.hostuuid tells them apart",
            "pin host keys of one type in both documents",
            passing=True,
        )
    return Refusal(
        machine.node,
        f"{machine.node} is a machine of the cluster {other.cluster} ({other.source}) too: both have {what}; "
        "that one came first and goes on, nothing is changed for this one",
        "leave the machine out of one of the two documents; if they are two machines, a clone keeps its host key "
        "and /etc/hostid: make new ones there (rm /etc/ssh/ssh_host_* /etc/hostid; service sshd keygen; "
        "service hostid start)",
    )


def owned(node: str, owner: Owner, why: str) -> Refusal:
    """A machine says itself that it is another cluster's; `why` it still is."""
    return Refusal(
        node,
        f"{node} belongs to the cluster {owner.cluster}: {acted(owner)}, {why}; nothing is changed for this one",
        f"take the machine out of the document of {owner.cluster}; if nobody keeps that cluster any more: "
        f"rm /var/db/hactl/owner on {node}",
    )


def acted(owner: Owner) -> str:
    """Who holds a node since when, for people."""
    # A node's clock is good enough for a day and a time of day.
    return f"{owner.who or 'another hactl'} has acted on it since {_moment(owner.since)}"


def _moment(epoch: int) -> str:
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "a time its clock had wrong"


def twins(document: HACluster, snapshot: Snapshot) -> Refusal | None:
    """Two nodes of one document that are one machine for certain; a clone alone is not."""
    seen = [each for each in claim(document, "", snapshot).machines if each.hostuuid]
    for one, other in combinations(seen, 2):
        mine, its = system_of(snapshot, one.node), system_of(snapshot, other.node)
        if mine is None or its is None or abs(mine.boot_epoch - its.boot_epoch) > 1 or not one.same_as(other):
            continue
        return Refusal(
            other.node,
            f"{one.node} and {other.node} are one machine: both answer with {one.same_as(other)} and booted in the "
            f"same second; nothing is changed",
            f"correct ssh.host of {other.node}",
        )
    return None


def still_claims(document: HACluster, hostname: str) -> bool:
    """Whether a document can still act on a machine that calls itself so (any other is held: WrongHost)."""
    names = {hostname, hostname.split(".")[0]}
    return document.spec.mode is not Mode.OBSERVE and any(node.name in names for node in document.spec.nodes)
