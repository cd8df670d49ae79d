"""What a service's answer comes to, in sh: one text for the probe, the node hook and the conditions of steps.

Rules: the sh text decides, here nothing does; who runs it in a step runs it without its comments.
Man pages: service(8), rc.subr(8).
"""

from __future__ import annotations

from hactl.core.packaged import packaged

#: `hactl_judge STATUS TEXT`: afterwards hactl_runs is yes, no or unclear.
JUDGE = packaged("hactl.core.onestatus", "onestatus.sh")
#: The same, as a step has it.
JUDGE_IN_STEP = "\n".join(line for line in JUDGE.splitlines() if not line.lstrip("\t").startswith("#"))
