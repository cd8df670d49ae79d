"""What calls the node hook: devd(8), rc(8), hastd(8), hactl and people; what each of them makes it do.

Rules: devd and hastd are never kept waiting; whatever moves something holds the lock; one follower at a time.
Man pages: devd.conf(5), rc(8), hast.conf(5) (exec), lockf(1), carp(4).
"""

from __future__ import annotations

CALLS = r"""
# --- what calls us ----------------------------------------------------------

# With the lock: every group as CARP says now. What has to go goes first: the peer may wait for it.
react() {
	unsettled=no
	for one in $ALL_GROUPS; do
		AGAIN=no
		group "$one"
		carp_state
		case "$CARP" in
		BACKUP | INIT) away "$one" ;;
		MIXED) AGAIN=yes; say "$one: its addresses are on different nodes; waiting" ;;
		*) ;; # here: see below; not set up: nothing that CARP could say
		esac
		[ "$AGAIN" = no ] || unsettled=yes
	done
	for one in $ALL_GROUPS; do
		AGAIN=no
		group "$one"
		carp_state
		[ "$CARP" = MASTER ] || continue
		if serving; then advskew serving; else take "$one"; fi
		[ "$AGAIN" = no ] || unsettled=yes
	done
	[ "$unsettled" = no ]
}

# One follower at a time; an event that comes while it works makes it look once more.
follow() {
	tries=0
	while [ "$tries" -lt 60 ]; do
		rm -f "$RUN.event"
		patience
		lockf -k -t 120 "$LOCK" /bin/sh "$0" locked react >/dev/null 2>&1
		settled=$?
		if [ "$settled" -eq 0 ] && [ ! -f "$RUN.event" ]; then return 0; fi
		left=10
		while [ "$left" -gt 0 ] && [ ! -f "$RUN.event" ]; do sleep 1; left=$((left - 1)); done
		[ "$left" -gt 0 ] || tries=$((tries + 1))
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
	rm -f "$STATE"/confirmed.* "$STATE"/disconnected.* "$STATE"/parted.* "$STATE"/released.* \
		"$STATE"/alone.* "$STATE"/doubt.*
	rm -f "$RUN".master.* "$RUN".lost.* "$RUN".claimed.*
	kldload -n carp
	hold
	[ ! -f "$RULE" ] || sha256 -q "$RULE" >"$RUN.devd"
}

# The write adds. A note without its demotion is harmless (see lift), the other way round nobody would lift it.
hold() {
	[ "$(sysctl -n "$DEMOTION")" -lt "$HOLD" ] || return 0
	echo "$HOLD" >"$RUN.held" && sysctl "$DEMOTION=$HOLD" >/dev/null
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

leave() { # with the lock, at shutdown: the address is on its way, everything else follows in order
	QUICK=yes
	for one in $ALL_GROUPS; do
		group "$one"
		if holding; then give "$one"; fi
	done
}

# hastd lost the connection. On a primary: from now on it writes alone. On a secondary whose copy was complete:
# if the peer can be reached all the time and does not connect again (a primary tries every 10 s), it let go.
lost_peer() { # RESOURCE
	if [ -f "$STATE/confirmed.$1" ]; then
		lost=$(now)
		echo "$lost" >"$STATE/disconnected.$1"
		resource "$1"
		# Over a network that works connections do not break: the primary closed it.
		if grep -q answers "$STATE/confirmed.$1" && answers "$PEER" && [ -f "$STATE/disconnected.$1" ]; then
			echo "$lost closed" >"$STATE/disconnected.$1"
		fi
		/bin/sh "$0" watch "$1" </dev/null >/dev/null 2>&1 &
	elif [ "$(role "$1")" = primary ] && [ ! -f "$STATE/alone.$1" ]; then
		now >"$STATE/alone.$1"
	fi
}

watch() { # RESOURCE
	resource "$1"
	left=15
	grep -q answers "$STATE/confirmed.$1" || return 0
	while [ "$left" -gt 0 ]; do
		if [ ! -f "$STATE/disconnected.$1" ] || connected "$1"; then return 0; fi
		answers "$PEER" || return 0
		sleep 1
		left=$((left - 1))
	done
	if [ "$(role "$1")" = secondary ] && [ -f "$STATE/disconnected.$1" ]; then now >"$STATE/parted.$1"; fi
}

status() {
	for one in $ALL_GROUPS; do
		group "$one"
		carp_state
		echo "$one: policy $POLICY, addresses $CARP, $(serving && echo serving || echo not serving)"
		for name in $RESOURCES; do
			copy="not known to be complete"
			! proven "$name" || copy="complete"
			[ ! -f "$STATE/disconnected.$name" ] || copy="complete when it was disconnected"
			[ ! -f "$STATE/alone.$name" ] || copy="the only one that is complete"
			echo "  $name: $(role "$name"), copy $copy"
		done
	done
	[ ! -f "$RUN.held" ] || echo "held back since boot"
	[ ! -f "$STATE/drained" ] || echo "drained: $(cat "$STATE/drained")"
	[ ! -f "$STATE/moves" ] || tail -n 5 "$STATE/moves"
}

case "${1:-status}" in
carp) # from devd, which waits for us
	if [ "$3" = MASTER ]; then
		rm -f "$RUN.lost.$2"
		now >"$RUN.master.$2"
	else
		rm -f "$RUN.master.$2"
		[ -f "$RUN.lost.$2" ] || now >"$RUN.lost.$2"
	fi
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
shutdown) # rc.shutdown(8) has 90 s for everything; the address leaves at once, whoever has the lock
	hold
	lockf -k -t 30 "$LOCK" /bin/sh "$0" locked leave
	;;
release) exec lockf -k -t 20 "$LOCK" /bin/sh "$0" locked lift ;;
locked)
	case "$2" in
	react) react ;;
	boot) boot ;;
	leave) leave ;;
	lift) lift ;;
	esac
	;;
connect) # hastd: a sync may be running, so the copy is unproven until hactl confirms it
	forget "$2"
	;;
role) # RESOURCE OLD NEW: somebody changed the role; what was released is told by who did that
	rm -f "$STATE/confirmed.$2" "$STATE/disconnected.$2" "$STATE/parted.$2" "$STATE/alone.$2"
	if [ "${4:-}" = primary ]; then rm -f "$STATE/released.$2"; else rm -f "$STATE/doubt.$2"; fi
	;;
disconnect) lost_peer "$2" ;;
watch) watch "$2" ;;
split-brain)
	[ "$(role "$2")" = primary ] || forget "$2"
	say "split-brain of $2: hastd refuses to connect the copies; hactl why tells more"
	;;
syncstart | syncdone | syncintr) ;;
status) status ;;
*)
	echo "usage: $0 [status | react | release | boot | shutdown]" >&2
	exit 64
	;;
esac
"""
