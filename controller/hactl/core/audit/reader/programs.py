"""Reads what the commands of a step do to a node from the programs they run, and from nothing else.

Rules: a program that is not known here is unreadable, and so is a known one with words that are not; programs that
only look are silent. The right verb over a wrong command must not pass, so verbs are not consulted.
Man pages: ifconfig(8), sysctl(8), kldload(8), hastctl(8), service(8), sysrc(8), newfs(8), fsck(8), mount(8), umount(8),
zpool(8), sh(1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from hactl.core.audit.effects import (
    ChecksFilesystem,
    CreatesMetadata,
    Effect,
    Ifconfig,
    LoadsModule,
    MakesFilesystem,
    Mounts,
    RunsService,
    RunsText,
    SetsRc,
    SetsRole,
    SetsSysctl,
    TriesHastd,
    Unmounts,
    WritesFile,
    Zpool,
)
from hactl.core.audit.reader.getopt import getopt, known_word, unwrapped
from hactl.core.audit.reader.lexer import Command, Unreadable, read_commands

#: Programs that change nothing but the files they are redirected to.
_LOOKING = frozenset(
    {
        ":", "[", "awk", "basename", "break", "cat", "cd", "cmp", "continue", "cut", "date", "dd", "df", "diff",
        "diskinfo", "dirname", "echo", "egrep", "exit", "expr", "export", "false", "fgrep", "file", "fstat",
        "fsync", "fuser", "geom", "getopts", "glabel", "gpart", "grep", "head", "hostname", "id", "kldstat",
        "local", "logger", "ls", "md5", "mktemp", "netstat", "pgrep", "ping", "printf", "ps", "read", "readlink",
        "realpath", "return", "sed", "seq", "set", "sha256", "shift", "sleep", "sockstat", "sort", "stat", "swapinfo",
        "sync",
        "tail", "test", "time", "tr", "trap", "true", "tsort", "umask", "uname", "uniq", "unset", "wait", "wc", "which",
        "zdb",
    }
)  # fmt: skip
#: Files that stand beside another one until it is replaced, and may be left there half-written.
BESIDE = re.compile(r"XXXX|/\.hactl\.new$|\.part$")
#: Programs a secret may be a word of: they are built into sh(1), or are ifconfig itself.
SECRET_MAY_BE_SEEN_BY = frozenset({"ifconfig", "printf", "echo", "[", "test", ":", "export", "local", "case"})


#: The only configuration besides hast.conf that hastd and hastctl are run with.
TRIAL_CONF = "/var/run/hactl.trial/conf"


def read_effects(text: str) -> tuple[Effect, ...]:
    """What the sh text would do, in order. Raises Unreadable with what is not understood."""
    commands, functions = read_commands(text)
    return tuple(effect for command in commands for effect in _effects(command, functions))


def _effects(command: Command, functions: frozenset[str]) -> Iterator[Effect]:
    for path in command.writes:
        if path not in ("/dev/null", "/dev/stdout", "/dev/stderr") and not re.fullmatch(r"\d|-", path):
            yield WritesFile(known_word(path), "redirection")
    words = unwrapped(list(command.words))
    if not words or words[0] in functions:
        return
    script = re.fullmatch(r"/(?:usr/local/)?etc/rc\.d/([\w.-]+)", words[0])
    if script is not None:
        # What service(8) would run.
        yield from _service([script[1], *words[1:]])
        return
    if words[0] == "/bin/sh":
        yield from _sh(words[1:])
        return
    program = words[0].rsplit("/", 1)[-1] if words[0].startswith("/") else words[0]
    if program in _LOOKING:
        yield from _looking(program, words[1:])
        return
    reader = _READERS.get(program)
    if reader is None:
        raise Unreadable(f"the program {program!r}")
    yield from reader(words[1:])


def _looking(program: str, words: list[str]) -> Iterator[Effect]:
    """Programs that look may still be told to write."""
    if program == "sed":
        if any(re.match(r"-[a-zA-Z]*i", word) for word in words):
            yield WritesFile(known_word(words[-1]), "sed -i")
        if any(re.search(r"(^|[;\d}/])\s*w\s+/", word) for word in words):
            raise Unreadable("a sed script that writes")
    elif program == "awk":
        if any(re.search(r"system\s*\(|\|\s*\"|print[^;}\n]*>\s*\"", word) for word in words):
            raise Unreadable("an awk script that runs or writes something")
    elif program == "dd":
        yield from (WritesFile(known_word(word[3:]), "dd") for word in words if word.startswith("of="))
    elif program in ("gpart", "geom", "glabel"):
        if not {"show", "list", "status", "dump"} & set(words):
            raise Unreadable(f"{program} {' '.join(words)}")
    elif program == "hostname" and any(not word.startswith("-") for word in words):
        raise Unreadable("hostname with a name")
    elif program == "trap" and words and words[0] not in ("", "-"):
        yield from read_effects(words[0])


def _sh(words: list[str]) -> Iterator[Effect]:
    if len(words) != 2 or words[0] != "-c":
        raise Unreadable(f"sh {' '.join(words)}")
    yield RunsText(words[1])


def _kldload(words: list[str]) -> Iterator[Effect]:
    _, modules = getopt(words, "nqv", "")
    yield from (LoadsModule(module.removesuffix(".ko")) for module in modules)


def _sysctl(words: list[str]) -> Iterator[Effect]:
    _, operands = getopt(words, "aAbdehiNnoqTtWxX", "B")
    for word in operands:
        name, equals, value = word.partition("=")
        if equals:
            yield SetsSysctl(name, value)


def _ifconfig(words: list[str]) -> Iterator[Effect]:
    """The words of docs/freebsd-facts.md#1.7; anything else ifconfig can do is not for hactl."""
    if any(word.startswith("-") and word != "-alias" for word in words[:1]):
        return  # ifconfig -l, ifconfig -k IF: looking
    if len(words) <= 1 or (len(words) == 2 and words[1] in ("inet", "inet6")):
        return
    numbers: dict[str, int] = {}
    ip, length, secret, state = "", None, "", ""
    alias: bool | None = None
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word in ("vhid", "advbase", "advskew", "prefixlen"):
            numbers[word] = _number(word, rest)
        elif word == "pass":
            secret = _secret(rest.pop(0) if rest else "")
        elif word == "state":
            state = known_word(rest.pop(0)) if rest else ""
        elif word in ("alias", "add"):
            alias = True
        elif word in ("-alias", "delete", "remove"):
            alias = False
        elif word in ("inet", "inet6"):
            continue
        elif re.fullmatch(r"[0-9a-fA-F.:]+(/\d+)?", word) and not ip:
            ip, _, prefix = word.partition("/")
            length = int(prefix) if prefix else None
        else:
            raise Unreadable(f"ifconfig ... {word}")
    yield Ifconfig(
        interface=known_word(words[0]),
        ip=ip,
        prefix_length=numbers.get("prefixlen", length),
        vhid=numbers.get("vhid"),
        advbase=numbers.get("advbase"),
        advskew=numbers.get("advskew"),
        secret=secret,
        alias=alias,
        state=state,
    )


