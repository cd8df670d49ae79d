# --- what calls us ----------------------------------------------------------
# devd and hastd are never kept waiting; whatever moves something holds the lock; one follower at a time.

# With the lock: every group as CARP says now, side by side.
react() {
	jobs=
	for one in $ALL_GROUPS; do
		if [ "$one" = "$ALL_GROUPS" ]; then react_group "$one"; return; fi
		react_group "$one" & jobs="$jobs $!"
	done
	unsettled=0
	for job in $jobs; do wait "$job" || unsettled=1; done
	return "$unsettled"
}

react_group() { # GROUP
	AGAIN=no
	group "$1"
	admit
	carp_state
	case "$CARP" in
	MASTER) if serving; then comes_to_use; advskew serving; else take "$1"; fi ;;
	BACKUP | INIT) held_off || away "$1" ;;
	MIXED) AGAIN=yes; say "$1: its addresses are on different nodes; waiting" ;;
	*) ;; # not set up: nothing that CARP could say
	esac
	[ "$AGAIN" = no ]
}

# CARP is off since boot: that no address is here says nothing.
held_off() {
	[ -f "$RUN.held" ] && [ "$(sysctl -n "$ALLOW")" = 0 ]
}

again() { # something happened: a follower looks, or the one that is there looks once more
	echo >"$RUN.event"
	lockf -k -s -t 5 "$RUN.follow" /bin/sh "$0" follow </dev/null >/dev/null 2>&1 &
}

# Without what a login has: services may be started below.
as_daemon() { exec env -i -L -/daemon HOME=/ PATH=/sbin:/bin:/usr/sbin:/usr/bin "$@"; }

# One follower at a time; an event that comes while it works makes it look once more. While patience has something to
# wait for nothing else is waited for.
follow() {
	tries=0
	while [ "$tries" -lt 60 ]; do
		: >"$RUN.event"
		patience
		lockf -k -t 120 "$LOCK" /bin/sh "$0" locked react "$SILENT_AT$SILENT" took "$BOOTED" "$OVERHEARD" >/dev/null 2>&1
		settled=$? REACTED=yes
		if [ "$settled" -eq 0 ] && [ ! -s "$RUN.event" ]; then return 0; fi
		tries=$((tries + 1))
		[ -z "$waiting" ] || [ "$settled" -eq 0 ] || continue
		left=20
		while [ "$left" -gt 0 ] && [ ! -s "$RUN.event" ]; do sleep 0.5; left=$((left - 1)); done
	done
	say "giving up after $tries tries; the next event, hactl or a person goes on"
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
	elif look; [ "$(role "$1")" = primary ] && [ ! -f "$STATE/alone.$1" ]; then
		alone=$(now)
		written_alone "$1" "$alone $(listed "$1" "  writes")"
		for one in $ALL_GROUPS; do
			group "$one"
			case " $RESOURCES " in *" $1 "*) ;; *) continue ;; esac
			[ ! -s "$RUN.unmounting.$one" ] || continue
			if lingering "$one" && [ "$lost" -gt 0 ] && [ "$lost" -lt $((alone - 2)) ]; then fence "$one" "$CUT_OFF"; fi
		done
	fi
}

watch() { # RESOURCE
	resource "$1"
	left=15
	grep -q answers "$STATE/confirmed.$1" || return 0
	while [ "$left" -gt 0 ]; do
		look
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
		look
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

# hastd calls one program for each event: those of the administrator's hear of it from here (hast.conf(5), exec).
case "${1:-}" in
role | connect | disconnect | syncstart | syncdone | syncintr | split-brain)
	for hearer in $HAST_NOTIFY; do "$hearer" "$@" </dev/null >/dev/null 2>&1 & done
	;;
esac

