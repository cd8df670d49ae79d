"""Scripts in the background under virtual time: they go on as the world is advanced, in order, with their machine."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import pytest

from hactl.lab.build import plug_recorded
from hactl.lab.clock import VirtualClock
from hactl.lab.shell.shell import drive, run_script
from hactl.lab.virtual_time import VirtualTime
from hactl.lab.world import World
from support.lab.pair import Pair
from support.limits import LIMIT_SECONDS


@pytest.fixture
def pair() -> Pair:
    """Two machines in virtual time."""
    return Pair()


def test_fibers_interleave_in_the_order_of_their_sleeps() -> None:
    """Several coroutines go on as events of one queue; who slept first wakes first at the same moment."""
    world, seen = World(VirtualClock()), list[tuple[float, str]]()

    async def work(name: str, seconds: float) -> None:
        for _ in range(2):
            await world.clock.sleep(seconds)
            seen.append((world.clock.monotonic(), name))

    for name, seconds in (("a", 1.0), ("b", 2.0), ("c", 1.0)):
        world.spawn(work(name, seconds))
    assert seen == []
    world.advance(5)
    assert seen == [(1, "a"), (1, "c"), (2, "b"), (2, "a"), (2, "c"), (4, "b")]


def test_a_job_goes_on_while_its_script_does_and_after_it(pair: Pair) -> None:
    """`cmd &` does not hold up its script and outlives it."""
    before = pair.now
    done = pair.sh(pair.a, "(sleep 5; echo late > /tmp/late; sleep 5; echo more >> /tmp/late) & echo begun")
    assert done.out == "begun\n"
    assert pair.now - before < 0.5
    pair.world.advance(4)
    assert pair.sh(pair.a, "test -e /tmp/late").status == 1
    pair.world.advance(2)
    assert pair.sh(pair.a, "cat /tmp/late").out == "late\n"
    pair.world.advance(5)
    assert pair.sh(pair.a, "cat /tmp/late").out == "late\nmore\n"


def test_a_job_has_functions_variables_and_arguments(pair: Pair) -> None:
    """What the script knows its jobs know; `wait PID` gives the status."""
    script = """greet() { sleep 1; printf '%s %s %s\\n' "$1" "$word" "$2" > /tmp/greeting; return 3; }
