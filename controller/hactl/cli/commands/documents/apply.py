"""`hactl apply`: hand documents in and converge, with everything that happens shown as it happens."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from hactl.cli.api_client.client import Client, StatusError
from hactl.cli.api_client.connect import connected, namespace_options, server_options
from hactl.cli.commands.documents.diff import diff
from hactl.cli.commands.documents.plan import plan
from hactl.cli.documents import HandedIn, files_option, hand_in, load_all, nudge, selected
from hactl.cli.follow import Following, Screen, newest_event
from hactl.cli.objectives import warn_of_objectives
from hactl.cli.operations import create, wire_time
from hactl.cli.output import condition, print_hold, safe, to_seconds
from hactl.cli.record import state_path
from hactl.cli.work.worker import HOW_ENDED, STOPPING, Work, Worker, working
from hactl.core.catalogue import ConditionReason, ConditionType

#: What holds a cluster back may be over with the next look: it is believed after so long.
SETTLE_SECONDS = 4.0


@click.command()
@files_option
@click.argument("names", nargs=-1, metavar="[CLUSTER]...")
@click.option("--dry-run", is_flag=True, help="Only show the plan; the same as `hactl plan`.")
@click.option("--approve", metavar="DIGEST", help="In mode Propose: carry out the plan that has this digest.")
@click.option(
    "--timeout",
    "seconds",
    callback=to_seconds,
    default="15m",
    metavar="DURATION",
    show_default=True,
    help="Watch, or begin new passes, no longer than this.",
)
@click.option("--force-conflicts", is_flag=True, help="With a server: take over fields that others manage.")
@click.option("-q", "--quiet", is_flag=True, help="Without the steps: only what is waited for, and how it ends.")
@namespace_options()
@server_options
@click.pass_context
def apply(
    ctx: click.Context, /, paths: tuple[str, ...], names: tuple[str, ...], *, dry_run: bool, seconds: float, **how: Any
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
    where = {key: how.pop(key) for key in ("server", "context")}
    with connected(ctx, **where, create=True) as client:
        if dry_run and client.record is not None:
            return int(ctx.invoke(plan, paths=paths, names=names, full=False, form=None))
        if dry_run:
            # The server may reach other nodes than we do: what can be shown is how the documents differ.
            return int(ctx.invoke(diff, paths=paths, names=names, force_conflicts=how["force_conflicts"], **where))
        documents = selected(load_all(paths), names)
        warn_of_objectives(state_path(ctx), documents)
        revision = newest_event(client)
        handed = [hand_in(client, document, force=how["force_conflicts"]) for document in documents]
        in_force = [each for each in handed if each.generation is not None]
        if how["approve"]:
            for each in in_force:
                _approve(client, each.name, how["approve"], seconds)
        nudge(client)
        statuses = [1] * (len(handed) - len(in_force))
        return worst(
            statuses + (_Run(client, in_force, revision, seconds, how["quiet"]).statuses() if in_force else [])
        )


def _approve(client: Client, cluster: str, digest: str, seconds: float) -> None:
    """Let one plan be carried out while this command watches. Raises StatusError, but not for one that is approved."""
    until = wire_time(datetime.now(UTC) + timedelta(seconds=seconds))
    try:
        create(client, {"type": "Approve", "cluster": cluster, "digest": digest, "expiresAt": until})
    except StatusError as refused:
        if refused.code != 409:
            raise


def worst(statuses: Sequence[int]) -> int:
    """One exit status of several: stopped before an error, an error before what is only not there yet."""
    return next((status for status in (130, 1, 3) if status in statuses), 0)


class _Run:
    """Clusters on their way to their documents."""

    def __init__(self, client: Client, handed: Sequence[HandedIn], revision: str, seconds: float, quiet: bool) -> None:
        self._client = client
        self._seconds = seconds
        self._handed = {each.name: each for each in handed}
        self._following = Following(client, list(self._handed), seconds, revision=revision, quiet=quiet)
        self._began = time.monotonic()
        self._ends: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        #: Monotonic seconds since when a cluster is stalled.
        self._stalled: dict[str, float] = {}

    def statuses(self) -> list[int]:
        """Show what happens until each is Ready or cannot go on; an exit status each."""
        with working(self._client, Work(list(self._handed), self._seconds, cause="apply")) as worker:
            try:
                for bodies in self._following.rounds(endless=worker is not None):
                    for name in self._handed.keys() - self._ends.keys():
                        self._note(name, bodies.get(name), worker)
                    if len(self._ends) == len(self._handed):
                        break
            except KeyboardInterrupt:
                if worker is None:
                    click.echo("\nnot watching any more; the controller goes on with it", err=True)
                    raise
                click.echo(STOPPING, err=True)
                worker.stop()
                for name in self._handed.keys() - self._ends.keys():
                    self._note(name, None, worker)
        self._following.last()
        self._following.refresh()
        return [self._tell(name, self._ends.get(name, "deadline")) for name in self._handed]

    def _note(self, name: str, body: Mapping[str, Any] | None, worker: Worker | None) -> None:
        """Keep how it ended, if it has."""
        if worker is not None:
            summary = worker.ended(name)
            if summary is not None:
                self._ends[name] = summary.end
                self._errors[name] = "" if summary.error is None else str(summary.error)
        elif end := self._judged(name, body):
            self._ends[name] = end

    def _judged(self, name: str, body: Mapping[str, Any] | None) -> str:
        """How it ended, by what a controller says of it; empty: it goes on."""
        generation = self._handed[name].generation
        if body is None or int(body["metadata"]["generation"]) != generation:
            return "overtaken"
        status = body.get("status") or {}
        if status.get("observedGeneration") != generation:
            return ""
        if condition(status, ConditionType.READY).get("status") == "True" and not condition(
            status, ConditionType.RECONCILING
        ):
            return "converged"
        stalled = condition(status, ConditionType.STALLED)
        if not stalled or (
            condition(status, ConditionType.RECONCILING) and stalled["reason"] != ConditionReason.STEP_FAILING
        ):
            self._stalled.pop(name, None)
            return ""
        now = time.monotonic()
        return "held" if now - self._stalled.setdefault(name, now) >= SETTLE_SECONDS else ""

    def _tell(self, name: str, end: str) -> int:
        """How it ended: what was done, what was not, and what a person can do."""
        screen, status = self._following.screens[name], self._following.status(name)
        took = f"{screen.done} step{'s' if screen.done != 1 else ''} done in {time.monotonic() - self._began:.0f} s"
        if end == "converged":
            nothing = "already as the document says; nothing was done"
            click.echo(f"{name}: {click.style('Ready', fg='green', bold=True)}, {took if screen.done else nothing}")
            return 0
        failing = status.get("failing") or {}
        word = "cannot go on" if failing and end in ("held", "stalled") else HOW_ENDED[end].words
        click.echo(f"{name}: {click.style(word, fg='red', bold=True)}, {took}")
        _tell_rest(screen, status, self._errors.get(name, ""))
        if left := (status.get("plan") or {}).get("steps"):
            click.echo(f"  not done: {left} step{'s' if left != 1 else ''}, next {status['plan']['next']['title']}")
            if end != "held":
                click.echo("  run the same command again to go on; it looks first and repeats nothing that is done")
        return HOW_ENDED[end].status


def _tell_rest(screen: Screen, status: Mapping[str, Any], error: str) -> None:
    """What went wrong, and what holds it back."""
    for text in [error] if error else status.get("problems", ()):
        click.echo(f"  {safe(text)}")
    for key, what in list((status.get("failing") or {}).items())[-5:]:
        click.echo(f"  failed: {key}: {safe(what)}")
    for step in screen.unknown:
        click.echo(f"  unknown: {safe(step)}: nobody heard how it ended; the next look at the node will tell")
    holds = status.get("holds", ())
    for hold in holds:
        print_hold(hold)
    stalled = condition(status, ConditionType.STALLED)
    if stalled and not holds:
        click.echo(f"  {stalled['reason']}: {safe(stalled['message'])}")
