"""What happened, and why a cluster is as it is, for who is not on the controller's machine.

`GET /history` is the record's own history; `GET /clusters/NAME/why` explains from what the controller saw last. No node
is asked because somebody reads: the ages of the facts are in the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from hactl.api.request.payload import flag, to_number
from hactl.api.request.wire import Request, Response
from hactl.api.workers import Lane
from hactl.core.catalogue import EventKind
from hactl.core.kube.codec import moment_of
from hactl.core.kube.errors import ApiError, bad_request
from hactl.core.why.answer import WHATS, Question, explanation_data
from hactl.core.why.looked import FIGHT_HOURS, Seen, answer
from hactl.ports import Clock, History

#: Rows of one answer, unless it says less; more takes several questions with `until`.
MOST_ROWS = 5000
USUAL_ROWS = 200
_TEXTS = ("cluster", "node", "kind")
_TIMES = ("since", "until")


async def past(request: Request, record: History, lane: Lane) -> Response:
    """`GET /history`: events and steps, the newest `limit` of them, oldest first. Raises ApiError."""
    query = _query(request.query)
    rows = await record.history(query)
    return Response(body=await lane.run(request.identity.actor, lambda: {"items": [dict(row) for row in rows]}))


def _query(asked: Mapping[str, str]) -> dict[str, Any]:
    """As `History.history` takes it. Raises ApiError for what it does not understand."""
    known = (*_TEXTS, *_TIMES, "limit", "failed")
    if unknown := [key[:100] for key in asked if key not in known]:
        raise bad_request(f"{', '.join(unknown)}: known are {', '.join(known)}")
    query: dict[str, Any] = {key: asked[key] for key in _TEXTS if asked.get(key)}
    if "kind" in query and query["kind"] != "Step" and query["kind"] not in set(EventKind):
        raise bad_request(f"kind: Step, {', '.join(EventKind)}")
    for key in _TIMES:
        if asked.get(key):
            query[key] = moment_of(asked[key])
            if query[key] is None:
                raise bad_request(f"{key}: a time, as 2026-11-24T03:00:00Z")
    query["limit"] = to_number(asked["limit"], "limit") if asked.get("limit") else USUAL_ROWS
    if not 1 <= query["limit"] <= MOST_ROWS:
        raise bad_request(f"limit: 1 to {MOST_ROWS}")
    return {**query, "failed": True} if flag(asked, "failed") else query


async def explained(
    request: Request,
    cluster: str,
    seen: Seen | None,
    status: Mapping[str, Any] | None,
    record: History,
    clock: Clock,
    lane: Lane,
) -> Response:
    """`GET /clusters/NAME/why[?group=&node=&what=]`: one explanation for the group, or for each. Raises ApiError."""
    if seen is None:
        words = f"nobody looks at {cluster[:100]} here: there is no such cluster, or no controller has looked yet"
        raise ApiError(404, "NotFound", words)
    questions = _questions(seen, request.query)
    rows = await record.history({"cluster": cluster, "since": clock.now() - timedelta(hours=FIGHT_HOURS)})
    now = clock.monotonic()

    def answers() -> Sequence[Mapping[str, Any]]:
        return [
            explanation_data(cluster, answer(seen, each, now=now, status=status, rows=tuple(rows)))
            for each in questions
        ]

    return Response(body={"items": await lane.run(request.identity.actor, answers)})


def _questions(seen: Seen, asked: Mapping[str, str]) -> list[Question]:
    """What is asked: why a group, or each, is as it is; or why a node is not what it might be. Raises ApiError."""
    names = [group.name for group in seen.cluster.groups]
    group, node, what = (asked.get(key) or None for key in ("group", "node", "what"))
    if group is not None and group not in names:
        raise bad_request(f"{seen.cluster.name} has no group {group[:100]}; it has {', '.join(names)}")
    if node is None:
        if what is not None:
            raise bad_request("what: of which node? name it with node")
        return [Question(group=name) for name in names if group in (None, name)]
    wanted = next((each for each in WHATS if each == (what or "active")), None)
    if wanted is None:
        raise bad_request(f"what: {', '.join(WHATS)}")
    takes_part = [each.name for each in seen.cluster.groups if node in each.preferred and group in (None, each.name)]
    if not takes_part:
        raise bad_request(f"{node[:100]} is in no such group of {seen.cluster.name}")
    return [Question(group=group, node=node, what=wanted)]
