"""`make bench`: ratios, measured in one run, everything real but the nodes.

The nodes are the lab's, in a process of its own, on loopback: real SSH servers that run the very scripts in a
simulated FreeBSD. So absolute times say nothing about FreeBSD; ratios and the controller's own CPU do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import logging
import platform
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence

from hactl.adapters.sources.files import load_files
from hactl.app import App, make_resolver, opened
from hactl.ports import Target
from hactl.runtime.passes.types import Accepted

from . import pairs, passes, reactions, site
from .measure import rss_kib
from .report import Findings, render, to_json


def main() -> int:
    """Parse, run, print. Exit status 0 whatever the figures are; 1 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=100, help="lab nodes, two per cluster (default 100)")
    parser.add_argument("--converge", type=int, metavar="SECONDS", default=70, help="time to converge all pairs (70)")
    parser.add_argument("--rounds", type=int, default=passes.ROUNDS, help="turns of the comparison of one pass")
    parser.add_argument("--samples", type=int, default=10, help="changes of files and of CARP states")
    parser.add_argument("--json", action="store_true", help="JSON on standard output instead of a table")
    options = parser.parse_args()
    if options.nodes < 4 or options.nodes % 2:
        parser.error("--nodes: an even number, 4 at least")
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    logging.getLogger("asyncssh").setLevel(logging.ERROR)
    _raise_file_limit(options.nodes)
    try:
        findings = asyncio.run(_until_signal(options))
    except site.BenchFailed as problem:
        print(f"the bench could not be done: {problem}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped; everything is cleaned up", file=sys.stderr)
        return 130
    print(to_json(findings) if options.json else render(findings))
    return 0


async def _until_signal(options: argparse.Namespace) -> Findings:
    """SIGTERM ends it as Ctrl-C does: by the finally clauses."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await bench(options)


async def bench(options: argparse.Namespace) -> Findings:
    """Everything, in an order in which each part finds what it needs."""
    began = time.monotonic()
    count = options.nodes // 2
    tell = _teller(began)
    tell(f"{options.nodes} simulated nodes start")
    async with site.running(count) as place, opened(place.state) as app:
        accepted = await _accept(app, place)
        tell("one pair converges; then all others are connected and looked at")
        first = await pairs.converge(app, accepted[:1], for_seconds=options.converge)
        if not first.accepted:
            raise site.BenchFailed("the first pair did not converge")
        memory = await pairs.connect_others(app, accepted[1:])
        tell("what that pair needed is done by hand on all others, then they converge")
        failed = await pairs.replay(app, place, count)
        tell(f"{failed} commands did not work by hand")
        converged = await pairs.converge(app, accepted[1:], for_seconds=options.converge)
        ready = (*first.accepted, *converged.accepted)
        others = [each for each in accepted if each not in ready]
        tell(f"{len(ready)} of {count} pairs converged in {converged.seconds:.0f} s; unchanged passes")
        await pairs.look_at_all(app, accepted)
        writes = passes.Writes(place)
        latency = await passes.latency(app, place, ready[0], rounds=options.rounds)
        throughput = await passes.throughput(app, place, ready, others, await _targets(accepted))
        written = writes.end()
        memory = dataclasses.replace(memory, after=rss_kib())
        tell("the controller takes over")
        chance = random.Random(1)
        async with reactions.controlling(app, place, options.nodes):
            memory = dataclasses.replace(memory, listening=rss_kib())
            rest = await reactions.rest(place.lab)
            tell("CARP states change, then documents")
            carp = await reactions.carp_changes(place, ready[: options.samples])
            file_look, file_command = await reactions.file_changes(place, ready[-options.samples :], chance)
    return Findings(
        nodes=options.nodes,
        machine=f"{platform.platform()}, Python {platform.python_version()}",
        seconds=time.monotonic() - began,
        ready=len(ready),
        converge=converged,
        latency=latency,
        throughput=throughput,
        memory=memory,
        written=written,
        passes=options.rounds + 1 + throughput.passes.count,
        rest=rest,
        carp=carp,
        file_look=file_look,
        file_command=file_command,
    )


async def _accept(app: App, place: site.Site) -> list[Accepted]:
    found = await asyncio.to_thread(load_files, [str(place.clusters)])
    if found.problems:
        raise site.BenchFailed("; ".join(str(problem) for problem in found.problems))
    documents = sorted(found.documents.values(), key=lambda document: document.source)
    return [await app.accept(document, who="bench") for document in documents]


async def _targets(accepted: Sequence[Accepted]) -> list[Target]:
    resolver = make_resolver(passes.SALT)
    found = [await resolver(each.document, each.generation) for each in accepted]
    return [target for resolved in found for target in resolved.targets.values()]


def _teller(began: float) -> Callable[[str], None]:
    def tell(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", file=sys.stderr, flush=True)

    return tell


def _raise_file_limit(nodes: int) -> None:
    """Each node is a connection here and there, and a listening socket there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = nodes * 4 + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


if __name__ == "__main__":
    sys.exit(main())
