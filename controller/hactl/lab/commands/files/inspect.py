"""Files as FreeBSD's base system shows and tests them: ls, stat, test, which.

Rules:
- BSD flags only; an option FreeBSD does not know is an error, as there.
- Everything belongs to root; device nodes to the group operator (recording 03, step 28).
- Man pages: ls(1), stat(1), test(1), which(1).
"""

from __future__ import annotations

import posixpath
import re
import stat as stat_bits
import time
from dataclasses import replace

from hactl.lab.commands.getopt import options
from hactl.lab.commands.system.user import is_root
from hactl.lab.files import Files
from hactl.lab.process import Result
from hactl.lab.program import Call, command


def _illegal(name: str, letter: str, usage: str, status: int = 1) -> Result:
    return Result("", f"{name}: illegal option -- {letter}\nusage: {usage}\n", status)


# ls


@command("ls")
async def ls(call: Call) -> Result:
    """ls(1): -1 -a -d -l and flags that do not matter here; sorted by name; root always has -A."""
    flags, _, operands, bad = options(call.argv, "1aAdlhFpTtrSu")
    if bad is not None:
        return _illegal(
            "ls", bad, "ls [-ABCFGHILPRSTUWZabcdfghiklmnopqrstuwxy1,] [--color=when] [-D format] [file ...]"
        )
    files, errors, singles, directories = call.files, "", [], []
    for name in operands or ["."]:
        path = call.path(name)
        kind = "link" if files.link(path) is not None and flags & {"l", "d"} else files.kind(path)
        if kind is None:
            errors += f"ls: {name}: No such file or directory\n"
        elif kind == "dir" and "d" not in flags:
            directories.append((name, path))
        else:
            singles.append((name, path))
    blocks = []
    if singles:
        blocks.append(_rows(call, sorted(singles), flags, None))
    for name, path in sorted(directories):
        entries = [(inner, posixpath.join(path, inner)) for inner in files.list(path)]
        if "a" in flags:
            entries = [(".", path), ("..", posixpath.dirname(path)), *entries]
        elif "A" not in flags and not is_root(call):
            entries = [entry for entry in entries if not entry[0].startswith(".")]
        head = f"{name}:\n" if len(operands) > 1 else ""
        blocks.append(head + _rows(call, sorted(entries), flags, path))
    return Result("\n".join(blocks), errors, 1 if errors else 0)


def _rows(call: Call, entries: list[tuple[str, str]], flags: set[str], directory: str | None) -> str:
    if "l" not in flags:
        return "".join(f"{name}\n" for name, _ in entries)
    rows = [_row(call, name, path) for name, path in entries]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    total = f"total {sum(_blocks(call.files, path) for _, path in entries)}\n" if directory is not None else ""
    return total + "".join(
        f"{mode}  {links:>{widths[1]}} {user:<{widths[2]}}  {group:<{widths[3]}}  {size:>{widths[4]}} {when} {name}\n"
        for mode, links, user, group, size, when, name in rows
    )


def _row(call: Call, name: str, path: str) -> tuple[str, str, str, str, str, str, str]:
    files = call.files
    node, kind, link = files.node(path), files.kind(path), files.link(path)
    if link is not None:
        return "lrwxr-xr-x", "1", "root", "wheel", str(len(link)), _when(call, path), f"{name} -> {link}"
    letter = {"dir": "d", "char": "c", "socket": "s", "fifo": "p"}.get(kind or "file", "-")
    mode = letter + stat_bits.filemode(files.stat_mode(path) | stat_bits.S_IFREG)[1:]
    if kind == "dir":
        inner = [files.kind(posixpath.join(path, each)) for each in files.list(path)]
        links = 2 + inner.count("dir")
        if path == "/dev" or path.startswith("/dev/"):
            mode = "dr-xr-xr-x"
    else:
        links = 1
    size = node.number if node is not None and kind == "char" else str(files.size(path))
    group = node.group if node is not None else ("operator" if path.endswith("/.snap") else "wheel")
    return mode, str(links), "root", group, size, _when(call, path), name


