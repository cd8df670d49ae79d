"""Who asks: the owner of the Unix socket, a token, a client certificate, or nobody known.

- Only sha256 of a token is ever kept or compared, every kept one each time, in constant time.
- A shown credential that is wrong is an error (401), never anonymous access. Too many wrong ones from an address have
  to wait (429); what is right passes whatever else comes from there, because others may share the address.
- A client certificate's CN is the user; its organisation `hactl:ROLE` is the role. Of several the least one counts: who
  signed it may have meant either, and nobody gets more than was meant.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from hactl.api.limits import FailureLimit
from hactl.api.request.wire import Identity, Role, anonymous
from hactl.core.kube.errors import ApiError, too_many, unauthorized
from hactl.ports import Clock, Tokens

ROLES: tuple[Role, ...] = get_args(Role)
#: What a token begins with, so that people and secret scanners recognise it.
TOKEN_PREFIX = "hactl_"
#: Tokens are read again from the record this often, seconds: so soon is one revoked by another process refused.
REFRESH_SECONDS = 1.0


def new_token() -> str:
    """256 random bits as text."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """What is kept of a token: sha256, hex. Enough for 256 random bits; passwords would need more."""
    return hashlib.sha256(token.encode()).hexdigest()


class Authenticator:
    """Tells who asks."""

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
        """Tokens come from the record."""
        self._record = tokens
        self._clock = clock
        self.limit = FailureLimit(clock)
        self._tokens: Sequence[Mapping[str, Any]] = ()
        #: Token -> when it was used last, as far as the record does not know it yet.
        self._uses: dict[str, datetime] = {}
        self._read_at: float | None = None

    async def of_request(
        self, headers: Mapping[str, str], *, address: str, certificate: Mapping[str, Any] | None = None
    ) -> Identity:
        """Who asks over TCP; `headers` by lower-case name, `certificate` as `ssl.SSLSocket.getpeercert` gives it.

        Raises ApiError for a credential that is wrong: 401, or 429 after many of them from that address.
        """
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind:
            if kind.lower() != "bearer" or not token.strip():
                raise self._wrong(address, "only bearer tokens are understood")
            return await self._of_token(token.strip(), address)
        if certificate and (found := of_certificate(certificate, address)) is not None:
            return found
        return anonymous(address)

    def _wrong(self, address: str, why: str) -> ApiError:
        seconds = self.limit.failed(address)
        return too_many("too many wrong credentials from this address", seconds) if seconds else unauthorized(why)

    async def _of_token(self, token: str, address: str) -> Identity:
        if not token.isascii():
            raise self._wrong(address, "the token is not known: tokens have letters, digits, _ and - only")
        digest = token_digest(token)
        found: Mapping[str, Any] | None = None
        for row in await self._current():
            # All of them, whatever matched: how long it takes tells nothing.
            if hmac.compare_digest(digest, row["digest"]):
                found = row
        if found is None or _over(found, self._clock.now()):
            raise self._wrong(address, "the token is not known (any more), or its time is over")
        self._uses[found["name"]] = self._clock.now()
        return Identity(f"token:{found['name']}", found["role"], address)

    async def keep_uses(self) -> None:
        """Write down when tokens were used last; to be called now and then. Raises StoreError: it is for later then."""
        uses = dict(self._uses)
        if uses:
            await self._record.use_tokens(uses)
            self._uses = {name: at for name, at in self._uses.items() if uses.get(name) != at}

    async def _current(self) -> Sequence[Mapping[str, Any]]:
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at >= REFRESH_SECONDS:
            self._tokens = await self._record.tokens()
            self._read_at = now
        return self._tokens

    def forget(self) -> None:
        """A token was made or revoked here: read them again."""
        self._read_at = None


def of_owner(user: str) -> Identity:
    """Who asks over the Unix socket, which only its owner and root can open."""
    return Identity(f"{user}@local", "admin", "unix")


def of_certificate(certificate: Mapping[str, Any], address: str) -> Identity | None:
    """The user and role of a verified client certificate; None when it has no name."""
    parts = [pair for group in certificate.get("subject", ()) for pair in group]
    user = next((value for key, value in parts if key == "commonName"), "")
    groups = tuple(value for key, value in parts if key == "organizationName")
    if not user:
        return None
    wanted = {group.removeprefix("hactl:") for group in groups if group.startswith("hactl:")}
    # From least to most.
    role = next((role for role in ROLES if role in wanted), None)
    return Identity(f"cert:{user}", role, address, groups)


def _over(row: Mapping[str, Any], now: datetime) -> bool:
    return row["expires_at"] is not None and datetime.fromisoformat(row["expires_at"]) <= now
