"""hast.conf as hastd's own lexer and grammar read it: every oddity a person can trip over, and its exact message.

Rules:
- This is the simulated daemon's parser. The product has its own (hactl.core); they share nothing, so that a
  mistake in one shows against the other.
- Unknown characters are not errors: they are echoed to stdout and skipped. Lines are counted from 0.
- hast.conf(5); sbin/hastd/parse.y and token.l; docs/freebsd-facts.md#2.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

KEYWORDS = frozenset(
    {"async", "checksum", "compression", "control", "crc32", "exec", "fullsync", "hole", "listen", "local", "lzf"}
    | {"memsync", "metaflush", "name", "none", "off", "on", "pidfile", "remote", "replication", "resource", "sha256"}
    | {"source", "timeout"}
)
MODES = ("fullsync", "memsync", "async")
CHECKSUMS = ("none", "crc32", "sha256")
COMPRESSIONS = ("none", "hole", "lzf")
SWITCH = ("on", "off")
DEFAULT_LISTEN = ("tcp4://0.0.0.0:8457", "tcp6://[::]:8457")
#: sysexits(3) EX_CONFIG and EX_OSFILE, what hastd and hastctl end with.
EX_CONFIG = 78
EX_OSFILE = 72

_TOKEN = re.compile(
    r"(?P<comment>#[^\n]*\n)|(?P<newline>\n)|(?P<blank>[ \t]+)|(?P<brace>[{}])"
    r"|(?P<word>[A-Za-z0-9.\-_/:\[\]]+)|(?P<echo>.)",
    re.DOTALL,
)


class ConfigError(Exception):
    """hast.conf is refused: `text` as logged (without level), `status` the exit status of whoever read it."""

    def __init__(self, text: str, status: int = EX_CONFIG) -> None:
        """Keep the text and the exit status."""
        super().__init__(text)
        self.text = text
        self.status = status


@dataclass(slots=True)
class ResourceConfig:
    """One resource as this node sees it. `timeout` in seconds."""

    resource: str
    provname: str = ""
    local: str = ""
    remote: str = ""
    source: str = ""
    replication: str = ""
    checksum: str = ""
    compression: str = ""
    timeout: int = 0
    exec: str = ""
    metaflush: str = ""


@dataclass(slots=True)
class HastConfig:
    """A whole file as this node sees it; `echo` is what the lexer printed to stdout on the way."""

    resources: dict[str, ResourceConfig] = field(default_factory=dict)
    listen: list[str] = field(default_factory=list)
    control: str = "/var/run/hastctl"
    pidfile: str = "/var/run/hastd.pid"
    echo: str = ""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    line: int


def node_names(hostname: str, hostuuid: str, hostid: int) -> list[str]:
    """The names this node answers to in `on`, in the order parse.y tries and prints them."""
    short = hostname.split(".", 1)[0]
    names = [hostname] + ([short] if short != hostname else [])
    return [*names, hostuuid, f"hostid{hostid}"]


def parse(text: str, *, hostname: str, hostuuid: str, hostid: int) -> HastConfig:
    """Read a file for one node. Raises ConfigError with hastd's text."""
    return _Parser(text, node_names(hostname, hostuuid, hostid)).file()


