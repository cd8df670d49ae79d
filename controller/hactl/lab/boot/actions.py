"""What a script of the table does for a command word, with the words and exit statuses of rc.subr in 13.2.

Rules:
- `one` and `force` before a command skip the rcvar; `status` of a disabled service says so and exits 0
  (docs/freebsd-facts.md#3.1).
- Warnings of a script go to standard error and to syslog (`root[pid]: /etc/rc.d/hastd: WARNING: ...`).
- `onestop` of nfsd exits 1 now and then although nfsd stops; its start needs mountd, which needs /etc/exports
  (docs/freebsd-facts.md#7.2, #7.20).
- hastd's `stop` first sets every role to init; if that fails it does not stop (recording 04).
- Man pages: rc.subr(8), rc.conf(5).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from hactl.lab.boot import netif
from hactl.lab.kernel.devd_conf import DevdSyntaxError
from hactl.lab.process import Result
from hactl.lab.program import Call, Computer, pause, run, run_as_rc
from hactl.lab.rc.config import YES, RcSyntaxError, load_rc_config
from hactl.lab.rc.scripts import Script

_PREFIXES = ("fast", "force", "one", "quiet")


async def run_script_of(call: Call, script: Script, word: str, arguments: Sequence[str]) -> Result:
    """run_rc_command: one script, one command word, its arguments."""
    prefix = next((each for each in _PREFIXES if word.startswith(each) and word != each), "")
    action = word.removeprefix(prefix)
    if action not in _directives(script):
        return Result("", _bad_directive(script, word), 1)
    try:
        variables = load_rc_config(call.machine.files, script.name)
    except RcSyntaxError as problem:
        return Result("", f"{problem}\n", 2)
    value = variables.get(script.rcvar or "", script.default)
    enabled = script.rcvar is None or value.upper() in YES
    if action == "rcvar":
        return Result(_rcvar(script, value))
    if action == "enabled":
        return Result("", "", 0 if enabled else 1)
    if action in {"enable", "disable", "delete"}:
        return await _switch(call, script, action)
    if action in {"describe", "extracommands"}:
        return Result(f"{script.about}\n" if action == "describe" else f"{' '.join(script.commands)}\n")
    running = call.machine.rc.pid_of(script.name) if script.daemon else None
    if not enabled and prefix not in {"one", "force"} and not (action == "stop" and running):
        text = f"Cannot '{word}' {script.name}. Set {script.rcvar} to YES in /etc/rc.conf or use 'one{word}' "
        return Result("" if prefix == "quiet" else f"{text}instead of '{word}'.\n")
    special = _SPECIAL.get((script.name, action))
    if special is not None:
        return await special(call, arguments)
    if script.daemon is None:
        return Result()
    return await _DAEMON.get(action, _nothing)(call, script, prefix)


def _directives(script: Script) -> list[str]:
    names = ["start", "stop", "restart", "rcvar", "enable", "disable", "delete", "enabled", "describe", "extracommands"]
    return [*names, *script.commands, *(["status", "poll"] if script.daemon else [])]


def _bad_directive(script: Script, word: str) -> str:
    usage = f"{script.path} [fast|force|one|quiet]({'|'.join(_directives(script))})"
    return f"{script.path}: unknown directive '{word}'.\nUsage: {usage}\n"


def _rcvar(script: Script, value: str) -> str:
    head = f"# {script.name} : {script.about}\n#\n" if script.about else f"# {script.name}\n#\n"
    body = f'{script.rcvar}="{value}"\n#   (default: "")\n' if script.rcvar else ""
    return f"{head}{body}\n"


async def _switch(call: Call, script: Script, action: str) -> Result:
    if action == "delete":
        await run(call, ["sysrc", "-x", script.rcvar or ""])
        return Result(f"{script.rcvar} deleted in /etc/rc.conf\n")
    await run(call, ["sysrc", f"{script.rcvar}={'YES' if action == 'enable' else 'NO'}"])
    return Result(f"{script.name} {action}d in /etc/rc.conf\n")


def warn(call: Call, script: Script, text: str) -> str:
    """rc.subr's warn: to standard error and to syslog."""
    line = f"{script.path}: WARNING: {text}"
    call.machine.log("messages", f"root[{call.machine.pid()}]", line)
    return f"{line}\n"


# daemons


