"""Where FreeBSD's /bin/sh and the shell that plays it differ: scripts are rewritten before, messages after.

Rules:
- What ash does not have must fail here too: `[[`, here-strings, arrays, bash's expansions, GNU tools.
- `cmd &` becomes a call of the builtin `__background` with the text of the command and what it inherits.
- Only scripts that need it are scanned; the scanner knows quotes, comments, here-documents and nesting.
- Man pages: sh(1). Messages: bin/sh/exec.c, expand.c, redir.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

#: Builtin tools of bashkit that FreeBSD 13.2's base system and /bin/sh do not have.
FOREIGN = frozenset((
    "arch", "assert", "b2sum", "base32", "base64", "basenc", "bash", "busybox", "caller", "compgen", "complete",
    "compopt", "csv", "curl", "declare", "dirs", "disown", "dotenv", "enable", "envsubst", "flock", "free",
    "gawk", "glob", "help", "history", "hostid", "http", "json", "jq", "let", "list", "log", "mapfile", "md5sum",
    "mawk", "nano", "nproc", "numfmt", "openssl7", "parallel", "popd", "pushd", "python", "python3", "readarray",
    "retry", "rg", "semver", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "shasum", "shopt",
    "shuf", "source", "sudo", "tac", "template", "tomlq", "tree", "typeset", "verify", "watch", "wget", "xxd",
    "yq", "zip", "doas",
))  # fmt: skip

_LONE_AMPERSAND = re.compile(r"(?<![&<>|])&(?![&>])")
_DOUBLE_BRACKET = re.compile(r"(^|[;&|(\s!])\[\[(?=\s)", re.MULTILINE)
#: Text that is no code of this script, and the code that is rewritten, in the order in which they are tried.
_LITERALS = (
    r"(?P<escaped>\\.)",
    r"(?P<comment>(?<![^\s;&|(])#[^\n]*)",
    r"(?P<single>'[^']*')",
    r'(?P<double>"(?:[^"\\]|\\.)*")',
    r"(?P<document><<-?[ \t]*(?P<mark>[\\'\"]?)(?P<end>\w+)[^\n]*\n(?:[^\n]*\n)*?\t*(?P=end)(?=\n|\Z))",
)
_EXPANDED = (r"(?P<job>\$!)", r"(?P<pid>(?<!\\)\$\$)")
_CODE = (
    r"(?P<command_v>\bcommand\s+-v\b)",
    r"(?P<zeros>(?<![\w./'\"-])tr(?=\s+-c?d\s+'\\000'))",
    # These two names the player keeps for itself.
    r"(?P<sh>(?<![\w./'\"-])(?<!__run )sh(?=\s+-)|(?:(?<=^)|(?<=[;&|(\n])|(?<=then |exec ))sh(?=\s+(?:/|\"?\$)))",
    r"(?P<bash>(?:(?<=^)|(?<=[;&|(\n]))\s*bash(?=\s|$))",
    # A test of something the player knows nothing of: device nodes, sockets, modes, links as such.
    r"(?P<test>(?:(?<=^)|(?<=[\s;&|(!`]))(?<!__test )(?:\[|test)"
    r"(?=(?:[ \t]+(?!\]|[;&|])[^\s;&|]+)*?[ \t]+-[bcegkhLOGprStuwx][ \t]|[ \t]+\$\w))",
    r"(?P<kill>(?<![\w./'\"-])kill(?=\s))",
)
_REWRITTEN = re.compile("|".join((*_LITERALS, *_EXPANDED, *_CODE)), re.MULTILINE)
_IN_TEXT = re.compile("|".join(_EXPANDED))
_INSTEAD: dict[str, Callable[[str], str]] = {
    "job": lambda _: "${__background_pid}",
    # Not the number: a script in quotes has another one.
    "pid": lambda _: "${__pid}",
    "command_v": lambda _: "__command_v",
    "zeros": lambda _: "__tr",
    "sh": lambda _: "__run sh",
    "bash": lambda found: found.replace("bash", "__foreign bash"),
    "test": lambda found: f"__test {found}",
    "kill": lambda _: "__kill",
}
#: Signals a script can catch, by number (sys/signal.h).
SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "ALRM": 14, "TERM": 15, "USR1": 30, "USR2": 31}
_TRAP = re.compile(r"\btrap\s+(?:'[^']*'|\"[^\"]*\"|[\w-]+)((?:\s+(?:SIG)?(?:[A-Z]+[12]?|\d+))+)")
_TEXT = re.compile("|".join(_LITERALS), re.MULTILINE)
#: While these run a signal can come.
_WHILE_THESE_RUN = (
    "fsck",
    "hastctl",
    "lockf",
    "mount",
    "ping",
    "service",
    "sleep",
    "timeout",
    "umount",
    "wait",
    "zpool",
)
#: A signal that the script has a trap for is handed to the player when the program at work has ended.
_DELIVERY = "".join(
    (
        "__caught() { __pending || case $? in ",
        *(f"{number}) kill -{name} 1 ;; " for name, number in SIGNALS.items()),
        "esac; return $1; }; ",
        *(f'{name}() {{ __run {name} "$@"; __caught $?; }}; ' for name in _WHILE_THESE_RUN),
        '__kill() { __run kill "$@"; __caught $?; }; ',
    )
)
_BASHISMS = (
    (re.compile(r"<<<"), 'redirection unexpected (here-string "<<<")'),
    (re.compile(r"(?<![&>])&>"), 'word unexpected ("&>")'),
    (re.compile(r"\|&"), '"&" unexpected'),
    (re.compile(r"(?:^|[;\s])[A-Za-z_]\w*\+?=\("), '"(" unexpected'),
    (re.compile(r"(?:^|\s)[<>]\("), '"(" unexpected'),
    (re.compile(r"\$\{[A-Za-z_0-9]+(?:/|\^|,|:[ ]?[0-9]|:[ ]-[0-9]|@)"), "Bad substitution"),
    (re.compile(r"\$\{!"), "Bad substitution"),
    (re.compile(r"(?:^|[;\n])\s*function\s+\w+"), '"function" unexpected'),
)
_VALUE = r"(?:[^\s;&|()'\"`$]|\$\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|\$|'[^']*'|\"(?:[^\"\\]|\\.)*\")*"
#: Several assignments without a command, or before one.
_ASSIGNMENTS = re.compile(
    rf"(?:^|[;&|()\n{{!]|\b(?:if|elif|then|else|while|until|do)\b)[ \t]*(?:(?:local|export|readonly)[ \t]+)?"
    rf"((?:[A-Za-z_]\w*={_VALUE}[ \t]+)+[A-Za-z_]\w*={_VALUE})"
)
_ASSIGNMENT = re.compile(rf"([A-Za-z_]\w*)=({_VALUE})")
#: Lines at the beginning that only set variables: they differ from run to run, and nothing in them is rewritten.
_SETTING = (
    r"""(?:[A-Za-z_]\w*=(?:[^\s;&|()<>'"`$\\#]|\$?'(?:[^'\\]|\\[^'])*'|"[^"\\$`]*"|\\[^\n])*+"""
    r"|export(?: \w+)+|set -u|umask \d+)"
)
_SETTINGS = re.compile(rf"(?:(?:{_SETTING}(?:;? {_SETTING})*+)?\n)*+")
_QUOTED = re.compile(r"'[^']*'")
_COMMENT = re.compile(r"(?m)(?:^|(?<=[\s;]))#.*$")


def settings_and_code(script: str) -> tuple[str, str]:
    """A script in two parts: the variables it begins with, and the rest, which is the same again and again."""
    found = _SETTINGS.match(script)
    end = found.end() if found else 0
    return script[:end], script[end:]


@lru_cache(maxsize=256)
def syntax_error(script: str) -> str | None:
    """What /bin/sh says about a construct only bash has; None: nothing found.

    A coarse look (single-quoted text and comments are not read); never complains about POSIX text.
    """
    plain = _QUOTED.sub("''", _COMMENT.sub("", script))
    for pattern, text in _BASHISMS:
        if pattern.search(plain):
            return f"Syntax error: {text}" if not text.startswith("Bad") else text
    for found in _ASSIGNMENTS.finditer(plain):
        if name := _used_too_early(found[1]):
            return f"{name}: parameter not set (all words of a command are expanded before it is assigned)"
    return None


def _used_too_early(assignments: str) -> str:
    """A variable that one of several assignments sets and a later one uses; empty: none (docs/freebsd-facts.md#7.50).

    The player assigns each before it expands the next.
    """
    names: list[str] = []
    for name, value in _ASSIGNMENT.findall(assignments):
        used = [each for each in names if re.search(rf"\$\{{?{each}\b|\$\(\([^)]*\b{each}\b", value)]
        if used:
            return used[0]
        names.append(name)
    return ""


@lru_cache(maxsize=256)
def caught(script: str) -> frozenset[int]:
    """The signals a script has traps for; EXIT is none."""
    if "trap" not in script:
        return frozenset()
    plain = _TEXT.sub(lambda found: found[0] if _is_code(found) else "''", script)
    words = [word.removeprefix("SIG") for found in _TRAP.findall(plain) for word in found.split()]
    numbers = {SIGNALS.get(word, int(word) if word.isdigit() else 0) for word in words}
    return frozenset(numbers & set(SIGNALS.values()))


def prepare(settings: str, code: str, pid: int) -> str:
    """The script as the player should see it."""
    return prelude(code) + (f"__pid={pid}; " if "$$" in code else "") + settings + rewritten(code)


def prelude(script: str) -> str:
    """What goes before a script that has traps: signals are delivered when a program ends."""
    return _DELIVERY if caught(script) else ""


@lru_cache(maxsize=1024)
def rewritten(script: str) -> str:
    """What does not depend on who runs it; simulations run the same scripts again and again."""
    if "[[" in script:
        script = _DOUBLE_BRACKET.sub(r"\1'[['", script)
    script = _REWRITTEN.sub(_instead, script)
    if _LONE_AMPERSAND.search(script):
        script = _Scanner(script).rewrite()
    return script


def _is_code(found: re.Match[str]) -> bool:
    """Whether what stands in quotes is run by this shell."""
    return found.string[max(0, found.start() - 5) : found.start()] in ("trap ", "eval ")


def _instead(found: re.Match[str]) -> str:
    """What stands there for the player."""
    kind, text = found.lastgroup or "", found[0]
    if kind in _INSTEAD:
        return _INSTEAD[kind](text)
    if kind in ("single", "double"):
        if _is_code(found) or (kind == "double" and ("$(" in text or "`" in text)):
            return text[0] + _REWRITTEN.sub(_instead, text[1:-1]) + text[-1]
        return text if kind == "single" else _IN_TEXT.sub(_instead, text)
    return _IN_TEXT.sub(_instead, text) if kind == "document" and not found["mark"] else text


#: How the player begins a complaint: its own name or the sourced file, and a line number.
_WHO = r"^(?:bash|sh|/\S+): line \d+: "
_PROGRAMS = r"((?:/usr/local)?/s?bin/|/usr/s?bin/)"
_MESSAGES = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (_WHO + r"([^\n:]+): command not found(?:\. Did you mean: [^\n]*)?$", r"\1: not found"),
        (_WHO + r"(\S+): unbound variable$", r"\1: parameter not set"),
        (_WHO + r"\[: (.*): integer expression expected$", r"[: \1: bad number"),
        (_WHO + r"(\S+): filesystem is read-only$", r"cannot create \1: {readonly}"),
        (_WHO + _PROGRAMS + r"(\S+): No such file or directory$", r"\1\2: not found"),
        (_WHO + r"(\S+): No such file or directory$", r"cannot open \1: No such file or directory"),
        (_WHO, ""),
        (r"filesystem is read-only", "{readonly}"),
        (r"^sed: can't read (\S+): ", r"sed: \1: "),
        (r"^awk: fatal: cannot open file `([^'\n]+)' for reading: (.*)$", r"awk: can't open file \1"),
        (
            r"^parse error at line (\d+), column \d+: syntax error near unexpected token `([^'\n]*)'$",
            r'\1: Syntax error: "\2" unexpected',
        ),
        (r"^parse error at line (\d+), column \d+: (.*)$", r"\1: Syntax error: \2"),
    )
)
_SUSPECT = re.compile(r": line \d+: |read-only|can't read|awk: fatal|^parse error", re.MULTILINE)


