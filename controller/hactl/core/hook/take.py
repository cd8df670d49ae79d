"""The node hook takes a group over: its addresses are here, so storage, filesystems and services should be too.

Rules: not before the peer has let go or is gone (I1), only with a copy known to be complete (I4), in the document's
order, each step bounded; it says where it stopped, and another run goes on from there.
Sources: docs/freebsd-facts.md#2.1, #2.6 and #2.7 (hastd(8)); man pages hastctl(8), fsck(8), mount(8), zpool(8),
service(8).
"""

from __future__ import annotations

TAKE = r"""
# --- taking over ------------------------------------------------------------

take() { # GROUP
	split "${VHIDS%% *}"
	BEGAN=$(number "$RUN.master.$NUMBER@$IF")
	[ "$BEGAN" -gt 0 ] || BEGAN=$(now)
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
	witness || { stopped "$1" "no witness answers: this node may be cut off"; return 0; }
	PHASES= DOUBT=
	for name in $RESOURCES; do
		[ "$(role "$name")" = primary ] || may_promote "$1" "$name" || return 0
	done
	for name in $RESOURCES; do promote "$1" "$name" || return 0; done
	# Nothing was written yet: if the peer is back, the next run gives the roles back and nothing else.
	still_master 0 || return 0
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

proven() { # RESOURCE
	[ -f "$STATE/confirmed.$1" ] || [ -f "$STATE/released.$1" ]
}

# While the primary is connected it is alive, and primary. When it lost its power nothing closes the connection
# before hastd's timeout; then it does not answer on the replication network either. That it does not answer
# says something only if it did answer while all was well: a firewall may keep ping out.
peer_gone() { # RESOURCE SECONDS
	resource "$1"
	waited=0 silent=0 pings=no
	if grep -q answers "$STATE/confirmed.$1" 2>/dev/null; then pings=yes; fi
	while connected "$1"; do
		if [ "$pings" = no ] || alive; then silent=0; else silent=$((silent + 1)); fi
		[ "$silent" -lt 3 ] || return 0
		[ "$waited" -lt "$2" ] && still_master 0 || return 1
		sleep 1
		waited=$((waited + 1))
	done
}

# Without the lock: whoever has to mend what made this node MASTER needs it (another password, for one).
patience() {
	for one in $ALL_GROUPS; do
		group "$one"
		if [ "$POLICY" != Automatic ] || [ -f "$STATE/drained" ] || ! still_master 0; then continue; fi
		for name in $RESOURCES; do
			resource "$name"
			if [ "$(role "$name")" = secondary ] && proven "$name"; then peer_gone "$name" $((TIMEOUT + 10)); fi
		done
	done
}

may_promote() { # GROUP RESOURCE
	resource "$2"
	case "$(role "$2")" in
	secondary) ;;
	init)
		# hastd was started anew, and no primary could connect to it: what was known of the copy is void.
		forget "$2"
		bounded 30 hastctl role secondary "$2"
		stopped "$1" "$2 had no role: it is secondary now, and its copy is not known to be complete"
		return 1
		;;
	*) stopped "$1" "hastd does not tell the role of $2"; return 1 ;;
	esac
	proven "$2" ||
		{ AGAIN=no; stopped "$1" "the copy of $2 is not known to be complete; hactl or a person decides"; return 1; }
	peer_gone "$2" 3 || { stopped "$1" "the peer is still primary for $2 and connected"; return 1; }
	PHASES="$PHASES peer $(($(now) - BEGAN))"
	if [ "$silent" -ge 3 ]; then return 0; fi
	if recent "$2"; then gone "$1" "$2"; else let_go "$1" "$2"; fi
}

# Whether the primary was gone before it could have acknowledged a write alone. It does that once it has closed the
# connection, which is seen here at once, or TIMEOUT after the cut, which is seen here 20 s after it at the latest
# (two keepalives, docs/freebsd-facts.md#2.7). It was gone WAIT - 2 seconds before the addresses came, or earlier.
recent() { # RESOURCE
	[ -f "$STATE/confirmed.$1" ] || return 1
	tries=0
	while [ ! -f "$STATE/disconnected.$1" ] && [ "$tries" -lt 3 ]; do sleep 1; tries=$((tries + 1)); done
	split "${VHIDS%% *}"
	came=$(number "$RUN.master.$NUMBER@$IF")
	[ "$came" -gt 0 ] || came=$(now)
	late=$((20 - TIMEOUT))
	if [ "$late" -lt 0 ] || grep -q closed "$STATE/disconnected.$1" 2>/dev/null; then late=0; fi
	[ "$(number "$STATE/disconnected.$1")" -ge $((came - WAIT + 2 + late)) ]
}

# Long ago, but in order (a switch was off, and both nodes had lost the addresses): whoever would have served
# since then would have connected to this copy. If the peer can be asked, hastd asks it before anything is written.
let_go() { # GROUP RESOURCE
	if answers "$PEER"; then
		DOUBT="$DOUBT $2 "
		gone "$1" "$2"
		return
	fi
	[ ! -f "$STATE/parted.$2" ] || return 0
	AGAIN=no
	stopped "$1" "the copy of $2 was disconnected before the addresses came and may be old; hactl or a person decides"
	return 1
}

# A primary that lives connects again every 10 s: one that could and does not has let go, or is gone.
gone() { # GROUP RESOURCE
	if [ "$pings" = yes ] && ! answers "$PEER" && alive; then
		stopped "$1" "the peer lives and only the replication network is silent: it cannot be told from a primary"
		return 1
	fi
	left=12
	while [ "$left" -gt 0 ] && { [ "$pings" = no ] || alive; }; do
		if connected "$2"; then stopped "$1" "the peer is primary for $2 again"; return 1; fi
		sleep 1
		left=$((left - 1))
		still_master 0 || return 1
	done
	PHASES="$PHASES gone $((12 - left))"
}

promote() { # GROUP RESOURCE
	resource "$2"
	started=$(now)
	case "$(role "$2")" in
	primary) ;; # an earlier run came this far
	secondary) become "$1" "$2" || return 1 ;;
	*) stopped "$1" "hastd does not tell the role of $2"; return 1 ;;
	esac
	left=$((TIMEOUT + 15))
	while [ ! -c "/dev/hast/$2" ]; do
		[ "$left" -gt 0 ] || { stopped "$1" "/dev/hast/$2 does not come"; return 1; }
		sleep 1
		left=$((left - 1))
	done
	[ "$(role "$2")" = primary ] || { stopped "$1" "$2 did not stay primary: see /var/log/messages"; return 1; }
	if [ -f "$STATE/doubt.$2" ]; then asked "$1" "$2" || return 1; fi
	PHASES="$PHASES role $(($(now) - started))"
}

become() { # GROUP RESOURCE
	# A connection that came since we looked has made the notes void.
	proven "$2" || { stopped "$1" "the peer connected to $2 again"; return 1; }
	# All that was asked took seconds; a peer that only slept has the addresses back by now.
	still_master 0 || return 1
	case "$DOUBT" in *" $2 "*) : >"$STATE/doubt.$2" ;; *) rm -f "$STATE/doubt.$2" ;; esac
	say "$1: making $2 primary here"
	bounded $((TIMEOUT + 15)) hastctl role primary "$2" || { stopped "$1" "hastctl role primary $2 fails"; return 1; }
	forget "$2"
}

# hastd compares the counters of both copies when it connects, and brings over what is newer there. Nothing
# was written here yet: without an answer the role is given back.
asked() { # GROUP RESOURCE
	left=$((TIMEOUT + 30))
	while ! clean "$2" && ! used "$2"; do
		if [ "$left" -le 0 ]; then
			bounded $((TIMEOUT + 15)) hastctl role secondary "$2"
			AGAIN=no
			stopped "$1" "the copy of the peer for $2 cannot be compared with this one; hactl or a person decides"
			return 1
		fi
		sleep 1
		left=$((left - 1))
	done
	rm -f "$STATE/doubt.$2"
}

attach() { # GROUP RESOURCE
	resource "$2"
	# From here on this copy is written to; without a secondary no other one has that.
	mkdir -p -m 700 "$STATE"
	if ! connected "$2" && [ ! -f "$STATE/alone.$2" ]; then echo 0 >"$STATE/alone.$2"; fi
	if ready "$2"; then return 0; fi
	started=$(now)
	case "$KIND" in
	ufs)
		free "$1" "$2" || return 1
		say "$1: checking and mounting /dev/hast/$2 on $WHERE"
		check "$1" "$2" || return 1
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

# A lock of its own: the fsck of a run that was killed may still be at work.
check() { # GROUP RESOURCE
	lockf -k -t 60 "$RUN.fsck.$2" timeout --foreground -k 2 1800 fsck -p -t ufs "/dev/hast/$2" >/dev/null
	said=$?
	[ "$said" -ne 0 ] || return 0
	# 8: it wants a person. Anything else, or without the device: another run may do better.
	if [ "$said" -eq 8 ] && [ -c "/dev/hast/$2" ]; then AGAIN=no; fi
	stopped "$1" "fsck -p of /dev/hast/$2 fails: fsck -t ufs /dev/hast/$2 by hand"
	return 1
}

free() { # GROUP RESOURCE: nothing is mounted over anything, nor behind a symbolic link
	if used "$2"; then stopped "$1" "/dev/hast/$2 is mounted, but not on $WHERE"; return 1; fi
	if mounted " on $WHERE ("; then stopped "$1" "something else is mounted on $WHERE"; return 1; fi
	at=$WHERE
	while [ -n "$at" ]; do
		if [ -L "$at" ]; then stopped "$1" "$at is a symbolic link; $WHERE must not be behind one"; return 1; fi
		at=${at%/*}
	done
}
"""
