"""The probe's script, run for real under dash against programs that print what a node printed, and its facts.

The node is a directory tree and a directory of small programs; the script is the one that is sent, but for the
directory in front of the files it reads and the search path.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hactl.core.cluster import Cluster
from hactl.core.facts import (
    CarpState,
    Connects,
    Device,
    HastMetadata,
    HastRole,
    Known,
    NodeFacts,
    NoMetadata,
    Reading,
    Service,
    Unknown,
    fingerprint,
)
from hactl.core.hastconf import render_hastconf
from hactl.core.parse import parse_probe
from hactl.core.probe.script import PATH, probe_script
from support.facts.builder import edge_cluster, nas_cluster
from support.facts.confxml import Geom, confxml, disk
from support.limits import LIMIT_SECONDS

DASH = shutil.which("dash") or "/bin/sh"
NONCE = "f00df00df00df00d"
SALT = b"salt"
KEY = "opensesame"
MIB = 1048576

SYSCTL = """kern.ostype: FreeBSD
kern.osreldate: 1302001
kern.osrelease: 13.2-RELEASE
kern.hostname: nas-a
kern.hostuuid: df054fd1-6fb3-4611-8597-2b06bfe944b8
kern.boottime: { sec = 1795448018, usec = 255369 } Mon Nov 23 15:33:38 2026
kern.securelevel: -1
vfs.timestamp_precision: 2
"""
CARP_SYSCTL = """net.inet.carp.ifdown_demotion_factor: 240
net.inet.carp.senderr_demotion_factor: 240
net.inet.carp.demotion: 0
net.inet.carp.log: 1
net.inet.carp.preempt: 1
net.inet.carp.dscp: 56
net.inet.carp.allow: 1
"""
IFCONFIG = f"""vtnet1: flags=8963<UP,BROADCAST,RUNNING,PROMISC,SIMPLEX,MULTICAST> metric 0 mtu 1500
	options=80028<VLAN_MTU,JUMBO_MTU,LINKSTATE>
	ether 52:54:00:00:01:01
	inet 192.0.2.11 netmask 0xffffff00 broadcast 192.0.2.255
	inet 192.0.2.80 netmask 0xffffff00 broadcast 192.0.2.255 vhid 80
	carp: MASTER vhid 80 advbase 1 advskew 0 key "{KEY}"
	media: Ethernet autoselect (10Gbase-T <full-duplex>)
	status: active
	nd6 options=29<PERFORMNUD,IFDISABLED,AUTO_LINKLOCAL>
"""
NETSTAT = "carp:\n\t27 packets received (IPv4)\n\t\t5 discarded for bad authentication\n"
DMESG = (
    "carp: demoted by 9 to 9 (before the boot)\n---<<BOOT>>---\nvtnet1: link state changed to UP\n"
    "carp: 80@vtnet1: INIT -> BACKUP (initialization complete)\ncarp: demoted by 240 to 240 (sysctl)\n"
    "carp: demoted by -240 to 0 (sysctl)\ncarp: 80@vtnet1: BACKUP -> MASTER (master timed out)\n"
)
MOUNT = """/dev/vtbd0 on / (ufs, local, soft-updates)
devfs on /dev (devfs)
"""
MOUNTED = MOUNT + "/dev/hast/data on /data (ufs, local, noatime, soft-updates)\n"
LIST = """data:
  role: primary
  provname: data
  localpath: /dev/vtbd1
  extentsize: 2097152 (2.0MB)
  keepdirty: 64
  remoteaddr: 198.51.100.12
  replication: memsync
  status: complete
  workerpid: 1519
  dirty: 0 (0B)
  statistics:
    reads: 1
    writes: 45
    deletes: 0
    flushes: 0
    activemap updates: 10
    local errors: read: 0, write: 0, delete: 0, flush: 0
    queues: local: 0, send: 0, recv: 0, done: 0, idle: 255
"""
DUMP = """resource: data
    datasize: 134213120 (128MB)
    extentsize: 2097152 (2.0MB)
    keepdirty: 64
    localoff: 4608
    resuid: 4022304802173682088
    localcnt: 0
    remotecnt: 0
    prevrole: primary
"""
#: A disk that nobody uses, and the one / is on.
MESH = (*disk("vtbd0", "r1w1e1"), Geom("VFS", "ffs.vtbd0", (("vtbd0", "r1w1e1"),)), *disk("vtbd1"))
DEFAULTS = """hastd_enable="NO"
kld_list=""
source_rc_confs() {
	for i in ROOT/etc/rc.conf ROOT/etc/rc.conf.local; do
		if [ -r $i ]; then . $i; fi
	done
}
"""
NFSD = '#!/bin/sh\n. /etc/rc.subr\nname="nfsd"\nrcvar="nfs_server_enable"\nrun_rc_command "$1"\n'
PS = """ PPID  PID STARTED                  COMMAND
    0    0 Mon Nov 23 15:33:38 2026 kernel
    0    1 Mon Nov 23 15:33:38 2026 init
    1  411 Mon Nov 23 15:33:41 2026 devd
    1  900 Mon Nov 23 15:33:44 2026 nfsd
  900  901 Mon Nov 23 15:33:44 2026 nfsd
    1 1473 Mon Nov 23 15:33:46 2026 hastd
 1473 1519 Mon Nov 23 15:33:47 2026 hastd
  700 1600 Mon Nov 23 15:40:00 2026 sshd
 1600 1601 Mon Nov 23 15:40:00 2026 sh
"""
ROUTE = """   route to: 198.51.100.12
destination: 198.51.100.0
       mask: 255.255.255.0
        fib: 0
  interface: vtnet2
      flags: <UP,DONE,PINNED>
 recvpipe  sendpipe  ssthresh  rtt,msec    mtu        weight    expire
       0         0         0         0      1500         1         0
"""
DF = """Filesystem    1024-blocks  Used  Avail Capacity  Mounted on
/dev/gpt/root     1008220 79664 847900     9%    /
/dev/gpt/root     1008220 79664 847900     9%    /
"""
NFSD_STOPPED = "nfsd is not running.\n"
#: stat(1) of FreeBSD, with the one layout that the probe asks for.
STAT = """import os, sys
assert sys.argv[1:3] == ["-f", "%d %i %p %u %g %z %Fm %Fc %N"], sys.argv
for name in sys.argv[3:]:
    s = os.stat(name)
    print(s.st_dev, s.st_ino, format(s.st_mode, "o"), s.st_uid, s.st_gid, s.st_size, end=" ")
    print("%d.%09d %d.%09d %s" % (*divmod(s.st_mtime_ns, 10**9), *divmod(s.st_ctime_ns, 10**9), name))
