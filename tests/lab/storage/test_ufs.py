"""Disks and UFS from the shell: blankness, newfs, fsck, mount, umount, df.

See docs/freebsd-facts.md#3.5; recordings 01, 03, 05.
"""

from __future__ import annotations

import pytest

from support.lab.pair import Pair

COUNT = "dd if={dev} bs=1m skip={skip} count=1 2>/dev/null | tr -d '\\000' | wc -c"


def nonzero(pair: Pair, device: str) -> tuple[int, int]:
    """Non-zero bytes in the first and the last MiB of nas-a's device."""
    first = pair.sh(pair.a, COUNT.format(dev=device, skip=0)).out
    last = pair.sh(pair.a, COUNT.format(dev=device, skip=127)).out
    return int(first), int(last)


def test_blank_disk_is_all_zero() -> None:
    """The first and last MiB of a new disk hold nothing; junk anywhere in them shows."""
    pair = Pair()
    assert nonzero(pair, "/dev/vtbd1") == (0, 0)
    pair.a.disks.disks["vtbd1"].write(127 * 1048576 + 99, b"old")
    assert nonzero(pair, "/dev/vtbd1") == (0, 3)


@pytest.mark.parametrize(
    ("make", "first", "last"),
    [
        ("newfs -U /dev/vtbd1", True, False),
        ("zpool create tank /dev/vtbd1", True, True),
        ("gpart create -s gpt vtbd1", True, True),
        (
            "echo 'resource d { on nas-a { local /dev/vtbd1 remote 1.2.3.4 } }' >/etc/hast.conf; hastctl create d",
            True,
            False,
        ),
    ],
)
def test_whatever_was_there_is_seen(make: str, first: bool, last: bool) -> None:
    """UFS, ZFS, a partition table and HAST metadata all leave bytes where they are looked for."""
    pair = Pair()
    assert pair.sh(pair.a, make).status == 0
    found = nonzero(pair, "/dev/vtbd1")
    assert (found[0] > 0, found[1] > 0) == (first, last)


def test_newfs_mount_df() -> None:
    """The texts of recording 03, steps 48 and 49."""
    pair = Pair()
    pair.replicating()
    assert pair.sh(pair.a, "newfs -U -L data /dev/hast/data").out == (
        "/dev/hast/data: 128.0MB (262128 sectors) block size 32768, fragment size 4096\n"
        "\tusing 4 cylinder groups of 32.00MB, 1024 blks, 4096 inodes.\n"
        "\twith soft updates\n"
        "super-block backups (for fsck_ffs -b #) at:\n 192, 65728, 131264, 196800\n"
    )
    done = pair.sh(
        pair.a, "mkdir -p /data && mount -o noatime /dev/hast/data /data && mount | grep data && df -k /data"
    )
    assert done.out == (
        "/dev/hast/data on /data (ufs, local, noatime, soft-updates)\n"
        "Filesystem     1024-blocks Used  Avail Capacity  Mounted on\n"
        "/dev/hast/data      126612    8 116476     0%    /data\n"
    )
    assert pair.sh(pair.a, "mount -p | tail -1").out == "/dev/hast/data\t\t/data\t\t\tufs\trw,noatime\t2 2\n"
    assert pair.sh(pair.a, "mount --libxo json").out == (
        '{"mount": {"mounted": [{"special":"/dev/vtbd0","node":"/","fstype":"ufs", "opts": ["local","soft-updates"]}, '
        '{"special":"devfs","node":"/dev","fstype":"devfs"}, '
        '{"special":"/dev/hast/data","node":"/data","fstype":"ufs", "opts": ["local","noatime","soft-updates"]}]}}\n'
    )
    assert pair.sh(pair.a, "glabel status").out == "    Name  Status  Components\nufs/data     N/A  hast/data\n"


def test_swap_shows_the_same_file_on_the_other_side() -> None:
    """Planned move: fsck finds it clean, the file has the same sum (recording 03, steps 75 to 77)."""
    pair = Pair()
    pair.mounted()
    pair.sh(
        pair.a,
        "dd if=/dev/urandom of=/data/blob bs=1m count=8 2>/dev/null; mkdir /data/sub; echo text > /data/sub/note",
    )
    digest = pair.sh(pair.a, "sha256 /data/blob").out
    pair.sh(pair.a, "chmod 600 /data/sub/note; umount /data; hastctl role secondary data")
    pair.sh(pair.b, "hastctl role primary data; sleep 1; mkdir -p /data")
    assert pair.sh(pair.b, "fsck -p -y -t ufs /dev/hast/data").out.startswith(
        "/dev/hast/data: FILE SYSTEM CLEAN; SKIPPING CHECKS\n/dev/hast/data: clean, "
    )
    assert pair.sh(pair.b, "mount /dev/hast/data /data; sha256 /data/blob").out == digest
    assert pair.sh(pair.b, "cat /data/sub/note; stat -f %Lp /data/sub/note").out == "text\n600\n"
    assert pair.sh(pair.a, "ls /data").out == ""


