"""What a look costs on real nodes, over the cheapest exec that reads the same state of the kernel."""

from __future__ import annotations

import asyncio
import statistics

from bench.passes import CHEAPEST, EXEC_SECONDS, SALT, Turn, take_turns, unchanged
from hactl.adapters.sources.files import load_files
from hactl.app import make_resolver, opened
from hactl.ports import Target
from hactl.runtime.passes.types import PassRequest

from ...nodes.node import Broken
from ...outcome.rounds import Verdict
from ..exam import Bench, exam

_ROUNDS = 12
#: Of an unchanged pass of a Ready pair, and of one that asks for everything, over the cheapest exec on both nodes.
UNCHANGED_GOAL, FULL_GOAL = 1.2, 2.0


@exam("look", ("unchanged",))
def look(bench: Bench, name: str) -> None:
    """An unchanged pass costs at most 1.2 times the cheapest exec, one that asks for everything at most 2 times."""
    bench.ready()
    medians = asyncio.run(measured(bench))
    bench.outcome.seconds |= medians
    for what, goal in (("unchanged pass", UNCHANGED_GOAL), ("full pass", FULL_GOAL)):
        ratio = medians[what] / medians["cheapest exec"]
        words = f"{what}: {ratio:.2f} times the cheapest exec, goal {goal:g}"
        bench.outcome.details.append(words)
        if ratio > goal:
            bench.outcome.say(Verdict.GOAL_MISSED, words)


async def measured(bench: Bench) -> dict[str, float]:
    """Medians, seconds, of as many turns of each on warm connections."""
    found = await asyncio.to_thread(load_files, [str(bench.site.file)])
    (document,) = found.documents.values()
    async with opened(bench.site.folder / "state.db") as app:
        accepted = await app.accept(document, who="exam")
        targets = list((await make_resolver(SALT)(accepted.document, accepted.generation)).targets.values())

        async def run(target: Target, script: str) -> None:
            answer = await app.nodes.run(target, script, timeout_seconds=EXEC_SECONDS)
            if answer.exit_status != 0:
                raise Broken(f"{target.node}: exit status {answer.exit_status}: {answer.stderr}")

        async def both(script: str) -> None:
            await asyncio.gather(*(run(target, script) for target in targets))

        async def whole(cause: str) -> None:
            unchanged(await app.reconciler.reconcile(PassRequest(accepted, cause=cause)))

        turns = {
            "true": Turn(lambda: both("true\n")),
            "cheapest exec": Turn(lambda: both(CHEAPEST)),
            "unchanged pass": Turn(lambda: whole("resync")),
            "full pass": Turn(lambda: whole("incident")),
        }
        await take_turns(None, list(turns.values()), _ROUNDS)
    return {what: statistics.median(turn.wall) for what, turn in turns.items()}
