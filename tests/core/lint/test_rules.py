"""Each rule over one document: a document that trips it, and a neighbour that differs by one thing and does not."""

from __future__ import annotations

from typing import Any

import pytest

from hactl.core.document.load import read_cluster
from hactl.core.document.problems import path_text
from hactl.core.document.rules.check import faults
from hactl.core.lint import check, fleet
from hactl.core.lint.codes import Code
from hactl.core.objects import HACluster
from support.documents import KEY_A, firewall_data, nas_data, put

Changes = dict[str, Any]

GROUP = "spec.groups.0"
VIP = f"{GROUP}.virtualIPs.0"
HAST = f"{GROUP}.storage.0.hast"
LADDER_A, LADDER_B = {"fw-1": 0, "fw-2": 100}, {"fw-1": 100, "fw-2": 0}
SHARED = {f"{HAST}.addresses": {"nas-a": "192.0.2.11", "nas-b": "192.0.2.12"}}
LATER = [{"name": "www", "after": ["pg"]}, {"name": "pg"}]
MOVES = {f"{GROUP}.services": [{"name": "pg", "onFailure": {"action": "Move"}}]}
FIRST = {"name": "one", "preferred": ["nas-b", "nas-a"], "services": [{"name": "smbd"}]}
MORE = {
    "name": "more",
    "preferred": ["nas-a", "nas-b"],
    "virtualIPs": [{"name": "more", "vhid": 81, "interface": "vtnet1", "addresses": ["192.0.2.81/24"]}],
}
WITNESS = {"spec.failover": {"witness": ["192.0.2.1", "192.0.2.2"]}}

