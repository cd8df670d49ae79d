"""The node hook gives a group up: its addresses are not here, so nothing else of it should be, unless nobody else
could have it.

Rules: services, then filesystems, then roles; never by force, never a role under a device in use (I2); what no other
node can have stays where it is.
Sources: docs/freebsd-facts.md#1.2 (equal masters), #2.6, #2.8; man pages umount(8), zpool(8), hastctl(8).
"""

from __future__ import annotations

GIVE = r"""
# --- giving up --------------------------------------------------------------

away() { # GROUP: no address of it is here
	holding || return 0
	if sole; then keep "$1"; else give "$1"; fi
}

# Nobody else can have what this node has: it was primary without a secondary long before it lost the addresses,
# so no other copy is complete, and the peer's hook does not take over (see recent, which is the other half).
sole() {
	[ -n "$RESOURCES" ] && [ "$QUICK" = no ] || return 1
	lost=$(now)
	for vhid in $VHIDS; do
		split "$vhid"
		at=$(number "$RUN.lost.$NUMBER@$IF")
		if [ "$at" -gt 0 ] && [ "$at" -lt "$lost" ]; then lost=$at; fi
	done
	for name in $RESOURCES; do
		resource "$name"
		[ -f "$STATE/alone.$name" ] && [ "$(role "$name")" = primary ] || return 1
		[ "$(number "$STATE/alone.$name")" -le $((lost - TIMEOUT - 45)) ] || return 1
		# Connected again: then a secondary has it too. If the note is not gone yet, it will be.
		if connected "$name"; then return 1; fi
	done
}

# As secondary this node would let a peer that slept bring older data over newer (docs/freebsd-facts.md#2.6). It stays
# primary; a master of the same advskew steps down when it hears another one, so the addresses are claimed, once a
# minute at most.
keep() { # GROUP
	BEGAN=$(now)
	if [ "$CARP" = BACKUP ] && [ $((BEGAN - $(number "$RUN.claimed.$1"))) -gt 60 ]; then
		echo "$BEGAN" >"$RUN.claimed.$1"
		say "$1: another node has the addresses and cannot have the data: claiming them"
		for vhid in $VHIDS; do
			split "$vhid"
			ifconfig "$IF" vhid "$NUMBER" state master
		done
		sleep 3
		carp_state
		[ "$CARP" != MASTER ] || return 0
	fi
	if [ "$CARP" = BACKUP ]; then AGAIN=yes; fi
	stopped "$1" "the addresses are not here; no other node can have the data, so storage and services stay"
}

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
		zfs) bounded 60 zpool export "$WHERE" ;;
		*) bounded 60 umount "/dev/hast/$2" ;;
		esac
		tries=$((tries + 1))
	done
	# The device tells too: a hastd that does not answer may still be primary.
	[ "$(role "$2")" = primary ] || [ -c "/dev/hast/$2" ] || return 0
	if mounted "/dev/hast/$2 on "; then stopped "$1" "/dev/hast/$2 is mounted"; return 1; fi
	# Nothing writes any more: what the secondary has not got yet is on its way.
	tries=0
	while connected "$2" && ! clean "$2" && [ "$tries" -lt 5 ]; do sleep 1; tries=$((tries + 1)); done
	bounded $((TIMEOUT + 15)) hastctl role secondary "$2" ||
		{ stopped "$1" "hastctl role secondary $2 fails"; return 1; }
	forget "$2"
	now >"$STATE/released.$2"
}
"""
