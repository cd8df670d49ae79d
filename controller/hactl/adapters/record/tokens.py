"""What is done to the tokens of the record: made, used, revoked. Their digests are in no event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from hactl.adapters.record.backend import Tables
from hactl.adapters.record.rows import stored_time
from hactl.core.catalogue import EventKind
from hactl.errors import AlreadyExists


def create_token(tables: Tables, name: str, digest: str, *, role: str, actor: str, expires_at: datetime | None) -> None:
    """See `hactl.ports.Tokens`. The event never has the digest."""
    created, until = stored_time(tables.now()), None if expires_at is None else stored_time(expires_at)
    with tables.writing():
        if any(row["name"] == name for row in tables.tokens()):
            raise AlreadyExists(f"there is a token {name} already")
        row = {"name": name, "digest": digest, "role": role}
        tables.insert_token(
            row | {"created_at": created, "created_by": actor, "expires_at": until, "last_used_at": None}
        )
        detail = {"name": name, "role": role, "actor": actor, "expiresAt": until}
        lasting = f" until {until}" if until else ""
        tables.event(EventKind.TOKEN_CREATED, "", f"token {name} ({role}){lasting} made by {actor}", None, detail)


def use_tokens(tables: Tables, uses: Mapping[str, datetime]) -> None:
    """See `hactl.ports.Tokens`."""
    with tables.writing():
        for name, at in uses.items():
            tables.use_token(name, stored_time(at))


def revoke_token(tables: Tables, name: str, actor: str) -> bool:
    """See `hactl.ports.Tokens`."""
    with tables.writing():
        gone = tables.delete_token(name)
        if gone:
            tables.event(
                EventKind.TOKEN_REVOKED, "", f"token {name} revoked by {actor}", None, {"name": name, "actor": actor}
            )
    return gone
