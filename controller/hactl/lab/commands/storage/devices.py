"""What the shell shows of block devices and their users: diskinfo, geom, gpart, glabel, ggatel,
swapinfo, swapon, fstat, fuser.

Rules:
- diskinfo(8), geom(8), gpart(8), glabel(8), ggatel(8), swapinfo(8), fstat(1), fuser(1); recording 01.
"""

from __future__ import annotations

import posixpath

from hactl.lab.commands.files.bytes import answered
from hactl.lab.commands.getopt import options
from hactl.lab.commands.output import humanize_number
from hactl.lab.commands.system.user import is_root
from hactl.lab.files import error_text
from hactl.lab.process import Result
from hactl.lab.program import Call, command
from hactl.lab.storage.geom import scheme, write_scheme
from hactl.lab.storage.provider import Disk, Provider
from hactl.lab.storage.zfs import read_label

_HEADS, _SECTORS = 16, 63


def _named(call: Call, name: str) -> Provider | None:
    return call.machine.disks.provider(name if name.startswith("/") else f"/dev/{name}")


@command("diskinfo")
async def diskinfo(call: Call) -> Result:
    """Size and geometry of providers; -v in words."""
    flags = "".join(word[1:] for word in call.argv if word.startswith("-"))
    names = [word for word in call.argv if not word.startswith("-")]
    if not names:
        return Result("", "usage: diskinfo [-cipsStvwS] disk ...\n       diskinfo [-l] [-s sector_size] disk ...\n", 1)
    text, errors = "", ""
    for name in names:
        provider = _named(call, name)
        if provider is None or not is_root(call):
            why = "No such file or directory" if provider is None else "Permission denied"
            errors += f"diskinfo: {name}: {why}\n"
            continue
        text += _verbose(name, provider) if "v" in flags else _terse(name, provider)
    return Result(text, errors, 1 if errors else 0)


