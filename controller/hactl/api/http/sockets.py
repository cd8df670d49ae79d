"""The Unix socket: where it is, and making it so that only its owner can open it. Imports no HTTP library.

FreeBSD's sun_path has 104 bytes (sys/un.h), Linux' 108: the smaller one counts everywhere.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hactl.errors import Busy, HactlError

#: Without the final NUL.
MAX_PATH_BYTES = 103
_OWNER_ONLY = 0o600


class SocketError(HactlError):
    """The socket cannot be made there."""


def default_socket(state: Path) -> Path:
    """Beside the record: `api.sock` in its directory."""
    return state.absolute().parent / "api.sock"


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that is there."""

    path: Path
    socket: socket.socket
    #: Inode and time of its last change: an inode alone may be given to the next file.
    made: tuple[int, int]


def bound(path: Path) -> Bound:
    """A bound socket of mode 0600; a dead one of that name is replaced.

    Raises Busy when somebody listens there; SocketError when the place is not safe or the path too long.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise SocketError(f"the path of the socket is longer than {MAX_PATH_BYTES} bytes: {path}; see --socket PATH")
    try:
        _check_directory(path.parent)
        _clear(path)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The mask and not a later chmod: it never exists with other permissions.
            before = os.umask(0o177)
            try:
                made.bind(str(path))
            finally:
                os.umask(before)
            path.chmod(_OWNER_ONLY)
            found = path.lstat()
        except BaseException:
            made.close()
            raise
    except OSError as error:
        raise SocketError(f"the socket {path} cannot be made: {error.strerror or error}") from error
    made.setblocking(False)
    return Bound(path, made, (found.st_ino, found.st_ctime_ns))


def _check_directory(directory: Path) -> None:
    """Nobody else may be able to put another socket in its place."""
    found = directory.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise SocketError(f"{directory} is no directory")
    if found.st_uid not in (os.geteuid(), 0):
        raise SocketError(f"{directory} belongs to somebody else, who could replace the socket in it")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
        raise SocketError(f"others may write to {directory} and could replace the socket in it; chmod go-w it")


def _clear(path: Path) -> None:
    """Take a dead socket away. Raises Busy for one that lives, SocketError for something else of that name."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketError(f"{path} is there and is no socket; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except OSError as error:
            if error.errno not in (errno.ECONNREFUSED, errno.ENOENT):
                raise
        else:
            raise Busy(f"another hactl listens on {path}")
    with suppress(FileNotFoundError):
        path.unlink()


def removed(bound: Bound) -> None:
    """Take our own socket away; what somebody else put there meanwhile stays."""
    with suppress(OSError):
        found = bound.path.lstat()
        if (found.st_ino, found.st_ctime_ns) == bound.made:
            bound.path.unlink()
