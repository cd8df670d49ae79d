# --- whether a service runs ---------------------------------------------------
# By the exit status and the words of whoever was asked: hactl_runs is yes, no or unclear. The hook, the probe and the
# conditions of steps all use this. Sentences of rc.subr's own come first: several daemons may answer, and the service runs
# while one of them does. Then the exit status, unless the words contradict it (docs/services.md#what-decides).
# shellcheck disable=SC2034
hactl_judge() { # STATUS TEXT
	hactl_runs=no hactl_off=''
	set -f
	IFS='
'
	for hactl_line in $2; do
		case "$hactl_line" in
		*" "*" is running"* | *" "*" is not running"*) ;;
		*" is running as pid "* | *" is running." | *" is running") hactl_runs=yes ;;
		*" is not running." | *" is not running") hactl_off=yes ;;
		esac
	done
	unset IFS
	set +f
	[ "$hactl_runs" = no ] || return 0
	# Out of time, not to be run, ended by a signal.
	case "$1" in 12[4-79] | 1[3-9][0-9]) hactl_runs=unclear; return 0 ;; esac
	[ -z "$hactl_off" ] || return 0
	case "$1 $2" in
	*"unknown directive"* | "$1 Usage: "* | "0 Cannot "*) hactl_runs=unclear ;;
	"0 "*"not running"* | "0 "*"no server running"* | "0 "*"Status: Disabled"*) hactl_runs=unclear ;;
	"0 "*"not started" | "0 "*"is stopped" | "0 "*"is inactive" | "0 "*"is down") hactl_runs=unclear ;;
	"0 "*"not started." | "0 "*"is stopped." | "0 "*"is inactive." | "0 "*"is down.") hactl_runs=unclear ;;
	"0 "*) hactl_runs=yes ;;
	*"not running"*) ;;
	*"is running"*) hactl_runs=unclear ;;
	esac
}
