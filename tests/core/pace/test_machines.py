"""Which machine a node is, by what answers there, and whose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hactl.core.choices import Mode
from hactl.core.facts import Known, Owner, Snapshot, System
from hactl.core.pace.machines import Claim, Machine, claim, meetings, met, owned, owners, still_claims, system_of, twins
from support.facts.builder import healthy_pair
from support.toy_world import make_document

ED = "ssh-ed25519 AAAA"
ONE = Machine("a", "192.0.2.1", 22, frozenset({ED + "1"}), "uuid-1", answers=True)
#: Nothing in common with it.
TWO = Machine("a", "192.0.2.2", 22, frozenset({ED + "2"}), "uuid-2", answers=True)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (TWO, ""),
        (replace(TWO, host="192.0.2.1"), "192.0.2.1 port 22"),
        (replace(TWO, host="192.0.2.1", port=2222), ""),
        # One key: a clone is another machine only when both answer with hostuuids of their own.
        (replace(TWO, keys=ONE.keys, hostuuid="uuid-1"), "the SSH host key ssh-ed25519 ...AAAA1"),
        (replace(TWO, keys=ONE.keys), ""),
        (replace(TWO, keys=ONE.keys, hostuuid=""), "the SSH host key ssh-ed25519 ...AAAA1"),
        (replace(TWO, keys=ONE.keys, answers=False), "the SSH host key ssh-ed25519 ...AAAA1"),
        (replace(TWO, keys=TWO.keys | ONE.keys, answers=False), "the SSH host key ssh-ed25519 ...AAAA1"),
        # One hostuuid: a clone is another machine only when both answer with keys of one type that differ.
        (replace(TWO, hostuuid="uuid-1"), ""),
        (replace(TWO, hostuuid="uuid-1", answers=False), "kern.hostuuid uuid-1"),
        (replace(TWO, hostuuid="uuid-1", keys=frozenset({"ssh-rsa AAAA"})), "kern.hostuuid uuid-1"),
    ],
)
def test_two_nodes_are_one_machine_unless_it_is_proven_otherwise(other: Machine, what: str) -> None:
    """However their addresses are spelled; the answer is the same from both sides."""
    assert ONE.same_as(other) == what
    assert other.same_as(ONE) == what


@pytest.mark.parametrize(
    ("other", "undecided"),
    [
        (TWO, False),
        (replace(TWO, keys=frozenset({"ssh-rsa AAAA"})), False),
        (replace(TWO, keys=frozenset({"ssh-rsa AAAA"}), hostuuid=""), True),
        (replace(TWO, keys=frozenset(), hostuuid=""), True),
        (replace(TWO, keys=frozenset(), hostuuid="", node="a.example.org"), True),
        (replace(TWO, keys=frozenset(), hostuuid="", node="b"), False),
    ],
)
def test_nodes_of_one_name_are_told_apart_by_keys_of_one_type_or_by_what_was_seen(
    other: Machine, undecided: bool
) -> None:
    """A machine has one name; where nothing tells, the other one is looked at first."""
    assert ONE.undecided(other) is undecided
    assert other.undecided(ONE) is undecided
    mine, its = (Claim(name, f"{name}.yaml", Mode.APPLY, (each,)) for name, each in (("one", ONE), ("two", other)))
    found = [what for _, _, what in meetings(mine, [its], ["a"])]
    assert found == ([""] if undecided else [])
    for what in found:
        waits = met(ONE, its, what)
        assert (waits.passing, waits.hold.passing) == (True, True)
        assert "is not known before that one was looked at" in waits.message


def test_a_newer_document_keeps_what_was_seen_of_the_machines_it_still_names() -> None:
    """By node, address and port; another address may be another machine."""
    before = Claim("one", "old.yaml", Mode.APPLY, (ONE, replace(TWO, node="b")))
    fresh = Machine("a", "192.0.2.1", 22, frozenset())
    moved = Machine("b", "192.0.2.9", 22, frozenset())
    after = Claim("one", "new.yaml", Mode.APPLY, (fresh, moved)).after(before)
    assert after.machines == (ONE, moved)
    assert (after.source, Claim("one", "x", Mode.APPLY, (TWO,)).after(before).machines) == ("new.yaml", (TWO,))


def test_a_machine_is_claimed_by_documents_that_may_act_on_it() -> None:
    """Not by one that only observes, nor by the same cluster's own document."""
    first = Claim("first", "first.yaml", Mode.APPLY, (ONE,))
    second = Claim("second", "second.yaml", Mode.APPLY, (replace(TWO, keys=ONE.keys, hostuuid="uuid-1"),))
    assert [(m.node, other.cluster) for m, other, _ in meetings(second, [first, second], ["a"])] == [("a", "first")]
    assert list(meetings(second, [first], [])) == []
    assert list(meetings(second, [replace(first, mode=Mode.OBSERVE)], ["a"])) == []
    assert list(meetings(replace(second, mode=Mode.OBSERVE), [first], ["a"])) == []
    assert list(meetings(first, [first], ["a"])) == []


