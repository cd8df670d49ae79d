"""The file tree of one simulated machine: a bashkit in-memory filesystem plus what it cannot say itself.

Rules:
- Everything the shell sees is in `fs`; this class adds device nodes, sockets and faults (full, read-only).
- Paths are absolute. Errors are OSError with FreeBSD's texts (docs/freebsd-facts.md#0), numbers are Linux's.
- `reboot` empties what FreeBSD keeps in memory or clears at boot: /tmp, /var/run, /dev (rc.d/cleartmp is off
  by default, but /tmp of a lab node is a memory disk).
- Symbolic links are followed as namei(9) does, except where a link itself is meant (`link`, `remove`, `rename`).
- Man pages: hier(7), devfs(5).
"""

from __future__ import annotations

import errno
import posixpath
import time
from dataclasses import dataclass
from typing import Any, Literal

from bashkit import FileSystem

Kind = Literal["file", "dir", "link", "char", "socket", "fifo"]

#: How many symbolic links namei(9) follows.
MAX_LINKS = 32
#: The mode of a symbolic link in a tree (S_IFLNK).
LINK_MODE = 0o120777
#: Errors as FreeBSD words them where Linux words them otherwise.
TEXTS = {errno.EBUSY: "Device busy", errno.ENXIO: "Device not configured"}


def error_text(problem: OSError) -> str:
    """What strerror(3) of FreeBSD says."""
    return TEXTS.get(problem.errno or 0, problem.strerror or str(problem))


@dataclass(frozen=True, slots=True)
class Node:
    """A device node, socket or fifo: what `ls -l` and `test` say of it."""

    kind: Kind
    mode: int = 0o640
    group: str = "wheel"
    number: str = "0x1"


