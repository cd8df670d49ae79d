"""The switch, frames and the small TCP client of the simulated LAN."""

from __future__ import annotations

from real.pair import frames
from real.pair.conversation import AGAIN_SECONDS, PATIENCE_SECONDS, Conversation
from real.pair.frames import ACK, FIN, PSH, RST, SYN, Host, Segment
from real.pair.lan import DROP, HELLO, Switch

A, B, C = ("node", 1), ("node", 2), ("client", 3)
CLIENT = Host.of("52:54:00:00:cc:01", "192.0.2.200")
VIP = Host.of("00:00:5e:00:01:50", "192.0.2.80")


def _switch() -> Switch:
    switch = Switch({"a": A, "b": B})
    assert switch.forward(HELLO, C, 0.0) == []
    return switch


def test_a_switch_learns_and_a_takeover_needs_its_announcement() -> None:
    """Unknown addresses go to all; then only where they were seen last."""
    switch = _switch()
    ping = frames.echo_request(CLIENT, VIP, 1)
    assert [target for _, target in switch.forward(ping, C, 1.0)] == [A, B]
    announcement = frames.arp(frames.REQUEST, VIP, VIP)
    assert switch.forward(announcement, A, 1.0) == [(announcement, B), (b"a" + announcement, C)]
    assert [target for _, target in switch.forward(ping, C, 1.0)] == [A]
    switch.forward(announcement, B, 2.0)
    assert [target for _, target in switch.forward(ping, C, 2.0)] == [B]
    assert [target for _, target in switch.forward(announcement, A, 9.0)] == [B]  # the client said nothing for long


def test_one_direction_of_a_cable() -> None:
    """What a node sends is lost and it still hears, or the other way round."""
    switch = _switch()
    hello = frames.arp(frames.REQUEST, VIP, VIP)
    switch.forward(DROP + b" from-a", C, 1.0)
    assert switch.forward(hello, A, 1.0) == []
    assert [target for _, target in switch.forward(hello, B, 1.0)] == [A, C]
    switch.forward(DROP + b" to-a", C, 1.0)
    assert [target for _, target in switch.forward(hello, B, 1.0)] == [C]
    switch.forward(DROP, C, 1.0)
    assert [target for _, target in switch.forward(hello, B, 1.0)] == [A, C]


def test_frames_are_read_as_they_were_written() -> None:
    """ARP, and TCP with data behind padding that is none of it; checksums are right."""
    assert frames.read(frames.arp(frames.REPLY, VIP, CLIENT)) == frames.Arp(frames.REPLY, VIP, CLIENT.ip)
    frame = frames.tcp(CLIENT, VIP, (20001, 7777), (5, 6), PSH | ACK, b"w 1\n")
    assert frames.read(frame) == Segment(CLIENT.ip, VIP.ip, (20001, 7777), 5, 6, PSH | ACK, b"w 1\n")
    assert frames.read(frames.tcp(CLIENT, VIP, (20001, 7777), (5, 0), SYN)) is not None
    assert frames.checksum(frame[14:34]) == 0
    assert frames.read(frame[:20]) is None


class Peer:
    """The other end: what was sent to it, and its answers."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.got: list[tuple[int, int, bytes]] = []
        self.talk = Conversation(lambda port, numbers, flags, data: self.got.append((numbers[0], flags, data)))

    def says(self, seq: int, ack: int, flags: int, data: bytes = b"") -> list[bytes]:
        """A segment of it."""
        return self.talk.hear(Segment(VIP.ip, CLIENT.ip, (7777, self.talk.port), seq, ack, flags, data))

    def opened(self) -> int:
        """After the handshake: the number of the first byte of ours."""
        self.talk.open(0.0)
        first = self.got[-1][0] + 1
        self.says(100, first, SYN | ACK)
        assert self.talk.idle
        return first


def test_a_line_out_and_a_line_back() -> None:
    """In two pieces, and acknowledged once they came in order."""
    peer = Peer()
    first = peer.opened()
    peer.talk.say(b"w 1\n", 1.0)
    assert not peer.talk.idle
    assert peer.says(105, first + 4, ACK, b"lost before it") == []
    assert peer.says(101, first + 4, PSH | ACK, b"1 o") == []
    assert peer.says(104, first + 4, PSH | ACK, b"k a\n") == [b"1 ok a"]
    assert peer.talk.idle
    assert peer.says(104, first + 4, PSH | ACK, b"k a\n") == []  # again, because our acknowledgement was lost


def test_what_may_be_lost_is_sent_again_and_given_up_in_the_end() -> None:
    """The handshake too."""
    peer = Peer()
    peer.talk.open(0.0)
    peer.talk.tick(AGAIN_SECONDS)
    assert [flags for _, flags, _ in peer.got] == [SYN, SYN]
    first = peer.got[0][0] + 1
    peer.says(100, first, SYN | ACK)
    peer.talk.say(b"w 1\n", 1.0)
    peer.talk.tick(1.0 + AGAIN_SECONDS)
    assert [data for _, _, data in peer.got[-2:]] == [b"w 1\n", b"w 1\n"]
    assert not peer.talk.overdue(1.0 + PATIENCE_SECONDS)
    assert peer.talk.overdue(1.1 + PATIENCE_SECONDS)
    peer.talk.drop()
    assert (peer.got[-1][1], peer.talk.state) == (RST | ACK, "closed")


def test_the_other_side_ends_it() -> None:
    """By a reset, which a node without the connection sends, or in order."""
    peer = Peer()
    peer.opened()
    peer.says(101, 0, RST)
    assert peer.talk.state == "closed"
    first = peer.opened()
    assert peer.says(101, first, FIN | ACK, b"bye\n") == [b"bye"]
    assert peer.talk.state == "closed"
