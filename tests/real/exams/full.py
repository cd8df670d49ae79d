"""Nodes that have no space left, or may not write."""

from __future__ import annotations

import time

from .exam import Bench, exam
from .power import SERVICE_GOAL, cut_and_measure
from .torn import PLACES, torn

_FILL = "for s in 1m 512; do dd if=/dev/zero of={0}/exam.fill.$s bs=$s >/dev/null 2>&1; done; df {0}"
#: (make it so, undo it). A small memory disk in place of /var/db/hactl: /var is on the root filesystem there.
PLIGHTS = {
    "root": (_FILL.format("/usr"), "rm -f /usr/exam.fill.*"),
    "var": (
        "cd /; cp -Rp /var/db/hactl /tmp/keep && mdconfig -a -t swap -s 2m -u 9 && newfs /dev/md9 >/dev/null && "
        "mount /dev/md9 /var/db/hactl && cp -Rp /tmp/keep/ /var/db/hactl && " + _FILL.format("/var/db/hactl"),
        "cd /; rm -f /var/db/hactl/exam.fill*; umount -f /var/db/hactl; mdconfig -d -u 9; rm -rf /tmp/keep",
    ),
    "etc": (
        "cd /; rm -rf /exam.etc; cp -Rp /etc/ /exam.etc && kldload -n nullfs && mount -t nullfs -o ro /exam.etc /etc",
        "cd /; umount -f /etc; rm -rf /exam.etc",
    ),
}
#: What apply would mend, if it could write.
_DRIFT = "sysctl net.inet.carp.preempt=0; sed -i '' /carp/d /etc/sysctl.conf; fsync /etc/sysctl.conf"


@exam("full", tuple(f"{plight}-{who}" for plight in PLIGHTS for who in ("standby", "active")), "power")
def full(bench: Bench, name: str) -> None:
    """A node has no space, or a read-only /etc: nothing is torn, it is told, and a failover still works."""
    active = bench.ready()
    plight, _, who = name.partition("-")
    node = bench.nodes[active if who == "active" else bench.nodes.peer(active)]
    make, undo = PLIGHTS[plight]
    node.must(_DRIFT)
    before = node.files(PLACES)
    bench.outcome.details.append(node.must(make).strip())
    with bench.load() as load:
        applied = bench.site.apply(90)
        bench.outcome.details.append(f"apply: Ready {applied.ready}, {applied.steps} steps: {_last(applied.text)}")
        bench.outcome.details.append(bench.site.hactl("status").out.strip())
        found = [each for each in torn(before, node.files(PLACES)) if "exam.fill" not in each]
        bench.outcome.must(not found, f"torn: {', '.join(found)}")
        time.sleep(2)
        cut_and_measure(bench, load, active, SERVICE_GOAL)
        if who == "standby":
            node.run(undo)
        bench.power_on(active)
        if who == "active":
            node.run(undo)
    bench.judge(load)


def _last(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
