"""Documents with wrong names and types: each error is in the document's words, at its place, all at once."""

from __future__ import annotations

import json

import pytest

from hactl.core.document.load import read_cluster
from hactl.core.document.problems import path_text, shown
from hactl.core.objects import HACluster
from support.documents import NAS, nas_data, problems, put


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("vhid: 80", "vhid: .nan", "expected a whole number, found a number: NaN"),
        ("vhid: 80", "vhid: -.inf", "expected a whole number, found a number: -Infinity"),
        ("kind: HACluster", "kind: HAcluster", 'nas.yaml:3:7: kind: hactl knows no kind "HAcluster"; write HACluster'),
        ("kind: HACluster\n", "", "nas.yaml:2:1: the required field kind is missing"),
        (
            "v1alpha1",
            "v1",
            'nas.yaml:2:13: apiVersion: "hactl.dev/v1" is not one of its values; write hactl.dev/v1alpha1',
        ),
        ("vhid: 80", "vhid: eighty", 'virtualIPs[0].vhid: expected a whole number, found text: "eighty"'),
        ("vhid: 80", 'vhid: "80"', 'expected a whole number, found text: "80"; write it without quotes'),
        ("vhid: 80", "vhid: 8.0", "expected a whole number, found a number: 8.0"),
        (
            "vhid: 80",
            "vhid: 256",
            "nas.yaml:29:17: spec.groups[0].virtualIPs[0].vhid: 256 is too large; it takes 1 to 255",
        ),
        ("vhid: 80", "vhid: 0", "0 is too small; it takes 1 to 255"),
        ("vhid: 80", "vhid:", "expected a whole number, found nothing; give it a value, or remove the line"),
        ("vhid: 80", "vhid: 99999999999999999999", "the number has too many digits"),
        (
            "          vhid: 80\n",
            "",
            "nas.yaml:28:11: spec.groups[0].virtualIPs[0].vhid: this required field is missing; add vhid: ...",
        ),
        (
            "virtualIPs:",
            "virtualIps:",
            'nas.yaml:27:7: spec.groups[0].virtualIps: unknown field "virtualIps"; did you mean virtualIPs?',
        ),
        ("        hostKeyFrom", "        host_key_from", 'unknown field "host_key_from"; did you mean hostKeyFrom?'),
        ("runOn: Active", "runs: Active", 'spec.groups[0].services[0].runs: unknown field "runs"'),
        (
            "runOn: Active",
            "runOn: active",
            '"active" is not one of its values; did you mean Active? It takes Active or All',
        ),
        ("mode: Apply", "mode: Destroy", '"Destroy" is not one of its values; write Observe, Propose or Apply'),
        ("addresses: [192.0.2.80/24]", "addresses: 192.0.2.80/24", "expected a list, found text"),
        ("addresses: [192.0.2.80/24]", "addresses: []", "addresses: a list is too short; it takes at least 1 item(s)"),
        (
            "name: nas\n",
            "name: NAS_1\n",
            'metadata.name: "NAS_1" is not valid here; write lower-case letters, digits and -',
        ),
        ("name: nas\n", "name: 7\n", "metadata.name: expected text, found a number: 7; quote it"),
        ("interface: vtnet1 ", "interface: averyveryverylongname0 ", "is too long; at most 15 characters"),
        (
            "/dev/vtbd1, nas-b",
            '"/dev/da 1", nas-b',
            'devices.nas-a: "/dev/da 1" is not valid here; write a path such as /dev/da1',
        ),
        ("advbase: 1", "advskew: 1", "use advskews: {node: number}"),
        ("  name: nas\n", "  name: nas\n  namespace: x\n", "there are no namespaces"),
        ("site: example", "site: 1", "metadata.labels.site: expected text, found a number: 1; quote it"),
        ("site: example", "site: true", "expected text, found true or false: true; quote it"),
        (
            "  labels:\n    site: example",
            "  labels: [a]",
            "metadata.labels: expected a mapping, found a list; write it as NAME: value",
        ),
    ],
)
def test_type_error(old, new, expected):
    """One wrong field: one message with its place, what is wrong and what would be right."""
    assert old in NAS
    found = problems(NAS.replace(old, new, 1))
    assert any(expected in line for line in found), found


def test_all_errors_at_once():
    """Wrong YAML scalars, unknown fields, types and meaning are reported together, in document order."""
    text = (
        NAS.replace("mode: Apply", "mode: apply")
        .replace("user: root", "usr: root", 1)
        .replace("port: 2222", "port: 010")
        .replace("vhid: 80", "vhid: 300")
        .replace("198.51.100.12", "198.51.100.11")
        .replace("mountpoint: /data", "mountpoint: /usr")
        .replace("- name: nfsd", "- name: sshd")
    )
    fields = [line.split(": ")[1] for line in problems(text)]
    assert fields == [
        "spec.mode",
        "spec.nodes[0].ssh.usr",
        "spec.nodes[1].ssh.port",
        "spec.groups[0].virtualIPs[0].vhid",
        "spec.groups[0].storage[0].hast.addresses.nas-b",
        "spec.groups[0].storage[0].filesystem.ufs.mountpoint",
        "spec.groups[0].services[0].name",
    ]


def test_errors_beside_a_broken_item_keep_their_index():
    """Meaning is checked in what is left beside a broken item, and paths are those of the document as written."""
    data = nas_data()
    put(data, "spec.groups.0.virtualIPs.0.vhid", "x")
    put(data, "spec.groups.0.virtualIPs.1", {"name": "b", "vhid": 81, "interface": "lo0", "addresses": ["192.0.2.81"]})
    found = problems(json.dumps(data))
    assert any("virtualIPs[0].vhid: expected a whole number" in line for line in found)
    assert any("spec.groups[0].virtualIPs[1].interface: CARP does not run on lo0" in line for line in found)
    assert any('virtualIPs[1].addresses[0]: "192.0.2.81" has no prefix length' in line for line in found)


def test_nothing_is_invented_beside_errors():
    """Taking a broken part out must not make messages of its own."""
    for old, new in (("vhid: 80", "vhid: x"), ("        hostKeyFrom: {file: lab/nas-a.pub}", "        hostKeyFrom: 1")):
        text = NAS.replace(old, new)
        assert len(problems(text)) == 1, problems(text)


def test_python_names_are_unknown_fields():
    """Only wire names are read, whatever pydantic would accept."""
    data = nas_data()
    data["api_version"] = data.pop("apiVersion")
    assert not isinstance(read_cluster(data), HACluster)


def test_strange_keys_in_paths():
    """A key that is no plain word is quoted in a path."""
    assert path_text(("spec", "groups", 0, "a.b", 'c"')) == 'spec.groups[0]["a.b"]["c\\""]'
    assert shown("x" * 100).endswith("...")
    assert "\x1b" not in shown("\x1b[31m")
