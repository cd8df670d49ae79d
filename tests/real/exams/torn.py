"""What a power cut leaves of the configuration. Pure but for the exam itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from .exam import Bench, exam, numbers

#: Where hactl writes, and where others of the base system do.
PLACES = "/etc /usr/local/etc /usr/local/libexec /var/db/hactl"
#: A node as if hactl had never configured its boot: the next apply writes everything anew. With the directories: a file
#: that was removed is back, and empty, when power goes before its directory is on the disk (seen in round 5).
STRIP = """
for v in kld_list hastd_enable hactl_node_enable; do sysrc -qx $v; done
sed -i '' '/net.inet.carp/d' /etc/sysctl.conf
rm -f /etc/rc.conf.d/netif /usr/local/etc/devd/hactl.conf /usr/local/etc/rc.d/hactl_* /usr/local/libexec/hactl/*
cp /etc/hast.conf /tmp/h && { echo '# by hand'; sed 's/timeout .*/timeout 30/' /tmp/h; } >/etc/hast.conf
fsync /etc/rc.conf /etc/sysctl.conf /etc/hast.conf /etc \\
    /etc/rc.conf.d /usr/local/etc/devd /usr/local/etc/rc.d /usr/local/libexec/hactl
"""
SYNTAX = "for f in /etc/rc.conf /etc/rc.conf.d/*; do [ ! -f $f ] || sh -n $f 2>&1; done"
_FIRST_SECONDS, _LAST_SECONDS = 2.0, 40.0


@exam("power-cut-config", numbers(15), "power")
def power_cut_config(bench: Bench, name: str) -> None:
    """Power is cut at a random moment of an apply: the machine boots, nothing is torn, hactl converges by itself."""
    active = bench.ready()
    victim = bench.chance.choice((active, bench.nodes.peer(active)))
    for node in bench.nodes.both:
        node.must(STRIP)
    before = bench.nodes[victim].files(PLACES)
    known = max((row["id"] for row in bench.site.steps()), default=0)
    bench.clean = False
    with bench.load() as load:
        apply = threading.Thread(target=bench.site.apply, args=(_LAST_SECONDS * 4,))
        apply.start()
        time.sleep(bench.chance.uniform(_FIRST_SECONDS, _LAST_SECONDS))
        bench.power_off(victim)
        apply.join()
        bench.power_on(victim)
    after = bench.nodes[victim].files(PLACES)
    bench.outcome.details.append(f"{victim} was cut: {_steps(bench, known)}")
    bench.outcome.must(not (found := torn(before, after)), f"torn: {', '.join(found)}")
    said = bench.nodes[victim].run(SYNTAX).out.strip()
    bench.outcome.must(not said, f"sh -n: {said}")
    bench.judge(load)


def _steps(bench: Bench, known: int) -> str:
    done = [f"{row['node']} {row['verb']} {row['target']} {row['outcome']}" for row in bench.site.steps(known)]
    return "; ".join(done[-6:]) or "before the first step"


def torn(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[str]:
    """Files that have NUL bytes, or nothing in them, and had not before; files that were there and are gone."""
    found = []
    for path, data in after.items():
        old = before.get(path)
        if b"\0" in data and (old is None or b"\0" not in old):
            found.append(f"{path} has NUL bytes")
        elif not data and old != b"" and not path.startswith("/var/db/hactl/"):
            found.append(f"{path} is empty")
        elif data and not data.endswith(b"\n") and old is not None and old.endswith(b"\n"):
            found.append(f"{path} ends in the middle of a line")
    gone = [path for path in before if path not in after and path.startswith("/etc/")]
    return found + [f"{path} is gone" for path in gone]
