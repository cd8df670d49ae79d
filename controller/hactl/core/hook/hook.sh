# shellcheck shell=sh disable=SC2154 # the settings stand in the head that hactl renders in front of this
#
# The node hook: what this node does by itself when CARP moves the addresses of a group here or away.
# POSIX sh and the base system only. It is called by devd(8), rc(8), hastd(8), hactl and people: see the end.
#
# Rules: triggers are hints, the state is read again under the lock; every step is bounded, idempotent and logged; the
# next run heals what a killed one left; a role is never changed under a device that is in use (I2), a node is promoted
# only when its copy is known to be complete (I4) and the peer has let go or is gone (I1).
# Sources: docs/freebsd-facts.md#1.2 (timing of carp(4)), #2.1 to #2.9 (hastd(8)), #3.1 (service(8)) and
# docs/safety.md#invariants of hactl; man pages devd.conf(5), lockf(1), rc(8), hastctl(8), ifconfig(8).

set -u
PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin; LC_ALL=C; export PATH LC_ALL
umask 022

RUN=/var/run/hactl
DEMOTION=net.inet.carp.demotion
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
# What CARP, hastd(8), mount(8) and service(8) say now. They change nothing but the notes; what could hang is
# bounded; no answer is not an answer.

say() { # TEXT
	logger -t hactl -p daemon.notice "$1"
	echo "$1"
}

# Seconds since boot. The wall clock may be stepped while notes are compared; kern.boottime steps with it.
now() {
	boot=$(sysctl -n kern.boottime)
	boot=${boot#*sec = }
	boot=${boot%%,*}
	echo $(($(date +%s) - boot))
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

keep_notes() { # in a directory of root's alone; what is above it is the base system's
	# shellcheck disable=SC2174
	mkdir -p -m 700 "$STATE"
}

noted() { # GROUP WHAT SECONDS TEXT: one line for hactl and for people
	keep_notes
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

# --- taking over ------------------------------------------------------------
# The addresses are here, so storage, filesystems and services should be too: not before the peer has let go or is
# gone (I1), only with a copy known to be complete (I4), in the document's order. It says where it stopped, and
# another run goes on from there.

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
	PHASES='' DOUBT=''
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
	if [ -f "$STATE/doubt.$2" ]; then compared "$1" "$2" || return 1; fi
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
compared() { # GROUP RESOURCE
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
	keep_notes
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
	code=$?
	[ "$code" -ne 0 ] || return 0
	# 8: it wants a person. Anything else, or without the device: another run may do better.
	if [ "$code" -eq 8 ] && [ -c "/dev/hast/$2" ]; then AGAIN=no; fi
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

# --- what calls us ----------------------------------------------------------
# devd and hastd are never kept waiting; whatever moves something holds the lock; one follower at a time.

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
	keep_notes
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
