"""devd of one machine: the kernel's events, one at a time, to the readers of its socket and to actions.

Rules:
- The kernel keeps 1000 events; the oldest are lost. Whoever starts devd lets it work them off.
- Rules are those read at the start: nothing reloads them; SIGHUP, SIGINT and SIGTERM all end devd.
- Readers hear an event, then its action runs by `sh -c`, and devd waits for it: everything later waits too.
- A signal that ends devd ends it when the action that runs has ended; SIGKILL at once, and the action goes on.
- Man pages: devd(8), devd.conf(5). docs/freebsd-facts.md#1.5; sbin/devd/devd.cc: event_loop, my_system.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from hactl.lab.host import Host
from hactl.lab.kernel import devd_conf
from hactl.lab.process import RC_ENVIRONMENT, Process

#: hw.bus.devctl_queue.
QUEUE_EVENTS = 1000


class _Daemon(Process):
    """devd's process: it dies between two actions."""

    __slots__ = ("devd",)
    devd: Devd

    def kill(self, signal: int = 15) -> None:
        """As `Process.kill`, but a signal devd handles waits for the action that runs."""
        if signal != 9 and self.devd.acting:
            self.devd.leaving = signal
        else:
            Process.kill(self, signal)


class DevdHost(Host, Protocol):
    """A machine whose shell runs devd's actions."""

    async def run_script(self, script: str, *, env: Mapping[str, str], cwd: str, process: Process) -> object: ...


class Devd:
    """devd, running or not, and the queue of /dev/devctl."""

    def __init__(self, machine: DevdHost) -> None:
        """Not running; nothing happened yet."""
        self.machine = machine
        self.listeners: list[Callable[[str], None]] = []
        self.conf = devd_conf.DevdConf()
        self.queue: deque[str] = deque(maxlen=QUEUE_EVENTS)
        #: An action runs.
        self.acting = False
        #: The signal that ends devd after it.
        self.leaving: int | None = None
        self._process: Process | None = None

    @property
    def running(self) -> bool:
        """Whether devd reads events."""
        return self._process is not None and self._process.killed is None

    def emit(self, line: str) -> None:
        """The kernel has an event (a raw line without its newline)."""
        self.queue.append(line)
        self._work()

    def load(self) -> None:
        """Read the configuration. Raises devd_conf.DevdSyntaxError."""
        self.conf = devd_conf.read(self.machine.files)

    def make_sockets(self) -> None:
        """The files its readers connect to (recording 01)."""
        for name in ("devd.pipe", "devd.seqpacket.pipe"):
            self.machine.files.make_node(f"/var/run/{name}", "socket", mode=0o666)

    def process(self, pid: int) -> Process:
        """The process of a devd that starts; `begin` makes it work."""
        daemon = _Daemon(pid, "/sbin/devd")
        daemon.devd = self
        self._process, self.acting, self.leaving = daemon, False, None
        return daemon

    def begin(self) -> None:
        """Work off what the kernel kept."""
        self._work()

    def ended(self) -> None:
        """The process is gone: readers see the end of the stream."""
        self._process, self.acting, self.leaving = None, False, None
        self.listeners.clear()

    def reset(self) -> None:
        """The power is gone, and with it the kernel's queue."""
        self.ended()
        self.queue.clear()

    def _work(self) -> None:
        while self.running and not self.acting and self.queue:
            line = self.queue.popleft()
            for listener in list(self.listeners):
                listener(line)
            actions = self.conf.actions_for(line)
            if actions:
                self._act(actions)

    def _act(self, actions: list[str]) -> None:
        # Never from inside the code of the kernel that emitted the event.
        self.acting, machine = True, self.machine
        machine.world.at(0.0, lambda: machine.world.spawn(self._run(actions), machine=machine), machine=machine)

    def _run(self, actions: list[str]) -> Coroutine[Any, Any, None]:
        machine, daemon = self.machine, self._process

        async def run() -> None:
            for action in actions:
                parent = daemon.pid if daemon is not None else 1
                machine.log("daemon", f"devd[{parent}]", f"Executing '{action}'")
                process = Process(machine.pid(), f"sh -c {action}", parent)
                await machine.run_script(action, env=RC_ENVIRONMENT, cwd="/", process=process)
            if self._process is not daemon or daemon is None:
                return
            self.acting = False
            if self.leaving is not None:
                daemon.kill(self.leaving)
            else:
                self._work()

        return run()
