"""What a FreeBSD node finds on its disk, and what rc makes of it at boot and at shutdown.

Rules:
- Configuration files are sourced by the node's shell, never parsed: `rc.conf` is a program (rc.conf(5)).
- The order is rcorder's of 13.2 (docs/freebsd-facts.md#1.8): sysctl, kld, hostname, netif, devd, syslogd, hastd,
  services, sysctl again.
- Scripts somebody installed run where rcorder(8) puts them (`hactl.lab.rc.local`).
- At shutdown rc.d/hastd sets every role to init while filesystems are still mounted (docs/freebsd-facts.md#2.10).
- Man pages: rc(8), rc.conf(5), loader.conf(5), sysctl.conf(5).
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from bashkit import Bash, BashError

from hactl.lab.commands.registry import COMMANDS, Call, Process, Result, attend
from hactl.lab.kernel.devd_conf import DEVD_CONF
from hactl.lab.rc import local as rc_local
from hactl.lab.rc import netif
from hactl.lab.rc.boot_files import (
    FSTAB,
    LOADER_CONF,
    RC_ENVIRONMENT,
    SYSCTL_CONF,
    YES,
    defaults_rc_conf,
    freebsd_version,
    rc_conf,
    rc_script,
)
from hactl.lab.rc.rcorder import Installed
from hactl.lab.rc.subr import RC_SUBR

if TYPE_CHECKING:
    from hactl.lab.machine import Machine
    from hactl.lab.rc.rc import Rc, Script

_DIRECTORIES = (
    "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/etc/rc.d", "/usr/local/sbin", "/usr/local/bin", "/mnt",
    "/etc/defaults", "/etc/rc.d", "/etc/rc.conf.d", "/etc/ssh", "/etc/devd", "/boot/kernel", "/var/log", "/var/run",
    "/var/db", "/var/empty", "/tmp", "/root", "/dev",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z_]\w*$")
#: Variables the player's shell has by itself.
_PLAYER = re.compile(
    r"BASH|EUID$|HOSTNAME$|HOSTTYPE$|MACHTYPE$|OPTIND$|OSTYPE$|PIPESTATUS$|PPID$|PS4$|PWD$|SHELL$|SHLVL$|UID$|USER$|_$"
)


class RcSyntaxError(Exception):
    """A configuration file that sh cannot read; the message is sh's."""


# the disk


def furnish(machine: Machine, rc: Rc) -> None:
    """Put the minimal tree of a freshly installed node on its disk; what is there already stays."""
    files = machine.files
    for directory in _DIRECTORIES:
        files.mkdir(directory)
    files.fs.chmod("/tmp", 0o1777)
    leased = {name: "DHCP" for name, port in machine.net.interfaces.items() if port.lease is not None}
    wanted = {
        "/etc/defaults/rc.conf": defaults_rc_conf(rc.scripts.values()),
        "/etc/rc.conf": rc_conf(machine.name, leased),
        "/etc/sysctl.conf": SYSCTL_CONF,
        "/boot/loader.conf": LOADER_CONF,
        "/etc/fstab": FSTAB,
        "/etc/rc.subr": RC_SUBR,
        "/etc/devd.conf": DEVD_CONF,
        "/var/log/messages": "",
        "/var/log/daemon.log": "",
    }
    for path, text in wanted.items():
        if not files.exists(path):
            files.write_text(path, text)
    _install_programs(machine)
    files.fs.remove("/bin/freebsd-version")
    files.write_text("/bin/freebsd-version", freebsd_version(machine.release), 0o555)
    for script in rc.scripts.values():
        if not files.exists(script.path):
            files.write_text(script.path, rc_script(script), 0o755)


def _install_programs(machine: Machine) -> None:
    """A file for every program, so that absolute paths, PATH, `test -x` and `which` work."""
    import hactl.lab.commands
    from hactl.lab.shell.words import ONLY_WHERE, PLAYED

    fs = machine.files.fs
    for name, directory in hactl.lab.commands.PLACES.items():
        path = f"{directory}/{name}"
        if (name in COMMANDS or name in PLAYED) and not fs.exists(path):
            how = f"__run {name}" if name in COMMANDS and name not in ONLY_WHERE else name
            fs.write_file(path, f'#!/bin/sh\n{how} "$@"\n'.encode())
            fs.chmod(path, 0o555)


# configuration


