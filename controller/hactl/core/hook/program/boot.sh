# --- after a boot -----------------------------------------------------------
# A node that boots holds its addresses back until it could serve. Where every vhid of the node belongs to a group with
# storage, CARP is off until then: an address that answers on a node without data is worse than none.

# Before the network: what this node knew of its copies is old, and it takes no address before it could serve.
guard() {
	if ifconfig 2>/dev/null | grep -q 'carp: '; then
		echo "there are vhids: this is no boot, nothing is held"
		return 0
	fi
	keep_notes
	rm -f "$STATE"/confirmed.* "$STATE"/disconnected.* "$STATE"/parted.* "$STATE"/released.* \
		"$STATE"/alone.* "$STATE"/doubt.* "$STATE"/split.* "$STATE"/cutoff.*
	rm -f "$RUN".master.* "$RUN".lost.* "$RUN".claimed.* "$RUN".refused.* "$RUN".unmounting.* "$RUN".took.* "$RUN.preparing"
	kldload -n carp
	hold
	if [ "$CARP_OFF" = yes ] && [ -f "$RUN.held" ]; then sysctl "$ALLOW=0" >/dev/null; fi
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
			while look; [ -z "$(role "$name")" ] && [ "$tries" -lt 10 ]; do sleep 1; tries=$((tries + 1)); done
			if without_role "$name" || half_awake "$name"; then bounded 30 hastctl role secondary "$name"; fi
		done
	done
}

# After boot: the hold is lifted when the node could serve every group, and only then; CARP comes on with the first of
# them. Nobody serves after both nodes were off; then one of them wakes its copies.
wait_fit() {
	SINCE_BOOT=$(now) TIRED='' PEERS=''
	HEARD_AT=$SINCE_BOOT
	while [ -f "$RUN.held" ]; do
		look
		all=yes any=no
		for one in $ALL_GROUPS; do if fit "$one"; then any=yes; else all=no; fi; done
		if [ "$all" = yes ] && lockf -k -t 120 "$LOCK" /bin/sh "$0" locked lift; then
			again
			return 0
		fi
		if [ "$any" = yes ] && held_off; then sysctl "$ALLOW=1" >/dev/null; fi
		for one in $ALL_GROUPS; do
			if no_role "$one"; then lockf -k -t 120 "$LOCK" /bin/sh "$0" locked boot; fi
			if ! asleep "$one"; then
				HEARD_AT=$(now) PEERS=''
			elif ! rested "$one"; then
				HEARD_AT=$(now)
			elif turn "$one"; then
				if lockf -k -t 120 "$LOCK" /bin/sh "$0" locked wake "$one" "$ALONE" >/dev/null 2>&1; then
					again
				else
					# In the same order again: who saw this try waits anew from its end.
					TIRED=" $one=$(($(now) + wait + 5)) $TIRED"
				fi
			fi
		done
		sleep 2
	done
}

