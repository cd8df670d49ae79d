# shellcheck shell=sh disable=SC2154 # the settings stand in the head that hactl renders in front of this
#
# The node hook: what this node does by itself when CARP moves the addresses of a group here or away.
# POSIX sh and the base system only. It is called by devd(8), rc(8), hastd(8), hactl and people: see the end.
#
# Rules: triggers are hints, the state is read again under the lock; every step that can hang is bounded, each is idempotent and
# logged; the next run heals what a killed one left; a role is never changed under a device that is in use (I2), a node is promoted
# only when its copy is known to be complete (I4) and the peer has let go or is gone (I1).
# Sources: docs/freebsd-facts.md#1.2 (timing of carp(4)), #2.1 to #2.9 (hastd(8)), #3.1 (service(8)) and
# docs/safety.md#invariants of hactl; man pages devd.conf(5), lockf(1), rc(8), hastctl(8), ifconfig(8).

set -u
PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin; LC_ALL=C; export PATH LC_ALL
umask 022
cd /

RUN=/var/run/hactl
DEMOTION=net.inet.carp.demotion
ALLOW=net.inet.carp.allow
AGAIN=no
QUICK=no
WAKING=no
TOOK=took
ASKED=''
REACTED=no
SILENT=''
SILENT_AT=0
OVERHEARD=''
NOW=0
# The end of a line.
LINE='
'

# Notes in /var/db/hactl, each with the time since boot it was written at; a
# connection, a change of the role and a boot make them void:
#   confirmed.RES     secondary: hactl saw that this copy is complete
#   disconnected.RES  secondary: when it lost its primary
#   parted.RES        secondary: the primary let go, it did not just lose us
#   released.RES      this node gave the role up in order, nobody took it since
#   alone.RES         primary: since when it writes without a secondary, and the writes until then; 0: since it took over,
#                     `0 0`: and it came to use it
#   doubt.RES         hastd asks the peer before this copy is used: who is primary, or whose copy is newer
#   cutoff.RES        secondary: its primary lived when the addresses came, and was silent on the replication network
#   split.RES         hastd refused to connect the copies: both were written while apart (no role changes that)
# Two notes outlive a boot:
#   last.RES          this node was primary, and no other one connected to it as primary since
#   fenced.RES        this node slept while its peer took over: when that was ended, and how often it wrote meanwhile

# --- small questions --------------------------------------------------------
# What CARP, hastd(8), mount(8) and service(8) say now. They change nothing but the notes; what could hang is
# bounded; no answer is not an answer.

say() { # TEXT
	logger -t hactl -p daemon.notice "$1" &
	echo "$1"
}

# The time since boot, noted in NOW: what is only to be known to the second does not ask again.
tick() { NOW=$(now); }

# Seconds since boot. The wall clock may be stepped while notes are compared; kern.boottime steps with it. What takes
# seconds only asks for it once (BOOTED).
now() {
	echo $(($(date +%s) - ${BOOTED:-$(booted)}))
}

booted() {
	boot=$(sysctl -n kern.boottime)
	boot=${boot#*sec = }
	echo "${boot%%,*}"
}

# hastctl has no timeout of its own. --foreground: without it timeout(1) would
# wait for, and kill, the daemons that a service leaves behind.
# shellcheck disable=SC2086
bounded() { timeout ${IN_FRONT---foreground} -k 2 "$@"; }

# What service(8) does, which is a script of its own that reads all of rc.subr before it finds the other one: half the time
# of a question. devd and rc gave this program their own environment and limits; a person's are left behind (see as_daemon).
# What is in neither place service(8) finds, or explains.
rc() ( # SECONDS SERVICE COMMAND
	unset LC_ALL
	HOME=/ PATH=/sbin:/bin:/usr/sbin:/usr/bin
	export HOME
	for place in /etc/rc.d /usr/local/etc/rc.d; do
		[ -x "$place/$2" ] || continue
		bounded "$1" "$place/$2" "$3"
		exit
	done
	bounded "$1" service "$2" "$3"
)

answers() { # ADDRESS: one answer to four questions, within about a second
	case "$1" in
	*:*) ping -6 -n -o -q -c 4 -i 0.1 -W 200 -t 3 "$1" >/dev/null 2>&1 ;;
	*) ping -n -o -q -c 4 -i 0.1 -W 200 -t 3 "$1" >/dev/null 2>&1 ;;
	esac
}

