# --- beaten, cut off --------------------------------------------------------
# Two nodes were MASTER for a moment: one of them slept while the other took over. Each sees that it yielded, or that
# the other did. Nothing waits for the lock here: each second the sleeper writes is lost, and acknowledged.

# Called when a vhid is MASTER no more. A node that took over, and whose copy nobody else has since, claims the
# addresses. A primary that yielded to an advertisement as good as its own, though nothing held it back, yielded to a
# node that took over: an advskew like that is set after the role and before the first write (see take). That hastd
# calls the copies connected says nothing here: the end of a connection arrives later than an advertisement. Fails where the
# rest is for the follower.
beaten() { # NUMBER@INTERFACE
	for one in $ALL_GROUPS; do
		group "$one"
		[ "$POLICY" = Automatic ] || continue
		case " $VHIDS " in *" ${1%@*}/${1#*@}/0/"*) ;; *) continue ;; esac
		look
		for name in $RESOURCES; do
			[ "$(role "$name")" = primary ] || continue
			since=
			[ ! -f "$STATE/alone.$name" ] || read -r since _ <"$STATE/alone.$name"
			# Until it had set its advskew it had not taken anything into use: it goes back (see unused).
			if [ "$since" = 0 ] && ! connected "$name"; then
				NUMBER=${1%@*} IF=${1#*@}
				state_of
				[ "$SKEW_HERE" = 0 ] || return 1
				case "$(carp_said 1)" in *"$YIELDED"*) ;; *) return 1 ;; esac
				BEGAN=$(now)
				[ $((BEGAN - $(number "$RUN.claimed.$one"))) -gt 60 ] || return 1
				echo "$BEGAN" >"$RUN.claimed.$one"
				say "$one: a node that slept claims the addresses; this one took over: claiming them back"
				claim
				return 1
			fi
			yielded "$1" || return 1
			fence "$one" "$SLEPT"
			return 0
		done
	done
	return 1
}

yielded() { # NUMBER@INTERFACE
	# What a kernel that tells nothing told last may be old.
	case "$(sysctl -n "$DEMOTION" net.inet.carp.log)" in "0$LINE"[!0]*) ;; *) return 1 ;; esac
	NUMBER=${1%@*} IF=${1#*@}
	state_of
	[ "$STATE_HERE $SKEW_HERE" = 'BACKUP 0' ] || return 1
	case "$(carp_said 1)" in *"$YIELDED"*) return 0 ;; esac
	return 1
}

# The device of a primary goes at once. To hastd it would be a matter of luck: its worker goes on acknowledging while it
# looks for its peer, and waits for hastd, which waits for it (docs/freebsd-facts.md#2.8).
unplug() { # RESOURCE: of the last look
	unit=$(geom gate list | awk -v n="hast/$1" '/^Geom name:/ { mine = $3 == n } mine && $1 == "unit:" { print $2 }')
	[ -z "$unit" ] || ggatel destroy -f -u "$unit"
	worker=$(listed "$1" workerpid)
	[ -z "$worker" ] || kill -9 "$worker"
}

# Neither the addresses nor the peer are here: both cables are out, or a switch is off, and the peer takes over within
# seconds. hastd holds back what is written until it gives the peer up, and acknowledges it then, when the peer serves
# (seen on a pair, docs/freebsd-facts.md#7.53); until then the writer hangs, and so does umount(8). Beside the orderly way,
# for as long as that takes: a program may keep the device for ever. Not while it unmounts: where the device goes under an
# umount(8) that has begun, that hangs for ever, with the lock (#7.55); it asks for itself before each try.
linger() { # GROUP
	group "$1"
	while look; lingering "$1"; do
		peers_reached || [ -s "$RUN.unmounting.$1" ] || cut_away "$1"
		sleep 1
	done
}

cut_away() { # GROUP: no peer was reached, which took seconds
	look
	! lingering "$1" || fence "$1" "$CUT_OFF"
}

# It is here, though no address of it is, and the peer may take it. Whether something uses it mount(8) does not say: it lists
# nothing that is being unmounted, and that hangs as long as a write (docs/freebsd-facts.md#7.54).
lingering() { # GROUP, by the last look
	[ "$POLICY" = Automatic ] || return 1
	carp_state
	case "$CARP" in BACKUP | INIT) ;; *) return 1 ;; esac
	lost=$(lost_since)
	for name in $RESOURCES; do
		[ "$(role "$name")" = primary ] || continue
		# Alone long before: no other copy is complete.
		if ! connected "$name" && [ "$(number "$STATE/alone.$name")" -lt $((lost - 5)) ]; then continue; fi
		[ ! -c "/dev/hast/$name" ] || return 0
	done
	return 1
}

# The device goes first, under whatever uses it: the one exception of I2. Every device before the first role, which takes
# its time. What was written since is on this disk only; how much of it there is, is noted.
SLEPT='it slept, and the peer took over meanwhile'
CUT_OFF='it is cut off, and the peer takes over'
fence() { # GROUP WHY
	taken=
	for name in $RESOURCES; do
		[ "$(role "$name")" = primary ] || continue
		unplug "$name"
		taken="$taken $name"
	done
	again
	BEGAN=$(now)
	for name in $taken; do
		resource "$name"
		# How often it wrote until hastd knew that it was alone, and at the last look: asking again might hang.
		since=
		[ ! -f "$STATE/alone.$name" ] || read -r _ since <"$STATE/alone.$name"
		# No role first: what this copy is stands in a note before hastd may compare it with the other one.
		bounded $((TIMEOUT + 15)) hastctl role init "$name"
		wrote=$(listed "$name" "  writes")
		forget "$name"
		keep_notes
		case "$since$wrote" in *[!0-9]*) since='' ;; esac
		if [ -z "$since" ] || [ -z "$wrote" ] || [ "$wrote" -lt "$since" ]; then wrote='?'; else wrote=$((wrote - since)); fi
		echo "$(date +%s) $wrote" >"$STATE/.fenced.$name"
		fsync "$STATE/.fenced.$name"
		mv -f "$STATE/.fenced.$name" "$STATE/fenced.$name"
		fsync "$STATE"
		outruns "$name" || bounded $((TIMEOUT + 15)) hastctl role secondary "$name"
		say "$1: $name taken away from this node: $2"
	done
	advskew standby
	noted "$1" fenced $(($(now) - BEGAN)) "$2"
}

# What this node wrote when it woke would be brought over the copy that is served, and no split-brain is seen: where the peer
# counts for itself already, what it wrote alone hastd did not count (docs/freebsd-facts.md#2.6). It stays without a role.
outruns() { # RESOURCE
	[ -f "$STATE/fenced.$1" ] && [ "$(counted "$1" localcnt)" != 0 ] && [ "$(counted "$1" remotecnt)" != 0 ]
}
