"""CARP of one machine: vhids, their election, demotion and counters (carp(4), ip_carp.c of 13.2).

Rules:
- Every transition, reason text and timer is a row of docs/freebsd-facts.md#1.2; what the kernel log shows is that of
  recording 02.
- A vhid keeps its digest until its key or addresses change: a steady master costs one cheap event per interval.
- A message to a BACKUP is handled at once, one to a MASTER after the packet's travel time, so that two masters
  of equal priority can both step down, as on a wire.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, Protocol

from hactl.lab.events import Handle
from hactl.lab.host import Host
from hactl.lab.kernel.address import Address, Family

State = Literal["INIT", "BACKUP", "MASTER"]
#: Effective skews are cut off here (ip_carp.c: CARP_MAXSKEW).
MAX_SKEW = 240
KEY_CHARACTERS = 19
LATENCY_SECONDS = 0.0002
#: Errors or successes in a row after which a vhid's sends demote the node or stop doing so.
SEND_STREAK = 3


class Ad(NamedTuple):
    """One advertisement on the wire."""

    vhid: int
    advbase: int
    advskew: int
    digest: bytes
    family: Family


@dataclass(slots=True)
class Counters:
    """`netstat -s -p carp`."""

    received: dict[str, int] = field(default_factory=lambda: {"inet": 0, "inet6": 0})
    sent: dict[str, int] = field(default_factory=lambda: {"inet": 0, "inet6": 0})
    bad_authentication: int = 0
    bad_vhid: int = 0


class Port(Protocol):
    """The interface a vhid is on."""

    name: str
    addresses: list[Address]
    vhids: dict[int, Vhid]
    arp: dict[str, str]
    send_error: int | None

    @property
    def operational(self) -> bool: ...
    @property
    def can_send(self) -> bool: ...
    def neighbours(self) -> Sequence[Port]: ...
    def find(self, text: str) -> Address | None: ...
    def receive(self, ad: Ad) -> None: ...
    def announce(self, text: str, mac: str) -> None: ...


class Carp:
    """The carp module while it is loaded."""

    def __init__(self, machine: Host, interfaces: Mapping[str, Port]) -> None:
        self.machine, self.interfaces = machine, interfaces
        self.allow = 1
        self.preempt = 0
        self.log = 1
        self.demotion = 0
        self.ifdown_demotion_factor = 240
        self.senderr_demotion_factor = 240
        self.dscp = 56
        self.counters = Counters()

    @property
    def vhids(self) -> list[Vhid]:
        """Every vhid of the machine, by interface."""
        return [vhid for interface in self.interfaces.values() for vhid in interface.vhids.values()]

    def find_or_create(self, interface: Port, number: int) -> Vhid:
        """The first vhid makes the interface promiscuous."""
        vhid = interface.vhids.get(number)
        if vhid is None:
            if not interface.vhids:
                self.machine.klog(f"{interface.name}: promiscuous mode enabled")
            vhid = interface.vhids[number] = Vhid(self, interface, number)
        return vhid

    def set_allow(self, allow: int) -> None:
        """net.inet.carp.allow: 0 forces INIT everywhere."""
        if allow != self.allow:
            self.allow = allow
            for vhid in self.vhids:
                vhid.hardware_event()

    def demote(self, amount: int, reason: str) -> None:
        """Add to the demotion; every MASTER advertises at once, even when the amount is 0."""
        self.demotion += amount
        self.note(f"carp: demoted by {amount} to {self.demotion} ({reason})")
        self.machine.world.at(0, self._advertise_all, machine=self.machine)

    def note(self, text: str) -> None:
        """Log a state change or demotion, unless net.inet.carp.log is 0."""
        if self.log > 0:
            self.machine.klog(text)

    def input(self, interface: Port, ad: Ad) -> None:
        """carp_input_c: count, check, and let the vhid hear it."""
        counters = self.counters
        counters.received[ad.family] += 1
        vhid = interface.vhids.get(ad.vhid)
        if vhid is None:
            counters.bad_vhid += 1
        elif vhid.digest != ad.digest:
            counters.bad_authentication += 1
            if self.log > 1:
                self.machine.klog(f"carp_input_c: incorrect hash for VHID {ad.vhid}@{interface.name}")
        elif vhid.state == "BACKUP":
            vhid.hear_as_backup(ad)
        elif vhid.state == "MASTER":
            self.machine.world.at(LATENCY_SECONDS, lambda: vhid.hear(ad), machine=self.machine)

    def _advertise_all(self) -> None:
        for vhid in self.vhids:
            if vhid.state == "MASTER":
                vhid.advertise()


class Timer:
    """A timeout that is pushed back often: it looks at its deadline when it fires, not when it is pushed."""

    __slots__ = ("action", "deadline", "handle", "machine")

    def __init__(self, machine: Host, action: Callable[[], None]) -> None:
        self.machine, self.action = machine, action
        self.deadline: float | None = None
        self.handle: Handle | None = None

    def start(self, seconds: float) -> None:
        """Fire after `seconds` unless started again or stopped."""
        world = self.machine.world
        seconds += world.timer_lateness_seconds
        deadline = world.clock.monotonic() + seconds
        self.deadline = deadline
        if self.handle is not None:
            if self.handle.time <= deadline:
                return
            self.handle.cancel()
        self.handle = world.at(seconds, self._fire, machine=self.machine)

    def stop(self) -> None:
        """Do not fire."""
        self.deadline = None
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None

    def _fire(self) -> None:
        self.handle = None
        if self.deadline is None:
            return
        left = self.deadline - self.machine.world.clock.monotonic()
        if left > 1e-9:
            self.handle = self.machine.world.at(left, self._fire, machine=self.machine)
            return
        self.deadline = None
        self.action()


class Vhid:
    """One vhid on one interface."""

    def __init__(self, carp: Carp, interface: Port, number: int) -> None:
        self.carp, self.interface, self.number = carp, interface, number
        self.mac = f"00:00:5e:00:01:{number:02x}"
        self.advbase, self.advskew, self.key = 1, 0, ""
        self.state: State = "INIT"
        #: Unicast peers (14 and later); None: multicast.
        self.peer: str | None = None
        self.peer6: str | None = None
        self._suppressed = False
        self._send_errors = self._send_successes = 0
        self._ad: Handle | None = None
        self._down: dict[Family, Timer] = {
            "inet": Timer(carp.machine, self._master_timed_out),
            "inet6": Timer(carp.machine, self._master_timed_out),
        }
        self._families: tuple[Family, ...] = ()
        self._digest: bytes | None = None

    # what it is made of

    @property
    def addresses(self) -> list[Address]:
        """Its addresses, in the interface's order."""
        return [address for address in self.interface.addresses if address.vhid == self.number]

    @property
    def has_addresses(self) -> bool:
        """Whether it can elect."""
        return any(address.vhid == self.number for address in self.interface.addresses)

    @property
    def digest(self) -> bytes:
        """HMAC over key, vhid and the sorted addresses: masks, advbase and advskew do not count."""
        if self._digest is None:
            texts = {address.text for address in self.addresses}
            packed = sorted((ipaddress.ip_address(text) for text in texts), key=lambda ip: (ip.version, int(ip)))
            body = bytes([2, 1, self.number]) + b"".join(ip.packed for ip in packed)
            self._digest = hmac.new(self.key.encode("utf-8", "surrogateescape"), body, hashlib.sha1).digest()
        return self._digest

    @property
    def effective_skew(self) -> int:
        """What it advertises and compares: advskew plus demotion, 0 to 240."""
        return max(0, min(MAX_SKEW, self.advskew + self.carp.demotion))

    @property
    def _operational(self) -> bool:
        return self.interface.operational and self.carp.allow != 0

    def set_key(self, key: str) -> None:
        """At most 19 characters count; an empty one changes nothing."""
        if key:
            self.key = key[:KEY_CHARACTERS]
            self._digest = None

    # events

    def address_event(self) -> None:
        """An address was added or removed: the vhid starts over."""
        self._digest = None
        families = {address.family for address in self.addresses}
        self._families = tuple(family for family in ("inet", "inet6") if family in families)
        self.hardware_event()

    def hardware_event(self) -> None:
        """carp_sc_state: interface, link, `allow` or addresses changed."""
        carp = self.carp
        self.stop()
        if self._operational:
            self._set_state("INIT", "hardware interface up")
            self._run()
            if self._suppressed:
                self._suppressed = False
                carp.demote(-carp.ifdown_demotion_factor, "interface up")
        else:
            self._set_state("INIT", "hardware interface down")
            if not self._suppressed:
                self._suppressed = True
                carp.demote(carp.ifdown_demotion_factor, "interface down")

    def request_state(self, state: str) -> None:
        """`ifconfig IF vhid N state ...`: ignored in INIT."""
        if "INIT" in (self.state, state) or state == self.state:
            return
        if state == "BACKUP":
            self._step_down("user requested via ifconfig")
        else:
            self._become_master("user requested via ifconfig")

    def destroy(self) -> None:
        """The last address is gone, and the vhid with it; the last vhid ends promiscuous mode."""
        self.stop()
        interface, carp = self.interface, self.carp
        del interface.vhids[self.number]
        if self._suppressed:
            carp.demote(-carp.ifdown_demotion_factor, "vhid removed")
        if not interface.vhids:
            carp.machine.klog(f"{interface.name}: promiscuous mode disabled")

    def stop(self) -> None:
        """Stop all timers."""
        if self._ad is not None:
            self._ad.cancel()
            self._ad = None
        for timer in self._down.values():
            timer.stop()

    def postpone(self, seconds: float) -> None:
        """The machine was frozen for so long: deadlines move with the events."""
        for timer in self._down.values():
            if timer.deadline is not None:
                timer.deadline += seconds

    # hearing others

    def hear(self, ad: Ad) -> None:
        """A valid advertisement after its travel time."""
        if self.state == "BACKUP":
            self.hear_as_backup(ad)
        elif self.state == "MASTER" and (self.advbase, self.effective_skew) >= (ad.advbase, ad.advskew):
            self._step_down("more frequent advertisement received")

    def hear_as_backup(self, ad: Ad) -> None:
        """Take over from a slower master if allowed to, else wait for the next."""
        theirs = (ad.advbase, min(ad.advskew, MAX_SKEW))
        if self.carp.preempt and (self.advbase, self.effective_skew) < theirs:
            self._become_master("preempting a slower master")
        elif (3 * self.advbase, self.effective_skew) < theirs:
            self._become_master("master will time out")
        else:
            self._down[ad.family].start(3 * self.advbase + self.advskew / 256)

    # the state machine

    def _set_state(self, state: State, reason: str) -> None:
        if state == self.state:
            return
        carp, name = self.carp, f"{self.number}@{self.interface.name}"
        carp.note(f"carp: {name}: {self.state} -> {state} ({reason})")
        self.state = state
        carp.machine.devd(f"!system=CARP subsystem={name} type={state}")

    def _run(self) -> None:
        """carp_setrun: leave INIT, and set the timers of the state."""
        if not self._operational or not self._families:
            return
        if self.state == "INIT":
            self._set_state("BACKUP", "initialization complete")
        if self.state == "BACKUP":
            self._cancel_ad()
            for family in self._families:
                self._down[family].start(3 * self.advbase + self.advskew / 256)
        else:
            self._schedule_ad(self.advbase + self.advskew / 256)

    def _master_timed_out(self) -> None:
        if self.state == "BACKUP":
            self._become_master("master timed out")

    def _become_master(self, reason: str) -> None:
        if self.state != "BACKUP":
            return
        self._set_state("MASTER", reason)
        for timer in self._down.values():
            timer.stop()
        self.advertise()
        world, machine = self.carp.machine.world, self.carp.machine
        for address in self.addresses:
            if address.family == "inet":
                announce = partial(self.interface.announce, address.text, self.mac)
                world.at(LATENCY_SECONDS, announce, machine=machine)
        self._run()

    def _step_down(self, reason: str) -> None:
        self._cancel_ad()
        self._set_state("BACKUP", reason)
        self._run()
        for address in self.addresses:
            if address.family == "inet":
                self.interface.arp.pop(address.text, None)
                if address.prefixlen == 32:
                    # The host route went first, so the prefix route of a /32 is not found (recording 02, step 43).
                    self.carp.machine.klog("in_scrubprefix: err=65, prefix delete failed")

    # sending

    def advertise(self) -> None:
        """Send one advertisement per family and schedule the next."""
        skew = self.effective_skew
        self._schedule_ad(self.advbase + skew / 256)
        interface, sent = self.interface, self.carp.counters.sent
        for family in self._families:
            if interface.send_error is not None:
                self._send_failed(interface.send_error)
                continue
            sent[family] += 1
            if self._send_errors:
                self._send_worked()
            if interface.can_send:
                ad = Ad(self.number, self.advbase, skew, self.digest, family)
                target = self.peer if family == "inet" else self.peer6
                for other in interface.neighbours():
                    if target is None or other.find(target) is not None:
                        other.receive(ad)

    def _send_failed(self, error: int) -> None:
        if self._send_errors < SEND_STREAK:
            self._send_errors += 1
            if self._send_errors == SEND_STREAK:
                factor = self.carp.senderr_demotion_factor
                self.carp.demote(factor, f"send error {error} on {self.interface.name}")
        self._send_successes = 0

    def _send_worked(self) -> None:
        if self._send_errors < SEND_STREAK:
            self._send_errors = 0
            return
        self._send_successes += 1
        if self._send_successes == SEND_STREAK:
            self._send_errors = self._send_successes = 0
            self.carp.demote(-self.carp.senderr_demotion_factor, f"send ok on {self.interface.name}")

    def _schedule_ad(self, seconds: float) -> None:
        self._cancel_ad()
        world = self.carp.machine.world
        self._ad = world.at(seconds + world.timer_lateness_seconds, self.advertise, machine=self.carp.machine)

    def _cancel_ad(self) -> None:
        if self._ad is not None:
            self._ad.cancel()
            self._ad = None
