"""Roles, devices and workers: what a role change does, and when it shows.

See docs/freebsd-facts.md#2.1, #2.8; recordings 03, 06.
"""

from __future__ import annotations

from support.lab.pair import CONF, Pair


def test_primary_without_metadata_falls_back_to_init() -> None:
    """The command succeeds, the role is init again when anybody looks (recording 03, steps 13 to 15)."""
    pair = Pair()
    pair.hastd()
    pair.sh(
        pair.a,
        "service hastd onestop; dd if=/dev/zero of=/dev/vtbd1 bs=4096 count=2 2>/dev/null; service hastd onestart",
    )
    assert pair.sh(pair.a, "hastctl role primary data").status == 0
    assert pair.status(pair.a, 2) == "init"
    log = pair.sh(pair.a, "grep -c 'exitcode=66' /var/log/daemon.log /var/log/messages").out
    assert log == "/var/log/daemon.log:1\n/var/log/messages:1\n"
    assert pair.sh(pair.a, "hastctl dump data").status == 255


def test_secondary_needs_no_metadata() -> None:
    """Role secondary succeeds on a blank disk; the worker fails only when a primary comes.

    See docs/freebsd-facts.md#trap-18.
    """
    pair = Pair()
    pair.hastd()
    pair.sh(pair.b, "dd if=/dev/zero of=/dev/vtbd1 bs=4096 count=2 2>/dev/null")
    assert pair.sh(pair.b, "hastctl role secondary data").status == 0
    pair.sh(pair.a, "hastctl role primary data")
    pair.world.advance(3)
    assert pair.status(pair.a) == "degraded"
    assert pair.status(pair.b) == "-"
    assert "exitcode=66" in pair.sh(pair.b, "cat /var/log/messages").out


def test_virgin_pair_is_in_sync_at_once() -> None:
    """Two fresh disks: one resuid, counters zero, nothing copied (recording 03, steps 38 and 39)."""
    pair = Pair()
    pair.replicating()
    assert (pair.status(pair.a), pair.status(pair.b)) == ("complete", "complete")
    assert pair.dirty(pair.a) == 0
    assert (pair.counters(pair.a), pair.counters(pair.b)) == ((0, 0), (0, 0))
    grep = "hastctl dump data | grep -E 'resuid|prevrole'"
    a, b = pair.sh(pair.a, grep).out.splitlines(), pair.sh(pair.b, grep).out.splitlines()
    assert a[0] == b[0] != "    resuid: 0"
    assert (a[1], b[1]) == ("    prevrole: primary", "    prevrole: secondary")


def test_dead_peer_delays_the_device() -> None:
    """The role is primary at once; the device comes when the connection attempt gives up (recording 06)."""
    pair = Pair()
    pair.replicating()
    pair.world.power_off("nas-a")
    began = pair.now
    pair.sh(pair.b, "hastctl role primary data")
    assert pair.now - began < 1
    assert (pair.status(pair.b), pair.status(pair.b, 2)) == ("degraded", "primary")
    assert pair.sh(pair.b, "test -c /dev/hast/data").status == 1
    pair.sh(pair.b, "while [ ! -c /dev/hast/data ]; do sleep 0.1; done")
    assert 19 < pair.now - began < 21


def test_refusing_peer_costs_nothing() -> None:
    """A peer without hastd refuses: the device is there within a second."""
    pair = Pair()
    pair.replicating()
    pair.sh(pair.a, "service hastd onestop")
    pair.sh(pair.b, "hastctl role primary data")
    pair.world.advance(0.5)
    assert pair.sh(pair.b, "test -c /dev/hast/data").status == 0
    assert pair.status(pair.b) == "degraded"


def test_role_change_blocks_hastd_while_the_peer_is_unreachable() -> None:
    """The guard thread ends its attempt first; meanwhile every hastctl waits (docs/freebsd-facts.md#2.8)."""
    pair = Pair()
    pair.replicating()
    pair.world.power_off("nas-a")
    pair.sh(pair.b, "hastctl role primary data")
    pair.world.advance(2)
    cut_off = pair.sh(pair.b, "timeout 5 hastctl role secondary data")
    assert cut_off.status == 124
    began = pair.now
    assert pair.sh(pair.b, "timeout 5 hastctl status").status == 124
    assert pair.status(pair.b, 2) == "secondary"
    assert 10 < pair.now - began < 16


def test_stuck_hastd_keeps_everybody_waiting() -> None:
    """hastctl has no timeout, and a peer's handshake waits as well (docs/freebsd-facts.md#trap-22)."""
    pair = Pair()
    pair.hastd()
    pair.sh(pair.b, "hastctl role secondary data")
    pair.b.hast.block(30)
    assert pair.sh(pair.b, "timeout 5 hastctl status").status == 124
    pair.sh(pair.a, "hastctl role primary data; sleep 1")
    assert pair.status(pair.a) == "degraded"
    assert pair.sh(pair.a, "test -c /dev/hast/data").status == 1
    pair.world.advance(35)
    assert (pair.status(pair.a), pair.status(pair.b)) == ("complete", "complete")


