"""Every round of every exam on stand-ins for nodes, hactl and load: it ends, and praises nothing that did not work."""

from __future__ import annotations

import contextlib
import json
import re
import time
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from ruamel.yaml import YAML

from hactl.core.simulation.acknowledged import Judgement
from real.exams import blank
from real.exams.catalogue import EXAMS
from real.exams.exam import Bench, Exam
from real.exams.hand_made import adopt
from real.exams.sight import access, look
from real.nodes.emulated import EVERYTHING, EXAMPLES
from real.nodes.node import Node, Nodes, NotHere, Ran
from real.nodes.site import Applied
from real.outcome.evidence import Timeline
from real.outcome.recording import Recording
from real.outcome.rounds import Verdict, chance
from support.source_tree import ROOT

_EVENTS = [
    {"t": 0.0, "kind": "ping", "what": "first", "node": "nas-a"},
    {"t": 0.0, "kind": "ping", "what": "end", "sent": 9, "answered": 9, "last": 0.0},
]


class StandIn(Bench):
    """A bench on which nothing takes time and everything comes, or nothing does."""

    comes_back = True

    def comes(self, until: Any, seconds: float) -> bool:
        """Asked once, so that what it asks is run too."""
        until()
        return self.comes_back

    @contextlib.contextmanager
    def load(self, pace: float | None = 0.0, port: int = 2049) -> Any:
        """Nothing was ever away."""
        load = MagicMock()
        load.seen.return_value, load.all_acks.return_value = _EVENTS, []
        load.judge.return_value = Judgement(5) if self.comes_back else Judgement(5, lost=(("w", 1),))
        yield load


class _Disk:
    """What both nodes see of the pool: it is well, and a file on it says what was written last."""

    def __init__(self) -> None:
        self.file, self.boots, self.listed, self.linked = "", 0, 0, False

    def must(self, script: str, *_: object) -> str:
        """What a node prints."""
        written = re.match("echo (.*) > /tank/file", script)
        self.file = written[1] if written else self.file
        if script.startswith("zpool list"):
            return "tank\tONLINE\n"
        self.linked = self.linked or "ln -sf" in script
        if script.startswith("stat -f %Su"):
            return "root\nprecious\n"
        if script.startswith("stat -f '%Su %Lp'"):
            return "looker 600\nlooker 700\n"
        if script == "sysctl -n kern.boottime":
            self.boots += 1
            return f"{self.boots}"
        if script == "timeout 10 hastctl list data":
            # Changed, on both nodes, and changed back.
            self.listed += 1
            return "replication: fullsync" if self.listed <= 2 else "replication: memsync"
        return self.file if script == "cat /tank/file" else "said"

    def hactl(self, word: str, *_: str) -> Ran:
        """What hactl says; it follows no link."""
        return Ran(int(self.linked and word == "node-access"), "about 0 s", "", 2.0)


def _bench(place: Path, exam: Exam, name: str) -> StandIn:
    nodes, site = MagicMock(spec=Nodes), MagicMock()
    both, disk = {each: MagicMock(spec=Node) for each in ("nas-a", "nas-b")}, _Disk()
    for each, node in both.items():
        node.name, node.files.return_value, node.must.side_effect = each, {}, disk.must
        node.run.return_value = Ran(0, "", "real 1.30", 1.0)
    nodes.both, nodes.can, nodes.release = tuple(both.values()), EVERYTHING, "13.2"
    nodes.__getitem__.side_effect = both.__getitem__
    nodes.peer.side_effect = {"nas-a": "nas-b", "nas-b": "nas-a"}.__getitem__
    site.active.return_value, site.name, site.folder, site.steps.return_value = "nas-a", "nas", place, []
    site.documents = place
    site.rows.side_effect = _rows
    site.predicted_failover.return_value = 9.0
    site.apply.return_value = Applied(True, 0, 2.0, "nas: Ready")
    site.hactl.side_effect = disk.hactl
    document = YAML(typ="safe").load(EXAMPLES / "nas.yaml")
    timeline = Timeline(place / "timeline", aloud=False)
    return StandIn(nodes, site, document, place, name, chance(1, "13.2", exam.name, name), timeline)


def _rows(count: int) -> list[dict[str, Any]]:
    at = datetime.fromtimestamp(time.time() + 1.0, UTC).isoformat()
    summary = "NodesReachable is False: nas-a, nas-b"
    return [{"at": at, "kind": "ConditionChanged", "summary": summary, "detail": {"status": "False"}}]


async def _nothing(target: object) -> list[str]:
    return []


