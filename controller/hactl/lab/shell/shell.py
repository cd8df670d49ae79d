"""The shell of a simulated node: scripts run for real, in bashkit, on the node's own files and programs.

Rules:
- Each script is a shell of its own; all shells of a machine share its files. Scripts may run at the same time.
- A script runs in a thread of its own and stops whenever it calls a program; the program runs where `run_script`
  is awaited, so the world is never touched by two threads, and a waiting program suspends only its own script.
- `run_script` awaits nothing but what programs await: driven by hand (`drive`) it moves the world's time itself, as a
  fiber (`World.spawn`) it suspends with its programs.
- The thread knows its shell weakly: a world nobody holds any more takes its unfinished scripts with it.
- What FreeBSD does not have is not found here either (`hactl.lab.shell.dialect`).
- Man pages: sh(1), environ(7).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from bashkit import Bash, BuiltinContext, BuiltinResult

from hactl.lab.files import Files
from hactl.lab.process import Process, attend
from hactl.lab.program import COMMANDS, QUICK, Call, Computer, is_script
from hactl.lab.shell import dialect
from hactl.lab.shell.builtins import LOCAL
from hactl.lab.shell.jobs import Jobs
from hactl.lab.shell.words import read_words

T = TypeVar("T")
#: What sshd and rc give a script of root, and his shell besides.
ENVIRONMENT = {
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "PATH": "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin",
    "LANG": "C.UTF-8",
}
#: Major number of the first release whose root has sh.
FIRST_WITH_SH = 14
#: Seconds. A script ends when it ends, or is killed.
_FOR_EVER = 1e8
#: Programs before which files the script made must have the modes its umask gives them.
_MODE_MATTERS = frozenset({"chmod", "cp", "install", "ls", "mv", "rm", "service", "stat", "sysrc", "umask"})


def login_shell(release: str) -> str:
    """Root's shell of a fresh installation (docs/freebsd-facts.md#5)."""
    return "/bin/csh" if int(release.partition(".")[0]) < FIRST_WITH_SH else "/bin/sh"


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends. Raises RuntimeError if it does."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a command waited where nothing can wait for it")


async def run_script(
    machine: Computer,
    script: str,
    *,
    env: Mapping[str, str] | None = None,
    cwd: str = "/root",
    on_output: Callable[[str], None] | None = None,
    process: Process | None = None,
    stdin: str = "",
) -> tuple[str, str, int]:
    """Run a script as `sh -s` would, see `Shell.run`. `process`: kill it to end the script (status 128 + n)."""
    return await Shell(machine, env=env, process=process, stdin=stdin).run(script, cwd=cwd, on_output=on_output)


