"""The disks of one machine: local devices of every GEOM class, the providers HAST makes, device nodes, what is mounted.

Rules:
- Disks survive power; opens, mounts and everything below /dev do not.
- Man pages: geom(4), diskinfo(8), devfs(5).
"""

from __future__ import annotations

import itertools

from hactl.lab.host import Host
from hactl.lab.storage import geom, ufs
from hactl.lab.storage.mounts import Mounts
from hactl.lab.storage.provider import DISK_BYTES, MIB, Disk, Provider
from hactl.lab.storage.root import Root
from hactl.lab.storage.zfs import Pools


class Disks:
    """All block devices of one machine and what is mounted from them."""

    def __init__(self, machine: Host) -> None:
        """Only the system disk; `add` the others."""
        self.machine = machine
        self.disks: dict[str, Disk] = {"vtbd0": Disk("vtbd0", 1024 * MIB)}
        #: Providers of running HAST primaries by name ("hast/data"), device node present or not yet.
        self.gates: dict[str, Provider] = {}
        #: Where a crash dump would go (dumpon(8)); empty: nowhere.
        self.dump_device = ""
        self.mounts = Mounts(machine)
        self.root = Root(machine, self.mounts)
        self.pools = Pools(machine, self)

    def add(self, name: str, mediasize: int = DISK_BYTES) -> Disk:
        """A blank device ("vtbd1", "/dev/mirror/gm0"), size in bytes; one already there is returned.

        Its name says of which GEOM class it is; what it is made of comes with it.
        """
        name = name.removeprefix("/dev/")
        if name in self.disks:
            return self.disks[name]
        kind = geom.anatomy(name)
        if kind.base is not None:
            return self.stack(name, self.add(kind.base, mediasize))
        if name.startswith(("gpt/", "gptid/")):
            return self.stack(name, self.add(f"{self._free()}p1", mediasize))
        return self.stack(name, *[self.add(self._free(), mediasize) for _ in range(kind.members)], mediasize=mediasize)

    def stack(self, name: str, *members: Disk, mediasize: int = DISK_BYTES) -> Disk:
        """A provider made of others, of the class its name says: what gmirror label, geli attach, gpart add do."""
        name = name.removeprefix("/dev/")
        disk = self.disks[name] = Disk(name, members[0].mediasize if members else mediasize)
        disk.geom_class = geom.anatomy(name).geom_class
        disk.made_of += members
        if disk.geom_class == "PART" and not geom.scheme(members[0]):
            geom.write_scheme(members[0], "gpt")
        self._hold(disk)
        if disk.geom_class not in geom.HOLDING:
            for member in members:
                member.passing.append(disk)
        if self.machine.powered:
            self.machine.files.make_node(disk.path)
        return disk

    def _free(self) -> str:
        """The name of a disk that no document has."""
        return next(f"da{unit}" for unit in itertools.count(100) if f"da{unit}" not in self.disks)

    def _hold(self, disk: Disk) -> None:
        for member in disk.made_of:
            if disk.geom_class in geom.HOLDING:
                member.open(disk.holder, 1, 1, 1)

    def of_class(self, geom_class: str) -> list[Disk]:
        """The local devices of one GEOM class."""
        return [disk for disk in self.disks.values() if disk.geom_class == geom_class]

    def confxml(self) -> str:
        """The kernel's kern.geom.confxml."""
        gates = [gate for gate in self.gates.values() if self.machine.files.kind(gate.path) == "char"]
        return geom.confxml([*self.disks.values(), *gates], self.labels())

    def provider(self, path: str) -> Provider | None:
        """The provider of a device path ("/dev/hast/data", "vtbd1", "/dev/ufs/data"), if its node exists."""
        name = path.removeprefix("/dev/")
        if name in self.disks:
            return self.disks[name]
        gate = self.gates.get(name)
        if gate is not None and self.machine.files.kind(gate.path) == "char":
            return gate
        return next((found for label, found in self.labels() if label == name), None)

    def labels(self) -> list[tuple[str, Provider]]:
        """(label, provider) of every UFS label GEOM has tasted: ("ufs/data", ...)."""
        found = []
        for provider in [*self.disks.values(), *self.gates.values()]:
            if provider.stalled or (isinstance(provider, Disk) and provider.failed):
                continue
            label = ufs.label(provider)
            if label:
                found.append((f"ufs/{label}", provider))
        return found

    def device_nodes(self) -> dict[str, str]:
        """Every block device node by path; the kind is always "char" (FreeBSD has no block devices)."""
        shown = [disk.path for disk in self.disks.values()]
        shown += [gate.path for gate in self.gates.values() if self.machine.files.kind(gate.path) == "char"]
        return dict.fromkeys(sorted(shown), "char")

    # faults and power

    def fail(self, device: str) -> None:
        """Every access to a disk fails with EIO from now on."""
        self.disks[device.removeprefix("/dev/")].failed = True

    def mend(self, device: str) -> None:
        """A failed disk works again, with what was on it."""
        disk = self.disks[device.removeprefix("/dev/")]
        disk.failed = disk.fails_writes = False

    def on_boot(self) -> None:
        """The kernel found the disks; / and /dev are mounted."""
        for disk in self.disks.values():
            disk.opens.clear()
            self.machine.files.make_node(disk.path)
        for disk in self.disks.values():
            self._hold(disk)
        self.disks["vtbd0"].open("mount /", 1, 1, 1)
        self.mounts.on_boot()
        self.root.on_boot()
        self.pools.on_boot()

    def unmount_all(self) -> None:
        """What the kernel does last when it goes down in order: everything is written."""
        self.mounts.unmount_all()
        self.root.write_all()

    def on_power_off(self) -> None:
        """Memory is gone: what was not written is lost, what was mounted read-write stays dirty."""
        self.mounts.on_power_off()
        self.pools.on_power_off()
        self.root.on_power_off()
        self.gates.clear()
        for disk in self.disks.values():
            disk.opens.clear()

    # gates

    def attach_gate(self, gate: Provider) -> None:
        """geom_gate made a provider; its node follows when GEOM has tasted it (`show_gate`)."""
        taken = {each.unit for each in self.gates.values()}
        gate.unit = next(unit for unit in itertools.count() if unit not in taken)
        self.gates[gate.name] = gate

    def show_gate(self, gate: Provider) -> None:
        """The device node appears."""
        self.machine.files.make_node(gate.path)
        for system in ("DEVFS", "GEOM"):
            subsystem = "CDEV" if system == "DEVFS" else "DEV"
            self.machine.devd(f"!system={system} subsystem={subsystem} type=CREATE cdev={gate.name}")

    def detach_gate(self, gate: Provider) -> None:
        """The provider is destroyed by force, whoever has it open (docs/freebsd-facts.md#2.8)."""
        gate.gone = True
        self.gates.pop(gate.name, None)
        if self.machine.files.kind(gate.path) == "char":
            self.machine.files.remove_node(gate.path)
            for system in ("GEOM", "DEVFS"):
                subsystem = "CDEV" if system == "DEVFS" else "DEV"
                self.machine.devd(f"!system={system} subsystem={subsystem} type=DESTROY cdev={gate.name}")
