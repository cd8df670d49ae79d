"""Secrets in what a node answered, replaced before anybody sees or records it."""

from __future__ import annotations

from collections.abc import Iterable

from hactl.core.script import visible_line

#: What stands where a secret was.
REDACTED = "********"


class Redactor:
    """Replaces secrets in text, but not in our own frame lines: a password may be any word, even one of theirs."""

    def __init__(self, nonce: str, secrets: Iterable[str]) -> None:
        """`nonce` is that of the frame lines."""
        self.nonce = nonce
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        return "\n".join(self._line(line) for line in text.split("\n")) if self._secrets else text

    def _line(self, line: str) -> str:
        if visible_line(line, self.nonce) is None:
            return line
        for secret in self._secrets:
            line = line.replace(secret, REDACTED)
        return line
