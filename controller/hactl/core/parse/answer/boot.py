"""What rc will do, from a probe's answer: services, boot configuration, the files hactl writes.

Man pages: rc.conf(5), service(8), hast.conf(5).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace

from hactl.core.changes.boot import mangle
from hactl.core.cluster import checks_of, interface_on, services_of
from hactl.core.facts import BootConfig, File, Interface, Known, Reading, Service, Unknown
from hactl.core.onestatus.judge import shown
from hactl.core.parse import rc
from hactl.core.parse.answer.frames import Section
from hactl.core.parse.answer.reading import Reader, then
from hactl.core.parse.answer.stat import Stat
from hactl.core.parse.question import Part
from hactl.core.parse.text import NotUnderstood

HAST_CONF = "/etc/hast.conf"
#: More than any hast.conf that hactl could have written, bytes: the probe sends no more.
FILE_LIMIT = 262144


def read_services(
    reader: Reader, boot: Reading[rc.BootFiles], variables: Reading[dict[str, str]]
) -> dict[str, Reading[Service]]:
    """The services of the document, and those that left it, by name: which run, and which start at boot."""
    found = _services(reader, boot, variables)
    for name, service in found.items():
        if isinstance(service, Known) and service.value.off:
            reader.note(f"{name} runs; of its daemons {', '.join(service.value.off)} does not")
    return found


def _services(
    reader: Reader, boot: Reading[rc.BootFiles], variables: Reading[dict[str, str]]
) -> dict[str, Reading[Service]]:
    before = reader.before.services if reader.before is not None else {}
    if not reader.asks(Part.SERVICES) and not reader.reads_files:
        return dict(before)
    found = {}
    for index, name in enumerate(services_of(reader.cluster)):
        status = _status(reader, index, before.get(name))
        if reader.reads_files:
            found[name] = _service(reader, index, name, status, boot, variables)
        else:
            found[name] = _running(status, reader.of_files(before.get(name)))
    return found


def _status(reader: Reader, index: int, before: Reading[Service] | None) -> Reading[rc.ServiceStatus]:
    """Whether it exists and whether it runs."""
    name = services_of(reader.cluster)[index]
    named = checks_of(reader.cluster)
    check = shown(named[name]) if name in named else ""
    if reader.asks(Part.SERVICES) and not reader.says_same(str(index)):
        judged = reader.read(f"runs.{index}", lambda s: s.text.strip())
        if f"service.{index}" in reader.frames.sections and isinstance(judged, Unknown):
            return judged
        runs = "" if isinstance(judged, Unknown) else judged.value
        return reader.read(f"service.{index}", lambda s: rc.parse_service_status(s.text, s.status, runs, check=check))
    old = reader.again(before) if reader.asks(Part.SERVICES) else before or reader.missing(f"service.{index}")
    return then(old, lambda service: rc.ServiceStatus(service.exists, service.running, service.off))


def _running(status: Reading[rc.ServiceStatus], before: Reading[Service]) -> Reading[Service]:
    """As its script and rc.conf had it, with what it does now."""
    if isinstance(status, Unknown):
        return status
    if isinstance(before, Unknown):
        return before
    now = status.value
    if now.exists != before.value.exists:
        return Unknown("its script came or went while the files were looked at", status.seen_at)
    return Known(replace(before.value, running=now.running, off=now.off), status.seen_at)


def _service(
    reader: Reader,
    index: int,
    name: str,
    status: Reading[rc.ServiceStatus],
    boot: Reading[rc.BootFiles],
    variables: Reading[dict[str, str]],
) -> Reading[Service]:
    if isinstance(status, Unknown):
        return status
    now = status.value
    if not now.exists:
        return reader.known(Service(name, exists=False, running=False, enabled=False))
    service = Service(name, exists=True, running=now.running, enabled=False, off=now.off)
    if isinstance(boot, Known) and name in boot.value.rcvars:
        if isinstance(variables, Unknown):
            return variables
        rcvar = boot.value.rcvars[name]
        enabled = rc.checkyesno(variables.value.get(rcvar, ""))
        return reader.known(replace(service, enabled=enabled, rcvar=rcvar))
    answer = reader.read(f"rcvar.{index}", lambda s: rc.parse_rcvar(reader.good(s)))
    if isinstance(answer, Unknown):
        return answer
    # A script without an rcvar always starts. 15.x also knows variables that enable nothing (hastd_svcj).
    enabling = [variable for variable in answer.value if not variable.endswith("_svcj")]
    variable = next((each for each in enabling if each.endswith("_enable")), next(iter(enabling), None))
    enabled = variable is None or rc.checkyesno(answer.value[variable])
    return reader.known(replace(service, enabled=enabled, rcvar=variable))


def read_boot(
    reader: Reader,
    boot: Reading[rc.BootFiles],
    variables: Reading[dict[str, str]],
    interfaces: Reading[dict[str, Interface]],
) -> Reading[BootConfig]:
    """What rc, the loader and sysctl will do at the next boot."""
    if not reader.reads_files:
        return reader.of_files(reader.before.boot if reader.before is not None else None)
    if isinstance(boot, Unknown):
        return boot
    if isinstance(variables, Unknown):
        return variables
    ours = {interface_on(vip, reader.node) for group in reader.cluster.groups for vip in group.virtual_ips}
    names = ours | set(interfaces.value if isinstance(interfaces, Known) else ())
    values = variables.value
    aliases = rc.carp_aliases(values, names, boot.value.origins, reader.fingerprint)
    for variable in aliases.strangers:
        reader.note(f"{variable}: no interface has that name")
    spelled = {mangle(name): name for name in names}
    ipv6 = frozenset(name for mangled, name in spelled.items() if values.get(f"ifconfig_{mangled}_ipv6", "").strip())
    # Alias variables hold passwords, and others of ifconfig might; the rest must stay exactly what it is.
    shown = {
        name: reader.redact(value) if name.startswith("ifconfig_") else value
        for name, value in values.items()
        if not re.search(r"_alias(?:es$|[0-9])", name)
    }
    return Known(
        BootConfig(
            rc=shown,
            aliases=aliases.entries,
            scan_stops=aliases.scan_stops,
            ipv6_interfaces=ipv6,
            loader_carp=boot.value.loader_carp,
            sysctl_conf=boot.value.sysctl_conf,
            set_in={
                **{name: origin.file for name, origin in boot.value.origins.items()},
                **boot.value.sysctl_in,
            },
        ),
        reader.seen_at,
    )


def read_files(
    reader: Reader, boot: Reading[rc.BootFiles], shapes: Reading[Mapping[str, Stat]]
) -> dict[str, Reading[File]]:
    """The files hactl writes, by path."""
    if not reader.reads_files:
        before = reader.before.files if reader.before is not None else {}
        return {path: reader.of_files(file) for path, file in before.items()}
    files: dict[str, Reading[File]] = {}
    for path in (HAST_CONF, rc.NETIF) if reader.storages else (rc.NETIF,):
        if isinstance(shapes, Unknown):
            files[path] = shapes
        elif path not in shapes.value:
            files[path] = reader.known(File(path, exists=False))
        elif path == rc.NETIF:
            files[path] = _netif(reader, shapes.value[path], boot)
        else:
            files[path] = _hast_conf(reader, shapes.value[path])
    for path in boot.value.torn if isinstance(boot, Known) else ():
        read = files.get(path)
        file = read.value if isinstance(read, Known) else File(path, exists=True)
        files[path] = reader.known(replace(file, torn=True))
    return files


def _netif(reader: Reader, shape: Stat, boot: Reading[rc.BootFiles]) -> Reading[File]:
    if isinstance(boot, Unknown):
        return boot
    marks = boot.value.marks
    return Known(
        File(
            rc.NETIF,
            exists=True,
            mode=shape.mode,
            is_directory=shape.is_directory,
            block_damaged=marks not in ((), ("BEGIN", "END")),
        ),
        reader.seen_at,
    )


def _hast_conf(reader: Reader, shape: Stat) -> Reading[File]:
    if shape.is_directory:
        return reader.known(File(HAST_CONF, exists=True, mode=shape.mode, is_directory=True))

    def build(section: Section) -> File:
        text = reader.good(section)
        if len(text) >= FILE_LIMIT:
            raise NotUnderstood("hast.conf is too large")
        # The digest is only worth something when no byte was lost on the way here.
        exact = "�" not in text
        digest = hashlib.sha256(text.encode()).hexdigest() if exact else None
        return File(HAST_CONF, exists=True, sha256=digest, mode=shape.mode, text=text, torn="\0" in text)

    return reader.read("hastconf", build)
