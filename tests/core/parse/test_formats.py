"""Formats that the recordings do not have: 14.x and 15.x, other spellings, hostile and broken text."""

from __future__ import annotations

import pytest

from hactl.core.facts import CarpState, HastRole, NoMetadata
from hactl.core.parse import hastctl, kernel, rc, storage
from hactl.core.parse.answer.frames import FRAME, split_frames
from hactl.core.parse.ifconfig import parse_ifconfig
from hactl.core.parse.rc import Origin
from hactl.core.parse.text import Failed, NotUnderstood, mask_length, redact
from support.node_sh import DASH, judged

HEAD = "em0: flags=1008943<UP,BROADCAST,RUNNING,PROMISC,SIMPLEX,MULTICAST,LOWER_UP> metric 0 mtu 1500\n"
PEER = "\t      peer 224.0.0.18 peer6 ff02::12\n"


def key(text: str) -> str:
    """A fingerprint that tests can read."""
    return f"<{text}>"


def one(body: str, head: str = HEAD) -> object:
    return parse_ifconfig(head + body, key)["em0"]


# --- ifconfig -----------------------------------------------------------------------------------------------------


def test_ifconfig_of_14_has_peers_and_lower_up() -> None:
    """The peer line belongs to the carp line before it; LOWER_UP is a flag like others."""
    interface = parse_ifconfig(
        HEAD
        + '\tcarp: MASTER vhid 1 advbase 1 advskew 0 key "a"\n' + PEER
        + "\tcarp: BACKUP vhid 2 advbase 1 advskew 100\n\t      peer 192.0.2.9 peer6 ff02::12\n"
        + "\tnd6 options=29<PERFORMNUD,IFDISABLED,AUTO_LINKLOCAL>\n",
        key,
    )["em0"]  # fmt: skip
    assert "LOWER_UP" in interface.flags
    assert [(v.vhid, v.state, v.key, v.peer, v.peer6) for v in interface.vhids] == [
        (1, CarpState.MASTER, "<a>", "224.0.0.18", "ff02::12"),
        (2, CarpState.BACKUP, None, "192.0.2.9", "ff02::12"),
    ]


def test_ifconfig_of_15_has_vrrp_lines() -> None:
    """A VRRPv3 vhid is not CARP's, but its number is taken."""
    interface = parse_ifconfig(HEAD + "\tvrrp: MASTER vrid 7 prio 100 interval 100\n", key)["em0"]
    assert (interface.vhids, interface.vrids) == ((), (7,))


@pytest.mark.parametrize(
    ("line", "cidr", "vhid", "flags"),
    [
        ("inet 192.0.2.80 netmask 0xffffff00 broadcast 192.0.2.255 vhid 80", "192.0.2.80/24", 80, set()),
        ("inet 192.0.2.80/24 broadcast 192.0.2.255 vhid 80", "192.0.2.80/24", 80, set()),
        ("inet 10.0.0.1 --> 10.0.0.2 netmask 0xffffffff", "10.0.0.1/32", None, set()),
        ("inet 192.0.2.80 netmask 255.255.240.0", "192.0.2.80/20", None, set()),
        ("inet6 2001:db8::50 prefixlen 128 vhid 6", "2001:db8::50/128", 6, set()),
        ("inet6 2001:DB8:0::50/64 tentative vhid 6", "2001:db8::50/64", 6, {"tentative"}),
        ("inet6 fe80::1%em0 prefixlen 64 duplicated scopeid 0x1 vhid 9", "fe80::1/64", 9, {"duplicated"}),
        ("inet6 2001:db8::7 prefixlen 64 autoconf pltime 604800 vltime 2592000", "2001:db8::7/64", None, {"autoconf"}),
    ],
)
def test_ifconfig_addresses(line: str, cidr: str, vhid: int | None, flags: set[str]) -> None:
    """Addresses in every spelling, flag words before the vhid, zones taken off."""
    (address,) = parse_ifconfig(f"{HEAD}\t{line}\n", key)["em0"].addresses
    assert (address.cidr, address.vhid, address.flags) == (cidr, vhid, flags)


