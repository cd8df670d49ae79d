"""A world for a document: one machine per node, wired and furnished as the document expects to find them.

Rules:
- vtnet0 is the management interface; the CARP interfaces get a base address (.11, .12, ...) in the subnet of
  their virtual IPs; HAST addresses get an interface of their own unless they lie in such a subnet.
- Devices named by the document are blank, 128 MiB, and of the GEOM class that their path says. Nothing of CARP or
  HAST is configured: that is hactl's work.
- Segments: "management", "lan", "lan2", ..., "replication", "replication2", ...
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from hactl.core.cluster import interface_on
from hactl.core.objects import HACluster, VirtualIP
from hactl.lab.clock import LabClock
from hactl.lab.machine import Machine
from hactl.lab.rc.etc import rc_conf
from hactl.lab.world import World

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Host = ipaddress.IPv4Interface | ipaddress.IPv6Interface
MANAGEMENT_ADDRESS = "10.0.2.15"
#: Subnet assumed around a virtual IP that is written with its own address as the whole prefix.
ASSUMED_PREFIX = {4: 24, 6: 64}


@dataclass(slots=True)
class Port:
    """An interface to be made: its segment and base addresses with prefix length."""

    name: str
    segment: str
    hosts: list[Host] = field(default_factory=list)


def build_world(
    document: HACluster, clock: LabClock, seed: int = 0, *, release: str = "13.2-RELEASE"
) -> World[Machine]:
    """All machines of a document, booted and unconfigured."""
    world = World[Machine](clock, seed)
    plan = Wiring(document)
    for node in document.spec.nodes:
        machine = Machine(world, node.name, release=release)
        _wire(machine, plan.ports(node.name))
        _furnish(machine, document)
    world.start()
    return world


class Wiring:
    """Which node gets which interfaces."""

    def __init__(self, document: HACluster) -> None:
        self.document = document
        self.nodes = [node.name for node in document.spec.nodes]
        self.vips = [vip for group in document.spec.groups for vip in group.virtual_ips]
        self.hast: list[tuple[str, str]] = [
            (node, address)
            for group in document.spec.groups
            for storage in group.storage
            for node, address in storage.hast.addresses.items()
        ]
        self._segments: dict[str, str] = {}

    def ports(self, node: str) -> list[Port]:
        """The interfaces of one node, without management and loopback."""
        ports: dict[str, Port] = {}
        for vip in self.vips:
            name = interface_on(vip, node)
            port = ports.setdefault(name, Port(name, self._segment(vip)))
            for network in subnets(vip):
                # A link-local address is the kernel's own; on 169.254.0.0/16 nobody needs one to begin with.
                if not network.is_link_local and not any(host.network == network for host in port.hosts):
                    port.hosts.append(self._host(node, network))
        for network in self._replication_networks():
            address = next((text for owner, text in self.hast if owner == node and _in(text, network)), None)
            if address is not None:
                name = _free_name({*ports, "vtnet0"})
                host = ipaddress.ip_interface(f"{address}/{network.prefixlen}")
                ports[name] = Port(name, self._segment_of(str(network), "replication"), [host])
        return list(ports.values())

    def _segment(self, vip: VirtualIP) -> str:
        """Virtual IPs share a segment when they share an interface on the first node."""
        return self._segment_of(f"interface {interface_on(vip, self.nodes[0])}", "lan")

    def _segment_of(self, key: str, kind: str) -> str:
        if key not in self._segments:
            count = sum(name.rstrip("0123456789") == kind for name in self._segments.values())
            self._segments[key] = kind if count == 0 else f"{kind}{count + 1}"
        return self._segments[key]

    def _host(self, node: str, network: Network) -> Host:
        """The node's base address in a subnet: its HAST address if that lies there, else .11, .12, ..."""
        for owner, text in self.hast:
            if owner == node and _in(text, network):
                return ipaddress.ip_interface(f"{text}/{network.prefixlen}")
        taken = {ipaddress.ip_interface(text).ip for vip in self.vips for text in vip.addresses}
        taken |= {ipaddress.ip_address(text) for _, text in self.hast}
        base = 0x11 if network.version == 6 else 11
        if network.num_addresses <= base + len(self.nodes):
            base = 1
        free = (ip for step in range(base, network.num_addresses) if (ip := network[step]) not in taken)
        address = next(ip for place, ip in enumerate(free) if place == self.nodes.index(node))
        return ipaddress.ip_interface(f"{address}/{network.prefixlen}")

    def _replication_networks(self) -> list[Network]:
        """Subnets that HAST addresses need beyond those of virtual IPs."""
        known = [network for vip in self.vips for network in subnets(vip)]
        found: list[Network] = []
        for _, text in self.hast:
            if not any(_in(text, network) for network in [*known, *found]):
                length = ASSUMED_PREFIX[ipaddress.ip_address(text).version]
                found.append(ipaddress.ip_interface(f"{text}/{length}").network)
        return found