def _number(keyword: str, rest: list[str]) -> int:
    word = rest.pop(0) if rest else ""
    if not re.fullmatch(r"\d{1,3}", word):
        raise Unreadable(f"{keyword} {word}")
    return int(word)


def _secret(word: str) -> str:
    match = re.fullmatch(r"\$\{(HACTL_[A-Za-z0-9_]+)\}", word)
    return match.group(1) if match else "in clear"


def _hastctl(words: list[str]) -> Iterator[Effect]:
    action, rest = (words[0], words[1:]) if words else ("", [])
    if action in ("status", "list", "dump"):
        return
    found, operands = getopt(rest, "d", "cekm")
    if "c" in found:
        _of_a_trial(found["c"], "hastctl")
        yield TriesHastd("hastctl")
    elif action == "role" and len(operands) >= 2:
        yield SetsRole(operands[0], tuple(operands[1:]))
    elif action == "create" and operands:
        size = found.get("m", ["0"])[-1]
        if not size.isdigit():
            raise Unreadable(f"hastctl create -m {size}")
        yield CreatesMetadata(tuple(operands), int(size))
    else:
        raise Unreadable(f"hastctl {' '.join(words)}")


def _hastd(words: list[str]) -> Iterator[Effect]:
    """Only in the foreground and with a configuration and a pidfile of its own: the other one is rc's."""
    found, operands = getopt(words, "dF", "cP")
    if operands or not {"F", "c", "P"} <= set(found):
        raise Unreadable(f"hastd {' '.join(words)}")
    yield WritesFile(known_word(found["P"][-1]), "hastd")
    _of_a_trial(found["c"], "hastd")
    yield TriesHastd("hastd")


def _of_a_trial(configurations: list[str], program: str) -> None:
    if configurations != [TRIAL_CONF]:
        raise Unreadable(f"{program} with a configuration of its own")


def _nc(words: list[str]) -> Iterator[Effect]:
    """Only to listen."""
    found, operands = getopt(words, "dlnv", "")
    if "l" not in found or len(operands) != 2:
        raise Unreadable(f"nc {' '.join(words)}")
    yield TriesHastd("nc", operands[0])


def _kill(words: list[str]) -> Iterator[Effect]:
    """Only processes that the text itself started in the background."""
    if not words or any(word != "${!}" for word in words):
        raise Unreadable(f"kill {' '.join(words)}")
    yield from ()


_LOOKING_ACTIONS = frozenset({"onestatus", "status", "rcvar", "enabled", "describe", "extracommands"})


def _service(words: list[str]) -> Iterator[Effect]:
    if words[:1] in (["-e"], ["-l"], ["-r"]):
        return
    if len(words) < 2:
        raise Unreadable(f"service {' '.join(words)}")
    name, action = known_word(words[0]), known_word(words[1])
    if action not in _LOOKING_ACTIONS:
        yield RunsService(name, action)


