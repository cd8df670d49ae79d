"""What a running node answers, as files; the script in a real sh is played by tests/e2e/test_import.py on the lab."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from hactl.core.adopt.draft import draft
from hactl.core.adopt.live import Reached, live_script, parse_live, reached_at
from hactl.core.adopt.node import NodeFile
from hactl.core.parse.answer.frames import FRAME
from support.pairs.pair import Machine, Resource, shown_list

NONCE = "0123456789abcdef"


def answer(*sections: tuple[str, str, int], done: bool = True) -> str:
    """As the script prints it."""
    text = "".join(
        f"{FRAME} {NONCE} begin {n}\n{path}\n{content}\n{FRAME} {NONCE} end {n} {status}\n"
        for n, (path, content, status) in enumerate(sections, 1)
    )
    return text + (f"{FRAME} {NONCE} done\n" if done else "")


def test_an_answer_is_taken_apart_into_files_of_that_node() -> None:
    """In the order of the script; what could not be read is left out, and nothing in a file can end it."""
    text = answer(
        ("/etc/rc.conf", f"a=1\n{FRAME} other end 1 0\nb=2\n", 0), ("mount -p", "", 1), ("hostname", "x\n", 0)
    )
    assert parse_live("h", text, NONCE) == (
        NodeFile("h:/etc/rc.conf", f"a=1\n{FRAME} other end 1 0\nb=2\n"),
        NodeFile("h:hostname", "x\n"),
    )


@pytest.mark.parametrize("text", ["", "csh: no\n", answer(("/etc/rc.conf", "a=1", 0), done=False)])
def test_an_answer_that_is_not_whole_is_none(text: str) -> None:
    """Half a file would be a wrong document."""
    assert parse_live("h", text, NONCE) is None


def test_the_script_is_sh_and_frames_what_it_prints() -> None:
    """sh reads it, and what it prints on a machine that is no FreeBSD is framed to the end."""
    done = subprocess.run(["sh", "-s"], input=live_script(NONCE), capture_output=True, text=True, check=False)
    assert done.stdout.endswith(f"{FRAME} {NONCE} done\n")
    files = parse_live("h", done.stdout, NONCE)
    assert files is not None
    assert {file.name.partition(":")[0] for file in files} <= {"h"}


PLACES = [
    ("nas-a", ("root", "nas-a", 22)),
    ("me@192.0.2.1:2222", ("me", "192.0.2.1", 2222)),
    ("2001:db8::1", ("root", "2001:db8::1", 22)),
    ("me@[2001:db8::1]:99", ("me", "2001:db8::1", 99)),
    ("", None),
    ("@x", None),
    ("x:", None),
    ("x:ssh", None),
    ("[x", ("root", "[x", 22)),
]


@pytest.mark.parametrize(("text", "place"), PLACES, ids=[p[0] for p in PLACES])
def test_where_a_node_is_reached(text: str, place: tuple[str, str, int] | None) -> None:
    """As ssh takes it; what becomes of nonsense is for the document's rules."""
    assert reached_at(text) == place


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQyHj"
IFCONFIG = """\
em0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> metric 0 mtu 1500
	inet 192.0.2.{n} netmask 0xffffff00 broadcast 192.0.2.255
	inet 192.0.2.80 netmask 0xffffff00 broadcast 192.0.2.255 vhid 80
	carp: MASTER vhid 80 advbase 1 advskew {skew} key "s3cret"
	status: active
"""


def test_addresses_that_only_run_are_in_the_document_and_are_said() -> None:
    """No file brings them up: the next boot would not have them. How a node was reached stands in the document."""
    nodes = [
        [
            NodeFile(f"{name}:hostname", f'hostname="{name}"\n'),
            NodeFile(f"{name}:sysctl net.inet.carp.preempt", "net.inet.carp.preempt: 0\n"),
            NodeFile(f"{name}:ifconfig -k", IFCONFIG.format(n=n, skew=skew)),
        ]
        for name, n, skew in (("a", 11, 100), ("b", 12, 0))
    ]
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQy"
    made = draft(
        nodes, "", [Reached("192.0.2.11", 22, "root", f"{key}Hj"), Reached("192.0.2.12", 22, "root", f"{key}Hk")]
    )
    assert made.missing == []
    (group,) = made.data["spec"]["groups"]
    assert group["preferred"] == ["b", "a"]
    assert group["virtualIPs"][0]["addresses"] == ["192.0.2.80/24"]
    assert made.data["spec"]["carp"] == {"preempt": False}
    assert made.secrets == {"secrets/vhid-80.carp": "s3cret"}
    assert made.data["spec"]["nodes"][0]["ssh"]["hostKey"].endswith("Hj")
    said = [str(each) for each in made.findings]
    assert any(
        s.startswith("a:ifconfig -k: 192.0.2.80 is on vhid 80 of em0 now, and no file brings it up") for s in said
    )
    assert "s3cret" not in "".join(said)


COLUMNS = "\t-" * 8 + "\tONLINE\n"
TANK = f"tank\tONLINE\n\t/dev/hast/data{COLUMNS}"
HAST = "resource data {\n local /dev/da1\n on a { remote 198.51.100.2 }\n on b { remote 198.51.100.1 }\n}\n"
RULE = 'notify 10 { match "system" "CARP"; match "subsystem" ".*"; action "/usr/local/bin/sw $subsystem"; };\n'


#: What base devd.conf has besides is no concern of CARP; one rule outranks the node hook's.
OLD_RULES = """\
options { directory "/etc/devd"; };
notify 0 { match "system" "IFNET"; match "type" "ATTACH"; action "true"; };
notify 200 { match "system" "CARP"; match "type" "MASTER"; action "/usr/local/bin/became-master"; };
"""


