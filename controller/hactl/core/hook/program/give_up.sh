# --- giving up --------------------------------------------------------------
# The addresses are not here, so nothing else of the group should be, unless nobody else could have it: services, then
# filesystems, then roles; never by force, never a role under a device in use (I2).

away() { # GROUP: no address of it is here
	holding || return 0
	if sole; then keep "$1"; else give "$1"; fi
}

# Nobody else can have what this node has: it was primary without a secondary long before it lost the addresses,
# so no other copy is complete, and the peer's hook does not take over (see recent, which is the other half).
sole() {
	[ -n "$RESOURCES" ] && [ "$QUICK" = no ] || return 1
	look
	lost=$(lost_since)
	[ "$lost" -gt 0 ] || lost=$(now)
	for name in $RESOURCES; do
		resource "$name"
		[ -s "$STATE/alone.$name" ] && [ "$(role "$name")" = primary ] || return 1
		# Primary since it took over: what it did not come to use it has not written, and the peer is back.
		[ "$(cat "$STATE/alone.$name")" != 0 ] || used "$name" || return 1
		[ "$(number "$STATE/alone.$name")" -le $((lost - TIMEOUT - 45)) ] || return 1
		# Connected again: then a secondary has it too. If the note is not gone yet, it will be.
		if connected "$name"; then return 1; fi
	done
}

lost_since() { # when the first address of the group went; 0: not known
	first=0
	for vhid in $VHIDS; do
		split "$vhid"
		at=$(number "$RUN.lost.$NUMBER@$IF")
		if [ "$at" -gt 0 ] && { [ "$first" -eq 0 ] || [ "$at" -lt "$first" ]; }; then first=$at; fi
	done
	echo "$first"
}

# As secondary this node would let a peer that slept bring older data over newer (docs/freebsd-facts.md#2.6). It stays
# primary; a master of the same advskew steps down when it hears another one, so the addresses are claimed, once a
# minute at most.
keep() { # GROUP
	BEGAN=$(now)
	if [ "$CARP" = BACKUP ] && [ $((BEGAN - $(number "$RUN.claimed.$1"))) -gt 60 ]; then
		echo "$BEGAN" >"$RUN.claimed.$1"
		say "$1: another node has the addresses and cannot have the data: claiming them"
		claim
		sleep 3
		carp_state
		[ "$CARP" != MASTER ] || return 0
	fi
	if [ "$CARP" = BACKUP ]; then AGAIN=yes; fi
	stopped "$1" "the addresses are not here; no other node can have the data, so storage and services stay"
}

claim() {
	for vhid in $VHIDS; do
		split "$vhid"
		ifconfig "$IF" vhid "$NUMBER" state master
	done
}

give() { # GROUP
	BEGAN=$(now)
	# What is mounted from a device of another name would not be seen (hast.conf(5), name).
	for name in $RESOURCES; do
		called=$(listed "$name" provname)
		case "$called" in
		'' | "$name") ;;
		*) stopped "$1" "hastd calls the device of $name $called: left as it is"; return 0 ;;
		esac
	done
	# A vhid that was only touched is BACKUP too, and MASTER again when nobody else speaks in time.
	if [ "$QUICK" = no ]; then
		lockf -k -s -t 0 "$RUN.linger.$1" /bin/sh "$0" linger "$1" </dev/null >/dev/null 2>&1 &
		if comes_back; then return 0; fi
	fi
	say "$1: giving up what this node has of it: the addresses are not here"
	# One that does not run says so, which takes no longer than asking it.
	for name in $(reversed "$SERVICES"); do
		rc 60 "$name" onestop >"$RUN.stop.$name" 2>&1
		if ! becomes no "$name" && [ "$hactl_runs" = yes ]; then
			AGAIN=yes
			stopped "$1" "service $name does not stop: $(last_words stop "$name")"
			return 0
		fi
	done
	# From here on no other process takes the device away: umount(8) would hang for ever (see linger).
	echo >"$RUN.unmounting.$1"
	# All of it is let go of before any role goes: a pool may stand on more than one of them.
	for part in unuse release; do
		for name in $(reversed "$RESOURCES"); do
			"$part" "$1" "$name" || { : >"$RUN.unmounting.$1"; AGAIN=yes; return 0; }
		done
	done
	: >"$RUN.unmounting.$1"
	advskew standby
	noted "$1" gave $(($(now) - BEGAN)) ""
	say "$1: given up, $(($(now) - BEGAN)) s after the addresses went"
}