async def _looked(bench: Bench) -> dict[str, float]:
    return {"cheapest exec": 1.0, "unchanged pass": 1.1, "full pass": 1.9}


@pytest.fixture(autouse=True)
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(look, "measured", _looked)
    monkeypatch.setattr(blank, "Site", lambda nodes, folder: MagicMock(apply=lambda: Applied(True, 0, 1.0, "")))
    monkeypatch.setattr(adopt, "Site", _adopting)
    monkeypatch.setattr(access, "_targets", lambda bench: [MagicMock(node="nas-a", identities=("key",))])
    monkeypatch.setattr(access, "_stolen", _nothing)


def _adopting(nodes: Nodes, folder: Path, environment: object) -> MagicMock:
    """hactl beside a pair that somebody set up: it is Ready at once, but for the one that no document can say."""
    file = folder / "cluster.yaml"
    folder.mkdir(exist_ok=True)
    file.write_text("spec: {keep: [/etc/hast.conf:data.exec]}\n")
    waits = {"name": (False,), "extras": (False, True)}.get(folder.parent.name, ())
    found = chain(
        (Applied(ready, 0, 1.0, "" if ready else "held  ReloadUnsafe") for ready in waits),
        repeat(Applied(True, 0, 1.0, "")),
    )
    hold = "  held  NotInDocument\n  or give it up: hactl give-up nas nas-a '/etc/hast.conf:exec'\n"
    told, said = iter((hold, hold)), {"status": "HookOvertaken"}
    return MagicMock(
        file=file,
        apply=lambda *_: next(found),
        hactl=lambda word, *_: Ran(0, next(told, "") if word == "plan" else said.get(word, ""), "", 1.0),
    )


@pytest.mark.parametrize("exam", EXAMS, ids=lambda exam: exam.name)
def test_every_round_ends(tmp_path: Path, exam: Exam) -> None:
    """Where everything comes back at once; only what hactl did not do is held against it."""
    for name in exam.rounds:
        (tmp_path / name).mkdir()
        bench = _bench(tmp_path / name, exam, name)
        with contextlib.suppress(NotHere):  # what the document cannot say
            exam.run(bench, name)
        wrong = [remark for remark in bench.outcome.remarks if "did not run" not in remark]
        assert wrong == [], name


#: No load runs there.
_WITHOUT_LOAD = ("access", "blank", "facts", "look")


@pytest.mark.parametrize("exam", [each for each in EXAMS if each.name not in _WITHOUT_LOAD], ids=lambda exam: exam.name)
def test_nothing_is_praised_that_lost_a_record(tmp_path: Path, exam: Exam) -> None:
    """Nor a service that does not come back; of a boot that never comes nothing is known."""
    bench = _bench(tmp_path, exam, exam.rounds[0])
    bench.comes_back = False
    if exam.name in ("reboot", "adopt"):
        bench.wait = MagicMock()  # type: ignore[method-assign]
    exam.run(bench, exam.rounds[0])
    assert bench.outcome.verdict is Verdict.FAILED


def test_a_thief_who_got_something_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exam of the key that only looks is lost then."""

    async def got(target: object) -> list[str]:
        return ["touch: exit status 0, not 126"]

    monkeypatch.setattr(access, "_stolen", got)
    bench = _bench(tmp_path, access.access, "observe")
    access.access.run(bench, "observe")
    assert bench.outcome.verdict is Verdict.FAILED
    assert "nas-a: touch: exit status 0, not 126" in bench.outcome.remarks


def test_a_recording_has_the_format_of_the_others(tmp_path: Path) -> None:
    """Each program with what it printed, handles as notes; nothing is told to it once it is closed."""
    both = (Node("nas-a", ["true"]), Node("nas-b", ["true"]))
    nodes = Nodes("13.2", both, EVERYTHING)
    recording = Recording(nodes, "nfsd-stops", "A stop that fails and has worked")
    both[0].run("service nfsd onestop")
    nodes.note("nas-b: power off")
    recording.close(tmp_path)
    both[0].run("not told any more")
    recorded = json.loads((tmp_path / "13.2" / "nfsd-stops.json").read_text())
    old = json.loads((ROOT / "tests" / "recordings" / "01-baseline.json").read_text())
    assert recorded.keys() == old.keys()
    first, note = recorded["steps"]
    assert first.keys() == {key for key in old["steps"][0] if key != "note"}
    assert (first["command"], first["node"], first["exit"]) == ("service nfsd onestop", "nas-a", 0)
    assert note["note"] == "nas-b: power off"