def subnets(vip: VirtualIP) -> list[Network]:
    """The subnets a virtual IP lives in, each once."""
    found: list[Network] = []
    for text in vip.addresses:
        host = ipaddress.ip_interface(text)
        network: Network = host.network
        if network.num_addresses == 1:
            network = ipaddress.ip_interface(f"{host.ip}/{ASSUMED_PREFIX[host.version]}").network
        if network not in found:
            found.append(network)
    return found


def plug_recorded(world: World[Machine], name: str, *, release: str = "13.2-RELEASE") -> Machine:
    """A machine wired like the recorded pair: vtnet1 the LAN, vtnet2 the replication link, two data disks."""
    machine = Machine(world, name, release=release)
    unit = machine.position + 10
    ports = [
        Port("vtnet1", "lan", [ipaddress.ip_interface(f"192.0.2.{unit}/24")]),
        Port("vtnet2", "replication", [ipaddress.ip_interface(f"198.51.100.{unit}/24")]),
    ]
    _wire(machine, ports)
    machine.disks.add("vtbd1")
    machine.disks.add("vtbd2")
    return machine


def _in(text: str, network: Network) -> bool:
    return ipaddress.ip_address(text) in network


def _free_name(taken: set[str]) -> str:
    numbers = [int(match[1]) for name in taken if (match := re.fullmatch(r"vtnet(\d+)", name))]
    return f"vtnet{max(numbers, default=-1) + 1}"


def _wire(machine: Machine, ports: list[Port]) -> None:
    """Plug the interfaces in and write the rc.conf of a fresh installation."""
    names = {port.name for port in ports}
    management = next(
        name for name in ("vtnet0", *(f"em{unit}" for unit in range(len(names) + 1))) if name not in names
    )
    settings = {management: "DHCP"}
    ether = f"52:54:00:00:{{}}:{machine.position:02x}"
    machine.net.plug(management, "management", ether.format("00"), lease=(MANAGEMENT_ADDRESS, 24))
    for place, port in enumerate(ports, 1):
        machine.net.plug(port.name, port.segment, ether.format(f"{place:02x}"))
        settings.update(_settings(port))
    machine.net.plug("lo0", "loopback", None)
    machine.files.mkdir("/etc")
    machine.files.write_text("/etc/rc.conf", rc_conf(machine.name, settings))


def _settings(port: Port) -> dict[str, str]:
    """rc.conf's ifconfig_ variables for the base addresses of an interface."""
    settings: dict[str, str] = {}
    for host in port.hosts:
        first = port.name if host.version == 4 else f"{port.name}_ipv6"
        key = first if first not in settings else f"{port.name}_alias{len(settings)}"
        if host.version == 4:
            settings[key] = f"inet {host.ip} netmask {host.netmask}"
        else:
            settings[key] = f"inet6 {host.ip} prefixlen {host.network.prefixlen}"
    return settings


def _furnish(machine: Machine, document: HACluster) -> None:
    for group in document.spec.groups:
        for storage in group.storage:
            device = storage.hast.devices.get(machine.name)
            if device is not None:
                machine.disks.add(device)
        for service in group.services:
            machine.rc.add_service(service.name)
