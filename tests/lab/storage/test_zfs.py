"""ZFS pools on HAST devices: create, export, import, another host's pool (docs/freebsd-facts.md#3.5)."""

from __future__ import annotations

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
