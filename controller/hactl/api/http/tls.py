"""The server's certificate: given, or made on the first run by an authority of our own that clients can pin.

- `ca.crt` is what clients trust (`hactl kubeconfig` puts it in); its fingerprint is shown when it is made.
- Private keys are 0600 and never leave the directory. The server's certificate is renewed by itself before it ends.
- Client certificates are accepted from an authority that was named; nobody is asked for one otherwise.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import socket
import ssl
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hactl.errors import HactlError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CA_DAYS = 3650
#: What browsers and Apple's clients accept at most.
SERVER_DAYS = 397
RENEW_DAYS = 30
_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_DNS_NAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")


class TLSError(HactlError):
    """Certificates that cannot be read, made or used."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of a server that speaks TLS."""

    certificate: Path
    key: Path
    #: What clients must trust; None: the certificate was given and its authority is the user's business.
    authority: Path | None
    #: True: made just now.
    fresh: bool = False


def given(certificate: Path, key: Path) -> Certificates:
    """Certificates of the user's own. Raises TLSError when one of the files is missing, or anybody can read the key."""
    for path in (certificate, key):
        if not path.is_file():
            raise TLSError(f"there is no file {path}")
    if key.stat().st_mode & stat.S_IROTH:
        raise TLSError(
            f"everybody on this machine can read the private key {key}: chmod o-rwx {key}, or make a new one"
        )
    return Certificates(certificate, key, None)


def ensured(directory: Path, hosts: Iterable[str], now: datetime) -> Certificates:
    """Our own authority and server certificate for these names and addresses, made or renewed where needed.

    `now`: timezone-aware. Raises TLSError when the directory cannot be written or holds something else.
    """
    names = tuple(dict.fromkeys(hosts))
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = not (directory / "ca.crt").exists()
        if fresh:
            _make_authority(directory, now)
        if fresh or not _still_good(directory / "tls.crt", names, now):
            _make_server(directory, names, now)
    except OSError as error:
        raise TLSError(f"{directory}: {error.strerror or error}") from error
    except ValueError as error:
        raise TLSError(f"{directory} does not hold what hactl once made there ({error}); move it away") from error
    return Certificates(directory / "tls.crt", directory / "tls.key", directory / "ca.crt", fresh)


def default_hosts(listen: str) -> list[str]:
    """Names and addresses this machine may be called by: localhost, its host names, and where it listens.

    What it is called by behind every address (0.0.0.0) only its owner knows: `hactl run --tls-san`.
    """
    hosts = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    if listen not in ("", "0.0.0.0", "::"):
        hosts.append(listen)
    return hosts


def check_name(text: str) -> str | None:
    """What is wrong with a name or address for a certificate; None: nothing."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if len(text) > 253 or not _DNS_NAME.fullmatch(text):
            return f"{text[:80]} is no DNS name and no IP address"
    return None


def server_context(certificates: Certificates, client_authority: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer. With `client_authority`, client certificates it signed are accepted (not demanded)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificates.certificate, certificates.key)
        if client_authority is not None:
            context.load_verify_locations(client_authority)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        files = f"{certificates.certificate}, {certificates.key}" + (
            f", {client_authority}" if client_authority else ""
        )
        raise TLSError(f"the certificates cannot be used ({files}): {error}") from error
    return context


class ServerTLS:
    """What a new connection gets: the files as they were read last. Connections that there are keep what they have."""

    def __init__(self, files: Callable[[], Certificates], client_authority: Path | None = None) -> None:
        """`files` finds, makes or renews them. Raises TLSError."""
        self._files = files
        self._client_authority = client_authority
        self._context, self._read = self._load()

    def current(self) -> ssl.SSLContext:
        """For the next handshake."""
        return self._context

    def reload(self) -> bool:
        """Read the files again, renewed where they are ours: do they differ? Raises TLSError: the old ones stay."""
        context, read = self._load()
        if read == self._read:
            # The old context knows the sessions that clients may go on with.
            return False
        self._context, self._read = context, read
        return True

    def _load(self) -> tuple[ssl.SSLContext, tuple[bytes, ...]]:
        found = self._files()
        context = server_context(found, self._client_authority)
        paths = (found.certificate, self._client_authority)
        try:
            return context, tuple(path.read_bytes() for path in paths if path is not None)
        except OSError as error:
            raise TLSError(f"{error.filename}: {error.strerror or error}") from error


def fingerprint(certificate: Path) -> str:
    """`SHA256:ab:cd:...` of the first certificate in a PEM file. Raises TLSError."""
    try:
        der = ssl.PEM_cert_to_DER_cert(_first_pem(certificate.read_text("ascii")))
    except (OSError, ValueError) as error:
        raise TLSError(f"{certificate}: {error}") from error
    digest = hashlib.sha256(der).hexdigest()
    return "SHA256:" + ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def _first_pem(text: str) -> str:
    end = "-----END CERTIFICATE-----"
    before, found, _ = text.partition(end)
    if not found:
        raise ValueError("no certificate in it")
    return before[before.index("-----BEGIN") :] + end


def _still_good(path: Path, hosts: tuple[str, ...], now: datetime) -> bool:
    """The certificate is for these names and lasts a while."""
    from cryptography import x509

    if not path.exists():
        return False
    found = x509.load_pem_x509_certificate(path.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(_alternatives(hosts)) == set(names) and found.not_valid_after_utc - now > timedelta(days=RENEW_DAYS)


def is_for(certificate: Path, host: str) -> list[str] | None:
    """None: a server with this certificate may call itself so; else the names and addresses that it has.

    Raises TLSError for a file that cannot be read as a certificate.
    """
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except OSError as error:
        raise TLSError(f"{certificate}: {error.strerror or error}") from error
    except (ValueError, x509.ExtensionNotFound) as error:
        raise TLSError(f"{certificate}: {error}") from error
    [wanted] = _alternatives([host])
    return None if wanted in names else [str(name.value) for name in names]


def _alternatives(hosts: Iterable[str]) -> list[x509.GeneralName]:
    from cryptography import x509

    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host.lower()))
    return names


def _named(text: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _make_authority(directory: Path, now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"hactl on {socket.gethostname()}"[:64])
    certificate = _builder(name, name, key, CA_DAYS, now)
    certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = certificate.add_extension(_usage(signs=True), critical=True)
    certificate = certificate.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
    )
    _write(directory, "ca", key, _signed(certificate, key))


def _make_server(directory: Path, hosts: tuple[str, ...], now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    signer = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError("ca.key is of another kind")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _builder(_named("hactl"), authority.subject, key, SERVER_DAYS, now)
    certificate = certificate.add_extension(x509.SubjectAlternativeName(_alternatives(hosts)), critical=False)
    certificate = certificate.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    certificate = certificate.add_extension(_usage(signs=False), critical=True)
    certificate = certificate.add_extension(
        x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
    )
    certificate = certificate.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
    )
    _write(directory, "tls", key, _signed(certificate, signer))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: int, now: datetime
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clients whose clock is a little behind ours must not refuse it.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())


def _usage(*, signs: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(directory: Path, name: str, key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    """The key first: a certificate without its key would be taken for whole."""
    from cryptography.hazmat.primitives import serialization

    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for suffix, content, mode in (("key", secret, 0o600), ("crt", certificate.public_bytes(pem), 0o644)):
        path = directory / f"{name}.{suffix}"
        new = path.with_suffix(f".{suffix}.new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
