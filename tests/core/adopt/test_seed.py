"""`hactl import` on a published how-to with many mistakes (tests/adopt/seed): each is named, the document is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from hactl.core.adopt.draft import Draft, draft
from hactl.core.adopt.node import NodeFile

SEED = Path(__file__).resolve().parents[2] / "adopt" / "seed"


@pytest.fixture(scope="module")
def made() -> Draft:
    """What comes of the fragments of both hosts; hast.conf is that of both."""

    def file(name: str) -> NodeFile:
        return NodeFile(name, (SEED / name).read_text())

    return draft([[file("rc.conf.first"), file("hast.conf")], [file("rc.conf.second"), file("hast.conf")]])


MISTAKES = [
    ("rc.conf.second:2", "192.0.2.2 is on vhid 2 here and on vhid 1 on first (rc.conf.first:2)", "vhid 1 on both"),
    ("rc.conf.second:2", "nothing sets advskew here and on first (rc.conf.first:2): equal", "advskew 0, 100"),
    ("rc.conf.first:2", "192.0.2.2 has no prefix length", "that of the network of the interface"),
    ("rc.conf.second:2", "192.0.2.2 has no prefix length", "that of the network of the interface"),
    ("rc.conf.first:2", "note: vhid stands before the address 192.0.2.2 and `alias`", "inet 192.0.2.2/LENGTH vhid 1"),
    ("rc.conf.first:2", "no file loads the carp module at boot", 'kld_list="carp"'),
    ("rc.conf.second:2", "no preemption is chosen", "carp.preempt: true"),
    ("hast.conf:1", "there is one `on` section only (carp1), and hastd on second refuses the whole file", "for second"),
    ("hast.conf:2", "carp1 is an interface, no host name", "what `hostname` prints"),
    ("hast.conf:4", "remote 192.168.0.2 is the only address of a peer", "one address for each node"),
    ("hast.conf:4", "note: remote 192.168.0.2 is no address of these nodes", "check it"),
    ("hast.conf:1", "note: resource data has to be in hast.conf before `hastctl create data`", "the file first"),
    ("hast.conf:1", "nothing in these files gives data a role after boot", "node hook"),
    ("hast.conf:1", "nothing mounts /dev/hast/data or starts a service when the address moves", "filesystem and"),
    ("rc.conf.second:1", "hastd does not start at boot", 'hastd_enable="YES"'),
]  # fmt: skip


@pytest.mark.parametrize(("place", "said", "fix"), MISTAKES, ids=[m[1][:40] for m in MISTAKES])
def test_every_mistake_is_named_with_its_place(made: Draft, place: str, said: str, fix: str) -> None:
    """File and line, one sentence, and what becomes of it."""
    lines = [str(each) for each in made.findings if str(each.place) == place and said in str(each)]
    assert len(lines) == 1, [str(each) for each in made.findings]
    assert fix in lines[0]


def test_the_document_is_the_right_one(made: Draft) -> None:
    """One vhid for the address of both, a device and an address for each node, an order; and nothing is missing."""
    assert made.missing == []
    assert [node["name"] for node in made.data["spec"]["nodes"]] == ["first", "second"]
    (group,) = made.data["spec"]["groups"]
    assert group["preferred"] == ["first", "second"]
    (vip,) = group["virtualIPs"]
    assert (vip["vhid"], vip["interface"], vip["addresses"]) == (1, "em0", ["192.0.2.2/24"])
    assert "advskews" not in vip
    (disk,) = group["storage"]
    assert disk["hast"]["devices"] == {"first": "/dev/ad4s1", "second": "/dev/ad4s1"}
    assert disk["hast"]["addresses"] == {"first": "192.0.2.1", "second": "192.0.2.3"}
    assert made.data["spec"]["carp"] == {"preempt": True}
    assert made.data["spec"]["mode"] == "Observe"


def test_no_secret_is_in_the_document_or_in_what_is_said(made: Draft) -> None:
    """The password is where the document says, and nowhere else."""
    assert made.secrets == {"secrets/vhid-1.carp": "mypassword"}
    assert "mypassword" not in repr(made)
    assert "mypassword" not in "".join(str(each) for each in made.findings)
