"""What a pair is made with, where its files are, and what its two nodes are called.

Everything of a pair lies in one folder; another folder and another port are another pair, beside the first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCAL = "127.0.0.1"
#: vtnet0, vtnet1, vtnet2 of each node.
NETS = ("mgmt", "lan", "repl")
DATA_DISKS = ("vtbd1", "vtbd2", "vtbd3")
ROOT_DISK = "vtbd0"


class Failed(Exception):
    """Told to the user as one line."""


@dataclass(frozen=True)
class Pair:
    """The files of a pair, and what it was made with: the environment decides that only before its first start."""

    home: Path
    #: Where unpacked images are kept, shared by all pairs.
    images: Path
    #: Where packed images are looked for.
    source: Path
    port: int
    release: str
    accel: str
    memory: int
    cpus: int
    disk: int

    @property
    def nodes(self) -> tuple[Machine, Machine]:
        """Both machines."""
        return Machine(self, "a", 1), Machine(self, "b", 2)

    def machine(self, word: str) -> Machine:
        """One by `a`, `b` or its host name."""
        for each in self.nodes:
            if word in (each.key, each.name):
                return each
        raise Failed(f"{word}: no such node; it is a or b")

    def pick(self, word: str | None) -> tuple[Machine, ...]:
        """Both, or the one that is named."""
        return self.nodes if word in (None, "both") else (self.machine(word),)

    @property
    def identity(self) -> Path:
        """The private key that root of both nodes lets in."""
        return self.home / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys, as ssh reads them."""
        return self.home / "known_hosts"

    def saved(self, name: str) -> Path:
        """Where disks are kept under a name."""
        return self.home / "saved" / name

    def write(self) -> None:
        """Keep what the pair is made with."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.home / "disks").mkdir(exist_ok=True)
        kept = {name: getattr(self, name) for name in ("port", "release", "accel", "memory", "cpus", "disk")}
        (self.home / "pair.json").write_text(json.dumps(kept))


@dataclass(frozen=True)
class Machine:
    """One of the two: its name, its ports and its files."""

    pair: Pair
    key: str
    number: int

    @property
    def name(self) -> str:
        """Its host name."""
        return f"nas-{self.key}"

    def path(self, suffix: str) -> Path:
        """A file of this machine."""
        return self.pair.home / f"{self.key}.{suffix}"

    def disk(self, name: str) -> Path:
        """A disk of this machine."""
        return self.pair.home / "disks" / f"{self.key}.{name}.qcow2"

    @property
    def ssh_port(self) -> int:
        """Where its sshd answers, on the loopback address."""
        return self.pair.port + self.number

    @property
    def public_key(self) -> Path:
        """Its host key, as documents name it."""
        return self.pair.home / f"{self.name}.pub"

    @property
    def addresses(self) -> dict[str, str]:
        """Its own addresses by net."""
        return {"lan": f"192.0.2.1{self.number}", "repl": f"198.51.100.1{self.number}"}


def read_pair(environment: Mapping[str, str] = os.environ, release: str = "") -> Pair:
    """The pair that the environment names; of one that exists already the settings that it was made with.

    Raises Failed when another release than that of the existing pair is asked for.
    """
    home = Path(environment.get("PAIR_HOME", "/tmp/pair"))
    made: dict[str, Any] = {
        "port": int(environment.get("PAIR_PORT", "2220")),
        "release": release or environment.get("PAIR_RELEASE", "13.2"),
        "accel": environment.get("PAIR_ACCEL", "auto"),
        "memory": int(environment.get("PAIR_MEMORY", "512")),
        "cpus": int(environment.get("PAIR_CPUS", "1")),
        "disk": int(environment.get("PAIR_DISK", "256")),
    }
    file = home / "pair.json"
    if file.exists():
        made = json.loads(file.read_text())
        if release and release != made["release"]:
            raise Failed(
                f"the pair in {home} is release {made['release']}; destroy it, or use another PAIR_HOME and port"
            )
    images = Path(environment.get("PAIR_IMAGES", "/tmp/pair-images"))
    source = environment.get("HACTL_REAL", "")
    return Pair(home, images, Path(source) if "@" not in source else Path(), **made)


def image_names(release: str) -> Iterator[str]:
    """What the packed image of a release may be called."""
    for ending in (".xz", ".zst", ""):
        yield f"freebsd-{release}-amd64.img{ending}"
