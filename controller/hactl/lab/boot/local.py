"""Scripts of /usr/local/etc/rc.d that somebody installed, run for real: in the node's shell, at boot and shutdown.

Rules:
- A script is run for real if it has commands of its own (`start_cmd=` and the like) or does not use rc.subr;
  one that only names a daemon is played by the lab (`Rc.adopt`).
- Only executable files count. rc hands each `faststart` and waits for it, but not for what it left in the background.
- At shutdown those with KEYWORD shutdown get `faststop`, in reverse order; rc.shutdown as a whole has
  rcshutdown_timeout seconds (rc.conf(5)), after which init goes on without it.
- What they print is on the console (`Rc.console`).
- Man pages: rc(8), rc.subr(8), rc.conf(5).
"""

from __future__ import annotations

import re

from hactl.lab.files import Files
from hactl.lab.process import RC_ENVIRONMENT, Process
from hactl.lab.program import Computer
from hactl.lab.rc import rcorder
from hactl.lab.rc.rcorder import Installed
from hactl.lab.shell.shell import Shell

DIRECTORY = "/usr/local/etc/rc.d"
_COMMANDS = re.compile(r"^[ \t]*(?:start|stop|status|restart|reload|poll)_cmd=", re.MULTILINE)
_SOURCES_SUBR = re.compile(r"^[ \t]*\.[ \t]+/etc/rc\.subr\b", re.MULTILINE)


def is_real(text: str) -> bool:
    """Whether the shell has to run a script, because the lab cannot play it from a table."""
    return _SOURCES_SUBR.search(text) is None or _COMMANDS.search(text) is not None


def is_played(path: str, text: str) -> bool:
    """Whether a file is a script of rc.d that the lab plays from a table, called by its path."""
    directory, _, name = path.rpartition("/")
    return directory in ("/etc/rc.d", DIRECTORY) and bool(name) and not is_real(text)


def find(files: Files, name: str) -> Installed | None:
    """The installed script of that name, if it is one the shell runs."""
    path = f"{DIRECTORY}/{name}"
    if files.kind(path) != "file" or not files.stat_mode(path) & 0o111:
        return None
    text = files.read_text(path)
    return rcorder.read(name, path, text) if is_real(text) else None


def order(machine: Computer) -> tuple[list[str | Installed], list[str]]:
    """Everything rc runs, in its order, and rcorder's complaints; new scripts of daemons are adopted first."""
    files, rc = machine.files, machine.rc
    names = files.list(DIRECTORY) if files.is_dir(DIRECTORY) else []
    installed = [script for name in names if (script := find(files, name)) is not None]
    real = {script.name for script in installed}
    for name in names:
        path = f"{DIRECTORY}/{name}"
        if name not in real and name not in rc.scripts and files.kind(path) == "file" and files.stat_mode(path) & 0o111:
            rc.adopt(name, path)
    return rcorder.order((name for name in rc.scripts if name not in real), installed)


async def run(machine: Computer, script: Installed, word: str, parent: Process | None = None) -> int:
    """Hand a script a word as rc does; its exit status. `parent`: killed with it."""
    process = Process(machine.pid(), f"/bin/sh {script.path} {word}", parent.pid if parent is not None else 1)
    if parent is not None:
        parent.children.append(process)
    try:
        shell = Shell(machine, env=RC_ENVIRONMENT, name=script.path, process=process)
        out, err, status = await shell.run(machine.files.read_text(script.path), arguments=(word,), cwd="/")
    finally:
        if parent is not None:
            parent.children.remove(process)
    machine.rc.console += (out + err).splitlines()
    return status
