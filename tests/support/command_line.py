"""Running a command in this process as a person would: exit status, standard output, standard error."""

from __future__ import annotations

import contextlib
import io

import pytest

from hactl.cli.main import run

Completed = tuple[int, str, str]
#: What a person's environment may say, and must not say here unless a test does.
VARIABLES = (
    "HACTL_SERVER",
    "HACTL_CONTEXT",
    "HACTL_TOKEN",
    "HACTL_CA",
    "HACTL_STATE",
    "HACTL_CONFIG",
    "EDITOR",
    "VISUAL",
)


def say(*arguments: str, **environment: str) -> Completed:
    """One command with that environment."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run(list(arguments))
    return status, out.getvalue(), err.getvalue()
