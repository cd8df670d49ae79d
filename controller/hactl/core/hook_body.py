"""The static part of the node hook: POSIX sh, base system only. `hactl.core.hook` puts the settings in front of it.

Rules: triggers are hints, the state is read again under the lock; every step is bounded, idempotent and logged; the
next run heals what a killed one left; a role is never changed under a device that is in use (I2), a node is promoted
only when its copy is known to be complete (I4) and the peer has let go or is gone (I1).
Sources: FACTS 1.2 (carp(4) timing), 2.1 to 2.9 (hastd(8)), 3.1 (service(8)); man pages devd.conf(5), lockf(1), rc(8).
"""

from __future__ import annotations

BODY = r"""
STATE=/var/db/hactl
RUN=/var/run/hactl
LOCK=$RUN.lock
DEMOTION=net.inet.carp.demotion
HOLD=240
AGAIN=no
QUICK=no

# --- small questions --------------------------------------------------------

say() { logger -t hactl -p daemon.notice "$1"; echo "$1"; }

now() { date +%s; }

# hastctl has no timeout of its own. --foreground: without it timeout(1) would
# wait for, and kill, the daemons that a service leaves behind.
bounded() { timeout --foreground -k 2 "$@"; }

answers() { # ADDRESS
	case "$1" in
	*:*) bounded 3 ping -6 -c 1 "$1" >/dev/null 2>&1 ;;
	*) bounded 5 ping -c 1 -t 2 "$1" >/dev/null 2>&1 ;;
	esac
}

# What CARP says of all vhids of the group: one of its states, MIXED or ABSENT.
carp_state() {
	CARP=
	for vhid in $VHIDS; do
		split "$vhid"
		state=$(ifconfig "$IF" 2>/dev/null | awk -v n="$NUMBER" '$1 == "carp:" && $4 == n { print $2 }')
		[ -n "$state" ] || state=ABSENT
		if [ -z "$CARP" ]; then CARP=$state; elif [ "$CARP" != "$state" ]; then CARP=MIXED; fi
	done
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

role() { bounded 10 hastctl list "$1" 2>/dev/null | awk '$1 == "role:" { print $2 }'; }

# A secondary whose primary is there: the peer is alive, and primary.
connected() { bounded 10 hastctl list "$1" 2>/dev/null | grep -q '^  status: complete'; }

used() { # RESOURCE: its filesystem is mounted, its pool imported
	resource "$1"
	case "$KIND" in
	ufs) mount | grep -Fq "/dev/hast/$1 on " ;;
	zfs) zpool list -H -o name "$WHERE" >/dev/null 2>&1 ;;
	*) return 1 ;;
	esac
}

ready() { # RESOURCE: as the document wants it on the node that serves
	[ "$(role "$1")" = primary ] || return 1
	resource "$1"
	[ "$KIND" = none ] || used "$1"
}

running() { bounded 30 service "$1" onestatus >/dev/null 2>&1; }

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

reversed() { # WORDS, last first
	turned=
	for word in $1; do turned="$word $turned"; done
	echo "$turned"
}

noted() { # GROUP WHAT SECONDS TEXT: one line for hactl and for people
	mkdir -p -m 700 "$STATE"
	line="$(now) $1 $2 $3 $4"
	last=$(tail -n 1 "$STATE/moves" 2>/dev/null | cut -d ' ' -f 2,3,5-)
	[ "$last" != "$1 $2 $4" ] || return 0
	{ [ ! -f "$STATE/moves" ] || tail -n 199 "$STATE/moves"; echo "$line"; } >"$STATE/.moves" &&
		mv -f "$STATE/.moves" "$STATE/moves"
}

stopped() { # GROUP TEXT
	say "$1: stopped: $2"
	noted "$1" stopped $(($(now) - BEGAN)) "$2"
}

# --- taking over ------------------------------------------------------------

take() { # GROUP
	BEGAN=$(now)
	if [ "$POLICY" != Automatic ]; then
		noted "$1" reported 0 "the addresses are here; the policy is Manual"
		say "$1: the addresses are here and nothing is moved: the policy is Manual"
		return 0
	fi
	if [ -f "$STATE/drained" ]; then
		noted "$1" reported 0 "the addresses are here; the node is drained"
		say "$1: the addresses are here and nothing is moved: the node is drained"
		return 0
	fi
	AGAIN=yes
	still_master "$SETTLE" || return 0
	PHASES=
	for name in $RESOURCES; do
		[ "$(role "$name")" = primary ] || may_promote "$1" "$name" || return 0
	done
	for name in $RESOURCES; do promote "$1" "$name" || return 0; done
	for name in $RESOURCES; do attach "$1" "$name" || return 0; done
	started=$(now)
	for name in $SERVICES; do
		running "$name" && continue
		say "$1: starting $name"
		bounded 60 service "$name" onestart >/dev/null 2>&1
		running "$name" || { stopped "$1" "service $name does not start"; return 0; }
	done
	PHASES="$PHASES services $(($(now) - started))"
	advskew serving
	AGAIN=no
	noted "$1" took $(($(now) - BEGAN)) "${PHASES# }"
	say "$1: served here, $(($(now) - BEGAN)) s after the addresses came"
}

still_master() { # SECONDS
	more=$1
	while :; do
		carp_state
		[ "$CARP" = MASTER ] || return 1
		[ "$more" -gt 0 ] || return 0
		sleep 1
		more=$((more - 1))
	done
}

may_promote() { # GROUP RESOURCE
	resource "$2"
	[ -z "$WITNESSES" ] || witness || { stopped "$1" "no witness answers: this node may be cut off"; return 1; }
	[ -f "$STATE/confirmed.$2" ] ||
		{ AGAIN=no; stopped "$1" "the copy of $2 is not known to be complete; hactl or a person decides"; return 1; }
	# While the primary is connected it is alive, and primary. When it lost its power nothing closes the connection
	# before hastd's timeout; then it does not answer on the replication network either. That it does not answer
	# says something only if it did answer while all was well: a firewall may keep ping out.
	waited=0 silent=0
	pings=no
	if grep -q answers "$STATE/confirmed.$2"; then pings=yes; fi
	while connected "$2"; do
		if [ "$pings" = no ] || answers "$PEER"; then silent=0; else silent=$((silent + 1)); fi
		[ "$silent" -lt 3 ] || break
		[ "$waited" -lt $((TIMEOUT + 10)) ] ||
			{ stopped "$1" "the peer is still primary for $2 and connected"; return 1; }
		sleep 1
		waited=$((waited + 1))
		still_master 0 || return 1
	done
	PHASES="$PHASES peer $waited"
	if [ "$silent" -lt 3 ]; then recent "$1" "$2" && gone "$1" "$2"; fi
}

witness() {
	for address in $WITNESSES; do if answers "$address"; then return 0; fi; done
	return 1
}

# A copy is complete as of the moment its primary was last heard: a primary acknowledges no write alone before
# its own timeout has passed, and by then this side has noticed too. If the addresses came long after that
# moment, the peer has served on without this copy.
recent() { # GROUP RESOURCE
	tries=0
	while [ ! -f "$STATE/disconnected.$2" ] && [ "$tries" -lt 3 ]; do sleep 1; tries=$((tries + 1)); done
	split "${VHIDS%% *}"
	came=$(number "$RUN.master.$NUMBER@$IF")
	[ "$came" -gt 0 ] || came=$(now)
	[ "$(number "$STATE/disconnected.$2")" -ge $((came - WAIT - 2)) ] && return 0
	AGAIN=no
	stopped "$1" "the copy of $2 was disconnected before the addresses came and may be old; hactl or a person decides"
	return 1
}

number() { # FILE: the number in it, 0 when there is none
	found=$(cat "$1" 2>/dev/null)
	case "$found" in '' | *[!0-9]*) echo 0 ;; *) echo "$found" ;; esac
}

# A primary that lives connects again every 10 s: one that could and does not has let go, or is gone.
gone() { # GROUP RESOURCE
	left=12
	while [ "$left" -gt 0 ] && { [ "$pings" = no ] || answers "$PEER"; }; do
		if connected "$2"; then stopped "$1" "the peer is primary for $2 again"; return 1; fi
		sleep 1
		left=$((left - 1))
		still_master 0 || return 1
	done
	PHASES="$PHASES gone $((12 - left))"
}

promote() { # GROUP RESOURCE
	[ "$(role "$2")" != primary ] || return 0
	resource "$2"
	say "$1: making $2 primary here"
	started=$(now)
	bounded $((TIMEOUT + 15)) hastctl role primary "$2" || { stopped "$1" "hastctl role primary $2 fails"; return 1; }
	left=$((TIMEOUT + 15))
	while [ ! -c "/dev/hast/$2" ]; do
		[ "$left" -gt 0 ] || { stopped "$1" "/dev/hast/$2 does not come"; return 1; }
		sleep 1
		left=$((left - 1))
	done
	[ "$(role "$2")" = primary ] || { stopped "$1" "$2 did not stay primary: see /var/log/messages"; return 1; }
	rm -f "$STATE/confirmed.$2" "$STATE/disconnected.$2"
	PHASES="$PHASES role $(($(now) - started))"
}

attach() { # GROUP RESOURCE
	resource "$2"
	[ "$KIND" != none ] || return 0
	if used "$2"; then return 0; fi
	started=$(now)
	case "$KIND" in
	ufs)
		say "$1: checking and mounting /dev/hast/$2 on $WHERE"
		bounded 1800 fsck -p -t ufs "/dev/hast/$2" >/dev/null ||
			{ AGAIN=no; stopped "$1" "fsck -p of /dev/hast/$2 fails: fsck -t ufs /dev/hast/$2 by hand"; return 1; }
		PHASES="$PHASES fsck $(($(now) - started))"
		mkdir -p "$WHERE"
		if [ -n "$OPTIONS" ]; then
			bounded 120 mount -t ufs -o "$OPTIONS" "/dev/hast/$2" "$WHERE"
		else
			bounded 120 mount -t ufs "/dev/hast/$2" "$WHERE"
		fi || { stopped "$1" "/dev/hast/$2 cannot be mounted on $WHERE"; return 1; }
		;;
	zfs)
		say "$1: importing $WHERE"
		bounded 300 zpool import -f -d /dev/hast -o cachefile=none "$WHERE" ||
			{ stopped "$1" "zpool import $WHERE fails"; return 1; }
		;;
	esac
	PHASES="$PHASES filesystem $(($(now) - started))"
}

# --- giving up --------------------------------------------------------------

give() { # GROUP
	BEGAN=$(now)
	# A vhid that was only touched is BACKUP too, and MASTER again when nobody else speaks in time.
	if [ "$QUICK" = no ] && comes_back; then return 0; fi
	say "$1: giving up what this node has of it: the addresses are not here"
	for name in $(reversed "$SERVICES"); do
		running "$name" || continue
		bounded 60 service "$name" onestop >/dev/null 2>&1
		if running "$name"; then AGAIN=yes; stopped "$1" "service $name does not stop"; return 0; fi
	done
	for name in $(reversed "$RESOURCES"); do release "$1" "$name" || { AGAIN=yes; return 0; }; done
	advskew standby
	noted "$1" gave $(($(now) - BEGAN)) ""
	say "$1: given up, $(($(now) - BEGAN)) s after the addresses went"
}

comes_back() {
	left=2
	for vhid in $VHIDS; do
		split "$vhid"
		if [ "$CARP" = BACKUP ] && [ "$WAIT" -gt "$left" ]; then left=$WAIT; fi
	done
	while [ "$left" -gt 0 ]; do
		sleep 1
		left=$((left - 1))
		carp_state
		case "$CARP" in MASTER | MIXED | ABSENT) return 0 ;; esac
	done
	return 1
}

release() { # GROUP RESOURCE: never by force, never a role under a device in use
	resource "$2"
	tries=0
	while used "$2"; do
		[ "$tries" -lt 10 ] || { stopped "$1" "/dev/hast/$2 is in use (fstat -f $WHERE): left as it is"; return 1; }
		[ "$tries" -eq 0 ] || sleep 1
		case "$KIND" in
		ufs) bounded 60 umount "/dev/hast/$2" ;;
		zfs) bounded 60 zpool export "$WHERE" ;;
		esac
		tries=$((tries + 1))
	done
	[ "$(role "$2")" = primary ] || return 0
	if mount | grep -Fq "/dev/hast/$2 on "; then stopped "$1" "/dev/hast/$2 is mounted"; return 1; fi
	bounded $((TIMEOUT + 15)) hastctl role secondary "$2" ||
		{ stopped "$1" "hastctl role secondary $2 fails"; return 1; }
	rm -f "$STATE/confirmed.$2" "$STATE/disconnected.$2"
}

# --- what calls us ----------------------------------------------------------

react() { # with the lock: every group as CARP's state says now
	for one in $ALL_GROUPS; do
		group "$one"
		carp_state
		case "$CARP" in
		MASTER) serving || take "$one" ;;
		BACKUP | INIT) if holding; then give "$one"; fi ;;
		MIXED) AGAIN=yes; say "$one: its addresses are on different nodes; waiting" ;;
		*) ;; # not set up: nothing that CARP could say
		esac
	done
	[ "$AGAIN" = no ]
}

# One follower at a time; an event that comes while it works makes it look once more.
follow() {
	tries=0
	while [ "$tries" -lt 60 ]; do
		rm -f "$RUN.event"
		lockf -k -t 120 "$LOCK" /bin/sh "$0" locked react >/dev/null 2>&1
		settled=$?
		if [ "$settled" -eq 0 ] && [ ! -f "$RUN.event" ]; then return 0; fi
		if [ ! -f "$RUN.event" ]; then sleep 10; tries=$((tries + 1)); fi
	done
	say "giving up after $tries tries; the next event, hactl or a person goes on"
}

# Before the network: what this node knew of its copies is old, and it takes no address before it could serve.
guard() {
	if ifconfig 2>/dev/null | grep -q 'carp: '; then
		echo "there are vhids: this is no boot, nothing is held"
		return 0
	fi
	mkdir -p -m 700 "$STATE"
	rm -f "$STATE"/confirmed.* "$STATE"/disconnected.*
	kldload -n carp
	if [ ! -f "$RUN.held" ]; then echo "$HOLD" >"$RUN.held" && sysctl "$DEMOTION=$HOLD" >/dev/null; fi
	[ ! -f "$RULE" ] || sha256 -q "$RULE" >"$RUN.devd"
}

boot() { # with the lock, late: roles come up secondary, never primary
	for one in $ALL_GROUPS; do
		group "$one"
		[ -n "$RESOURCES" ] || continue
		carp_state
		[ "$CARP" = MASTER ] || advskew standby
		for name in $RESOURCES; do
			tries=0
			while [ -z "$(role "$name")" ] && [ "$tries" -lt 10 ]; do sleep 1; tries=$((tries + 1)); done
			[ "$(role "$name")" != init ] || bounded 30 hastctl role secondary "$name"
		done
	done
}

# After boot: the hold is lifted when the node could serve, and only then.
wait_fit() {
	left=720
	while [ -f "$RUN.held" ] && [ "$left" -gt 0 ]; do
		if fit; then lockf -k -t 120 "$LOCK" /bin/sh "$0" locked lift; return; fi
		sleep 5
		left=$((left - 1))
	done
}

fit() {
	for one in $ALL_GROUPS; do
		group "$one"
		for name in $RESOURCES; do
			if ready "$name" || [ -f "$STATE/confirmed.$name" ]; then continue; fi
			# With advskews of ours the address stays where it is; the document's own could bring it here.
			split "${VHIDS%% *}"
			[ "$STANDBY" != - ] && connected "$name" || return 1
		done
	done
}

lift() {
	[ -f "$RUN.held" ] || return 0
	held=$(number "$RUN.held")
	rm -f "$RUN.held"
	if [ "$held" -gt 0 ] && [ "$(sysctl -n "$DEMOTION")" -ge "$held" ]; then sysctl "$DEMOTION=-$held" >/dev/null; fi
	say "held back no more: this node could serve"
}

leave() { # with the lock, at shutdown: the address first, then everything in order
	QUICK=yes
	if [ ! -f "$RUN.held" ]; then echo "$HOLD" >"$RUN.held" && sysctl "$DEMOTION=$HOLD" >/dev/null; fi
	for one in $ALL_GROUPS; do
		group "$one"
		if holding; then give "$one"; fi
	done
}

status() {
	for one in $ALL_GROUPS; do
		group "$one"
		carp_state
		echo "$one: policy $POLICY, addresses $CARP, $(serving && echo serving || echo not serving)"
		for name in $RESOURCES; do
			copy="not known to be complete"
			[ ! -f "$STATE/confirmed.$name" ] || copy="complete"
			echo "  $name: $(role "$name"), copy $copy"
		done
	done
	[ ! -f "$RUN.held" ] || echo "held back since boot"
	[ ! -f "$STATE/drained" ] || echo "drained: $(cat "$STATE/drained")"
	[ ! -f "$STATE/moves" ] || tail -n 5 "$STATE/moves"
}

case "${1:-status}" in
carp) # from devd, which waits for us
	if [ "$3" = MASTER ]; then now >"$RUN.master.$2"; else rm -f "$RUN.master.$2"; fi
	: >"$RUN.event"
	lockf -k -s -t 5 "$RUN.follow" /bin/sh "$0" follow </dev/null >/dev/null 2>&1 &
	;;
follow) follow ;;
react) exec lockf -k -t 120 "$LOCK" /bin/sh "$0" locked react ;;
guard) guard ;;
boot)
	lockf -k -t 120 "$LOCK" /bin/sh "$0" locked boot
	/bin/sh "$0" wait </dev/null >/dev/null 2>&1 &
	: >"$RUN.event"
	lockf -k -s -t 5 "$RUN.follow" /bin/sh "$0" follow </dev/null >/dev/null 2>&1 &
	;;
wait) wait_fit ;;
shutdown) lockf -k -t 120 "$LOCK" /bin/sh "$0" locked leave ;;
release) exec lockf -k -t 20 "$LOCK" /bin/sh "$0" locked lift ;;
locked)
	case "$2" in
	react) react ;;
	boot) boot ;;
	leave) leave ;;
	lift) lift ;;
	esac
	;;
connect | role) # hastd: a sync may be running, or somebody changed the role: unproven until hactl confirms
	rm -f "$STATE/confirmed.$2" "$STATE/disconnected.$2"
	;;
disconnect)
	if [ -f "$STATE/confirmed.$2" ]; then now >"$STATE/disconnected.$2"; fi
	;;
split-brain) say "split-brain of $2: hastd refuses to connect the copies; hactl why tells more" ;;
syncstart | syncdone | syncintr) ;;
status) status ;;
*)
	echo "usage: $0 [status | react | release | boot | shutdown]" >&2
	exit 64
	;;
esac
"""
