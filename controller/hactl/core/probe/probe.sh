# shellcheck shell=sh disable=SC2154 # the settings stand in the head that hactl renders in front of this
#
# The probe: ONE pass over a node that reads what was asked for (hactl.core.parse.question), and changes nothing. What
# it is told of the last look lets it leave out what is still so.
#
# It works in FreeBSD's sh, in dash and in bashkit. Nothing runs before the whole script has arrived: there are only
# functions until the last lines. No query reads the script's own standard input; no temporary files and no writes.
# What can hang (hastd, disks that do not answer) is bounded, and what can hang without being killable (GEOM while a
# device is being tasted) comes last. A healthy pass forks as little as possible (10 to 20 ms each on a slow node), and
# disks are read only where blankness decides something. Every name begins with h_: rc.conf is sourced.

# A query is a section of the answer: its name, what it printed, its exit status (core/parse/answer/frames.py).
h_say() { printf '%s %s\n' "$h_frame" "$*"; }
h_b() { h_say begin "$1"; }
h_e() { printf '\n'; h_say end "$1" "$2"; }
# A section whose text is needed here too: NAME STATUS TEXT.
h_s() { h_b "$1"; printf '%s\n' "$3"; h_e "$1" "$2"; }

h_l='
'
h_tab='	'
# What h_service and h_disk set.
h_name='' h_device='' h_filesystem=no h_pool=''
# What sections left behind: resources (numbers) without metadata that could be read; whether a disk was looked at, and
# whether importable pools are to be looked for.
h_list='' h_changed=0 h_pools='' h_undumped=' ' h_any=0 h_scan=0

h_main() {
	# Anything but FreeBSD ends the probe here, politely.
	h_identity || return 0
	if h_asked carp; then h_b ifconfig; ifconfig -k; h_e ifconfig $?; fi
	if h_asked log; then h_log; fi
	if h_asked storage; then h_mounted; fi
	if h_asked storage && [ -n "$h_disks" ]; then h_hast; fi
	if h_asked files; then h_files; fi
	if h_asked services; then h_processes; h_services; fi
	if h_asked notes; then h_notes; fi
	if h_asked standing; then h_standing; fi
	if h_asked storage && [ -n "$h_disks" ]; then h_storage; fi
	return 0
}

h_asked() { # PART: of hactl.core.parse.question
	case "$h_parts" in *" $1 "*) return 0 ;; esac
	return 1
}

h_identity() {
	# In one sysctl(8).
	h_sys=$(sysctl -i kern.ostype kern.osreldate kern.osrelease kern.hostname kern.hostuuid kern.boottime \
		kern.securelevel vfs.timestamp_precision net.inet.carp 2>&1)
	h_s sysctl $? "$h_sys"
	# / belongs to root: whether we are root costs no fork. FreeBSD's test(1), dash and bashkit have -O.
	h_b who
	# shellcheck disable=SC3067
	if [ -O / ]; then echo 0; else id -u; fi
	h_e who $?
	case "$h_l$h_sys$h_l" in *"${h_l}kern.ostype: FreeBSD$h_l"*) return 0 ;; esac
	h_b uname; uname -s; h_e uname $?
	return 1
}

# What has happened rather than what is: counters, and the newest CARP lines since the last boot (a warm boot can leave
# the log of the one before in memory).
h_log() {
	case "$h_sys" in *net.inet.carp.*) ;; *) return ;; esac
	h_b netstat; netstat -s -p carp; h_e netstat $?
	h_b dmesg
	dmesg | awk '
		/---<<BOOT>>---/ { n = 0 }
		/^(\[[0-9.]+\] )?carp: / { l[n % 64] = $0; n++ }
		END { for (i = (n > 64 ? n - 64 : 0); i < n; i++) print l[i % 64] }'
	h_e dmesg $?
}

# What a quick look does not need here again it does not catch: `$(...)` costs a fork more than the program.
h_mounted() {
	if [ "$h_quick" -eq 1 ]; then h_b mount; mount; h_e mount $?; return; fi
	h_mounts=$(mount 2>&1); h_s mount $? "$h_mounts"
}

