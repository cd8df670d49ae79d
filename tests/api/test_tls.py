"""The server's certificate: made once, pinned by clients, renewed by itself, never readable by others."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hactl.adapters.clock import SystemClock
from hactl.api import serving
from hactl.api.http import tls
from hactl.api.identity import Authenticator
from hactl.api.non_kubernetes.metrics import Metrics
from support.api.service import asking
from support.api.tls_files import Authority
from support.limits import until

NOW = datetime.now(UTC)
HOSTS = ("localhost", "127.0.0.1", "::1", "hactl.example.org")


async def handshake(directory: Path, authority: Path, name: str) -> str:
    """Connect over loopback trusting only `authority`; the protocol that was spoken. Raises ssl.SSLError."""
    context = tls.server_context(tls.ensured(directory, HOSTS, NOW))
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        trust = ssl.create_default_context(cafile=authority)
        trust.verify_flags |= ssl.VERIFY_X509_STRICT
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
        spoken = writer.get_extra_info("ssl_object").version()
        writer.close()
        return str(spoken)
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("name", HOSTS)
async def test_a_client_that_trusts_the_authority_gets_through_by_every_name(tmp_path: Path, name: str) -> None:
    """Also under the strict checks of newer Pythons."""
    directory = tmp_path / "tls"
    made = tls.ensured(directory, HOSTS, NOW)
    assert made.fresh
    assert made.authority is not None
    assert await handshake(directory, made.authority, name) == "TLSv1.3"


async def test_a_client_that_trusts_another_authority_does_not(tmp_path: Path) -> None:
    """That is what pinning is for."""
    other = tls.ensured(tmp_path / "other", HOSTS, NOW).authority
    assert other is not None
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(tmp_path / "tls", other, "localhost")


async def test_a_name_that_is_not_in_it_is_refused(tmp_path: Path) -> None:
    """A certificate for localhost is none for another host."""
    authority = tls.ensured(tmp_path / "tls", HOSTS, NOW).authority
    assert authority is not None
    with pytest.raises(ssl.SSLCertVerificationError):
        await handshake(tmp_path / "tls", authority, "other.example.org")


def test_it_is_made_once_and_renewed_before_it_ends(tmp_path: Path) -> None:
    """The authority stays: what clients pinned stays right."""
    first = tls.ensured(tmp_path, HOSTS, NOW)
    server, authority = first.certificate.read_bytes(), tls.fingerprint(tmp_path / "ca.crt")
    again = tls.ensured(tmp_path, HOSTS, NOW + timedelta(days=300))
    assert not again.fresh
    assert again.certificate.read_bytes() == server
    renewed = tls.ensured(tmp_path, HOSTS, NOW + timedelta(days=380))
    assert renewed.certificate.read_bytes() != server
    assert tls.fingerprint(tmp_path / "ca.crt") == authority


def test_another_name_makes_another_certificate(tmp_path: Path) -> None:
    """Listening on one more address, or a name that is no longer ours, must not need anybody's help."""
    before = tls.ensured(tmp_path, HOSTS, NOW).certificate.read_bytes()
    assert tls.ensured(tmp_path, (*HOSTS, "192.0.2.9"), NOW).certificate.read_bytes() != before
    more = (tmp_path / "tls.crt").read_bytes()
    fewer = tls.ensured(tmp_path, HOSTS, NOW).certificate.read_bytes()
    assert fewer != more
    assert tls.ensured(tmp_path, reversed(HOSTS), NOW).certificate.read_bytes() == fewer


async def test_new_connections_get_what_is_there_now(tmp_path: Path) -> None:
    """A certificate that was put there, or is renewed, needs no restart; a broken one leaves the old one in force."""
    hosts = list(HOSTS)
    live = tls.ServerTLS(lambda: tls.ensured(tmp_path, hosts, NOW))
    assert not live.reload()
    first = live.current()
    hosts.append("ha.example.org")
    assert live.reload()
    assert live.current() is not first
    assert tls.is_for(tmp_path / "tls.crt", "HA.example.org") is None
    assert tls.is_for(tmp_path / "tls.crt", "127.0.0.1") is None
    assert "ha.example.org" in (tls.is_for(tmp_path / "tls.crt", "other.example.org") or [])
    kept = live.current()
    given = tls.ServerTLS(lambda: tls.given(tmp_path / "tls.crt", tmp_path / "tls.key"))
    (tmp_path / "tls.crt").write_text("nonsense")
    for each in (live, given):
        with pytest.raises(tls.TLSError):
            each.reload()
    assert live.current() is kept


