"""Replays recordings of real FreeBSD machines on a lab world and compares what both print.

The recordings were made one after the other on the same two machines; what happened between them (and before
the first) is in `PROLOGUES`. A step is sent at its recorded time; while a program takes longer in the lab than it
took there, the rest waits. Outputs are compared after `normalise` has taken out what cannot be the same: process ids,
counters, clock times, ports, random ids, sizes that depend on a filesystem's block allocation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hactl.lab.build import plug_recorded
from hactl.lab.front.nodes import LabNodes
from hactl.lab.rc.costs import Costs
from hactl.lab.virtual_time import VirtualTime
from hactl.lab.world import World
from hactl.ports import Target

RECORDINGS = Path(__file__).parents[2] / "recordings"
NAMES = tuple(sorted(path.stem for path in RECORDINGS.glob("*.json")))


@dataclass(frozen=True)
class Outcome:
    """One step: where it stands, what was asked, what the machine printed and what the lab printed."""

    recording: str
    index: int
    node: str
    command: str
    wanted: tuple[int, str, str]
    got: tuple[int, str, str]

    @property
    def key(self) -> str:
        """The step's name in tables: "03/14"."""
        return f"{self.recording[:2]}/{self.index}"

    @property
    def matches(self) -> bool:
        """Whether the lab printed the same, apart from what cannot be the same."""
        return _comparable(self.command, self.wanted) == _comparable(self.command, self.got)


def load(name: str) -> dict[str, Any]:
    """A recording."""
    found: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text())
    return found


# comparing