async def _start(call: Call, script: Script, prefix: str) -> Result:
    rc = call.machine.rc
    pid = rc.pid_of(script.name)
    if pid is not None:
        return Result("", f"{script.name} already running?  (pid={pid}).\n", 1)
    printed = "" if prefix == "quiet" else f"Starting {script.name}.\n"
    if script.name != "devd":
        rc.start_daemon(script.name)
        return Result(printed)
    devd = call.machine.devctl
    try:
        devd.load()
    except DevdSyntaxError as problem:
        return Result(printed, f"devd: {problem}\n" + warn(call, script, "failed to start devd"), 1)
    rc.start_daemon("devd")
    devd.make_sockets()
    devd.begin()
    # It becomes a daemon when nothing is left of what the kernel kept.
    while devd.running and (devd.queue or devd.acting):
        await pause(call, 0.1)
    return Result(printed)


async def _stop(call: Call, script: Script, prefix: str) -> Result:
    pid = call.machine.rc.pid_of(script.name)
    if pid is None:
        return Result("", _not_running(script), 1)
    call.machine.rc.stop_daemon(script.name)
    while call.machine.rc.pid_of(script.name) == pid:
        await pause(call, 0.1)
    return Result("" if prefix == "quiet" else f"Stopping {script.name}.\nWaiting for PIDS: {pid}.\n")


async def _restart(call: Call, script: Script, prefix: str) -> Result:
    return _joined(await _stop(call, script, prefix), await _start(call, script, prefix))


def _joined(stopped: Result, started: Result) -> Result:
    """What a restart prints, and its status: that of the start."""
    return Result(stopped.stdout + started.stdout, stopped.stderr + started.stderr, started.status)


async def _status(call: Call, script: Script, prefix: str) -> Result:
    pid = call.machine.rc.pid_of(script.name)
    if pid is None:
        return Result("" if prefix == "quiet" else f"{script.name} is not running.\n", "", 1)
    return Result("" if prefix == "quiet" else f"{script.name} is running as pid {pid}.\n")


async def _signal(call: Call, script: Script, _prefix: str) -> Result:
    if call.machine.rc.pid_of(script.name) is None:
        return Result("", _not_running(script), 1)
    return Result()


async def _poll(call: Call, script: Script, _prefix: str) -> Result:
    while call.machine.rc.pid_of(script.name) is not None:
        await pause(call, 1.0)
    return Result()


async def _nothing(_call: Call, _script: Script, _prefix: str) -> Result:
    return Result()


def _not_running(script: Script) -> str:
    return f"{script.name} not running? (check {script.pidfile}).\n"


_DAEMON: dict[str, Callable[[Call, Script, str], Awaitable[Result]]] = {
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "status": _status,
    "reload": _signal,
    "poll": _poll,
}


# nfsd


async def _nfsd_start(call: Call, _arguments: Sequence[str]) -> Result:
    """rc.d/nfsd: what it needs is started first, and what that says is all that tells why nfsd is not."""
    rc = call.machine.rc
    script, printed = rc.scripts["nfsd"], ""
    if rc.pid_of("nfsd") is None:
        printed = "NFSv4 is disabled\n"
        for name in ("rpcbind", "mountd"):
            if rc.pid_of(name) is not None:
                continue
            if name == "mountd" and not call.files.exists("/etc/exports"):
                said = warn(call, rc.scripts[name], "/etc/exports is not readable.")
                said += warn(call, script, f"Unable to force {name}. It may already be running.")
                said += warn(call, script, "failed precmd routine for nfsd")
                return Result(f"{printed}Starting {name}.\n", said, 1)
            rc.start_daemon(name)
            printed += f"Starting {name}.\n"
    started = await _start(call, script, "")
    return Result(printed + started.stdout, started.stderr, started.status)


async def _nfsd_stop(call: Call, _arguments: Sequence[str]) -> Result:
    """It has a master and a child: rc signals both, and the child may have gone with the master by then."""
    rc = call.machine.rc
    pid = rc.pid_of("nfsd")
    stopped = await _stop(call, rc.scripts["nfsd"], "")
    if pid is None or not rc.nfsd_race:
        return stopped
    rc.nfsd_stops += 1
    if rc.nfsd_stops % rc.nfsd_race != 1 % rc.nfsd_race:
        return stopped
    return Result("Stopping nfsd.\n", f"kill: {pid + 1}: No such process\n", 1)


