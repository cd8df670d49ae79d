"""Changes of what the next boot does. Man pages: rc.conf(5), sysrc(8), sysctl.conf(5), mktemp(1)."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TypeAlias

from hactl.core.changes.change import STATE_DIRECTORY, Change, NamedChange, SecretUse, WrittenFile
from hactl.core.changes.replace import making, replacing
from hactl.core.facts import RcAlias
from hactl.core.sh import quote
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
                making("/etc/rc.conf.d"),
                # The file has its final mode before it has its content.
                "umask 077",
                f"hactl_netif={NETIF}; [ ! -d {NETIF} ] || hactl_netif={NETIF}/hactl",
                replacing(
                    '"$hactl_netif"',
                    '[ ! -e "$hactl_new" ] || chmod 600 "$hactl_new" || hactl_undo',
                    "{",
                    # awk ends a last line without a newline; sed does not, and BEGIN would stand in the middle of it.
                    f'  {{ [ ! -f "$hactl_file" ] || awk \'/^{BEGIN}/ {{ own = 1 }} ! own {{ print }} '
                    f'/^{END}/ {{ own = 0 }}\' "$hactl_file"; }} &&',
                    "  cat <<HACTL_END",
                    *self.content,
                    "HACTL_END",
                    '} > "$hactl_new"',
                ),
            ]
        )

    @property
    def secrets(self) -> tuple[SecretUse, ...]:
        return tuple({item.secret.variable: item.secret for item in self.block if item.secret}.values())


#: Where sysrc(8) finds variables (rc_conf_files); of two assignments the last one in this order is in force.
RC_CONF, RC_CONF_LOCAL = "/etc/rc.conf", "/etc/rc.conf.local"
#: The copy that sysrc edits; it writes a new file with mode and owner of the old, but not its flags.
RC_COPY = "/var/run/hactl.rc.conf"


def edited_by_sysrc(words: str) -> tuple[str, ...]:
    """The lines that make what sysrc makes of the old file the new one."""
    return (
        f'cp "$hactl_new" {RC_COPY} &&',
        f"sysrc -f {RC_COPY} {words} &&",
        f'cat {RC_COPY} > "$hactl_new" || {{ rm -f {RC_COPY}; hactl_undo; }}',
        f"rm -f {RC_COPY}",
    )


def setting(name: str, words: str, file: str = "") -> str:
    """sysrc on a copy of a file: the one that rc(8) reads last of those that have the variable, or rc.conf.

    `file`: one that sysrc(8) does not look at, such as /etc/rc.conf.d/nfsd.
    """
    if file:
        return replacing(quote(file), *edited_by_sysrc(words))
    where = f"hactl_rc={RC_CONF_LOCAL}; {_assigns(name, RC_CONF_LOCAL)} || hactl_rc={RC_CONF}"
    return "\n".join([where, replacing('"$hactl_rc"', *edited_by_sysrc(words))])


def _assigns(name: str, path: str) -> str:
    return f"{{ [ -f {path} ] && grep -aq '^[[:space:]]*{name}=' {path}; }}"


@dataclass(frozen=True, slots=True)
class SetRcVariable(NamedChange):
    """A variable of rc.conf; with `append` a word added to a list."""

    verb = Verb.SET_RC_VARIABLE
    value: str
    append: bool = False
    #: See `setting`.
    file: str = ""

    @property
    def writes(self) -> WrittenFile:
        text = f"{self.name}{'+=' if self.append else '='}{self.value}\n"
        return WrittenFile(self.file or RC_CONF, text, part=True)

    @property
    def command(self) -> str:
        return setting(self.name, f"{self.name}{'+=' if self.append else '='}{self.value}", self.file)


@dataclass(frozen=True, slots=True)
class RemoveRcVariable(NamedChange):
    """A variable out of every rc.conf that has it."""

    verb = Verb.REMOVE_RC_VARIABLE

    @property
    def command(self) -> str:
        lines = []
        for path in (RC_CONF, RC_CONF_LOCAL):
            removal = replacing(path, *edited_by_sysrc(f"-x {self.name}"))
            lines += [f"if {_assigns(self.name, path)}; then", removal, "fi || exit 1"]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class SetSysctlConf(NamedChange):
    """A line of sysctl.conf, replaced or appended; every other line is kept."""

    verb = Verb.SET_SYSCTL_CONF
    value: int
    #: sysctl.conf.local is read after it (rc.d/sysctl), and decides where it sets the name too.
    file: str = SYSCTL_CONF

    @property
    def writes(self) -> WrittenFile:
        return WrittenFile(self.file, f"{self.name}={self.value}\n", part=True)

    @property
    def pattern(self) -> str:
        """The name as a regular expression."""
        return self.name.replace(".", "[.]")

    @property
    def command(self) -> str:
        others = f"grep -aEv '^[[:space:]]*{self.pattern}[[:space:]]*=' \"$hactl_file\""
        return replacing(
            self.file,
            # grep exits with 1 when no line is left, with 2 when it could not read.
            f'{{ [ ! -e "$hactl_file" ] || {others} || [ $? -eq 1 ]; }} > "$hactl_new" &&',
            f"  echo '{self.name}={self.value}' >> \"$hactl_new\"",
        )


@dataclass(frozen=True, slots=True)
class MendTornFile(Change):
    """The NUL bytes of a power cut out of a file; what stood in their place is lost, the torn file is kept."""

    verb = Verb.MEND_TORN_FILE
    path: str

    @property
    def target(self) -> str:
        return self.path

    @property
    def kept(self) -> str:
        """Where the torn file is kept."""
        return f"{STATE_DIRECTORY}/{posixpath.basename(self.path)}.torn"

    @property
    def command(self) -> str:
        keep = f'cp -p "$hactl_file" {self.kept} && fsync {self.kept} {STATE_DIRECTORY} &&'
        mend = '  tr -d \'\\000\' < "$hactl_file" > "$hactl_new"'
        return "\n".join([making(STATE_DIRECTORY, 0o700), replacing(self.path, keep, mend)])


@dataclass(frozen=True, slots=True)
class EnableService(NamedChange):
    """rc starts the service at boot."""

    verb = Verb.ENABLE_SERVICE
    rcvar: str
    #: See `setting`.
    file: str = ""

    @property
    def writes(self) -> WrittenFile:
        return WrittenFile(self.file or RC_CONF, f"{self.rcvar}=YES\n", part=True)

    @property
    def command(self) -> str:
        return setting(self.rcvar, f"{self.rcvar}=YES", self.file)


@dataclass(frozen=True, slots=True)
class DisableService(NamedChange):
    """rc does not start the service at boot."""

    verb = Verb.DISABLE_SERVICE
    rcvar: str
    #: See `setting`.
    file: str = ""

    @property
    def writes(self) -> WrittenFile:
        return WrittenFile(self.file or RC_CONF, f"{self.rcvar}=NO\n", part=True)

    @property
    def command(self) -> str:
        return setting(self.rcvar, f"{self.rcvar}=NO", self.file)


BootChange: TypeAlias = (
    WriteBootAliases | SetRcVariable | RemoveRcVariable | SetSysctlConf | MendTornFile | EnableService | DisableService
)