#: code, example, what trips it, what does not, the field it is said at.
CASES: list[tuple[Code, str, Changes, Changes, str]] = [
    (Code.NO_PASSWORD, "nas", {f"{VIP}.passwordFrom": ...}, {}, "spec.groups[0].virtualIPs[0].passwordFrom"),
    (
        Code.LADDERS_APART,
        "firewall",
        {f"{VIP}.advskews": LADDER_A, f"{GROUP}.virtualIPs.1.advskews": LADDER_B},
        {f"{VIP}.advskews": LADDER_A, f"{GROUP}.virtualIPs.1.advskews": {"fw-1": 20, "fw-2": 21}},
        "spec.groups[0].virtualIPs[1].advskews",
    ),
    (
        Code.LADDER_AGAINST_ORDER,
        "firewall",
        {f"{VIP}.advskews": LADDER_B},
        {f"{VIP}.advskews": LADDER_A},
        "spec.groups[0].virtualIPs[0].advskews",
    ),
    (
        Code.PREEMPT_BRINGS_BACK,
        "firewall",
        {f"{VIP}.advskews": LADDER_A, f"{GROUP}.failback": "Never"},
        {f"{VIP}.advskews": LADDER_A, f"{GROUP}.failback": "WhenReady"},
        "spec.groups[0].virtualIPs[0].advskews",
    ),
    (
        Code.LADDER_OF_SOME,
        "firewall",
        {f"{VIP}.advskews": LADDER_A},
        {f"{VIP}.advskews": LADDER_A, f"{GROUP}.virtualIPs.1.advskews": LADDER_A},
        "spec.groups[0].virtualIPs[0].advskews",
    ),
    (Code.NO_PREEMPT, "nas", {"spec.carp": {"preempt": False}}, {"spec.carp": {"preempt": True}}, "spec.carp.preempt"),
    (
        Code.NO_PREEMPT_APART,
        "firewall",
        {"spec.carp": {"preempt": False}},
        {"spec.carp": {"preempt": False}, f"{GROUP}.virtualIPs.1": ...},
        "spec.groups[0].virtualIPs",
    ),
    (
        Code.NO_PREEMPT_FAILBACK,
        "firewall",
        {"spec.carp": {"preempt": False}},
        {"spec.carp": {"preempt": False}, f"{GROUP}.failback": "Never"},
        "spec.groups[0].failback",
    ),
    (Code.SLOW_ADVBASE, "nas", {f"{VIP}.advbase": 4}, {f"{VIP}.advbase": 3}, "spec.groups[0].virtualIPs[0].advbase"),
    (
        Code.ADVBASES_DIFFER,
        "firewall",
        {f"{GROUP}.virtualIPs.1.advbase": 2},
        {f"{VIP}.advbase": 2, f"{GROUP}.virtualIPs.1.advbase": 2},
        "spec.groups[0].virtualIPs[1].advbase",
    ),
    (
        Code.MIXED_FAMILIES,
        "nas",
        {f"{VIP}.addresses": ["192.0.2.80/24", "2001:db8::80/64"]},
        {f"{VIP}.addresses": ["192.0.2.80/24", "192.0.2.81/24"]},
        "spec.groups[0].virtualIPs[0].addresses",
    ),
    (
        Code.MASK,
        "nas",
        {
            "spec.nodes.0.ssh.host": "192.0.2.90",
            "spec.nodes.1.ssh.host": "192.0.2.200",
            f"{VIP}.addresses": ["192.0.2.80/25"],
        },
        {"spec.nodes.0.ssh.host": "192.0.2.90", "spec.nodes.1.ssh.host": "192.0.2.200"},
        "spec.groups[0].virtualIPs[0].addresses[0]",
    ),
    (Code.SHARED_LINK, "nas", SHARED, {**SHARED, f"{VIP}.addresses": ["192.0.2.80/32"]}, "storage[0].hast.addresses"),
    (
        Code.ASYNC_AUTOMATIC,
        "nas",
        {f"{HAST}.replication": "async"},
        {f"{HAST}.replication": "async", "spec.failover": {"policy": "Manual"}},
        "storage[0].hast.replication",
    ),
    (Code.SHORT_TIMEOUT, "nas", {f"{HAST}.timeoutSeconds": 10}, {f"{HAST}.timeoutSeconds": 11}, "hast.timeoutSeconds"),
    (Code.LONG_TIMEOUT, "nas", {f"{HAST}.timeoutSeconds": 21}, {f"{HAST}.timeoutSeconds": 20}, "hast.timeoutSeconds"),
    (
        Code.UNSAFE_MOUNT,
        "nas",
        {f"{GROUP}.storage.0.filesystem.ufs.options": ["noatime", "async"]},
        {f"{GROUP}.storage.0.filesystem.ufs.options": ["noatime", "noasync"]},
        "filesystem.ufs.options[1]",
    ),
    (
        Code.BARE_DEVICE,
        "nas",
        {f"{GROUP}.storage.0.filesystem": ...},
        {f"{GROUP}.storage.0.filesystem": ..., f"{GROUP}.services": ...},
        "spec.groups[0].storage[0]",
    ),
    (Code.ONE_CUT, "nas", SHARED, {**SHARED, **WITNESS}, "storage[0].hast.addresses"),
    (Code.NO_WITNESS, "nas", {}, WITNESS, "spec.failover.witness"),
    (
        Code.SOLO_NO_WITNESS,
        "nas",
        {"spec.failover": {"soloStart": 600}},
        {"spec.failover": {"soloStart": 600, "witness": ["192.0.2.1"]}},
        "spec.failover.soloStart",
    ),
    (
        Code.SOLO_TOO_SOON,
        "nas",
        {f"{GROUP}.failover": {"soloStart": 59}},
        {f"{GROUP}.failover": {"soloStart": 60}},
        "spec.groups[0].failover.soloStart",
    ),
    (
        Code.ONE_MOVE,
        "nas",
        {"spec.failover": {"maxMovesPerHour": 1}, f"{GROUP}.failback": "WhenReady"},
        {"spec.failover": {"maxMovesPerHour": 1}},
        "spec.failover.maxMovesPerHour",
    ),
    (
        Code.MANUAL,
        "nas",
        {"spec.failover": {"policy": "Manual"}},
        {"spec.failover": {"policy": "Manual"}, f"{GROUP}.failover": {"policy": "Automatic"}},
        "spec.failover.policy",
    ),
    (
        Code.LONG_SETTLE,
        "nas",
        {"spec.failover": {"settleSeconds": 11}},
        {"spec.failover": {"settleSeconds": 10}},
        "spec.failover.settleSeconds",
    ),
    (Code.ONE_WITNESS, "nas", {"spec.failover": {"witness": ["192.0.2.1"]}}, WITNESS, "spec.failover.witness"),
    (
        Code.NO_ADDRESS,
        "nas",
        {"spec.groups.1": FIRST},
        {"spec.groups.1": FIRST | {"failover": {"policy": "Manual"}}},
        "spec.groups[1]",
    ),
    (
        Code.ONE_SIDE,
        "nas",
        {"spec.groups.1": MORE},
        {"spec.groups.1": MORE | {"preferred": ["nas-b", "nas-a"]}},
        "spec.groups[1].preferred",
    ),
    (
        Code.ALL_NEEDS_DISK,
        "nas",
        {f"{GROUP}.services": [{"name": "nfsd", "runOn": "All"}]},
        {f"{GROUP}.services": [{"name": "nfsd"}]},
        "spec.groups[0].services[0].runOn",
    ),
    (
        Code.NEEDED_EVERYWHERE,
        "firewall",
        {f"{GROUP}.services": [{"name": "pf"}]},
        {f"{GROUP}.services": [{"name": "pf", "runOn": "All"}]},
        "spec.groups[0].services[0].name",
    ),
    (Code.OBSERVE, "nas", {"spec.mode": "Observe"}, {"spec.mode": "Propose"}, "spec.mode"),
    (
        Code.AFTER_LATER,
        "nas",
        {f"{GROUP}.services": LATER},
        {f"{GROUP}.services": LATER[::-1]},
        "spec.groups[0].services[0].after[0]",
    ),
    (
        Code.MOVE_ASYNC,
        "nas",
        {**MOVES, f"{HAST}.replication": "async"},
        MOVES,
        "spec.groups[0].services[0].onFailure.action",
    ),
    (
        Code.ONE_NODE,
        "firewall",
        {
            "spec.nodes.1": ...,
            f"{GROUP}.preferred": ["fw-1"],
            f"{VIP}.interfaces": {"fw-1": "ix0"},
            f"{GROUP}.virtualIPs.1.interfaces": {"fw-1": "ix1"},
        },
        {},
        "spec.nodes",
    ),
    (
        Code.HOST_NAME,
        "nas",
        {"spec.nodes.1.ssh.host": "nas-b.example.org"},
        {"spec.nodes.1.ssh.host": "fe80::1%vtnet0"},
        "spec.nodes[1].ssh.host",
    ),
    (
        Code.ONLY_REPLICATION,
        "nas",
        {"spec.nodes.0.ssh.host": "198.51.100.11"},
        {"spec.nodes.0.ssh.host": "198.51.100.13"},
        "spec.nodes[0].ssh.host",
    ),
]


