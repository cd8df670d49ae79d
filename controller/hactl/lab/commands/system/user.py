"""Who runs a command: root, or the login that has to become root first.

Rules:
- The shell and doas/sudo keep USER in the environment in step with the user id; root when it is absent.
"""

from __future__ import annotations

from hactl.lab.process import Result
from hactl.lab.program import Call, command


def is_root(call: Call) -> bool:
    """Whether the call may do what only the super-user may."""
    return call.env.get("USER", "root") == "root"


@command("id", quick=True)
async def identity(call: Call) -> Result:
    """id(1): root, or the one other login the lab knows (uid 1001, in group wheel)."""
    name = call.env.get("USER", "root")
    options = "".join(word[1:] for word in call.argv if word.startswith("-"))
    others = [word for word in call.argv if not word.startswith("-")]
    if others:
        name = others[0]
    if name not in ("root", "hast", call.env.get("USER", "root")):
        return Result("", f"id: {name}: no such user\n", 1)
    uid = {"root": 0, "hast": 845}.get(name, 1001)
    groups = {0: [(0, "wheel"), (5, "operator")], 845: [(845, "hast")]}.get(uid, [(1001, name), (0, "wheel")])
    number, group = groups[0]
    if "u" in options:
        return Result(f"{name if 'n' in options else uid}\n")
    if "g" in options:
        return Result(f"{group if 'n' in options else number}\n")
    if "G" in options:
        return Result(" ".join(str(label if "n" in options else gid) for gid, label in groups) + "\n")
    listed = ",".join(f"{gid}({label})" for gid, label in groups)
    return Result(f"uid={uid}({name}) gid={number}({group}) groups={listed}\n")


@command("whoami", quick=True)
async def whoami(call: Call) -> Result:
    """whoami(1)."""
    return Result(f"{call.env.get('USER', 'root')}\n")
