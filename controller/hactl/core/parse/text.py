"""What every parser shares: how to say "I do not understand this", and how raw text is kept without its secrets.

Rules: a parser returns a value or raises NotUnderstood, never anything else and never a guess; numbers are ASCII
digits of bounded length; whatever is kept for a person has gone through `redact`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from hactl.core.facts import fingerprint

#: Raw text that is kept of a reading, characters.
RAW_LIMIT = 2000
REDACTED = "<redacted>"

#: Everything after `key "` to the end of the line: ifconfig escapes nothing, so a quote does not end a key.
_KEY = re.compile(r'(\bkey\s+")[^\n]*')
#: The word after `pass` in an ifconfig command line or an rc.conf variable.
_PASS = re.compile(r"""(\bpass\s+["']?)[^\s"']+""")
_WORD = re.compile(r"""[^\s"'=,;:]+|[^\s"']+""")


class NotUnderstood(ValueError):
    """Text that is not what the command is known to print. `str()` says what was expected, without secrets."""


class Failed(ValueError):
    """The command understood us and said that it cannot answer; `str()` is what it said."""


def number(text: str, what: str) -> int:
    """A decimal integer as FreeBSD prints it."""
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise NotUnderstood(f"{what} is not a number")
    return int(text)


def ip_address(text: str, family: str) -> str:
    """Canonical text of an address without its zone. `family` is `inet` or `inet6`."""
    bare = text.partition("%")[0]
    try:
        return str(ipaddress.IPv4Address(bare) if family == "inet" else ipaddress.IPv6Address(bare))
    except ValueError:
        raise NotUnderstood(f"not an {family} address") from None


def mask_length(mask: str) -> int:
    """Prefix length of a netmask, `0xffffff00` or dotted."""
    try:
        bits = int(mask, 16) if mask.startswith("0x") else int(ipaddress.IPv4Address(mask))
    except ValueError:
        raise NotUnderstood("a netmask is not understood") from None
    length = bits.bit_count()
    if length > 32 or bits != (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF:
        raise NotUnderstood("a netmask with holes")
    return length


def redact(text: str, secrets: Collection[str], fingerprints: Collection[str], salt: bytes) -> str:
    """`text` without CARP keys, at most RAW_LIMIT characters.

    Three nets, because the text is by definition one we did not understand: the places where FreeBSD prints keys,
    the keys seen elsewhere in the same answer, and words whose fingerprint is that of a wanted key.
    """
    kept = text[: 4 * RAW_LIMIT]
    kept = _KEY.sub(rf"\g<1>{REDACTED}", kept)
    kept = _PASS.sub(rf"\g<1>{REDACTED}", kept)
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            kept = kept.replace(secret, REDACTED)
    if fingerprints:
        words = {word for word in _WORD.findall(kept) if len(word) <= 64}
        for word in sorted(words, key=len, reverse=True):
            if fingerprint(word, salt) in fingerprints:
                kept = kept.replace(word, REDACTED)
    return kept if len(kept) <= RAW_LIMIT else kept[:RAW_LIMIT] + "..."
