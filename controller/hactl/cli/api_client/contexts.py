"""Which server a command talks to: the contexts of `hactl config`, and how one is chosen.

The file is `$HACTL_CONFIG`, else `~/.config/hactl/config.yaml`, mode 0600 because tokens may stand in it. Chosen, in
this order: `--server`, `--context`, the record of `--state`, `HACTL_SERVER`, `HACTL_CONTEXT`, the file's current
context, the record of this machine. A record is asked through the Unix socket beside it when a server answers there,
and else opened: what a person says on the command line wins over what is set up somewhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hactl.cli.output import replace_file
from hactl.errors import HactlError

#: What a context may say -> what that is, for help and messages.
FIELDS = {
    "server": "https://HOST:PORT, or unix:PATH",
    "certificateAuthority": "file with the server's authority (ca.crt of `hactl run`)",
    "token": "the token itself",
    "tokenFile": "file whose first line is the token",
    "clientCertificate": "file with a client certificate",
    "clientKey": "file with its key",
}
SOCKET = "api.sock"
#: Variables of the environment for what a server's context does not say: the token, and the file of its authority.
TOKEN, AUTHORITY = "HACTL_TOKEN", "HACTL_CA"


@dataclass(frozen=True, slots=True)
class Context:
    """How to reach one server."""

    server: str
    name: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    def token(self) -> str | None:
        """The token to show. Raises HactlError when its file cannot be read."""
        if token := self.fields.get("token"):
            return token
        if path := self.fields.get("tokenFile"):
            try:
                return Path(path).expanduser().read_text().splitlines()[0].strip()
            except (OSError, IndexError, UnicodeDecodeError) as error:
                raise HactlError(f"context {self.name}: no token in {path}: {error}") from error
        return os.environ.get(TOKEN) or None

    def authority(self) -> str | None:
        """The file of the authority to trust; None: those the system trusts."""
        return self.fields.get("certificateAuthority") or os.environ.get(AUTHORITY) or None


@dataclass(slots=True)
class Contexts:
    """The configuration file."""

    path: Path
    contexts: dict[str, dict[str, str]] = field(default_factory=dict)
    current: str = ""

    @classmethod
    def load(cls, path: Path | None = None) -> Contexts:
        """The file, or nothing when there is none. Raises HactlError for one that cannot be understood."""
        path = path or config_path()
        try:
            text = path.read_text()
        except FileNotFoundError:
            return cls(path)
        except (OSError, UnicodeDecodeError) as error:
            raise HactlError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
        return cls(path, *_read(path, text))

    def save(self) -> None:
        """Write it, 0600, whole or not at all. Raises HactlError."""
        import io

        from ruamel.yaml import YAML

        stream = io.StringIO()
        YAML().dump({"contexts": self.contexts, "currentContext": self.current}, stream)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self.path, stream.getvalue())
        except OSError as error:
            raise HactlError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def find(self, name: str) -> Context:
        """A context by its name. Raises HactlError."""
        if name not in self.contexts:
            known = ", ".join(sorted(self.contexts)) or "none"
            raise HactlError(f"there is no context {name} in {self.path} (there are: {known})")
        fields = self.contexts[name]
        if "server" not in fields:
            raise HactlError(f"{self.path}: context {name} has no server")
        return Context(fields["server"], name, fields)


def config_path() -> Path:
    """Where the file is."""
    named = os.environ.get("HACTL_CONFIG")
    return Path(named) if named else Path("~/.config/hactl/config.yaml").expanduser()


def _read(path: Path, text: str) -> tuple[dict[str, dict[str, str]], str]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe", pure=True).load(text) or {}
    except YAMLError as error:
        raise HactlError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    contexts: Any = data.get("contexts") if isinstance(data, dict) else None
    current = data.get("currentContext") if isinstance(data, dict) else None
    if not isinstance(contexts, dict) or not all(isinstance(each, dict) for each in contexts.values()):
        raise HactlError(f"{path}: expected contexts: {{NAME: {{server: ...}}}}")
    for name, fields in contexts.items():
        for key, value in fields.items():
            if key not in FIELDS or not isinstance(value, str):
                raise HactlError(f"{path}: context {name}: {key}: known are {', '.join(FIELDS)}, each a text")
    return {str(name): dict(fields) for name, fields in contexts.items()}, str(current or "")


def named(server: str | None, context: str | None, *, stated: bool = False) -> Context | None:
    """The server somebody named, by an option, the environment or the current context; None: nobody did.

    `stated`: a record was named on the command line. Raises HactlError.
    """
    if server:
        return Context(server)
    if context:
        return Contexts.load().find(context)
    if stated:
        return None
    if server := os.environ.get("HACTL_SERVER"):
        return Context(server)
    contexts = Contexts.load()
    if context := os.environ.get("HACTL_CONTEXT") or contexts.current:
        return contexts.find(context)
    return None


def chosen(server: str | None, context: str | None, record: Path, *, stated: bool = False) -> Context | None:
    """The server to talk to; None: none, work on the record. Raises HactlError."""
    found = named(server, context, stated=stated)
    if found is not None:
        return found
    socket_path = record.absolute().parent / SOCKET
    return Context(f"unix:{socket_path}") if _answers(socket_path) else None


def _answers(path: Path) -> bool:
    """Whether somebody listens on that socket."""
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            probe.connect(str(path))
    except OSError:
        return False
    return True
