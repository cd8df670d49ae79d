"""Changes of carp(4): its module, its sysctls, vhids and their addresses.

Man pages: ifconfig(8), sysctl(8), kldload(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hactl.core.changes.change import DEMOTION, Change, NamedChange, SecretUse
from hactl.core.facts import Address, family
from hactl.core.sh import quote_plain
from hactl.core.verbs import Verb


@dataclass(frozen=True, slots=True)
class LoadModule(Change):
    """The carp module into the kernel."""

    verb = Verb.LOAD_MODULE
    target = "carp"
    command = "kldload -n carp"


@dataclass(frozen=True, slots=True)
class SetSysctl(NamedChange):
    """A sysctl, now."""

    verb = Verb.SET_SYSCTL
    value: int

    @property
    def command(self) -> str:
        return f"sysctl {self.name}={self.value}"


@dataclass(frozen=True, slots=True)
class AdjustDemotion(Change):
    """Take back what people added to the demotion: writing to this sysctl adds."""

    verb = Verb.ADJUST_DEMOTION
    target = DEMOTION
    by_hand: int

    @property
    def command(self) -> str:
        return f"sysctl {DEMOTION}={-self.by_hand}"


@dataclass(frozen=True, slots=True)
class VhidSettings:
    """What a vhid is made with."""

    advbase: int
    advskew: int
    password: SecretUse | None
    #: fingerprint of the password; None when there is none.
    key: str | None


@dataclass(frozen=True, slots=True)
class AddAddress(Change):
    """An address on a vhid; the first one makes the vhid."""

    verb = Verb.ADD_ADDRESS
    interface: str
    address: Address
    #: The vhid is made with these; None: it is there.
    settings: VhidSettings | None

    @property
    def target(self) -> str:
        return f"{self.interface} vhid {self.address.vhid} {self.address.cidr}"

    @property
    def command(self) -> str:
        address, new = self.address, self.settings
        words = f"ifconfig {quote_plain(self.interface)} {family(address.ip)} {address.cidr} vhid {address.vhid}"
        words += f" advbase {new.advbase} advskew {new.advskew}" if new else ""
        words += "".join(f' pass "${use.variable}"' for use in self.secrets)
        return f"{words} alias"

    @property
    def secrets(self) -> tuple[SecretUse, ...]:
        return (self.settings.password,) if self.settings and self.settings.password else ()


@dataclass(frozen=True, slots=True)
class RemoveAddress(Change):
    """An address off its vhid; the vhid goes with its last address."""

    verb = Verb.REMOVE_ADDRESS
    interface: str
    address: Address

    @property
    def target(self) -> str:
        return f"{self.interface} vhid {self.address.vhid} {self.address.cidr}"

    @property
    def command(self) -> str:
        return f"ifconfig {quote_plain(self.interface)} {family(self.address.ip)} {self.address.ip} -alias"


@dataclass(frozen=True, slots=True)
class SetVhid(Change):
    """Exactly what differs of a vhid: no address is named, so MASTER is not dropped. None: it stays."""

    verb = Verb.SET_VHID
    interface: str
    vhid: int
    advbase: int | None = None
    advskew: int | None = None
    password: SecretUse | None = None
    #: fingerprint of the new password; None: the password stays.
    key: str | None = None
    #: And MASTER at once: only where every other node has a worse advskew, or both step down.
    master: bool = False

    @property
    def target(self) -> str:
        return f"{self.interface} vhid {self.vhid}"

    @property
    def command(self) -> str:
        words = [f"ifconfig {quote_plain(self.interface)} vhid {self.vhid}"]
        words += [f"advbase {self.advbase}"] if self.advbase is not None else []
        words += [f"advskew {self.advskew}"] if self.advskew is not None else []
        words += [f'pass "${use.variable}"' for use in self.secrets]
        words += ["state master"] if self.master else []
        return " ".join(words)

    @property
    def secrets(self) -> tuple[SecretUse, ...]:
        return (self.password,) if self.password else ()


CarpChange: TypeAlias = LoadModule | SetSysctl | AdjustDemotion | AddAddress | RemoveAddress | SetVhid
