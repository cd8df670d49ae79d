"""Each rule of meaning: a document that breaks it, the place it is reported at, and what is said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hactl.core.document.load import read_cluster
from hactl.core.document.problems import path_text
from hactl.core.document.rules.check import MAX_PASSWORD_CHARACTERS, check, faults, password_problem
from hactl.core.document.rules.nodes import HAST_KEYWORDS, host_key_problem
from hactl.core.objects import HACluster
from support.documents import KEY_A, KEY_B, firewall_data, nas_data, put

VIP = "spec.groups.0.virtualIPs.0"
DISK = "spec.groups.0.storage.0"


def second_group(**fields):
    """Another group of the storage pair."""
    return {"name": "more", "preferred": ["nas-b", "nas-a"], **fields}


def second_disk(**fields):
    """Another disk that conflicts with nothing."""
    hast = {
        "devices": {"nas-a": "/dev/vtbd2", "nas-b": "/dev/vtbd2"},
        "addresses": {"nas-a": "198.51.100.11", "nas-b": "198.51.100.12"},
    }
    return {"name": "second", "hast": hast | fields.pop("hast", {}), **fields}


def pool_on_two(first=None, second=None):
    """Edits: one pool over both disks; what each of them says of it besides."""
    return {
        f"{DISK}.filesystem": {"zfs": {"pool": "tank", **(first or {})}},
        "spec.groups.0.storage.1": second_disk(filesystem={"zfs": {"pool": "tank", **(second or {})}}),
    }


def vip(**fields):
    """Another virtual IP that conflicts with nothing."""
    return {"name": "extra", "vhid": 81, "interface": "vtnet1", "addresses": ["192.0.2.81/24"], **fields}


def fault_lines(data) -> list[str]:
    """`path: message; fix` of every fault; the data are valid in type."""
    cluster = read_cluster(data)
    assert isinstance(cluster, HACluster), cluster
    return [f"{path_text(fault.path)}: {fault.text}; {fault.fix}" for fault in faults(cluster)]


@pytest.mark.parametrize("data", [nas_data, firewall_data])
def test_examples_mean_something(data):
    """The examples break no rule."""
    assert fault_lines(data()) == []


def services(*lines):
    """`www postgresql`: www comes after postgresql."""
    return [{"name": name, "after": after} for name, *after in (line.split() for line in lines)]


NAS_CASES = [
    # nodes
    ({"spec.nodes.1.name": "nas-a"}, 'spec.nodes[1].name: the node "nas-a" is there twice'),
    ({"spec.nodes.1.name": "nas-a.example.org"}, "are the same name up to the first dot"),
    ({"spec.nodes.1.name": "remote"}, "is a word of hast.conf's own, hast.conf cannot name this node"),
    ({"spec.nodes.1.name": "12"}, "is all digits, hast.conf cannot name this node"),
    ({"spec.nodes.1.name": "a..b"}, 'spec.nodes[1].name: "a..b" is no host name'),
    ({"spec.nodes.1.ssh.port": 2221}, 'spec.nodes[1].ssh.host: 127.0.0.1 port 2221 is also how "nas-a" is reached'),
    ({"spec.nodes.0.ssh.host": "10.0.0.1:22"}, "is no IPv6 address; put the port in port"),
    ({"spec.nodes.0.ssh.host": "10.0.0.256"}, "is no IPv4 address"),
    ({"spec.nodes.0.ssh.host": "a%b"}, "has a % in a name"),
    ({"spec.nodes.0.ssh.host": "192.0.2.80"}, "192.0.2.80 is a virtual IP (spec.groups[0].virtualIPs[0].addresses[0])"),
    ({"spec.nodes.0.ssh.become": "doas"}, "spec.nodes[0].ssh.become: root is root already"),
    ({"spec.nodes.0.ssh.access": "Observe"}, 'a key that only looks cannot do what mode Apply may take on "nas-a"'),
    ({"spec.nodes.0.ssh.user": "admin"}, '"admin" is not root and nothing says how it becomes root; add become'),
    ({"spec.nodes.0.ssh.hostKeyFrom": ...}, "spec.nodes[0].ssh: no host key is pinned"),
    ({"spec.nodes.0.ssh.hostKey": KEY_A}, "spec.nodes[0].ssh: both hostKey and hostKeyFrom are given"),
    ({"spec.nodes.0.ssh.hostKeyFrom": ..., "spec.nodes.0.ssh.hostKey": KEY_A[:-8]}, "ssh.hostKey: the key is cut"),
    # groups
    (
        {"spec.groups.1": second_group(name="files", services=[{"name": "smbd"}])},
        'spec.groups[1].name: the group "files"',
    ),
    ({"spec.groups.1": second_group()}, "spec.groups[1]: the group holds nothing"),
    ({"spec.groups.0.preferred": ["nas-a"]}, "spec.groups[0].preferred: nas-b not listed"),
    ({"spec.groups.0.preferred": ["nas-a", "nas-b", "nas-a"]}, 'preferred[2]: the node "nas-a" is there twice'),
    ({"spec.groups.0.preferred": ["nas-a", "nas-c"]}, 'preferred[1]: there is no node "nas-c"; did you mean'),
    # virtual IPs
    ({f"{VIP}.interface": ...}, "virtualIPs[0]: no interface is given"),
    ({f"{VIP}.interfaces": {"nas-a": "em0", "nas-b": "em0"}}, "both interface and interfaces are given"),
    ({f"{VIP}.interface": ..., f"{VIP}.interfaces": {"nas-a": "em0"}}, "interfaces: no interface for nas-b"),
    ({f"{VIP}.interface": "lo0"}, "CARP does not run on lo0"),
    ({"spec.groups.0.virtualIPs.1": vip(name="files")}, 'virtualIPs[1].name: the virtual IP "files" is there twice'),
    ({"spec.groups.0.virtualIPs.1": vip(vhid=80)}, "vhid 80 is also that of spec.groups[0].virtualIPs[0], on the same"),
    (
        {"spec.groups.1": second_group(virtualIPs=[vip(vhid=80, interface="vtnet9")])},
        "spec.groups[1].virtualIPs[0].vhid: vhid 80 is also that of spec.groups[0].virtualIPs[0], and 192.0.2.0/24",
    ),
    ({f"{VIP}.advskews": {"nas-a": 0, "nas-b": 0}}, "advskews.nas-b: 0 is also the advskew of nas-a"),
    ({f"{VIP}.advskews": {"nas-a": 0}}, "advskews: no advskew for nas-b"),
    ({f"{VIP}.advskews": {"nas-a": 0, "nas-b": 1, "nas-x": 2}}, 'advskews.nas-x: there is no node "nas-x"'),
    ({f"{VIP}.passwordFrom.env": "X"}, "passwordFrom: both file and env are given"),
    ({f"{VIP}.passwordFrom": {}}, "passwordFrom: neither file nor env is given"),
    # storage
    ({f"{DISK}.name": "remote"}, 'storage[0].name: "remote" is a word of hast.conf\'s own'),
    ({f"{DISK}.name": "12"}, "a name of digits only"),
    ({f"{DISK}.name": "all"}, "hastctl takes"),
    ({"spec.groups.0.storage.1": second_disk(name="data")}, 'the HAST resource "data" is there twice in this cluster'),
    ({f"{DISK}.hast.devices": {"nas-a": "/dev/da1"}}, "hast.devices: no device for nas-b"),
    ({f"{DISK}.hast.devices.nas-c": "/dev/da1"}, 'devices.nas-c: there is no node "nas-c"'),
    ({f"{DISK}.hast.devices.nas-a": "/dev//vtbd1"}, '"/dev//vtbd1" is a roundabout path; write /dev/vtbd1'),
    ({f"{DISK}.hast.devices.nas-a": "/dev/../etc"}, "roundabout path; write /etc"),
    ({f"{DISK}.hast.devices.nas-a": "/dev/hast/x"}, "is no disk to replicate"),
    (
        {"spec.groups.0.storage.1": second_disk(hast={"devices": {"nas-a": "/dev/vtbd2", "nas-b": "/dev/vtbd1"}})},
        "storage[1].hast.devices.nas-b: /dev/vtbd1 on nas-b is already used (at spec.groups[0].storage[0]",
    ),
    (
        {"spec.groups.0.storage.1": second_disk(hast={"devices": {"nas-a": "/dev/./vtbd1", "nas-b": "/dev/vtbd2"}})},
        "/dev/vtbd1 on nas-a is already used",
    ),
    (
        {"spec.groups.0.storage.1": second_disk(hast={"devices": {"nas-a": "/dev/vtbd1p2", "nas-b": "/dev/vtbd2"}})},
        "/dev/vtbd1p2 on nas-a is part of /dev/vtbd1",
    ),
    ({f"{DISK}.hast.addresses.nas-b": "192.0.2.80"}, "addresses.nas-b: 192.0.2.80 is a virtual IP (spec.groups[0]"),
    ({f"{DISK}.hast.addresses.nas-b": "198.51.100.11"}, "198.51.100.11 is also the address of nas-a"),
    ({f"{DISK}.hast.addresses.nas-b": "2001:db8::2"}, "one address is IPv4 and the other IPv6"),
    ({f"{DISK}.hast.addresses.nas-b": "nas-b.example"}, "is no numeric address"),
    ({f"{DISK}.hast.addresses.nas-b": "198.51.100.12/24"}, "write 198.51.100.12, without prefix length"),
    ({f"{DISK}.hast.addresses.nas-b": "fe80::1%em0"}, "is no numeric address"),
    ({f"{DISK}.hast.addresses.nas-b": "fe80::1"}, "needs a zone, which hast.conf cannot express"),
    ({f"{DISK}.hast.addresses.nas-b": "127.0.0.1"}, "127.0.0.1 is a loopback address"),
    ({f"{DISK}.hast.addresses.nas-b": "0.0.0.0"}, "is no address of a node"),
    ({f"{DISK}.filesystem.zfs": {"pool": "tank"}}, "filesystem: both ufs and zfs are given"),
    ({f"{DISK}.filesystem": {}}, "filesystem: neither ufs nor zfs is given"),
    ({f"{DISK}.filesystem": {"zfs": {"pool": "mirror1"}}}, "is a name zpool(8) reserves"),
    ({f"{DISK}.filesystem": {"zfs": {"pool": "log"}}}, "is a name zpool(8) reserves"),
    ({f"{DISK}.filesystem.ufs.options": ["noatime", "noatime"]}, 'options[1]: the option "noatime" is there twice'),
    ({f"{DISK}.filesystem.ufs.mountpoint": "/data/"}, '"/data/" is a roundabout path; write /data'),
    (
        {"spec.groups.0.storage.1": second_disk(filesystem={"ufs": {"mountpoint": "/data"}})},
        "storage[1].filesystem.ufs.mountpoint: /data is already used (at spec.groups[0].storage[0]",
    ),
    (
        {"spec.groups.0.storage.1": second_disk(filesystem={"ufs": {"mountpoint": "/data/inner"}})},
        "/data/inner is inside /data",
    ),
    (
        {"spec.groups.0.storage.1": second_disk(filesystem={"zfs": {"pool": "data"}})},
        "filesystem.zfs.pool: /data is already used",
    ),
    # pools over several resources
    (
        {
            f"{DISK}.filesystem": {"zfs": {"pool": "tank"}},
            "spec.groups.1": second_group(storage=[second_disk(filesystem={"zfs": {"pool": "tank"}})]),
        },
        'spec.groups[1].storage[0].filesystem.zfs.pool: the pool "tank" is in two groups, files (at spec.groups[0].',
    ),
    (
        pool_on_two({"layout": "Mirror"}, {"layout": "Raidz1"}),
        'storage[1].filesystem.zfs.layout: the layout of the pool "tank" is Raidz1 here and Mirror at spec.groups[0].',
    ),
    (
        pool_on_two({"mountpoint": "/data"}, {"mountpoint": "/srv"}),
        'storage[1].filesystem.zfs.mountpoint: the mountpoint of the pool "tank" is /srv here and /data at',
    ),
    (
        pool_on_two({}, {"layout": "Raidz2"}),
        'zfs.layout: Raidz2 needs at least 3 devices, and 2 resources of the group name "tank"; name the pool tank at',
    ),
    (
        {f"{DISK}.filesystem": {"zfs": {"pool": "tank", "layout": "Mirror"}}},
        'zfs.layout: Mirror needs at least 2 devices, and 1 resource of the group name "tank"',
    ),
    (pool_on_two({"pool": "mirror0"}, {"pool": "mirror0"}), "is a name zpool(8) reserves"),
    # services
    ({"spec.groups.0.services.1": {"name": "nfsd"}}, 'services[1].name: the service "nfsd" is there twice'),
    ({"spec.groups.1": second_group(services=[{"name": "nfsd"}])}, 'the service "nfsd" is in two groups'),
    ({"spec.groups.0.services.0.name": "sshd"}, "sshd cannot follow a group"),
    ({"spec.groups.0.services.0.check": {}}, "services[0].check: neither tcp nor command is given"),
    (
        {"spec.groups.0.services.0.check": {"tcp": 1, "command": "x"}},
        "services[0].check: both tcp and command are given",
    ),
    (
        {"spec.groups.0.services.0.check": {"command": "db --pass word ping"}},
        "services[0].check.command: a check holds no password",
    ),
    (
        {"spec.groups.0.services": services("a b", "b c", "c a")},
        "services[0].after[0]: each of these comes after the next: a -> b -> c -> a; remove one of them",
    ),
    (
        {"spec.groups.0.services": services("postgresql", "www postgres")},
        'services[1].after[0]: files has no service "postgres"; did you mean "postgresql"?',
    ),
    ({"spec.groups.0.services": services("a a")}, "services[0].after[0]: a cannot come after itself"),
    ({"spec.groups.0.services": services("a", "b a a")}, 'after[1]: the service "a" is there twice (first at'),
    (
        {"spec.groups.0.services": [{"name": "a"}, {"name": "b", "after": ["a"], "runOn": "All"}]},
        "services[1].after[0]: b runs on every node, and a on the active one only",
    ),
    (
        {"spec.groups.1": second_group(services=services("www nfsd"))},
        "groups[1].services[0].after[0]: nfsd is a service of files, and groups move apart",
    ),
    (
        {"spec.groups.0.services.0.onFailure": {"action": "Move"}, "spec.groups.0.virtualIPs": []},
        "services[0].onFailure.action: files has no virtual IP that could move; write Restart",
    ),
    (
        {
            "spec.groups.0.services.0.onFailure": {"action": "Move"},
            "spec.groups.0.virtualIPs.0.advskews": {"nas-a": 0, "nas-b": 100},
        },
        "services[0].onFailure.action: the document's advskews keep the addresses of files where they are",
    ),
    # metadata
    ({"metadata.labels": {"a b": "x"}}, "not a valid key of labels"),
    ({"metadata.labels": {"a": "x y"}}, "metadata.labels.a: not a valid label value"),
    ({"metadata.annotations": {"/x": "y"}}, "not a valid key of annotations"),
    ({"metadata.annotations": {"a": "x" * 300_000}}, "annotations are larger than 256 KiB"),
    # failover
    ({"spec.failover": {"witness": ["router"]}}, 'spec.failover.witness[0]: "router" is no numeric address'),
    ({"spec.failover": {"witness": ["192.0.2.80"]}}, "192.0.2.80 is a virtual IP"),
    ({"spec.groups.0.failover": {"witness": ["198.51.100.12"]}}, "is the replication address of nas-b"),
    ({"spec.failover": {"witness": ["192.0.2.1", "192.0.2.1"]}}, "spec.failover.witness[1]: 192.0.2.1 is named twice"),
]


@pytest.mark.parametrize(("changes", "expected"), NAS_CASES, ids=[case[1][:60] for case in NAS_CASES])
def test_rule(changes, expected):
    """One change breaks one rule, and the message says which."""
    data = nas_data()
    for path, value in changes.items():
        put(data, path, value)
    assert any(expected in line for line in fault_lines(data)), fault_lines(data)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.80", '"192.0.2.80" has no prefix length; write 192.0.2.80/24'),
        ("2001:db8::1", "has no prefix length; write 2001:db8::1/64"),
        ("192.0.2.80/255.255.255.0", "has a netmask, not a prefix length; write 192.0.2.80/24"),
        ("192.0.2.80/33", "has a wrong prefix length"),
        ("192.0.2.80/", "has a wrong prefix length"),
        ("192.0.2.080/24", "is no IPv4 or IPv6 address"),
        ("nas.example.org/24", "is no IPv4 or IPv6 address"),
        ("fe80::1%em0/64", "has a zone"),
        ("192.0.2.0/24", "192.0.2.0 is the network address of 192.0.2.0/24"),
        ("192.0.2.255/24", "192.0.2.255 is the broadcast address"),
        ("2001:db8::/64", "is the subnet-router anycast address"),
        ("224.0.0.18/24", "is a multicast address"),
        ("ff02::12/64", "is a multicast address"),
        ("127.0.0.9/8", "is a loopback address"),
        ("::1/128", "is a loopback address"),
        ("0.0.0.0/24", "is no address of a node"),
        ("::/64", "is no address of a node"),
        ("240.0.0.1/24", "is reserved"),
        ("255.255.255.255/32", "is reserved"),
        ("::ffff:192.0.2.1/96", "is an IPv4 address written as IPv6"),
        ("192.0.2.80/0", "the whole Internet"),
    ],
)
def test_address_form(address, expected):
    """An address no vhid can carry is refused, with what to write."""
    data = nas_data()
    put(data, f"{VIP}.addresses", [address])
    lines = fault_lines(data)
    assert len(lines) == 1
    assert lines[0].startswith("spec.groups[0].virtualIPs[0].addresses[0]: ")
    assert expected in lines[0]


@pytest.mark.parametrize(
    "address", ["192.0.2.80/32", "192.0.2.80/31", "2001:db8::1/128", "2001:db8::1/127", "10.0.0.1/8"]
)
def test_address_allowed(address):
    """Host routes, point-to-point prefixes and both families are fine."""
    data = nas_data()
    put(data, f"{VIP}.addresses", [address])
    assert fault_lines(data) == []


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (vip(addresses=["192.0.2.80/24"]), "192.0.2.80 is there twice (first at spec.groups[0].virtualIPs[0]"),
        (vip(addresses=["192.0.2.80/32"]), "192.0.2.80 is there twice"),
        (vip(addresses=["192.0.2.81/25"]), "192.0.2.0/25 overlaps 192.0.2.0/24 of spec.groups[0].virtualIPs[0]"),
        (vip(interface="vtnet2"), "192.0.2.0/24 is on vtnet2 here and on vtnet1 at spec.groups[0].virtualIPs[0]"),
        (vip(addresses=["192.0.2.81/32"]), None),
        (vip(), None),
        (vip(vhid=80, interface="vtnet2", addresses=["203.0.113.1/24"]), None),
        (vip(addresses=["192.0.2.81/24", "fe80::1/64"]), None),
        (vip(vhid=80, interface="vtnet2", addresses=["192.0.2.80/24"]), None),
        (vip(vhid=80, interface="vtnet2", addresses=["192.0.2.80/32"]), None),
        (vip(interface="vtnet-1.5"), "192.0.2.0/24 is on vtnet-1.5 here"),
    ],
)
def test_two_virtual_ips(extra, expected):
    """Two virtual IPs of a node must not collide; the same vhid on another segment is fine."""
    data = nas_data()
    put(data, "spec.groups.0.virtualIPs.1", extra)
    lines = fault_lines(data)
    assert any(expected in line for line in lines) if expected else lines == []


@pytest.mark.parametrize(
    ("one", "other", "faults"),
    [
        (["192.0.2.1/25", "fe80::1/64"], ["192.0.2.129/25", "fe80::1/64"], 0),
        (["192.0.2.1/25", "169.254.53.53/32"], ["192.0.2.129/25", "169.254.53.53/32"], 0),
        (["169.254.1.1/16"], ["169.254.1.2/16"], 0),
        (["192.0.2.1/24"], ["192.0.2.1/24"], 0),
        (["192.0.2.1/24"], ["192.0.2.2/24"], 2),
    ],
)
def test_one_vhid_on_two_segments(one, other, faults):
    """Two interfaces are one segment only where something proves it: a link-local network is on every segment."""
    data = nas_data()
    put(data, f"{VIP}.interface", "ix1.10")
    put(data, f"{VIP}.addresses", one)
    put(data, "spec.groups.0.virtualIPs.1", vip(vhid=80, interface="ix1.20", addresses=other))
    assert len(fault_lines(data)) == faults


@pytest.mark.parametrize(("name", "same"), [("ix1-10", True), ("ix1_10", True), ("ix1-11", False)])
def test_interfaces_that_rc_conf_spells_the_same(name, same):
    """One `ifconfig_ix1_10_alias...` would be read for both (network.subr, get_if_var)."""
    data = nas_data()
    put(data, f"{VIP}.interface", "ix1.10")
    put(data, "spec.groups.0.virtualIPs.1", vip(interface=name, addresses=["203.0.113.1/24"]))
    said = f"rc.conf spells {name} and ix1.10 of nas-a the same, ifconfig_ix1_10"
    assert any(said in line for line in fault_lines(data)) is same


@pytest.mark.parametrize("interface", ["vm public", "em0;reboot", "-em0", "em0:1", "a" * 16, "em0$x", ".em0"])
def test_what_is_no_interface(interface):
    """ifconfig would take it for something else, or the shell would."""
    data = nas_data()
    put(data, f"{VIP}.interface", interface)
    found = read_cluster(data)
    assert isinstance(found, list)
    assert len(found) == 1


@pytest.mark.parametrize(
    "path", ["/", "/etc", "/usr", "/var", "/dev", "/dev/x", "/boot/x", "/usr/local", "/var/run", "/tmp"]
)
def test_system_directories(path):
    """Nothing is mounted over the system."""
    data = nas_data()
    put(data, f"{DISK}.filesystem.ufs.mountpoint", path if path != "/" else "/.")
    assert any("belongs to the system" in line for line in fault_lines(data))


@pytest.mark.parametrize(
    "path", ["/data", "/mnt/data", "/var/db/mysql", "/usr/local/www", "/export/shared", "/etcetera"]
)
def test_ordinary_directories(path):
    """Ordinary mountpoints are fine."""
    data = nas_data()
    put(data, f"{DISK}.filesystem.ufs.mountpoint", path)
    assert fault_lines(data) == []


def test_storage_needs_two_nodes():
    """HAST is for pairs: a third node is refused, a firewall of three is fine."""
    data = nas_data()
    put(data, "spec.nodes.2", {"name": "nas-c", "ssh": {"host": "127.0.0.3", "hostKey": KEY_B}})
    put(data, "spec.groups.0.preferred", ["nas-a", "nas-b", "nas-c"])
    assert any("HAST replicates between two nodes, this cluster has 3" in line for line in fault_lines(data))
    put(data, "spec.groups.0.storage", [])
    assert fault_lines(data) == []


@pytest.mark.parametrize("word", sorted(HAST_KEYWORDS))
def test_words_of_hast_conf(word):
    """Every word of hast.conf's scanner is refused as a resource name (docs/freebsd-facts.md#2.2)."""
    data = nas_data()
    put(data, f"{DISK}.name", word)
    assert any("hast.conf's own" in line for line in fault_lines(data))