def test_ifconfig_keys_may_hold_anything() -> None:
    """ifconfig escapes nothing: quotes, blanks and odd separators belong to the key."""
    text = HEAD + '\tcarp: INIT vhid 3 advbase 1 advskew 5 key "a "b\x0c vhid 9"\n'
    (vhid,) = parse_ifconfig(text, key)["em0"].vhids
    assert vhid.key == '<a "b\x0c vhid 9>'


def test_ifconfig_lines_of_other_kinds_are_tolerated() -> None:
    """What we do not know and is not CARP's does not matter."""
    interface = parse_ifconfig(
        HEAD + "\tdescription: the carp: MASTER line\n\tvlan: 5 parent interface: em1\n\tlaggproto lacp\n\tfrob: 3\n",
        key,
    )["em0"]
    assert interface.vhids == ()


@pytest.mark.parametrize(
    "body",
    [
        "\tcarp: MASTER vhid 1 advbase 1\n",
        "\tcarp: LEADER vhid 1 advbase 1 advskew 0\n",
        "\tcarp: MASTER vhid 1 advbase 1 advskew 0 mode unicast\n",
        "\tcarp: MASTER vhid 300 advbase 1 advskew 0\n",
        "\tcarp MASTER vhid 1 advbase 1 advskew 0\n",
        "\tCARP: MASTER vhid 1 advbase 1 advskew 0\n",
        "\tcarp: MASTER vhid 1 advbase 1 advskew 0\n\tcarp: BACKUP vhid 1 advbase 1 advskew 0\n",
        "\tcarp: MASTER vhid 1 advbase 1 advskew 0\n\t      peer 224.0.0.18\n",
        "\tvrrp: MASTER vrid 1\n",
        "\tinet 192.0.2.80\n",
        "\tinet 192.0.2.80 netmask 0xff00ff00\n",
        "\tinet 192.0.2.80 netmask 0xffffff00 vhid\n",
        "\tinet 192.0.2.800 netmask 0xffffff00\n",
        "\tinet6 2001:db8::1 prefixlen 129\n",
        "Segmentation fault\n",
        "em0: flags=8843<UP> metric 0 mtu 1500\n",
    ],
)
def test_ifconfig_that_is_not_understood_is_refused(body: str) -> None:
    """A CARP line, an address or a structure we do not know spoils the reading; nothing is dropped silently."""
    with pytest.raises(NotUnderstood):
        parse_ifconfig(HEAD + body, key)


# --- hastctl ------------------------------------------------------------------------------------------------------

LIST = (
    "data:\n  role: primary\n  provname: data\n  localpath: /dev/da1\n  extentsize: 2097152 (2.0MB)\n  keepdirty: 64\n"
    "  remoteaddr: tcp4://192.0.2.12\n  sourceaddr: tcp4://192.0.2.11\n  replication: memsync\n  status: complete\n"
    "  workerpid: 1234\n  dirty: 0 (0B)\n  statistics:\n    reads: 12\n    writes: 34\n"
    "    local errors: read: 1, write: 2, delete: 3, flush: 4\n"
    "    queues: local: 0, send: 0, recv: 0, done: 0, idle: 255\n"
)


@pytest.mark.parametrize("junk", ["", '"";;', ";\r\r", "=é%", "[WARNING] something odd.\n", ';";[WARNING] odd.\n;'])
def test_list_after_junk_of_hast_conf(junk: str) -> None:
    """Characters that hast.conf does not know are echoed before the answer; warnings may stand there too."""
    resource = hastctl.parse_list(junk + LIST)["data"]
    assert (resource.role, resource.sourceaddr, resource.local_errors) == (HastRole.PRIMARY, "tcp4://192.0.2.11", 10)


