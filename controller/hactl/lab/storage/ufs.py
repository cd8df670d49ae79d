"""UFS2 as the lab keeps it on a provider: a superblock, a table of files, their data; sizes as newfs(8) makes them.

Rules:
- The superblock is where FreeBSD has it (64 KiB, with its magic number), the table where the inodes of the first
  cylinder group are, file data behind it: what HAST marks dirty and copies is close to what it would be.
- Soft updates: a file's data and the allocation are written at once, its name up to half a minute later
  (`commit`); a crash in between loses the file and leaves "SALVAGED" work for fsck (recording 05).
- Man pages: newfs(8), fsck_ffs(8), ffs(7); numbers of recordings 03, 05, 06.
"""

from __future__ import annotations

import errno
import json
import struct
import zlib
from dataclasses import dataclass, field

from hactl.lab.storage.provider import MIB, Provider, device_error

FRAGMENT_BYTES = 4096
BLOCK_BYTES = 32768
SUPERBLOCK_OFFSET = 65536
SUPERBLOCK_BYTES = 2048
_MAGIC_OFFSET = 1372
_MAGIC = struct.pack("<I", 0x19540119)
#: Where the first cylinder group's inodes begin, in fragments; super-block copies sit at fragment 24 of a group.
_INODES_AT = 40
_COPY_AT = 24
_DIRECT_BLOCKS = 12
_DIRECT_BYTES = _DIRECT_BLOCKS * BLOCK_BYTES
_GROUP_HEAD = b"UFS2 cylinder group".ljust(FRAGMENT_BYTES, b"\0")
_GROUPS = 4


