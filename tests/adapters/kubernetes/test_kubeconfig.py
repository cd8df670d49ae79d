"""Kubeconfig files: what is read, and what is refused with a reason."""

from __future__ import annotations

import base64

import pytest

from hactl.adapters.kubernetes.kubeconfig import KubeAccess, KubeconfigError, in_cluster, load_kubeconfig

CONFIG = """\
apiVersion: v1
kind: Config
current-context: one
contexts:
- name: one
  context: {cluster: c, user: u, namespace: ha}
- name: two
  context: {cluster: c, user: v}
- name: none
  context: {cluster: gone, user: u}
clusters:
- name: c
  cluster: {server: 'https://api.example:6443/', certificate-authority: ca.crt, tls-server-name: kubernetes}
users:
- name: u
  user: {client-certificate: u.crt, client-key-data: PEM}
- name: v
  user: {token: from-the-file, tokenFile: v.token}
"""


@pytest.fixture
def config(tmp_path):
    """A kubeconfig with three contexts."""
    file = tmp_path / "config"
    file.write_text(CONFIG.replace("PEM", base64.b64encode(b"-----BEGIN KEY-----").decode()))
    return file


def test_the_current_context(config):
    """Files are relative to the kubeconfig, as kubectl has it."""
    assert load_kubeconfig(config) == KubeAccess(
        "https://api.example:6443", "ha", ca_file=config.parent / "ca.crt", cert_file=config.parent / "u.crt",
        key_text="-----BEGIN KEY-----", server_name="kubernetes",
    )  # fmt: skip


def test_another_context_and_namespace(config):
    """A token file is preferred to a token."""
    access = load_kubeconfig(config, context="two", namespace="other")
    assert (access.namespace, access.token, access.token_file) == ("other", "", config.parent / "v.token")
    assert load_kubeconfig(config, context="two").namespace == "default"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("current-context: one", "current-context: ''", "no current-context"),
        ("current-context: one", "current-context: none", 'no cluster "gone"; there are c'),
        ("current-context: one", "current-context: x", 'no context "x"; there are none, one and two'),
        ("https://api.example:6443/", "http://api.example:6443", "not encrypted"),
        ("https://api.example:6443/", "api.example", "no server URL"),
        ("tls-server-name: kubernetes", "insecure-skip-tls-verify: true", "insecure-skip-tls-verify"),
        ("tls-server-name: kubernetes", "proxy-url: 'http://p'", "proxies"),
        ("{client-certificate: u.crt,", "{exec: {command: aws},", "runs a program for its credentials"),
        ("{client-certificate: u.crt,", "{auth-provider: {name: gcp},", "auth-provider"),
        ("{client-certificate: u.crt,", "{username: a, password: hunter2,", "uses a password"),
        ("client-key-data: LS0t", "client-key-data: _LS0t", "client-key-data is not base64"),
        ("apiVersion: v1", "apiVersion: [", "is no kubeconfig"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told(config, before, after, told):
    """By the name of the file, and never with a secret."""
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after))
    with pytest.raises(KubeconfigError) as error:
        load_kubeconfig(config)
    assert told in str(error.value)
    assert str(config) in str(error.value)
    assert "hunter2" not in str(error.value)


def test_plain_http_to_this_machine_is_what_kubectl_proxy_gives(config):
    """Allowed; no token is sent there."""
    config.write_text(config.read_text().replace("https://api.example:6443/", "http://127.0.0.1:8001"))
    assert load_kubeconfig(config).server == "http://127.0.0.1:8001"


def test_outside_of_a_pod_there_is_no_service_account(tmp_path):
    """And the message says what to do."""
    with pytest.raises(KubeconfigError, match="name a kubeconfig file"):
        in_cluster({}, tmp_path)


def test_a_file_that_is_not_there(tmp_path):
    """Not a traceback."""
    with pytest.raises(KubeconfigError, match="cannot be read: No such file"):
        load_kubeconfig(tmp_path / "nowhere")