_RULES: tuple[tuple[str, str], ...] = (
    (r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\b", "TIME"),
    (r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d\b", "WHEN"),
    (r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", "DATE"),
    (r"\bsec = \d+, usec = \d+", "sec = N, usec = N"),
    (r"(?<=\[)\d+(?=\]:)", "PID"),
    (r"\bpid[ =:]+\d+", "pid=PID"),
    (r"Waiting for PIDS: \d+\.", "Waiting for PIDS: PID."),
    (r"workerpid: \d+", "workerpid: PID"),
    (r"(?m)^ *\d+( +\d+)? (?=/sbin/|hastd: )", "PIDS "),
    (r"(?m)^ *PID PPID COMMAND", "PID PPID COMMAND"),
    (r"(?<=:)(?!8457)\d{4,5}(?= to tcp| isn't|\.)", "PORT"),
    (r"resuid: [1-9]\d*", "resuid: ID"),
    (r"(?m)^(\t+)\d+( packets (?:received|sent) \(IPv[46]\)| discarded for bad authentication)", r"\1N\2"),
    (r"    (reads|writes|deletes|flushes|activemap updates): \d+", r"    \1: N"),
    (r"\b\d{10}\b", "EPOCH"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\bhostid\d+", "hostidN"),
    (r"\bin \d+\.\d+ secs \(\d+ bytes/sec\)", "in N secs (N bytes/sec)"),
    (r"= [0-9a-f]{64}", "= SHA"),
    (r"(?m)^total \d+$", "total N"),
    (r"\b[\d.]+ (up .*?, )?\d+ users?, load averages?: .*", "UPTIME"),
    (r"(?m)^ *\d+:\d\d[AP]M  up .*$", "UPTIME"),
    (r"waited \d+", "waited N"),
    (r"\d+ free \(\d+ frags, \d+ blocks, [\d.]+% fragmentation\)", "N free"),
    (r"\d+ files, \d+ used, ", "N files, N used, "),
    (r"(?m)^(/dev/\S+ +\d+) +\d+ +\d+ +\d+% ", r"\1 N N N% "),
    (r"0x[0-9a-f]+(?= (?:WHEN|[A-Z]))", "DEV"),
    (r"(?m)^( ?[ \d]\d) +\d+ 0x[0-9a-f]+ +[0-9a-f]+ ", r"\1 REFS ADDRESS SIZE "),
    (r"(?m)^([-a-z]{10}) +\d+ (root +\w+) +(\d+|DEV) ", r"\1 N \2 \3 "),
    (r"(?m)^(d[-a-z]{9}) N (root +\w+) +\d+ ", r"\1 N \2 SIZE "),
    (r"\btime=[\d.]+ ms", "time=N ms"),
    (r"stddev = [\d./]+ ms", "stddev = N ms"),
    (r"root  wheel +", "root wheel "),
    (r"root  operator +", "root operator "),
)
_COMPILED = [(re.compile(pattern), replacement) for pattern, replacement in _RULES]


def normalise(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    return text


def _comparable(command: str, seen: tuple[int, str, str]) -> tuple[int, str, str]:
    status, out, err = seen
    out = normalise(out)
    if command == "sysctl -n kern.hostuuid kern.hostid kern.boottime kern.osreldate kern.osrelease":
        out = re.sub(r"(?m)^(?:\d{6,9}|EPOCH)$", "N", re.sub(r"1302001", "RELDATE", out))
    return status, out.strip(), normalise(err).strip()


# replaying

Prologue = Callable[["Stage"], Awaitable[None]]


class Stage:
    """The pair, and the clock the recordings run on."""

    def __init__(self, time: VirtualTime) -> None:
        self.time = time
        self.world = World(time, seed=7)
        time.attach(self.world)
        for name in ("nas-a", "nas-b"):
            plug_recorded(self.world, name)
        self.nodes = LabNodes(self.world)

    async def start(self) -> None:
        """Both machines are up."""
        self.world.start()
        await self.time.sleep(1.0)

    async def do(self, node: str, command: str) -> tuple[int, str, str]:
        """Run a command to its end."""
        target = Target("recorded", node, "127.0.0.1", 22, "root", ("none",))
        answer = await self.nodes.run(target, command, timeout_seconds=600)
        return answer.exit_status if answer.exit_status is not None else -1, answer.stdout, answer.stderr

    async def both(self, command: str) -> None:
        """Run a command on both nodes."""
        for node in ("nas-a", "nas-b"):
            await self.do(node, command)

    async def until(self, moment: float) -> None:
        """Wait for a moment of virtual time."""
        if moment > self.time.monotonic():
            await self.time.sleep(moment - self.time.monotonic())


def event(stage: Stage, note: str) -> None:
    """What a note says was done to the machines from outside."""
    cable = re.match(r"link of (\S+) (\S+) (up|down)", note)
    if cable is not None:
        (stage.world.join if cable[3] == "up" else stage.world.cut)(cable[1], cable[2])
    elif (done := re.fullmatch(r"power-(on|off) ([ab])", note)) is not None:
        (stage.world.power_on if done[1] == "on" else stage.world.power_off)(f"nas-{done[2]}")
    elif (done := re.fullmatch(r"(freeze|thaw) ([ab])", note)) is not None:
        (stage.world.freeze if done[1] == "freeze" else stage.world.thaw)(f"nas-{done[2]}")
    elif (done := re.fullmatch(r"link ([ab]) (lan|repl) (up|down)", note)) is not None:
        port = "vtnet1" if done[2] == "lan" else "vtnet2"
        (stage.world.join if done[3] == "up" else stage.world.cut)(f"nas-{done[1]}", port)
    elif note.startswith("power cut at nas-a"):
        # The machine was stopped, not switched off: later it resumes.
        stage.world.freeze("nas-a")
    elif note.startswith("nas-a resumes"):
        stage.world.thaw("nas-a")


#: Steps whose result hangs on the phase of CARP's advertisements, which the recordings do not show: when the command
#: took effect, chosen (within the step's duration) so that the race ends as it did there.
#: 02/9 is later than its step: the recorded machine's advertisements came a few per cent slower than once a second.
#: 06/17 is the moment the power was cut, between two advertisements of vhid 6 and 80.
PHASES: dict[str, float] = {
    "02/9": 0.75, "02/21": 0.2, "02/45": 0.0, "02/131": 0.2, "06/2": 0.02, "06/17": 0.45,
}  # fmt: skip
#: Steps in which the recorded machine's slowness decided: what starting a program costs there, seconds.
PACES: dict[str, float] = {"06/8": 0.25}
#: When in the course of a step its (first) command took effect, seconds after the step began: the recorded
#: machines needed about as long to start a shell and a program.
LATENCY_SECONDS = 0.15


async def replay(stage: Stage, name: str) -> list[Outcome]:
    """All steps of one recording, in order."""
    recording = load(name)
    begin = stage.time.monotonic()
    found = []
    for index, step in enumerate(recording["steps"]):
        latency = PHASES.get(f"{name[:2]}/{index}", LATENCY_SECONDS if "command" in step else 0.0)
        await stage.until(begin + float(step.get("t", 0.0)) + latency)
        if "command" not in step:
            event(stage, step["note"])
            continue
        stage.world.machines[step["node"]].rc.costs = Costs(PACES.get(f"{name[:2]}/{index}", 0.0))
        got = await stage.do(step["node"], step["command"])
        wanted = (int(step["exit"]), step["stdout"], step["stderr"])
        found.append(Outcome(name, index, step["node"], step["command"], wanted, got))
    return found


async def _nothing(stage: Stage) -> None:
    """The recording begins where the one before it ended."""


#: What earlier attempts left in /var/log/messages, as later steps of the recordings show it.
_BEFORE_01 = """\
Nov 23 15:36:29 nas-a root[972]: /etc/rc.d/hastd: WARNING: /etc/hast.conf is not readable.
Nov 23 15:36:29 nas-a root[976]: /etc/rc.d/hastd: WARNING: failed precmd routine for hastd
"""
_BEFORE_02 = """\
Nov 23 15:47:44 nas-a hastd[3025]: Client tcp://198.51.100.12:39730 isn't known.
Nov 23 15:48:39 nas-a hastd[3445]: [data] (primary) Unable to read metadata from /dev/vtbd1: No such file or directory.
Nov 23 15:48:39 nas-a hastd[3432]: [data] (primary) Worker process exited ungracefully (pid=3445, exitcode=66).
Nov 23 15:50:01 nas-b hastd[1619]: [data] (secondary) Worker process exited ungracefully (pid=1648, exitcode=75).
"""
_BEFORE_04 = """\
Nov 23 15:59:32 nas-a root[1325]: /etc/rc.d/hastd: WARNING: failed to start hastd
Nov 23 15:59:33 nas-a root[1341]: /etc/rc.d/hastd: WARNING: failed to start hastd
"""


def _remember(stage: Stage, lines: str) -> None:
    """Lines that were in the log already."""
    for line in lines.splitlines():
        stage.world.machines[line.split()[3]].files.append("/var/log/messages", f"{line}\n")


async def _before_baseline(stage: Stage) -> None:
    """A first attempt at the same recording."""
    _remember(stage, _BEFORE_01)


async def _before_carp(stage: Stage) -> None:
    """Earlier attempts at the recordings of HAST, undone since."""
    _remember(stage, _BEFORE_02)


async def _before_empty_config(stage: Stage) -> None:
    """An attempt at recording 03 that ended after its second step."""
    _remember(stage, _BEFORE_04)
    await stage.time.sleep(60)


async def _before_boot_configuration(stage: Stage) -> None:
    """The freeze of 06 is over; nas-b gave its primary up and resynchronised."""
    await stage.time.sleep(20)


async def _rebooted(stage: Stage) -> None:
    """nas-b came back from the reboot at the end of 07; nas-a has neither CARP nor hastd."""
    stage.world.machines["nas-b"].rc.loader_reads_conf = False
    await stage.time.sleep(150)


async def _rebooted_with_kld_list(stage: Stage) -> None:
    """kld_list="carp" was added and nas-b rebooted once more."""
    await stage.do("nas-b", "sysrc kld_list=carp")
    stage.world.reboot("nas-b")
    await stage.time.sleep(60)


#: Recording 04 was made between 02 and 03 (the clocks in daemon.log of 03 and 04 say so).
ORDER: tuple[tuple[str, Prologue], ...] = (
    ("01-baseline", _before_baseline),
    ("02-carp-lifecycle", _before_carp),
    ("04-hast-empty-config", _before_empty_config),
    ("03-hast-lifecycle", _nothing),
    ("05-hast-split-brain", _nothing),
    ("06-failover-timeline", _nothing),
    ("07-boot-configuration", _before_boot_configuration),
    ("08-after-reboot", _rebooted),
    ("09-after-reboot-kld-list", _rebooted_with_kld_list),
)


#: Made later, each on blank nodes of another pair.
FRESH = ("10-reject-route", "11-shell", "12-sleeper", "13-cables")


async def replay_fresh(name: str) -> list[Outcome]:
    """A recording that begins with two blank nodes."""
    async with VirtualTime() as time:
        stage = Stage(time)
        await stage.start()
        found = await replay(stage, name)
        await stage.nodes.close()
    return found


async def replay_all(names: tuple[str, ...] | None = None) -> dict[str, list[Outcome]]:
    """Every recording in the order it was made, on one pair; returns the outcomes by recording."""
    found: dict[str, list[Outcome]] = {}
    async with VirtualTime() as time:
        stage = Stage(time)
        await stage.start()
        for name, prologue in ORDER:
            if names is not None and name not in names:
                continue
            await prologue(stage)
            found[name] = await replay(stage, name)
        await stage.nodes.close()
    for name in FRESH:
        if names is None or name in names:
            found[name] = await replay_fresh(name)
    return found
