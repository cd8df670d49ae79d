"""More than one resource, and more than one group."""

from __future__ import annotations

import copy
import time
from typing import Any

from ..nodes.node import Broken, NotHere
from .exam import Bench, exam
from .power import SERVICE_GOAL, cut_and_measure

#: "The same with four resources, give or take three seconds."
MORE_GOAL = 13.0
#: Devices for the second to the fourth resource: a disk, and two halves of another one.
_DEVICES = ("/dev/vtbd2", "/dev/vtbd3p1", "/dev/vtbd3p2")
_PARTITIONS = (
    "gpart create -s gpt vtbd3 && gpart add -t freebsd-ufs -s 120m vtbd3 && gpart add -t freebsd-ufs -s 120m vtbd3"
)
_SECOND_ADDRESS = "192.0.2.81/24"


@exam("resources", ("two", "four", "ufs-and-zfs", "pool-on-two"), "power", "blank")
def resources(bench: Bench, name: str) -> None:
    """A group with two and four resources; two groups, UFS and ZFS, active on different nodes; a power cut of each."""
    if name == "pool-on-two":
        raise NotHere("not expressible yet: in the document a pool is of one resource")
    active = bench.ready()
    document = {"two": _more(1), "four": _more(3), "ufs-and-zfs": _second_group}[name](bench.document)
    if name == "four":
        for node in bench.nodes.both:
            node.must(_PARTITIONS)
    bench.site.write(document)
    seconds = bench.converge()
    if seconds is None:
        raise Broken("the document with more resources does not become Ready")
    bench.outcome.seconds["apply"] = seconds
    with bench.load() as load:
        time.sleep(bench.chance.uniform(1, 6))
        cut_and_measure(bench, load, active, SERVICE_GOAL if name == "ufs-and-zfs" else MORE_GOAL)
        bench.power_on(active)
        time.sleep(3)
    bench.judge(load)
    bench.outcome.details.append(bench.site.hactl("status").out.strip())
    bench.site.write(bench.document)
    bench.rebuild()


def _more(count: int) -> Any:
    def made(document: dict[str, Any]) -> dict[str, Any]:
        """With `count` more resources in the group."""
        document = copy.deepcopy(document)
        storage = document["spec"]["groups"][0]["storage"]
        for number in range(count):
            storage.append(_resource(storage[0], f"data{number + 2}", _DEVICES[number]))
        return document

    return made


def _resource(first: dict[str, Any], name: str, device: str) -> dict[str, Any]:
    one = copy.deepcopy(first)
    one["name"] = name
    one["hast"]["devices"] = dict.fromkeys(one["hast"]["devices"], device)
    one["filesystem"] = {"ufs": {"mountpoint": f"/{name}", "options": ["noatime"]}}
    return one


def _second_group(document: dict[str, Any]) -> dict[str, Any]:
    """A ZFS pool that is at home on the other node."""
    document = copy.deepcopy(document)
    first = document["spec"]["groups"][0]
    second = copy.deepcopy(first)
    second |= {"name": "pool", "preferred": first["preferred"][::-1], "services": []}
    second["virtualIPs"][0] |= {"name": "pool", "vhid": 81, "addresses": [_SECOND_ADDRESS]}
    second["storage"] = [_resource(first["storage"][0], "tank", _DEVICES[0])]
    second["storage"][0]["filesystem"] = {"zfs": {"pool": "tank", "mountpoint": "/tank"}}
    document["spec"]["groups"].append(second)
    return document
