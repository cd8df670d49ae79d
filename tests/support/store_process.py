"""Other hactl processes on the same record, and looking into its file behind its back."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from support.limits import LIMIT_SECONDS

REPOSITORY = Path(__file__).parents[2]
PRELUDE = f"""
import asyncio, logging, os, resource, signal, sys
logging.getLogger("hactl").addHandler(logging.NullHandler())
sys.path.insert(0, {str(REPOSITORY / "tests")!r})
from pathlib import Path
import sqlite_utils, sqlite_utils.migrations, sqlite_utils.db
from support.contracts.store import document, intent
from hactl.adapters.record.sqlite.store import open_record
from hactl.errors import HactlError
"""


def process(body: str, path: Path, inside: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Another hactl process: `body` is the inside of an async function that has `path`.

    `inside`: a command in front of it, which starts it elsewhere (`support.record.small_disk`).
    """
    code = f"{PRELUDE}\nasync def main(path):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
    code += f"asyncio.run(main(Path({str(path)!r})))\n"
    return subprocess.Popen(
        [*inside, sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(running: subprocess.Popen[str]) -> str:
    """What it printed; its error output must be empty."""
    out, err = running.communicate(timeout=LIMIT_SECONDS)
    assert err == ""
    return out


def stamp(path: Path) -> int:
    """When the file last changed."""
    return path.stat().st_mtime_ns


def write(path: Path, data: bytes) -> None:
    """Put something where the database should be."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def damage(path: Path) -> None:
    """Overwrite every page but the first."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xaa" * (len(data) - 4096))


def make_read_only(path: Path, top: Path) -> None:
    """Nobody may write the file; everybody may come to it."""
    for directory in path.parents:
        if directory.is_relative_to(top):
            directory.chmod(0o755)
    path.chmod(0o444)


def rows(path: Path, sql: str) -> list[Any]:
    """Look into the file behind the store's back."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
