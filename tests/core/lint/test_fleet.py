"""Rules over several documents: what two clusters may not both have, said once, in the later document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hactl.core.document.load import read_cluster
from hactl.core.lint.check import lint
from hactl.core.lint.codes import Code
from hactl.core.lint.finding import Finding, Subject
from hactl.core.objects import HACluster
from support.documents import KEY_A, KEY_B, firewall_data, nas_data, put

ACROSS = {code for code in Code if code.startswith("HL6")} | {Code.SAME_HOST_KEY}
VIP = "spec.groups.0.virtualIPs.0"
HAST = "spec.groups.0.storage.0.hast"


def at(path: object, *, key: bool = False) -> tuple[int, int]:
    """No document has lines here."""
    return (1, 1)


def subject(data: Any, directory: str = "/clusters") -> Subject:
    """A document of its own file."""
    cluster = read_cluster(data)
    assert isinstance(cluster, HACluster), cluster
    return Subject(cluster, f"{cluster.name}.yaml", at, directory)


def other(number: int = 2, **changes: Any) -> Any:
    """A second storage pair that has nothing in common with the first."""
    data = json.loads(
        json.dumps(nas_data()).replace("192.0.2.", f"10.{number}.2.").replace("198.51.100.", f"10.{number}.3.")
    )
    put(data, "metadata.name", f"nas-{number}")
    put(data, f"{VIP}.passwordFrom", {"env": f"PASSWORD_{number}"})
    for place in (0, 1):
        put(data, f"spec.nodes.{place}.ssh.host", f"10.{number}.1.{place + 1}")
    for path, value in changes.items():
        put(data, path.replace("__", "."), value)
    return data


def found(*data: Any) -> list[Finding]:
    """What is found across them."""
    return lint([subject(each) for each in data], ACROSS)


def test_examples_have_nothing_in_common() -> None:
    """Nor have pairs that only look alike."""
    assert found(nas_data(), firewall_data(), other(2), other(3)) == []


CASES: list[tuple[Code, dict[str, Any], dict[str, Any], str]] = [
    (
        Code.VHID_TWICE,
        {f"{VIP}.addresses": ["192.0.2.90/24"]},
        {f"{VIP}.vhid": 81, f"{VIP}.addresses": ["192.0.2.90/24"]},
        "vhid",
    ),
    (
        Code.ADDRESS_TWICE,
        {f"{VIP}.addresses": ["192.0.2.80/32"]},
        {f"{VIP}.addresses": ["192.0.2.81/32"]},
        "addresses[0]",
    ),
    (Code.ADDRESS_TWICE, {"spec.nodes.1.ssh.host": "192.0.2.80"}, {"spec.nodes.1.ssh.host": "192.0.2.82"}, "ssh.host"),
    (
        Code.ADDRESS_TWICE,
        {f"{HAST}.addresses.nas-b": "192.0.2.80"},
        {f"{HAST}.addresses.nas-b": "192.0.2.83"},
        "hast.addresses.nas-b",
    ),
    (
        Code.ADDRESS_TWICE,
        {f"{HAST}.addresses.nas-b": "198.51.100.12"},
        {f"{HAST}.addresses.nas-b": "198.51.100.13"},
        "hast.addresses.nas-b",
    ),
    (
        Code.MACHINE_TWICE,
        {"spec.nodes.0.ssh": {"host": "127.0.0.1", "port": 2221, "hostKey": KEY_B}},
        {"spec.nodes.0.ssh": {"host": "127.0.0.1", "port": 2223, "hostKey": KEY_B}},
        "spec.nodes[0].ssh.host",
    ),
    (
        Code.MASKS_DIFFER,
        {f"{VIP}.vhid": 81, f"{VIP}.addresses": ["192.0.2.90/26"]},
        {f"{VIP}.vhid": 81, f"{VIP}.addresses": ["192.0.2.90/24"]},
        "addresses[0]",
    ),
    (
        Code.SHARED_PASSWORD,
        {f"{VIP}.passwordFrom": {"file": "./secrets/files.carp"}},
        {f"{VIP}.passwordFrom": {"file": "secrets/nas-2.carp"}},
        "passwordFrom",
    ),
    (
        Code.WITNESS_MOVES,
        {"spec.failover": {"witness": ["192.0.2.80"]}},
        {"spec.failover": {"witness": ["192.0.2.1"]}},
        "spec.failover.witness[0]",
    ),
]


@pytest.mark.parametrize(("code", "trips", "neighbour", "path"), CASES)
def test_a_rule_and_its_neighbour(code: Code, trips: dict[str, Any], neighbour: dict[str, Any], path: str) -> None:
    """It stands in the later document, at the field, and names the earlier one with its file."""
    [finding] = found(nas_data(), other(2, **trips))
    assert (finding.code, finding.file) == (code, "nas-2.yaml")
    assert finding.path.endswith(path)
    assert "cluster nas (nas.yaml, spec." in finding.message
    assert found(nas_data(), other(2, **neighbour)) == []


def test_every_rule_over_several_documents_has_a_case() -> None:
    """The host key has a test of its own."""
    assert {each[0] for each in CASES} == ACROSS - {Code.SAME_HOST_KEY}


def test_one_segment_is_known_by_any_of_its_masks() -> None:
    """A vhid is used twice where one network holds the other, whichever document comes first."""
    narrow = other(2, **{f"{VIP}.addresses": ["192.0.2.90/26"]})
    for documents in ((nas_data(), narrow), (narrow, nas_data())):
        assert {each.code for each in found(*documents)} == {Code.VHID_TWICE, Code.MASKS_DIFFER}
    apart = other(2, **{f"{VIP}.addresses": ["192.0.3.90/26"]})
    assert found(nas_data(), apart) == []


def test_a_machine_of_a_document_that_only_observes_is_nobodys() -> None:
    """As hactl itself acts: it changes nothing from there."""
    same = other(2, **{"spec.nodes.0.ssh.host": "127.0.0.1", "spec.nodes.0.ssh.port": 2221})
    assert [each.code for each in found(nas_data(), same)] == [Code.MACHINE_TWICE]
    same["spec"]["mode"] = "Observe"
    assert found(nas_data(), same) == []


def test_one_host_key_on_two_machines_is_a_clone() -> None:
    """Within a document and across; the comment of a key is no difference, one machine twice is."""
    data = firewall_data()
    data["spec"]["nodes"][1]["ssh"]["hostKey"] = data["spec"]["nodes"][0]["ssh"]["hostKey"] + " a comment"
    [finding] = found(data)
    assert (finding.code, finding.path) == (Code.SAME_HOST_KEY, "spec.nodes[1].ssh.hostKey")
    assert "spec.nodes[0].ssh.hostKey" in finding.message
    pinned = other(2, **{"spec.nodes.0.ssh": {"host": "10.2.1.1", "hostKey": KEY_A}})
    assert [each.code for each in found(firewall_data(), pinned)] == [Code.SAME_HOST_KEY]
    pinned["spec"]["nodes"][0]["ssh"] |= {"host": "203.0.113.1"}
    assert [each.code for each in found(firewall_data(), pinned)] == [Code.MACHINE_TWICE]


def test_each_conflict_is_said_once() -> None:
    """Three clusters with one vhid: the second and the third are told, each once, whatever families it has."""
    data = nas_data()
    put(data, f"{VIP}.addresses", ["192.0.2.80/24", "2001:db8::80/64"])
    copies = [
        other(number, **{f"{VIP}.addresses": [f"192.0.2.9{number}/24", f"2001:db8::9{number}/64"]}) for number in (2, 3)
    ]
    assert [(each.file, each.code) for each in found(data, *copies)] == [
        ("nas-2.yaml", Code.VHID_TWICE),
        ("nas-3.yaml", Code.VHID_TWICE),
    ]