def test_advskew_of_240_is_refused():
    """From 240 on nodes tie with a demoted one: the type says 0 to 239."""
    data = nas_data()
    put(data, f"{VIP}.advskews", {"nas-a": 0, "nas-b": 240})
    found = read_cluster(data)
    assert isinstance(found, list)
    assert found[0].fix == "it takes 0 to 239"


def test_problems_come_in_document_order():
    """`check` places faults and sorts them by line."""
    data = nas_data()
    put(data, f"{VIP}.interface", "lo0")
    put(data, "spec.nodes.0.ssh.become", "sudo")
    cluster = read_cluster(data)
    assert isinstance(cluster, HACluster)
    problems = check(cluster, "x.yaml", lambda path, at_key: (len(path), 1))
    assert [problem.line for problem in problems] == [5, 6]


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("", "empty"),
        ("x" * 20, "has 20 characters"),
        ("abc-1", "rc.conf cannot carry"),
        ("a b", "rc.conf cannot carry"),
        ("pä", "rc.conf cannot carry"),
        ("a$b", "rc.conf cannot carry"),
        ("a`b", "rc.conf cannot carry"),
        ('a"b', "rc.conf cannot carry"),
        ("a#b", "rc.conf cannot carry"),
        ("secret\r", "carriage return"),
        ("inet", "begins an address entry"),
        ("ether", "begins an address entry"),
    ],
)
def test_password_refused(password, expected):
    """A password FreeBSD would cut, drop or run is refused."""
    wrong = password_problem(password)
    assert wrong is not None
    assert expected in wrong


