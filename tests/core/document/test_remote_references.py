"""What a document from the network may name on the controller: files below one directory, and some variables."""

from __future__ import annotations

import pytest

from hactl.core.document.load import read_cluster
from hactl.core.document.problems import path_text
from hactl.core.document.remote_references import ENV_PREFIX, check_remote
from hactl.core.document.schema import document_schema
from hactl.core.objects import _ENV, _FILE, HACluster
from support.documents import firewall_data, nas_data, put

PASSWORD = "spec.groups.0.virtualIPs.0.passwordFrom"
HOST_KEY = "spec.nodes.1.ssh.hostKeyFrom"
IDENTITY = "spec.nodes.0.ssh.identityFrom"


def faults(*changes):
    """(path, message) of every fault of the storage pair with these fields."""
    data = nas_data()
    data["spec"]["nodes"][1]["ssh"].pop("hostKey", None)
    for path, value in ((PASSWORD, {"file": "carp"}), (HOST_KEY, {"file": "b.pub"}), *changes):
        put(data, path, value)
    return [(path_text(fault.path), fault.text) for fault in check_remote(HACluster.model_validate(data))]


def test_the_examples_over_the_network():
    """The storage pair may come as it is; the firewalls' variables would have to be called otherwise."""
    assert check_remote(HACluster.model_validate(nas_data())) == []
    found = check_remote(HACluster.model_validate(firewall_data()))
    assert [fault.path[-2:] for fault in found] == [("passwordFrom", "env")] * 2
    assert {fault.fix for fault in found} == {"name a variable that begins with HACTL_SECRET_"}


@pytest.mark.parametrize("where", [PASSWORD, HOST_KEY, IDENTITY])
@pytest.mark.parametrize("name", ["carp", "a/b/c", "./carp", "..carp", "carp..", "a/...", "with blank", "a~b", "-"])
def test_files_below_the_directory(where, name):
    """Relative names that stay below are fine, for every kind of reference."""
    assert faults((where, {"file": name})) == []


@pytest.mark.parametrize("where", [PASSWORD, HOST_KEY, IDENTITY])
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("/etc/master.passwd", "is an absolute path"),
        ("//etc/master.passwd", "is an absolute path"),
        ("../id_ed25519", "leads out of its directory"),
        ("a/../../b", "leads out of its directory"),
        ("a/..", "leads out of its directory"),
        ("..", "leads out of its directory"),
        ("./..", "leads out of its directory"),
        ("~/.ssh/id_ed25519", "begins with ~"),
        ("~root/.ssh/id_ed25519", "begins with ~"),
        ("~", "begins with ~"),
        (".", "names no file"),
        ("./", "names no file"),
    ],
)
def test_files_elsewhere(where, name, wrong):
    """Whatever would leave the directory is a fault at its field, for every kind of reference."""
    [(path, message)] = faults((where, {"file": name}))
    assert path == path_text(tuple(int(part) if part.isdecimal() else part for part in where.split("."))) + ".file"
    assert wrong in message


@pytest.mark.parametrize("name", ["HACTL_SECRET_CARP", "HACTL_SECRET_1", "HACTL_SECRET__"])
def test_variables_with_the_prefix(name):
    """They are meant for it."""
    assert faults((PASSWORD, {"env": name})) == []


@pytest.mark.parametrize("name", ["HOME", "HACTL_IDENTITY", "HACTL_SECRET_", "hactl_secret_x", "X_HACTL_SECRET_A"])
def test_other_variables(name):
    """The controller's environment is not an editor's to read."""
    [(path, message)] = faults((PASSWORD, {"env": name}))
    assert path == "spec.groups[0].virtualIPs[0].passwordFrom.env"
    assert name in message


def test_every_fault_is_told_at_once():
    """One look shows all of them, in the order of the document."""
    found = faults((PASSWORD, {"env": "HOME"}), (HOST_KEY, {"file": "/x"}), (IDENTITY, {"file": "../x"}))
    assert [path for path, _ in found] == [
        "spec.nodes[0].ssh.identityFrom.file",
        "spec.nodes[1].ssh.hostKeyFrom.file",
        "spec.groups[0].virtualIPs[0].passwordFrom.env",
    ]


def test_nothing_else_in_a_document_names_a_file_or_a_variable():
    """A new kind of reference must be a SecretRef or FileRef, so that it is looked at."""

    def walk(schema, path):
        if schema.get("pattern") in (_FILE, _ENV):
            yield path
        for name, inner in schema.get("properties", {}).items():
            yield from walk(inner, (*path, name))
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                yield from walk(schema[key], path)

    assert {path[-2:] for path in walk(document_schema(), ())} == {
        ("passwordFrom", "file"),
        ("passwordFrom", "env"),
        ("hostKeyFrom", "file"),
        ("identityFrom", "file"),
    }


def test_the_prefix_is_what_is_promised():
    """It stands in documentation and in people's environments."""
    assert ENV_PREFIX == "HACTL_SECRET_"


def test_a_document_that_was_read_is_checked_the_same():
    """`read_cluster` gives what is checked."""
    data = nas_data()
    put(data, PASSWORD, {"file": "/etc/master.passwd"})
    cluster = read_cluster(data)
    assert isinstance(cluster, HACluster)
    assert len(check_remote(cluster)) == 1
