"""The scripts of rc.d a fresh installation has, in the order rcorder(8) runs them (13.2; recording 01).

Rules:
- What one does for a command word is in `boot.actions`; scripts that somebody installed are in `boot.local`.
- Man pages: rc(8), rc.subr(8), service(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Script:
    """One script of /etc/rc.d or /usr/local/etc/rc.d."""

    name: str
    #: The variable that switches it on; None: it has none.
    rcvar: str | None = None
    #: Its value in /etc/defaults/rc.conf.
    default: str = "NO"
    about: str = ""
    #: A daemon has status, start, stop with a pid; the others only do something once.
    daemon: str | None = None
    pidfile: str | None = None
    commands: tuple[str, ...] = ()
    directory: str = "/etc/rc.d"
    #: Listed by `service -e` even though the variable's value is not YES (rcvar of its own kind).
    listed: bool = False

    @property
    def path(self) -> str:
        """The script's file."""
        return f"{self.directory}/{self.name}"


def _once(name: str, rcvar: str | None, default: str, about: str = "", **more: Any) -> Script:
    return Script(name, rcvar, default, about, **more)


#: In the order rcorder(8) runs them; `service -e` lists the enabled ones in this order (recording 01).
SCRIPTS: tuple[Script, ...] = (
    _once("sysctl", None, "", "Set sysctl variables from /etc/sysctl.conf and /etc/sysctl.conf.local"),
    _once("hostid", "hostid_enable", "YES", "Generate a unique host id"),
    _once("hostid_save", "hostid_enable", "YES", "Save unique host id to disk"),
    _once("zpool", "zfs_enable", "NO", "Import ZPOOLs"),
    _once("cleanvar", "cleanvar_enable", "YES", "Purge /var directory"),
    _once("mixer", "mixer_enable", "YES", "Save and restore soundcard mixer values"),
    _once("kld", None, "", "Load kernel modules"),
    _once("kldxref", "kldxref_enable", "YES", "Generate hints for kldload"),
    _once("ip6addrctl", "ip6addrctl_enable", "YES", "configure address selection policy for IPv6 and IPv4"),
    _once("rctl", "rctl_enable", "YES", "Manage resource limits"),
    _once("devmatch", "devmatch_enable", "YES", "Use devmatch(8) to load kernel modules"),
    _once("hostname", None, "", "Set the system's hostname"),
    _once("netif", "netif_enable", "YES", "Network interface setup", listed=True),
    _once("pf", "pf_enable", "NO", "Packet filter", commands=("check", "reload", "resync")),
    _once("routing", None, "", "Manage routing tables"),
    _once("resolv", "resolv_enable", "YES", "Create /etc/resolv.conf from kenv"),
    Script("devd", "devd_enable", "YES", "Device state change daemon", "/sbin/devd", "/var/run/devd.pid"),
    _once("newsyslog", "newsyslog_enable", "YES", "Logfile rotation"),
    _once("dmesg", "dmesg_enable", "YES", "Save kernel boot messages to disk"),
    _once("motd", "update_motd", "YES", "Update /var/run/motd"),
    _once("os-release", "osrelease_enable", "YES", "Update /var/run/os-release"),
    _once("gptboot", "gptboot_enable", "YES", "GPT boot/bootfailed/bootonce attribute reporter"),
    Script(
        "syslogd", "syslogd_enable", "YES", "System log daemon", "/usr/sbin/syslogd", "/var/run/syslog.pid", ("reload",)
    ),
    _once("savecore", "savecore_enable", "YES", "Save crash dump, if any"),
    Script("hastd", "hastd_enable", "NO", "Highly Available Storage daemon", "/sbin/hastd", "/var/run/hastd.pid",
           ("reload",)),
    Script("rpcbind", "rpcbind_enable", "NO", "Universal addresses to RPC program number mapper", "/usr/sbin/rpcbind",
           "/var/run/rpcbind.pid"),
    Script("mountd", "mountd_enable", "NO", "Remote NFS mount requests daemon", "/usr/sbin/mountd",
           "/var/run/mountd.pid", ("reload",)),
    Script("nfsd", "nfs_server_enable", "NO", "Remote NFS server", "/usr/sbin/nfsd", "/var/run/nfsd.pid"),
    Script("ctld", "ctld_enable", "NO", "CAM Target Layer / iSCSI target daemon", "/usr/sbin/ctld",
           "/var/run/ctld.pid", ("reload",)),
    Script("ntpd", "ntpd_enable", "NO", "Network Time Protocol daemon", "/usr/sbin/ntpd", "/var/db/ntp/ntpd.pid"),
    Script("powerd", "powerd_enable", "NO", "Modify the power profile based on AC line state", "/usr/sbin/powerd",
           "/var/run/powerd.pid"),
    Script("sshd", "sshd_enable", "NO", "Secure Shell Daemon", "/usr/sbin/sshd", "/var/run/sshd.pid",
           ("reload", "configtest", "keygen")),
    Script("cron", "cron_enable", "YES", "Daemon to execute scheduled commands", "/usr/sbin/cron", "/var/run/cron.pid"),
    _once("sysctl_lastload", None, "", ""),
    _once("bgfsck", "background_fsck", "YES", "Run fsck in background"),
)  # fmt: skip
