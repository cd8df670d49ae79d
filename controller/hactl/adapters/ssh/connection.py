"""One SSH connection to one node, and every way in which it can fail, in words a person can act on.

- The host key must be one of the pinned ones; nothing is sent to anybody else, and nothing is learned on first use.
- Nothing comes from ~/.ssh/config or an agent; nothing is forwarded; only public keys log in.
- Only algorithms OpenSSH itself still prefers; aes128-gcm first because it costs the least CPU per exec.
- Whatever fails here fails before a script was sent, except where NodeGarbled says otherwise.

ssh(1), sshd_config(5) (MaxStartups, MaxSessions). asyncssh is imported on first use: it costs 0.4 s.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hactl.adapters.ssh.commands import default_identities
from hactl.adapters.ssh.session import Channel, ExecSession
from hactl.errors import HostKeyMismatch, LoginRefused, NodeUnreachable
from hactl.ports import Target

if TYPE_CHECKING:
    import asyncssh

CONNECT_SECONDS = 5.0
LOGIN_SECONDS = 10.0
#: A connection that says nothing for about 20 s is dead.
KEEPALIVE_SECONDS = 5.0
KEEPALIVE_COUNT = 3
OPEN_SECONDS = 5.0
#: How long a connection may take to somebody who only knocks, and how long an sshd to introduce itself: it starts a
#: process for that, on a node that may be booting.
KNOCK_SECONDS = 1.5
INTRODUCTION_SECONDS = 3.0

#: Host key type (as in the .pub file) -> signature algorithms accepted for it; the best first.
HOST_KEY_ALGORITHMS: dict[str, tuple[str, ...]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
KEY_EXCHANGES = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
)
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")


class NotOpened(Exception):
    """No channel could be opened on this connection; nothing was sent on it."""


class Connection:
    """A connection that is logged in. Counts who uses it, so that it can be retired without cutting anybody off."""

    def __init__(self, inner: asyncssh.SSHClientConnection) -> None:
        """Take over a connection that `connect` made."""
        self._inner = inner
        self._users = 0
        self._retired = False

    @property
    def usable(self) -> bool:
        """New execs may start on it."""
        return not self._retired and not self._inner.is_closed()

    @property
    def gone(self) -> bool:
        """It is closed."""
        return self._inner.is_closed()

    @property
    def idle(self) -> bool:
        """Nobody uses it now."""
        return self._users == 0

    def enter(self) -> None:
        """Somebody starts to use it."""
        self._users += 1

    def leave(self) -> None:
        """Somebody is done with it; the last one closes it when it is retired."""
        self._users -= 1
        if self._retired and self.idle:
            self._inner.close()

    def retire(self) -> None:
        """No new execs on it; it is closed when the running ones are done."""
        self._retired = True
        if self.idle:
            self._inner.close()

    async def close(self) -> None:
        """Close it now, whoever uses it."""
        self._retired = True
        self._inner.close()
        try:
            async with asyncio.timeout(2):
                await self._inner.wait_closed()
        except TimeoutError:
            self._inner.abort()

    async def open(self, command: str, session: ExecSession) -> Channel:
        """Start an exec; its standard input is still empty, so nothing of a script has run. Raises NotOpened."""
        import asyncssh

        def factory() -> asyncssh.SSHClientSession[bytes]:
            return cast("asyncssh.SSHClientSession[bytes]", session)

        try:
            async with asyncio.timeout(OPEN_SECONDS):
                channel, _ = await self._inner.create_session(factory, command, encoding=None, request_pty=False)
        except TimeoutError as error:
            raise NotOpened(f"the node opens no session within {OPEN_SECONDS:g} s") from error
        except (asyncssh.Error, OSError) as error:
            raise NotOpened(_message(error)) from error
        return cast("Channel", channel)


async def connect(target: Target, *, connect_seconds: float = CONNECT_SECONDS) -> Connection:
    """Connect and log in, bounded by `connect_seconds` in all.

    Raises NodeUnreachable, HostKeyMismatch or LoginRefused.
    """
    import asyncssh

    pinned, algorithms = _pinned_keys(target)
    keys, tried, unusable = _client_keys(target)
    offered: list[asyncssh.SSHKey] = []

    class Client(asyncssh.SSHClient):
        """Notes which key a stranger offered, for the message."""

        def validate_host_public_key(
            self,
            host: str,  # noqa: ARG002
            addr: str,  # noqa: ARG002
            port: int,  # noqa: ARG002
            key: asyncssh.SSHKey,
        ) -> bool:
            """It is not one of the pinned keys: never trusted."""
            offered.append(key)
            return False

    try:
        inner = await asyncssh.connect(
            target.host,
            target.port,
            client_factory=Client,
            known_hosts=(pinned, [], []),
            server_host_key_algs=algorithms,
            client_keys=keys,
            username=target.user,
            connect_timeout=connect_seconds,
            **_fixed_options(),
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise HostKeyMismatch(target.node, _mismatch(target, pinned, offered)) from error
    except asyncssh.PermissionDenied as error:
        raise LoginRefused(target.node, _refused_login(target, tried, unusable)) from error
    except asyncssh.KeyExchangeFailed as error:
        message = f"{_place(target)} and hactl share no modern algorithm ({_message(error)})"
        raise NodeUnreachable(target.node, message) from error
    except (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError) as error:
        raise NodeUnreachable(target.node, _dropped(target, error)) from error
    except (asyncssh.Error, OSError, UnicodeError, ValueError) as error:
        raise NodeUnreachable(target.node, _no_connection(target, error, connect_seconds)) from error
    return Connection(inner)


async def introduces_itself(target: Target) -> bool:
    """Whether something that speaks SSH answers at the address: it says so first (RFC 4253, 4.2). Never raises."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(KNOCK_SECONDS):
            reader, writer = await asyncio.open_connection(target.host, target.port)
        async with asyncio.timeout(INTRODUCTION_SECONDS):
            return await reader.readexactly(4) == b"SSH-"
    except (OSError, EOFError, TimeoutError, UnicodeError):
        return False
    finally:
        if writer is not None:
            writer.close()


