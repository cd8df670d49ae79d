"""What a document refers to on the controller: host keys, private keys and CARP passwords.

Read when a pass begins, never stored. Messages name the field and the file, never a secret. Files are relative to
the document. A secret others can read is used, with a warning.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hactl.core.choices import NodeAccess
from hactl.core.cluster import Cluster
from hactl.core.document.problems import Fault, FieldPath, Problem, path_text, printable, shown
from hactl.core.document.rules.check import password_problem
from hactl.core.document.rules.nodes import host_key_problem
from hactl.core.gate.render import gate_id
from hactl.core.lint.codes import Code
from hactl.core.objects import NodeSpec, SecretRef
from hactl.errors import DocumentError, SecretError
from hactl.ports import Document, Target

#: A password has 19 characters, a host key file a few lines.
_MAX_SECRET_BYTES = 4096
_MAX_KEYS_BYTES = 64 * 1024
IDENTITY_VARIABLE = "HACTL_IDENTITY"
#: Where a document is checked its secrets need not be.
_ABSENT = Code.REFERENCE_ABSENT


@dataclass(frozen=True, slots=True)
class References:
    """What a document's references stand for."""

    #: How to reach each node, by name.
    targets: Mapping[str, Target]
    #: CARP password by (group, virtual IP) name; absent where the document names none. Not in repr.
    passwords: Mapping[tuple[str, str], str] = field(repr=False)
    #: What works but should not stay so, for people.
    warnings: tuple[str, ...] = ()


class _Unusable(Exception):
    """A reference that cannot be used; carries what is wrong, what would be right, and lint's code for it."""

    def __init__(self, message: str, fix: str = "", code: Code = Code.REFERENCE_UNUSABLE) -> None:
        self.message, self.fix, self.code = message, fix, code
        super().__init__(message)


def resolve_references(document: Document, environ: Mapping[str, str] | None = None) -> References:
    """Everything the document refers to.

    Raises SecretError when only passwords or private keys are at fault, else DocumentError; either with every
    problem at once, by field path, and without any secret.
    """
    return _Resolution(document, os.environ if environ is None else environ).run()


def reference_faults(document: Document, environ: Mapping[str, str] | None = None) -> tuple[tuple[Code, Fault], ...]:
    """What is wrong with what the document refers to, by field path and without any secret; for lint."""
    resolution = _Resolution(document, os.environ if environ is None else environ)
    resolution.look()
    return resolution.faults


def reachable(document: Document, environ: Mapping[str, str] | None = None) -> Mapping[str, Target]:
    """How to reach the nodes whose host keys are known, whatever else the document refers to; to look, not to act."""
    targets, _ = _Resolution(document, os.environ if environ is None else environ).look()
    return {name: target for name, target in targets.items() if target.host_keys}


