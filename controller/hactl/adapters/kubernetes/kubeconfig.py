"""Where a Kubernetes-style API is and who we are there: a kubeconfig file, or what a pod finds in its file system.

Read: certificate authority, client certificate and key (files or data), bearer token (text or file), the server's TLS
name, context and namespace. Programs that would print credentials (`exec`, `auth-provider`) are not run, passwords are
not sent, and a server whose certificate is not checked is not used.
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hactl.adapters.http import is_loopback
from hactl.adapters.yaml.tree import MAX_BYTES, read_trees
from hactl.core.document.problems import listed, printable, shown
from hactl.errors import HactlError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_UNSUPPORTED = {
    "exec": "runs a program for its credentials (exec)",
    "auth-provider": "uses an auth-provider",
    "username": "uses a password",
    "as": "impersonates somebody (as)",
}


class KubeconfigError(HactlError):
    """A kubeconfig that cannot be used; the message says why, without anything secret."""


@dataclass(frozen=True, slots=True)
class KubeAccess:
    """How to reach one API server. PEM texts and tokens are not in its repr."""

    server: str
    namespace: str = "default"
    ca_file: Path | None = None
    ca_text: str = field(default="", repr=False)
    cert_file: Path | None = None
    cert_text: str = field(default="", repr=False)
    key_file: Path | None = None
    key_text: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    #: Read anew for each request: it is rotated.
    token_file: Path | None = None
    #: The name in the server's certificate, when it is another than its address.
    server_name: str | None = None


def in_cluster(environ: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> KubeAccess:
    """What a pod has. Raises KubeconfigError outside of one."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (account / "token").exists():
        raise KubeconfigError(
            "this is no pod of a Kubernetes cluster (KUBERNETES_SERVICE_HOST or the service account's token is "
            "missing); name a kubeconfig file: --source k8s:FILE"
        )
    namespace = account / "namespace"
    try:
        where = namespace.read_text().strip() if namespace.exists() else "default"
    except OSError as error:
        raise KubeconfigError(f"{namespace} cannot be read: {error.strerror}") from None
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    return KubeAccess(server, where, ca_file=account / "ca.crt", token_file=account / "token")


def load_kubeconfig(path: Path, *, context: str | None = None, namespace: str | None = None) -> KubeAccess:
    """One context of a kubeconfig file (default: its current one). Raises KubeconfigError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KubeconfigError(f"{printable(str(path))} cannot be read: {error.strerror}") from None
    trees, problems = read_trees(content, str(path))
    broken = [*problems, *(problem for tree in trees for problem in tree.problems)]
    if broken or len(trees) != 1 or not isinstance(trees[0].data, dict):
        why = f"line {broken[0].line}: {broken[0].message}" if broken else "it is not one YAML mapping"
        raise KubeconfigError(f"{printable(str(path))} is no kubeconfig: {why}")
    return _Config(path, trees[0].data).access(context, namespace)


@dataclass(frozen=True, slots=True)
class _Config:
    """The content of a kubeconfig."""

    path: Path
    data: Mapping[str, Any]

    def access(self, context: str | None, namespace: str | None) -> KubeAccess:
        """What a context stands for."""
        name = context or self.data.get("current-context")
        if not isinstance(name, str) or not name:
            raise self._error("it has no current-context; say which one: k8s:FILE?context=NAME")
        chosen = self._named("contexts", "context", name)
        cluster = self._named("clusters", "cluster", str(chosen.get("cluster", "")))
        user = self._named("users", "user", str(chosen["user"])) if chosen.get("user") else {}
        self._check(name, cluster, user)
        token_file = self._file(user, "tokenFile")
        return KubeAccess(
            str(cluster["server"]).rstrip("/"),
            namespace or str(chosen.get("namespace") or "default"),
            ca_file=self._file(cluster, "certificate-authority"),
            ca_text=self._pem(cluster, "certificate-authority-data"),
            cert_file=self._file(user, "client-certificate"),
            cert_text=self._pem(user, "client-certificate-data"),
            key_file=self._file(user, "client-key"),
            key_text=self._pem(user, "client-key-data"),
            # As in client-go: the file wins.
            token="" if token_file else str(user.get("token") or ""),
            token_file=token_file,
            server_name=cluster.get("tls-server-name") or None,
        )

    def _check(self, context: str, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> None:
        server = urlsplit(str(cluster.get("server", "")))
        if server.scheme not in ("https", "http") or not server.hostname:
            raise self._error(f"the cluster of context {shown(context)} has no server URL")
        if server.scheme == "http" and not is_loopback(server.hostname):
            raise self._error(f"{printable(server.geturl())} is not encrypted; http is for this machine only")
        if cluster.get("insecure-skip-tls-verify"):
            raise self._error("insecure-skip-tls-verify is set; give the server's certificate-authority instead")
        if cluster.get("proxy-url"):
            raise self._error("proxies are not supported (proxy-url)")
        for key, what in _UNSUPPORTED.items():
            if user.get(key):
                raise self._error(
                    f"the user of context {shown(context)} {what}, which hactl does not do; give it a token, a "
                    "tokenFile or a client certificate"
                )

    def _named(self, plural: str, singular: str, name: str) -> Mapping[str, Any]:
        entries = self.data.get(plural)
        known = []
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get(singular), dict):
                known.append(str(entry.get("name")))
                if entry.get("name") == name:
                    found: Mapping[str, Any] = entry[singular]
                    return found
        there = f"there are {listed(sorted(known), last='and')}" if known else "there is none"
        raise self._error(f"it has no {singular} {shown(name)}; {there}")

    def _file(self, entry: Mapping[str, Any], key: str) -> Path | None:
        """Relative to the kubeconfig, as kubectl has it."""
        return self.path.parent / str(entry[key]) if entry.get(key) else None

    def _pem(self, entry: Mapping[str, Any], key: str) -> str:
        if not entry.get(key):
            return ""
        try:
            return base64.b64decode(str(entry[key]), validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            raise self._error(f"{key} is not base64 of PEM text") from None

    def _error(self, message: str) -> KubeconfigError:
        return KubeconfigError(f"{printable(str(self.path))}: {message}")
