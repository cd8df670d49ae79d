# --- whether a service runs ---------------------------------------------------
# By the exit status and the words of whoever was asked: hactl_runs is yes, no or unclear. The hook, the probe and the
# conditions of steps all use this. Sentences of rc.subr's own come first: several daemons may answer, and the service runs
# while one of them does; but where the daemon of the service's own name does not, nobody can tell what the others are.
# Then the exit status, unless the words contradict it (docs/services.md#what-decides).
# shellcheck disable=SC2034
hactl_judge() { # STATUS TEXT NAME
	hactl_runs=no hactl_off='' hactl_own='' hactl_status=$1 hactl_text=$2
	set -f
	# A script has _ where the name of its file has -, for rc.conf knows no other name.
	IFS=-
	# shellcheck disable=SC2086
	set -- ${3-}
	IFS=_
	hactl_name="$*"
	IFS='
'
	for hactl_line in $hactl_text; do
		case "$hactl_line" in
		*" "*" is running"* | *" "*" is not running"*) continue ;;
		*" is running as pid "* | *" is running." | *" is running") hactl_runs=yes ;;
		*" is not running." | *" is not running") hactl_off=yes ;;
		*) continue ;;
		esac
		[ "${hactl_line%% *}" != "$hactl_name" ] || hactl_own="$hactl_own $hactl_line"
	done
	unset IFS
	set +f
	case "$hactl_runs $hactl_own" in
	no*) ;;
	*" is running"*) return 0 ;;
	*" is not running"*) hactl_runs=unclear; return 0 ;;
	*) return 0 ;;
	esac
	# Out of time, not to be run, ended by a signal.
	case "$hactl_status" in 12[4-79] | 1[3-9][0-9]) hactl_runs=unclear; return 0 ;; esac
	[ -z "$hactl_off" ] || return 0
	case "$hactl_status $hactl_text" in
	*"unknown directive"* | "$hactl_status Usage: "* | "0 Cannot "*) hactl_runs=unclear ;;
	"0 "*[Nn]"ot "[Rr]"unning"* | "0 "*"NOT RUNNING"* | "0 "*"NOT running"*) hactl_runs=unclear ;;
	"0 "*"no server running"* | "0 "*"Status: Disabled"*) hactl_runs=unclear ;;
	"0 "*"not started" | "0 "*[Ss]"topped" | "0 "*[Ii]"nactive" | "0 "*"is down") hactl_runs=unclear ;;
	"0 "*"not started." | "0 "*[Ss]"topped." | "0 "*[Ii]"nactive." | "0 "*"is down.") hactl_runs=unclear ;;
	"0 "*"STOPPED" | "0 "*"DOWN") hactl_runs=unclear ;;
	"0 "*[Dd]"ead" | "0 "*[Dd]"ead." | "0 "*[Oo]"ffline" | "0 "*[Oo]"ffline.") hactl_runs=unclear ;;
	"0 "*) hactl_runs=yes ;;
	*"not running"*) ;;
	*"is running"*) hactl_runs=unclear ;;
	esac
}
