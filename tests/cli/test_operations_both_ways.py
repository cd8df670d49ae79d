"""Every command that changes something prints the same and ends the same, whether a controller runs or none does.

Two simulated pairs, one with `hactl run` and one without: the same commands, one after the other. Only times, and the
directories and ports of the two sites, are made equal before what was printed is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.lab.site import Site, a_site
from support.limits import LIMIT_SECONDS

#: What is waited for shows when it is looked at, which is chance.
WAITING = "  waiting  "
#: Nodes at work in parallel: their lines come in any order.
STEP = re.compile(r"  (nas-[ab])  ")
#: What a step printed comes right before the line that says how it ended.
PRINTED = "      | "

#: Titles of stages with and without confirmations, and of one that has nothing else.
BOOT = "Boot: what the next start of each node does  (N steps to go)"
BOOT_AND_CONFIRMS = "Notes of the nodes, and what their next start does"
CONFIRMS = "Hook: what the nodes may do by themselves"

Completed = tuple[int, list[str], list[str]]


class Both:
    """The two sites."""

    def __init__(self, alone: Site, served: Site) -> None:
        self.alone = alone
        self.served = served

    def say(self, *words: str) -> tuple[Completed, Completed]:
        """What a command said without a controller, and with one. `DOCUMENT` is the site's own file."""
        first, second = (_completed(site, words) for site in (self.alone, self.served))
        return first, second

    def same(self, *words: str, status: int = 0) -> str:
        """The same both ways, with that exit status; what it printed."""
        without, with_a_controller = self.say(*words)
        for ours, theirs in zip(without, with_a_controller, strict=True):
            assert theirs == ours, words
        assert without[0] == status, without
        assert "Traceback" not in "\n".join(without[2])
        return "\n".join(without[1] + without[2])

    def write(self, old: str, new: str) -> None:
        """Change both documents."""
        for site in (self.alone, self.served):
            site.document.write_text(site.document.read_text().replace(old, new))


def _completed(site: Site, words: tuple[str, ...]) -> Completed:
    arguments = [str(site.document) if word == "DOCUMENT" else word for word in words]
    done = site.hactl(*arguments)
    return done.returncode, _normal(site, done.stdout), _normal(site, done.stderr)


