"""What a program on the node needs of the base system: hastd's exec, ping, daemon, logger, links, locks, sums, time."""

from __future__ import annotations

import pytest

from hactl.lab.machine import Machine
from support.lab.pair import CONF, Pair

HOOK = '#!/bin/sh\necho "$#:$*" >> /var/db/hooks\n'


@pytest.fixture
def pair() -> Pair:
    """Two machines in virtual time."""
    return Pair()


# hastd's exec


def hooks(machine: Machine) -> list[str]:
    """What the program was called with so far; forgets it."""
    lines = machine.files.read_text("/var/db/hooks").splitlines() if machine.files.exists("/var/db/hooks") else []
    machine.files.write_text("/var/db/hooks", "")
    return lines


def test_exec_runs_on_both_nodes(pair: Pair) -> None:
    """The table of docs/freebsd-facts.md#2.9: role, connect, disconnect, sync, by the global statement."""
    for machine in (pair.a, pair.b):
        machine.files.write_text("/var/db/hook", HOOK, 0o755)
    pair.hastd(f"exec /var/db/hook\n{CONF}")
    pair.sh(pair.b, "hastctl role secondary data")
    pair.sh(pair.a, "hastctl role primary data")
    pair.world.advance(1)
    assert hooks(pair.a) == ["4:role data init primary", "2:connect data"]
    assert hooks(pair.b) == ["4:role data init secondary", "2:connect data"]
    pair.sh(pair.b, "service hastd onestop")
    pair.world.advance(5)
    assert hooks(pair.b) == ["4:role data secondary init"]
    assert hooks(pair.a) == ["2:disconnect data"]
    pair.sh(pair.a, "dd if=/dev/zero of=/dev/hast/data bs=65536 count=4 2>/dev/null")
    pair.sh(pair.b, "service hastd onestart; hastctl role secondary data")
    pair.world.advance(15)
    assert hooks(pair.a) == ["2:connect data", "2:syncstart data", "2:syncdone data"]
    assert hooks(pair.b) == ["4:role data init secondary", "2:connect data"]


def test_a_secondary_hears_of_a_dead_primary(pair: Pair) -> None:
    """It notices after the timeout, by itself."""
    pair.b.files.write_text("/var/db/hook", HOOK, 0o755)
    pair.hastd(f"exec /var/db/hook\n{CONF}")
    pair.sh(pair.b, "hastctl role secondary data")
    pair.sh(pair.a, "hastctl role primary data")
    pair.world.advance(5)
    hooks(pair.b)
    pair.world.power_off("nas-a")
    pair.world.advance(10)
    assert hooks(pair.b) == []
    pair.world.advance(15)
    assert hooks(pair.b) == ["2:disconnect data"]


def test_exec_does_not_hold_up_hastd(pair: Pair) -> None:
    """A program that takes its time runs beside hastd and beside others, outlives hastd, and dies with the power."""
    pair.a.files.write_text("/var/db/hook", '#!/bin/sh\nsleep 30\necho "$#:$*" >> /var/db/hooks\n', 0o755)
    pair.hastd(f"exec /var/db/hook\n{CONF}")
    before = pair.now
    pair.sh(pair.a, "hastctl role secondary data; hastctl role init data")
    assert pair.now - before < 5
    assert pair.sh(pair.a, "ps -axo command | grep -c '^/bin/sh /var/db/hook role data'").out == "2\n"
    pair.sh(pair.a, "service hastd onestop")
    pair.world.advance(40)
    assert hooks(pair.a) == ["4:role data init secondary", "4:role data secondary init"]
    pair.sh(pair.a, "service hastd onestart; hastctl role secondary data")
    pair.world.power_off("nas-a")
    pair.world.power_on("nas-a")
    pair.world.advance(60)
    assert hooks(pair.a) == []


def test_a_missing_or_failing_program_is_a_line_in_the_log(pair: Pair) -> None:
    """The role changes all the same."""
    pair.hastd(f"exec /var/db/hook\n{CONF}")
    assert pair.sh(pair.a, "hastctl role secondary data").status == 0
    pair.world.advance(1)
    log = "grep -o 'Unable.*\\|Hook.*' /var/log/messages | sed 's/pid=[0-9]*/pid=N/'"
    assert pair.sh(pair.a, log).out == (
        "Unable to execute /var/db/hook: No such file or directory.\n"
        "Hook exited ungracefully (pid=N, exitcode=70, cmd=[/var/db/hook role data init secondary]).\n"
    )
    pair.a.files.write_text("/var/db/hook", "#!/bin/sh\nexit 4\n", 0o755)
    pair.sh(pair.a, "hastctl role init data")
    pair.world.advance(1)
    assert "exitcode=4, cmd=[/var/db/hook role data secondary init])" in pair.sh(pair.a, log).out


