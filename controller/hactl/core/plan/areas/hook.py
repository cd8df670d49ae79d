"""The node hook: its files, devd's knowledge of them, and the notes it works by.

Rules: the files are compared by checksum and mode; devd reads its rules only when it starts (devd(8)), so it is
restarted when it was started with other ones; a copy is called complete only on the primary's own fresh word, and
the note is written only while the same worker of the standby is still connected; the demotion of a rebooted node is
lifted only when it could really serve. Man pages: devd.conf(5), rc.conf(5), carp(4).
"""

from __future__ import annotations

from collections.abc import Iterator

from hactl.core.catalogue import HoldReason
from hactl.core.changes.change import DEMOTION
from hactl.core.changes.hast import HAST_CONF
from hactl.core.changes.hook import (
    DRAINED,
    HELD,
    ConfirmCopy,
    ForgetDrained,
    LiftHold,
    NoteDrained,
    RemoveHook,
    RestartDevd,
    WriteHook,
)
from hactl.core.cluster import hooked_groups
from hactl.core.facts import HastRole, HookFacts, known
from hactl.core.hook.installed import checksum, differing, rule_loaded
from hactl.core.hook.render import DEVD_RULE, HOOK, RC_GUARD, RC_NODE, HookFile
from hactl.core.objects import GroupSpec, StorageSpec
from hactl.core.plan import checks
from hactl.core.plan.adopted import hook_waits, kept, unanswered
from hactl.core.plan.areas.daemon import tells_hook
from hactl.core.plan.scene import Findings, Scene
from hactl.core.plan.serving import filesystem_ready
from hactl.core.sh import quote
from hactl.core.steps import Check, Hold, Risk, Step

FILES = (DEVD_RULE, HOOK, RC_GUARD, RC_NODE)


def hook_steps(scene: Scene) -> Findings:
    """Write what differs, standby first; let devd read its rule."""
    for node in scene.view.facts:
        yield from hook_waits(scene, node)
    waiting = unanswered(scene)
    active = set(scene.active.values())
    for node in sorted(scene.view.facts, key=lambda name: (name in active, -scene.view.nodes.index(name))):
        files, hook = scene.hook_files[node], scene.view.hook(node)
        if hook is None:
            message = f"{node}: cannot read what it has of the node hook"
            yield Hold(HoldReason.FACTS_UNKNOWN, message, node, "hook")
        elif files and waiting and not hook.files:
            continue
        elif files:
            yield from _install(node, files, hook, known(scene.view.facts[node].devd))
        elif hook.files:
            yield _remove(node)


def _install(node: str, files: tuple[HookFile, ...], hook: HookFacts, devd: bool | None) -> Iterator[Step]:
    for file in differing(files, hook):
        yield _write(node, file, hook.files.get(file.path))
    why = "it does not run" if devd is False else "it was not started with the rule of the node hook"
    if devd is False or not rule_loaded(files, hook):
        yield _restart_devd(node, next(checksum(file.text) for file in files if file.path == DEVD_RULE), why)


def _write(node: str, file: HookFile, there: tuple[str, int] | None) -> Step:
    digest = checksum(file.text)
    why = "it does not exist"
    if there is not None:
        found, mode = there
        why = f"its mode is {mode:o} instead of {file.mode:o}"
        if found != digest:
            why = f"it is not what this hactl makes of the document (sha256 {found[:12]} was found)"
    return Step.of(
        node,
        WriteHook(file.path, file.text, file.mode, digest, read_by_devd=file.path == DEVD_RULE),
        why,
        Risk.NONE,
        before=(Check(f"{file.path} is no directory", f"[ ! -d {file.path} ]"),),
        after=(Check(f"{file.path} is the new one", f'[ "$(sha256 -q {file.path})" = {digest} ]'),),
    )


def _remove(node: str) -> Step:
    return Step.of(
        node,
        RemoveHook(FILES),
        "the document has nothing for it to move on this node",
        Risk.NONE,
        after=(Check("the hook is gone", " && ".join(f"[ ! -e {path} ]" for path in FILES)),),
        timeout_seconds=60.0,
    )


def _restart_devd(node: str, rule: str, why: str) -> Step:
    return Step.of(
        node,
        RestartDevd(rule),
        why,
        Risk.NONE,
        before=(Check(f"{DEVD_RULE} is as it was seen", f'[ "$(sha256 -q {DEVD_RULE})" = {rule} ]'),),
        after=(Check("devd runs", "service devd onestatus >/dev/null 2>&1", 5.0),),
        timeout_seconds=60.0,
    )


# --- notes --------------------------------------------------------------------------------------------------------


def note_steps(scene: Scene) -> Findings:
    """What a standby may do is noted on it: its copy is complete, it is drained or is not any more."""
    for node in scene.view.facts:
        groups, hook = hooked_groups(scene.view.cluster, node), scene.view.hook(node)
        files = scene.hook_files[node]
        if not groups or hook is None or differing(files, hook) or not rule_loaded(files, hook):
            continue
        yield from _drained(scene, node, hook)
        for group in groups:
            for storage in group.storage:
                yield from _confirm(scene, group, storage, node, hook)


