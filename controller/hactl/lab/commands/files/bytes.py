"""Moving bytes from the shell: dd, truncate, sha256, md5; and waiting for a provider that does not answer.

Rules:
- Bytes leave a command as text, one character per byte (Latin-1): what counts or deletes NULs works as on FreeBSD.
- /dev/random and /dev/urandom give the world's pseudo-random bytes: the same run gives the same files.
- dd(1), truncate(1), md5(1); recordings 03, 05.
"""

from __future__ import annotations

import errno
import hashlib
import math
import re
from dataclasses import dataclass

from hactl.lab.commands.system.user import is_root
from hactl.lab.files import error_text
from hactl.lab.process import Result
from hactl.lab.program import Call, command
from hactl.lab.storage.provider import Provider, device_error

_UNITS = {"": 1, "b": 512, "k": 1024, "m": 1048576, "g": 1 << 30, "t": 1 << 40}

#: Every byte above 127 becomes a question mark.
_SEVEN_BITS = bytes(byte if byte < 128 else 0x3F for byte in range(256))


async def answered(call: Call, provider: Provider) -> None:
    """Wait until requests to a provider are answered."""
    await call.machine.world.wait_until(lambda: provider.gone or not provider.stalled, math.inf, 0.25)


async def every_answered(call: Call) -> None:
    """Wait for every provider."""
    for provider in list(call.machine.disks.gates.values()):
        await answered(call, provider)


def size_of(text: str) -> int:
    """A number as dd and truncate read it: 1m, 64k, 2b, 4x512. Raises ValueError."""
    total = 1
    for factor in text.lower().split("x"):
        match = re.fullmatch(r"(\d+)([bkmgt]?)", factor)
        if match is None:
            raise ValueError(text)
        total *= int(match[1]) * _UNITS[match[2]]
    return total


@dataclass(slots=True)
class _Copy:
    """The operands of one dd."""

    source: str = ""
    target: str = ""
    input_block: int = 512
    output_block: int = 512
    count: int | None = None
    skip: int = 0
    seek: int = 0
    conversions: frozenset[str] = frozenset()
    status: str = ""


def _operands(call: Call) -> _Copy | str:
    found = _Copy()
    for word in call.argv:
        name, separator, value = word.partition("=")
        if not separator:
            return f"dd: unknown operand {word}\n"
        try:
            if name == "bs":
                found.input_block = found.output_block = size_of(value)
            elif name in ("ibs", "obs"):
                setattr(found, "input_block" if name == "ibs" else "output_block", size_of(value))
            elif name == "count":
                found.count = size_of(value)
            elif name in ("skip", "iseek"):
                found.skip = size_of(value)
            elif name in ("seek", "oseek"):
                found.seek = size_of(value)
            elif name in ("if", "of"):
                setattr(found, "source" if name == "if" else "target", value)
            elif name == "conv":
                found.conversions = frozenset(value.split(","))
            elif name == "status":
                found.status = value
            elif name not in ("iflag", "oflag", "speed", "fillchar"):
                return f"dd: unknown operand {name}\n"
        except ValueError:
            return f"dd: {name}: illegal numeric value\n"
    return found


@command("dd")
async def dd(call: Call) -> Result:
    """Copy blocks between files, devices and the standard streams."""
    plan = _operands(call)
    if isinstance(plan, str):
        return Result("", plan, 1)
    clock = call.machine.world.clock
    began, stdout, full = clock.monotonic(), "", ""
    where = plan.source
    if plan.count is None and plan.source in ("/dev/zero", "/dev/random", "/dev/urandom"):
        provider = call.machine.disks.provider(plan.target)
        if provider is not None:
            plan.count = (provider.mediasize - plan.seek * plan.output_block) // plan.input_block
            full = f"dd: {plan.target}: end of device\n"
    try:
        data = await _take(call, plan)
        where = plan.target
        if plan.target:
            await _give(call, plan, data)
        else:
            # Pipes of the lab's shell carry text: a byte above 127 would become two. Its value is lost, not its length.
            stdout = (data if data.isascii() else data.translate(_SEVEN_BITS)).decode("ascii")
    except OSError as problem:
        report = _report(plan, b"", clock.monotonic() - began)
        opened = problem.filename is not None
        return Result("", f"dd: {where}: {error_text(problem)}\n{'' if opened else report}", 1)
    return Result(stdout, full + _report(plan, data, clock.monotonic() - began), 1 if full else 0)


def _report(plan: _Copy, data: bytes, seconds: float) -> str:
    if plan.status == "none":
        return ""
    seconds = max(seconds, 0.000123 + len(data) / 400e6)
    text = ""
    for block, direction in ((plan.input_block, "in"), (plan.output_block, "out")):
        text += f"{len(data) // block}+{1 if len(data) % block else 0} records {direction}\n"
    if plan.status == "noxfer":
        return text
    return f"{text}{len(data)} bytes transferred in {seconds:.6f} secs ({int(len(data) / seconds)} bytes/sec)\n"


