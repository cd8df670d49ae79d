"""Programs that change files: mkdir, chmod, chflags, touch, rm, rmdir, mv, cp, mktemp, install, sed -i.

Rules:
- BSD flags only; errors in FreeBSD's words; what a fault of the disk refuses is refused here too.
- Man pages: mkdir(1), chmod(1), chflags(1), chown(8), touch(1), rm(1), mv(1), cp(1), mktemp(1), install(1), sed(1).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from bashkit import Bash

from hactl.lab.commands.getopt import options
from hactl.lab.files import error_text
from hactl.lab.process import Result
from hactl.lab.program import Call, command


def _each(call: Call, names: list[str], change: Callable[[str], object]) -> Result:
    """Change one file after the other; an error is a line, and the others go on."""
    errors = ""
    for name in names:
        try:
            change(call.path(name))
        except OSError as problem:
            errors += f"{call.name}: {name}: {error_text(problem)}\n"
    return Result("", errors, 1 if errors else 0)


@command("mkdir")
async def mkdir(call: Call) -> Result:
    """mkdir(1): -p, -m mode."""
    flags, values, operands, bad = options(call.argv, "pv", "m")
    if bad is not None or not operands:
        return Result("", "usage: mkdir [-pv] [-m mode] directory_name ...\n", 64)
    files = call.files

    def make(path: str) -> None:
        if "p" not in flags:
            if files.exists(path):
                raise FileExistsError(17, "File exists", path)
            if not files.is_dir(posixpath.dirname(path)):
                raise FileNotFoundError(2, "No such file or directory", path)
        files.mkdir(path, int(values["m"], 8) if "m" in values else 0o755)

    return _each(call, operands, make)


@command("chmod")
async def chmod(call: Call) -> Result:
    """chmod(1): octal and simple symbolic modes."""
    flags, _, operands, bad = options(call.argv, "fhRvHLP")
    if bad is not None or len(operands) < 2:
        return Result("", "usage: chmod [-fhv] [-R [-H | -L | -P]] mode file ...\n", 1)
    files = call.files
    try:
        done = _each(call, operands[1:], lambda path: files.chmod(path, _mode(operands[0], files.stat_mode(path))))
    except ValueError:
        return Result("", f"chmod: invalid file mode: {operands[0]}\n", 1)
    return Result() if "f" in flags else done


def _mode(text: str, old: int) -> int:
    if re.fullmatch(r"[0-7]{1,4}", text):
        return int(text, 8)
    mode = old
    for clause in text.split(","):
        found = re.fullmatch(r"([ugoa]*)([-+=])([rwxXst]*)", clause)
        if found is None:
            raise ValueError(text)
        who = found.group(1) or "a"
        bits = sum({"r": 4, "w": 2, "x": 1, "X": 1}.get(letter, 0) for letter in found.group(3))
        for letter, shift in (("u", 6), ("g", 3), ("o", 0)):
            if letter in who or "a" in who:
                mask = bits << shift
                if found.group(2) == "+":
                    mode |= mask
                elif found.group(2) == "-":
                    mode &= ~mask
                else:
                    mode = (mode & ~(7 << shift)) | mask
    return mode


@command("chown", "chgrp")
async def chown(call: Call) -> Result:
    """chown(8): everything stays root's; the files must exist."""
    _, _, operands, _ = options(call.argv, "fhRvxnHLP")
    return _each(call, operands[1:], call.files.stat_mode)


@command("chflags")
async def chflags(call: Call) -> Result:
    """chflags(1): no file of the lab has flags; the files must exist."""
    _, _, operands, _ = options(call.argv, "fhRvxHLP")
    return _each(call, operands[1:], call.files.stat_mode)


@command("touch")
async def touch(call: Call) -> Result:
    """touch(1)."""
    flags, _, operands, _ = options(call.argv, "acfhm", "drtA")
    files = call.files

    def change(path: str) -> None:
        if files.kind(path) == "file":
            files.write_bytes(path, files.read_bytes(path))
        elif "c" not in flags:
            files.touch(path)

    return _each(call, operands, change)


