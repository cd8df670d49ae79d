"""sysrc(8): reading and editing rc.conf and files like it.

Rules (docs/freebsd-facts.md#3.4, recordings 01 and 07):
- Values are what the shell makes of the files; what is written is put in double quotes without any escaping.
- An edited file is replaced through /tmp; it keeps its mode, a new one is 0644.
- A syntax error in any file ends everything with status 1.
- Man page: sysrc(8).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hactl.lab.commands.getopt import options
from hactl.lab.files import error_text
from hactl.lab.process import Result
from hactl.lab.program import Call, command
from hactl.lab.rc.config import RcSyntaxError, source

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
_ARGUMENT = re.compile(r"(?P<name>[^=+\-]+)(?P<operator>\+=|-=|=)(?P<value>.*)$", re.DOTALL)
_CONFS = ("/etc/rc.conf", "/etc/rc.conf.local")
_USAGE = (
    "usage: sysrc [OPTIONS] {name[[+|-]=value] ... | -a | -A | -l | -L [service ...]}\n"
    "Try `sysrc --help' for more information.\n"
)


@dataclass(frozen=True, slots=True)
class _Job:
    """One invocation: flags, the files it works on, and what the shell says the variables are."""

    call: Call
    flags: frozenset[str]
    files: tuple[str, ...]
    values: Mapping[str, str]
    in_files: Mapping[str, str]


@command("sysrc")
async def sysrc(call: Call) -> Result:
    """sysrc(8): name, name=value, name+=x, name-=x, -a -A -c -f FILE -i -n -N -q -x -e -s SERVICE."""
    flags, values, operands, bad = options(call.argv, "acdDeEFhiLlNnqvxA", "fjRs")
    if bad is not None:
        return Result("", f"sysrc: illegal option -- {bad}\n{_USAGE}", 1)
    files = tuple(call.path(word) for word in _files_of(call.argv)) or _CONFS
    if "s" in values:
        files = (*_CONFS, f"/etc/rc.conf.d/{values['s']}")
    try:
        in_files = source(call.files, "\n".join(f". {path}" for path in files if call.files.exists(path)))
        known = dict(source(call.files, ". /etc/defaults/rc.conf")) | dict(in_files)
    except RcSyntaxError:
        return Result("", "sysrc: Exiting due to previous syntax errors\n", 1)
    job = _Job(
        call,
        frozenset(flags),
        files,
        known,
        {name: in_files[name] for name in _assigned(call, files) if name in in_files},
    )
    if flags & {"a", "A"}:
        listed = known if "A" in flags else job.in_files
        return Result(
            "".join(_line(job, name, listed[name]) for name in sorted(listed) if name != "source_rc_confs_defined")
        )
    if not operands:
        return Result("", _USAGE, 1)
    out, errors, status = "", "", 0
    for word in operands:
        done = _remove(job, word) if "x" in flags else _one(job, word)
        out, errors, status = out + done.stdout, errors + done.stderr, done.status or status
    return Result(out, errors, status)


def _files_of(argv: list[str]) -> list[str]:
    found = []
    for position, word in enumerate(argv):
        if word == "--" or not word.startswith("-"):
            break
        letters = word[1:]
        if "f" in letters:
            tail = letters[letters.index("f") + 1 :]
            found.append(tail or (argv[position + 1] if position + 1 < len(argv) else ""))
            if not tail:
                return found + _files_of(argv[position + 2 :])
    return found


def _assigned(call: Call, files: tuple[str, ...]) -> list[str]:
    names: list[str] = []
    for path in files:
        text = call.files.read_text(path) if call.files.exists(path) else ""
        names += re.findall(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=", text, re.MULTILINE)
    return names


def _line(job: _Job, name: str, value: str) -> str:
    if "n" in job.flags:
        return f"{value}\n"
    if "N" in job.flags:
        return f"{name}\n"
    return f'{name}="{value}"\n' if "e" in job.flags else f"{name}: {value}\n"


def _one(job: _Job, word: str) -> Result:
    found = _ARGUMENT.match(word)
    name = found["name"] if found else word
    if not _NAME.match(name):
        return Result("", f"sysrc: {name}: name contains characters not allowed in shell\n", 1)
    old = job.values.get(name)
    if found is None:
        return _unknown(job, name) if old is None else Result(_line(job, name, old))
    value = found["value"]
    if "c" in job.flags:
        # 13.2 compares only `=` (docs/freebsd-facts.md#3.4).
        return Result("", "", 0 if found["operator"] == "=" and old == value else 1)
    if found["operator"] != "=":
        value = _edit_list(old or "", value, found["operator"])
    try:
        _write(job, name, value)
    except OSError as problem:
        return Result("", f"sysrc: cannot create {problem.filename}: {error_text(problem)}\n", 1)
    new = _read_back(job, name)
    shown = f"{name}: {old or ''} -> {new}\n"
    if "n" in job.flags:
        shown = f"{new}\n"
    return Result(shown)


def _unknown(job: _Job, name: str) -> Result:
    quiet = bool(job.flags & {"i", "q"})
    return Result("", "" if quiet else f"sysrc: unknown variable '{name}'\n", 0 if "i" in job.flags else 1)


def _edit_list(old: str, value: str, operator: str) -> str:
    delimiter = " "
    if value and not re.match(r"[A-Za-z0-9_/.\"'$]", value[0]):
        delimiter, value = value[0], value[1:]
    words = [word for word in old.split(delimiter) if word]
    for word in [word for word in value.split(delimiter) if word]:
        if operator == "+=" and word not in words:
            words.append(word)
        elif operator == "-=":
            words = [each for each in words if each != word]
    return delimiter.join(words)


def _assignment(name: str) -> re.Pattern[str]:
    return re.compile(rf"^([ \t]*){re.escape(name)}=(\"[^\"]*\"|'[^']*'|[^\s;#]*)(.*)$", re.MULTILINE)


def _write(job: _Job, name: str, value: str) -> None:
    files, pattern = job.call.files, _assignment(name)
    line = f'{name}="{value}"'
    for path in reversed(job.files):
        text = files.read_text(path) if files.exists(path) else ""
        matches = list(pattern.finditer(text))
        if matches:
            last = matches[-1]
            files.write_text(path, text[: last.start()] + last.group(1) + line + last.group(3) + text[last.end() :])
            return
    path = job.files[0]
    text = files.read_text(path) if files.exists(path) else ""
    if text and not text.endswith("\n"):
        text += "\n"
    files.write_text(path, f"{text}{line}\n")


def _read_back(job: _Job, name: str) -> str:
    paths = [path for path in job.files if job.call.files.exists(path)]
    try:
        return source(job.call.files, "\n".join(f". {path}" for path in paths)).get(name, "")
    except RcSyntaxError:
        return ""


def _remove(job: _Job, name: str) -> Result:
    if not _NAME.match(name):
        return Result("", f"sysrc: {name}: name contains characters not allowed in shell\n", 1)
    files, found = job.call.files, False
    pattern = re.compile(_assignment(name).pattern + r"\n?", re.MULTILINE)
    for path in job.files:
        text = files.read_text(path) if files.exists(path) else ""
        shorter = pattern.sub("", text)
        if shorter != text:
            found = True
            try:
                files.write_text(path, shorter)
            except OSError as problem:
                return Result("", f"sysrc: cannot create {path}: {error_text(problem)}\n", 1)
    if not found:
        return _unknown(job, name)
    return Result()
