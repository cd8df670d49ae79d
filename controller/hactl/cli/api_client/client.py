"""What a command asks of the API and what comes back, whoever answers: a server (`remote`) or this process (`local`).

Both give the same answers, because without a server the API's own `Service` answers, on the record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from hactl.errors import HactlError

CLUSTERS = "/apis/hactl.dev/v1alpha1/namespaces/default/haclusters"
OPERATIONS = "/apis/hactl.dev/v1alpha1/namespaces/default/haoperations"
EVENTS = "/api/v1/namespaces/default/events"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
JSON = "application/json"


class StatusError(HactlError):
    """The API refused; `status` is its Status object."""

    def __init__(self, code: int, status: Mapping[str, Any], hint: str = "") -> None:
        """Keep what it said; the message is for people, with every cause on its line."""
        self.code = code
        self.status = status
        self.reason = str(status.get("reason", ""))
        causes = (status.get("details") or {}).get("causes") or ()
        text = str(status.get("message") or f"the server answered {code}")
        lines: list[str] = []
        if self.reason == "Invalid" and len(causes) > 1:
            # The message has all of them in one line.
            text = text.partition(": [")[0]
            lines = [f"  {cause.get('field', '')}: {cause.get('message', '')}" for cause in causes]
        super().__init__("\n".join([text, *lines, *([hint] if hint else [])]))


class Unreachable(HactlError):
    """Nobody answers at the server's address, or not as hactl does."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    accept: str = JSON

    @property
    def data(self) -> bytes:
        """The body as it is sent."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        query = urlencode(self.parameters)
        return quote(self.path) + (f"?{query}" if query else "")

    @property
    def parameters(self) -> Mapping[str, str]:
        """The query without what is empty."""
        return {key: value for key, value in self.query.items() if value}


class Client(Protocol):
    """The API, for commands."""

    #: Who is asked, for messages.
    where: str
    #: Whether that is on this machine, where a document's files are beside it.
    here: bool
    #: Whether a server answers: then a controller works on what there is.
    served: bool
    #: The record behind it, when that is on this machine: from here the nodes can be looked at.
    record: Path | None

    def send(self, call: Call) -> Any:
        """The answer's value. Raises StatusError, Unreachable."""
        ...

    def watch(self, call: Call, *, quiet_seconds: float | None = None) -> Iterator[Mapping[str, Any]]:
        """The events of a watch until the server ends it, or nothing came for so long. Raises Unreachable, and
        StatusError also for an event.
        """
        ...


def checked(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """An event of a watch. Raises StatusError for the one that tells an error."""
    if event.get("type") == "ERROR":
        status = event.get("object") or {}
        raise StatusError(int(status.get("code") or 500), status)
    return event


def new_token(name: str, role: str, until: datetime | None) -> Call:
    """Make a token: its name, role, end and the token itself."""
    return Call(
        "POST", "/tokens", body={"name": name, "role": role, **({"expiresAt": until.isoformat()} if until else {})}
    )