case "${1:-status}" in
carp) # from devd, which waits for us
	# A sleeper's device goes before anything else begins. That it was MASTER the kernel's log tells (see yielded).
	if [ "$3" = BACKUP ]; then
		(beaten "$2" || again) </dev/null >/dev/null 2>&1 &
	else
		again
	fi
	if [ "$3" = MASTER ]; then
		[ ! -f "$RUN.lost.$2" ] || rm -f "$RUN.lost.$2"
		now >"$RUN.master.$2"
	else
		[ ! -f "$RUN.master.$2" ] || rm -f "$RUN.master.$2"
		[ -f "$RUN.lost.$2" ] || now >"$RUN.lost.$2"
	fi
	;;
follow) follow ;;
react) as_daemon lockf -k -t 120 "$LOCK" /bin/sh "$0" locked react 0 took-by-hand ;;
guard) guard ;;
boot)
	lockf -k -t 120 "$LOCK" /bin/sh "$0" locked boot
	/bin/sh "$0" wait </dev/null >/dev/null 2>&1 &
	again
	;;
wait) wait_fit ;;
shutdown) # rc.shutdown(8) has 90 s for everything
	# An address without storage leaves at once. Where there is storage it leaves when that is free: the peer then finds
	# nobody to wait for. Not later than that, and not when somebody else has the lock for long.
	[ "$CARP_OFF" = yes ] || hold
	lockf -k -s -t 5 "$LOCK" /bin/sh "$0" locked leave
	if [ $? -eq 75 ]; then
		hold
		lockf -k -t 25 "$LOCK" /bin/sh "$0" locked leave
	fi
	hold
	;;
release) exec lockf -k -t 20 "$LOCK" /bin/sh "$0" locked lift ;;
locked)
	BOOTED=${5:-$(booted)}
	trap admit EXIT
	# Of a run that was killed.
	[ ! -d "$RUN.turn" ] || rmdir "$RUN.turn"
	case "$2" in
	react)
		SILENT_AT=${3%% *} SILENT=" ${3#"${3%% *}"} " TOOK=${4:-took} OVERHEARD=${6-}
		react
		;;
	boot) boot ;;
	leave) leave ;;
	lift) lift ;;
	wake) group "$3"; wake "$3" "$4" ;;
	esac
	;;
connect) # hastd: a sync may be running, so the copy is unproven until hactl confirms it
	forget "$2"
	rm -f "$STATE/split.$2" "$STATE/fenced.$2"
	# A hastd that does not say is asked again: on a primary the note stays.
	tries=0
	while look; [ -z "$(role "$2")" ] && [ "$tries" -lt 5 ]; do sleep 1; tries=$((tries + 1)); done
	[ "$(role "$2")" != secondary ] || { rm -f "$STATE/last.$2"; fsync "$STATE"; }
	;;
role) # RESOURCE OLD NEW: somebody changed the role; what was released is told by who did that
	if [ "${4:-}" = primary ]; then
		unproven "$2"
		[ ! -f "$STATE/fenced.$2" ] || rm -f "$STATE/fenced.$2"
		keep_notes
		: >"$STATE/last.$2"
		fsync "$STATE/last.$2" "$STATE"
	else
		rm -f "$STATE/confirmed.$2" "$STATE/disconnected.$2" "$STATE/parted.$2" "$STATE/alone.$2" \
			"$STATE/doubt.$2" "$STATE/cutoff.$2" "$RUN.took.$2"
	fi
	;;
disconnect) lost_peer "$2" ;;
watch)
	watch "$2"
	# Whoever waited here for that primary may have given up long ago.
	for one in "$RUN".master.*; do [ ! -f "$one" ] || again; break; done
	;;
linger) linger "$2" ;;
split-brain)
	look
	[ "$(role "$2")" != secondary ] || forget "$2"
	keep_notes
	: >"$STATE/split.$2"
	say "split-brain of $2: hastd refuses to connect the copies; hactl why tells more"
	;;
syncstart | syncdone | syncintr) ;;
status) status ;;
*)
	echo "usage: $0 [status | react | release | boot | shutdown]" >&2
	exit 64
	;;
esac
