"""Manual pages say what the help says, in mdoc(7) that mandoc(1) has nothing against, and are in the wheel."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from hactl.cli.line.manual import PLACE, pages
from hactl.cli.main import COMMANDS
from support.needs import need

ROOT = Path(__file__).resolve().parents[3]


def test_every_command_has_a_page_and_every_page_a_command() -> None:
    """A page of a command that is gone would be found by man(1) all the same."""
    wanted = {"hactl.1", *(f"hactl-{name}.1" for name in COMMANDS)}
    assert {Path(path).name for path in pages()} == wanted
    assert {path.name for path in (ROOT / PLACE).iterdir()} == wanted


@pytest.mark.parametrize("path", sorted(pages()))
def test_the_committed_page_is_fresh(path: str) -> None:
    """`make gen` writes it."""
    assert (ROOT / path).read_text(encoding="utf-8") == pages()[path]()


def test_mandoc_has_nothing_against_them() -> None:
    """No error and no warning."""
    files = sorted((ROOT / PLACE).glob("*.1"))
    command = [need("mandoc"), "-T", "lint", "-W", "warning", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_page_shows_what_the_help_shows() -> None:
    """Options with what they take, text in its paragraphs, examples as they are, exit statuses on hactl's page."""
    mandoc = need("mandoc")

    def shown(name: str) -> str:
        done = subprocess.run(
            [mandoc, "-T", "utf8", "-O", "width=100", ROOT / PLACE / name], capture_output=True, check=True
        )
        return re.sub(".\b", "", done.stdout.decode())

    plan = shown("hactl-plan.1")
    assert "-f, --filename PATH" in plan
    assert "Show the exact commands, their order and risk" in plan
    token = shown("hactl-token.1")
    assert "hactl token create" in token
    assert "--role" in token
    main = shown("hactl.1")
    assert "hactl validate -f cluster.yaml     is the document right?" in main
    assert re.search(r"64 +the command line is wrong", main)
    assert "hactl-why-not(1)" in main


def test_the_wheel_installs_them() -> None:
    """Where man(1) of a prefix looks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared[PLACE] == "share/man/man1"
