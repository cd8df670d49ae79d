"""What rc will do, from a probe's answer: services, boot configuration, the files hactl writes.

Man pages: rc.conf(5), service(8), hast.conf(5).
"""

from __future__ import annotations

import hashlib
import re

from hactl.core.cluster import interface_on
from hactl.core.facts import BootConfig, File, Interface, Known, Reading, Service, Unknown
from hactl.core.parse import rc
from hactl.core.parse.answer.frames import Section
from hactl.core.parse.answer.reading import Reader
from hactl.core.parse.text import NotUnderstood

HAST_CONF = "/etc/hast.conf"
#: More than any hast.conf that hactl could have written, bytes: the probe sends no more.
FILE_LIMIT = 262144


def read_services(
    reader: Reader, boot: Reading[rc.BootFiles], variables: Reading[dict[str, str]]
) -> dict[str, Reading[Service]]:
    """The services of the document, by name."""
    names = list(dict.fromkeys(service.name for group in reader.cluster.groups for service in group.services))
    return {name: _service(reader, index, name, boot, variables) for index, name in enumerate(names)}


def _service(
    reader: Reader, index: int, name: str, boot: Reading[rc.BootFiles], variables: Reading[dict[str, str]]
) -> Reading[Service]:
    status = reader.read(f"service.{index}", lambda s: rc.parse_service_status(s.text, s.status))
    if isinstance(status, Unknown):
        return status
    exists, running = status.value
    if not exists:
        return reader.known(Service(name, exists=False, running=False, enabled=False))
    if isinstance(boot, Known) and name in boot.value.rcvars:
        if isinstance(variables, Unknown):
            return variables
        rcvar = boot.value.rcvars[name]
        enabled = rc.checkyesno(variables.value.get(rcvar, ""))
        return reader.known(Service(name, exists=True, running=running, enabled=enabled, rcvar=rcvar))
    answer = reader.read(f"rcvar.{index}", lambda s: rc.parse_rcvar(reader.good(s)))
    if isinstance(answer, Unknown):
        return answer
    # A script without an rcvar always starts. 15.x also knows variables that enable nothing (hastd_svcj).
    variable = next((name for name in answer.value if name.endswith("_enable")), None)
    enabled = variable is None or rc.checkyesno(answer.value[variable])
    return reader.known(Service(name, exists=True, running=running, enabled=enabled, rcvar=variable))


def read_boot(
    reader: Reader,
    boot: Reading[rc.BootFiles],
    variables: Reading[dict[str, str]],
    interfaces: Reading[dict[str, Interface]],
) -> Reading[BootConfig]:
    """What rc, the loader and sysctl will do at the next boot."""
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
    spelled = {rc.mangle(name): name for name in names}
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
        ),
        reader.seen_at,
    )


def read_files(reader: Reader, boot: Reading[rc.BootFiles]) -> dict[str, Reading[File]]:
    """The files hactl writes, by path."""
    shapes = reader.read("files", _shapes)
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
    return files


def _netif(reader: Reader, shape: tuple[bool, int | None], boot: Reading[rc.BootFiles]) -> Reading[File]:
    if isinstance(boot, Unknown):
        return boot
    marks = boot.value.marks
    return Known(
        File(
            rc.NETIF,
            exists=True,
            mode=shape[1],
            is_directory=shape[0],
            block_damaged=marks not in ((), ("BEGIN", "END")),
        ),
        reader.seen_at,
    )


def _hast_conf(reader: Reader, shape: tuple[bool, int | None]) -> Reading[File]:
    if shape[0]:
        return reader.known(File(HAST_CONF, exists=True, mode=shape[1], is_directory=True))

    def build(section: Section) -> File:
        text = reader.good(section)
        if len(text) >= FILE_LIMIT:
            raise NotUnderstood("hast.conf is too large")
        # The digest is only worth something when no byte was lost on the way here.
        exact = "�" not in text
        digest = hashlib.sha256(text.encode()).hexdigest() if exact else None
        return File(HAST_CONF, exists=True, sha256=digest, mode=shape[1], text=text)

    return reader.read("hastconf", build)


def _shapes(section: Section) -> dict[str, tuple[bool, int | None]]:
    """Files that exist: path -> (is a directory, permission bits). stat(1) prints in the order of the paths."""
    lines = [line for line in section.text.split("\n") if line]
    paths = [(line[2:], line[0] == "d") for line in lines if line[:2] in ("d ", "f ")]
    modes = [line.strip() for line in lines if re.fullmatch(r"[0-7]{1,4}", line.strip())]
    if len(modes) != len(paths):
        raise NotUnderstood("not what stat prints")
    return {path: (directory, int(mode, 8)) for (path, directory), mode in zip(paths, modes, strict=True)}
