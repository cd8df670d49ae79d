"""The part of the probe that reads what the next boot will do: rc.conf as rc sees it, and the files around it.

Man pages: rc.conf(5), rc.subr(8), loader.conf(5), sysctl.conf(5).
"""

from __future__ import annotations

from hactl.core.cluster import Cluster, interface_on
from hactl.core.hook.render import RCVAR
from hactl.core.parse.rc import mangle
from hactl.core.probe.sections import BOUNDED, section
from hactl.core.steps import quote

#: Reads many small files in one process: where rc variables are assigned (names only, never a value: there are
#: passwords), hactl's block in netif, carp lines of loader.conf and sysctl.conf, rcvars of rc scripts, the release.
_AWK = r"""
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
/^# BEGIN hactl[ \t]*$/ { print "mark BEGIN"; own = 1; next }
/^# END hactl[ \t]*$/ { print "mark END"; own = 0; next }
/^[ \t]*(export[ \t]+)?ifconfig_[A-Za-z0-9_]+=/ {
	v = $0; sub(/=.*/, "", v); sub(/.*[ \t]/, "", v)
	print (own ? "own " : "var ") v; v = ""
}
END { flush() }
"""


def services_of(cluster: Cluster) -> list[str]:
    """Names of the services, each once: sections of the answer are numbered by it."""
    return list(dict.fromkeys(service.name for group in cluster.groups for service in group.services))


def interfaces_on(cluster: Cluster, node: str) -> list[str]:
    """Interfaces that carry a virtual IP of the document on this node, each once."""
    return list(dict.fromkeys(interface_on(vip, node) for group in cluster.groups for vip in group.virtual_ips))


def boot_section(cluster: Cluster, node: str, root: str) -> str:
    """Boot files, then the variables as rc sees them: the files are sourced, in a subshell."""
    names = services_of(cluster)
    scripts = [f"{root}{where}/rc.d/{name}" for name in names for where in ("/etc", "/usr/local/etc")]
    sourced = [
        f"{root}{where}/rc.conf.d/{name}" for name in ("network", "netif") for where in ("/etc", "/usr/local/etc")
    ]
    lines = ["set --", "for h_f in \\"]
    # In the order in which rc and the loader read them: the last assignment wins.
    for path in ("/bin/freebsd-version", "/boot/loader.conf", "/etc/sysctl.conf", "/etc/sysctl.conf.local"):
        lines.append(f"{quote(root + path)} \\")
        if path == "/boot/loader.conf":
            lines += [f"{quote(root)}/boot/loader.conf.d/*.conf \\", f"{quote(root + '/boot/loader.conf.local')} \\"]
    lines += [f"{quote(root + path)} \\" for path in ("/etc/rc.conf", "/etc/rc.conf.local")]
    for path in sourced:
        lines.append(f"{quote(path)} {quote(path)}/* \\")
    lines += [f"{quote(path)} \\" for path in scripts]
    lines += [
        '; do [ -f "$h_f" ] && [ -r "$h_f" ] && set -- "$@" "$h_f"; done',
        "h_files=",
        f'if [ $# -gt 0 ]; then h_files=$(awk {quote(_AWK)} "$@" 2>&1 </dev/null); fi; h_r=$?',
        'h_s bootfiles "$h_r" "$h_files"',
    ]
    for number, name in enumerate(names):
        # A script that does not say its rcvar in a literal is asked; that costs twenty forks.
        lines.append(
            f'case "$h_l$h_files" in *"${{h_l}}rcvar="{quote(name)}"="*) ;; '
            f"*) {section(f'rcvar.{number}', f'{BOUNDED} service {quote(name)} rcvar')} ;; esac"
        )
    return "\n".join([*lines, _rc(cluster, node, root)])


def _rc(cluster: Cluster, node: str, root: str) -> str:
    """rc.conf as `load_rc_config` reads it (rc.subr), and rc.conf.d of whatever we read variables of."""
    names = ["network", "netif", "hastd", "hactl_node", *services_of(cluster)]
    plain = [quote(f"ifconfig_{mangle(name)}") for name in interfaces_on(cluster, node)]
    return "\n".join(
        [
            "h_b rc",
            "(",
            "set +u",
            f"if [ -r {quote(root + '/etc/defaults/rc.conf')} ]; then",
            f". {quote(root + '/etc/defaults/rc.conf')}; source_rc_confs",
            f"elif [ -r {quote(root + '/etc/rc.conf')} ]; then . {quote(root + '/etc/rc.conf')}; fi",
            f"for h_f in {' '.join(quote(name) for name in names)}; do",
            f"for h_d in {quote(root + '/etc')} {quote(root + '/usr/local/etc')}; do",
            'if [ -f "$h_d/rc.conf.d/$h_f" ]; then . "$h_d/rc.conf.d/$h_f"',
            'elif [ -d "$h_d/rc.conf.d/$h_f" ]; then',
            'for h_g in "$h_d/rc.conf.d/$h_f"/*; do if [ -f "$h_g" ]; then . "$h_g"; fi; done',
            "fi; done; done",
            "h_say read",
            "h_names=$(set | sed -n 's/^\\(ifconfig_[A-Za-z0-9_]*\\)=.*/\\1/p')",
            "set -f; h_vars=",
            'for h_v in $h_files; do case "$h_v" in rcvar=*) h_vars="$h_vars ${h_v##*=}" ;; esac; done',
            f"for h_v in kld_list hastd_enable devd_enable {RCVAR} $h_vars $h_names; do",
            'case "$h_v" in',
            "*[!A-Za-z0-9_]*) continue ;;",
            f"{' | '.join(['ifconfig_*_alias[0-9]*', 'ifconfig_*_aliases', 'ifconfig_*_ipv6', *plain])}) ;;",
            "ifconfig_*) continue ;;",
            "esac",
            'eval "h_set=\\${$h_v+x}"',
            'if [ "$h_set" = x ]; then eval "h_val=\\$$h_v"; h_say var "$h_v"; printf \'%s\\n\' "$h_val"; fi',
            "done",
            "h_say read",
            ")",
            "h_e rc $?",
        ]
    )
