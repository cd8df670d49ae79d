"""The part of the probe that reads what a node has of the node hook; `hactl.core.parse.hook` reads the answer.

Man pages: stat(1), sha256(1), tail(1).
"""

from __future__ import annotations

from hactl.core.hook import DEVD_RULE, HOOK, RC_GUARD, RC_NODE, STATE_DIRECTORY
from hactl.core.steps import quote

#: Lines of the node hook's own record of moves that are fetched.
MOVE_LINES = 20


def hook_section(root: str) -> str:
    """The node hook: its files with modes and checksums, and its notes, which are read without a fork each."""
    files = " ".join(quote(path) for path in (HOOK, DEVD_RULE, RC_GUARD, RC_NODE))
    state = quote(root + STATE_DIRECTORY)
    notes = " ".join(
        [
            *(f"{state}/{name}" for name in ("lease", "drained", "confirmed.*", "disconnected.*")),
            *(quote(f"{root}/var/run/hactl.{name}") for name in ("held", "devd")),
        ]
    )
    return "\n".join(
        [
            "h_b hook",
            "set --",
            f'for h_f in {files}; do if [ -f {quote(root)}"$h_f" ]; then',
            f'printf \'file %s\\n\' "$h_f"; set -- "$@" {quote(root)}"$h_f"; fi; done',
            'if [ $# -gt 0 ]; then stat -f %Lp "$@"; sha256 -q "$@"; fi',
            f'for h_f in {notes}; do if [ -f "$h_f" ]; then h_v=; IFS= read -r h_v <"$h_f"',
            'printf \'note %s %s\\n\' "$h_f" "$h_v"; fi; done',
            f"if [ -f {state}/moves ]; then tail -n {MOVE_LINES} {state}/moves | sed 's/^/move /'; fi",
            "h_e hook 0",
        ]
    )