def source(machine: Machine, script: str) -> Mapping[str, str]:
    """Run a script that sources configuration files; returns the variables it leaves. Raises RcSyntaxError."""
    bash = Bash(env=RC_ENVIRONMENT, max_commands=100_000, max_loop_iterations=100_000)
    sourced = re.findall(r"(?m)^\. (\S+)$", script)
    if "source_rc_confs" in script:
        sourced += ["/etc/rc.conf", "/etc/rc.conf.local"]
    for path in sourced:
        if machine.files.kind(path) == "file":
            _check_syntax(bash, path, machine.files.read_text(path))
    bash.mount("/", machine.files.fs)
    result = bash.execute_sync(f"{script}\nset")
    if result.error or "syntax error" in result.stderr:
        raise RcSyntaxError(result.stderr.strip())
    return _variables(result.stdout)


def _check_syntax(bash: Bash, path: str, text: str) -> None:
    """The player sources what it can of a broken file; sh does not. Raises RcSyntaxError."""
    try:
        bash.analyze(text)
    except BashError as problem:
        found = re.search(r"line (\d+), column \d+: (?:syntax error:? ?)?(.*)", str(problem))
        where, what = (found.group(1), found.group(2)) if found else ("1", str(problem))
        raise RcSyntaxError(f"{path}: {where}: Syntax error: {what}") from problem


@lru_cache(maxsize=64)
def _variables(text: str) -> Mapping[str, str]:
    """What `set` printed, read; the same files leave the same text."""
    found: dict[str, str] = {}
    for word in shlex.split(text):
        name, equals, value = word.partition("=")
        if equals and _NAME.match(name) and not _PLAYER.match(name):
            found[name] = value[1:] if value.startswith("$") and "\n" in value else value
    return MappingProxyType(found)


def load_rc_config(machine: Machine, name: str | None, *, defaults: bool = True) -> Mapping[str, str]:
    """The variables a script of that name sees (rc.subr, load_rc_config). Raises RcSyntaxError."""
    files = machine.files
    lines = [". /etc/defaults/rc.conf", "source_rc_confs"] if defaults else [". /etc/rc.conf"]
    for part in () if name is None else ("network", "netif") if name == "netif" else (name,):
        for top in ("/etc", "/usr/local/etc"):
            path = f"{top}/rc.conf.d/{part}"
            if files.is_dir(path):
                lines += [f". {path}/{inner}" for inner in files.list(path)]
            elif files.exists(path):
                lines.append(f". {path}")
    return source(machine, "\n".join(lines))


# boot


async def run_as_rc(machine: Machine, argv: Sequence[str], stdin: str = "", *, parent: Process | None = None) -> Result:
    """Run one program as rc does; killed with its parent, if it has one."""
    process = Process(machine.pid(), " ".join(argv))
    if parent is not None:
        parent.children.append(process)
    call = Call(machine, argv[0], list(argv[1:]), stdin, dict(RC_ENVIRONMENT), "/", machine.files, process)
    try:
        return await attend(process, COMMANDS[argv[0]](call))
    finally:
        if parent is not None:
            parent.children.remove(process)


async def boot(machine: Machine) -> None:
    """From the first script of rc to a machine that serves ssh. What goes wrong is on the console, as it would be."""
    rc = machine.rc
    make_sockets(machine)
    await load_modules_of_loader(machine)
    try:
        common = load_rc_config(machine, None)
    except RcSyntaxError as problem:
        # rc cannot read its configuration: the console asks for a shell; the lab lets sshd start.
        machine.log("messages", "rc", str(problem))
        common = {"sshd_enable": "YES"}
    steps, rc.console = rc_local.order(rc)
    for step in steps:
        if isinstance(step, Installed):
            if "nostart" not in step.keywords:
                await rc_local.run(rc, step, "faststart")
        elif step in _AT_BOOT:
            await _AT_BOOT[step](machine, common)
        elif rc.scripts[step].daemon is not None:
            await _start_service(rc, rc.scripts[step], common)


async def _sysctl(machine: Machine, _variables: Mapping[str, str]) -> None:
    await apply_sysctl_conf(machine, quietly=True)


async def _sysctl_lastload(machine: Machine, _variables: Mapping[str, str]) -> None:
    await apply_sysctl_conf(machine, quietly=False)


