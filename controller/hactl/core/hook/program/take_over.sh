# --- taking over ------------------------------------------------------------
# The addresses are here, so storage, filesystems and services should be too: not before the peer has let go or is
# gone (I1), only with a copy known to be complete (I4), in the document's order. It says where it stopped, and
# another run goes on from there.

take() { # GROUP
	split "${VHIDS%% *}"
	BEGAN=$(number "$RUN.master.$NUMBER@$IF")
	tick
	[ "$BEGAN" -gt 0 ] || BEGAN=$NOW
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
	settled || return 0
	witness || { stopped "$1" "no witness answers: this node may be cut off"; return 0; }
	PHASES='' NEW='' ASK='' DOUBT='' GONE='' LAST='' SINCE=$BEGAN
	for name in $RESOURCES; do
		if [ "$(role "$name")" != primary ]; then
			may_promote "$1" "$name" || return 0
		elif taken_before "$name" && outdone '/ -> BACKUP /'; then
			by_turns unused "$1" " $name"
			return 0
		fi
	done
	if [ -n "$RESOURCES" ]; then
		phase peer
		promote "$1" || return 0
		# Nothing was written yet: if the peer is back, the next run gives the roles back and nothing else.
		# From here on this node has what no other one has. A peer that slept and wakes yields to this advskew.
		claimed || { [ -z "$NEW" ] || ! outdone 1 || by_turns unused "$1" "$NEW"; return 0; }
		comes_to_use
	else
		advskew serving
	fi
	attach_all "$1" || return 0
	[ -z "$NEW" ] || [ -z "$SERVICES" ] || say "$1: starting $SERVICES"
	for name in $SERVICES; do start "$1" "$name"; done
	for name in $SERVICES; do
		becomes yes "$name" || { stopped "$1" "service $name does not start: $(last_words start "$name")"; return 0; }
	done
	tick
	phase services
	AGAIN=no
	noted "$1" "$TOOK" $((SINCE - BEGAN)) "${PHASES# } of $(count "$RESOURCES")/$(count "$SERVICES")"
	say "$1: served here, $((SINCE - BEGAN)) s after the addresses came"
}

# While the peer is asked: what the services would start first themselves. A service is not started meanwhile.
prepare() {
	[ -n "$EARLY" ] || return 0
	# NFS version 4 alone does without (nfsd of rc.d).
	! grep -qi '^nfsv4_server_only="*\(yes\|true\|on\|1\)' /etc/rc.conf /etc/rc.conf.local || return 0
	echo >"$RUN.preparing"
	for name in $EARLY; do rc 20 "$name" onestart >/dev/null 2>&1; done
	: >"$RUN.preparing"
}

# A file takes what a service says: its daemons keep a pipe open. Where the roles were only just taken the service ran
# on the other node; asking it first takes as long as starting it.
start() { # GROUP SERVICE
	if [ -z "$NEW" ]; then
		if running "$2"; then return 0; fi
		say "$1: starting $2"
	fi
	case "$AFTER" in *" $2 "*) its_turn "$1" "$2" || return 0 ;; esac
	left=80
	while [ -s "$RUN.preparing" ] && [ "$left" -gt 0 ]; do sleep 0.25; left=$((left - 1)); done
	rc 60 "$2" onestart >"$RUN.start.$2" 2>&1
}

# What a service comes after has to run before it is started, and for good.
its_turn() { # GROUP SERVICE
	comes_after "$2"
	for needed in $NEEDS; do
		if becomes yes "$needed"; then continue; fi
		echo "it comes after $needed, which does not run" >"$RUN.start.$2"
		say "$1: $2 is not started: it comes after $needed, which does not run"
		return 1
	done
}

comes_to_use() { # what was primary since it took over is written to from now on
	for name in $RESOURCES; do
		since=
		[ ! -f "$STATE/alone.$name" ] || read -r since <"$STATE/alone.$name"
		[ "$since" != 0 ] || written_alone "$name" '0 0'
		[ ! -f "$RUN.took.$name" ] || rm -f "$RUN.took.$name"
	done
}

written_alone() { # RESOURCE TEXT: whole or not at all, for beaten reads it without the lock
	keep_notes
	echo "$2" >"$STATE/.alone.$1" && mv -f "$STATE/.alone.$1" "$STATE/alone.$1"
}

