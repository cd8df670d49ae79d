"""The carp module and its sysctls, now.

Rules: `net.inet.carp.demotion` adds what is written, so only what people added by hand is taken back, and only when
the kernel's own log accounts for all of it. Man pages: carp(4), sysctl(8), kldload(8).
"""

from __future__ import annotations

from collections.abc import Mapping

from hactl.core.catalogue import HoldReason
from hactl.core.changes.carp import AdjustDemotion, LoadModule, SetSysctl
from hactl.core.changes.change import DEMOTION
from hactl.core.facts import NodeFacts, known
from hactl.core.plan import checks
from hactl.core.plan.adopted import set_by_scripts
from hactl.core.plan.scene import Findings, Scene
from hactl.core.steps import Hold, Risk, Step

#: carp(4) as the kernel starts it.
CARP_DEFAULTS = {
    "ifdown_demotion_factor": 240,
    "senderr_demotion_factor": 240,
    "demotion": 0,
    "log": 1,
    "preempt": 0,
    "dscp": 56,
    "allow": 1,
}


def kernel_steps(scene: Scene) -> Findings:
    """Load the module where it is missing; set what differs."""
    if not any(True for _ in scene.view.vips()):
        return
    for node, facts in scene.view.facts.items():
        modules = known(facts.modules)
        if modules is None:
            yield Hold(HoldReason.FACTS_UNKNOWN, f"{node}: cannot tell which kernel modules are loaded", node, "carp")
            continue
        loaded = modules.get("carp", False)
        refusal = None if loaded else _may_not_load(node, facts)
        if refusal is not None:
            yield refusal
            continue
        if not loaded:
            yield _load(node)
        sysctls = known(facts.carp_sysctls) if loaded else CARP_DEFAULTS
        if not sysctls:
            yield Hold(HoldReason.FACTS_UNKNOWN, f"{node}: cannot read net.inet.carp", node, "net.inet.carp")
            continue
        hook = known(facts.hook)
        # CARP is off while the boot guard holds the node back; it comes on again with LiftHold.
        held_off = hook is not None and bool(hook.held) and sysctls.get("allow") == 0
        wanted = {name: value for name, value in wanted_sysctls(scene).items() if not (held_off and name == "allow")}
        by_script = set_by_scripts(scene, node)
        yield from _sysctls(node, {name: value for name, value in wanted.items() if name not in by_script}, sysctls)
        if loaded and not held_off and "demotion" not in by_script:
            yield from _demotion(node, facts, sysctls.get("demotion", 0))


def wanted_sysctls(scene: Scene) -> dict[str, int]:
    """net.inet.carp.* the document asks for; allow=0 would switch CARP off."""
    return {"preempt": int(scene.view.cluster.document.spec.carp.preempt), "allow": 1}


def _may_not_load(node: str, facts: NodeFacts) -> Hold | None:
    system = known(facts.system)
    if system is None or system.securelevel < 1:
        return None
    return Hold(
        HoldReason.SECURE_LEVEL,
        f"{node}: the carp module is not loaded and securelevel {system.securelevel} forbids loading it",
        node=node,
        target="carp",
        remedy="add carp to kld_list in /etc/rc.conf and reboot the node",
    )


def _load(node: str) -> Step:
    return Step.of(node, LoadModule(), "the carp module is not loaded", Risk.NONE, after=(checks.carp_loaded(),))


def _sysctls(node: str, wanted: Mapping[str, int], have: Mapping[str, int]) -> Findings:
    for name, value in wanted.items():
        if name in have and have[name] != value:
            full = f"net.inet.carp.{name}"
            yield Step.of(
                node,
                SetSysctl(full, value),
                f"{full} is {have[name]}, the document says {value}",
                Risk.BLIP,
                before=(checks.carp_loaded(),),
                after=(checks.sysctl_is(full, value),),
            )


def _demotion(node: str, facts: NodeFacts, demotion: int) -> Findings:
    """A demotion that people added with sysctl is drift; the kernel's is the kernel's, the boot hold is lifted last."""
    hook = known(facts.hook)
    held = hook.held if hook is not None else 0
    if demotion == held:
        return
    by_hand = demotion_by_hand(facts, demotion)
    if by_hand is not None:
        by_hand -= held
    if by_hand is None or by_hand == 0:
        why = "the kernel log does not say where it came from" if by_hand is None else "the kernel added it"
        yield Hold(
            HoldReason.DEMOTED,
            f"{node}: CARP is demoted by {demotion} ({why})",
            node=node,
            target=DEMOTION,
            remedy=f"see `dmesg | grep demoted`; if nothing is wrong: sysctl {DEMOTION}={-demotion}",
        )
        return
    yield Step.of(
        node,
        AdjustDemotion(by_hand),
        f"demotion is {demotion}, of which {by_hand} was added by hand",
        Risk.BLIP,
        before=(checks.sysctl_is(DEMOTION, demotion),),
        after=(checks.sysctl_is(DEMOTION, demotion - by_hand),),
    )


def demotion_by_hand(facts: NodeFacts, demotion: int) -> int | None:
    """How much of the demotion came from writes to the sysctl; None when the log does not account for it."""
    log = known(facts.demotions)
    if not log or log[-1][1] != demotion:
        return None
    # The kernel's buffer forgets its oldest lines: only a log that starts from a known value accounts for all.
    start = log[0][1] - log[0][0]
    if start != 0:
        return None
    return sum(amount for amount, _, reason in log if reason == "sysctl")