class _Resolution:
    """One document being resolved: collects problems and warnings and goes on."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._problems: list[Problem] = []
        self._only_secrets = True
        self._warnings: list[str] = []
        self._faults: list[tuple[Code, Fault]] = []

    @property
    def faults(self) -> tuple[tuple[Code, Fault], ...]:
        """Problems and warnings together, in the order they were found."""
        return tuple(self._faults)

    def run(self) -> References:
        """Resolve everything, then complain once."""
        targets, passwords = self.look()
        if self._problems and self._only_secrets:
            raise SecretError("\n".join(str(problem) for problem in self._problems))
        if self._problems:
            raise DocumentError(self._problems)
        return References(targets, passwords, tuple(self._warnings))

    def look(self) -> tuple[dict[str, Target], dict[tuple[str, str], str]]:
        """Targets by node and passwords by (group, virtual IP), as far as they are to be had."""
        targets = {}
        passwords = {}
        spec = self._document.cluster.spec
        for index, node in enumerate(spec.nodes):
            targets[node.name] = self._target(("spec", "nodes", index, "ssh"), node)
        for group_index, group in enumerate(spec.groups):
            for index, vip in enumerate(group.virtual_ips):
                if vip.password_from is not None:
                    path = ("spec", "groups", group_index, "virtualIPs", index, "passwordFrom")
                    password = self._password(path, vip.password_from)
                    if password is not None:
                        passwords[group.name, vip.name] = password
        return targets, passwords

    def _problem(self, path: FieldPath, error: _Unusable, *, secret: bool) -> None:
        source = self._document.source
        self._problems.append(Problem(source, 0, 0, path_text(path), error.message, error.fix))
        self._only_secrets = self._only_secrets and secret
        self._faults.append((error.code, Fault(path, error.message, error.fix)))

    def _target(self, path: FieldPath, node: NodeSpec) -> Target:
        ssh = node.ssh
        keys: tuple[str, ...] = ()
        identities: tuple[str, ...] = ()
        try:
            keys = self._host_keys(node)
        except _Unusable as error:
            self._problem((*path, "hostKeyFrom" if ssh.host_key_from else "hostKey"), error, secret=False)
        try:
            identities = self._identities(path, node)
        except _Unusable as error:
            self._problem((*path, "identityFrom"), error, secret=True)
        cluster = self._document.cluster.name
        gate = "" if ssh.access is NodeAccess.ROOT else gate_id(Cluster(self._document.cluster, 0), node.name)
        return Target(cluster, node.name, ssh.host, ssh.port, ssh.user, keys, identities, ssh.become, ssh.access, gate)

    def _host_keys(self, node: NodeSpec) -> tuple[str, ...]:
        """The pinned keys, "type base64", comments dropped."""
        if node.ssh.host_key is not None:
            lines, where = [node.ssh.host_key], ""
        elif node.ssh.host_key_from is not None:
            file = self._path(node.ssh.host_key_from.file)
            where = f"{printable(str(file))}: "
            text = _text_of(file, _MAX_KEYS_BYTES)[0]
            lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
            if not lines:
                raise _Unusable(
                    f"{printable(str(file))} holds no key", "copy the node's /etc/ssh/ssh_host_ed25519_key.pub there"
                )
        else:
            raise _Unusable("no host key is pinned", "give hostKey or hostKeyFrom")
        for line in lines:
            if wrong := host_key_problem(line):
                fix = "a line is: ssh-ed25519 AAAA..., as in /etc/ssh/ssh_host_ed25519_key.pub of the node"
                raise _Unusable(f"{where}{wrong}", fix)
        return tuple(" ".join(line.split()[:2]) for line in lines)

    def _identities(self, path: FieldPath, node: NodeSpec) -> tuple[str, ...]:
        """The private key file to log in with; nothing: the user's own."""
        if node.ssh.identity_from is not None:
            file, origin = self._path(node.ssh.identity_from.file), path_text((*path, "identityFrom"))
        elif self._environ.get(IDENTITY_VARIABLE):
            file, origin = Path(self._environ[IDENTITY_VARIABLE]).expanduser(), IDENTITY_VARIABLE
        else:
            return ()
        text, mode = _text_of(file, _MAX_KEYS_BYTES)
        if "PRIVATE KEY" not in text:
            raise _Unusable(f"{printable(str(file))} ({origin}) is no private key", "name the key, not its .pub file")
        self._warn_if_open(file, mode, (*path, "identityFrom"), origin)
        return (str(file),)

    def _password(self, path: FieldPath, reference: SecretRef) -> str | None:
        """The password, or None with a problem."""
        try:
            if reference.file is not None:
                file = self._path(reference.file)
                text, mode = _text_of(file, _MAX_SECRET_BYTES)
                password, where = text.split("\n", 1)[0], printable(str(file))
                self._warn_if_open(file, mode, path, path_text(path))
            else:
                name = reference.env or ""
                if name not in self._environ:
                    raise _Unusable(f"the environment variable {name} is not set", f"export {name}=...", _ABSENT)
                password, where = self._environ[name], f"the environment variable {name}"
            if wrong := password_problem(password):
                raise _Unusable(f"{where}: {wrong}", code=Code.PASSWORD)
        except _Unusable as error:
            self._problem(path, error, secret=True)
            return None
        return password

    def _path(self, name: str) -> Path:
        """A file the document names."""
        try:
            return Path(self._document.directory) / Path(name).expanduser()
        except RuntimeError:
            raise _Unusable(f"{shown(name)}: there is no such user's home directory") from None

    def _warn_if_open(self, file: Path, mode: int, path: FieldPath, origin: str) -> None:
        if mode & (stat.S_IWGRP | stat.S_IRWXO):
            name, what = printable(str(file)), f"is open to others (mode {mode:04o})"
            self._warnings.append(f"{name} ({origin}) {what}; chmod 600 it")
            self._faults.append((Code.REFERENCE_OPEN, Fault(path, f"{name} {what}", "chmod 600 it")))


def _text_of(file: Path, limit: int) -> tuple[str, int]:
    """Content and mode bits of a small regular text file. Raises _Unusable, which never repeats the content."""
    label = printable(str(file))
    try:
        # Without blocking: a pipe nobody writes to would hang the pass.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a file name"
        raise _Unusable(f"{label} cannot be read: {reason[:1].lower()}{reason[1:]}", code=_ABSENT) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = "a directory" if stat.S_ISDIR(found.st_mode) else "not a regular file"
            raise _Unusable(f"{label} is {kind}", "name a file")
        content = os.read(descriptor, limit + 1)
    except OSError as error:
        raise _Unusable(f"{label} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise _Unusable(f"{label} is larger than {limit} bytes", "is it the right file?")
    if not content.strip():
        raise _Unusable(f"{label} is empty")
    try:
        return content.decode(), stat.S_IMODE(found.st_mode)
    except UnicodeDecodeError:
        raise _Unusable(f"{label} is no text", "is it the right file?") from None
