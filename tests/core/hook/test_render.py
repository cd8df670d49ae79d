"""The files of the node hook as they are rendered: settings, quoting, bounds, and that a shell reads them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hactl.core.cluster import Cluster, hooked_groups
from hactl.core.evidence.carp import advskew_ladder
from hactl.core.hook.render import (
    DEVD_RULE,
    HOOK,
    PROGRAM,
    RC_GUARD,
    RC_NODE,
    RCVAR,
    advskew_pair,
    hook_files,
    rendered,
)
from support.lab.closed_loop import EXAMPLES, example
from support.lab.pools import pool_over

Change = Callable[[dict[str, Any]], None]
NODES = [(path.stem, node.name) for path in sorted(EXAMPLES.glob("*.yaml")) for node in example(path.stem).spec.nodes]


def _cluster(name: str = "nas", change: Change | None = None) -> Cluster:
    return Cluster(example(name, change))


def _with_services(data: dict[str, Any]) -> None:
    """The firewall pair with something to move besides addresses."""
    data["spec"]["groups"][0]["services"] = [{"name": "unbound"}, {"name": "ntpd", "runOn": "All"}]


def _several(data: dict[str, Any]) -> None:
    """Two groups, three resources, every kind of filesystem, names that need quoting."""
    (files,) = data["spec"]["groups"]
    (storage,) = files["storage"]
    files["storage"] += [
        {**storage, "name": "raw", "hast": {**storage["hast"], "devices": {"nas-a": "/dev/da5", "nas-b": "/dev/da6"}}}
    ]
    del files["storage"][1]["filesystem"]
    tank = {**storage, "name": "tank", "filesystem": {"zfs": {"pool": "tank"}}}
    tank["hast"] = {**storage["hast"], "devices": {"nas-a": "/dev/da7", "nas-b": "/dev/da7"}, "timeoutSeconds": 33}
    files["services"] += [{"name": "samba_server"}]
    vips = [
        {"name": "six", "vhid": 7, "interface": "lagg0.100", "addresses": ["2001:db8::7/64"], "advbase": 2},
        {"name": "four", "vhid": 8, "interfaces": {"nas-a": "em0", "nas-b": "igb0"}, "addresses": ["192.0.2.8/24"]},
    ]
    vips[1]["advskews"] = {"nas-a": 0, "nas-b": 50}
    failover = {"policy": "Manual", "witness": ["192.0.2.1", "2001:db8::1"], "settleSeconds": 9}
    data["spec"]["groups"].append(
        {"name": "pool", "preferred": ["nas-b", "nas-a"], "failover": failover, "virtualIPs": vips, "storage": [tank]}
    )


def _text(cluster: Cluster, node: str, path: str) -> str:
    return next(file.text for file in hook_files(cluster, node) if file.path == path)


def _sh(script: str, *words: str) -> str:
    done = subprocess.run(["/bin/sh", "-c", script, "sh", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _settings(cluster: Cluster, node: str, call: str, shown: str) -> str:
    """What the settings say, asked of a shell: everything before the body, then a call and what to show."""
    program = _text(cluster, node, HOOK)
    return _sh(f'{program[: -len(PROGRAM)]}\n{call}\nprintf "%s\\n" {shown}')


@pytest.mark.parametrize(("name", "node"), NODES)
@pytest.mark.parametrize("change", [None, _with_services, _several], ids=["plain", "services", "several"])
def test_every_document_renders_what_a_shell_reads(name: str, node: str, change: Change | None, tmp_path: Path) -> None:
    """Four files or none, each sh file without a syntax error, with the modes rc(8) and devd(8) want."""
    if change is _several and name != "nas":
        change = _with_services
    cluster = _cluster(name, change)
    files = hook_files(cluster, node)
    if not hooked_groups(cluster, node):
        assert files == ()
        return
    modes = {file.path: file.mode for file in files}
    assert modes == {HOOK: 0o755, DEVD_RULE: 0o644, RC_GUARD: 0o755, RC_NODE: 0o755}
    for file in files:
        assert file.text.endswith("\n")
        assert f"Written by hactl for {node}" in file.text.splitlines()[0 if file.path == DEVD_RULE else 1]
        assert max(map(len, file.text.splitlines())) <= 400
        if file.path != DEVD_RULE:
            assert file.text.startswith("#!/bin/sh\n")
            path = tmp_path / "script"
            path.write_text(file.text)
            done = subprocess.run(["/bin/sh", "-n", path], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")


def test_a_group_of_addresses_needs_no_hook() -> None:
    """There is nothing to move that CARP does not move itself."""
    assert hook_files(_cluster("firewall"), "fw-1") == ()
    assert rendered(_cluster("firewall"), "fw-1") == ""


def test_people_see_every_file_under_its_name() -> None:
    """`hactl render NODE`."""
    text = rendered(_cluster(), "nas-b")
    assert re.findall(r"(?m)^# --- (/\S+) \(mode (\d+)\)$", text) == [
        (HOOK, "0755"),
        (DEVD_RULE, "0644"),
        (RC_GUARD, "0755"),
        (RC_NODE, "0755"),
    ]
    for file in hook_files(_cluster(), "nas-b"):
        assert file.text in text


def test_the_settings_of_a_plain_pair() -> None:
    """Each node has its peer's address, and the advskews of serving and standing by."""
    shown = '"$POLICY/$SETTLE/$WITNESSES" "$VHIDS" "$RESOURCES" "$SERVICES"'
    assert _settings(_cluster(), "nas-a", "group files", shown).splitlines() == [
        "Automatic/1/",
        "80/vtnet1/0/100/5",
        "data",
        "nfsd",
    ]
    shown = '"$PEER" "$TIMEOUT" "$KIND" "$WHERE" "$OPTIONS"'
    for node, peer in (("nas-a", "198.51.100.12"), ("nas-b", "198.51.100.11")):
        told = _settings(_cluster(), node, "resource data", shown).splitlines()
        assert told == [peer, "15", "ufs", "/data", "noatime"]


