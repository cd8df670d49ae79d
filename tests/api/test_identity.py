"""Who asks: tokens by their hash, certificates by their names, and what wrong credentials cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from hactl.api.identity import REFRESH_SECONDS, Authenticator, new_token, of_certificate, of_owner, token_digest
from hactl.api.limits import (
    ADDRESSES,
    FAILURES,
    OTHERS,
    TOLD_APART,
    WINDOW_SECONDS,
    FailureLimit,
    Tally,
    network_of,
)
from hactl.core.kube.errors import ApiError
from hactl.errors import StoreError
from support.contracts.store import START, ManualClock

TOKEN = new_token()
WHERE = "192.0.2.7"


class Tokens:
    """The part of the record that knows tokens."""

    def __init__(self, *rows: Mapping[str, Any]) -> None:
        self.rows = list(rows)
        self.reads = 0
        self.uses: list[Mapping[str, datetime]] = []
        self.broken = False

    async def use_tokens(self, uses: Mapping[str, datetime]) -> None:
        """As `Objects.use_tokens`."""
        if self.broken:
            raise StoreError("full")
        self.uses.append(uses)

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


async def test_when_a_token_was_used_last_is_written_down_now_and_then() -> None:
    """Once for many uses, not again without a new one, and later when the record cannot be written now."""
    authenticator, tokens, clock = made(row(), row("hactl_other", "other"))
    for _ in range(5):
        await authenticator.of_request(bearer(TOKEN), address=WHERE)
    with pytest.raises(ApiError):
        await authenticator.of_request(bearer("hactl_wrong"), address=WHERE)
    tokens.broken = True
    with pytest.raises(StoreError):
        await authenticator.keep_uses()
    tokens.broken = False
    await authenticator.keep_uses()
    await authenticator.keep_uses()
    assert tokens.uses == [{"ci": START}]
    clock.seconds = 7.0
    await authenticator.of_request(bearer(TOKEN), address=WHERE)
    await authenticator.keep_uses()
    assert tokens.uses[1:] == [{"ci": START + timedelta(seconds=7)}]


async def test_failures_delay_failures_only() -> None:
    """Guessing is slow; a right token, and who shows none, pass from the same address: it may be a gateway's."""
    authenticator, _, clock = made(row())

    async def wrong(address: str = WHERE) -> tuple[int, bool]:
        with pytest.raises(ApiError) as refused:
            await authenticator.of_request(bearer("hactl_wrong"), address=address)
        return refused.value.code, bool(refused.value.details.retry_after_seconds)

    assert {await wrong() for _ in range(FAILURES)} == {(401, False)}
    assert await wrong() == (429, True)
    assert (await authenticator.of_request(bearer(TOKEN), address=WHERE)).role == "editor"
    assert (await authenticator.of_request({}, address=WHERE)).is_anonymous
    assert await wrong("192.0.2.8") == (401, False)
    clock.seconds = WINDOW_SECONDS
    assert await wrong() == (401, False)


@pytest.mark.parametrize(
    "shown", ["Bearer \udcff\udcfe", "Bearer hactl_\u00e9", "\udcff", "Bearer \0", "Bearer " + "x" * 9000]
)
async def test_bytes_no_token_has(shown: str) -> None:
    """What HTTP calls obs-text, and the rest, is a wrong credential and no surprise."""
    authenticator, _, _ = made(row())
    with pytest.raises(ApiError) as refused:
        await authenticator.of_request({"authorization": shown}, address=WHERE)
    assert refused.value.code == 401


def test_failures_take_bounded_memory() -> None:
    """However many addresses there are; those of one IPv6 network are one stranger's."""
    limit = FailureLimit(ManualClock())
    for number in range(ADDRESSES + 10):
        limit.failed(f"2001:db8:{number:x}::1")
    assert len(limit._counts) == ADDRESSES
    assert [bool(limit.failed(f"2001:db8:a::{number:x}")) for number in range(1, FAILURES + 1)][-2:] == [False, True]


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
     ("fe80::1%em0", "fe80::/64"), ("unix", "unix")],
)  # fmt: skip
def test_what_one_stranger_has(address: str, network: str) -> None:
    """One address, or one network of the kind that a provider gives to one customer."""
    assert network_of(address) == network


def test_what_is_repeated_is_told_once_a_minute_with_its_number() -> None:
    """The first one at once, the rest when the minute is over; a flood from many addresses is a few lines too."""
    clock, told = ManualClock(), []
    tally = Tally(clock, lambda *line: told.append(line))
    assert [tally.seen("a", f"try {number}") for number in range(1000)] == [True] + [False] * 999
    assert told == []
    clock.seconds = WINDOW_SECONDS
    tally.flush()
    assert told == [("a", "try 999", 999)]
    tally.flush()
    assert sum(tally.seen(f"address {number}", "x") for number in range(5000)) == TOLD_APART
    clock.seconds *= 2
    tally.flush()
    assert told[1:] == [(OTHERS, "x", 5000 - TOLD_APART)]
    assert tally._counts == {}


def certificate(*organisations: str, name: str = "alice") -> dict[str, Any]:
    """As `getpeercert` gives it."""
    parts = [(("organizationName", each),) for each in organisations]
    return {"subject": (*parts, (("commonName", name),))}


@pytest.mark.parametrize(
    ("organisations", "role"),
    [
        (("hactl:operator",), "operator"),
        (("people", "hactl:viewer", "hactl:admin"), "viewer"),
        (("hactl:admin", "hactl:operator"), "operator"),
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
