"""`tr -d '\\000'` and `tr -cd '\\000'`, which count the zero bytes of a disk: the player's tr is slow on megabytes.

Rules:
- Scripts say `tr`; `hactl.lab.shell.dialect` turns exactly these two uses into `__tr` (the player does not hand its own
  pipelines to a builtin that is called tr).
- Man pages: tr(1).
"""

from __future__ import annotations

from hactl.lab.process import Result
from hactl.lab.program import Call, command


@command("__tr", quick=True)
async def tr(call: Call) -> Result:
    """Delete the zero bytes, or (-cd) everything else."""
    text = call.stdin
    if call.argv[0] == "-d":
        return Result(text.replace("\0", ""))
    zeros = "\0" * len(text)
    return Result(text if text == zeros else zeros[: text.count("\0")])
