"""The mount table of one machine: what mount(8) shows, and the files of a mounted filesystem in the file tree.

Rules:
- Mounting plants the filesystem's files at the mount point and hides what was there; unmounting takes them away.
- Scripts write into the file tree; `settle` carries what changed to the filesystem, as the kernel's syncer does.
- When the provider is gone, cached files stay readable until the first write fails: then the kernel unmounts by
  force (sys/ufs/ffs/ffs_vfsops.c:ffs_fsfail_cleanup; docs/freebsd-facts.md#2.8, recording 03).
- Man pages: mount(8), umount(8), syncer(4).
"""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from hactl.lab.host import Host
from hactl.lab.storage import ufs
from hactl.lab.storage.provider import Provider, device_error

#: Names of mount flags in the order mount(8) prints them (sbin/mount/mount.c:optnames).
SHOWN = (
    "async", "exported", "local", "noatime", "noexec", "nosuid", "nosymfollow", "ro", "sync", "union",
    "noclusterr", "noclusterw", "suiddir", "soft-updates", "journaled", "multilabel", "acls", "nfsv4acls",
)  # fmt: skip
#: What it calls them, where that is another word.
WORDS = {
    "async": "asynchronous",
    "exported": "NFS exported",
    "ro": "read-only",
    "sync": "synchronous",
    "journaled": "journaled soft-updates",
}
#: The same flags as `mount -p` writes them for fstab(5) (mount.c:flags2opts).
FSTAB = (
    "sync", "noexec", "nosuid", "union", "async", "noatime", "noclusterr", "noclusterw", "nosymfollow", "suiddir",
    "multilabel", "acls", "nfsv4acls",
)  # fmt: skip
#: Half of what the syncer may take to write a file's name, seconds.
SYNC_SECONDS = 15.0
#: The largest file the lab's file tree holds (bashkit's own limit).
FILE_BYTES = 10_000_000


class Image(Protocol):
    """What a mount needs of a filesystem (`ufs.Ufs`, or `zfs.Dataset`)."""

    entries: dict[str, ufs.Entry]
    clean: bool
    last_mounted: str

    def put(self, path: str, content: bytes, mode: int, changed: float) -> None: ...
    def get(self, path: str) -> bytes: ...
    def make_directory(self, path: str, mode: int, changed: float) -> None: ...
    def remove(self, path: str) -> None: ...
    def commit(self) -> None: ...
    def save_superblock(self) -> None: ...


@dataclass(slots=True)
class Mount:
    """One row of the mount table."""

    special: str
    node: str
    fstype: str
    options: set[str]
    image: Image | None = None
    provider: Provider | None = None
    hidden: dict[str, tuple[bytes, int] | None] = field(default_factory=dict)
    #: (size, time of change, mode) of every file in the tree when it was last carried over.
    seen: dict[str, tuple[int, float, int]] = field(default_factory=dict)
    #: Changes whose names are not on disk yet, and whether they were there a syncer round ago.
    pending: bool = False
    aged: bool = False
    #: umount(8) waits for its disk; getfsstat(2) passes over it then (docs/freebsd-facts.md#7.54).
    leaving: bool = False
    #: Called when it has left the table.
    on_gone: Callable[[], None] | None = field(default=None, compare=False)

    @property
    def holder(self) -> str:
        """The name under which it has its provider open."""
        return f"mount {self.node}"

    @property
    def words(self) -> list[str]:
        """Its options as mount(8) prints them."""
        return [WORDS.get(flag, flag) for flag in SHOWN if flag in self.options]

    @property
    def fstab_options(self) -> str:
        """Its options as `mount -p` prints them."""
        return ",".join(["ro" if "ro" in self.options else "rw"] + [flag for flag in FSTAB if flag in self.options])


