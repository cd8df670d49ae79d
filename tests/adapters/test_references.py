"""References of a document: what is read, what is refused, and that secrets stay out of messages."""

from __future__ import annotations

import os

import pytest

from hactl.adapters.references import resolve_references
from hactl.adapters.yaml.documents import read_documents
from hactl.errors import DocumentError, SecretError
from support.documents import FIREWALL, KEY_A, KEY_B, NAS

SECRET = "h0rse.battery"


@pytest.fixture
def place(tmp_path):
    """A directory with everything the storage pair refers to."""
    (tmp_path / "lab").mkdir()
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "lab" / "nas-a.pub").write_text(f"# nas-a\n{KEY_A} root@nas-a\n\n", encoding="utf-8")
    (tmp_path / "lab" / "nas-b.pub").write_text(f"{KEY_A}\n{KEY_B}\n", encoding="utf-8")
    secret = tmp_path / "secrets" / "files.carp"
    secret.write_text(f"{SECRET}\n", encoding="utf-8")
    secret.chmod(0o600)
    return tmp_path


def document(text, place):
    """The one document of a text that stands in a directory."""
    [found] = read_documents(text.encode(), source="nas.yaml", directory=str(place)).documents
    return found


def refusal(text, place, environ=None):
    """What is said when it cannot be resolved."""
    with pytest.raises((SecretError, DocumentError)) as caught:
        resolve_references(document(text, place), environ or {})
    message = str(caught.value)
    assert SECRET not in message
    assert SECRET not in repr(caught.value.args)
    return caught.value


def test_everything_is_there(place):
    """Targets with pinned keys without comments, and the password without its newline."""
    resolved = resolve_references(document(NAS, place), {})
    assert resolved.targets["nas-a"].host_keys == (KEY_A,)
    assert resolved.targets["nas-b"].host_keys == (KEY_A, KEY_B)
    target = resolved.targets["nas-a"]
    assert (target.cluster, target.node, target.host, target.port, target.user) == (
        "nas",
        "nas-a",
        "127.0.0.1",
        2221,
        "root",
    )
    assert (target.identities, target.become) == ((), None)
    assert resolved.passwords == {("files", "files"): SECRET}
    assert resolved.warnings == ()


def test_passwords_are_not_in_repr(place):
    """A logged value shows no secret."""
    assert SECRET not in repr(resolve_references(document(NAS, place), {}))


def test_environment(place):
    """Passwords from variables; a missing one and a bad one are both named."""
    good = {"EDGE_WAN_PASSWORD": "one", "EDGE_LAN_PASSWORD": "two"}
    assert resolve_references(document(FIREWALL, place), good).passwords == {
        ("gateway", "wan"): "one",
        ("gateway", "lan"): "two",
    }
    error = refusal(FIREWALL, place, {"EDGE_LAN_PASSWORD": f"{SECRET} with blanks"})
    assert isinstance(error, SecretError)
    first, second = str(error).splitlines()
    assert "spec.groups[0].virtualIPs[0].passwordFrom: the environment variable EDGE_WAN_PASSWORD is not set" in first
    assert "virtualIPs[1].passwordFrom: the environment variable EDGE_LAN_PASSWORD: the password has" in second


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: no such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\nsecond line\n", "the password is empty"),
        (f"{SECRET}\r\n".encode(), "ends with a carriage return"),
        (f"{SECRET}{SECRET}".encode(), "has 26 characters"),
        (f"{SECRET}!".encode(), "rc.conf cannot carry"),
        (f" {SECRET}".encode(), "rc.conf cannot carry"),
        (b"\xff\xfe", "is no text"),
        (SECRET.encode() * 1000, "is larger than 4096 bytes"),
    ],
)
def test_secret_file_refused(place, content, expected):
    """Each kind of bad secret file is named with its field, never with its content."""
    file = place / "secrets" / "files.carp"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    error = refusal(NAS, place)
    assert isinstance(error, SecretError)
    assert str(error).startswith("nas.yaml: spec.groups[0].virtualIPs[0].passwordFrom: ")
    assert expected in str(error)
    assert str(file) in str(error)


