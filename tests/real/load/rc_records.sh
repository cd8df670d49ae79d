#!/bin/sh
# PROVIDE: records
# REQUIRE: DAEMON
. /etc/rc.subr
name=records
rcvar=records_enable
extra_commands=status
start_cmd="/bin/sh /usr/local/libexec/records start"
stop_cmd="/bin/sh /usr/local/libexec/records stop"
status_cmd="/bin/sh /usr/local/libexec/records status"
load_rc_config $name
: "${records_enable:=NO}"
run_rc_command "$1"
