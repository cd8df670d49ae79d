"""What writes while an exam breaks things: on each node through ssh, and through the address from the LAN.

On a node a record is asked for when the one before was answered, at most every `pace` seconds; so what is acknowledged
after the other node took over was asked for after that too, on one clock: this machine's.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hactl.core.simulation.acknowledged import Ack, Judgement, judge

from ..nodes.node import Broken, Node, Nodes

HERE = Path(__file__).parent
PROGRAM, SERVICE = "/usr/local/libexec/records", "/usr/local/etc/rc.d/records"
FOLDER = "/data/records"
PORT = 7777
PACE_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_END_SECONDS = 5.0
#: The image of release 15 has a hastd that works beside the one that does not (docs/real-nodes.md).
CURE = """
if [ -e /sbin/hastd.fixed ] && ! cmp -s /sbin/hastd.fixed /sbin/hastd; then
	cp /sbin/hastd.fixed /sbin/hastd && fsync /sbin/hastd
fi"""
#: A root filesystem without a journal can be torn by a power cut so that fsck -p leaves it to a person, and the node
#: stays in single user mode (docs/freebsd-facts.md#7.51).
BOOTS = """
if ! [ -s /etc/rc.conf.d/fsck ]; then
	mkdir -p /etc/rc.conf.d && echo 'fsck_y_enable="YES"' >/etc/rc.conf.d/fsck
	fsync /etc/rc.conf.d/fsck /etc/rc.conf.d /etc
fi"""
#: How a service is written into a document.
RECORDS: dict[str, Any] = {"name": "records", "runOn": "Active"}


def install(node: Node) -> None:
    """The program and its service, flushed: the next power cut must not take them; a hastd that works, and a node that
    boots by itself.
    """
    parts = ["set -e; mkdir -p /usr/local/libexec /usr/local/etc/rc.d"]
    for path, file in ((PROGRAM, "records.sh"), (SERVICE, "rc_records.sh")):
        parts.append(
            f"cat >{path} <<'END_OF_FILE'\n{(HERE / file).read_text()}END_OF_FILE\nchmod 755 {path}\nfsync {path}"
        )
        parts.append(f"fsync {path.rpartition('/')[0]}")
    node.must("\n".join([*parts, "fsync /usr/local/etc /usr/local /usr", CURE, BOOTS]))


class Session(threading.Thread):
    """Records asked of one node through ssh, over and over: a node that is off or frozen is only waited for."""

    def __init__(self, node: Node, writer: str, acks: list[Ack], pace: float) -> None:
        """`acks` is shared by all sessions."""
        super().__init__(name=f"records on {node.name}", daemon=True)
        self.node, self.writer, self.acks, self.pace = node, writer, acks, pace
        self.over = threading.Event()
        self.number = 0
        self.child: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Session after session, until it is over."""
        words = [*self.node.ssh[:-1], "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=30", self.node.ssh[-1]]
        while not self.over.wait(_RETRY_SECONDS):
            self.child = subprocess.Popen(
                [*words, f"/bin/sh {PROGRAM} answer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True, bufsize=1,
            )  # fmt: skip
            with contextlib.suppress(OSError, ValueError):
                self._talk(self.child)
            self.child.kill()
            for pipe in (self.child.stdin, self.child.stdout):
                with contextlib.suppress(OSError):
                    if pipe:
                        pipe.close()
            self.child.wait()

    def _talk(self, child: subprocess.Popen[str]) -> None:
        if child.stdin is None or child.stdout is None:
            raise Broken("no pipes")
        while not self.over.is_set():
            self.number += 1
            sent = time.time()
            child.stdin.write(f"{self.writer} {self.number}\n")
            child.stdin.flush()
            words = child.stdout.readline().split()
            if not words:
                return
            if words[:2] == [str(self.number), "ok"]:
                self.acks.append(Ack(self.writer, self.number, words[2], sent, time.time()))
            self.over.wait(max(self.pace - (time.time() - sent), 0))

    def finish(self) -> None:
        """End it; a session that hangs is killed."""
        self.over.set()
        self.join(_END_SECONDS)
        if self.child and self.child.poll() is None:
            self.child.kill()
        self.join(_END_SECONDS)


class Load:
    """Both sessions and the client on the LAN, and what they saw."""

    def __init__(self, nodes: Nodes, folder: Path, round_name: str) -> None:
        """Writers are named after the round: their files stay on the disk."""
        self.nodes, self.events, self.tag = nodes, folder / "client.jsonl", round_name
        self.acks: list[Ack] = []
        self.folder = folder

    @contextlib.contextmanager
    def running(self, address: str, port: int, pace: float | None = PACE_SECONDS) -> Iterator[Load]:
        """From now until the block ends; without a pace nothing is written."""
        sessions = [
            Session(node, f"{node.name}-{self.tag}", self.acks, pace) for node in self.nodes.both if pace is not None
        ]
        words = self.nodes.client(address, (port, 0 if pace is None else PORT), f"lan-{self.tag}", self.events)
        with (self.folder / "client.err").open("w") as errors:
            client = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stderr=errors, stdout=subprocess.DEVNULL, cwd=HERE.parents[1]
            )
        for session in sessions:
            session.start()
        try:
            yield self
        finally:
            for session in sessions:
                session.finish()
            client.terminate()
            client.wait(timeout=_END_SECONDS)
            with (self.folder / "acks.jsonl").open("w") as out:
                out.writelines(json.dumps(vars(ack)) + "\n" for ack in self.all_acks())

    def seen(self) -> list[dict[str, Any]]:
        """What the client saw until now."""
        if not self.events.exists():
            return []
        return [json.loads(line) for line in self.events.read_text().splitlines() if line.endswith("}")]

    def all_acks(self) -> list[Ack]:
        """Of the sessions and of the client."""
        found = [
            Ack(each["writer"], each["number"], each["node"], each["sent"], each["t"])
            for each in self.seen()
            if each["kind"] == "ack"
        ]
        return sorted([*self.acks, *found], key=lambda ack: ack.acked)

    def judge(self, active: str) -> Judgement:
        """Compared with what is on the copy that `active` serves."""
        names = sorted({ack.writer for ack in self.all_acks()})
        kept = {name: self.nodes[active].run(f"cat {FOLDER}/{name}").out for name in names}
        return judge(self.all_acks(), kept)
