"""Between what hactl says and what stands in the tables: times, statuses without their ages, history rows.

Pure functions, shared by the real store and the one in memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from hactl.core.catalogue import EventKind
from hactl.core.steps import Outcome
from hactl.errors import Busy, StoreError, TooOld
from hactl.ports import Document

#: What `begin_step` takes, all of it and nothing else.
STEP_KEYS: Final = (
    "cluster",
    "generation",
    "plan",
    "node",
    "verb",
    "target",
    "command",
    "risk",
    "why",
    "actor",
    "cause",
)
#: What `history` understands.
QUERY_KEYS: Final = frozenset({"cluster", "node", "kind", "since", "until", "limit", "failed"})
HISTORY_LIMIT: Final = 1000
#: Of a step's output, this many characters are kept.
TEXT_LIMIT: Final = 64 * 1024
#: What an event takes besides its texts, about: time, kind, cluster, numbers, indexes, bytes; and a step or document.
EVENT_ROW_BYTES: Final = 200
STEP_ROW_BYTES: Final = 400
#: Kinds a step row has: before and after its outcome is known. `kind: "Step"` asks for both.
STEP_BEGUN: Final = EventKind.STEP_BEGUN.value
STEP_ENDED: Final = EventKind.STEP_ENDED.value
NOT_DONE: Final = (Outcome.FAILED.value, Outcome.INDETERMINATE.value)
#: Events that count as failed in a query.
FAILED_EVENTS: Final = tuple(
    # A document that was taken away is worth a warning, but nothing failed.
    kind.value
    for kind in EventKind
    if kind.warning and kind is not EventKind.DOCUMENT_VANISHED
)
CONTROLLER_DIED: Final = "controller died"


def stored_time(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def bound_text(moment: Any) -> str:
    """A bound of a query: a datetime (naive means UTC) or ISO 8601 text. Raises ValueError."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if not isinstance(moment, datetime):
        raise ValueError(f"a time is a datetime or ISO 8601 text, not {type(moment).__name__}")
    return stored_time(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def seconds_between(earlier: str, later: datetime) -> float:
    """Age of a stored time; never negative, the wall clock may have been set back."""
    return max(0.0, (later - datetime.fromisoformat(earlier)).total_seconds())


def canonical(value: Any) -> str:
    """JSON with sorted keys. Raises StoreError for what is not JSON."""
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise StoreError(f"cannot record what is not JSON: {error}") from error


def shortened(text: str) -> str:
    """At most TEXT_LIMIT characters: the end is what tells how something failed."""
    if len(text) <= TEXT_LIMIT:
        return text
    cut = len(text) - TEXT_LIMIT
    return f"[{cut} characters not kept]\n{text[cut:]}"


def document_row(document: Document, generation: int, *, actor: str, origin: str, at: str) -> dict[str, Any]:
    """A document as a generation."""
    return {
        "cluster": document.cluster.name,
        "generation": generation,
        "digest": document.digest,
        "source": document.source,
        "directory": document.directory,
        "actor": actor,
        "at": at,
        "text": document.text,
        "origin": origin,
        "revision": document.revision,
        "author": document.author,
        "revised_at": document.revised_at,
    }


def step_fields(intent: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of an intent, in STEP_KEYS' order. Raises StoreError when keys are missing or unknown."""
    missing = [key for key in STEP_KEYS if key not in intent]
    unknown = sorted(set(intent) - set(STEP_KEYS))
    if missing or unknown:
        raise StoreError(f"does not take this intent: missing {missing}, unknown {unknown}")
    return {key: int(intent[key]) if key == "generation" else str(intent[key]) for key in STEP_KEYS}


def check_newest(cluster: str, wanted: int, newest: int, managed: bool) -> None:
    """Refuse a step that was planned from knowledge which is no longer the newest. Raises Busy."""
    if not managed:
        raise Busy(f"cluster {cluster} is not managed (any more): no document of it is in force")
    if wanted != newest:
        raise Busy(f"cluster {cluster} has generation {newest} by now; this plan is for generation {wanted}")


def check_query(query: Mapping[str, Any]) -> tuple[str | None, str | None, int]:
    """The bounds of a query as text, and its limit. Raises ValueError for a key or value it does not know."""
    if unknown := sorted(set(query) - QUERY_KEYS):
        raise ValueError(f"history knows no filter {', '.join(unknown)}")
    since, until = (bound_text(query[key]) if query.get(key) is not None else None for key in ("since", "until"))
    limit = query.get("limit")
    return since, until, HISTORY_LIMIT if limit is None else max(0, int(limit))


def event_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """An event as people get it."""
    detail = row["detail"]
    return {
        "id": row["id"],
        "at": row["at"],
        "kind": row["kind"],
        "cluster": row["cluster"],
        "node": row["node"],
        "summary": row["summary"],
        "detail": None if detail is None else json.loads(detail),
    }


def step_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A step as people get it: `kind` StepBegun while it runs, StepEnded afterwards."""
    outcome = row["outcome"]
    head = {
        "id": row["id"],
        "at": row["at"],
        "kind": STEP_BEGUN if outcome is None else STEP_ENDED,
        "cluster": row["cluster"],
        "node": row["node"],
        "summary": f"{row['verb']} {row['target']}: {outcome or 'running'}",
    }
    rest = {key: row[key] for key in STEP_KEYS if key not in head}
    tail = {key: row[key] for key in ("ended_at", "outcome", "exit_status", "output", "seconds")}
    return head | rest | tail


def merged(rows: Sequence[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The newest `limit` rows in the order they were written, newest last."""
    ordered = sorted(rows, key=lambda row: row["id"])
    return ordered[max(0, len(ordered) - limit) :]


def by_revision(rows: Sequence[dict[str, Any]], after: int | None, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` rows (`after` None), or the oldest, in the order of their revisions."""
    ordered = sorted(rows, key=lambda row: row["revision"])
    return ordered[max(0, len(ordered) - limit) :] if after is None else ordered[:limit]


def check_kept(revision: int, newest: int, forgotten: int) -> None:
    """Raises TooOld: for a revision before what is kept, and for one of another record."""
    if revision < forgotten:
        raise TooOld(f"changes up to revision {forgotten} are no longer kept; {revision} is before that")
    if revision > newest:
        raise TooOld(f"revision {revision} is not of this record: its newest is {newest}")