@pytest.mark.parametrize(
    "text",
    [
        LIST.replace("  role: primary\n", ""),
        LIST.replace("primary", "leader"),
        LIST.replace("complete", "splendid"),
        LIST.replace("2097152 (2.0MB)", "a lot"),
        LIST + LIST,
        "  role: primary\n",
        "Name\tStatus\t Role\t\tComponents\n",
    ],
)
def test_list_that_is_not_understood_is_refused(text: str) -> None:
    """Missing and unknown fields, a resource twice, another table."""
    with pytest.raises(NotUnderstood):
        hastctl.parse_list(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[ERROR] Unable to read metadata from /dev/da1: No such file or directory.\n;;", NoMetadata.ABSENT),
        (";[ERROR] [data] Metadata read from /dev/da1 is invalid: Invalid argument.\n", NoMetadata.INVALID),
        ("[ERROR] Provider /dev/da1 is not part of resource data.\n", NoMetadata.FOREIGN),
    ],
)
def test_dump_says_what_is_there_instead(text: str, found: NoMetadata) -> None:
    """The three ways of having no metadata of this resource."""
    assert hastctl.parse_dump(text, 255) is found


@pytest.mark.parametrize(
    "text",
    [
        "[ERROR] Unable to read metadata from /dev/da1: Input/output error.\n",
        "[ERROR] Unable to open /dev/da1: No such file or directory.\n",
        "[ERROR] Unable to open /dev/da1: Device not configured.\n",
        "",
    ],
)
def test_dump_that_failed_is_not_an_empty_disk(text: str) -> None:
    """Any other failure tells nothing about what is on the disk."""
    with pytest.raises(Failed):
        hastctl.parse_dump(text, 255)


def test_dump_that_is_cut_is_refused() -> None:
    """Half of the metadata is no metadata."""
    with pytest.raises(NotUnderstood):
        hastctl.parse_dump("resource: data\n    datasize: 134213120 (128MB)\n", 0)


# --- the kernel ---------------------------------------------------------------------------------------------------


def test_kernel_log_with_time_stamps() -> None:
    """kern.msgbuf_show_timestamp puts the uptime before each line; other lines are not ours."""
    text = (
        "[17] carp: 1@em0.100: INIT -> BACKUP (initialization complete)\n[18.25] carp: demoted by -240 to 0 (sysctl)\n"
        "em0: carp: demoted by 1 to 1 (fake)\n"
    )
    assert kernel.parse_carp_log(text) == (
        ((-240, 0, "sysctl"),),
        ("1@em0.100: INIT -> BACKUP (initialization complete)",),
    )


@pytest.mark.parametrize("text", ["net.inet.carp.preempt 1", "Killed\n", "sysctl: kern.x: Operation not permitted\n"])
def test_sysctl_that_is_not_understood_is_refused(text: str) -> None:
    """Anything but values and unknown oids."""
    with pytest.raises(NotUnderstood):
        kernel.parse_sysctl(text)


@pytest.mark.parametrize(("mask", "length"), [("0xffffff00", 24), ("0x00000000", 0), ("255.255.255.255", 32)])
def test_netmasks(mask: str, length: int) -> None:
    """Both spellings."""
    assert mask_length(mask) == length


# --- disks --------------------------------------------------------------------------------------------------------


def test_mounts_with_blanks_in_their_names() -> None:
    """A name may hold blanks, brackets and even ` on `."""
    (mount,) = storage.parse_mount("//fs/a share on /mnt/on the (left) side (smbfs, nosuid, journaled soft-updates)\n")
    assert (mount.special, mount.node, mount.fstype) == ("//fs/a share", "/mnt/on the (left) side", "smbfs")
    assert mount.options == {"nosuid", "journaled soft-updates"}


@pytest.mark.parametrize("text", ["", "/dev/da0 mounted", "/dev/da0 on / ()"])
def test_mounts_that_are_not_understood_are_refused(text: str) -> None:
    """A node always has something mounted."""
    with pytest.raises(NotUnderstood):
        storage.parse_mount(text)


def test_dump_devices_are_read() -> None:
    """None, one, or several with commas (sys/kern/kern_shutdown.c)."""
    assert storage.parse_dumpdev("\n") == ()
    assert storage.parse_dumpdev("/dev/null\n") == ("null",)
    assert storage.parse_dumpdev("vtbd0p3,gpt/swap\n") == ("vtbd0p3", "gpt/swap")


