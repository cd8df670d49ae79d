"""sh(1) as a program: another shell inside a script, or the one sshd starts."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace

from hactl.lab.boot import local
from hactl.lab.process import Result
from hactl.lab.program import COMMANDS, Call, command, pause
from hactl.lab.shell.shell import Shell


@command("sh")
async def sh(call: Call) -> Result:
    """`sh -s [args]`, `sh -c text [name args]`, `sh file [args]`, `sh` with a script on standard input."""
    argv, options = list(call.argv), ""
    while argv and re.fullmatch(r"[-+][a-z]+", argv[0]):
        options += argv.pop(0)[1:]
    name, script, stdin = "sh", call.stdin, ""
    flags = "".join(flag for flag in options if flag in "eux")
    if "c" in options:
        if not argv:
            return Result("", "sh: -c requires an argument\n", 2)
        script, stdin = argv.pop(0), call.stdin
        name = argv.pop(0) if argv else "sh"
    elif "s" not in options and argv:
        name = argv.pop(0)
        path = posixpath.join(call.cwd, name)
        if not call.files.exists(path):
            return Result("", f"sh: cannot open {name}: No such file or directory\n", 2)
        script, stdin = call.files.read_text(path), call.stdin
    if "n" in options:
        return Result()
    prefix = f"set -{flags}\n" if flags else ""
    shell = Shell(call.machine, env=call.env, stdin=stdin, name=name, process=call.process)
    out, err, status = await shell.run(
        prefix + script, arguments=tuple(argv), cwd=call.cwd, on_output=call.emit, on_error=call.emit_error
    )
    return Result("" if call.emit else out, "" if call.emit_error else err, status)


@command("__exec")
async def execute(call: Call) -> Result:
    """execve(2) of a file by its path: a script of sh, or one of rc.d. Without one: what sh says, 126 or 127."""
    path = call.path(call.argv[0])
    kind = call.files.kind(path)
    if kind is None:
        return Result("", f"{call.argv[0]}: not found\n", 127)
    if kind != "file" or not call.files.stat_mode(path) & 0o111:
        return Result("", f"{call.argv[0]}: Permission denied\n", 126)
    text = call.files.read_text(path)
    if local.is_played(path, text):
        await pause(call, call.machine.rc.costs.of("rc.d"))
        return await COMMANDS["service"](replace(call, name="service", argv=[posixpath.basename(path), *call.argv[1:]]))
    found = re.match(r"#!\s*(\S+)(?:[ \t]+-([a-z]+))?", text)
    if found is not None and found.group(1) != "/bin/sh":
        return Result("", f"{call.argv[0]}: not found\n", 127)
    flags = f"set -{found.group(2)}\n" if found is not None and found.group(2) else ""
    shell = Shell(call.machine, env=call.env, stdin=call.stdin, name=call.argv[0], process=call.process)
    return Result(*await shell.run(flags + text, arguments=tuple(call.argv[1:]), cwd=call.cwd))
