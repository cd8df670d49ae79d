"""Services that stop by themselves: what the last status on record and a new look come to (`onFailure`).

Rules: a service failed when it ran at the last look, or hactl started it since, and it does not run now, on a node
where its group stays; not when hactl, a person's pause, a move or a reboot ended it. What is known is carried from
status to status, so it outlives the controller. Only services whose document says `onFailure` are followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hactl.core.choices import FailureAction, RunOn
from hactl.core.evidence.view import ServiceState, View
from hactl.core.facts import known, rebooted
from hactl.core.objects import GroupSpec, OnFailureSpec, ServiceSpec
from hactl.core.operations import Failures, Overrides
from hactl.core.steps import Outcome, StageOutcome
from hactl.core.verbs import Verb

#: Service and node.
Place = tuple[str, str]


def failures(
    view: View,
    previous: Mapping[str, Any] | None,
    overrides: Overrides,
    touched: Mapping[Place, datetime | None],
    wall: datetime,
) -> dict[Place, Failures]:
    """What is to be known of every service with `onFailure` that failed a while ago.

    `previous`: the last status on record. `touched`: what hactl started since that, and when; None: what it stopped.
    `wall`: the time of the look on the controller's clock.
    """
    found = {}
    recorded = on_record(previous)
    for group in view.cluster.groups:
        for spec in group.services:
            for node in group.preferred if spec.on_failure is not None else ():
                now = _Look(view, previous or {}, overrides, group, spec, node, wall.replace(microsecond=0))
                before, place = recorded.get((spec.name, node), Failures()), (spec.name, node)
                after = now.after(before, touched.get(place), stopped=place in touched and touched[place] is None)
                if after != Failures():
                    found[spec.name, node] = after
    return found


def touched(outcome: StageOutcome, wall: datetime) -> dict[Place, datetime | None]:
    """What a stage started, and when (`wall`); None: what it stopped. What surely did not run is not in it."""
    found: dict[Place, datetime | None] = {}
    for ended in outcome.ended:
        step, result = ended.step, ended.result
        if step.verb is Verb.STOP_SERVICE:
            found[step.target, step.node] = None
        elif step.verb is Verb.START_SERVICE and (
            result.exit_status is not None or result.outcome is not Outcome.FAILED
        ):
            found[step.target, step.node] = wall
    return found


class _Look:
    """One service on one node, then and now."""

    def __init__(
        self,
        view: View,
        previous: Mapping[str, Any],
        overrides: Overrides,
        group: GroupSpec,
        spec: ServiceSpec,
        node: str,
        wall: datetime,
    ) -> None:
        assert spec.on_failure is not None
        self.view, self.previous, self.overrides = view, previous, overrides
        self.group, self.spec, self.node, self.wall = group, spec, node, wall
        self.rule: OnFailureSpec = spec.on_failure

    def after(self, before: Failures, started: datetime | None, *, stopped: bool) -> Failures:
        """What was known, with what this look tells."""
        if started is not None and before.stopped_at is not None:
            before = replace(before, restarts=(*before.restarts, started.replace(microsecond=0)))
        before = self._young(before)
        active = self.view.active(self.group)
        if self.spec.run_on is RunOn.ACTIVE and active not in (None, self.node):
            # What is known is kept, so that the group does not come back for its sake; then it counts no more.
            kept = before.restarts or before.given_up_at
            return replace(before, stopped_at=None, left=True) if kept else Failures()
        if before.left and active == self.node:
            before = Failures()
        if not self._stays():
            return before
        state = self.view.service(self.spec.name, self.node)
        if state is ServiceState.RUNNING:
            up = self.rule.action is FailureAction.NOTHING
            return replace(before, stopped_at=None, given_up_at=None if up else before.given_up_at)
        if state is not ServiceState.STOPPED:
            return before
        if stopped or self._rebooted():
            return Failures(before.restarts)
        failed_now = started is not None or (before.stopped_at is None and self._ran() and self._undisturbed())
        return self._failed(before, anew=failed_now) if failed_now or before.stopped_at is not None else before

    def _failed(self, before: Failures, *, anew: bool) -> Failures:
        limit = 0 if self.rule.action is FailureAction.NOTHING else self.rule.limit
        up = before.given_up_at or (self.wall if len(before.restarts) >= limit else None)
        return replace(before, stopped_at=self.wall if anew else before.stopped_at, given_up_at=up)

    def _young(self, before: Failures) -> Failures:
        """Without what is longer ago than the document says."""
        since = self.wall - timedelta(seconds=self.rule.within_seconds)
        up = before.given_up_at
        if up is not None and up <= since and self.rule.action is not FailureAction.NOTHING:
            up = None
        return replace(before, restarts=tuple(at for at in before.restarts if at > since), given_up_at=up)

    def _stays(self) -> bool:
        """Whether the service was to run on the node at the last look, and is now."""
        people = self.overrides
        if people.paused or self.group.name in people.paused_groups:
            return False
        if self.node in people.paused_nodes or self.node in people.drained or self.node not in self.view.facts:
            return False
        if self.spec.run_on is RunOn.ALL:
            return True
        was: Mapping[str, Any] = next((g for g in self.previous.get("groups", ()) if g["name"] == self.group.name), {})
        there = was.get("active") == was.get("goal") == self.node == self.view.active(self.group)
        return there and people.moves.get(self.group.name, self.node) == self.node

    def _undisturbed(self) -> bool:
        """Whether no other node has an address of the group: else the node's own hook stops its services."""
        if self.spec.run_on is RunOn.ALL:
            return True
        return all(master == self.node for vip in self.group.virtual_ips for master in self.view.masters(vip))

    def _ran(self) -> bool:
        """Whether it ran when it was last known to do anything."""
        for group in self.previous.get("groups", ()):
            for service in group.get("services", ()):
                if service["name"] == self.spec.name:
                    state = service["states"].get(self.node)
                    return state == "Running" or (state == "Unknown" and self._last_known() == "Running")
        return False

    def _last_known(self) -> str | None:
        key = ("service", self.spec.name, self.node)
        entries = self.previous.get("lastKnown", ())
        return next((e["state"] for e in entries if (e["what"], e["name"], e["node"]) == key), None)

    def _rebooted(self) -> bool:
        was = next((n.get("lastBootTime") for n in self.previous.get("nodes", ()) if n["name"] == self.node), None)
        system = known(self.view.facts[self.node].system)
        if not was or system is None:
            return False
        return rebooted(was, datetime.fromtimestamp(system.boot_epoch, UTC).isoformat())


# --- on record ----------------------------------------------------------------------------------------------------


def as_recorded(found: Mapping[Place, Failures], service: str) -> dict[str, Any]:
    """Node -> what is known of the service there, as a status keeps it."""
    return {
        node: {
            "restarts": [_text(at) for at in each.restarts],
            "stoppedAt": _text(each.stopped_at),
            "givenUpAt": _text(each.given_up_at),
            "left": each.left,
        }
        for (name, node), each in found.items()
        if name == service
    }


def on_record(status: Mapping[str, Any] | None) -> dict[Place, Failures]:
    """What a status keeps of services that stopped by themselves."""
    return {
        (service["name"], node): Failures(
            tuple(datetime.fromisoformat(at) for at in kept["restarts"]),
            _moment(kept["stoppedAt"]),
            _moment(kept["givenUpAt"]),
            kept["left"],
        )
        for group in (status or {}).get("groups", ())
        for service in group.get("services", ())
        for node, kept in service.get("failures", {}).items()
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
