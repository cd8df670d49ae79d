"""The abstract state of the pair: everything the hook, the planner and the judges decide on, without its accidents.

Two states of one digest are taken for the same and only one of them is walked, so whatever is left out here is a
difference that nobody looks for. Left out are pids, counts of packets, texts for people, and exact times: ages are kept
in classes, and where the hook compares two of its notes it is the outcome that counts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

from hactl.core.changes.change import STATE_DIRECTORY
from hactl.core.hook.render import DEVD_RULE, HOOK, RC_GUARD, RC_NODE
from hactl.core.steps import Step
from hactl.lab.hast.metadata import InvalidMetadata, Metadata, NoMetadata
from hactl.lab.hast.worker.primary import PrimaryWorker
from hactl.lab.machine import Machine
from support.small_scope.world import RESOURCE, A, B, Pair

#: Ages that make a difference: a vhid's wait, hastd's reconnect, its timeout.
AGES = (2.5, 7.0, 16.0, 40.0)
#: `sole`: TIMEOUT + 45 of this pair: a node that wrote alone for so long before it lost the addresses keeps them.
SOLE_SECONDS = 60
#: `recent`: how long before the addresses came the primary may have been lost: WAIT - 2 of this pair when it closed the
#: connection, else 20 - TIMEOUT less: then it must have been lost afterwards.
RECENT_SECONDS = (3, -2)
#: Notes whose time something reads, and the ages of which more is asked than how they compare (see `_compared`): CARP
#: is done within seconds; addresses are claimed once a minute (keep). Of UNREAD the time is for people.
DATED = {"disconnected": AGES, "alone": (*AGES, SOLE_SECONDS), "master": (2.5,), "lost": (2.5,), "claimed": (60.0,)}
UNREAD = frozenset({"confirmed", "parted", "released"})
#: Where the hook's notes of this boot are, and files there that only lockf(1) looks at.
RUN_DIRECTORY = "/var/run"
LOCKS = frozenset({"lock", "follow", "fsck"})
#: What the planner compares with the document.
SETTINGS = ("/etc/hast.conf", "/etc/rc.conf", "/etc/sysctl.conf", HOOK, DEVD_RULE, RC_GUARD, RC_NODE)
_DEMOTED = re.compile(r"carp: demoted by (-?\d+) to (-?\d+) \((.*)\)")


def bucket(seconds: float, ages: tuple[float, ...] = AGES) -> int:
    """An age without its accidents."""
    return sum(seconds >= age for age in ages)


def _order(left: int, right: int) -> int:
    return (left > right) - (left < right)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _age(machine: Machine, noted: int) -> float:
    """How long ago a note was written: it has seconds since boot, or since 1970."""
    return (machine.epoch() if noted > 100_000_000 else machine.uptime_seconds()) - noted


class Digest:
    """Digests of one pair; it remembers since when things are as they are."""

    def __init__(self, pair: Pair) -> None:
        """As it is now, it has been for long."""
        self.pair = pair
        self._last, self._changed = "", pair.now - 3600.0
        #: When each part of a hook was first seen.
        self._since: dict[tuple[str, int], float] = {}

    def of(self, *intent: object) -> str:
        """The digest now; `intent` is what is known besides: what people asked for, what is about to be done."""
        core = self.core(*intent)
        if core != self._last:
            self._last, self._changed = core, self.pair.now
        return _checksum(f"{core} {bucket(self.pair.now - self._changed)}")

    def core(self, *intent: object) -> str:
        """Everything of it but how long it has been so, as JSON."""
        return json.dumps([*intent, *self._copies(), *([node, *self._node(node)] for node in (A, B))])

    def note_processes(self) -> None:
        """Called from time to time: how long a part of a hook has been running."""
        self._since = {
            (node, pid): self._since.get((node, pid), self.pair.now)
            for node in (A, B)
            for pid, _ in self.pair.hook_processes(node)
        }

    def step(self, step: Step) -> str:
        """A step that was planned: what it tests and does, whether or not the worker it names still runs."""
        text = " ".join([str(step.key), step.command, *(check.test for check in (*step.before, *step.after))])
        resource = self.pair.machine(step.node).hast.resources.get(RESOURCE)
        worker = resource.worker if resource is not None else None
        return _checksum(re.sub(rf"\b{worker.pid}\b", "PID", text) if worker is not None else text)

    # the copies

    def _copies(self) -> Iterator[object]:
        """What HAST and the disks say of each other (core.plan.evidence, hastd's handshake)."""
        copies = [self.pair.copy(node) for node in (A, B)]
        yield _order(copies[0].number, copies[1].number)
        for copy in copies:
            yield copy.number >= self.pair.written, copy.sound, copy.clean
        a, b = self._metadata(A), self._metadata(B)
        if a is None or b is None:
            yield a is None, b is None
            return
        yield a.resuid == b.resuid, a.resuid == 0, b.resuid == 0
        yield _order(a.localcnt, b.remotecnt), _order(b.localcnt, a.remotecnt)
        yield [(each.prevrole, bool(each.dirty)) for each in (a, b)]

    def _metadata(self, node: str) -> Metadata | None:
        try:
            return self.pair.metadata(node)
        except (NoMetadata, InvalidMetadata):
            return None

    # one node

    def _node(self, node: str) -> Iterator[object]:
        machine = self.pair.machine(node)
        yield machine.powered, machine.running, machine.frozen
        yield [port.carrier for port in machine.net.interfaces.values()]  # cables are pulled where power is off, too
        yield sorted(self._notes(node, STATE_DIRECTORY))
        yield self._settings(node)
        if not machine.powered:
            return
        yield sorted(self._notes(node, RUN_DIRECTORY))
        yield self._compared(node)
        yield list(self._network(node))
        yield list(self._hast(node))
        services = [name for name in ("devd", "nfsd") if machine.rc.pid_of(name) is not None]
        yield self.pair.mounted(node), services, sorted(machine.rc.locks)
        yield sorted(self._hooks(node))

    def _notes(self, node: str, directory: str) -> Iterator[tuple[str, str]]:
        """What the hook and the controller wrote down there: whatever it is called, so that a new note counts too."""
        machine = self.pair.machine(node)
        for name in machine.files.list(directory) if machine.files.is_dir(directory) else ():
            note = name.removeprefix("hactl.")
            kind = note.partition(".")[0]
            if directory == RUN_DIRECTORY and (note == name or kind in LOCKS):
                continue
            text = machine.files.read_text(f"{directory}/{name}").strip()
            if kind == "moves":
                yield note, self._last_move(text)
                continue
            first, _, rest = text.partition(" ")
            if first.isdigit() and kind in UNREAD:
                first = "then"
            elif first.isdigit() and kind in DATED:  # a node that boots forgets all of these
                first = str(bucket(_age(machine, int(first)), DATED[kind])) if machine.powered else "then"
            yield note, f"{first} {rest}"

    @staticmethod
    def _last_move(text: str) -> str:
        """GROUP WHAT TEXT of the last move: it is not noted twice in a row. How long one took is for people."""
        words = text.splitlines()[-1].split(" ", 4) if text else []
        return " ".join(words[1:3] if words[2:3] in (["took"], ["gave"]) else words[1:3] + words[4:])

    def _compared(self, node: str) -> list[int]:
        """What the hook finds when it compares two of its notes (recent, sole)."""
        came, lost = self._times(node, RUN_DIRECTORY, "master"), self._times(node, RUN_DIRECTORY, "lost")
        gone, alone = self._times(node, STATE_DIRECTORY, "disconnected"), self._times(node, STATE_DIRECTORY, "alone")
        return [
            sum(min(gone) >= max(came) - seconds for seconds in RECENT_SECONDS) if came and gone else -1,
            max(alone) <= min(lost) - SOLE_SECONDS if lost and alone else -1,
        ]

    def _times(self, node: str, directory: str, kind: str) -> list[int]:
        files = self.pair.machine(node).files
        names = files.list(directory) if files.is_dir(directory) else []
        notes = [name for name in names if name.removeprefix("hactl.").startswith(f"{kind}.")]
        words = [files.read_text(f"{directory}/{name}").split() for name in notes]
        return [int(each[0]) for each in words if each and each[0].isdigit()]

    def _settings(self, node: str) -> str:
        files = self.pair.machine(node).files
        paths = [*SETTINGS, *(f"/etc/rc.conf.d/{name}" for name in files.list("/etc/rc.conf.d"))]
        return _checksum("\0".join(f"{path} {files.read_text(path)}" for path in paths if files.exists(path)))

    def _network(self, node: str) -> Iterator[object]:
        machine = self.pair.machine(node)
        for port in machine.net.interfaces.values():
            yield port.up, port.link, [each.text for each in port.addresses if each.vhid is not None]
        carp = machine.net.carp
        if carp is None:
            return
        yield [(vhid.number, vhid.state, vhid.advbase, vhid.advskew) for vhid in carp.vhids]
        # The planner takes a demotion for people's if the kernel's log says so.
        log = [found.groups() for line in machine.kernel.messages if (found := _DEMOTED.fullmatch(line))]
        yield carp.demotion, carp.allow, carp.preempt, sum(int(n) for n, _, why in log if why == "sysctl")

    def _hast(self, node: str) -> Iterator[object]:
        hast = self.pair.machine(node).hast
        yield hast.pid is not None, self.pair.role(node), hast.busy
        yield sorted(self.pair.machine(node).disks.gates)
        resource = hast.resources.get(RESOURCE)
        worker = resource.worker if resource is not None else None
        if worker is None:
            return
        counts = worker.statistics
        yield worker.link is not None, bool(counts.read_errors or counts.write_errors or counts.flush_errors)
        if isinstance(worker, PrimaryWorker):
            yield worker.stalled, bool(worker.dirty), worker.sync.running, worker.guard.attempt_ends is not None

    def _hooks(self, node: str) -> Iterator[tuple[str, int]]:
        for pid, part in self.pair.hook_processes(node):
            # `wait` only waits; where the others are depends on how long they are at it.
            yield part, 0 if part == "wait" else bucket(self.pair.now - self._since.get((node, pid), self.pair.now))