@given(st.text(alphabet="abcXYZ019_.+=:@%,", min_size=1, max_size=MAX_PASSWORD_CHARACTERS))
def test_password_allowed(password):
    """Everything of the safe alphabet up to 19 characters is fine."""
    assert password_problem(password) is None


@given(st.text(max_size=30))
def test_password_is_never_repeated(rest):
    """Whatever is wrong with a password, the message does not hold it."""
    wrong = password_problem(f"hunter2{rest}")
    assert wrong is None or "hunter2" not in wrong


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("", "not a public key"),
        ("ssh-ed25519", "not a public key"),
        (f"{KEY_A}\n{KEY_B}", "not a public key in one line"),
        ("-----BEGIN OPENSSH PRIVATE KEY----- abc", "this is a private key"),
        (f"nas-a {KEY_A}", "is no accepted key type"),
        ("ssh-dss AAAA", "is no accepted key type"),
        ("ssh-ed25519 !!!!", "not base64"),
        (KEY_A[:-4], "the key is cut"),
        (KEY_A.replace("ssh-ed25519", "ssh-rsa"), "the key is cut, or not of type ssh-rsa"),
    ],
)
def test_host_key_refused(key, expected):
    """A host key that is none is refused in words."""
    assert expected in (host_key_problem(key) or "")


