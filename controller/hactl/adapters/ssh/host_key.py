"""The public host key that a node shows to anybody who connects: nothing is sent to it, nobody logs in.

It is as good as the network on the way to it: whoever uses it compares it with the node's own before trusting it.
"""

from __future__ import annotations

import asyncio

from hactl.adapters.ssh.connection import CONNECT_SECONDS, HOST_KEY_ALGORITHMS
from hactl.errors import NodeUnreachable


async def seen_host_key(host: str, port: int) -> str:
    """`ssh-ed25519 AAAA...`, the best key that the node has. Raises NodeUnreachable."""
    import asyncssh

    algorithms = [name for names in HOST_KEY_ALGORITHMS.values() for name in names]
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            key = await asyncssh.get_server_host_key(host, port, server_host_key_algs=algorithms, config=None)
    except TimeoutError as error:
        raise NodeUnreachable(host, f"{host} port {port} shows no host key within {CONNECT_SECONDS:g} s") from error
    except (asyncssh.Error, OSError, UnicodeError, ValueError) as error:
        raise NodeUnreachable(host, f"{host} port {port} shows no host key: {error}") from error
    if key is None:
        raise NodeUnreachable(host, f"{host} port {port} has no host key that hactl knows")
    return " ".join(key.export_public_key("openssh").decode().split()[:2])
