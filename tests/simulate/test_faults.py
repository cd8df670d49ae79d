"""Which faults a document has, and which pairs of them: no story is played."""

from __future__ import annotations

import pytest

from hactl.core.document.load import read_cluster
from hactl.core.simulation.story import FaultKind, name_of
from hactl.simulate.cluster import SimulatedCluster
from hactl.simulate.faults import lasts_seconds, pairs, singles
from hactl.simulate.start import Unplayable, played
from support.lab.closed_loop import example


def test_faults_of_a_storage_pair() -> None:
    """Each node, each link, each disk, each service, in a fixed order; a name is a fault's own."""
    simulated = SimulatedCluster(played(example("nas")).document)
    found = singles(simulated)
    assert [fault.text for fault in found] == [
        "power of nas-a",
        "power of nas-b",
        "lan link of nas-a (vtnet1)",
        "replication link of nas-a (vtnet2)",
        "lan link of nas-b (vtnet1)",
        "replication link of nas-b (vtnet2)",
        "nas-a freezes",
        "nas-b freezes",
        "disk /dev/vtbd1 of nas-a fails (data)",
        "disk /dev/vtbd1 of nas-b fails (data)",
        "hastd of nas-a is killed",
        "hastd of nas-b is killed",
        "nfsd of nas-a does not stop",
        "controller gone",
        "power of all, back at once",
        "power of all, nas-a back a minute before the others",
        "power of all, nas-b back a minute before the others",
        "power of all, only nas-a is back",
        "power of all, only nas-b is back",
    ]
    both = [name_of(pair) for pair in pairs(found)]
    assert len(both) == len(set(both)) == 227
    assert "power of nas-a, then power of nas-b" in both
    assert "power of nas-b, then power of nas-a" in both
    assert "nfsd of nas-a does not stop, then lan link of nas-a (vtnet1)" in both
    assert not any("then nfsd" in name or name.startswith("power of all") for name in both)
    assert "power of nas-a, then hastd of nas-a is killed" not in both


def test_how_long_a_lonely_node_is_waited_for() -> None:
    """As long as `soloStart`, and no longer than a quarter of an hour."""
    waits = []
    for solo in (0, 120, 86400):
        document = example("nas", lambda data, solo=solo: data["spec"].update(failover={"soloStart": solo}))  # type: ignore[misc]
        simulated = SimulatedCluster(document)
        alone = [fault for fault in singles(simulated) if fault.kind is FaultKind.BLACKOUT and fault.alone]
        waits.append(lasts_seconds(simulated, alone[0], 60.0))
    assert waits == [150.0, 270.0, 1050.0]


def test_what_is_played_of_a_document() -> None:
    """Addresses of nodes are those of the simulated networks; what is not played is named by its field."""

    def change(data: dict) -> None:  # type: ignore[type-arg]
        spec = data["spec"]
        spec["mode"] = "Propose"
        spec["carp"] = {"notify": ["/usr/local/bin/told"]}
        spec["nodes"][0]["ssh"]["host"] = "192.0.2.77"
        spec["nodes"][1]["ssh"]["host"] = "nas-b.example.org"
        spec["groups"][0]["services"][0]["check"] = {"tcp": 2049}

    found = played(example("nas", change))
    assert [node.ssh.host for node in found.document.spec.nodes] == ["192.0.2.11", "127.0.0.1"]
    assert [note.partition(":")[0] for note in found.notes] == [
        "spec.carp.notify[0]",
        "spec.nodes[1].ssh.host",
        "spec.groups[0].services[0].check",
        "spec.mode",
    ]


def test_a_plain_file_below_hast_is_refused() -> None:
    """With the field, before anything is set up."""
    document = example(
        "nas", lambda data: data["spec"]["groups"][0]["storage"][0]["hast"]["devices"].update({"nas-a": "/var/a.img"})
    )
    with pytest.raises(Unplayable, match=r"^spec\.groups\[0\]\.storage\[0\]\.hast\.devices\.nas-a: /var/a\.img"):
        played(document)


def test_objectives_are_checked_like_the_rest() -> None:
    """A word that is none is named with its path."""
    data = example("nas").model_dump(mode="json", by_alias=True, exclude_none=True)
    data["spec"]["objectives"] = {"needsPerson": "Sometimes", "faults": 3, "unavailableSecond": 4}
    faults = read_cluster(data)
    assert isinstance(faults, list)
    told = "\n".join(map(str, faults))
    assert "needsPerson" in told
    assert "faults" in told
    assert "unavailableSecond" in told
