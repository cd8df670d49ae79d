"""What documents refer to on this machine: host keys, private keys, passwords. Read as a pass reads them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hactl.adapters.references import reachable, resolve_references
from hactl.cli.doctor.finding import Finding
from hactl.errors import DocumentError, SecretError
from hactl.ports import Document, Target

#: What asyncssh tries when no key is named (asyncssh/public_key.py).
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
AGENT = "hactl uses no agent and asks for no passphrase"


def references(
    documents: Sequence[Document], environ: Mapping[str, str] | None = None
) -> tuple[list[Finding], dict[str, Mapping[str, Target]]]:
    """What is found, and how the nodes of each cluster are reached, as far as that is known."""
    environ = os.environ if environ is None else environ
    found: list[Finding] = []
    targets: dict[str, Mapping[str, Target]] = {}
    for document in documents:
        name = document.cluster.name
        targets[name] = reachable(document, environ)
        try:
            resolved = resolve_references(document, environ)
        except (DocumentError, SecretError) as error:
            found += [Finding("fail", "keys", name, line, "see hactl help secrets") for line in str(error).splitlines()]
            continue
        found += [Finding("warn", "keys", name, text) for text in dict.fromkeys(resolved.warnings)]
        keys = {path for target in resolved.targets.values() for path in target.identities}
        if not all(target.identities for target in resolved.targets.values()):
            found.append(_defaults(name, environ))
        found += [_key(name, Path(path), environ) for path in sorted(keys)]
        text = f"{len(resolved.targets)} nodes with pinned host keys, {len(resolved.passwords)} passwords"
        found.append(Finding("ok", "keys", name, text))
    return found, targets


def _defaults(cluster: str, environ: Mapping[str, str]) -> Finding:
    """No key is named: the user's own are tried."""
    home = Path(environ.get("HOME") or "~").expanduser() / ".ssh"
    there = [str(home / name) for name in DEFAULT_KEYS if (home / name).exists()]
    if there:
        return Finding("ok", "keys", cluster, f"no key is named for some nodes: {', '.join(there)} are tried")
    agent = f"; {AGENT}" if environ.get("SSH_AUTH_SOCK") else ""
    text = f"no key is named for some nodes, and {home} has none{agent}"
    return Finding("fail", "keys", cluster, text, "name a key with HACTL_IDENTITY or identityFrom")


def _key(cluster: str, path: Path, environ: Mapping[str, str]) -> Finding:
    """Whether a private key can be used without asking anybody."""
    from hactl.adapters.ssh.private_key import kind_of

    try:
        return Finding("ok", "keys", cluster, f"{path} is a key of type {kind_of(path)}")
    except SecretError as error:
        agent = f"; {AGENT}" if "passphrase" in str(error).lower() and environ.get("SSH_AUTH_SOCK") else ""
        remedy = "give hactl a key of its own, without passphrase, that its user can read: ssh-keygen -t ed25519 -N ''"
        return Finding("fail", "keys", cluster, f"{error}{agent}", remedy)
