"""What a bench found, as figures with a name, and the figures as a table or as JSON.

Rules: a ratio says what is over what; an aim is shown beside the figure and never turned into a failure; what the
simulation distorts is said where it stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby

from .measure import Samples
from .pairs import Converged, Memory
from .passes import Latency, Rate, Throughput, Written

#: The controller's usual resync, seconds: for "at that pace" figures.
RESYNC_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that was measured."""

    nodes: int
    machine: str
    seconds: float
    #: Pairs that were converged when passes were measured.
    ready: int
    converge: Converged
    latency: Latency
    throughput: Throughput
    memory: Memory
    written: Written
    #: Unchanged passes made while the record was watched.
    passes: int
    #: CPU of the controller between its looks, as a share of one core.
    rest: float
    #: From a CARP change to the first probe.
    carp: Samples
    #: From a file change to the first look and to the first command.
    file_look: Samples
    file_command: Samples


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report."""

    section: str
    name: str
    value: float
    unit: str = ""
    p95: float | None = None
    note: str = ""
    #: What it should stay below, if anything.
    aim: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without one."""
        return None if self.aim is None else self.value < self.aim


def figures(found: Findings) -> list[Figure]:
    """All figures, in the order they are read."""
    return [
        *_cost(found.latency),
        *_parts(found.latency),
        *_many(found),
        *_memory(found),
        *_reactions(found),
        *_record(found),
    ]


def _time(line: Callable[..., Figure], name: str, samples: Samples, note: str = "") -> Figure:
    return line(name, samples.median * 1e3, "ms", samples.p95 * 1e3, note)


def _cost(found: Latency) -> list[Figure]:
    """An unchanged pass against what it consists of."""
    line = partial(Figure, "An unchanged pass over one converged pair")
    bare, whole = found.bare.samples, found.whole.samples
    both, probes = found.bare_both.samples, found.probe_both.samples
    #: The lab is one process: the two probes of a pass wait for each other.
    simulated = 2 * (found.whole.node_seconds - found.bare_both.node_seconds)
    own = max(0.0, whole.median - simulated) / bare.median
    added, on_nodes = whole.median / probes.median, 2 * found.whole.node_seconds * 1e3
    cheapest, full = found.cheapest_both.samples, found.full.samples
    nodes = found.cheapest_both.node_seconds
    return [
        _time(line, "one bare exec (sh -s, `true`)", bare, "same warm connection"),
        _time(line, "two bare execs at once, one per node", both),
        _time(line, "two probes at once that know nothing", probes, "the first look at a node"),
        _time(line, "two cheapest execs at once", cheapest, "sysctl, ifconfig, hastctl list, mount"),
        _time(line, "the pass", whole, "a quick look: compared with the last one"),
        _time(line, "a full pass", full, "everything is asked, as before a change"),
        line("pass / cheapest execs", whole.median / cheapest.median, "x", aim=1.2, note="real nodes: make real"),
        line("full pass / cheapest execs", full.median / cheapest.median, "x", aim=2.0),
        line("node time, pass / cheapest exec", found.whole.node_seconds / nodes, "x", aim=1.5),
        line("of it on the simulated nodes", on_nodes, "ms", note="both probes, in the lab's one process"),
        line("of it controller CPU", found.whole.cpu_seconds * 1e3, "ms"),
        line("pass / bare exec", whole.median / bare.median, "x", aim=1.5, note="simulated nodes' time included"),
        line("pass / two probes that know nothing", added, "x", aim=1.5),
        line("pass / bare exec, were probes as cheap as `true`", own, "x", note="hactl and SSH, no node time"),
        line("controller CPU of a pass / bare exec", found.whole.cpu_seconds / bare.median, "x"),
    ]  # fmt: skip


def _parts(found: Latency) -> list[Figure]:
    line = partial(Figure, "Controller CPU of that pass, part by part")
    parts = {**found.parts, "two execs over SSH (asyncssh)": found.probe_both.cpu_seconds}
    rest = found.whole.cpu_seconds - sum(parts.values())
    lines = [line(name, seconds * 1e3, "ms") for name, seconds in parts.items()]
    return [
        *lines,
        line("the rest: tasks, threads, cold caches", rest * 1e3, "ms", note="whole less the parts above"),
    ]


