"""Rules about replicated disks and filesystems. Table: `RULES`.

hast.conf(5) and its scanner (docs/freebsd-facts.md#2.2): names it reserves, addresses it can express, one file for both
nodes. zpool(8) for names of pools.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from hactl.core.document.problems import Fault, FieldPath, shown
from hactl.core.document.rules.network import IP, not_usable, numeric, virtual_addresses
from hactl.core.document.rules.nodes import HAST_KEYWORDS, exactly_one, names_every_node, repeated
from hactl.core.objects import GroupSpec, HACluster, StorageSpec, ZfsSpec

#: HAST replicates between two machines.
_HAST_NODES = 2
#: Nothing may be mounted over or below these.
_SYSTEM_TREES = ("/bin", "/boot", "/dev", "/etc", "/lib", "/libexec", "/proc", "/rescue", "/sbin", "/.zfs")
#: Nothing may be mounted over these; below them is fine.
_SYSTEM_DIRECTORIES = frozenset(
    [
        "/",
        "/media",
        "/mnt",
        "/net",
        "/root",
        "/sys",
        "/tmp",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/usr/lib32",
        "/usr/libdata",
        "/usr/libexec",
        "/usr/local",
        "/usr/local/etc",
        "/usr/sbin",
        "/usr/share",
        "/usr/src",
        "/var",
        "/var/cron",
        "/var/db",
        "/var/db/hactl",
        "/var/empty",
        "/var/log",
        "/var/run",
        "/var/tmp",
    ]
)
#: zpool(8): reserved names, and reserved beginnings.
_POOL_WORDS = frozenset({"log"})
_POOL_BEGINNINGS = ("mirror", "raidz", "draid", "spare")


def storages(cluster: HACluster) -> Iterator[tuple[FieldPath, StorageSpec]]:
    """Every replicated disk with its path."""
    for group_index, group in enumerate(cluster.spec.groups):
        for index, storage in enumerate(group.storage):
            yield ("spec", "groups", group_index, "storage", index), storage


def _resource_names(cluster: HACluster) -> Iterator[Fault]:
    names = [((*path, "name"), storage.name) for path, storage in storages(cluster)]
    yield from repeated(names, "HAST resource", among=" in this cluster")
    for path, storage in storages(cluster):
        name = storage.name
        if name in HAST_KEYWORDS:
            yield Fault((*path, "name"), f"{shown(name)} is a word of hast.conf's own", "choose another name")
        elif name.isdecimal():
            yield Fault((*path, "name"), "a name of digits only is a number to hast.conf", "begin it with a letter")
        elif name == "all":
            yield Fault((*path, "name"), 'hastctl takes "all" for every resource', "choose another name")


def _two_nodes(cluster: HACluster) -> Iterator[Fault]:
    count = len(cluster.spec.nodes)
    for path, storage in storages(cluster):
        if count != _HAST_NODES:
            message = f"HAST replicates between two nodes, this cluster has {count}"
            yield Fault((*path, "hast"), message, "put storage in a cluster of two nodes")
        yield from names_every_node(cluster, (*path, "hast", "devices"), storage.hast.devices, "device")
        yield from names_every_node(cluster, (*path, "hast", "addresses"), storage.hast.addresses, "address")


def _devices(cluster: HACluster) -> Iterator[Fault]:
    known: dict[str, list[tuple[str, FieldPath]]] = {}
    for path, storage in storages(cluster):
        for node, device in storage.hast.devices.items():
            where = (*path, "hast", "devices", node)
            plain = posixpath.normpath(device).replace("//", "/")
            if plain != device:
                yield Fault(where, f"{shown(device)} is a roundabout path", f"write {plain}")
            if plain in {"/", "/dev"} or plain.startswith("/dev/hast/") or plain in {"/dev/null", "/dev/zero"}:
                yield Fault(where, f"{plain} is no disk to replicate", "a disk or partition such as /dev/da1")
            for other, other_path in known.get(node, []):
                if wrong := _same_disk(plain, other):
                    message = f"{plain} on {node} {wrong} (at {{other}})"
                    yield Fault(where, message, "give each resource its own device", other=other_path)
            known.setdefault(node, []).append((plain, where))


def _same_disk(one: str, other: str) -> str | None:
    """How two device paths of a node collide, or None."""
    if one == other:
        return "is already used"
    for whole, part, says in ((one, other, "contains"), (other, one, "is part of")):
        # gpart(8): da0p1, da0s1, da0s1a.
        if part.startswith(whole) and re.fullmatch(r"[ps][0-9]+[a-h]?", part[len(whole) :]) and whole[-1].isdecimal():
            return f"{says} {other}"
    return None


def _addresses(cluster: HACluster) -> Iterator[Fault]:
    virtual = {address.ip: path for path, _, address in virtual_addresses(cluster)}
    owners: dict[IP, str] = {}
    for path, storage in storages(cluster):
        versions: set[int] = set()
        for node, text in storage.hast.addresses.items():
            where = (*path, "hast", "addresses", node)
            address = numeric(text)
            if address is None:
                yield Fault(where, f"{shown(text)} is no numeric address", _numeric_advice(text))
                continue
            versions.add(address.version)
            if address in virtual:
                message = f"{address} is a virtual IP ({{other}})"
                yield Fault(where, message, "replication needs the node's own address", other=virtual[address])
            elif wrong := not_usable(address):
                yield Fault(where, f"{address} {wrong}", "use the node's own address")
            elif address.version == 6 and address.is_link_local:
                message = f"{address} needs a zone, which hast.conf cannot express"
                yield Fault(where, message, "use another address of the node")
            elif owners.setdefault(address, node) != node:
                message = f"{address} is also the address of {owners[address]}"
                yield Fault(where, message, "two nodes cannot have the same address")
        if len(versions) > 1:
            message = "one address is IPv4 and the other IPv6"
            yield Fault((*path, "hast", "addresses"), message, "the nodes can only talk in the same family")


def _numeric_advice(text: str) -> str:
    address, slash, _ = text.partition("/")
    if slash and numeric(address) is not None:
        return f"write {address}, without prefix length"
    return "write an address such as 198.51.100.11: hastd would ask the resolver in its only thread"


def _filesystems(cluster: HACluster) -> Iterator[Fault]:
    for path, storage in storages(cluster):
        if storage.filesystem is None:
            continue
        base = (*path, "filesystem")
        ufs, zfs = storage.filesystem.ufs, storage.filesystem.zfs
        yield from exactly_one(base, ufs, zfs, ("ufs", "zfs"))
        if ufs is not None:
            yield from repeated(
                [((*base, "ufs", "options", at), word) for at, word in enumerate(ufs.options)], "option"
            )


#: The places in the document that name one pool, each with what it says there.
_Members = list[tuple[FieldPath, ZfsSpec]]


def _members(group_path: FieldPath, group: GroupSpec) -> dict[str, _Members]:
    found: dict[str, _Members] = {}
    for index, storage in enumerate(group.storage):
        if storage.filesystem is not None and storage.filesystem.zfs is not None:
            zfs = storage.filesystem.zfs
            found.setdefault(zfs.pool, []).append(((*group_path, "storage", index, "filesystem", "zfs"), zfs))
    return found


def _pools(cluster: HACluster) -> Iterator[Fault]:
    """A pool is of one group, and all of its resources that say a thing of it say the same."""
    first: dict[str, tuple[str, FieldPath]] = {}
    for group_index, group in enumerate(cluster.spec.groups):
        for pool, members in _members(("spec", "groups", group_index), group).items():
            where = (*members[0][0], "pool")
            if pool in _POOL_WORDS or pool.startswith(_POOL_BEGINNINGS):
                yield Fault(where, f"{shown(pool)} is a name zpool(8) reserves", "choose another name")
            if pool in first:
                other_group, other = first[pool]
                message = f"the pool {shown(pool)} is in two groups, {other_group} (at {{other}}) and {group.name}"
                advice = "a pool moves as one: put all of its resources into one group, or name two pools"
                yield Fault(where, message, advice, other=other)
            first.setdefault(pool, (group.name, where))
            yield from _pool(pool, members)


def _pool(pool: str, members: _Members) -> Iterator[Fault]:
    said: dict[str, tuple[str, FieldPath]] = {}
    for path, zfs in members:
        for word, value in (("layout", zfs.layout), ("mountpoint", zfs.mountpoint)):
            if value is None:
                continue
            before, other = said.setdefault(word, (value, (*path, word)))
            if value != before:
                message = f"the {word} of the pool {shown(pool)} is {value} here and {before} at {{other}}"
                yield Fault((*path, word), message, "a pool has one: say it at one of its resources", other=other)
    layout = next(((zfs.layout, (*path, "layout")) for path, zfs in members if zfs.layout is not None), None)
    if layout is not None and len(members) < layout[0].fewest:
        names = f"{len(members)} resource{'s' if len(members) > 1 else ''}"
        message = f"{layout[0]} needs at least {layout[0].fewest} devices, and {names} of the group name {shown(pool)}"
        yield Fault(
            layout[1], message, f"name the pool {pool} at more resources of the group, or choose another layout"
        )


def _mountpoints(cluster: HACluster) -> Iterator[Fault]:
    known: list[tuple[str, FieldPath]] = []
    for where, text in _mounted(cluster):
        plain = posixpath.normpath(text).replace("//", "/")
        if plain != text:
            yield Fault(where, f"{shown(text)} is a roundabout path", f"write {plain}")
        if _is_system(plain):
            yield Fault(where, f"{plain} belongs to the system", "mount it elsewhere, e.g. /data")
        for other, other_path in known:
            if plain == other:
                yield Fault(where, f"{plain} is already used (at {{other}})", "choose another", other=other_path)
            elif plain.startswith(f"{other}/") or other.startswith(f"{plain}/"):
                inner, outer = (plain, other) if plain.startswith(f"{other}/") else (other, plain)
                message = f"{inner} is inside {outer} (see {{other}})"
                yield Fault(where, message, "mount them apart", other=other_path)
        known.append((plain, where))


def _mounted(cluster: HACluster) -> Iterator[tuple[FieldPath, str]]:
    """Where each filesystem and pool is mounted, with the path that says so; a pool once."""
    for group_index, group in enumerate(cluster.spec.groups):
        group_path = ("spec", "groups", group_index)
        pools = _members(group_path, group)
        for index, storage in enumerate(group.storage):
            filesystem = storage.filesystem
            if filesystem is not None and filesystem.ufs is not None:
                yield (*group_path, "storage", index, "filesystem", "ufs", "mountpoint"), filesystem.ufs.mountpoint
            if filesystem is not None and filesystem.zfs is not None:
                pool = filesystem.zfs.pool
                members = pools.pop(pool, [])
                said = next(((path, zfs.mountpoint) for path, zfs in members if zfs.mountpoint is not None), None)
                if said is not None:
                    yield (*said[0], "mountpoint"), said[1]
                elif members:
                    yield (*members[0][0], "pool"), f"/{pool}"


def _is_system(path: str) -> bool:
    return path in _SYSTEM_DIRECTORIES or any(path == tree or path.startswith(f"{tree}/") for tree in _SYSTEM_TREES)


RULES = (_resource_names, _two_nodes, _devices, _addresses, _filesystems, _pools, _mountpoints)
