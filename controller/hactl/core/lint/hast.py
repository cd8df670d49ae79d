"""Rules about replication and what lives on it. Table: `RULES`.

hast.conf(5), mount(8); docs/freebsd-facts.md#2.2 (settings), #2.7 (when a write counts, when a peer is given up).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hactl.core.choices import Replication
from hactl.core.document.problems import Fault, FieldPath
from hactl.core.document.rules.network import IPInterface, numeric, virtual_addresses
from hactl.core.document.rules.storage import storages
from hactl.core.lint.codes import Code
from hactl.core.lint.finding import Rule
from hactl.core.lint.parts import fails_over, groups
from hactl.core.objects import GroupSpec, HACluster, StorageSpec

#: An idle connection speaks this often (hastd/primary.c, HAST_KEEPALIVE).
_KEEPALIVE_SECONDS = 10
#: hastd's own (hast.conf(5), timeout).
_DEFAULT_TIMEOUT_SECONDS = 20
#: mount(8): what each does to a filesystem whose node loses its power.
_UNSAFE_OPTIONS = {
    "async": "the structure on the disk is not kept consistent: fsck may not mend it after a power cut",
    "force": "a filesystem that was not checked is mounted, and written to",
}


def wire_of(storage: StorageSpec, virtual: Sequence[IPInterface]) -> IPInterface | None:
    """The virtual IP in whose network the resource replicates; None: in none that the document knows."""
    addresses = [address for text in storage.hast.addresses.values() if (address := numeric(text)) is not None]
    for address in virtual:
        if address.network.num_addresses > 1 and any(own in address.network for own in addresses):
            return address
    return None


def shared_links(cluster: HACluster) -> Iterator[tuple[GroupSpec, FieldPath, IPInterface]]:
    """The first resource of each group that replicates in the network of a virtual IP."""
    virtual = [address for _, _, address in virtual_addresses(cluster)]
    for path, group in groups(cluster):
        for index, storage in enumerate(group.storage):
            if (wire := wire_of(storage, virtual)) is not None:
                yield group, (*path, "storage", index, "hast", "addresses"), wire
                break


def _shared_link(cluster: HACluster) -> Iterator[Fault]:
    for _, path, wire in shared_links(cluster):
        message = f"replication uses {wire.network}, the network of the virtual IP {wire.ip}: one failure takes both"
        yield Fault(path, message, "give replication a link and a network of its own")


def _async_automatic(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        for index, storage in enumerate(group.storage):
            if storage.hast.replication is Replication.ASYNC and fails_over(cluster, group):
                message = "when the active node dies every write that it acknowledged and had not sent yet is lost"
                where = (*path, "storage", index, "hast", "replication")
                yield Fault(where, message, "write memsync, or failover: {policy: Manual}")


def _short_timeout(cluster: HACluster) -> Iterator[Fault]:
    for path, storage in storages(cluster):
        if storage.hast.timeout_seconds <= _KEEPALIVE_SECONDS:
            message = f"an idle connection speaks every {_KEEPALIVE_SECONDS} s: it breaks again and again"
            yield Fault((*path, "hast", "timeoutSeconds"), message, f"write more than {_KEEPALIVE_SECONDS}, e.g. 15")


def _long_timeout(cluster: HACluster) -> Iterator[Fault]:
    for path, storage in storages(cluster):
        seconds = storage.hast.timeout_seconds
        if seconds > _DEFAULT_TIMEOUT_SECONDS:
            message = f"when the standby dies every write waits for up to {seconds} s"
            yield Fault((*path, "hast", "timeoutSeconds"), message, "15 is the default, 20 that of hastd")


def _unsafe_mount(cluster: HACluster) -> Iterator[Fault]:
    for path, storage in storages(cluster):
        ufs = storage.filesystem.ufs if storage.filesystem is not None else None
        for index, option in enumerate(ufs.options if ufs is not None else ()):
            if option in _UNSAFE_OPTIONS:
                where = (*path, "filesystem", "ufs", "options", index)
                yield Fault(where, f"with {option} {_UNSAFE_OPTIONS[option]}", "remove it")


def _bare_device(cluster: HACluster) -> Iterator[Fault]:
    for path, group in groups(cluster):
        for index, storage in enumerate(group.storage):
            if storage.filesystem is None and group.services:
                message = f"{storage.device} is not mounted by hactl: {group.services[0].name} has to use it as it is"
                yield Fault((*path, "storage", index), message, "add filesystem: {ufs: ...} or {zfs: ...}")


RULES: tuple[tuple[Code, Rule], ...] = (
    (Code.SHARED_LINK, _shared_link),
    (Code.ASYNC_AUTOMATIC, _async_automatic),
    (Code.SHORT_TIMEOUT, _short_timeout),
    (Code.LONG_TIMEOUT, _long_timeout),
    (Code.UNSAFE_MOUNT, _unsafe_mount),
    (Code.BARE_DEVICE, _bare_device),
)
