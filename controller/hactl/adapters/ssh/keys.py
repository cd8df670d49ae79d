"""Key files of this machine: their public line, and new ones."""

from __future__ import annotations

import os
from pathlib import Path

from hactl.errors import SecretError


def public_line(path: Path) -> str:
    """`ssh-ed25519 AAAA...` of a private key file, or of a .pub file. Raises SecretError."""
    import asyncssh

    try:
        key = asyncssh.read_public_key(path) if path.suffix == ".pub" else asyncssh.read_private_key(path)
        text = key.export_public_key("openssh").decode()
    except OSError as error:
        raise SecretError(f"{path} cannot be read: {error.strerror}") from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, asyncssh.KeyExportError, ValueError):
        raise SecretError(f"{path} holds no key that can be read without a passphrase") from None
    return " ".join(text.split()[:2])


def new_key_file(path: Path) -> str:
    """Make an ed25519 key, mode 0600, in a file that is not there yet; returns its public line. Raises SecretError."""
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.export_private_key("openssh"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SecretError(f"{path} cannot be made: {error.strerror}") from None
    return " ".join(key.export_public_key("openssh").decode().split()[:2])
