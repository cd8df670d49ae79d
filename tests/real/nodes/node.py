"""What an exam asks of two real machines: programs on them, and handles for what goes wrong in real life."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: What a program on a node may take, in seconds, before it counts as hanging.
USUAL_SECONDS = 60.0
#: ssh's own exit status: the session could not be made, or broke.
NO_SESSION = 255


class NotHere(Exception):
    """These machines cannot do that: the exam is not run, and says why."""


class Broken(Exception):
    """The exam could not be done: its own tools or the machines failed, and nothing is known of hactl."""


@dataclass(frozen=True)
class Ran:
    """What a program came to; exit 255: no session."""

    exit: int
    out: str
    err: str
    seconds: float


@dataclass
class Node:
    """A machine that ssh reaches as root."""

    name: str
    #: ssh with every option, up to the place where the command goes.
    ssh: list[str]
    #: Told every program that ran: a recording.
    told: list[Callable[[str, str, Ran], None]] = field(default_factory=list)

    def run(self, script: str, seconds: float = USUAL_SECONDS) -> Ran:
        """A script of sh on its standard input, whatever root's shell is."""
        began = time.monotonic()
        try:
            done = subprocess.run(
                [*self.ssh, "/bin/sh -s"], input=script, capture_output=True, text=True, check=False, timeout=seconds,
                errors="replace",
            )  # fmt: skip
            ran = Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
        except subprocess.TimeoutExpired:
            ran = Ran(NO_SESSION, "", f"no end within {seconds:.0f} s", time.monotonic() - began)
        for tell in self.told:
            tell(self.name, script, ran)
        return ran

    def files(self, places: str) -> dict[str, bytes]:
        """Every file below these places, whole; raises Broken without an answer."""
        words = [*self.ssh, f"/bin/sh -c 'tar cf - {places} 2>/dev/null; true'"]
        try:
            data = subprocess.run(words, capture_output=True, check=False, timeout=USUAL_SECONDS * 2).stdout
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                members = [member for member in tar.getmembers() if member.isfile()]
                return {f"/{member.name}": (tar.extractfile(member) or io.BytesIO()).read() for member in members}
        except (subprocess.TimeoutExpired, tarfile.TarError) as problem:
            raise Broken(f"{self.name}: tar {places}: {problem}") from None

    def must(self, script: str, seconds: float = USUAL_SECONDS) -> str:
        """The same; raises Broken unless it succeeds."""
        ran = self.run(script, seconds)
        if ran.exit:
            raise Broken(
                f"{self.name}: {script.strip().splitlines()[0]}: exit {ran.exit}: {(ran.err or ran.out).strip()}"
            )
        return ran.out


@dataclass
class Nodes:
    """Both machines. A handle that is not in `can` raises NotHere."""

    release: str
    both: tuple[Node, Node]
    #: Of power, freeze, link, lose, blank.
    can: frozenset[str]
    #: Told of every pulled handle: timeline and recording.
    told: list[Callable[[str], None]] = field(default_factory=list)

    def __getitem__(self, name: str) -> Node:
        """By host name."""
        return next(each for each in self.both if each.name == name)

    def peer(self, name: str) -> str:
        """The other one's name."""
        return next(each.name for each in self.both if each.name != name)

    def need(self, *handles: str) -> None:
        """Raises NotHere, naming what is missing."""
        missing = [handle for handle in handles if handle not in self.can]
        if missing:
            raise NotHere(f"needs a handle for {', '.join(missing)} (HACTL_REAL_HANDLE, docs/real-nodes.md)")

    def note(self, text: str) -> None:
        """Tell of an event outside the nodes."""
        for tell in self.told:
            tell(text)

    def document(self) -> dict[str, Any]:
        """The HACluster that both can carry, with their ssh lines."""
        raise NotImplementedError

    def power(self, name: str, *, on: bool) -> None:
        """Cut the power of a node, or give it; it returns at once."""
        raise NotImplementedError

    def is_on(self, name: str) -> bool:
        """It has power."""
        raise NotImplementedError

    def freeze(self, name: str, *, thaw: bool = False) -> None:
        """Stop its processor, or let it go on."""
        raise NotImplementedError

    def link(self, name: str, net: str, *, up: bool) -> None:
        """Pull or plug the cable of `lan` or `repl`."""
        raise NotImplementedError

    def lose(self, *directions: tuple[str, str]) -> None:
        """The LAN loses what is `from` or `to` a node; nothing: it loses nothing any more."""
        raise NotImplementedError

    def answers(self, name: str) -> bool:
        """Its sshd greets."""
        raise NotImplementedError

    def blank(self) -> None:
        """New nodes, booted: nothing of hactl, CARP or HAST on them."""
        raise NotImplementedError

    def keep(self, name: str) -> None:
        """Keep the disks under a name, after a clean shutdown of both; they are switched off then."""
        raise NotImplementedError

    def bring_back(self, name: str) -> bool:
        """Kept disks, booted. Returns whether there were any."""
        raise NotImplementedError

    def client(self, address: str, ports: tuple[int, int], writer: str, log: Path) -> Sequence[str]:
        """The command line of a client on the LAN; `ports`: one to connect to, one of the records."""
        raise NotImplementedError
