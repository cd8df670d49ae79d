"""Changes as they happen, for as long as a person wants: a watch that outlives the server's restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import click

from hactl.cli.api_client.client import Call, Client, StatusError, Unreachable
from hactl.cli.output import safe

#: Between two tries to reach a server that does not answer.
RETRY_SECONDS = 1.0
#: Refusals that pass: too many requests, the record cannot be read right now.
_PASSING = (429, 503)


def revision_of(found: Mapping[str, Any]) -> str:
    """The resourceVersion of a list, an object, or an object that is shown as a row of a table."""
    version = (found.get("metadata") or {}).get("resourceVersion")
    if not version and (rows := found.get("rows")):
        version = revision_of(rows[-1].get("object") or {})
    return str(version or "")


def follow(client: Client, call: Call, revision: str, *, again: Callable[[], str]) -> Iterator[Mapping[str, Any]]:
    """The changes after `revision`, for ever. Raises StatusError for what does not pass by itself.

    `again` is called when changes were missed (410): it shows what there is now, and returns its revision. A server
    that does not answer is reported once, on standard error, and tried again.
    """
    silent = False
    while True:
        query = {**call.query, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": revision}
        began = time.monotonic()
        try:
            for event in client.watch(replace(call, query=query)):
                silent = False
                revision = revision_of(event["object"]) or revision
                if event["type"] != "BOOKMARK":
                    yield event
        except Unreachable as error:
            if not silent:
                click.echo(f"hactl: {safe(str(error))}; trying again", err=True)
            silent = True
        except StatusError as refused:
            if refused.code == 410:
                revision = _tried(again) or revision
            elif refused.code not in _PASSING:
                raise
        time.sleep(max(0.0, RETRY_SECONDS - (time.monotonic() - began)))


def _tried(again: Callable[[], str]) -> str:
    try:
        return again()
    except Unreachable:
        # The next try to watch says so.
        return ""
