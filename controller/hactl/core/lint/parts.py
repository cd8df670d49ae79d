"""Parts of a document that several rules ask for."""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.document.problems import FieldPath
from hactl.core.objects import FailoverPolicy, FailoverSpec, GroupSpec, HACluster


def groups(cluster: HACluster) -> Iterator[tuple[FieldPath, GroupSpec]]:
    """Every group with its path."""
    for index, group in enumerate(cluster.spec.groups):
        yield ("spec", "groups", index), group


def failover_of(cluster: HACluster, group: GroupSpec) -> FailoverSpec:
    """What the nodes do by themselves for that group."""
    return group.failover if group.failover is not None else cluster.spec.failover


def failover_path(path: FieldPath, group: GroupSpec) -> FieldPath:
    """Where that is written, or would be."""
    return (*path, "failover") if group.failover is not None else ("spec", "failover")


def fails_over(cluster: HACluster, group: GroupSpec) -> bool:
    """Whether the nodes move the group by themselves."""
    return failover_of(cluster, group).policy is FailoverPolicy.AUTOMATIC and has_standby(cluster)


def has_standby(cluster: HACluster) -> bool:
    """Whether there is more than one node."""
    return len(cluster.spec.nodes) > 1
