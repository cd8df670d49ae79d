"""ZFS pools on HAST devices: create, export, import, another host's pool (docs/freebsd-facts.md#3.5)."""

from __future__ import annotations

import pytest

from support.lab.pair import Pair


def on_hast() -> Pair:
    pair = Pair()
    pair.replicating()
    pair.sh(pair.a, "zpool create -m /tank -o cachefile=none tank /dev/hast/data")
    return pair


def test_create_and_list() -> None:
    """A new pool is ONLINE and mounted."""
    pair = on_hast()
    assert pair.sh(pair.a, "zpool list -H -o name,health").out == "tank\tONLINE\n"
    assert pair.sh(pair.a, "mount | grep tank").out == "tank on /tank (zfs, local, nfsv4acls)\n"
    assert pair.sh(pair.b, "zpool list").out == "no pools available\n"
    missing = pair.sh(pair.b, "zpool list -H -o name,health tank")
    assert (missing.err, missing.status) == ("cannot open 'tank': no such pool\n", 1)


def test_planned_move() -> None:
    """Exported, the pool is imported on the other side without -f, with its files."""
    pair = on_hast()
    pair.sh(pair.a, "echo kept > /tank/file; zpool export tank; hastctl role secondary data")
    assert pair.sh(pair.a, "ls /tank").out == ""
    pair.sh(pair.b, "hastctl role primary data; sleep 1")
    assert pair.sh(pair.b, "zpool import -d /dev/hast -o cachefile=none tank").status == 0
    assert pair.sh(pair.b, "cat /tank/file").out == "kept\n"


def test_unclean_failover_needs_force() -> None:
    """The pool still belongs to the dead host: import refuses, -f takes it."""
    pair = on_hast()
    pair.sh(pair.a, "echo kept > /tank/file; sleep 40")
    pair.world.power_off("nas-a")
    pair.sh(pair.b, "hastctl role primary data; while [ ! -c /dev/hast/data ]; do sleep 1; done")
    refused = pair.sh(pair.b, "zpool import -d /dev/hast tank")
    assert refused.status == 1
    assert refused.err.startswith("cannot import 'tank': pool was previously in use from another system.\n")
    assert "-f" in refused.err
    assert pair.sh(pair.b, "zpool import -f -d /dev/hast tank; cat /tank/file").out == "kept\n"


def test_refusals() -> None:
    """No such pool, a name in use, a busy mountpoint."""
    pair = on_hast()
    assert pair.sh(pair.a, "zpool import other").err == "cannot import 'other': no such pool available\n"
    again = pair.sh(pair.a, "zpool import tank")
    assert again.err.startswith("cannot import 'tank': a pool with that name already exists\n")
    busy = pair.sh(pair.a, "cd /tank && zpool export tank")
    assert (busy.err, busy.status) == ("cannot unmount '/tank': pool or dataset is busy\n", 1)
    taken = pair.sh(pair.a, "zpool create other /dev/vtbd1")
    assert taken.status == 1


def test_umount_and_zfs_mount() -> None:
    """The dataset can be unmounted and mounted again without exporting the pool."""
    pair = on_hast()
    pair.sh(pair.a, "echo kept > /tank/file; umount /tank")
    assert pair.sh(pair.a, "zfs list -H -o name,mounted").out == "tank\tno\n"
    assert pair.sh(pair.a, "zfs mount tank; cat /tank/file").out == "kept\n"
    assert pair.sh(pair.a, "zfs get -H -o value mountpoint tank").out == "/tank\n"


def test_losing_the_provider_suspends_the_pool() -> None:
    """After a forced demotion the pool is there but useless (docs/freebsd-facts.md#2.8)."""
    pair = on_hast()
    pair.sh(pair.a, "hastctl role secondary data")
    assert pair.sh(pair.a, "zpool list -H -o name,health").out == "tank\tSUSPENDED\n"
    assert pair.sh(pair.a, "timeout 5 zpool export tank").status != 0


def on_several(create: str) -> Pair:
    """A pool over three disks of one machine, made with these words; with a file that is longer than a record."""
    pair = Pair()
    for name in ("vtbd4", "vtbd5", "vtbd6"):
        pair.a.disks.add(name)
    made = pair.sh(pair.a, f"kldload zfs; zpool create -m /tank tank {create}")
    assert (made.status, made.err) == (0, "")
    pair.sh(pair.a, "dd if=/dev/random of=/tank/long bs=1000 count=700; cp /tank/long /tmp/long; sleep 40")
    return pair