rested() { # GROUP: it did not try to wake a short while ago
	until=${TIRED#*" $1="}
	[ "$until" = "$TIRED" ] || [ "$(now)" -ge "${until%% *}" ]
}

no_role() { # GROUP: hastd came late, or again; or who took the role was killed
	group "$1"
	for name in $RESOURCES; do if without_role "$name" || half_awake "$name"; then return 0; fi; done
	return 1
}

without_role() { # RESOURCE: and it may have one
	[ "$(role "$1")" = init ] && ! outruns "$1"
}

# Its peer was to be asked before it is used. Whoever asks has the lock, and takes the note away.
half_awake() { # RESOURCE
	[ "$(role "$1")" = primary ] && [ -f "$STATE/doubt.$1" ] && ! used "$1"
}

fit() { # GROUP, by the last look
	group "$1"
	for name in $RESOURCES; do
		if ready "$name" || [ -f "$STATE/confirmed.$name" ]; then continue; fi
		if [ "$(role "$name")" = primary ] && [ ! -f "$STATE/doubt.$name" ]; then continue; fi
		# With advskews of ours the address stays where it is; the document's own could bring it here. While
		# CARP is off nothing says whether the address is anywhere, except the address.
		split "${VHIDS%% *}"
		[ "$STANDBY" != - ] && connected "$name" || return 1
		[ "$(sysctl -n "$ALLOW")" = 1 ] || elsewhere || return 1
	done
}

elsewhere() { # the addresses of the group answer, and not from here
	for vhid in $VHIDS; do
		split "$vhid"
		for address in $(ifconfig "$IF" 2>/dev/null | awk -v n="$NUMBER" '/ vhid / && $NF == n { print $2; exit }'); do
			answers "${address%/*}" || return 1
		done
	done
}

# Every resource is a secondary that nobody is primary for, and nothing is known of its copy but what is on the disk.
asleep() { # GROUP
	group "$1"
	if [ -z "$RESOURCES" ] || [ "$POLICY" != Automatic ] || [ -f "$STATE/drained" ]; then return 1; fi
	for name in $RESOURCES; do
		if [ "$(role "$name")" != secondary ] || connected "$name" || proven "$name"; then return 1; fi
		# Not only would it be refused: hastd aborts, again and again, when a secondary that refused its peer becomes
		# primary (docs/freebsd-facts.md#7.46).
		[ ! -f "$STATE/split.$name" ] || return 1
	done
}

# Who served last goes first, then who was ever primary; of two the one the document prefers. The peer must be there:
# hastd compares both copies before anything is used, and brings over what is newer. ALONE: it may be without, the
# document says after how long (soloStart). Who is to go first is waited for from when the peer answers: its hook begins
# later than its network. A copy that counts what the peer once wrote alone goes last: what the peer wrote alone since then
# hastd did not count (docs/freebsd-facts.md#2.6), what this node wrote alone it did, so the peer may always lead.
turn() { # GROUP
	ALONE=no last=yes ever=yes blind=no
	for name in $RESOURCES; do
		[ -f "$STATE/last.$name" ] || last=no
		[ "$(counted "$name" prevrole)" = primary ] || ever=no
		[ "$(counted "$name" remotecnt)" = 0 ] || blind=yes
	done
	[ "$last$ever" != nono ] || return 1
	# It takes up to 12 s from the peer's network to its hook, and then until its own turn comes.
	if [ "$blind" = no ]; then wait=$((RANK * 15)); elif [ "$RANK" = 0 ]; then wait=30; else wait=20; fi
	[ "$last" = yes ] || wait=$((wait + 45))
	resource "${RESOURCES%% *}"
	if answers "$PEER"; then
		HEARD_AT=$(now)
		case "$PEERS" in *" $PEER="*) ;; *) PEERS="$PEERS $PEER=$HEARD_AT " ;; esac
		came=${PEERS#*" $PEER="}
		[ $((HEARD_AT - ${came%% *})) -ge "$wait" ] || return 1
		carp_state
		[ "$CARP" = MASTER ] || ! elsewhere
		return
	fi
	came=${PEERS#*" $PEER="}
	[ "$came" = "$PEERS" ] || PEERS="${PEERS%%" $PEER="*}${came#* }"
	[ $(($(now) - SINCE_BOOT)) -ge "$wait" ] || return 1
	[ "$SOLO" -gt 0 ] && [ "$last" = yes ] && ! alive && [ $(($(now) - HEARD_AT)) -ge "$SOLO" ] || return 1
	ALONE=yes
}

wake() { # GROUP ALONE, with the lock
	tick
	BEGAN=$NOW NEW='' ASK='' DOUBT='' GONE='' PHASES='' WAKING=yes
	SINCE=$BEGAN
	look
	asleep "$1" || return 0
	for name in $RESOURCES; do
		NEW="$NEW $name"
		if [ "$2" = yes ]; then GONE="$GONE $name "; else DOUBT="$DOUBT $name "; fi
	done
	say "$1: both nodes were off, and this one served last"
	if promote "$1"; then
		advskew serving
		noted "$1" woke $(($(now) - BEGAN)) "$([ "$2" = no ] || echo 'alone: the peer was away longer than soloStart')"
		return 0
	fi
	look
	for name in $RESOURCES; do
		[ "$(role "$name")" != primary ] || bounded $((TIMEOUT + 15)) hastctl role secondary "$name"
	done
	return 1
}

lift() {
	[ "$CARP_OFF" = no ] || [ "$(sysctl -n "$ALLOW")" = 1 ] || sysctl "$ALLOW=1" >/dev/null
	[ -f "$RUN.held" ] || return 0
	held=$(number "$RUN.held")
	rm -f "$RUN.held"
	if [ "$held" -gt 0 ] && [ "$(sysctl -n "$DEMOTION")" -ge "$held" ]; then sysctl "$DEMOTION=-$held" >/dev/null; fi
	say "held back no more: this node could serve"
}