def test_what_a_look_tells_of_a_machine() -> None:
    """kern.hostuuid, unless it is firmware's nothing; keys that a file of the controller holds come from outside."""
    cluster, snapshot = healthy_pair().cluster, healthy_pair().snapshot
    seen = claim(cluster.document, "nas.yaml", snapshot, {"nas-a": ("ssh-ed25519 AAAA root@nas-a",)})
    assert seen.machines[0].hostuuid.startswith("df054fd1-6fb3-4611-8597-2b06bfe944b")
    assert (seen.machines[0].keys, seen.machines[0].answers) == (frozenset({"ssh-ed25519 AAAA"}), True)
    unseen = claim(cluster.document, "nas.yaml")
    assert {(m.hostuuid, m.answers) for m in unseen.machines} == {("", False)}
    zeros = told(snapshot, "nas-a", hostuuid="00000000-0000-0000-0000-000000000000")
    assert claim(cluster.document, "nas.yaml", zeros).machines[0].hostuuid == ""


def told(snapshot: Snapshot, node: str, **says: object) -> Snapshot:
    """The node says something else of its system."""
    reading, system = snapshot.nodes[node], system_of(snapshot, node)
    assert isinstance(reading, Known)
    assert isinstance(system, System)
    facts = replace(reading.value, system=Known(replace(system, **says), reading.seen_at))  # type: ignore[arg-type]
    return replace(snapshot, nodes={**snapshot.nodes, node: Known(facts, reading.seen_at)})


def test_two_nodes_of_one_document_are_one_machine_only_for_certain() -> None:
    """Both answer with one hostuuid and were booted in the same second; a clone that booted at another time is not."""
    cluster, snapshot = healthy_pair().cluster, healthy_pair().snapshot
    nodes = [
        node.model_copy(update={"ssh": node.ssh.model_copy(update={"host_key": None})})
        for node in cluster.document.spec.nodes
    ]
    keyless = cluster.document.model_copy(update={"spec": cluster.document.spec.model_copy(update={"nodes": nodes})})
    assert twins(keyless, snapshot) is None
    mine, its = system_of(snapshot, "nas-a"), system_of(snapshot, "nas-b")
    assert mine is not None
    assert its is not None
    clone = told(snapshot, "nas-b", hostuuid=mine.hostuuid)
    same = told(clone, "nas-b", boot_epoch=mine.boot_epoch)
    found = twins(keyless, same)
    assert found is not None
    assert found.message.startswith("nas-a and nas-b are one machine")
    assert twins(keyless, told(clone, "nas-b", boot_epoch=mine.boot_epoch + 60)) is None


def test_the_note_of_a_machine_and_what_is_said_of_it() -> None:
    """Who, since when, for which cluster, and what would free it."""
    refusal = owned("a", Owner("first", "t0", 1_795_000_000, "root@ctl (hactl run)"), "and its document is in force")
    assert refusal.message == (
        "a belongs to the cluster first: root@ctl (hactl run) has acted on it since 2026-11-18 11:06 UTC, "
        "and its document is in force; nothing is changed for this one"
    )
    assert "rm /var/db/hactl/owner on a" in refusal.remedy
    assert "a time its clock had wrong" in owned("a", Owner("first", "t0", 10**17), "").message
    snapshot = healthy_pair().snapshot
    assert owners(snapshot).keys() == {"nas-a", "nas-b"}


def test_a_document_claims_machines_that_call_themselves_as_its_nodes() -> None:
    """Any other it could not act on: they are held for their host name."""
    document = make_document("first").cluster
    assert still_claims(document, "a.example.org")
    assert not still_claims(document, "c.example.org")
    assert not still_claims(make_document("first", mode="Observe").cluster, "a")
