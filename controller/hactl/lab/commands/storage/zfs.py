"""zpool and zfs of a simulated node.

Rules:
- zpool(8), zfs(8); texts and exit statuses of docs/freebsd-facts.md#3.5.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping, Sequence

from hactl.lab.commands.files.bytes import answered, every_answered
from hactl.lab.commands.output import aligned
from hactl.lab.files import error_text
from hactl.lab.process import Result
from hactl.lab.program import Call, command
from hactl.lab.storage.provider import Provider
from hactl.lab.storage.vdev import Vdev
from hactl.lab.storage.zfs import Offer, Pool, PoolError, clear_label

_COLUMNS = (
    "name", "size", "allocated", "free", "ckpoint", "expandsz", "fragmentation", "capacity", "dedupratio",
    "health", "altroot",
)  # fmt: skip
_HEADS = {"allocated": "ALLOC", "fragmentation": "FRAG", "capacity": "CAP", "dedupratio": "DEDUP"}


def _size(number: int) -> str:
    value, units = float(number), "BKMGT"
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    digits = 2 if value < 10 else 1 if value < 100 else 0
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"
    return f"{text}{units[0]}"


def _property(pool: Pool, name: str) -> str:
    dataset = pool.dataset
    values = {
        "name": pool.name,
        "size": _size(dataset.size_bytes),
        "allocated": _size(dataset.used_bytes),
        "alloc": _size(dataset.used_bytes),
        "free": _size(dataset.size_bytes - dataset.used_bytes),
        "fragmentation": "0%",
        "frag": "0%",
        "capacity": f"{dataset.used_bytes * 100 // dataset.size_bytes}%",
        "cap": f"{dataset.used_bytes * 100 // dataset.size_bytes}%",
        "dedupratio": "1.00x",
        "dedup": "1.00x",
        "health": pool.health,
        "guid": str(pool.label.guid),
        "cachefile": pool.label.properties.get("cachefile", "-"),
        "readonly": "off",
        "bootfs": "-",
    }
    return values.get(name, "-")


def _getopt(words: list[str], valued: str) -> tuple[dict[str, list[str]], list[str]]:
    options: dict[str, list[str]] = {}
    rest = list(words)
    names = []
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            names.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in valued:
                options.setdefault(letter, []).append(letters or (rest.pop(0) if rest else ""))
                break
            options.setdefault(letter, []).append("")
    return options, names


Options = Mapping[str, list[str]]


def _table(options: Options, heads: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """-H: without heads, a tab between columns."""
    if "H" in options:
        return "".join("\t".join(row) + "\n" for row in rows)
    return aligned([heads, *rows], right=right)


def _picked(options: Options, rows: Sequence[tuple[str, ...]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """The columns -o names of rows (name, property, value, source)."""
    columns = options.get("o", ["name,property,value,source"])[-1].split(",")
    places = [("name", "property", "value", "source").index(column) for column in columns]
    return columns, [tuple(row[place] for place in places) for row in rows]


@command("zpool")
async def zpool(call: Call) -> Result:
    """create, destroy, import, export, online, list, status, get, labelclear; list -v only with -H."""
    verb, words = (call.argv[0] if call.argv else ""), list(call.argv[1:])
    actions = {
        "create": _create, "import": _import, "export": _export, "online": _online, "destroy": _destroy,
        "labelclear": _labelclear,
    }  # fmt: skip
    shows = {"list": _list, "status": _status, "get": _get}
    await every_answered(call)
    if not call.machine.kernel.has_module("zfs"):
        call.machine.kernel.load("zfs")
    try:
        if verb in shows:
            result = shows[verb](call, words)
        elif verb in actions:
            result = actions[verb](call, words)
        else:
            return Result("", f"unrecognized command '{verb}'\nusage: zpool command args ...\n", 2)
    except PoolError as problem:
        return Result("", f"{problem}\n", 1)
    except OSError as problem:
        return Result("", f"cannot {verb} '{words[-1] if words else ''}': {error_text(problem)}\n", 1)
    await every_answered(call)
    return result


#: The fewest devices of a vdev by the word in front of it.
_FEWEST = {"mirror": 2, "raidz1": 2, "raidz2": 3, "raidz3": 4}


def _create(call: Call, words: list[str]) -> Result:
    options, names = _getopt(words, "moORt")
    if len(names) < 2:
        return Result("", "missing vdev specification\nusage:\n\tcreate [-fnd] [-m mountpoint] <pool> <vdev> ...\n", 2)
    properties = dict(text.partition("=")[::2] for text in options.get("o", []))
    layout = "raidz1" if names[1] == "raidz" else names[1] if names[1] in _FEWEST else ""
    paths = names[2 if layout else 1 :]
    if len(paths) < _FEWEST.get(layout, 1):
        raise PoolError(f"invalid vdev specification: {layout} requires at least {_FEWEST[layout]} devices")
    mountpoint = options.get("m", [""])[-1] or dict(text.partition("=")[::2] for text in options.get("O", [])).get(
        "mountpoint", ""
    )
    providers = [_device(call, names[0], path) for path in paths]
    if len(set(providers)) < len(providers):
        raise PoolError(f"cannot create '{names[0]}': {_IN_USE}")
    vdev = Vdev(layout, list(providers))
    call.machine.disks.pools.create(names[0], vdev, mountpoint, properties, force="f" in options)
    return Result()


_IN_USE = "one or more vdevs refer to the same device, or one of\nthe devices is part of an active md or lvm device"


def _device(call: Call, pool: str, name: str) -> Provider:
    """A device for a new pool, that nobody uses. Raises PoolError."""
    provider = call.machine.disks.provider(name if name.startswith("/") else f"/dev/{name}")
    if provider is None:
        raise PoolError(f"cannot open '{name}': no such device in /dev\nmust be a full path or shorthand device name")
    if any(access.exclusive or access.write for access in provider.opens.values()):
        raise PoolError(f"cannot create '{pool}': {_IN_USE}")
    return provider


def _import(call: Call, words: list[str]) -> Result:
    options, names = _getopt(words, "docRt")
    pools = call.machine.disks.pools
    directory = options.get("d", ["/dev"])[-1]
    properties = dict(text.partition("=")[::2] for text in options.get("o", []))
    found = pools.candidates(directory)
    if not names and "a" not in options:
        if not found:
            return Result("", "no pools available to import\n", 1)
        return Result("\n".join(_offer(call, offer) for offer in found))
    for name in names or [offer.label.name for offer in found]:
        pools.import_pool(
            name,
            directory,
            force="f" in options,
            mounting="N" not in options,
            mountpoint=properties.get("mountpoint", ""),
        )
    return Result()


def _offer(call: Call, offer: Offer) -> str:
    label = offer.label
    text = f"   pool: {label.name}\n     id: {label.guid}\n  state: {offer.state}\n"
    if offer.state != "ONLINE":
        text += "status: One or more devices are missing from the system.\n"
    if offer.state == "UNAVAIL":
        text += " action: The pool cannot be imported. Attach the missing\n\tdevices and try again.\n"
        text += "   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-3C\n"
    elif offer.state == "DEGRADED":
        text += " action: The pool can be imported despite missing or damaged devices.  The\n"
        text += "\tfault tolerance of the pool may be compromised if imported.\n"
        text += "   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-2Q\n"
    elif not label.exported and label.hostid != call.machine.hostid:
        text += (
            "status: The pool was last accessed by another system.\n"
            " action: The pool can be imported using its name or numeric identifier and\n\tthe '-f' flag.\n"
            "   see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-EY\n"
        )
    else:
        text += " action: The pool can be imported using its name or numeric identifier.\n"
    rows = [(label.name, offer.state)]
    if label.layout:
        rows.append((f"  {label.layout}-0", offer.state))
    indent = "    " if label.layout else "  "
    for number, device in zip(label.devices, offer.devices, strict=True):
        short = str(number) if device is None else device.name
        rows.append((f"{indent}{short}", "UNAVAIL  cannot open" if device is None else "ONLINE"))
    width = max(len(name) for name, _ in rows)
    return f"{text} config:\n\n" + "".join(f"\t{name:<{width}}  {state}\n" for name, state in rows)


def _online(call: Call, words: list[str]) -> Result:
    _, names = _getopt(words, "")
    for name in names[1:]:
        call.machine.disks.pools.online(names[0], name if name.startswith("/") else f"/dev/{name}")
    return Result()


def _export(call: Call, words: list[str]) -> Result:
    options, names = _getopt(words, "")
    for name in names:
        call.machine.disks.pools.export(name, force="f" in options, cwd=call.cwd)
    return Result()


def _destroy(call: Call, words: list[str]) -> Result:
    _, names = _getopt(words, "")
    for name in names:
        call.machine.disks.pools.destroy(name)
    return Result()


def _labelclear(call: Call, words: list[str]) -> Result:
    _, names = _getopt(words, "")
    for name in names:
        provider = call.machine.disks.provider(name)
        if provider is None:
            raise PoolError(f"failed to open {name}: No such file or directory")
        clear_label(provider)
    return Result()


def _chosen(call: Call, names: list[str]) -> list[Pool]:
    pools = call.machine.disks.pools
    return [pools.get(name, "open") for name in names] if names else list(pools.imported.values())


def _list(call: Call, words: list[str]) -> Result:
    options, names = _getopt(words, "oT")
    pools = _chosen(call, names)
    if not pools:
        return Result("" if "H" in options else "no pools available\n")
    columns = options.get("o", [",".join(_COLUMNS)])[-1].split(",")
    rows = [[_property(pool, column) for column in columns] for pool in pools]
    if "v" in options:
        listed = zip(rows, pools, strict=True)
        return Result("".join("\t".join(row) + "\n" + _vdev_rows(pool, full="P" in options) for row, pool in listed))
    heads = [_HEADS.get(column, column.upper()) for column in columns]
    right = [place for place, column in enumerate(columns) if column not in ("name", "health", "altroot")]
    return Result(_table(options, heads, rows, right))


def _vdev_rows(pool: Pool, *, full: bool) -> str:
    """What `zpool list -Hv` adds: always the same columns, whatever -o says; only what is on top has sizes."""
    text = ""
    for depth, name, device in pool.rows:
        shown = name if full or device is None else name.removeprefix("/dev/")
        state = pool.health if device is None and not name.isdecimal() else _device_state(device)
        sizes = [_property(pool, column) for column in _COLUMNS[1:4]] if depth == 1 else ["-", "-", "-"]
        text += "\t".join(["", shown, *sizes, "-", "-", "-", "-", "-", state]) + "\n"
    return text


def _device_state(device: Provider | None) -> str:
    if device is None:
        return "UNAVAIL"
    return "REMOVED" if device.gone else "ONLINE"


def _status(call: Call, words: list[str]) -> Result:
    options, names = _getopt(words, "cT")
    pools = _chosen(call, names)
    if not pools:
        return Result("no pools available\n")
    if "x" in options and all(pool.health == "ONLINE" for pool in pools):
        return Result("all pools are healthy\n" if not names else f"pool '{names[0]}' is healthy\n")
    parts = []
    for pool in pools:
        state = "UNAVAIL" if pool.health == "SUSPENDED" else pool.health
        rows = [(pool.name, state)]
        for depth, name, device in pool.rows:
            short = name if "P" in options else name.removeprefix("/dev/")
            rows.append(("  " * depth + short, state if name.endswith("-0") else _device_state(device)))
        width = max(len("NAME"), *(len(name) for name, _ in rows))
        parts.append(
            f"  pool: {pool.name}\n state: {pool.health}\nconfig:\n\n\t{'NAME':<{width}}  STATE     READ WRITE CKSUM\n"
            + "".join(f"\t{name:<{width}}  {told:<9} {0:>4} {0:>5} {0:>5}\n" for name, told in rows)
            + "\nerrors: No known data errors\n"
        )
    return Result("\n".join(parts))


def _get(call: Call, words: list[str]) -> Result:
    options, names = _getopt(words, "o")
    pools = _chosen(call, names[1:])
    wanted = (names[0] if names else "all").split(",")
    rows: list[tuple[str, ...]] = [
        (pool.name, name, _property(pool, name), "-")
        for pool in pools
        for name in (_COLUMNS if wanted == ["all"] else wanted)
    ]
    if "H" in options:
        rows = _picked(options, rows)[1]
    return Result(_table(options, ("NAME", "PROPERTY", "VALUE", "SOURCE"), rows))


@command("zfs")
async def zfs(call: Call) -> Result:
    """list, get, mount, unmount, set mountpoint."""
    verb, words = (call.argv[0] if call.argv else ""), list(call.argv[1:])
    await every_answered(call)
    try:
        if verb == "list":
            return _zfs_list(call, words)
        if verb == "get":
            return _zfs_get(call, words)
        if verb in ("mount", "unmount", "umount", "set"):
            result = _zfs_change(call, verb, words)
        else:
            return Result("", f"unrecognized command '{verb}'\nusage: zfs command args ...\n", 2)
    except PoolError as problem:
        return Result("", f"{problem}\n", 1)
    except OSError as problem:
        return Result("", f"cannot {verb} '{words[-1] if words else ''}': {error_text(problem)}\n", 1)
    for pool in call.machine.disks.pools.imported.values():
        for device in pool.vdev.present:
            await answered(call, device)
    return result


def _zfs_pool(call: Call, name: str) -> Pool:
    pool = call.machine.disks.pools.imported.get(name)
    if pool is None:
        raise PoolError(f"cannot open '{name}': dataset does not exist")
    return pool


def _mountpoint(pool: Pool) -> str:
    return pool.label.mountpoint or f"/{pool.name}"


def _zfs_value(pool: Pool, name: str) -> str:
    dataset = pool.dataset
    values = {
        "name": pool.name,
        "used": _size(dataset.used_bytes),
        "avail": _size(dataset.size_bytes - dataset.used_bytes),
        "available": _size(dataset.size_bytes - dataset.used_bytes),
        "refer": _size(dataset.used_bytes),
        "referenced": _size(dataset.used_bytes),
        "mountpoint": _mountpoint(pool),
        "mounted": "yes" if pool.mount is not None else "no",
        "canmount": "on",
        "type": "filesystem",
    }
    return values.get(name, "-")


def _zfs_list(call: Call, words: list[str]) -> Result:
    options, names = _getopt(words, "otsSd")
    pools = [_zfs_pool(call, name) for name in names] or list(call.machine.disks.pools.imported.values())
    if not pools:
        return Result("", "no datasets available\n")
    columns = options.get("o", ["name,used,avail,refer,mountpoint"])[-1].split(",")
    rows = [[_zfs_value(pool, column) for column in columns] for pool in pools]
    return Result(_table(options, [column.upper() for column in columns], rows))


def _zfs_get(call: Call, words: list[str]) -> Result:
    options, names = _getopt(words, "otsd")
    if len(names) < 2:
        return Result("", "missing property argument\n", 2)
    rows = [(name, p, _zfs_value(_zfs_pool(call, name), p), "-") for name in names[1:] for p in names[0].split(",")]
    columns, picked = _picked(options, rows)
    return Result(_table(options, [column.upper() for column in columns], picked))


def _zfs_change(call: Call, verb: str, words: list[str]) -> Result:
    options, names = _getopt(words, "o")
    pools = call.machine.disks.pools
    if verb == "set":
        name, _, value = names[0].partition("=")
        pool = _zfs_pool(call, names[-1])
        if name == "mountpoint":
            pools.unmount(pool)
            pool.label.mountpoint = value
            if value not in ("none", "legacy"):
                pools.mount_at(pool.name, value)
        return Result()
    if "a" in options:
        chosen = list(pools.imported.values())
    else:
        chosen = [
            next((p for p in pools.imported.values() if _mountpoint(p) == names[0]), None) or _zfs_pool(call, names[0])
        ]
    for pool in chosen:
        if verb == "mount":
            if pool.mount is not None:
                raise PoolError(f"cannot mount '{pool.name}': filesystem already mounted")
            pools.mount_at(pool.name, _mountpoint(pool))
        else:
            if pool.mount is None:
                raise PoolError(f"cannot unmount '{pool.name}': not currently mounted")
            inside = posixpath.commonpath([call.cwd, pool.mount.node]) == pool.mount.node
            if "f" not in options and (inside or call.machine.disks.mounts.busy(pool.mount.node)):
                raise PoolError(f"cannot unmount '{pool.mount.node}': pool or dataset is busy")
            pools.unmount(pool)
    return Result()