def _many(found: Findings) -> list[Figure]:
    line = partial(
        Figure, f"Unchanged passes over {found.nodes} nodes, {found.ready} pairs converged of {found.nodes // 2}"
    )
    passes, execs = found.throughput.passes, found.throughput.execs
    each, bare = passes.cpu_seconds / passes.count / 2, execs.cpu_seconds / execs.count
    pace = each / RESYNC_SECONDS
    busy = f"lab busy {_busy(passes):.0%}, controller {passes.cpu_seconds / passes.seconds:.0%} of a core"
    every = f"one core, per node, a look every {RESYNC_SECONDS:.0f} s"
    could = passes.count / passes.cpu_seconds
    return [
        line("passes per second", passes.count / passes.seconds, "/s", note=busy),
        line("passes per second of controller CPU", could, "/s", note="what one core could do"),
        line("controller CPU per node and look", each * 1e3, "ms"),
        line("controller CPU per bare exec", bare * 1e3, "ms", note=f"{execs.count / execs.seconds:.0f}/s"),
        line("a node's look / a bare exec, controller CPU", each / bare, "x"),
        line(every, pace * 100, "%", note=f"{found.nodes} nodes: {pace * found.nodes:.1%}"),
        line("one core, between looks, all nodes", found.rest * 100, "%", note="streams, keepalives, polling"),
    ]  # fmt: skip


def _busy(rate: Rate) -> float:
    return rate.lab_cpu_seconds / rate.seconds


def _memory(found: Findings) -> list[Figure]:
    line = partial(Figure, "Memory of the controller's process (RSS)")
    memory, others = found.memory, found.nodes - 2
    return [
        line("with one pair, everything imported", memory.before / 1024, "MiB"),
        line("per node: connection and first look", (memory.connected - memory.before) / others, "KiB"),
        line("per node: after converging and all passes", (memory.after - memory.before) / others, "KiB"),
        line("per node: under the controller, devd streams", (memory.listening - memory.before) / others, "KiB"),
    ]  # fmt: skip


def _reactions(found: Findings) -> list[Figure]:
    line = partial(Figure, f"Reactions of the controller over {found.nodes} nodes")
    return [
        _time(line, "CARP change on a node to the look", found.carp, "devd; 75 ms of it gather further events"),
        _time(line, "file replaced to the first look", found.file_look, "polled 4 times a second; 0.1 s of quiet"),
        _time(line, "file replaced to the first command", found.file_command, "two looks, the second under the lock"),
    ]  # fmt: skip


def _record(found: Findings) -> list[Figure]:
    line = partial(Figure, "Written by unchanged passes")
    note = ", ".join(found.written.files) or "no file of the record was touched"
    return [
        line("passes", float(found.passes)),
        line("rows", float(found.written.rows), aim=1),
        line("commits", float(found.written.commits), aim=1),
        line("bytes", float(found.written.bytes), aim=1, note=note),
    ]


def render(found: Findings) -> str:
    """A table for people."""
    all_figures = figures(found)
    width = max(len(figure.name) for figure in all_figures)
    lines = [f"hactl bench: {found.nodes} simulated nodes, {found.seconds:.0f} s, {found.machine}"]
    for section, group in groupby(all_figures, key=lambda figure: figure.section):
        lines += ["", section]
        lines += [_line(figure, width) for figure in group]
    lines += ["", f"How: {_how(found)}"]
    return "\n".join(lines)


def _line(figure: Figure, width: int) -> str:
    digits = 0 if not figure.unit or figure.value >= 100 else 2 if figure.value < 10 else 1
    value = f"{figure.value:>8.{digits}f} {figure.unit:<4}"
    p95 = "" if figure.p95 is None else f"p95 {figure.p95:.1f}"
    aim = "" if figure.aim is None or not figure.unit else f"aim < {figure.aim:g}: {'met' if figure.met else 'not met'}"
    return (
        f"  {figure.name:<{width}} {value} {p95:<11} {'; '.join(word for word in (aim, figure.note) if word)}".rstrip()
    )


def _how(found: Findings) -> str:
    return (
        "real SSH on loopback, real record, real controller; the nodes are the lab's, all in one other process. "
        "One pair converged over SSH; what it needed was done by hand on the others, "
        f"where the passes after it found {found.converge.steps} steps left to do."
    )


def to_json(found: Findings) -> str:
    """The same for programs."""
    rows = [{**asdict(figure), "met": figure.met} for figure in figures(found)]
    whole = {"nodes": found.nodes, "pairs_converged": found.ready, "seconds": found.seconds, "machine": found.machine}
    return json.dumps({**whole, "how": _how(found), "figures": rows}, indent=2)