def _drained(scene: Scene, node: str, hook: HookFacts) -> Iterator[Step]:
    if node in scene.overrides.drained and hook.drained is None:
        text = "drained by " + scene.overrides.drained[node].replace("\n", " ")[:200]
        yield Step.of(
            node,
            NoteDrained(text),
            "the node is drained: its hook takes nothing over",
            Risk.NONE,
            after=(Check("the node knows that it is drained", f"[ -s {DRAINED} ]"),),
        )
    if node not in scene.overrides.drained and hook.drained is not None:
        yield Step.of(
            node,
            ForgetDrained(),
            "the node is not drained any more",
            Risk.NONE,
            after=(Check("the node is not drained", f"[ ! -e {DRAINED} ]"),),
        )


def _confirm(scene: Scene, group: GroupSpec, storage: StorageSpec, node: str, hook: HookFacts) -> Findings:
    """The standby's hook promotes only a copy that hactl called complete since its worker connected (I4)."""
    active = scene.active.get(group.name)
    if active is None or active == node or node not in storage.hast.devices:
        return
    if storage.name in hook.confirmed and storage.name not in hook.disconnected:
        return
    mine = scene.view.resource(storage.name, node)
    if mine is None or mine.role is not HastRole.SECONDARY or mine.workerpid is None:
        return
    if not tells_hook(scene, node, storage.name):
        yours = any(name.startswith(f"{HAST_CONF}:") for name in kept(scene))
        yield Hold(
            HoldReason.BOOT_CONFIG_BY_HAND,
            f"{node}: {HAST_CONF} does not say `exec {HOOK}` for {storage.name}: nobody there would notice that its "
            "copy lost its primary, so it is not confirmed, and not promoted",
            node=node,
            target=storage.name,
            remedy=f"spec.keep leaves that file to you: add `exec {HOOK}` to {storage.name} in {HAST_CONF} of {node}, "
            "then service hastd reload there"
            if yours
            else f"answer what waits about {HAST_CONF} of {node} first: hactl writes that line with the rest",
        )
        return
    if not scene.view.complete(storage, active):
        yield _incomplete(scene, storage, active, node)
        return
    change = ConfirmCopy(storage.name, storage.hast.addresses[active])
    same_worker = Check(
        f"the worker of {storage.name} is still {mine.workerpid}",
        f"hastctl list {quote(storage.name)} | grep -q '^  workerpid: {mine.workerpid}$'",
    )
    yield Step.of(
        node,
        change,
        f"{active} is primary, complete and has nothing that is not here",
        Risk.NONE,
        before=(checks.role_is(storage.name, HastRole.SECONDARY), same_worker),
        after=(Check(f"the copy of {storage.name} is noted as complete", f"[ -s {change.note} ]"),),
    )


def _incomplete(scene: Scene, storage: StorageSpec, active: str, node: str) -> Hold:
    """What keeps the standby's copy from being complete: time, or the disk of the primary.

    hastd counts the errors of a worker until it ends.
    """
    resource = scene.view.resource(storage.name, active)
    if resource is None or not resource.local_errors:
        why = f"{storage.name}: the copy of {node} is being brought up to date and cannot take over yet"
        return Hold(HoldReason.SYNCHRONISING, why, node, storage.name, passing=True)
    return Hold(
        HoldReason.DISK_ERRORS,
        f"{storage.name}: {active}, which is primary, has had I/O errors on its own disk; what is on it may be "
        f"old although hastd calls both copies the same, so the copy of {node} is not confirmed",
        node=active,
        target=storage.name,
        remedy=f"look at the disk of {active}; {node} has what was written: stop what uses {storage.name}, "
        f"unmount it, hastctl role secondary {storage.name} there, "
        f"hastctl role primary {storage.name} on {node}; then create the copy of {active} again",
    )


def lift_steps(scene: Scene) -> Findings:
    """Take the boot hold off nodes that could serve; say what the others wait for."""
    for node in scene.view.facts:
        groups = hooked_groups(scene.view.cluster, node)
        hook = scene.view.hook(node) if groups else None
        if hook is None or hook.held == 0:
            continue
        why = next((why for group in groups if (why := _not_fit(scene, group, node, hook)) is not None), None)
        if why is None:
            yield _lift(node, hook.held)
        else:
            message = f"{node} is held back since it booted (demotion {hook.held}): {why}"
            yield Hold(HoldReason.HELD_AT_BOOT, message, node, DEMOTION, passing=True)


def _not_fit(scene: Scene, group: GroupSpec, node: str, hook: HookFacts) -> str | None:
    """Why the node could not serve the group now; None: it could."""
    active = scene.active.get(group.name)
    if not group.storage:
        return None
    if active is None:
        return f"nobody is known to serve {group.name}"
    for storage in group.storage:
        if active == node and not filesystem_ready(scene, storage, node):
            return f"{storage.name} is not ready on it"
        if active != node and storage.name not in hook.confirmed:
            return f"its copy of {storage.name} is not known to be complete"
    return None


def _lift(node: str, held: int) -> Step:
    return Step.of(
        node,
        LiftHold(held),
        "it was held back since it booted and could serve now",
        Risk.BLIP,
        before=(
            Check(f"{HELD} says {held}", f'[ "$(cat {HELD} 2>/dev/null)" = {held} ]'),
            Check(f"{DEMOTION} is at least {held}", f'[ "$(sysctl -n {DEMOTION})" -ge {held} ]'),
        ),
        after=(Check("nothing is held any more", f"[ ! -e {HELD} ]"),),
    )
