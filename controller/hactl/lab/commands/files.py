"""Files as FreeBSD's base system lists, tests, copies and moves them: ls, stat, test, cp, mv, rm, mkdir, chmod ...

Rules:
- BSD flags only; an option FreeBSD does not know is an error, as there.
- Everything belongs to root; device nodes to the group operator (recording 03, step 28).
- Man pages: ls(1), stat(1), test(1), cp(1), mv(1), rm(1), mkdir(1), chmod(1), mktemp(1), install(1), which(1), sed(1).
"""

from __future__ import annotations

import posixpath
import re
import stat as stat_bits
import time

from bashkit import Bash

from hactl.lab.commands.registry import Call, Result, command
from hactl.lab.commands.user import is_root
from hactl.lab.files import Files, error_text


def resolve(call: Call, path: str) -> str:
    """An absolute, normalised path."""
    return posixpath.normpath(posixpath.join(call.cwd, path))


def options(argv: list[str], known: str, valued: str = "") -> tuple[set[str], dict[str, str], list[str], str | None]:
    """getopt(3): flags, options with values, operands, and the first unknown option if any."""
    flags: set[str] = set()
    values: dict[str, str] = {}
    rest = list(argv)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        position = 1
        while position < len(word):
            letter = word[position]
            if letter in valued:
                values[letter] = word[position + 1 :] or (rest.pop(0) if rest else "")
                break
            if letter not in known:
                return flags, values, rest, letter
            flags.add(letter)
            position += 1
    return flags, values, rest, None


def _illegal(name: str, letter: str, usage: str, status: int = 1) -> Result:
    return Result("", f"{name}: illegal option -- {letter}\nusage: {usage}\n", status)


# ls


@command("ls", quick=True)
async def ls(call: Call) -> Result:
    """ls(1): -1 -a -d -l and flags that do not matter here; sorted by name; root always has -A."""
    flags, _, operands, bad = options(call.argv, "1aAdlhFpTtrSu")
    if bad is not None:
        return _illegal(
            "ls", bad, "ls [-ABCFGHILPRSTUWZabcdfghiklmnopqrstuwxy1,] [--color=when] [-D format] [file ...]"
        )
    files, errors, singles, directories = call.files, "", [], []
    for name in operands or ["."]:
        path = resolve(call, name)
        kind = files.kind(path)
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
    node, kind = files.node(path), files.kind(path)
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


@command("stat", quick=True)
async def stat(call: Call) -> Result:
    """stat(1) with -f FORMAT (%Lp %p %z %m %N %Su %Sg %HT ...), -n, -q, -L; GNU's -c does not exist."""
    flags, values, operands, bad = options(call.argv, "FLnqlrsx", "ft")
    if bad is not None:
        return _illegal("stat", bad, "stat [-FHLnq] [-f format | -l | -r | -s | -x] [-t timefmt] [file|handle ...]")
    out, errors = "", ""
    for name in operands:
        path = resolve(call, name)
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
        "Fm": f"{_changed(call, path):.9f}",
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


@command("test", "[", quick=True)
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
        files, path = self.call.files, resolve(self.call, operand) if operand else ""
        kind = files.kind(path) if path else None
        if path == "/dev/null" and kind is not None:
            kind = "char"
        if kind is None:
            return False
        kinds = {"-b": "block", "-c": "char", "-d": "dir", "-f": "file", "-p": "fifo", "-S": "socket"}
        if word in kinds:
            return kind == kinds[word]
        if word in {"-h", "-L"}:
            return False
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


# changing files


@command("mkdir", quick=True)
async def mkdir(call: Call) -> Result:
    """mkdir(1): -p, -m mode."""
    flags, values, operands, bad = options(call.argv, "pv", "m")
    if bad is not None or not operands:
        return Result("", "usage: mkdir [-pv] [-m mode] directory_name ...\n", 64)
    errors, files = "", call.files
    for name in operands:
        path = resolve(call, name)
        try:
            if "p" not in flags:
                if files.exists(path):
                    raise FileExistsError(17, "File exists", path)
                if not files.is_dir(posixpath.dirname(path)):
                    raise FileNotFoundError(2, "No such file or directory", path)
            files.mkdir(path, int(values["m"], 8) if "m" in values else 0o755)
        except OSError as problem:
            errors += f"mkdir: {name}: {error_text(problem)}\n"
    return Result("", errors, 1 if errors else 0)


@command("chmod", quick=True)
async def chmod(call: Call) -> Result:
    """chmod(1): octal and simple symbolic modes."""
    flags, _, operands, bad = options(call.argv, "fhRvHLP")
    if bad is not None or len(operands) < 2:
        return Result("", "usage: chmod [-fhv] [-R [-H | -L | -P]] mode file ...\n", 1)
    errors = ""
    for name in operands[1:]:
        path = resolve(call, name)
        try:
            call.files.chmod(path, _mode(operands[0], call.files.stat_mode(path)))
        except ValueError:
            return Result("", f"chmod: invalid file mode: {operands[0]}\n", 1)
        except OSError as problem:
            if "f" not in flags:
                errors += f"chmod: {name}: {error_text(problem)}\n"
    return Result("", errors, 1 if errors else 0)


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


@command("chown", "chgrp", quick=True)
async def chown(call: Call) -> Result:
    """chown(8): everything stays root's; the files must exist."""
    _, _, operands, _ = options(call.argv, "fhRvxnHLP")
    errors = ""
    for name in operands[1:]:
        if not call.files.exists(resolve(call, name)):
            errors += f"{call.name}: {name}: No such file or directory\n"
    return Result("", errors, 1 if errors else 0)