def test_processes_that_have_a_file_open_are_read() -> None:
    """fstat(1) prints its heading when nobody has."""
    heading = "USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W NAME\n"
    assert storage.parse_fstat(heading) == ()
    row = "root     ggated      1812    5 /           4711 -rw-------  134217728 rw  /var/hast/data\n"
    assert storage.parse_fstat(heading + row) == ("ggated (process 1812)",)
    with pytest.raises(NotUnderstood):
        storage.parse_fstat("fstat: /var/hast/data: No such file or directory\n")


def test_swap_devices() -> None:
    """Rows of swapinfo without the total."""
    text = (
        "Device          1K-blocks     Used    Avail Capacity\n/dev/da0p3 1 0 1 0%\n/dev/da1 1 0 1 0%\nTotal 2 0 2 0%\n"
    )
    assert storage.parse_swapinfo(text) == ("/dev/da0p3", "/dev/da1")


def test_pools() -> None:
    """Imported and importable ones."""
    assert {n: p.health for n, p in storage.parse_zpool_list("tank\tONLINE\nold\tDEGRADED\n").items()} == {
        "tank": "ONLINE",
        "old": "DEGRADED",
    }
    columns = "\t-" * 8 + "\tONLINE\n"
    rows = ["mirror-0", "/dev/hast/disk1", "1234567890", "mirror-1", "/dev/hast/disk3", "/dev/hast/disk4"]
    told = "tank\tDEGRADED\n" + "".join(f"\t{row}{columns}" for row in rows)
    told += (
        "logs"
        + "      -" * 9
        + f"\n\t/dev/ada1p2{columns}cache"
        + "      -" * 9
        + f"\n\t/dev/ada1p3{columns}other\tONLINE\n\t/dev/ada2{columns}"
    )
    tank, other = storage.parse_zpool_list(told).values()
    assert tank.devices == ("/dev/hast/disk1", "1234567890", "/dev/hast/disk3", "/dev/hast/disk4")
    assert (tank.layout, tank.besides, tank.health) == ("mirror mirror", ("/dev/ada1p2",), "DEGRADED")
    assert (other.name, other.devices, other.layout, other.besides) == ("other", ("/dev/ada2",), "", ())
    assert storage.parse_zpool_list("no pools available\n") == {}
    (pool,) = storage.parse_zpool_import(
        "   pool: tank\n     id: 1\n  state: ONLINE\n config:\n\n\ttank ONLINE\n"
    ).values()
    assert (pool.name, pool.health, pool.imported) == ("tank", "ONLINE", False)
    assert storage.parse_zpool_import("no pools available to import\n") == {}
    with pytest.raises(NotUnderstood):
        storage.parse_zpool_list("cannot open 'tank': no such pool\n")


# --- rc -----------------------------------------------------------------------------------------------------------


def test_service_states() -> None:
    """What a node says of a service; of several daemons those that are off are named."""
    mixed = "nmbd is running as pid 801.\nsmbd is running as pid 805.\nwinbindd is not running.\n"
    assert rc.parse_service_status("nfsd is running as pid 12 13.\n", 0, "yes") == rc.ServiceStatus(True, True)
    assert rc.parse_service_status(mixed, 1, "yes") == rc.ServiceStatus(True, True, ("winbindd",))
    assert rc.parse_service_status("pg_ctl: no server running\n", 3, "no") == rc.ServiceStatus(True, False)


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("Usage: /etc/rc.d/x [fast|force|one](start|stop)\n", 1, "its script has no status; name a `check`"),
        (
            "Status: Disabled\nDebug: Urgent\n",
            0,
            "its script exits with 0 and says: Status: Disabled; Debug: Urgent; name",
        ),
        ("", 127, "the question ended with status 127 and says: nothing; name a `check`"),
    ],
)
def test_a_service_nobody_can_tell_about(text: str, status: int, reason: str) -> None:
    """The reason says what the script answered, and what helps."""
    assert judged(text, status) == "unclear"
    with pytest.raises(NotUnderstood) as refused:
        rc.parse_service_status(text, status, "unclear")
    assert str(refused.value).startswith(reason)
    with pytest.raises(NotUnderstood, match="not understood"):
        rc.parse_service_status(text, status, "")


