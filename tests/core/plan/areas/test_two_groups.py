"""Two groups with storage, each at home on another node: none of the two is only a standby."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hactl.simulate.serving import primaries
from support.documents import second_group
from support.lab.closed_loop import Loop, example
from support.lab.serving import complaints


def _without_more(data: dict[str, Any]) -> None:
    second_group(data, more=False)


@pytest.mark.parametrize("before", [None, _without_more], ids=["one group serves", "both serve"])
def test_resources_come_to_nodes_that_both_serve(before: Callable[[dict[str, Any]], None] | None) -> None:
    """Seen on the real pair: each hastd waited for the other to take the new file first, for ever."""
    whole = example("nas", second_group)
    loop = Loop(whole)
    loop.document = example("nas", before)
    loop.converge()
    loop.document, loop.generation = whole, 2
    loop.converge()
    assert complaints(loop) == []
    assert [primaries(loop, name) for name in ("data", "data2", "data3")] == [["nas-a"], ["nas-a"], ["nas-b"]]
