"""What `hactl demo` stands on besides the lab; the story itself is told by `make demo`."""

from __future__ import annotations

import pytest

from hactl.cli.commands.lab.demo import example_text
from hactl.errors import HactlError


def test_the_demo_finds_the_examples_of_this_checkout() -> None:
    """Wherever in the package the demo's own module stands."""
    assert "kind: HACluster" in example_text("nas")


def test_an_example_that_is_not_there_is_said() -> None:
    """One line for a person, not a traceback."""
    with pytest.raises(HactlError, match="nothing-like-it"):
        example_text("nothing-like-it")