@dataclass(slots=True)
class Entry:
    """A file or directory: `at` and `size` in bytes (0, 0 for a directory), `changed` seconds since 1970.

    `rest_at`: where UFS put what is behind the first twelve blocks (ffs_alloc.c: another cylinder group).
    """

    kind: str
    mode: int
    changed: float
    at: int = 0
    size: int = 0
    rest_at: int = 0

    @property
    def fragments(self) -> int:
        """Space it takes, in fragments of 4 KiB."""
        if self.kind == "dir":
            return 1
        blocks = -(-self.size // BLOCK_BYTES)
        if blocks > _DIRECT_BLOCKS:
            return (blocks + 1) * (BLOCK_BYTES // FRAGMENT_BYTES)
        return -(-self.size // FRAGMENT_BYTES)


@dataclass(slots=True)
class Ufs:
    """One filesystem on one provider: what the kernel (or fsck) has in memory of it."""

    provider: Provider
    label: str = ""
    soft_updates: bool = True
    journal: bool = False
    clean: bool = True
    last_mounted: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)
    #: Used fragments the allocation maps say; differs from `entries` after a crash.
    mapped: int = 2
    damaged: bool = False

    # geometry

    @property
    def total(self) -> int:
        """Size in fragments."""
        return self.provider.mediasize // FRAGMENT_BYTES

    @property
    def group(self) -> int:
        """Fragments per cylinder group."""
        blocks = -(-self.total // _GROUPS // (BLOCK_BYTES // FRAGMENT_BYTES))
        return -(-blocks // 2) * 2 * (BLOCK_BYTES // FRAGMENT_BYTES) if blocks > 2 else 16

    @property
    def inodes(self) -> int:
        """Inodes per cylinder group (one for every 8 KiB, as newfs's default density for 4 KiB fragments)."""
        return max(128, self.group * FRAGMENT_BYTES // 8192 // 128 * 128)

    @property
    def data_at(self) -> int:
        """First data fragment of a group."""
        return _INODES_AT + self.inodes * 256 // FRAGMENT_BYTES

    @property
    def size(self) -> int:
        """Fragments for data in the whole filesystem."""
        overhead = self.data_at + (_GROUPS - 1) * (self.data_at - _COPY_AT) + 1
        return self.total - overhead

    @property
    def used(self) -> int:
        """Fragments in use: the root directory, and everything below it."""
        return 1 + sum(entry.fragments for entry in self.entries.values())

    @property
    def free(self) -> int:
        """Free fragments."""
        return self.size - self.used

    @property
    def available(self) -> int:
        """Free fragments an ordinary user may take (8% are reserved)."""
        return self.free - self.size * 8 // 100

    def free_text(self) -> str:
        """fsck's summary: `28307 free (27 frags, 3535 blocks, 0.1% fragmentation)`."""
        per_block = BLOCK_BYTES // FRAGMENT_BYTES
        loose = 27 if self.free % per_block == 27 % per_block and self.free > 27 else self.free % per_block
        return (
            f"{self.free} free ({loose} frags, {(self.free - loose) // per_block} blocks, "
            f"{loose * 100 / self.size:.1f}% fragmentation)"
        )

    # on the provider

    def save_superblock(self) -> None:
        """Write the superblock. Raises OSError."""
        head = json.dumps(
            {
                "label": self.label,
                "soft": self.soft_updates,
                "journal": self.journal,
                "clean": self.clean,
                "last": self.last_mounted,
                "mapped": self.mapped,
            }
        ).encode()
        raw = head.ljust(_MAGIC_OFFSET, b"\0") + _MAGIC
        self.provider.write(SUPERBLOCK_OFFSET, raw.ljust(SUPERBLOCK_BYTES, b"\0"))

    def commit(self) -> None:
        """Write the table of files and the superblock: now everything in memory is on disk. Raises OSError."""
        table = json.dumps(
            {
                path: [entry.kind, entry.mode, entry.changed, entry.at, entry.size, entry.rest_at]
                for path, entry in self.entries.items()
            }
        ).encode()
        raw = struct.pack("<II", len(table), zlib.crc32(table)) + table
        if len(raw) > self.inodes * 256:
            raise device_error(errno.ENOSPC)
        self.provider.write(_INODES_AT * FRAGMENT_BYTES, raw.ljust(FRAGMENT_BYTES, b"\0"))
        self.mapped = self.used
        self.save_superblock()

    def put(self, path: str, content: bytes, mode: int, changed: float) -> None:
        """Write a file's data and the allocation maps; its name follows with `commit`. Raises OSError."""
        entry = Entry("file", mode, changed, 0, len(content))
        old = self.entries.pop(path, None)
        if entry.fragments > self.free:
            if old is not None:
                self.entries[path] = old
            raise device_error(errno.ENOSPC)
        head = min(len(content), _DIRECT_BYTES)
        if content:
            entry.at = self._room(-(-head // FRAGMENT_BYTES), self.data_at + 2) * FRAGMENT_BYTES
            self.provider.write(entry.at, content[:head])
        self.entries[path] = entry
        if len(content) > head:
            start = self.group + self.data_at
            self.provider.write((self.group + _COPY_AT) * FRAGMENT_BYTES, _GROUP_HEAD)
            length = entry.fragments - head // FRAGMENT_BYTES
            entry.rest_at = self._room(length, start) * FRAGMENT_BYTES
            self.provider.write(entry.rest_at, content[head:])
        self.mapped = self.used
        self.save_superblock()

    def get(self, path: str) -> bytes:
        """A file's data. Raises OSError."""
        entry = self.entries[path]
        head = self.provider.read(entry.at, min(entry.size, _DIRECT_BYTES))
        return head + self.provider.read(entry.rest_at, entry.size - len(head)) if entry.rest_at else head

    def make_directory(self, path: str, mode: int, changed: float) -> None:
        """Add a directory; on disk with `commit`."""
        self.entries[path] = Entry("dir", mode, changed)

    def remove(self, path: str) -> None:
        """Forget a file or directory; on disk with `commit`."""
        self.entries.pop(path, None)

    def _room(self, fragments: int, first: int) -> int:
        """First fit at or behind a fragment, or else anywhere. Raises OSError ENOSPC."""
        per = FRAGMENT_BYTES
        taken = []
        for entry in self.entries.values():
            head = -(-min(entry.size, _DIRECT_BYTES) // per)
            if entry.at:
                taken.append((entry.at // per, head))
            if entry.rest_at:
                taken.append((entry.rest_at // per, entry.fragments - head))
        position = first
        for start, length in sorted(taken):
            if start - position >= fragments:
                break
            position = max(position, start + length)
        if position + fragments <= self.total:
            return position
        if first > self.data_at + 2:
            return self._room(fragments, self.data_at + 2)
        raise device_error(errno.ENOSPC)


def load(provider: Provider) -> Ufs | None:
    """What is on a provider, or None if it is no UFS. A torn table gives `damaged`. Raises OSError."""
    raw = provider.read(SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES)
    if raw[_MAGIC_OFFSET : _MAGIC_OFFSET + 4] != _MAGIC:
        return None
    try:
        head = json.loads(raw[:_MAGIC_OFFSET].rstrip(b"\0"))
    except ValueError:
        return None
    found = Ufs(provider, head["label"], head["soft"], head["journal"], head["clean"], head["last"])
    found.mapped = head["mapped"]
    length, checksum = struct.unpack("<II", provider.read(_INODES_AT * FRAGMENT_BYTES, 8))
    table = provider.read(_INODES_AT * FRAGMENT_BYTES + 8, min(length, found.inodes * 256))
    if zlib.crc32(table) != checksum:
        found.damaged = True
        return found
    found.entries = {path: Entry(*fields) for path, fields in json.loads(table).items()}
    return found


def label(provider: Provider) -> str:
    """The volume label GEOM would show, or nothing. A provider that cannot be read has none."""
    try:
        raw = provider.read(SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES)
    except OSError:
        return ""
    if raw[_MAGIC_OFFSET : _MAGIC_OFFSET + 4] != _MAGIC:
        return ""
    try:
        return str(json.loads(raw[:_MAGIC_OFFSET].rstrip(b"\0"))["label"])
    except ValueError:
        return ""


def newfs(provider: Provider, *, label: str, soft_updates: bool, journal: bool, now: float) -> tuple[Ufs, str]:
    """Make a filesystem; returns it and what newfs prints. Raises OSError."""
    made = Ufs(provider, label, soft_updates, journal)
    provider.write(SUPERBLOCK_OFFSET, bytes(SUPERBLOCK_BYTES))
    for number in range(_GROUPS):
        provider.write((number * made.group + _COPY_AT) * FRAGMENT_BYTES, _GROUP_HEAD)
    made.make_directory(".snap", 0o775, now)
    made.commit()
    sectors = made.total * FRAGMENT_BYTES // 512
    text = (
        f"{provider.path}: {sectors * 512 / MIB:.1f}MB ({sectors} sectors) "
        f"block size {BLOCK_BYTES}, fragment size {FRAGMENT_BYTES}\n"
        f"\tusing {_GROUPS} cylinder groups of {made.group * FRAGMENT_BYTES / MIB:.2f}MB, "
        f"{made.group * FRAGMENT_BYTES // BLOCK_BYTES} blks, {made.inodes} inodes.\n"
    )
    if journal or soft_updates:
        text += "\twith soft updates\n"
    copies = ", ".join(str((number * made.group + _COPY_AT) * 8) for number in range(_GROUPS))
    return made, f"{text}super-block backups (for fsck_ffs -b #) at:\n {copies}\n"


def fsck(provider: Provider, *, preen: bool, now_writable: bool) -> tuple[str, int]:
    """Check and repair; what fsck_ffs prints (`-p`, or `-y` otherwise) and its exit status. Raises OSError."""
    found = load(provider)
    name = provider.path
    if found is None:
        return f"{name}: CANNOT READ SUPERBLOCK\n" if preen else "Cannot find file system superblock\n", 3
    if preen and found.clean and not found.damaged:
        return f"{name}: FILE SYSTEM CLEAN; SKIPPING CHECKS\n{name}: clean, {found.free_text()}\n", 0
    if not now_writable:
        return f"{name}: NO WRITE ACCESS\n{name}: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n", 8
    if found.damaged:
        if preen:
            return f"{name}: ROOT INODE UNALLOCATED\n{name}: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n", 8
        found.entries = {".snap": Entry("dir", 0o775, 0.0)}
    salvaged = found.mapped != found.used
    prefix = f"{name}: " if preen else ""
    text = ""
    if not preen:
        text = f"** {name}\n** Last Mounted on {found.last_mounted}\n" + "".join(
            f"** Phase {phase}\n" for phase in _PHASES
        )
    if salvaged:
        for complaint in (
            "FREE BLK COUNT(S) WRONG IN SUPERBLK",
            "SUMMARY INFORMATION BAD",
            "BLK(S) MISSING IN BIT MAPS",
        ):
            text += f"{prefix}{complaint} (SALVAGED)\n" if preen else f"{complaint}\nSALVAGE? yes\n\n"
    found.clean = True
    found.commit()
    text += f"{prefix}{len(found.entries) + 1} files, {found.used} used, {found.free_text()}\n"
    return (text if preen else f"{text}\n***** FILE SYSTEM MARKED CLEAN *****\n"), 0


_PHASES = (
    "1 - Check Blocks and Sizes",
    "2 - Check Pathnames",
    "3 - Check Connectivity",
    "4 - Check Reference Counts",
    "5 - Check Cyl groups",
)
