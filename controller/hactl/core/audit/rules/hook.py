"""What the audit demands of steps about the node hook: its files, devd, its notes, the boot hold, and letting go.

Rules: only the hook's own files and notes (I10), only when they differ (I7); a copy is called complete only on the
fresh word of a primary that has everything on both disks (I4, I6); the demotion of a rebooted node is taken back only
where it could serve. Man pages: devd(8), carp(4), hastctl(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hactl.core.audit.case import Case
from hactl.core.audit.effects import SetsSysctl, WritesFile
from hactl.core.audit.reader.programs import BESIDE
from hactl.core.cluster import hooked_groups
from hactl.core.hook.render import HOOK, hook_files
from hactl.core.objects import GroupSpec, StorageSpec

#: Files that steps about the hook may write: those it is made of, and its notes.
HOOK_FILES = (
    r"/usr/local/libexec/hactl(/hook|/\.hactl[\w.-]*)?|/usr/local/etc/devd(/hactl\.conf|/\.hactl[\w.-]*)?"
    r"|/usr/local/etc/rc\.d(/hactl_(guard|node)|/\.hactl[\w.-]*)?|/var/db/hactl(/[\w.-]+)?"
)
OWN = r"/usr/local/libexec/hactl/hook|/usr/local/etc/devd/hactl\.conf|/usr/local/etc/rc\.d/hactl_(guard|node)"
NOTES = r"/var/db/hactl(/(confirmed|disconnected)\.[\w.-]+|/drained)?"
RUN_NOTES = r"/var/run/hactl\.(devd|held)"


def write_hook(case: Case) -> Iterator[str]:
    """WriteHook: the whole text of the document, by one rename, what was there kept."""
    wanted = {file.path: file for file in hook_files(case.world.cluster, case.step.node)}
    file = wanted.get(case.step.target)
    if file is None:
        yield f"I10: {case.step.target} is no file of the node hook"
        return
    if not any(effect.path == file.path and effect.how == "mv" for effect in case.all_of(WritesFile)):
        yield f"does not replace {file.path} by one rename"
    if "<<'HACTL_END'" not in case.step.command or file.text.rstrip("\n") not in case.step.command:
        yield f"does not write what the document makes of {file.path}"
    if not re.search(rf"chmod 0?{file.mode:o}\b", case.step.command):
        yield f"does not give {file.path} mode {file.mode:o}"
    if not any(effect.how == "cp" and effect.path.endswith(".old") for effect in case.all_of(WritesFile)):
        yield f"I10: does not keep what {file.path} was"


def remove_hook(case: Case) -> Iterator[str]:
    """RemoveHook."""
    if hooked_groups(case.world.cluster, case.step.node):
        yield "removes the node hook although the node has something to move"
    yield from case.runs_only("devd", "restart")


def restart_devd(case: Case) -> Iterator[str]:
    """RestartDevd."""
    yield from case.runs_only("devd", "restart")
    if not hooked_groups(case.world.cluster, case.step.node):
        yield "I7: the node has no hook that devd could call"


def confirm_copy(case: Case) -> Iterator[str]:
    """ConfirmCopy: I4 rests on it."""
    found = case.storage(case.step.target)
    if found is None:
        yield f"{case.step.target} is no resource of this node"
        return
    storage = found[1]
    notes = [effect.path for effect in case.all_of(WritesFile) if effect.how == "mv"]
    if notes != [f"/var/db/hactl/confirmed.{storage.name}"]:
        yield f"writes {', '.join(notes) or 'nothing'}, not the note about {storage.name}"
    if case.here.roles.get(storage.name) != frozenset({"secondary"}):
        yield f"I4: {case.here.name} is not known to be secondary for {storage.name}"
    part = (case.here.hast_conf or {}).get(storage.name)
    if part is None or part.settings["exec"] != HOOK:
        yield f"I4: hastd of {case.here.name} would not tell the hook when it loses its primary"
    if not any("workerpid" in check.test for check in case.step.before):
        yield "I4: does not make sure that the connection is the one that was looked at"
    yield from _primary_has_all(case, storage)


def _primary_has_all(case: Case, storage: StorageSpec) -> Iterator[str]:
    """I4 and I6: another node is primary, connected, and has nothing that is not here."""
    primaries = [peer for peer in case.peers(storage) if peer.is_primary(storage.name)]
    if not primaries:
        yield f"I4: no other node is known to be primary for {storage.name}"
    for peer in primaries:
        resource = peer.resource(storage.name)
        if old := case.too_old(peer):
            yield old
        if case.stage == 0 and (resource is None or resource.status != "complete" or resource.dirty):
            yield f"I4: {peer.name} does not say that everything of {storage.name} is on both disks"


def lift_hold(case: Case) -> Iterator[str]:
    """LiftHold: CARP is on again and exactly what is held is taken back, once each, where the node could serve."""
    hook = case.here.seen(lambda facts: facts.hook)
    held = hook.held if hook is not None else 0
    sets = [(effect.name, effect.value) for effect in case.all_of(SetsSysctl)]
    if sets != [("net.inet.carp.allow", "1"), ("net.inet.carp.demotion", str(-held))] or not held:
        yield f"sets {', '.join('='.join(each) for each in sets)}, held is {held}"
    for group in hooked_groups(case.world.cluster, case.step.node):
        for storage in group.storage:
            confirmed = hook is not None and storage.name in hook.confirmed
            if case.stage == 0 and not confirmed and not case.here.is_primary(storage.name):
                yield f"I4: lifts the boot hold while the copy of {storage.name} is not known to be complete"


def note_drained(case: Case) -> Iterator[str]:
    """NoteDrained, ForgetDrained: one note."""
    paths = {effect.path for effect in case.all_of(WritesFile) if not BESIDE.search(effect.path)} - {"/var/db/hactl"}
    if paths != {"/var/db/hactl/drained"}:
        yield f"writes {', '.join(sorted(paths)) or 'nothing'}, not the note that the node is drained"


def lets_go(case: Case, storage: StorageSpec) -> Iterator[str]:
    """A primary becomes secondary on purpose: everything is on the other disk, which could take it (I4, I5)."""
    resource = case.here.resource(storage.name)
    if not any("dirty:" in check.test for check in case.step.before):
        yield f"I4: gives {storage.name} up without making sure that everything is on both disks"
    if case.stage == 0 and (resource is None or resource.status != "complete"):
        yield f"I4: gives {storage.name} up while the other copy is not complete"
    for peer in case.peers(storage):
        if peer.facts is None:
            yield f"I5: gives {storage.name} up although {peer.name} does not answer"
        elif old := case.too_old(peer):
            yield old
        elif "secondary" not in peer.roles.get(storage.name, frozenset()):
            yield f"I5: gives {storage.name} up although {peer.name} is not secondary"
    group = case.storage(storage.name)
    if group is None or not moving(case, group[0]):
        yield f"I5: gives {storage.name} up although its group is not to be elsewhere"


def moving(case: Case, group: GroupSpec) -> bool:
    """Whether the group is to leave this node for another of its nodes."""
    goal = case.plan.goals.get(group.name)
    return goal is not None and goal != case.here.name and goal in group.preferred