# hastd


async def _hastd_start(call: Call, _arguments: Sequence[str]) -> Result:
    machine = call.machine
    script = machine.rc.scripts["hastd"]
    if machine.hast.pid is not None:
        return Result("", f"hastd already running?  (pid={machine.hast.pid}).\n", 1)
    if not call.files.exists("/etc/hast.conf"):
        text = warn(call, script, "/etc/hast.conf is not readable.")
        return Result("", text + warn(call, script, "failed precmd routine for hastd"), 1)
    out, errors, status = machine.hast.start()
    if status:
        errors += warn(call, script, "failed to start hastd")
    return Result(f"Starting hastd.\n{out}", errors, 1 if status else 0)


async def stop_hastd(call: Call) -> int | None:
    """SIGTERM and wait; the pid that ended, or None if nothing ran."""
    hast = call.machine.hast
    pid = hast.pid
    if pid is None:
        return None
    hast.stop()
    while hast.pid == pid:
        await pause(call, 0.1)
    return pid


async def _hastd_stop(call: Call, _arguments: Sequence[str]) -> Result:
    script = call.machine.rc.scripts["hastd"]
    if call.machine.hast.pid is None:
        return Result("", _not_running(script), 1)
    roles = await run(call, ["hastctl", "role", "init", "all"])
    if roles.status:
        return Result(roles.stdout, roles.stderr, 1)
    pid = await stop_hastd(call)
    return Result(f"Stopping hastd.\nWaiting for PIDS: {pid}.\n")


async def _hastd_restart(call: Call, _arguments: Sequence[str]) -> Result:
    return _joined(await _hastd_stop(call, ()), await _hastd_start(call, ()))


async def _hastd_reload(call: Call, _arguments: Sequence[str]) -> Result:
    if call.machine.hast.pid is None:
        return Result("", _not_running(call.machine.rc.scripts["hastd"]), 1)
    call.machine.hast.reload()
    return Result()


# the others that do something


async def apply_sysctl_conf(machine: Computer, *, quietly: bool) -> None:
    """rc.d/sysctl and rc.d/sysctl_lastload: every line of sysctl.conf(5); unknown names are ignored the first time."""
    files = machine.files
    for path in ("/etc/sysctl.conf", "/etc/sysctl.conf.local"):
        text = files.read_text(path) if files.exists(path) else ""
        for line in text.splitlines():
            setting = line.partition("#")[0].strip()
            if "=" in setting:
                name, _, value = setting.partition("=")
                words = ["sysctl", *(["-i"] if quietly else []), f"{name.strip()}={value.strip()}"]
                await run_as_rc(machine, words)


async def _sysctl(call: Call, _arguments: Sequence[str]) -> Result:
    await apply_sysctl_conf(call.machine, quietly=True)
    return Result()


async def _netif_restart(call: Call, arguments: Sequence[str]) -> Result:
    return _joined(await netif.stop(call.machine, arguments), await netif.start(call.machine, arguments))


async def _hostname(call: Call, _arguments: Sequence[str]) -> Result:
    name = load_rc_config(call.machine.files, None).get("hostname", "")
    if not name:
        return Result()
    call.machine.hostname = name
    return Result(f"Setting hostname: {name}.\n")


async def _kld(call: Call, _arguments: Sequence[str]) -> Result:
    for module in load_rc_config(call.machine.files, None).get("kld_list", "").split():
        await run(call, ["kldload", "-n", module])
    return Result()


_SPECIAL: dict[tuple[str, str], Callable[[Call, Sequence[str]], Awaitable[Result]]] = {
    ("hastd", "start"): _hastd_start,
    ("hastd", "stop"): _hastd_stop,
    ("hastd", "restart"): _hastd_restart,
    ("hastd", "reload"): _hastd_reload,
    ("nfsd", "start"): _nfsd_start,
    ("nfsd", "stop"): _nfsd_stop,
    ("sysctl", "start"): _sysctl,
    ("sysctl", "restart"): _sysctl,
    ("netif", "start"): lambda call, names: netif.start(call.machine, names),
    ("netif", "stop"): lambda call, names: netif.stop(call.machine, names),
    ("netif", "restart"): _netif_restart,
    ("hostname", "start"): _hostname,
    ("kld", "start"): _kld,
}