word="a b"; set -- x "y z"
greet "$@" & p=$!
( sleep 2; exit 5 ) & q=$!
wait $p; echo "$?"; wait $q; echo "$?"; cat /tmp/greeting; wait 99999; echo "$?"
"""
    assert pair.sh(pair.a, script).out == "3\n5\nx a b y z\n127\n"


HOOK = """#!/bin/sh
set -u
case "${1:-}" in
carp) "$0" react "$2" </dev/null >/dev/null 2>&1 & exit 0 ;;
react) sleep 3; echo "$0 $2" >> /tmp/reacted; exit 7 ;;
esac
echo "usage: ${0##*/}" >&2; exit 64
"""


def test_a_script_knows_its_name_and_starts_itself(pair: Pair) -> None:
    """An executable file is a shell of its own, with its own `$0`; it can leave a copy of itself behind."""
    pair.a.files.mkdir("/usr/local/libexec/x")
    pair.a.files.write_text("/usr/local/libexec/x/hook", HOOK, 0o755)
    done = pair.sh(pair.a, "/usr/local/libexec/x/hook carp m; echo $?; ps -axo command | grep 'hook react'")
    assert done.out == "0\n/bin/sh /usr/local/libexec/x/hook react m\n"
    pair.world.advance(4)
    assert pair.sh(pair.a, "cat /tmp/reacted").out == "/usr/local/libexec/x/hook m\n"
    bad = pair.sh(
        pair.a, "h=/usr/local/libexec/x/hook; $h; echo $?; /usr/local/none; echo $?; chmod 644 $h; $h; echo $?"
    )
    assert bad.out == "64\n127\n126\n"
    assert bad.err == "usage: hook\n/usr/local/none: not found\n/usr/local/libexec/x/hook: Permission denied\n"


def test_a_frozen_machines_jobs_stand_still(pair: Pair) -> None:
    """While a machine is frozen its scripts are too, and have the rest of their sleep to go afterwards."""
    for machine in (pair.a, pair.b):
        pair.sh(machine, "(sleep 10; date +%s > /tmp/when) &")
    pair.world.advance(4)
    pair.world.freeze("nas-a")
    pair.world.advance(20)
    assert pair.b.files.exists("/tmp/when")
    assert not pair.a.files.exists("/tmp/when")
    pair.world.thaw("nas-a")
    pair.world.advance(5)
    assert not pair.a.files.exists("/tmp/when")
    pair.world.advance(2)
    assert pair.a.files.exists("/tmp/when")


@pytest.mark.parametrize("how", ["power_off", "reboot"])
def test_jobs_end_with_power(pair: Pair, how: str) -> None:
    """Neither a power cut nor a reboot lets a script go on."""
    pair.sh(pair.a, "(sleep 10; touch /var/db/late) & (trap '' HUP; sleep 12; touch /var/db/late) &")
    pair.world.advance(1)
    getattr(pair.world, how)("nas-a")
    pair.world.power_on("nas-a")
    pair.world.advance(60)
    assert pair.a.running
    assert not pair.a.files.exists("/var/db/late")
    assert pair.sh(pair.a, "pgrep -f late").status == 1


def test_kill_ends_a_job_at_once(pair: Pair) -> None:
    """`kill $!` does not wait for the end of a sleep; `wait` has 128 + n."""
    before = pair.now
    done = pair.sh(
        pair.a, "(sleep 100; touch /tmp/x) & p=$!; sleep 1; kill $p; wait $p; echo $?; kill -0 $p 2>/dev/null; echo $?"
    )
    assert done.out == "143\n1\n"
    assert pair.now - before < 3


def test_two_nodes_run_the_same_way_twice() -> None:
    """Jobs of several nodes interleave the same way in every run."""

    def once() -> tuple[list[str], float]:
        pair = Pair(seed=3)
        pair.both("for i in 1 2 3 4 5 6; do sleep 0.$i; date +%s; logger -t job $i; done &")
        pair.world.advance(10)
        return [machine.files.read_text("/var/log/messages") for machine in (pair.a, pair.b)], pair.now

    first = once()
    assert first[0][0].count("job[") == 6
    assert first == once()


def test_lockf_makes_scripts_wait_for_each_other(pair: Pair) -> None:
    """A lock held by one script holds up the other, for -t seconds (75); its end, also by a signal, frees it."""
    pair.sh(pair.a, "lockf -k -t 9 /var/run/l sh -c 'sleep 20; echo one >> /tmp/order' & ")
    done = pair.sh(pair.a, "lockf -k -t 5 /var/run/l true; echo $?; lockf -k -s -t 0 /var/run/l true; echo $?")
    assert (done.out, done.err) == ("75\n75\n", "lockf: /var/run/l: already locked\n")
    pair.sh(pair.a, "lockf -k -t 60 /var/run/l sh -c 'echo two >> /tmp/order' &")
    pair.world.advance(30)
    assert pair.sh(pair.a, "cat /tmp/order").out == "one\ntwo\n"
    pair.sh(pair.a, "lockf -k /var/run/l sleep 1000 & echo $! > /tmp/pid")
    assert pair.sh(pair.a, "lockf -k -t 1 /var/run/l true 2>&1; echo $?").out.endswith("75\n")
    assert pair.sh(pair.a, "kill $(cat /tmp/pid); lockf -k -t 1 /var/run/l echo had").out == "had\n"
    pair.sh(pair.a, "lockf -k /var/run/l sleep 1000 &")
    pair.world.power_off("nas-a")
    pair.world.power_on("nas-a")
    pair.world.advance(30)
    assert pair.sh(pair.a, "lockf -k -t 1 /var/run/l echo had").out == "had\n"


async def test_jobs_under_asyncio() -> None:
    """The same script under real suspension: the job goes on beside its script, and a freeze stops it."""
    async with VirtualTime() as time:
        world = World(time)
        time.attach(world)
        machine = plug_recorded(world, "nas-a")
        world.start()
        await time.sleep(1)
        await run_script(machine, "(sleep 5; touch /tmp/late; sleep 5; touch /tmp/later) &")
        await time.sleep(6)
        assert machine.files.exists("/tmp/late")
        world.freeze("nas-a")
        await time.sleep(20)
        assert not machine.files.exists("/tmp/later")
        world.thaw("nas-a")
        await time.sleep(3)
        assert not machine.files.exists("/tmp/later")
        await time.sleep(3)
        assert machine.files.exists("/tmp/later")
        await world.close()


def test_a_world_that_is_closed_leaves_no_threads(pair: Pair) -> None:
    """`World.close` ends what runs; nothing of a script is left."""
    before = threading.active_count()
    pair.sh(pair.a, "(sleep 1000) & (sleep 1000) &")
    assert threading.active_count() == before + 2
    drive(pair.world.close())
    assert threading.active_count() == before


def test_a_world_nobody_holds_takes_its_scripts_with_it() -> None:
    """Unfinished scripts do not keep their world, nor their threads, and end without a complaint."""
    before = threading.active_count()
    pair = Pair()
    pair.sh(
        pair.a,
        "(sleep 1000) & lockf -k /tmp/l timeout 500 sleep 400 & daemon -r sleep 100;"
        "timeout --foreground 300 sh -c 'sleep 1000; touch /tmp/x' & (while :; do sleep 1; done) &",
    )
    pair.world.advance(10)
    assert threading.active_count() > before
    del pair
    gc.collect()
    assert threading.active_count() <= before  # those of other tests may have ended meanwhile


def test_an_interpreter_ends_with_scripts_half_way() -> None:
    """A process that ends while a world still runs scripts ends as it should: no crash, no hang."""
    program = (
        "from support.lab.pair import Pair\n"
        "p = Pair()\np.sh(p.a, '(while :; do sleep 1; done) &')\np.world.advance(3)\n"
    )
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
