"""Every output that a real pair printed (tests/recordings) goes through the parsers and comes out as it was.

Outputs are found by their shape, not by the command, so that compound commands are covered too; what was parsed is
printed again by the small renderers here and compared with the recording, line by line.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hactl.core.facts import HastMetadata, HastRole, Interface, NoMetadata
from hactl.core.parse import hastctl, kernel, rc, storage
from hactl.core.parse.hastconf import HastConf, HastConfError, parse_hastconf
from hactl.core.parse.ifconfig import parse_ifconfig
from hactl.core.parse.text import Failed, NotUnderstood
from support.node_sh import judged

RECORDINGS = sorted((Path(__file__).parents[2] / "recordings").glob("*.json"))


@dataclass(frozen=True)
class Recorded:
    """One recorded command."""

    where: str
    command: str
    status: int
    stdout: str
    stderr: str


def _steps() -> Iterator[Recorded]:
    for path in RECORDINGS:
        for number, step in enumerate(json.loads(path.read_text())["steps"]):
            if "command" in step:
                where = f"{path.stem}[{number}]"
                yield Recorded(where, step["command"], step["exit"], step["stdout"], step["stderr"])


STEPS = list(_steps())


def _blocks(pattern: str) -> list[tuple[str, str]]:
    found = [
        (recorded.where, match[0])
        for recorded in STEPS
        for match in re.finditer(pattern, recorded.stdout, re.MULTILINE)
    ]
    assert found, f"no recording has {pattern}"
    return found


def _key(text: str) -> str:
    return f"key of {text}"


# --- ifconfig -----------------------------------------------------------------------------------------------------


def _shown(interface: Interface) -> set[str]:
    """The lines of ifconfig that our facts determine."""
    lines = set()
    for address in interface.addresses:
        vhid = f" vhid {address.vhid}" if address.vhid is not None else ""
        if "." in address.ip:
            network = ipaddress.ip_interface(address.cidr).network
            cast = "" if address.ip == "127.0.0.1" else f" broadcast {network.broadcast_address}"
            lines.add(f"\tinet {address.ip} netmask 0x{int(network.netmask):08x}{cast}{vhid}")
        else:
            zone = f"%{interface.name}" if address.ip.startswith("fe80") else ""
            flags = "".join(f" {flag}" for flag in sorted(address.flags))
            lines.add(f"\tinet6 {address.ip}{zone} prefixlen {address.prefix_length}{flags}{vhid}")
    for vhid_ in interface.vhids:
        key = f' key "{vhid_.key.removeprefix("key of ")}"' if vhid_.key else ""
        lines.add(f"\tcarp: {vhid_.state} vhid {vhid_.vhid} advbase {vhid_.advbase} advskew {vhid_.advskew}{key}")
    if interface.ether:
        lines.add(f"\tether {interface.ether}")
    if interface.status:
        lines.add(f"\tstatus: {interface.status}")
    if interface.media:
        lines.add(f"\tmedia: {interface.media}")
    if interface.groups:
        lines.add(f"\tgroups: {' '.join(sorted(interface.groups))}")
    return lines


IFCONFIG = r"^(?:[a-z]+[0-9]+: flags=.*\n(?:\t.*\n)*?\tnd6 options=.*\n)+"


@pytest.mark.parametrize(("where", "text"), _blocks(IFCONFIG))
def test_recorded_interfaces_are_read_completely(where: str, text: str) -> None:
    """Each address, vhid, key, link state and group of ifconfig is in the facts, and nothing else is."""
    interfaces = parse_ifconfig(text, _key)
    assert list(interfaces) == re.findall(r"(?m)^(\S+): flags", text)
    ours = {
        re.sub(r" scopeid 0x\w+", "", line) for line in text.splitlines() if not re.search(r"options=|: flags", line)
    }
    assert set().union(*(_shown(interface) for interface in interfaces.values())) == ours
    for name, flags, mtu in re.findall(r"(?m)^(\S+): flags=\w+<(\S+)> metric 0 mtu (\d+)$", text):
        assert interfaces[name].flags == set(flags.split(","))
        assert interfaces[name].mtu == int(mtu)


@pytest.mark.parametrize(
    ("where", "text"), [(s.where, s.stdout) for s in STEPS if re.match(r"ifconfig vtnet1 \| grep", s.command)]
)
def test_recorded_carp_lines_are_read(where: str, text: str) -> None:
    """Lines that were cut out with grep are understood below any interface."""
    lines = [line for line in text.splitlines() if re.match(r"\t(carp:|inet|status)", line)]
    interface = parse_ifconfig("vtnet1: flags=8963<UP> metric 0 mtu 1500\n" + "\n".join(lines), _key)["vtnet1"]
    assert len(interface.vhids) == sum(line.startswith("\tcarp:") for line in lines)
    assert {re.sub(r" scopeid 0x\w+", "", line) for line in lines} == _shown(interface)


@pytest.mark.parametrize(
    "recorded", [s for s in STEPS if s.stderr.startswith("ifconfig: ")], ids=lambda recorded: recorded.where
)
def test_recorded_errors_of_ifconfig_are_no_interfaces(recorded: Recorded) -> None:
    """An error of ifconfig is refused, never read as a node without interfaces."""
    with pytest.raises(NotUnderstood):
        parse_ifconfig(recorded.stderr, _key)


# --- hastctl ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("where", "text"), _blocks(r"^\S+:\n  role: .*\n(?:  .*\n)+"))
def test_recorded_lists_are_read(where: str, text: str) -> None:
    """Every field of hastctl list that the facts keep is the one printed."""
    (resource,) = hastctl.parse_list(text).values()
    human = dict(re.findall(r"  (extentsize|dirty): \d+ (\(\S+\))", text))
    expected = [
        f"{resource.name}:",
        f"  role: {resource.role}",
        f"  provname: {resource.provname}",
        f"  localpath: {resource.localpath}",
        f"  extentsize: {resource.extentsize} {human['extentsize']}",
        f"  keepdirty: {resource.keepdirty}",
        f"  remoteaddr: {resource.remoteaddr}",
        f"  replication: {resource.replication}",
        *([f"  status: {resource.status}"] if resource.status else []),
        *([f"  workerpid: {resource.workerpid}"] if resource.workerpid else []),
        f"  dirty: {resource.dirty} {human['dirty']}",
    ]
    assert expected == text.partition("  statistics:")[0].splitlines()
    assert f"    writes: {resource.writes}\n" in text
    assert resource.local_errors == 0


@pytest.mark.parametrize(("where", "text"), _blocks(r"^resource: .*\n(?:    \w+: .*\n)+"))
def test_recorded_dumps_are_read(where: str, text: str) -> None:
    """Metadata prints again as it was."""
    found = hastctl.parse_dump(text, 0)
    assert isinstance(found, HastMetadata)
    human = dict(re.findall(r"    (\w+): \d+ (\(\S+\))", text))
    again = f"resource: {found.resource}\n"
    for name in ("datasize", "extentsize", "keepdirty", "localoff", "resuid", "localcnt", "remotecnt", "prevrole"):
        again += f"    {name}: {getattr(found, name)}" + (f" {human[name]}" if name in human else "") + "\n"
    assert again == text


MEANINGS = {
    "Unable to open configuration file": hastctl.HastError.NO_CONFIG,
    "No resource data configuration for this node": hastctl.HastError.NOT_FOR_THIS_NODE,
    "Unable to parse configuration file": hastctl.HastError.BAD_CONFIG,
    "Unable to connect to hastd": hastctl.HastError.NOT_RUNNING,
    "cannot receive reply": hastctl.HastError.NO_REPLY,
    "Received error 1": hastctl.HastError.UNKNOWN_RESOURCE,
    "Unknown resource": hastctl.HastError.UNKNOWN_RESOURCE,
    "usage: hastctl": hastctl.HastError.OTHER,
}


@pytest.mark.parametrize(
    "recorded", [s for s in STEPS if "hastctl" in s.command and s.stderr], ids=lambda recorded: recorded.where
)
def test_recorded_errors_of_hastctl_have_their_meaning(recorded: Recorded) -> None:
    """Each error text of the recordings is understood for what it is; metadata errors name what is on the disk."""
    if "Unable to read metadata" in recorded.stderr:
        assert hastctl.parse_dump(recorded.stderr, recorded.status) is NoMetadata.ABSENT
        return
    expected = [meaning for text, meaning in MEANINGS.items() if text in recorded.stderr]
    if expected:
        assert hastctl.meaning(recorded.stderr)[0] is expected[0]
        with pytest.raises(Failed):
            hastctl.parse_dump(recorded.stderr, recorded.status)
    else:
        # The error of another command of a compound line.
        assert re.match(r"(ls|umount|kldunload): ", recorded.stderr)


def test_recorded_unknown_resource_is_no_resource() -> None:
    """`error: 1` in a list is a resource hastd does not have."""
    (recorded,) = [s for s in STEPS if s.command.startswith("hastctl list nosuch")]
    assert hastctl.parse_list(recorded.stdout) == {}


# --- the kernel ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recorded", [s for s in STEPS if re.match(r"sysctl (?!-n)", s.command)], ids=lambda recorded: recorded.where
)
def test_recorded_sysctls_are_read(recorded: Recorded) -> None:
    """`name: value` and `name: old -> new`; unknown oids have no value."""
    values = kernel.parse_sysctl(recorded.stdout + recorded.stderr)
    shown = [line.partition(": ") for line in recorded.stdout.splitlines()]
    assert values == {name: value.rpartition(" -> ")[2] for name, _, value in shown}
    assert kernel.parse_sysctl(recorded.stderr) == {}
    if recorded.status:
        assert not values


@pytest.mark.parametrize(
    "recorded", [s for s in STEPS if "kern.boottime" in s.command], ids=lambda recorded: recorded.where
)
def test_recorded_boot_times_are_read(recorded: Recorded) -> None:
    """The seconds of kern.boottime."""
    (line,) = [line for line in recorded.stdout.splitlines() if line.startswith("{ sec")]
    assert kernel.parse_boottime(line) == int(line.split()[3].rstrip(","))


def _json_counters(recorded: Recorded) -> list[int]:
    return list(json.loads(recorded.stdout)["statistics"]["carp"].values())


def test_recorded_netstat_counters_are_read() -> None:
    """All 13 counters; the JSON form of the same moment has the same numbers; no module, no counters."""
    text = [s for s in STEPS if s.command == "netstat -s -p carp"]
    for recorded in text:
        counters = kernel.parse_netstat_carp(recorded.stdout)
        assert [f"{count} {name}" for name, count in counters.items()] == [
            line.strip() for line in recorded.stdout.splitlines()[1:]
        ]
    (as_json,) = [s for s in STEPS if "netstat" in s.command and "--libxo" in s.command]
    assert list(kernel.parse_netstat_carp(text[1].stdout).values()) == _json_counters(as_json)
    bad = [kernel.parse_netstat_carp(s.stdout).get("discarded for bad authentication") for s in text]
    assert bad == [None, 0, 5, 9]


@pytest.mark.parametrize(
    "recorded", [s for s in STEPS if s.command.startswith("kldstat -q")], ids=lambda recorded: recorded.where
)
def test_recorded_modules_are_read(recorded: Recorded) -> None:
    """kldstat -q says it with its status."""
    assert kernel.parse_kldstat(recorded.status, recorded.stdout + recorded.stderr) is (recorded.status == 0)


@pytest.mark.parametrize("recorded", [s for s in STEPS if "dmesg" in s.command], ids=lambda recorded: recorded.where)
def test_recorded_kernel_logs_are_read(recorded: Recorded) -> None:
    """Every demotion and every state change of the log, in order."""
    demotions, changes = kernel.parse_carp_log(recorded.stdout)
    lines = [line for line in recorded.stdout.splitlines() if line.startswith("carp: ")]
    assert [f"carp: demoted by {by} to {to} ({why})" for by, to, why in demotions] == [
        line for line in lines if "demoted" in line
    ]
    assert [f"carp: {change}" for change in changes] == [line for line in lines if "->" in line][-kernel.LOG_LIMIT :]


# --- services, mounts, disks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recorded",
    [s for s in STEPS if re.fullmatch(r"service \S+ (one)?status", s.command)],
    ids=lambda recorded: recorded.where,
)
def test_recorded_service_states_are_read(recorded: Recorded) -> None:
    """Running, not running, no such script; and `status` of a disabled service says nothing."""
    runs = judged(recorded.stdout, recorded.status)
    if recorded.stdout.startswith("Cannot"):
        with pytest.raises(Failed):
            rc.parse_service_status(recorded.stdout, recorded.status, runs)
        return
    service = rc.parse_service_status(recorded.stdout, recorded.status, runs)
    assert service.exists is ("does not exist" not in recorded.stdout)
    assert service.running is ("is running as pid" in recorded.stdout)


def test_recorded_mounts_are_read() -> None:
    """Every row of mount; the JSON form of the same moment has the same mounts."""
    row = r"^\S+ on \S+ \(.*\)$"
    seen = 0
    for recorded in STEPS:
        lines = re.findall(row, recorded.stdout, re.MULTILINE)
        for line in lines:
            (mount,) = storage.parse_mount(line)
            fstype, *options = line.partition("(")[2].rstrip(")").split(", ")
            assert line.startswith(f"{mount.special} on {mount.node} ({mount.fstype}")
            assert mount.fstype == fstype
            assert mount.options == set(options)
            seen += 1
    assert seen == 10
    (text,) = [s.stdout for s in STEPS if s.command == "mount"]
    (as_json,) = [s.stdout for s in STEPS if s.command == "mount --libxo json"]
    assert [
        {"special": m.special, "node": m.node, "fstype": m.fstype, **({"opts": sorted(m.options)} if m.options else {})}
        for m in storage.parse_mount(text)
    ] == json.loads(as_json)["mount"]["mounted"]


# --- files --------------------------------------------------------------------------------------------------------


def _heredocs() -> list[tuple[str, str]]:
    return [(s.where, m[1]) for s in STEPS for m in re.finditer(r"<<'EOT'\n(.*?)EOT\n", s.command, re.DOTALL)]


@pytest.mark.parametrize(("where", "text"), _heredocs())
def test_recorded_hast_confs_are_read(where: str, text: str) -> None:
    """Every hast.conf of the recordings is understood, with the disks and peers it names."""
    conf = parse_hastconf(text)
    assert isinstance(conf, HastConf)
    for resource in conf.resources.values():
        for on in resource.nodes.values():
            assert f"\t\tlocal {on.local}\n" in text
            assert on.remote is not None
            assert f"\t\tremote {on.remote.removesuffix(':8457')}\n" in text


def test_recorded_broken_hast_confs_are_refused_in_hastds_words() -> None:
    """The same line number and word as hastd itself names."""
    broken = "resource data {\n on nas-a {\n local /dev/vtbd1\n bogus 1\n }\n}\n"
    (recorded,) = [s for s in STEPS if "bogus 1" in s.command]
    error = parse_hastconf(broken)
    assert isinstance(error, HastConfError)
    assert f"[ERROR] {error}" == recorded.stderr.splitlines()[0]


def test_recorded_rc_conf_alias_is_read() -> None:
    """The alias of recording 08 and 09, with `alias` among its words."""
    (recorded,) = [s for s in STEPS if s.command == "cat /etc/rc.conf" and "alias0" in s.stdout]
    variables = dict(re.findall(r'(?m)^(\w+)="(.*)"$', recorded.stdout))
    (alias,) = rc.carp_aliases(variables, ["vtnet0", "vtnet1", "vtnet2"], {}, _key).entries
    assert (alias.interface, alias.ip, alias.prefix_length, alias.vhid) == ("vtnet1", "192.0.2.80", 24, 80)
    assert (alias.advskew, alias.advbase, alias.key, alias.unknown_words) == (100, None, "key of s3cret", ())


def test_recorded_sysctl_conf_and_loader_conf_are_read() -> None:
    """What recording 07 wrote for the next boot."""
    (sysctl_conf,) = [s for s in STEPS if s.command.endswith("cat /etc/sysctl.conf") and "echo" in s.command]
    pairs = [pair for line in sysctl_conf.stdout.splitlines() if (pair := rc.parse_sysctl_conf_line(line))]
    assert pairs == [("net.inet.carp.preempt", "1")]
    loader = [s for s in STEPS if s.command == "cat /boot/loader.conf"][-1]
    assert [rc.parse_loader_line(line, "carp_load") for line in loader.stdout.splitlines()] == [None, "YES"]


# --- nothing is left out ------------------------------------------------------------------------------------------

#: Outputs of these words are read by the tests above.
READ = [
    IFCONFIG,
    r"^\t(carp:|inet6? |status:).*$",
    r"^\S+:\n  role: .*\n(?:  .*\n)+",
    r"^nosuch:\n  error: 1$",
    r"^resource: .*\n(?:    \w+: .*\n)+",
    r"^[a-z0-9_.]+: -?\d+(?: -> -?\d+)?$",
    r"^\{ sec = .*$",
    r"^carp:\n(?:\t.*\n)+",
    r"^\S+ on \S+ \(.*\)$",
    r"^\S+ is (?:not )?running.*$",
    r"^Cannot '.*$",
    r"^\S+ does not exist in .*\n.*$",
    r"^\{\"(?:mount|statistics)\".*$",
]
#: What else stands in those outputs: other commands of a compound line, tables that hactl asks for in another form, and
#: what services say while they change.
OTHERS = [
    r"^Name\tStatus.*\n(?:\S+\t.*\n)*|^Id Refs .*\n(?: .*\n)+",
    r"^(?:\w{3} \d+ [\d:]+ \S+ .*|-?\d+|waited .*|data|\.snap|blob2?|one|two|reload-exit 0|total \d+)$",
    r"^[cd-][r-][w-].*$",
    r"^(?:Starting|Stopping) .*$|^Waiting for PIDS.*$",
    r"^/dev/hast/data: .*$|^SHA256 .*$|^\d.* (?:records|bytes) .*$|^Filesystem .*$|^/dev/hast/data +\d.*$",
    r"^!system=.*$|^(?:arp|UFS|vtnet\d|lo0|in_scrubprefix): .*$|^carp: .*$",
    r"^vtnet0 vtnet1 vtnet2 lo0$|^  replication: fullsync$|^ ?\d+:\d+[AP]M .*$|^13\.2-RELEASE$|^[0-9a-f-]{36}$",
    # Single lines that grep left of hastctl's, routes, and words of the scripts that were recorded.
    r"^ {2,4}(?:role|keepdirty|status|dirty|localcnt|remotecnt|prevrole): .*$",
    r"^Routing tables$|^Internet:$|^Destination .*$|^[\d./]+ +\S+ +U\S* .*$|^(?:add|delete) host .*$",
    r"^ls: .*$|^(?:soon|stalled|reconnected|within a second and a half)$",
    r"^#.*$|^net\.inet\.carp\.preempt=1$",
    r"^(?:resource .*|\t+.*|\}| *PID PPID COMMAND| *\d+ .*)$",
]
WORDS = r"\b(ifconfig|hastctl|sysctl|kldstat|service|mount|netstat)\b"


@pytest.mark.parametrize(
    "recorded", [s for s in STEPS if s.stdout and re.search(WORDS, s.command)], ids=lambda recorded: recorded.where
)
def test_no_recorded_output_is_left_unread(recorded: Recorded) -> None:
    """Whatever ifconfig, hastctl, sysctl, kldstat, service, mount and netstat printed is covered by a test above."""
    rest = recorded.stdout
    for pattern in [*READ, *OTHERS]:
        rest = re.sub(pattern, "", rest, flags=re.MULTILINE)
    if re.match(r"(service -e|kldload|ls|cat)\b", recorded.command):
        return
    assert rest.strip() == ""


def test_roles_are_those_of_the_recordings() -> None:
    """All three roles occur, so a renamed one would be noticed."""
    seen = {
        resource.role
        for _, text in _blocks(r"^\S+:\n  role: .*\n(?:  .*\n)+")
        for resource in hastctl.parse_list(text).values()
    }
    assert seen == set(HastRole)