def _when(call: Call, path: str) -> str:
    moment = time.gmtime(_changed(call, path))
    return f"{time.strftime('%b', moment)} {moment.tm_mday:2d} {time.strftime('%H:%M', moment)}"


def _changed(call: Call, path: str) -> float:
    return call.machine.epoch() - max(0.0, min(call.machine.uptime_seconds(), call.files.age_seconds(path)))


def _blocks(files: Files, path: str) -> int:
    return max(1, (files.size(path) + 1023) // 1024) if files.node(path) is None else 0


# stat, test

#: Operators of test(1) that look at files.
_FILE_TESTS = frozenset(f"-{letter}" for letter in "bcdefghkLprsSuwxOG")


@command("stat")
async def stat(call: Call) -> Result:
    """stat(1) with -f FORMAT (%Lp %p %z %m %Fm %Fc %N %Su %Sg %HT ...), -n, -q, -L; GNU's -c does not exist."""
    flags, values, operands, bad = options(call.argv, "FLnqlrsx", "ft")
    if bad is not None:
        return _illegal("stat", bad, "stat [-FHLnq] [-f format | -l | -r | -s | -x] [-t timefmt] [file|handle ...]")
    out, errors = "", ""
    for name in operands:
        path = call.path(name)
        if not call.files.exists(path):
            if "q" not in flags:
                errors += f"stat: {name}: stat: No such file or directory\n"
            continue
        layout = values.get("f", "%d %i %Sp %l %Su %Sg %r %z %N")
        out += _format_stat(call, name, path, layout) + ("" if "n" in flags else "\n")
    return Result(out, errors, 1 if errors or (len(operands) and not out) else 0)


def _format_stat(call: Call, name: str, path: str, layout: str) -> str:
    files, kind = call.files, call.files.kind(path)
    mode, node = files.stat_mode(path), files.node(path)
    types = {"dir": 0o040000, "char": 0o020000, "socket": 0o140000, "fifo": 0o010000}
    full = mode | types.get(kind or "file", 0o100000)
    words = {"dir": "Directory", "char": "Character Device", "socket": "Socket", "fifo": "Fifo File"}
    table = {
        "Lp": f"{mode & 0o7777:o}" if mode & 0o7000 == 0 else f"{mode & 0o777:o}",
        "OLp": f"{mode & 0o777:o}",
        "Mp": f"{mode >> 9:o}",
        "Sp": stat_bits.filemode(full),
        "p": f"{full:o}",
        "z": str(files.size(path)),
        "m": str(int(_changed(call, path))),
        "Fm": f"{files.changed_at(path):.9f}",
        "Fc": f"{files.changed_at(path):.9f}",
        "N": name,
        "Su": "root",
        "Sg": node.group if node is not None else "wheel",
        "u": "0",
        "g": "0",
        "l": "1",
        "d": "96",
        "i": str(abs(hash(path)) % 100000),
        "r": node.number if node is not None else "0",
        "HT": words.get(kind or "file", "Regular File"),
        "T": "/" if kind == "dir" else "",
        "n": "\n",
        "t": "\t",
        "%": "%",
    }
    return re.sub(r"%([A-Z]*[a-zA-Z%])", lambda found: table.get(found.group(1), found.group(0)), layout)


@command("__test")
async def played_test(call: Call) -> Result:
    """test(1) under its own name."""
    name, *argv = call.argv
    return await test(replace(call, name=name, argv=argv))


@command("test", "[", quick=lambda argv: not _FILE_TESTS & set(argv))
async def test(call: Call) -> Result:
    """test(1): file tests see device nodes, sockets and the machine's files."""
    words = list(call.argv)
    if call.name == "[":
        if not words or words[-1] != "]":
            return Result("", "[: missing ]\n", 2)
        words.pop()
    try:
        return Result("", "", 0 if _Test(call, words).whole() else 1)
    except ValueError as problem:
        return Result("", f"{call.name}: {problem}\n", 2)


_UNARY = frozenset(f"-{letter}" for letter in "bcdefghkLnprsStuwxzOG")
_NUMBERS = {
    "-eq": lambda a, b: a == b,
    "-ne": lambda a, b: a != b,
    "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b,
    "-gt": lambda a, b: a > b,
    "-ge": lambda a, b: a >= b,
}
_STRINGS = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
}


