"""Changes of HAST: its configuration, the daemon, metadata, roles.

Man pages: hastctl(8), hastd(8), hast.conf(5), diskinfo(8), dd(1).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TypeAlias

from hactl.core.changes.change import Change, WrittenFile
from hactl.core.changes.replace import replacing, text_into_new
from hactl.core.facts import HastRole
from hactl.core.packaged import packaged
from hactl.core.sh import quote_plain
from hactl.core.verbs import Verb

#: Where hastd and hastctl look.
HAST_CONF = "/etc/hast.conf"


@dataclass(frozen=True, slots=True)
class WriteHastConf(Change):
    """The whole file, checked by hastctl itself before it is put in place; the old one is kept."""

    verb = Verb.WRITE_HAST_CONF
    target = HAST_CONF
    text: str

    @property
    def writes(self) -> WrittenFile:
        return WrittenFile(HAST_CONF, self.text, 0o644)

    @property
    def command(self) -> str:
        return replacing(
            HAST_CONF,
            *text_into_new(self.text),
            'hactl_said=$(hastctl dump -c "$hactl_new" all 2>&1)',
            'case $? in 64|70|72|78|126|127) printf \'%s\\n\' "$hactl_said"; rm -f "$hactl_new"; exit 1 ;; esac',
            "hactl_old=$hactl_file.old",
            "grep -q '^# Written by hactl' \"$hactl_file\" 2>/dev/null ||",
            "  hactl_old=$hactl_file.$(date +%Y%m%d%H%M%S)",
            '[ ! -e "$hactl_file" ] || { cp -p "$hactl_file" "$hactl_old" && fsync "$hactl_old"; }',
            mode=0o644,
        )


@dataclass(frozen=True, slots=True)
class TryHastd(Change):
    """A trial of hastd beside the one that runs; what came of it is noted on the node.

    It writes and starts what it needs in a directory of its own, and takes all of it away again.
    """

    verb = Verb.TRY_HASTD
    target = "hastd"
    command = packaged("hactl.core.changes", "trial.sh").rstrip("\n")


@dataclass(frozen=True, slots=True)
class ReloadHastd(Change):
    """hastd reads its configuration again."""

    verb = Verb.RELOAD_HASTD
    target = "hastd"
    command = "service hastd onereload"


@dataclass(frozen=True, slots=True)
class StartHastd(Change):
    """The daemon."""

    verb = Verb.START_HASTD
    target = "hastd"
    command = "service hastd onestart"


@dataclass(frozen=True, slots=True)
class _ResourceChange(Change):
    resource: str

    @property
    def target(self) -> str:
        return self.resource


@dataclass(frozen=True, slots=True)
class CreateMetadata(_ResourceChange):
    """Metadata on a blank device; `size` bytes of it are used, None: all."""

    verb = Verb.CREATE_METADATA
    size: int | None

    @property
    def command(self) -> str:
        option = f"-m {self.size} " if self.size is not None else ""
        return f"hastctl create {option}{quote_plain(self.resource)}"


@dataclass(frozen=True, slots=True)
class SetRole(_ResourceChange):
    """The role of a resource."""

    verb = Verb.SET_ROLE
    role: HastRole

    @property
    def command(self) -> str:
        return f"hastctl role {self.role} {quote_plain(self.resource)}"


@dataclass(frozen=True, slots=True)
class PreserveCopy(_ResourceChange):
    """An image of the whole local device, metadata and bitmap with it; a cut one never has the name, and one that has
    it is on the disk: the copy itself is destroyed next.

    The node asks diskinfo(8) for the size, because a probe does not measure a disk that has metadata on it.
    """

    verb = Verb.PRESERVE_COPY
    device: str
    path: str

    @property
    def target(self) -> str:
        return f"{self.resource} {self.path}"

    @property
    def command(self) -> str:
        device, part, image = (quote_plain(word) for word in (self.device, f"{self.path}.part", self.path))
        directory = quote_plain(posixpath.dirname(self.path) or "/")
        return "\n".join(
            [
                f"if [ -e {image} ]; then cmp -s {device} {image}; exit $?; fi",
                "umask 077",
                f"hactl_size=$({size_of(device)}) &&",
                f"  dd if={device} of={part} bs=1048576 &&",
                f'  [ "$(stat -f %z {part})" = "$hactl_size" ] && fsync {part} && mv -f {part} {image} &&',
                f"  fsync {directory} || {{ rm -f {part}; exit 1; }}",
            ]
        )


def size_of(device: str) -> str:
    """The command that prints the size of a device, bytes (diskinfo(8): name, sector size, media size ...)."""
    return f"diskinfo {device} | awk '{{ print $3 }}'"


@dataclass(frozen=True, slots=True)
class DiscardCopy(_ResourceChange):
    """Metadata of a copy that holds nothing yet, of the size the other copy has: HAST refuses other sizes."""

    verb = Verb.DISCARD_COPY
    extentsize: int
    keepdirty: int
    mediasize: int

    @property
    def command(self) -> str:
        name = quote_plain(self.resource)
        create = f"hastctl create -e {self.extentsize} -k {self.keepdirty} -m {self.mediasize} {name}"
        return f"hastctl role init {name} &&\n{create}"


HastChange: TypeAlias = (
    WriteHastConf | TryHastd | ReloadHastd | StartHastd | CreateMetadata | SetRole | PreserveCopy | DiscardCopy
)
