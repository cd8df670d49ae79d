"""The part of the probe that reads what a node has of the node hook; `hactl.core.parse.hook` reads the answer.

Man pages: stat(1), sha256(1), tail(1), devd.conf(5).
"""

from __future__ import annotations

from hactl.core.hook.render import DEVD_RULE, HOOK, RC_GUARD, RC_NODE, STATE_DIRECTORY
from hactl.core.steps import quote

#: Lines of the node hook's own record of moves that are fetched.
MOVE_LINES = 20
#: Bytes of devd's rules that are fetched; more is not understood.
RULES_LIMIT = 65536
#: A `notify` with a priority of three digits or more, or one whose priority is on the next line.
_HIGH = "notify[[:space:]]+[0-9][0-9][0-9]|notify[[:space:]]*$"


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
            *_rules(root),
        ]
    )


def _rules(root: str) -> list[str]:
    """devd's files but the hook's own, as `FILE:LINE:TEXT`: those that could have rules devd prefers to the hook's.

    They are few (a fresh FreeBSD has none or two), so that most passes fork one grep(1) for them.
    """
    place = quote(root)
    ours = quote(root + DEVD_RULE)
    return [
        "h_b devd",
        "set --",
        f"for h_f in {place}/etc/devd.conf {place}/etc/devd/*.conf {place}/usr/local/etc/devd/*.conf; do",
        f'if [ -f "$h_f" ] && [ "$h_f" != {ours} ]; then set -- "$@" "$h_f"; fi; done',
        f'h_f=; h_r=1; if [ $# -gt 0 ]; then h_f=$(grep -lE {quote(_HIGH)} "$@"); h_r=$?; fi',
        # Unquoted: of a name with blanks in it grep says that it is not there, which is not understood.
        f'case "$h_r" in 0) grep -n "" /dev/null $h_f | head -c {RULES_LIMIT + 1} ;; 1) h_r=0 ;; esac',
        'h_e devd "$h_r"',
    ]
