"""Changes of what the next boot does. Man pages: rc.conf(5), sysrc(8), sysctl.conf(5), mktemp(1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from hactl.core.changes.change import FLUSH, Change, NamedChange, SecretUse, WrittenFile
from hactl.core.facts import RcAlias
from hactl.core.verbs import Verb

SYSCTL_CONF = "/etc/sysctl.conf"
NETIF = "/etc/rc.conf.d/netif"
BEGIN, END = "# BEGIN hactl", "# END hactl"


def mangle(interface: str) -> str:
    """An interface name as rc.conf variables spell it (network.subr, get_if_var)."""
    return re.sub(r"[.\-/+]", "_", interface)


@dataclass(frozen=True, slots=True)
class BootAlias:
    """One address that rc.d/netif is to bring up, as it will be read, and the password's shell variable."""

    alias: RcAlias
    secret: SecretUse | None

    def line(self) -> str:
        """As it stands in the file; the password is a shell variable of the script that writes it."""
        alias = self.alias
        password = f" pass ${{{self.secret.variable}}}" if self.secret else ""
        return (
            f'{alias.variable}="{alias.family} {alias.ip}/{alias.prefix_length} vhid {alias.vhid} '
            f'advbase {alias.advbase} advskew {alias.advskew}{password}"'
        )


@dataclass(frozen=True, slots=True)
class WriteBootAliases(Change):
    """Our block of rc.conf.d/netif, every other line kept; it has its final mode before it has its content."""

    verb = Verb.WRITE_BOOT_ALIASES
    target = NETIF
    block: tuple[BootAlias, ...]

    @property
    def content(self) -> list[str]:
        """The lines of the block; none: there is no block any more."""
        lines = [item.line() for item in self.block]
        # inet6 aliases are skipped unless this is set (network.subr, ipv6_up); what the operator set stays.
        lines += [
            f': "\\${{ifconfig_{mangle(interface)}_ipv6:=inet6 -ifdisabled}}"'
            for interface in sorted({item.alias.interface for item in self.block if ":" in item.alias.ip})
        ]
        return [BEGIN, *lines, END] if lines else []

    @property
    def writes(self) -> WrittenFile:
        text = "".join(f"{line}\n" for line in self.content).replace("\\$", "$")
        return WrittenFile(NETIF, text, 0o600, part=True)

    @property
    def command(self) -> str:
        return "\n".join(
            [
                f"hactl_file={NETIF}; [ ! -d {NETIF} ] || hactl_file={NETIF}/hactl",
                "umask 077 && mkdir -p -m 755 /etc/rc.conf.d && hactl_new=$(mktemp /etc/rc.conf.d/.hactl.XXXXXX) &&",
                "{",
                # awk ends a last line without a newline; sed does not, and BEGIN would stand in the middle of it.
                f'  {{ [ ! -f "$hactl_file" ] || awk \'/^{BEGIN}/ {{ own = 1 }} ! own {{ print }} '
                f'/^{END}/ {{ own = 0 }}\' "$hactl_file"; }} &&',
                "  cat <<HACTL_END",
                *self.content,
                "HACTL_END",
                f'}} > "$hactl_new" && chmod 600 "$hactl_new" && {FLUSH} && mv -f "$hactl_new" "$hactl_file" ||',
                '  { rm -f "$hactl_new"; exit 1; }',
            ]
        )

    @property
    def secrets(self) -> tuple[SecretUse, ...]:
        return tuple({item.secret.variable: item.secret for item in self.block if item.secret}.values())


@dataclass(frozen=True, slots=True)
class SetRcVariable(NamedChange):
    """A variable of rc.conf; with `append` a word added to a list."""

    verb = Verb.SET_RC_VARIABLE
    value: str
    append: bool = False

    @property
    def command(self) -> str:
        return f"sysrc {self.name}{'+=' if self.append else '='}{self.value}"


@dataclass(frozen=True, slots=True)
class RemoveRcVariable(NamedChange):
    """A variable out of rc.conf."""

    verb = Verb.REMOVE_RC_VARIABLE

    @property
    def command(self) -> str:
        return f"sysrc -x {self.name}"


@dataclass(frozen=True, slots=True)
class SetSysctlConf(NamedChange):
    """A line of sysctl.conf, replaced or appended; the file keeps its owner and mode."""

    verb = Verb.SET_SYSCTL_CONF
    value: int

    @property
    def writes(self) -> WrittenFile:
        return WrittenFile(SYSCTL_CONF, f"{self.name}={self.value}\n", part=True)

    @property
    def pattern(self) -> str:
        """The name as a regular expression."""
        return self.name.replace(".", "[.]")

    @property
    def command(self) -> str:
        old = f"[ ! -e {SYSCTL_CONF} ] || grep -Ev '^[[:space:]]*{self.pattern}[[:space:]]*=' {SYSCTL_CONF}"
        return "\n".join(
            [
                f"hactl_new=$(mktemp {SYSCTL_CONF}.hactl.XXXXXX) &&",
                f'if [ -e {SYSCTL_CONF} ]; then cp -p {SYSCTL_CONF} "$hactl_new"; else chmod 644 "$hactl_new"; fi &&',
                f"{{ {old}; echo '{self.name}={self.value}'; }} > \"$hactl_new\" &&",
                f'{FLUSH} && mv -f "$hactl_new" {SYSCTL_CONF} || {{ rm -f "$hactl_new"; exit 1; }}',
            ]
        )


@dataclass(frozen=True, slots=True)
class EnableService(NamedChange):
    """rc starts the service at boot."""

    verb = Verb.ENABLE_SERVICE
    rcvar: str

    @property
    def command(self) -> str:
        return f"sysrc {self.rcvar}=YES"


@dataclass(frozen=True, slots=True)
class DisableService(NamedChange):
    """rc does not start the service at boot."""

    verb = Verb.DISABLE_SERVICE
    rcvar: str

    @property
    def command(self) -> str:
        return f"sysrc {self.rcvar}=NO"


BootChange: TypeAlias = (
    WriteBootAliases | SetRcVariable | RemoveRcVariable | SetSysctlConf | EnableService | DisableService
)
