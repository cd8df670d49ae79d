"""Peers that vanish: frozen writes, complete that persists, reconnects, half a synchronisation.

See docs/freebsd-facts.md#2.7.
"""

from __future__ import annotations

import pytest

from support.lab.pair import CONF, Pair


def test_lost_secondary_freezes_writes_for_the_timeout() -> None:
    """The write takes about 20 s, then the primary is degraded, dirty, one count ahead (recording 03)."""
    pair = Pair()
    pair.mounted()
    pair.sh(pair.a, "dd if=/dev/urandom of=/data/blob bs=1m count=8 2>/dev/null")
    pair.world.cut("nas-b", "vtnet2")
    began = pair.now
    done = pair.sh(pair.a, "dd if=/dev/urandom of=/data/blob2 bs=1m count=5 2>&1")
    assert 19 < pair.now - began < 21
    assert done.out.startswith("5+0 records in\n5+0 records out\n5242880 bytes transferred in 20.")
    assert pair.status(pair.a) == "degraded"
    assert pair.dirty(pair.a) == 10485760
    assert pair.counters(pair.a) == (1, 0)
    pair.world.advance(10)
    assert (pair.status(pair.b), pair.status(pair.b, 2)) == ("-", "secondary")
    pair.world.join("nas-b", "vtnet2")
    pair.world.advance(15)
    assert (pair.status(pair.a), pair.status(pair.b)) == ("complete", "complete")
    pair.world.advance(5)
    assert pair.dirty(pair.a) == 0
    assert (pair.counters(pair.a), pair.counters(pair.b)) == ((0, 0), (0, 0))


def test_idle_primary_believes_in_complete() -> None:
    """Without writes a vanished secondary is not noticed for minutes (docs/freebsd-facts.md#2.7)."""
    pair = Pair()
    pair.mounted()
    pair.world.advance(60)
    pair.world.power_off("nas-b")
    pair.world.advance(120)
    assert pair.status(pair.a) == "complete"


def test_secondary_notices_after_twenty_seconds() -> None:
    """No keepalive for `timeout`: the worker ends with 75, the role stays (recording 03)."""
    pair = Pair()
    pair.replicating()
    pair.world.advance(5)
    pair.world.cut("nas-b", "vtnet2")
    pair.world.advance(10)
    assert pair.status(pair.b) == "complete"
    pair.world.advance(20)
    assert (pair.status(pair.b), pair.status(pair.b, 2)) == ("-", "secondary")
    assert pair.sh(pair.b, "grep -c 'exitcode=75' /var/log/messages").out == "1\n"


def test_stopped_secondary_is_noticed_at_once() -> None:
    """A clean end closes the connection: degraded immediately, writes do not wait."""
    pair = Pair()
    pair.mounted()
    pair.sh(pair.b, "service hastd onestop")
    assert pair.status(pair.a) == "degraded"
    began = pair.now
    pair.sh(pair.a, "dd if=/dev/zero of=/data/x bs=1m count=1 2>/dev/null")
    assert pair.now - began < 1


def test_async_does_not_wait() -> None:
    """async acknowledges what the local disk has."""
    pair = Pair()
    pair.hastd(CONF.replace("resource data {\n", "resource data {\n\treplication async\n"))
    pair.sh(pair.b, "hastctl role secondary data")
    pair.sh(pair.a, "hastctl role primary data; sleep 1; newfs -U /dev/hast/data >/dev/null")
    pair.world.cut("nas-b", "vtnet2")
    began = pair.now
    pair.sh(pair.a, "mkdir -p /data; mount /dev/hast/data /data; dd if=/dev/zero of=/data/x bs=1m count=1 2>/dev/null")
    assert pair.now - began < 1
    pair.world.advance(25)
    assert pair.status(pair.a) == "degraded"


def test_short_cut_is_survived_by_tcp() -> None:
    """Packets that come again before `timeout` are delivered: nothing is dirty, nobody counted."""
    pair = Pair()
    pair.mounted()
    pair.world.cut("nas-b", "vtnet2")
    pair.world.at(5, lambda: pair.world.join("nas-b", "vtnet2"))
    began = pair.now
    pair.sh(pair.a, "dd if=/dev/urandom of=/data/x bs=1m count=4 2>/dev/null")
    assert 5 <= pair.now - began < 15
    assert (pair.status(pair.a), pair.dirty(pair.a), pair.counters(pair.a)) == ("complete", 0, (0, 0))


def test_frozen_primary_wakes_up_believing() -> None:
    """It shows complete after its peer took over; twenty seconds later it knows (recording 06)."""
    pair = Pair()
    pair.mounted()
    pair.world.freeze("nas-a")
    pair.world.advance(7)
    pair.sh(pair.b, "hastctl role primary data; while [ ! -c /dev/hast/data ]; do sleep 1; done; mkdir -p /data")
    pair.sh(pair.b, "fsck -p -y -t ufs /dev/hast/data; mount /dev/hast/data /data; echo x > /data/x; sleep 40")
    pair.world.thaw("nas-a")
    pair.world.advance(4)
    assert (pair.status(pair.a), pair.status(pair.a, 2)) == ("complete", "primary")
    assert pair.status(pair.b, 2) == "primary"
    pair.world.advance(21)
    assert pair.status(pair.a) == "degraded"