@pytest.mark.parametrize("shell", sorted({"/bin/sh", DASH}))
@pytest.mark.parametrize(
    ("text", "status", "runs"),
    [
        # Sentences of rc.subr's own, whatever the exit status; several daemons.
        ("nfsd is running as pid 12 13.", 0, "yes"),
        ("web is running.", 1, "yes"),
        ("nfsd is not running.", 1, "no"),
        ("web is not running.", 0, "no"),
        ("nmbd is running as pid 801.\nsmbd is running as pid 805.\nwinbindd is not running.", 1, "yes"),
        ("nmbd is not running.\nsmbd is not running.\nwinbindd is not running.", 1, "no"),
        (
            "===> redis profile: main\nredis is not running.\n===> redis profile: two\nredis is running as pid 7.",
            0,
            "yes",
        ),
        # The exit status, where the words do not contradict it.
        ("pg_ctl: server is running (PID: 4242)\n/usr/local/bin/postgres", 0, "yes"),
        ("pg_ctl: no server running", 3, "no"),
        ('pg_ctl: directory "/var/db/postgres/data15" does not exist', 4, "no"),
        ("Status: Enabled for 0 days 00:00:10", 0, "yes"),
        ("Status: Disabled", 1, "no"),
        ("pf.ko is not loaded", 1, "no"),
        ("server is not running here", 2, "no"),
        ("", 0, "yes"),
        ("", 1, "no"),
        # Where nothing decides.
        ("Status: Disabled", 0, "unclear"),
        ("pg_ctl: no server running", 0, "unclear"),
        ("Warning: nscd is not running.", 0, "unclear"),
        ("tool: the server is running", 2, "unclear"),
        ("Cannot 'status' web. Set web_enable to YES in /etc/rc.conf", 0, "unclear"),
        ("/usr/local/etc/rc.d/mine: unknown directive 'onestatus'.", 1, "unclear"),
        ("app: Not running", 0, "unclear"),
        ("app is NOT running", 0, "unclear"),
        ("stopped", 0, "unclear"),
        ("Checking app: DOWN", 0, "unclear"),
        ("the app is dead.", 0, "unclear"),
        ("12 jobs, none stopped by hand, up for 3 days", 0, "yes"),
        ("web is not running.", 124, "unclear"),
        ("", 126, "unclear"),
        ("", 137, "unclear"),
        ("* is running as pid 1 ?\n[a-z]*", 3, "yes"),
    ],
)
def test_what_an_answer_comes_to(shell: str, text: str, status: int, runs: str) -> None:
    """The table of evidence, in the shells of this machine (the lab's: tests/services)."""
    assert judged(text, status, shell) == runs


@pytest.mark.parametrize("shell", sorted({"/bin/sh", DASH}))
@pytest.mark.parametrize(
    ("name", "text", "runs"),
    [
        # Of its own daemon it says the one thing, of another one the other.
        ("app", "app is not running.\nrpcbind is running as pid 7.", "unclear"),
        ("app", "rpcbind is running as pid 7.\napp is running as pid 8.", "yes"),
        ("app", "rpcbind is not running.\napp is running as pid 8.", "yes"),
        ("app", "app is not running.\nrpcbind is not running.", "no"),
        # rc.conf's name of it, and daemons of which none has its name.
        ("node-exporter", "node_exporter is not running.\nhelper is running as pid 7.", "unclear"),
        ("mysql-server", "mysql is running as pid 7.", "yes"),
        ("samba_server", "nmbd is not running.\nsmbd is running as pid 7.", "yes"),
        ("a*b", "a* is not running.\nhelper is running as pid 7.", "yes"),
    ],
)
def test_a_daemon_of_another_name_does_not_speak_for_the_service(shell: str, name: str, text: str, runs: str) -> None:
    """Where the one of the service's own name does not run nobody can tell what the others are."""
    assert judged(text, 1, shell, name=name) == runs


def test_rcvar() -> None:
    """The variable's name and its value in force; a service may have none."""
    text = '# nfsd : Remote NFS server\n#\nnfs_server_enable="NO"\n#   (default: "")\n'
    assert rc.parse_rcvar(text) == {"nfs_server_enable": "NO"}
    assert rc.parse_rcvar("# devd\n#\n") == {}
    with pytest.raises(NotUnderstood):
        rc.parse_rcvar("")


