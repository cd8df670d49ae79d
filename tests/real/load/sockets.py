"""The client of real.pair with the sockets of this machine, for nodes that are not emulated: it must be on their LAN.

    python -m real.load.sockets ADDRESS TCP_PORT RECORDS_PORT WRITER FILE

Same events in the same file. Instead of raw echo requests ping(8) runs: its answers do not tell who gave them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from ..pair.client import CONNECT_LIMIT, CONNECT_SECONDS, PING_LIMIT, PING_SECONDS, Tell, Watch, into

_ANSWER_SECONDS = 3.0
_RECORD_SECONDS = 1.0


def connects(address: str, port: int, watch: Watch, over: threading.Event) -> None:
    """A connection every now and then."""
    while not over.wait(CONNECT_SECONDS):
        watch.sent += 1
        try:
            socket.create_connection((address, port), CONNECT_LIMIT).close()
            watch.answer(time.time(), "")
        except OSError:
            watch.tick(time.time())


def pings(address: str, watch: Watch, over: threading.Event) -> None:
    """What ping(8) prints, line by line."""
    with subprocess.Popen(
        ["ping", "-n", "-i", str(PING_SECONDS), address], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        for line in child.stdout or ():
            if "bytes from" in line:
                watch.answer(time.time(), "")
            if over.is_set():
                break
        child.kill()


def records(address: str, port: int, writer: str, tell: Tell, over: threading.Event) -> None:
    """One connection after the other; a record that is not answered is given up."""
    number = 0
    while not over.wait(_RECORD_SECONDS):
        try:
            with socket.create_connection((address, port), _ANSWER_SECONDS) as link, link.makefile("rw") as lines:
                while not over.wait(_RECORD_SECONDS):
                    number += 1
                    sent = time.time()
                    lines.write(f"{writer} {number}\n")
                    lines.flush()
                    words = lines.readline().split()
                    if len(words) != 3:
                        break
                    if words[:2] == [str(number), "ok"]:
                        tell(time.time(), "ack", {"writer": writer, "number": number, "node": words[2], "sent": sent})
        except OSError:
            continue


def main() -> int:
    """Until somebody ends it."""
    address, port, records_port, writer, file = sys.argv[1:]
    tell, over = into(Path(file)), threading.Event()
    ping, tcp = Watch("ping", PING_LIMIT, tell), Watch("tcp", CONNECT_LIMIT, tell)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    for target, arguments in (
        (pings, (address, ping, over)),
        (connects, (address, int(port), tcp, over)),
        (records, (address, int(records_port), writer, tell, over)),
    ):
        if target is not records or int(records_port):
            threading.Thread(target=target, args=arguments, daemon=True).start()
    parent = os.getppid()
    while not over.wait(PING_SECONDS) and os.getppid() == parent:
        ping.tick(time.time())
    for watch in (ping, tcp):
        tell(time.time(), watch.kind, {"what": "end", "sent": watch.sent, "answered": watch.good, "last": watch.last})
    return 0


if __name__ == "__main__":
    sys.exit(main())