"""
BLOCK = f"""# BEGIN hactl
ifconfig_vtnet1_alias8000="inet vhid 80 advskew 0 pass {KEY} 192.0.2.80/24"
# END hactl
"""


@dataclass
class Node:
    """A pretended node: files below a directory, and what programs print. Keys: a command line or its first word."""

    root: Path
    answers: dict[str, tuple[str, int]] = field(default_factory=dict)
    #: Whether / belongs to the login.
    is_root: bool = True

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def sysctl(self, lines: str) -> None:
        """These after what every node says, but for the precision of times."""
        said = SYSCTL.replace("vfs.timestamp_precision: 2\n", "") + lines
        self.answers["sysctl"] = (said + CARP_SYSCTL, 0)

    def disk(self, path: str, size: int = 128 * MIB) -> Path:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            file.truncate(size)
        return place

    def gate(self) -> None:
        """/dev/hast/data: a character device without end, all zero."""
        place = self.root / "dev/hast/data"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to("/dev/zero")

    def run(self, script: str, shell: tuple[str, ...] = (DASH, "-s")) -> str:
        """Run the script as sshd would: on standard input. Standard error must stay empty."""
        programs = self.root / "programs"
        programs.mkdir(exist_ok=True)
        (self.root / "log").write_text("")
        for name in {line.split()[0] for line in self.answers}:
            cases = ""
            for number, (line, (text, status)) in enumerate(self.answers.items()):
                if line.split()[0] != name:
                    continue
                (programs / f"{name}.{number}").write_text(text)
                pattern = "*" if line == name else f"'{line}'"
                cases += f"{pattern}) cat '{programs}/{name}.{number}'; exit {status} ;;\n"
            program = programs / name
            program.write_text(
                f'#!{DASH}\necho "{name} $*" >>\'{self.root}/log\'\ncase "{name} $*" in\n{cases}'
                '*) echo "unexpected: $*"; exit 99 ;;\nesac\n'
            )
            program.chmod(0o755)
        if not (programs / "stat").exists():
            (programs / "stat.py").write_text(STAT)
            run = f"exec '{sys.executable}' -S -E '{programs}/stat.py' \"$@\""
            (programs / "stat").write_text(f"#!{DASH}\necho stat >>'{self.root}/log'\n{run}\n")
            (programs / "stat").chmod(0o755)
        for name in ("awk", "head", "sed", "timeout", "tr", "wc", "grep", "tail"):
            if not (programs / name).exists():
                real = shutil.which(name, path="/usr/bin:/bin")
                (programs / name).write_text(f"#!{DASH}\necho {name} >>'{self.root}/log'\nexec {real} \"$@\"\n")
                (programs / name).chmod(0o755)
        assert script.count(f"PATH={PATH};") == 1
        script = script.replace(f"PATH={PATH};", f"PATH={programs}:/usr/bin:/bin;")
        assert script.count("[ -O / ]") == 1
        script = script.replace("[ -O / ]", "true" if self.is_root else "false")
        done = subprocess.run(
            shell,
            input=script.encode(),
            capture_output=True,
            timeout=LIMIT_SECONDS,
            check=False,
            env={"PATH": "/usr/bin:/bin"},
        )
        assert done.stderr == b""
        return done.stdout.decode(errors="replace")

    @property
    def commands(self) -> list[str]:
        """The command lines that ran."""
        return (self.root / "log").read_text().splitlines()

    def look(self, cluster: Cluster, name: str = "nas-a") -> NodeFacts:
        return read(cluster, self.run(probe_script(cluster, name, NONCE, root=str(self.root))), name)


def read(cluster: Cluster, text: str, name: str = "nas-a") -> NodeFacts:
    return parse_probe(cluster, name, text, nonce=NONCE, seen_at=7.0, salt=SALT).facts


def value(reading: Reading[object]) -> object:
    assert isinstance(reading, Known), reading
    return reading.value


@pytest.fixture
def cluster() -> Cluster:
    return replace(nas_cluster(), keys={("files", "files"): fingerprint(KEY, SALT)})


@pytest.fixture
def fresh(tmp_path: Path) -> Node:
    """A fresh node: no carp, no hast.conf, a blank disk."""
    node = Node(tmp_path)
    node.answers = {
        "sysctl -n kern.geom.confxml": (confxml(*MESH), 0),
        "sysctl -n -i kern.shutdown.dumpdevname": ("\n", 0),
        "sysctl": (SYSCTL, 0),
        "id": ("0\n", 0),
        "ps": (PS, 0),
        "sockstat": ("root     hastd      1473  6  tcp4   *:8457                *:*\n", 0),
        "route": (ROUTE, 0),
        "df": (DF, 0),
        "ifconfig": (re.sub(r".*(vhid|carp).*\n", "", IFCONFIG), 0),
        "mount": (MOUNT, 0),
        "pgrep": ("", 1),
        "kldstat": ("", 1),
        "service nfsd onestatus": ("nfsd is not running.\n", 1),
        "service nfsd rcvar": ('# nfsd : NFS\n#\nnfs_server_enable="NO"\n', 0),
        "diskinfo": ("/dev/vtbd1\t512\t134217728\t262144\t0\t0\t260\t16\t63\n", 0),
        "swapinfo": ("Device          1K-blocks     Used    Avail Capacity\n", 0),
    }
    node.write("/etc/defaults/rc.conf", DEFAULTS.replace("ROOT", str(tmp_path)))
    node.write("/etc/rc.conf", 'hostname="nas-a"\nifconfig_vtnet1="inet 192.0.2.11 netmask 255.255.255.0"\n')
    node.disk("/dev/vtbd1")
    return node


@pytest.fixture
def healthy(fresh: Node, cluster: Cluster) -> Node:
    """nas-a converged and active."""
    fresh.answers |= {
        "sysctl": (SYSCTL + CARP_SYSCTL, 0),
        "ifconfig": (IFCONFIG, 0),
        "netstat": (NETSTAT, 0),
        "dmesg": (DMESG, 0),
        "mount": (MOUNTED, 0),
        "hastctl list": (LIST, 0),
        "hastctl dump data": (DUMP, 0),
        "service nfsd onestatus": ("nfsd is running as pid 900 901.\n", 0),
    }
    fresh.write("/etc/hast.conf", render_hastconf(cluster, "nas-a"))
    fresh.write("/var/run/hastd.pid", "1473")
    fresh.write("/etc/rc.conf", 'hostname="nas-a"\nhastd_enable="YES"\nkld_list="carp"\n')
    fresh.write("/etc/rc.conf.d/netif", BLOCK, 0o600)
    fresh.write("/etc/sysctl.conf", "# comment\nnet.inet.carp.preempt=1\nkern.other=1\n")
    fresh.write("/boot/loader.conf", 'autoboot_delay="3"\n')
    fresh.write("/bin/freebsd-version", '#!/bin/sh\nUSERLAND_VERSION="13.2-RELEASE-p5"\n')
    fresh.write("/etc/rc.d/nfsd", NFSD, 0o755)
    fresh.gate()
    return fresh


def unknowns(facts: NodeFacts) -> Iterator[tuple[str, Unknown]]:
    """Every reading that is Unknown, with its name."""
    for name in facts.__slots__:
        part = getattr(facts, name)
        for key, reading in part.items() if isinstance(part, dict) else [("", part)]:
            if isinstance(reading, Unknown):
                yield f"{name} {key}".strip(), reading


# --- a healthy node -----------------------------------------------------------------------------------------------


def test_a_healthy_node_is_known_completely(healthy: Node, cluster: Cluster) -> None:
    """All of NodeFacts, with the values that the programs printed."""
    facts = healthy.look(cluster)
    assert dict(unknowns(facts)) == {}
    system = facts.system
    assert isinstance(system, Known)
    assert (system.value.sysname, system.value.osreldate, system.value.release) == (
        "FreeBSD",
        1302001,
        "13.2-RELEASE-p5",
    )
    assert system.value.boot_epoch == 1795448018
    assert (system.value.uid, system.value.securelevel, system.value.hostname) == (0, -1, "nas-a")
    interfaces = facts.interfaces
    assert isinstance(interfaces, Known)
    (vhid,) = interfaces.value["vtnet1"].vhids
    assert (vhid.state, vhid.key) == (CarpState.MASTER, fingerprint(KEY, SALT))
    assert value(facts.modules) == {"carp": True, "g_gate": True}
    assert value(facts.carp_counters) == {"packets received (IPv4)": 27, "discarded for bad authentication": 5}
    assert value(facts.demotions) == ((240, 240, "sysctl"), (-240, 0, "sysctl"))
    assert facts.carp_log[-1] == "80@vtnet1: BACKUP -> MASTER (master timed out)"
    assert isinstance(facts.hastd, Known)
    assert (facts.hastd.value.running, facts.hastd.value.pid) == (True, 1473)
    assert isinstance(facts.resources, Known)
    assert facts.resources.value["data"].role is HastRole.PRIMARY
    assert isinstance(value(facts.metadata["data"]), HastMetadata)
    assert value(facts.devices["/dev/vtbd1"]) == Device(
        "/dev/vtbd1", exists=True, blank=None, used_by=("hastd", "HAST metadata")
    )
    assert value(facts.hast_devices["data"]) == Device("/dev/hast/data", exists=True, used_by=("mounted on /data",))
    assert value(facts.services["nfsd"]) == Service("nfsd", True, True, False, "nfs_server_enable")
    assert facts.notes == ()


def test_a_healthy_nodes_boot_configuration(healthy: Node, cluster: Cluster) -> None:
    """rc variables in force, aliases with their file, sysctl.conf, and the files hactl writes."""
    facts = healthy.look(cluster)
    boot = facts.boot
    assert isinstance(boot, Known)
    assert boot.value.rc == {"hastd_enable": "YES", "kld_list": "carp"}
    (alias,) = boot.value.aliases
    assert (alias.ip, alias.prefix_length, alias.vhid, alias.advskew) == ("192.0.2.80", 24, 80, 0)
    assert alias.key == fingerprint(KEY, SALT)
    assert (alias.file.removeprefix(str(healthy.root)), alias.managed) == ("/etc/rc.conf.d/netif", True)
    assert (boot.value.loader_carp, boot.value.sysctl_conf) == (False, {"net.inet.carp.preempt": "1"})
    conf = facts.files["/etc/hast.conf"]
    assert isinstance(conf, Known)
    text = render_hastconf(cluster, "nas-a")
    assert (conf.value.text, conf.value.mode) == (text, 0o644)
    assert conf.value.sha256 == hashlib.sha256(text.encode()).hexdigest()
    netif = facts.files["/etc/rc.conf.d/netif"]
    assert isinstance(netif, Known)
    assert (netif.value.mode, netif.value.block_damaged, netif.value.text) == (0o600, False, None)


def test_no_key_is_kept(healthy: Node, cluster: Cluster) -> None:
    """Neither in facts nor in raw text of readings that failed."""
    assert KEY not in repr(healthy.look(cluster))
    healthy.answers["ifconfig"] = (IFCONFIG.replace("advbase 1 ", ""), 0)
    healthy.answers["netstat"] = (f"what is {KEY}?\n", 0)
    healthy.write("/etc/rc.conf", f"echo pass {KEY}; echo '{KEY}' 1>&2\nexit 3\n")
    facts = healthy.look(cluster)
    assert {"interfaces", "carp_counters", "boot"} <= dict(unknowns(facts)).keys()
    assert KEY not in repr(facts)


def test_a_healthy_pass_is_cheap(healthy: Node, cluster: Cluster) -> None:
    """Each command costs a fork of 10 to 20 ms on a slow node: this is all of them, and no disk is read."""
    healthy.look(cluster)
    assert sorted(healthy.commands) == sorted(
        [
            "sysctl -i kern.ostype kern.osreldate kern.osrelease kern.hostname kern.hostuuid kern.boottime"
            " kern.securelevel vfs.timestamp_precision net.inet.carp",
            "ifconfig -k",
            "netstat -s -p carp",
            "dmesg ",
            "mount ",
            "hastctl list",
            "hastctl dump data",
            "service nfsd onestatus",
            "ps -axo ppid,pid,lstart,comm",
            "sockstat -46lq -P tcp -p 8457",
            "route -n get 198.51.100.12",
            f"df -k {healthy.root}/var/db {healthy.root}/var/run",
            "stat",
            # dmesg's filter and the boot files, torn ones among them; hast.conf; names of variables; bounded queries.
            "grep",
            "awk",
            "awk",
            "head",
            "sed",
            "timeout",
            "timeout",
            "timeout",
        ]
    )


# --- a fresh node, and disks --------------------------------------------------------------------------------------


def test_a_fresh_node(fresh: Node, cluster: Cluster) -> None:
    """No module, no hast.conf: nothing is loaded, the disk is provably blank and unused, the rest is known."""
    facts = fresh.look(cluster)
    assert dict(unknowns(facts)) == {}
    # There is no hast.conf for hastctl to read, but where all is zero there is no metadata.
    assert value(facts.metadata["data"]) is NoMetadata.ABSENT
    assert value(facts.modules) == {"carp": False, "g_gate": False}
    assert (value(facts.carp_sysctls), value(facts.carp_counters), value(facts.demotions)) == ({}, {}, ())
    assert (value(facts.resources), isinstance(facts.hastd, Known)) == ({}, True)
    assert value(facts.devices["/dev/vtbd1"]) == Device(
        "/dev/vtbd1", True, 128 * MIB, 512, blank=True, used_by=(), use_known=True
    )
    assert value(facts.services["nfsd"]) == Service("nfsd", True, False, False, "nfs_server_enable")
    assert not any(line.startswith(("zpool", "zfs", "kldload", "hastctl")) for line in fresh.commands)


@pytest.mark.parametrize("offset", [0, 4096, MIB - 1, 127 * MIB, 128 * MIB - 1])
def test_a_disk_with_one_byte_is_not_blank(fresh: Node, cluster: Cluster, offset: int) -> None:
    """Anywhere in the first MiB or in the last."""
    with fresh.disk("/dev/vtbd1").open("r+b") as file:
        file.seek(offset)
        file.write(b"\x01")
    device = value(fresh.look(cluster).devices["/dev/vtbd1"])
    assert isinstance(device, Device)
    assert device.blank is False


@pytest.mark.parametrize("size", [127 * MIB, MIB - 512, 0])
def test_a_disk_that_cannot_be_read_whole_is_not_blank(fresh: Node, cluster: Cluster, size: int) -> None:
    """Fewer bytes than diskinfo promised: not known, never blank."""
    fresh.disk("/dev/vtbd1", size)
    device = value(fresh.look(cluster).devices["/dev/vtbd1"])
    assert isinstance(device, Device)
    assert device.blank is None


def used(opens: str, *geoms: Geom) -> tuple[str, int]:
    """The mesh where these stand on vtbd1, which is open as often as that."""
    return confxml(*MESH[:3], *disk("vtbd1", opens), *geoms), 0


CONFXML = "sysctl -n kern.geom.confxml"
ON_DISK = (("vtbd1", "r1w1e1"),)
TASTED = (("vtbd1", "r0w0e0"),)


@pytest.mark.parametrize(
    ("program", "answer", "used_by"),
    [
        (CONFXML, (confxml(*MESH[:3], *disk("vtbd1", "r1w0e0", "r1w0e0")), 0), ("open (r1w0e0)",)),
        (
            CONFXML,
            used("r0w0e0", Geom("PART", "vtbd1", TASTED, config="\t<scheme>GPT</scheme>\n\t<entries>128</entries>\n")),
            ("GPT partition table",),
        ),
        (CONFXML, used("r0w0e0", Geom("LABEL", "vtbd1", TASTED, (("ufs/x", "r0w0e0"),))), ("label ufs/x",)),
        (CONFXML, used("r0w0e0", Geom("LABEL", "vtbd1", TASTED, (("diskid/DISK-1", "r0w0e0"),))), ()),
        (CONFXML, used("r1w1e1", Geom("MIRROR", "gm0", ON_DISK, (("mirror/gm0", "r0w0e0"),))), ("mirror gm0",)),
        (CONFXML, used("r1w1e1", Geom("ELI", "vtbd1.eli", ON_DISK, (("vtbd1.eli", "r0w0e0"),))), ("geli vtbd1.eli",)),
        (CONFXML, used("r0w0e0", Geom("MULTIPATH", "m", TASTED, (("multipath/m", "r0w0e0"),))), ("multipath m",)),
        (CONFXML, used("r1w1e1", Geom("ZFS::VDEV", "zfs::vdev", ON_DISK)), ("a ZFS pool",)),
        (CONFXML, used("r1w1e0", Geom("SWAP", "swap", (("vtbd1", "r1w1e0"),))), ("swap",)),
        (CONFXML, used("r1w1e1", Geom("VFS", "ffs.vtbd1", ON_DISK)), ("mounted filesystem ffs.vtbd1",)),
        (CONFXML, used("r1w1e1"), ("open (r1w1e1)",)),
        ("swapinfo", ("Device 1K-blocks Used Avail Capacity\n/dev/vtbd1 1 0 1 0%\n", 0), ("swap",)),
        ("sysctl -n -i kern.shutdown.dumpdevname", ("ada0p3,vtbd1\n", 0), ("crash dumps (dumpon(8))",)),
        ("mount", (MOUNT + "/dev/vtbd1 on /mnt (ufs, local)\n", 0), ("mounted on /mnt",)),
    ],
)
def test_use_of_a_disk(
    fresh: Node, cluster: Cluster, program: str, answer: tuple[str, int], used_by: tuple[str, ...]
) -> None:
    """Whoever uses it is named, whatever the GEOM class; a label of the disk's own says nothing about what is on it."""
    fresh.answers[program] = answer
    device = value(fresh.look(cluster).devices["/dev/vtbd1"])
    assert isinstance(device, Device)
    assert (device.used_by, device.use_known) == (used_by, True)


