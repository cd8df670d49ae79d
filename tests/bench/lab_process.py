"""The lab of a bench, in a process of its own: every document of a directory, real SSH, real time.

Usage: lab_process.py DOCUMENTS STATE. Rules: it says {"up": true} when every node answers; then each line of standard
input is a question and is answered by one line of JSON; it ends, and everything with it, when standard input ends:
so it never outlives whoever started it. Times are CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hactl.adapters.sources.files import load_files
from hactl.lab.front import sshd
from hactl.lab.front.server import LabServer

BOOT_SECONDS = 0.5
#: Scripts that are remembered.
KEPT_SCRIPTS = 200_000

_run = sshd._Channel._run
_scripts: deque[dict[str, Any]] = deque(maxlen=KEPT_SCRIPTS)


def kind_of(script: str) -> str:
    """What a script is for: probe, step, stream or other."""
    if "h_main" in script:
        return "probe"
    if "hactl_say" in script:
        return "step"
    return "stream" if "devd.pipe" in script else "other"


async def noted(channel: sshd._Channel, text: str, stdin: str) -> int:
    """An exec request as sshd runs it, with its times written down."""
    began = time.monotonic()
    note: dict[str, Any] = {"kind": kind_of(stdin), "node": channel.machine.name, "began": began, "seconds": None}
    _scripts.append(note)
    try:
        return await _run(channel, text, stdin)
    finally:
        note["seconds"] = time.monotonic() - began


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """CPU seconds used so far, and the scripts that began since a moment."""
    since = question.get("since")
    scripts = [] if since is None else [note for note in _scripts if note["began"] >= since]
    return {"cpu_seconds": time.process_time(), "scripts": scripts}


async def main(documents: str, state: str) -> int:
    """Serve until standard input ends."""
    found = load_files([documents])
    if found.problems:
        print("\n".join(str(problem) for problem in found.problems), file=sys.stderr)
        return 1
    sshd._Channel._run = noted  # type: ignore[method-assign, assignment]
    lab = LabServer(list(found.documents.values()), Path(state), boot_seconds=BOOT_SECONDS)
    await lab.start()
    try:
        print(json.dumps({"up": True}), flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            print(json.dumps(answer(json.loads(line))), flush=True)
    finally:
        await lab.stop()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