@pytest.mark.parametrize(
    ("script", "err"),
    [
        ("mount /dev/hast/none /data", "mount: /dev/hast/none: No such file or directory\n"),
        ("mount /dev/vtbd2 /nowhere", "mount: /nowhere: No such file or directory\n"),
        (
            "mount -o noatime,bogus /dev/vtbd2 /mnt",
            "mount: /dev/vtbd2: mount option <bogus> is unknown: Invalid argument\n",
        ),
        ("mount /dev/vtbd2 /data", "mount: /dev/vtbd2: Invalid argument\n"),
        ("mount /dev/vtbd1 /mnt", "mount: /dev/vtbd1: Operation not permitted\n"),
        ("mount /dev/hast/data /mnt", "mount: /dev/hast/data: Device busy\n"),
        ("cd /data && umount /data", "umount: unmount of /data failed: Device busy\n"),
        ("umount /mnt", "umount: /mnt: not a file system root directory\n"),
        ("umount /x", "umount: /x: statfs: No such file or directory\numount: /x: unknown file system\n"),
        ("hastctl role init data; umount /data", "umount: unmount of /data failed: Device not configured\n"),
    ],
)
def test_refusals(script: str, err: str) -> None:
    """Each refusal has its sentence and exit status 1."""
    pair = Pair()
    pair.mounted()
    pair.sh(pair.a, "mkdir -p /mnt")
    done = pair.sh(pair.a, script)
    assert (done.err, done.status) == (err, 1)


def test_busy_holders() -> None:
    """An open file keeps umount away and shows in fstat and fuser; -f goes over it."""
    pair = Pair()
    pair.mounted()
    pair.sh(pair.a, "echo x > /data/x")
    pair.a.disks.mounts.hold("/data/x", 4711, "smbd")
    assert pair.sh(pair.a, "umount /data").err == "umount: unmount of /data failed: Device busy\n"
    assert "4711" in pair.sh(pair.a, "fstat -f /data").out
    assert pair.sh(pair.a, "fuser -c /data 2>/dev/null").out == "  4711"
    assert pair.sh(pair.a, "umount -f /data").status == 0


def test_mounting_over_hides_and_stacks() -> None:
    """What was in the directory, or mounted on it, is back after umount."""
    pair = Pair()
    pair.mounted()
    pair.sh(
        pair.a,
        "echo lower > /data/lower; newfs -U /dev/vtbd2 >/dev/null; mount /dev/vtbd2 /data; echo upper > /data/upper",
    )
    assert pair.sh(pair.a, "cat /data/upper; test -e /data/lower || echo hidden").out == "upper\nhidden\n"
    assert pair.sh(pair.a, "umount /data; cat /data/lower; test -e /data/upper || echo gone").out == "lower\ngone\n"


def test_power_loss_leaves_it_dirty() -> None:
    """Without soft updates a dirty filesystem is not mounted before fsck; with them the kernel only warns."""
    pair = Pair()
    pair.sh(pair.a, "newfs /dev/vtbd1 >/dev/null; newfs -U /dev/vtbd2 >/dev/null; mkdir -p /one /two")
    pair.sh(pair.a, "mount /dev/vtbd1 /one; mount /dev/vtbd2 /two; fsync /")
    pair.world.power_off("nas-a")
    pair.world.power_on("nas-a")
    pair.world.advance(30)
    done = pair.sh(pair.a, "mount /dev/vtbd1 /one")
    assert done.err == (
        "mount: /dev/vtbd1: R/W mount on /one denied. Filesystem is not clean - run fsck.: Operation not permitted\n"
    )
    assert (
        pair.sh(pair.a, "mount /dev/vtbd2 /two; dmesg | tail -1").out == "WARNING: /two was not properly dismounted\n"
    )
    assert pair.sh(pair.a, "fsck -y -t ufs /dev/vtbd1").out.endswith("\n***** FILE SYSTEM MARKED CLEAN *****\n")
    assert pair.sh(pair.a, "mount /dev/vtbd1 /one").status == 0


