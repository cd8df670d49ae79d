"""`make real`: the exams of hactl on two real FreeBSD nodes. Everything it is told stands in docs/real-nodes.md.

One table at the end; the evidence, and the state that lets a run go on where it stopped, are in the folder OUT.
Exit status: 0 nothing failed (a goal that was missed is in the table), 1 something failed, 2 a wrong setting.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

from .exams.catalogue import EXAMS, SHORT
from .exams.exam import Bench, Exam, furnish
from .load.writers import RECORDS
from .nodes.addresses import Addresses
from .nodes.emulated import Emulated
from .nodes.node import Broken, Nodes, NotHere
from .nodes.site import Site
from .options import Options, Wrong, read_options
from .outcome import evidence
from .outcome.recording import Recording
from .outcome.rounds import Outcome, State, Verdict, chance, key
from .outcome.table import render
from .pair import command
from .pair.settings import Failed, read_pair


def main() -> int:
    """All rounds that are asked for and not finished, then the table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # clients and controllers are ended too
    try:
        options = read_options(os.environ)
        wanted = chosen(options)
        nodes = connect(options)
    except (Wrong, Failed, Broken) as problem:
        print(f"make real: {problem}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    state = State(options.out / "state.json")
    run_all(options, nodes, state, wanted)
    outcomes = state.outcomes()
    (options.out / "table.txt").write_text(render(outcomes, whole=True) + "\n")
    print(render(outcomes), flush=True)
    return int(any(outcome.verdict in (Verdict.FAILED, Verdict.BROKEN) for outcome in outcomes.values()))


def chosen(options: Options) -> list[tuple[Exam, str]]:
    """Exams with the names of their rounds: `EXAM=power-cut,blank/nas`, `EXAM=short`, or all."""
    by_name = {exam.name: exam for exam in EXAMS}
    words = [each for word in options.exams for each in (SHORT if word == "short" else (word,))] or list(by_name)
    found = []
    for word in words:
        name, _, only = word.partition("/")
        if name not in by_name:
            raise Wrong(f"EXAM={word}: there are {', '.join(by_name)}, and short")
        rounds = [each for each in by_name[name].names(options.tries) if only in ("", each)]
        if not rounds:
            raise Wrong(f"EXAM={word}: its rounds are {', '.join(by_name[name].rounds)}")
        found += [(by_name[name], each) for each in rounds]
    return found


def connect(options: Options) -> Nodes:
    """The two machines, running."""
    if options.addresses:
        return Addresses(options.addresses)
    home = os.environ.get("PAIR_HOME", f"/tmp/hactl-real-{options.release}")
    pair = read_pair({**os.environ, "PAIR_HOME": home}, options.release)
    command.up(pair)
    return Emulated(pair)


def run_all(options: Options, nodes: Nodes, state: State, wanted: list[tuple[Exam, str]]) -> None:
    """One round after the other; Ctrl-C ends it between two writes of the state."""
    document = nodes.document()
    document["spec"]["groups"][0]["services"].append(dict(RECORDS))
    site = Site(nodes, options.out / nodes.release / "hactl")
    site.write(document)
    furnish(nodes)
    clean = False
    for exam, name in wanted:
        full = key(nodes.release, exam.name, name)
        if state.done(full):
            print(f"{full}: known already", flush=True)
            continue
        folder = options.out / full
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"{full}: {exam.about}", flush=True)
        bench = Bench(
            nodes, site, document, folder, f"{exam.name}-{name}-{int(time.time())}",
            chance(options.seed, nodes.release, exam.name, name), evidence.Timeline(folder / "timeline"), clean=clean,
            keep=options.exams != ("short",),
        )  # fmt: skip
        clean = run_one(bench, exam, name, options.record)
        state.record(full, bench.outcome)
        print(f"{full}: {bench.outcome.verdict} {bench.outcome.seconds} {'; '.join(bench.outcome.remarks)}", flush=True)


def run_one(bench: Bench, exam: Exam, name: str, record: Path | None) -> bool:
    """One round. Returns whether the pair is Ready after it."""
    recording = Recording(bench.nodes, f"{exam.name}-{name}", exam.about) if record else None
    try:
        bench.nodes.need(*exam.needs)
        exam.run(bench, name)
    except NotHere as problem:
        bench.outcome = Outcome(Verdict.NOT_RUN, remarks=[str(problem)])
    except Exception as problem:  # noqa: BLE001  # a round of many: it is told, and the next one runs
        traceback.print_exc()
        bench.outcome.say(Verdict.BROKEN, f"{type(problem).__name__}: {problem}")
        bench.clean = False
    if recording and record:
        recording.close(record)
    evidence.keep(bench.folder, bench.nodes, bench.site, bench.outcome)
    return bench.clean


if __name__ == "__main__":
    sys.exit(main())
