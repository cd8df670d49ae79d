"""hastctl(8) and hastd(8) of a simulated node: every text, order and exit status as recorded.

Rules:
- role, list and status ask the daemon and wait for it without limit; create and dump work on the disk itself.
- Options stand after the subcommand; a configuration that does not parse fails every subcommand.
- sbin/hastctl/hastctl.c; docs/freebsd-facts.md#2.4; recordings 01, 03, 04, 05.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from hactl.lab.commands.output import humanize_number
from hactl.lab.commands.system.user import is_root
from hactl.lab.files import error_text
from hactl.lab.hast import metadata
from hactl.lab.hast.config_grammar import ConfigError, HastConfig, ResourceConfig
from hactl.lab.hast.daemon import CONFIG_PATH, ControlError
from hactl.lab.hast.metadata import EXTENT_BYTES, KEEP_DIRTY, InvalidMetadata, NoMetadata
from hactl.lab.hast.processes import Resource, Role, Statistics
from hactl.lab.hast.trial import SPEAK_SECONDS, Trial, connects
from hactl.lab.kernel.errors import KernelError
from hactl.lab.process import Result
from hactl.lab.program import Call, command, pause
from hactl.lab.storage.provider import Provider

USAGE = """usage: hastctl create [-d] [-c config] [-e extentsize] [-k keepdirty]
\t\t[-m mediasize] name ...
       hastctl role [-d] [-c config] <init | primary | secondary> all | name ...
       hastctl list [-d] [-c config] [all | name ...]
       hastctl status [-d] [-c config] [all | name ...]
       hastctl dump [-d] [-c config] [all | name ...]
