"""What a fresh machine lacks is installed by root and named in one line for everybody else (.ci/needs)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.limits import LIMIT_SECONDS
from support.source_tree import ROOT

THERE = ("sh", "git", "sshd", "ssh-keygen", "csh", "flock", "pgrep", "dash", "mandoc", "uname", "echo")


def machine(place: Path, *, without: str = "", user: int = 1000, apt: str = "", venv: bool = True) -> Path:
    """A PATH of stand-ins: all but `without` are there, `apt` is what apt-get does."""
    place.mkdir()
    programs = dict.fromkeys((name for name in THERE if name not in without.split()), "true")
    programs |= {"id": f"echo {user}", "uname": "echo Linux", "python3": str(venv).lower()}
    if apt:
        programs["apt-get"] = f'echo "$*" >> {place}/apt; {apt}'
    for name, body in programs.items():
        (place / name).write_text(f"#!{shutil.which('sh')}\n{body}\n")
        (place / name).chmod(0o755)
    return place


def ask(path: Path, purpose: str = "test") -> tuple[int, str]:
    """Exit status and what is said."""
    text = (ROOT / ".ci" / "needs").read_text().replace("PATH=$PATH:/usr/sbin:/sbin", "")
    done = subprocess.run(
        [shutil.which("sh") or "sh", "-s", "python3", purpose],
        input=text, env={"PATH": str(path)}, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_machine_that_has_everything_hears_nothing(tmp_path: Path) -> None:
    """Neither for the demo nor for the tests."""
    path = machine(tmp_path / "bin")
    assert ask(path) == (0, "")
    assert ask(path, "demo") == (0, "")


def test_without_root_one_line_names_what_is_missing(tmp_path: Path) -> None:
    """The tests begin all the same and skip what needs it; the demo needs none of it."""
    path = machine(tmp_path / "bin", without="sshd csh")
    status, words = ask(path)
    assert status == 0
    assert words == (
        "missing: openssh-server tcsh; the tests that need it are skipped"
        " (on Debian: sudo apt install openssh-server tcsh)\n"
    )
    assert ask(path, "demo") == (0, "")


def test_real_nodes_need_what_emulates_them(tmp_path: Path) -> None:
    """Unless they are somebody's machines."""
    path = machine(tmp_path / "bin")
    assert "qemu-system-x86 qemu-utils xz-utils" in ask(path, "real")[1]


@pytest.mark.parametrize("purpose", ["demo", "test"])
def test_without_venv_nothing_begins(tmp_path: Path, purpose: str) -> None:
    """And one line says why."""
    status, words = ask(machine(tmp_path / "bin", venv=False), purpose)
    assert (status, words) == (1, "missing: python3-venv (on Debian: sudo apt install python3-venv)\n")


def test_root_gets_it_installed(tmp_path: Path) -> None:
    """Only what is missing; where that fails, it is named."""
    path = machine(tmp_path / "well", without="dash", user=0, apt="true")
    assert ask(path) == (0, "installing dash\n")
    assert (path / "apt").read_text().splitlines()[1].endswith(" dash")
    status, words = ask(machine(tmp_path / "ill", without="dash", user=0, apt="exit 100"))
    assert (status, words.splitlines()[-1]) == (
        0, "missing: dash; the tests that need it are skipped (on Debian: sudo apt install dash)",
    )  # fmt: skip
