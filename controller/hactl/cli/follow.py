"""What happens to clusters, shown as it happens: every step as it begins and ends, and what is waited for.

Everything is read from the API: steps from events, the stage they belong to and what holds a cluster back from its
status. It is the same whether a controller works or this process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from hactl.cli.api_client.client import CLUSTERS, EVENTS, Call, Client, StatusError, Unreachable
from hactl.cli.api_client.watch import revision_of
from hactl.cli.output import safe
from hactl.core.kube.kinds import STEP_COMMAND, STEP_OUTCOME, STEP_OUTPUT, STEP_REASON, STEP_SECONDS, STEP_WHY

_LIST = Call("GET", CLUSTERS)
#: What a round waits for something to happen: of work done here little, since its end is seen between two rounds only.
ROUND_SECONDS = 1.0
ROUND_SECONDS_HERE = 0.2
#: Between two tries to reach a server that does not answer.
RETRY_SECONDS = 1.0
#: After so long what was on record before is news: whoever works has looked, and it is still so.
FIRST_LOOK_SECONDS = 5.0
#: How long the end of a step is waited for that began before what was wanted was there.
LAST_STEPS_SECONDS = 10.0
MARKS = {"Done": ("done", "green"), "Failed": ("failed", "red"), "Indeterminate": ("unknown", "yellow")}


def newest_event(client: Client) -> str:
    """The revision to show events from."""
    if client.record is not None and not client.record.exists():
        return "0"
    return revision_of(client.send(Call("GET", EVENTS, {"limit": "1"})))


class Following:
    """Follows some clusters from now on."""

    def __init__(
        self, client: Client, names: Sequence[str], seconds: float, *, revision: str = "", quiet: bool = False
    ) -> None:
        """For `seconds`, from that revision on; `quiet`: without the steps."""
        self._client = client
        self._revision = revision or newest_event(client)
        self._deadline = time.monotonic() + seconds
        self.screens = {name: Screen(name if len(names) > 1 else "", quiet=quiet) for name in names}
        self._bodies: dict[str, Mapping[str, Any]] = {}
        self._rounds = 0
        self._began = time.monotonic()
        #: Cluster -> its revision when we began.
        self._first: dict[str, str] = {}

    def status(self, name: str) -> Mapping[str, Any]:
        """The newest status of a cluster; empty: nobody has looked."""
        return self._bodies.get(name, {}).get("status") or {}

    def revision_of(self, name: str) -> str:
        """The revision of a cluster when it was looked at last."""
        return revision_of(self._bodies.get(name, {}))

    def rounds(self, *, endless: bool) -> Iterator[dict[str, Mapping[str, Any]]]:
        """The clusters' objects by name, again and again; in between what happened is shown.

        Until the time is up, or `endless`: work that is done here keeps to its time by itself.
        """
        while True:
            try:
                self.refresh()
                before = {name: screen.shown for name, screen in self.screens.items()}
                yield self._bodies
                self._rounds += 1
                if not endless and time.monotonic() > self._deadline:
                    return
                self.show()
            except Unreachable as error:
                for screen in self.screens.values():
                    screen.waits([str(error)])
                if not endless and time.monotonic() > self._deadline:
                    return
                time.sleep(RETRY_SECONDS)
                continue
            for name, screen in self.screens.items():
                if screen.shown == before[name] and self._is_news(name):
                    screen.waits(waits(self.status(name)))

    def _is_news(self, name: str) -> bool:
        """Whether the status is more than what was on record when we began: that may be long over."""
        changed = self.revision_of(name) != self._first.get(name)
        return changed or time.monotonic() - self._began > FIRST_LOOK_SECONDS

    def refresh(self) -> None:
        """Read the clusters as they are now."""
        self._bodies = {body["metadata"]["name"]: body for body in self._client.send(_LIST)["items"]}
        self._first = self._first or {name: revision_of(body) for name, body in self._bodies.items()}

    def last(self, revision: str = "") -> None:
        """Show what happened since, up to that revision, before something is said about how it ended; and how steps
        ended whose beginning was shown already.
        """
        if self._rounds:
            self.show(revision)
        end = time.monotonic() + LAST_STEPS_SECONDS
        while any(screen.running for screen in self.screens.values()) and time.monotonic() < end:
            self.show()

    def show(self, last: str = "") -> None:
        """Show what happened since, and while something happens, for a second at most; nothing that is newer than
        revision `last`.
        """
        query = {"resourceVersion": self._revision, "watch": "true", "timeoutSeconds": "1"}
        if len(self.screens) == 1:
            query["fieldSelector"] = f"involvedObject.name={next(iter(self.screens))}"
        try:
            quiet = ROUND_SECONDS if self._client.served else ROUND_SECONDS_HERE
            for event in self._client.watch(Call("GET", EVENTS, query), quiet_seconds=quiet):
                body = event["object"]
                if last and int(revision_of(body) or 0) > int(last):
                    return
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._show(body)
                self._revision = revision_of(body) or self._revision
        except StatusError as refused:
            if refused.code != 410:
                raise
            self._revision = newest_event(self._client)

    def _show(self, event: Mapping[str, Any]) -> None:
        screen = self.screens.get(event["involvedObject"].get("name", ""))
        if screen is None or STEP_WHY not in event["metadata"].get("annotations", {}):
            return
        if screen.is_new(event):
            screen.stage(self._plan_at(event["involvedObject"]["name"], revision_of(event)))
        screen.step(event)

    def _plan_at(self, name: str, revision: str) -> Mapping[str, Any]:
        """The plan that a step belongs to: what the status said when it was on record; empty: not known any more."""
        query = {"resourceVersion": revision, "resourceVersionMatch": "Exact", "fieldSelector": f"metadata.name={name}"}
        try:
            found = self._client.send(Call("GET", CLUSTERS, query))["items"]
        except StatusError as refused:
            if refused.code not in (410, 504):
                raise
            return {}
        plan: Mapping[str, Any] = (found[0].get("status") or {}).get("plan") or {} if found else {}
        return plan


def waits(status: Mapping[str, Any]) -> list[str]:
    """What a cluster waits for, by its status."""
    return [hold["message"] for hold in status.get("holds", ())] or list(status.get("failing", {}).values())


class Screen:
    """What is printed about one cluster."""

    def __init__(self, prefix: str, *, quiet: bool) -> None:
        """`prefix` tells clusters apart when there are several."""
        self._prefix = f"{prefix}: " if prefix else ""
        self._quiet = quiet
        self._digest = ""
        self._waits: list[str] = []
        self._begun: set[str] = set()
        #: Steps that were shown to begin and not to end.
        self.running: set[str] = set()
        #: Node -> the step whose beginning is the last line about that node; empty: that line tells something else.
        self._latest: dict[str, str] = {}
        #: How many lines about steps.
        self.shown = 0
        self.done = 0
        #: Steps nobody knows the end of.
        self.unknown: list[str] = []

    def say(self, text: str) -> None:
        """One line, at once."""
        click.echo(f"{self._prefix}{text}")
        sys.stdout.flush()

    def stage(self, plan: Mapping[str, Any]) -> None:
        """What comes next, once for each plan."""
        if not plan.get("next") or plan["digest"] == self._digest:
            return
        self._digest = plan["digest"]
        left = f"{plan['steps']} step{'s' if plan['steps'] != 1 else ''} to go"
        self._say(f"{click.style(plan['next']['title'], bold=True)}  ({left})")

    def is_new(self, event: Mapping[str, Any]) -> bool:
        """Whether nothing of that step was shown yet."""
        return event["metadata"]["name"] not in self._begun

    def step(self, event: Mapping[str, Any]) -> None:
        """A step begins, or ends: what it printed comes with its end."""
        name, fields = event["metadata"]["name"], event["metadata"]["annotations"]
        host = event["source"].get("host", "")
        node = click.style(host, bold=True)
        if self.is_new(event):
            self._begun.add(name)
            self.running.add(name)
            self._latest[host] = name
            self._say(f"  {node}  {safe(fields[STEP_COMMAND])}  {click.style(safe(fields[STEP_WHY]), dim=True)}")
        outcome = fields.get(STEP_OUTCOME)
        if outcome is None:
            return
        self.running.discard(name)
        for line in filter(str.strip, fields.get(STEP_OUTPUT, "").splitlines()):
            self._say(f"      {click.style('|', dim=True)} {safe(line)}")
        self.done += outcome == "Done"
        if outcome == "Indeterminate":
            self.unknown.append(f"{host} {fields[STEP_COMMAND]}")
        word, colour = MARKS[outcome]
        reason = f": {safe(fields[STEP_REASON])}" if fields.get(STEP_REASON) else ""
        # Of several that share an exec, each says which one ended.
        which = "" if self._latest.get(host) == name else f"  {click.style(safe(fields[STEP_COMMAND]), dim=True)}"
        self._latest[host] = ""
        self._say(f"  {node}  {click.style(word, fg=colour)} in {fields[STEP_SECONDS]} s{which}{reason}")

    def _say(self, text: str) -> None:
        self.shown += 1
        if not self._quiet:
            self.say(text)

    def waits(self, reasons: list[str]) -> None:
        """Nothing happens right now: say why, once."""
        if reasons != self._waits:
            self._waits = reasons
            for reason in reasons:
                self.say(f"  {click.style('waiting', fg='cyan')}  {safe(reason)}")
