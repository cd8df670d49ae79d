"""Room that is kept on the record's disk for its last words: a file beside it, of bytes that nothing can compress.

- As long as it is there, what begins something may be written. On a full disk it is given back to what must still be
  said of what was begun: how steps ended, and that the record is full.
- From then on nothing is begun until there is room to make it again. Several processes share it, and nothing else is
  kept: that it is there is all there is to know.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from hactl.errors import StoreError

#: The outcomes of some dozens of steps with all the output that is kept, as pages in SQLite's log and in its file.
RESERVE_BYTES = 4 * 1024 * 1024
#: It is made only where this much is free besides, so that a disk near its end does not make it again and again.
SPARE_BYTES = 1024 * 1024
#: With less than this a record cannot even be opened: its index, its log and the locks want some.
LEAST_BYTES = 256 * 1024
_BLOCK = 64 * 1024


class Reserve:
    """The room of one record."""

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        """`path`: of the record; `size` in bytes."""
        self.file = path.with_name(f"{path.name}.reserve")
        self._path = path
        self._size = size

    def keep(self) -> None:
        """Make it if it is not there, or was not made to its end. Raises StoreError when there is no room for it."""
        with contextlib.suppress(FileNotFoundError):
            if self.file.stat().st_size == self._size:
                return
        wanted = self._size + SPARE_BYTES
        try:
            if (free := free_bytes(self._path.parent)) < wanted:
                raise OSError(errno.ENOSPC, f"{free // 1024} KiB are free, and {wanted // 1024} are wanted")
            self._make()
        except OSError as error:
            raise StoreError(
                f"the database {self._path} has no room for what must be said when its disk is full "
                f"({error.strerror}): make room on it; hactl begins nothing until then, and goes on by itself"
            ) from error

    def _make(self) -> None:
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            written = 0
            while written < self._size:
                # Random: ZFS would keep zeros in no blocks at all.
                written += os.write(descriptor, os.urandom(min(_BLOCK, self._size - written)))
            os.fsync(descriptor)
        except OSError:
            self.give_back()
            raise
        finally:
            os.close(descriptor)

    def give_back(self) -> bool:
        """Its room is free; False: it was given back before."""
        try:
            self.file.unlink()
        except FileNotFoundError:
            return False
        return True

    def give_back_to_open(self) -> bool:
        """The same on a disk on which a record could not even be opened."""
        try:
            return free_bytes(self._path.parent) < LEAST_BYTES and self.give_back()
        except OSError:
            # The directory is not there yet, or cannot be asked: opening the record says what is the matter.
            return False


def free_bytes(directory: Path) -> int:
    """What may still be written on the disk of a directory. Raises OSError."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