def test_the_settings_of_several_groups() -> None:
    """Each group its own policy, vhids of both families, interfaces of this node; every kind of filesystem."""
    cluster = _cluster("nas", _several)
    shown = '"$ALL_GROUPS" "$POLICY $SETTLE $WITNESSES" "$VHIDS" "$RESOURCES" "$SERVICES"'
    assert _settings(cluster, "nas-b", "group pool", shown).splitlines() == [
        "files pool",
        "Manual 9 192.0.2.1 2001:db8::1",
        "7/lagg0.100/0/100/8 8/igb0/-/-/5",
        "tank",
        "",
    ]
    assert _settings(cluster, "nas-b", "group files", '"$RESOURCES" "$SERVICES"') == "data raw\nnfsd samba_server\n"
    assert _settings(cluster, "nas-b", "resource raw", '"$KIND:$WHERE:$OPTIONS"') == "none::\n"
    assert _settings(cluster, "nas-b", "resource tank", '"$TIMEOUT:$KIND:$WHERE"') == "33:zfs:tank\n"


def test_a_pool_names_the_resources_it_stands_on() -> None:
    """At each of them, in their order; a filesystem of one resource names none."""
    cluster = _cluster("nas", pool_over("disk1", "disk2", "disk3"))
    for name in ("disk1", "disk2", "disk3"):
        shown = '"$KIND:$WHERE:$MEMBERS"'
        assert _settings(cluster, "nas-b", f"resource {name}", shown) == "zfs:storage:disk1 disk2 disk3\n"
    assert _settings(_cluster(), "nas-b", "resource data", '"$MEMBERS"') == "\n"


@pytest.mark.parametrize(("there", "whole"), [(("disk1", "disk2"), "yes"), (("disk1",), "no"), (("disk2",), "no")])
def test_a_pool_is_whole_with_the_device_of_each_resource(there: tuple[str, ...], whole: str, tmp_path: Path) -> None:
    """Whichever of them is asked about."""
    program = _text(_cluster("nas", pool_over("disk1", "disk2")), "nas-b", HOOK)
    body = re.search(r"(?ms)^whole\(\) \{.*?^\}", program)
    assert body is not None
    for name in there:
        (tmp_path / name).symlink_to("/dev/null")
    body_here = body[0].replace("/dev/hast", str(tmp_path))
    asked = f"{body_here}\nMEMBERS='disk1 disk2'\nif whole disk1; then echo yes; else echo no; fi"
    assert _sh(asked) == f"{whole}\n"


def test_services_that_run_everywhere_are_not_the_hooks() -> None:
    """runOn All has nothing to do with where the group is."""
    cluster = _cluster("firewall", _with_services)
    assert _settings(cluster, "fw-2", "group gateway", '"$SERVICES"') == "unbound\n"


def test_words_of_the_document_stay_words() -> None:
    """What a mount option or mountpoint may contain cannot end the quotes."""

    def odd(data: dict[str, Any]) -> None:
        data["spec"]["groups"][0]["storage"][0]["filesystem"]["ufs"] = {"mountpoint": "/d+a:t@a-1", "options": ["a=b"]}

    assert _settings(_cluster("nas", odd), "nas-a", "resource data", '"$WHERE" "$OPTIONS"') == "/d+a:t@a-1\na=b\n"


@pytest.mark.parametrize("node", ["nas-a", "nas-b"])
def test_the_advskews_are_those_the_planner_wants(node: str) -> None:
    """While another node serves, the planner gives this one the place after it (plan.advskews)."""
    (group,) = _cluster().groups
    other = next(name for name in group.preferred if name != node)
    assert advskew_pair(group, group.virtual_ips[0], node) == (0, advskew_ladder((other, node))[node])


def test_advskews_of_the_document_are_left_alone() -> None:
    """The hook never touches them; nor those of a group without storage that goes back by itself."""

    def own(data: dict[str, Any]) -> None:
        data["spec"]["groups"][0]["virtualIPs"][0]["advskews"] = {"nas-a": 0, "nas-b": 50}

    for cluster, node in ((_cluster("nas", own), "nas-a"), (_cluster("firewall", _with_services), "fw-1")):
        for group in cluster.groups:
            assert {advskew_pair(group, vip, node) for vip in group.virtual_ips} == {(None, None)}


