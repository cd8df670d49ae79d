"""More than one resource, and more than one group."""

from __future__ import annotations

import copy
import time
from typing import Any

from ..nodes.node import Broken
from .exam import FAILOVER_SECONDS, Bench, exam
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
    """A group with two and four resources; two groups, UFS and ZFS, active on different nodes; a power cut of each.

    pool-on-two: a mirror beside the UFS; a demotion besides, which has to export it before its roles go.
    """
    active = bench.ready()
    made = {"two": _more(1), "four": _more(3), "ufs-and-zfs": _second_group, "pool-on-two": _pool_on_two}
    document = made[name](bench.document)
    if name in ("four", "pool-on-two"):
        for node in bench.nodes.both:
            node.must(_PARTITIONS)
    bench.site.write(document)
    seconds = bench.converge()
    if seconds is None:
        raise Broken("the document with more resources does not become Ready")
    bench.outcome.seconds["apply"] = seconds
    if name == "pool-on-two":
        _write_on_the_pool(bench, active, "before the cut")
    with bench.load() as load:
        time.sleep(bench.chance.uniform(1, 6))
        cut_and_measure(bench, load, active, SERVICE_GOAL if name == "ufs-and-zfs" else MORE_GOAL)
        if name == "pool-on-two":
            _has_the_pool(bench, bench.nodes.peer(active), "before the cut")
        bench.power_on(active)
        time.sleep(3)
    bench.judge(load)
    if name == "pool-on-two":
        _demoted(bench, bench.nodes.peer(active))
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


# --- a pool on two resources --------------------------------------------------------------------------------------


def _pool_on_two(document: dict[str, Any]) -> dict[str, Any]:
    """A mirror on two more resources of the group."""
    document = copy.deepcopy(document)
    storage = document["spec"]["groups"][0]["storage"]
    for number, said in enumerate(({"layout": "Mirror"}, {"mountpoint": "/tank"})):
        one = _resource(storage[0], f"tank{number + 1}", _DEVICES[number + 1])
        one["filesystem"] = {"zfs": {"pool": "tank", **said}}
        storage.append(one)
    return document


def _write_on_the_pool(bench: Bench, node: str, text: str) -> None:
    """A file that is on the disks of both nodes."""
    bench.nodes[node].must(f"echo {text} > /tank/file && fsync /tank/file")


def _has_the_pool(bench: Bench, node: str, text: str) -> None:
    """Imported there, with both devices and what was written last; what zpool(8) prints of it is kept."""
    listed = bench.nodes[node].must("zpool list -HvP -o name,health; zpool status -P tank")
    bench.outcome.details.append(f"{node}: {listed.strip()}")
    bench.outcome.must(listed.startswith("tank\tONLINE\n"), f"the pool is not ONLINE on {node}")
    found = bench.nodes[node].must("cat /tank/file").strip()
    bench.outcome.must(found == text, f"/tank/file on {node} says {found!r}, not {text!r}")


def _demoted(bench: Bench, node: str) -> None:
    """Its hook exports the pool before either of the roles goes, and the other node imports it."""
    if bench.converge() is None:
        raise Broken("the pair does not become Ready with both nodes back")
    peer = bench.nodes.peer(node)
    _write_on_the_pool(bench, node, "before the demotion")
    bench.nodes[node].must("sysctl net.inet.carp.demotion=240")
    bench.say(f"{node} is demoted")
    began = time.monotonic()
    while bench.nodes[peer].run("zpool list -H -o name tank && service records onestatus").exit:
        if time.monotonic() - began > FAILOVER_SECONDS:
            raise Broken(f"{peer} does not serve {FAILOVER_SECONDS:.0f} s after {node} was demoted")
        time.sleep(1)
    _has_the_pool(bench, peer, "before the demotion")
    left = bench.nodes[node].run("zpool list -H -o name,health tank").out.strip()
    bench.outcome.must(not left, f"{node} still has the pool: {left}")
    bench.nodes[node].must("sysctl net.inet.carp.demotion=-240")
