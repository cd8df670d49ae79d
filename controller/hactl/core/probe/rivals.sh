# shellcheck shell=sh
#
# Files of an administrator's that act on CARP and HAST by themselves: for the probe, and for an import. Nothing of them
# is run, and of a line only the words are told that were looked for: there may be passwords beside them.

# Where people put commands of their own: sets hactl_files, a name a line, without a fork.
hactl_rival_files() { # ROOT
	hactl_files=''
	for hactl_f in "$1/etc/rc.local" "$1/etc/crontab" "$1"/etc/cron.d/* "$1"/usr/local/etc/cron.d/* \
		"$1"/var/cron/tabs/* "$1"/usr/local/etc/rc.d/* "$1/usr/local/etc/ifstated.conf"; do
		case "$hactl_f" in */rc.d/hactl_*) continue ;; esac
		if [ -f "$hactl_f" ] && [ -r "$hactl_f" ]; then
			hactl_files="$hactl_files$hactl_f
"
		fi
	done
}

# Of the named files `FILE:LINE:KIND:WORDS` for each line that acts; and of the programs that they call, which belong to
# no package of the base system, the same.
hactl_rivals() { # ROOT FILE ...
	hactl_root=$1
	shift
	[ $# -gt 0 ] || return 0
	hactl_found=$(hactl_acts "$@") || return 1
	printf '%s\n' "$hactl_found"
	hactl_seen=" $* " hactl_more=''
	set -f
	for hactl_f in $hactl_found; do
		case "$hactl_f" in calls:/*) hactl_f=$hactl_root${hactl_f#calls:} ;; *) continue ;; esac
		case "$hactl_seen" in *" $hactl_f "*) continue ;; esac
		hactl_seen="$hactl_seen$hactl_f "
		if [ -f "$hactl_f" ] && [ -r "$hactl_f" ]; then hactl_more="$hactl_more $hactl_f"; fi
	done
	# shellcheck disable=SC2086
	set -- $hactl_more
	set +f
	[ $# -eq 0 ] || hactl_acts "$@"
}

hactl_acts() { # FILE ...
	# shellcheck disable=SC2016
	LC_ALL=C awk '
		function tell(kind, words) { print FILENAME ":" FNR ":" kind ":" words }
		/^[ \t]*#/ { next }
		{
			t = $0; sub(/[ \t]#.*/, "", t)
			if (match(t, /role[ \t]+(primary|secondary|init)([ \t]+[A-Za-z0-9_.$\{\}"-]+)*/)) tell("role", substr(t, RSTART, RLENGTH))
			else if (match(t, /hastctl[ \t]+create[ \t]+[A-Za-z0-9_.$\{\}"-]+/)) tell("role", substr(t, RSTART, RLENGTH))
			else if (t ~ /(mount|fsck|newfs|zpool|umount)/ && match(t, /\/dev\/hast(\/[A-Za-z0-9_.$\{\}-]*)?/)) tell("disk", substr(t, RSTART, RLENGTH))
			else if (match(t, /net\.inet\.carp\.[a-z_]+=-?[0-9A-Za-z$_]+/)) tell("sysctl", substr(t, RSTART, RLENGTH))
			else if (match(t, /(ipmitool|fence_[a-z]+|ipmipower)/)) tell("fence", substr(t, RSTART, RLENGTH))
			else if (t ~ /ifconfig/ && match(t, /vhid[ \t]+[0-9$\{\}A-Za-z_"]+([ \t]+(advskew|advbase|state)[ \t]+[0-9A-Za-z$_\{\}"]+)*/)) tell("vhid", substr(t, RSTART, RLENGTH))
			if (FILENAME ~ /\/rc\.d\//) next
			n = split(t, w, /[ \t";|&()=]+/)
			for (i = 1; i <= n; i++)
				if (w[i] ~ /^\/(usr\/local|root|opt|home|usr\/home|etc|var)\/[A-Za-z0-9_.\/-]+$/) print "calls:" w[i]
		}' "$@" 2>/dev/null
}