"""
EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_IOERR = 64, 65, 66, 74
#: What a role change takes when nothing has to be waited for, seconds.
ROLE_SECONDS = 0.05


class _Usage(Exception):
    """Bad usage: the usage text, exit 64."""


@dataclass(slots=True)
class _Output:
    """What one run prints, and its exit status: the first failure wins."""

    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    status: int = 0

    def say(self, line: str) -> None:
        self.stdout.append(f"{line}\n")

    def error(self, text: str, status: int, level: str = "ERROR") -> None:
        self.stderr.append(f"[{level}] {text}\n")
        self.status = self.status or status

    def result(self, echo: str) -> Result:
        return Result(echo + "".join(self.stdout), "".join(self.stderr), self.status)


@command("hastctl")
async def hastctl(call: Call) -> Result:
    """Control HAST."""
    try:
        subcommand, options, names = _arguments(call.argv)
    except _Usage:
        return Result("", USAGE, EX_USAGE)
    hast = call.machine.hast
    try:
        config = hast.read_config(options.get("c", CONFIG_PATH))
    except ConfigError as error:
        return Result("", f"[ERROR] {error.text}\n", error.status)
    out = _Output()
    if hast.trial is not None and config.control == hast.trial.config.control and subcommand in ("role", "list"):
        await _trial(call, hast.trial, subcommand, names, out)
    elif subcommand == "create":
        _create(call, config, options, names, out)
    elif subcommand == "dump":
        _dump(call, config, names or ["all"], out)
    elif not is_root(call):
        out.error(f"Unable to connect to hastd via {config.control}: Permission denied.", 71)
    else:
        await _control(call, config, subcommand, names, out)
    return out.result(config.echo)


def _arguments(argv: list[str]) -> tuple[str, dict[str, str], list[str]]:
    if not argv or argv[0] not in ("create", "role", "list", "status", "dump"):
        raise _Usage
    subcommand, rest, options = argv[0], list(argv[1:]), dict[str, str]()
    valued = "cekm" if subcommand == "create" else "c"
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter == "d":
                options["d"] = ""
            elif letter in valued:
                if not letters and not rest:
                    raise _Usage
                options[letter] = letters or rest.pop(0)
                letters = ""
            else:
                raise _Usage
    if subcommand == "create" and not rest:
        raise _Usage
    if subcommand == "role" and (len(rest) < 2 or rest[0] not in ("init", "primary", "secondary")):
        raise _Usage
    return subcommand, options, rest


async def _control(call: Call, config: HastConfig, subcommand: str, names: list[str], out: _Output) -> None:
    role: Role | None = None
    if subcommand == "role":
        role, names = names[0], names[1:]  # type: ignore[assignment]
    hast = call.machine.hast
    before = {name: resource.role for name, resource in hast.resources.items()}
    try:
        answer = await hast.request(names or ["all"], control=config.control, role=role)
    except ControlError as error:
        out.error(error.text, error.status)
        return
    if role is not None:
        for name, resource in answer:
            if resource is None:
                out.error(f"[{name}] Received error 1 from hastd.", 1, "WARNING")
        if any(resource is not None and before.get(name) != role for name, resource in answer):
            await call.machine.world.clock.sleep(ROLE_SECONDS)
    elif subcommand == "status":
        _status(answer, out)
    else:
        _list(answer, out)


async def _trial(call: Call, trial: Trial, subcommand: str, names: list[str], out: _Output) -> None:
    """The same of a hastd that is only tried (`hast.trial`)."""
    if subcommand == "list":
        for name in names:
            out.say(f"{name}:")
            out.say(f"  role: {trial.role(name)}")
            if trial.role(name) == "primary":
                out.say("  status: degraded")
                out.say(f"  workerpid: {trial.pid + 1}")
        return
    role: Role = names[0]  # type: ignore[assignment]
    for name in names[1:]:
        trial.roles[name] = role
        arrive = partial(call.machine.hast.loopback.arrive, trial, name)
        call.machine.world.at(SPEAK_SECONDS, arrive, machine=call.machine)
    await call.machine.world.clock.sleep(ROLE_SECONDS)


def _status(answer: list[tuple[str, Resource | None]], out: _Output) -> None:
    if answer:
        out.say("Name\tStatus\t Role\t\tComponents")
    for name, resource in answer:
        if resource is None:
            out.say(f"{name}\tERR1")
            out.status = 1
            continue
        status = resource.worker.status if resource.worker is not None else "-"
        out.say(f"{name}\t{status:<9}{resource.role:<15}{resource.config.local}\t{resource.config.remote}")


def _list(answer: list[tuple[str, Resource | None]], out: _Output) -> None:
    for name, resource in answer:
        out.say(f"{name}:")
        if resource is None:
            out.say("  error: 1")
            out.status = 1
            continue
        config, worker = resource.config, resource.worker
        out.say(f"  role: {resource.role}")
        out.say(f"  provname: {config.provname}")
        out.say(f"  localpath: {config.local}")
        extentsize = worker.metadata.extentsize if worker else 0
        out.say(f"  extentsize: {extentsize} ({humanize_number(extentsize)}B)")
        out.say(f"  keepdirty: {worker.keepdirty if worker else 0}")
        out.say(f"  remoteaddr: {config.remote}")
        if config.source:
            out.say(f"  sourceaddr: {config.source}")
        out.say(f"  replication: {config.replication}")
        if worker:
            out.say(f"  status: {worker.status}")
            out.say(f"  workerpid: {worker.pid}")
        dirty = worker.dirty_bytes if worker else 0
        out.say(f"  dirty: {dirty} ({humanize_number(dirty)}B)")
        _statistics(worker.statistics if worker else Statistics(), 255 if worker else 0, out)


def _statistics(counts: Statistics, idle: int, out: _Output) -> None:
    out.say("  statistics:")
    out.say(f"    reads: {counts.reads}")
    out.say(f"    writes: {counts.writes}")
    out.say(f"    deletes: {counts.deletes}")
    out.say(f"    flushes: {counts.flushes}")
    out.say(f"    activemap updates: {counts.activemap_updates}")
    errors = (counts.read_errors, counts.write_errors, counts.delete_errors, counts.flush_errors)
    out.say("    local errors: read: {}, write: {}, delete: {}, flush: {}".format(*errors))
    out.say(f"    queues: local: 0, send: 0, recv: 0, done: 0, idle: {idle}")


def _local(call: Call, config: ResourceConfig, out: _Output, status: int, *, writing: bool) -> Provider | None:
    """Open a resource's local component as hastctl does; None after saying why not."""
    disk = call.machine.disks.provider(config.local)
    if disk is None:
        text = "No such file or directory"
    elif not is_root(call):
        text = "Permission denied"
    elif writing and any(access.exclusive for access in disk.opens.values()):
        text = "Operation not permitted"
    else:
        return disk
    prefix = f"[{config.resource}] " if writing else ""
    out.error(f"{prefix}Unable to open {config.local}: {text}.", status)
    return None