# What CARP says of the vhids of the group: MASTER (all of them), MIXED (some),
# BACKUP or INIT (none), ABSENT (none, and one of them is not there).
carp_state() {
	masters=0 others=0 backups=0 absent=0
	for vhid in $VHIDS; do
		split "$vhid"
		state_of
		case "$STATE_HERE" in
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

# What ifconfig(8) says of the vhid that was split: `carp: BACKUP vhid 80 advbase 1 advskew 100`.
state_of() {
	STATE_HERE='' SKEW_HERE=''
	while read -r word is _ number _ _ _ skew _; do
		if [ "$word" = carp: ] && [ "$number" = "$NUMBER" ]; then STATE_HERE=$is SKEW_HERE=$skew; fi
	done <<-END
	$(ifconfig "$IF" 2>/dev/null)
	END
}

# What the kernel told last of the vhid that was split, of the lines that match.
YIELDED='MASTER -> BACKUP (more frequent advertisement received)'
carp_said() { # PATTERN of awk(1)
	dmesg | awk -v n="carp: $NUMBER@$IF: " "index(\$0, n) && $1 { l = \$0 } END { print l }"
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
		if [ "$1" = serving ]; then wanted=$SERVING; else wanted=$STANDBY; fi
		[ "$wanted" != - ] || continue
		state_of
		# A command that names a vhid which is not there would create it.
		if [ -n "$SKEW_HERE" ] && [ "$SKEW_HERE" != "$wanted" ]; then
			ifconfig "$IF" vhid "$NUMBER" advskew "$wanted"
		fi
	done
}

# hastd is asked once for all resources, and what it said is read without a program: starting one can take 60 ms.
look() {
	LISTED=$(bounded 10 hastctl list 2>/dev/null) && [ -n "$LISTED" ] && return 0
	# A worker that ends while it is asked spoils the whole answer.
	sleep 0.3
	LISTED=$(bounded 10 hastctl list 2>/dev/null)
}

# No loop over its lines: sh(1) reads them a byte at a time, and several resources are asked several times.
listed() { # RESOURCE WORD: what hastd said of it at the last look
	case "$LINE$LISTED" in *"$LINE$1:$LINE"*) ;; *) return 0 ;; esac
	mine="$LINE$LISTED"
	mine=$LINE${mine#*"$LINE$1:$LINE"}
	mine=${mine%%"$LINE"[! ]*}
	case "$mine" in *"$LINE  $2: "*) ;; *) return 0 ;; esac
	mine=${mine#*"$LINE  $2: "}
	echo "${mine%%"$LINE"*}"
}

role() { # RESOURCE
	listed "$1" role
}

# A secondary whose primary is there: the peer is alive, and primary. A primary
# whose secondary is there.
connected() { # RESOURCE
	[ "$(listed "$1" status)" = complete ]
}

# Everything is on both disks (complete alone does not say that, docs/freebsd-facts.md#trap-19).
clean() { # RESOURCE
	connected "$1" && [ "$(listed "$1" dirty | cut -d ' ' -f 1)" = 0 ]
}

counted() { # RESOURCE WORD: as it stands on the disk, whatever hastd does
	bounded 10 hastctl dump "$1" 2>/dev/null | awk -v w="$2:" '$1 == w { print $2 }'
}

mounted() { # PART of a line of mount(8), which is asked now
	MOUNTS=$(mount)
	was_mounted "$1"
}

was_mounted() { # PART of a line of what mount(8) said last
	case "$MOUNTS" in *"$1"*) return 0 ;; esac
	return 1
}

used() { # RESOURCE: its filesystem is mounted, wherever that is; its pool is imported
	resource "$1"
	case "$KIND" in
	zfs) bounded 30 zpool list -H -o name "$WHERE" >/dev/null 2>&1 ;;
	*) mounted "/dev/hast/$1 on " ;;
	esac
}

whole() { # RESOURCE, that was set: its device is here, and the others of its pool are
	for member in ${MEMBERS:-"$1"}; do [ -c "/dev/hast/$member" ] || return 1; done
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
	case "$CHECKED" in
	*" $1 "*) own_check "$1"; hactl_judge $? '' ;;
	# Not in the foreground, so that out of time its children end too: one that hangs would keep this waiting for ever.
	*) answer=$(IN_FRONT='' rc 30 "$1" onestatus 2>&1); hactl_judge $? "$answer" "$1" ;;
	esac
	[ "$hactl_runs" = yes ]
}

