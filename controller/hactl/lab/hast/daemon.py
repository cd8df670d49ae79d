"""hastd of one machine: the single-threaded main process, its resources, its control socket, its log.

Rules:
- One thing at a time: while it waits for a worker to end (`busy`) every hastctl and every peer waits.
- Signals and ended children are seen when the select loop wakes: at the next request or connection, or when its
  five seconds are over (recordings 03, 04, 05, 07 all show it).
- Roles live in memory only; every start begins with init.
- hastd(8), hast.conf(5); sbin/hastd/hastd.c, control.c, hooks.c; docs/freebsd-facts.md#2.1 to #2.3, #2.6, #2.8 to
  #2.10.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal

from hactl.lab.hast.accept import accept
from hactl.lab.hast.config_grammar import EX_OSFILE, ConfigError, HastConfig, ResourceConfig, parse
from hactl.lab.hast.loop import SelectLoop
from hactl.lab.hast.processes import Answer, HastHost, Level, Primary, Resource, Role, Route, Worker
from hactl.lab.hast.reload import reload
from hactl.lab.hast.trial import Loopback, Trial, connects
from hactl.lab.hast.worker.primary import PrimaryWorker
from hactl.lab.hast.worker.route import find_route, split_address
from hactl.lab.hast.worker.secondary import WorkerExit
from hactl.lab.kernel.errors import KernelError
from hactl.lab.process import Process, adopt

CONFIG_PATH = "/etc/hast.conf"
#: sysexits(3), when a hook cannot be executed.
EX_SOFTWARE = 70


class ControlError(Exception):
    """hastctl gets no answer: `text` is what it prints, `status` its exit status."""

    def __init__(self, text: str, status: int) -> None:
        """Keep both."""
        super().__init__(text)
        self.text = text
        self.status = status


class Hast:
    """hastd, running or not."""

    def __init__(self, machine: HastHost) -> None:
        """Not running."""
        self.machine = machine
        self.pid: int | None = None
        self.config = HastConfig()
        self.resources: dict[str, Resource] = {}
        #: live: somebody listens; stale: left behind; missing: no such file.
        self.socket: Literal["live", "stale", "missing"] = "missing"
        self.sync_bytes_per_second = 64 * 1048576.0
        #: Hooks run so far: (world time, argv).
        self.hooks: list[tuple[float, tuple[str, ...]]] = []
        self.loop = SelectLoop(machine)
        #: Whether the program that runs connects when it is primary (`hast.trial`).
        self.connects = True
        #: The one that is tried beside it.
        self.trial: Trial | None = None
        self.loopback = Loopback()
        self._asked = False

    # what others ask

    @property
    def running(self) -> bool:
        """Whether the main process exists."""
        return self.pid is not None

    @property
    def busy(self) -> bool:
        """Whether the main process is in the middle of something."""
        return self.loop.busy

    def processes(self) -> list[tuple[int, int, str]]:
        """(pid, parent's pid, title) of the main process and its workers, for ps, pgrep and kill."""
        if self.pid is None:
            return []
        workers = [resource.worker for resource in self.resources.values() if resource.worker is not None]
        return [(self.pid, 1, "/sbin/hastd")] + [
            (worker.pid, self.pid, f"hastd: {worker.resource.name} ({worker.kind})") for worker in workers
        ]

    def read_config(self, path: str = CONFIG_PATH) -> HastConfig:
        """Parse a file as this node. Raises ConfigError."""
        files = self.machine.files
        if files.kind(path) is None:
            text = f"Unable to open configuration file {path}: No such file or directory."
            raise ConfigError(text, EX_OSFILE)
        machine = self.machine
        return parse(files.read_text(path), hostname=machine.hostname, hostuuid=machine.hostuuid, hostid=machine.hostid)

    def route(self, resource: Resource) -> Route:
        """Where a connection attempt to a resource's remote gets now."""
        return find_route(self.machine, resource.config)

    def listens_on(self, host: str, port: int) -> bool:
        """Whether the main process accepts connections to an address."""
        if self.pid is None:
            return False
        for text in self.config.listen:
            there, its_port = split_address(text)
            if its_port == port and there in (host, "0.0.0.0", "::"):
                return True
        return False

    # log

    def log_main(self, level: Level, text: str, resource: Resource | None = None, role: str = "") -> None:
        """A line of the main process; with a resource, prefixed with its name and role."""
        prefix = f"[{resource.name}] ({role or resource.role}) " if resource else ""
        self._log(level, self.pid or 0, prefix + text)

    def log_worker(self, level: Level, pid: int, resource: Resource, text: str) -> None:
        """A line of a worker, before it gave up its privileges."""
        self._log(level, pid, f"[{resource.name}] ({resource.role}) {text}")

    def _log(self, level: Level, pid: int, text: str) -> None:
        self.machine.log("daemon", f"hastd[{pid}]", text)
        if level != "info":
            self.machine.log("messages", f"hastd[{pid}]", text)

    def run_hook(self, resource: Resource, event: str, *arguments: str) -> None:
        """Run the resource's `exec` program, if it has one, without waiting for it."""
        program = resource.config.exec
        if not program or self.pid is None:
            return
        argv = (program, event, resource.name, *arguments)
        world, machine = self.machine.world, self.machine
        self.hooks.append((world.clock.monotonic(), argv))

        async def work() -> None:
            process = Process(machine.pid(), " ".join(["/bin/sh", *argv]), self.pid or 1)
            status = await self._execute(argv, process)
            if status:
                how = f"exitcode={status}"
                self.log_main("error", f"Hook exited ungracefully (pid={process.pid}, {how}, cmd=[{' '.join(argv)}]).")

        world.at(0.0, lambda: world.spawn(work(), machine=machine), machine=machine)

    async def _execute(self, argv: tuple[str, ...], process: Process) -> int:
        """hook_execv (sbin/hastd/hooks.c): no shell, arguments as they are; root; standard streams on /dev/null.

        Nothing limits it, several may run at the same time, and it outlives hastd; only the machine's power ends it.
        """
        files, path = self.machine.files, argv[0]
        kind = files.kind(path)
        if kind == "file" and files.stat_mode(path) & 0o111:
            return (await self.machine.execute(argv, process)).status
        why = "No such file or directory" if kind is None else "Permission denied"
        self._log("error", process.pid, f"Unable to execute {path}: {why}.")
        return EX_SOFTWARE

    # start, stop, signals

    def start(self, config_path: str = CONFIG_PATH) -> tuple[str, str, int]:
        """Run hastd: what it prints before it is a daemon (stdout, stderr) and its exit status."""
        try:
            config = self.read_config(config_path)
        except ConfigError as error:
            return "", f"[ERROR] {error.text}\n", error.status
        if self.pid is not None:
            text = f"Another hastd is already running, pidfile: {config.pidfile}, pid: {self.pid}."
            return config.echo, f"[ERROR] {text}\n", 75
        machine = self.machine
        if not machine.kernel.has_module("g_gate"):
            try:
                machine.kernel.load("geom_gate")
            except KernelError as problem:
                return config.echo, f"[ERROR] Unable to load geom_gate module: {problem}.\n", 71
        self.config, self.pid, self.connects = config, machine.pid(), connects(machine)
        adopt(machine.name, self.pid)
        self.resources = {name: Resource(name, found) for name, found in config.resources.items()}
        self._asked = False
        self.loop.begin()
        machine.files.write_text(config.pidfile, str(self.pid), 0o600)
        machine.files.remove_node(config.control)
        machine.files.make_node(config.control, "socket", mode=0o755)
        self.socket = "live"
        self.log_main("info", "Started successfully, running protocol version 2.")
        for address in config.listen:
            self.log_main("info", f"Listening on address {address}.")
        return config.echo, "", 0

    def add(self, name: str, config: ResourceConfig) -> None:
        """A resource of a reloaded file, in role init."""
        self.resources[name] = Resource(name, config)

    def reload(self) -> None:
        """SIGHUP to the main process."""
        self.loop.post(lambda: reload(self))

    def stop(self) -> None:
        """SIGTERM to the main process; it ends up to five seconds later (`running` tells)."""
        self.loop.post(self._exit)

    def block(self, seconds: float) -> None:
        """The main process is stuck, as in a slow look-up of a name: whoever asks it waits.

        See docs/freebsd-facts.md#trap-22.
        """
        self.loop.perform(iter([seconds]))

    def signal(self, pid: int, number: int) -> bool:
        """A signal to the main process or a worker; False if neither has that pid."""
        if self.pid is None:
            return False
        if pid == self.pid:
            if number == 9:
                self._killed()
            elif number in (2, 15):
                self.stop()
            elif number == 1:
                self.reload()
            return True
        for resource in self.resources.values():
            worker = resource.worker
            if worker is None or worker.pid != pid:
                continue
            if number == 9:
                worker.kill()
            elif number in (2, 15):
                worker.terminate()
            if number in (2, 9, 15):
                self.child_ended(resource, pid, -9 if number == 9 else 0, worker)
            return True
        return False

    def _exit(self) -> Iterator[float]:
        self.log_main("info", "Termination signal received, exiting.")
        for resource in self.resources.values():
            yield from self._end_worker(resource)
        # Recording 04 and 03: with no resource at all the socket is left behind.
        self._gone(stale=not self.resources)

    def _killed(self) -> None:
        for resource in self.resources.values():
            if resource.worker is not None:
                resource.worker.terminate()
        self._gone(stale=True)

    def _gone(self, *, stale: bool) -> None:
        self.socket = "stale" if stale else "missing"
        if not stale:
            self.machine.files.remove_node(self.config.control)
        self.pid, self.resources = None, {}
        self.loop.end()

    def on_boot(self) -> None:
        """The machine starts: nothing runs."""
        self.pid, self.socket, self.resources = None, "missing", {}

    def on_power_off(self) -> None:
        """Nothing is written, nothing is said to peers."""
        for resource in self.resources.values():
            if resource.worker is not None:
                resource.worker.vanish()
        self.pid, self.resources, self.trial = None, {}, None
        self.loopback.ears.clear()
        self.loop.end()

    # roles

    def change_role(self, resource: Resource, role: Role) -> Iterator[float]:
        """What the main process does for `role`; yields the seconds it is blocked."""
        old = resource.role
        if old == role:
            return
        self.log_main("info", f"Role changed to {role}.", resource)
        resource.role = role
        yield from self._end_worker(resource)
        if role == "primary":
            self._fork_primary(resource)
        self.run_hook(resource, "role", old, role)

    def _end_worker(self, resource: Resource) -> Iterator[float]:
        worker = resource.worker
        if worker is None:
            return
        yield worker.terminate_seconds
        if resource.worker is worker:
            worker.terminate()
            resource.worker = None

    def _fork_primary(self, resource: Resource) -> None:
        try:
            resource.worker = PrimaryWorker(self, resource)
        except WorkerExit as end:
            self.child_ended(resource, end.pid, end.status)

    def child_ended(self, resource: Resource, pid: int, status: int, worker: Worker | None = None) -> None:
        """A worker ended by itself; negative status: by that signal. Seen when the loop wakes."""

        def reap() -> Iterator[float]:
            if status < 0:
                self.log_main("error", f"Worker process killed (pid={pid}, signal={-status}).", resource)
            elif status:
                text = f"Worker process exited ungracefully (pid={pid}, exitcode={status})."
                self.log_main("error", text, resource)
            if worker is not None and resource.worker is worker:
                resource.worker = None
            if resource.role != "primary" or resource.worker is not None:
                return
            if status < 0 or status == 75:
                yield 1.0
                self.log_main("info", "Restarting worker process.", resource)
                self._fork_primary(resource)
            else:
                self.log_main("info", "Changing resource role back to init.", resource)
                resource.role = "init"

        self.loop.post(reap)

    # the control socket

    async def request(
        self, names: Iterable[str], *, control: str, role: Role | None = None
    ) -> list[tuple[str, Resource | None]]:
        """What hastctl asks: (name, resource or None if unknown); with a role, it is set first.

        Waits as long as the main process is busy, without limit. Raises ControlError.
        """
        path = control
        if self.socket == "missing" or control != self.config.control:
            raise ControlError(f"Unable to connect to hastd via {path}: No such file or directory.", 71)
        if self.socket == "stale":
            raise ControlError(f"Unable to connect to hastd via {path}: Connection refused.", 71)
        pid, dead = self.pid, ControlError(f"cannot receive reply from hastd via {path}: Socket is not connected.", 69)
        await self._turn(pid, dead)
        chosen = list(names)
        if chosen == ["all"]:
            chosen = list(self.resources)
            first, self._asked = not self._asked, True
            if not chosen:
                if first and role is None:
                    return []
                raise dead
        self._asked = True
        found = [(name, self.resources.get(name)) for name in chosen]
        if role is not None:
            request = self.loop.perform(self._set_roles([resource for _, resource in found if resource], role))
            await self.machine.world.wait_until(lambda: request.done or self.pid != pid, math.inf, 0.25)
            if not request.done:
                raise dead
        return found

    async def _turn(self, pid: int | None, dead: ControlError) -> None:
        """Wait until the main process takes the request."""
        while True:
            await self.machine.world.wait_until(lambda: not self.busy or self.pid != pid, math.inf, 0.25)
            self.loop.wake()
            if self.pid != pid or self.pid is None:
                raise dead
            if not self.busy:
                return

    def _set_roles(self, resources: list[Resource], role: Role) -> Iterator[float]:
        for resource in resources:
            yield from self.change_role(resource, role)

    # connections from primaries

    def accept(self, primary: Primary, source: str) -> Answer:
        """A primary's two connections arrive (`hast.accept`)."""
        self.loop.wake()
        if self.pid is None or self.busy:
            return "busy"
        return accept(self, primary, source)
