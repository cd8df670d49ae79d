"""`/stream`: everything that changes, as server-sent events, for pages that show it.

Each event has the kind of change and the object; after everything up to a revision was told comes one with that
revision as its id. A client that reconnects sends it back (Last-Event-ID) and may see something twice, but misses
nothing. When it is too late for that, or the client was too slow, an event `gone` ends the stream: read anew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from hactl.api.cache import Entry, Subscription
from hactl.api.verbs.reads import Reader
from hactl.core.kube.errors import ApiError

#: A quiet stream says that it is alive this often, seconds: proxies cut what is silent.
ALIVE_SECONDS = 15.0

Event = Mapping[str, Any]


async def changes(reader: Reader, after: int | None) -> AsyncIterator[Event]:
    """Fields of server-sent events, for ever; `after` None: from now on."""
    feeds = await reader.everything()
    subscription = Subscription(None)
    try:
        missed: list[Entry] = []
        try:
            for feed in feeds:
                missed += [] if after is None else await feed.since(None, after)
        except ApiError as refusal:
            yield {"event": "gone", "data": refusal.status()}
            return
        # Between the last `since` and here nothing is awaited; the first feed may have changed meanwhile: told twice.
        for feed in feeds:
            feed.join(subscription)
        reached = min(feed.revision for feed in feeds)
        for entry in sorted(missed, key=lambda each: each.revision):
            yield _event(entry)
        yield _mark(reached)
        while True:
            change = await subscription.next(ALIVE_SECONDS)
            if subscription.state != "open":
                if subscription.state == "dropped":
                    yield {"event": "gone", "data": {"message": "too slow"}}
                return
            if change is not None:
                yield _event(change)
                if subscription.waiting:
                    continue
            yield _mark(min(feed.revision for feed in feeds))
    finally:
        for feed in feeds:
            feed.unsubscribe(subscription)


def _event(entry: Entry) -> Event:
    return {"event": entry.type, "data": {"resource": entry.resource, "object": entry.body}}


def _mark(revision: int) -> Event:
    return {"event": "BOOKMARK", "id": str(revision), "data": {"resourceVersion": str(revision)}}
