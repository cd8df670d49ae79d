"""The hook compares times of its own notes: no step of the wall clock makes an old copy look fresh, or the reverse."""

from __future__ import annotations

import pytest

from support.lab.hook_pair import REPLICATION, A, B, HookPair


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_a_copy_that_was_lost_long_before_stays_old_whatever_the_clock_says(seconds: int) -> None:
    """The active node wrote alone for a minute; the standby's clock is stepped; the active node dies (I4)."""
    pair = HookPair()
    pair.world.cut(A, REPLICATION)
    pair.wait(60.0)
    pair.machine(B).skew_seconds += seconds
    pair.wait(5.0)
    pair.world.power_off(A)
    pair.wait(90.0)
    assert pair.role(B) == "secondary"
    assert not pair.mounted(B)


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_a_step_between_the_loss_and_the_takeover_changes_nothing(seconds: int) -> None:
    """The clock is corrected just after the active node died: the standby serves all the same."""
    pair = HookPair()
    pair.world.power_off(A)
    pair.wait(1.0)
    pair.machine(B).skew_seconds += seconds
    pair.wait(90.0)
    assert pair.primaries() == [B]
    assert pair.mounted(B)


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_the_only_complete_copy_is_known_by_how_long_it_was_alone(seconds: int) -> None:
    """It wrote alone for seconds only, the clock was stepped meanwhile, it loses the addresses: it gives up as ever."""
    pair = HookPair()
    pair.world.cut(A, REPLICATION)
    pair.wait(25.0)
    pair.machine(A).skew_seconds += seconds
    pair.wait(5.0)
    pair.world.cut(A, "vtnet1")
    pair.wait(60.0)
    assert pair.role(A) == "secondary"