# hastd, its resources, and what is on the disks. Without hast.conf hastctl can do nothing but complain.
h_hast() {
	h_r=72 h_pid=''
	if [ -r "$h_root/var/run/hastd.pid" ]; then IFS= read -r h_pid <"$h_root/var/run/hastd.pid"; fi
	h_s hastpid 0 "$h_pid"
	h_conf=$h_root/etc/hast.conf
	if [ "$h_quick" -eq 1 ]; then h_b list; hastctl list; h_e list $?; return; fi
	if [ -r "$h_conf" ]; then h_list=$($h_bound hastctl list 2>&1); h_r=$?; h_s list "$h_r" "$h_list"; fi
	# A list that came proves that hastd runs, and that geom_gate is loaded: hastd refuses to run without it.
	if [ "$h_r" -ne 0 ]; then
		h_b pgrep; pgrep -x hastd; h_e pgrep $?
		h_b g_gate; kldstat -q -m g_gate; h_e g_gate $?
	fi
	if [ ! -r "$h_conf" ]; then h_undumped=" $h_disks "; return; fi
	for h_n in $h_disks; do
		h_disk "$h_n"
		h_dump=$($h_bound hastctl dump "$h_name" 2>&1); h_r=$?; h_s "dump.$h_n" "$h_r" "$h_dump"
		case "$h_r" in 0 | 124 | 137) ;; *) h_undumped="$h_undumped$h_n " ;; esac
	done
}

# Every process; and of these the ones that tell whether a service of rc(8) has come or gone: children of init, and
# what `onestatus` named last time.
h_processes() {
	if [ "$h_quick" -eq 1 ]; then h_b ps; ps -axo ppid,pid,lstart,comm; h_e ps $?; return; fi
	h_ps=$(ps -axo ppid,pid,lstart,comm 2>&1); h_s ps $? "$h_ps"
	h_now=''
	set -f
	IFS=$h_l
	# shellcheck disable=SC2086
	set -- $h_ps
	unset IFS
	for h_line in "$@"; do
		# shellcheck disable=SC2086
		set -- $h_line
		case "$1$h_pids" in "1 "* | *" ${2-} "*) h_now="$h_now$*$h_l" ;; esac
	done
	set +f
}

# A service whose processes and files are the ones it had when it was asked last is as it was then; asking costs half a
# second.
h_services() {
	[ "$h_quick" -eq 0 ] || return 0
	for h_n in $h_numbers; do
		case "$h_known_services" in
		*" $h_n "*)
			if [ "$h_changed" -eq 0 ] && [ "$h_now" = "$h_known_processes" ]; then
				h_b "same.$h_n"; h_e "same.$h_n" 0
				continue
			fi
			;;
		esac
		h_service "$h_n"
		if h_has_check "$h_n"; then
			h_text=$(h_check "$h_n" 2>&1 >/dev/null); h_r=$?
			hactl_judge "$h_r" ''
		else
			h_text=$($h_bound service "$h_name" onestatus 2>&1); h_r=$?
			hactl_judge "$h_r" "$h_text" "$h_name"
		fi
		h_s "service.$h_n" "$h_r" "$h_text"; h_s "runs.$h_n" 0 "$hactl_runs"
	done
}

# Whether the document names what tells whether it runs; its script must be there all the same.
h_has_check() { # NUMBER
	case "$h_checked" in *" $1 "*) ;; *) return 1 ;; esac
	[ -x "$h_root/etc/rc.d/$h_name" ] || [ -x "$h_root/usr/local/etc/rc.d/$h_name" ]
}

# Everything that is read from files, unless all of them are the ones that were read last time: one stat(1) tells. It
# comes before the reading, so that what changes meanwhile differs from it the next time.
h_files() {
	h_list_files
	h_b stat; printf 'root %s\n' "$h_root"
	h_stat=$(h_stated); h_r=$?
	printf '%s\n' "$h_stat"; h_e stat "$h_r"
	[ "$h_quick" -eq 0 ] || return 0
	if [ -n "$h_known_files" ] && [ "$h_stat" = "$h_known_files" ]; then h_b same.files; h_e same.files 0; return; fi
	h_changed=1
	if [ -n "$h_disks" ] && [ -r "$h_root/etc/hast.conf" ]; then
		h_b hastconf; head -c "$h_file_limit" "$h_root/etc/hast.conf"; h_e hastconf $?
	fi
	h_boot_files
	h_b rc; (h_rc); h_e rc $?
	h_hook
	h_devd_rules
	if [ -n "$h_rivals" ]; then h_other_hands; fi
}

