"""Who asks: tokens by their hash, certificates by their names, and what wrong credentials cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from hactl.api.identity import REFRESH_SECONDS, Authenticator, new_token, of_certificate, of_owner, token_digest
from hactl.api.limits import ADDRESSES, FAILURES, WINDOW_SECONDS, FailureLimit
from hactl.core.kube.errors import ApiError
from support.contracts.store import START, ManualClock

TOKEN = new_token()
WHERE = "192.0.2.7"


class Tokens:
    """The part of the record that knows tokens."""

    def __init__(self, *rows: Mapping[str, Any]) -> None:
        self.rows = list(rows)
        self.reads = 0

    async def tokens(self) -> Sequence[Mapping[str, Any]]:
        """As `Objects.tokens`."""
        self.reads += 1
        return list(self.rows)


def row(token: str = TOKEN, name: str = "ci", role: str = "editor", expires_at: str | None = None) -> dict[str, Any]:
    """A token as the record keeps it."""
    return {"name": name, "digest": token_digest(token), "role": role, "expires_at": expires_at}


def made(*rows: Mapping[str, Any]) -> tuple[Authenticator, Tokens, ManualClock]:
    """An authenticator on these tokens."""
    tokens, clock = Tokens(*rows), ManualClock()
    return Authenticator(tokens, clock), tokens, clock  # type: ignore[arg-type]


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"authorization": f"Bearer {token}"}


async def test_a_token_has_its_role_and_name() -> None:
    """And the address it came from, for the history."""
    authenticator, _, _ = made(row(new_token(), "other", "admin"), row())
    found = await authenticator.of_request(bearer(TOKEN), address=WHERE)
    assert (found.actor, found.role, found.origin) == ("token:ci", "editor", WHERE)


@pytest.mark.parametrize("shown", ["Bearer wrong", "Bearer ", "Basic YTpi", "Token {whole}", "Bearer {short}"])
async def test_what_is_wrong_is_never_anonymous(shown: str) -> None:
    """Somebody who shows a credential wants to be known by it."""
    authenticator, _, _ = made(row())
    header = shown.format(whole=TOKEN, short=TOKEN[:-1])
    with pytest.raises(ApiError) as refused:
        await authenticator.of_request({"authorization": header}, address=WHERE)
    assert refused.value.code == 401
    assert TOKEN[8:] not in str(refused.value)


async def test_nothing_shown_is_anonymous() -> None:
    """Without a role: what anonymous may do is another table's business."""
    authenticator, _, _ = made(row())
    found = await authenticator.of_request({}, address=WHERE)
    assert (found.actor, found.role) == ("anonymous", None)


async def test_a_token_ends_at_its_time() -> None:
    """Not a second later."""
    authenticator, _, clock = made(row(expires_at=(START + timedelta(seconds=5)).isoformat()))
    assert (await authenticator.of_request(bearer(TOKEN), address=WHERE)).role == "editor"
    clock.seconds = 5.0
    with pytest.raises(ApiError, match="its time is over"):
        await authenticator.of_request(bearer(TOKEN), address=WHERE)


async def test_a_revoked_token_is_refused_soon_and_the_record_is_not_read_each_time() -> None:
    """Another process may have revoked it: read again after a second."""
    authenticator, tokens, clock = made(row())
    for _ in range(5):
        await authenticator.of_request(bearer(TOKEN), address=WHERE)
    assert tokens.reads == 1
    tokens.rows.clear()
    clock.seconds = REFRESH_SECONDS
    with pytest.raises(ApiError):
        await authenticator.of_request(bearer(TOKEN), address=WHERE)


async def test_who_failed_often_has_to_wait_and_others_do_not() -> None:
    """Guessing is slow; nobody else pays for it."""
    authenticator, _, clock = made(row())
    for _ in range(FAILURES):
        authenticator.limit.failed(WHERE)
    with pytest.raises(ApiError) as refused:
        await authenticator.of_request(bearer(TOKEN), address=WHERE)
    assert refused.value.code == 429
    assert refused.value.details.retry_after_seconds
    assert (await authenticator.of_request(bearer(TOKEN), address="192.0.2.8")).role == "editor"
    clock.seconds = WINDOW_SECONDS
    assert (await authenticator.of_request(bearer(TOKEN), address=WHERE)).role == "editor"


def test_a_flood_of_failures_is_one_line_a_minute_and_bounded_memory() -> None:
    """The history must not be filled by strangers."""
    clock = ManualClock()
    limit = FailureLimit(clock)
    assert [limit.failed(WHERE) for _ in range(3)] == [True, False, False]
    clock.seconds = WINDOW_SECONDS
    assert limit.failed(WHERE)
    for number in range(ADDRESSES + 10):
        limit.failed(f"2001:db8::{number:x}")
    assert len(limit._counts) == ADDRESSES


def certificate(*organisations: str, name: str = "alice") -> dict[str, Any]:
    """As `getpeercert` gives it."""
    parts = [(("organizationName", each),) for each in organisations]
    return {"subject": (*parts, (("commonName", name),))}


@pytest.mark.parametrize(
    ("organisations", "role"),
    [
        (("hactl:operator",), "operator"),
        (("people", "hactl:viewer", "hactl:admin"), "viewer"),
        (("hactl:root",), None),
        (("system:masters",), None),
        ((), None),
    ],
)
def test_a_certificate_has_the_role_of_its_organisation(organisations: tuple[str, ...], role: str | None) -> None:
    """Unknown roles give nothing."""
    found = of_certificate(certificate(*organisations), WHERE)
    assert found is not None
    assert (found.actor, found.role, found.groups) == ("cert:alice", role, organisations)


async def test_a_certificate_without_a_name_is_nobody() -> None:
    """And a token beats a certificate."""
    authenticator, _, _ = made(row())
    assert of_certificate({"subject": ((("organizationName", "hactl:admin"),),)}, WHERE) is None
    both = await authenticator.of_request(bearer(TOKEN), address=WHERE, certificate=certificate("hactl:admin"))
    assert both.actor == "token:ci"


def test_the_owner_of_the_socket_is_admin() -> None:
    """Only the owner and root can open it."""
    assert of_owner("carol") == of_owner("carol")
    assert of_owner("carol").role == "admin"


def test_tokens_are_long_and_never_the_same() -> None:
    """256 bits behind a prefix that scanners recognise."""
    made_tokens = {new_token() for _ in range(100)}
    assert len(made_tokens) == 100
    assert all(token.startswith("hactl_") and len(token) == 49 for token in made_tokens)
