"""Programs of this machine that some tests need: without one they are skipped, and the summary says what is missing.

`.ci/needs` installs them, or names them, before the tests begin. HACTL_NO_SKIPS=1 (CI) makes it a failure.
"""

from __future__ import annotations

import os
import shutil

import pytest

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def need(command: str, package: str = "") -> str:
    """The path of a program; `package`: what Debian calls its package, if not by its name."""
    found = shutil.which(command, path=_PATH)
    if found is None:
        words = f"{command} is missing: apt install {package or command}"
        if os.environ.get("HACTL_NO_SKIPS"):
            pytest.fail(words)
        pytest.skip(words)
    return found
