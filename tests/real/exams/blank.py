"""From blank disks to Ready, and nothing to do after that."""

from __future__ import annotations

import copy
from typing import Any

from ruamel.yaml import YAML

from ..nodes.emulated import EXAMPLES
from ..nodes.site import Site
from .exam import READY, Bench, exam

_INTERFACES = {"wan": "vtnet2", "lan": "vtnet1"}


def firewall(nas: dict[str, Any]) -> dict[str, Any]:
    """examples/firewall.yaml on the machines of `nas`: `wan` is on the net that replication has there."""
    document: dict[str, Any] = YAML(typ="safe").load(EXAMPLES / "firewall.yaml")
    nodes = copy.deepcopy(nas["spec"]["nodes"])
    document["spec"]["nodes"] = nodes
    for group in document["spec"]["groups"]:
        group["preferred"] = [node["name"] for node in nodes]
        for address in group["virtualIPs"]:
            address["interfaces"] = {node["name"]: _INTERFACES[address["name"]] for node in nodes}
            address["passwordFrom"] = {"file": "secrets/files.carp"}
    return document


@exam("blank", ("firewall", "nas"), "blank")
def blank(bench: Bench, name: str) -> None:
    """From blank disks to Ready in one apply; the second apply does nothing."""
    bench.clean = False
    bench.nodes.blank()
    bench.furnish()
    site = bench.site
    if name == "nas":
        site.write(bench.document)
    else:  # a record of its own: these nodes are another cluster's there
        site = Site(bench.nodes, bench.folder / "hactl")
        site.write(firewall(bench.document))
    first = site.apply()
    bench.outcome.must(first.ready, "not Ready after the first apply")
    bench.outcome.seconds["apply"] = first.seconds
    bench.outcome.details.append(f"{first.steps} steps")
    second = site.apply()
    bench.outcome.must(second.ready and second.steps == 0, f"the second apply took {second.steps} steps")
    bench.outcome.seconds["nothing"] = second.seconds
    bench.outcome.details.append(site.hactl("status").out)
    bench.clean = name == "nas" and second.ready
    if bench.clean and bench.keep:
        bench.nodes.keep(READY)
        bench.nodes.bring_back(READY)
        bench.clean = False