# ping


def test_ping_follows_the_links(pair: Pair) -> None:
    """An answer needs the way there and back: cables, one-way losses, frozen and dead machines, withdrawn addresses."""
    lan, replication = "192.0.2.12", "198.51.100.12"

    def reached(address: str) -> bool:
        begun = pair.now
        done = pair.sh(pair.a, f"ping -c 1 -t 2 {address} > /dev/null")
        assert done.status in {0, 2}
        assert pair.now - begun == pytest.approx(2.0 if done.status else 0.0)
        return done.status == 0

    assert reached(lan)
    assert reached(replication)
    assert reached("192.0.2.11")
    pair.world.cut("nas-a", "vtnet1")
    assert not reached(lan)
    assert reached(replication)
    pair.world.join("nas-a")
    pair.world.cut("nas-b", "vtnet1", "in")
    assert not reached(lan)
    pair.world.join("nas-b")
    pair.world.cut("nas-b", "vtnet1", "out")
    assert not reached(lan)
    pair.world.join("nas-b")
    assert reached(lan)
    pair.world.freeze("nas-b")
    assert not reached(replication)
    pair.world.thaw("nas-b")
    pair.sh(pair.b, "ifconfig vtnet2 inet 198.51.100.12 -alias")
    assert not reached(replication)
    pair.world.power_off("nas-b")
    assert not reached(lan)


def test_ping_of_a_virtual_address_reaches_its_master(pair: Pair) -> None:
    """The address answers as long as somebody is master of it."""
    for machine, skew in ((pair.a, 0), (pair.b, 100)):
        pair.sh(machine, f"kldload -n carp; ifconfig vtnet1 inet 192.0.2.80/24 alias vhid 80 advskew {skew} pass x")
    assert pair.sh(pair.b, "ping -c 1 -t 1 192.0.2.80").status == 2
    pair.world.advance(5)
    assert pair.sh(pair.b, "ping -c 1 -t 1 192.0.2.80").status == 0


def test_ping_ipv6(pair: Pair) -> None:
    """The same words as for IPv4, -t and -W too; -x of the old ping6 is refused (docs/freebsd-facts.md#7.47)."""
    for machine, number in ((pair.a, 1), (pair.b, 2)):
        pair.sh(machine, f"ifconfig vtnet1 inet6 2001:db8::{number}/64")
    pair.world.advance(2)
    for words in ("ping -6 -c 1 2001:db8::2", "ping6 -c 1 2001:db8:0::2", "ping -c 1 2001:db8::2"):
        assert pair.sh(pair.a, words).status == 0, words
    assert pair.sh(pair.a, "ping -6 -n -o -q -c 4 -i 0.15 -W 200 -t 2 2001:db8::2").status == 0
    assert pair.sh(pair.a, "ping -6 -c 1 -x 200 2001:db8::2").status == 64
    assert pair.sh(pair.a, "ping6 -c 1 192.0.2.12").status == 68
    assert pair.sh(pair.a, "ping -c 1 nowhere").err == "ping: cannot resolve nowhere: Unknown host\n"
    pair.world.cut("nas-b")
    begun = pair.now
    assert pair.sh(pair.a, "timeout --foreground 3 ping -6 -c 1 2001:db8::2 >/dev/null").status == 124
    assert pair.now - begun == pytest.approx(3)


def test_a_witness(pair: Pair) -> None:
    """A plain address on a segment answers whoever is plugged in there, until it is taken away."""
    words = "ping -c 1 -t 2 192.0.2.1 > /dev/null; echo $?"
    assert pair.sh(pair.a, words).out == "2\n"
    pair.world.hosts["192.0.2.1"] = "lan"
    pair.world.cut("nas-a", "vtnet1")
    assert (pair.sh(pair.a, words).out, pair.sh(pair.b, words).out) == ("2\n", "0\n")
    pair.world.join("nas-a", "vtnet1")
    assert pair.sh(pair.a, words).out == "0\n"
    del pair.world.hosts["192.0.2.1"]
    assert pair.sh(pair.a, words).out == "2\n"


