"""Rules over several documents: what two clusters may not both have. Table: `RULES`.

Each rule goes through the documents once and keeps what it saw by key, so that a hundred clusters cost a hundred times
one. A finding stands in the later document and names the earlier one.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from hactl.core.choices import Mode
from hactl.core.document.problems import Fault, FieldPath, path_text
from hactl.core.document.rules.failover import failovers
from hactl.core.document.rules.network import IP, numeric, virtual_addresses, virtual_ips
from hactl.core.document.rules.storage import storages
from hactl.core.lint.codes import Code
from hactl.core.lint.finding import FleetRule, Subject
from hactl.core.objects import HACluster

Machine: TypeAlias = tuple[str, int]
#: IP version, network as a number, prefix length: quicker to make and to compare than objects of ipaddress.
Network: TypeAlias = tuple[int, int, int]


def _shared(subject: Subject, path: FieldPath) -> str:
    """Another document's field, for people."""
    return f"cluster {subject.cluster.name} ({subject.file}, {path_text(path)})"


def _networks(cluster: HACluster) -> Iterator[tuple[FieldPath, int, Network]]:
    """The networks of the virtual IPs with path and vhid; not /32 and /128, which say nothing about the network."""
    for path, vip, address in virtual_addresses(cluster):
        network = address.network
        # A link-local network is on every segment.
        if network.num_addresses > 1 and not address.is_link_local:
            yield path, vip.vhid, (address.version, int(network.network_address), network.prefixlen)


def _around(network: Network, lengths: Sequence[int]) -> Iterator[Network]:
    """The network itself, and those of these shorter prefix lengths that hold it."""
    version, number, own = network
    bits = 32 if version == 4 else 128
    yield network
    for length in lengths:
        if length < own:
            yield version, number >> (bits - length) << (bits - length), length


def _lengths(subjects: Sequence[Subject]) -> dict[int, list[int]]:
    """The prefix lengths that are used, longest first, by IP version."""
    found: dict[int, set[int]] = {4: set(), 6: set()}
    for subject in subjects:
        for _, _, (version, _, length) in _networks(subject.cluster):
            found[version].add(length)
    return {version: sorted(lengths, reverse=True) for version, lengths in found.items()}


def _vhid_twice(subjects: Sequence[Subject]) -> Iterator[tuple[int, Fault]]:
    lengths = _lengths(subjects)
    first: dict[tuple[Network, int], tuple[int, FieldPath]] = {}
    for number, subject in enumerate(subjects):
        for path, vhid, network in _networks(subject.cluster):
            first.setdefault((network, vhid), (number, path))
    said: set[tuple[int, FieldPath]] = set()
    for number, subject in enumerate(subjects):
        for path, vhid, network in _networks(subject.cluster):
            where = (*path[:-2], "vhid")
            for wider in _around(network, lengths[network[0]]):
                other, other_path = first.get((wider, vhid), (number, path))
                if other != number and (number, where) not in said:
                    said.add((number, where))
                    place = _shared(subjects[other], (*other_path[:-2], "vhid"))
                    message = f"vhid {vhid} is also that of {place}: both sides drop the other's advertisements"
                    yield number, Fault(where, message, "a vhid is unique on a network segment: choose another")


def _masks_differ(subjects: Sequence[Subject]) -> Iterator[tuple[int, Fault]]:
    lengths = _lengths(subjects)
    first: dict[Network, tuple[int, FieldPath]] = {}
    for number, subject in enumerate(subjects):
        for path, _, network in _networks(subject.cluster):
            first.setdefault(network, (number, path))
    for number, subject in enumerate(subjects):
        for path, _, network in _networks(subject.cluster):
            wider = next((found for found in _around(network, lengths[network[0]])
                          if found != network and first.get(found, (number,))[0] != number), None)  # fmt: skip
            if wider is not None:
                other, other_path = first[wider]
                message = f"prefix length {network[2]} here, {wider[2]} in {_shared(subjects[other], other_path)}"
                yield number, Fault(path, message, "one network has one prefix length: which is it?")


def _virtual(subjects: Sequence[Subject]) -> dict[IP, tuple[int, FieldPath]]:
    """Who has a virtual IP first."""
    found: dict[IP, tuple[int, FieldPath]] = {}
    for number, subject in enumerate(subjects):
        for path, _, address in virtual_addresses(subject.cluster):
            found.setdefault(address.ip, (number, path))
    return found


def _own_addresses(cluster: HACluster) -> Iterator[tuple[FieldPath, IP, Machine]]:
    """How the machines are reached and where they replicate."""
    machines = {node.name: (node.ssh.host.lower(), node.ssh.port) for node in cluster.spec.nodes}
    for index, node in enumerate(cluster.spec.nodes):
        host = numeric(node.ssh.host)
        if host is not None and not host.is_loopback:
            yield ("spec", "nodes", index, "ssh", "host"), host, machines[node.name]
    for path, storage in storages(cluster):
        for name, text in storage.hast.addresses.items():
            address = numeric(text)
            if address is not None:
                yield (*path, "hast", "addresses", name), address, machines[name]