@pytest.mark.parametrize(
    ("program", "printed", "why"),
    [
        (CONFXML, ("broken\n", 1), "sysctl kern.geom.confxml: the list of GEOM's providers is not whole"),
        (CONFXML, (confxml(*MESH).replace("</mesh>", ""), 0), "sysctl kern.geom.confxml: the list of GEOM's"),
        (CONFXML, (confxml(*disk("vtbd0")), 0), "it is no GEOM provider"),
        ("swapinfo", ("broken\n", 1), "swapinfo: the query failed with exit status 1"),
        ("sysctl -n -i kern.shutdown.dumpdevname", ("broken\n", 1), "sysctl kern.shutdown.dumpdevname: the query"),
        ("mount", ("broken\n", 1), "mount: the query failed with exit status 1"),
    ],
    ids=["no mesh", "half a mesh", "no provider", "swapinfo", "dumpdev", "mount"],
)
def test_use_of_a_disk_that_is_not_known(
    fresh: Node, cluster: Cluster, program: str, printed: tuple[str, int], why: str
) -> None:
    """One query about its use that fails, and nobody may call it unused; which one is said."""
    fresh.answers[program] = printed
    device = value(fresh.look(cluster).devices["/dev/vtbd1"])
    assert isinstance(device, Device)
    assert not device.use_known
    assert device.use_unknown.startswith(why)


