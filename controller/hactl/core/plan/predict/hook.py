"""What the facts about the node hook will be after its changes."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from hactl.core.changes.hook import (
    ConfirmCopy,
    ForgetDrained,
    HookChange,
    LiftHold,
    NoteDrained,
    RemoveHook,
    RestartDevd,
    WriteHook,
)
from hactl.core.facts import HookFacts, NodeFacts, known
from hactl.core.plan.predict.readings import seen


def after_hook_change(change: HookChange, facts: NodeFacts) -> NodeFacts:
    """The node's facts after the change."""
    hook = known(facts.hook)
    assert hook is not None
    if isinstance(change, LiftHold):
        sysctls = dict(known(facts.carp_sysctls) or {})
        # While CARP is off each vhid demotes the node too; the kernel takes that back itself.
        off = sysctls.get("allow", 1) == 0
        sysctls.update(allow=1, demotion=0 if off else sysctls.get("demotion", 0) - change.held)
        facts = replace(facts, carp_sysctls=seen(sysctls, facts))
    if isinstance(change, RestartDevd):
        facts = replace(facts, devd=seen(True, facts))
    return replace(facts, hook=seen(_after(change, hook), facts))


def _after(change: HookChange, hook: HookFacts) -> HookFacts:
    match change:
        case WriteHook():
            loaded = "" if change.read_by_devd else hook.devd_loaded
            return replace(hook, files={**hook.files, change.path: (change.checksum, change.mode)}, devd_loaded=loaded)
        case RemoveHook():
            return replace(hook, files={}, devd_loaded="")
        case RestartDevd():
            return replace(hook, devd_loaded=change.rule)
        case ConfirmCopy():
            gone = {name: at for name, at in hook.disconnected.items() if name != change.resource}
            return replace(hook, confirmed={**hook.confirmed, change.resource: 1}, disconnected=gone)
        case LiftHold():
            return replace(hook, held=0)
        case NoteDrained():
            return replace(hook, drained="drained")
        case ForgetDrained():
            return replace(hook, drained=None)
        case _:
            assert_never(change)