class Files:
    """The files of one machine."""

    def __init__(self) -> None:
        """An empty tree; `hactl.lab.boot.furnish` puts a minimal FreeBSD there."""
        self.fs = FileSystem()
        #: The disk is full: nothing can be written or created.
        self.full = False
        #: Directories mounted read-only: "/etc" makes everything below it refuse writes.
        self.read_only: set[str] = set()
        #: Source and target of every rename(2): whoever keeps the disk reads them off.
        self.renames: list[tuple[str, str]] = []
        self._nodes: dict[str, Node] = {}
        #: Modes given on purpose: the player's redirections make every file they write 0644 again.
        self._modes: dict[str, int] = {}
        self._device_numbers = 0x44
        self._born = time.time()

    # reading

    def read_bytes(self, path: str) -> bytes:
        """The whole content. Raises FileNotFoundError or IsADirectoryError."""
        kind = self.kind(path)
        if kind is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        if kind == "dir":
            raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
        return self.fs.read_file(self.real(path))

    def read_text(self, path: str) -> str:
        """The whole content as text; bytes that are not UTF-8 become surrogates."""
        return self.read_bytes(path).decode("utf-8", "surrogateescape")

    def exists(self, path: str) -> bool:
        """Whether anything is there."""
        return self.kind(path) is not None

    def kind(self, path: str) -> Kind | None:
        """What is there, links followed; None: nothing."""
        path = self.real(path)
        if path in self._nodes:
            return self._nodes[path].kind
        if not self.fs.exists(path):
            return None
        return "dir" if self.fs.stat(path)["file_type"] == "directory" else "file"

    def link(self, path: str) -> str | None:
        """Where a symbolic link points; None: there is none at this path."""
        path = posixpath.join(self.real(posixpath.dirname(posixpath.normpath(path))), posixpath.basename(path))
        if not self.fs.exists(path) or self.fs.stat(path)["file_type"] != "symlink":
            return None
        return str(self.fs.read_link(path))

    def real(self, path: str) -> str:
        """The path without symbolic links, as far as it exists; a circle ends where it is noticed."""
        path = posixpath.normpath(path)
        for _ in range(MAX_LINKS):
            if path in self._nodes:
                return path
            top, rest = path, ""
            while top != "/" and not self.fs.exists(top):
                top, rest = posixpath.dirname(top), posixpath.join(posixpath.basename(top), rest)
            if top == "/" or self.fs.stat(top)["file_type"] != "symlink":
                return path
            target = posixpath.join(posixpath.dirname(top), str(self.fs.read_link(top)), rest)
            path = posixpath.normpath(target)
        return path

    def node(self, path: str) -> Node | None:
        """The device node, socket or fifo at a path, if it is one."""
        return self._nodes.get(posixpath.normpath(path))

    def is_dir(self, path: str) -> bool:
        """Whether a directory is there."""
        return self.kind(path) == "dir"

    def stat_mode(self, path: str) -> int:
        """Permission bits. Raises FileNotFoundError."""
        node = self.node(path)
        if node is not None:
            return node.mode
        status = self._stat(path)
        return self._modes.get(self.real(path), int(status["mode"]) & 0o7777)

    def size(self, path: str) -> int:
        """Size in bytes (512 for a directory). Raises FileNotFoundError."""
        if self.node(path) is not None:
            return 0
        return 512 if self.is_dir(path) else int(self._stat(path)["size"])

    def age_seconds(self, path: str) -> float:
        """Real seconds between the birth of this tree and the last change of a file."""
        if self.node(path) is not None:
            return 0.0
        return max(0.0, float(self._stat(path)["modified"]) - self._born)

    def changed_at(self, path: str) -> float:
        """When the content of a file last changed: a number that is another one after every write."""
        return 0.0 if self.node(path) is not None else float(self._stat(path)["modified"])

    def list(self, path: str) -> list[str]:
        """Sorted names in a directory. Raises FileNotFoundError or NotADirectoryError."""
        kind = self.kind(path)
        if kind is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        if kind != "dir":
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path)
        base = self.real(path)
        names = {str(entry["name"]) for entry in self.fs.read_dir(base)}
        if base == "/dev":
            names.discard("fd")
        names |= {posixpath.basename(node) for node in self._nodes if posixpath.dirname(node) == base}
        return sorted(names)

    # writing

    def write_bytes(self, path: str, content: bytes, mode: int | None = None) -> None:
        """Replace a file; a new one gets `mode` or 0644, an old one keeps its mode unless `mode` is given."""
        self._check_writable(path)
        if not self.is_dir(posixpath.dirname(path) or "/"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        if self.is_dir(path):
            raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
        old = self.stat_mode(path) if self.exists(path) else None
        path = self.real(path)
        self.fs.write_file(path, content)
        self._set_mode(path, mode if mode is not None else (old if old is not None else 0o644))

    def write_text(self, path: str, text: str, mode: int | None = None) -> None:
        """As `write_bytes`."""
        self.write_bytes(path, text.encode("utf-8", "surrogateescape"), mode)

    def append(self, path: str, text: str) -> None:
        """Add to the end of a file, created 0644 when absent."""
        old = self.read_bytes(path) if self.exists(path) else b""
        self.write_bytes(path, old + text.encode("utf-8", "surrogateescape"))

    def log(self, path: str, line: str) -> None:
        """Add a line to a log as syslogd does: a full disk loses it without an error."""
        if self.full:
            return
        data = f"{line}\n".encode("utf-8", "surrogateescape")
        if self.fs.exists(path):
            self.fs.append_file(path, data)
        else:
            self.fs.write_file(path, data)

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """Create a directory and its missing parents."""
        if self.is_dir(path):
            return
        self._check_writable(path)
        if self.exists(path):
            raise FileExistsError(errno.EEXIST, "File exists", path)
        self.fs.mkdir(path, True)
        self.fs.chmod(path, mode)

    def chmod(self, path: str, mode: int) -> None:
        """Change permission bits."""
        self._check_writable(path)
        if self.node(path) is None:
            self._stat(path)
            self._set_mode(path, mode)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file, or a directory (empty, unless `recursive`)."""
        path = posixpath.normpath(path)
        self._check_writable(path)
        if path in self._nodes or self.link(path) is not None:
            self._nodes.pop(path, None)
            if self.fs.exists(path):
                self.fs.remove(path)
            return
        if not self.fs.exists(path):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        if self.is_dir(path) and not recursive and self.list(path):
            raise OSError(errno.ENOTEMPTY, "Directory not empty", path)
        self.fs.remove(path, True)
        for name in [name for name in self._nodes if name.startswith(path + "/")]:
            del self._nodes[name]
        self._forget_modes(path)

    def rename(self, source: str, target: str) -> None:
        """rename(2): replaces the target in one go."""
        self._check_writable(source)
        self._check_writable(target)
        if not self.fs.exists(source):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", source)
        if self.kind(target) == "file":
            self.fs.remove(target)
        source, target = posixpath.normpath(source), posixpath.normpath(target)
        self.fs.rename(source, target)
        self.renames.append((source, target))
        self._forget_modes(target)
        for name in [name for name in self._modes if name == source or name.startswith(source + "/")]:
            self._modes[target + name[len(source) :]] = self._modes.pop(name)

    def touch(self, path: str) -> None:
        """Create an empty file if nothing is there."""
        if not self.exists(path):
            self.write_bytes(path, b"")

    # devices, sockets

    def make_node(self, path: str, kind: Kind = "char", *, mode: int = 0o640, group: str = "operator") -> None:
        """Create a device node ("char"), a socket or a fifo, with its directory; faults do not matter to devfs."""
        path = posixpath.normpath(path)
        self._device_numbers += 1
        self.fs.mkdir(posixpath.dirname(path), True)
        if not self.fs.exists(path):
            self.fs.write_file(path, b"")
            self.fs.chmod(path, mode)
        self._nodes[path] = Node(kind, mode, group if kind == "char" else "wheel", f"{self._device_numbers:#x}")

    def remove_node(self, path: str) -> None:
        """Remove a device node if it is there; an empty directory below /dev goes with its last node (devfs)."""
        path = posixpath.normpath(path)
        if self._nodes.pop(path, None) is None:
            return
        if self.fs.exists(path):
            self.fs.remove(path)
        directory = posixpath.dirname(path)
        if directory.startswith("/dev/") and not self.fs.read_dir(directory):
            self.fs.remove(directory, True)

    # whole trees: mounting and unmounting a filesystem

    def tree(self, path: str) -> dict[str, tuple[bytes, int] | None]:
        """Everything below a directory by relative path: (content, mode), or None for a directory.

        A symbolic link is (its target, LINK_MODE).
        """
        found: dict[str, tuple[bytes, int] | None] = {}
        base = posixpath.normpath(path)
        for name in self.list(base):
            inner = posixpath.join(base, name)
            if self.node(inner) is not None:
                continue
            link = self.link(inner)
            if link is not None:
                found[name] = (link.encode(), LINK_MODE)
            elif self.is_dir(inner):
                found[name] = None
                found.update({f"{name}/{below}": what for below, what in self.tree(inner).items()})
            else:
                found[name] = (self.read_bytes(inner), self.stat_mode(inner))
        return found

    def plant(self, path: str, tree: dict[str, tuple[bytes, int] | None]) -> None:
        """Put a tree (see `tree`) below a directory: what mounting does to a path. Faults are ignored."""
        self.fs.mkdir(path, True)
        for name in sorted(tree):
            what, target = tree[name], posixpath.join(path, name)
            if what is None:
                self.fs.mkdir(target, True)
            else:
                self.fs.mkdir(posixpath.dirname(target), True)
                if what[1] == LINK_MODE:
                    self.fs.symlink(what[0].decode(), target)
                    continue
                self.fs.write_file(target, what[0])
                self._set_mode(target, what[1])

    def prune(self, path: str) -> dict[str, tuple[bytes, int] | None]:
        """Take everything below a directory away and return it: what unmounting does to a path."""
        found = self.tree(path)
        for name in self.list(path):
            self.discard(posixpath.join(path, name))
        return found

    def discard(self, path: str) -> None:
        """Take a file, a link or a directory with all below it away, whatever faults there are."""
        if self.fs.exists(path) or self.link(path) is not None:
            self.fs.remove(path, True)
        self._forget_modes(path)

    def reboot(self) -> None:
        """Forget what does not survive a boot: /tmp, /var/run, every node of /dev."""
        for path in [path for path in self._nodes if path.startswith(("/dev/", "/var/run/", "/tmp/"))]:
            self._nodes.pop(path)
            if self.fs.exists(path):
                self.fs.remove(path)
        for directory in ("/tmp", "/var/run", "/dev/hast"):
            if self.fs.exists(directory):
                self.fs.remove(directory, True)
                self._forget_modes(directory)
        for directory in ("/tmp", "/var/run"):
            self.fs.mkdir(directory, True)

    # faults

    def refuses(self, path: str) -> OSError | None:
        """Why a write to a path fails now, if it does."""
        path = posixpath.normpath(path)
        if path == "/dev" or path.startswith("/dev/"):
            return None
        for directory in self.read_only:
            if directory == "/" or path == directory or path.startswith(directory + "/"):
                return OSError(errno.EROFS, "Read-only file system", path)
        return OSError(errno.ENOSPC, "No space left on device", path) if self.full else None

    def _check_writable(self, path: str) -> None:
        problem = self.refuses(path)
        if problem is not None:
            raise problem

    def _set_mode(self, path: str, mode: int) -> None:
        path = self.real(path)
        self.fs.chmod(path, mode)
        self._modes[path] = mode

    def _forget_modes(self, path: str) -> None:
        path = posixpath.normpath(path)
        for name in [name for name in self._modes if name == path or name.startswith(path + "/")]:
            del self._modes[name]

    def _stat(self, path: str) -> dict[str, Any]:
        path = self.real(path)
        if not self.fs.exists(path):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return dict(self.fs.stat(path))
