"""The disks of a pair: the unpacked image, blank nodes over it, what the first boot takes its name from, kept states.

The root disk of a node is an overlay over the image that all pairs share. A small extra disk, a tar archive that
/etc/rc.d/seed of the image unpacks over /, gives a new node its name, addresses and keys; then it is gone.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

from .settings import DATA_DISKS, LOCAL, NETS, ROOT_DISK, Failed, Machine, Pair, image_names

_READERS = {".xz": ("xz", "-dc"), ".zst": ("zstd", "-dcq", "--long=27")}
_BLOCK = 1 << 20
_RC_CONF = """hostname="{name}"
ifconfig_vtnet0="inet 10.0.2.15 netmask 255.255.255.0"
ifconfig_vtnet1="inet {lan} netmask 255.255.255.0"
ifconfig_vtnet2="inet {repl} netmask 255.255.255.0"
sshd_enable="YES"
sshd_rsa_enable="NO"
sshd_ecdsa_enable="NO"
cron_enable="NO"
syslogd_flags="-ss"
dumpdev="NO"
background_fsck="NO"
update_motd="NO"
"""


def packed_image(source: Path, release: str) -> Path | None:
    """The packed image of a release, where there is one."""
    return next((source / name for name in image_names(release) if (source / name).exists()), None)


def unpacked_image(pair: Pair) -> Path:
    """The image, unpacked once and named after what it was unpacked from."""
    packed = packed_image(pair.source, pair.release)
    if packed is None:
        raise Failed(f"no image of release {pair.release}: HACTL_REAL={pair.source} has none of "
                     f"{', '.join(image_names(pair.release))}")  # fmt: skip
    stat = packed.stat()
    tag = hashlib.sha256(f"{packed.name} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:8]
    image = pair.images / f"freebsd-{pair.release}-amd64.{tag}.img"
    if not image.exists():
        pair.images.mkdir(parents=True, exist_ok=True)
        part = image.with_suffix(f".part{os.getpid()}")
        _unpack(packed, part)
        part.rename(image)
    return image


def _unpack(packed: Path, part: Path) -> None:
    reader = [*_READERS.get(packed.suffix, ("cat",)), str(packed)]
    with subprocess.Popen(reader, stdout=subprocess.PIPE) as child, part.open("wb") as out:
        while child.stdout and (block := child.stdout.read(_BLOCK)):
            if block.count(0) == len(block):
                out.seek(len(block), os.SEEK_CUR)  # a hole
            else:
                out.write(block)
        out.truncate()
    if child.returncode:
        part.unlink()
        raise Failed(f"{' '.join(reader)} failed")


def run(*command: object) -> None:
    """A program that must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")


def prepare(pair: Pair) -> None:
    """The folder of the pair, its settings, keys and known hosts."""
    pair.write()
    if not pair.identity.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pair-test-key", "-f", pair.identity)
    for node in pair.nodes:
        if not node.path("hostkey").exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", node.name, "-f", node.path("hostkey"))
        kind, key, *_ = node.path("hostkey.pub").read_text().split()
        node.public_key.write_text(f"{kind} {key}\n")
    pair.known_hosts.write_text("".join(f"{known_host(node)}\n" for node in pair.nodes))


def known_host(node: Machine) -> str:
    """Its line of known_hosts."""
    return f"[{LOCAL}]:{node.ssh_port} {node.public_key.read_text().strip()}"


def make_disks(node: Machine) -> None:
    """A blank node: an overlay over the image, empty data disks, and the seed of its first boot."""
    image = unpacked_image(node.pair)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image, node.disk(ROOT_DISK))
    for disk in DATA_DISKS:
        run("qemu-img", "create", "-q", "-f", "qcow2", node.disk(disk), f"{node.pair.disk}M")
    no_exports = b"# exports(5). mountd, and so nfsd, do not start without this file.\n"
    files = {
        "etc/rc.conf": (_RC_CONF.format(name=node.name, **node.addresses).encode(), 0o644),
        "etc/exports": (no_exports, 0o644),
        "etc/ssh/ssh_host_ed25519_key": (node.path("hostkey").read_bytes(), 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": (node.path("hostkey.pub").read_bytes(), 0o644),
        "root/.ssh/authorized_keys": (node.pair.home.joinpath("id_ed25519.pub").read_bytes(), 0o600),
    }
    with tarfile.open(node.path("seed"), "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (data, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), mode, int(time.time())
            info.uname, info.gname = "root", "wheel"
            tar.addfile(info, io.BytesIO(data))


def discard(node: Machine) -> None:
    """Throw away the disks of a node that is off, its console's log and its pulled cables."""
    for disk in (ROOT_DISK, *DATA_DISKS):
        node.disk(disk).unlink(missing_ok=True)
    for suffix in ("log", *(f"{net}.down" for net in NETS)):
        node.path(suffix).unlink(missing_ok=True)


def save(pair: Pair, name: str) -> int:
    """Keep the disks of nodes that are off. Returns MiB."""
    target = pair.saved(name)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in (pair.home / "disks").iterdir():
        run("cp", "--sparse=always", file, target / file.name)
    return sum(file.stat().st_blocks for file in target.iterdir()) * 512 >> 20


def restore(pair: Pair, name: str) -> None:
    """Bring kept disks back to nodes that are off."""
    source = pair.saved(name)
    if not source.is_dir():
        there = " ".join(sorted(path.name for path in (pair.home / "saved").glob("*"))) or "nothing"
        raise Failed(f"nothing saved as {name}; there is: {there}")
    for node in pair.nodes:
        node.path("seed").unlink(missing_ok=True)
    for file in source.iterdir():
        run("cp", "--sparse=always", file, pair.home / "disks" / file.name)
