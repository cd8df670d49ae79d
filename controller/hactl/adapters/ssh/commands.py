"""What hactl runs over SSH, and what it says when a node's shell refuses to run it.

The exec request must mean the same to sh and to csh, root's shell on FreeBSD 13: no quotes, no redirections
(timeout(1), lockf(1), doas(1), sudo(8), csh(1)).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from hactl.core.choices import NodeAccess
from hactl.core.gate.render import GATE
from hactl.core.gate.request import GATE_SAYS, REFUSED_STATUS
from hactl.core.hook.render import LOCK
from hactl.core.script import LOCK_WAIT_SECONDS
from hactl.ports import Target

#: timeout(1) sends SIGKILL this many seconds after SIGTERM.
KILL_AFTER_SECONDS = 5

#: What timeout(1) exits with when the time was up.
TIMEOUT_STATUS = 124
#: What lockf(1) exits with when its command was ended by a signal (EX_SOFTWARE).
LOCKF_SIGNAL_STATUS = 70

#: The exec request at a gate, which runs instead of it, whatever it says.
GATE_COMMAND = "hactl-gate"

_NOT_FOUND = r"(?:[Cc]ommand )?not found"
_REFUSALS: dict[str, str] = {
    "doas": r"^doas: (?:Authorization|Operation not permitted|a tty is required|.*doas is not enabled|.*doas\.conf)",
    "sudo": r"a password is required|a terminal is required|a tty is required"
    r"|not in the sudoers file|may not run sudo|is not allowed to execute|sudoers",
}


def exec_command(target: Target, timeout_seconds: float, *, exclusive: bool = False) -> str:
    """The exec request of a bounded script; `exclusive`: under the lock that the node's hook takes too.

    lockf(1) waits first, and its child does not inherit the lock: a daemon that the script starts does not keep it.

    `--foreground`: without it FreeBSD's timeout(1) becomes the reaper of everything the script starts, waits for it
    all, and at the limit kills it all: a daemon started by `service hastd onestart` would die with the exec.
    """
    if target.access is not NodeAccess.ROOT:
        return GATE_COMMAND
    lock = f"lockf -k -t {LOCK_WAIT_SECONDS} {LOCK} " if exclusive else ""
    limit = f"timeout --foreground -k {KILL_AFTER_SECONDS} {node_seconds(timeout_seconds)}"
    return f"{_prefix(target)}{lock}{limit} /bin/sh -s"


def stream_command(target: Target) -> str:
    """The exec request of a script that runs until the connection ends."""
    if target.access is not NodeAccess.ROOT:
        return GATE_COMMAND
    return f"{_prefix(target)}/bin/sh -s"


def node_seconds(timeout_seconds: float) -> int:
    """What the node is told: whole seconds, at least one (timeout(1) takes 0 as "no limit")."""
    return max(1, math.ceil(timeout_seconds))


def refusal(target: Target, exit_status: int | None, stdout: str, stderr: str) -> str | None:
    """Why the node's shell did not run our script at all, with a remedy; None: it ran.

    Told apart from the script's own failure by the tool's words and exit statuses: 1 (sudo, doas, csh's
    "Command not found."), 126 and 127 (sh).
    """
    if exit_status == REFUSED_STATUS and stderr.lstrip().startswith(GATE_SAYS):
        said = stderr.lstrip().removeprefix(GATE_SAYS).strip().splitlines()[0]
        if target.access is NodeAccess.ROOT:
            return f"this key only looks, and the document says access: Root (the gate says: {said})"
        return f"the gate refuses: {said}"
    if exit_status not in {1, 126, 127}:
        return None
    if target.access is not NodeAccess.ROOT and re.search(rf"\b{GATE_COMMAND}: {_NOT_FOUND}", stderr):
        return "the key is not held by a gate there (no command= in authorized_keys): run hactl node-access install"
    if target.access is not NodeAccess.ROOT and re.search(rf"{GATE}: {_NOT_FOUND}|{GATE}: No such file", stderr):
        return f"there is no {GATE}: run hactl node-access install"
    user, tool = target.user, target.become
    if "account is currently not available" in stdout + stderr:
        return f"the login shell of {user} is nologin(8); give {user} a real shell (chsh -s /bin/sh {user})"
    if tool and re.search(rf"\b{tool}: {_NOT_FOUND}", stderr):
        return f"{tool} is not installed for {user} (become: {tool}); install it, or log in as root"
    if tool and re.search(_REFUSALS[tool], stderr, re.MULTILINE):
        message = stderr.strip().splitlines()[-1]
        rule = {"doas": f"permit nopass {user} as root", "sudo": f"{user} ALL=(root) NOPASSWD: ALL"}[tool]
        where = {"doas": "/usr/local/etc/doas.conf", "sudo": "/usr/local/etc/sudoers.d/hactl"}[tool]
        return f"{tool} does not let {user} become root without a password ({message}); put `{rule}` into {where}"
    if re.search(rf"\blockf: {_NOT_FOUND}", stderr):
        return "lockf(1) is not there: it is in the base system of every FreeBSD; is this one?"
    if re.search(rf"\btimeout: (?:{_NOT_FOUND}|No such file)", stderr):
        return "timeout(1) is not there: hactl needs FreeBSD 13.2 or later (its base system has it)"
    return None


def default_identities(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Private keys to log in with when the document names none: HACTL_IDENTITY, else the ~/.ssh/id_* that exist."""
    environ = os.environ if environ is None else environ
    if named := environ.get("HACTL_IDENTITY"):
        return (named,)
    home = Path(environ.get("HOME") or Path.home())
    paths = [home / ".ssh" / name for name in ("id_ed25519", "id_ecdsa", "id_rsa")]
    return tuple(str(path) for path in paths if path.is_file())


def _prefix(target: Target) -> str:
    return f"{target.become} -n " if target.become else ""