@command("touch", quick=True)
async def touch(call: Call) -> Result:
    """touch(1)."""
    flags, _, operands, _ = options(call.argv, "acfhm", "drtA")
    errors = ""
    for name in operands:
        path = resolve(call, name)
        try:
            if call.files.exists(path):
                if call.files.kind(path) == "file":
                    call.files.write_bytes(path, call.files.read_bytes(path))
            elif "c" not in flags:
                call.files.write_bytes(path, b"")
        except OSError as problem:
            errors += f"touch: {name}: {error_text(problem)}\n"
    return Result("", errors, 1 if errors else 0)


@command("rm", quick=True)
async def rm(call: Call) -> Result:
    """rm(1): -f -r -R -d."""
    flags, _, operands, bad = options(call.argv, "dfiIPRrvWx")
    if bad is not None or (not operands and "f" not in flags):
        return Result("", "usage: rm [-f | -i] [-dIPRrvWx] file ...\n       unlink [--] file\n", 64)
    errors = ""
    for name in operands:
        path = resolve(call, name)
        kind = call.files.kind(path)
        if kind is None:
            if "f" not in flags:
                errors += f"rm: {name}: No such file or directory\n"
            continue
        if kind == "dir" and not flags & {"r", "R", "d"}:
            errors += f"rm: {name}: is a directory\n"
            continue
        try:
            call.files.remove(path, recursive=bool(flags & {"r", "R"}))
        except OSError as problem:
            errors += f"rm: {name}: {error_text(problem)}\n"
    return Result("", errors, 1 if errors else 0)


@command("rmdir", quick=True)
async def rmdir(call: Call) -> Result:
    """rmdir(1)."""
    _, _, operands, _ = options(call.argv, "pv")
    errors = ""
    for name in operands:
        path = resolve(call, name)
        try:
            if call.files.exists(path) and not call.files.is_dir(path):
                raise NotADirectoryError(20, "Not a directory", path)
            call.files.remove(path)
        except OSError as problem:
            errors += f"rmdir: {name}: {error_text(problem)}\n"
    return Result("", errors, 1 if errors else 0)


def _target(call: Call, source: str, target: str) -> str:
    path = resolve(call, target)
    return posixpath.join(path, posixpath.basename(source)) if call.files.is_dir(path) else path


@command("mv", quick=True)
async def mv(call: Call) -> Result:
    """mv(1): rename(2), so an old target is replaced in one go."""
    _, _, operands, bad = options(call.argv, "fhinv")
    if bad is not None or len(operands) < 2:
        return Result(
            "", "usage: mv [-f | -i | -n] [-hv] source target\n       mv [-f | -i | -n] [-v] source ... directory\n", 64
        )
    errors = ""
    for name in operands[:-1]:
        source = resolve(call, name)
        if not call.files.exists(source):
            errors += f"mv: rename {name} to {operands[-1]}: No such file or directory\n"
            continue
        try:
            call.files.rename(source, _target(call, source, operands[-1]))
        except OSError as problem:
            errors += f"mv: rename {name} to {operands[-1]}: {error_text(problem)}\n"
    return Result("", errors, 1 if errors else 0)


@command("cp", quick=True)
async def cp(call: Call) -> Result:
    """cp(1): -p keeps the mode; a new file gets the source's mode less the mask; -R copies directories."""
    flags, _, operands, bad = options(call.argv, "afipnRrvHLPlsx")
    if bad is not None or len(operands) < 2:
        return Result("", "usage: cp [-R [-H | -L | -P]] [-f | -i | -n] [-alpsvx] source_file target_file\n", 64)
    errors, files = "", call.files
    for name in operands[:-1]:
        source = resolve(call, name)
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


@command("mktemp", quick=True)
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
        path = resolve(call, name)
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


@command("install", quick=True)
async def install(call: Call) -> Result:
    """install(1): -m mode, -o, -g, -d, -S, -C, -c; replaces the target in one go with -S."""
    flags, values, operands, bad = options(call.argv, "bCcdMpSsUv", "BDfghlmNoTm")
    if bad is not None or not operands:
        return Result("", "usage: install [-bCcpSsUv] [-f flags] [-g group] [-m mode] [-o owner] file1 file2\n", 64)
    try:
        mode = int(values.get("m", "755"), 8)
        if "d" in flags:
            for name in operands:
                call.files.mkdir(resolve(call, name), mode)
            return Result()
        for name in operands[:-1]:
            source = resolve(call, name)
            content = (
                call.stdin.encode("utf-8", "surrogateescape") if name == "/dev/stdin" else call.files.read_bytes(source)
            )
            call.files.write_bytes(_target(call, source, operands[-1]), content, mode)
    except OSError as problem:
        return Result("", f"install: {problem.filename or operands[0]}: {error_text(problem)}\n", 71)
    return Result()


@command("which", quick=True)
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
        path = resolve(call, name)
        if not call.files.exists(path):
            return Result("", f"sed: {name}: No such file or directory\n", 1)
        if (problem := call.files.refuses(path)) is not None:
            return Result("", f"sed: {name}: {error_text(problem)}\n", 1)
        if backup:
            call.files.write_bytes(path + backup, call.files.read_bytes(path), call.files.stat_mode(path))
    mode = {name: call.files.stat_mode(resolve(call, name)) for name in names}
    done = bash.execute_sync(f"sed -i {words}")
    for name in names:
        call.files.fs.chmod(resolve(call, name), mode[name])
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
