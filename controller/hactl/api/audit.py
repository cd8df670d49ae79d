"""Every write and every refusal of one, in the history: who, from where, what."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from hactl.api.request.wire import Identity
from hactl.core.catalogue import EventKind
from hactl.core.document.problems import printable
from hactl.core.kube.errors import ApiError
from hactl.core.kube.kinds import HACLUSTERS
from hactl.errors import StoreError
from hactl.ports import History

log = logging.getLogger("hactl.api")

_CLUSTER = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LONGEST = 300


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

    def __init__(self, history: History) -> None:
        """Into that record."""
        self._history = history

    async def accepted(self, act: Act) -> None:
        """Something was changed."""
        await self._record(EventKind.REQUEST_ACCEPTED, act, str(act), {})

    async def refused(self, act: Act, refusal: ApiError) -> None:
        """Something was not changed, or not shown, and why."""
        await self._record(
            EventKind.REQUEST_REFUSED, act, f"{act}: {refusal}", {"code": refusal.code, "reason": refusal.reason}
        )

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


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
