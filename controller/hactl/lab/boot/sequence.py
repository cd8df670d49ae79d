"""What rc makes of a machine at boot and at shutdown.

Rules:
- The order is rcorder's of 13.2 (docs/freebsd-facts.md#1.8): sysctl, kld, hostname, netif, devd, syslogd, hastd,
  services, sysctl again.
- Scripts somebody installed run where rcorder(8) puts them (`boot.local`).
- At shutdown rc.d/hastd sets every role to init while filesystems are still mounted (docs/freebsd-facts.md#2.10).
- Man pages: rc(8), loader.conf(5), sysctl.conf(5).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Awaitable, Callable, Mapping

from hactl.lab.boot import local, netif
from hactl.lab.boot.actions import apply_sysctl_conf, run_script_of
from hactl.lab.files import Files
from hactl.lab.process import RC_ENVIRONMENT, Process
from hactl.lab.program import Call, Computer, run_as_rc
from hactl.lab.rc.config import YES, RcSyntaxError, load_rc_config
from hactl.lab.rc.rcorder import Installed
from hactl.lab.rc.scripts import Script


async def boot(machine: Computer) -> None:
    """From the first script of rc to a machine that serves ssh. What goes wrong is on the console, as it would be."""
    rc = machine.rc
    machine.devctl.make_sockets()
    await load_modules_of_loader(machine)
    try:
        common = load_rc_config(machine.files, None)
    except RcSyntaxError as problem:
        # rc cannot read its configuration: the console asks for a shell; the lab lets sshd start.
        machine.log("messages", "rc", str(problem))
        common = {"sshd_enable": "YES"}
    steps, rc.console = local.order(machine)
    for step in steps:
        if isinstance(step, Installed):
            if "nostart" not in step.keywords:
                await local.run(machine, step, "faststart")
        elif step in _AT_BOOT:
            await _AT_BOOT[step](machine, common)
        elif rc.scripts[step].daemon is not None:
            await _start_service(machine, rc.scripts[step], common)


async def _kld(machine: Computer, variables: Mapping[str, str]) -> None:
    # rc.d/kld reads the files of its own name besides (rc.subr, load_rc_config).
    if any(machine.files.exists(f"{top}/rc.conf.d/kld") for top in ("/etc", "/usr/local/etc")):
        variables = load_rc_config(machine.files, "kld")
    for module in variables.get("kld_list", "").split():
        await run_as_rc(machine, ["kldload", "-n", posixpath.basename(module).removesuffix(".ko")])


async def _hostname(machine: Computer, variables: Mapping[str, str]) -> None:
    if variables.get("hostname"):
        machine.hostname = variables["hostname"]


#: Scripts without a daemon that do something here.
_AT_BOOT: dict[str, Callable[[Computer, Mapping[str, str]], Awaitable[object]]] = {
    "sysctl": lambda machine, _: apply_sysctl_conf(machine, quietly=True),
    "kld": _kld,
    "hostname": _hostname,
    "netif": lambda machine, _: netif.start(machine, None),
    "sysctl_lastload": lambda machine, _: apply_sysctl_conf(machine, quietly=False),
}


async def load_modules_of_loader(machine: Computer) -> None:
    """loader.conf(5): NAME_load="YES"."""
    files = machine.files
    if not machine.rc.loader_reads_conf:
        return
    for path in ("/boot/loader.conf", "/boot/loader.conf.local"):
        text = files.read_text(path) if files.exists(path) else ""
        for name in re.findall(r'^\s*(\w+)_load\s*=\s*"?[Yy][Ee][Ss]"?', text, re.MULTILINE):
            await run_as_rc(machine, ["kldload", "-n", name])


async def _start_service(machine: Computer, script: Script, common: Mapping[str, str]) -> None:
    """A script with a daemon, if it is enabled and executable."""
    files = machine.files
    if not files.exists(script.path) or not files.stat_mode(script.path) & 0o111:
        return
    if _enabled(files, script, common):
        call = Call(machine, "service", [], "", dict(RC_ENVIRONMENT), "/", Process(1, "rc"))
        result = await run_script_of(call, script, "start", ())
        machine.rc.console += (result.stdout + result.stderr).splitlines()


def _enabled(files: Files, script: Script, common: Mapping[str, str]) -> bool:
    """checkyesno with the script's own rc.conf.d file where it has one."""
    variables = common
    if any(files.exists(f"{top}/rc.conf.d/{script.name}") for top in ("/etc", "/usr/local/etc")):
        try:
            variables = load_rc_config(files, script.name)
        except RcSyntaxError:
            return False
    return variables.get(script.rcvar or "", script.default).upper() in YES


# shutdown


async def shutdown(machine: Computer) -> None:
    """rc.shutdown(8), then what init does: programs end, filesystems are unmounted."""
    rc = machine.rc
    whole = Process(machine.pid(), "/bin/sh /etc/rc.shutdown")
    alarm = machine.world.at(_shutdown_seconds(machine), lambda: whole.kill(9), machine=machine)
    for step in reversed(local.order(machine)[0]):
        if whole.killed is not None:
            rc.console.append("rc.shutdown: timed out, terminated")
            break
        if isinstance(step, Installed):
            if "shutdown" in step.keywords:
                await local.run(machine, step, "faststop", whole)
        elif step == "hastd":
            if machine.hast.pid is not None:
                await run_as_rc(machine, ["hastctl", "role", "init", "all"], parent=whole)
                machine.hast.stop()
        elif rc.pid_of(step) is not None:
            rc.stop_daemon(step)
    alarm.cancel()
    for process in list(rc.processes.values()):
        process.kill(15)
    machine.disks.unmount_all()


def _shutdown_seconds(machine: Computer) -> float:
    try:
        value = load_rc_config(machine.files, None).get("rcshutdown_timeout", "90")
    except RcSyntaxError:
        value = "90"
    return float(value) if value.isdigit() and int(value) else 90.0
