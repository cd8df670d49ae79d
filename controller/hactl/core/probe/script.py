"""The probe of one node: probe.sh with a short head of settings of the document in front of it.

Rules: the one script reads everything the planner needs in one pass, and changes nothing; everything of the document is
quoted; no secrets are in it. `hactl.core.parse.parse_probe` reads the answer.
Man pages: sh(1), timeout(1), sysctl(8), ifconfig(8), hastctl(8), rc.subr(8), geom(8), diskinfo(8).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence

from hactl.core.changes.boot import mangle
from hactl.core.changes.change import STATE_DIRECTORY
from hactl.core.choices import Initialize
from hactl.core.cluster import HAST_PORT, Cluster, checks_of, interface_on, services_of
from hactl.core.hook.render import DEVD_RULE, HOOK, RC_GUARD, RC_NODE
from hactl.core.objects import StorageSpec
from hactl.core.onestatus.judge import JUDGE, question_of
from hactl.core.packaged import packaged
from hactl.core.parse.answer.boot import FILE_LIMIT
from hactl.core.parse.answer.frames import FRAME
from hactl.core.parse.answer.standing import peers_of
from hactl.core.parse.hook import RULES_LIMIT
from hactl.core.parse.question import EVERYTHING, Question
from hactl.core.script import PATH
from hactl.core.sh import quote

#: In front of what can hang: hastctl, service, disks.
BOUND = "timeout -k 1 5"
#: The probe but for the settings of a node.
PROGRAM = packaged("hactl.core.probe", "probe.sh")
#: `hactl_rival_files ROOT` sets hactl_files; `hactl_rivals ROOT FILE ...` tells of them.
RIVALS = packaged("hactl.core.probe", "rivals.sh")


def probe_script(cluster: Cluster, node: str, nonce: str, question: Question = EVERYTHING, *, root: str = "") -> str:
    """The script for `/bin/sh -s`. `root`: a directory in front of every file that is read (a jail's, a test's).

    Raises ValueError for a nonce that is not 8 to 64 letters and digits.
    """
    if not re.fullmatch(r"[A-Za-z0-9]{8,64}", nonce):
        raise ValueError("a nonce is 8 to 64 letters and digits")
    return "\n".join(
        [
            "set -u",
            "umask 077",
            f"PATH={PATH}; LC_ALL=C; export PATH LC_ALL",
            f"h_frame={quote(f'{FRAME} {nonce}')} h_root={quote(root)}",
            f"h_parts={quote(f' {_words_of(question)} ')} h_quick={int(question.quick)}",
            f"h_bound={quote(BOUND if question.bounded else '')}",
            f"h_known_files={quote(question.known.files)}",
            f"h_known_processes={quote(question.known.processes)}",
            f"h_known_services={quote(f' {known_services(cluster, question)} ')}",
            f"h_pids={quote(f' {question.known.pids} ')}",
            # How a value of rc.conf is told; a gate hides passwords.
            "h_value() { printf '%s\\n' \"$1\"; }",
            *node_settings(cluster, node),
            JUDGE,
            RIVALS,
            PROGRAM,
        ]
    )


def node_settings(cluster: Cluster, node: str) -> list[str]:
    """What the probe takes from the document, whatever a look asks: lines of sh."""
    disks = [storage for group in cluster.groups for storage in group.storage if node in storage.hast.devices]
    services, named = services_of(cluster), checks_of(cluster)
    interfaces = dict.fromkeys(interface_on(vip, node) for group in cluster.groups for vip in group.virtual_ips)
    zfs = [number for number, disk in enumerate(disks) if disk.filesystem and disk.filesystem.zfs]
    blank = [number for number, disk in enumerate(disks) if disk.hast.initialize is Initialize.IF_BLANK]
    return [
        f"h_port={HAST_PORT} h_peers={quote(' '.join(peers_of(cluster, node)))}",
        f"h_file_limit={FILE_LIMIT} h_rules_limit={RULES_LIMIT}",
        f"h_hook_files={quote(f'{HOOK} {DEVD_RULE} {RC_GUARD} {RC_NODE}')}",
        f"h_rule={DEVD_RULE} h_state={STATE_DIRECTORY} h_keeps={int(_keeps_a_file(cluster))}",
        f"h_interfaces={quote(' '.join(f'ifconfig_{mangle(name)}' for name in interfaces))}",
        # Sections of the answer are numbered: services, and disks of this node, in document order.
        f"h_numbers={_words(range(len(services)))}",
        *cases("h_service", [f"h_name={quote(name)}" for name in services]),
        f"h_checked={quote(f' {_kept_numbers(services, named)} ')}",
        *cases("h_check", [question_of(named[name]) if name in named else ":" for name in services]),
        f"h_disks={_words(range(len(disks)))} h_zfs_disks={_words(zfs)} h_blank_disks={_words(blank)}",
        *cases("h_disk", [_disk(disk, node) for disk in disks]),
    ]


def _keeps_a_file(cluster: Cluster) -> bool:
    """Whether the document leaves a whole file alone, which may be a script that acts."""
    return any(name.startswith("/") and ":" not in name for name in cluster.document.spec.keep)


def _words_of(question: Question) -> str:
    return " ".join(sorted(question.parts))


def known_services(cluster: Cluster, question: Question) -> str:
    """The numbers of the services that need not be asked while the processes are the same."""
    return _kept_numbers(services_of(cluster), question.known.services)


def _kept_numbers(services: Iterable[str], names: Container[str]) -> str:
    return " ".join(str(number) for number, name in enumerate(services) if name in names)


def _words(numbers: Iterable[int]) -> str:
    return quote(" ".join(map(str, numbers)))


def cases(function: str, lines: Sequence[str]) -> list[str]:
    """A function in sh that does the line of a number."""
    return [
        f"{function}() {{",
        'case "$1" in',
        *(f"{number}) {line} ;;" for number, line in enumerate(lines)),
        "*) ;;",
        "esac",
        "}",
    ]


def _disk(storage: StorageSpec, node: str) -> str:
    spec = storage.filesystem
    pool = spec.zfs.pool if spec and spec.zfs else ""
    return (
        f"h_name={quote(storage.name)} h_device={quote(storage.hast.devices[node])} "
        f"h_filesystem={'yes' if spec else 'no'} h_pool={quote(pool)}"
    )
