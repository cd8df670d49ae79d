"""Whether the hastd of a node connects to its peer when it is primary: by a trial of it, and by what is seen.

The hastd of FreeBSD 15.0 and 15.1 does not (docs/freebsd-facts.md#7.18). Rules: a release alone condemns nobody, for
a mended hastd works: the verdict is a trial's on the node itself, and what is seen of a primary counts whatever its
release. Sentences hold no ages, so that an unchanged cluster is described by unchanged words.
"""

from __future__ import annotations

from hactl.core.evidence.view import View
from hactl.core.facts import Connects, HastRole, known
from hactl.core.objects import StorageSpec

#: Where it is described, and what mends it.
BUG = "FreeBSD bug 292322"
CURE = "in sbin/hastd/proto_common.c, proto_common_recv(): recv(sock, data, size, fdp == NULL ? MSG_WAITALL : 0)"
#: hastd connects twice before the device is there, each time within its timeout; what the rest takes, seconds.
DEVICE_SLACK_SECONDS = 15


def connects(view: View, node: str) -> Connects | None:
    """What is known of the node's hastd; None: nothing."""
    return known(view.facts[node].connects) if node in view.facts else None


def never_connects(view: View, node: str) -> str:
    """What is wrong with the node's hastd, for people; empty: nothing that a trial found."""
    if connects(view, node) is not Connects.NEVER:
        return ""
    system = known(view.facts[node].system)
    release = f" of FreeBSD {system.release}" if system is not None else ""
    return (
        f"the hastd{release} on {node} never connects to its peer when it is primary ({BUG}; a trial on {node} showed "
        "it): the role becomes primary, the copy stays degraded and /dev/hast empty, and no peer is ever brought up "
        "to date"
    )


def cure(view: View, node: str) -> str:
    """What helps a node whose hastd never connects, and what to leave alone until then."""
    well = [
        peer
        for storage in (storage for _, storage in view.storages() if node in storage.hast.devices)
        for peer in storage.hast.devices
        if peer != node and connects(view, peer) in (Connects.SURE, Connects.WORKS)
    ]
    left = f"leave {', '.join(dict.fromkeys(well))} on the release it has; " if well else ""
    return f"{left}on {node}: FreeBSD 13 or 14, or a hastd with one line changed ({CURE}); hactl tries it by itself"


def device_never_came(view: View, storage: StorageSpec, node: str) -> str:
    """A primary that waits for ever for its own connection, for people; empty: it is none, or not known to be one.

    Its worker lives and is not connected, the peer answers as its secondary, and the time in which the device comes
    is over (docs/freebsd-facts.md#2.1).
    """
    resource = view.resource(storage.name, node)
    device = known(view.facts[node].hast_devices.get(storage.name)) if node in view.facts else None
    if resource is None or resource.role is not HastRole.PRIMARY or resource.status == "complete":
        return ""
    if device is None or device.exists or resource.workerpid is None:
        return ""
    limit = int(2 * storage.hast.timeout_seconds + DEVICE_SLACK_SECONDS)
    if resource.worker_seconds is None or resource.worker_seconds < limit:
        return ""
    peers = [peer for peer in storage.hast.devices if peer != node]
    if not peers or any(view.role(storage.name, peer) is not HastRole.SECONDARY for peer in peers):
        return ""
    return (
        f"{storage.name}: {node} is primary for more than {limit} s, its worker lives and the copy is "
        f"{resource.status or 'not connected'}, but {storage.device} never appeared although {' and '.join(peers)} "
        f"answers: hastd waits for its own connection, as in {BUG}"
    )


def remedy_of_stuck(view: View, storage: StorageSpec, node: str) -> str:
    """What to do about such a primary."""
    look = f"on {node}: netstat -an | grep 8457 (CLOSE_WAIT), grep hastd /var/log/messages"
    if connects(view, node) is Connects.NEVER:
        return f"hastctl role init {storage.name} on {node}; {cure(view, node)}"
    return f"{look}; if /sbin/hastd was changed since it started: service hastd onerestart on {node}"
