"""Whether a controller listens on a node: it notes the process that does, and another controller asks for that process.

What listens ends with the connection, or within a minute after its controller is gone (`hactl.runtime.watch`); so a
controller whose process is gone from a node does not listen there. Only the loser of a lease asks.
Rules: no program is started for it but the shell's own words; what earlier controllers left behind is taken away.
"""

from __future__ import annotations

import re

from hactl.core.script import FRAME

#: The process that listens for the controller of a token, a number in one line; gone after a boot.
_NOTE = "/var/run/hactl.listens."


def noted_listener(token: str) -> str:
    """Words of sh in front of what listens, which is this shell or what it becomes by exec."""
    return f"""\
for hactl_note in {_NOTE}*; do
	[ -f "$hactl_note" ] && read -r hactl_pid <"$hactl_note" && kill -0 "$hactl_pid" || rm -f "$hactl_note"
done 2>/dev/null
echo $$ 2>/dev/null >{_NOTE}{_checked(token)}
"""


def listening_script(token: str, nonce: str) -> str:
    """The question for `/bin/sh -s`. Raises ValueError for a token that is none."""
    note = f"{_NOTE}{_checked(token)}"
    return f"""\
if [ ! -f {note} ]; then echo '{FRAME} {nonce} no'
elif read -r hactl_pid <{note} && kill -0 "$hactl_pid" 2>/dev/null; then echo '{FRAME} {nonce} yes'
else echo '{FRAME} {nonce} no'; fi
"""


def is_listening(text: str, nonce: str) -> bool | None:
    """The answer; None: the node did not say."""
    said = {word: f"{FRAME} {nonce} {word}" in text.splitlines() for word in ("yes", "no")}
    return said["yes"] if said["yes"] is not said["no"] else None


def _checked(token: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]{1,64}", token):
        raise ValueError("a token is letters and digits")
    return token
