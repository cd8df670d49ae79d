"""The converged pair of nas.yaml with one pool over several resources, as facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hactl.core.facts import Known, Mount, Pool
from hactl.core.hastconf import render_hastconf
from support.facts.builder import Scene, healthy_pair, nas_cluster

POOL = "storage"
DISKS = ("disk1", "disk2", "disk3")


def pool_document(*names: str, layout: str = "", **more: Any) -> list[dict[str, Any]]:
    """The `storage` of a group: these resources under one pool at /data; `more` of hast for each."""
    first = nas_cluster().groups[0].storage[0].model_dump(mode="json", by_alias=True)
    found = []
    for number, name in enumerate(names):
        devices = dict.fromkeys(first["hast"]["devices"], f"/dev/{name}")
        zfs = {"pool": POOL, "mountpoint": "/data"} if number == len(names) - 1 else {"pool": POOL}
        if layout and number == 0:
            zfs["layout"] = layout
        hast = {**first["hast"], "devices": devices, **more}
        found.append({"name": name, "hast": hast, "filesystem": {"zfs": zfs}})
    return found


def pool_pair(*names: str, layout: str = "") -> Scene:
    """nas-a is primary for all of them and has the pool imported; nas-b has complete copies."""
    cluster = nas_cluster({"spec.groups.0.storage": pool_document(*names, layout=layout)})
    scene = healthy_pair().unmounted("nas-a")
    for node in ("nas-a", "nas-b"):
        facts = scene.facts(node)
        resource, gate = scene.known(node, "resources")["data"], facts.hast_devices["data"]
        assert isinstance(gate, Known)
        scene = (
            scene.node(
                node,
                resources={n: replace(resource, name=n, provname=n, localpath=f"/dev/{n}") for n in names},
                metadata=dict.fromkeys(names, facts.metadata["data"]),
                devices={f"/dev/{n}": facts.devices["/dev/vtbd1"] for n in names},
                hast_devices={n: Known(replace(gate.value, path=f"/dev/hast/{n}"), gate.seen_at) for n in names},
                modules={"carp": True, "g_gate": True, "zfs": True},
            )
            .file(node, text=render_hastconf(cluster, node))
            .hook(node, confirmed={} if node == "nas-a" else dict.fromkeys(names, 1700000000))
        )
    mounts = (*scene.known("nas-a", "mounts"), Mount(POOL, "/data", "zfs", frozenset({"local"})))
    scene = scene.wants(cluster).node("nas-a", mounts=mounts)
    return with_pool(scene, Pool(POOL, "ONLINE", devices=tuple(f"/dev/hast/{n}" for n in names), layout=layout.lower()))


def with_pool(scene: Scene, pool: Pool) -> Scene:
    """The pool as nas-a has it."""
    return scene.node("nas-a", pools={POOL: pool})


def without_pool(scene: Scene) -> Scene:
    """nas-a has it not imported, and runs nothing on it."""
    mounts = tuple(mount for mount in scene.known("nas-a", "mounts") if mount.fstype != "zfs")
    return scene.node("nas-a", pools={}, mounts=mounts).service("nas-a", running=False)
