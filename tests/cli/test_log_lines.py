"""What others sent is in the log as text: no line of theirs, no escape for the terminal of who reads it."""

from __future__ import annotations

import json
import logging

import pytest

from hactl.cli.commands.controller.run import JSONLines, LinesForPeople

SENT = "a\n12:00:00  the root password is x\x1b[2J\u2028b\u202ec"


@pytest.mark.parametrize("made", [JSONLines(), LinesForPeople()])
def test_a_line_is_a_line(made: logging.Formatter) -> None:
    """Of the message and of what belongs to it; readable bytes stay as they are."""
    entry = {
        "msg": f"refused {SENT}",
        "levelno": logging.WARNING,
        "levelname": "WARNING",
        "agent": SENT,
        "user": "J\u00fcrgen",
    }
    line = made.format(logging.makeLogRecord(entry))
    assert line.isprintable()
    if isinstance(made, JSONLines):
        assert (json.loads(line)["agent"], json.loads(line)["user"]) == (SENT, "J\u00fcrgen")
    else:
        assert "user=J\u00fcrgen" in line