def changed(example: str, changes: Changes) -> HACluster:
    """The example with these fields changed; it is still valid."""
    data = nas_data() if example == "nas" else firewall_data()
    for path, value in changes.items():
        put(data, path, value)
    cluster = read_cluster(data)
    assert isinstance(cluster, HACluster), cluster
    assert faults(cluster) == []
    return cluster


def found(cluster: HACluster) -> dict[Code, list[str]]:
    """The fields by code."""
    said: dict[Code, list[str]] = {}
    for code, rule in check.RULES:
        for fault in rule(cluster):
            assert fault.text
            assert fault.fix
            assert "{other}" not in fault.text
            said.setdefault(code, []).append(path_text(fault.path))
    return said


@pytest.mark.parametrize(("code", "example", "trips", "neighbour", "path"), CASES, ids=[each[0] for each in CASES])
def test_a_rule_and_its_neighbour(code: Code, example: str, trips: Changes, neighbour: Changes, path: str) -> None:
    """The one is found, at its field; the other is not."""
    fields = found(changed(example, trips)).get(code, [])
    assert len(fields) == 1
    assert fields[0].endswith(path)
    assert code not in found(changed(example, neighbour))


def test_every_rule_has_a_case() -> None:
    """Each code is one rule, and each rule is shown above; those over several documents have their own tests."""
    codes = [code for code, _ in check.RULES]
    assert len(codes) == len(set(codes))
    assert {each[0] for each in CASES} == set(codes)
    others = {code for code, _ in fleet.RULES}
    elsewhere = {code for code in Code if code[:3] in ("HA0", "HL7", "HL9")}
    assert set(Code) == {*codes, *others, *elsewhere}