def test_a_link_stands_for_what_it_points_at(fresh: Node, cluster: Cluster) -> None:
    """devfs(5) links: /dev/nvd0 is /dev/nda0, and GEOM knows only the latter."""
    (fresh.root / "dev/vtbd1").rename(fresh.root / "dev/nda0")
    (fresh.root / "dev/vtbd1").symlink_to("nda0")
    mirror = Geom("MIRROR", "gm0", (("nda0", "r1w1e1"),), (("mirror/gm0", "r0w0e0"),))
    fresh.answers[CONFXML] = (confxml(*disk("nda0", "r1w1e1"), mirror), 0)
    device = value(fresh.look(cluster).devices["/dev/vtbd1"])
    assert isinstance(device, Device)
    assert (device.used_by, device.use_known) == (("mirror gm0",), True)


FSTAT = "USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W NAME\n"
BACKED = "\t    <unit>3</unit>\n\t    <type>vnode</type>\n\t    <file>/var/hast/data</file>\n"


@pytest.mark.parametrize(
    ("answers", "used_by", "why"),
    [
        ({}, (), ""),
        ({"fstat": (f"{FSTAT}root ggated 18 5 / 47 -rw------- 1 rw /x\n", 0)}, ("open by ggated (process 18)",), ""),
        ({CONFXML: (confxml(Geom("MD", "md3", (), (("md3", "r0w0e0"),), made=BACKED)), 0)}, ("memory disk md3",), ""),
        ({"fstat": ("fstat: kvm_open\n", 1)}, (), "fstat: the query failed with exit status 1"),
    ],
    ids=["nobody", "a process", "md(4)", "no answer"],
)
def test_use_of_a_file(
    fresh: Node, cluster: Cluster, answers: dict[str, tuple[str, int]], used_by: tuple[str, ...], why: str
) -> None:
    """hast.conf(5) takes a file as the local component: processes and memory disks are told."""
    document = cluster.document.model_dump(by_alias=True)
    document["spec"]["groups"][0]["storage"][0]["hast"]["devices"]["nas-a"] = "/var/hast/data"
    of_file = replace(cluster, document=type(cluster.document).model_validate(document))
    fresh.disk("/var/hast/data")
    fresh.answers |= {"fstat": (FSTAT, 0), **answers}
    device = value(fresh.look(of_file).devices["/var/hast/data"])
    assert isinstance(device, Device)
    assert (device.used_by, device.use_known, device.use_unknown) == (used_by, not why, why)
    assert device.blank is True


