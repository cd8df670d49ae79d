"""The root filesystem of one machine between memory and its disk: what a power cut would lose of it.

Rules:
- What the tree (`Files`) has is what programs see; what is on the disk is kept here beside it, by path.
- On the disk is what fsync(2) wrote, and what the syncer found unchanged for a round. A file's data and its name are
  two things: a name that was renamed, made or removed is certain when its directory was flushed, or the file under it.
- At a power cut data that was not flushed is gone as it was seen to go (docs/freebsd-facts.md#7.1, #7.17): a renamed
  file is empty, one written in place is old, empty or ends in NUL bytes; a name that was not flushed is there or not,
  by the world's chance.
- Filesystems mounted from disks of their own (`Mounts`), /tmp, logs and programs are not looked at.
- Man pages: fsync(2), syncer(4), rename(2).
"""

from __future__ import annotations

import posixpath
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from hactl.lab.files import LINK_MODE
from hactl.lab.host import Host
from hactl.lab.storage.mounts import Mounts

#: A round of the syncer, seconds: what was written is on the disk after one round to two (kern.filedelay is 30).
SYNC_SECONDS = 15.0
#: What is lost with every boot, or never written by anybody whose work has to survive.
_ELSEWHERE = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/dev", "/tmp", "/var/run", "/var/log"})

#: What is at a path: content and mode of a file, target and LINK_MODE of a symbolic link; None: a directory.
Entry = tuple[bytes, int] | None
#: Size, time of change and mode, as the tree has them.
State = tuple[int, float, int]


@dataclass(slots=True)
class Disk:
    """What a boot would find: every path, and which data is written of the files that are in the tree."""

    entries: dict[str, Entry] = field(default_factory=dict)
    #: Data of a file in the tree, under the name it has there: it follows a rename, the name on disk does not.
    data: dict[str, bytes] = field(default_factory=dict)
    #: Renames the disk does not know: the new name, and what the file is called on the disk.
    renamed: dict[str, str] = field(default_factory=dict)