class Shell:
    """One run of one script."""

    def __init__(
        self,
        machine: Computer,
        *,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        name: str = "sh",
        process: Process | None = None,
    ) -> None:
        """Nothing runs yet. `name`: its `$0`; `process`: what it runs as."""
        self.machine = machine
        self.name = name
        self.stdin = stdin
        self.env = {**ENVIRONMENT, "SHELL": login_shell(machine.release), **(env or {})}
        self.process = process or Process(machine.pid(), "/bin/sh -s")
        self.umask = 0o022
        self.script = ""
        self._seen_files: set[str] | None = None
        self._directories: frozenset[str] = frozenset()
        self._live: Callable[[str], None] | None = None
        self._printed: list[tuple[str, str]] = []
        self._channel: SimpleQueue[tuple[str, Any, Any]] = SimpleQueue()
        self.jobs = Jobs(machine, self.process.pid, partial(Shell, machine, env=self.env, name=name))

    async def run(
        self,
        script: str,
        *,
        arguments: tuple[str, ...] = (),
        cwd: str = "/root",
        on_output: Callable[[str], None] | None = None,
        on_error: Callable[[str], None] | None = None,
    ) -> tuple[str, str, int]:
        """Run a script; returns standard output, standard error and the exit status.

        `on_output`, `on_error`: called with pieces as they appear.
        """
        self.script = script
        settings, code = dialect.settings_and_code(script)
        complaint = dialect.syntax_error(code)
        if complaint is not None:
            text = f"{self.name}: {complaint}\n"
            if on_error:
                on_error(text)
            return "", text, 2
        self._on_output, self._on_error = on_output, on_error
        words = read_words(code)
        named = words.directories | read_words(settings).directories
        if on_output is not None and words.live:
            self._live = on_output
        self.process.catches = dialect.caught(code)
        self._directories = named | {cwd, "/tmp"} if words.redirects else frozenset()
        prepared = dialect.prepare(settings, code, self.process.pid)
        given = " ".join(dialect.quote(argument) for argument in arguments)
        if words.own_name or "/etc/rc.subr" in script:
            # The only way to tell the player who it is.
            prepared = f"sh -c {dialect.quote(prepared)} {dialect.quote(self.name)} {given}"
        elif arguments:
            prepared = f"set -- {given}\n{prepared}"
        if self.stdin:
            # The player's own cat, head and read see what is redirected in it, and nothing else.
            given_in = self.stdin if self.stdin.endswith("\n") else f"{self.stdin}\n"
            prepared = f"exec <<'HACTL_LAB_STDIN'\n{given_in}HACTL_LAB_STDIN\n{prepared}"
        bash = self._interpreter((settings, dialect.rewritten(code), dialect.prelude(code), given), code, cwd)
        self.machine.rc.enter(self.process)
        try:
            return await self._drive(bash, prepared)
        finally:
            self.machine.rc.leave(self.process)

    # the interpreter and its programs

    def _interpreter(self, texts: tuple[str, ...], code: str, cwd: str) -> Bash:
        words = [read_words(text) for text in texts if text]
        builtins: dict[str, Any] = dict.fromkeys(read_words(code).foreign, _not_found)
        paths = frozenset[str]().union(*(each.scripts for each in words))
        commands = frozenset[str]().union(*(each.commands for each in words))
        scripts = {path for path in paths if path in commands or self._executable(path)}
        if self.name.startswith("/"):
            scripts.add(self.name)
        programs = frozenset[str]().union(*(each.programs for each in words))
        if self.process.catches:
            programs -= {"kill", "wait"}
        builtins |= dict.fromkeys(programs | LOCAL.keys() | {"__run", "__kill", "__test"} | scripts, self._dispatcher())
        bash = Bash(
            username=self.env["USER"],
            hostname=self.machine.name,
            cwd=cwd if self.machine.files.is_dir(cwd) else "/",
            env=self.env,
            custom_builtins=builtins,
            max_commands=1_000_000,
            max_loop_iterations=1_000_000,
            # Its own is 30 s of the machine the lab runs on, where a script that waits in virtual time may be slow.
            timeout_seconds=_FOR_EVER,
        )
        files = self.machine.files
        bash.mount("/", files.fs, read_only=files.full or "/" in files.read_only)
        for directory in sorted(files.read_only - {"/"}):
            copy = Files()
            copy.plant("/", files.tree(directory))
            bash.mount(directory, copy.fs, read_only=True)
        return bash

    def _executable(self, path: str) -> bool:
        files = self.machine.files
        return files.kind(path) == "file" and bool(files.stat_mode(path) & 0o111)

    async def _drive(self, bash: Bash, script: str) -> tuple[str, str, int]:
        heard = self._on_output is not None or self._on_error is not None
        thread = threading.Thread(
            target=_play,
            args=(bash, script, self._channel, self._printed, heard),
            name=f"sh-{self.process.pid}",
            daemon=True,
        )
        self.process.on_kill.append(bash.cancel)
        thread.start()
        outcome: Any = None
        interrupted: BaseException | None = None
        while outcome is None:
            kind, payload, reply = self._channel.get()
            if kind == "done":
                outcome = payload
            elif kind == "output":
                self._report(*payload)
            elif interrupted is not None or self.process.killed is not None:
                reply.put(BuiltinResult("", "", 137))
            else:
                try:
                    reply.put(await self._answer(payload))
                except BaseException as problem:  # noqa: BLE001
                    # The thread must be let go before the exception travels on.
                    interrupted = problem
                    self.process.kill(9)
                    bash.cancel()
                    reply.put(BuiltinResult("", "", 137))
        thread.join()
        # The player holds us by its builtins; if we held it too, nothing would ever free either.
        self.process.on_kill.remove(bash.cancel)
        if interrupted is not None:
            raise interrupted
        self._settle_modes()
        return self._result(outcome)

    def _report(self, out: str, err: str) -> None:
        full = self.machine.files.full
        if out and self._on_output is not None:
            self._on_output(dialect.translate(out, full=full))
        if err and self._on_error is not None:
            self._on_error(dialect.translate(err, full=full))

    def _result(self, outcome: Any) -> tuple[str, str, int]:
        if self.process.killed is not None:
            out, err = ("".join(piece) for piece in zip(*self._printed, strict=True)) if self._printed else ("", "")
            return dialect.translate(out), dialect.translate(err), 128 + self.process.killed
        if isinstance(outcome, BaseException):
            text = f"{self.name}: {outcome}\n"
            return "", dialect.translate(text), 2
        full = self.machine.files.full
        err = outcome.stderr
        if outcome.error and err == outcome.error:
            err += "\n"
            if self._on_error is not None:
                self._on_error(dialect.translate(err, full=full))
        return dialect.translate(outcome.stdout, full=full), dialect.translate(err, full=full), outcome.exit_code

    # programs

    def _dispatcher(self) -> Callable[[BuiltinContext], BuiltinResult]:
        """What the script's thread calls for every program; while that waits, only the channel holds the call."""
        me = weakref.ref(self)

        def dispatch(context: BuiltinContext) -> BuiltinResult:
            shell = me()
            if shell is None:
                return BuiltinResult("", "", 137)
            answer = shell._dispatch(context)
            del shell
            return answer if isinstance(answer, BuiltinResult) else answer.get()

        return dispatch

    def _dispatch(self, context: BuiltinContext) -> BuiltinResult | SimpleQueue[BuiltinResult]:
        """In the script's thread: answer quick programs here, hand the others over."""
        name, argv = context.name, list(context.argv)
        if "__run" in argv or name == "__run":
            # `dialect` put it before names the player keeps for itself, also among words of lockf(1) and such.
            name, *argv = (word for word in (name, *argv) if word != "__run")
        if not name:
            return BuiltinResult("", "", 0)
        if "/" in name and is_script(name):
            name, argv = "__exec", [name, *argv]
        name = name.rsplit("/", 1)[-1]
        call = Call(
            self.machine,
            name,
            argv,
            self.stdin if context.stdin is None else context.stdin,
            dict(context.env),
            context.cwd,
            self.process,
            self._emitter(name),
        )
        if name in QUICK and self.process.killed is None and QUICK[name](argv):
            done = drive(COMMANDS[name](call))
            return BuiltinResult(done.stdout, done.stderr, done.status)
        reply: SimpleQueue[BuiltinResult] = SimpleQueue()
        self._channel.put(("call", call, reply))
        return reply

    def _emitter(self, name: str) -> Callable[[str], None] | None:
        return self._live if name in {"nc", "tail", "timeout"} else None

    async def _answer(self, call: Call) -> BuiltinResult:
        if call.name in _MODE_MATTERS:
            self._settle_modes()
        local = LOCAL.get(call.name)
        shown = "/bin/sh" if call.name == "__exec" else call.name
        process = Process(self.machine.pid(), " ".join([shown, *call.argv]), self.process.pid)
        call.process = process
        self.process.children.append(process)
        self.machine.rc.enter(process)
        try:
            while self.machine.frozen:
                await self.machine.world.clock.sleep(0.25)
            if cost := self.machine.rc.costs.of(call.name):
                await self.machine.world.clock.sleep(cost)
            work = local(self, call) if local is not None else COMMANDS[call.name](call)
            result = await attend(process, work)
        finally:
            self.machine.rc.leave(process)
            self.process.children.remove(process)
        return BuiltinResult(result.stdout, result.stderr, result.status)

    # the creation mask: bashkit's redirections ignore it, so new files get it afterwards

    def _settle_modes(self) -> None:
        if self._seen_files is None:
            return
        files, now = self.machine.files, self._all_files()
        for path in now - self._seen_files:
            if files.node(path) is None and files.stat_mode(path) == 0o644:
                files.chmod(path, 0o666 & ~self.umask)
        self._seen_files = now

    def _all_files(self) -> set[str]:
        """Files in the directories the script names, its own and /tmp: where its redirections can create any."""
        files = self.machine.files
        found: set[str] = set()
        for top in self._directories:
            if files.is_dir(top):
                entries = files.fs.read_dir(top)
                found |= {f"{top}/{e['name']}" for e in entries if e["metadata"]["file_type"] != "directory"}
        return found

    def set_umask(self, mask: int) -> None:
        """umask(2) for the files this script creates from now on."""
        self._settle_modes()
        self.umask = mask
        self._seen_files = self._all_files() if mask != 0o022 and self._directories else None


def _play(
    bash: Bash,
    script: str,
    channel: SimpleQueue[tuple[str, Any, Any]],
    printed: list[tuple[str, str]],
    heard: bool,
) -> None:
    """The thread of a script: plays it, hands programs over."""

    def emit(out: str, err: str) -> None:
        printed.append((out, err))
        if heard:
            channel.put(("output", (out, err), None))

    try:
        result = bash.execute_sync(script, on_output=emit)
    except BaseException as problem:  # noqa: BLE001
        channel.put(("done", problem, None))
    else:
        channel.put(("done", result, None))


def _not_found(context: BuiltinContext) -> BuiltinResult:
    return BuiltinResult("", f"{context.name}: not found\n", 127)
