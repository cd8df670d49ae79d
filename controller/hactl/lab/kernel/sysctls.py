"""The sysctl tree of one machine, as far as anybody asks: names, values, what may be written.

Rules:
- Order is the kernel's; `net.inet.carp` is listed as in recording 02, and exists only with the module.
- A write may differ from what is read back: `net.inet.carp.demotion` adds (docs/freebsd-facts.md#1.3).
- Values are text as sysctl(8) prints them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from hactl.lab.kernel.carp import Carp
from hactl.lab.kernel.errors import KernelError
from hactl.lab.kernel.kernel import BUILD_PATH, Kernel, KernelHost


class Tunable(KernelHost, Protocol):
    """A machine whose state the tree shows."""

    osreldate: int
    hostuuid: str
    kernel: Kernel


@dataclass(frozen=True, slots=True)
class Oid:
    """One leaf. `write` takes an integer or, with `text`, a string; None: read only."""

    name: str
    read: Callable[[], str]
    write: Callable[[str], None] | None = None
    text: bool = False
    about: str = ""


def oids(machine: Tunable) -> Iterator[Oid]:
    """Every leaf in the kernel's order."""
    yield from _kern(machine)
    carp = machine.net.carp
    if carp is not None:
        yield from _carp(carp)
    if carp is not None and machine.kernel.find("pfsync") is not None:
        yield Oid("net.pfsync.carp_demotion_factor", lambda: "240", about="pfsync's CARP demotion factor adjustment")
    yield from _rest()


def _kern(machine: Tunable) -> Iterator[Oid]:
    kernel = machine.kernel
    yield Oid("kern.ostype", lambda: "FreeBSD")
    yield Oid("kern.osrelease", lambda: machine.release)
    yield Oid("kern.osrevision", lambda: "199506")
    yield Oid("kern.version", lambda: f"{kernel.version}\n    {BUILD_PATH}\n")
    yield Oid("kern.maxvnodes", lambda: "20104")
    yield Oid("kern.hostname", lambda: machine.hostname, lambda value: setattr(machine, "hostname", value), text=True)
    yield Oid("kern.hostid", lambda: str(machine.hostid), lambda value: setattr(machine, "hostid", int(value)))
    yield Oid("kern.hostuuid", lambda: machine.hostuuid, lambda value: setattr(machine, "hostuuid", value), text=True)
    yield Oid("kern.boottime", lambda: _boottime(machine))
    yield Oid("kern.osreldate", lambda: str(machine.osreldate))
    yield Oid("kern.securelevel", lambda: str(kernel.securelevel), lambda value: _raise_securelevel(machine, value))
    yield Oid("kern.geom.confxml", machine.disks.confxml, text=True)
    yield Oid("kern.geom.debugflags", lambda: "0")
    yield Oid("kern.disks", lambda: _disks(machine), text=True)
    yield Oid("kern.shutdown.dumpdevname", lambda: machine.disks.dump_device, text=True)
    yield Oid("kern.ident", lambda: "GENERIC")
    yield Oid("kern.smp.cpus", lambda: "1")


def _carp(carp: Carp) -> Iterator[Oid]:
    base = "net.inet.carp"
    yield _plain(carp, base, "ifdown_demotion_factor", "Adjustment to carp(4) demotion counter on interface going down")
    yield _plain(carp, base, "senderr_demotion_factor", "Send error demotion factor adjustment")
    yield Oid(
        f"{base}.demotion",
        lambda: str(carp.demotion),
        lambda value: carp.demote(int(value), "sysctl"),
        about="Adjust demotion factor (skew of advskew)",
    )
    yield _plain(carp, base, "log", "CARP log level")
    yield _plain(carp, base, "preempt", "High-priority backup preemption mode")
    yield Oid(
        f"{base}.dscp",
        lambda: str(carp.dscp),
        lambda value: _set_dscp(carp, value),
        about="DSCP value for carp packets",
    )
    yield Oid(
        f"{base}.allow",
        lambda: str(carp.allow),
        lambda value: carp.set_allow(int(value)),
        about="Accept incoming CARP packets",
    )


def _rest() -> Iterator[Oid]:
    yield Oid("vfs.timestamp_precision", lambda: "2")
    yield Oid("net.link.ether.inet.garp_rexmit_count", lambda: "0")
    yield Oid("hw.machine", lambda: "amd64")
    yield Oid("hw.model", lambda: "QEMU Virtual CPU version 2.5+")
    yield Oid("hw.ncpu", lambda: "1")
    yield Oid("hw.physmem", lambda: "520622080")
    yield Oid("hw.bus.devctl_queue", lambda: "1000")
    yield Oid("hw.machine_arch", lambda: "amd64")
    yield Oid("security.jail.jailed", lambda: "0")
    yield Oid("security.jail.vnet", lambda: "0")


def _plain(carp: Carp, base: str, name: str, about: str) -> Oid:
    return Oid(
        f"{base}.{name}", lambda: str(getattr(carp, name)), lambda value: setattr(carp, name, int(value)), about=about
    )


def _set_dscp(carp: Carp, value: str) -> None:
    if not 0 <= int(value) <= 63:
        raise KernelError("Invalid argument")
    carp.dscp = int(value)


def _raise_securelevel(machine: Tunable, value: str) -> None:
    if int(value) < machine.kernel.securelevel:
        raise KernelError("Operation not permitted")
    machine.kernel.securelevel = int(value)


def _boottime(machine: Tunable) -> str:
    boot = machine.epoch() - machine.uptime_seconds()
    seconds, micros = int(boot), int(boot % 1 * 1_000_000)
    when = time.gmtime(seconds)
    text = f"{time.strftime('%a %b', when)} {when.tm_mday:2d} {time.strftime('%H:%M:%S %Y', when)}"
    return f"{{ sec = {seconds}, usec = {micros} }} {text}"


def _disks(machine: Tunable) -> str:
    return " ".join(reversed([disk.name for disk in machine.disks.of_class("DISK")]))
