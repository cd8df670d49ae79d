"""Who has the newer data: the decision table, the counters, split-brain found and missed.

See docs/freebsd-facts.md#2.5, #2.6.
"""

from __future__ import annotations

import pytest

from hactl.lab.hast.metadata import Metadata
from hactl.lab.hast.processes import Verdict
from hactl.lab.hast.worker.secondary import decide
from support.lab.pair import CONF, Pair


def disk(resuid: int, local: int, remote: int) -> Metadata:
    return Metadata("data", 134213120, 2097152, 64, 4608, resuid, local, remote)


@pytest.mark.parametrize(
    ("primary", "secondary", "virgin", "wanted"),
    [
        (disk(7, 0, 0), disk(0, 0, 0), True, Verdict(adopt=True)),
        (disk(7, 1, 0), disk(0, 0, 0), False, Verdict(adopt=True, full=True, virgin=True)),
        (disk(7, 0, 0), disk(8, 0, 0), False, Verdict(error="mismatch")),
        (disk(7, 0, 0), disk(7, 1, 0), False, Verdict("secondary")),
        (disk(7, 0, 0), disk(7, 0, 0), False, Verdict()),
        (disk(7, 1, 0), disk(7, 0, 0), False, Verdict()),
        (disk(7, 1, 0), disk(7, 1, 0), False, Verdict(error="split-brain")),
        (disk(7, 3, 2), disk(7, 1, 5), False, Verdict(full=True)),
        (disk(7, 1, 0), disk(7, 2, 3), False, Verdict("secondary", full=True)),
    ],
)
def test_decision_table(primary: Metadata, secondary: Metadata, virgin: bool, wanted: Verdict) -> None:
    """Each row of the table of docs/freebsd-facts.md#2.6, first match wins."""
    assert decide(primary, secondary, primary_virgin=virgin) == wanted


def diverge(pair: Pair) -> None:
    """Both primary with the link down, both written to."""
    pair.mounted()
    pair.sh(pair.a, "echo base > /data/base; sleep 40")
    pair.world.cut("nas-b", "vtnet2")
    pair.sh(pair.b, "hastctl role primary data; sleep 1")
    pair.sh(pair.a, "dd if=/dev/urandom of=/data/two bs=1m count=4 2>/dev/null")
    pair.sh(pair.b, "fsck -p -y -t ufs /dev/hast/data; mkdir -p /data; mount /dev/hast/data /data")
    pair.sh(pair.b, "dd if=/dev/urandom of=/data/three bs=1m count=4 2>/dev/null")
    pair.world.join("nas-b", "vtnet2")


def test_split_brain_is_found_and_repeated() -> None:
    """degraded and -, every ten seconds again; only counters and the log tell (recording 05)."""
    pair = Pair()
    diverge(pair)
    pair.world.advance(40)
    pair.sh(pair.b, "umount /data; hastctl role secondary data")
    pair.world.advance(30)
    assert (pair.status(pair.a), pair.status(pair.b)) == ("degraded", "-")
    assert (pair.counters(pair.a), pair.counters(pair.b)) == ((1, 0), (1, 0))
    assert int(pair.sh(pair.b, "grep -c 'exitcode=78' /var/log/messages").out) >= 2
    log = pair.sh(pair.b, "cat /var/log/daemon.log").out
    assert "We act as primary for the resource and not as secondary as requested by tcp://198.51.100.11:" in log


def test_split_brain_is_resolved_by_creating_the_loser_again() -> None:
    """init, create, secondary: a full synchronisation from the survivor, counters back to zero (recording 05)."""
    pair = Pair()
    diverge(pair)
    pair.world.advance(40)
    pair.sh(pair.b, "umount /data; hastctl role init data; hastctl create data; hastctl role secondary data")
    pair.world.advance(25)
    assert (pair.status(pair.a), pair.status(pair.b)) == ("complete", "complete")
    assert pair.dirty(pair.a) == 0
    assert (pair.counters(pair.a), pair.counters(pair.b)) == ((0, 0), (0, 0))
    assert pair.a.disks.disks["vtbd1"].read(4608, 1 << 26) == pair.b.disks.disks["vtbd1"].read(4608, 1 << 26)