# Names of files, one a line: what rc and the loader read, in their order (the last assignment wins), and the scripts of
# the services; devd's files; the node hook's; and what else decides.
h_list_files() {
	h_boot='' h_devd='' h_hooks='' h_more='' h_rivals=''
	for h_f in \
		"$h_root/bin/freebsd-version" \
		"$h_root/boot/loader.conf" "$h_root"/boot/loader.conf.d/*.conf "$h_root/boot/loader.conf.local" \
		"$h_root/etc/sysctl.conf" "$h_root/etc/sysctl.conf.local" \
		"$h_root/etc/rc.conf" "$h_root/etc/rc.conf.local" \
		"$h_root/etc/rc.conf.d/network" "$h_root"/etc/rc.conf.d/network/* \
		"$h_root/usr/local/etc/rc.conf.d/network" "$h_root"/usr/local/etc/rc.conf.d/network/* \
		"$h_root/etc/rc.conf.d/netif" "$h_root"/etc/rc.conf.d/netif/* \
		"$h_root/usr/local/etc/rc.conf.d/netif" "$h_root"/usr/local/etc/rc.conf.d/netif/*; do
		if [ -f "$h_f" ] && [ -r "$h_f" ]; then h_boot="$h_boot$h_f$h_l"; fi
	done
	for h_n in $h_numbers; do
		h_service "$h_n"
		for h_f in "$h_root/etc/rc.d/$h_name" "$h_root/usr/local/etc/rc.d/$h_name"; do
			if [ -f "$h_f" ] && [ -r "$h_f" ]; then h_boot="$h_boot$h_f$h_l"; fi
		done
	done
	for h_f in kld hastd devd hactl_node $h_numbers; do
		case "$h_f" in [0-9]*) h_service "$h_f"; h_f=$h_name ;; esac
		for h_g in "$h_root/etc/rc.conf.d/$h_f" "$h_root/etc/rc.conf.d/$h_f"/* \
			"$h_root/usr/local/etc/rc.conf.d/$h_f" "$h_root/usr/local/etc/rc.conf.d/$h_f"/*; do
			if [ -f "$h_g" ] && [ -r "$h_g" ]; then h_boot="$h_boot$h_g$h_l"; fi
		done
	done
	for h_f in "$h_root/etc/devd.conf" "$h_root"/etc/devd/*.conf "$h_root"/usr/local/etc/devd/*.conf; do
		if [ -f "$h_f" ] && [ "$h_f" != "$h_root$h_rule" ]; then h_devd="$h_devd$h_f$h_l"; fi
	done
	for h_f in $h_hook_files; do
		if [ -f "$h_root$h_f" ]; then h_hooks="$h_hooks$h_root$h_f$h_l"; fi
	done
	# Who else acts is asked until hactl does, and where the document keeps such a file.
	if [ -z "$h_hooks" ] || [ "$h_keeps" -eq 1 ]; then hactl_rival_files "$h_root"; h_rivals=$hactl_files; fi
	for h_f in "$h_root/etc/defaults/rc.conf" ${h_disks:+"$h_root/etc/hast.conf" "$h_root/sbin/hastd"} \
		"$h_root$h_state/moves"; do
		if [ -e "$h_f" ]; then h_more="$h_more$h_f$h_l"; fi
	done
	# A directory of that name is not among the files rc reads.
	if [ -d "$h_root/etc/rc.conf.d/netif" ]; then h_more="$h_more$h_root/etc/rc.conf.d/netif$h_l"; fi
}

h_stated() {
	set -f
	IFS=$h_l
	# shellcheck disable=SC2086
	set -- $h_boot$h_more$h_devd$h_hooks$h_rivals
	if [ $# -gt 0 ]; then exec stat -f '%d %i %p %u %g %z %Fm %Fc %N' "$@" 2>&1; fi
}

# Many small files in one process: where rc variables are assigned (names only, never a value: there are passwords),
# hactl's block in netif, carp lines of loader.conf and sysctl.conf, rcvars of rc scripts, the release; and whether
# rc.conf runs or reads something else, which no stat(1) of ours could know about.
h_boot_files() {
	IFS=$h_l; set -f
	# shellcheck disable=SC2086
	set -- $h_boot
	unset IFS; set +f
	h_files=''
	# shellcheck disable=SC2016
	if [ $# -gt 0 ]; then h_files=$(awk '
		function flush() { if (n == 1 && v ~ /^[A-Za-z0-9_]+$/) print "rcvar=" s "=" v; n = 0; v = "" }
		FNR == 1 { flush(); print "file " FILENAME; s = FILENAME; sub(/.*\//, "", s); own = 0; named = "" }
		FILENAME ~ /\/rc\.d\/[^\/]*$/ {
			if ($0 ~ /^name=/) { named = $0; sub(/^name=/, "", named); gsub(/["\047 \t;]/, "", named) }
			if ($0 ~ /^[ \t]*rcvar=/) {
				n++; v = $0; sub(/^[ \t]*rcvar=/, "", v); gsub(/["\047 \t;]/, "", v)
				if (v == "${name}_enable" || v == "$name_enable") v = named "_enable"
				if (named != s) v = ""
			}
			next
		}
		FILENAME ~ /freebsd-version$/ { if ($0 ~ /^USERLAND_VERSION=/) print "line " $0; next }
		FILENAME ~ /\/sysctl\.conf/ { if ($0 ~ /^[ \t]*net\.inet\.carp\./) print "line " $0; next }
		FILENAME ~ /\/loader\.conf/ { if ($0 ~ /^[ \t]*carp_load[ \t]*=/) print "line " $0; next }
		/^[ \t]*(\.|source)[ \t]/ || /`/ || /\$\(/ { print "live" }
		/^# BEGIN hactl[ \t]*$/ { print "mark BEGIN"; own = 1; next }
		/^# END hactl[ \t]*$/ { print "mark END"; own = 0; next }
		/^[ \t]*(export[ \t]+)?(ifconfig_[A-Za-z0-9_]+|[A-Za-z0-9_]+_enable|kld_list)\+?=/ {
			v = $0; sub(/\+?=.*/, "", v); sub(/.*[ \t]/, "", v)
			print (own ? "own " : "var ") v; v = ""
		}
		END { flush() }' "$@" 2>&1); fi
	h_r=$?
	# Neither awk nor sh tells of NUL bytes, which a power cut puts into files; for grep such a file is no text.
	h_text=''
	if [ $# -gt 0 ]; then h_text=$h_l$(grep -Il '' "$@")$h_l; fi
	for h_f in "$@"; do
		case "$h_text" in *"$h_l$h_f$h_l"*) continue ;; esac
		if [ -s "$h_f" ]; then h_files="$h_files${h_l}torn ${h_f#"$h_root"}"; fi
	done
	h_s bootfiles "$h_r" "$h_files"
	# A script that does not say its rcvar in a literal is asked; that costs twenty forks.
	for h_n in $h_numbers; do
		h_service "$h_n"
		case "$h_l$h_files" in *"${h_l}rcvar=$h_name="*) continue ;; esac
		h_b "rcvar.$h_n"; $h_bound service "$h_name" rcvar; h_e "rcvar.$h_n" $?
	done
}