# Still MASTER of every vhid, each with the advskew of the node that serves.
claimed() {
	others=
	for vhid in $VHIDS; do
		split "$vhid"
		state_of
		[ "$STATE_HERE" = MASTER ] || return 1
		[ "$SERVING" = - ] || [ "$SKEW_HERE" = "$SERVING" ] || others="$others $vhid"
	done
	for vhid in $others; do
		split "$vhid"
		ifconfig "$IF" vhid "$NUMBER" advskew "$SERVING"
	done
}

taken_before() { # RESOURCE: before the addresses came this time, and not used yet
	[ -f "$RUN.took.$1" ] && [ "$(number "$RUN.took.$1")" -lt "$BEGAN" ] && ! used "$1"
}

# Whether a vhid of the group yielded to the peer, by the last line of the kernel that matches.
outdone() { # PATTERN of awk(1)
	for vhid in $VHIDS; do
		split "$vhid"
		case "$(carp_said "$1")" in *"$YIELDED"*) return 0 ;; esac
	done
	return 1
}

# The peer had the addresses again before anything of these was used: it may have written since, so they go back at once.
# Left as they are they would be taken for the newest copy when the addresses come once more.
unused() { # GROUP RESOURCES
	for name in $2; do
		if used "$name"; then continue; fi
		bounded $((TIMEOUT + 15)) hastctl role secondary "$name"
		case "$LAST" in *" $name "*) ;; *) rm -f "$STATE/last.$name" ;; esac
	done
	stopped "$1" "the peer had the addresses again before$2 came to use here: the role is given back"
}

# The addresses have been here for settleSeconds, asking included.
settled() {
	while [ $((NOW - BEGAN)) -lt "$SETTLE" ]; do
		sleep 0.5
		still_master 0 || return 1
		tick
	done
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
pinged() { # RESOURCE
	said=
	[ ! -f "$STATE/confirmed.$1" ] || read -r said <"$STATE/confirmed.$1"
	case "$said" in *answers*) return 0 ;; esac
	return 1
}

# What patience found is good for as long as CARP needs to bring a master that woke back.
silent() { # RESOURCE
	case "$SILENT" in *" $1 "*) [ $((NOW - SILENT_AT)) -gt 3 ] || return 0 ;; esac
	pinged "$1" && ! alive
}

# The group could go on but for a peer that is primary, connected and alive.
pending() { # GROUP
	group "$1"
	if [ "$POLICY" != Automatic ] || [ -f "$STATE/drained" ] || ! still_master 0; then return 1; fi
	for name in $RESOURCES; do
		resource "$name"
		if [ "$(role "$name")" != secondary ] || ! proven "$name" || ! connected "$name"; then continue; fi
		if ! silent "$name"; then return 0; fi
		SILENT="$SILENT $name " SILENT_AT=$NOW
	done
	return 1
}

# The addresses came: every peer is asked while this node looks at itself, and what takes time is begun.
ask_peers() {
	for one in "$RUN".master.*; do [ -f "$one" ] || return 0; break; done
	for one in $ALL_GROUPS; do
		group "$one"
		coming=$POLICY$REACTED
		for name in $RESOURCES; do
			proven "$name" || coming=no
			resource "$name"
			for address in $PEER $ALSO; do ask "$address"; done
		done
		if [ "$coming" = Automaticno ] && [ ! -f "$STATE/drained" ]; then prepare </dev/null >/dev/null 2>&1 & fi
	done
	# Until the peers had time to answer nothing else is to be done.
	for one in $ALL_GROUPS; do
		group "$one"
		[ -z "$RESOURCES" ] || if overheard "$one"; then :; fi
	done
}

