"""A disk that is really full: a small tmpfs in a mount namespace of its own, which ends with it (Linux)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.limits import LIMIT_SECONDS
from support.needs import need

#: Of a page that is written somewhere, what is not seen of the free room until then.
_BLOCK = 64 * 1024


class SmallDisk:
    """One that is mounted at `path`, for processes begun with `inside` in front."""

    def __init__(self, path: Path, holder: int, inside: tuple[str, ...]) -> None:
        """`holder`: the process that keeps it; it sees the disk, and we see it through that."""
        self.path = path
        self.inside = inside
        #: The same place for this process, which is outside.
        self.here = Path(f"/proc/{holder}/root{path}")

    @property
    def free(self) -> int:
        """Bytes."""
        found = os.statvfs(self.here)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Another program's file takes all the room there is but `leave` bytes."""
        with (self.here / "filler").open("ab", buffering=0) as filler:
            while (room := self.free - leave) > 0:
                filler.write(b"x" * min(_BLOCK, room))

    def make_room(self) -> None:
        """That file is gone."""
        (self.here / "filler").unlink()


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[SmallDisk]:
    """A disk of `size` bytes at `path`. Skips the test where nobody may have a namespace of his own."""
    unshare, nsenter = need("unshare", "util-linux"), need("nsenter", "util-linux")
    path.mkdir()
    mount = f'mount -t tmpfs -o size={size},mode=700 tmpfs "$0" && echo ready && exec cat'
    with subprocess.Popen(
        [unshare, "-Urm", "sh", "-c", mount, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as keeper:  # fmt: skip
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        if keeper.stdout.readline() != "ready\n":
            pytest.skip(f"no small disk here: {keeper.stderr.read().strip()}")
        try:
            inside = (nsenter, "-t", str(keeper.pid), "-U", "-m", "--preserve-credentials", "--")
            yield SmallDisk(path, keeper.pid, inside)
        finally:
            keeper.stdin.close()
            keeper.wait(LIMIT_SECONDS)
