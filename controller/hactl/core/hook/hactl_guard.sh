#!/bin/sh

# PROVIDE: hactl_guard
# REQUIRE: kld
# BEFORE: netif
# KEYWORD: nojail

. /etc/rc.subr

name="hactl_guard"
desc="Holds a rebooted node back until it could serve"
rcvar="hactl_node_enable"
start_cmd="hactl_guard_start"
stop_cmd=":"

hactl_guard_start()
{
	/bin/sh /usr/local/libexec/hactl/hook guard
}

load_rc_config hactl_node
: ${hactl_node_enable:="NO"}
run_rc_command "$1"