# daemon


def test_daemon_returns_at_once(pair: Pair) -> None:
    """The program goes on without who started it; pid files, restarts and the end of a supervisor."""
    done = pair.sh(pair.a, "daemon -cf sh -c 'sleep 5; pwd > /tmp/where'; echo $?; pgrep -fl 'sleep 5'")
    assert done.out.startswith("0\n")
    assert "sh -c sleep 5" in done.out
    pair.world.advance(6)
    assert pair.sh(pair.a, "cat /tmp/where").out == "/\n"
    pair.sh(pair.a, "daemon -p /var/run/x.pid -r -R 2 -o /var/log/x sh -c 'echo again; sleep 3'")
    pair.world.advance(11)
    assert pair.sh(pair.a, "grep -c again /var/log/x").out == "2\n"
    again = pair.sh(pair.a, "daemon -p /var/run/x.pid true")
    assert (again.status, again.err.startswith("daemon: process already running, pid: ")) == (3, True)
    pair.sh(pair.a, "pkill -f '^daemon: sh'")
    pair.world.advance(20)
    assert pair.sh(pair.a, "grep -c again /var/log/x; ls /var/run/x.pid 2>/dev/null").out == "3\n"
    assert pair.sh(pair.a, "daemon").status == 1


# small things


def test_small_programs(pair: Pair) -> None:
    """Links, sums, temporary files, modules, demotion, the clock and the log, from a script file of its own."""
    script = """#!/bin/sh
set -u
ln -s /etc /tmp/link; [ -L /tmp/link ] && readlink /tmp/link; [ -L /etc ] || echo real
[ -h /tmp/link ] && [ -d /tmp/link ] && echo both
ln -sf /var /tmp/link2 && test -L /tmp/link2 && rm /tmp/link2 && [ ! -e /tmp/link2 ] && echo gone
printf abc > /tmp/abc; sha256 -q /tmp/abc; printf abc | sha256 -q
file=$(mktemp /var/db/x.XXXXXX) && stat -f %Lp "$file"
dir=$(mktemp -d) && stat -f %Lp "$dir"
kldload -n carp; kldload -n carp; echo $?; kldstat -q -m carp; echo $?
sysctl net.inet.carp.demotion=240; sysctl net.inet.carp.demotion=-240 >/dev/null; sysctl -n net.inet.carp.demotion
logger -t hactl "took a-b"; logger -t hactl -p daemon.notice told
"""
    pair.a.files.write_text("/usr/local/sbin/small", script, 0o755)
    done = pair.sh(pair.a, "/usr/local/sbin/small")
    total = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"
    assert done.err == ""
    assert done.out == (f"/etc\nreal\nboth\ngone\n{total}{total}600\n700\n0\n0\nnet.inet.carp.demotion: 0 -> 240\n0\n")
    assert pair.sh(pair.a, "grep -c 'hactl\\[.*: took a-b$' /var/log/messages").out == "1\n"
    assert pair.sh(pair.a, "grep -c 'hactl\\[.*: told$' /var/log/messages /var/log/daemon.log").out == (
        "/var/log/messages:1\n/var/log/daemon.log:1\n"
    )
    pair.a.skew_seconds = 100.0
    pair.b.skew_seconds = 0.0
    apart = int(pair.sh(pair.a, "date +%s").out) - int(pair.sh(pair.b, "date +%s").out)
    assert apart == 100


def test_a_lock_between_a_hook_and_a_controllers_step(pair: Pair) -> None:
    """`lockf ... timeout ... /bin/sh -s` with the script on standard input waits for a script file that holds it."""
    pair.a.files.write_text("/usr/local/sbin/hook", "#!/bin/sh\nsleep 8; echo hook >> /tmp/order\n", 0o755)
    pair.sh(pair.a, "lockf -k -t 120 /var/run/l /usr/local/sbin/hook > /dev/null 2>&1 &")
    step = "echo 'echo step $1 >> /tmp/order' | lockf -k -t 20 /var/run/l timeout --foreground -k 5 9 /bin/sh -s one"
    begun = pair.now
    assert pair.sh(pair.a, step).status == 0
    assert pair.now - begun == pytest.approx(8, abs=0.3)
    assert pair.sh(pair.a, "cat /tmp/order").out == "hook\nstep one\n"