def test_a_missing_disk(fresh: Node, cluster: Cluster) -> None:
    """It does not exist: nothing else is asked about it."""
    (fresh.root / "dev/vtbd1").unlink()
    assert value(fresh.look(cluster).devices["/dev/vtbd1"]) == Device("/dev/vtbd1", exists=False)
    assert not any(line.startswith("diskinfo") for line in fresh.commands)


def test_disks_are_not_read_unless_hactl_may_write(fresh: Node, cluster: Cluster) -> None:
    """initialize: Never."""
    document = cluster.document.model_dump(by_alias=True)
    document["spec"]["groups"][0]["storage"][0]["hast"]["initialize"] = "Never"
    never = replace(cluster, document=type(cluster.document).model_validate(document))
    device = value(fresh.look(never).devices["/dev/vtbd1"])
    assert device == Device("/dev/vtbd1", exists=True, use_known=False, use_unknown="nobody asked")
    assert not any(line.startswith(("diskinfo", "swapinfo", CONFXML)) for line in fresh.commands)


def test_a_disk_of_another_resource(healthy: Node, cluster: Cluster) -> None:
    """What hastctl dump found instead, and the disk looked at."""
    healthy.answers["hastctl dump data"] = ("[ERROR] Provider /dev/vtbd1 is not part of resource data.\n", 255)
    facts = healthy.look(cluster)
    assert value(facts.metadata["data"]) is NoMetadata.FOREIGN
    assert isinstance(value(facts.devices["/dev/vtbd1"]), Device)


def test_the_primarys_device_is_read_while_nothing_is_mounted(healthy: Node, cluster: Cluster) -> None:
    """Blank or not decides whether a filesystem is made; never when it is mounted, never on a secondary."""
    healthy.answers |= {
        "mount": (MOUNT, 0),
        "diskinfo": ("/dev/hast/data\t512\t2097152\t4096\t0\t0\n", 0),
        "dd": ("\0" * MIB, 0),
    }
    assert value(healthy.look(cluster).hast_devices["data"]) == Device("/dev/hast/data", True, 2 * MIB, 512, True)
    healthy.answers["hastctl list"] = (LIST.replace("primary", "secondary"), 0)
    assert value(healthy.look(cluster).hast_devices["data"]) == Device("/dev/hast/data", exists=True)


# --- hastd --------------------------------------------------------------------------------------------------------


def test_a_hastd_that_does_not_answer(healthy: Node, cluster: Cluster) -> None:
    """An empty hast.conf, or a hang: it runs, and its roles are not known."""
    healthy.answers |= {
        "hastctl list": (
            "[ERROR] cannot receive reply from hastd via /var/run/hastctl: Socket is not connected.\n",
            69,
        ),
        "pgrep": ("1473\n1519\n", 0),
        "kldstat": ("", 0),
    }
    facts = healthy.look(cluster)
    assert isinstance(facts.hastd, Known)
    assert (facts.hastd.value.running, facts.hastd.value.pid) == (True, 1473)
    assert isinstance(facts.resources, Unknown)
    assert facts.resources.reason.startswith("hastd does not answer: cannot receive reply")
    assert isinstance(value(facts.metadata["data"]), HastMetadata)


def test_a_hastd_that_is_stopped(healthy: Node, cluster: Cluster) -> None:
    """The pid file is left behind; there are no roles."""
    gone = "[ERROR] Unable to connect to hastd via /var/run/hastctl: No such file or directory.\n"
    healthy.answers["hastctl list"] = (gone, 71)
    facts = healthy.look(cluster)
    assert isinstance(facts.hastd, Known)
    assert (facts.hastd.value.running, facts.hastd.value.pid, value(facts.resources)) == (False, None, {})


