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
#: nc ends after this much silence (-w), and is started again at once, seconds. Without it an nc whose reader is gone
#: could stay until the next event and keep one of devd's 10 places.
IDLE_SECONDS = 60

#: Everything in it ends after IDLE_SECONDS, or when it next prints after we are gone. Without devd the rest goes on:
#: its death is what pwait(1) tells of. A daemon is a child of init. First it is noted who listens, see `listen_script`.
LISTEN = f"""\
PATH=/sbin:/bin:/usr/sbin:/usr/bin; export PATH
echo '# listening'
if command -v pwait >/dev/null 2>&1; then
	while pwait -o -t {IDLE_SECONDS} $(pgrep -P 1) </dev/null >/dev/null 2>&1; do
		echo '# a daemon ended'; sleep 1
	done &
	timeout {IDLE_SECONDS} tail -n 0 -F /var/log/messages 2>/dev/null </dev/null |
		grep --line-buffered 'hastd\\[' &
	test -S /var/run/devd.pipe || exec sleep {IDLE_SECONDS}
fi
test -S /var/run/devd.pipe || exit 3
exec nc -dU -w {IDLE_SECONDS} /var/run/devd.pipe
"""


def noted_listener(token: str) -> str:
    """Words of sh in front of what listens, which is this shell or what it becomes by exec."""
    return f"""\
for hactl_note in {_NOTE}*; do
	[ -f "$hactl_note" ] && read -r hactl_pid <"$hactl_note" && kill -0 "$hactl_pid" || rm -f "$hactl_note"
done 2>/dev/null
echo $$ 2>/dev/null >{_NOTE}{_checked(token)}
"""


def listen_script(token: str) -> str:
    """What listens on a node, and notes there that the controller of that token does."""
    return noted_listener(token) + LISTEN


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
