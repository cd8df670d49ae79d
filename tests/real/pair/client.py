"""A client on the LAN: pings ten times a second, connects five times a second, and has records written and flushed.

What it sees goes to a file, one JSON object a line, with the time of this machine: the first answer, an answer that is
missing, the answer after it (an outage lasts from the last good answer to the next one), where ARP says the address
is, and every record that was acknowledged.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import frames
from .conversation import Conversation
from .frames import Host
from .lan import HELLO, switch_port
from .settings import LOCAL, Pair

ME = Host.of("52:54:00:00:cc:01", "192.0.2.200")
PING_SECONDS, CONNECT_SECONDS, ARP_SECONDS, HELLO_SECONDS = 0.1, 0.2, 0.5, 1.0
#: From when on an answer counts as missing.
PING_LIMIT, CONNECT_LIMIT = 0.35, 0.7
LAST_SECONDS = 0.5
_SELECT_SECONDS = 0.02

Tell = Callable[[float, str, dict[str, Any]], None]


@dataclass
class Watch:
    """Good answers of one kind, and the gaps between them."""

    kind: str
    limit: float
    tell: Tell
    sent: int = 0
    good: int = 0
    last: float | None = None
    lost: bool = False

    def answer(self, now: float, node: str) -> None:
        """One came."""
        self.good += 1
        if self.last is None:
            self.tell(now, self.kind, {"what": "first", "node": node})
        elif self.lost:
            self.tell(now, self.kind, {"what": "back", "node": node, "from": self.last, "seconds": now - self.last})
        self.last, self.lost = now, False

    def tick(self, now: float) -> None:
        """Time went by."""
        if self.last is not None and not self.lost and now - self.last > self.limit:
            self.lost = True
            self.tell(now, self.kind, {"what": "lost", "from": self.last})


@dataclass
class Client:
    """One client of one virtual address."""

    pair: Pair
    address: str
    port: int
    tell: Tell
    #: 0: no records. Each is `WRITER NUMBER`; the answer `NUMBER ok NODE` acknowledges it.
    records_port: int = 0
    writer: str = "lan"
    pace: float = 1.0
    link: socket.socket = field(init=False)
    vip: Host = field(init=False)
    due: dict[str, float] = field(init=False)
    source_port: int = 40000
    sequence: int = 0
    owner: str = ""
    number: int = 0
    asked: float = 0.0

    def __post_init__(self) -> None:
        """A port of the switch."""
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.bind((LOCAL, 0))
        self.vip = Host.of("00" * 6, self.address)
        self.due = dict.fromkeys(("hello", "arp", "ping", "connect", "record"), 0.0)
        self.pings = Watch("ping", PING_LIMIT, self.tell)
        self.connects = Watch("tcp", CONNECT_LIMIT, self.tell)
        self.talk = Conversation(self._record_segment)

    def send(self, frame: bytes) -> None:
        """To the switch."""
        with contextlib.suppress(OSError):
            self.link.sendto(frame, (LOCAL, switch_port(self.pair)))

    def _record_segment(self, port: int, numbers: tuple[int, int], flags: int, data: bytes) -> None:
        self.send(frames.tcp(ME, self.vip, (port, self.records_port), numbers, flags, data))

    def _is_due(self, what: str, now: float, every: float) -> bool:
        if now < self.due[what]:
            return False
        self.due[what] = max(self.due[what] + every, now)
        return True

    def turn(self) -> None:
        """Send what is due, read what came."""
        self._send_due(time.time())
        self.listen()

    def listen(self) -> None:
        """Read what came."""
        with contextlib.suppress(InterruptedError, ConnectionRefusedError):
            if select.select([self.link], [], [], _SELECT_SECONDS)[0]:
                data = self.link.recv(65536)
                self._hear(f"nas-{data[:1].decode()}", data[1:], time.time())
        for watch in (self.pings, self.connects):
            watch.tick(time.time())

    def _send_due(self, now: float) -> None:
        known = any(self.vip.mac)
        if self._is_due("hello", now, HELLO_SECONDS):
            self.send(HELLO)
        if (not known or now - (self.pings.last or 0) > 1) and self._is_due("arp", now, ARP_SECONDS):
            self.send(frames.arp(frames.REQUEST, ME, Host(b"\0" * 6, self.vip.ip)))
        if known and self._is_due("ping", now, PING_SECONDS):
            self.sequence = (self.sequence + 1) & 0xFFFF
            self.pings.sent += 1
            self.send(frames.echo_request(ME, self.vip, self.sequence))
        if known and self.port and self._is_due("connect", now, CONNECT_SECONDS):
            self.source_port = 40000 + (self.source_port - 39999) % 20000
            self.connects.sent += 1
            self.send(frames.tcp(ME, self.vip, (self.source_port, self.port), (self.sequence, 0), frames.SYN))
        if known and self.records_port:
            self._records(now)

    def _records(self, now: float) -> None:
        if self.talk.overdue(now) and (not self.talk.idle or self.asked):
            self.talk.drop()
        if self.talk.state == "closed":
            self.asked = 0.0
            if self._is_due("record", now, self.pace):
                self.talk.open(now)
        elif self.talk.idle and not self.asked and self._is_due("record", now, self.pace):
            self.number += 1
            self.asked = now
            self.talk.say(f"{self.writer} {self.number}\n".encode(), now)
        else:
            self.talk.tick(now)

    def _hear(self, node: str, frame: bytes, now: float) -> None:
        heard = frames.read(frame)
        match heard:
            case frames.Arp(op, sender, target):
                if sender.ip == self.vip.ip:
                    self.vip = sender
                    if node != self.owner:
                        self.tell(now, "arp", {"node": node, "mac": sender.mac.hex(":")})
                        self.owner = node
                if op == frames.REQUEST and target == ME.ip:
                    self.send(frames.arp(frames.REPLY, ME, sender))
            case frames.Echo(source, target) if source == self.vip.ip and target == ME.ip:
                self.pings.answer(now, node)
            case frames.Segment(source, target) if source == self.vip.ip and target == ME.ip:
                self._hear_segment(node, heard, now)

    def _hear_segment(self, node: str, segment: frames.Segment, now: float) -> None:
        if segment.ports[0] == self.records_port and self.records_port:
            for line in self.talk.hear(segment):
                self._answered(line.decode(errors="replace").split(), now)
        elif segment.ports[0] == self.port and segment.flags & (frames.SYN | frames.ACK) == frames.SYN | frames.ACK:
            self.connects.answer(now, node)
            numbers = (segment.ack, segment.seq + 1)
            self.send(frames.tcp(ME, self.vip, (segment.ports[1], self.port), numbers, frames.RST))

    def _answered(self, words: list[str], now: float) -> None:
        if len(words) == 3 and words[0] == str(self.number) and self.asked:
            if words[1] == "ok":
                self.tell(
                    now, "ack", {"writer": self.writer, "number": self.number, "node": words[2], "sent": self.asked}
                )
            self.asked = 0.0


def watch(client: Client, seconds: float | None) -> None:
    """Until the time is over, somebody ends us, or who started us is gone; then a summary."""
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: stop.append(n))
    began, parent = time.time(), os.getppid()
    while not stop and os.getppid() == parent and (seconds is None or time.time() - began < seconds):
        client.turn()
    client.talk.drop()
    ended = time.time()
    while time.time() - ended < LAST_SECONDS:  # what is still on its way
        client.listen()
    for each in (client.pings, client.connects):
        client.tell(
            time.time(), each.kind, {"what": "end", "sent": each.sent, "answered": each.good, "last": each.last}
        )


def into(path: Path | None) -> Tell:
    """Events as JSON lines, into a file or on standard output."""
    out = path.open("a", buffering=1) if path else None

    def tell(now: float, kind: str, more: dict[str, Any]) -> None:
        line = json.dumps({"t": round(now, 3), "kind": kind, **more})
        if out:
            out.write(line + "\n")
        else:
            print(line, flush=True)

    return tell