async def _kld(machine: Machine, variables: Mapping[str, str]) -> None:
    for module in variables.get("kld_list", "").split():
        await run_as_rc(machine, ["kldload", "-n", posixpath.basename(module).removesuffix(".ko")])


async def _hostname(machine: Machine, variables: Mapping[str, str]) -> None:
    if variables.get("hostname"):
        machine.hostname = variables["hostname"]


async def _netif(machine: Machine, _variables: Mapping[str, str]) -> None:
    await netif.start(machine, None)


#: Scripts without a daemon that do something here.
_AT_BOOT: dict[str, Callable[[Machine, Mapping[str, str]], Awaitable[None]]] = {
    "sysctl": _sysctl,
    "kld": _kld,
    "hostname": _hostname,
    "netif": _netif,
    "sysctl_lastload": _sysctl_lastload,
}


def make_sockets(machine: Machine) -> None:
    """devd's sockets (recording 01)."""
    for name in ("devd.pipe", "devd.seqpacket.pipe"):
        machine.files.make_node(f"/var/run/{name}", "socket", mode=0o666)


async def load_modules_of_loader(machine: Machine) -> None:
    """loader.conf(5): NAME_load="YES"."""
    files = machine.files
    if not machine.rc.loader_reads_conf:
        return
    for path in ("/boot/loader.conf", "/boot/loader.conf.local"):
        text = files.read_text(path) if files.exists(path) else ""
        for name in re.findall(r'^\s*(\w+)_load\s*=\s*"?[Yy][Ee][Ss]"?', text, re.MULTILINE):
            await run_as_rc(machine, ["kldload", "-n", name])


async def apply_sysctl_conf(machine: Machine, *, quietly: bool) -> None:
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


async def _start_service(rc: Rc, script: Script, common: Mapping[str, str]) -> None:
    """A script with a daemon, if it is enabled and executable."""
    from hactl.lab.commands.rc.service import run_script_of

    files = rc.machine.files
    if not files.exists(script.path) or not files.stat_mode(script.path) & 0o111:
        return
    if _enabled(rc.machine, script, common):
        call = Call(rc.machine, "service", [], "", dict(RC_ENVIRONMENT), "/", files, Process(1, "rc"))
        result = await run_script_of(call, script, "start", ())
        rc.console += (result.stdout + result.stderr).splitlines()


def _enabled(machine: Machine, script: Script, common: Mapping[str, str]) -> bool:
    """checkyesno with the script's own rc.conf.d file where it has one."""
    variables = common
    if any(machine.files.exists(f"{top}/rc.conf.d/{script.name}") for top in ("/etc", "/usr/local/etc")):
        try:
            variables = load_rc_config(machine, script.name)
        except RcSyntaxError:
            return False
    return variables.get(script.rcvar or "", script.default).upper() in YES


# shutdown


async def shutdown(machine: Machine) -> None:
    """rc.shutdown(8), then what init does: programs end, filesystems are unmounted."""
    rc = machine.rc
    whole = Process(machine.pid(), "/bin/sh /etc/rc.shutdown")
    alarm = machine.world.at(_shutdown_seconds(machine), lambda: whole.kill(9), machine=machine)
    for step in reversed(rc_local.order(rc)[0]):
        if whole.killed is not None:
            rc.console.append("rc.shutdown: timed out, terminated")
            break
        if isinstance(step, Installed):
            if "shutdown" in step.keywords:
                await rc_local.run(rc, step, "faststop", whole)
        elif step == "hastd":
            if machine.hast.pid is not None:
                await run_as_rc(machine, ["hastctl", "role", "init", "all"], parent=whole)
                machine.hast.stop()
        elif rc.pid_of(step) is not None:
            rc.stop_daemon(step)
    alarm.cancel()
    for process in list(rc.processes.values()):
        process.kill(15)
    unmount_all(machine)


def _shutdown_seconds(machine: Machine) -> float:
    try:
        value = load_rc_config(machine, None).get("rcshutdown_timeout", "90")
    except RcSyntaxError:
        value = "90"
    return float(value) if value.isdigit() and int(value) else 90.0


def unmount_all(machine: Machine) -> None:
    """What the kernel does last: write everything back and unmount, uppermost first."""
    mounts = machine.disks.mounts
    for mount in reversed(list(mounts.table)):
        if mount.image is not None and mount in mounts.table:
            mounts.unmount(mount, force=True)