class _Test:
    """The grammar of test(1): `-o` below `-a` below `!` below a primary."""

    def __init__(self, call: Call, words: list[str]) -> None:
        self.call, self.words, self.at = call, words, 0

    def whole(self) -> bool:
        if not self.words:
            return False
        value = self._either()
        if self.at != len(self.words):
            raise ValueError(f"{self.words[self.at]}: unexpected operator")
        return value

    def _either(self) -> bool:
        value = self._both()
        while self._peek() == "-o":
            self.at += 1
            value = self._both() or value
        return value

    def _both(self) -> bool:
        value = self._not()
        while self._peek() == "-a" and self.at + 1 < len(self.words):
            self.at += 1
            value = self._not() and value
        return value

    def _not(self) -> bool:
        if self._peek() == "!" and self.at + 1 < len(self.words) and not self._binary_next():
            self.at += 1
            return not self._not()
        return self._primary()

    def _binary_next(self) -> bool:
        after = self.words[self.at + 1 : self.at + 3]
        return len(after) == 2 and (after[0] in _NUMBERS or after[0] in _STRINGS)

    def _peek(self) -> str | None:
        return self.words[self.at] if self.at < len(self.words) else None

    def _take(self) -> str:
        if self.at >= len(self.words):
            raise ValueError("argument expected")
        self.at += 1
        return self.words[self.at - 1]

    def _primary(self) -> bool:
        word = self._take()
        operator = self._peek()
        if operator in _NUMBERS and self.at + 1 < len(self.words):
            self.at += 1
            return bool(_NUMBERS[operator](_number(word), _number(self._take())))
        if operator in _STRINGS and self.at + 1 < len(self.words):
            self.at += 1
            return bool(_STRINGS[operator](word, self._take()))
        if word == "(" and operator is not None:
            value = self._either()
            if self._take() != ")":
                raise ValueError("closing paren expected")
            return value
        if word in _UNARY and operator is not None:
            return self._unary(word, self._take())
        return word != ""

    def _unary(self, word: str, operand: str) -> bool:
        if word in {"-n", "-z"}:
            return (operand != "") == (word == "-n")
        if word == "-t":
            return False
        files, path = self.call.files, self.call.path(operand) if operand else ""
        if word in {"-h", "-L"}:
            return bool(path) and files.link(path) is not None
        kind = files.kind(path) if path else None
        if path == "/dev/null" and kind is not None:
            kind = "char"
        if kind is None:
            return False
        kinds = {"-b": "block", "-c": "char", "-d": "dir", "-f": "file", "-p": "fifo", "-S": "socket"}
        if word in kinds:
            return kind == kinds[word]
        if word == "-s":
            return files.size(path) > 0
        if word == "-x":
            return kind == "dir" or bool(files.stat_mode(path) & 0o111)
        if word == "-w":
            return files.refuses(path) is None or not isinstance(files.refuses(path), OSError)
        return True


def _number(word: str) -> int:
    try:
        return int(word.strip())
    except ValueError as problem:
        raise ValueError(f"{word}: bad number") from problem


@command("which")
async def which(call: Call) -> Result:
    """which(1): the first match in PATH; silent and 1 if one is missing."""
    _, _, operands, _ = options(call.argv, "as")
    out, status = "", 0
    for name in operands:
        for directory in call.env.get("PATH", "").split(":"):
            path = f"{directory}/{name}"
            if call.files.kind(path) == "file" and call.files.stat_mode(path) & 0o111:
                out += f"{path}\n"
                break
        else:
            status = 1
    return Result(out, "", status)
