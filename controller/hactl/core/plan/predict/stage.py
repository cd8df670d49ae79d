"""What the facts will be when a stage is done: how the planner looks ahead.

Rules: it predicts success, and the usual outcome of what only a node can tell; it reads what the planner means, never
the text that was made from it. The audit has a model of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from hactl.core.changes.boot import BootChange
from hactl.core.changes.carp import CarpChange
from hactl.core.changes.filesystems import FilesystemChange, ServiceChange
from hactl.core.changes.hast import HastChange
from hactl.core.changes.hook import HookChange
from hactl.core.cluster import interface_on
from hactl.core.facts import CarpState, Known, NodeFacts, Snapshot
from hactl.core.objects import VirtualIP
from hactl.core.plan.predict.boot import after_boot_change
from hactl.core.plan.predict.carp import after_carp_change, vhid_of, with_vhid
from hactl.core.plan.predict.filesystems import after_filesystem_change, after_service_change
from hactl.core.plan.predict.hast import after_hast_change
from hactl.core.plan.predict.hook import after_hook_change
from hactl.core.plan.scene import Scene
from hactl.core.plan.virtual_ips import wanted_advskews
from hactl.core.steps import Stage, Step


def predict(scene: Scene, stage: Stage) -> Snapshot:
    """The snapshot as it should be after every step of the stage is Done."""
    nodes = dict(scene.view.snapshot.nodes)
    for step in stage.steps:
        reading = nodes[step.node]
        assert isinstance(reading, Known)
        nodes[step.node] = replace(reading, value=_after(scene, step, reading.value))
    return _settle(scene, replace(scene.view.snapshot, nodes=nodes))


def _after(scene: Scene, step: Step, facts: NodeFacts) -> NodeFacts:
    change = step.change
    assert change is not None, "a step that somebody wrote by hand cannot be predicted"
    if isinstance(change, CarpChange):
        return after_carp_change(change, facts)
    if isinstance(change, HastChange):
        return after_hast_change(change, scene.view.cluster, step.node, facts)
    if isinstance(change, FilesystemChange):
        return after_filesystem_change(change, facts)
    if isinstance(change, ServiceChange):
        return after_service_change(change, facts)
    if isinstance(change, BootChange):
        return after_boot_change(change, facts)
    if isinstance(change, HookChange):
        return after_hook_change(change, facts)
    assert_never(change)


def _settle(scene: Scene, snapshot: Snapshot) -> Snapshot:
    """Let time pass: every vhid has its one MASTER; the one it has stays it (whoever preempts it does so unseen). Where
    the interface is down or has no carrier the vhid is INIT (carp(4)).
    """
    nodes = dict(snapshot.nodes)
    for group, vip in scene.view.vips():
        there = {node: vhid for node in group.preferred if (vhid := vhid_of(nodes.get(node), vip, node)) is not None}
        if sum(vhid.state is CarpState.MASTER for vhid in there.values()) == 1:
            continue
        skews = wanted_advskews(scene, group, vip)
        able = [node for node in there if _is_up(scene, vip, node)]
        best = min(able, key=lambda node: skews[node], default=None)
        for node, vhid in there.items():
            state = CarpState.MASTER if node == best else CarpState.BACKUP if node in able else CarpState.INIT
            elected = replace(vhid, state=state)
            reading = nodes[node]
            assert isinstance(reading, Known)
            nodes[node] = replace(reading, value=with_vhid(reading.value, interface_on(vip, node), elected))
    return replace(snapshot, nodes=nodes)


def _is_up(scene: Scene, vip: VirtualIP, node: str) -> bool:
    interface = scene.view.interface(vip, node)
    return interface is None or interface.up