def lose(pair: Pair, device: str) -> None:
    """Take a device away under its pool."""
    disk = pair.a.disks.disks.pop(device)
    disk.gone = True


DEVICES = "vtbd4 vtbd5 vtbd6"


@pytest.mark.parametrize(
    ("words", "survives"),
    [(DEVICES, 0), (f"mirror {DEVICES}", 2), (f"raidz {DEVICES}", 1), (f"raidz2 {DEVICES}", 2)],
)
def test_a_layout_survives_as_many_devices_as_in_zfs(words: str, survives: int) -> None:
    """DEGRADED and readable so long; with one more gone suspended, and not to be imported anywhere."""
    pair = on_several(words)
    for number, device in enumerate(DEVICES.split(), 1):
        lose(pair, device)
        health = pair.sh(pair.a, "zpool list -H -o health").out.strip()
        assert health == ("DEGRADED" if number <= survives else "SUSPENDED")
        if number == survives:
            pair.sh(pair.a, "zpool export tank")
            assert "state: DEGRADED" in pair.sh(pair.a, "zpool import").out
            assert pair.sh(pair.a, "zpool import tank && cmp /tank/long /tmp/long").status == 0
        if number > survives:
            assert pair.sh(pair.a, "timeout 5 zpool export tank").status != 0
            return


def test_devices_of_a_pool_are_listed() -> None:
    """As zpool_main.c has it: a tab in front of each, the same columns, whatever -o says."""
    pair = on_several(f"mirror {DEVICES}")
    rows = pair.sh(pair.a, "zpool list -HvP -o name,health").out.splitlines()
    assert rows[0] == "tank\tONLINE"
    assert [row.split("\t")[:2] for row in rows[1:]] == [
        ["", name] for name in ("mirror-0", "/dev/vtbd4", "/dev/vtbd5", "/dev/vtbd6")
    ]
    assert {row.rpartition("\t")[2] for row in rows[1:]} == {"ONLINE"}


def test_a_pool_without_enough_of_its_devices_is_not_imported() -> None:
    """A stripe wants all of them."""
    pair = on_several(DEVICES)
    pair.sh(pair.a, "zpool export tank")
    disk = pair.a.disks.disks.pop("vtbd5")
    assert "state: UNAVAIL" in pair.sh(pair.a, "zpool import").out
    refused = pair.sh(pair.a, "zpool import -f tank")
    assert (refused.status, refused.err) == (
        1,
        "cannot import 'tank': one or more devices is currently unavailable\n",
    )
    pair.a.disks.disks["vtbd5"] = disk
    assert pair.sh(pair.a, "zpool import tank && cmp /tank/long /tmp/long").status == 0


def test_a_device_that_was_away_is_brought_up_to_date() -> None:
    """What was written meanwhile is not on it; imported again, it has that too."""
    pair = on_several(f"mirror {DEVICES}")
    pair.sh(pair.a, "zpool export tank")
    disks = pair.a.disks.disks
    away = {name: disks.pop(name) for name in ("vtbd5", "vtbd6")}
    pair.sh(pair.a, "zpool import tank; echo newer > /tank/file; sleep 40; zpool export tank")
    disks.update(away)
    assert pair.sh(pair.a, "zpool import tank; cat /tank/file; zpool export tank").out == "newer\n"
    disks.pop("vtbd4")
    assert pair.sh(pair.a, "zpool import tank; cat /tank/file; cmp /tank/long /tmp/long").out == "newer\n"


def test_a_vdev_that_cannot_be_made() -> None:
    """Too few devices, one of them twice, or of different sizes."""
    pair = Pair()
    machine = pair.a
    machine.disks.add("vtbd4")
    machine.disks.add("vtbd5", 192 * 1048576)

    def create(words: str) -> str:
        return pair.sh(pair.a, f"zpool create tank {words}").err

    assert create("mirror vtbd4") == "invalid vdev specification: mirror requires at least 2 devices\n"
    assert "one or more vdevs refer to the same device" in create("vtbd4 vtbd4")
    assert create("mirror vtbd4 vtbd5").endswith("mirror contains devices of different sizes\n")
    assert create("vtbd4 vtbd5") == ""
