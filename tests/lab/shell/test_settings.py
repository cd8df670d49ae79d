"""A script begins with the variables of this run; what follows is the same again and again, and is rewritten once."""

from __future__ import annotations

import pytest

from hactl.core.hook.render import PROGRAM
from hactl.lab.shell.dialect import rewritten, settings_and_code

HOOK = f"NOW='1 2 sh -c kill'\nLIST=$'a\\nb' EMPTY=\nset -u\nA=1; export A B\n{PROGRAM}"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("A=1\nB='x\n$(kill 1) [ -b /dev/x ] & # '\necho\n", "echo\n"),
        ('A=1 B="two words"\n\nC=it\\\'s\necho', "echo"),
        ("PATH=/bin; export PATH LANG\numask 077\nsh -c x", "sh -c x"),
        # What expands, runs, redirects or goes on is code.
        ("A=$(kill 1)\n", "A=$(kill 1)\n"),
        ("A=1\nB=$A\n", "B=$A\n"),
        ("A=1 kill 1\n", "A=1 kill 1\n"),
        ("A=1 &\n", "A=1 &\n"),
        ("A=1 # it's\nB=2\n", "A=1 # it's\nB=2\n"),
        ("A=`id`\n", "A=`id`\n"),
        ("A=1; kill 1\n", "A=1; kill 1\n"),
        ("A=1", "A=1"),
        ("A='x\\'; kill 1; B='y'\n", "A='x\\'; kill 1; B='y'\n"),
        ("if x; then\nA=1\nfi\n", "if x; then\nA=1\nfi\n"),
    ],
)
def test_only_settings_are_set_apart(script: str, code: str) -> None:
    """Lines of assignments, as far as they hold nothing but text."""
    settings, rest = settings_and_code(script)
    assert rest == code
    assert settings + rest == script


def test_the_parts_become_what_the_whole_became() -> None:
    """Also with the hook behind it."""
    settings, code = settings_and_code(HOOK)
    assert code == PROGRAM[len(PROGRAM) - len(code) :]
    assert settings + rewritten(code) == rewritten(HOOK)
