"""Whether a private key can be used without asking anybody, before any node is asked."""

from __future__ import annotations

from pathlib import Path

import asyncssh

from hactl.errors import SecretError


def kind_of(path: Path) -> str:
    """The key's type, as "ssh-ed25519". Raises SecretError with what is wrong, never with anything of the key."""
    try:
        return asyncssh.read_private_key(path).get_algorithm()
    except asyncssh.KeyImportError as error:
        raise SecretError(f"{path} cannot be used: {error}") from error
    except OSError as error:
        raise SecretError(f"{path}: {error.strerror}") from error