def test_read_only_and_update() -> None:
    """A read-only mount takes no writes and leaves no dirt; -u -o changes the flags in place."""
    pair = Pair()
    pair.mounted()
    pair.sh(pair.a, "mount -u -o ro,noexec /dev/hast/data")
    assert (
        pair.sh(pair.a, "mount | grep hast").out
        == "/dev/hast/data on /data (ufs, local, noexec, read-only, soft-updates)\n"
    )
    assert "Read-only file system" in pair.sh(pair.a, "dd if=/dev/zero of=/data/x bs=1 count=1 2>&1").out
    pair.sh(pair.a, "mount -u -o rw,noatime /data")
    assert pair.sh(pair.a, "mount | grep hast").out == "/dev/hast/data on /data (ufs, local, noatime, soft-updates)\n"
    assert pair.sh(pair.a, "umount /data; fsck -p -t ufs /dev/hast/data | head -1").out.endswith("SKIPPING CHECKS\n")


def test_full_filesystem() -> None:
    """More than there is room for: dd fails and leaves no file."""
    pair = Pair()
    pair.a.disks.add("vtbd3", 16 * 1048576)
    pair.sh(pair.a, "newfs -U /dev/vtbd3 >/dev/null; mkdir -p /data; mount /dev/vtbd3 /data")
    assert pair.sh(pair.a, "dd if=/dev/urandom of=/data/fits bs=1m count=8 2>/dev/null").status == 0
    assert "No space left on device" in pair.sh(pair.a, "dd if=/dev/urandom of=/data/more bs=1m count=9 2>&1").out
    assert pair.sh(pair.a, "test -e /data/more").status == 1


def test_failed_disk() -> None:
    """Every access answers EIO until the disk is mended, with what was on it."""
    pair = Pair()
    pair.sh(pair.a, "newfs -U /dev/vtbd1 >/dev/null; mkdir -p /data")
    pair.world.fail_disk("nas-a", "vtbd1")
    assert "Input/output error" in pair.sh(pair.a, "dd if=/dev/vtbd1 bs=512 count=1 2>&1").out
    assert pair.sh(pair.a, "mount /dev/vtbd1 /data").err == "mount: /dev/vtbd1: Input/output error\n"
    pair.world.mend_disk("nas-a", "vtbd1")
    assert pair.sh(pair.a, "mount /dev/vtbd1 /data").status == 0


def test_open_counts_and_partition_tables() -> None:
    """geom shows who has a disk open, gpart what is on it (recording 01, steps 44 to 46)."""
    pair = Pair()
    mode = "geom disk list vtbd1 | grep Mode"
    assert pair.sh(pair.a, f"gpart show; {mode}").out == "   Mode: r0w0e0\n"
    pair.sh(pair.a, "newfs -U /dev/vtbd1 >/dev/null; mkdir -p /data; mount /dev/vtbd1 /data")
    assert pair.sh(pair.a, mode).out == "   Mode: r1w1e1\n"
    busy = pair.sh(pair.a, "dd if=/dev/zero of=/dev/vtbd1 bs=512 count=1 2>&1")
    assert busy.out == "dd: /dev/vtbd1: Operation not permitted\n"
    assert pair.sh(pair.a, "gpart show vtbd2").err == "gpart: No such geom: vtbd2.\n"
    pair.sh(pair.a, "gpart create -s gpt vtbd2")
    assert "vtbd2  GPT  (128M)" in pair.sh(pair.a, "gpart show").out
    assert pair.sh(pair.a, "diskinfo /dev/vtbd2").out == "/dev/vtbd2\t512\t134217728\t262144\t0\t0\t260\t16\t63\n"


def test_create_refuses_a_mounted_disk() -> None:
    """hastctl create never asks, but GEOM does (docs/freebsd-facts.md#2.4)."""
    pair = Pair()
    pair.sh(pair.a, "newfs -U /dev/vtbd1 >/dev/null; mkdir -p /data; mount /dev/vtbd1 /data")
    pair.sh(
        pair.a,
        "echo 'resource data { on nas-a { local /dev/vtbd1 remote 1.2.3.4 } }' >/etc/hast.conf",
    )
    done = pair.sh(pair.a, "hastctl create data")
    assert done.err == "[ERROR] [data] Unable to open /dev/vtbd1: Operation not permitted.\n"
    assert done.status == 66
