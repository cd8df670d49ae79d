"""Fragments of pairs as people have them: what the document says, what is remarked, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hactl.core.adopt.draft import Draft, draft
from hactl.core.adopt.node import NodeFile

HAST = """\
resource shared {
    local /dev/ada0p4
    timeout 25
    on nas-a { remote tcp4://198.51.100.12 }
    on nas-b { remote tcp4://198.51.100.11 }
}
"""
RC = """\
hostname="{name}.example.org"
kld_list="carp"
hastd_enable="YES"
ifconfig_em0="inet 192.0.2.{n} netmask 255.255.255.0"
ifconfig_em0_alias0="inet 192.0.2.50/24 vhid 1 advskew {skew} pass s3cret"
"""
SYSCTL = "net.inet.carp.preempt=1\n"


def pair(
    first: str = "", second: str = "", *, hast: str = HAST, rc: str = RC, skews: Sequence[int] = (0, 100)
) -> Draft:
    """A sound pair; `first` and `second` stand at the end of the rc.conf of each."""
    nodes = []
    for name, n, skew, more in (("nas-a", 11, skews[0], first), ("nas-b", 12, skews[1], second)):
        text = rc.format(name=name, n=n, skew=skew) + more
        files = [NodeFile(f"{name}/rc.conf", text), NodeFile(f"{name}/sysctl.conf", SYSCTL)]
        nodes.append([*files, *([NodeFile(f"{name}/hast.conf", hast)] if hast else [])])
    return draft(nodes)


def wrong(made: Draft) -> list[str]:
    """What is more than a note."""
    return [str(each) for each in made.findings if not each.note]


def group(made: Draft, at: int = 0) -> Any:
    return made.data["spec"]["groups"][at]


def test_a_sound_pair_has_nothing_wrong_but_what_no_file_can_do() -> None:
    """Names as hast.conf has them, each node's replication address from the other one's `remote`, its own timeout."""
    made = pair()
    assert made.missing == []
    assert [line.partition(": ")[2][:30] for line in wrong(made)] == [
        "nothing in these files gives s",
        "nothing mounts /dev/hast/share",
    ]
    assert made.data["metadata"]["name"] == "nas"
    assert [node["name"] for node in made.data["spec"]["nodes"]] == ["nas-a", "nas-b"]
    assert [node["ssh"]["host"] for node in made.data["spec"]["nodes"]] == ["192.0.2.11", "192.0.2.12"]
    hast = group(made)["storage"][0]["hast"]
    assert hast["devices"] == {"nas-a": "/dev/ada0p4", "nas-b": "/dev/ada0p4"}
    assert hast["addresses"] == {"nas-a": "198.51.100.11", "nas-b": "198.51.100.12"}
    assert hast["timeoutSeconds"] == 25
    assert ("spec", "groups", 0, "storage", 0, "hast", "addresses") not in made.remarks


def test_the_order_of_the_nodes_is_that_of_their_advskews() -> None:
    """The better one is preferred; what is not hactl's own ladder is said."""
    assert group(pair(skews=(100, 0)))["preferred"] == ["nas-b", "nas-a"]
    assert "advskews" not in group(pair(skews=(100, 0)))["virtualIPs"][0]
    assert group(pair(skews=(10, 20)))["virtualIPs"][0]["advskews"] == {"nas-a": 10, "nas-b": 20}


def test_addresses_that_prefer_different_nodes_are_different_groups() -> None:
    """Two services that share the load: the disk goes with the first."""
    alias = 'ifconfig_em0_alias1="inet 192.0.2.60/24 vhid 2 advskew {} pass s3cret"\n'
    made = pair(alias.format(100), alias.format(0))
    assert [each["preferred"] for each in made.data["spec"]["groups"]] == [["nas-a", "nas-b"], ["nas-b", "nas-a"]]
    assert ["storage" in each for each in made.data["spec"]["groups"]] == [True, False]
    assert made.missing == []


def test_the_words_of_the_handbook_are_read() -> None:
    """`vhid` first, `alias` in the middle, /32; no family at all; a password of 32 characters; rc.conf.local style."""
    rc = RC.replace(
        'inet 192.0.2.50/24 vhid 1 advskew {skew} pass s3cret', 'vhid 1 advskew {skew} pass ' + "0123456789abcdef" * 2
        + ' alias 192.0.2.50/32'
    )  # fmt: skip
    made = pair(rc=rc)
    assert group(made)["virtualIPs"][0]["addresses"] == ["192.0.2.50/32"]
    assert made.secrets == {"secrets/vhid-1.carp": "0123456789abcdef012"}
    assert any("ifconfig(8) uses the first 19 characters" in str(each) for each in made.findings)


def test_an_address_of_freebsd_9_is_on_the_interface_that_has_its_network() -> None:
    """carp0 does not exist any more."""
    rc = RC.replace("em0_alias0", "carp0").replace("inet 192.0.2.50/24 vhid", "vhid").replace(
        "pass s3cret", "pass s3cret 192.0.2.50/24"
    )  # fmt: skip
    made = pair('cloned_interfaces="carp0"\n', 'cloned_interfaces="carp0"\n', rc=rc)
    assert group(made)["virtualIPs"][0]["interface"] == "em0"
    assert any("carp0 is an interface of FreeBSD 9 and before" in line for line in wrong(made))


def test_a_vlan_has_its_dot_back() -> None:
    """rc.conf spells em0.100 as em0_100; vlans_em0 says it exactly."""
    for more in ("", 'vlans_em0="100"\n'):
        assert group(pair(more, more, rc=RC.replace("em0", "em0_100")))["virtualIPs"][0]["interface"] == "em0.100"


DIFFERENCES = [
    ("vhid 1", "vhid 2", "192.0.2.50 is on vhid 2 here and on vhid 1 on nas-a (nas-a/rc.conf:5)"),
    ("pass s3cret", "pass 0ther", "the password of vhid 1 is not that of nas-a (nas-a/rc.conf:5)"),
    ("/24 vhid", "/25 vhid", "192.0.2.50 has /25 here and /24 elsewhere (nas-a/rc.conf:5)"),
    ("vhid 1", "vhid 1 advbase 3", "advbase is 3 here and 1 on nas-a"),
    ("192.0.2.50/24", "192.0.2.51/24", "nas-b does not have 192.0.2.50 on vhid 1"),
    ("advskew 100", "advskew 0", "advskew is 0 here and on nas-a (nas-a/rc.conf:5): equal nodes race"),
    ("advskew 100", "advskew 250", "advskew 250 is more than a demoted node has"),
    ("192.0.2.50/24 vhid", "vhid", "vhid 1 has no address here"),
    ('kld_list="carp"', 'kld_list+="carp"', "sh(1) has no +=, so kld_list stays as it was"),
    ('kld_list="carp"', 'carp_load="YES"', "carp_load is a variable of /boot/loader.conf"),
    ('hastd_enable="YES"', 'hastd_enable="NO"', "hastd does not start at boot"),
    ('hastd_enable="YES"', "net.inet.carp.preempt=1", "it belongs in /etc/sysctl.conf"),
    ('kld_list="carp"', 'kld_list="carp', "a quote is opened and not closed on its line"),
]


@pytest.mark.parametrize(("old", "new", "said"), DIFFERENCES, ids=[d[1] for d in DIFFERENCES])
def test_where_the_nodes_disagree_it_is_said_at_the_second_one(old: str, new: str, said: str) -> None:
    """With the line of nas-b's rc.conf; no password is told."""
    rc_b = RC.format(name="nas-b", n=12, skew=100)
    assert old in rc_b
    made = draft(
        [
            [NodeFile("nas-a/rc.conf", RC.format(name="nas-a", n=11, skew=0)), NodeFile("a/hast.conf", HAST)],
            [NodeFile("nas-b/rc.conf", rc_b.replace(old, new)), NodeFile("b/hast.conf", HAST)],
        ]
    )
    found = [line for line in wrong(made) if said in line]
    assert len(found) == 1, wrong(made)
    assert found[0].startswith("nas-b/rc.conf:")
    assert not any("s3cret" in line or "0ther" in line for line in wrong(made))
    assert made.missing == []


def test_what_a_document_cannot_say_of_hast_conf_is_kept() -> None:
    """By the names `hactl plan` has for it; what it can say it says."""
    hast = HAST.replace("timeout 25", "name nfsdata\n metaflush off\n exec /usr/local/sbin/told")
    made = pair(hast="listen tcp://0.0.0.0\ncompression lzf\n" + hast)
    assert made.data["spec"]["keep"] == ["/etc/hast.conf:shared.name", "/etc/hast.conf:shared.exec"]
    assert made.data["spec"]["hast"] == {"listen": ["tcp://0.0.0.0"]}
    spec = group(made)["storage"][0]["hast"]
    assert (spec["metaflush"], spec["compression"], spec["timeoutSeconds"]) == (False, "lzf", 20)


def test_a_hast_conf_that_hastd_refuses_is_read_as_far_as_it_goes() -> None:
    """The line that hastd stops at, and the document all the same."""
    made = pair(hast=HAST.replace("timeout 25", "timeout soon"))
    assert any("hast.conf:3: hastd refuses the whole file here: syntax error near 'soon'" in s for s in wrong(made))
    assert group(made)["storage"][0]["hast"]["devices"]["nas-a"] == "/dev/ada0p4"
    made = pair(hast=HAST.removesuffix("}\n"))
    assert made.missing == []
    assert any("hastd refuses the whole file here" in line for line in wrong(made))


def test_nodes_without_a_hostname_are_told_apart_by_who_is_whose_peer() -> None:
    """The node that has the address that nas-a replicates to is not nas-a."""
    rc = RC.replace('hostname="{name}.example.org"\n', "").replace("192.0.2.{n} ", "198.51.100.{n} ")
    made = pair(rc=rc)
    assert [node["name"] for node in made.data["spec"]["nodes"]] == ["nas-a", "nas-b"]
    swapped = HAST.replace("on nas-a", "on x").replace("on nas-b", "on nas-a").replace("on x", "on nas-b")
    assert [node["name"] for node in pair(rc=rc, hast=swapped).data["spec"]["nodes"]] == ["nas-b", "nas-a"]


def test_a_section_for_a_third_host_is_said() -> None:
    """It is none of these nodes."""
    made = pair(hast=HAST.replace("on nas-b", "on nas-c"))
    assert any("nas-c is none of these nodes (nas-a, nas-b.example.org)" in line for line in wrong(made))
    assert any("and hastd on nas-b.example.org refuses the whole file" in line for line in wrong(made))


def test_a_filesystem_of_fstab_is_in_the_document() -> None:
    """With its options; and it must not be mounted at boot."""
    made = draft(
        [
            [
                NodeFile(f"{n}/rc.conf", RC.format(name=n, n=at, skew=0)),
                NodeFile(f"{n}/hast.conf", HAST),
                NodeFile(f"{n}/fstab", "# dev\n/dev/hast/shared /data ufs rw,noatime 2 2\n"),
            ]
            for at, n in ((11, "nas-a"), (12, "nas-b"))
        ]
    )
    assert group(made)["storage"][0]["filesystem"] == {"ufs": {"mountpoint": "/data", "options": ["noatime"]}}
    assert any("nas-a/fstab:2: /dev/hast/shared is in fstab" in line for line in wrong(made))


MISSING = [
    ([[]], "no file names a CARP vhid"),
    ([[NodeFile("rc.conf", "")]], "no file names a CARP vhid"),
    ([[NodeFile("rc.conf", RC), NodeFile("hast.conf", HAST)]], "HAST replicates between two nodes"),
    ([[NodeFile("a", 'ifconfig_em0_alias0="inet 192.0.2.1/24 vhid 800"')]], "800"),
    ([[NodeFile("a", 'ifconfig_lo0_alias0="inet 192.0.2.1/24 vhid 8"')]], "CARP does not run on lo0"),
]


@pytest.mark.parametrize(("files", "said"), MISSING, ids=[m[1] for m in MISSING])
def test_what_is_missing_for_a_valid_document_is_said(files: list[list[NodeFile]], said: str) -> None:
    """No document is better than a wrong one."""
    made = draft(files)
    assert any(said in line for line in made.missing), made.missing


def test_a_disk_that_no_file_names_is_guessed_and_marked() -> None:
    """The other node's, with a remark; storage without addresses too."""
    one, other = (
        HAST.replace("local", "#"),
        HAST.replace("    local /dev/ada0p4\n", "").replace("remote", "local /dev/da1\nremote"),
    )
    made = draft([[NodeFile("hast.conf", HAST)], [NodeFile("b/hast.conf", one)]])
    assert made.missing == []
    made = draft([[NodeFile("hast.conf", other.replace("local /dev/da1", "", 1))], [NodeFile("b/rc.conf", "")]])
    assert made.missing == []
    assert group(made)["storage"][0]["hast"]["devices"] == {"nas-a": "/dev/da1", "nas-b": "/dev/da1"}
    remark = made.remarks["spec", "groups", 0, "storage", 0, "hast", "devices"]
    assert remark == "No file says the disk of nas-a: check it."


def test_addresses_of_ipv4_addrs_are_a_nodes_own() -> None:
    """Alone, ranges included (rc.conf(5)): what hast.conf names as `remote` is found there."""
    made = pair(
        'ipv4_addrs_em1="198.51.100.10-11/24"\n',
        'ipv4_addrs_em1="198.51.100.12/24"\n',
        rc=RC.replace('ifconfig_em0="inet 192.0.2.{n} netmask 255.255.255.0"', 'ipv4_addrs_em0="192.0.2.{n}/24"'),
    )
    assert [node["ssh"]["host"] for node in made.data["spec"]["nodes"]] == ["192.0.2.11", "192.0.2.12"]
    assert not [each for each in made.findings if "is no address of these nodes" in str(each)]


def test_settings_of_hastd_on_one_node_are_kept() -> None:
    """`on` blocks outside of resources (hast.conf(5)): no document can say them."""
    blocks = "on nas-a {\n listen 198.51.100.11\n pidfile /var/run/a.pid\n}\non nas-b { listen 198.51.100.12 }\n"
    made = pair(hast=blocks + HAST)
    assert made.data["spec"]["keep"] == [
        "/etc/hast.conf:on nas-a.listen",
        "/etc/hast.conf:on nas-a.pidfile",
        "/etc/hast.conf:on nas-b.listen",
    ]
    assert any("hast.conf:2: note: listen 198.51.100.11" in str(each) for each in made.findings)


def test_a_resource_without_a_peer_is_told_as_that() -> None:
    """`none` is no address (hast.conf(5))."""
    made = pair(hast=HAST.replace("tcp4://198.51.100.12", "none").replace("tcp4://198.51.100.11", "none"))
    assert [each for each in wrong(made) if "has no peer, and nothing is replicated today" in each]
    assert not [each for each in wrong(made) if "only address of a peer" in each]