def _create(call: Call, config: HastConfig, options: dict[str, str], names: list[str], out: _Output) -> None:
    for name in names:
        resource = config.resources.get(name)
        if resource is None:
            out.error(f"Unknown resource {name}.", EX_DATAERR)
            continue
        if call.files.kind(resource.local) == "file":
            continue  # what a trial uses: nobody reads its metadata
        disk = _local(call, resource, out, EX_NOINPUT, writing=True)
        if disk is None:
            continue
        extentsize, mediasize = int(options.get("e") or EXTENT_BYTES), int(options.get("m") or disk.mediasize)
        if mediasize > disk.mediasize:
            out.error(f"[{name}] Provided mediasize is larger than provider {resource.local} size.", EX_DATAERR)
        elif extentsize % disk.sectorsize:
            out.error(
                f"[{name}] Extent size ({extentsize}) is not a multiple of sector size ({disk.sectorsize}).", EX_DATAERR
            )
        else:
            keepdirty = int(options.get("k") or KEEP_DIRTY)
            try:
                metadata.create(disk, name, extentsize=extentsize, keepdirty=keepdirty, mediasize=mediasize)
            except OSError as problem:
                out.error(f"[{name}] Unable to write metadata to {resource.local}: {error_text(problem)}.", EX_IOERR)


def _dump(call: Call, config: HastConfig, names: list[str], out: _Output) -> None:
    for name in list(config.resources) if names == ["all"] else names:
        resource = config.resources.get(name)
        if resource is None:
            out.error(f"Unknown resource {name}.", EX_DATAERR)
            continue
        disk = _local(call, resource, out, 255, writing=False)
        if disk is None:
            continue
        try:
            found = metadata.read(disk)
        except NoMetadata:
            out.error(f"Unable to read metadata from {resource.local}: No such file or directory.", 255)
        except InvalidMetadata:
            out.error(f"Metadata read from {resource.local} is invalid: Invalid argument.", 255)
        except OSError as problem:
            out.error(f"Unable to read metadata from {resource.local}: {error_text(problem)}.", 255)
        else:
            if found.resource != name:
                out.error(f"Provider {resource.local} is not part of resource {name}.", 255)
                continue
            out.say(f"resource: {name}")
            out.say(f"    datasize: {found.datasize} ({humanize_number(found.datasize)}B)")
            out.say(f"    extentsize: {found.extentsize} ({humanize_number(found.extentsize)}B)")
            out.say(f"    keepdirty: {found.keepdirty}")
            out.say(f"    localoff: {found.offset}")
            out.say(f"    resuid: {found.resuid}")
            out.say(f"    localcnt: {found.localcnt}")
            out.say(f"    remotecnt: {found.remotecnt}")
            out.say(f"    prevrole: {found.prevrole}")


@command("hastd")
async def hastd(call: Call) -> Result:
    """Start the daemon; -c FILE, -P FILE, -d as on FreeBSD; with -F a trial of it (`hast.trial`)."""
    path = CONFIG_PATH
    rest = list(call.argv)
    while rest:
        word = rest.pop(0)
        if word == "-c" and rest:
            path = rest.pop(0)
        elif word == "-P" and rest:
            rest.pop(0)
        elif word not in ("-d", "-dd", "-F", "-h"):
            return Result("", "usage: hastd [-dFh] [-c config] [-P pidfile]\n", EX_USAGE)
    if "-F" in call.argv:
        return await _foreground(call, path)
    stdout, stderr, status = call.machine.hast.start(path)
    return Result(stdout, stderr, status)


async def _foreground(call: Call, path: str) -> Result:
    """A hastd that is tried, until somebody ends it."""
    hast, kernel = call.machine.hast, call.machine.kernel
    try:
        config = hast.read_config(path)
        if not kernel.has_module("g_gate"):
            kernel.load("geom_gate")
    except (ConfigError, KernelError) as error:
        return Result("", f"[ERROR] {error}\n", 71)
    hast.trial = Trial(config, connects(call.machine), call.process.pid)
    call.files.make_node(config.control, "socket", mode=0o755)
    try:
        while True:
            await pause(call, 1.0)
    finally:
        call.files.remove_node(config.control)
        hast.trial = None