# Without the lock: whoever has to mend what made this node MASTER needs it (another password, for one). It ends when
# a group need not wait any more. SILENT: resources whose peer is connected and answers nowhere.
patience() {
	waiting='' others=no rounds=0 SILENT='' SILENT_AT=0 ASKED='' OVERHEARD=''
	ask_peers
	BOOTED=$(booted)
	look
	for one in $ALL_GROUPS; do if pending "$one"; then waiting="$waiting $one"; else others=yes; fi; done
	# The other groups are not kept waiting.
	if [ -z "$waiting" ] || [ "$REACTED$others" = noyes ]; then return 0; fi
	while [ "$rounds" -lt 60 ] && [ ! -s "$RUN.event" ]; do
		sleep 0.5
		rounds=$((rounds + 1))
		look
		for one in $waiting; do pending "$one" || return 0; done
	done
}

may_promote() { # GROUP RESOURCE
	resource "$2"
	case "$(role "$2")" in
	secondary) ;;
	init)
		if outruns "$2"; then
			AGAIN=no
			stopped "$1" "$2 has no role here: this node slept and wrote; hactl resolve throws one of the copies away"
			return 1
		fi
		# hastd was started anew, and no primary could connect to it: what was known of the copy is void.
		forget "$2"
		bounded 30 hastctl role secondary "$2"
		stopped "$1" "$2 had no role: it is secondary now, and its copy is not known to be complete"
		return 1
		;;
	*) stopped "$1" "hastd does not tell the role of $2"; return 1 ;;
	esac
	if [ -f "$STATE/split.$2" ]; then AGAIN=no; stopped "$1" "$(apart "$2")"; return 1; fi
	proven "$2" || [ -f "$STATE/fenced.$2" ] ||
		{ AGAIN=no; stopped "$1" "the copy of $2 is not known to be complete; hactl or a person decides"; return 1; }
	NEW="$NEW $2"
	if connected "$2"; then
		silent "$2" || { stopped "$1" "the peer is still primary for $2 and connected"; return 1; }
		if overheard "$1"; then
			# It is asked anew: what patience heard is seconds old.
			if alive || alive; then stopped "$1" "the peer is still primary for $2 and connected"; return 1; fi
			keep_notes
			: >"$STATE/cutoff.$2"
			stopped "$1" "$(cut_off "$2")"
			return 1
		fi
		GONE="$GONE $2 "
	elif [ -f "$STATE/cutoff.$2" ]; then
		heard_again "$1" "$2" "$(cut_off "$2")"
	elif ! proven "$2"; then
		heard_again "$1" "$2" "the device of $2 was taken away here, and the peer may have served since: it has to be heard"
	elif recent "$2"; then
		gone "$1" "$2"
	else
		let_go "$1" "$2"
	fi
}

# Whether the peer lived when the addresses came: this node was preferred, it did not just hear nobody. A peer that is
# heard on one network and silent on the other one is not gone, it is cut off, and may have written alone.
overheard() { # GROUP
	case "$OVERHEARD" in *" $1=yes "*) return 0 ;; *" $1=no "*) return 1 ;; esac
	split "${VHIDS%% *}"
	case "$(carp_said '/ -> MASTER /')" in
	'' | *'(master timed out)'*) OVERHEARD="$OVERHEARD $1=no "; return 1 ;;
	*) OVERHEARD="$OVERHEARD $1=yes " ;;
	esac
}

cut_off() { # RESOURCE
	echo "the peer lived when the addresses came, and is silent on the replication network: what it wrote last may not be" \
		"on this copy of $1; it has to be heard, or hactl or a person decides"
}

# Its connection is closed. Where it can be asked hastd compares the copies; until then this one may be old.
heard_again() { # GROUP RESOURCE WHY
	answers "$PEER" || { stopped "$1" "$3"; return 1; }
	DOUBT="$DOUBT $2 "
	gone "$1" "$2"
}

