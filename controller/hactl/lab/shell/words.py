"""What a script names, by a look at its text: so that its shell knows what to provide.

Rules:
- A look is coarse: a name in a string counts as well as one that is run.
- What bashkit plays by itself is `PLAYED`; the lab's own programs go before it, except where `ONLY_WHERE` says when;
  test(1) is its own but for what `dialect` hands to `__test`.
- Man pages: sh(1).
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache

from bashkit import Bash

from hactl.lab.program import COMMANDS
from hactl.lab.shell import dialect

_PATHS = re.compile(r"/[\w./-]+")
_WORDS = re.compile(r"[\w.\[-]+")
#: Programs that the player itself has.
PLAYED = frozenset(Bash().capabilities().builtins) - dialect.FOREIGN
#: Programs that are the player's own except where the script uses them in FreeBSD's way.
ONLY_WHERE = {
    "sed": re.compile(r"\bsed\b[^\n]*\s-[iI]"),
    "tail": re.compile(r"\btail\b[^\n]*\s-[fF]"),
}
#: Where programs of the base system live, which the player finds by itself; and devices, which are none.
_NOT_SCRIPTS = frozenset({"/", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/dev", "/dev/hast"})
#: A path where a command begins, as far as a look can tell.
_COMMANDS = re.compile(r"""(?:^|[;&|({!`\n]|\b(?:then|do|else|if|elif|while|until|exec)\b)\s*"?(/[\w./-]+)""")
_ZERO = re.compile(r"\$(?:0(?!\d)|\{0[}%#:])")
_QUOTED = re.compile(r"'[^']*'")
#: A redirection that can create a file.
_INTO_FILES = re.compile(r">(?!&|\s*/dev/null\b)")
#: Programs that print while they run, when nothing stands between them and the reader.
_LIVE = re.compile(r"^\s*(?:exec\s+)?(?:timeout\s+[^|>&;]*?)?(?:/usr/bin/)?(?:nc|tail)\b[^|>&;\n]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Words:
    """What a script names: found once per text, because simulations run the same scripts again and again."""

    #: Programs of the lab, and names FreeBSD has not.
    programs: frozenset[str]
    foreign: frozenset[str]
    #: Directories of the paths it names.
    directories: frozenset[str]
    #: Paths it may run: scripts outside the base system's program directories; those that stand where a command does.
    scripts: frozenset[str]
    commands: frozenset[str]
    #: It says `$0`.
    own_name: bool
    #: It prints while it runs.
    live: bool
    #: It may create files by redirection (what stands in single quotes is taken for another program's text).
    redirects: bool


@lru_cache(maxsize=256)
def read_words(script: str) -> Words:
    """Look at a script's words."""
    words = set(_WORDS.findall(script))
    known, paths, plain = words & COMMANDS.keys() - {"[", "test"}, _PATHS.findall(script), _QUOTED.sub("", script)
    return Words(
        programs=frozenset(word for word in known if word not in ONLY_WHERE or ONLY_WHERE[word].search(script)),
        foreign=frozenset(words & dialect.FOREIGN),
        directories=frozenset({posixpath.dirname(path) for path in paths} - {"", "/"}),
        scripts=frozenset(path for path in paths if posixpath.dirname(path) not in _NOT_SCRIPTS),
        commands=frozenset(_COMMANDS.findall(script)),
        own_name=_ZERO.search(plain) is not None,
        live=_LIVE.search(script) is not None,
        redirects=_INTO_FILES.search(plain) is not None,
    )