DATA = Resource("data", "data", "/dev/da1", "198.51.100.1", "init", "memsync")
STANDBY = "nginx no 0\nsmbd no 0\nntpd yes 70\n"


def running(pool: str = TANK, second: str = STANDBY) -> list[list[NodeFile]]:
    """`b` serves, has the pool, and runs nginx; a crontab there gives roles, and so does a rule of devd."""
    nodes = []
    for name, n, skew, role in (("a", 11, 0, "secondary"), ("b", 12, 100, "primary")):
        state = "MASTER" if role == "primary" else "BACKUP"
        here = {
            "hostname": f'hostname="{name}"\n',
            "/etc/hast.conf": HAST,
            "ifconfig -k": IFCONFIG.format(n=n, skew=skew).replace("MASTER", state),
            "hastctl list": shown_list(Machine(name, n, resources={"data": replace(DATA, role=role)})),
            "mount -p": "tank\t/data\tzfs\trw 0 0\n" if role == "primary" else "",
            "service onestatus": "ntpd yes 70\nnginx yes 90\nsmbd yes 80\n" if role == "primary" else second,
        }
        if role == "primary":
            here |= {"zpool list": pool, "/usr/local/etc/devd/carp.conf": RULE}
            here["/etc/devd.conf"] = OLD_RULES
            here["scripts that act"] = "/etc/crontab:3:role:role primary data\n"
        nodes.append([NodeFile(f"{name}:{path}", text) for path, text in here.items()])
    return nodes


def test_what_runs_is_in_the_document_and_who_gives_roles_is_said() -> None:
    """The pool and where it is mounted; services of the active node alone, in the order they came up."""
    made = draft(running(), "", [Reached("192.0.2.11", 22, "root", KEY), Reached("192.0.2.12", 22, "root", KEY)])
    (group,) = made.data["spec"]["groups"]
    assert group["storage"][0]["filesystem"] == {"zfs": {"pool": "tank", "mountpoint": "/data"}}
    assert group["services"] == [{"name": "smbd"}, {"name": "nginx"}]
    assert "On every node run ntpd" in made.remarks["spec", "groups", 0, "services"]
    said = [str(each) for each in made.findings]
    assert any(line.startswith("b:/etc/crontab:3: note: `role primary data` acts on what") for line in said), said
    assert any(line.startswith("b:/usr/local/etc/devd/carp.conf:1: note: `/usr/local/bin/sw") for line in said), said
    assert any(line.startswith("b:/etc/devd.conf:3: note: `/usr/local/bin/became-master` acts on") for line in said), (
        said
    )
    assert not any("`true`" in line for line in said), said
    assert any("no rule of devd, crontab or script of rc(8) on a gives roles" in line for line in said), said


def test_rules_of_devd_that_cannot_be_read_are_not_said_to_be_none() -> None:
    """devd could not read them either, and nobody knows which act."""
    nodes = [
        [*files, NodeFile(f"{name}:/etc/devd.conf", "notify {\n")] for name, files in zip("ab", running(), strict=True)
    ]
    made = draft(nodes, "", [Reached("192.0.2.11", 22, "root", KEY), Reached("192.0.2.12", 22, "root", KEY)])
    said = [str(each) for each in made.findings if "devd" in str(each)]
    assert len(said) == 2, said
    assert all("are not understood" in line for line in said), said


def test_what_is_not_understood_is_told() -> None:
    """A pool of which nothing can be read; a service without a script on the other node stays where it is."""
    made = draft(running("?\n", "nonsense\n"), "", [Reached("h", 22, "root", KEY), Reached("i", 22, "root", KEY)])
    (group,) = made.data["spec"]["groups"]
    assert "filesystem" not in group["storage"][0]
    assert group["services"] == []
    said = [str(each) for each in made.findings if "this answer is not understood" in str(each)]
    assert [line.partition(":")[2].partition(": ")[0] for line in said] == ["service onestatus", "zpool list"]


def test_a_pool_that_runs_is_in_the_document_at_each_of_its_resources() -> None:
    """With its layout, and where it is mounted; on the node that serves, whichever of them it is."""
    section = "on {0} {{\nlocal /dev/{2}\nremote 198.51.100.{1}\n}}\n"
    conf = "".join(
        f"resource {name} {{\n{section.format('a', 12, name)}{section.format('b', 11, name)}}}\n"
        for name in ("disk1", "disk2")
    )
    rows = "".join(f"\t{row}{COLUMNS}" for row in ("mirror-0", "/dev/hast/disk1", "/dev/hast/disk2"))
    nodes = [
        [
            NodeFile(f"{name}:hostname", f'hostname="{name}"\n'),
            NodeFile(f"{name}:/etc/hast.conf", conf),
            NodeFile(f"{name}:ifconfig -k", IFCONFIG.format(n=n, skew=skew)),
        ]
        for name, n, skew in (("a", 11, 0), ("b", 12, 100))
    ]
    nodes[1] += [
        NodeFile("b:zpool list", f"tank\tONLINE\n{rows}zroot\tONLINE\n\t/dev/ada0p3{COLUMNS}"),
        NodeFile("b:mount -p", "tank\t/export\tzfs\trw,nfsv4acls\t0 0\n"),
    ]
    made = draft(nodes)
    wanted = {"zfs": {"pool": "tank", "layout": "Mirror", "mountpoint": "/export"}}
    assert [each["filesystem"] for each in made.data["spec"]["groups"][0]["storage"]] == [wanted, wanted]
