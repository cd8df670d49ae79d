"""The node hook: its files, devd's knowledge of them, and the notes it works by.

Rules: the files are compared by checksum and mode; devd reads its rules only when it starts (devd(8)), so it is
restarted when it was started with other ones; a copy is called complete only on the primary's own fresh word, and
the note is written only while the same worker of the standby is still connected; the demotion of a rebooted node is
lifted only when it could really serve. Man pages: devd.conf(5), rc.conf(5), carp(4).
"""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import replace
from functools import lru_cache

from hactl.core.cluster import hooked_groups
from hactl.core.facts import HastRole, HookFacts
from hactl.core.hook.render import DEVD_RULE, HOOK, RC_GUARD, RC_NODE, STATE_DIRECTORY, HookFile
from hactl.core.objects import GroupSpec, StorageSpec
from hactl.core.plan import checks
from hactl.core.plan.areas.boot import FLUSH
from hactl.core.plan.areas.filesystems import filesystem_ready
from hactl.core.plan.scene import Scene, Steps, known
from hactl.core.plan.words import quote_plain
from hactl.core.steps import Check, Risk, Step, quote

DEMOTION = "net.inet.carp.demotion"
#: The rule file's checksum as the running devd read it.
LOADED = "/var/run/hactl.devd"
HELD = "/var/run/hactl.held"
FILES = (DEVD_RULE, HOOK, RC_GUARD, RC_NODE)


@lru_cache(maxsize=256)
def checksum(text: str) -> str:
    """sha256 as sha256(1) prints it."""
    return hashlib.sha256(text.encode()).hexdigest()


def hook_of(scene: Scene, node: str) -> HookFacts | None:
    """What the node has of the hook; None, with a hold, when that could not be read."""
    hook = known(scene.facts[node].hook)
    if hook is None:
        scene.hold("FactsUnknown", f"{node}: cannot read what it has of the node hook", node=node, target="hook")
    return hook


def hook_steps(scene: Scene) -> Steps:
    """Write what differs, standby first; let devd read its rule."""
    active = set(scene.active.values())
    steps: Steps = []
    for node in sorted(scene.facts, key=lambda name: (name in active, -scene.nodes.index(name))):
        files = scene.hook_files(node)
        hook = hook_of(scene, node)
        if hook is None:
            continue
        if not files:
            steps += [_remove(node)] if hook.files else []
            continue
        differing = [file for file in files if hook.files.get(file.path) != (checksum(file.text), file.mode)]
        steps += [_write(node, file, there=file.path in hook.files) for file in differing]
        rule = next(file for file in files if file.path == DEVD_RULE)
        if hook.devd_loaded != checksum(rule.text):
            steps.append(_restart_devd(node, checksum(rule.text)))
    return steps


def installed(scene: Scene, node: str) -> bool:
    """Whether every file is there as it should be and devd knows."""
    hook = known(scene.facts[node].hook) if node in scene.facts else None
    files = scene.hook_files(node)
    return hook is not None and all(
        hook.files.get(file.path) == (checksum(file.text), file.mode)
        and (file.path != DEVD_RULE or hook.devd_loaded == checksum(file.text))
        for file in files
    )


def _write(node: str, file: HookFile, *, there: bool) -> Step:
    """Replace a file in one rename; what was there and is not ours is kept in /var/db/hactl."""
    directory, name = posixpath.split(file.path)
    command = "\n".join(
        [
            f"umask 022 && mkdir -p {directory} && mkdir -p -m 700 {STATE_DIRECTORY} &&",
            f"hactl_new=$(mktemp {directory}/.hactl.XXXXXX) || exit 1",
            'cat > "$hactl_new" <<\'HACTL_END\' || { rm -f "$hactl_new"; exit 1; }',
            file.text.rstrip("\n"),
            "HACTL_END",
            f"{{ [ ! -e {file.path} ] || grep -q 'Written by hactl' {file.path} ||",
            f"  cp -p {file.path} {STATE_DIRECTORY}/{name}.old; }} &&",
            f'  chmod {file.mode:o} "$hactl_new" && {FLUSH} &&',
            f'  mv -f "$hactl_new" {file.path} || {{ rm -f "$hactl_new"; exit 1; }}',
        ]
    )
    return Step(
        node,
        "WriteHook",
        file.path,
        "it is not what the document makes it" if there else "it does not exist",
        command,
        Risk.NONE,
        before=(Check(f"{file.path} is no directory", f"[ ! -d {file.path} ]"),),
        after=(Check(f"{file.path} is the new one", f'[ "$(sha256 -q {file.path})" = {checksum(file.text)} ]'),),
    )


