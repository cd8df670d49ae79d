"""hastctl: formats, options, exit statuses, usage (docs/freebsd-facts.md#2.4; recordings 01 and 03)."""

from __future__ import annotations

import pytest

from hactl.lab.commands.output import humanize_number
from support.lab.pair import CONF, Pair

USAGE = """usage: hastctl create [-d] [-c config] [-e extentsize] [-k keepdirty]
\t\t[-m mediasize] name ...
       hastctl role [-d] [-c config] <init | primary | secondary> all | name ...
       hastctl list [-d] [-c config] [all | name ...]
       hastctl status [-d] [-c config] [all | name ...]
       hastctl dump [-d] [-c config] [all | name ...]
"""


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0B"),
        (512, "512B"),
        (4608, "4.5KB"),
        (2097152, "2.0MB"),
        (10485760, "10MB"),
        (134213120, "128MB"),
        (1073737216, "1.0GB"),
    ],
)
def test_sizes(number: int, text: str) -> None:
    """At most four characters before the B."""
    assert f"{humanize_number(number)}B" == text


@pytest.mark.parametrize("words", ["", "bogus", "role leader data", "role primary", "create", "status -x", "create -e"])
def test_usage(words: str) -> None:
    """Bad usage: the text on stderr, exit 64, whatever the configuration."""
    pair = Pair()
    done = pair.sh(pair.a, f"hastctl {words}")
    assert (done.out, done.err, done.status) == ("", USAGE, 64)


def test_list_of_a_primary() -> None:
    """Every line in its place (recording 03, step 29)."""
    pair = Pair()
    pair.replicating()
    pid = pair.a.hast.processes()[1][0]
    assert pair.sh(pair.a, "hastctl list").out == (
        "data:\n  role: primary\n  provname: data\n  localpath: /dev/vtbd1\n  extentsize: 2097152 (2.0MB)\n"
        "  keepdirty: 64\n  remoteaddr: 198.51.100.12\n  replication: memsync\n  status: complete\n"
        f"  workerpid: {pid}\n  dirty: 0 (0B)\n  statistics:\n    reads: 1\n    writes: 0\n    deletes: 0\n"
        "    flushes: 0\n    activemap updates: 0\n    local errors: read: 0, write: 0, delete: 0, flush: 0\n"
        "    queues: local: 0, send: 0, recv: 0, done: 0, idle: 255\n"
    )


def test_create_options() -> None:
    """-e, -k and -m go into the metadata; what does not fit is refused with 65."""
    pair = Pair()
    pair.a.files.write_text("/etc/hast.conf", CONF)
    done = pair.sh(pair.a, "hastctl create -e 1048576 -k 8 -m 67108864 data && hastctl dump data")
    assert done.out == (
        "resource: data\n    datasize: 67104256 (64MB)\n    extentsize: 1048576 (1.0MB)\n    keepdirty: 8\n"
        "    localoff: 4608\n    resuid: 0\n    localcnt: 0\n    remotecnt: 0\n    prevrole: init\n"
    )
    assert pair.sh(pair.a, "hastctl create -m 999999999 data").status == 65
    assert pair.sh(pair.a, "hastctl create -e 1000 data").status == 65
    unknown = pair.sh(pair.a, "hastctl create foo")
    assert (unknown.err, unknown.status) == ("[ERROR] Unknown resource foo.\n", 65)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("true", "Unable to read metadata from /dev/vtbd1: No such file or directory."),
        (
            "printf junk | dd of=/dev/vtbd1 2>/dev/null",
            "Metadata read from /dev/vtbd1 is invalid: Invalid argument.",
        ),
        (
            "sed -e 's/resource data/resource old/' /etc/hast.conf >/tmp/c; hastctl create -c /tmp/c old",
            "Provider /dev/vtbd1 is not part of resource data.",
        ),
    ],
)
def test_dump_failures(before: str, message: str) -> None:
    """Blank, garbage, somebody else's: each says so and ends with 255."""
    pair = Pair()
    pair.a.files.write_text("/etc/hast.conf", CONF)
    done = pair.sh(pair.a, f"{before}; hastctl dump data")
    assert (done.err, done.status) == (f"[ERROR] {message}\n", 255)


def test_ordinary_user_is_refused() -> None:
    """The socket and the disks are root's."""
    pair = Pair()
    pair.hastd()
    done = pair.sh(pair.a, "export USER=hactl; hastctl status")
    assert (done.out, done.status) == ("", 71)
    assert done.err == "[ERROR] Unable to connect to hastd via /var/run/hastctl: Permission denied.\n"


def test_host_names_are_looked_up() -> None:
    """A remote may be a name of /etc/hosts."""
    pair = Pair()
    for machine in (pair.a, pair.b):
        machine.files.append("/etc/hosts", "198.51.100.11 peer-a\n198.51.100.12 peer-b\n")
    pair.hastd(CONF.replace("198.51.100.12", "peer-b").replace("198.51.100.11", "peer-a"))
    pair.sh(pair.b, "hastctl role secondary data")
    pair.sh(pair.a, "hastctl role primary data; sleep 1")
    assert pair.status(pair.a) == "complete"
