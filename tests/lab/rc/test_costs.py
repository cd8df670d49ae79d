"""Programs cost time where a slow machine is played (docs/freebsd-facts.md#7.10)."""

from __future__ import annotations

import pytest

from hactl.lab.rc.costs import EMULATED, FREE, HARDWARE, Costs
from support.lab.pair import Pair


def _seconds(costs: Costs, script: str) -> float:
    pair = Pair()
    pair.a.rc.costs = costs
    began = pair.now
    pair.sh(pair.a, script)
    return pair.now - began


@pytest.mark.parametrize(
    ("script", "emulated"),
    [
        ("true; [ -e /etc/rc.conf ]; umask 077", 0.0),
        ("pgrep hastd", 0.081),
        ("sysctl -n kern.ostype; ifconfig -k", 0.204),
        ("timeout 5 sysctl -n kern.ostype", 0.130),
        ("sleep 1", 1.063),
        ("for i in 1 2 3; do stat -f %Lp /etc; done", 0.186),
    ],
)
def test_programs_cost_what_they_cost_there(script: str, emulated: float) -> None:
    """What is built into sh costs nothing, a program in another one costs both."""
    assert _seconds(EMULATED, script) == pytest.approx(emulated, abs=0.001)


def test_hardware_is_much_faster_and_free_is_free() -> None:
    """The same script on three machines."""
    script = "service hastd onestatus; pgrep hastd; sysctl -n kern.ostype"
    free, hardware, emulated = (_seconds(costs, script) for costs in (FREE, HARDWARE, EMULATED))
    assert free == 0.0 < hardware < emulated / 10