def translate(text: str, *, full: bool = False) -> str:
    """Messages of the player in the words of FreeBSD's sh."""
    if not _SUSPECT.search(text):
        return text
    readonly = "No space left on device" if full else "Read-only file system"
    for pattern, replacement in _MESSAGES:
        text = pattern.sub(replacement.replace("{readonly}", readonly), text)
    return text


def quote(text: str) -> str:
    """Single-quoted for sh."""
    return "'" + text.replace("'", "'\\''") + "'"


_PLAIN = re.compile(r"""[^ \t;\n&|()'"`\\#$<]+""")


class _Scanner:
    """One pass over a script that finds the commands ended by a lone `&`."""

    #: Words that open a compound command, those that begin a list inside one, and those that close one.
    OPENERS = frozenset({"{", "if", "while", "until", "for", "case"})
    INNER = frozenset({"then", "do", "else", "elif", "!"})
    CLOSERS = frozenset({"}", "fi", "done", "esac"})

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.heredocs: list[tuple[str, bool]] = []

    def rewrite(self) -> str:
        while self.at < len(self.text):
            self._list("")
        return "".join(self.out)

    def _list(self, closer: str) -> None:
        """A command list up to `closer` (")" or the end); out[start:] is the command since the last separator.

        `opened`: where the compound commands around began. `fresh`: a word here would be a command's first.
        """
        start, word, fresh = len(self.out), "", True
        opened: list[tuple[int, str]] = []
        while self.at < len(self.text):
            c = self.text[self.at]
            in_case = bool(opened) and opened[-1][1] == "case" and not (fresh and word == "esac")
            if c == closer and not in_case:
                return
            taken = self._part(c, word)
            if taken is not None:
                word = taken
                continue
            if c == "(":
                self._take(1)
                self._list(")")
                self._take(1)
                word, fresh = "", False
                continue
            if fresh and word in self.CLOSERS and opened:
                start = opened.pop()[0]
            if word == "{" or (fresh and word in self.OPENERS):
                opened.append((start, word))
                fresh = word not in {"for", "case"}
                start = len(self.out) if fresh else start
            elif fresh and word in self.INNER:
                start = len(self.out)
            elif word:
                fresh = False
            word = ""
            if c == "&" and not self._is_lone():
                fresh = self.text.startswith("&&", self.at)
                self._take(2 if fresh else 1)
            elif c == "&":
                self.at += 1
                self._background(start)
                start, fresh = len(self.out), True
            else:
                self._take(1)
                if c == "\n" and self.heredocs:
                    self._heredoc_bodies()
                if c in ";\n)":
                    start = len(self.out)
                fresh = fresh or c in ";\n)|"
        self.at = len(self.text)

    def _part(self, c: str, word: str) -> str | None:
        """Take a comment, or what may be part of a word: the word so far; None: something else is here."""
        if c in "'\"`\\":
            self._quoted(c)
            return f"{word}x"
        if c == "#" and not word:
            end = self.text.find("\n", self.at)
            self._take((end if end >= 0 else len(self.text)) - self.at)
            return word
        if self.text.startswith("$(", self.at):
            self._take(2)
            self._list(")")
            self._take(1)
            return f"{word}x"
        if self.text.startswith("<<", self.at) and not self.text.startswith("<<<", self.at):
            self._heredoc_start()
            return ""
        if c not in " \t;\n&|()":
            # What stands for itself, in one go; a character that began nothing above stands for itself too.
            plain = _PLAIN.match(self.text, self.at)
            run = plain[0] if plain is not None else c
            self._take(len(run))
            return word + run
        return None

    def _is_lone(self) -> bool:
        """Whether the `&` here ends a command."""
        previous, following = self.text[self.at - 1 : self.at], self.text[self.at + 1 : self.at + 2]
        return following not in {"&", ">"} and previous not in {">", "<", "|"}

    def _background(self, start: int) -> None:
        """Turn out[start:] into a call that starts it as a job."""
        segment = "".join(self.out[start:])
        del self.out[start:]
        lead = segment[: len(segment) - len(segment.lstrip())]
        state = '"$(set)" "$(builtin declare -f)" "$@"'
        self.out.append(f"{lead}__background_pid=$(__background {quote(segment.strip())} {state}); ")

    def _take(self, count: int) -> None:
        self.out.append(self.text[self.at : self.at + count])
        self.at += count

    def _quoted(self, mark: str) -> None:
        if mark == "\\":
            self._take(2)
            return
        if mark == "'":
            end = self.text.find("'", self.at + 1)
            self._take((end + 1 if end >= 0 else len(self.text)) - self.at)
            return
        self._take(1)
        while self.at < len(self.text) and self.text[self.at] != mark:
            if self.text[self.at] == "\\":
                self._take(2)
            elif mark == '"' and self.text.startswith("$(", self.at):
                self._take(2)
                self._list(")")
                self._take(1)
            else:
                self._take(1)
        self._take(1)

    def _heredoc_start(self) -> None:
        found = re.compile(r"<<(-?)[ \t]*(['\"]?)([^\s'\";|&<>()]+)\2").match(self.text, self.at)
        if found is None:
            self._take(2)
            return
        self.heredocs.append((found.group(3).lstrip("\\"), bool(found.group(1))))
        self._take(found.end() - self.at)

    def _heredoc_bodies(self) -> None:
        for end_word, tabs in self.heredocs:
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                stop = end + 1 if end >= 0 else len(self.text)
                line = self.text[self.at : stop].rstrip("\n")
                self._take(stop - self.at)
                if (line.lstrip("\t") if tabs else line) == end_word:
                    break
        self.heredocs = []
