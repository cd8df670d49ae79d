"""The mount table from the shell: mount, umount, df, sync, fsync.

Rules:
- A request to a provider that does not answer (a HAST primary whose peer vanished) keeps the command waiting.
- mount(8), umount(8), df(1), sync(8), fsync(1); docs/freebsd-facts.md#3.5; recordings 01, 03, 05.
"""

from __future__ import annotations

import errno

from hactl.lab.commands.files.bytes import answered, every_answered
from hactl.lab.commands.output import humanize_number
from hactl.lab.commands.system.user import is_root
from hactl.lab.files import error_text
from hactl.lab.process import Result
from hactl.lab.program import Call, command, pause
from hactl.lab.storage.mounts import Mount
from hactl.lab.storage.provider import device_error
from hactl.lab.storage.ufs import Ufs
from hactl.lab.storage.zfs import Dataset

#: Seconds.
_FOR_EVER = 1e8

USAGE_MOUNT = """usage: mount [-adflpruvw] [-F fstab] [-o options] [-t ufs | external_type]
       mount [-dfpruvw] special | node
       mount [-dfpruvw] [-o options] [-t ufs | external_type] special node
"""
USAGE_UMOUNT = """usage: umount [-fNnv] special ... | node ... | fsid ...
       umount -a | -A [-F fstab] [-fnv] [-h host] [-t type]
"""
#: What -o takes for a UFS (mntopts.h); "no" in front of the rest changes nothing here.
KNOWN_OPTIONS = frozenset(
    {"acls", "async", "atime", "clusterr", "clusterw", "exec", "force", "groupquota", "multilabel", "nfsv4acls"}
    | {"noasync", "noatime", "noclusterr", "noclusterw", "noexec", "nosuid", "nosymfollow", "ro", "suid", "suiddir"}
    | {"symfollow", "sync", "union", "untrusted", "update", "userquota"}
)
#: df's rows for / and devfs, 1024-byte blocks: (size, used, available), as recorded on a fresh node.
ROOT_BLOCKS = (1015324, 215260, 718840)
DEVFS_BLOCKS = (1, 1, 0)


@command("mount")
async def mount(call: Call) -> Result:
    """Show or change the mount table."""
    words, fstype, options, flags, xo = list(call.argv), "ufs", set[str](), "", False
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word.startswith("--libxo"):
            xo = True
            if word == "--libxo" and words:
                words.pop(0)
        elif word == "-t" and words:
            fstype = words.pop(0)
        elif word.startswith("-o"):
            text = word[2:] or (words.pop(0) if words else "")
            options |= {part for part in text.split(",") if part}
        elif set(word[1:]) <= set("adflpruvw"):
            flags += word[1:]
        else:
            return Result("", USAGE_MOUNT, 1)
    options |= {"ro"} if "r" in flags else set()
    options |= {"force"} if "f" in flags else set()
    options |= {"update"} if "u" in flags else set()
    options -= {"rw", "noauto", "late", "failok"}
    unknown = sorted(option for option in options if option not in KNOWN_OPTIONS)
    if unknown and words:
        return Result("", f"mount: {words[0]}: mount option <{unknown[0]}> is unknown: Invalid argument\n", 1)
    if not words and "a" not in flags:
        return Result(_show(call, fstab="p" in flags, xo=xo))
    if not is_root(call):
        return Result("", f"mount: {words[0] if words else '/'}: Operation not permitted\n", 1)
    if not words:
        return await _mount_all(call, options)
    return await _mount_one(call, words, fstype, options)


def _show(call: Call, *, fstab: bool, xo: bool) -> str:
    table = [row for row in call.machine.disks.mounts.table if not row.leaving]
    if xo:
        return _show_json(table)
    if fstab:
        return "".join(_fstab_line(row) for row in table)
    return "".join(f"{row.special} on {row.node} ({', '.join([row.fstype, *row.words])})\n" for row in table)


def _show_json(table: list[Mount]) -> str:
    rows = []
    for row in table:
        text = f'{{"special":"{row.special}","node":"{row.node}","fstype":"{row.fstype}"'
        if row.words:
            listed = ",".join(f'"{word}"' for word in row.words)
            text += f', "opts": [{listed}]'
        rows.append(f"{text}}}")
    return f'{{"mount": {{"mounted": [{", ".join(rows)}]}}}}\n'