@command("rm")
async def rm(call: Call) -> Result:
    """rm(1): -f -r -R -d."""
    flags, _, operands, bad = options(call.argv, "dfiIPRrvWx")
    if bad is not None or (not operands and "f" not in flags):
        return Result("", "usage: rm [-f | -i] [-dIPRrvWx] file ...\n       unlink [--] file\n", 64)

    def change(path: str) -> None:
        kind = "link" if call.files.link(path) is not None else call.files.kind(path)
        if kind is None and "f" in flags:
            return
        if kind is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        if kind == "dir" and not flags & {"r", "R", "d"}:
            raise IsADirectoryError(21, "is a directory", path)
        call.files.remove(path, recursive=bool(flags & {"r", "R"}))

    return _each(call, operands, change)


@command("rmdir")
async def rmdir(call: Call) -> Result:
    """rmdir(1)."""
    _, _, operands, _ = options(call.argv, "pv")

    def change(path: str) -> None:
        if call.files.exists(path) and not call.files.is_dir(path):
            raise NotADirectoryError(20, "Not a directory", path)
        call.files.remove(path)

    return _each(call, operands, change)


def _target(call: Call, source: str, target: str) -> str:
    path = call.path(target)
    return posixpath.join(path, posixpath.basename(source)) if call.files.is_dir(path) else path


@command("mv")
async def mv(call: Call) -> Result:
    """mv(1): rename(2), so an old target is replaced in one go."""
    _, _, operands, bad = options(call.argv, "fhinv")
    if bad is not None or len(operands) < 2:
        return Result(
            "", "usage: mv [-f | -i | -n] [-hv] source target\n       mv [-f | -i | -n] [-v] source ... directory\n", 64
        )
    errors = ""
    for name in operands[:-1]:
        source = call.path(name)
        if not call.files.exists(source):
            errors += f"mv: rename {name} to {operands[-1]}: No such file or directory\n"
            continue
        try:
            call.files.rename(source, _target(call, source, operands[-1]))
        except OSError as problem:
            errors += f"mv: rename {name} to {operands[-1]}: {error_text(problem)}\n"
    return Result("", errors, 1 if errors else 0)


@command("cp")
async def cp(call: Call) -> Result:
    """cp(1): -p keeps the mode; a new file gets the source's mode less the mask; -R copies directories."""
    flags, _, operands, bad = options(call.argv, "afipnRrvHLPlsx")
    if bad is not None or len(operands) < 2:
        return Result("", "usage: cp [-R [-H | -L | -P]] [-f | -i | -n] [-alpsvx] source_file target_file\n", 64)
    errors, files = "", call.files
    for name in operands[:-1]:
        source = call.path(name)
        try:
            kind = files.kind(source)
            if kind is None:
                raise FileNotFoundError(2, "No such file or directory", source)
            if kind == "dir":
                if not flags & {"R", "r", "a"}:
                    errors += f"cp: {name} is a directory (not copied).\n"
                    continue
                target = _target(call, source, operands[-1])
                files.mkdir(target)
                files.plant(target, files.tree(source))
                continue
            target = _target(call, source, operands[-1])
            fresh = not files.exists(target)
            mode = files.stat_mode(source) if fresh or flags & {"p", "a"} else None
            files.write_bytes(target, files.read_bytes(source), mode)
        except OSError as problem:
            errors += f"cp: {name if isinstance(problem, FileNotFoundError) else operands[-1]}: {error_text(problem)}\n"
    return Result("", errors, 1 if errors else 0)


