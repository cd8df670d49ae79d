"""What programs cost to start and to run, seconds: nothing, as on hardware, or as on the emulated pair.

Rules:
- Measured on the pair (docs/freebsd-facts.md#7.10); a program that is not listed costs what `true` does.
- Only the lab's own programs are charged: what the shell plays itself (awk, grep, cat) costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Built into /bin/sh.
_BUILT_IN = {
    "__background", "__command_v", "__foreign", "__pending", "__test", "[", "kill", "__kill", "test", "umask", "wait"
}  # fmt: skip


@dataclass(frozen=True)
class Costs:
    """What each program costs, seconds."""

    start: float = 0.0
    more: Mapping[str, float] = field(default_factory=dict)

    def of(self, program: str) -> float:
        """What one run of it costs, without what it waits for; what /bin/sh has built in costs nothing."""
        return 0.0 if program in _BUILT_IN else self.more.get(program, self.start)


FREE = Costs()
#: 1 to 3 ms a start; a service asks rc.subr, which starts a handful.
HARDWARE = Costs(0.002, {"service": 0.02, "rc.d": 0.01})
EMULATED = Costs(
    0.063,
    {
        "pgrep": 0.081,
        "sysctl": 0.076,
        "hastctl": 0.115,
        "mount": 0.087,
        "stat": 0.062,
        "sha256": 0.075,
        "ifconfig": 0.128,
        "timeout": 0.054,
        "service": 0.542,
        # A script of rc.d without service(8), beside its own start (docs/freebsd-facts.md#7.52).
        "rc.d": 0.25,
    },
)
