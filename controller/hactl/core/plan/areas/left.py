"""What a changed document left on the nodes: it is named, with what removes it, and never removed by hactl.

Rules: a document that does not name a thing says nothing about what it is for now; a person does. What hactl itself
wrote (addresses, hook, boot aliases) is taken back by the areas that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.catalogue import HoldReason
from hactl.core.cluster import Left, LeftKind, storages_of
from hactl.core.evidence.left import mounted_on, still_there
from hactl.core.facts import device_of, known
from hactl.core.plan.scene import Scene
from hactl.core.steps import Hold


def left_holds(scene: Scene) -> Iterator[Hold]:
    """Whatever left the document and goes on on a node that answers."""
    for left in scene.view.cluster.left:
        if still_there(scene.view, left):
            yield from _service(scene, left) if left.what is LeftKind.SERVICE else _resource(scene, left)


def _service(scene: Scene, left: Left) -> Iterator[Hold]:
    service = known(scene.view.facts[left.node].services.get(left.name))
    own = "; or put it back into the document"
    if service is not None and service.rcvar is not None:
        own += f", or, if it is to run there without hactl, let it start at boot too: sysrc {service.rcvar}=YES"
    yield Hold(
        HoldReason.LEFT_BEHIND,
        f"{left.name} left the document and goes on running on {left.node}",
        node=left.node,
        target=left.name,
        remedy=f"service {left.name} onestop on {left.node}{own}",
    )


def _resource(scene: Scene, left: Left) -> Iterator[Hold]:
    """Where hastd has other resources, what it still has of this one is the daemon's area's to say."""
    mountpoint = mounted_on(scene.view, left)
    if mountpoint is not None:
        yield Hold(
            HoldReason.LEFT_BEHIND,
            f"{left.name} left the document; {device_of(left.name)} is still mounted on {mountpoint} of {left.node}, "
            "and nothing moves it any more",
            node=left.node,
            target=left.name,
            remedy=f"on {left.node}: stop what uses it, umount {mountpoint} && hastctl role init {left.name}; "
            "or put it back into the document",
        )
    elif not storages_of(scene.view.cluster, left.node):
        yield Hold(
            HoldReason.LEFT_BEHIND,
            f"the document has no storage for {left.node} any more, and hastd goes on running there",
            node=left.node,
            target="hastd",
            remedy=f"service hastd onestop && sysrc hastd_enable=NO on {left.node}; what is on the disks stays",
        )
