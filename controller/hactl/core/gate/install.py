"""What a level of access needs on a node, and the sh that looks whether it is there, puts it there, or takes a key out.

Levels: root, a key that may do everything, and observe, a key that reaches the gate alone. Rules: a key is known by its
base64 text, so that a line that an administrator wrote for it is replaced and not doubled; other lines stay; a file is
replaced, never written (`hactl.core.changes.replace`). What lies in a user's home is written as that user: root would
follow a link that the user, or a thief of the account, put there. Man pages: sshd(8) (AUTHORIZED_KEYS FILE FORMAT),
doas.conf(5), sudoers(5), chroot(8).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from hactl.core.changes.replace import making, replacing, text_into_new
from hactl.core.gate.render import GATE
from hactl.core.script import FRAME, PATH
from hactl.core.sh import quote

#: Where the rules of doas and sudo stand.
DOAS_CONF = "/usr/local/etc/doas.conf"
SUDOERS = "/usr/local/etc/sudoers.d/hactl"
#: Names of uid 0.
_ROOTS = ("root", "toor")
_KEY = re.compile(r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-[a-z0-9@.-]+) ([A-Za-z0-9+/]{40,}={0,3})")
_FROM = re.compile(r"[A-Za-z0-9.:/*?!_-]+")


class Level(StrEnum):
    """What a key can do on a node."""

    OBSERVE = "observe"
    ROOT = "root"


@dataclass(frozen=True, slots=True)
class Login:
    """A key of one level on one node."""

    level: Level
    #: As the document names it.
    user: str
    become: Literal["doas", "sudo"] | None
    #: "ssh-ed25519 AAAA..." in one line; a comment after it is dropped.
    public_key: str
    #: Where it may come from, as `from=` takes it; empty: from everywhere.
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for what is no key, and for a place that is none."""
        if not _KEY.match(self.public_key):
            raise ValueError(f"{self.public_key[:40]!r} is no public key in one line (ssh-ed25519 AAAA...)")
        for each in self.sources:
            if not _FROM.fullmatch(each):
                raise ValueError(f"{each!r} is no address, network (192.0.2.0/24) or pattern for from=")

    @property
    def base64(self) -> str:
        """The key without its kind and comment."""
        found = _KEY.match(self.public_key)
        assert found is not None
        return found[1]

    @property
    def authorized_keys(self) -> str:
        """The file, for people and for sh (which expands ~)."""
        return f"~{self.user}/.ssh/authorized_keys"

    @property
    def line(self) -> str:
        """The key's line in that file: nothing but commands, and of level observe only the gate."""
        options = ["restrict"]
        if self.sources:
            options.append(f'from="{",".join(self.sources)}"')
        if self.level is Level.OBSERVE:
            prefix = f"{self.become} -n " if self.become else ""
            options.append(f'command="{prefix}{GATE} {self.level}"')
        kind = self.public_key.split()[0]
        return f"{','.join(options)} {kind} {self.base64} hactl-{self.level}"

    @property
    def rule(self) -> tuple[str, str] | None:
        """The file of doas or sudo, and the line that lets the user become root for this; None: it is root."""
        gate = self.level is Level.OBSERVE
        if self.become == "doas":
            return DOAS_CONF, f"permit nopass {self.user} as root" + (f" cmd {GATE} args {self.level}" if gate else "")
        if self.become == "sudo":
            return SUDOERS, f"{self.user} ALL=(root) NOPASSWD: " + (f"{GATE} {self.level}" if gate else "ALL")
        return None


#: Sentence for people -> a test in sh that succeeds when it is so.
Conditions = dict[str, str]


def conditions(login: Login, gate: str) -> Conditions:
    """What has to be so on the node. `gate`: the text of the gate file; used by level observe only."""
    key = quote(login.base64)
    found: Conditions = {
        f"{login.authorized_keys} has the key once, with the options it should have": (
            f"grep -qxF {quote(login.line)} {login.authorized_keys} && "
            f'[ "$(grep -cF {key} {login.authorized_keys})" -eq 1 ]'
        ),
        f"{login.authorized_keys} is {login.user}'s, and nobody else but root can write it": (
            f'! stat -f "%Su %Lp" {login.authorized_keys} ~{login.user}/.ssh | grep -Eqv '
            + quote(rf"^({re.escape(login.user)}|root) [0-7]*[0145][0145]$")
        ),
    }
    if login.level is Level.OBSERVE:
        digest = hashlib.sha256(gate.encode()).hexdigest()
        found[f"{GATE} is the gate of this document and this hactl"] = f'[ "$(sha256 -q {GATE})" = {digest} ]'
        found[f"{GATE} belongs to root, who alone may use it"] = f'[ "$(stat -f "%u %Lp" {GATE})" = "0 500" ]'
    if login.rule is not None:
        path, line = login.rule
        found[f"{path} lets {login.user} become root for it"] = f"grep -qxF {quote(line)} {path}"
    return found