# In a subshell: rc.conf as load_rc_config reads it (rc.subr), and of rc.conf.d what the script has that acts on the
# variable: kld_list is rc.d/kld's, an alias is rc.d/netif's.
# shellcheck disable=SC1090,SC1091
h_rc() {
	set +u
	if [ -r "$h_root/etc/defaults/rc.conf" ]; then
		. "$h_root/etc/defaults/rc.conf"
		source_rc_confs
	elif [ -r "$h_root/etc/rc.conf" ]; then
		. "$h_root/etc/rc.conf"
	fi
	h_say read
	h_of kld kld_list
	for h_f in hastd devd hactl_node; do h_of "$h_f" "${h_f}_enable"; done
	h_of hastd hastd_flags
	for h_n in $h_numbers; do
		h_service "$h_n"
		for h_v in $h_files; do
			case "$h_v" in "rcvar=$h_name="*) h_of "$h_name" "${h_v##*=}"; break ;; esac
		done
	done
	h_read_own network
	h_read_own netif
	h_names=$(set | sed -n 's/^\(ifconfig_[A-Za-z0-9_]*\)=.*/\1/p')
	set -f
	for h_v in $h_names; do
		case "$h_v" in
		ifconfig_*_alias[0-9]* | ifconfig_*_aliases | ifconfig_*_ipv6) ;;
		*) case " $h_interfaces " in *" $h_v "*) ;; *) continue ;; esac ;;
		esac
		h_show "$h_v"
	done
	h_say read
}

