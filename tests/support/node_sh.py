"""A node's sh on this machine: dash, the shell nearest to FreeBSD's, with functions in place of a node's programs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from support.limits import LIMIT_SECONDS

DASH = shutil.which("dash") or "/bin/sh"
#: Programs of the base system that this machine has under another name, or not at all.
BASE = {"fsync": 'sync "$@"', "chflags": "true"}


def node_says(test: str, place: Path, **programs: str) -> bool:
    """Whether a check, or a command, succeeds on a node where these programs do that (sh text)."""
    programs = {**BASE, **programs}
    text = "\n".join(f"{name}() {{ {body}; }}" for name, body in programs.items())
    ran = subprocess.run(
        [DASH, "-s"], input=f"set -u\n{text}\n( {test}\n)\n".encode(), timeout=LIMIT_SECONDS, check=False, cwd=place,
        capture_output=True,
    )  # fmt: skip
    return ran.returncode == 0