def _remove(node: str) -> Step:
    """A hook of an older document would take an address that is gone for one that was lost, and give everything up."""
    paths = " ".join(FILES)
    return Step(
        node,
        "RemoveHook",
        "hook",
        "the document has nothing for it to move on this node",
        f"rm -f {paths} {LOADED} && service devd onerestart",
        Risk.NONE,
        after=(Check("the hook is gone", " && ".join(f"[ ! -e {path} ]" for path in FILES)),),
        timeout_seconds=60.0,
    )


def _restart_devd(node: str, rule: str) -> Step:
    """Events that come while it restarts wait in the kernel's queue (devctl(4)); the note is what we remember by."""
    return Step(
        node,
        "RestartDevd",
        "devd",
        "it was not started with the rule of the node hook",
        f"service devd onerestart && printf '%s\\n' {rule} > {LOADED}",
        Risk.NONE,
        before=(Check(f"{DEVD_RULE} is as it was seen", f'[ "$(sha256 -q {DEVD_RULE})" = {rule} ]'),),
        after=(Check("devd runs", "service devd onestatus >/dev/null 2>&1", 5.0),),
        timeout_seconds=60.0,
    )


# --- notes --------------------------------------------------------------------------------------------------------


def note_steps(scene: Scene) -> Steps:
    """What a standby may do is noted on it: its copy is complete, it is drained or is not any more."""
    steps: Steps = []
    for node in scene.facts:
        if not hooked_groups(scene.cluster, node) or not installed(scene, node):
            continue
        hook = hook_of(scene, node)
        if hook is None:
            continue
        steps += _drained(scene, node, hook)
        for group in hooked_groups(scene.cluster, node):
            for storage in group.storage:
                steps += _confirm(scene, group, storage, node, hook)
    return steps


def _drained(scene: Scene, node: str, hook: HookFacts) -> Steps:
    path = f"{STATE_DIRECTORY}/drained"
    if node in scene.overrides.drained and hook.drained is None:
        text = "drained by " + scene.overrides.drained[node].replace("\n", " ")[:200]
        return [
            Step(
                node,
                "NoteDrained",
                path,
                "the node is drained: its hook takes nothing over",
                f"umask 022 && mkdir -p -m 700 {STATE_DIRECTORY} && printf '%s\\n' {quote(text)} > {path}",
                Risk.NONE,
                after=(Check("the node knows that it is drained", f"[ -s {path} ]"),),
            )
        ]
    if node not in scene.overrides.drained and hook.drained is not None:
        return [
            Step(
                node,
                "ForgetDrained",
                path,
                "the node is not drained any more",
                f"rm -f {path}",
                Risk.NONE,
                after=(Check("the node is not drained", f"[ ! -e {path} ]"),),
            )
        ]
    return []


def copy_complete(scene: Scene, storage: StorageSpec, active: str) -> bool:
    """Whether the primary says that everything is on both disks: complete and nothing dirty.

    See docs/freebsd-facts.md#2.4.
    """
    resources = known(scene.facts[active].resources) if active in scene.facts else None
    resource = resources.get(storage.name) if resources else None
    return (
        resource is not None
        and resource.role is HastRole.PRIMARY
        and resource.status == "complete"
        and resource.dirty == 0
        and resource.local_errors == 0
    )


def _errors(scene: Scene, storage: StorageSpec, active: str) -> bool:
    """Whether the primary has had I/O errors on its own disk since its worker began (hastd counts until then)."""
    resource = (known(scene.facts[active].resources) or {}).get(storage.name) if active in scene.facts else None
    return resource is not None and resource.local_errors > 0