class Root:
    """The root filesystem of one machine."""

    def __init__(self, machine: Host, mounts: Mounts) -> None:
        """Nothing is known of the disk until the machine boots."""
        self.machine, self.mounts = machine, mounts
        self._disk = Disk()
        #: The tree as the syncer saw it last, and each path as it was when it was written.
        self._seen: dict[str, State] = {}
        self._written: dict[str, State] = {}

    # what reaches the disk

    def on_boot(self) -> None:
        """A boot finds what is on the disk."""
        self.write_all()
        self.machine.world.at(SYNC_SECONDS, self._round, machine=self.machine)

    def write_all(self) -> None:
        """Everything is written: an orderly shutdown, an installation."""
        self.machine.files.renames.clear()
        self._seen = self._scan()
        self._written = dict(self._seen)
        entries = {path: self._entry(path) for path in self._seen}
        self._disk = Disk(entries, {path: entry[0] for path, entry in entries.items() if entry is not None})

    def flush(self, path: str) -> None:
        """fsync(2): a file's data and the name it has now; of a directory the names in it."""
        self._follow()
        path, files = self.machine.files.real(path), self.machine.files
        if not files.is_dir(path):
            self._write(path)
            return
        present = {posixpath.join(path, name) for name in files.list(path)}
        for gone in [known for known in self._disk.entries if posixpath.dirname(known) == path]:
            if gone not in present:
                self._drop(gone)
        for name in sorted(present):
            if not self._elsewhere(name):
                self._write_name(name)

    def volatile(self) -> list[str]:
        """The paths at which a power cut could leave something else than what is there now."""
        self._follow()
        now = {path: self._entry(path) for path in self._scan()}
        disk = {path: entry for path, entry in self._disk.entries.items() if not self._hidden(path)}
        return sorted(path for path in now.keys() | disk.keys() if not _same(path, now, disk))

    def _round(self) -> None:
        """syncer(4): what did not change since the last round is on the disk."""
        self._follow()
        now = self._scan()
        for path in sorted(now):
            if self._seen.get(path) == now[path] != self._written.get(path):
                self._write(path)
                self._written[path] = now[path]
        for path in [path for path in self._disk.entries if path not in now and path not in self._seen]:
            if not self._hidden(path):
                self._drop(path)
        self._seen = now
        self.machine.world.at(SYNC_SECONDS, self._round, machine=self.machine)

    def _write(self, path: str) -> None:
        entry = self._entry(path)
        self._disk.entries[path] = entry
        if entry is not None:
            self._disk.data[path] = entry[0]
        self._certain(path)

    def _write_name(self, path: str) -> None:
        """The name is on the disk, with as much of the data as is written: none of what is only in memory."""
        there = self._entry(path)
        if there is None or path not in self._disk.entries or path in self._disk.renamed:
            self._disk.entries[path] = self._data_of(path, there)
        self._certain(path)

    def _certain(self, path: str) -> None:
        """The disk knows the name: if it was renamed, the old one is gone."""
        source = self._disk.renamed.pop(path, None)
        if source is not None and not self.machine.files.exists(source):
            self._drop(source)

    def _drop(self, path: str) -> None:
        for name in [name for name in self._disk.entries if name == path or name.startswith(path + "/")]:
            del self._disk.entries[name]

    def _follow(self) -> None:
        """What was renamed since the last call: the data goes with the new name, the disk learns of that later."""
        for source, target in self.machine.files.renames:
            self._disk.data.pop(target, None)
            for name in [n for n in self._disk.data if n == source or n.startswith(source + "/")]:
                self._disk.data[target + name[len(source) :]] = self._disk.data.pop(name)
            self._disk.renamed[target] = self._disk.renamed.pop(source, source)
        self.machine.files.renames.clear()

    # the power cut

    def on_power_off(self) -> None:
        """Memory is gone: the tree becomes what the disk has, with the world's chance where nobody can know."""
        self._follow()
        # Of its own, so that a cut where nothing is lost does not change what happens later.
        chance = random.Random(f"{self.machine.name} {self.machine.power_cycles} {self.machine.hostid}")
        now, found = {path: self._entry(path) for path in self._scan()}, dict(self._disk.entries)
        for path in sorted(now.keys() | found.keys()):
            if not _same(path, now, found):
                self._lose(path, now, found, chance)
        self._put(now, {path: entry for path, entry in found.items() if _has_directory(path, found)})
        self.write_all()

    def _lose(self, path: str, now: dict[str, Entry], found: dict[str, Entry], chance: random.Random) -> None:
        """One path at which the disk has something else; `found` becomes what the boot finds."""
        renamed = self._disk.renamed
        if path in now and path in renamed:
            if chance.random() < 0.5:
                found[path] = self._data_of(path, now[path])
                found.pop(renamed[path], None)
        elif path not in now:
            if path not in renamed.values() and chance.random() < 0.5:
                del found[path]
        elif path in found and (old := found[path]) is not None and (new := now[path]) is not None:
            found[path] = self._torn(path, old, new, chance)
        elif chance.random() < 0.5:
            found[path] = self._data_of(path, now[path])

    def _data_of(self, path: str, entry: Entry) -> Entry:
        """A file with as much of it as is written."""
        if entry is None or entry[1] == LINK_MODE:
            return entry
        return self._disk.data.get(path, b""), entry[1]

    def _torn(self, path: str, old: tuple[bytes, int], new: tuple[bytes, int], chance: random.Random) -> Entry:
        """A file that was written in place."""
        written = self._disk.data.get(path) == new[0]
        mode = chance.choice([old[1], new[1]])
        if written or LINK_MODE in (old[1], new[1]):
            return chance.choice([old, new])
        same = next((i for i, (a, b) in enumerate(zip(old[0], new[0], strict=False)) if a != b), len(old[0]))
        return chance.choice([old[0], b"", new[0][:same].ljust(len(new[0]), b"\0")]), mode

    def _put(self, now: dict[str, Entry], wanted: dict[str, Entry]) -> None:
        files = self.machine.files
        for path in sorted((path for path in now if path not in wanted), reverse=True):
            files.discard(path)
        files.plant("/", {path[1:]: entry for path, entry in wanted.items() if not _same(path, now, wanted)})

    # the tree

    def _entry(self, path: str) -> Entry:
        files = self.machine.files
        link = files.link(path)
        if link is not None:
            return link.encode(), LINK_MODE
        return None if files.is_dir(path) else (files.read_bytes(path), files.stat_mode(path))

    def _hidden(self, path: str) -> bool:
        """Whether another filesystem is mounted above a path."""
        return any(path.startswith(mount.node + "/") for mount in self.mounts.table if mount.image is not None)

    def _elsewhere(self, path: str) -> bool:
        return path in _ELSEWHERE or self.machine.files.node(path) is not None

    def _scan(self) -> dict[str, State]:
        return dict(self._walk("/", {mount.node for mount in self.mounts.table if mount.image is not None}))

    def _walk(self, top: str, covered: set[str]) -> Iterator[tuple[str, State]]:
        for item in self.machine.files.fs.read_dir(top):
            path, data = posixpath.join(top, str(item["name"])), item["metadata"]
            if self._elsewhere(path):
                continue
            if data["file_type"] != "directory":
                yield path, (int(data["size"]), float(data["modified"]), int(data["mode"]))
                continue
            yield path, (-1, 0.0, int(data["mode"]))
            if path not in covered:
                yield from self._walk(path, covered)


def _same(path: str, one: dict[str, Entry], other: dict[str, Entry]) -> bool:
    return (path in one) == (path in other) and one.get(path) == other.get(path)


def _has_directory(path: str, found: dict[str, Entry]) -> bool:
    """Whether every directory above is on the disk: a file whose directory is not is nowhere."""
    top = posixpath.dirname(path)
    return top == "/" or (top in found and found[top] is None and _has_directory(top, found))
