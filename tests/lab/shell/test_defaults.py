"""What POSIX lets a script say of a variable that is not set is not taken for one of bash's own expansions."""

from __future__ import annotations

import pytest

from hactl.lab.shell.dialect import syntax_error


@pytest.mark.parametrize("text", ["${x:-0}", "${x:-1}", "${x:=0}", "${x:+1}", "${x-0}", "${x#*sec = }", "${x%%,*}"])
def test_defaults_and_patterns_are_posix(text: str) -> None:
    """sh(1), "Parameter Expansion"."""
    assert syntax_error(f"echo {text}") is None


@pytest.mark.parametrize("text", ["${x:0}", "${x:1:2}", "${x: 1}", "${x: -1}", "${x/a/b}", "${x^^}", "${x@Q}"])
def test_what_only_bash_has_is_a_bad_substitution(text: str) -> None:
    """ash says so (bin/sh/expand.c)."""
    assert syntax_error(f"echo {text}") == "Bad substitution"
