"""Programs around the kernel: modules, versions, names, time, identity.

See docs/freebsd-facts.md#3.2, #3.3; recordings 01, 08, 09.
"""

from __future__ import annotations

import pytest

from support.lab.carp_pair import Pair, call

ANSWERS = [
    ("kldload nosuch", 1, "", "kldload: can't load nosuch: No such file or directory\n"),
    ("kldload -n carp", 0, "", ""),
    ("kldload -nq nosuch", 1, "", ""),
    ("kldunload carp", 1, "", "kldunload: can't find file carp: No such file or directory\n"),
    ("kldstat -n carp", 1, "", "kldstat: can't find file carp: No such file or directory\n"),
    ("kldstat -i 7", 1, "", "kldstat: can't stat file id 7: No such file or directory\n"),
    ("kldstat -q -m vtnet", 0, "", ""),
    ("freebsd-version -kru", 0, "13.2-RELEASE\n13.2-RELEASE\n13.2-RELEASE\n", ""),
    ("freebsd-version", 0, "13.2-RELEASE\n", ""),
    ("uname", 0, "FreeBSD\n", ""),
    ("uname -srm", 0, "FreeBSD 13.2-RELEASE amd64\n", ""),
    ("id", 0, "uid=0(root) gid=0(wheel) groups=0(wheel),5(operator)\n", ""),
    ("id -u", 0, "0\n", ""),
    ("id -un", 0, "root\n", ""),
    ("id -u hast", 0, "845\n", ""),
    ("id nobodyhere", 1, "", "id: nobodyhere: no such user\n"),
    ("whoami", 0, "root\n", ""),
    ("date", 0, "Mon Nov 23 15:33:38 UTC 2026\n", ""),
    ("date +%s", 0, "1795448018\n", ""),
    ("date -u -r 1700000000 +%Y-%m-%dT%H:%M:%SZ", 0, "2023-11-14T22:13:20Z\n", ""),
    ("hostname -s", 0, "nas-a\n", ""),
    ("sysctl -n kern.securelevel", 0, "-1\n", ""),
    ("sysctl -e kern.ostype hw.ncpu", 0, "kern.ostype=FreeBSD\nhw.ncpu=1\n", ""),
    ("sysctl -N kern.osreldate", 0, "kern.osreldate\n", ""),
    ("netstat -s -p carp", 0, "", ""),
]


@pytest.fixture(scope="module")
def fresh() -> Pair:
    """A machine nobody has touched."""
    return Pair(1)


@pytest.mark.parametrize(("line", "status", "out", "error"), ANSWERS)
def test_answers(fresh: Pair, line: str, status: int, out: str, error: str) -> None:
    """Exact texts and statuses on a fresh machine."""
    if line == "kldload -n carp":
        fresh = Pair(1)
    result = call(fresh.a, line)
    assert (result.status, result.stdout, result.stderr) == (status, out, error)


def test_modules_as_recorded_after_boot() -> None:
    """Recordings 08 and 09: numbers, references, addresses and sizes of carp and geom_gate."""
    made = Pair(1)
    call(made.a, "kldload geom_gate")
    assert call(made.a, "kldstat").stdout == (
        "Id Refs Address                Size Name\n"
        " 1    4 0xffffffff80200000   d30a88 kernel\n"
        " 2    1 0xffffffff81318000     4538 geom_gate.ko\n"
    )
    assert call(made.a, "kldstat -q -m g_gate").status == 0
    call(made.a, "kldunload geom_gate")
    call(made.a, "kldload carp geom_gate")
    assert call(made.a, "kldstat").stdout == (
        "Id Refs Address                Size Name\n"
        " 1    6 0xffffffff80200000   d30a88 kernel\n"
        " 2    1 0xffffffff81318000     6840 carp.ko\n"
        " 3    1 0xffffffff8131f000     4538 geom_gate.ko\n"
    )


def test_modules_need_root_and_a_low_securelevel() -> None:
    """`Operation not permitted`; the securelevel can only be raised."""
    made = Pair(1)
    text = "kldload: can't load carp: Operation not permitted\n"
    assert call(made.a, "kldload carp", user="op").stderr == text
    call(made.a, "sysctl kern.securelevel=1")
    assert call(made.a, "kldload carp").stderr == text
    assert call(made.a, "sysctl kern.securelevel=0").status == 1


def test_hostname_can_be_changed_and_is_logged_short() -> None:
    """hostname NAME; -s and syslog use the part before the first dot."""
    made = Pair(1)
    call(made.a, "hostname nas-a.example.org")
    assert call(made.a, "hostname").stdout == "nas-a.example.org\n"
    assert call(made.a, "sysctl -n kern.hostname").stdout == "nas-a.example.org\n"
    made.a.log("messages", "test", "text")
    assert made.a.files.read_text("/var/log/messages").splitlines()[-1].endswith(" nas-a test: text")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (30, "up 30 secs,"),
        (61, "up 1 min,"),
        (119, "up 2 mins,"),
        (3600, "up 1 hr,"),
        (3700, "up  1:02,"),
        (90000, "up 1 day, 1 hr,"),
    ],
)
def test_uptime_words(seconds: int, text: str) -> None:
    """w(1) rounds to the minute and words each size of time its own way."""
    made = Pair(1)
    made.a.booted_at = made.world.clock.monotonic() - seconds
    assert text in call(made.a, "uptime").stdout


def test_boottime_follows_the_clock() -> None:
    """kern.boottime is epoch minus uptime: it moves when the clock is stepped (docs/freebsd-facts.md#3.3)."""
    made = Pair(1)
    before = call(made.a, "sysctl -n kern.boottime").stdout
    assert before == "{ sec = 1795447728, usec = 0 } Mon Nov 23 15:28:48 2026\n"
    made.a.skew_seconds = 60
    assert "{ sec = 1795447788," in call(made.a, "sysctl -n kern.boottime").stdout


def test_sysctl_reads_files() -> None:
    """`sysctl -i -f FILE`: comments and unknown names are skipped, others set; without -i the line is named."""
    made = Pair(1)
    made.carp()
    made.a.files.write_text("/tmp/s.conf", "# no\nnet.inet.carp.preempt=1 # yes\nno.such=1\n")
    result = call(made.a, "sysctl -i -f /tmp/s.conf")
    assert (result.status, result.stdout) == (0, "net.inet.carp.preempt: 0 -> 1\n")
    assert call(made.a, "sysctl -f /tmp/s.conf").stderr == "sysctl: unknown oid 'no.such' at line 3\n"