# Whether the primary was gone before it could have acknowledged a write alone. It does that once it has closed the
# connection, which is seen here at once, or TIMEOUT after the cut, which is seen here 20 s after it at the latest
# (two keepalives, docs/freebsd-facts.md#2.7). It was gone WAIT - 2 seconds before the addresses came, or earlier.
recent() { # RESOURCE
	[ -f "$STATE/confirmed.$1" ] || return 1
	tries=0
	while [ ! -f "$STATE/disconnected.$1" ] && [ "$tries" -lt 10 ]; do sleep 0.3; tries=$((tries + 1)); done
	[ "$tries" -eq 0 ] || tick
	split "${VHIDS%% *}"
	came=$(number "$RUN.master.$NUMBER@$IF")
	[ "$came" -gt 0 ] || came=$NOW
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

# The connection is closed. Where the peer can be asked, its hastd says what it is once this node connects to it (see
# verdict). Where it cannot, a primary that lives connects again every 10 s: one that does not has let go, or is gone.
gone() { # GROUP RESOURCE
	if pinged "$2"; then
		alive || { GONE="$GONE $2 "; return 0; }
		[ "$HEARD" = yes ] && { ASK="$ASK $2 "; return 0; }
		stopped "$1" "the peer lives and only the replication network is silent: it cannot be told from a primary"
		return 1
	fi
	left=12
	while [ "$left" -gt 0 ]; do
		look
		if connected "$2"; then stopped "$1" "the peer is primary for $2 again"; return 1; fi
		sleep 1
		left=$((left - 1))
		still_master 0 || return 1
	done
	tick
}

# The roles of the group, each with its device before the next one: hastd ends the worker of a secondary and waits for
# that, GEOM lets nothing end while a new device does not answer, and the new device answers once hastd has let its
# worker connect: for ever, where two roles change at once (docs/freebsd-facts.md#7.49, seen with four resources).
promote() { # GROUP
	by_turns become "$1" || return 1
	tick
	phase role
}

# One group at a time changes roles; everything else goes on side by side.
by_turns() { # COMMAND GROUP...
	if [ "$ALL_GROUPS" = "${ALL_GROUPS%% *}" ]; then "$@"; return; fi
	tries=0
	until mkdir "$RUN.turn" 2>/dev/null; do
		[ "$tries" -lt 600 ] || { stopped "$2" "the roles of another group change, and that takes long"; return 1; }
		sleep 0.2
		tries=$((tries + 1))
	done
	"$@"
	set -- $?
	rmdir "$RUN.turn"
	return "$1"
}

become() { # GROUP
	# A role with a doubt that an earlier run took is given back at once.
	LAST='' LATE='' ROLE_AT=0
	[ -z "$NEW" ] || may_become "$1" || return 1
	for name in $RESOURCES; do
		case "$NEW " in
		*" $name "*)
			resource "$name"
			bounded $((TIMEOUT + 15)) hastctl role primary "$name" ||
				{ stopped "$1" "hastctl role primary $name fails"; return 1; }
			[ ! -f "$STATE/doubt.$name" ] || ROLE_AT=$(now)
			echo "$NOW" >"$RUN.took.$name"
			forget "$name"
			;;
		esac
		device "$1" "$name" || return 1
	done
	stayed "$1"
}

may_become() { # GROUP
	for name in $NEW; do
		# A connection that came since we looked has made the notes void.
		if [ "$WAKING" = no ] && ! proven "$name" && [ ! -f "$STATE/fenced.$name" ]; then
			stopped "$1" "the peer connected to $name again"
			return 1
		fi
		case "$DOUBT$ASK" in
		*" $name "*) case "$DOUBT" in *" $name "*) echo copy ;; *) echo role ;; esac >"$STATE/doubt.$name" ;;
		*) [ ! -f "$STATE/doubt.$name" ] || rm -f "$STATE/doubt.$name" ;;
		esac
		[ ! -f "$STATE/last.$name" ] || LAST="$LAST $name "
		resource "$name"
		# Of a peer that may be alive hastd is to hear, whatever another group found a moment ago.
		case "$ASK$DOUBT$GONE" in
		"$GONE") refuse "$PEER" ;;
		*) [ ! -f "$RUN.refused.$PEER" ] || readmit "$PEER" ;;
		esac
	done
	# All that was asked took seconds; a peer that only slept has the addresses back by now.
	[ "$WAKING" = yes ] || still_master 0 || return 1
	say "$1: making$NEW primary here, then it is checked and mounted"
}

# hastd waits `timeout` for a peer that does not answer before it serves. A route that refuses makes connect(2) fail at
# once (docs/freebsd-facts.md#7.3). It is noted before it is there, and taken away again at the end of this run, by a
# process of its own if this run is killed, and by every later run; a boot knows no routes.
refuse() { # ADDRESS
	[ -n "$1" ] && [ ! -f "$RUN.refused.$1" ] || return 0
	keep_admitting "$1"
	echo "$NOW" >"$RUN.refused.$1"
	case "$1" in
	*:*) route -q -n add -inet6 -host "$1" ::1 -reject ;;
	*) route -q -n add -host "$1" 127.0.0.1 -reject ;;
	esac >/dev/null 2>&1
}

