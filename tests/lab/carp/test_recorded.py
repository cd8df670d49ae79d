"""The CARP recordings replayed against the world: same commands, same outputs, times and packet counts aside."""

from __future__ import annotations

import re
from typing import Any

from support.lab.carp_pair import Answer, Pair, call, steps

#: The recorded machines were emulated: their timers were later than a tick (see World.timer_lateness_seconds).
RECORDED_LATENESS_SECONDS = 0.06
COUNTS = re.compile(r"\d+( packets? (?:received|sent)| discarded for bad authentication)")
STAMP = re.compile(r"^Nov 23 \d\d:\d\d:\d\d", re.MULTILINE)
OURS = ("ifconfig", "kldload", "kldstat", "sysctl", "netstat", "uname", "freebsd-version", "hostname")
IDENTITY = "kern.hostuuid"


def wash(text: str) -> str:
    """Without times and packet counts."""
    return STAMP.sub("TIME", COUNTS.sub(r"N\1", text))


def differences(made: Pair, step: dict[str, Any], got: Answer) -> str:
    """Empty if the answer is the recorded one."""
    wanted = (wash(step["stdout"]), step["stderr"], step["exit"])
    answer = (wash(got.stdout), got.stderr, got.status)
    return "" if answer == wanted else f"t={step['t']} {step['node']}: {step['command']}\n{answer}\n{wanted}"


def watch_devd(made: Pair, node: str) -> Answer:
    """Step 49 of recording 02: a devd client while advskew goes to 200 and back."""
    machine, seen = made.world.machines[node], list[str]()
    machine.devctl.listeners.append(seen.append)
    for pause, skew in ((1, 200), (7, 0)):
        made.world.advance(pause)
        call(machine, f"ifconfig vtnet1 vhid 1 advskew {skew}")
    made.world.advance(8)
    machine.devctl.listeners.remove(seen.append)
    return Answer("".join(f"{line}\n" for line in seen))


def test_baseline_queries() -> None:
    """Recording 01: every query of interfaces, modules, sysctls and versions."""
    made, compared = Pair(), 0
    for step in steps("01"):
        if step["command"].split()[0] in OURS and IDENTITY not in step["command"]:
            compared += 1
            assert differences(made, step, made.run(made.world.machines[step["node"]], step["command"])) == ""
    assert compared == 17


def test_carp_lifecycle() -> None:
    """Recording 02, all 124 commands: races, kernel log with its noise, devd events, errors, IPv6."""
    made, compared = Pair(), 0
    made.world.timer_lateness_seconds = RECORDED_LATENESS_SECONDS
    for step in steps("02"):
        made.world.advance(max(0.0, step["t"] - made.world.clock.monotonic()))
        if "command" not in step:
            if step["note"] == "link of nas-a vtnet1 down (virtual cable)":
                made.world.cut("nas-a", "vtnet1")
            elif step["note"] == "link of nas-a vtnet1 up (virtual cable)":
                made.world.join("nas-a", "vtnet1")
            continue
        machine = made.world.machines[step["node"]]
        streams = step["command"].startswith("(timeout")
        got = watch_devd(made, step["node"]) if streams else made.run(machine, step["command"])
        compared += 1
        assert differences(made, step, got) == ""
    assert compared == 124
    # recording 03, step at t=119.8: nas-b's log says what nas-a's vhid 2 announced
    assert made.b.kernel.messages[-1] == "arp: 192.0.2.50 moved from 52:54:00:00:01:01 to 00:00:5e:00:01:02 on vtnet1"


def test_frozen_master_wakes_up() -> None:
    """Recording 06: it still believes it is MASTER; the better one wins, an equal one steps down."""
    made = Pair()
    made.carp("sysctl net.inet.carp.preempt=1", "sysctl net.inet.carp.preempt=1")
    for number, skews in ((80, (0, 100)), (6, (0, 0))):
        for machine, skew in zip(made.machines, skews, strict=True):
            call(machine, f"ifconfig vtnet1 inet 192.0.2.{number}/32 vhid {number} advskew {skew} pass s3cret alias")
            made.world.advance(0.2)
    made.world.advance(10)
    assert (made.states(80), made.states(6)) == ("MASTER BACKUP", "MASTER BACKUP")
    made.world.freeze("nas-a")
    made.world.advance(49)
    assert (made.states(80), made.states(6)) == ("MASTER MASTER", "MASTER MASTER")
    before = made.a.epoch()
    made.world.thaw("nas-a")
    assert made.a.epoch() == before
    made.world.advance(2)
    assert (made.states(80), made.states(6)) == ("MASTER BACKUP", "BACKUP MASTER")
    assert made.a.kernel.messages[-2] == "carp: 6@vtnet1: MASTER -> BACKUP (more frequent advertisement received)"
