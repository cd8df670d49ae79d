"""A request and its answer as values, without HTTP: what `api.service` takes and gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: From least to most; each may do what the ones before may.
Role = Literal["viewer", "operator", "editor", "admin"]

_ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks."""

    #: For the history: `user@host`, `token:ci`, `cert:alice`, `anonymous`.
    actor: str
    role: Role | None
    #: Where from: `unix`, an address, `local` (this process).
    origin: str
    groups: tuple[str, ...] = ()

    @property
    def is_anonymous(self) -> bool:
        """Nobody said who asks."""
        return self.role is None and self.actor == _ANONYMOUS


def anonymous(origin: str) -> Identity:
    """Who has no credential."""
    return Identity(_ANONYMOUS, None, origin)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `path` is decoded and has no query; header names are lower-case."""

    method: str
    path: str
    identity: Identity
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer: a value to be sent as JSON, bytes of another type, or a stream of values, one a line."""

    status: int = 200
    body: Any = None
    #: Sent as it is when not None.
    raw: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    #: A watch: each value is one line of JSON. Ends when the watch ends.
    stream: AsyncIterator[Mapping[str, Any]] | None = None
