"""Making and checking UFS: newfs, fsck, tunefs -p.

Rules:
- newfs(8), fsck(8), fsck_ffs(8), tunefs(8); recordings 03, 05, 06; docs/freebsd-facts.md#3.5.
"""

from __future__ import annotations

from hactl.lab.commands.files.bytes import answered
from hactl.lab.commands.system.user import is_root
from hactl.lab.files import error_text
from hactl.lab.process import Result
from hactl.lab.program import Call, command
from hactl.lab.storage import ufs
from hactl.lab.storage.provider import Provider

_VALUED = set("LOSTabcdefghikmors")


@command("newfs")
async def newfs(call: Call) -> Result:
    """Make a UFS2 filesystem: -U soft updates, -j journaled, -L label, -N only show."""
    words, flags, label = list(call.argv), "", ""
    while words and words[0].startswith("-"):
        letters = words.pop(0)[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _VALUED:
                value = letters or (words.pop(0) if words else "")
                label = value if letter == "L" else label
                break
            flags += letter
    if not words:
        return Result("", "usage: newfs [ -fsoptions ] special-device [device-type]\n", 1)
    special = words[0] if words[0].startswith("/") else f"/dev/{words[0]}"
    provider = call.machine.disks.provider(special)
    if provider is None:
        return Result("", f"newfs: {special}: could not find special device\n", 1)
    await answered(call, provider)
    only_show = "N" in flags
    try:
        if not is_root(call):
            raise PermissionError
        provider.open("newfs", 1, 0 if only_show else 1, 0)
    except OSError:
        return Result("", f"newfs: {special}: failed to open disk for writing\n", 1)
    target: Provider = _Scratch(provider) if only_show else provider
    try:
        _, text = ufs.newfs(
            target,
            label=label,
            soft_updates="U" in flags or "j" in flags,
            journal="j" in flags,
            now=call.machine.epoch(),
        )
    except OSError as problem:
        return Result("", f"newfs: {special}: can't write: {error_text(problem)}\n", 36)
    finally:
        provider.close("newfs")
    await answered(call, provider)
    return Result(text)


class _Scratch(Provider):
    """A provider of the same size that keeps nothing."""

    def __init__(self, model: Provider) -> None:
        super().__init__(model.name, model.mediasize, model.sectorsize)

    def read(self, offset: int, length: int) -> bytes:
        """Zeros."""
        return bytes(max(0, min(length, self.mediasize - offset)))

    def write(self, offset: int, data: bytes) -> None:
        """Nothing is kept."""


@command("fsck", "fsck_ufs", "fsck_ffs")
async def fsck(call: Call) -> Result:
    """Check a UFS: -p preen, -y yes to everything, -n no to everything, -t TYPE, -F/-B/-C."""
    words, flags, fstype, names = list(call.argv), "", "ufs", []
    while words:
        word = words.pop(0)
        if word == "-t" and words:
            fstype = words.pop(0)
        elif word == "-T" and words:
            words.pop(0)
        elif word.startswith("-"):
            flags += word[1:]
        else:
            names.append(word)
    if not names:
        return Result("", "usage: fsck [-Cdfnpvy] [-l maxparallel] [-T fstype:fsoption] [special | node] ...\n", 1)
    if fstype != "ufs":
        return Result("", f"fsck: exec fsck_{fstype} for {names[0]}: No such file or directory\n", 1)
    text, errors, status = "", "", 0
    for name in names:
        printed, complaint, code = await _check(call, name, flags)
        text, errors, status = text + printed, errors + complaint, max(status, code)
    return Result(text, errors, status)


async def _check(call: Call, name: str, flags: str) -> tuple[str, str, int]:
    row = call.machine.disks.mounts.at(name) if name.startswith("/") and not name.startswith("/dev/") else None
    special = row.special if row is not None else name if name.startswith("/") else f"/dev/{name}"
    provider = call.machine.disks.provider(special)
    if provider is None:
        return (
            "",
            f"Can't stat {special}: No such file or directory\nCan't open {special}: No such file or directory\n",
            8,
        )
    await answered(call, provider)
    try:
        provider.open("fsck", 1, 1, 0)
        writable = "n" not in flags
    except OSError:
        writable = False
    try:
        text, status = ufs.fsck(provider, preen="p" in flags, now_writable=writable)
    except OSError as problem:
        found = f"{special}: CANNOT READ BLK: 128\n{special}: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n"
        return found, f"fsck_ufs: {special}: {error_text(problem)}\n", 8
    finally:
        provider.close("fsck")
    await answered(call, provider)
    return text, "", status


@command("tunefs")
async def tunefs(call: Call) -> Result:
    """tunefs -p SPECIAL: print the tunables hactl may ask for."""
    names = [word for word in call.argv if not word.startswith("-")]
    if "-p" not in call.argv or not names:
        return Result("", "usage: tunefs [-a enable | disable] [-p] [-n enable | disable] special | filesystem\n", 1)
    provider = call.machine.disks.provider(names[0])
    if provider is None:
        return Result("", f"tunefs: {names[0]}: could not find special device\n", 1)
    await answered(call, provider)
    try:
        found = ufs.load(provider)
    except OSError as problem:
        return Result("", f"tunefs: {names[0]}: {error_text(problem)}\n", 1)
    if found is None:
        return Result("", f"tunefs: {names[0]}: could not read superblock to fill out disk\n", 1)
    rows = (
        ("POSIX.1e ACLs: (-a)", "disabled"),
        ("NFSv4 ACLs: (-N)", "disabled"),
        ("MAC multilabel: (-l)", "disabled"),
        ("soft updates: (-n)", "enabled" if found.soft_updates else "disabled"),
        ("soft update journaling: (-j)", "enabled" if found.journal else "disabled"),
        ("gjournal: (-J)", "disabled"),
        ("trim: (-t)", "disabled"),
        ("volume label: (-L)", found.label),
    )
    return Result("", "".join(f"tunefs: {what:<58}{value}\n" for what, value in rows))