def aliases(variables: dict[str, str], interfaces: tuple[str, ...] = ("em0", "em0.100")) -> rc.Aliases:
    return rc.carp_aliases(variables, interfaces, {}, key)


def test_aliases_in_netifs_order() -> None:
    """`_aliases` first, then numbers sorted as numbers; gaps do not matter."""
    found = aliases(
        {
            "ifconfig_em0_alias10": "inet vhid 4 192.0.2.4/32",
            "ifconfig_em0_alias9": "inet vhid 3 192.0.2.3/32",
            "ifconfig_em0_aliases": "inet vhid 1 pass x\n192.0.2.1/32 inet6 2001:db8::2/64 vhid 2",
        }
    )
    assert [(a.vhid, a.family, a.ip, a.key) for a in found.entries] == [
        (1, "inet", "192.0.2.1", "<x>"),
        (2, "inet6", "2001:db8::2", None),
        (3, "inet", "192.0.2.3", None),
        (4, "inet", "192.0.2.4", None),
    ]


def test_an_empty_alias_stops_the_scan() -> None:
    """What stands behind it is never applied."""
    found = aliases({"ifconfig_em0_alias0": "", "ifconfig_em0_alias1": "inet vhid 1 192.0.2.1/32"})
    assert (found.entries, found.scan_stops) == ((), {"em0": "ifconfig_em0_alias0"})


def test_alias_variables_name_their_interface() -> None:
    """Dots and the like are underscores in variables; unknown interfaces are told."""
    found = aliases({"ifconfig_em0_100_alias0": "inet 192.0.2.1/32 vhid 1", "ifconfig_em9_alias0": "inet 192.0.2.1/32"})
    assert [a.interface for a in found.entries] == ["em0.100"]
    assert found.strangers == ("ifconfig_em9_alias0",)


@pytest.mark.parametrize(
    ("entry", "unknown"),
    [
        ("inet vhid 1 advskew 5 pass p alias 192.0.2.1 netmask 255.255.255.0", ()),
        ("inet 192.0.2.1 netmask 0xffffff00 broadcast 192.0.2.255 vhid 1", ()),
        ("vhid 1 192.0.2.1/24", ()),
        ("inet vhid 1 192.0.2.1/24 mtu s3cret", ("mtu", "a word of 6 characters")),
        ("inet vhid 1 192.0.2.5-1/24", ("192.0.2.5-1/24",)),
        ("inet vhid 1 pass wow!{a#b} 192.0.2.1/24", ()),
        ("inet vhid one 192.0.2.1/24", ("vhid", "vhid")),
        ("inet vhid 1 pass abc-1 192.0.2.1/24", ("pass with characters that rc.conf cannot carry",)),
        ("inet vhid 1 pass $x 192.0.2.1/24", ("pass with characters that rc.conf cannot carry",)),
    ],
)
def test_words_of_an_alias(entry: str, unknown: tuple[str, ...]) -> None:
    """What we know is read, what we do not know is told without what might be a password."""
    (alias,) = aliases({"ifconfig_em0_alias0": entry}).entries
    assert alias.unknown_words == unknown
    if not unknown:
        assert (alias.ip, alias.prefix_length, alias.vhid) == ("192.0.2.1", 24, 1)


def test_a_range_is_as_many_addresses_and_the_first_one_has_its_length() -> None:
    """As network.subr expands it; options and password are those of each."""
    found = aliases({"ifconfig_em0_aliases": "inet 192.0.2.1-3/24 vhid 1 advskew 7 inet 192.0.2.9/32 vhid 2"}).entries
    assert [(a.ip, a.prefix_length, a.vhid, a.advskew) for a in found] == [
        ("192.0.2.1", 24, 1, 7), ("192.0.2.2", 32, 1, 7), ("192.0.2.3", 32, 1, 7), ("192.0.2.9", 32, 2, None)
    ]  # fmt: skip


