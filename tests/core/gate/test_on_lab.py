"""The gate on simulated nodes: what it answers is what the probe answers, and nothing is different afterwards."""

from __future__ import annotations

import hashlib

import pytest

from hactl.core.changes.hast import HAST_CONF
from hactl.core.gate.render import GATE, TEXTS, gate_id, gate_text
from hactl.core.gate.request import REFUSED_STATUS, look_request, texts_request
from hactl.core.parse import parse_probe
from hactl.core.parse.question import DECIDING, EVERYTHING, Answered, Part, Question
from hactl.core.probe.script import probe_script
from hactl.core.probe.texts import parse_texts
from hactl.lab.shell.shell import drive, run_script
from hactl.simulate.cluster import PASSWORD
from support.lab.closed_loop import NONCE, SALT, Loop, example
from support.lab.converged import converged


@pytest.fixture(scope="module", params=["nas", "firewall"])
def loop(request: pytest.FixtureRequest) -> Loop:
    """A lab as its document says, with its gates."""
    found = converged(request.param)
    for node in found.cluster.nodes:
        files = found.machine(node.name).files
        files.mkdir("/usr/local/libexec/hactl")
        files.write_text(GATE, gate_text(found.cluster, node.name), 0o500)
    return found


def knock(loop: Loop, node: str, request: str) -> tuple[str, str, int]:
    """What the gate says."""
    return drive(run_script(loop.machine(node), f"{GATE} observe", stdin=request))


def look(loop: Loop, node: str, question: Question) -> Answered:
    """Through the gate."""
    request = look_request(gate_id(loop.cluster, node), loop.cluster, NONCE, question, 10)
    out, err, status = knock(loop, node, request)
    assert (err, status) == ("", 0)
    return parse_probe(loop.cluster, node, out, nonce=NONCE, seen_at=loop.now, salt=SALT, question=question)


def told(answered: Answered) -> tuple[object, ...]:
    """Without the processes: the shell that looks is one of them here, another one each time."""
    remembered = answered.remembered
    return answered.facts, answered.complete, remembered.files, remembered.services, remembered.pids


def test_a_look_through_the_gate_tells_what_the_probe_tells(loop: Loop) -> None:
    """A whole one, one that builds on it, a quick one, and one that asks for a part; on both nodes."""
    for node in loop.cluster.nodes:
        first = look(loop, node.name, EVERYTHING)
        assert first.complete
        assert told(first) == told(loop.ask(loop.cluster, node.name, EVERYTHING))
        assert first.remembered.files
        for question in (
            Question(bounded=False, last=first),
            Question(frozenset({Part.CARP, Part.STORAGE}), bounded=False, last=first),
            Question(DECIDING, quick=True, bounded=False, last=first),
        ):
            request = look_request(gate_id(loop.cluster, node.name), loop.cluster, NONCE, question, 10)
            out, err, status = knock(loop, node.name, request)
            assert (err, status) == ("", 0)
            if not question.quick:
                again = look(loop, node.name, question)
                assert told(again) == told(loop.ask(loop.cluster, node.name, question))
                assert "same.files" in out or Part.FILES not in question.parts
            else:
                assert "begin stat" in out
                assert "begin rc" not in out


def test_no_carp_password_leaves_the_node(loop: Loop) -> None:
    """What a look through the gate compares is a digest; the plan is the same, and a wrong password is still seen."""
    node = loop.cluster.nodes[0].name
    request = look_request(gate_id(loop.cluster, node), loop.cluster, NONCE, EVERYTHING, 10)
    open_answer = drive(run_script(loop.machine(node), probe_script(loop.cluster, node, NONCE)))[0]
    assert PASSWORD in open_answer
    answer = knock(loop, node, request)[0]
    digest = f"sha256:{hashlib.sha256(PASSWORD.encode()).hexdigest()}"
    assert PASSWORD not in answer
    assert answer.count(digest) == open_answer.count(PASSWORD)


def test_texts_through_the_gate(loop: Loop) -> None:
    """The files that a plan compares; nothing else has a number."""
    node = loop.cluster.nodes[0].name
    gate = gate_id(loop.cluster, node)
    out, _, status = knock(loop, node, texts_request(gate, TEXTS, NONCE, 10))
    files = loop.machine(node).files
    there = {path: files.read_text(path) for path in TEXTS if files.exists(path)}
    assert status == 0
    assert (HAST_CONF in there) is (loop.cluster.name == "nas")
    assert parse_texts(TEXTS, out, NONCE) == there
    more = f"gate {gate}\ntexts 10\nnonce {NONCE}\ntext {len(TEXTS)}\n.\n"
    assert knock(loop, node, more)[1:] == ("hactl-gate: there is no such file\n", REFUSED_STATUS)


def test_a_gate_of_another_document_says_so() -> None:
    """Whatever changes what a node is asked gives the gate another id; a label does not."""
    loop = converged("nas")
    node = loop.cluster.nodes[0].name
    loop.machine(node).files.write_text(GATE, gate_text(loop.cluster, node), 0o500)

    def service(data: dict[str, object]) -> None:
        data["spec"]["groups"][0]["services"].append({"name": "sshd", "runOn": "All"})  # type: ignore[index]

    other = Loop(example("nas", service))
    assert gate_id(other.cluster, node) != gate_id(loop.cluster, node)
    _, err, status = knock(loop, node, look_request(gate_id(other.cluster, node), other.cluster, NONCE, EVERYTHING, 10))
    assert status == REFUSED_STATUS
    assert "is for another: hactl node-access install" in err
    labelled = Loop(example("nas", lambda data: data["metadata"].update(labels={"a": "b"})))
    assert gate_id(labelled.cluster, node) == gate_id(loop.cluster, node)