def test_restart_loses_roles() -> None:
    """Every start begins with init (docs/freebsd-facts.md#trap-21)."""
    pair = Pair()
    pair.replicating()
    pair.sh(pair.b, "service hastd onerestart")
    assert (pair.status(pair.b), pair.status(pair.b, 2)) == ("-", "init")


def test_killed_worker_is_restarted_and_takes_the_device_over() -> None:
    """SIGKILL to a worker: the provider stays, a new worker recovers it within seconds (docs/freebsd-facts.md#2.1)."""
    pair = Pair()
    pair.mounted()
    old = pair.a.hast.resources["data"].worker
    pair.sh(pair.a, 'kill -9 $(pgrep -f "^hastd: data")')
    pair.world.advance(10)
    assert pair.status(pair.a) == "complete"
    assert pair.a.hast.resources["data"].worker is not old
    log = pair.sh(pair.a, "grep -E 'killed|Restarting|recovered' /var/log/daemon.log").out
    assert "signal=9" in log
    assert "Device hast/data recovered." in log
    assert pair.sh(pair.a, "echo still > /data/x && umount /data").status == 0


def test_demotion_under_a_mount() -> None:
    """The device goes, the mount stays listed with its cached files, umount -f gets rid of it (recording 03)."""
    pair = Pair()
    pair.mounted()
    pair.sh(pair.a, "echo hello > /data/file; sleep 40")
    done = pair.sh(pair.a, "hastctl role secondary data; echo $?; mount | grep data; cat /data/file; ls /dev/hast")
    assert done.out == "0\n/dev/hast/data on /data (ufs, local, noatime, soft-updates)\nhello\n"
    assert done.err == "ls: /dev/hast: No such file or directory\n"
    assert pair.sh(pair.a, "umount -f /data").status == 0
    assert pair.sh(pair.a, "dmesg | tail -1").out == "UFS: forcibly unmounting /dev/hast/data from /data\n"
    assert pair.sh(pair.a, "ls /data").out == ""


def test_kernel_unmounts_by_force_on_the_first_failed_write() -> None:
    """After the device is gone the next write ends the mount (docs/freebsd-facts.md#2.8)."""
    pair = Pair()
    pair.mounted()
    pair.sh(pair.a, "hastctl role init data")
    failed = pair.sh(pair.a, "dd if=/dev/zero of=/data/x bs=1k count=1 2>&1")
    assert "Device not configured" in failed.out
    assert pair.sh(pair.a, "mount | grep -c hast").out == "0\n"


def test_log_of_both_sides() -> None:
    """What the logs say of one life of a pair: only what workers said before they gave up their privileges."""
    pair = Pair()
    pair.replicating()
    tail = "cut -d' ' -f5- /var/log/daemon.log | sed -e 's/[0-9]*]:/]:/' -e 's/:[0-9]* to/:P to/'"
    assert pair.sh(pair.a, tail).out == (
        "hastd[]: Started successfully, running protocol version 2.\n"
        "hastd[]: Listening on address tcp4://0.0.0.0:8457.\n"
        "hastd[]: Listening on address tcp6://[::]:8457.\n"
        "hastd[]: [data] (init) Role changed to primary.\n"
        "hastd[]: [data] (primary) Device hast/data created.\n"
    )
    assert pair.sh(pair.b, f"{tail} | tail -3").out == (
        "hastd[]: [data] (init) Role changed to secondary.\n"
        "hastd[]: Connection from tcp://198.51.100.11:P to tcp://198.51.100.12:8457.\n"
        "hastd[]: Connection from tcp://198.51.100.11:P to tcp://198.51.100.12:8457.\n"
    )


def test_hooks() -> None:
    """exec runs on role changes, connections and synchronisations (docs/freebsd-facts.md#2.9)."""
    pair = Pair()
    pair.hastd(CONF.replace("resource data {\n", "resource data {\n\texec /var/db/hook\n"))
    for machine in (pair.a, pair.b):
        machine.files.write_text("/var/db/hook", '#!/bin/sh\necho "$@" >> /tmp/hooks\n', 0o755)
    pair.sh(pair.b, "hastctl role secondary data")
    pair.sh(pair.a, "hastctl role primary data")
    pair.world.advance(1)
    assert [argv[1:] for _, argv in pair.a.hast.hooks] == [("role", "data", "init", "primary"), ("connect", "data")]
    assert pair.sh(pair.b, "cat /tmp/hooks").out == "role data init secondary\nconnect data\n"
