"""Sections of a probe: one query each, framed so that `hactl.core.parse.answer.frames` can take the answer apart."""

from __future__ import annotations

#: What one query may take, seconds. Two of them must fit into the time a pass gives a node.
QUERY_SECONDS = 5
#: In front of every query that can hang. Not a function of the script: in a command substitution that costs a fork.
BOUNDED = f"timeout -k 1 {QUERY_SECONDS}"


def section(name: str, command: str) -> str:
    """A query and what it printed."""
    return f"h_b {name}; {command}; h_e {name} $?"


def kept(name: str, variable: str, command: str) -> str:
    """A query whose text the script itself needs, in that variable."""
    return f'{variable}=$({command} 2>&1); h_r=$?; h_s {name} "$h_r" "${variable}"'