def test_host_key_allowed():
    """The line of a .pub file is fine, with or without its comment."""
    assert host_key_problem(KEY_A) is None
    assert host_key_problem(f"{KEY_A} root@nas-a\n") is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=6,
    ),
    st.data(),
)
def test_any_value_anywhere(value, data):
    """Any value in any field gives a cluster or faults, never an exception."""
    document = nas_data()
    places = [
        "metadata.labels",
        "spec.nodes",
        "spec.nodes.0",
        "spec.nodes.0.ssh.host",
        "spec.nodes.0.ssh.hostKey",
        "spec.groups",
        "spec.groups.0.preferred",
        VIP,
        f"{VIP}.addresses",
        f"{VIP}.advskews",
        f"{DISK}.hast.addresses.nas-a",
        f"{DISK}.hast.devices.nas-a",
        f"{DISK}.filesystem",
        f"{DISK}.name",
        "spec.groups.0.services.0.name",
    ]
    put(document, data.draw(st.sampled_from(places)), value)
    found = read_cluster(document)
    for fault in faults(found) if isinstance(found, HACluster) else found:
        assert json.dumps(fault.text).isprintable()


@pytest.mark.parametrize("layout", [None, "Stripe", "Mirror", "Raidz1"])
def test_one_pool_over_several_resources_is_fine(layout):
    """Each names it; where it is mounted and how it is laid out is said at one of them, or nowhere."""
    said = {"layout": layout} if layout else {}
    data = nas_data()
    for path, value in pool_on_two({}, {"mountpoint": "/data", **said}).items():
        put(data, path, value)
    assert fault_lines(data) == []
