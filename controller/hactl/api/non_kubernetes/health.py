"""Answers for machines that only look at the status code: load balancers, supervisors, monitoring.

200 means yes, 503 means no or not known; what is too old to be believed is not known. The text says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hactl.api.request.wire import Response
from hactl.core.kube.errors import no_such_path
from hactl.core.status.freshness import FRESH_SECONDS, is_fresh


def plain(status: int, text: str) -> Response:
    """One line of text."""
    return Response(status, raw=f"{text}\n".encode(), content_type="text/plain; charset=utf-8")


def active(
    status: Mapping[str, Any] | None, now: datetime, *, group: str = "", limit: float = FRESH_SECONDS
) -> Response:
    """`/clusters/NAME/active[?group=G]`: 200 and the node that has the group (or every group).

    Raises ApiError 404 for a cluster or group there is not.
    """
    nodes = {each["active"] for each in _groups(status, group)}
    if not is_fresh(status, now, limit):
        return plain(503, "unknown: nobody has looked for too long")
    if len(nodes) != 1:
        return plain(503, f"apart: {', '.join(sorted(node or 'nobody' for node in nodes))}")
    node = nodes.pop()
    return plain(200, node) if node else plain(503, "nobody")


def role(
    status: Mapping[str, Any] | None, node: str, now: datetime, *, group: str = "", limit: float = FRESH_SECONDS
) -> Response:
    """`/clusters/NAME/nodes/NODE/role[?group=G]`: 200 `active` where the group (or every group) is, else 503.

    Raises ApiError 404 for a cluster, group or node there is not.
    """
    groups = _groups(status, group)
    if node not in {each["name"] for each in (status or {}).get("nodes", ())}:
        raise no_such_path()
    if not is_fresh(status, now, limit) or all(each["active"] is None for each in groups):
        return plain(503, "unknown")
    return plain(200, "active") if all(each["active"] == node for each in groups) else plain(503, "standby")


def _groups(status: Mapping[str, Any] | None, group: str) -> list[Mapping[str, Any]]:
    found = [each for each in (status or {}).get("groups", ()) if group in ("", each["name"])]
    if not found:
        raise no_such_path()
    return found