def _confirm(scene: Scene, group: GroupSpec, storage: StorageSpec, node: str, hook: HookFacts) -> Steps:
    """The standby's hook promotes only a copy that hactl called complete since its worker connected (I4)."""
    active = scene.active.get(group.name)
    if active is None or active == node or node not in storage.hast.devices:
        return []
    if storage.name in hook.confirmed and storage.name not in hook.disconnected:
        return []
    resources = known(scene.facts[node].resources) or {}
    mine = resources.get(storage.name)
    if mine is None or mine.role is not HastRole.SECONDARY or mine.workerpid is None:
        return []
    if not copy_complete(scene, storage, active):
        if _errors(scene, storage, active):
            scene.hold(
                "DiskErrors",
                f"{storage.name}: {active}, which is primary, has had I/O errors on its own disk; what is on it may be "
                f"old, and hastd calls both copies the same all the same: the copy of {node} is not confirmed",
                node=active,
                target=storage.name,
                remedy=f"look at the disk of {active}; {node} has what was written: stop what uses {storage.name}, "
                f"unmount it, hastctl role secondary {storage.name} there, "
                f"hastctl role primary {storage.name} on {node}; then create the copy of {active} again",
            )
            return []
        scene.hold(
            "Synchronising",
            f"{storage.name}: the copy of {node} is being brought up to date and cannot take over yet",
            node=node,
            target=storage.name,
            passing=True,
        )
        return []
    note = f"{STATE_DIRECTORY}/confirmed.{storage.name}"
    gone = f"{STATE_DIRECTORY}/disconnected.{storage.name}"
    peer = storage.hast.addresses[active]
    ping = f"ping -6 -c 1 {peer}" if ":" in peer else f"ping -c 1 -t 2 {peer}"
    same_worker = Check(
        f"the worker of {storage.name} is still {mine.workerpid}",
        f"hastctl list {quote(storage.name)} | grep -q '^  workerpid: {mine.workerpid}$'",
    )
    return [
        Step(
            node,
            "ConfirmCopy",
            storage.name,
            f"{active} is primary, complete and has nothing that is not here",
            # Whether the peer answers ping now: only then its silence will mean something.
            f"umask 022 && mkdir -p -m 700 {STATE_DIRECTORY} && rm -f {gone} &&\n"
            f"hactl_says=$(timeout --foreground 4 {ping} >/dev/null 2>&1 && echo answers); "
            f'echo "$(date +%s) $hactl_says" > {note}',
            Risk.NONE,
            before=(checks.role_is(storage.name, HastRole.SECONDARY), same_worker),
            after=(Check(f"the copy of {storage.name} is noted as complete", f"[ -s {note} ]"),),
        )
    ]


def lift_steps(scene: Scene) -> Steps:
    """Take the boot hold off nodes that could serve; say what the others wait for."""
    steps: Steps = []
    for node in scene.facts:
        groups = hooked_groups(scene.cluster, node)
        hook = known(scene.facts[node].hook) if groups else None
        if hook is None or hook.held == 0:
            continue
        why = next((why for group in groups if (why := _not_fit(scene, group, node, hook)) is not None), None)
        if why is None:
            steps.append(_lift(node, hook.held))
        else:
            scene.hold(
                "HeldAtBoot",
                f"{node} is held back since it booted (demotion {hook.held}): {why}",
                node=node,
                target=DEMOTION,
                passing=True,
            )
    return steps


def held_for_people(scene: Scene) -> None:
    """Where a person has to decide first, time alone lifts no boot hold: it is nothing to wait for."""
    if all(hold.passing for hold in scene.holds):
        return
    scene.holds[:] = [replace(h, passing=False) if h.reason == "HeldAtBoot" else h for h in scene.holds]


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
    return Step(
        node,
        "LiftHold",
        DEMOTION,
        "it was held back since it booted and could serve now",
        f"rm -f {HELD} && sysctl {DEMOTION}={-held}",
        Risk.BLIP,
        before=(
            Check(f"{HELD} says {held}", f'[ "$(cat {HELD} 2>/dev/null)" = {held} ]'),
            Check(f"{DEMOTION} is at least {held}", f'[ "$(sysctl -n {DEMOTION})" -ge {held} ]'),
        ),
        after=(Check("nothing is held any more", f"[ ! -e {quote_plain(HELD)} ]"),),
    )
