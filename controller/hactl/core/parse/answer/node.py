"""A probe's answer as NodeFacts: each section to its parser, each odd section to Unknown.

Rules: nothing here raises but for an answer without any frame of ours; one odd section spoils one field; a section
that was lost is Unknown, never empty; raw text of what was not understood is kept without keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from hactl.core.cluster import Cluster
from hactl.core.facts import (
    Connects,
    Device,
    Hastd,
    HastMetadata,
    HastResource,
    HookFacts,
    Interface,
    Known,
    NodeFacts,
    NoMetadata,
    Reading,
    System,
    Unknown,
)
from hactl.core.parse import hastctl, kernel, rc
from hactl.core.parse.answer.boot import read_boot, read_files, read_services
from hactl.core.parse.answer.disks import read_device, read_gate, read_mounts, read_pools
from hactl.core.parse.answer.frames import FRAME, Section, split_frames
from hactl.core.parse.answer.memory import remember
from hactl.core.parse.answer.processes import Process, parse_processes
from hactl.core.parse.answer.reading import Reader, then
from hactl.core.parse.answer.standing import read_devd, read_free, read_listening, read_refused
from hactl.core.parse.answer.stat import Stat, read_stats
from hactl.core.parse.hook import read_hook
from hactl.core.parse.ifconfig import parse_ifconfig
from hactl.core.parse.question import DECIDING, EVERYTHING, Answered, Part, Question
from hactl.core.parse.text import Failed, NotUnderstood, number

T = TypeVar("T")
_CARP = "net.inet.carp."
#: `kern.osreldate` from which hastd has to be tried: the unix sockets of 15.0 are others (docs/freebsd-facts.md#7.18).
FIRST_TO_TRY = 1500000
HASTD = "/sbin/hastd"
#: What the kernel log tells: demotions, and the last state changes.
_Log = tuple[tuple[tuple[int, int, str], ...], tuple[str, ...]]


#: Part -> the fields that only its sections fill. Services, files and notes see to themselves.
_FIELDS: Mapping[Part, tuple[str, ...]] = {
    Part.CARP: ("interfaces",),
    Part.STORAGE: ("hastd", "resources", "metadata", "devices", "hast_devices", "mounts", "pools"),
    Part.SERVICES: ("devd",),
    Part.STANDING: ("listening", "refused", "free"),
    Part.LOG: ("carp_counters", "demotions", "carp_log"),
}


def parse_probe(
    cluster: Cluster,
    node: str,
    text: str,
    *,
    nonce: str,
    seen_at: float,
    salt: bytes,
    question: Question = EVERYTHING,
) -> Answered:
    """What one probe of one node told. `seen_at`: monotonic seconds; `salt`: what keys are fingerprinted with.

    What the `question` leaves out is taken from what the node told last, with the age it has. The whole is as old as
    the oldest of what decides. Raises ValueError when the text has no frame of ours at all.
    """
    frames = split_frames(text, nonce)
    reader = Reader(cluster, node, frames, f"{FRAME} {nonce}", seen_at, salt, question)
    facts = read_facts(reader)
    before = question.before
    if before is not None:
        facts = _with_old(facts, before, question)
    fits = _names(facts) == _names(before or facts)
    return Answered(facts, remember(reader, facts), complete=frames.complete and fits)


def _names(facts: NodeFacts) -> frozenset[str] | None:
    """Of its interfaces: boot configuration is read with them."""
    return frozenset(facts.interfaces.value) if isinstance(facts.interfaces, Known) else None


def _with_old(facts: NodeFacts, before: NodeFacts, question: Question) -> NodeFacts:
    """With what the question left out as it was."""
    old: dict[str, Any] = {}
    for part, names in _FIELDS.items():
        if part not in question.parts:
            old |= {name: getattr(before, name) for name in names}
    if Part.STORAGE not in question.parts and isinstance(before.modules, Known):
        known = before.modules.value
        old["modules"] = then(facts.modules, lambda modules: {**known, **modules})
    if not question.parts >= DECIDING:
        old["seen_at"] = min(before.seen_at, facts.seen_at)
    return replace(facts, **old)


def read_facts(reader: Reader) -> NodeFacts:
    """What the sections of one answer say."""
    storages = reader.storages
    sysctls = reader.read("sysctl", _sysctls)
    interfaces = reader.read("ifconfig", lambda s: _interfaces(reader, s))
    empty: _Log = ((), ())
    log = _while_loaded(reader, "dmesg", sysctls, lambda s: kernel.parse_carp_log(s.text), empty)
    resources = _resources(reader)
    metadata = {spec.name: _metadata(reader, index) for index, spec in enumerate(storages)}
    mounts = read_mounts(reader)
    devices = {
        spec.hast.devices[reader.node]: read_device(reader, index, spec, metadata[spec.name], resources, mounts)
        for index, spec in enumerate(storages)
    }
    files = reader.read("bootfiles", lambda s: rc.parse_boot_files(reader.good(s)))
    variables = reader.read("rc", lambda s: rc.parse_variables(s.text, reader.mark))
    boot = read_boot(reader, files, variables, interfaces)
    stats = read_stats(reader)
    hook = read_hook(reader, stats)
    pools = read_pools(reader)
    return NodeFacts(
        node=reader.node,
        seen_at=reader.seen_at,
        system=_system(reader, sysctls, files),
        interfaces=interfaces,
        modules=_modules(reader, sysctls, resources),
        carp_sysctls=then(sysctls, _carp_numbers),
        carp_counters=_while_loaded(reader, "netstat", sysctls, lambda s: kernel.parse_netstat_carp(s.text), {}),
        demotions=then(log, lambda found: found[0]),
        hastd=_hastd(reader),
        resources=resources,
        metadata={
            spec.name: _or_blank(metadata[spec.name], devices[spec.hast.devices[reader.node]]) for spec in storages
        },
        devices=devices,
        hast_devices={spec.name: read_gate(reader, index, spec, mounts, pools) for index, spec in enumerate(storages)},
        mounts=mounts,
        pools=pools,
        services=read_services(reader, files, variables),
        boot=boot,
        files=read_files(reader, files, stats),
        notes=reader.notes(),
        carp_log=log.value[1] if isinstance(log, Known) else (),
        hook=hook,
        connects=_connects(reader, sysctls, stats, hook),
        devd=read_devd(reader),
        listening=read_listening(reader),
        refused=read_refused(reader),
        free=read_free(reader),
    )


def _or_blank(
    metadata: Reading[HastMetadata | NoMetadata], device: Reading[Device]
) -> Reading[HastMetadata | NoMetadata]:
    """hastctl dump needs the resource in hast.conf; a first MiB of zeros holds no metadata either way."""
    if isinstance(metadata, Unknown) and isinstance(device, Known) and device.value.blank:
        return Known(NoMetadata.ABSENT, device.seen_at)
    return metadata


def _interfaces(reader: Reader, section: Section) -> dict[str, Interface]:
    who = reader.read("who", _who)
    if isinstance(who, Known) and who.value != 0:
        # Without this every key would read as "no key set".
        raise Failed("the login is not root: ifconfig shows no keys")
    return parse_ifconfig(reader.good(section), reader.fingerprint)


def _sysctls(section: Section) -> dict[str, str]:
    # With -i an unknown name is no failure: carp's sysctls are missing only because the module is.
    if section.status != 0:
        raise Failed(f"sysctl failed with exit status {section.status}")
    values = kernel.parse_sysctl(section.text)
    if "kern.ostype" not in values:
        raise NotUnderstood("sysctl does not say kern.ostype")
    return values


def _system(reader: Reader, sysctls: Reading[dict[str, str]], boot: Reading[rc.BootFiles]) -> Reading[System]:
    if reader.uname is not None:
        who = reader.read("who", _who)
        uid = who.value if isinstance(who, Known) else -1
        return reader.known(System(reader.uname, 0, "", "", "", 0, 0, uid))
    if isinstance(sysctls, Unknown):
        return sysctls
    values = sysctls.value
    release = _release(reader, boot) or values.get("kern.osrelease", "")

    def build(section: Section) -> System:
        uid = _who(section)
        missing = [name for name in ("kern.osreldate", "kern.hostname", "kern.boottime") if name not in values]
        if missing:
            raise NotUnderstood(f"sysctl does not say {missing[0]}")
        return System(
            sysname=values["kern.ostype"],
            osreldate=number(values["kern.osreldate"], "kern.osreldate"),
            release=release,
            hostname=values["kern.hostname"],
            hostuuid=values.get("kern.hostuuid", ""),
            boot_epoch=kernel.parse_boottime(values["kern.boottime"]),
            securelevel=number(values.get("kern.securelevel", "-1"), "kern.securelevel"),
            uid=uid,
        )

    return reader.read("who", build)


def _release(reader: Reader, boot: Reading[rc.BootFiles]) -> str:
    """`freebsd-version -u`; empty when it was not found."""
    if isinstance(boot, Known):
        return boot.value.release
    before = reader.before.system if reader.before is not None and not reader.reads_files else None
    return before.value.release if isinstance(before, Known) else ""


def _who(section: Section) -> int:
    words = section.text.split()
    if len(words) != 1:
        raise NotUnderstood("not a uid")
    return number(words[0], "a uid")


def _modules(
    reader: Reader, sysctls: Reading[dict[str, str]], resources: Reading[Mapping[str, HastResource]]
) -> Reading[Mapping[str, bool]]:
    """carp: its sysctls exist only while it is loaded. g_gate: hastd does not run without it."""
    if isinstance(sysctls, Unknown):
        return sysctls
    modules = {"carp": any(name.startswith(_CARP) for name in sysctls.value)}
    listed = reader.frames.sections.get("list")
    if isinstance(resources, Known) and listed is not None and listed.status == 0:
        modules["g_gate"] = True
    for name in ("g_gate", "zfs"):
        loaded = reader.read(name, lambda s: kernel.parse_kldstat(s.status, s.text))
        if isinstance(loaded, Known):
            modules[name] = loaded.value
    return reader.known(modules)


def _while_loaded(
    reader: Reader, name: str, sysctls: Reading[dict[str, str]], parse: Callable[[Section], T], without: T
) -> Reading[T]:
    """A section the probe asks for only while the carp module is loaded."""
    if isinstance(sysctls, Unknown):
        return sysctls
    if not any(key.startswith(_CARP) for key in sysctls.value):
        return reader.known(without)
    return reader.read(name, parse)


def _hastd(reader: Reader) -> Reading[Hastd]:
    listed = reader.frames.sections.get("list")
    pidfile = reader.frames.sections.get("hastpid")
    noted = pidfile.text.strip() if pidfile else ""
    pid = int(noted) if re.fullmatch(r"[0-9]{1,9}", noted) else None
    if listed is not None and listed.status == 0:
        return reader.known(Hastd(running=True, pid=pid))

    def processes(section: Section) -> Hastd:
        pids = section.text.split()
        if section.status == 1 and not pids:
            return Hastd(running=False)
        if section.status != 0 or not all(re.fullmatch(r"[0-9]{1,9}", word) for word in pids):
            raise NotUnderstood("not what pgrep prints")
        return Hastd(running=True, pid=pid if str(pid) in pids else None)

    if not reader.storages and reader.asks(Part.SERVICES):
        return then(reader.read("ps", parse_processes), _among)
    return reader.read("pgrep", processes)


def _among(processes: tuple[Process, ...]) -> Hastd:
    pids = [each.pid for each in processes if each.name == "hastd"]
    return Hastd(running=bool(pids))


def _resources(reader: Reader) -> Reading[Mapping[str, HastResource]]:
    if not reader.storages:
        return reader.known({}) if reader.uname is None else reader.missing("list")
    listed = then(reader.read("list", _list), lambda found: _with_workers(reader, found))
    if isinstance(listed, Unknown):
        hastd = _hastd(reader)
        # Without a daemon there are no roles: that is known whatever hastctl thinks of hast.conf.
        if isinstance(hastd, Known) and not hastd.value.running:
            return reader.known({})
    return listed


def _list(section: Section) -> Mapping[str, HastResource]:
    if section.status == 0:
        return hastctl.parse_list(section.text)
    error, words = hastctl.meaning(section.text)
    raise Failed(f"{error}: {words}" if words else str(error))


def _with_workers(reader: Reader, resources: Mapping[str, HastResource]) -> Mapping[str, HastResource]:
    """How long the workers run that have no device yet: what ps(1) prints of `etimes`, seconds."""
    found = dict(resources)
    for index, spec in enumerate(reader.storages):
        section = reader.frames.sections.get(f"worker.{index}")
        text = section.text.strip() if section is not None and section.status == 0 else ""
        if spec.name in found and re.fullmatch(r"[0-9]{1,9}", text):
            found[spec.name] = replace(found[spec.name], worker_seconds=int(text))
    return found


def _connects(
    reader: Reader,
    sysctls: Reading[dict[str, str]],
    stats: Reading[Mapping[str, Stat]],
    hook: Reading[HookFacts],
) -> Reading[Connects]:
    """What the last trial came to, if it was one of the hastd that is there on the release that runs."""
    if isinstance(sysctls, Unknown):
        return sysctls
    if not reader.storages or number(sysctls.value.get("kern.osreldate", "0"), "kern.osreldate") < FIRST_TO_TRY:
        return reader.known(Connects.SURE)
    if not reader.asks(Part.FILES):
        return reader.before.connects if reader.before is not None else reader.missing("stat")
    if isinstance(stats, Unknown):
        return stats
    if isinstance(hook, Unknown):
        return hook
    if HASTD not in stats.value:
        return reader.unknown(f"there is no {HASTD}")
    return reader.known(_of_trial(hook.value.tried, stats.value[HASTD], sysctls.value.get("kern.osrelease", "")))


def _of_trial(note: str, hastd: Stat, release: str) -> Connects:
    tried, _, said = note.rpartition(" ")
    if tried != f"{hastd.identity} {release}" or said not in (Connects.WORKS, Connects.NEVER):
        return Connects.UNTRIED
    return Connects(said)


def _metadata(reader: Reader, index: int) -> Reading[HastMetadata | NoMetadata]:
    reading = reader.read(f"dump.{index}", lambda s: hastctl.parse_dump(s.text, s.status))
    asked = f"dump.{index}" in reader.frames.sections or f"dump.{index}" in reader.frames.partial
    if isinstance(reading, Unknown) and not asked and reader.frames.complete and reader.uname is None:
        return reader.unknown("there is no hast.conf: hastctl cannot look")
    return reading


def _carp_numbers(values: dict[str, str]) -> Mapping[str, int]:
    """Integer sysctls of carp without the prefix."""
    return {
        name.removeprefix(_CARP): int(value)
        for name, value in values.items()
        if name.startswith(_CARP) and re.fullmatch(r"-?[0-9]{1,10}", value)
    }