def _normal(site: Site, text: str) -> list[str]:
    text = text.replace(str(site.directory), "DIR")
    text = re.sub(r"\b\d+(\.\d+)? ?[smh]\b", "N s", text)
    # How much is left is what one look found.
    text = re.sub(r"\(\d+ steps? to go\)", "(N steps to go)", text)
    # An end names its step unless the beginning is right before it.
    text = re.sub(r"^(  nas-[ab]  done in N s)  .*", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"\b(PIDS?:?|kill:) \d+", r"\1 N", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?", "TIME", text)
    lines = [line for line in text.splitlines() if not line.startswith(WAITING)]
    # Within a stage the lines of each node in their order: those that begin, then those that end, because whether a
    # step ends before another begins is chance where they share an exec.
    ordered: list[str] = []
    stage: list[str] = []
    printed: list[str] = []
    for line in [*lines, ""]:
        if line.startswith(PRINTED):
            printed.append(line)
            continue
        if STEP.match(line):
            stage.append("\n".join([line, *printed]))
            printed = []
            continue
        ordered += sorted(stage, key=_node_and_line)
        stage = []
        ordered.append(line)
    return _without_confirmations(ordered[:-1])


def _without_confirmations(lines: list[str]) -> list[str]:
    """Whether a copy is confirmed in this stage or the next one depends on how long hastd took."""
    kept = list(lines)
    for line in lines:
        if "  ConfirmCopy " in line:
            at = kept.index(line)
            # Its end is the next one of that node.
            del kept[kept.index(f"  {STEP.match(line)[1]}  done in N s", at)]  # type: ignore[index]
            del kept[at]
    titles = (CONFIRMS, BOOT_AND_CONFIRMS)
    return [BOOT if line.startswith(titles[1]) else line for line in kept if not line.startswith(titles[0])]


def _node_and_line(line: str) -> tuple[str, bool]:
    found = STEP.match(line)
    assert found is not None
    return found[1], line[found.end() :].startswith("done in")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Two pairs that serve; a controller runs on one of them."""
    directory = tmp_path_factory.mktemp("sites")
    with ExitStack() as stack:
        sites = [stack.enter_context(a_site(directory / name, "nas")) for name in ("alone", "served")]
        for site in sites:
            site.environment["HACTL_CONFIG"] = str(site.directory / "config.yaml")
        controller = sites[1].start("run", "--resync", "2s")
        try:
            sites[1].until((sites[1].directory / "api.sock").exists)
            for site in sites:
                applied = site.hactl("apply", "-f", str(site.document), "-q")
                assert applied.returncode == 0, applied.stdout + applied.stderr
                assert PRINTED not in applied.stdout
            yield Both(*sites)
        finally:
            controller.terminate()
            controller.communicate(timeout=LIMIT_SECONDS)


def test_what_is_seen(both: Both) -> None:
    """status, plan, why, why-not and a refused give-up, by a look at the nodes and by the record."""
    # First: without a controller what was seen is believed for two minutes.
    alone, served = both.say("status")
    assert alone[0] == served[0] == 0
    assert [line for line in alone[1][1:] if line] == [line for line in served[1][:-1] if line]
    assert alone[1][0].startswith("nobody looks at the nodes: no controller runs on this record")
    assert served[1][-1].startswith("a controller is running (")
    assert "nothing to do" in both.same("plan", "-f", "DOCUMENT")
    assert "nas-a" in both.same("why", "nas")
    both.same("why", "nas", "-f", "DOCUMENT")
    assert "nas-b" in both.same("why-not", "nas-b", "master")
    both.same("why-not", "nas-x", "active", status=1)
    assert "what waits for an answer is nothing" in both.same("give-up", "nas", "nas-a", "/etc/hast.conf", status=1)


def test_documents_and_moves(both: Both) -> None:
    """apply, diff, switchover, drain, uncordon: shown, refused, carried out and followed, and told how it ended."""
    assert both.same("apply", "-f", "DOCUMENT") == "nas: Ready, already as the document says; nothing was done"
    both.write("advbase: 1", "advbase: 2")
    assert "advbase: 2" in both.same("diff", "-f", "DOCUMENT", status=2)
    applied = both.same("apply", "-f", "DOCUMENT")
    assert "nas: generation 2 is in force" in applied
    assert "advbase 2" in applied

    assert "could take it now" in both.same("switchover", "nas", "--dry-run")
    assert "say --yes" in both.same("switchover", "nas", status=1)
    assert "no node nas-x" in both.same("switchover", "nas", "--to", "nas-x", "--yes", status=1)
    moved = both.same("switchover", "nas", "--yes", "--reason", "a test")
    assert "switchover-1 is on record" in moved
    assert "hastctl role primary data" in moved
    assert PRINTED in moved
    assert "files: Done, at most N s without service" in moved
    assert "nothing to do" in both.same("switchover", "nas", "--to", "nas-b", "--yes")
    assert "no switchover of nas is open" in both.same("switchover", "nas", "--cancel", status=1)

    assert "files moves to nas-a" in both.same("drain", "nas-b", "--dry-run")
    drained = both.same("drain", "nas-b", "--yes", "--reason", "a disk")
    assert "drain-2 is on record" in drained
    assert "drained: nothing is served by nas-b" in drained
    both.same("drain", "nas-b", "--yes", status=1)
    assert "nas-b is drained" in both.same("switchover", "nas", "--to", "nas-b", "--yes", status=1)
    assert "nas-b may work again" in both.same("uncordon", "nas-b")
    assert "not drained" in both.same("uncordon", "nas-b", status=1)
    assert both.same("get", "haop", "-o", "name") == "haoperation.hactl.dev/switchover-1"


def test_decisions_and_the_end(both: Both) -> None:
    """pause, apply under a pause, resume, approve, resolve, wait, delete."""
    assert "nas is paused until TIME" in both.same("pause", "nas", "--reason", "work", "--for", "1h")
    held = both.same("apply", "-f", "DOCUMENT", status=3)
    assert "nas: held back, 0 steps done in N s" in held
    assert "what helps: hactl resume nas" in held
    assert "work" in both.same("resume", "--all", status=1)
    assert both.same("resume", "nas") == "nas is resumed"
    both.same("resume", "nas", status=1)
    both.same("approve", "nas", "000000000000", status=1)
    assert "refused, NoSplitBrain" in both.same("resolve", "nas", "data", "--discard", "nas-b", status=1)
    shown = both.same("resolve", "nas", "data", status=1)
    assert "localcnt" in shown
    assert "there is nothing to resolve" in shown
    assert "no resource logs" in both.same("resolve", "nas", "logs", "--discard", "nas-b", status=1)
    # Without a controller nobody looks again by himself.
    assert "nas: Ready, already" in both.same("apply", "-f", "DOCUMENT")
    both.same("wait", "nas", "--for", "condition=Ready", "--timeout", f"{LIMIT_SECONDS:.0f}s")
    both.same("delete", "nas", status=1)
    assert "hacluster/nas deleted" in both.same("delete", "nas", "--yes")
    both.same("wait", "nas", "--for", "delete")
    assert "no haclusters found" in both.same("get")
