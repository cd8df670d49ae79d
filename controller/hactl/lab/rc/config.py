"""The variables of rc.conf(5) as a script of rc sees them.

Rules:
- Configuration files are sourced by the node's shell, never parsed: `rc.conf` is a program (rc.conf(5)).
- Defaults, rc.conf, rc.conf.local, rc.conf.d/NAME, in this order (rc.subr, load_rc_config).
- Man pages: rc.conf(5), rc.subr(8).
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from bashkit import Bash, BashError, FileSystem

from hactl.lab.files import Files
from hactl.lab.process import RC_ENVIRONMENT

#: What checkyesno of rc.subr takes for yes, in capitals.
YES = frozenset({"YES", "TRUE", "ON", "1"})
DEFAULTS = "/etc/defaults/rc.conf"
#: A configuration file that does more than give variables values.
_MORE_THAN_VALUES = re.compile(r"[`<>&|;]|\$\(|^[ \t]*(?![A-Za-z_]\w*=|#|[ \t]*$)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_]\w*$")
#: Variables the player's shell has by itself.
_PLAYER = re.compile(
    r"BASH|EUID$|HOSTNAME$|HOSTTYPE$|MACHTYPE$|OPTIND$|OSTYPE$|PIPESTATUS$|PPID$|PS4$|PWD$|SHELL$|SHLVL$|UID$|USER$|_$"
)


class RcSyntaxError(Exception):
    """A configuration file that sh cannot read; the message is sh's."""


def source(files: Files, script: str) -> Mapping[str, str]:
    """Run a script that sources configuration files; returns the variables it leaves. Raises RcSyntaxError."""
    sourced = re.findall(r"(?m)^\. (\S+)$", script)
    if "source_rc_confs" in script:
        sourced += ["/etc/rc.conf", "/etc/rc.conf.local"]
    texts = tuple((path, files.read_text(path)) for path in sourced if files.kind(path) == "file")
    if any(_MORE_THAN_VALUES.search(text) for path, text in texts if path != DEFAULTS):
        return _sourced(script, texts, files.fs)
    return _values(script, texts)


@lru_cache(maxsize=256)
def _values(script: str, texts: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """Files that only assign values leave what their texts say, whatever else the node has."""
    fs = FileSystem()
    for path, text in texts:
        fs.mkdir(posixpath.dirname(path), True)
        fs.write_file(path, text.encode("utf-8", "surrogateescape"))
    return _sourced(script, texts, fs)


def _sourced(script: str, texts: Sequence[tuple[str, str]], fs: FileSystem) -> Mapping[str, str]:
    bash = Bash(env=RC_ENVIRONMENT, max_commands=100_000, max_loop_iterations=100_000)
    for path, text in texts:
        _check_syntax(bash, path, text)
    bash.mount("/", fs)
    result = bash.execute_sync(f"{script}\nset")
    if result.error or "syntax error" in result.stderr:
        raise RcSyntaxError(result.stderr.strip())
    return _variables(result.stdout)


def _check_syntax(bash: Bash, path: str, text: str) -> None:
    """The player sources what it can of a broken file; sh does not. Raises RcSyntaxError."""
    try:
        bash.analyze(text)
    except BashError as problem:
        found = re.search(r"line (\d+), column \d+: (?:syntax error:? ?)?(.*)", str(problem))
        where, what = (found.group(1), found.group(2)) if found else ("1", str(problem))
        raise RcSyntaxError(f"{path}: {where}: Syntax error: {what}") from problem


@lru_cache(maxsize=64)
def _variables(text: str) -> Mapping[str, str]:
    """What `set` printed, read; the same files leave the same text."""
    found: dict[str, str] = {}
    for word in shlex.split(text):
        name, equals, value = word.partition("=")
        if equals and _NAME.match(name) and not _PLAYER.match(name):
            # A value with a line feed or a tab is printed in $'...', the tab as two characters.
            found[name] = value[1:].replace("\\t", "\t") if f"{name}=$'" in text else value
    return MappingProxyType(found)


def load_rc_config(files: Files, name: str | None, *, defaults: bool = True) -> Mapping[str, str]:
    """The variables a script of that name sees (rc.subr, load_rc_config). Raises RcSyntaxError."""
    lines = [f". {DEFAULTS}", "source_rc_confs"] if defaults else [". /etc/rc.conf"]
    for part in () if name is None else ("network", "netif") if name == "netif" else (name,):
        for top in ("/etc", "/usr/local/etc"):
            path = f"{top}/rc.conf.d/{part}"
            if files.is_dir(path):
                lines += [f". {path}/{inner}" for inner in files.list(path)]
            elif files.exists(path):
                lines.append(f". {path}")
    return source(files, "\n".join(lines))
