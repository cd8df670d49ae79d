"""rc(8) of one simulated machine: its services and its running programs.

Rules:
- The scripts are a table (`rc.scripts`); what they print is in `boot.actions`.
- Losing power ends every program; nothing is written.
- Man pages: rc(8), rc.subr(8), service(8).
"""

from __future__ import annotations

import posixpath

from hactl.lab.hast.daemon import Hast
from hactl.lab.host import Host
from hactl.lab.kernel.devd import Devd
from hactl.lab.process import Process, adopt
from hactl.lab.rc.costs import FREE
from hactl.lab.rc.etc import rc_script
from hactl.lab.rc.rcorder import setting
from hactl.lab.rc.scripts import SCRIPTS, Script


class Rc:
    """Services and programs of one machine."""

    def __init__(self, machine: Host, hast: Hast, devctl: Devd) -> None:
        """Nothing runs."""
        self.machine, self.hast, self.devctl = machine, hast, devctl
        self.scripts: dict[str, Script] = {script.name: script for script in SCRIPTS}
        #: Process of each running daemon (hastd is the business of `hast`).
        self.running: dict[str, Process] = {}
        #: Every running program, system daemons included, by pid.
        self.processes: dict[int, Process] = {}
        #: What rc and its scripts printed since the last boot began, line by line.
        self.console: list[str] = []
        #: What programs cost: nothing, except where a machine is to be played with its slowness.
        self.costs = FREE
        #: Of so many stops of nfsd one exits 1 although nfsd ends, the first of them; 0: none does.
        self.nfsd_race = 2
        self.nfsd_stops = 0
        #: Services whose daemon is stuck: it lives on when it is told to end. Whether it was told.
        self._stuck: dict[str, bool] = {}
        #: Files lockf(1) holds.
        self.locks: set[str] = set()
        #: The loader reads /boot/loader.conf (recording 08: one that reads another file).
        self.loader_reads_conf = True

    # programs

    def enter(self, process: Process) -> None:
        """A program runs now."""
        self.processes[process.pid] = process

    def leave(self, process: Process) -> None:
        """A program ended."""
        self.processes.pop(process.pid, None)

    def on_power_off(self) -> None:
        """Every program ends where it stands."""
        self.running.clear()
        self.locks.clear()
        self._stuck.clear()
        for process in list(self.processes.values()):
            process.kill(9)
        self.processes.clear()

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

        def own(variable: str, default: str) -> str:
            value = setting(text, variable, name)
            return default if value is None else value

        script = Script(
            own("name", name), own("rcvar", f"{name}_enable"), "NO", own("desc", ""),
            own("command", f"/usr/local/sbin/{name}"), own("pidfile", f"/var/run/{name}.pid"), ("reload",),
            posixpath.dirname(path),
        )  # fmt: skip
        self.scripts[name] = script
        return script

    def pid_of(self, name: str) -> int | None:
        """Pid of a service's daemon, if it runs."""
        if name == "hastd":
            return self.hast.pid
        process = self.running.get(name)
        return process.pid if process is not None and process.killed is None else None

    def start_daemon(self, name: str) -> int:
        """Let a service's daemon run; returns its pid."""
        script = self.scripts[name]
        pid = self.machine.pid()
        process = self.devctl.process(pid) if name == "devd" else Process(pid, script.daemon or name)
        self.running[name] = process
        self.enter(process)
        adopt(self.machine.name, process.pid)
        process.on_kill.append(lambda: self._daemon_ended(name, process))
        if script.pidfile is not None and self.machine.files.refuses(script.pidfile) is None:
            self.machine.files.mkdir(posixpath.dirname(script.pidfile))
            self.machine.files.write_text(script.pidfile, f"{process.pid}\n")
        return process.pid

    def stop_daemon(self, name: str) -> None:
        """End a service's daemon."""
        process = self.running.get(name)
        if name in self._stuck:
            self._stuck[name] = True
        elif process is not None:
            process.kill(15)

    def stick(self, name: str) -> None:
        """A service's daemon does not end when it is told to; a signal 9, or a loss of power, ends it."""
        self._stuck[name] = False

    def unstick(self, name: str) -> None:
        """It goes on, and takes the signal that waits for it."""
        if self._stuck.pop(name, False):
            self.stop_daemon(name)

    def _daemon_ended(self, name: str, process: Process) -> None:
        self.leave(process)
        if self.running.get(name) is process:
            del self.running[name]
        if name == "devd":
            self.devctl.ended()