@command("mktemp")
async def mktemp(call: Call) -> Result:
    """mktemp(1): -d, -q, -t prefix, -u, or a template ending in X's; files are 0600, directories 0700."""
    flags, values, operands, bad = options(call.argv, "dqu", "tp")
    if bad is not None or (not operands and "t" not in values):
        operands = operands or ["/tmp/tmp.XXXXXXXXXX"] if bad is None else []
        if not operands:
            return Result("", "usage: mktemp [-d] [-p tmpdir] [-q] [-t prefix] [-u] template ...\n", 1)
    if "t" in values:
        operands = [f"{values.get('p', '/tmp')}/{values['t']}.XXXXXXXX"]
    out, errors, letters = "", "", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    for template in operands:
        bare = template.rstrip("X")
        name = bare + "".join(call.machine.world.random.choice(letters) for _ in template[len(bare) :])
        path = call.path(name)
        try:
            if "u" not in flags and "d" in flags:
                call.files.mkdir(path, 0o700)
            elif "u" not in flags:
                call.files.write_bytes(path, b"", 0o600)
            out += f"{name}\n"
        except OSError as problem:
            if "q" not in flags:
                kind = "mkdtemp" if "d" in flags else "mkstemp"
                errors += f"mktemp: {kind} failed on {template}: {error_text(problem)}\n"
    return Result(out, errors, 0 if len(out.splitlines()) == len(operands) else 1)


@command("install")
async def install(call: Call) -> Result:
    """install(1): -m mode, -o, -g, -d, -S, -C, -c; replaces the target in one go with -S."""
    flags, values, operands, bad = options(call.argv, "bCcdMpSsUv", "BDfghlmNoTm")
    if bad is not None or not operands:
        return Result("", "usage: install [-bCcpSsUv] [-f flags] [-g group] [-m mode] [-o owner] file1 file2\n", 64)
    try:
        mode = int(values.get("m", "755"), 8)
        if "d" in flags:
            for name in operands:
                call.files.mkdir(call.path(name), mode)
            return Result()
        for name in operands[:-1]:
            source = call.path(name)
            content = (
                call.stdin.encode("utf-8", "surrogateescape") if name == "/dev/stdin" else call.files.read_bytes(source)
            )
            call.files.write_bytes(_target(call, source, operands[-1]), content, mode)
    except OSError as problem:
        return Result("", f"install: {problem.filename or operands[0]}: {error_text(problem)}\n", 71)
    return Result()


@command("sed")
async def sed(call: Call) -> Result:
    """sed(1) of FreeBSD: `-i` takes the backup's extension as its own argument ("" for none)."""
    argv, backup = list(call.argv), None
    for position, word in enumerate(argv):
        if word in {"-e", "-f"} or not word.startswith("-"):
            if word in {"-e", "-f"}:
                continue
            break
        if word.startswith(("-i", "-I")):
            backup = word[2:] if len(word) > 2 else (argv[position + 1] if position + 1 < len(argv) else None)
            if backup is None:
                return Result("", "sed: option requires an argument -- i\n", 1)
            del argv[position : position + (1 if len(word) > 2 else 2)]
            break
    bash = Bash(cwd=call.cwd)
    bash.mount("/", call.files.fs)
    bash.write_file("/tmp/.sed.stdin", call.stdin)
    words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in argv)
    if backup is None:
        done = bash.execute_sync(f"sed {words} < /tmp/.sed.stdin")
        bash.remove("/tmp/.sed.stdin")
        return Result(done.stdout, done.stderr, done.exit_code)
    bash.remove("/tmp/.sed.stdin")
    scripts, names = _sed_operands(argv)
    if not names:
        return Result("", f"sed: {scripts[0] if scripts else ''}: No such file or directory\n", 1)
    for name in names:
        path = call.path(name)
        if not call.files.exists(path):
            return Result("", f"sed: {name}: No such file or directory\n", 1)
        if (problem := call.files.refuses(path)) is not None:
            return Result("", f"sed: {name}: {error_text(problem)}\n", 1)
        if backup:
            call.files.write_bytes(path + backup, call.files.read_bytes(path), call.files.stat_mode(path))
    mode = {name: call.files.stat_mode(call.path(name)) for name in names}
    done = bash.execute_sync(f"sed -i {words}")
    for name in names:
        call.files.fs.chmod(call.path(name), mode[name])
    return Result(done.stdout, done.stderr, done.exit_code)


def _sed_operands(argv: list[str]) -> tuple[list[str], list[str]]:
    scripts, names, rest = [], [], list(argv)
    while rest:
        word = rest.pop(0)
        if word in {"-e", "-f"} and rest:
            scripts.append(rest.pop(0))
        elif word.startswith("-") and word != "-":
            continue
        elif scripts:
            names.append(word)
        else:
            scripts.append(word)
    return scripts, names