def test_recreated_primary_does_not_match_its_old_secondary() -> None:
    """Creating the wrong side gives a new resuid: degraded for ever (docs/freebsd-facts.md#2.6)."""
    pair = Pair()
    pair.replicating()
    pair.sh(pair.a, "hastctl role init data; hastctl create data; hastctl role primary data")
    pair.world.advance(25)
    assert (pair.status(pair.a), pair.status(pair.b)) == ("degraded", "-")
    assert "exitcode=78" in pair.sh(pair.b, "cat /var/log/messages").out


def test_stale_primary_is_brought_up_to_date_from_its_secondary() -> None:
    """The node that missed writes becomes primary again: it reads from the other side until it is in sync."""
    pair = Pair()
    pair.mounted()
    pair.sh(pair.a, "umount /data; fsync /")
    pair.world.power_off("nas-a")
    pair.sh(pair.b, "hastctl role primary data; while [ ! -c /dev/hast/data ]; do sleep 1; done; mkdir -p /data")
    pair.sh(pair.b, "mount /dev/hast/data /data; echo newer > /data/file; umount /data")
    assert pair.counters(pair.b) == (1, 0)
    pair.world.power_on("nas-a")
    pair.world.advance(30)
    pair.sh(pair.a, "service hastd onestart")
    pair.sh(pair.b, "hastctl role secondary data")
    pair.sh(pair.a, "hastctl role primary data; while [ ! -c /dev/hast/data ]; do sleep 1; done")
    assert pair.sh(pair.a, "mount /dev/hast/data /data; cat /data/file").out == "newer\n"
    pair.world.advance(20)
    assert pair.dirty(pair.a) == 0
    assert (pair.counters(pair.a), pair.counters(pair.b)) == ((0, 1), (1, 0))


def test_split_brain_can_be_missed() -> None:
    """A counter above zero does not grow in a worker that never connected: diverged copies look in sync."""
    pair = Pair()
    pair.replicating()
    for machine, local, remote in ((pair.a, 1, 0), (pair.b, 0, 1)):
        pair.sh(machine, "hastctl role init data")
        metadata = disk(99, local, remote)
        metadata.write(machine.disks.disks["vtbd1"])
        metadata.write_bitmap(machine.disks.disks["vtbd1"])
    pair.world.cut("nas-b", "vtnet2")
    pair.sh(pair.a, "hastctl role primary data; sleep 25; newfs -U /dev/hast/data >/dev/null")
    assert pair.counters(pair.a) == (1, 0)
    pair.sh(pair.b, "hastctl role secondary data")
    pair.world.join("nas-b", "vtnet2")
    pair.world.advance(40)
    assert pair.status(pair.a) == "complete"


@pytest.mark.parametrize(
    ("conf_b", "line"),
    [
        (CONF.replace("198.51.100.11", "198.51.100.77"), "isn't known."),
        (CONF.replace("resource data", "resource other"), "No resource 'data' as requested by tcp://198.51.100.11:"),
        (CONF, "We act as init for the resource and not as secondary as requested by tcp://198.51.100.11:"),
    ],
)
def test_refused_connections(conf_b: str, line: str) -> None:
    """Each check of the acceptor has its line in its log (docs/freebsd-facts.md#2.6)."""
    pair = Pair()
    pair.hastd()
    pair.b.files.write_text("/etc/hast.conf", conf_b)
    pair.sh(pair.b, "service hastd onerestart")
    pair.sh(pair.a, "hastctl role primary data; sleep 1")
    assert line in pair.sh(pair.b, "cat /var/log/messages").out
    assert pair.status(pair.a) == "degraded"


def test_sizes_must_match() -> None:
    """A secondary of another size never connects (docs/freebsd-facts.md#trap-29)."""
    pair = Pair()
    pair.hastd()
    pair.sh(pair.b, "hastctl create -m 64000000 data; hastctl role secondary data")
    pair.sh(pair.a, "hastctl role primary data; sleep 15")
    assert pair.status(pair.a) == "degraded"


def test_dual_primary_waits_then_starts_anyway() -> None:
    """The second primary asks every second for `timeout`, then serves (docs/freebsd-facts.md#2.6)."""
    pair = Pair()
    pair.replicating()
    began = pair.now
    pair.sh(pair.b, "hastctl role primary data")
    assert pair.sh(pair.b, "test -c /dev/hast/data").status == 1
    pair.sh(pair.b, "while [ ! -c /dev/hast/data ]; do sleep 0.5; done")
    assert 17 < pair.now - began < 22
    assert (pair.status(pair.a, 2), pair.status(pair.b, 2)) == ("primary", "primary")
