"""Clusters that name the same machine: two documents that would undo each other's work for ever.

Nobody knows which of them is meant, so neither is acted on until one of them is gone or only observes.
"""

from __future__ import annotations

from collections.abc import Mapping

from hactl.core.objects import HACluster, Mode


def conflicts(documents: Mapping[str, tuple[HACluster, str]]) -> dict[str, str]:
    """Cluster -> why it is not acted on, for every cluster that shares a machine (ssh host and port) with another.

    `documents` has for each name the document and the source it is from.
    """
    users: dict[tuple[str, int], dict[str, str]] = {}
    for name, (document, source) in documents.items():
        spec = document.spec
        if spec.mode is not Mode.OBSERVE:
            for node in spec.nodes:
                users.setdefault((node.ssh.host.lower(), node.ssh.port), {})[name] = source
    found: dict[str, str] = {}
    for (host, port), sources in users.items():
        for name in sources if len(sources) > 1 else ():
            others = ", ".join(f"{other} ({source})" for other, source in sources.items() if other != name)
            found.setdefault(
                name,
                f"{host} port {port} is a machine of {others} too: neither is changed until one of them leaves it "
                "out or has mode Observe",
            )
    return found
