"""The texts of the configuration files a freshly installed node has (recordings 01 and 07).

Rules:
- rc.conf and sysctl.conf are those of the recorded machines; /etc/defaults/rc.conf has the variables that matter here
  and the real `source_rc_confs`.
- rc.subr is the part that installed scripts use. Those with commands of their own (`start_cmd=`, ...) are played by its
  functions, in the shell; all others are daemons the lab plays: service(8) of the lab answers for them. Words, order
  and exit statuses are those of 13.2 (libexec/rc/rc.subr: run_rc_command). Not there: required_files, required_vars,
  required_modules, pid files, limits, jails.
- Man pages: rc.conf(5), rc.subr(8), sysctl.conf(5), loader.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hactl.core.packaged import packaged
from hactl.lab.rc.scripts import Script

#: /etc/rc.subr.
RC_SUBR = packaged("hactl.lab.rc", "subr.sh")
SYSCTL_CONF = """\
# $FreeBSD$
#
#  This file is read when going to multi-user and its contents piped thru
#  ``sysctl'' to adjust kernel values.  ``man 5 sysctl.conf'' for details.
#

# Uncomment this to prevent users from seeing information about processes that
# are being run under another UID.
#security.bsd.see_other_uids=0
"""
LOADER_CONF = 'autoboot_delay="3"\n'
FSTAB = "/dev/vtbd0\t/\tufs\trw\t1\t1\n"

_SOURCE_RC_CONFS = """
rc_conf_files="/etc/rc.conf /etc/rc.conf.local"
local_startup="/usr/local/etc/rc.d"

if [ -z "${source_rc_confs_defined}" ]; then
	source_rc_confs_defined=yes
	source_rc_confs() {
		local i sourced_files
		for i in ${rc_conf_files}; do
			case ${sourced_files} in
			*:$i:*)
				;;
			*)
				sourced_files="${sourced_files}:$i:"
				if [ -r $i ]; then
					. $i
				fi
				;;
			esac
		done
	}
fi
"""
_MORE_DEFAULTS = {
    "hostname": "",
    "kld_list": "",
    "network_interfaces": "auto",
    "ifconfig_lo0": "inet 127.0.0.1",
    "rcshutdown_timeout": "90",
    "hastd_program": "/sbin/hastd",
    "hastd_flags": "",
    "syslogd_flags": "-s",
    "sendmail_enable": "NONE",
    "dumpdev": "AUTO",
}


def defaults_rc_conf(scripts: Iterable[Script]) -> str:
    """/etc/defaults/rc.conf."""
    lines = ["#!/bin/sh", "", "# This is rc.conf - a file full of useful variables that you can set"]
    seen: set[str] = set()
    for script in scripts:
        if script.rcvar is not None and script.rcvar not in seen and script.directory == "/etc/rc.d":
            seen.add(script.rcvar)
            lines.append(f'{script.rcvar}="{script.default}"\t# {script.about}')
    lines += [f'{name}="{value}"' for name, value in _MORE_DEFAULTS.items()]
    return "\n".join(lines) + "\n" + _SOURCE_RC_CONFS


def variable_name(interface: str, suffix: str = "") -> str:
    """`em0.100` -> `ifconfig_em0_100` (network.subr, get_if_var)."""
    return f"ifconfig_{re.sub(r'[./+-]', '_', interface)}{suffix}"


def rc_conf(hostname: str, interfaces: Mapping[str, str]) -> str:
    """/etc/rc.conf of a fresh node; `interfaces`: ifconfig_NAME's value ("DHCP", "inet 192.0.2.11 netmask ...")."""
    lines = [f'hostname="{hostname}"']
    lines += [f'{variable_name(name)}="{value}"' for name, value in interfaces.items()]
    lines += [
        'sshd_enable="YES"',
        'sendmail_enable="NONE"',
        'cron_enable="NO"',
        'syslogd_flags="-ss"',
        'dumpdev="NO"',
    ]
    return "\n".join(lines) + "\n"


def rc_script(script: Script) -> str:
    """A script of rc.d: what rcorder(8) and people read in it, and a way to run it directly."""
    rcvar = f'rcvar="{script.rcvar}"\n' if script.rcvar is not None else ""
    command = f'command="{script.daemon}"\n' if script.daemon is not None else ""
    pidfile = f'pidfile="{script.pidfile}"\n' if script.pidfile is not None else ""
    return (
        f'#!/bin/sh\n#\n# $FreeBSD$\n#\n\n# PROVIDE: {script.name}\n\n. /etc/rc.subr\n\nname="{script.name}"\n'
        f'desc="{script.about}"\n{rcvar}{command}{pidfile}\nload_rc_config $name\nrun_rc_command "$1"\n'
    )


def freebsd_version(release: str) -> str:
    """freebsd-version(1), whose own text says which userland is installed."""
    return f'#!/bin/sh\n#\nset -e\nUSERLAND_VERSION="{release}"\n\n__run freebsd-version "$@"\n'
