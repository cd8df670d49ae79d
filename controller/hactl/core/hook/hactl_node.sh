#!/bin/sh

# PROVIDE: hactl_node
# REQUIRE: hastd LOGIN
# KEYWORD: nojail shutdown

. /etc/rc.subr

name="hactl_node"
desc="Roles and addresses of this node of a high-availability cluster"
rcvar="hactl_node_enable"
start_cmd="hactl_node_start"
stop_cmd="hactl_node_stop"

hactl_node_start()
{
	/bin/sh /usr/local/libexec/hactl/hook boot
}

hactl_node_stop()
{
	/bin/sh /usr/local/libexec/hactl/hook shutdown
}

load_rc_config hactl_node
: ${hactl_node_enable:="NO"}
run_rc_command "$1"