def test_a_query_that_hangs_costs_only_itself(healthy: Node, cluster: Cluster) -> None:
    """timeout(1) ends it; the reading is Unknown, and the disk is not touched on that evidence."""
    healthy.answers |= {"hastctl list": ("data:\n  ro", 124), "hastctl dump data": ("", 137), "pgrep": ("1473\n", 0)}
    facts = healthy.look(cluster)
    assert {name: reading.reason for name, reading in unknowns(facts)} == {
        "resources": "the node gave no answer to this query in time",
        "metadata data": "the node gave no answer to this query in time",
    }
    assert not any(line.startswith("diskinfo") for line in healthy.commands)


# --- rc -----------------------------------------------------------------------------------------------------------


def test_rc_conf_that_sh_cannot_read(healthy: Node, cluster: Cluster) -> None:
    """A syntax error makes the boot configuration Unknown, with sh's words; all else is known."""
    healthy.write("/etc/rc.conf", 'kld_list="carp\n')
    facts = healthy.look(cluster)
    assert isinstance(facts.boot, Unknown)
    assert "cannot read the rc.conf files" in facts.boot.reason
    assert "rc.conf" in facts.boot.raw
    assert {name for name, _ in unknowns(facts)} == {"boot", "services nfsd"}


def test_rc_files_are_read_in_rcs_order(healthy: Node, cluster: Cluster) -> None:
    """rc.conf, rc.conf.local, then rc.conf.d (files or directories): the last one wins, and is named."""
    (healthy.root / "etc/rc.conf.d/netif").unlink()
    healthy.write("/etc/rc.conf", 'ifconfig_vtnet1_alias0="inet vhid 80 192.0.2.1/24"\nkld_list="a b"\n')
    healthy.write("/etc/rc.conf.local", "kld_list=\"$kld_list\n'c'\"\n")
    healthy.write("/etc/rc.conf.d/netif/ours", BLOCK.replace("alias8000", "alias0"))
    healthy.write("/usr/local/etc/rc.conf.d/nfsd", "nfs_server_enable=yes\n")
    facts = healthy.look(cluster)
    boot = facts.boot
    assert isinstance(boot, Known)
    assert boot.value.rc["kld_list"] == "a b\n'c'"
    (alias,) = boot.value.aliases
    assert (alias.ip, alias.managed, alias.file.endswith("/etc/rc.conf.d/netif/ours")) == ("192.0.2.80", True, True)
    service = value(facts.services["nfsd"])
    assert isinstance(service, Service)
    assert service.enabled
    netif = value(facts.files["/etc/rc.conf.d/netif"])
    assert getattr(netif, "is_directory", None) is True


def test_an_rcvar_that_is_no_literal_is_asked_for(healthy: Node, cluster: Cluster) -> None:
    """Then service(8) says it; two different assignments are no literal either."""
    healthy.write("/etc/rc.d/nfsd", NFSD + '\trcvar="other_enable"\n', 0o755)
    healthy.answers["service nfsd rcvar"] = ('# nfsd\n#\nnfs_server_enable="YES"\n', 0)
    assert value(healthy.look(cluster).services["nfsd"]) == Service("nfsd", True, True, True, "nfs_server_enable")
    assert "service nfsd rcvar" in healthy.commands


def test_a_service_that_does_not_exist(healthy: Node, cluster: Cluster) -> None:
    """It is known not to."""
    healthy.answers["service nfsd onestatus"] = (
        "nfsd does not exist in /etc/rc.d or the local startup\ndirectories (/usr/local/etc/rc.d), or is not"
        " executable\n",
        1,
    )
    assert value(healthy.look(cluster).services["nfsd"]) == Service("nfsd", False, False, False)


@pytest.mark.parametrize(
    ("text", "damaged"),
    [("x=1\n", False), (BLOCK, False), ("# BEGIN hactl\n", True), (BLOCK + BLOCK, True)],
)
def test_the_block_in_netif(healthy: Node, cluster: Cluster, text: str, damaged: bool) -> None:
    """There once and whole, not there, or damaged. A look-alike in another file is not it."""
    healthy.write("/etc/rc.conf.d/netif", text)
    healthy.write("/etc/rc.conf.local", "# BEGIN hactl\n")
    netif = healthy.look(cluster).files["/etc/rc.conf.d/netif"]
    assert isinstance(netif, Known)
    assert netif.value.block_damaged == damaged


def test_other_boot_files(healthy: Node, cluster: Cluster) -> None:
    """loader.conf in all its places; sysctl.conf.local after sysctl.conf; an empty alias; ipv6."""
    healthy.write("/boot/loader.conf", 'carp_load="NO"\n')
    healthy.write("/boot/loader.conf.d/ha.conf", 'carp_load="YES"\n')
    healthy.write("/etc/sysctl.conf.local", "net.inet.carp.preempt=0\n")
    healthy.write("/etc/rc.conf.local", 'ifconfig_vtnet1_alias0=""\nifconfig_vtnet1_ipv6="inet6 auto_linklocal"\n')
    boot = healthy.look(cluster).boot
    assert isinstance(boot, Known)
    assert (boot.value.loader_carp, boot.value.sysctl_conf) == (True, {"net.inet.carp.preempt": "0"})
    assert (boot.value.aliases, boot.value.scan_stops) == ((), {"vtnet1": "ifconfig_vtnet1_alias0"})
    assert boot.value.ipv6_interfaces == {"vtnet1"}


def test_files_that_a_power_cut_tore(healthy: Node, cluster: Cluster) -> None:
    """NUL bytes are told by path; an empty file and one without a newline at its end are not torn."""
    healthy.write("/etc/rc.conf.local", 'mine="1"\n\0\0')
    healthy.write("/etc/sysctl.conf", "")
    healthy.write("/etc/sysctl.conf.local", "kern.maxfiles=1")
    files = healthy.look(cluster).files
    assert [path for path, file in files.items() if isinstance(file, Known) and file.value.torn] == [
        "/etc/rc.conf.local"
    ]
    healthy.write("/etc/rc.conf.d/netif", "\0\0\0")
    netif = healthy.look(cluster).files["/etc/rc.conf.d/netif"]
    assert isinstance(netif, Known)
    assert netif.value.torn


# --- odd nodes and odd answers ------------------------------------------------------------------------------------