def test_a_cut_that_leaves_another_network_is_no_split() -> None:
    """The hook asks for a peer at the address hactl uses too (docs/failover.md), so only a witness is missing."""
    hosts = {"spec.nodes.0.ssh.host": "203.0.113.11", "spec.nodes.1.ssh.host": "203.0.113.12"}
    codes = found(changed("nas", {**SHARED, **hosts}))
    assert Code.ONE_CUT not in codes
    assert {Code.SHARED_LINK, Code.NO_WITNESS} <= set(codes)
    assert Code.NO_WITNESS not in found(changed("nas", SHARED)), "the error says it already"


def test_a_cut_that_leaves_another_resource_is_no_split() -> None:
    """A group with two resources: its hook asks for the peer where each of them replicates."""
    second = nas_data()["spec"]["groups"][0]["storage"][0] | {"name": "second", "filesystem": None}
    del second["filesystem"]
    second["hast"]["devices"] = {"nas-a": "/dev/vtbd2", "nas-b": "/dev/vtbd2"}
    codes = found(changed("nas", {**SHARED, f"{GROUP}.storage.1": second}))
    assert Code.ONE_CUT not in codes
    assert Code.SHARED_LINK in codes


def test_settings_of_a_hook_that_is_not_there_are_nobodys() -> None:
    """A cluster of addresses alone has no hook: nothing waits for it; with services it has one, but no soloStart."""
    settings = {"spec.failover": {"soloStart": 5, "settleSeconds": 99, "witness": ["198.51.100.7"]}}
    codes = {Code.SOLO_TOO_SOON, Code.LONG_SETTLE, Code.ONE_WITNESS}
    assert codes.isdisjoint(found(changed("firewall", settings)))
    services = settings | {f"{GROUP}.services": [{"name": "squid"}]}
    assert codes & set(found(changed("firewall", services))) == {Code.LONG_SETTLE, Code.ONE_WITNESS}


def test_a_group_without_address_is_told_that_and_no_more() -> None:
    """It does not fail over by itself, so what would happen if it did is not said."""
    alone = {f"{GROUP}.virtualIPs": ..., f"{HAST}.replication": "async", "spec.failover": {"soloStart": 5}}
    assert set(found(changed("nas", alone))) == {Code.NO_ADDRESS}


def test_a_single_node_is_not_told_how_to_fail_over() -> None:
    """What needs a standby is not said where there is none."""
    trips = next(each[2] for each in CASES if each[0] is Code.ONE_NODE)
    alone = changed(
        "firewall", {**trips, "spec.carp": {"preempt": False}, f"{VIP}.advbase": 9, f"{GROUP}.failback": "Never"}
    )
    assert {Code.NO_PREEMPT, Code.SLOW_ADVBASE, Code.NO_ADDRESS}.isdisjoint(found(alone))


def test_a_key_is_in_no_message() -> None:
    """Host keys and references stay where they are."""
    cluster = changed("nas", {"spec.nodes.0.ssh.hostKeyFrom": ..., "spec.nodes.0.ssh.hostKey": KEY_A})
    said = [fault.text + fault.fix for _, rule in check.RULES for fault in rule(cluster)]
    assert said
    assert not [text for text in said if KEY_A.split()[1] in text]