# A variable as the script of that name has it. A file that sh cannot read ends the answer.
h_of() { # SCRIPT VARIABLE
	if [ -e "$h_root/etc/rc.conf.d/$1" ] || [ -e "$h_root/usr/local/etc/rc.conf.d/$1" ]; then
		(h_read_own "$1"; h_show "$2") || exit 1
	else
		h_show "$2"
	fi
}

# rc.conf.d of one script: a file, or a directory of files.
# shellcheck disable=SC1090
h_read_own() { # SCRIPT
	for h_d in "$h_root/etc" "$h_root/usr/local/etc"; do
		if [ -f "$h_d/rc.conf.d/$1" ]; then
			. "$h_d/rc.conf.d/$1"
		elif [ -d "$h_d/rc.conf.d/$1" ]; then
			for h_g in "$h_d/rc.conf.d/$1"/*; do if [ -f "$h_g" ]; then . "$h_g"; fi; done
		fi
	done
}

h_show() { # VARIABLE
	h_set='' h_val=''
	case "$1" in *[!A-Za-z0-9_]*) return 0 ;; esac
	eval "h_set=\${$1+x}"
	if [ "$h_set" = x ]; then eval "h_val=\$$1"; h_say var "$1"; h_value "$h_val"; fi
}

# The node hook: checksums of its files, and what it noted of its moves.
h_hook() {
	IFS=$h_l; set -f
	# shellcheck disable=SC2086
	set -- $h_hooks
	unset IFS; set +f
	h_b hook
	for h_f in "$@"; do printf 'file %s\n' "${h_f#"$h_root"}"; done
	if [ $# -gt 0 ]; then sha256 -q "$@"; fi
	if [ -f "$h_root$h_state/moves" ]; then tail -n 20 "$h_root$h_state/moves" | sed 's/^/move /'; fi
	h_e hook 0
}

# Crontabs and scripts that act on CARP and HAST by themselves.
h_other_hands() {
	IFS=$h_l; set -f
	# shellcheck disable=SC2086
	set -- $h_rivals
	unset IFS; set +f
	h_b rivals; hactl_rivals "$h_root" "$@"; h_e rivals $?
}

# What only a failover needs: that hastd takes connections, that no route refuses the peer, and room for notes.
h_standing() {
	if [ -n "$h_disks" ]; then
		h_b sockstat; sockstat -46lq -P tcp -p "$h_port"; h_e sockstat $?
		h_n=0
		for h_f in $h_peers; do
			h_b "route.$h_n"
			case "$h_f" in *:*) route -n get -inet6 "$h_f" ;; *) route -n get "$h_f" ;; esac
			h_e "route.$h_n" $?
			h_n=$((h_n + 1))
		done
	fi
	h_b df; df -k "$h_root/var/db" "$h_root/var/run"; h_e df $?
}

# First lines of notes, without a fork each.
h_notes() {
	h_b notes
	h_d=$h_root$h_state
	for h_f in "$h_d/lease" "$h_d/owner" "$h_d/drained" "$h_d/hastd" "$h_d"/confirmed.* "$h_d"/disconnected.* "$h_d"/fenced.* \
		"$h_root/var/run/hactl.held" "$h_root/var/run/hactl.devd"; do
		[ -f "$h_f" ] || continue
		h_v=''
		IFS= read -r h_v <"$h_f"
		printf 'note %s %s\n' "$h_f" "$h_v"
	done
	h_e notes 0
}

# devd's files but the hook's own, as FILE:LINE:TEXT: those that could have rules devd prefers to the hook's, that is a
# notify with a priority of three digits or more, or one whose priority is on the next line; those about CARP, or about
# every system; and the one that says in which directories it looks for more.
h_devd_rules() {
	IFS=$h_l; set -f
	# shellcheck disable=SC2086
	set -- $h_devd
	unset IFS
	h_b devd
	h_f='' h_r=1
	if [ $# -gt 0 ]; then
		h_f=$(grep -lE 'notify[[:space:]]+[0-9][0-9][0-9]|notify[[:space:]]*$|^[[:space:]]*directory|^[^#]*"[^"]*(CARP|[.][*])' "$@"); h_r=$?
	fi
	IFS=$h_l
	# shellcheck disable=SC2086
	set -- $h_f
	unset IFS; set +f
	case "$h_r" in
	0) grep -n "" /dev/null "$@" | head -c $((h_rules_limit + 1)) ;;
	1) h_r=0 ;;
	esac
	h_e devd "$h_r"
}

h_storage() {
	# Which devices exist: by test(1), which forks nothing and opens nothing.
	h_b nodes
	for h_n in $h_disks; do
		h_disk "$h_n"
		h_node "d$h_n" "$h_root$h_device"
		h_node "h$h_n" "$h_root/dev/hast/$h_name"
	done
	h_e nodes 0
	for h_n in $h_disks; do
		h_disk "$h_n"
		[ -c "$h_root/dev/hast/$h_name" ] || h_stuck
	done
	h_zfs
	[ "$h_quick" -eq 0 ] || return 0
	h_examine
	h_geom
}

# How long the worker of a primary runs that has no device: it comes within hastd's timeouts, or never.
h_stuck() {
	case "$h_l$h_list$h_l" in *"$h_l$h_name:$h_l  role: primary$h_l"*) ;; *) return 0 ;; esac
	h_v=${h_list#*"$h_name:$h_l  role: primary$h_l"}
	case "$h_v" in *"  workerpid: "*) ;; *) return 0 ;; esac
	h_v=${h_v#*"  workerpid: "}
	h_v=${h_v%%"$h_l"*}
	case "$h_v" in '' | *[!0-9]*) return 0 ;; esac
	h_b "worker.$h_n"; ps -o etimes= -p "$h_v"; h_e "worker.$h_n" $?
}

h_node() { # MARK PATH
	if [ -c "$2" ]; then echo "$1 c"; elif [ -e "$2" ]; then echo "$1 f"; else echo "$1 -"; fi
}

# Pools, without loading ZFS: zpool(8) would, so it is asked only where the module is there.
h_zfs() {
	[ -n "$h_zfs_disks" ] || return 0
	h_b zfs; kldstat -q -m zfs; h_r=$?; h_e zfs "$h_r"
	[ "$h_r" -eq 0 ] || return 0
	h_pools=$($h_bound zpool list -HvP -o name,health 2>&1); h_s zpool $? "$h_pools"
	for h_n in $h_zfs_disks; do
		h_disk "$h_n"
		if [ -c "$h_root/dev/hast/$h_name" ] && ! h_imported; then h_scan=1; fi
	done
}

h_imported() { # the pool of the resource that h_disk set
	case "$h_l$h_pools" in *"$h_l$h_pool$h_tab"*) return 0 ;; esac
	return 1
}

# Reads disks where blankness decides something: that is never so on a healthy pass. A local disk: when it has no
# metadata and hactl may create some. /dev/hast/NAME: on the primary, when nothing is mounted or imported from it and
# hactl may make a filesystem.
h_examine() {
	for h_n in $h_blank_disks; do
		h_disk "$h_n"
		case "$h_undumped" in *" $h_n "*)
			if [ -c "$h_root$h_device" ] || [ -f "$h_root$h_device" ]; then
				h_any=1
				h_look "d$h_n" "$h_root$h_device"
			fi
			;;
		esac
		[ "$h_filesystem" = yes ] || continue
		case "$h_l$h_list$h_l" in *"$h_l$h_name:$h_l  role: primary$h_l"*) ;; *) continue ;; esac
		case "$h_l$h_mounts" in *"$h_l/dev/hast/$h_name on "*) continue ;; esac
		if [ -n "$h_pool" ] && h_imported; then continue; fi
		if [ -c "$h_root/dev/hast/$h_name" ]; then h_look "h$h_n" "$h_root/dev/hast/$h_name"; fi
	done
}

# Sizes, then how many bytes of the first MiB and of the last are zero, and how many were read at all when that is not
# every one. Zeros are counted, not other bytes: a read that fails must not look like a blank disk.
h_look() { # MARK DEVICE
	h_i=$1 h_dev=$2
	h_info=$($h_bound diskinfo "$h_dev" 2>&1); h_r=$?; h_s "diskinfo.$h_i" "$h_r" "$h_info"
	[ "$h_r" -eq 0 ] || return 0
	# shellcheck disable=SC2086
	set -- $h_info
	h_size=${3-}
	case "$h_size" in '' | *[!0-9]*) return 0 ;; esac
	h_skip=$((h_size / 1048576 - 1)); [ "$h_skip" -ge 0 ] || h_skip=0
	if h_count "first.$h_i" 0 1 1048576; then
		h_count "last.$h_i" "$h_skip" 2 $((h_size - h_skip * 1048576)) || return 0
	fi
}

h_count() { # SECTION SKIP COUNT EXPECTED: whether all of it is zero
	h_zero=$($h_bound dd if="$h_dev" bs=1048576 skip="$2" count="$3" 2>/dev/null | tr -cd '\000' | wc -c)
	h_zero=${h_zero##* } h_all=${h_zero##* }
	if [ "$h_zero" != "$4" ]; then
		h_all=$($h_bound dd if="$h_dev" bs=1048576 skip="$2" count="$3" 2>/dev/null | wc -c); h_all=${h_all##* }
	fi
	h_s "$1" 0 "$h_zero $h_all"
	[ "$h_zero" = "$4" ]
}

# Who uses the devices that hactl may write to. Last: GEOM does not answer while a device is being tasted.
h_geom() {
	if [ "$h_any" -eq 1 ]; then
		h_b mesh; h_mesh; h_e mesh $?
		for h_n in $h_blank_disks; do
			h_disk "$h_n"
			# What a name stands for (links below /dev are devfs's), and processes that have a file open.
			if [ -L "$h_root$h_device" ]; then
				h_f=$(realpath "$h_root$h_device"); h_s "real.d$h_n" $? "${h_f#"$h_root"}"
			fi
			case "$h_device" in /dev/*) continue ;; esac
			if [ -f "$h_root$h_device" ]; then h_b "fstat.d$h_n"; $h_bound fstat "$h_root$h_device"; h_e "fstat.d$h_n" $?; fi
		done
		h_b swapinfo; swapinfo; h_e swapinfo $?
		h_b dumpdev; sysctl -n -i kern.shutdown.dumpdevname; h_e dumpdev $?
	fi
	if [ "$h_scan" -eq 1 ]; then h_b import; $h_bound zpool import -d /dev/hast; h_e import $?; fi
}

# GEOM's whole mesh in one answer, whatever the classes; here cut to a line for each class, geom, provider and consumer
# (core/parse/geom.py). A list that is not whole has no end.
h_mesh() {
	$h_bound sysctl -n kern.geom.confxml | awk -F'[<>]' '
		$2 == "config" { inside = 1 }
		$2 == "/config" { inside = 0 }
		inside { if ($2 == "scheme" || $2 == "file") print $2, $3; next }
		$2 ~ /^(class|geom|provider|consumer) id=/ {
			kind = $2; sub(/ .*/, "", kind); split($2, quoted, "\""); id = quoted[2]; ref = "-"
		}
		$2 ~ /^provider ref=/ { split($2, quoted, "\""); ref = quoted[2] }
		$2 == "mode" { mode = $3; if (kind == "consumer") print kind, ref, mode }
		$2 == "name" { if (kind == "provider") print kind, id, mode, $3; else print kind, $3 }
		$2 == "/mesh" { print "end" }'
}

printf '\n'
h_main </dev/null 2>&1
h_say 'done'
