"""Documents in files and directories: read once for a command, or watched for the controller.

Watching is polling name, mtime, size and inode four times a second: it needs no library, works on NFS and sees
renames. A directory gives its *.yaml and *.yml files, not those of its subdirectories, and no editor's temporary
file. A file being written is given time to settle; a file that does not load leaves its last good documents in
force; an unreadable or suddenly empty directory is an outage of the source, never "everything was deleted".
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from hactl.adapters.sources.collection import Collection, is_document_file
from hactl.adapters.yaml.documents import FileContent, read_documents
from hactl.adapters.yaml.tree import MAX_BYTES, Tree
from hactl.core.document.problems import Problem, printable
from hactl.ports import Clock, SourceState

POLL_SECONDS = 0.25
#: A file younger than this that does not load is taken for half written.
SETTLED_SECONDS = 1.0
#: A file younger than this is not read yet: half a document can be a valid document.
QUIET_SECONDS = 0.1
#: Somebody who writes for longer than this gets read as it is.
_QUIET_TRIES = 10
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one version of a file from another."""

    mtime_ns: int
    size: int
    inode: int
    device: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a source at one moment, and why the list is not to be trusted."""

    #: In order; None: the file cannot be looked at.
    files: tuple[tuple[str, Stamp | None], ...] = ()
    #: What cannot be read, for people.
    down: tuple[str, ...] = ()
    #: Files that are not there and directories without documents, for people.
    empty: tuple[str, ...] = ()
    #: The paths that are directories.
    directories: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Held:
    """What is known of one file."""

    stamp: Stamp | None
    content: FileContent
    #: Clusters this file holds or held; those that do not load now are broken, not gone.
    names: frozenset[str] = frozenset()
    settled: bool = True


def load_files(paths: Sequence[str], *, stdin: BinaryIO | None = None) -> SourceState:
    """What the files, directories and standard input (`-`) of a command line hold now. Never raises.

    Here a missing file or an empty directory is a problem like any other, because somebody named it.
    """
    collection = Collection()
    for content in _contents(paths, stdin, places=False):
        collection.add(content)
    return collection.state()


def load_with_places(paths: Sequence[str], *, stdin: BinaryIO | None = None) -> tuple[SourceState, dict[str, Tree]]:
    """The same, and by cluster where everything stands in its document."""
    collection = Collection()
    trees: dict[str, Tree] = {}
    for content in _contents(paths, stdin, places=True):
        collection.add(content)
        for document, tree in zip(content.documents, content.trees, strict=True):
            trees[document.cluster.name] = tree
    return collection.state(), trees


def _contents(paths: Sequence[str], stdin: BinaryIO | None, *, places: bool) -> Iterator[FileContent]:
    """What each file of a command line holds, once; a path that cannot be read is a problem."""
    seen: set[str] = set()
    for path in paths:
        if path == STDIN:
            content = (stdin or sys.stdin.buffer).read(MAX_BYTES + 1)
            yield read_documents(content, source="<stdin>", directory=str(Path.cwd()), places=places)
            continue
        listing = list_files([path])
        label = printable(path)
        for message in (*listing.down, *listing.empty):
            yield FileContent(problems=(Problem(label, 0, 0, "", message.removeprefix(f"{label}: ")),))
        for name, _ in listing.files:
            if os.path.abspath(name) not in seen:  # noqa: PTH100 - symlinks are kept: references start at the link
                seen.add(os.path.abspath(name))  # noqa: PTH100
                yield _load(name, pipes=True, places=places)[1]


def list_files(paths: Iterable[str]) -> Listing:
    """The document files of these files and directories, in order."""
    files: dict[str, Stamp | None] = {}
    down, empty, directories = [], [], set()
    for path in paths:
        try:
            if Path(path).is_dir():
                directories.add(path)
                names = _names_in(path)
            else:
                names = [path] if os.path.lexists(path) else []
        except (OSError, ValueError) as error:
            down.append(_why(path, error))
            continue
        if not names:
            what = "no *.yaml file in it" if path in directories else "no such file or directory"
            empty.append(f"{printable(path)}: {what}")
        for name in names:
            files.setdefault(name, _stamp(name))
    return Listing(tuple(files.items()), tuple(down), tuple(empty), frozenset(directories))


def _names_in(directory: str) -> list[str]:
    """Document files of a directory: regular files, links to them, and links to nothing (broken, not gone)."""
    with os.scandir(directory) as entries:
        names = [
            entry.path
            for entry in entries
            if is_document_file(entry.name)
            and (entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists()))
        ]
    return sorted(names)


def _stamp(path: str) -> Stamp | None:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)


def _why(path: str, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a file name"
    return f"{printable(path)}: {reason[:1].lower()}{reason[1:]}"


def _load(path: str, *, pipes: bool = False, places: bool = False) -> tuple[Stamp | None, FileContent]:
    """A file's stamp and content as of one moment; what cannot be read is a problem.

    With `pipes` a pipe (`-f <(...)`) is read to its end; otherwise only regular files are read.
    """
    label = printable(path)
    directory = os.path.abspath(os.path.dirname(path) or ".")  # noqa: PTH100, PTH120 - the link's directory
    try:
        # Opening a pipe waits for its writer, unless told not to.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if pipes else os.O_NONBLOCK)), "rb") as file:  # noqa: PTH123
            found = os.fstat(file.fileno())
            if not (stat.S_ISREG(found.st_mode) or (pipes and stat.S_ISFIFO(found.st_mode))):
                return None, FileContent(problems=(Problem(label, 0, 0, "", "not a regular file"),), nameless=1)
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = _why(path, error).removeprefix(f"{label}: ")
        return None, FileContent(problems=(Problem(label, 0, 0, "", f"cannot be read: {reason}"),), nameless=1)
    stamp = Stamp(found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
    read = read_documents(content, source=label, directory=directory, places=places)
    written = datetime.fromtimestamp(found.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    documents = tuple(replace(document, revised_at=written) for document in read.documents)
    return stamp, replace(read, documents=documents)


class FileSource:
    """`hactl.ports.Source` over files and directories."""

    def __init__(self, paths: Sequence[str | Path], clock: Clock) -> None:
        """Watch these files and directories."""
        self._paths = [str(path) for path in paths]
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._seen: Listing | None = None
        self._directories: frozenset[str] = frozenset()
        #: The last file was taken away on its own: an empty source is what somebody wants.
        self._emptied = False
        #: When a file that does not load has to be looked at again, monotonic seconds.
        self._again_at: float | None = None
        self._lock = asyncio.Lock()

    async def read(self) -> SourceState:
        """Everything the source holds now. Never raises for bad documents or an unreadable directory."""
        async with self._lock:
            listing = await asyncio.to_thread(list_files, self._paths)
            self._seen = listing
            self._again_at = None
            here = dict(listing.files)
            for path in here:
                await self._refresh(path)
            down = self._down(listing)
            if down is None:
                self._held = {path: held for path, held in self._held.items() if path in here}
            return self._state(here, down)

    def _down(self, listing: Listing) -> str | None:
        """Why what is not there any more may still be wanted, or None.

        Files are taken away one by one. A directory that is gone, or empty at once (or when we start), is more
        likely an unmounted file system than a decision.
        """
        self._directories |= listing.directories
        gone = [path for path in self._directories - listing.directories if not os.path.lexists(path)]
        outage = [*listing.down, *(f"{printable(path)}: the directory is gone" for path in sorted(gone))]
        if listing.files:
            self._emptied = False
        elif not outage:
            self._emptied = self._emptied or len(self._held) == 1
            outage = [] if self._emptied else list(listing.empty)
        return "; ".join(outage) or None

    async def changes(self) -> AsyncIterator[None]:
        """Yields when a file appeared, changed, vanished or has settled; a hint."""
        seen = self._seen
        while True:
            await self._clock.sleep(POLL_SECONDS)
            now = await asyncio.to_thread(list_files, self._paths)
            due = self._again_at is not None and self._clock.monotonic() >= self._again_at
            if due:
                self._again_at = None
            if due or now != seen:
                seen = now
                yield None

    async def _refresh(self, path: str) -> None:
        """Read a file again if it changed."""
        held = self._held.get(path)
        stamp = await self._quiet_stamp(path)
        if held is not None and held.settled and held.stamp is not None and held.stamp == stamp:
            return
        loaded_stamp, content = await asyncio.to_thread(_load, path)
        if loaded_stamp is None and not await asyncio.to_thread(os.path.lexists, path):
            # Gone since the directory was listed.
            self._held.pop(path, None)
            return
        self._held[path] = self._judge(path, held, loaded_stamp, content)

    def _judge(self, path: str, held: _Held | None, stamp: Stamp | None, content: FileContent) -> _Held:
        """Take the new content of a file, or wait with it when it may be half written."""
        loaded = frozenset(document.cluster.name for document in content.documents)
        before = held.names if held is not None else frozenset()
        if not content.problems:
            return _Held(stamp, content, loaded)
        # A name this file held and that is not there any more may be inside what does not load.
        names = loaded | content.broken | before
        if not names and content.nameless:
            names = frozenset({Path(path).stem})
        age = self._age(stamp)
        if age is not None and 0 <= age < SETTLED_SECONDS:
            again = self._clock.monotonic() + SETTLED_SECONDS - age
            self._again_at = again if self._again_at is None else min(again, self._again_at)
            waiting = FileContent(broken=names) if held is None else held.content
            return _Held(stamp, waiting, names, settled=False)
        return _Held(stamp, content, names)

    def _age(self, stamp: Stamp | None) -> float | None:
        """Seconds since the file was written, by the wall clock; negative when its clock is ahead of ours."""
        return None if stamp is None else self._clock.now().timestamp() - stamp.mtime_ns / 1e9

    async def _quiet_stamp(self, path: str) -> Stamp | None:
        """The file's stamp, once it is not being written this very moment."""
        stamp = await asyncio.to_thread(_stamp, path)
        known = self._held.get(path)
        for _ in range(_QUIET_TRIES):
            age = self._age(stamp)
            if age is None or not 0 <= age < QUIET_SECONDS or (known is not None and known.stamp == stamp):
                break
            await self._clock.sleep(QUIET_SECONDS - age)
            stamp = await asyncio.to_thread(_stamp, path)
        return stamp

    def _state(self, here: dict[str, Stamp | None], down: str | None) -> SourceState:
        """What all files together hold."""
        collection = Collection()
        for path in here:
            held = self._held.get(path)
            if held is not None:
                collection.add(held.content)
                collection.broken |= held.names
        return collection.state(down)