# INIT is never MASTER again before a standby is: it waits as long, from later on.
comes_back() {
	left=0
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

# A pool goes as one, with the first of its resources that is asked for.
unuse() { # GROUP RESOURCE: unmounts or exports what is on it, never by force
	resource "$2"
	tries=0
	while used "$2"; do
		if [ "$tries" -ge 20 ] || { [ "$tries" -ge 2 ] && [ "$KIND" = zfs ] && ! whole "$2"; }; then
			helps=
			whole "$2" || helps='; a pool without its disk goes at a reboot'
			what="/dev/hast/$2 is in use (fstat -f $WHERE)"
			[ "$KIND" != zfs ] || what="the pool $WHERE is in use (zfs mount says where, fstat -f by whom)"
			stopped "$1" "$what: left as it is$helps"
			return 1
		fi
		[ "$tries" -eq 0 ] || sleep 0.5
		[ "$QUICK" = yes ] || peers_reached || cut_away "$1"
		resource "$2"
		# Where the device went first (see fence) there is nothing left to write.
		case "$KIND" in
		zfs) bounded 60 zpool export "$WHERE" ;;
		*) if [ -c "/dev/hast/$2" ]; then bounded 60 umount "/dev/hast/$2"; else bounded 60 umount -f "$WHERE"; fi ;;
		esac
		tries=$((tries + 1))
	done
}

release() { # GROUP RESOURCE: never a role under a device in use
	resource "$2"
	# The device tells too: a hastd that does not answer may still be primary.
	look
	[ "$(role "$2")" = primary ] || [ -c "/dev/hast/$2" ] || return 0
	if mounted "/dev/hast/$2 on "; then stopped "$1" "/dev/hast/$2 is mounted"; return 1; fi
	# Nothing writes any more: what the secondary has not got yet is on its way.
	tries=0
	while connected "$2" && ! clean "$2" && [ "$tries" -lt 10 ]; do sleep 0.5; tries=$((tries + 1)); look; done
	by_turns demote "$1" "$2" || return 1
	forget "$2"
	now >"$STATE/released.$2"
}

demote() { # GROUP RESOURCE
	if bounded $((TIMEOUT + 15)) hastctl role secondary "$2"; then return 0; fi
	# Nothing uses the device; hastd and its worker wait for each other.
	unplug "$2"
	bounded 10 hastctl role secondary "$2" || { stopped "$1" "hastctl role secondary $2 fails"; return 1; }
}

leave() { # with the lock, at shutdown: everything in order, then the addresses
	QUICK=yes
	jobs='' leaving=''
	for one in $ALL_GROUPS; do
		group "$one"
		holding || continue
		leaving="$leaving $one"
		if [ "$one" = "$ALL_GROUPS" ]; then give "$one"; break; fi
		give "$one" & jobs="$jobs $!"
	done
	for job in $jobs; do wait "$job"; done
	hold
	jobs=
	for one in $leaving; do group "$one"; followed & jobs="$jobs $!"; done
	for job in $jobs; do wait "$job"; done
}

# The peer connects at once to what was released (see verdict): that tells it more than silence would.
followed() {
	resource "${RESOURCES%% *}"
	if [ -z "$RESOURCES" ] || ! answers "$PEER"; then return 0; fi
	tries=10
	while look; [ "$tries" -gt 0 ] && [ "$(role "${RESOURCES%% *}")" = secondary ] && ! connected "${RESOURCES%% *}"; do
		sleep 0.5
		tries=$((tries - 1))
	done
}
