"""rc(8) of one simulated machine: its services, its running programs, what happens at boot and at shutdown.

Rules:
- The scripts are a table (`SCRIPTS`); what they print is in `hactl.lab.commands.rc.service`.
- Variables come from the files themselves, sourced by the machine's shell: defaults, rc.conf, rc.conf.local,
  rc.conf.d/NAME (rc.subr, load_rc_config).
- Losing power ends every program; nothing is written.
- Man pages: rc(8), rc.conf(5), rc.subr(8), service(8).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hactl.lab.commands.registry import Process, adopt
from hactl.lab.rc.boot_files import YES, rc_script

if TYPE_CHECKING:
    from hactl.lab.machine import Machine


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


def _ignore(_: object) -> None:
    """Whether the process was there does not matter to kill(1): it looked before."""


class Rc:
    """Services and programs of one machine."""

    def __init__(self, machine: Machine) -> None:
        """Nothing runs; the machine's file tree is filled if it is empty."""
        from hactl.lab.rc import boot

        self.machine = machine
        self.scripts: dict[str, Script] = {script.name: script for script in SCRIPTS}
        #: Process of each running daemon (hastd is the business of `machine.hast`).
        self.running: dict[str, Process] = {}
        #: Every running program, system daemons included, by pid.
        self.processes: dict[int, Process] = {}
        #: What rc and its scripts printed since the last boot began, line by line.
        self.console: list[str] = []
        #: What starting a program costs, seconds: 0 except where a slow machine is to be played.
        self.program_seconds = 0.0
        #: Files lockf(1) holds.
        self.locks: set[str] = set()
        #: The loader reads /boot/loader.conf (recording 08: one that reads another file).
        self.loader_reads_conf = True
        self._power_cycles = machine.power_cycles
        machine.world.on_power.append(self._power_changed)
        boot.furnish(machine, self)

    # programs

    def enter(self, process: Process) -> None:
        """A program runs now."""
        self.processes[process.pid] = process

    def leave(self, process: Process) -> None:
        """A program ended."""
        self.processes.pop(process.pid, None)

    def _power_changed(self, machine: Machine) -> None:
        if machine is self.machine and machine.power_cycles != self._power_cycles:
            self._power_cycles = machine.power_cycles
            self.running.clear()
            self.locks.clear()
            for process in list(self.processes.values()):
                process.kill(9)
            self.processes.clear()

    def hastd_processes(self) -> list[tuple[int, int, str, Callable[[int], None]]]:
        """hastd and its workers for ps and kill: (pid, parent, title, kill with a signal)."""
        hast = self.machine.hast

        def killer(pid: int) -> Callable[[int], None]:
            return lambda number: _ignore(hast.signal(pid, number))

        return [(pid, parent, title, killer(pid)) for pid, parent, title in hast.processes()]

    # services

    def add_service(self, name: str, *, rcvar: str | None = None, about: str = "") -> Script:
        """A service of a package: /usr/local/etc/rc.d/NAME, switched on by NAME_enable unless told otherwise."""
        known = self.scripts.get(name)
        if known is not None:
            return known
        variable = rcvar or f"{name.replace('-', '_').replace('.', '_')}_enable"
        script = Script(
            name, variable, "", about, f"/usr/local/sbin/{name}", f"/var/run/{name}.pid", ("reload",),
            "/usr/local/etc/rc.d",
        )  # fmt: skip
        self.scripts[name] = script
        files = self.machine.files
        files.mkdir(script.directory)
        files.write_text(script.path, rc_script(script), 0o755)
        return script

    def adopt(self, name: str, path: str) -> Script:
        """A script somebody installed that uses rc.subr: a daemon with the variables it sets."""
        text = self.machine.files.read_text(path)

        def setting(variable: str, default: str) -> str:
            found = re.search(rf"""(?m)^{variable}=["']?([^"'\n]*)["']?""", text)
            return found.group(1).replace("${name}", name).replace("$name", name) if found else default

        script = Script(
            setting("name", name), setting("rcvar", f"{name}_enable"), "NO", setting("desc", ""),
            setting("command", f"/usr/local/sbin/{name}"), setting("pidfile", f"/var/run/{name}.pid"), ("reload",),
            posixpath.dirname(path),
        )  # fmt: skip
        self.scripts[name] = script
        return script

    def pid_of(self, name: str) -> int | None:
        """Pid of a service's daemon, if it runs."""
        if name == "hastd":
            return self.machine.hast.pid
        process = self.running.get(name)
        return process.pid if process is not None and process.killed is None else None

    def start_daemon(self, name: str) -> int:
        """Let a service's daemon run; returns its pid."""
        script = self.scripts[name]
        pid = self.machine.pid()
        process = self.machine.devctl.process(pid) if name == "devd" else Process(pid, script.daemon or name)
        self.running[name] = process
        self.enter(process)
        adopt(self.machine, process.pid)
        process.on_kill.append(lambda: self._daemon_ended(name, process))
        if script.pidfile is not None and self.machine.files.refuses(script.pidfile) is None:
            self.machine.files.mkdir(posixpath.dirname(script.pidfile))
            self.machine.files.write_text(script.pidfile, f"{process.pid}\n")
        return process.pid

    def stop_daemon(self, name: str) -> None:
        """End a service's daemon."""
        process = self.running.get(name)
        if process is not None:
            process.kill(15)

    def _daemon_ended(self, name: str, process: Process) -> None:
        self.leave(process)
        if self.running.get(name) is process:
            del self.running[name]
        if name == "devd":
            self.machine.devctl.ended()

    # variables

    def variables(self, name: str | None = None) -> Mapping[str, str]:
        """Variables after load_rc_config NAME: sourced for real, by the machine's shell."""
        from hactl.lab.rc import boot

        return boot.load_rc_config(self.machine, name)

    def enabled(self, name: str) -> bool:
        """Whether rc would start a service at boot."""
        script = self.scripts[name]
        if script.rcvar is None:
            return False
        return self.variables(name).get(script.rcvar, script.default).upper() in YES

    # boot and shutdown

    async def boot(self) -> None:
        """Everything rc does until sshd answers."""
        from hactl.lab.rc import boot

        await boot.boot(self.machine)

    async def shutdown(self) -> None:
        """rc.shutdown: stop what runs, in reverse order; hastd's roles go to init before filesystems are unmounted."""
        from hactl.lab.rc import boot

        await boot.shutdown(self.machine)