def test_what_an_entry_leaves_out_is_as_an_earlier_one_said() -> None:
    """netif takes IPv4 first, then IPv6; ifconfig changes of a vhid what it is told, and nothing else."""
    found = aliases(
        {
            "ifconfig_em0_alias0": "inet6 2001:db8::1/64 vhid 1",
            "ifconfig_em0_alias1": "inet 192.0.2.1/24 vhid 1 advbase 2 advskew 7 pass p",
            "ifconfig_em0_alias2": "inet 192.0.2.2/24 vhid 1 advskew 9",
            "ifconfig_em0_alias3": "inet 192.0.2.3/24 vhid 2",
        }
    ).entries
    assert [(a.advbase, a.advskew, a.key is not None) for a in found] == [
        (2, 9, True), (2, 7, True), (2, 9, True), (None, None, False)
    ]  # fmt: skip


def test_addresses_without_vhid_are_not_carps() -> None:
    """Plain aliases and other families are left alone."""
    assert aliases({"ifconfig_em0_alias0": "inet 192.0.2.1/24 link 00:11:22:33:44:55"}).entries == ()


def test_aliases_know_where_they_stand() -> None:
    """The file, and whether inside hactl's block."""
    where = {"ifconfig_em0_alias0": Origin("/etc/rc.conf.d/netif", managed=True)}
    (alias,) = rc.carp_aliases({"ifconfig_em0_alias0": "inet vhid 1 192.0.2.1/24"}, ["em0"], where, key).entries
    assert (alias.file, alias.managed) == ("/etc/rc.conf.d/netif", True)


def test_loader_and_sysctl_lines() -> None:
    """Comments, blanks and quotes."""
    assert rc.parse_loader_line(' carp_load = "YES" # why', "carp_load") == "YES"
    assert rc.parse_loader_line("#carp_load=YES", "carp_load") is None
    assert rc.parse_sysctl_conf_line("net.inet.carp.preempt = 1 # better") == ("net.inet.carp.preempt", "1")
    assert rc.parse_sysctl_conf_line("# net.inet.carp.preempt=1") is None


# --- frames and secrets -------------------------------------------------------------------------------------------


def test_frames_keep_output_exactly() -> None:
    """With and without a final newline, with a banner before and a session cut in the middle."""
    text = (
        f"Welcome!\n{FRAME} n begin a\nx\n\n{FRAME} n end a 0\n{FRAME} n begin b\ny\n{FRAME} n end b 3\nlost\n"
        f"{FRAME} other begin c\n{FRAME} n begin d\nhal"
    )
    frames = split_frames(text, "n")
    assert {name: (s.text, s.status) for name, s in frames.sections.items()} == {"a": ("x\n", 0), "b": ("y", 3)}
    assert (frames.partial, frames.complete, frames.banner) == ({"d": "hal"}, False, "Welcome!\n")
    assert frames.stray == (f"lost\n{FRAME} other begin c",)


def test_a_frame_without_its_end_does_not_swallow_the_next() -> None:
    """A section whose end is missing is partial; the next one is whole."""
    frames = split_frames(f"{FRAME} n begin a\nx\n{FRAME} n begin b\ny\n\n{FRAME} n end b 0\n{FRAME} n done\n", "n")
    assert (dict(frames.partial), list(frames.sections), frames.complete) == ({"a": "x\n"}, ["b"], True)


def test_text_of_somebody_else_has_no_frames() -> None:
    """Nothing of ours: not an answer."""
    with pytest.raises(ValueError, match="no frame"):
        split_frames("bash: timeout: command not found\n", "n")


def test_keys_are_taken_out_of_raw_text() -> None:
    """By place, by having been seen, and by fingerprint."""
    from hactl.core.facts import fingerprint

    text = 'carp: X vhid 1 key "a b"c"\npass hush 1.2.3.4\nthe word seen-elsewhere and the word wanted,'
    clean = redact(text, {"seen-elsewhere"}, {fingerprint("wanted", b"s")}, b"s")
    assert not any(word in clean for word in ('a b"c', "hush", "seen-elsewhere", "wanted"))
    assert "1.2.3.4" in clean