# The state decides, not what start and stop came to; what is unclear does not get clearer.
becomes() { # yes | no, SERVICE: within ten seconds
	since=
	while running "$2"; [ "$hactl_runs" != "$1" ]; do
		: "${since:=$(now)}"
		[ $(($(now) - since)) -lt 10 ] && [ "$hactl_runs" != unclear ] || return 1
		sleep 0.25
	done
}

# What is to be known of a service that did not come to what was wanted.
last_words() { # start | stop, SERVICE
	[ "$hactl_runs" != unclear ] || printf 'nobody can tell, so name a check in the document; '
	tail -n 3 "$RUN.$1.$2" | tr '\n' ' '
}

serving() {
	look
	for name in $RESOURCES; do ready "$name" || return 1; done
	for name in $SERVICES; do running "$name" || return 1; done
}

holding() { # anything of the group that belongs on the serving node
	look
	for name in $RESOURCES; do
		if [ "$(role "$name")" = primary ] || used "$name"; then return 0; fi
	done
	for name in $SERVICES; do if running "$name"; then return 0; fi; done
	return 1
}

# Whether the peer answers somewhere, asked side by side: on the replication network (then HEARD is yes), or where
# hactl reaches it. One that is silent on the replication network only is not gone.
alive() {
	for address in $PEER $ALSO; do ask "$address"; done
	HEARD=no somewhere=no
	for address in $ALSO; do if heard "$address"; then somewhere=yes; fi; done
	if heard "$PEER"; then HEARD=yes somewhere=yes; fi
	tick
	[ "$somewhere" = yes ]
}

ask() { # ADDRESS, unless it is being asked already
	case "$ASKED" in *" $1="*) ;; *) answers "$1" & ASKED="$ASKED $1=$! " ;; esac
}

heard() { # ADDRESS: whether it answers; the next time it is asked anew
	ask "$1"
	asked=${ASKED#*" $1="}
	asked=${asked%% *}
	ASKED="${ASKED%%" $1=$asked "*}${ASKED#*" $1=$asked "}"
	wait "$asked"
}

# Whether hastd of every peer can be reached: a firewall may keep ping out, but not that.
peers_reached() {
	for name in $RESOURCES; do
		resource "$name"
		[ -z "$PEER" ] || answers "$PEER" || nc -z -w 1 "$PEER" "$PORT" >/dev/null 2>&1 || return 1
	done
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

count() { # WORDS
	# shellcheck disable=SC2086
	set -- $1
	echo $#
}

number() { # FILE: the number it begins with, 0 when there is none
	found=
	[ ! -f "$1" ] || read -r found _ <"$1"
	case "$found" in '' | *[!0-9]*) echo 0 ;; *) echo "$found" ;; esac
}

keep_notes() { # in a directory of root's alone; what is above it is the base system's
	# shellcheck disable=SC2174
	[ -d "$STATE" ] || mkdir -p -m 700 "$STATE"
}

noted() { # GROUP WHAT SECONDS TEXT: one line for hactl and for people
	keep_notes
	line="$(date +%s) $1 $2 $3 $4"
	last=$(tail -n 1 "$STATE/moves" 2>/dev/null | cut -d ' ' -f 2,3,5-)
	[ "$last" != "$1 $2 $4" ] || return 0
	{ [ ! -f "$STATE/moves" ] || tail -n 199 "$STATE/moves"; echo "$line"; } >"$STATE/.moves.$$" &&
		mv -f "$STATE/.moves.$$" "$STATE/moves"
}

# The seconds since the last phase, each with its owner.
phase() { # NAME
	PHASES="$PHASES $1 $((NOW - SINCE))"
	SINCE=$NOW
}

stopped() { # GROUP TEXT
	say "$1: stopped: $2"
	noted "$1" stopped $(($(now) - BEGAN)) "$2"
}

forget() { # RESOURCE: whatever was noted of this copy
	unproven "$1" "$STATE/alone.$1"
}

unproven() { # RESOURCE, and FILES that go with what was noted of its copy as a secondary
	rm -f "$STATE/confirmed.$1" "$STATE/disconnected.$1" "$STATE/parted.$1" "$STATE/released.$1" \
		"$STATE/cutoff.$1" ${2:+"$2"}
}