keep_admitting() { # ADDRESS: what a later run refuses has its own end
	(sleep 15; [ "$(number "$RUN.refused.$1")" -gt $(($(now) - 14)) ] || readmit "$1") </dev/null >/dev/null 2>&1 &
}

admit() {
	for refused in "$RUN".refused.*; do
		[ ! -f "$refused" ] || readmit "${refused#"$RUN".refused.}"
	done
}

readmit() { # ADDRESS: the route goes only if it is ours, one that refuses
	case "$1" in
	*:*) family=-inet6 ;;
	*) family=-inet ;;
	esac
	case "$(route -n get "$family" -host "$1" 2>/dev/null)" in
	*REJECT*) route -q -n delete "$family" -host "$1" >/dev/null 2>&1 ;;
	esac
	rm -f "$RUN.refused.$1"
}

device() { # GROUP RESOURCE
	resource "$2"
	if [ -f "$STATE/doubt.$2" ]; then
		verdict "$1" "$2" || return 1
		[ "$(cat "$STATE/doubt.$2")" = role ] || compared "$1" "$2" || return 1
	fi
	left=$(((TIMEOUT + 15) * 4))
	while [ ! -c "/dev/hast/$2" ]; do
		[ "$left" -gt 0 ] || { stopped "$1" "/dev/hast/$2 does not come"; return 1; }
		sleep 0.25
		left=$((left - 1))
	done
	# From here on this copy is written to; without a secondary no other one has that. Noted before it is known, for
	# a secondary may connect at any moment, which makes the note void.
	[ -f "$STATE/alone.$2" ] || written_alone "$2" 0
}

stayed() { # GROUP: every role, and no peer that speaks against it
	look
	for name in $RESOURCES; do
		[ "$(role "$name")" = primary ] ||
			{ stopped "$1" "$name did not stay primary: see /var/log/messages"; return 1; }
		if connected "$name"; then
			rm -f "$STATE/alone.$name"
		else
			case "$LATE" in *" $name "*)
				resource "$name"
				if alive; then give_back "$1" "$name" "the peer does not say whether it is primary for $name"; return 1; fi
				;;
			esac
		fi
	done
	for name in $RESOURCES; do [ ! -f "$STATE/doubt.$name" ] || rm -f "$STATE/doubt.$name"; done
}

# Nothing is used before the peer's hastd said what it is: a secondary connects. Where no hastd listens, or one that is not
# primary, this one serves at once. A primary it asks every second for `timeout`, and then serves all the same: before that
# the role is given back (docs/freebsd-facts.md#2.6; no line of a log tells, #7.45).
verdict() { # GROUP RESOURCE
	while :; do
		look
		if connected "$2"; then return 0; fi
		if [ -f "$STATE/split.$2" ]; then AGAIN=no; give_back "$1" "$2" "$(apart "$2")"; return 1; fi
		[ $(($(now) - ROLE_AT)) -lt $(((TIMEOUT + 1) / 2)) ] || break
		[ ! -c "/dev/hast/$2" ] || return 0
		# It closed the connection in order, and is gone since: asked once more before its copy is used.
		if ! alive && ! alive; then LATE="$LATE $2 "; return 0; fi
		sleep 0.3
	done
	give_back "$1" "$2" "the peer does not say whether it is primary for $2"
	return 1
}

apart() { # RESOURCE
	echo "both copies of $1 were written while they were apart: a person decides which one stays (hactl resolve)"
}

give_back() { # GROUP RESOURCE WHY
	# None of the group was used yet.
	for given in $RESOURCES; do
		if [ "$given" != "$2" ] && [ ! -f "$STATE/doubt.$given" ]; then continue; fi
		bounded $((TIMEOUT + 15)) hastctl role secondary "$given"
		# It never served.
		case "$LAST" in *" $given "*) ;; *) rm -f "$STATE/last.$given" ;; esac
	done
	stopped "$1" "$3"
}

