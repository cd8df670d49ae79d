"""What an exam is, and the bench it is sat on: nodes, hactl, a load, a timeline; what is broken is mended afterwards.

An exam is a function with a name, a list of rounds and the handles that it needs. It breaks something, waits, and says
what it saw in its Outcome; it judges the records of the load at the end, on the node that serves then.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from ..load import writers
from ..load.writers import Load
from ..nodes.node import Broken, Nodes
from ..nodes.site import Site
from ..outcome.evidence import Timeline, keep_nodes
from ..outcome.rounds import Outcome, Verdict
from ..outcome.timelines import LATE_SECONDS, away, moves, outages

READY, BLANK = "ready", "blank"
#: Boot of an emulated node under load, in seconds.
BOOT_SECONDS = 300.0
#: A failover that took longer did not happen.
FAILOVER_SECONDS = 240.0
_STEADY_SECONDS = 3.0
_POLL_SECONDS = 0.25
_APPLY_TRIES = 3
_TWENTY_STARTS = "/usr/bin/time -p sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do /usr/bin/true; /usr/bin/true; done'"
#: Beside and renamed: the one that runs cannot be written (ETXTBSY), as when a run goes on where it stopped.
_MEND = (
    "[ ! -x /sbin/hastd.fixed ] || cmp -s /sbin/hastd.fixed /sbin/hastd || "
    "{ cp -p /sbin/hastd.fixed /sbin/hastd.new && fsync /sbin/hastd.new && mv /sbin/hastd.new /sbin/hastd; }"
)


@dataclass
class Bench:
    """One round at a time."""

    nodes: Nodes
    site: Site
    document: dict[str, Any]
    folder: Path
    tag: str
    chance: Random
    timeline: Timeline
    outcome: Outcome = field(default_factory=Outcome)
    #: Ready, and nothing was broken since.
    clean: bool = False
    #: How many the last time it was converged.
    steps: int = 0
    #: Disks of a Ready pair are kept, for exams after which there is no way back.
    keep: bool = True

    @property
    def address(self) -> str:
        """The first virtual address, without its prefix."""
        return str(self.document["spec"]["groups"][0]["virtualIPs"][0]["addresses"][0]).partition("/")[0]

    def say(self, text: str) -> float:
        """Into the timeline."""
        return self.timeline.say(text)

    def power_off(self, *names: str) -> float:
        """Cut it, of both within milliseconds. Returns when."""
        for name in names:
            self.nodes.power(name, on=False)
        return self.say(f"power cut: {', '.join(names)}")

    def power_on(self, *names: str, wait: bool = True) -> None:
        """Boot, and wait for ssh."""
        for name in names:
            self.nodes.power(name, on=True)
        self.say(f"power back: {', '.join(names)}")
        if wait:
            for name in names:
                self.await_ssh(name)

    def await_ssh(self, name: str) -> float:
        """Seconds until it greets; raises Broken."""
        began = time.monotonic()
        while not self.nodes.answers(name):
            if time.monotonic() - began > BOOT_SECONDS:
                raise Broken(f"{name} does not answer {BOOT_SECONDS:.0f} s after it got power")
            time.sleep(_POLL_SECONDS)
        self.say(f"{name}: ssh answers")
        return time.monotonic() - began

    def mend(self) -> None:
        """Power, cables and processors as they should be."""
        for node in self.nodes.both:
            if "power" in self.nodes.can and not self.nodes.is_on(node.name):
                self.nodes.power(node.name, on=True)
            if "freeze" in self.nodes.can:
                self.nodes.freeze(node.name, thaw=True)
            for net in ("lan", "repl") if "link" in self.nodes.can else ():
                self.nodes.link(node.name, net, up=True)
        self.nodes.lose()
        for node in self.nodes.both:
            self.await_ssh(node.name)

    def converge(self) -> float | None:
        """`hactl apply` until Ready; None: it is not. Seconds."""
        began, self.steps = time.monotonic(), 0
        for _ in range(_APPLY_TRIES):
            applied = self.site.apply()
            self.steps += applied.steps
            last = applied.text.strip().splitlines()[-1:] or ["nothing was printed"]
            self.say(f"hactl apply: {last[0]}")
            if applied.ready:
                self.clean = True
                return time.monotonic() - began
        return None

    def ready(self) -> str:
        """A pair that serves, by whatever it takes. Returns who is active; raises Broken."""
        if not self.clean:
            self.site.write(self.document)
            self.mend()
            if self.converge() is None:
                self.rebuild()
        active = self.site.active()
        if not active:
            raise Broken("the pair is Ready, and nobody is active")
        took = self.nodes[active].run(_TWENTY_STARTS).err
        found = re.search(r"real\s+([0-9.]+)", took)
        self.outcome.start_ms = float(found.group(1)) * 1000 / 20 if found else None
        return active

    def rebuild(self) -> None:
        """From kept disks, or from blank ones, when mending did not help."""
        self.say("the pair is built anew")
        if not self.nodes.bring_back(READY):
            self.nodes.need("blank")
            self.nodes.blank()
            self.furnish()
        if self.converge() is None:
            raise Broken(f"no Ready pair to begin with: see {self.site.folder}/hactl.log")

    def furnish(self) -> None:
        """What the load needs on the nodes."""
        furnish(self.nodes)

    @contextlib.contextmanager
    def load(self, pace: float | None = writers.PACE_SECONDS, port: int = 2049) -> Iterator[Load]:
        """Clients and writers (without a pace: clients only), answered when the block begins."""
        load = Load(self.nodes, self.folder, self.tag)
        wanted = {"ping", "tcp"} if pace is None else {"ping", "tcp", "ack"}
        with load.running(self.address, port, pace):
            self.wait(lambda: _kinds(load) >= wanted and (load.acks or pace is None), 60, "the clients are answered")
            self.clean = False
            yield load

    def wait(self, until: Callable[[], object], seconds: float, what: str) -> bool:
        """Raises Broken when it does not come."""
        if not self.comes(until, seconds):
            raise Broken(f"waited {seconds:.0f} s in vain: {what}")
        return True

    def comes(self, until: Callable[[], object], seconds: float) -> bool:
        """Whether it comes in time."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def back(self, load: Load, fault: float, seconds: float = FAILOVER_SECONDS) -> bool:
        """Whether address and service answer again, steadily, after something was broken at `fault`."""

        def steady() -> bool:
            events = load.seen()
            gone = [each for kind in ("ping", "tcp") for each in outages(events, kind, fault)]
            calm = max([fault + 1.0, *(each.until or float("inf") for each in gone if each.seconds > LATE_SECONDS)])
            return time.time() > calm + _STEADY_SECONDS

        came = self.comes(steady, seconds)
        if not came:
            # Before anything is mended or built anew.
            keep_nodes(self.folder, self.nodes, ".then")
        return came

    def measure(self, load: Load, fault: float) -> None:
        """Seconds without the address and without the service since `fault`."""
        self.outcome.seconds["address"] = away(load.seen(), "ping", fault)
        self.outcome.seconds["service"] = away(load.seen(), "tcp", fault)

    def phases(self, name: str) -> None:
        """What the hook of the node that took over says that it waited for."""
        found = moves(self.nodes[name].run("tail -n 3 /var/db/hactl/moves").out)
        if found:
            what, seconds, words = found[-1]
            self.outcome.phases = f"hook: {what} in {seconds} s: {words}"
            self.say(self.outcome.phases)

    def served_by(self) -> str:
        """Who holds the filesystem now, asked without hactl; empty: nobody, or both."""
        have = [node.name for node in self.nodes.both if self.nodes.answers(node.name) and self._mounted(node.name)]
        return have[0] if len(have) == 1 else ""

    def _mounted(self, name: str) -> bool:
        return " on /data (" in self.nodes[name].run("mount").out

    def _resolved(self, node: str) -> float | None:
        began = time.monotonic()
        for name in (node, self.nodes.peer(node)):
            ran = self.site.hactl("resolve", self.site.name, "data", "--discard", name, "--yes-discard", name)
            self.say(f"hactl resolve --discard {name}: exit {ran.exit}: {ran.out.strip().splitlines()[-1:]}")
            if ran.exit == 0:
                break
        self.outcome.details.append(f"a person had to say hactl resolve --discard {name}")
        return None if self.converge() is None else time.monotonic() - began

    def judge(self, load: Load, resolve: str = "") -> None:
        """The pair is Ready again, by hactl alone, and every record that was acknowledged is there.

        `resolve`: the node whose copy a person may throw away, in one command, when both have written.
        """
        self.mend()
        seconds = self.converge()
        if seconds is None and resolve:
            seconds = self._resolved(resolve)
        self.outcome.must(seconds is not None, "not Ready again by hactl alone")
        if seconds is not None:
            self.outcome.seconds["ready again"] = seconds
        active = self.site.active() or self.served_by()
        if not active:
            self.outcome.say(Verdict.FAILED, "nobody serves at the end; records could not be checked")
            return
        judgement = load.judge(active)
        self.say(f"records: {judgement.words()}")
        self.outcome.details.append(f"records: {judgement.words()}")
        self.outcome.must(judgement.sound, f"records: {judgement.words()}")


def furnish(nodes: Nodes) -> None:
    """What the load needs, on both; and a hastd that connects where the image brings one (FreeBSD 15)."""
    for node in nodes.both:
        node.must(_MEND)
        writers.install(node)


def _kinds(load: Load) -> set[str]:
    return {event["kind"] for event in load.seen() if event.get("what", "ack") in ("first", "back", "ack")}


Run = Callable[[Bench, str], None]


@dataclass(frozen=True)
class Exam:
    """One of the list."""

    name: str
    about: str
    needs: tuple[str, ...]
    rounds: tuple[str, ...]
    run: Run

    def names(self, tries: int | None) -> tuple[str, ...]:
        """Of its rounds: numbers as many as asked for, names as they are."""
        if self.rounds[0].isdigit() and tries:
            return numbers(tries)
        return self.rounds


def numbers(count: int) -> tuple[str, ...]:
    """01, 02, ..."""
    return tuple(f"{number:02}" for number in range(1, count + 1))


def exam(name: str, rounds: Sequence[str], *needs: str) -> Callable[[Run], Exam]:
    """Its first sentence is what it must show."""

    def made(run: Run) -> Exam:
        return Exam(name, (run.__doc__ or "").strip().splitlines()[0], needs, tuple(rounds), run)

    return made