def check_script(wanted: Conditions, nonce: str) -> str:
    """The script for `/bin/sh -s`; nothing is changed. `read_check` reads its answer."""
    lines = [f"PATH={PATH}; LC_ALL=C; export PATH LC_ALL"]
    for number, test in enumerate(wanted.values()):
        lines.append(f"if ( {test}\n) </dev/null >/dev/null 2>&1; then h_is=yes; else h_is=no; fi")
        lines.append(f'echo "{FRAME} {nonce} {number} $h_is"')
    return "\n".join(["{", *lines, "}"]) + "\n"


def read_check(wanted: Conditions, text: str, nonce: str) -> list[str] | None:
    """The sentences that are not so; None: the node did not answer to the end."""
    said = text.splitlines()
    missing = []
    for number, sentence in enumerate(wanted):
        if f"{FRAME} {nonce} {number} no" in said:
            missing.append(sentence)
        elif f"{FRAME} {nonce} {number} yes" not in said:
            return None
    return missing


def install_script(login: Login, gate: str) -> str:
    """Puts everything there, the key last. The script for `/bin/sh -s` as root; it ends at the first that fails."""
    steps = []
    if login.user not in _ROOTS:
        unknown = (
            f"there is no user {login.user} here: make one, with a home and /bin/sh (pw useradd -n NAME -m -s /bin/sh)"
        )
        steps.append(f"id {login.user} >/dev/null 2>&1 || {{ echo {quote(unknown)}; exit 1; }}")
    if login.level is Level.OBSERVE:
        directory = GATE.rpartition("/")[0]
        steps.append("\n".join([making(directory), replacing(GATE, *text_into_new(gate), mode=0o500)]))
    if login.rule is not None:
        path, line = login.rule
        steps.append("\n".join([making(path.rpartition("/")[0]), _with_line(path, line, line, whole=True)]))
    home = f"~{login.user}/.ssh"
    made = f"[ -d {home} ] || {{ mkdir -m 700 {home} && fsync ~{login.user}; }} || exit 1"
    with_key = _with_line(login.authorized_keys, login.line, login.base64)
    return _script([*steps, _as(login.user, f"{made}\n{with_key}")])


def line_script(login: Login, nonce: str) -> str:
    """Asks for the line that a key has now; `read_line` reads the answer."""
    path = login.authorized_keys
    lines = [
        f"PATH={PATH}; LC_ALL=C; export PATH LC_ALL",
        f"h_line=$(grep -F {quote(login.base64)} {path} | head -n 1)",
    ]
    return "\n".join([*lines, f"printf '%s %s\\n' '{FRAME} {nonce}' \"$h_line\""]) + "\n"


def read_line(text: str, nonce: str) -> str | None:
    """The line; empty: the key has none; None: the node did not answer."""
    start = f"{FRAME} {nonce} "
    return next((line.removeprefix(start).strip() for line in text.splitlines() if line.startswith(start)), None)


def beside_script(login: Login, line: str, new_key: str) -> tuple[str, str]:
    """Puts another key beside one, with the same options: the script for `/bin/sh -s` as root, and the new line.

    Raises ValueError when `line` is not one of the key's.
    """
    kind, base64 = login.public_key.split()[:2]
    new_kind, new_base64 = new_key.split()[:2]
    if f"{kind} {base64}" not in line:
        raise ValueError("the key's line in authorized_keys has another kind of key in it")
    new = line.replace(f"{kind} {base64}", f"{new_kind} {new_base64}")
    return _script([_as(login.user, _with_line(login.authorized_keys, new, new_base64))]), new


def removal_script(login: Login) -> str:
    """Takes the key out of authorized_keys; the gate and the rules stay. The script for `/bin/sh -s` as root."""
    path = login.authorized_keys
    kept = f'{{ grep -vF {quote(login.base64)} {path} >"$hactl_new" || [ $? -eq 1 ]; }}'
    return _script([_as(login.user, f"[ -f {path} ] || exit 0\n{replacing(path, kept)}")])


def _with_line(path: str, line: str, others: str, *, whole: bool = False) -> str:
    """Replace a file by itself without the lines that have `others` in them, and with `line` at its end."""
    drop = f"grep -v{'x' if whole else ''}F {quote(others)}"
    make = f'{{ {{ [ ! -f {path} ] || {drop} {path} || [ $? -eq 1 ]; }} && echo {quote(line)}; }} >"$hactl_new"'
    return replacing(path, make, mode=0o440 if path == SUDOERS else 0o600)


def _as(user: str, script: str) -> str:
    """The script, run as a user who is not root, with no group of root's; login shells and PAM are not asked."""
    if user in _ROOTS:
        return script
    group = '"$hactl_group"'
    become = f"chroot -u {user} -g {group} -G {group} / /bin/sh -s"
    return "\n".join([f"hactl_group=$(id -g {user}) || exit 1", f"{become} <<'HACTL_AS'", script, "HACTL_AS"])


def _script(steps: Sequence[str]) -> str:
    """Each in a shell of its own, for they name their variables alike."""
    lines = [f"PATH={PATH}; LC_ALL=C; export PATH LC_ALL", "umask 022"]
    for each in steps:
        lines += ["(", each, ") </dev/null 2>&1 || exit 1"]
    return "\n".join(["{", *lines, "}"]) + "\n"
