"""Documents handed to a server by server-side apply, and watched until its controller has converged them."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hactl.cli.api_client.client import CLUSTERS, EVENTS, OPERATIONS, Call, Client, Refused, Unreachable
from hactl.cli.api_client.watch import revision_of
from hactl.cli.output import condition, safe
from hactl.core.kube.codec import REFERENCES, cluster_body
from hactl.ports import API_LABEL

if TYPE_CHECKING:
    from hactl.ports import Document

MANAGER = "hactl"
APPLY = "application/apply-patch+yaml"
POLL_SECONDS = 1.0
#: What holds a cluster back may be over with the next look: it is believed after so long.
SETTLE_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Handed:
    """What a server has in force after a document was handed in."""

    document: Document
    #: None: it was refused, and that is said.
    generation: int | None = None
    #: It comes from another source of the server, which says the same: nothing was to be handed in.
    kept: bool = False


def handed_in(client: Client, document: Document, *, dry_run: bool = False, force: bool = False) -> Any:
    """The object as the server has it afterwards. Raises Refused, Unreachable."""
    body = cluster_body(document.cluster)
    if client.here:
        directory = str(Path(document.directory or ".").absolute())
        body["metadata"].setdefault("annotations", {})[REFERENCES] = directory
    query = {"fieldManager": MANAGER, "force": "true" if force else "", "dryRun": "All" if dry_run else ""}
    path = f"{CLUSTERS}/{document.cluster.name}"
    return client.send(Call("PATCH", path, query, body=json.dumps(body).encode(), content_type=APPLY))


def newest_event(client: Client) -> str:
    """The revision to show events from."""
    return revision_of(client.send(Call("GET", EVENTS, {"limit": "1"})))


def hand_in(client: Client, document: Document, *, force: bool) -> Handed:
    """Hand one document in and say what came of it. Raises Unreachable."""
    name = document.cluster.name
    try:
        body = handed_in(client, document, force=force)
    except Refused as refused:
        same = _in_force(client, document) if refused.code == 403 else None
        if same is not None:
            return Handed(document, same, kept=True)
        conflict = "FieldManagerConflict" in json.dumps(refused.status)
        hint = "\n  --force-conflicts takes these fields over" if conflict else ""
        click.echo(f"{document.source}: {safe(str(refused))}{hint}", err=True)
        return Handed(document)
    generation = int(body["metadata"]["generation"])
    click.echo(f"{name}: generation {generation} is in force on {client.where}")
    return Handed(document, generation)


def _in_force(client: Client, document: Document) -> int | None:
    """The generation of the cluster, if it says the same as the document already."""
    try:
        found = client.send(Call("GET", f"{CLUSTERS}/{document.cluster.name}"))
    except Refused:
        return None
    same = found["spec"] == cluster_body(document.cluster)["spec"]
    return int(found["metadata"]["generation"]) if same else None


def nudge(client: Client) -> None:
    """Have the controller read the API's documents now: one that was taken over from a command looks like no news."""
    with contextlib.suppress(Refused, Unreachable):
        client.send(Call("POST", "/nudge", {"source": API_LABEL}))


def approve(client: Client, cluster: str, digest: str) -> None:
    """Let one plan be carried out. Raises Refused for one that cannot be approved, but not for one that is."""
    spec = {"type": "Approve", "cluster": cluster, "digest": digest}
    try:
        client.send(Call("POST", OPERATIONS, body={"spec": spec}))
    except Refused as refused:
        if refused.code != 409:
            raise


def converged(client: Client, handed: Sequence[Handed], revision: str, *, seconds: float, quiet: bool) -> list[int]:
    """Show what the controller does until each is Ready; an exit status each. Ctrl-C leaves the controller going."""
    deadline = time.monotonic() + seconds
    statuses = []
    for each in handed:
        if each.generation is None:
            statuses.append(1)
            continue
        following = _Following(client, each.document.cluster.name, each.generation, revision, quiet=quiet)
        try:
            statuses.append(following.until(deadline))
        except KeyboardInterrupt:
            click.echo("\nnot watching any more; the controller goes on with it", err=True)
            raise
    return statuses


class _Following:
    """One cluster, until it is Ready in its generation."""

    def __init__(self, client: Client, name: str, generation: int, revision: str, *, quiet: bool) -> None:
        self._client = client
        self._name = name
        self._generation = generation
        self._revision = revision
        self._quiet = quiet
        self._said = ""
        #: Monotonic seconds.
        self._stalled_since: float | None = None

    def until(self, deadline: float) -> int:
        """0 Ready, 3 held back or the time is up, 1 it is gone or another generation is in force."""
        name = self._name
        while True:
            try:
                body = self._look()
            except Unreachable as error:
                body = None
                self._say(str(error))
            if body is not None and (ended := self._judged(body)) is not None:
                return ended
            if time.monotonic() > deadline:
                click.echo(f"{name}: not there yet, time is up; the controller goes on")
                return 3
            time.sleep(POLL_SECONDS if body is None or self._quiet else 0.0)

    def _look(self) -> Mapping[str, Any]:
        if not self._quiet:
            self._revision = told(self._client, self._name, self._revision)
        body: Mapping[str, Any] = self._client.send(Call("GET", f"{CLUSTERS}/{self._name}"))
        return body

    def _judged(self, body: Mapping[str, Any]) -> int | None:
        """An exit status; None: it goes on."""
        name, generation = self._name, int(body["metadata"]["generation"])
        if generation != self._generation:
            click.echo(f"{name}: somebody else handed in generation {generation} meanwhile", err=True)
            return 1
        status = body.get("status") or {}
        if status.get("observedGeneration") != generation:
            self._say("for the controller to look")
            return None
        ready = condition(status, "Ready")
        if ready.get("status") == "True" and not condition(status, "Reconciling"):
            click.echo(f"{name}: {click.style('Ready', fg='green', bold=True)}")
            return 0
        stalled = condition(status, "Stalled")
        if not stalled or (condition(status, "Reconciling") and stalled["reason"] != "StepFailing"):
            self._stalled_since = None
            self._say(ready.get("message", "for the first look"))
            return None
        now = time.monotonic()
        if self._stalled_since is None:
            self._stalled_since = now
        if now - self._stalled_since < SETTLE_SECONDS:
            return None
        click.echo(f"{name}: {click.style('held back', fg='red', bold=True)}: {safe(stalled['message'])}")
        return 3

    def _say(self, text: str) -> None:
        """What is waited for, once."""
        if text != self._said:
            self._said = text
            click.echo(f"  {click.style('waiting', fg='cyan')}  {safe(text)}")
            sys.stdout.flush()


def told(client: Client, name: str, revision: str) -> str:
    """Print what happened to a cluster since that revision, and within a second from now; the newest one's."""
    query = {
        "fieldSelector": f"involvedObject.name={name}",
        "resourceVersion": revision,
        "watch": "true",
        "timeoutSeconds": "1",
    }
    try:
        for event in client.watch(Call("GET", EVENTS, query)):
            if event["type"] in ("ADDED", "MODIFIED"):
                _show(event["object"])
            revision = revision_of(event["object"]) or revision
    except Refused as refused:
        if refused.code != 410:
            raise
        return newest_event(client)
    return revision


def _show(event: Mapping[str, Any]) -> None:
    colour = "yellow" if event["type"] == "Warning" else None
    where = event["source"].get("host", "")
    click.echo(f"  {click.style(where, bold=True)}{'  ' if where else ''}"
               f"{click.style(safe(event['message']), fg=colour)}")  # fmt: skip
    sys.stdout.flush()
