"""Documents with one pool over several resources, and what their nodes have of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.lab.closed_loop import Loop

POOL = "storage"


def pool_over(*names: str, layout: str = "") -> Callable[[dict[str, Any]], None]:
    """A change of nas.yaml: these resources, each on a disk of its own, under the pool `storage` at /data."""

    def change(data: dict[str, Any]) -> None:
        group = data["spec"]["groups"][0]
        (first,) = group["storage"]
        zfs = {"pool": POOL, "mountpoint": "/data"} | ({"layout": layout} if layout else {})
        group["storage"] = [
            {
                "name": name,
                "hast": {**first["hast"], "devices": dict.fromkeys(first["hast"]["devices"], f"/dev/gpt/{name}")},
                # What is said at one of them is enough.
                "filesystem": {"zfs": zfs if number == 1 else {"pool": POOL}},
            }
            for number, name in enumerate(names)
        ]

    return change


def has_pool(loop: Loop, node: str) -> bool:
    """Whether the kernel there has it imported, whatever hactl thinks."""
    return POOL in loop.machine(node).disks.pools.imported


def health(loop: Loop, node: str) -> str:
    """As zpool(8) has it; empty: it is not imported."""
    return loop.machine(node).disks.pools.imported[POOL].health if has_pool(loop, node) else ""