def test_devd_calls_for_our_vhids_only() -> None:
    """devd's expressions are anchored; a dot of a VLAN's name is a dot."""
    rule = _text(_cluster("nas", _several), "nas-a", DEVD_RULE)
    found = re.search(r'match "subsystem"\s+"(.*)";', rule)
    assert found is not None
    for name in ("80@vtnet1", "7@lagg0.100", "8@em0"):
        assert re.fullmatch(found[1], name)
    for name in ("8@vtnet1", "7@lagg0x100", "180@vtnet1", "80@vtnet10"):
        assert not re.fullmatch(found[1], name)
    assert f'action "{HOOK} carp $subsystem $type";' in rule
    assert 'match "type"\t\t"(MASTER|BACKUP|INIT)";' in rule


def test_rc_runs_the_guard_before_the_network_and_the_rest_late() -> None:
    """rcorder(8): before any address, after hastd; at shutdown before hastd, for it stops in reverse."""
    guard, node = _text(_cluster(), "nas-a", RC_GUARD), _text(_cluster(), "nas-a", RC_NODE)
    assert "# PROVIDE: hactl_guard\n# REQUIRE: kld\n# BEFORE: netif\n" in guard
    assert "# PROVIDE: hactl_node\n# REQUIRE: hastd LOGIN\n# KEYWORD: nojail shutdown\n" in node
    for text in (guard, node):
        assert f'rcvar="{RCVAR}"' in text
        assert f': ${{{RCVAR}:="NO"}}\n' in text


def test_no_function_is_written_twice() -> None:
    """sh(1) would take the last one, and say nothing."""
    names = re.findall(r"(?m)^([a-z_]+)\(\)", PROGRAM)
    assert len(names) > 50
    assert sorted(set(names)) == sorted(names)


#: Programs that can hang, and where the body may name them without a bound of their own.
_HANGS = r"(?:hastctl (?:list|role)|service \"|rc\.d/|onest|zpool |umount |mount -t|fsck -p|ping )"


def test_whatever_can_hang_is_bounded() -> None:
    """hastctl has no timeout of its own; without --foreground timeout(1) kills daemons.

    See docs/freebsd-facts.md#trap-22.
    """
    for line in PROGRAM.splitlines():
        code = "" if line.lstrip().startswith("#") else re.sub(r'(?:say|stopped|noted) "\$1".*', "", line)
        for found in re.finditer(_HANGS, code):
            before = code[: found.start()]
            bounds = ("bounded ", "timeout --foreground -k", "rc 20 ", "rc 30 ", "rc 60 ")
            # ping(8) has a limit of its own.
            assert any(bound in before for bound in bounds) or re.match("ping .* -t [0-9] ", code[found.start() :]), (
                line
            )
        assert "timeout " not in code or re.search(r"timeout (--foreground|\$\{IN_FRONT---foreground\}) -k", code), line
        if "lockf " in code:
            assert re.search(r"lockf -k (-s )?-t [0-9]+ ", code), line


@pytest.mark.parametrize(
    "word",
    [r"umount -f", r"export -f", r"ggatel", r"fsck.* -y", r"kill\b", r"hastctl create", r"newfs", r"role init",
     r"\bpass\b", r"\[\[",
     r"(?<![/.])\blocal\b", r"\bfunction\b", r"<<<", r"\$'", r"sudo", r"seq ", r"flock", r"md5sum", r"date -d"],
)  # fmt: skip
def test_the_body_does_not_say(word: str) -> None:
    """No force, nothing that destroys, no password, nothing that only bash or GNU has: but for a node that slept."""
    code = "\n".join(line for line in PROGRAM.splitlines() if not line.lstrip().startswith("#"))
    code = re.sub(r'(?:say|stopped) "\$1.*', "", code)
    # What a node that slept goes on writing is lost: its device goes, then what was mounted on it (I2's one exception).
    code, unplug = re.subn(r"(?m)^unplug\(\) \{[\s\S]*?^\}", "", code)
    after = 'if [ -c "/dev/hast/$2" ]; then bounded 60 umount "/dev/hast/$2"; else bounded 60 umount -f "$WHERE"; fi'
    # Until it is noted what that copy is it has no role.
    fence = 'bounded $((TIMEOUT + 15)) hastctl role init "$name"'
    assert (unplug, code.count(after), code.count(fence)) == (1, 1, 1)
    code = code.replace(after, "").replace(fence, "")
    assert re.search(word, code) is None


def test_the_body_is_readable() -> None:
    """Every function says what its arguments are or takes none; lines fit a screen."""
    assert max(len(line.expandtabs(4)) for line in PROGRAM.splitlines()) <= 132
    for name, head, body in re.findall(r"(?m)^(\w+)\(\) \{(.*[^}\n]|)$((?:\n(?!\}).*)*)", PROGRAM):
        assert "#" in head or not re.search(r'"\$[1-9@]', body), f"{name} does not say what it is called with"
