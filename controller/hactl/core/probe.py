"""The probe: ONE sh script that reads everything the planner needs of one node in one pass, and changes nothing.

Rules: it works in FreeBSD's sh, in dash and in bashkit; nothing runs before the whole script has arrived (it is one
function, called on the last line); no query reads the script's own standard input; no temporary files and no writes;
what can hang (hastd, disks that do not answer) is bounded, and what can hang without being killable (GEOM while a
device is being tasted) comes last; a healthy pass forks as little as possible, and disks are read only where
blankness decides something. `hactl.core.parse.parse_probe` reads the answer.
Man pages: sh(1), timeout(1), sysctl(8), ifconfig(8), hastctl(8), rc.subr(8), geom(8), diskinfo(8).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hactl.core.hook import RCVAR
from hactl.core.objects import Initialize, StorageSpec
from hactl.core.parse.frames import FRAME
from hactl.core.parse.node_boot import FILE_LIMIT, HAST_CONF
from hactl.core.parse.rc import NETIF, mangle
from hactl.core.probe_hook import hook_section
from hactl.core.script import PATH
from hactl.core.steps import quote
from hactl.core.wanted import Cluster, interface_on

#: What one query may take, seconds. Two of them must fit into the time a pass gives a node.
QUERY_SECONDS = 5
#: In front of every query that can hang. Not a function of the script: in a command substitution that costs a fork.
_T = f"timeout -k 1 {QUERY_SECONDS}"
#: Read in one sysctl(8): each fork costs 10 to 20 ms on a slow node.
SYSCTLS = (
    "kern.ostype",
    "kern.osreldate",
    "kern.osrelease",
    "kern.hostname",
    "kern.hostuuid",
    "kern.boottime",
    "kern.securelevel",
    "net.inet.carp",
)
#: Kernel log lines of CARP that are fetched.
LOG_LINES = 64

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
#: Keeps the newest CARP lines since the last boot: a warm boot can leave the log of the one before in memory.
_AWK_LOG = rf"""
/---<<BOOT>>---/ {{ n = 0 }}
/^(\[[0-9.]+\] )?carp: / {{ l[n % {LOG_LINES}] = $0; n++ }}
END {{ for (i = (n > {LOG_LINES} ? n - {LOG_LINES} : 0); i < n; i++) print l[i % {LOG_LINES}] }}
"""


@dataclass(frozen=True, slots=True)
class _Disk:
    """One resource on this node: its number in the answer and its devices, as sh words."""

    number: int
    storage: StorageSpec
    device: str
    root: str

    @property
    def local(self) -> str:
        return quote(self.root + self.device)

    @property
    def gate(self) -> str:
        return quote(f"{self.root}/dev/hast/{self.storage.name}")


def storages_on(cluster: Cluster, node: str) -> list[StorageSpec]:
    """Storage with a disk on this node, in document order: sections of the answer are numbered by it."""
    return [storage for group in cluster.groups for storage in group.storage if node in storage.hast.devices]


def services_of(cluster: Cluster) -> list[str]:
    """Names of the services, each once: sections of the answer are numbered by it."""
    return list(dict.fromkeys(service.name for group in cluster.groups for service in group.services))


def interfaces_on(cluster: Cluster, node: str) -> list[str]:
    """Interfaces that carry a virtual IP of the document on this node, each once."""
    return list(dict.fromkeys(interface_on(vip, node) for group in cluster.groups for vip in group.virtual_ips))


def probe_script(cluster: Cluster, node: str, nonce: str, *, root: str = "") -> str:
    """The script for `/bin/sh -s`. `root`: a directory in front of every file that is read (a jail's, a test's).

    Raises ValueError for a nonce that is not 8 to 64 letters and digits.
    """
    if not re.fullmatch(r"[A-Za-z0-9]{8,64}", nonce):
        raise ValueError("a nonce is 8 to 64 letters and digits")
    disks = [
        _Disk(number, storage, storage.hast.devices[node], root)
        for number, storage in enumerate(storages_on(cluster, node))
    ]
    body = [
        _identity(),
        _network(),
        _hast(disks, root) if disks else _section("pgrep", "pgrep -x hastd"),
        *(_service(number, name) for number, name in enumerate(services_of(cluster))),
        _boot(cluster, node, root),
        _files([HAST_CONF, NETIF] if disks else [NETIF], root),
        hook_section(root),
        _nodes(disks),
        _pools(disks),
        _examine(disks),
        _geom(disks),
    ]
    return "\n".join(
        [
            *_head(nonce),
            "printf '\\n'",
            "h_main() {",
            *body,
            "return 0",
            "}",
            "h_main </dev/null 2>&1",
            "h_say done",
            "",
        ]
    )


def _head(nonce: str) -> list[str]:
    return [
        "set -u",
        "umask 077",
        f"PATH={PATH}; LC_ALL=C; export PATH LC_ALL",
        "h_l='\n'; h_list=; h_pools=",
        f"h_say() {{ printf '%s %s\\n' '{FRAME} {nonce}' \"$*\"; }}",
        'h_b() { h_say begin "$1"; }',
        'h_e() { printf \'\\n\'; h_say end "$1" "$2"; }',
        # A section whose text was needed by the script itself.
        'h_s() { h_b "$1"; printf \'%s\\n\' "$3"; h_e "$1" "$2"; }',
    ]


def _section(name: str, command: str) -> str:
    return f"h_b {name}; {command}; h_e {name} $?"


def _kept(name: str, variable: str, command: str) -> str:
    return f'{variable}=$({command} 2>&1); h_r=$?; h_s {name} "$h_r" "${variable}"'


def _identity() -> str:
    """Who it is. Anything but FreeBSD ends the probe here, politely."""
    return "\n".join(
        [
            _kept("sysctl", "h_sys", f"sysctl -i {' '.join(SYSCTLS)}"),
            _section("who", "id -u; date +%s"),
            'case "$h_l$h_sys$h_l" in',
            '*"${h_l}kern.ostype: FreeBSD$h_l"*) ;;',
            f"*) {_section('uname', 'uname -s')}; return 0 ;;",
            "esac",
        ]
    )


def _network() -> str:
    return "\n".join(
        [
            _section("ifconfig", "ifconfig -k"),
            'case "$h_sys" in *net.inet.carp.*)',
            _section("netstat", "netstat -s -p carp"),
            _section("dmesg", f"dmesg | awk {quote(_AWK_LOG)}"),
            ";; esac",
            _kept("mount", "h_mounts", "mount"),
        ]
    )


def _hast(disks: Sequence[_Disk], root: str) -> str:
    """hastd, its resources, and what is on the disks. Without hast.conf hastctl can do nothing but complain."""
    conf = quote(root + HAST_CONF)
    pidfile = quote(root + "/var/run/hastd.pid")
    lines = [
        "h_r=72; h_pid=",
        *(f"h_d{disk.number}=72" for disk in disks),
        f"[ -r {pidfile} ] && IFS= read -r h_pid <{pidfile}",
        'h_s hastpid 0 "$h_pid"',
        f"if [ -r {conf} ]; then",
        _section("hastconf", f"head -c {FILE_LIMIT} {conf}"),
        _kept("list", "h_list", f"{_T} hastctl list"),
        "fi",
        # A list that came proves that hastd runs, and that geom_gate is loaded: hastd refuses to run without it.
        'if [ "$h_r" -ne 0 ]; then',
        _section("pgrep", "pgrep -x hastd"),
        _section("g_gate", "kldstat -q -m g_gate"),
        "fi",
        f"if [ -r {conf} ]; then",
    ]
    for disk in disks:
        dump = _kept(f"dump.{disk.number}", "h_dump", f"{_T} hastctl dump {quote(disk.storage.name)}")
        lines.append(f"{dump}; h_d{disk.number}=$h_r")
    return "\n".join([*lines, "fi"])


def _service(number: int, name: str) -> str:
    return _section(f"service.{number}", f"{_T} service {quote(name)} onestatus")


def _boot(cluster: Cluster, node: str, root: str) -> str:
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
            f"*) {_section(f'rcvar.{number}', f'{_T} service {quote(name)} rcvar')} ;; esac"
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


def _files(paths: Sequence[str], root: str) -> str:
    lines = ["set --", "h_b files"]
    for path in paths:
        place = quote(root + path)
        lines.append(
            f"if [ -d {place} ]; then printf 'd %s\\n' {quote(path)}; set -- \"$@\" {place}; "
            f"elif [ -e {place} ]; then printf 'f %s\\n' {quote(path)}; set -- \"$@\" {place}; fi"
        )
    return "\n".join([*lines, 'if [ $# -gt 0 ]; then stat -f %Lp "$@"; fi', "h_e files $?"])


def _nodes(disks: Sequence[_Disk]) -> str:
    """Which devices exist: by test(1), which forks nothing and opens nothing."""
    lines = ["h_b nodes"]
    for disk in disks:
        for mark, device in (("d", disk.local), ("h", disk.gate)):
            lines.append(
                f"if [ -c {device} ]; then echo {mark}{disk.number} c; "
                f"elif [ -e {device} ]; then echo {mark}{disk.number} f; else echo {mark}{disk.number} -; fi"
            )
    return "\n".join([*lines, "h_e nodes 0"]) if disks else ""


def _pools(disks: Sequence[_Disk]) -> str:
    """ZFS, without loading its module: zpool(8) would, so it is asked only where the module is there."""
    pools = [
        (disk, disk.storage.filesystem.zfs.pool)
        for disk in disks
        if disk.storage.filesystem and disk.storage.filesystem.zfs
    ]
    if not pools:
        return ""
    lines = [
        "h_scan=0",
        "h_b zfs; kldstat -q -m zfs; h_z=$?; h_e zfs $h_z",
        'if [ "$h_z" -eq 0 ]; then',
        _kept("zpool", "h_pools", f"{_T} zpool list -H -o name,health"),
    ]
    for disk, pool in pools:
        lines.append(
            f'if [ -c {disk.gate} ]; then case "$h_l$h_pools" in *"$h_l"{quote(pool)}"\t"*) ;; *) h_scan=1 ;; esac; fi'
        )
    return "\n".join([*lines, "fi"])


def _examine(disks: Sequence[_Disk]) -> str:
    """Reads disks, where blankness decides something: that is never so on a healthy pass.

    A local disk: when it has no metadata and hactl may create some. /dev/hast/NAME: on the primary, when nothing is
    mounted or imported from it and hactl may make a filesystem.
    """
    wanted = [disk for disk in disks if disk.storage.hast.initialize is Initialize.IF_BLANK]
    if not wanted:
        return ""
    lines = [_LOOK, "h_any=0"]
    for disk in wanted:
        name = quote(disk.storage.name)
        lines.append(
            f'case "$h_d{disk.number}" in 0 | 124 | 137) ;; *) '
            f"if [ -c {disk.local} ] || [ -f {disk.local} ]; then "
            f"h_any=1; h_look d{disk.number} {disk.local}; fi ;; esac"
        )
        if disk.storage.filesystem is not None:
            zfs = disk.storage.filesystem.zfs
            imported = f'case "$h_l$h_pools" in *"$h_l"{quote(zfs.pool)}"\t"*) ;; *)' if zfs else "case x in *)"
            lines.append(
                f'case "$h_l$h_list$h_l" in *"$h_l"{name}":$h_l  role: primary$h_l"*) '
                f'case "$h_l$h_mounts" in *"$h_l/dev/hast/"{name}" on "*) ;; *) {imported} '
                f"if [ -c {disk.gate} ]; then h_look h{disk.number} {disk.gate}; fi ;; esac ;; esac ;; esac"
            )
    return "\n".join(lines)


#: Sizes, then how many bytes of the first MiB and of the last are zero, and how many were read at all when that is
#: not every one. Zeros are counted, not other bytes: a read that fails must not look like a blank disk.
#: `h_t` stands for the time limit.
_LOOK = r"""h_count() {
h_zero=$(h_t dd if="$h_dev" bs=1048576 skip="$2" count="$3" 2>/dev/null | tr -cd '\000' | wc -c)
h_zero=${h_zero##* }; h_all=$h_zero
if [ "$h_zero" != "$4" ]; then
h_all=$(h_t dd if="$h_dev" bs=1048576 skip="$2" count="$3" 2>/dev/null | wc -c); h_all=${h_all##* }
fi
h_s "$1" 0 "$h_zero $h_all"
[ "$h_zero" = "$4" ]
}
h_look() {
h_i=$1; h_dev=$2
h_info=$(h_t diskinfo "$h_dev" 2>&1); h_r=$?; h_s "diskinfo.$h_i" "$h_r" "$h_info"
[ "$h_r" -eq 0 ] || return 0
set -- $h_info
h_size=${3-}
case "$h_size" in '' | *[!0-9]*) return 0 ;; esac
h_skip=$((h_size / 1048576 - 1)); [ "$h_skip" -ge 0 ] || h_skip=0
if h_count "first.$h_i" 0 1 1048576; then
h_count "last.$h_i" "$h_skip" 2 $((h_size - h_skip * 1048576)) || return 0
fi
}""".replace("h_t ", f"{_T} ")


def _geom(disks: Sequence[_Disk]) -> str:
    """Who uses the disks that hactl may write to. Last: GEOM does not answer while a device is being tasted."""
    wanted = [disk for disk in disks if disk.storage.hast.initialize is Initialize.IF_BLANK]
    lines: list[str] = []
    if wanted:
        lines += ['if [ "$h_any" -eq 1 ]; then', _kept("geom", "h_geom", f"{_T} geom disk list"), "h_more=0"]
        for disk in wanted:
            name = quote(disk.device.removeprefix("/dev/"))
            lines.append(f'case "$h_geom$h_l" in *". Name: "{name}"$h_l"*) ;; *) h_more=1 ;; esac')
        lines += [
            # Partitions and labels are providers of their own.
            'if [ "$h_more" -eq 1 ]; then',
            _section("gpartlist", f"{_T} gpart list"),
            _section("glabellist", f"{_T} glabel list"),
            "fi",
            _section("gpart", f"{_T} gpart show"),
            _section("glabel", f"{_T} glabel status"),
            _section("swapinfo", "swapinfo"),
            "fi",
        ]
    if any(disk.storage.filesystem and disk.storage.filesystem.zfs for disk in disks):
        lines += ['if [ "$h_scan" -eq 1 ]; then', _section("import", f"{_T} zpool import -d /dev/hast"), "fi"]
    return "\n".join(lines)