# hastd compares the counters of both copies when it connects, and brings over what is newer there. Nothing
# was written here yet: without an answer the role is given back.
compared() { # GROUP RESOURCE
	left=$(((TIMEOUT + 30) * 2))
	look
	while ! clean "$2" && ! used "$2"; do
		if [ -f "$STATE/split.$2" ]; then AGAIN=no; give_back "$1" "$2" "$(apart "$2")"; return 1; fi
		if [ "$left" -le 0 ]; then
			AGAIN=no
			give_back "$1" "$2" \
				"the copy of the peer for $2 cannot be compared with this one; hactl or a person decides"
			return 1
		fi
		sleep 0.5
		left=$((left - 1))
		look
	done
}

# Filesystems side by side; 2 is the end of what another run could do.
attach_all() { # GROUP
	[ -n "$RESOURCES" ] || return 0
	set -- "$1" 0
	jobs=
	for name in $RESOURCES; do
		if [ "$name" = "$RESOURCES" ]; then
			attach "$1" "$name"
			set -- "$1" $?
		else
			attach "$1" "$name" & jobs="$jobs $!"
		fi
	done
	for job in $jobs; do
		wait "$job"
		code=$?
		[ "$code" -le "$2" ] || set -- "$1" "$code"
	done
	tick
	phase filesystem
	[ "$2" -ne 2 ] || AGAIN=no
	return "$2"
}

attach() { # GROUP RESOURCE
	resource "$2"
	case "$KIND" in
	ufs)
		MOUNTS=$(mount)
		if was_mounted "/dev/hast/$2 on $WHERE ("; then return 0; fi
		free "$1" "$2" || return 1
		[ -n "$NEW" ] || say "$1: checking and mounting /dev/hast/$2 on $WHERE"
		check "$1" "$2" || return $?
		[ -d "$WHERE" ] || mkdir -p "$WHERE"
		if [ -n "$OPTIONS" ]; then
			bounded 120 mount -t ufs -o "$OPTIONS" "/dev/hast/$2" "$WHERE"
		else
			bounded 120 mount -t ufs "/dev/hast/$2" "$WHERE"
		fi || { stopped "$1" "/dev/hast/$2 cannot be mounted on $WHERE"; return 1; }
		;;
	zfs)
		# Once, with all of its devices: ZFS would go on without some, and they would be older than the rest.
		[ "$2" = "${MEMBERS%% *}" ] || return 0
		if used "$2"; then return 0; fi
		whole "$2" ||
			{ stopped "$1" "the pool $WHERE is not imported: not every device of $MEMBERS is here"; return 1; }
		[ -n "$NEW" ] || say "$1: importing $WHERE"
		bounded 300 zpool import -f -d /dev/hast -o cachefile=none "$WHERE" ||
			{ stopped "$1" "zpool import $WHERE fails"; return 1; }
		;;
	esac
}

# A lock of its own: the fsck of a run that was killed may still be at work.
check() { # GROUP RESOURCE
	lockf -k -t 60 "$RUN.fsck.$2" timeout --foreground -k 2 1800 fsck -p -t ufs "/dev/hast/$2" >/dev/null
	code=$?
	[ "$code" -ne 0 ] || return 0
	stopped "$1" "fsck -p of /dev/hast/$2 fails: fsck -t ufs /dev/hast/$2 by hand"
	# 8: it wants a person. Anything else, or without the device: another run may do better.
	if [ "$code" -eq 8 ] && [ -c "/dev/hast/$2" ]; then return 2; fi
	return 1
}

free() { # GROUP RESOURCE: nothing is mounted over anything (by MOUNTS), nor behind a symbolic link
	if was_mounted "/dev/hast/$2 on "; then stopped "$1" "/dev/hast/$2 is mounted, but not on $WHERE"; return 1; fi
	if was_mounted " on $WHERE ("; then stopped "$1" "something else is mounted on $WHERE"; return 1; fi
	at=$WHERE
	while [ -n "$at" ]; do
		if [ -L "$at" ]; then stopped "$1" "$at is a symbolic link; $WHERE must not be behind one"; return 1; fi
		at=${at%/*}
	done
}
