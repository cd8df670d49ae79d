"""How a file on a node is replaced, so that a power cut at any moment finds the old one or the new one, whole.

Rules: written beside, flushed, renamed, its directory flushed, in this order (docs/freebsd-facts.md#7.17); never in
place. What the old file was otherwise stays: mode, owner, flags; of a symbolic link the file it points to is replaced.
When it cannot be done nothing of the new file stays behind and the last line says what to look at. A directory that is
made is flushed into the one above it. Man pages: fsync(1), cp(1), mv(1), readlink(1), chflags(1).
"""

from __future__ import annotations

#: The name a new file has until it takes the place of the old one. rc, devd and netif read no file whose name begins
#: with a dot; one that a power cut left behind is overwritten by the next.
BESIDE = ".hactl.new"


def replacing(path: str, *make: str, mode: int | None = None) -> str:
    """The sh text that replaces a file by what `make` writes to "$hactl_new", where a copy of the old one stands.

    `path`: a word of sh. `mode`: None keeps that of the old file, a new one has what umask gives.
    """
    new = '"$hactl_new"'
    return "\n".join(
        [
            f"hactl_file={path}",
            '[ ! -L "$hactl_file" ] || hactl_file=$(readlink -f "$hactl_file") || exit 1',
            f"hactl_new=${{hactl_file%/*}}/{BESIDE}",
            "hactl_undo() {",
            f"  chflags 0 {new} 2>/dev/null; rm -f {new}",
            '  echo "$hactl_file is as it was and could not be replaced: look at df -h ${hactl_file%/*}'
            ' (is it full?), mount (is it read-only?) and ls -lo $hactl_file (is it immutable?)"',
            "  exit 1",
            "}",
            f'if [ -e "$hactl_file" ]; then cp -p "$hactl_file" {new}; elif [ -e {new} ]; then rm -f {new}; fi ||',
            "  hactl_undo",
            "{",
            *make,
            "} || hactl_undo",
            *([] if mode is None else [f"chmod {mode:o} {new} &&"]),
            f'fsync {new} && mv -f {new} "$hactl_file" || hactl_undo',
            'fsync "${hactl_file%/*}"',
        ]
    )


def text_into_new(text: str) -> tuple[str, ...]:
    """The lines that make `text` the new file."""
    return "cat > \"$hactl_new\" <<'HACTL_END'", text.rstrip("\n"), "HACTL_END"


def making(directory: str, mode: int = 0o755) -> str:
    """The sh text that makes a directory where it is missing, and everything above it, on the disk at once."""
    above = [directory[:end] for end in range(1, len(directory)) if directory[end] == "/"]
    option = "" if mode == 0o755 else f"-m {mode:o} "
    return f"[ -d {directory} ] || {{ mkdir -p {option}{directory} && fsync {' '.join(above)}; }} || exit 1"