@pytest.mark.parametrize(
    ("name", "good"),
    [("ha.example.org", True), ("*.example.org", True), ("192.0.2.1", True), ("2001:db8::1", True), ("ha", True),
     ("", False), ("a b", False), ("-a", False), ("a..b", False), ("https://ha", False), ("h\u00e4", False),
     ("a\n", False)],
)  # fmt: skip
def test_names_for_a_certificate(name: str, good: bool) -> None:
    """What no certificate can have is refused at the command line."""
    assert (tls.check_name(name) is None) is good


def test_keys_are_for_the_owner_only(tmp_path: Path) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        tls.ensured(tmp_path / "tls", HOSTS, NOW)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.key": 0o600, "tls.key": 0o600, "ca.crt": 0o644, "tls.crt": 0o644}


def test_what_is_no_certificate_is_said_to_be_none(tmp_path: Path) -> None:
    """A person put something else there."""
    tls.ensured(tmp_path, HOSTS, NOW)
    (tmp_path / "tls.crt").write_text("hello\n")
    with pytest.raises(tls.TLSError, match="move it away"):
        tls.ensured(tmp_path, HOSTS, NOW)
    with pytest.raises(tls.TLSError, match="no certificate"):
        tls.fingerprint(tmp_path / "tls.crt")
    with pytest.raises(tls.TLSError, match="cannot be used"):
        tls.server_context(tls.given(tmp_path / "tls.crt", tmp_path / "tls.key"))
    with pytest.raises(tls.TLSError, match="there is no file"):
        tls.given(tmp_path / "missing.crt", tmp_path / "tls.key")


async def test_a_certificate_that_is_put_there_is_in_force_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a signal within a minute, with SIGHUP at once; until its key is there the old one stays, said once."""
    monkeypatch.setattr(serving, "RENEW_SECONDS", 0.02)
    pairs = [Authority(tmp_path / f"authority-{number}").pair("server") for number in range(3)]
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"

    def put(number: int) -> None:
        shutil.copy(pairs[number].cert, tmp_path / "new").replace(certificate)
        shutil.copy(pairs[number].key, tmp_path / "new").replace(key)

    put(0)
    async with asking() as ada:
        live = serving.Serving(
            Metrics(dict, lambda: 0, SystemClock().now), ada.service.audit, Authenticator(ada.store, SystemClock())
        )
        live.tls = tls.ServerTLS(lambda: tls.given(certificate, key))
        first = live.tls.current()
        live.start()
        try:
            shutil.copy(pairs[1].cert, tmp_path / "new").replace(certificate)
            await until(lambda: any(each.levelno == logging.ERROR for each in caplog.records), "a word of it")
            await asyncio.sleep(0.1)
            assert live.tls.current() is first
            put(1)
            await until(lambda: live.tls is not None and live.tls.current() is not first, "the new one")
            assert sum(each.levelno == logging.ERROR for each in caplog.records) == 1
            second = live.tls.current()
            await asyncio.sleep(0.1)
            assert live.tls.current() is second
            monkeypatch.setattr(serving, "RENEW_SECONDS", 3600.0)
            await asyncio.sleep(0.1)
            put(2)
            live.reload()
            await until(lambda: live.tls is not None and live.tls.current() is not second, "the one after SIGHUP")
        finally:
            await live.stop()


def test_a_key_that_everybody_can_read_is_none(tmp_path: Path) -> None:
    """Of one's own files; a group may, as some systems have it."""
    pair = Authority(tmp_path).pair("server")
    pair.key.chmod(0o644)
    with pytest.raises(tls.TLSError, match="everybody on this machine can read the private key"):
        tls.given(pair.cert, pair.key)
    pair.key.chmod(0o640)
    assert tls.given(pair.cert, pair.key).authority is None
