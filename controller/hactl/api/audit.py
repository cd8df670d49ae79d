"""Every write and every refusal of one, in the history: who, from where, what.

- Who is not known leaves nothing in the record, which is for the operators: one line a minute and address in the log.
- Somebody known who is refused again and again has a few rows a minute, and the number of the rest in the log.
- A lease that is renewed every few seconds is no history: its making and its end are.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from hactl.api.limits import Tally, network_of
from hactl.api.request.wire import Identity
from hactl.core.catalogue import EventKind
from hactl.core.document.problems import printable
from hactl.core.kube.errors import ApiError
from hactl.core.kube.kinds import HACLUSTERS, LEASES
from hactl.errors import StoreError
from hactl.ports import Clock, History

log = logging.getLogger("hactl.api")

_CLUSTER = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LONGEST = 300
#: Refusals of one actor within a minute that are rows of the history.
REFUSALS_KEPT = 10
#: Actors who are told apart in that; the rest share one count.
_ACTORS = 1000


class Act(NamedTuple):
    """What somebody asked for."""

    identity: Identity
    verb: str
    resource: str
    name: str = ""
    #: The cluster it is about, where that is not the object itself.
    cluster: str = ""

    def __str__(self) -> str:
        """For people: `carol@local (unix): patch haclusters nas`."""
        return f"{self.identity.actor} ({self.identity.origin}): {self.verb} {self.resource} {self.name}".rstrip()


class Audit:
    """Writes events RequestAccepted and RequestRefused."""

    def __init__(self, history: History, clock: Clock) -> None:
        """Into that record."""
        self._history = history
        self._strangers = Tally(clock, _more_strangers)
        self._refused = Tally(clock, _more_refusals, at_once=REFUSALS_KEPT, keys=_ACTORS)

    def flush(self, *, end: bool = False) -> None:
        """Say how many there were in the minutes that are over, at the `end` in all; to be called now and then."""
        self._strangers.flush(end=end)
        self._refused.flush(end=end)

    async def accepted(self, act: Act) -> None:
        """Something was changed."""
        if act.resource == LEASES.plural and act.verb in ("update", "patch"):
            return
        await self._record(EventKind.REQUEST_ACCEPTED, act, str(act), {})

    def stranger(self, address: str, what: str) -> None:
        """Somebody nobody knows did something that is worth a line."""
        if self._strangers.seen(network_of(address), _short(what)):
            log.info("a stranger was refused", extra={"address": address, "what": _short(what)})

    async def refused(self, act: Act, refusal: ApiError) -> None:
        """Something was not changed, or not shown, and why."""
        if act.identity.is_anonymous:
            self.stranger(act.identity.origin, f"{act}: {refusal}")
        elif self._refused.seen(act.identity.actor, _short(f"{act}: {refusal}")):
            more = {"code": refusal.code, "reason": refusal.reason}
            await self._record(EventKind.REQUEST_REFUSED, act, f"{act}: {refusal}", more)

    async def _record(self, kind: EventKind, act: Act, summary: str, more: Mapping[str, Any]) -> None:
        about = act.cluster or (act.name if act.resource.partition("/")[0] == HACLUSTERS.plural else "")
        detail = {
            "actor": act.identity.actor,
            "origin": act.identity.origin,
            "verb": act.verb,
            "resource": act.resource,
            "name": _short(act.name),
            **more,
        }
        cluster = about if _CLUSTER.fullmatch(about) else ""
        try:
            await self._history.record(kind, cluster, _short(summary), detail=detail)
        except StoreError as error:
            log.error("a request cannot be recorded", extra={"what": _short(summary), "error": str(error)})


def _more_strangers(address: str, last: str, more: int) -> None:
    log.info("strangers were refused", extra={"address": address, "times": more, "last": last})


def _more_refusals(actor: str, last: str, more: int) -> None:
    log.warning("more was refused than the history keeps", extra={"who": actor, "times": more, "last": last})


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