def _fixed_options() -> dict[str, Any]:
    """What is the same for every node. Lists are cut to what this asyncssh and its cryptography know."""
    from asyncssh.encryption import get_encryption_algs
    from asyncssh.kex import get_kex_algs

    def known(names: Sequence[str], available: Sequence[bytes]) -> list[str]:
        return [name for name in names if name.encode() in available]

    return {
        "config": None,
        "agent_path": None,
        "agent_forwarding": False,
        "x11_forwarding": False,
        "pkcs11_provider": None,
        "gss_host": None,
        "password": None,
        "preferred_auth": ["publickey"],
        "password_auth": False,
        "kbdint_auth": False,
        "host_based_auth": False,
        "kex_algs": known(KEY_EXCHANGES, get_kex_algs()),
        "encryption_algs": known(CIPHERS, get_encryption_algs()),
        "mac_algs": list(MACS),
        "compression_algs": ["none"],
        "signature_algs": [name for names in HOST_KEY_ALGORITHMS.values() for name in names],
        "login_timeout": LOGIN_SECONDS,
        "keepalive_interval": KEEPALIVE_SECONDS,
        "keepalive_count_max": KEEPALIVE_COUNT,
    }


def _pinned_keys(target: Target) -> tuple[list[asyncssh.SSHKey], list[str]]:
    """The pinned host keys, and the signature algorithms to ask for, theirs first (never ssh-rsa with SHA-1)."""
    import asyncssh

    keys: list[asyncssh.SSHKey] = []
    for line in target.host_keys:
        try:
            keys.append(asyncssh.import_public_key(line))
        except (asyncssh.KeyImportError, ValueError) as error:
            raise HostKeyMismatch(
                target.node,
                f"the pinned host key {line[:60]!r} is not an OpenSSH public key ({error}); nothing was sent",
            ) from error
    types = {key.get_algorithm() for key in keys}
    if not types & HOST_KEY_ALGORITHMS.keys():
        wanted = ", ".join(sorted(types)) or "none"
        raise HostKeyMismatch(
            target.node, f"no usable pinned host key (pinned: {wanted}); pin its ssh-ed25519 key; nothing was sent"
        )
    # The server takes the first it has a key for: a pinned type where it has one. Another type cannot be trusted,
    # but offering it lets us say which key was there instead.
    kinds = sorted(HOST_KEY_ALGORITHMS, key=lambda kind: kind not in types)
    algorithms = [name for kind in kinds for name in HOST_KEY_ALGORITHMS[kind]]
    return keys, algorithms


