# rc.subr - functions used by various rc scripts
# Its own idioms: names put together by eval, words split on purpose, variables of the script that sources it.
# shellcheck disable=SC1090,SC1091,SC2034,SC2086,SC2154,SC2231,SC2294,SC3043

checkyesno() {
	local _value
	eval _value=\$${1}
	case $_value in
	[Yy][Ee][Ss]|[Tt][Rr][Uu][Ee]|[Oo][Nn]|1) return 0 ;;
	[Nn][Oo]|[Ff][Aa][Ll][Ss][Ee]|[Oo][Ff][Ff]|0) return 1 ;;
	*) warn "\$${1} is not set properly - see rc.conf(5)."; return 1 ;;
	esac
}

set_rcvar() {
	echo ${1:-$name}_enable
}

warn() {
	/usr/bin/logger "$0: WARNING: $*"
	echo 1>&2 "$0: WARNING: $*"
}

info() {
	echo "$0: INFO: $*"
}

debug() { :; }

err() {
	local _status
	_status=$1
	shift
	/usr/bin/logger "$0: ERROR: $*"
	echo 1>&2 "$0: ERROR: $*"
	exit $_status
}

startmsg() {
	[ "$rc_quiet" = yes ] || echo "$@"
}

load_rc_config() {
	local _name _top _file
	_name=$1
	if [ "$_rc_conf_loaded" != true ]; then
		. /etc/defaults/rc.conf
		source_rc_confs
		_rc_conf_loaded=true
	fi
	for _top in /etc /usr/local/etc; do
		if [ -f ${_top}/rc.conf.d/"$_name" ]; then
			. ${_top}/rc.conf.d/"$_name"
		elif [ -d ${_top}/rc.conf.d/"$_name" ]; then
			for _file in ${_top}/rc.conf.d/"$_name"/*; do
				if [ -f "$_file" ]; then
					. "$_file"
				fi
			done
		fi
	done
}

rc_usage() {
	local _list _word
	_list=
	for _word in "$@"; do
		_list="${_list:+$_list|}$_word"
	done
	echo 1>&2 "Usage: $0 [fast|force|one|quiet]($_list)"
	exit 1
}

# The pids of processes that are this program; check_process of the real one compares them so.
_rc_pid() {
	ps -axo pid=,command= | while read -r _word _prefix _known; do
		[ "$_prefix" != "$1" ] || echo "$_word"
	done
}

_rc_has_commands() {
	[ -n "${start_cmd}${stop_cmd}${status_cmd}${restart_cmd}${reload_cmd}${poll_cmd}" ]
}

_rc_doit() {
	eval "$@"
	_return=$?
	[ $_return -eq 0 ] || [ "$rc_force" = yes ]
}

_rc_method() {
	local _pre _post
	eval _pre=\$${rc_arg}_precmd
	eval _post=\$${rc_arg}_postcmd
	if [ -n "$_pre" ] && ! _rc_doit "$_pre $rc_extra_args"; then
		warn "failed precmd routine for ${name}"
		return 1
	fi
	_rc_doit "$* $rc_extra_args" || return 1
	if [ -n "$_post" ]; then
		_rc_doit "$_post $rc_extra_args" || return 1
	fi
	return $_return
}

run_rc_command() {
	local _cmd _keywords _word _known _prefix
	if ! _rc_has_commands; then
		__run service "${name}" "$@"
		return $?
	fi
	_return=0
	rc_arg=$1
	[ $# -eq 0 ] || shift 1
	rc_extra_args="$*"
	_prefix=
	case "$rc_arg" in
	fast*) _prefix=fast rc_fast=yes rc_quiet=yes ;;
	force*) _prefix=force rc_force=yes ;;
	one*) _prefix=one rc_one=yes ;;
	quiet*) _prefix=quiet rc_quiet=yes ;;
	esac
	rc_arg=${rc_arg#"$_prefix"}
	if [ -n "$rcvar" ]; then
		case "$_prefix" in
		force|one) eval ${rcvar}=YES ;;
		esac
	fi
	_keywords="start stop restart rcvar enable disable delete enabled describe extracommands $extra_commands"
	[ -z "$status_cmd$command" ] || _keywords="$_keywords status"
	[ -n "$rc_arg" ] || rc_usage $_keywords
	_known=no
	for _word in $_keywords; do
		[ "$_word" != "$rc_arg" ] || _known=yes
	done
	case "$rc_arg" in
	enabled)
		[ -z "$rcvar" ] || checkyesno ${rcvar}
		return $?
		;;
	rcvar)
		echo "# $name${desc:+ : $desc}"
		echo "#"
		if [ -n "$rcvar" ]; then
			eval _cmd=\$${rcvar}
			echo "${rcvar}=\"$_cmd\""
			echo "#   (default: \"\")"
		fi
		echo
		return 0
		;;
	enable)
		/usr/sbin/sysrc ${rcvar}=YES >/dev/null && echo "$name enabled in /etc/rc.conf"
		return $?
		;;
	disable)
		/usr/sbin/sysrc ${rcvar}=NO >/dev/null && echo "$name disabled in /etc/rc.conf"
		return $?
		;;
	delete)
		/usr/sbin/sysrc -x ${rcvar} >/dev/null && echo "$rcvar deleted in /etc/rc.conf"
		return $?
		;;
	describe) echo "$desc"; return 0 ;;
	extracommands) echo "$extra_commands"; return 0 ;;
	esac
	if [ -n "$rcvar" ] && [ "$_known" = yes ] && ! checkyesno ${rcvar}; then
		if [ "$rc_quiet" != yes ]; then
			echo "Cannot '${_prefix}${rc_arg}' $name. Set ${rcvar} to YES in /etc/rc.conf or" \
				"use 'one${rc_arg}' instead of '${rc_arg}'."
		fi
		return 0
	fi
	if [ "$_known" != yes ]; then
		echo 1>&2 "$0: unknown directive '${_prefix}${rc_arg}'."
		rc_usage $_keywords
	fi
	eval _cmd=\$${rc_arg}_cmd
	if [ -n "$_cmd" ]; then
		_rc_method "$_cmd"
		return $?
	fi
	case "$rc_arg" in
	restart)
		( run_rc_command ${_prefix}stop $rc_extra_args )
		( run_rc_command ${_prefix}start $rc_extra_args )
		return $?
		;;
	status)
		_cmd=$(_rc_pid "${procname:-$command}")
		if [ -z "$_cmd" ]; then
			echo "${name} is not running."
			return 1
		fi
		echo "${name} is running as pid $_cmd."
		;;
	start)
		[ -n "$command" ] || return 0
		startmsg "Starting ${name}."
		if ! _rc_method "$command $command_args"; then
			warn "failed to start ${name}"
			return 1
		fi
		;;
	esac
	return 0
}
