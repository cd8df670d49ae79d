"""Every write and every refusal of one, in the history: who, from where, what."""

from __future__ import annotations

import logging
import re
from typing import Any

from hactl.api.request.wire import Identity
from hactl.core.document.problems import printable
from hactl.core.kube.errors import ApiError
from hactl.core.kube.kinds import HACLUSTERS
from hactl.errors import StoreError
from hactl.ports import History

log = logging.getLogger("hactl.api")

_CLUSTER = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LONGEST = 300


class Audit:
    """Writes events RequestAccepted and RequestRefused."""

    def __init__(self, history: History) -> None:
        """Into that record."""
        self._history = history

    async def accepted(self, identity: Identity, verb: str, resource: str, name: str, cluster: str = "") -> None:
        """Something was changed."""
        told = f"{identity.actor} ({identity.origin}): {verb} {resource} {name}".rstrip()
        await self._record("RequestAccepted", identity, verb, resource, name, cluster, told, {})

    async def refused(
        self, identity: Identity, verb: str, resource: str, name: str, refusal: ApiError, cluster: str = ""
    ) -> None:
        """Something was not changed, or not shown, and why."""
        told = f"{identity.actor} ({identity.origin}): {verb} {resource} {name}".rstrip() + f": {refusal}"
        more = {"code": refusal.code, "reason": refusal.reason}
        await self._record("RequestRefused", identity, verb, resource, name, cluster, told, more)

    async def _record(
        self, kind: str, identity: Identity, verb: str, resource: str, name: str, cluster: str, told: str, more: Any
    ) -> None:
        about = cluster or (name if resource.partition("/")[0] == HACLUSTERS.plural else "")
        detail = {
            "actor": identity.actor,
            "origin": identity.origin,
            "verb": verb,
            "resource": resource,
            "name": _short(name),
            **more,
        }
        try:
            await self._history.record(kind, about if _CLUSTER.fullmatch(about) else "", _short(told), detail=detail)
        except StoreError as error:
            log.error("a request cannot be recorded", extra={"what": _short(told), "error": str(error)})


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
