"""The node hook's small questions: what CARP, hastd(8), mount(8) and service(8) say now, and its own notes.

Rules: they change nothing but the notes; whatever could hang is bounded; no answer is not an answer.
Man pages: ifconfig(8), hastctl(8), ping(8), timeout(1).
"""

from __future__ import annotations

QUESTIONS = r"""
STATE=/var/db/hactl
RUN=/var/run/hactl
LOCK=$RUN.lock
DEMOTION=net.inet.carp.demotion
HOLD=240
AGAIN=no
QUICK=no

# Notes in /var/db/hactl, each with the time since boot it was written at; a
# connection, a change of the role and a boot make them void:
#   confirmed.RES     secondary: hactl saw that this copy is complete
#   disconnected.RES  secondary: when it lost its primary
#   parted.RES        secondary: the primary let go, it did not just lose us
#   released.RES      this node gave the role up in order, nobody took it since
#   alone.RES         primary: since when it writes without a secondary
#   doubt.RES         hastd is to compare this copy with the peer's before it is used

# --- small questions --------------------------------------------------------

say() { # TEXT
	logger -t hactl -p daemon.notice "$1"
	echo "$1"
}

# Seconds since boot. The wall clock may be stepped while notes are compared; kern.boottime steps with it.
now() {
	boot=$(sysctl -n kern.boottime)
	boot=${boot#*sec = }
	boot=${boot%%,*}
	echo $(($(date +%s) - $boot))
}

# hastctl has no timeout of its own. --foreground: without it timeout(1) would
# wait for, and kill, the daemons that a service leaves behind.
bounded() { timeout --foreground -k 2 "$@"; }

answers() { # ADDRESS
	case "$1" in
	*:*) bounded 3 ping -6 -c 1 "$1" >/dev/null 2>&1 ;;
	*) bounded 5 ping -c 1 -t 2 "$1" >/dev/null 2>&1 ;;
	esac
}

# What CARP says of the vhids of the group: MASTER (all of them), MIXED (some),
# BACKUP or INIT (none), ABSENT (none, and one of them is not there).
carp_state() {
	masters=0 others=0 backups=0 absent=0
	for vhid in $VHIDS; do
		split "$vhid"
		case "$(ifconfig "$IF" 2>/dev/null | awk -v n="$NUMBER" '$1 == "carp:" && $4 == n { print $2 }')" in
		MASTER) masters=$((masters + 1)) ;;
		BACKUP) others=$((others + 1)) backups=$((backups + 1)) ;;
		INIT) others=$((others + 1)) ;;
		*) others=$((others + 1)) absent=$((absent + 1)) ;;
		esac
	done
	if [ "$others" -eq 0 ]; then
		CARP=MASTER
	elif [ "$masters" -gt 0 ]; then
		CARP=MIXED
	elif [ "$absent" -gt 0 ]; then
		CARP=ABSENT
	elif [ "$backups" -gt 0 ]; then
		CARP=BACKUP
	else
		CARP=INIT
	fi
}

split() { # NUMBER/INTERFACE/SERVING/STANDBY/WAIT
	NUMBER=${1%%/*}; rest=${1#*/}
	IF=${rest%%/*}; rest=${rest#*/}
	SERVING=${rest%%/*}; rest=${rest#*/}
	STANDBY=${rest%%/*}; WAIT=${rest#*/}
}

advskew() { # serving | standby
	for vhid in $VHIDS; do
		split "$vhid"
		if [ "$1" = serving ]; then skew=$SERVING; else skew=$STANDBY; fi
		[ "$skew" != - ] || continue
		have=$(ifconfig "$IF" 2>/dev/null | awk -v n="$NUMBER" '$1 == "carp:" && $4 == n { print $8 }')
		# A command that names a vhid which is not there would create it.
		if [ -n "$have" ] && [ "$have" != "$skew" ]; then ifconfig "$IF" vhid "$NUMBER" advskew "$skew"; fi
	done
}

role() { # RESOURCE
	bounded 10 hastctl list "$1" 2>/dev/null | awk '$1 == "role:" { print $2 }'
}

# A secondary whose primary is there: the peer is alive, and primary. A primary
# whose secondary is there.
connected() { # RESOURCE
	bounded 10 hastctl list "$1" 2>/dev/null | grep -q '^  status: complete'
}

# Everything is on both disks (complete alone does not say that, docs/freebsd-facts.md#trap-19).
clean() { # RESOURCE
	bounded 10 hastctl list "$1" 2>/dev/null |
		awk '$1 == "status:" && $2 == "complete" { s = 1 } $1 == "dirty:" && $2 == "0" { d = 1 } END { exit !(s && d) }'
}

mounted() { # PART of a line of mount(8)
	mount | grep -Fq "$1"
}

used() { # RESOURCE: its filesystem is mounted, wherever that is; its pool is imported
	resource "$1"
	case "$KIND" in
	zfs) bounded 30 zpool list -H -o name "$WHERE" >/dev/null 2>&1 ;;
	*) mounted "/dev/hast/$1 on " ;;
	esac
}

ready() { # RESOURCE: as the document wants it on the node that serves
	[ "$(role "$1")" = primary ] || return 1
	resource "$1"
	case "$KIND" in
	none) ;;
	ufs) mounted "/dev/hast/$1 on $WHERE (" ;;
	*) used "$1" ;;
	esac
}

running() { # SERVICE
	bounded 30 service "$1" onestatus >/dev/null 2>&1
}

serving() {
	for name in $RESOURCES; do ready "$name" || return 1; done
	for name in $SERVICES; do running "$name" || return 1; done
}

holding() { # anything of the group that belongs on the serving node
	for name in $RESOURCES; do
		if [ "$(role "$name")" = primary ] || used "$name"; then return 0; fi
	done
	for name in $SERVICES; do if running "$name"; then return 0; fi; done
	return 1
}

# The peer answers somewhere: on the replication network, or where hactl reaches it. One that is silent on the
# replication network only is not gone.
alive() {
	for address in $PEER $ALSO; do if answers "$address"; then return 0; fi; done
	return 1
}

witness() {
	[ -n "$WITNESSES" ] || return 0
	for address in $WITNESSES; do if answers "$address"; then return 0; fi; done
	return 1
}

reversed() { # WORDS, last first
	turned=
	for word in $1; do turned="$word $turned"; done
	echo "$turned"
}

number() { # FILE: the number it begins with, 0 when there is none
	found=$(cut -d ' ' -f 1 "$1" 2>/dev/null)
	case "$found" in '' | *[!0-9]*) echo 0 ;; *) echo "$found" ;; esac
}

noted() { # GROUP WHAT SECONDS TEXT: one line for hactl and for people
	mkdir -p -m 700 "$STATE"
	line="$(date +%s) $1 $2 $3 $4"
	last=$(tail -n 1 "$STATE/moves" 2>/dev/null | cut -d ' ' -f 2,3,5-)
	[ "$last" != "$1 $2 $4" ] || return 0
	{ [ ! -f "$STATE/moves" ] || tail -n 199 "$STATE/moves"; echo "$line"; } >"$STATE/.moves" &&
		mv -f "$STATE/.moves" "$STATE/moves"
}

stopped() { # GROUP TEXT
	say "$1: stopped: $2"
	noted "$1" stopped $(($(now) - BEGAN)) "$2"
}

forget() { # RESOURCE: whatever was noted of this copy
	rm -f "$STATE/confirmed.$1" "$STATE/disconnected.$1" "$STATE/parted.$1" "$STATE/released.$1" "$STATE/alone.$1"
}
"""
