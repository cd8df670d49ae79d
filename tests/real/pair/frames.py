"""Frames of the LAN as bytes: ARP, ICMP echo, TCP segments. Pure; no more than a client of an HA pair needs."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

ARP, IPV4 = b"\x08\x06", b"\x08\x00"
BROADCAST = b"\xff" * 6
ICMP, TCP = 1, 6
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
REQUEST, REPLY = 1, 2
#: "HA": whose echo requests these are.
_PING_ID = 0x4841
_SHORTEST = 60
_WINDOW = 8192
_ECHO_REPLY, _ECHO_REQUEST = 0, 8


@dataclass(frozen=True)
class Host:
    """An address on the LAN, as bytes."""

    mac: bytes
    ip: bytes

    @classmethod
    def of(cls, mac: str, ip: str) -> Host:
        """From hex digits and dots."""
        return cls(bytes.fromhex(mac.replace(":", "")), ipaddress.ip_address(ip).packed)


@dataclass(frozen=True)
class Arp:
    """A question (op 1) or an answer (op 2)."""

    op: int
    sender: Host
    target: bytes


@dataclass(frozen=True)
class Echo:
    """An answer to a ping."""

    source: bytes
    target: bytes
    sequence: int


@dataclass(frozen=True)
class Segment:
    """A TCP segment."""

    source: bytes
    target: bytes
    ports: tuple[int, int]
    seq: int
    ack: int
    flags: int
    data: bytes = b""


def checksum(data: bytes) -> int:
    """The internet's (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def arp(op: int, me: Host, target: Host) -> bytes:
    """Ask for an address (the target's MAC is zeros), or answer."""
    body = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, op, me.mac, me.ip, target.mac, target.ip)
    return (target.mac if op == REPLY else BROADCAST) + me.mac + ARP + body.ljust(_SHORTEST - 14, b"\0")


def echo_request(me: Host, target: Host, sequence: int) -> bytes:
    """A ping."""
    body = struct.pack("!BBHHH8s", _ECHO_REQUEST, 0, 0, _PING_ID, sequence, b"hactl---")
    return _packet(me, target, ICMP, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


def tcp(
    me: Host, target: Host, ports: tuple[int, int], numbers: tuple[int, int], flags: int, data: bytes = b""
) -> bytes:
    """A segment; `numbers` are those of sequence and acknowledgement."""
    head = struct.pack("!HHIIBBHHH", *ports, *numbers, 5 << 4, flags, _WINDOW, 0, 0)
    pseudo = me.ip + target.ip + struct.pack("!BBH", 0, TCP, len(head) + len(data))
    total = checksum(pseudo + head + data)
    return _packet(me, target, TCP, head[:16] + struct.pack("!H", total) + head[18:] + data)


def _packet(me: Host, target: Host, protocol: int, payload: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, me.ip, target.ip)
    whole = head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload
    return (target.mac + me.mac + IPV4 + whole).ljust(_SHORTEST, b"\0")


def read(frame: bytes) -> Arp | Echo | Segment | None:
    """What a frame says; None: nothing that concerns us."""
    if frame[12:14] == ARP and len(frame) >= 42:
        (op,) = struct.unpack("!H", frame[20:22])
        return Arp(op, Host(frame[22:28], frame[28:32]), frame[38:42])
    if frame[12:14] != IPV4 or len(frame) < 34:
        return None
    length = struct.unpack("!H", frame[16:18])[0]
    body = frame[14 + (frame[14] & 15) * 4 : 14 + length]
    source, target = frame[26:30], frame[30:34]
    if frame[23] == ICMP and len(body) >= 8 and body[0] == _ECHO_REPLY:
        return Echo(source, target, struct.unpack("!H", body[6:8])[0])
    if frame[23] == TCP and len(body) >= 20:
        port, mine, seq, ack, offset, flags = struct.unpack("!HHIIBB", body[:14])
        return Segment(source, target, (port, mine), seq, ack, flags, body[(offset >> 4) * 4 :])
    return None
