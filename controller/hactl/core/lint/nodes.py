"""Rules about how nodes are reached. Table: `RULES`."""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.document.problems import Fault
from hactl.core.document.rules.network import numeric
from hactl.core.document.rules.storage import storages
from hactl.core.lint.codes import Code
from hactl.core.lint.finding import Rule
from hactl.core.objects import HACluster


def _host_name(cluster: HACluster) -> Iterator[Fault]:
    for index, node in enumerate(cluster.spec.nodes):
        if numeric(node.ssh.host.partition("%")[0]) is None:
            message = f"without a resolver hactl does not reach {node.name}, and the hook of its peer asks no names"
            yield Fault(("spec", "nodes", index, "ssh", "host"), message, "write its address")


def _only_replication(cluster: HACluster) -> Iterator[Fault]:
    replication = {
        (node, address)
        for _, storage in storages(cluster)
        for node, text in storage.hast.addresses.items()
        if (address := numeric(text)) is not None
    }
    for index, node in enumerate(cluster.spec.nodes):
        host = numeric(node.ssh.host)
        if host is not None and (node.name, host) in replication:
            message = f"{host} is the replication address of {node.name}: without that link hactl does not see the node"
            yield Fault(("spec", "nodes", index, "ssh", "host"), message, "use an address on another network")


RULES: tuple[tuple[Code, Rule], ...] = (
    (Code.HOST_NAME, _host_name),
    (Code.ONLY_REPLICATION, _only_replication),
)