def _terse(name: str, provider: Provider) -> str:
    sectors = provider.mediasize // provider.sectorsize
    fields = [name, provider.sectorsize, provider.mediasize, sectors, 0, 0]
    if isinstance(provider, Disk):
        fields += [sectors // (_HEADS * _SECTORS), _HEADS, _SECTORS]
    return "\t".join(str(value) for value in fields) + "\n"


def _verbose(name: str, provider: Provider) -> str:
    sectors = provider.mediasize // provider.sectorsize
    rows: list[tuple[object, str]] = [
        (provider.sectorsize, "sectorsize"),
        (provider.mediasize, f"mediasize in bytes ({humanize_number(provider.mediasize)})"),
        (sectors, "mediasize in sectors"),
        (0, "stripesize"),
        (0, "stripeoffset"),
    ]
    if isinstance(provider, Disk):
        rows += [
            (sectors // (_HEADS * _SECTORS), "Cylinders according to firmware."),
            (_HEADS, "Heads according to firmware."),
            (_SECTORS, "Sectors according to firmware."),
        ]
    rows += [("", "Disk descr."), ("", "Disk ident."), ("", "Attachment"), ("Yes", "TRIM/UNMAP support")]
    rows.append(("Unknown", "Rotation rate in RPM"))
    return f"{name}\n" + "".join(f"\t{value!s:<12}\t# {what}\n" for value, what in rows) + "\n"


@command("geom")
async def geom(call: Call) -> Result:
    """geom disk list [NAME]; geom part|label status as gpart and glabel."""
    words = [word for word in call.argv if not word.startswith("-")]
    if words[:1] == ["part"]:
        return _gpart(call, words[1:])
    if words[:1] == ["label"]:
        return _glabel(call, words[1:])
    if words[:2] == ["disk", "list"]:
        return _disk_list(call, words[2:])
    if words[:2] == ["gate", "list"]:
        return _gate_list(call)
    if words[:2] == ["disk", "status"]:
        names = [disk.name for disk in call.machine.disks.of_class("DISK")]
        width = max(len(name) for name in names)
        rows = "".join(f"{name:>{width}}     N/A  N/A\n" for name in names)
        return Result(f"{'Name':>{width}}  Status  Components\n{rows}")
    return Result("", "usage: geom <class> <command> [options]\n", 1)


def _gate_list(call: Call) -> Result:
    text = ""
    for gate in call.machine.disks.gates.values():
        text += (
            f"Geom name: {gate.name}\nunit: {gate.unit}\nref: 1\nqueue_size: 0\nqueue_count: 0\n"
            f"info: (null)\ntimeout: 0\naccess: read-write\nProviders:\n1. Name: {gate.name}\n"
            f"   Mediasize: {gate.mediasize} ({humanize_number(gate.mediasize)})\n"
            f"   Sectorsize: {gate.sectorsize}\n   Mode: r0w0e0\n\n"
        )
    return Result(text)


@command("ggatel")
async def ggatel(call: Call) -> Result:
    """ggatel destroy -f -u UNIT: the provider goes, whoever uses it; its worker is told so by the kernel."""
    flags, values, operands, bad = options(call.argv[1:], "fv", "u")
    if call.argv[:1] != ["destroy"] or bad is not None or operands or "f" not in flags or "u" not in values:
        return Result("", "usage: ggatel destroy [-f] <-u unit>\n", 1)
    disks = call.machine.disks
    gate = next((each for each in disks.gates.values() if str(each.unit) == values["u"]), None)
    if gate is None:
        return Result("", "error: ggatel: ioctl(/dev/ggctl): Device not configured.\nerror: Exiting.\n", 1)
    disks.detach_gate(gate)
    return Result()


def _disk_list(call: Call, names: list[str]) -> Result:
    disks = {disk.name: disk for disk in call.machine.disks.of_class("DISK")}
    unknown = [name for name in names if name.removeprefix("/dev/") not in disks]
    if unknown:
        return Result("", f"geom: Class 'DISK' does not have an instance named '{unknown[0]}'.\n", 1)
    text = ""
    for disk in [disks[name.removeprefix("/dev/")] for name in names] or disks.values():
        text += (
            f"Geom name: {disk.name}\nProviders:\n1. Name: {disk.name}\n"
            f"   Mediasize: {disk.mediasize} ({humanize_number(disk.mediasize)})\n"
            f"   Sectorsize: {disk.sectorsize}\n   Mode: {disk.access}\n"
            f"   descr: (null)\n   ident: (null)\n   rotationrate: unknown\n"
            f"   fwsectors: {_SECTORS}\n   fwheads: {_HEADS}\n\n"
        )
    return Result(text)


@command("gpart")
async def gpart(call: Call) -> Result:
    """show, create -s gpt|mbr, destroy [-F], status."""
    return _gpart(call, [word for word in call.argv if word not in ("-p", "-l", "-r")])


def _gpart(call: Call, words: list[str]) -> Result:
    if words[:1] in (["show"], ["status"], ["list"]):
        return _gpart_show(call, words[1:])
    if words[:1] == ["create"] and "-s" in words and len(words) >= 4:
        kind = words[words.index("-s") + 1]
        return _gpart_write(call, words[-1], kind)
    if words[:1] == ["destroy"] and len(words) >= 2:
        return _gpart_write(call, words[-1], "")
    return Result("", "usage: gpart show [-l | -p | -r] [geom ...]\n", 1)


def _gpart_show(call: Call, names: list[str]) -> Result:
    disks, text = call.machine.disks.disks, ""
    for name in [name.removeprefix("/dev/") for name in names] or list(disks):
        disk = disks.get(name)
        try:
            found = scheme(disk) if disk is not None else ""
        except OSError:
            found = ""
        if disk is not None and found:
            first = 40 if found == "GPT" else 63
            length = disk.mediasize // disk.sectorsize - (80 if found == "GPT" else 64)
            width = max(len(str(length)), 6)
            size = humanize_number(disk.mediasize)
            text += f"=>{first:>{width}}  {length:>{width}}  {name}  {found}  ({size})\n"
            text += f"  {first:>{width}}  {length:>{width}}{'':>{len(name) + 2}}  - free -  ({size})\n\n"
        elif names:
            return Result(text, f"gpart: No such geom: {name}.\n", 1)
    return Result(text)


def _gpart_write(call: Call, name: str, kind: str) -> Result:
    provider = _named(call, name)
    if provider is None:
        return Result("", f"gpart: arg0 '{name}': Invalid argument\n", 1)
    short = provider.name
    if kind and scheme(provider):
        return Result("", f"gpart: geom '{short}': File exists\n", 1)
    if not kind and not scheme(provider):
        return Result("", f"gpart: arg0 '{short}': Invalid argument\n", 1)
    try:
        provider.open("gpart", 1, 1, 1)
        write_scheme(provider, kind)
    except OSError as problem:
        return Result("", f"gpart: {error_text(problem)}\n", 1)
    finally:
        provider.close("gpart")
    return Result(f"{short} {'created' if kind else 'destroyed'}\n")


@command("glabel")
async def glabel(call: Call) -> Result:
    """status, list: labels GEOM has tasted."""
    return _glabel(call, list(call.argv))


def _glabel(call: Call, words: list[str]) -> Result:
    labels = [(name, provider) for name, provider in call.machine.disks.labels() if not provider.opens.get("mount /")]
    if words[:1] == ["status"] and labels:
        width = max(4, *(len(name) for name, _ in labels))
        rows = "".join(f"{name:>{width}}     N/A  {provider.name}\n" for name, provider in labels)
        return Result(f"{'Name':>{width}}  Status  Components\n{rows}")
    if words[:1] in (["status"], ["list"]):
        return Result("".join(f"Geom name: {p.name}\nProviders:\n1. Name: {name}\n\n" for name, p in labels))
    return Result("", "usage: glabel status [-ags] [name ...]\n", 1)


@command("swapinfo", "pstat")
async def swapinfo(call: Call) -> Result:
    """Swap devices."""
    unit = "1M-blocks" if "-m" in call.argv else "1K-blocks"
    text = f"{'Device':<16}{unit}     Used    Avail Capacity\n"
    for disk in call.machine.disks.disks.values():
        if "swap" in disk.opens:
            blocks = disk.mediasize // (1048576 if "-m" in call.argv else 1024)
            text += f"{disk.path:<16} {blocks:>8} {0:>8} {blocks:>8}     0%\n"
    return Result(text)


@command("swapon")
async def swapon(call: Call) -> Result:
    """swapon DEVICE: opened without exclusion (sys/vm/swap_pager.c, swapongeom)."""
    provider = _named(call, call.argv[0]) if len(call.argv) == 1 else None
    if provider is None:
        return Result("", "usage: swapon [-F fstab] -aLq | [-E] file ...\n", 1)
    provider.open("swap", 1, 1, 0)
    return Result()


@command("fstat")
async def fstat(call: Call) -> Result:
    """Open files; -f PATH those on its filesystem."""
    names = [word for word in call.argv if not word.startswith("-")]
    mounts = call.machine.disks.mounts
    wanted = {row.node for row in (mounts.of(posixpath.normpath(name)) for name in names) if row is not None}
    text = "USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W\n"
    for path, pid, what in mounts.holders:
        row = mounts.of(path)
        if row is not None and (not names or row.node in wanted):
            text += f"root     {what[:10]:<10} {pid:>5}    3 {row.node:<10}     4 -rw-r--r--       0  r\n"
    return Result(text)


@command("fuser")
async def fuser(call: Call) -> Result:
    """Processes that use a file, or with -c or -m its filesystem."""
    flags = "".join(word[1:] for word in call.argv if word.startswith("-"))
    names = [word for word in call.argv if not word.startswith("-")]
    if not names:
        return Result("", "usage: fuser [-cfhkmu] [-M core] [-N system] [-s signal] file ...\n", 64)
    mounts, text, errors = call.machine.disks.mounts, "", ""
    for name in names:
        path = call.path(name)
        if not call.files.exists(path):
            errors += f"{name}: No such file or directory\n"
            continue
        users = (
            mounts.busy(path) if set(flags) & set("cm") else [holder for holder in mounts.holders if holder[0] == path]
        )
        errors += f"{name}:"
        text += "".join(f" {pid:>5}" for _, pid, _ in users if pid)
        errors += "\n"
    return Result(text, errors)


@command("zdb")
async def zdb(call: Call) -> Result:
    """zdb -l DEVICE: whether a ZFS label is there."""
    names = [word for word in call.argv if not word.startswith("-")]
    provider = _named(call, names[0]) if names else None
    if provider is None:
        return Result("", f"cannot open '{names[0] if names else ''}': No such file or directory\n", 1)
    await answered(call, provider)
    label = read_label(provider)
    if label is None:
        return Result("".join(f"failed to unpack label {number}\n" for number in range(4)), "", 2)
    ruler = "-" * 36
    return Result(f"{ruler}\nLABEL 0 \n{ruler}\n    name: '{label.name}'\n    hostid: {label.hostid}\n")
