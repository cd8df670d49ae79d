"""env(1): a program with another environment.

Rules:
- `-i` and `-L class`, `-U class` (the lab knows no limits), NAME=value, then the program; without one, what there is.
- Man pages: env(1), login.conf(5).
"""

from __future__ import annotations

from dataclasses import replace

from hactl.lab.commands.getopt import options
from hactl.lab.process import Result
from hactl.lab.program import Call, command, run

_USAGE = "usage: env [-0iv] [-L|-U user[/class]] [-u name] [name=value ...] [utility [argument ...]]\n"


@command("env")
async def env(call: Call) -> Result:
    """env(1): -i, -L, -U."""
    flags, _, words, bad = options(call.argv, "i", "LU")
    if bad is not None:
        return Result("", f"env: illegal option -- {bad}\n{_USAGE}", 1)
    settings = {} if "i" in flags else dict(call.env)
    while words and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        settings[name] = value
    if not words:
        return Result("".join(f"{name}={value}\n" for name, value in settings.items()))
    return await run(replace(call, env=settings), words)
