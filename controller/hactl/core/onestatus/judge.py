"""What a service's answer comes to, in sh: one text for the probe, the node hook and the conditions of steps.

Rules: the sh text decides, here nothing does; who runs it in a step runs it without its comments.
Man pages: service(8), rc.subr(8), sockstat(1), timeout(1).
"""

from __future__ import annotations

from hactl.core.objects import ServiceCheck, ServiceSpec
from hactl.core.packaged import packaged
from hactl.core.sh import quote

#: `hactl_judge STATUS TEXT NAME`: afterwards hactl_runs is yes, no or unclear.
JUDGE = packaged("hactl.core.onestatus", "onestatus.sh")
#: The same, as a step has it.
JUDGE_IN_STEP = "\n".join(line for line in JUDGE.splitlines() if not line.lstrip("\t").startswith("#"))


def question_of(check: ServiceCheck) -> str:
    """sh text that succeeds where the service runs, by a check of the document.

    Whoever listens is looked up, not connected to: a service would log every connection, or refuse a peer that never
    says anything (MySQL's max_connect_errors); and it may listen on a virtual address only.
    """
    if check.tcp is not None:
        return f'[ -n "$(sockstat -46lq -P tcp -p {check.tcp})" ]'
    assert check.command is not None
    return f"timeout --foreground -k 2 {check.timeout_seconds} /bin/sh -c {quote(check.command)}"


def shown(check: ServiceCheck) -> str:
    """The check in a few words."""
    return f"tcp {check.tcp}" if check.tcp is not None else f"{check.command}"


def asked_how(spec: ServiceSpec) -> str:
    """What a person would run to ask the same."""
    return f"service {spec.name} onestatus" if spec.check is None else question_of(spec.check)