def test_a_node_that_runs_linux(fresh: Node, cluster: Cluster) -> None:
    """It is told by name; nothing else is asked or known."""
    fresh.answers = {
        "sysctl": ("sysctl: invalid option -- 'i'\n", 1),
        "uname": ("Linux\n", 0),
        "id": ("0\n", 0),
    }
    facts = fresh.look(cluster)
    assert isinstance(facts.system, Known)
    assert (facts.system.value.sysname, facts.system.value.uid) == ("Linux", 0)
    assert {command.split()[0] for command in fresh.commands} == {"sysctl", "uname"}
    reasons = {reading.reason for name, reading in unknowns(facts) if name not in ("modules", "carp_sysctls")}
    assert "the node runs Linux, not FreeBSD: not looked at" in reasons
    assert {"interfaces", "mounts", "boot", "resources", "pools", "devices /dev/vtbd1"} <= dict(unknowns(facts)).keys()


def test_a_login_that_is_not_root(healthy: Node, cluster: Cluster) -> None:
    """ifconfig shows no keys then, which must not read as `no key set`."""
    healthy.answers["id"] = ("1001\n", 0)
    healthy.is_root = False
    facts = healthy.look(cluster)
    assert isinstance(facts.system, Known)
    assert facts.system.value.uid == 1001
    assert isinstance(facts.interfaces, Unknown)
    assert "root" in facts.interfaces.reason


def test_a_banner_before_the_answer_is_a_note(healthy: Node, cluster: Cluster) -> None:
    """What csh prints first does no harm."""
    script = probe_script(cluster, "nas-a", NONCE, root=str(healthy.root))
    facts = read(cluster, "Welcome to nas-a!\nno new mail" + healthy.run(script))
    assert dict(unknowns(facts)) == {}
    assert facts.notes == ("before the first line of ours: Welcome to nas-a!\nno new mail",)


def test_an_answer_that_is_cut_anywhere(healthy: Node, cluster: Cluster) -> None:
    """Whole sections count, the rest is Unknown, never empty; nothing raises at any cut."""
    script = probe_script(cluster, "nas-a", NONCE, root=str(healthy.root))
    text = healthy.run(script)
    whole = read(cluster, text)
    first = text.index(NONCE) + len(NONCE) + 20
    # Without its last line feed it is whole.
    for end in range(first, len(text) - 1, 37):
        facts = read(cluster, text[:end])
        assert facts.notes[0] == "the answer was cut"
        for name in ("interfaces", "carp_sysctls", "resources", "mounts", "boot", "hastd"):
            reading = getattr(facts, name)
            if isinstance(reading, Known):
                assert reading == getattr(whole, name)
            else:
                assert "cut" in reading.reason


def test_a_script_that_is_cut_does_nothing(healthy: Node, cluster: Cluster) -> None:
    """It is one function, called on its last line: half a script runs nothing."""
    script = probe_script(cluster, "nas-a", NONCE, root=str(healthy.root))
    healthy.run(script)
    for share in (0.2, 0.5, 0.9):
        programs = healthy.root / "programs"
        (healthy.root / "log").write_text("")
        half = script[: int(len(script) * share)].replace(f"PATH={PATH};", f"PATH={programs}:/usr/bin:/bin;")
        subprocess.run([DASH, "-s"], input=half.encode(), capture_output=True, timeout=LIMIT_SECONDS, check=False)
        assert healthy.commands == []


def test_a_program_that_reads_its_input_does_not_eat_the_script(healthy: Node, cluster: Cluster) -> None:
    """Standard input of every query is /dev/null."""
    (healthy.root / "programs").mkdir()
    healthy.write("/etc/rc.conf", "cat\nread hactl_line\n")
    facts = healthy.look(cluster)
    assert isinstance(facts.boot, Known)
    assert isinstance(facts.files["/etc/hast.conf"], Known)


def test_the_probe_writes_nothing(healthy: Node, cluster: Cluster) -> None:
    """Not a file, not a directory: a read-only /etc and a full disk do not matter."""
    script = probe_script(cluster, "nas-a", NONCE, root=str(healthy.root))
    healthy.run(script)

    def tree() -> dict[str, float]:
        return {
            str(Path(where) / name): (Path(where) / name).lstat().st_mtime_ns
            for where, _, names in os.walk(healthy.root)
            for name in names
            if "programs" not in where and name != "log"
        }

    before = tree()
    healthy.run(script)
    assert tree() == before
    assert not re.search(r"(?<![0-9])>(?!&|/dev/null)\s*[\"'/a-z]|mktemp|\btee\b|<<", script.replace("<<BOOT>>", ""))


def test_a_node_without_storage(fresh: Node) -> None:
    """A firewall: HAST and disks are not asked about, and hastd is known to be absent."""
    cluster = edge_cluster()
    fresh.answers["ifconfig"] = ("ix0: flags=8843<UP> metric 0 mtu 1500\n", 0)
    facts = fresh.look(cluster, "fw-1")
    assert dict(unknowns(facts)) == {}
    assert (value(facts.resources), value(facts.pools), facts.metadata, facts.devices) == ({}, {}, {}, {})
    assert list(facts.files) == ["/etc/rc.conf.d/netif"]
    assert not any(line.startswith("hastctl") for line in fresh.commands)


def zfs_cluster(cluster: Cluster) -> Cluster:
    document = cluster.document.model_dump(by_alias=True)
    document["spec"]["groups"][0]["storage"][0]["filesystem"] = {"zfs": {"pool": "tank"}}
    return replace(cluster, document=type(cluster.document).model_validate(document))


def test_pools_are_asked_for_only_with_the_module(healthy: Node, cluster: Cluster) -> None:
    """zpool(8) would load it; importable pools are looked for when ours is not imported."""
    zfs = zfs_cluster(cluster)
    assert value(healthy.look(zfs).pools) == {}
    assert not any(line.startswith("zpool") for line in healthy.commands)
    healthy.answers |= {
        "kldstat": ("", 0),
        "zpool list -HvP -o name,health": ("zroot\tONLINE\n", 0),
        "zpool import -d /dev/hast": ("   pool: tank\n     id: 1\n  state: ONLINE\n", 0),
        "mount": (MOUNT, 0),
        "diskinfo": ("/dev/hast/data\t512\t2097152\t4096\t0\t0\n", 0),
    }
    facts = healthy.look(zfs)
    assert isinstance(facts.pools, Known)
    assert {name: pool.imported for name, pool in facts.pools.value.items()} == {"zroot": True, "tank": False}
    healthy.answers["zpool list -HvP -o name,health"] = ("tank\tONLINE\n", 0)
    facts = healthy.look(zfs)
    assert "zpool import -d /dev/hast" not in healthy.commands
    assert not any(line.startswith("diskinfo") for line in healthy.commands)
    device = value(facts.hast_devices["data"])
    assert isinstance(device, Device)
    assert device.used_by == ("pool tank",)