def _address_twice(subjects: Sequence[Subject]) -> Iterator[tuple[int, Fault]]:
    virtual = _virtual(subjects)
    for number, subject in enumerate(subjects):
        for path, _, address in virtual_addresses(subject.cluster):
            other, other_path = virtual[address.ip]
            if other != number and not address.is_link_local:
                message = f"{address.ip} is also a virtual IP of {_shared(subjects[other], other_path)}"
                yield number, Fault(path, message, "give each cluster its own address")
    owners: dict[IP, tuple[int, FieldPath, Machine]] = {}
    for number, subject in enumerate(subjects):
        for path, own, machine in _own_addresses(subject.cluster):
            other, other_path = virtual.get(own, (number, path))
            if other != number:
                message = f"{own} is a virtual IP of {_shared(subjects[other], other_path)}"
                yield number, Fault(path, message, "use the node's own address")
            other, other_path, whose = owners.setdefault(own, (number, path, machine))
            # Another port of one address is another machine behind it, as a lab has them.
            if other != number and whose[0] != machine[0]:
                message = f"{own} is also an address of {_shared(subjects[other], other_path)}"
                yield number, Fault(path, message, "two machines cannot have the same address")


def _machine_twice(subjects: Sequence[Subject]) -> Iterator[tuple[int, Fault]]:
    first: dict[Machine, tuple[int, FieldPath]] = {}
    for number, subject in enumerate(subjects):
        if subject.cluster.spec.mode is Mode.OBSERVE:
            continue
        for index, node in enumerate(subject.cluster.spec.nodes):
            path = ("spec", "nodes", index, "ssh", "host")
            other, other_path = first.setdefault((node.ssh.host.lower(), node.ssh.port), (number, path))
            if other != number:
                machine = f"{node.ssh.host} port {node.ssh.port}"
                message = f"{machine} is a machine of {_shared(subjects[other], other_path)} too: one is left alone"
                yield number, Fault(path, message, "put both into one document, as two groups")


def _same_host_key(subjects: Sequence[Subject]) -> Iterator[tuple[int, Fault]]:
    first: dict[str, tuple[int, FieldPath, Machine]] = {}
    for number, subject in enumerate(subjects):
        for index, node in enumerate(subject.cluster.spec.nodes):
            if node.ssh.host_key is None:
                continue
            path = ("spec", "nodes", index, "ssh", "hostKey")
            machine = (node.ssh.host.lower(), node.ssh.port)
            other, other_path, whose = first.setdefault(node.ssh.host_key.split()[1], (number, path, machine))
            if whose != machine:
                place = path_text(other_path) if other == number else _shared(subjects[other], other_path)
                message = f"the key is also that of {place}: hactl cannot tell these machines apart"
                yield number, Fault(path, message, "a clone? remove /etc/ssh/ssh_host_* there and restart sshd")


def _shared_password(subjects: Sequence[Subject]) -> Iterator[tuple[int, Fault]]:
    first: dict[tuple[str, str], tuple[int, FieldPath]] = {}
    for number, subject in enumerate(subjects):
        for path, vip in virtual_ips(subject.cluster):
            secret = vip.password_from
            if secret is None:
                continue
            file = posixpath.normpath(posixpath.join(subject.directory, secret.file)) if secret.file else ""
            where = (*path, "passwordFrom")
            other, other_path = first.setdefault((file, secret.env or ""), (number, where))
            if other != number:
                message = (
                    f"it is also the password of {_shared(subjects[other], other_path)}: either can take the other's"
                )
                yield number, Fault(where, message, "give each cluster a password of its own")


def _witness_moves(subjects: Sequence[Subject]) -> Iterator[tuple[int, Fault]]:
    virtual = _virtual(subjects)
    for number, subject in enumerate(subjects):
        for path, failover in failovers(subject.cluster):
            for index, text in enumerate(failover.witness):
                address = numeric(text)
                other, other_path = virtual.get(address, (number, path)) if address is not None else (number, path)
                if other != number:
                    message = (
                        f"{text} is a virtual IP of {_shared(subjects[other], other_path)}: it is away while that moves"
                    )
                    yield number, Fault((*path, "witness", index), message, "name a router or a switch")


RULES: tuple[tuple[Code, FleetRule], ...] = (
    (Code.SAME_HOST_KEY, _same_host_key),
    (Code.VHID_TWICE, _vhid_twice),
    (Code.ADDRESS_TWICE, _address_twice),
    (Code.MACHINE_TWICE, _machine_twice),
    (Code.MASKS_DIFFER, _masks_differ),
    (Code.SHARED_PASSWORD, _shared_password),
    (Code.WITNESS_MOVES, _witness_moves),
)
