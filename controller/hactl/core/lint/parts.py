"""Parts of a document that several rules ask for."""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.choices import FailoverPolicy
from hactl.core.cluster import Cluster, follows_addresses
from hactl.core.cluster import failover_of as failover_in
from hactl.core.document.problems import FieldPath
from hactl.core.objects import FailoverSpec, GroupSpec, HACluster


def groups(cluster: HACluster) -> Iterator[tuple[FieldPath, GroupSpec]]:
    """Every group with its path."""
    for index, group in enumerate(cluster.spec.groups):
        yield ("spec", "groups", index), group


def failover_of(cluster: HACluster, group: GroupSpec) -> FailoverSpec:
    """What the nodes do by themselves for that group."""
    return failover_in(Cluster(cluster), group)


def failover_path(path: FieldPath, group: GroupSpec) -> FieldPath:
    """Where that is written, or would be."""
    return (*path, "failover") if group.failover is not None else ("spec", "failover")


def is_to_fail_over(cluster: HACluster, group: GroupSpec) -> bool:
    """Whether the document wants the nodes to move the group by themselves."""
    wanted = failover_of(cluster, group).policy is FailoverPolicy.AUTOMATIC
    return wanted and has_standby(cluster) and follows_addresses(group)


def fails_over(cluster: HACluster, group: GroupSpec) -> bool:
    """Whether they do: the hook waits for addresses to move."""
    return bool(group.virtual_ips) and is_to_fail_over(cluster, group)


def has_standby(cluster: HACluster) -> bool:
    """Whether there is more than one node."""
    return len(cluster.spec.nodes) > 1
