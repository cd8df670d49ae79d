"""ping(8): whether a host answers over the links as they are now, both ways.

Rules:
- `-c`, `-i` (seconds between packets), `-t` (seconds for all of it), `-6`, `-4`, `-n`, `-q`, `-o` (until the first
  answer), `-W` (milliseconds after the last packet); anything else is refused. Without `-t` and `-W` a host that does
  not answer keeps it waiting for ten seconds after the last packet. IPv6 has the same words
  (docs/freebsd-facts.md#7.47).
- Besides machines there are `world.hosts`: addresses that answer on a segment (a router, a witness).
- Man pages: ping(8), ping6(8).
"""

from __future__ import annotations

import ipaddress

from hactl.lab.commands.getopt import options
from hactl.lab.process import Result
from hactl.lab.program import Call, Computer, command, pause

_USAGE = "usage: ping [-4|-6] [-c count] [-nq] [-t timeout] host\n"
#: How long ping waits for the last answer, seconds.
_WAIT_SECONDS = 10.0


@command("ping", "ping6")
async def ping(call: Call) -> Result:
    """Exit 0 when an answer came, 2 when none did."""
    flags, values, operands, bad = options(call.argv, "46nqo", "ciWt")
    if bad is not None or len(operands) != 1:
        return Result("", _USAGE, 64)
    host = operands[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return Result("", f"{call.name}: cannot resolve {host}: Unknown host\n", 68)
    six = address.version == 6
    if (six and "4" in flags) or (not six and ("6" in flags or call.name == "ping6")):
        return Result("", f"{call.name}: {host}: Address family for hostname not supported\n", 68)
    count, interval = int(values.get("c", "1")), float(values.get("i", "1"))
    last = float(values["W"]) / 1000 if "W" in values else _WAIT_SECONDS
    limit = (count - 1) * interval + last
    if "t" in values:
        # Whichever comes first; without -W it is the whole of it.
        limit = min(float(values["t"]), limit) if "W" in values else float(values["t"])
    host = str(address)
    unreachable = not reachable(call, host)
    if unreachable and six:
        return Result("", "ping: UDP connect: No route to host\n", 1)
    sent = f"PING {host} ({host}): 56 data bytes\n"
    if answers(call, host):
        if count > 1 and "o" not in flags:
            await pause(call, (count - 1) * interval)
        return Result(
            f"{sent}64 bytes from {host}: icmp_seq=0 ttl=64 time=0.412 ms\n\n--- {host} ping statistics ---\n"
            f"{count} packets transmitted, {count} packets received, 0.0% packet loss\n"
            "round-trip min/avg/max/stddev = 0.412/0.412/0.412/0.000 ms\n"
        )
    while limit > 0:
        step = min(interval, limit)
        await pause(call, step)
        limit -= step
        # A packet goes every interval; one that gets through is an answer.
        if limit > 0 and count > 1 and answers(call, host):
            return Result(f"{sent}\n--- {host} ping statistics ---\n{count} packets transmitted, 1 packets received\n")
    lost = f"{count} packets transmitted, 0 packets received, 100.0% packet loss\n"
    # It waits for the answer to a packet that it could not send.
    complaint = "ping: sendto: No route to host\n" * count if unreachable else ""
    return Result(f"{sent}\n--- {host} ping statistics ---\n{lost}", complaint, 2)


def reachable(call: Call, host: str) -> bool:
    """Whether there is a route to the host at all."""
    machine = call.machine
    if machine.net.refused.get(host) == "reject":
        return False
    own = any(port.find(host) is not None for port in machine.net.interfaces.values())
    return own or host in machine.world.hosts or machine.net.way_out(host) is not None


def answers(call: Call, host: str) -> bool:
    """Whether a packet gets there and one comes back."""
    machine = call.machine
    segment = machine.world.hosts.get(host)
    if host in machine.net.refused:
        return False
    if segment is not None:
        return any(
            port.segment == segment and port.can_send and port.can_receive for port in machine.net.interfaces.values()
        )
    peer = machine.reaches(host)
    return peer is not None and not peer.net.answers_no_ping and arrives(call, peer, host)


def arrives(call: Call, peer: Computer, host: str) -> bool:
    """Whether a packet gets to an address of that machine and one comes back."""
    machine = call.machine
    if peer.frozen:
        return False
    if peer.name == machine.name:
        return True
    return any(
        peer.hears(machine.name, port.segment) and machine.hears(peer.name, port.segment)
        for port in peer.net.interfaces.values()
        if port.find(host) is not None
    )
