"""The carp module and its sysctls, now.

Rules: `net.inet.carp.demotion` adds what is written, so only what people added by hand is taken back, and only when
the kernel's own log accounts for all of it. Man pages: carp(4), sysctl(8), kldload(8).
"""

from __future__ import annotations

from hactl.core.facts import NodeFacts
from hactl.core.plan import checks
from hactl.core.plan.scene import Scene, Steps, known
from hactl.core.steps import Check, Risk, Step

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


def kernel_steps(scene: Scene) -> Steps:
    """Load the module where it is missing; set what differs."""
    if not any(True for _ in scene.vips()):
        return []
    steps: Steps = []
    for node, facts in scene.facts.items():
        modules = known(facts.modules)
        if modules is None:
            scene.hold("FactsUnknown", f"{node}: cannot tell which kernel modules are loaded", node=node, target="carp")
            continue
        loaded = modules.get("carp", False)
        if not loaded and not _may_load(scene, node, facts):
            continue
        if not loaded:
            steps.append(_load(node))
        sysctls = known(facts.carp_sysctls) if loaded else CARP_DEFAULTS
        if not sysctls:
            scene.hold("FactsUnknown", f"{node}: cannot read net.inet.carp", node=node, target="net.inet.carp")
            continue
        steps += _sysctls(scene, node, dict(sysctls))
        if loaded:
            steps += _demotion(scene, node, facts, sysctls.get("demotion", 0))
    return steps


def wanted_sysctls(scene: Scene) -> dict[str, int]:
    """net.inet.carp.* the document asks for; allow=0 would switch CARP off."""
    return {"preempt": int(scene.cluster.document.spec.carp.preempt), "allow": 1}


def _may_load(scene: Scene, node: str, facts: NodeFacts) -> bool:
    system = known(facts.system)
    if system is None or system.securelevel < 1:
        return True
    scene.hold(
        "SecureLevel",
        f"{node}: the carp module is not loaded and securelevel {system.securelevel} forbids loading it",
        node=node,
        target="carp",
        remedy="add carp to kld_list in /etc/rc.conf and reboot the node",
    )
    return False


def _load(node: str) -> Step:
    return Step(
        node,
        "LoadModule",
        "carp",
        "the carp module is not loaded",
        "kldload -n carp",
        Risk.NONE,
        after=(checks.carp_loaded(),),
    )


def _sysctls(scene: Scene, node: str, have: dict[str, int]) -> Steps:
    steps = []
    for name, value in wanted_sysctls(scene).items():
        if name in have and have[name] != value:
            full = f"net.inet.carp.{name}"
            steps.append(
                Step(
                    node,
                    "SetSysctl",
                    full,
                    f"{full} is {have[name]}, the document says {value}",
                    f"sysctl {full}={value}",
                    Risk.BLIP,
                    before=(checks.carp_loaded(),),
                    after=(checks.sysctl_is(full, value),),
                )
            )
    return steps


def _demotion(scene: Scene, node: str, facts: NodeFacts, demotion: int) -> Steps:
    """A demotion that people added with sysctl is drift; the kernel's is the kernel's, the boot hold is lifted last."""
    hook = known(facts.hook)
    held = hook.held if hook is not None else 0
    if demotion == held:
        return []
    by_hand = demotion_by_hand(facts, demotion)
    if by_hand is not None:
        by_hand -= held
    if by_hand is None or by_hand == 0:
        why = "the kernel log does not tell where it came from" if by_hand is None else "the kernel added it"
        scene.hold(
            "Demoted",
            f"{node}: CARP is demoted by {demotion} ({why})",
            node=node,
            target="net.inet.carp.demotion",
            remedy=f"see `dmesg | grep demoted`; if nothing is wrong: sysctl net.inet.carp.demotion={-demotion}",
        )
        return []
    name = "net.inet.carp.demotion"
    return [
        Step(
            node,
            "AdjustDemotion",
            name,
            f"demotion is {demotion}, of which {by_hand} was added by hand",
            f"sysctl {name}={-by_hand}",
            Risk.BLIP,
            before=(checks.sysctl_is(name, demotion),),
            after=(
                Check(
                    f"{name} is {demotion - by_hand}", f'[ "$(sysctl -n {name} 2>/dev/null)" = {demotion - by_hand} ]'
                ),
            ),
        )
    ]


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