class Mounts:
    """The mount table."""

    def __init__(self, machine: Host) -> None:
        """Empty until the machine boots."""
        self.machine = machine
        self.table: list[Mount] = []
        #: Who keeps a path busy: (path, pid, command), for umount, fstat and fuser.
        self.holders: list[tuple[str, int, str]] = []

    # the table

    def on_boot(self) -> None:
        """/ and /dev."""
        self.table = [
            Mount("/dev/vtbd0", "/", "ufs", {"local", "soft-updates"}),
            Mount("devfs", "/dev", "devfs", set()),
        ]
        self.holders.clear()

    def on_power_off(self) -> None:
        """Nothing more is written; the trees below the mount points are what the root filesystem has there."""
        for mount in reversed(self.table):
            if mount.image is not None:
                self._uncover(mount)
        self.table.clear()
        self.holders.clear()

    def at(self, node: str) -> Mount | None:
        """The uppermost filesystem mounted at a directory."""
        node = posixpath.normpath(node)
        return next((mount for mount in reversed(self.table) if mount.node == node), None)

    def of(self, path: str) -> Mount | None:
        """The filesystem a path is on."""
        path, best = posixpath.normpath(path), None
        for mount in self.table:
            inside = path == mount.node or path.startswith(mount.node.rstrip("/") + "/")
            if inside and (best is None or len(mount.node) >= len(best.node)):
                best = mount
        return best

    def hold(self, path: str, pid: int, command: str) -> None:
        """A process keeps a path open; `release` when it ends."""
        self.holders.append((posixpath.normpath(path), pid, command))

    def release(self, pid: int) -> None:
        """A process has nothing open any more."""
        self.holders = [holder for holder in self.holders if holder[1] != pid]

    def busy(self, node: str) -> list[tuple[str, int, str]]:
        """Who keeps a mount point busy, other filesystems below it included."""
        inside = node.rstrip("/") + "/"
        found = [holder for holder in self.holders if holder[0] == node or holder[0].startswith(inside)]
        return found + [
            (mount.node, 0, "kernel") for mount in self.table if mount.node.startswith(inside) and mount.image
        ]

    # mounting

    def mount_ufs(self, provider: Provider, special: str, node: str, options: set[str]) -> None:
        """Mount a UFS. Raises OSError; EROFS stands for "R/W mount denied", with the sentence as its text."""
        self._need_directory(node)
        if any(mount.provider is provider for mount in self.table):
            raise device_error(errno.EBUSY)
        provider.open(f"mount {node}", 1, 0 if "ro" in options else 1, 0 if "ro" in options else 1)
        try:
            image = ufs.load(provider)
            if image is None or image.damaged:
                raise device_error(errno.EINVAL)
            if not image.clean and "ro" not in options:
                self._judge_dirty(image, node, forced="force" in options)
            options = options | {"local"} | ({"soft-updates"} if image.soft_updates and not image.journal else set())
            options |= {"journaled"} if image.journal else set()
            if "ro" not in options:
                image.clean, image.last_mounted = False, node
                image.save_superblock()
        except OSError:
            provider.close(f"mount {node}")
            raise
        self.cover(Mount(special, node, "ufs", options - {"force", "update"}, image, provider))

    def _need_directory(self, node: str) -> None:
        kind = self.machine.files.kind(node)
        if kind is None:
            raise OSError(errno.ENOENT, "No such file or directory", node)
        if kind != "dir":
            raise OSError(errno.ENOTDIR, "Not a directory", node)

    def _judge_dirty(self, image: ufs.Ufs, node: str, *, forced: bool) -> None:
        if (image.journal or not image.soft_updates) and not forced:
            tail = " Forced mount will invalidate journal contents" if image.journal else ""
            raise OSError(errno.EROFS, f"R/W mount on {node} denied. Filesystem is not clean - run fsck.{tail}")
        self.machine.klog(f"WARNING: {node} was not properly dismounted")

    def cover(self, mount: Mount) -> None:
        """Add a row and plant its files. Raises OSError."""
        assert mount.image is not None
        files, image = self.machine.files, mount.image
        under = self.at(mount.node)
        if under is not None:
            self.settle(under)
        tree: dict[str, tuple[bytes, int] | None] = {}
        for path, entry in image.entries.items():
            tree[path] = None if entry.kind == "dir" else (image.get(path), entry.mode)
        mount.hidden = files.prune(mount.node)
        files.plant(mount.node, tree)
        for path, entry in image.entries.items():
            if entry.kind == "dir":
                files.fs.chmod(posixpath.join(mount.node, path), entry.mode)
        mount.seen = self._scan(mount)
        self.table.append(mount)
        self.machine.world.at(SYNC_SECONDS, lambda: self._sync_round(mount), machine=self.machine)

    def update(self, mount: Mount, options: set[str]) -> None:
        """`mount -u`: exchange the flags. Raises OSError EBUSY going read-only while something writes."""
        kept = mount.options & {"local", "soft-updates", "journaled", "nfsv4acls"}
        if "ro" in options and "ro" not in mount.options:
            self.settle(mount, commit=True)
            self._mark_clean(mount)
        elif "ro" in mount.options and "ro" not in options and mount.provider is not None and mount.image is not None:
            mount.provider.open(mount.holder, 1, 1, 1)
            mount.image.clean = False
            mount.image.save_superblock()
        mount.options = kept | (options - {"force", "update"})

    # unmounting

    def unmount(self, mount: Mount, *, force: bool = False) -> None:
        """Write everything and take it out of the table. Raises OSError EBUSY, or ENXIO when the provider is gone."""
        if not force and self.busy(mount.node):
            raise device_error(errno.EBUSY)
        if mount.provider is not None and mount.provider.gone:
            self.force_out(mount)
            if not force:
                raise device_error(errno.ENXIO)
            return
        try:
            self.settle(mount, commit=True)
            self._mark_clean(mount)
        except OSError:
            if not force:
                raise
        if mount in self.table:
            self._uncover(mount)

    def unmount_all(self) -> None:
        """What the kernel does last: write everything back and unmount, uppermost first."""
        for mount in reversed(list(self.table)):
            if mount.image is not None and mount in self.table:
                self.unmount(mount, force=True)

    def force_out(self, mount: Mount) -> None:
        """The kernel unmounts a filesystem whose provider is gone."""
        if mount in self.table:
            self.machine.klog(f"UFS: forcibly unmounting {mount.special} from {mount.node}")
            self._uncover(mount)

    def _mark_clean(self, mount: Mount) -> None:
        if mount.image is not None and "ro" not in mount.options:
            mount.image.clean = True
            mount.image.save_superblock()

    def _uncover(self, mount: Mount) -> None:
        files = self.machine.files
        self.table.remove(mount)
        if mount.on_gone is not None:
            mount.on_gone()
        if files.is_dir(mount.node):
            files.prune(mount.node)
        files.plant(mount.node, mount.hidden)
        if mount.provider is not None:
            mount.provider.close(mount.holder)

    # writing

    def settle(self, mount: Mount, *, commit: bool = False) -> None:
        """Carry what scripts changed in the tree to the filesystem; with `commit`, names too. Raises OSError."""
        image = mount.image
        if image is None or "ro" in mount.options:
            return
        files, now, present = self.machine.files, self.machine.epoch(), self._scan(mount)
        changed = {path for path, state in present.items() if mount.seen.get(path) != state}
        removed = set(mount.seen) - set(present)
        if (changed or removed or (commit and mount.pending)) and mount.provider is not None and mount.provider.gone:
            raise device_error(errno.ENXIO)
        for path in removed:
            image.remove(path)
        for path in sorted(changed):
            full = posixpath.join(mount.node, path)
            if files.is_dir(full):
                image.make_directory(path, files.stat_mode(full), now)
            else:
                image.put(path, files.read_bytes(full), files.stat_mode(full), now)
        mount.seen = present
        if changed or removed:
            mount.pending, mount.aged = True, False
        if commit and mount.pending:
            image.commit()
            mount.pending = mount.aged = False

    def store(self, path: str, content: bytes) -> None:
        """Write a file at once, into the tree and (when it is on a mounted disk) to the disk. Raises OSError."""
        if len(content) > FILE_BYTES:
            raise OSError(errno.EFBIG, "File too large", path)
        mount = self.of(path)
        if mount is None or mount.image is None:
            self._plant(path, content)
            return
        if "ro" in mount.options:
            raise OSError(errno.EROFS, "Read-only file system", path)
        if mount.provider is not None and mount.provider.gone:
            self.force_out(mount)
            raise device_error(errno.ENXIO)
        self._plant(path, content)
        try:
            self.settle(mount)
        except OSError:
            self.machine.files.remove(path)
            raise

    def _plant(self, path: str, content: bytes) -> None:
        try:
            self.machine.files.write_bytes(path, content)
        except RuntimeError as problem:  # bashkit: the whole tree may hold 100 MB
            raise device_error(errno.ENOSPC) from problem

    def _sync_round(self, mount: Mount) -> None:
        if mount not in self.table:
            return
        try:
            if mount.provider is None or mount.provider.gone or not mount.provider.stalled:
                self.settle(mount, commit=mount.aged)
                mount.aged = mount.pending
        except OSError as problem:
            if problem.errno == errno.ENXIO and mount.fstype == "ufs":
                self.force_out(mount)
                return
            self.machine.klog(f"g_vfs_done():{mount.special.removeprefix('/dev/')}[WRITE()]error = {problem.errno}")
        self.machine.world.at(SYNC_SECONDS, lambda: self._sync_round(mount), machine=self.machine)

    def _scan(self, mount: Mount, below: str = "") -> dict[str, tuple[int, float, int]]:
        files, found = self.machine.files, dict[str, tuple[int, float, int]]()
        skip = {other.node for other in self.table if other is not mount and other.image is not None}
        base = posixpath.join(mount.node, below)
        for item in files.fs.read_dir(base) if files.is_dir(base) else ():
            path = posixpath.join(below, str(item["name"]))
            if posixpath.join(mount.node, path) in skip:
                continue
            data = item["metadata"]
            if data["file_type"] == "directory":
                found[path] = (-1, 0.0, int(data["mode"]))
                found.update(self._scan(mount, path))
            else:
                found[path] = (int(data["size"]), float(data["modified"]), int(data["mode"]))
        return found
