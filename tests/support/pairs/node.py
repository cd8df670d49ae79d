"""A generated machine asked by the probe itself, in a real sh: functions stand in place of what only FreeBSD has.

The files are files below a directory of their own, so that sh(1), awk(1) and grep(1) read what a node's would.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from hactl.core.cluster import Cluster
from hactl.core.facts import NodeFacts
from hactl.core.parse.answer.node import parse_probe
from hactl.core.parse.question import Question
from hactl.core.probe.script import probe_script
from hactl.core.sh import quote
from support.limits import LIMIT_SECONDS
from support.node_sh import DASH
from support.pairs.pair import Machine, shown_dump, shown_ifconfig, shown_list, shown_mounts

NONCE = "0123456789abcdef"
SALT = b"generated pairs"
NOW = 1000.0
_QUESTION = Question(bounded=False)
#: Of /etc/defaults/rc.conf what the probe reads: the files of rc.conf(5) in their order, and defaults.
_DEFAULTS = """\
hastd_enable="NO"
devd_enable="YES"
nfs_server_enable="NO"
kld_list=""
rc_conf_files="ROOT/etc/rc.conf ROOT/etc/rc.conf.local"
source_rc_confs() { for h_each in $rc_conf_files; do if [ -r "$h_each" ]; then . "$h_each"; fi; done; }
"""
_PS = """\
PPID PID LSTART                   COMM
   0   1 Mon Nov 23 15:28:48 2026 init
   1 410 Mon Nov 23 15:28:48 2026 devd
   1 420 Mon Nov 23 15:28:48 2026 hastd
"""
_FURNITURE = {
    "/bin/freebsd-version": 'USERLAND_VERSION="13.2-RELEASE"\n',
    "/etc/devd.conf": 'options {\n\tdirectory "/etc/devd";\n\tdirectory "/usr/local/etc/devd";\n};\n',
    "/etc/rc.d/nfsd": 'name="nfsd"\nrcvar="nfs_server_enable"\n',
    "/sbin/hastd": "hastd",
}


def ask(cluster: Cluster, node: str, machine: Machine, place: Path) -> NodeFacts:
    """What a look at this machine, `node` in the document, comes to; `place`: an empty directory for its files."""
    root = str(place)
    furniture = {**_FURNITURE, "/etc/defaults/rc.conf": _DEFAULTS.replace("ROOT", root)}
    for path, text in {**furniture, **machine.files}.items():
        file = place / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    script = probe_script(cluster, node, NONCE, _QUESTION, root=root)
    # stat(1) of this machine has other words; a device exists where the machine has it.
    script = script.replace("exec stat -f", "h_stand_in_stat").replace('[ -c "$2" ]', 'h_has "$2"')
    script = script.replace('[ -c "$h_root/dev/hast/$h_name" ]', 'h_has "$h_root/dev/hast/$h_name"')
    ran = subprocess.run(
        [DASH, "-s"], input=_programs(machine, root) + script, capture_output=True, text=True, timeout=LIMIT_SECONDS,
        check=False,
    )  # fmt: skip
    answer = ran.stdout.replace(root, "")
    answered = parse_probe(cluster, node, answer, nonce=NONCE, seen_at=NOW, salt=SALT, question=_QUESTION)
    odd = [note for note in answered.facts.notes if not note.endswith("no interface has that name")]
    assert odd == [], (odd, ran.stderr)
    return answered.facts


def _programs(machine: Machine, root: str) -> str:
    """Functions with what this machine's programs would print."""
    sysctl = f"""\
kern.ostype: FreeBSD
kern.osreldate: 1302001
kern.osrelease: 13.2-RELEASE
kern.hostname: {machine.name}
kern.hostuuid: cd613e30-d8f1-4adf-91b7-584a2265b1f{machine.number}
kern.boottime: {{ sec = 1795447728, usec = 0 }} Mon Nov 23 15:28:48 2026
kern.securelevel: -1
vfs.timestamp_precision: 2
net.inet.carp.ifdown_demotion_factor: 240
net.inet.carp.senderr_demotion_factor: 240
net.inet.carp.demotion: 0
net.inet.carp.log: 1
net.inet.carp.preempt: {machine.preempt}
net.inet.carp.dscp: 56
net.inet.carp.allow: 1
"""
    devices = [r.device for r in machine.resources.values()]
    devices += [f"/dev/hast/{r.called}" for r in machine.resources.values() if r.role == "primary"]
    dumps = "".join(f"{r.name}) printf '%s' {quote(shown_dump(r))} ;; " for r in machine.resources.values())
    services = "".join(f"{name}) echo {name} is running as pid 431. ;; " for name in machine.services)
    return f"""\
sysctl() {{ printf '%s' {quote(sysctl)}; }}
ifconfig() {{ printf '%s' {quote(shown_ifconfig(machine))}; }}
netstat() {{ echo carp:; }}
dmesg() {{ :; }}
mount() {{ printf '%s' {quote(shown_mounts(machine))}; }}
hastctl() {{
	case "$1" in
	list) printf '%s' {quote(shown_list(machine))} ;;
	dump) case "$2" in {dumps} *) return 1 ;; esac ;;
	esac
}}
ps() {{ printf '%s' {quote(_PS)}; }}
service() {{ case "$1" in {services} *) echo "$1 is not running."; return 1 ;; esac; }}
sockstat() {{ echo 'root hastd 420 6 tcp4 *:8457 *:*'; }}
route() {{ echo '      flags: <UP,DONE,PINNED>'; }}
df() {{ printf 'Filesystem\\n/dev/a 1015324 215260 718840 23%% /\\n/dev/a 1015324 215260 718840 23%% /\\n'; }}
kldstat() {{ return 1; }}
h_has() {{ case " {" ".join(root + path for path in devices)} " in *" $1 "*) return 0 ;; esac; return 1; }}
h_stand_in_stat() {{ shift; for h_i; do echo "96 1 100644 0 0 1 1.000000001 1.000000001 $h_i"; done; }}
"""