def _client_keys(target: Target) -> tuple[list[Any], list[str], list[str]]:
    """The private keys to try, what they are for the message, and which files could not be used and why.

    A key the document names must load; of the user's own keys, those that do not load are only told.
    """
    import asyncssh

    keys: list[Any] = []
    tried: list[str] = []
    unusable: list[str] = []
    for path in target.identities or default_identities():
        try:
            key = asyncssh.read_private_key(path)
        except asyncssh.KeyEncryptionError:
            why = (
                "is encrypted with a passphrase hactl cannot ask for; use a key of its own for hactl (ssh-keygen -N '')"
            )
        except (asyncssh.KeyImportError, ValueError):
            # An encrypted OpenSSH key without a passphrase is a KeyImportError too.
            why = _why_unreadable(path)
        except OSError as error:
            why = f"cannot be read ({_errno_words(error)})"
        else:
            keys.append(key)
            tried.append(f"{path} {key.get_fingerprint()}")
            continue
        unusable.append(f"{path} {why}")
    if not keys:
        raise LoginRefused(target.node, f"no private key to log in with as {target.user}: {_nothing_tried(unusable)}")
    return keys, tried, unusable


def _why_unreadable(path: str) -> str:
    try:
        asyncssh_text = Path(path).read_text(errors="replace")
    except OSError as error:
        return f"cannot be read ({_errno_words(error)})"
    if "PRIVATE KEY" in asyncssh_text:
        return "is encrypted with a passphrase hactl cannot ask for; use a key of its own for hactl (ssh-keygen -N '')"
    return "is not a private key"


def _nothing_tried(unusable: Sequence[str]) -> str:
    if unusable:
        return "; ".join(unusable)
    return "no ~/.ssh/id_ed25519, id_ecdsa or id_rsa; set identityFrom in the document, or HACTL_IDENTITY"


def _mismatch(target: Target, pinned: Sequence[asyncssh.SSHKey], offered: Sequence[asyncssh.SSHKey]) -> str:
    theirs = ", ".join(_key_words(key) for key in offered) or "a key that cannot be read"
    ours = ", ".join(_key_words(key) for key in pinned)
    return (
        f"host key mismatch at {_place(target)}: pinned {ours}, offered {theirs}; nothing was sent. "
        "If the node was reinstalled, compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its console "
        "and correct hostKey in the document; otherwise somebody else answers at this address"
    )


def _key_words(key: asyncssh.SSHKey) -> str:
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def _refused_login(target: Target, tried: Sequence[str], unusable: Sequence[str]) -> str:
    message = f"{_place(target)} does not accept user {target.user} with {', '.join(tried)}"
    if unusable:
        message += f" (not tried: {'; '.join(unusable)})"
    hint = f"add the public key to ~{target.user}/.ssh/authorized_keys"
    if target.user == "root":
        hint += (
            " and check PermitRootLogin in sshd_config (FreeBSD's default is no), or log in as another user with become"
        )
    return f"{message}; {hint}"


def _dropped(target: Target, error: Exception) -> str:
    message = _message(error)
    if "timeout" in message.lower():
        return f"{_place(target)} accepted the connection but the login took too long ({message})"
    return (
        f"{_place(target)} closed the connection before the login was done ({message}); "
        "if it is an sshd, it may be over MaxStartups, or refuse this address (hosts.allow, PerSourcePenalties)"
    )


def _no_connection(target: Target, error: Exception, connect_seconds: float) -> str:
    place = _place(target)
    if isinstance(error, socket.gaierror):
        return f"the name {target.host} does not resolve ({error.strerror or error})"
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"no answer from {place} within {connect_seconds:g} s (timeout)"
    if isinstance(error, OSError):
        return f"cannot connect to {place}: {_errno_words(error)}"
    return f"{place} does not speak SSH as expected: {_message(error)}"


def _errno_words(error: OSError) -> str:
    """ "Connection refused (ECONNREFUSED)"; several addresses were tried when there is no errno."""
    if error.errno is None:
        return str(error) or type(error).__name__
    return f"{os.strerror(error.errno)} ({errno.errorcode.get(error.errno, error.errno)})"


def _message(error: BaseException) -> str:
    return str(error).strip() or type(error).__name__


def _place(target: Target) -> str:
    return f"{target.host} port {target.port}"
