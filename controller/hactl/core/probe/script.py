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

from hactl.core.cluster import Cluster
from hactl.core.objects import Initialize, StorageSpec
from hactl.core.parse.answer.boot import FILE_LIMIT, HAST_CONF
from hactl.core.parse.answer.frames import FRAME
from hactl.core.parse.rc import NETIF
from hactl.core.probe.boot import boot_section, services_of
from hactl.core.probe.hook import hook_section
from hactl.core.probe.sections import BOUNDED, kept, section
from hactl.core.script import PATH
from hactl.core.steps import quote

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
        _hast(disks, root) if disks else section("pgrep", "pgrep -x hastd"),
        *(_service(number, name) for number, name in enumerate(services_of(cluster))),
        boot_section(cluster, node, root),
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


def _identity() -> str:
    """Who it is. Anything but FreeBSD ends the probe here, politely."""
    return "\n".join(
        [
            kept("sysctl", "h_sys", f"sysctl -i {' '.join(SYSCTLS)}"),
            section("who", "id -u; date +%s"),
            'case "$h_l$h_sys$h_l" in',
            '*"${h_l}kern.ostype: FreeBSD$h_l"*) ;;',
            f"*) {section('uname', 'uname -s')}; return 0 ;;",
            "esac",
        ]
    )


def _network() -> str:
    return "\n".join(
        [
            section("ifconfig", "ifconfig -k"),
            'case "$h_sys" in *net.inet.carp.*)',
            section("netstat", "netstat -s -p carp"),
            section("dmesg", f"dmesg | awk {quote(_AWK_LOG)}"),
            ";; esac",
            kept("mount", "h_mounts", "mount"),
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
        section("hastconf", f"head -c {FILE_LIMIT} {conf}"),
        kept("list", "h_list", f"{BOUNDED} hastctl list"),
        "fi",
        # A list that came proves that hastd runs, and that geom_gate is loaded: hastd refuses to run without it.
        'if [ "$h_r" -ne 0 ]; then',
        section("pgrep", "pgrep -x hastd"),
        section("g_gate", "kldstat -q -m g_gate"),
        "fi",
        f"if [ -r {conf} ]; then",
    ]
    for disk in disks:
        dump = kept(f"dump.{disk.number}", "h_dump", f"{BOUNDED} hastctl dump {quote(disk.storage.name)}")
        lines.append(f"{dump}; h_d{disk.number}=$h_r")
    return "\n".join([*lines, "fi"])


def _service(number: int, name: str) -> str:
    return section(f"service.{number}", f"{BOUNDED} service {quote(name)} onestatus")


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
        kept("zpool", "h_pools", f"{BOUNDED} zpool list -H -o name,health"),
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
}""".replace("h_t ", f"{BOUNDED} ")


def _geom(disks: Sequence[_Disk]) -> str:
    """Who uses the disks that hactl may write to. Last: GEOM does not answer while a device is being tasted."""
    wanted = [disk for disk in disks if disk.storage.hast.initialize is Initialize.IF_BLANK]
    lines: list[str] = []
    if wanted:
        lines += ['if [ "$h_any" -eq 1 ]; then', kept("geom", "h_geom", f"{BOUNDED} geom disk list"), "h_more=0"]
        for disk in wanted:
            name = quote(disk.device.removeprefix("/dev/"))
            lines.append(f'case "$h_geom$h_l" in *". Name: "{name}"$h_l"*) ;; *) h_more=1 ;; esac')
        lines += [
            # Partitions and labels are providers of their own.
            'if [ "$h_more" -eq 1 ]; then',
            section("gpartlist", f"{BOUNDED} gpart list"),
            section("glabellist", f"{BOUNDED} glabel list"),
            "fi",
            section("gpart", f"{BOUNDED} gpart show"),
            section("glabel", f"{BOUNDED} glabel status"),
            section("swapinfo", "swapinfo"),
            "fi",
        ]
    if any(disk.storage.filesystem and disk.storage.filesystem.zfs for disk in disks):
        lines += ['if [ "$h_scan" -eq 1 ]; then', section("import", f"{BOUNDED} zpool import -d /dev/hast"), "fi"]
    return "\n".join(lines)