class _Parser:
    def __init__(self, text: str, names: Sequence[str]) -> None:
        self.names = list(names)
        self.config = HastConfig()
        self.tokens: list[_Token] = []
        self.position = 0
        self.defaults = {
            "replication": "memsync",
            "checksum": "none",
            "compression": "hole",
            "exec": "",
            "metaflush": "on",
        }
        self.timeout = 20
        self._lex(text)

    def _lex(self, text: str) -> None:
        line, echo = 0, []
        for match in _TOKEN.finditer(text):
            kind, value = match.lastgroup, match.group()
            if kind in ("word", "brace"):
                self.tokens.append(_Token(value, line))
            elif kind == "echo":
                echo.append(value)
            line += value.count("\n")
        self.last_line = line
        self.config.echo = "".join(echo)

    # tokens

    def _peek(self) -> str | None:
        return self.tokens[self.position].text if self.position < len(self.tokens) else None

    def _fail(self) -> ConfigError:
        token = self.tokens[self.position] if self.position < len(self.tokens) else _Token("", self.last_line)
        return ConfigError(f"Unable to parse configuration file at line {token.line} near '{token.text}': syntax error")

    def _next(self) -> str:
        text = self._peek()
        if text is None:
            raise self._fail()
        self.position += 1
        return text

    def _word(self) -> str:
        text = self._peek()
        if text is None or text in KEYWORDS or text in "{}" or text.isdigit():
            raise self._fail()
        return self._next()

    def _one_of(self, values: Sequence[str]) -> str:
        if self._peek() not in values:
            raise self._fail()
        return self._next()

    def _number(self) -> int:
        text = self._peek()
        if text is None or not text.isdigit():
            raise self._fail()
        self._next()
        if int(text) <= 0:
            raise ConfigError("Negative or zero timeout.")
        return int(text)

    def _brace(self, which: str) -> None:
        if self._peek() != which:
            raise self._fail()
        self._next()

    # grammar

    def file(self) -> HastConfig:
        while (keyword := self._peek()) is not None:
            self._statement(keyword)
        config = self.config
        for resource in config.resources.values():
            self._finish(resource)
        config.listen = config.listen or list(DEFAULT_LISTEN)
        return config

    def _statement(self, keyword: str) -> None:
        if keyword in ("control", "pidfile", "listen"):
            self._place(mine=True)
        elif keyword == "timeout":
            self._next()
            self.timeout = self._number()
        elif keyword in self.defaults:
            self._next()
            self.defaults[keyword] = self._setting(keyword)
        elif keyword == "on":
            self._next()
            mine = self._is_me(self._word())
            self._brace("{")
            while self._peek() != "}":
                self._place(mine=mine)
            self._brace("}")
        elif keyword == "resource":
            self._next()
            self._resource()
        else:
            raise self._fail()

    def _place(self, *, mine: bool) -> None:
        keyword = self._peek()
        if keyword not in ("control", "pidfile", "listen"):
            raise self._fail()
        self._next()
        value = self._word()
        if not mine:
            return
        if keyword == "listen":
            self.config.listen.append(value)
        elif keyword == "control":
            self.config.control = re.sub(r"^(uds|unix)://", "", value)
        else:
            self.config.pidfile = value

    def _setting(self, keyword: str) -> str:
        values = {"replication": MODES, "checksum": CHECKSUMS, "compression": COMPRESSIONS, "metaflush": SWITCH}
        return self._one_of(values[keyword]) if keyword in values else self._word()

    def _is_me(self, name: str) -> bool:
        hostuuid = self.names[-2]
        return name in self.names or name.lower() == hostuuid.lower()

    def _resource(self) -> None:
        name = self._word()
        if name in self.config.resources:
            raise ConfigError(f"Resource {name} configured more than once.")
        resource = ResourceConfig(name)
        found = False
        self._brace("{")
        while (keyword := self._peek()) != "}":
            if keyword == "on":
                self._next()
                mine = self._is_me(self._word())
                found = found or mine
                self._on_node(resource if mine else ResourceConfig(name))
            elif keyword == "timeout":
                self._next()
                resource.timeout = self._number()
            elif keyword in self.defaults:
                self._next()
                setattr(resource, keyword, self._setting(keyword))
            elif keyword in ("name", "local"):
                self._next()
                setattr(resource, "provname" if keyword == "name" else "local", self._word())
            else:
                raise self._fail()
        self._check(resource, found=found)
        self._brace("}")
        self.config.resources[name] = resource

    def _on_node(self, resource: ResourceConfig) -> None:
        self._brace("{")
        while (keyword := self._peek()) != "}":
            if keyword not in ("name", "local", "remote", "source", "metaflush"):
                raise self._fail()
            self._next()
            if keyword == "metaflush":
                resource.metaflush = self._one_of(SWITCH)
            elif keyword == "remote" and self._peek() == "none":
                resource.remote = self._next()
            else:
                setattr(resource, "provname" if keyword == "name" else keyword, self._word())
        self._brace("}")

    def _check(self, resource: ResourceConfig, *, found: bool) -> None:
        name = resource.resource
        if not found:
            raise ConfigError(
                f"No resource {name} configuration for this node (acceptable node names: {', '.join(self.names)})."
            )
        if not resource.remote:
            raise ConfigError(f"Remote address not configured for resource {name}.")
        if not resource.local:
            raise ConfigError(f"Path to local component not configured for resource {name}.")

    def _finish(self, resource: ResourceConfig) -> None:
        resource.provname = resource.provname or resource.resource
        resource.timeout = resource.timeout or self.timeout
        for keyword, value in self.defaults.items():
            setattr(resource, keyword, getattr(resource, keyword) or value)
