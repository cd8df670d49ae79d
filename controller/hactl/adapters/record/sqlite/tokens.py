"""Tokens of the API in SQLite: only their sha256 is kept, with an event for each that comes and goes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from hactl.adapters.record.rows import time_text
from hactl.errors import AlreadyExists

KEYS: Final = ("name", "digest", "role", "created_at", "created_by", "expires_at")

Event = Callable[[str, str, str, str | None, Any], None]


def insert_token(connection: sqlite3.Connection, row: dict[str, Any]) -> None:
    """Raises AlreadyExists for a name in use."""
    if connection.execute("SELECT 1 FROM tokens WHERE name = ?", (row["name"],)).fetchone() is not None:
        raise AlreadyExists(f"there is a token {row['name']} already")
    places = ", ".join(f":{key}" for key in KEYS)
    connection.execute(f"INSERT INTO tokens ({', '.join(KEYS)}) VALUES ({places})", row)


def delete_token(connection: sqlite3.Connection, name: str) -> bool:
    """False: there was none."""
    return connection.execute("DELETE FROM tokens WHERE name = ?", (name,)).rowcount == 1


def list_tokens(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """See `hactl.ports.Objects.tokens`."""
    rows = connection.execute(f"SELECT {', '.join(KEYS)} FROM tokens ORDER BY name").fetchall()
    return [dict(zip(KEYS, tuple(row), strict=True)) for row in rows]


def token_row(
    name: str, *, digest: str, role: str, actor: str, now: datetime, expires_at: datetime | None
) -> dict[str, Any]:
    """A new token as it is kept."""
    until = None if expires_at is None else time_text(expires_at)
    return {
        "name": name,
        "digest": digest,
        "role": role,
        "created_at": time_text(now),
        "created_by": actor,
        "expires_at": until,
    }


def record_created(event: Event, row: dict[str, Any]) -> None:
    """The event of a new token; never its digest."""
    until = f" until {row['expires_at']}" if row["expires_at"] else ""
    detail = {"name": row["name"], "role": row["role"], "actor": row["created_by"], "expiresAt": row["expires_at"]}
    summary = f"token {row['name']} ({row['role']}){until} made by {row['created_by']}"
    event("TokenCreated", "", summary, None, detail)


def record_revoked(event: Event, name: str, actor: str) -> None:
    """The event of a token that is not accepted any more."""
    event("TokenRevoked", "", f"token {name} revoked by {actor}", None, {"name": name, "actor": actor})
