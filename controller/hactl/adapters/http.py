"""What requests over HTTP have in common, whoever makes them: this machine's names, tokens in files, failures."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from hactl.core.document.problems import printable
from hactl.errors import HactlError


class FetchFailed(HactlError):
    """The server does not give it; the message says why, without the token."""


def is_loopback(host: str | None) -> bool:
    """Whether a host of a URL is this machine: `localhost`, 127.0.0.0/8 or ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def read_token(file: Path) -> str:
    """A bearer token from a file. Raises FetchFailed, which never repeats what it read."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise FetchFailed(f"the token file {printable(str(file))} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FetchFailed(f"the token file {printable(str(file))} is no text") from None
    if not text or not text.isprintable() or " " in text:
        raise FetchFailed(f"the token file {printable(str(file))} holds no token")
    return text


def what_failed(error: Exception, timeout_seconds: float) -> str:
    """What went wrong on the way, for people."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_seconds:g} s"
    return printable(str(error)) or type(error).__name__