def test_complete_while_synchronising_and_corruption_after_an_early_promotion() -> None:
    """complete with dirty above zero is not in sync: promoting the other side then gives torn data.

    See docs/freebsd-facts.md#trap-19, #trap-25.
    """
    pair = Pair()
    pair.mounted()
    pair.a.hast.sync_bytes_per_second = 1048576.0
    pair.sh(pair.a, "dd if=/dev/zero of=/data/blob bs=1m count=9 2>/dev/null; sleep 40")
    pair.sh(pair.b, "hastctl role init data")
    pair.sh(pair.a, "dd if=/dev/urandom of=/data/blob bs=1m count=9 2>/dev/null; sleep 40")
    digest = pair.sh(pair.a, "sha256 -q /data/blob").out
    pair.sh(pair.b, "hastctl create data; hastctl role secondary data")
    pair.world.advance(20)
    assert pair.status(pair.a) == "complete"
    assert pair.dirty(pair.a) > 0
    pair.world.power_off("nas-a")
    pair.sh(pair.b, "hastctl role primary data; while [ ! -c /dev/hast/data ]; do sleep 1; done; mkdir -p /data")
    pair.sh(pair.b, "fsck -p -y -t ufs /dev/hast/data; mount /dev/hast/data /data")
    assert pair.sh(pair.b, "test -f /data/blob && sha256 -q /data/blob").out != digest


@pytest.mark.parametrize("seconds", [0, 40])
def test_failover_keeps_what_was_written_out(seconds: int) -> None:
    """After the syncer's half minute a file is on the other side, bit for bit; before, only its blocks are."""
    pair = Pair()
    pair.mounted()
    pair.world.advance(5)
    digest = pair.sh(
        pair.a, f"dd if=/dev/urandom of=/data/one bs=1m count=4 2>/dev/null; sync; sleep {seconds}; sha256 -q /data/one"
    ).out
    pair.world.power_off("nas-a")
    pair.sh(pair.b, "hastctl role primary data; while [ ! -c /dev/hast/data ]; do sleep 1; done; mkdir -p /data")
    checked = pair.sh(pair.b, "fsck -p -y -t ufs /dev/hast/data")
    pair.sh(pair.b, "mount /dev/hast/data /data")
    found = pair.sh(pair.b, "sha256 -q /data/one")
    if seconds:
        assert (
            checked.out
            == "/dev/hast/data: 3 files, 1034 used, 30619 free (27 frags, 3824 blocks, 0.1% fragmentation)\n"
        )
        assert found.out == digest
    else:
        assert checked.out == (
            "/dev/hast/data: FREE BLK COUNT(S) WRONG IN SUPERBLK (SALVAGED)\n"
            "/dev/hast/data: SUMMARY INFORMATION BAD (SALVAGED)\n"
            "/dev/hast/data: BLK(S) MISSING IN BIT MAPS (SALVAGED)\n"
            "/dev/hast/data: 2 files, 2 used, 31651 free (27 frags, 3953 blocks, 0.1% fragmentation)\n"
        )
        assert found.status == 1


def test_local_disk_failure_is_served_by_the_peer() -> None:
    """Reads and writes go on over the network, errors are counted, the status stays complete.

    See docs/freebsd-facts.md#2.7.
    """
    pair = Pair()
    pair.mounted()
    pair.world.fail_disk("nas-a", "/dev/vtbd1")
    assert pair.sh(pair.a, "dd if=/dev/zero of=/data/x bs=1m count=1 2>&1").status == 0
    assert pair.status(pair.a) == "complete"
    errors = pair.sh(pair.a, "hastctl list data | grep 'local errors'").out
    assert "write: 0," not in errors
    pair.world.power_off("nas-b")
    assert "Input/output error" in pair.sh(pair.a, "hastctl dump data").err


def test_keepdirty_extents_are_copied_again_after_a_swap() -> None:
    """What was written lately stays in the on-disk map: the next connection copies it once more.

    See docs/freebsd-facts.md#2.4.
    """
    pair = Pair()
    pair.mounted()
    pair.sh(
        pair.a, "dd if=/dev/urandom of=/data/x bs=1m count=4 2>/dev/null; umount /data; hastctl role secondary data"
    )
    pair.b.hast.sync_bytes_per_second = 1048576.0
    pair.sh(pair.b, "hastctl role primary data; sleep 0.5")
    assert pair.status(pair.b) == "complete"
    assert pair.dirty(pair.b) > 0
    pair.world.advance(60)
    assert pair.dirty(pair.b) == 0
