"""Changes of the node hook: its files, devd's knowledge of them, and the notes it works by.

Man pages: devd(8), devctl(4), ping(8), sysctl(8).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TypeAlias

from hactl.core.changes.change import DEMOTION, FLUSH, STATE_DIRECTORY, Change, WrittenFile
from hactl.core.sh import quote
from hactl.core.verbs import Verb

#: The rule file's checksum as the running devd read it.
LOADED = "/var/run/hactl.devd"
#: What the boot guard added to the demotion.
HELD = "/var/run/hactl.held"
DRAINED = f"{STATE_DIRECTORY}/drained"


@dataclass(frozen=True, slots=True)
class WriteHook(Change):
    """A file, in one rename; what was there and is not ours is kept."""

    verb = Verb.WRITE_HOOK
    path: str
    text: str
    mode: int
    #: sha256 of the text, hex.
    checksum: str

    @property
    def target(self) -> str:
        return self.path

    @property
    def writes(self) -> WrittenFile:
        return WrittenFile(self.path, self.text, self.mode)

    @property
    def command(self) -> str:
        directory, name = posixpath.split(self.path)
        return "\n".join(
            [
                f"umask 022 && mkdir -p {directory} && mkdir -p -m 700 {STATE_DIRECTORY} &&",
                f"hactl_new=$(mktemp {directory}/.hactl.XXXXXX) || exit 1",
                'cat > "$hactl_new" <<\'HACTL_END\' || { rm -f "$hactl_new"; exit 1; }',
                self.text.rstrip("\n"),
                "HACTL_END",
                f"{{ [ ! -e {self.path} ] || grep -q 'Written by hactl' {self.path} ||",
                f"  cp -p {self.path} {STATE_DIRECTORY}/{name}.old; }} &&",
                f'  chmod {self.mode:o} "$hactl_new" && {FLUSH} &&',
                f'  mv -f "$hactl_new" {self.path} || {{ rm -f "$hactl_new"; exit 1; }}',
            ]
        )


@dataclass(frozen=True, slots=True)
class RemoveHook(Change):
    """All its files. One of an older document would take an address that is gone for one that was lost, and give
    everything up.
    """

    verb = Verb.REMOVE_HOOK
    target = "hook"
    paths: tuple[str, ...]

    @property
    def command(self) -> str:
        return f"rm -f {' '.join(self.paths)} {LOADED} && service devd onerestart"


@dataclass(frozen=True, slots=True)
class RestartDevd(Change):
    """Events that come while it restarts wait in the kernel's queue (devctl(4)); the note is what we remember by."""

    verb = Verb.RESTART_DEVD
    target = "devd"
    #: sha256 of the rule file, hex.
    rule: str

    @property
    def command(self) -> str:
        return f"service devd onerestart && printf '%s\\n' {self.rule} > {LOADED}"


@dataclass(frozen=True, slots=True)
class ConfirmCopy(Change):
    """The note that a copy is complete, and whether the peer answers ping now: only then its silence says something."""

    verb = Verb.CONFIRM_COPY
    resource: str
    #: Address of the node that is primary.
    peer: str

    @property
    def target(self) -> str:
        return self.resource

    @property
    def note(self) -> str:
        """The file."""
        return f"{STATE_DIRECTORY}/confirmed.{self.resource}"

    @property
    def command(self) -> str:
        gone = f"{STATE_DIRECTORY}/disconnected.{self.resource}"
        ping = f"ping -6 -c 1 {self.peer}" if ":" in self.peer else f"ping -c 1 -t 2 {self.peer}"
        return (
            f"umask 022 && mkdir -p -m 700 {STATE_DIRECTORY} && rm -f {gone} &&\n"
            f"hactl_says=$(timeout --foreground 4 {ping} >/dev/null 2>&1 && echo answers); "
            f'echo "$(date +%s) $hactl_says" > {self.note}'
        )


@dataclass(frozen=True, slots=True)
class LiftHold(Change):
    """The demotion a node was held at since it booted."""

    verb = Verb.LIFT_HOLD
    target = DEMOTION
    held: int

    @property
    def command(self) -> str:
        return f"rm -f {HELD} && sysctl {DEMOTION}={-self.held}"


@dataclass(frozen=True, slots=True)
class NoteDrained(Change):
    """The note that the node takes nothing over."""

    verb = Verb.NOTE_DRAINED
    target = DRAINED
    text: str

    @property
    def command(self) -> str:
        return f"umask 022 && mkdir -p -m 700 {STATE_DIRECTORY} && printf '%s\\n' {quote(self.text)} > {DRAINED}"


@dataclass(frozen=True, slots=True)
class ForgetDrained(Change):
    """That note, gone."""

    verb = Verb.FORGET_DRAINED
    target = DRAINED
    command = f"rm -f {DRAINED}"


HookChange: TypeAlias = WriteHook | RemoveHook | RestartDevd | ConfirmCopy | LiftHold | NoteDrained | ForgetDrained
