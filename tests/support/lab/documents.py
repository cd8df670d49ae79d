"""Documents for lab tests: a pair on free loopback ports, or many of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hactl.core.objects import HACluster
from hactl.ports import Document
from support.loopback import free_port


def pair(name: str = "nas", *, nodes: tuple[str, ...] = ("nas-a", "nas-b"), vhid: int = 80, **ssh: Any) -> HACluster:
    """A storage pair like the example document."""
    return HACluster.model_validate(
        {
            "apiVersion": "hactl.dev/v1alpha1",
            "kind": "HACluster",
            "metadata": {"name": name},
            "spec": {
                "nodes": [
                    {
                        "name": node,
                        "ssh": {
                            "host": "127.0.0.1",
                            "port": free_port(),
                            "hostKeyFrom": {"file": f"lab/{node}.pub"},
                            **ssh,
                        },
                    }
                    for node in nodes
                ],
                "groups": [
                    {
                        "name": "files",
                        "preferred": list(nodes),
                        "virtualIPs": [
                            {
                                "name": "files",
                                "vhid": vhid,
                                "interface": "vtnet1",
                                "addresses": ["192.0.2.80/24"],
                                "passwordFrom": {"file": "secrets/files.carp"},
                            }
                        ],
                        "storage": [
                            {
                                "name": "data",
                                "hast": {
                                    "devices": dict.fromkeys(nodes, "/dev/vtbd1"),
                                    "addresses": {node: f"198.51.100.{11 + place}" for place, node in enumerate(nodes)},
                                },
                                "filesystem": {"ufs": {"mountpoint": "/data", "options": ["noatime"]}},
                            }
                        ],
                        "services": [{"name": "nfsd", "runOn": "Active"}],
                    }
                ],
            },
        }
    )


def document(cluster: HACluster, directory: Path) -> Document:
    """A document as a source would hand it over."""
    return Document(cluster, "test.yaml", str(directory), "0" * 64, "")