async def _take(call: Call, plan: _Copy) -> bytes:
    offset = plan.skip * plan.input_block
    length = None if plan.count is None else plan.count * plan.input_block
    path = call.path(plan.source) if plan.source else ""
    if path in ("/dev/zero", "/dev/random", "/dev/urandom"):
        if length is None:
            raise device_error(errno.ENOSPC)
        return bytes(length) if path == "/dev/zero" else call.machine.world.random.randbytes(length)
    if path == "/dev/null":
        return b""
    if not path:
        content = call.stdin.encode("latin-1", "replace")
    elif path.startswith("/dev/"):
        return await _read_device(call, path, offset, length)
    else:
        content = call.files.read_bytes(path)
    return content[offset:] if length is None else content[offset : offset + length]


async def _read_device(call: Call, path: str, offset: int, length: int | None) -> bytes:
    provider = _device(call, path)
    await answered(call, provider)
    return provider.read(offset, provider.mediasize if length is None else length)


def _device(call: Call, path: str) -> Provider:
    provider = call.machine.disks.provider(path)
    if provider is None:
        raise FileNotFoundError(2, "No such file or directory", path)
    if not is_root(call):
        raise PermissionError(13, "Permission denied", path)
    return provider


async def _give(call: Call, plan: _Copy, data: bytes) -> None:
    path, offset = call.path(plan.target), plan.seek * plan.output_block
    if path == "/dev/null":
        return
    if path.startswith("/dev/"):
        provider = _device(call, path)
        await answered(call, provider)
        try:
            provider.open("dd", 0, 1, 0)
        except OSError as problem:
            problem.filename = path
            raise
        try:
            provider.write(offset, data)
        finally:
            provider.close("dd")
        await answered(call, provider)
        return
    old = call.files.read_bytes(path) if call.files.kind(path) == "file" else b""
    content = old[:offset].ljust(offset, b"\0") + data
    if "notrunc" in plan.conversions:
        content += old[len(content) :]
    await _store(call, path, content)


async def _store(call: Call, path: str, content: bytes) -> None:
    mounts = call.machine.disks.mounts
    row = mounts.of(path)
    mounts.store(path, content)
    if row is not None and row.provider is not None:
        await answered(call, row.provider)


@command("truncate")
async def truncate(call: Call) -> Result:
    """Set the size of files: -s [+|-]SIZE, -c not to create."""
    words, size, create, names = list(call.argv), "", True, []
    while words:
        word = words.pop(0)
        if word == "-c":
            create = False
        elif word.startswith("-s"):
            size = word[2:] or (words.pop(0) if words else "")
        else:
            names.append(word)
    try:
        number = size_of(size.lstrip("+-"))
    except ValueError:
        number = -1
    if not names or number < 0:
        return Result("", "usage: truncate [-c] -s [+|-|%|/]size[K|k|M|m|G|g|T|t] file ...\n", 1)
    errors = ""
    for name in names:
        path = call.path(name)
        if call.files.kind(path) is None and not create:
            continue
        try:
            old = call.files.read_bytes(path) if call.files.exists(path) else b""
            length = len(old) + number if size[0] == "+" else len(old) - number if size[0] == "-" else number
            await _store(call, path, old[: max(0, length)].ljust(length, b"\0"))
        except OSError as problem:
            errors += f"truncate: {name}: {error_text(problem)}\n"
    return Result("", errors, 1 if errors else 0)


@command("sha256", "md5", "sha1", "sha512")
async def digest(call: Call) -> Result:
    """Checksums as md5(1) prints them: -q only the sum, -r reversed."""
    flags = "".join(word[1:] for word in call.argv if word.startswith("-") and len(word) > 1)
    names = [word for word in call.argv if not word.startswith("-")]
    if not names:
        return Result(f"{hashlib.new(call.name, call.stdin.encode('utf-8', 'surrogateescape')).hexdigest()}\n")
    text, errors = "", ""
    for name in names:
        path = call.path(name)
        try:
            if path.startswith("/dev/") and call.machine.disks.provider(path) is not None:
                content = await _read_device(call, path, 0, None)
            else:
                content = call.files.read_bytes(path)
        except OSError as problem:
            errors += f"{call.name}: {name}: {error_text(problem)}\n"
            continue
        summed = hashlib.new(call.name, content).hexdigest()
        if "q" in flags:
            text += f"{summed}\n"
        else:
            text += f"{summed} {name}\n" if "r" in flags else f"{call.name.upper()} ({name}) = {summed}\n"
    return Result(text, errors, 1 if errors else 0)