def _fstab_line(row: Mount) -> str:
    def padded(text: str, stops: int) -> str:
        return text + "\t" * max(1, stops - len(text) // 8)

    order = {"/": "1 1"}.get(row.node, "2 2") if row.fstype == "ufs" else "0 0"
    return (
        padded(row.special, 3) + padded(row.node, 3) + f"{row.fstype}\t" + padded(row.fstab_options, 2) + f"{order}\n"
    )


def _fstab(call: Call) -> list[list[str]]:
    if call.files.kind("/etc/fstab") is None:
        return []
    lines = [line.split("#", 1)[0].split() for line in call.files.read_text("/etc/fstab").splitlines()]
    return [line for line in lines if len(line) >= 4]


async def _mount_all(call: Call, options: set[str]) -> Result:
    mounted = {row.node for row in call.machine.disks.mounts.table}
    errors, status = "", 0
    for special, node, fstype, words, *_ in _fstab(call):
        listed = set(words.split(","))
        if "noauto" in listed or node in mounted or fstype != "ufs":
            continue
        answer = await _mount_one(call, [special, node], fstype, options | (listed - {"rw", "late", "failok"}))
        errors, status = errors + answer.stderr, status or answer.status
    return Result("", errors, status)


async def _mount_one(call: Call, words: list[str], fstype: str, options: set[str]) -> Result:
    mounts = call.machine.disks.mounts
    if "update" in options:
        return await _update(call, words[-1], options)
    if len(words) == 1:
        line = next((line for line in _fstab(call) if words[0] in line[:2]), None)
        if line is None:
            return Result("", f"mount: {words[0]}: unknown special file or file system\n", 1)
        words, fstype = line[:2], line[2]
        options = options | (set(line[3].split(",")) - {"rw", "noauto", "late", "failok"})
    special, node = words[0], call.path(words[1])
    if fstype == "zfs":
        return _mount_zfs(call, special, node)
    if fstype != "ufs":
        return Result("", f"mount: {special}: Operation not supported by device\n", 1)
    if call.files.kind(node) is None:
        return Result("", f"mount: {node}: No such file or directory\n", 1)
    provider = call.machine.disks.provider(special) if special.startswith("/dev/") else None
    if provider is None:
        return Result("", f"mount: {special}: No such file or directory\n", 1)
    await answered(call, provider)
    try:
        mounts.mount_ufs(provider, special, node, options)
    except OSError as problem:
        if problem.errno == errno.EROFS:
            return Result("", f"mount: {special}: {problem.strerror}: Operation not permitted\n", 1)
        where = node if problem.filename else special
        return Result("", f"mount: {where}: {error_text(problem)}\n", 1)
    await answered(call, provider)
    return Result()


def _mount_zfs(call: Call, special: str, node: str) -> Result:
    try:
        call.machine.disks.pools.mount_at(special, node)
    except OSError as problem:
        return Result("", f"mount: {special}: {error_text(problem)}\n", 1)
    return Result()


async def _update(call: Call, where: str, options: set[str]) -> Result:
    mounts = call.machine.disks.mounts
    path = call.path(where)
    row = mounts.at(path) or next((each for each in reversed(mounts.table) if each.special == where), None)
    if row is None:
        return Result("", f"mount: {where}: unknown special file or file system\n", 1)
    if row.provider is not None:
        await answered(call, row.provider)
    try:
        mounts.update(row, options)
    except OSError as problem:
        return Result("", f"mount: {row.special}: {error_text(problem)}\n", 1)
    return Result()


@command("umount")
async def umount(call: Call) -> Result:
    """Take filesystems out of the mount table; -f by force, -a all but the system's."""
    force, everything, names = False, False, []
    for word in call.argv:
        if word.startswith("-") and set(word[1:]) <= set("aAfnNv"):
            force, everything = force or "f" in word, everything or "a" in word.lower()
        elif word.startswith("-"):
            return Result("", USAGE_UMOUNT, 1)
        else:
            names.append(word)
    mounts = call.machine.disks.mounts
    if everything:
        names = [row.node for row in reversed(mounts.table) if row.image is not None]
    elif not names:
        return Result("", USAGE_UMOUNT, 1)
    errors = ""
    for name in names:
        errors += await _umount_one(call, name, force=force)
    return Result("", errors, 1 if errors else 0)


async def _umount_one(call: Call, name: str, *, force: bool) -> str:
    mounts = call.machine.disks.mounts
    path = call.path(name)
    row = mounts.at(path) or next((each for each in reversed(mounts.table) if each.special == name), None)
    if row is None:
        if call.files.kind(path) is None:
            return f"umount: {name}: statfs: No such file or directory\numount: {name}: unknown file system\n"
        return f"umount: {name}: not a file system root directory\n"
    if not is_root(call):
        return f"umount: unmount of {row.node} failed: Operation not permitted\n"
    inside = call.cwd == row.node or call.cwd.startswith(f"{row.node}/")
    if row.image is None or (inside and not force):
        return f"umount: unmount of {row.node} failed: Device busy\n"
    row.leaving = True
    try:
        if row.provider is not None:
            there = not row.provider.gone
            await answered(call, row.provider)
            if there and row.provider.gone and not force:
                # State D (docs/freebsd-facts.md#7.55); only in the lab it can be killed.
                call.machine.klog(f"umount of {row.node} hangs in mntref")
                await pause(call, _FOR_EVER)
        mounts.unmount(row, force=force)
        if row.provider is not None:
            await answered(call, row.provider)
    except OSError as problem:
        return f"umount: unmount of {row.node} failed: {error_text(problem)}\n"
    finally:
        row.leaving = False
    return ""


@command("df")
async def df(call: Call) -> Result:
    """Free space; -k, -m, -h, -T, -t TYPE."""
    unit, flags, types, paths, words = 512, "", set[str](), [], list(call.argv)
    if call.env.get("BLOCKSIZE", "").upper() == "K":
        unit = 1024
    while words:
        word = words.pop(0)
        if word == "-t" and words:
            types = set(words.pop(0).split(","))
        elif word.startswith("-") and len(word) > 1:
            flags += word[1:]
        else:
            paths.append(word)
    unit = 1024 if "k" in flags else 1048576 if "m" in flags else unit
    mounts, errors = call.machine.disks.mounts, ""
    rows: list[Mount] = [] if paths else [row for row in mounts.table if not types or row.fstype in types]
    for path in paths:
        full = call.path(path)
        found = next((row for row in mounts.table if row.special == path), None)
        found = found or (mounts.of(full) if call.files.exists(full) else None)
        if found is None:
            errors += f"df: {path}: No such file or directory\n"
        else:
            rows.append(found)
    return Result(_df_table(rows, unit, flags), errors, 1 if errors else 0)


def _blocks(row: Mount) -> tuple[int, int, int]:
    if isinstance(row.image, Ufs):
        return row.image.size * 4, (row.image.size - row.image.free) * 4, row.image.available * 4
    if isinstance(row.image, Dataset):
        return row.image.blocks()
    return ROOT_BLOCKS if row.node == "/" else DEVFS_BLOCKS


def _df_table(rows: list[Mount], unit: int, flags: str) -> str:
    if not rows:
        return ""
    units = {1048576: "1M", 1024: "1024" if "k" in flags else "1K"}
    head = "Size" if "h" in flags else f"{units.get(unit, '512')}-blocks"
    table = []
    for row in rows:
        blocks = _blocks(row)
        taken = blocks[1] + blocks[2]
        share = blocks[1] * 100 / taken if taken else 100.0
        numbers = [str(n * 1024 // unit) for n in blocks]
        if "h" in flags:
            numbers = [humanize_number(n * 1024) + ("" if n > 0 else "B") for n in blocks]
        table.append((row.special, row.fstype, *numbers, f"{share:.0f}", row.node))
    width = max(10, *(len(line[0]) for line in table))
    kind = max(4, *(len(line[1]) for line in table))
    widths = [
        max(len(title), *(len(line[place]) for line in table))
        for place, title in ((2, head), (3, "Used"), (4, "Avail"))
    ]
    typed = "T" in flags

    def line(special: str, fstype: str, size: str, used: str, available: str, tail: str) -> str:
        middle = f" {fstype:<{kind}}" if typed else ""
        return f"{special:<{width}}{middle} {size:>{widths[0]}} {used:>{widths[1]}} {available:>{widths[2]}}{tail}\n"

    text = line("Filesystem", "Type", head, "Used", "Avail", " Capacity  Mounted on")
    for cells in table:
        special, fstype, size, used, available, percent, node = cells
        text += line(special, fstype, size, used, available, f" {percent:>5}%    {node}")
    return text


@command("sync")
async def sync(call: Call) -> Result:
    """Start writing everything; names of new files still take their time (soft updates)."""
    mounts = call.machine.disks.mounts
    for row in list(mounts.table):
        if row.image is None:
            continue
        try:
            mounts.settle(row)
        except OSError as problem:
            if problem.errno == errno.ENXIO:
                mounts.force_out(row)
    await every_answered(call)
    return Result()


@command("fsync")
async def fsync(call: Call) -> Result:
    """fsync(1): each file is on its disk before it answers; files it cannot open are named, the status is 66."""
    if not call.argv:
        return Result("", "usage: fsync file ...\n", 64)
    mounts, errors = call.machine.disks.mounts, ""
    for name in call.argv:
        path = call.path(name)
        if not call.files.exists(path):
            errors += f"fsync: open {name}: No such file or directory\n"
            continue
        row = mounts.of(path)
        if row is None or row.image is None:
            call.machine.disks.root.flush(path)
            continue
        try:
            # With the name of a new file (softdep_fsync); here with every name of that filesystem.
            mounts.settle(row, commit=True)
            if row.provider is not None:
                await answered(call, row.provider)
                if row.provider.gone:
                    raise device_error(errno.ENXIO)
        except OSError as problem:
            errors += f"fsync: fsync {name}: {error_text(problem)}\n"
    return Result("", errors, 66 if errors else 0)
