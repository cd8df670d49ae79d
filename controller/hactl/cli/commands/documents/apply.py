"""`hactl apply`: hand documents in and converge, with everything that happens shown as it happens."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hactl.cli import submit as handing_in
from hactl.cli.api_client.client import Remote
from hactl.cli.api_client.contexts import chosen, named
from hactl.cli.commands.documents.validate import load_all, selected
from hactl.cli.commands.objects.get import server_options
from hactl.cli.output import age, files_option, indent, print_hold, safe, to_seconds
from hactl.cli.record import state_path
from hactl.core.facts import Snapshot
from hactl.core.steps import Outcome, Plan
from hactl.ports import Document

if TYPE_CHECKING:
    from hactl.app import App
    from hactl.core.pace.convergence import Summary
    from hactl.core.pace.result import PassResult
    from hactl.runtime.passes.execute import StepEvent
    from hactl.runtime.passes.types import Listener

#: End of a run -> exit status.
STATUSES = {"converged": 0, "stalled": 3, "held": 3, "deadline": 3, "refused": 1, "store": 1, "stopped": 130, "over": 0}
MARKS = {
    Outcome.DONE: ("done", "green"),
    Outcome.FAILED: ("failed", "red"),
    Outcome.INDETERMINATE: ("unknown", "yellow"),
}


@click.command()
@files_option
@click.argument("names", nargs=-1, metavar="[CLUSTER]...")
@click.option("--dry-run", is_flag=True, help="Only show the plan; the same as `hactl plan`.")
@click.option("--approve", metavar="DIGEST", help="In mode Propose: carry out the plan that has this digest.")
@click.option(
    "--timeout",
    "timeout_seconds",
    callback=to_seconds,
    default="15m",
    metavar="DURATION",
    show_default=True,
    help="Begin no new pass after this long.",
)
@click.option("--force-conflicts", is_flag=True, help="With a server: take over fields that others manage.")
@click.option("-q", "--quiet", is_flag=True, help="Without the output of commands.")
@server_options
@click.pass_context
def apply(
    ctx: click.Context,
    paths: tuple[str, ...],
    names: tuple[str, ...],
    dry_run: bool,
    approve: str | None,
    timeout_seconds: float,
    force_conflicts: bool,
    quiet: bool,
    server: str | None,
    context: str | None,
) -> int:
    """Converge clusters to their documents and show every step.

    With a server (--server, --context, or a `hactl run` on this machine) the documents are handed to it: its controller
    does the work from then on, and this command watches; Ctrl-C leaves it going. Clusters that the server has from a
    directory, Git or another source are changed there.

    Without one the work is done here. One stage at a time, then the nodes are looked at again. Every step is recorded
    before and after it runs. Ctrl-C lets a running step end (a few seconds), starts no other, and says what was and was
    not done.
    Exit status: 0 converged, 3 held or not there yet, 1 error, 130 stopped.
    """
    if dry_run:
        return _dry_run(ctx, paths, names, force_conflicts, server, context)
    documents = selected(load_all(paths), names)
    found = chosen(server, context, state_path(ctx), stated=ctx.obj["state"] is not None)
    statuses: list[int] = []
    if found is not None:
        client = Remote(found)
        revision = handing_in.newest_event(client)
        handed, documents = _hand_in(ctx, client, documents, approve, force=force_conflicts)
        statuses += handing_in.converged(client, handed, revision, seconds=timeout_seconds, quiet=quiet)
    if documents:
        summaries = asyncio.run(_run(ctx, documents, approve, timeout_seconds, quiet=quiet))
        for document, summary in zip(documents, summaries, strict=True):
            _tell(document, summary)
        statuses += [STATUSES[summary.end] for summary in summaries]
    return worst(statuses)


def _dry_run(
    ctx: click.Context,
    paths: tuple[str, ...],
    names: tuple[str, ...],
    force: bool,
    server: str | None,
    context: str | None,
) -> int:
    """The plan from here; for a server somebody named, which may reach other nodes than we do, the difference."""
    if named(server, context, stated=ctx.obj["state"] is not None) is None:
        from hactl.cli.commands.documents.plan import plan

        return int(ctx.invoke(plan, paths=paths, names=names, form=None))
    from hactl.cli.commands.documents.diff import diff

    return int(
        ctx.invoke(diff, paths=paths, names=names, force_conflicts=force, server=server, context=context)
    )  # fmt: skip


def _hand_in(
    ctx: click.Context, client: Remote, documents: Sequence[Document], approve: str | None, *, force: bool
) -> tuple[list[handing_in.Handed], list[Document]]:
    """Hand documents to a server; what is to be followed there, and what is to be converged here.

    Here: a cluster that the controller on this machine has from another source, and that says the same.
    """
    handed, here = [], []
    record = Path(client.where.removeprefix("unix:")).parent == state_path(ctx).absolute().parent
    for document in documents:
        one = handing_in.hand_in(client, document, force=force)
        if one.kept and client.here and record:
            here.append(document)
            continue
        handed.append(one)
        if approve is not None and one.generation is not None:
            handing_in.approve(client, document.cluster.name, approve)
    if client.here:
        handing_in.nudge(client)
    return handed, here


def worst(statuses: Sequence[int]) -> int:
    """One exit status of several: stopped before an error, an error before what is only not there yet."""
    return next((status for status in (130, 1, 3) if status in statuses), 0)


async def _run(
    ctx: click.Context, documents: Sequence[Document], approve: str | None, limit_seconds: float, *, quiet: bool
) -> list[Summary]:
    from hactl.app import actor, opened
    from hactl.runtime.passes.types import PassRequest

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal(stop))
    async with opened(state_path(ctx)) as app:
        accepted = [await app.accept(document, who=actor()) for document in documents]
        screens = [Screen(d.cluster.name if len(documents) > 1 else "", app, quiet=quiet) for d in documents]
        runs = [
            app.converge(
                PassRequest(one, cause="apply", actor=actor(), approved=approve, stop=stop, listener=screen.listener()),
                timeout_seconds=limit_seconds,
            )
            for one, screen in zip(accepted, screens, strict=True)
        ]
        return await asyncio.gather(*runs)


def on_signal(stop: asyncio.Event) -> Callable[[], None]:
    """For Ctrl-C: say once what it means, and set `stop`."""

    def told() -> None:
        if not stop.is_set():
            click.echo("\nstopping: a running step may end, no other is started", err=True)
        stop.set()

    return told


class Screen:
    """What `apply` prints about one cluster while it runs."""

    def __init__(self, prefix: str, app: App, *, quiet: bool) -> None:
        """`prefix` tells clusters apart when there are several."""
        self._prefix = f"{prefix}: " if prefix else ""
        self._clock = app.clock
        self._quiet = quiet
        self._digest = ""
        self._waiting: tuple[str, ...] = ()
        self._began: dict[str, float] = {}

    def listener(self) -> Listener:
        """For the converger."""
        from hactl.runtime.passes.types import Listener

        return Listener(on_look=self.look, on_step=self.step, on_wait=self.wait)

    def say(self, text: str) -> None:
        """One line, at once."""
        click.echo(f"{self._prefix}{text}")
        sys.stdout.flush()

    def look(self, snapshot: Snapshot, plan: Plan) -> None:
        """A pass has looked: say what comes next, once for each plan."""
        del snapshot
        if plan.digest == self._digest:
            return
        self._digest = plan.digest
        if plan.stages:
            left = len(plan.steps)
            self.say(
                click.style(f"{plan.stages[0].title}", bold=True) + f"  ({left} step{'s' if left != 1 else ''} to go)"
            )

    def step(self, event: StepEvent) -> None:
        """A step begins, prints, ends."""
        step = event.step
        if event.kind == "begin":
            self._began[step.key] = self._clock.monotonic()
            first = step.command.splitlines()[0] if "\n" not in step.command else f"{step.verb} {step.target}"
            self.say(f"  {click.style(step.node, bold=True)}  {first}  {click.style(step.why, dim=True)}")
        elif event.kind == "line" and not self._quiet and event.line.strip():
            self.say(f"      {click.style('|', dim=True)} {safe(event.line)}")
        elif event.kind == "end" and event.result is not None:
            seconds = self._clock.monotonic() - self._began.pop(step.key, self._clock.monotonic())
            word, colour = MARKS[event.result.outcome]
            reason = f": {safe(event.result.reason)}" if event.result.reason else ""
            self.say(
                f"  {click.style(step.node, bold=True)}  {click.style(word, fg=colour)} in {seconds:.1f} s{reason}"
            )

    def wait(self, result: PassResult, seconds: float) -> None:
        """Nothing can be done right now: say why, once."""
        reasons = tuple(hold.message for hold in result.plan.holds) or tuple(result.failing.values())
        if result.gate == "Backoff":
            reasons = ("a step of an earlier run may still be running on a node, or failed a moment ago", *reasons)
        if result.error is not None:
            reasons = (str(result.error), *reasons)
        if reasons == self._waiting:
            return
        self._waiting = reasons
        for reason in reasons:
            self.say(f"  {click.style('waiting', fg='cyan')}  {safe(reason)}")
        if not reasons:
            self.say(f"  looking again in {age(seconds)}")


def _tell(document: Document, summary: Summary) -> None:
    """How it ended: what was done, what was not, and what a person can do."""
    name = document.cluster.name
    done, unknown = len(summary.done), summary.indeterminate
    failed = [ended for ended in summary.ended if ended.result.outcome is Outcome.FAILED]
    took = f"{done} step{'s' if done != 1 else ''} done in {summary.seconds:.0f} s"
    if summary.end == "converged":
        nothing = "already as the document says; nothing was done"
        click.echo(f"{name}: {click.style('Ready', fg='green', bold=True)}, {took if done else nothing}")
        return
    words = {
        "stalled": "cannot go on", "held": "held back", "deadline": "not there yet, time is up", "stopped": "stopped",
        "refused": "refused", "store": "the record cannot be kept, so nothing more was done",
    }  # fmt: skip
    click.echo(f"{name}: {click.style(words[summary.end], fg='red', bold=True)}, {took}")
    if summary.error is not None:
        click.echo(indent(safe(str(summary.error)), 2))
    for ended in failed[-5:]:
        click.echo(f"  failed: {ended.step.key}: {safe(ended.result.reason)}")
    for step in unknown:
        click.echo(f"  unknown: {step.key}: nobody heard how it ended; the next look at the node will tell")
    for hold in summary.holds:
        print_hold(hold)
    if summary.left:
        more = f"{len(summary.left)} step{'s' if len(summary.left) != 1 else ''}"
        click.echo(f"  not done: {more}, next {summary.left[0].key}")
        if summary.end != "held":
            click.echo("  run the same command again to go on; it looks first and repeats nothing that is done")
