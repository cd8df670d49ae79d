"""What docs/freebsd-facts.md (7) says of real nodes, played again: with RECORD each is a recording for the lab.

No load and no verdict of hactl: programs run on the nodes, handles are pulled, and what is printed is written down.
devd is stopped meanwhile, so that no hook acts.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ..exams.exam import Bench, exam

_ASK = "hastctl status; hastctl list data; ifconfig vtnet2 | grep status; true"
_PROGRAMS = (
    "/usr/bin/true", "/bin/sh -c :", "pgrep nfsd", "sysctl -n net.inet.carp.preempt", "hastctl dump data", "mount",
    "stat /etc/rc.conf", "sha256 /etc/rc.conf", "hastctl list", "ifconfig -k", "timeout 5 true",
    "service nfsd onestatus", "service mountd onestatus", "service rpcbind onestatus", "kldstat -q -m carp",
)  # fmt: skip
_WRITE = """
mkdir -p /var/exam; cd /var/exam
for n in plain renamed flushed whole sysrc; do echo old >$n; done; fsync *; fsync /var/exam
echo new >plain
echo new >.r && mv .r renamed
echo new >.f && fsync .f && mv .f flushed
echo new >.w && fsync .w && mv .w whole && fsync /var/exam
sysrc -f sysrc exam=new
"""
_READ = "cd /var/exam && for n in plain renamed flushed whole sysrc; do echo $n; wc -c <$n; od -c $n; done"


def _costs(bench: Bench, active: str) -> None:
    """7.10: what each program costs, ten times."""
    for program in _PROGRAMS:
        loop = f"for i in 1 2 3 4 5 6 7 8 9 10; do {program} >/dev/null; done"
        bench.nodes[active].run(f"/usr/bin/time -p sh -c '{loop}'; true")


def _nfsd(bench: Bench, active: str) -> None:
    """7.2: a stop that fails and has worked."""
    for _ in range(4):
        bench.nodes[active].run("service nfsd onestop; echo exit $?; service nfsd onestatus; echo exit $?")
        bench.nodes[active].run("service nfsd onestart; echo exit $?; service nfsd onestatus; echo exit $?")


def _peer_off(bench: Bench, active: str) -> None:
    """7.14: complete is not evidence that the peer lives."""
    standby = bench.nodes.peer(active)
    bench.nodes[active].must("service records onestop; service nfsd onestop || :")
    bench.power_off(standby)
    for _ in range(9):
        bench.nodes[active].run(_ASK)
        time.sleep(10)
    bench.power_on(standby)


def _cable(bench: Bench, active: str) -> None:
    """7.5 and 7.8: carrier tells at once, hastd much later; and when it connects again."""
    bench.nodes.link(active, "repl", up=False)
    for _ in range(8):
        bench.nodes[active].run(_ASK)
        time.sleep(5)
    bench.nodes.link(active, "repl", up=True)
    for _ in range(8):
        bench.nodes[active].run(_ASK)
        time.sleep(5)


def _route(bench: Bench, active: str) -> None:
    """7.3: the role with a peer that is off takes seconds, and with a reject route to it none."""
    standby = bench.nodes.peer(active)
    peer = bench.document["spec"]["groups"][0]["storage"][0]["hast"]["addresses"][active]
    node = bench.nodes[standby]
    device = "for i in $(jot 40); do [ ! -c /dev/hast/data ] || break; sleep 1; done; ls -l /dev/hast"
    wait = f"hastctl role primary data; {device}"
    bench.power_off(active)
    node.run(f"route -n add -host {peer} -reject; {wait}; route -n delete -host {peer}")
    node.run("hastctl role secondary data; sleep 2; hastctl role init data; sleep 1; hastctl role secondary data")
    node.run(wait, 90)
    node.run("hastctl role secondary data; tail -n 20 /var/log/messages")
    bench.power_on(active)


def _writes(bench: Bench, active: str) -> None:
    """7.1 and 7.17: what a power cut leaves of files that were written in five ways."""
    standby = bench.nodes.peer(active)
    bench.nodes[standby].must(_WRITE)
    bench.power_off(standby)
    bench.power_on(standby)
    bench.nodes[standby].run(_READ)


def _both_off(bench: Bench, active: str) -> None:
    """7.13: what the disks know when both were off."""
    bench.power_off(active, bench.nodes.peer(active))
    time.sleep(2)
    bench.power_on(active, bench.nodes.peer(active))
    time.sleep(10)
    for node in bench.nodes.both:
        node.run("hastctl dump data; hastctl list data")


_SCENES: dict[str, Callable[[Bench, str], None]] = {
    "program-costs": _costs,
    "nfsd-stops": _nfsd,
    "peer-off": _peer_off,
    "replication-cable": _cable,
    "reject-route": _route,
    "writes-and-a-cut": _writes,
    "both-off": _both_off,
}


@exam("facts", tuple(_SCENES), "power", "link")
def facts(bench: Bench, name: str) -> None:
    """What the facts about real nodes say, played again and recorded (RECORD=FOLDER)."""
    active = bench.ready()
    bench.clean = False
    for node in bench.nodes.both:
        node.must("service devd onestop")
    _SCENES[name](bench, active)
