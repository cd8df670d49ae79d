"""A node's sh on this machine: dash, the shell nearest to FreeBSD's, with functions in place of a node's programs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from hactl.core.onestatus.judge import JUDGE
from support.limits import LIMIT_SECONDS

DASH = shutil.which("dash") or "/bin/sh"
#: Programs of the base system that this machine has under another name, or not at all.
BASE = {"fsync": 'sync "$@"', "chflags": "true"}


def judged(text: str, status: int, shell: str = DASH, *, name: str = "") -> str:
    """What the node makes of a service's answer and its exit status: yes, no or unclear."""
    asked = f'set -u\n{JUDGE}\nhactl_judge "$1" "$2" "$3"\necho "$hactl_runs"'
    ran = subprocess.run(
        [shell, "-c", asked, "sh", str(status), text, name],
        capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True,
    )  # fmt: skip
    assert ran.stderr == ""
    return ran.stdout.strip()


def node_says(test: str, place: Path, **programs: str) -> bool:
    """Whether a check, or a command, succeeds on a node where these programs do that (sh text)."""
    programs = {**BASE, **programs}
    text = "\n".join(f"{name}() {{ {body}; }}" for name, body in programs.items())
    ran = subprocess.run(
        [DASH, "-s"], input=f"set -u\n{text}\n( {test}\n)\n".encode(), timeout=LIMIT_SECONDS, check=False, cwd=place,
        capture_output=True,
    )  # fmt: skip
    return ran.returncode == 0
