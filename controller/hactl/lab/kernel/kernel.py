"""The kernel of one machine: its modules, its message buffer, what it says when it boots.

Rules:
- Module sizes, addresses and reference counts are those of the recordings (01, 02, 08, 09); a module's name
  (`kldstat -m`) is not always its file's (geom_gate.ko is g_gate).
- The message buffer is emptied by a boot. Man pages: kld(4), kldload(8), dmesg(8).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from hactl.lab.host import Host
from hactl.lab.kernel.carp import Carp
from hactl.lab.kernel.errors import KernelError
from hactl.lab.kernel.net import Network
from hactl.lab.storage.disks import Disks

KERNEL_ADDRESS = 0xFFFFFFFF80200000
KERNEL_BYTES = 0xD30A88
FIRST_MODULE_ADDRESS = 0xFFFFFFFF81318000
PAGE_BYTES = 0x1000
#: kern.msgbufsize is bytes; so many lines fit with the lengths seen here.
MESSAGES = 1600
BUILD_TIME = "Mon Nov 23 15:20:08 UTC 2026"
BUILD_PATH = "root@build:/usr/obj/usr/src/amd64.amd64/sys/GENERIC"


@dataclass(frozen=True, slots=True)
class ModuleFile:
    """A file of /boot/kernel: the module in it, its size, how many kernel references it takes."""

    module: str
    size_bytes: int
    references: int = 2


#: What can be loaded.
AVAILABLE = {
    "carp": ModuleFile("carp", 0x6840, 2),
    "geom_gate": ModuleFile("g_gate", 0x4538, 3),
    "zfs": ModuleFile("zfs", 0x5B93E8, 5),
    "pf": ModuleFile("pf", 0x4C1D0),
    "pflog": ModuleFile("pflog", 0x2180),
    "pfsync": ModuleFile("pfsync", 0x7C50),
    "if_lagg": ModuleFile("if_lagg", 0x8B28),
    "if_bridge": ModuleFile("if_bridge", 0x9178),
    "ipfw": ModuleFile("ipfw", 0x1F1B0),
    "nfsd": ModuleFile("nfsd", 0x3A230),
    "nullfs": ModuleFile("nullfs", 0x4430),
    "geom_mirror": ModuleFile("g_mirror", 0xD3A8),
}
#: What is compiled into GENERIC, as far as anybody asks.
COMPILED_IN = {"kernel", "ufs", "ether", "vlan", "vtnet", "virtio_blk", "g_part_gpt", "g_label", "nfscl", "procfs"}


@dataclass(slots=True)
class Loaded:
    """One row of kldstat."""

    number: int
    name: str
    address: int
    size_bytes: int
    references: int
    kernel_references: int = 0


class KernelHost(Host, Protocol):
    """A machine with a kernel."""

    release: str
    net: Network
    disks: Disks


class Kernel:
    """Modules and messages."""

    def __init__(self, machine: KernelHost) -> None:
        """Nothing is loaded."""
        self.machine = machine
        self.loaded: list[Loaded] = []
        self.messages: deque[str] = deque(maxlen=MESSAGES)
        self.securelevel = -1

    @property
    def version(self) -> str:
        """The first line of kern.version."""
        branch = "releng/" + self.machine.release.split("-")[0]
        return f"FreeBSD {self.machine.release} #3 {branch}: {BUILD_TIME}"

    def boot(self) -> None:
        """Nothing is loaded; the first messages appear."""
        self.loaded = []
        self.messages.clear()
        self.securelevel = -1
        net = self.machine.net
        lines = [
            "---<<BOOT>>---",
            "Copyright (c) 1992-2021 The FreeBSD Project.",
            "Copyright (c) 1979, 1980, 1983, 1986, 1988, 1989, 1991, 1992, 1993, 1994",
            "\tThe Regents of the University of California. All rights reserved.",
            "FreeBSD is a registered trademark of The FreeBSD Foundation.",
            self.version,
            f"    {BUILD_PATH} amd64",
            "VT(vga): text 80x25",
            "CPU: QEMU Virtual CPU version 2.5+ (2400.00-MHz K8-class CPU)",
            "real memory  = 536870912 (512 MB)",
            "avail memory = 498216960 (475 MB)",
        ]
        for interface in net.interfaces.values():
            if interface.ether is not None and interface.name.startswith("vtnet"):
                unit = interface.name.removeprefix("vtnet")
                lines.append(f"{interface.name}: <VirtIO Networking Adapter> on virtio_pci{unit}")
                lines.append(f"{interface.name}: Ethernet address: {interface.ether}")
        lines.append("Trying to mount root from ufs:/dev/vtbd0 [rw]...")
        for line in lines:
            self.machine.klog(line)

    def message(self, text: str) -> None:
        """Append to the message buffer."""
        self.messages.append(text)

    # modules

    def has_module(self, module: str) -> bool:
        """Whether a module is loaded or compiled in (`kldstat -m`)."""
        return module in COMPILED_IN or any(AVAILABLE[row.name].module == module for row in self.loaded)

    def find(self, name: str) -> Loaded | None:
        """A loaded file by name, with or without .ko."""
        name = name.rsplit("/", 1)[-1].removesuffix(".ko")
        return next((row for row in self.loaded if row.name == name), None)

    def load(self, name: str) -> None:
        """kldload(2). Raises KernelError."""
        name = name.rsplit("/", 1)[-1].removesuffix(".ko")
        file = AVAILABLE.get(name)
        if file is None:
            raise KernelError("No such file or directory")
        if self.find(name) is not None:
            raise KernelError("File exists")
        if self.securelevel > 0:
            raise KernelError("Operation not permitted")
        last = self.loaded[-1] if self.loaded else None
        address = (
            FIRST_MODULE_ADDRESS if last is None else -(-(last.address + last.size_bytes) // PAGE_BYTES) * PAGE_BYTES
        )
        number = 2 if last is None else last.number + 1
        self.loaded.append(Loaded(number, name, address, file.size_bytes, 1, file.references))
        if name == "carp":
            self.machine.net.carp = Carp(self.machine, self.machine.net.interfaces)

    def unload(self, name: str) -> None:
        """kldunload(2). Raises KernelError: Device busy while somebody uses it."""
        row = self.find(name)
        if row is None:
            raise KernelError("No such file or directory")
        if self.securelevel > 0:
            raise KernelError("Operation not permitted")
        if self._busy(row.name):
            raise KernelError("Device busy")
        self.loaded.remove(row)
        if row.name == "carp":
            self.machine.net.carp = None

    def _busy(self, name: str) -> bool:
        carp = self.machine.net.carp
        if name == "carp":
            return carp is not None and bool(carp.vhids)
        if name == "geom_gate":
            return bool(self.machine.disks.gates)
        return False

    def rows(self) -> list[tuple[int, int, int, int, str]]:
        """kldstat: (id, references, address, size, file name)."""
        references = 1 + sum(row.kernel_references for row in self.loaded)
        rows = [(1, references, KERNEL_ADDRESS, KERNEL_BYTES, "kernel")]
        return rows + [
            (row.number, row.references, row.address, row.size_bytes, f"{row.name}.ko") for row in self.loaded
        ]
