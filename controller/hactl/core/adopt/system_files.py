"""The files of the base system as hactl would have them on a node that has nothing of it yet, for people to read.

Rules: what a plan would write on such a node, no more; a CARP password is the shell variable that stands for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.changes.boot import RC_CONF, SYSCTL_CONF, WriteBootAliases
from hactl.core.changes.change import WrittenFile
from hactl.core.changes.hast import HAST_CONF
from hactl.core.cluster import Cluster, hooked_groups, storages_of
from hactl.core.facts import Snapshot
from hactl.core.hastconf import render_hastconf
from hactl.core.hook.render import RCVAR
from hactl.core.plan.areas.boot import wanted_aliases
from hactl.core.plan.areas.kernel import wanted_sysctls
from hactl.core.plan.scene import set_scene


def rendered_system(cluster: Cluster, node: str) -> str:
    """Each under a line that names it, as the files of the hook are."""
    return "\n".join(
        f"# --- {file.path} ({'these lines' if file.part else f'mode {file.mode or 0o644:04o}'})\n{file.text}"
        for file in system_files(cluster, node)
    )


def system_files(cluster: Cluster, node: str) -> tuple[WrittenFile, ...]:
    """hast.conf whole; of the other files the lines that are hactl's."""
    scene = set_scene(cluster, Snapshot(0.0), 0.0)
    aliases = wanted_aliases(scene, node)
    sysctls = wanted_sysctls(scene) if aliases else {}
    found = (
        WrittenFile(HAST_CONF, render_hastconf(cluster, node), 0o644),
        WrittenFile(RC_CONF, "".join(f'{name}="{value}"\n' for name, value in _variables(cluster, node)), part=True),
        WriteBootAliases(tuple(aliases)).writes,
        WrittenFile(
            SYSCTL_CONF, "".join(f"net.inet.carp.{name}={value}\n" for name, value in sysctls.items()), part=True
        ),
    )
    return tuple(file for file in found if file.text)


def _variables(cluster: Cluster, node: str) -> Iterator[tuple[str, str]]:
    if any(node in group.preferred and group.virtual_ips for group in cluster.groups):
        yield "kld_list", "carp"
    if storages_of(cluster, node):
        yield "hastd_enable", "YES"
    if hooked_groups(cluster, node):
        yield RCVAR, "YES"
