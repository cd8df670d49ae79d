"""/etc/hast.conf as the document wants it, as text.

Rules: one file, the same on both nodes of a resource; every resource in it has an `on` block for the node that reads
it, or hastd refuses the whole file (docs/freebsd-facts.md#trap-26); numeric addresses; it ends with a newline; only
characters its grammar knows. Man page: hast.conf(5).
"""

from __future__ import annotations

from collections.abc import Collection

from hactl.core.cluster import HAST_PORT, Cluster, hooked_groups, storages_of
from hactl.core.hook.render import HOOK
from hactl.core.objects import StorageSpec

#: How a file that hactl wrote begins.
WRITTEN = "# Written by hactl"


def render_hastconf(cluster: Cluster, node: str, *, routed: Collection[str] = ()) -> str:
    """The whole file for one node; empty when the node has no resource (an empty file is a trap: recording 04).

    `routed`: resources that have no `source`: the route chooses it.
    """
    storages = storages_of(cluster, node)
    if not storages:
        return ""
    lines = [f"{WRITTEN} for the cluster {cluster.name}; a change here is undone. Edit the document instead."]
    lines += [f"listen {address}" for address in cluster.document.spec.hast.listen]
    if any(group.storage for group in hooked_groups(cluster, node)):
        # The hook must hear of lost and new connections: a copy is complete only as long as it stays connected.
        lines.append(f"exec {HOOK}")
    for storage in storages:
        lines += _resource(storage, routed=storage.name in routed)
    return "\n".join(lines) + "\n"


def _resource(storage: StorageSpec, *, routed: bool) -> list[str]:
    hast = storage.hast
    lines = [
        f"resource {storage.name} {{",
        f"\treplication {hast.replication}",
        f"\tchecksum {hast.checksum}",
        f"\tcompression {hast.compression}",
        f"\ttimeout {hast.timeout_seconds}",
        *([] if hast.metaflush else ["\tmetaflush off"]),
    ]
    for node, device in hast.devices.items():
        lines += [f"\ton {node} {{", f"\t\tlocal {device}"]
        lines += [f"\t\tremote {_endpoint(a)}" for other, a in hast.addresses.items() if other != node]
        # Without `source` the peer may see another address than the one it lets in (docs/freebsd-facts.md#trap-28).
        lines += [f"\t\tsource {hast.addresses[node]}"] if ":" not in hast.addresses[node] and not routed else []
        lines.append("\t}")
    return [*lines, "}"]


def _endpoint(address: str) -> str:
    """IPv6 needs brackets, and brackets need a port (hast.conf(5), "remote")."""
    return f"tcp6://[{address}]:{HAST_PORT}" if ":" in address else address
