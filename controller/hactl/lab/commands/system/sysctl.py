"""sysctl(8).

Rules:
- The exit status is the number of names that failed (recording 08, step 3: two unknown names, exit 2).
- A write prints the old value, writes, and prints what is read back.
"""

from __future__ import annotations

import re

from hactl.lab.commands.system.user import is_root
from hactl.lab.kernel.errors import KernelError
from hactl.lab.kernel.sysctls import Oid, oids
from hactl.lab.process import Result
from hactl.lab.program import Call, command

FLAGS = "abdeFhiNnoqtTvWxX"


class Sysctl:
    """One run of the program."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.oids = list(oids(call.machine))
        self.flags: set[str] = set()
        self.out: list[str] = []
        self.err: list[str] = []

    def run(self) -> Result:
        """Options, then each name in turn."""
        names, file = list(self.call.argv), None
        while names and names[0].startswith("-") and len(names[0]) > 1:
            word = names.pop(0)[1:]
            for place, letter in enumerate(word):
                if letter in "fBj":
                    file = word[place + 1 :] or (names.pop(0) if names else None)
                    break
                if letter not in FLAGS:
                    return Result("", f"sysctl: illegal option -- {letter}\n{USAGE}", 1)
                self.flags.add(letter)
        if "a" in self.flags:
            names = []
            for oid in self.oids:
                self._show(oid)
        elif not names and file is None:
            return Result("", USAGE, 1)
        failures = 0 if file is None else self._file(file)
        failures += sum(self._parse(name, "") for name in names)
        return Result("".join(self.out), "".join(self.err), min(failures, 255))

    def _file(self, path: str) -> int:
        try:
            text = self.call.files.read_text(path)
        except OSError as problem:
            self.err.append(f"sysctl: {path}: {problem.strerror}\n")
            return 1
        failures = 0
        for number, line in enumerate(text.splitlines(), 1):
            line = line.partition("#")[0].strip()
            if line:
                failures += self._parse(line, f" at line {number}")
        return failures

    def _parse(self, word: str, where: str) -> int:
        """One name or assignment; 1 if it failed."""
        match = re.match(r"^([^=:]*?)\s*[=:]\s*(.*)$", word)
        name, value = (match.group(1), match.group(2)) if match else (word, None)
        found = [oid for oid in self.oids if oid.name == name]
        below = [oid for oid in self.oids if oid.name.startswith(f"{name}.")]
        if not found and not below:
            if "i" in self.flags:
                return 0
            if "q" not in self.flags:
                self.err.append(f"sysctl: unknown oid '{name}'{where}\n")
            return 1
        if value is None:
            for oid in found or below:
                self._show(oid)
            return 0
        if not found:
            self.err.append(f"sysctl: oid '{name}' isn't a leaf node{where}\n")
            return 1
        return self._write(found[0], value.strip("\"'") if found[0].text else value, word, where)

    def _write(self, oid: Oid, value: str, word: str, where: str) -> int:
        if oid.write is None:
            self.err.append(f"sysctl: oid '{oid.name}' is read only{where}\n")
            return 1
        if not oid.text:
            if not value:
                self.err.append("sysctl: empty numeric value\n")
                return 1
            try:
                value = str(int(value, 0))
            except ValueError:
                self.err.append(f"sysctl: invalid integer '{value}'{where}\n")
                return 1
        old = self._text(oid)
        try:
            if not is_root(self.call):
                raise KernelError("Operation not permitted")
            oid.write(value)
        except KernelError as problem:
            self.out.append(f"{old}\n")
            self.err.append(f"sysctl: {word}{where}: {problem}\n")
            return 1
        self.out.append(f"{old} -> {oid.read()}\n")
        return 0

    def _show(self, oid: Oid) -> None:
        self.out.append(f"{self._text(oid)}\n")

    def _text(self, oid: Oid) -> str:
        if "N" in self.flags:
            return oid.name
        value = oid.about if "d" in self.flags else oid.read()
        if "n" in self.flags:
            return value
        return f"{oid.name}{'=' if 'e' in self.flags else ': '}{value}"


USAGE = (
    "usage: sysctl [-bdehiNnoqTtWx] [ -B <bufsize> ] [-f filename] name[=value] ...\n"
    "       sysctl [-bdehNnoqTtWx] [ -B <bufsize> ] -a\n"
)


@command("sysctl")
async def sysctl(call: Call) -> Result:
    """Read and write kernel state."""
    return Sysctl(call).run()