# --- hostile names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "evil", ["$(touch PWNED)", "'; touch PWNED; '", "`touch PWNED`", "a b", "*", '"; touch PWNED #']
)
def test_names_of_the_document_are_inert(fresh: Node, cluster: Cluster, evil: str) -> None:
    """Even names that the document's own rules would refuse do nothing in the script."""
    evil = evil.replace("PWNED", f"{fresh.root}/PWNED")
    group = cluster.document.spec.groups[0]
    storage = group.storage[0]
    hast = storage.hast.model_copy(update={"devices": {"nas-a": f"/dev/{evil}", "nas-b": "/dev/x"}})
    vip = group.virtual_ips[0].model_copy(update={"interface": evil})
    bad = group.model_copy(
        update={
            "storage": [storage.model_copy(update={"name": evil, "hast": hast})],
            "services": [group.services[0].model_copy(update={"name": evil})],
            "virtual_ips": [vip],
        }
    )
    spec = cluster.document.spec.model_copy(update={"groups": [bad]})
    hostile = replace(cluster, document=cluster.document.model_copy(update={"spec": spec}))
    fresh.answers |= {"service": ("x is not running.\n", 1), "hastctl": (LIST, 0)}
    fresh.write("/etc/hast.conf", "#\n")
    facts = fresh.look(hostile)
    assert not (fresh.root / "PWNED").exists()
    assert not Path("PWNED").exists()
    assert f"hastctl dump {evil}" in fresh.commands
    assert facts.notes == ()


@pytest.mark.parametrize("nonce", ["", "short", "has space1", "a;b;c;d;e", "x" * 65])
def test_a_nonce_is_letters_and_digits(cluster: Cluster, nonce: str) -> None:
    """Anything else is refused before it reaches a script."""
    with pytest.raises(ValueError, match="nonce"):
        probe_script(cluster, "nas-a", nonce)


def test_no_secret_is_in_the_script(cluster: Cluster) -> None:
    """The probe needs none."""
    script = probe_script(cluster, "nas-a", NONCE)
    assert KEY not in script
    assert fingerprint(KEY, SALT) not in script


# --- FreeBSD 15 ---------------------------------------------------------------------------------------------------

RELEASE = "15.1-RELEASE-p1"


@pytest.fixture
def on_15(healthy: Node) -> Node:
    """The healthy node with FreeBSD 15.1 and its hastd."""
    system = healthy.answers["sysctl"][0].replace("1302001", "1501000").replace("13.2-RELEASE", RELEASE)
    healthy.answers["sysctl"] = (system, 0)
    healthy.write("/sbin/hastd", "a program", 0o555)
    return healthy


def tried(node: Node) -> str:
    """What a trial of that hastd notes of it: stat -f '%i %z %Fm %Fc'."""
    found = (node.root / "sbin/hastd").stat()
    times = [f"{each // 10**9}.{each % 10**9:09d}" for each in (found.st_mtime_ns, found.st_ctime_ns)]
    return " ".join([str(found.st_ino), str(found.st_size), *times])


@pytest.mark.parametrize(
    ("said", "connects"),
    [
        ("THIS 15.1-RELEASE-p1 works", Connects.WORKS),
        ("THIS 15.1-RELEASE-p1 never", Connects.NEVER),
        ("THIS 15.0-RELEASE never", Connects.UNTRIED),
        ("THIS 15.1-RELEASE-p1 perhaps", Connects.UNTRIED),
        ("541 185648 1795989116.0 1795989116.0 15.1-RELEASE-p1 works", Connects.UNTRIED),
        ("", Connects.UNTRIED),
        (None, Connects.UNTRIED),
    ],
)
def test_a_trial_counts_for_the_hastd_and_the_release_it_was_made_with(
    on_15: Node, cluster: Cluster, said: str | None, connects: Connects
) -> None:
    """Another hastd, or another kernel, is to be tried again; a note that is torn says nothing."""
    if said is not None:
        on_15.write("/var/db/hactl/hastd", said.replace("THIS", tried(on_15)) + "\n")
    facts = on_15.look(cluster)
    assert dict(unknowns(facts)) == {}
    assert value(facts.connects) is connects


def test_a_hastd_that_was_changed_is_to_be_tried_again(on_15: Node, cluster: Cluster) -> None:
    """A mended one has another size, or at least another time of change."""
    on_15.write("/var/db/hactl/hastd", f"{tried(on_15)} {RELEASE} never\n")
    assert value(on_15.look(cluster).connects) is Connects.NEVER
    on_15.write("/sbin/hastd", "A PROGRAM", 0o555)
    assert value(on_15.look(cluster).connects) is Connects.UNTRIED


def test_a_hastd_that_is_not_there_is_not_known_to_connect(on_15: Node, cluster: Cluster) -> None:
    """Not even as untried."""
    (on_15.root / "sbin/hastd").unlink()
    assert isinstance(on_15.look(cluster).connects, Unknown)


def test_asking_costs_no_program_and_before_15_counts_for_nothing(on_15: Node, cluster: Cluster) -> None:
    """hastd is one more file of the one stat(1) that there is."""
    on_15.look(cluster)
    assert len([line for line in on_15.commands if line.startswith("stat")]) == 1
    on_15.answers["sysctl"] = (on_15.answers["sysctl"][0].replace("1501000", "1402000"), 0)
    on_15.write("/var/db/hactl/hastd", f"{tried(on_15)} {RELEASE} never\n")
    assert value(on_15.look(cluster).connects) is Connects.SURE


def test_the_age_of_a_worker_without_a_device_is_asked_for(healthy: Node, cluster: Cluster) -> None:
    """Only then: with the device, and on a secondary, ps is not run."""
    healthy.answers = {"ps -o etimes= -p 1519": ("    4711\n", 0)} | healthy.answers
    assert value(healthy.look(cluster).resources)["data"].worker_seconds is None
    assert "ps -o etimes= -p 1519" not in healthy.commands
    (healthy.root / "dev/hast/data").unlink()
    facts = healthy.look(cluster)
    assert value(facts.resources)["data"].worker_seconds == 4711
    assert "ps -o etimes= -p 1519" in healthy.commands
    healthy.answers["hastctl list"] = (LIST.replace("primary", "init"), 0)
    assert value(healthy.look(cluster).resources)["data"].worker_seconds is None
