"""Two documents that name one machine would undo each other's work."""

from __future__ import annotations

from hactl.core.objects import HACluster
from hactl.core.pace.conflicts import conflicts
from support.toy_world import make_document


def documents(*names: str, hosts: dict[str, str], mode: str = "Apply") -> dict[str, tuple[HACluster, str]]:
    """Clusters of these names; `hosts`: where the first node of some is instead."""
    found = {}
    for name in names:
        wire = make_document(name, mode=mode).cluster.model_dump(by_alias=True, mode="json", exclude_none=True)
        for number, node in enumerate(wire["spec"]["nodes"]):
            node["ssh"]["host"] = hosts.get(name, f"{name}-0") if number == 0 else f"{name}-{number}"
        found[name] = (HACluster.model_validate(wire), f"{name}.yaml")
    return found


def test_both_say_of_the_other_that_it_has_the_machine() -> None:
    """However the host is spelled; a third cluster is not concerned."""
    found = conflicts(documents("one", "two", "three", hosts={"one": "NAS1", "two": "nas1"}))
    assert found.keys() == {"one", "two"}
    assert "nas1 port 22 is a machine of two (two.yaml) too" in found["one"]
    assert "nas1 port 22 is a machine of one (one.yaml) too" in found["two"]


def test_a_document_that_only_observes_is_in_nobodys_way() -> None:
    """Its cluster is never changed from it."""
    acting = documents("one", hosts={"one": "nas1"})
    observing = documents("two", hosts={"two": "nas1"}, mode="Observe")
    assert conflicts(acting | observing) == {}
    assert conflicts({}) == {}
