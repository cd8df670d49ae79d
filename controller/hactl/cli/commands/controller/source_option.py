"""What `hactl run --source` takes: files, an HTTPS server, a Kubernetes-style API, a git repository.

    PATH                                          a directory of documents, or one document
    https://HOST/PATH.yaml[#OPTIONS]              a document; with a slash at the end a directory index
    git:URL[#REF[:PATH]][?OPTIONS]                a file or directory of a repository
    k8s:KUBECONFIG[?OPTIONS]  k8s:in-cluster      HAClusters of an API server

Options are written as `name=value&name=value`. For https they stand after `#`, because `?` is the server's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import click

if TYPE_CHECKING:
    from hactl.ports import Clock, Source

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
#: Options of each kind, and what their value is.
_OPTIONS: dict[str, dict[str, str]] = {
    "http": {
        "ca": "file", "cert": "file", "key": "file", "token": "file", "allow-http": "truth", "poll": "time",
        "timeout": "time",
    },
    "git": {"verify": "truth", "poll": "time", "timeout": "time"},
    "k8s": {"context": "text", "namespace": "text"},
}  # fmt: skip
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_SCP = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9][A-Za-z0-9.-]*:[^/:-][^:]*")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_IN_CLUSTER = "in-cluster"


@dataclass(frozen=True, slots=True)
class SourceOption:
    """One --source, understood."""

    kind: Literal["files", "http", "git", "k8s"]
    #: The source's name in status and history: what was written, without options.
    label: str
    #: A path, a URL, or `in-cluster`.
    where: str
    ref: str = "HEAD"
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def flag(self, name: str) -> bool:
        """Whether an option is true."""
        return self.options.get(name) == "true"

    def file(self, name: str) -> Path | None:
        """An option that names a file."""
        return Path(self.options[name]).expanduser() if name in self.options else None

    def seconds(self, name: str, default: float) -> float:
        """An option that is a duration."""
        return seconds_of(self.options[name]) or default if name in self.options else default


def parse_source(text: str) -> SourceOption:
    """What a --source means. Raises click.BadParameter, which says what would be right."""
    if text.startswith("k8s:"):
        return _k8s(text)
    if text.startswith("git:"):
        return _git(text)
    scheme = text.split("://", 1)[0].lower() if "://" in text else ""
    if scheme in ("http", "https"):
        return _http(text)
    if scheme:
        raise _wrong(text, f"{scheme}: is no kind of source; write a path, https://..., git:URL#REF:PATH or k8s:FILE")
    if not text:
        raise _wrong(text, "it is empty; name a directory of documents")
    return SourceOption("files", str(Path(text)), text)


def parse_sources(texts: tuple[str, ...]) -> list[SourceOption]:
    """All of them. Raises click.BadParameter also for one that is given twice."""
    found: dict[str, SourceOption] = {}
    for text in texts:
        option = parse_source(text)
        if option.label in found:
            raise _wrong(text, "it is given twice")
        found[option.label] = option
    return list(found.values())


def make_source(option: SourceOption, clock: Clock, *, state: Path, secrets: Path, managed_by: str = "") -> Source:
    """The adapter for it. `state` is the record: what a source keeps stands beside it; `secrets` is --secrets.

    `managed_by` is --managed-by: controllers of one name take turns, those of several names lead side by side.
    """
    secrets = secrets.absolute()
    if option.kind == "files":
        from hactl.adapters.sources.files import FileSource

        return FileSource([Path(option.where)], clock)
    if option.kind == "http":
        from hactl.adapters.sources import http

        place = http.HttpPlace(
            option.where, option.file("ca"), option.file("cert"), option.file("key"), option.file("token"),
            plain=option.where.startswith("http:"),
        )  # fmt: skip
        return http.HttpSource(
            place, clock, secrets_directory=secrets,
            poll_seconds=option.seconds("poll", http.POLL_SECONDS),
            timeout_seconds=option.seconds("timeout", http.TOTAL_SECONDS),
        )  # fmt: skip
    if option.kind == "git":
        from hactl.adapters.sources import git

        return git.GitSource(
            git.GitPlace(option.where, option.ref, option.path, option.flag("verify")), clock,
            state_directory=state.with_name(state.name + ".sources").absolute(), secrets_directory=secrets,
            poll_seconds=option.seconds("poll", git.POLL_SECONDS),
            fetch_seconds=option.seconds("timeout", git.FETCH_SECONDS),
        )  # fmt: skip
    return _kube_source(option, clock, secrets, managed_by)


def _kube_source(option: SourceOption, clock: Clock, secrets: Path, managed_by: str) -> Source:
    import os
    from dataclasses import replace

    from hactl.adapters.kubernetes.kubeconfig import KubeAccess, in_cluster, load_kubeconfig
    from hactl.adapters.sources.kubernetes import KubeSource

    context, namespace = option.options.get("context"), option.options.get("namespace")

    def access() -> KubeAccess:
        if option.where == _IN_CLUSTER:
            found = in_cluster(os.environ)
            return replace(found, namespace=namespace) if namespace else found
        return load_kubeconfig(Path(option.where).expanduser(), context=context, namespace=namespace)

    return KubeSource(option.label, access, clock, secrets_directory=secrets, managed_by=managed_by)


def _http(text: str) -> SourceOption:
    from hactl.adapters.http import is_loopback
    from hactl.adapters.sources.http import shown_url

    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _wrong(text, f"this is no URL: {error}") from None
    if not host:
        raise _wrong(text, "the URL names no host")
    if parts.username is not None or parts.password is not None:
        raise _wrong(text, "credentials do not belong into a URL; use #token=FILE, or #cert=FILE&key=FILE", hide=True)
    options = _options(text, "http", parts.fragment)
    if parts.scheme == "http":
        if not is_loopback(host):
            raise _wrong(text, "http is not encrypted and works to this machine only; write https")
        if options.get("allow-http") != "true":
            raise _wrong(text, "http is not encrypted; to this machine it is allowed with #allow-http=true")
        if "token" in options:
            raise _wrong(text, "a token is sent over https only")
    if ("key" in options) and "cert" not in options:
        raise _wrong(text, "key= without cert=; name the certificate too")
    last = parts.path.rsplit("/", 1)[-1]
    if last and not last.endswith((".yaml", ".yml")):
        raise _wrong(text, "name a document (*.yaml), or a directory index, which ends with a slash")
    url = urlunsplit((parts.scheme, parts.netloc, parts.path or "/", parts.query, ""))
    return SourceOption("http", shown_url(url), url, options=options)


def _git(text: str) -> SourceOption:
    rest, tail = _cut_options(text.removeprefix("git:"))
    options = _options(text, "git", tail)
    url, _, place = rest.partition("#")
    ref, _, path = place.partition(":")
    ref = ref or "HEAD"
    url = _git_url(text, url)
    if not _REF.fullmatch(ref) or ".." in ref or "//" in ref or ref.endswith((".lock", "/", ".")):
        raise _wrong(text, f"{ref!r} is no name of a branch, tag or commit")
    path = path.strip("/")
    if any(part in ("", ".", "..") for part in path.split("/")) and path:
        raise _wrong(text, f"{path!r} is no path in a repository; write it from the top, without . and ..")
    label = f"git:{url}#{ref}" + (f":{path}" if path else "")
    return SourceOption("git", label, url, ref, path, options)


def _git_url(text: str, url: str) -> str:
    """The URL in one of the three forms that are fetched."""
    if url.startswith("/"):
        return f"file://{url}"
    if "://" not in url and _SCP.fullmatch(url):
        return url
    parts = urlsplit(url)
    if parts.scheme not in ("file", "https", "ssh"):
        raise _wrong(text, f"{url!r} is not fetched; write https://..., ssh://..., USER@HOST:PATH or file:///PATH")
    if parts.password is not None or (parts.scheme == "https" and parts.username is not None):
        raise _wrong(text, "credentials do not belong into a URL; set up a credential helper of git", hide=True)
    if parts.scheme != "file" and (not parts.hostname or parts.netloc.startswith("-")):
        raise _wrong(text, "the URL names no host")
    return url


def _k8s(text: str) -> SourceOption:
    rest, tail = _cut_options(text.removeprefix("k8s:"))
    options = _options(text, "k8s", tail)
    if not rest:
        raise _wrong(text, "name a kubeconfig file, or in-cluster: k8s:FILE?context=NAME&namespace=NAME")
    if rest == _IN_CLUSTER and "context" in options:
        raise _wrong(text, "in a cluster there are no contexts")
    namespace = options.get("namespace")
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        raise _wrong(text, f"{namespace!r} is no name of a namespace")
    # Two contexts of one file are two sources.
    chosen = "&".join(f"{key}={options[key]}" for key in ("context", "namespace") if key in options)
    label = f"k8s:{rest}" + (f"?{chosen}" if chosen else "")
    return SourceOption("k8s", label, rest, options=options)


def _cut_options(text: str) -> tuple[str, str]:
    """(what is before, the options after the last `?`)."""
    before, mark, tail = text.rpartition("?")
    return (before, tail) if mark and "/" not in tail.partition("=")[0] else (text, "")


def _options(text: str, kind: str, tail: str) -> dict[str, str]:
    """`name=value&...`, each known and of its type."""
    known = _OPTIONS[kind]
    found: dict[str, str] = {}
    for name, value in parse_qsl(tail, keep_blank_values=True):
        if name not in known:
            raise _wrong(text, f"there is no option {name!r}; there are {', '.join(sorted(known))}")
        if name in found:
            raise _wrong(text, f"{name}= is given twice")
        if not value or (known[name] == "truth" and value not in ("true", "false")):
            raise _wrong(text, f"{name}= takes " + {"truth": "true or false"}.get(known[name], f"a {known[name]}"))
        if known[name] == "time" and not seconds_of(value):
            raise _wrong(text, f"{name}={value} is no duration; say 90s, 10m or 1h")
        found[name] = value
    if tail and not found:
        raise _wrong(text, f"{tail!r} is no option; write NAME=VALUE")
    return found


def seconds_of(text: str) -> float:
    """`90`, `90s`, `10m`, `1h` as seconds; 0 when it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    return float(found[1]) * _SECONDS[found[2]] if found else 0.0


def _wrong(text: str, why: str, *, hide: bool = False) -> click.BadParameter:
    return click.BadParameter(why if hide else f"{text}: {why}", param_hint="--source")
