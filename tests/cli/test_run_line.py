"""The command line of `hactl run`: what goes together, and what is said when it does not; lines of its log."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from hactl.cli.commands.controller.run import JSONLines, LinesForPeople
from hactl.cli.main import run

#: What others sent is in the log as text: no line of theirs, no escape for the terminal of who reads it.
SENT = "a\n12:00:00  the root password is x\x1b[2J\u2028b\u202ec"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--no-api"], "nothing to do"),
        (["--no-api", "--source", "x", "--listen", "127.0.0.1:1"], "--no-api serves nothing"),
        (["--listen", "nonsense"], "write HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "write HOST:PORT"),
        (["--tls-cert", "x"], "belong together"),
        (["--tls-cert", "x", "--tls-key", "y"], "are for --listen"),
        (["--insecure-loopback", "admin"], "are for --listen"),
        (["--insecure-loopback", "king", "--listen", "127.0.0.1:1"], "king"),
        (["--insecure-loopback", "admin", "--listen", "127.0.0.1:1", "--client-ca", "x"], "without TLS"),
        (["--source", "api"], "that is the name of the API"),
        (["--source", "ftp://x"], "no kind of source"),
    ],
)
def test_contradictions(arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 64, one line that says what is wrong, and nothing was started or made."""
    assert run(["--state", str(tmp_path / "hactl.db"), "run", *arguments]) == 64
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_plain_tcp_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without TLS only loopback: refused before anything listens."""
    arguments = ["--listen", "0.0.0.0:1", "--insecure-loopback", "viewer"]
    assert run(["--state", str(tmp_path / "hactl.db"), "run", *arguments]) == 1
    assert "plain TCP is for loopback addresses only" in capsys.readouterr().err


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