def test_secret_that_is_no_file(place):
    """A directory or a pipe is refused at once."""
    file = place / "secrets" / "files.carp"
    file.unlink()
    file.mkdir()
    assert "is a directory; name a file" in str(refusal(NAS, place))
    file.rmdir()
    os.mkfifo(file)
    assert "is not a regular file" in str(refusal(NAS, place))


def test_secret_that_may_not_be_read(place, monkeypatch):
    """No permission: said so. (Root may read anything, so the refusal is acted.)"""
    opened = os.open

    def refuse(path, *rest):
        if str(path).endswith(".carp"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *rest)

    monkeypatch.setattr(os, "open", refuse)
    assert "cannot be read: permission denied" in str(refusal(NAS, place))


@pytest.mark.parametrize(
    ("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o660, True), (0o602, True)]
)
def test_open_secret_is_a_warning(place, mode, warned):
    """A secret others can read is used, and shown until it is closed."""
    (place / "secrets" / "files.carp").chmod(mode)
    warnings = resolve_references(document(NAS, place), {}).warnings
    assert bool(warnings) is warned
    assert all(f"mode {mode:04o}" in warning and SECRET not in warning for warning in warnings)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: no such file"),
        ("# nothing\n", "holds no key"),
        ("ssh-ed25519 AAAA\n", "the key is cut, or not of type ssh-ed25519"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nh0rse.battery\n", "this is a private key"),
        (f"[127.0.0.1]:2221 {KEY_A}\n", "is no accepted key type"),
    ],
)
def test_host_key_file_refused(place, content, expected):
    """A host key that cannot be pinned is an error of the document."""
    file = place / "lab" / "nas-a.pub"
    if content is None:
        file.unlink()
    else:
        file.write_text(content, encoding="utf-8")
    error = refusal(NAS, place)
    assert isinstance(error, DocumentError)
    assert error.problems[0].path == "spec.nodes[0].ssh.hostKeyFrom"
    assert expected in str(error)


def test_all_problems_at_once(place):
    """Missing keys and missing secrets are told together."""
    (place / "lab" / "nas-a.pub").unlink()
    (place / "lab" / "nas-b.pub").unlink()
    (place / "secrets" / "files.carp").unlink()
    error = refusal(NAS, place)
    assert isinstance(error, DocumentError)
    assert [problem.path for problem in error.problems] == [
        "spec.nodes[0].ssh.hostKeyFrom",
        "spec.nodes[1].ssh.hostKeyFrom",
        "spec.groups[0].virtualIPs[0].passwordFrom",
    ]


def test_identity(place):
    """The document's key, else HACTL_IDENTITY, else the user's own; a .pub file is refused; an open key warned of."""
    key = place / "id"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n", encoding="utf-8")
    key.chmod(0o600)
    text = NAS.replace("user: root\n", "user: root\n        identityFrom: {file: id}\n", 1)
    resolved = resolve_references(document(text, place), {"HACTL_IDENTITY": str(key)})
    assert resolved.targets["nas-a"].identities == (str(key),)
    assert resolved.targets["nas-b"].identities == (str(key),)
    key.chmod(0o644)
    assert len(resolve_references(document(text, place), {}).warnings) == 1
    key.write_text(KEY_A, encoding="utf-8")
    assert "is no private key; name the key, not its .pub file" in str(refusal(text, place))
    assert "HACTL_IDENTITY" in str(refusal(NAS, place, {"HACTL_IDENTITY": str(key)}))


def test_absolute_and_home_paths(place, monkeypatch):
    """A file may be absolute or in the home directory."""
    monkeypatch.setenv("HOME", str(place))
    text = NAS.replace("lab/nas-a.pub", f"{place}/lab/nas-a.pub").replace("secrets/files.carp", "~/secrets/files.carp")
    assert resolve_references(document(text, place), {}).passwords == {("files", "files"): SECRET}
    lost = NAS.replace("secrets/files.carp", "~nobody-of-that-name/x")
    assert "no such user's home directory" in str(refusal(lost, place))
