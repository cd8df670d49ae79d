"""The probe under bashkit, the shell of the simulated nodes: on its own, and on a whole simulated pair."""

from __future__ import annotations

from dataclasses import replace

from bashkit import Bash, BuiltinContext, BuiltinResult

from hactl.core.facts import (
    CarpState,
    HastMetadata,
    HastRole,
    Known,
    NodeFacts,
    NoMetadata,
    Reading,
    Unknown,
    fingerprint,
)
from hactl.core.hastconf import render_hastconf
from hactl.core.parse import parse_probe
from hactl.core.probe.script import probe_script
from hactl.lab.machine import Machine
from support.facts.builder import nas_cluster
from support.lab.pair import Pair

NONCE = "0011223344556677"
SALT = b"salt"
KEY = "opensesame"
CLUSTER = replace(nas_cluster(), keys={("files", "files"): fingerprint(KEY, SALT)})


def read(text: str, name: str) -> NodeFacts:
    return parse_probe(CLUSTER, name, text, nonce=NONCE, seen_at=1.0, salt=SALT).facts


def value(reading: Reading[object]) -> object:
    assert isinstance(reading, Known), reading
    return reading.value


def unknown(facts: NodeFacts) -> list[str]:
    parts = {name: getattr(facts, name) for name in facts.__slots__}
    readings = {
        f"{name} {key}".strip(): reading
        for name, part in parts.items()
        for key, reading in (part.items() if isinstance(part, dict) else [("", part)])
    }
    return [name for name, reading in readings.items() if isinstance(reading, Unknown)]


def test_bashkit_alone() -> None:
    """Only what sh itself does: frames, sourcing, variables, the small files; programs that are missing are Unknown."""

    def sysctl(context: BuiltinContext) -> BuiltinResult:
        assert context.argv[0] == "-i"
        return BuiltinResult("kern.ostype: FreeBSD\nkern.osreldate: 1402000\nnet.inet.carp.preempt: 0\n", "", 0)

    shell = Bash(custom_builtins={"sysctl": sysctl})
    shell.execute_sync("mkdir -p /etc/defaults /etc/rc.d /etc/rc.conf.d/netif")
    shell.write_file("/etc/defaults/rc.conf", "kld_list=\nsource_rc_confs() { . /etc/rc.conf; }\n")
    shell.write_file("/etc/rc.conf", "kld_list='a\nb'\nhostname=\"it's $((1 + 1))\"\n")
    alias = f'ifconfig_vtnet1_alias8000="inet vhid 80 pass {KEY} 192.0.2.80/24"'
    shell.write_file("/etc/rc.conf.d/netif/ours", f"# BEGIN hactl\n{alias}\n# END hactl\n")
    shell.write_file("/etc/rc.d/nfsd", 'name="nfsd"\nrcvar="nfs_server_enable"\n')
    result = shell.execute_sync(probe_script(CLUSTER, "nas-a", NONCE))
    facts = read(result.stdout, "nas-a")
    assert KEY not in repr(facts)
    assert facts.notes == ()
    assert value(facts.carp_sysctls) == {"preempt": 0}
    boot = facts.boot
    assert isinstance(boot, Known)
    assert boot.value.rc["kld_list"] == "a\nb"
    (entry,) = boot.value.aliases
    assert (entry.managed, entry.file, entry.key) == (True, "/etc/rc.conf.d/netif/ours", fingerprint(KEY, SALT))
    assert {"system", "interfaces", "mounts", "services nfsd"} <= set(unknown(facts))


def look(pair: Pair, machine: Machine) -> NodeFacts:
    done = pair.sh(machine, probe_script(CLUSTER, machine.name, NONCE))
    assert (done.err, done.status) == ("", 0)
    return read(done.out, machine.name)


def test_a_fresh_simulated_pair() -> None:
    """Both machines as installed: everything is known, disks are blank and unused."""
    pair = Pair()
    for machine in (pair.a, pair.b):
        facts = look(pair, machine)
        assert unknown(facts) == []
        device = facts.devices["/dev/vtbd1"]
        assert isinstance(device, Known)
        assert (device.value.blank, device.value.used_by, device.value.use_known) == (True, (), True)
        assert value(facts.metadata["data"]) is NoMetadata.ABSENT


def test_a_working_simulated_pair() -> None:
    """Configured by hand, replicating and mounted: roles, states, keys and mounts are what was done."""
    pair = Pair()
    for machine in (pair.a, pair.b):
        machine.files.write_text("/etc/hast.conf", render_hastconf(CLUSTER, machine.name))
    pair.both("kldload -n carp; hastctl create data; service hastd onestart; sysrc kld_list+=carp")
    pair.sh(pair.b, "hastctl role secondary data")
    pair.sh(pair.a, "hastctl role primary data")
    pair.world.advance(1.0)
    pair.sh(pair.a, f"ifconfig vtnet1 inet 192.0.2.80/24 vhid 80 advskew 0 pass {KEY} alias")
    pair.sh(pair.b, f"ifconfig vtnet1 inet 192.0.2.80/24 vhid 80 advskew 100 pass {KEY} alias")
    before = look(pair, pair.a)
    gate = before.hast_devices["data"]
    assert isinstance(gate, Known)
    assert gate.value.blank is True
    pair.sh(pair.a, "newfs -U /dev/hast/data >/dev/null")
    written = look(pair, pair.a).hast_devices["data"]
    assert isinstance(written, Known)
    assert written.value.blank is False
    pair.sh(pair.a, "mkdir -p /data && mount -o noatime /dev/hast/data /data && service nfsd onestart")
    pair.world.advance(5.0)
    for machine, role, state in (
        (pair.a, HastRole.PRIMARY, CarpState.MASTER),
        (pair.b, HastRole.SECONDARY, CarpState.BACKUP),
    ):
        facts = look(pair, machine)
        assert unknown(facts) == []
        assert KEY not in repr(facts)
        assert isinstance(facts.resources, Known)
        assert (facts.resources.value["data"].role, facts.resources.value["data"].status) == (role, "complete")
        assert isinstance(facts.interfaces, Known)
        (vhid,) = facts.interfaces.value["vtnet1"].vhids
        assert (vhid.state, vhid.key) == (state, fingerprint(KEY, SALT))
        assert isinstance(value(facts.metadata["data"]), HastMetadata)
        assert isinstance(facts.boot, Known)
        assert facts.boot.value.rc["kld_list"].split() == ["carp"]
        assert isinstance(facts.mounts, Known)
        assert any(mount.node == "/data" for mount in facts.mounts.value) is (machine is pair.a)


def test_probing_changes_nothing_on_a_simulated_node() -> None:
    """Two looks at an unchanged node tell the same, but for its clock."""
    pair = Pair()
    first, second = (look(pair, pair.a) for _ in range(2))
    assert isinstance(first.system, Known)
    assert replace(first, system=second.system) == second
