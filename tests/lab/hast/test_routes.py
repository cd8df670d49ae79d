"""A route to the peer that rejects: connecting fails at once, and nothing gets through while it is there.

See docs/freebsd-facts.md#7.3.
"""

from __future__ import annotations

from support.lab.pair import Pair

REJECT = "route -n add -host 198.51.100.12 -reject"
LIFT = "route -n delete -host 198.51.100.12"


def _until_device(pair: Pair) -> float:
    began = pair.now
    pair.sh(pair.a, "hastctl role primary data; while [ ! -c /dev/hast/data ]; do sleep 0.1; done")
    return pair.now - began


def test_a_dead_peer_costs_the_timeout_and_a_route_makes_it_cost_nothing() -> None:
    """Twenty seconds without the route, below one with it, and hastd says why."""
    for route, least, most in (("true", 19.0, 21.0), (REJECT, 0.0, 1.0)):
        pair = Pair()
        pair.hastd()
        pair.sh(pair.b, "hastctl role primary data")
        pair.sh(pair.a, "hastctl role secondary data")
        pair.world.advance(11)
        pair.world.power_off("nas-b")
        pair.sh(pair.a, route)
        assert least <= _until_device(pair) <= most
        said = pair.sh(pair.a, "tail -n 1 /var/log/daemon.log").out
        assert ("(primary) Unable to connect to 198.51.100.12: No route to host." in said) == (route == REJECT)


def test_a_route_left_behind_keeps_the_peers_apart() -> None:
    """With it nobody connects, either way; a while after it is gone they do."""
    pair = Pair()
    pair.hastd()
    pair.sh(pair.b, "hastctl role secondary data")
    pair.sh(pair.a, f"{REJECT}; hastctl role primary data")
    pair.world.advance(40)
    assert (pair.status(pair.a), pair.status(pair.b)) == ("degraded", "-")
    assert pair.sh(pair.b, "ping -c 1 -t 2 198.51.100.11").status == 2
    pair.sh(pair.a, LIFT)
    assert pair.sh(pair.b, "ping -c 1 -t 2 198.51.100.11").status == 0
    pair.world.advance(12)
    assert (pair.status(pair.a), pair.status(pair.b)) == ("complete", "complete")


def test_ping_waits_although_nothing_could_be_sent() -> None:
    """The complaint comes at once, the end with the time limit."""
    pair = Pair()
    pair.sh(pair.a, REJECT)
    began = pair.now
    done = pair.sh(pair.a, "ping -c 1 -t 2 198.51.100.12")
    assert (done.status, done.err) == (2, "ping: sendto: No route to host\n")
    assert pair.now - began == 2.0


def test_routes_are_in_memory() -> None:
    """A loss of power takes them."""
    pair = Pair()
    assert pair.sh(pair.a, REJECT).out == "add host 198.51.100.12\n"
    assert "<UP,HOST,REJECT,DONE,STATIC>" in pair.sh(pair.a, "route -n get -host 198.51.100.12").out
    assert pair.sh(pair.a, REJECT).out == "add host 198.51.100.12 fib 0: route already in table\n"
    pair.world.power_off("nas-a")
    pair.world.power_on("nas-a")
    pair.world.advance(20)
    assert "REJECT" not in pair.sh(pair.a, "route -n get -host 198.51.100.12").out
    gone = pair.sh(pair.a, LIFT)
    assert (gone.out, gone.status) == ("delete host 198.51.100.12 fib 0: not in table\n", 1)


def test_a_connection_that_is_there_stalls() -> None:
    """The secondary's answers go nowhere either: a write waits until the primary gives up."""
    pair = Pair()
    pair.mounted()
    pair.sh(pair.b, "route -n add -host 198.51.100.11 -reject")
    began = pair.now
    pair.sh(pair.a, "echo x > /data/x; sync")
    assert 19 < pair.now - began < 22
    assert pair.status(pair.a) == "degraded"
