"""A running node asked for its files and for what runs: one script for sh(1), and its answer as files of a node.

Rules: read only; a file that is not there is no section; passwords are in the answer, and go where those of files go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hactl.core.adopt.node import IFCONFIG, MOUNTS, RUNNING_SYSCTL, NodeFile
from hactl.core.adopt.running import POOLS, RIVALS, ROLES, SERVICES
from hactl.core.onestatus.judge import JUDGE
from hactl.core.parse.answer.frames import FRAME, split_frames
from hactl.core.probe.script import BOUND
from hactl.core.probe.script import RIVALS as RIVALS_IN_SH
from hactl.core.script import PATH
from hactl.core.sh import quote

#: Bytes of one file or answer; a longer one is cut.
_LIMIT = 256 * 1024
#: In the order rc(8) reads them; what counts only where no file says otherwise comes before.
_FILES = (
    "/etc/rc.conf /etc/rc.conf.local /etc/rc.conf.d/* /etc/rc.conf.d/*/* /usr/local/etc/rc.conf.d/* "
    "/usr/local/etc/rc.conf.d/*/* /etc/hast.conf /etc/sysctl.conf /etc/sysctl.conf.local /boot/loader.conf "
    "/boot/loader.conf.d/*.conf /boot/loader.conf.local /etc/fstab /etc/devd.conf /etc/devd/*.conf "
    "/usr/local/etc/devd/*.conf"
)
#: Of the base system's scripts those whose service people move; of ports every one.
_BASE_SERVICES = "nfsd ctld ftpd inetd local_unbound bhyve jail pf"


@dataclass(frozen=True, slots=True)
class Reached:
    """How a node was reached, and the public host key that it showed."""

    host: str
    port: int
    user: str
    host_key: str


def live_script(nonce: str) -> str:
    """For `/bin/sh -s`; `nonce` frames its answer (see `hactl.core.parse.answer.frames`)."""
    return f"""\
PATH={PATH}; LC_ALL=C; export PATH LC_ALL
h_frame={quote(f"{FRAME} {nonce}")}; h_n=0
h_begin() {{ h_n=$((h_n + 1)); printf '%s begin %s\\n' "$h_frame" "$h_n"; printf '%s\\n' "$1"; }}
{JUDGE}
{RIVALS_IN_SH}
h_end() {{ printf '\\n%s end %s %s\\n' "$h_frame" "$h_n" "$1"; }}
h_begin {quote(RUNNING_SYSCTL)}; sysctl net.inet.carp.preempt 2>/dev/null; h_end $?
for h_file in {_FILES}; do
	[ -f "$h_file" ] && [ -r "$h_file" ] || continue
	h_begin "$h_file"; head -c {_LIMIT} "$h_file"; h_end $?
done
h_begin hostname; h_name=$(hostname); h_r=$?; printf 'hostname="%s"\\n' "$h_name"; h_end $h_r
h_begin {quote(MOUNTS)}; mount -p 2>/dev/null; h_end $?
# zpool(8) would load ZFS where it is not.
h_begin {quote(POOLS)}; kldstat -q -m zfs && {BOUND} zpool list -HvP -o name,health 2>/dev/null; h_end $?
h_begin {quote(IFCONFIG)}; ifconfig -k; h_end $?
if [ -r /etc/hast.conf ]; then h_begin {quote(ROLES)}; {BOUND} hastctl list 2>/dev/null; h_end $?; fi
hactl_rival_files ""; h_begin {quote(RIVALS)}; hactl_rivals "" $hactl_files; h_end $?
h_begin {quote(SERVICES)}
for h_file in $(printf '/etc/rc.d/%s\n' {_BASE_SERVICES}) /usr/local/etc/rc.d/*; do
	case "$h_file" in */hactl_*) continue ;; esac
	[ -f "$h_file" ] && [ -x "$h_file" ] || continue
	h_text=$({BOUND} service "${{h_file##*/}}" onestatus 2>&1)
	hactl_judge $? "$h_text"
	# The script of jail(8) lists those that there are, and succeeds without any (docs/services.md); hastd has each of
	# its workers in one (docs/freebsd-facts.md#7.67).
	[ "${{h_file##*/}}" != jail ] || jls host.hostname 2>/dev/null | grep -Eqv '^"?hastd: ' || hactl_runs=no
	h_pid=${{h_text##*is running as pid }}; h_pid=${{h_pid%%[!0-9]*}}
	case "$hactl_runs" in yes | no) printf '%s %s %s\n' "${{h_file##*/}}" "$hactl_runs" "${{h_pid:-0}}" ;; esac
done
h_end 0
printf '%s done\\n' "$h_frame"
"""


def parse_live(host: str, answer: str, nonce: str) -> tuple[NodeFile, ...] | None:
    """The files of the node, each named `HOST:PATH`; None: the answer is not whole."""
    try:
        frames = split_frames(answer, nonce)
    except ValueError:
        return None
    if not frames.complete:
        return None
    found = []
    for number, section in sorted(frames.sections.items(), key=lambda item: int(item[0])):
        path, _, text = section.text.partition("\n")
        if section.status == 0 and number:
            found.append(NodeFile(f"{host}:{path}", text))
    return tuple(found)


def reached_at(text: str) -> tuple[str, str, int] | None:
    """User, host and port of `[USER@]HOST[:PORT]`; an IPv6 address with a port is in brackets. None: it is neither."""
    user, at, place = text.rpartition("@")
    if bracketed := re.fullmatch(r"\[([^\[\]]+)\](?::([0-9]{1,5}))?", place):
        host, port = bracketed[1], bracketed[2]
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    else:
        host, port = place, None
    if not host or (at and not user) or (port is not None and not re.fullmatch(r"[0-9]{1,5}", port)):
        return None
    return user or "root", host, int(port) if port is not None else 22