def _sysrc(words: list[str]) -> Iterator[Effect]:
    found: dict[str, list[str]] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        more, _ = getopt(rest[:1] if rest[0][-1:] not in "fjRs" else rest[:2], "cdDeEiFhLnNqvxa", "fjRs")
        found |= more
        rest = rest[2:] if rest[0][-1:] in "fjRs" else rest[1:]
    file = known_word(found.get("f", found.get("s", [""]))[-1])
    if "j" in found or "R" in found:
        raise Unreadable("sysrc of another system")
    if "c" in found or ("n" in found and not any("=" in word for word in rest)):
        return
    for word in rest:
        match = re.fullmatch(r"(\$\(.*?\)|\$\{.*?\}|[A-Za-z0-9_.]+)(\+=|-=|=)(.*)", word, re.DOTALL)
        if "x" in found:
            yield SetsRc(known_word(word), "-x", file=file)
        elif match:
            yield SetsRc(match.group(1), match.group(2), known_word(match.group(3)), file)


def _newfs(words: list[str]) -> Iterator[Effect]:
    _, operands = getopt(words, "EJNUjlnt", "LOTabcdefghikmorsp")
    if len(operands) != 1:
        raise Unreadable(f"newfs {' '.join(words)}")
    yield MakesFilesystem(operands[0])


def _fsck(words: list[str]) -> Iterator[Effect]:
    found, operands = getopt(words, "BCdFfnpRrSyZzv", "tTcmb")
    yield from (ChecksFilesystem(operand, preen="p" in found or "n" in found) for operand in operands)


def _mount(words: list[str]) -> Iterator[Effect]:
    found, operands = getopt(words, "adfLlnpruvw", "Fot")
    if not operands and "a" not in found:
        return
    if len(operands) > 2 or "a" in found or "f" in found:
        raise Unreadable(f"mount {' '.join(words)}")
    options = {word for value in found.get("o", []) for word in value.split(",")}
    special = operands[0] if len(operands) == 2 else ""
    yield Mounts(special, operands[-1], frozenset(options), "u" in found or "update" in options)


def _umount(words: list[str]) -> Iterator[Effect]:
    found, operands = getopt(words, "fvn", "")
    if not operands:
        raise Unreadable(f"umount {' '.join(words)}")
    yield from (Unmounts(operand, "f" in found) for operand in operands)


def _zpool(words: list[str]) -> Iterator[Effect]:
    action, rest = (words[0], words[1:]) if words else ("", [])
    if action in ("list", "status", "get", "history"):
        return
    flags, valued = {"create": ("dfn", "Romt"), "import": ("fFnNmD", "doRc"), "export": ("f", "")}.get(action, ("", ""))
    if not flags:
        raise Unreadable(f"zpool {' '.join(words)}")
    found, operands = getopt(rest, flags, valued)
    if action == "import" and not operands:
        return
    if not operands or (action != "create" and len(operands) != 1):
        raise Unreadable(f"zpool {' '.join(words)}")
    devices = tuple(operands[1:]) if action == "create" else tuple(found.get("d", ()))
    mountpoint = found.get("m", [""])[-1] if action == "create" else ""
    yield Zpool(action, operands[0], devices, "f" in found, mountpoint)


def _last_operand(program: str) -> Callable[[list[str]], Iterator[Effect]]:
    def read(words: list[str]) -> Iterator[Effect]:
        operands = [word for word in words if not word.startswith("-")]
        if not operands:
            raise Unreadable(f"{program} without a file")
        yield WritesFile(known_word(operands[-1]), program)

    return read


def _every_operand(program: str, skip: int = 0) -> Callable[[list[str]], Iterator[Effect]]:
    def read(words: list[str]) -> Iterator[Effect]:
        operands = [word for word in words if not word.startswith("-")][skip:]
        yield from (WritesFile(known_word(operand), program) for operand in operands)

    return read


def _mkdir(words: list[str]) -> Iterator[Effect]:
    _, operands = getopt(words, "pv", "m")
    yield from (WritesFile(operand, "mkdir") for operand in operands)


_READERS: dict[str, Callable[[list[str]], Iterator[Effect]]] = {
    "kldload": _kldload,
    "sysctl": _sysctl,
    "ifconfig": _ifconfig,
    "hastctl": _hastctl,
    "hastd": _hastd,
    "nc": _nc,
    "kill": _kill,
    "service": _service,
    "sysrc": _sysrc,
    "newfs": _newfs,
    "fsck": _fsck,
    "mount": _mount,
    "umount": _umount,
    "zpool": _zpool,
    "mkdir": _mkdir,
    "mv": _last_operand("mv"),
    "cp": _last_operand("cp"),
    "install": _last_operand("install"),
    "rm": _every_operand("rm"),
    "rmdir": _every_operand("rmdir"),
    "touch": _every_operand("touch"),
    "truncate": _last_operand("truncate"),
    "tee": _every_operand("tee"),
    "chmod": _every_operand("chmod", skip=1),
    "chown": _every_operand("chown", skip=1),
    "chflags": _every_operand("chflags", skip=1),
}
