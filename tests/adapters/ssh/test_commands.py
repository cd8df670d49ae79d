"""The exec requests, and how a shell that refuses is told from a script that fails."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

import pytest

from hactl.adapters.ssh.commands import default_identities, exec_command, refusal, stream_command
from hactl.ports import Target
from support.limits import LIMIT_SECONDS
from support.needs import need


def target(become: Literal["doas", "sudo"] | None = None, user: str = "op") -> Target:
    """A target; only user and become count here."""
    return Target("nas", "nas-a", "192.0.2.11", 22, user, ("ssh-ed25519 AAAA",), (), become)


def test_the_requests_are_exactly_these() -> None:
    """Whole seconds rounded up, never 0: timeout(1) takes that as no limit."""
    assert exec_command(target(), 30) == "timeout --foreground -k 5 30 /bin/sh -s"
    assert exec_command(target("doas"), 0.0) == "doas -n timeout --foreground -k 5 1 /bin/sh -s"
    assert exec_command(target("sudo"), 2.01) == "sudo -n timeout --foreground -k 5 3 /bin/sh -s"
    lock = "lockf -k -t 20 /var/run/hactl.lock"
    assert exec_command(target(), 30, exclusive=True) == f"{lock} timeout --foreground -k 5 30 /bin/sh -s"
    assert exec_command(target("doas"), 1, exclusive=True).startswith(f"doas -n {lock} timeout ")
    assert stream_command(target()) == "/bin/sh -s"
    assert stream_command(target("sudo")) == "sudo -n /bin/sh -s"


def test_csh_and_sh_understand_the_request_alike() -> None:
    """The same request, given to both shells as sshd gives it, runs the same script."""
    script = "x='a b'\necho \"$x!\" 2>&1\nexit 7\n"
    for shell in (need("csh", "tcsh"), need("sh")):
        done = subprocess.run(
            [shell, "-c", exec_command(target(), 5)],
            input=script, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (7, "a b!\n", ""), shell


@pytest.mark.parametrize(
    ("become", "status", "stderr", "words"),
    [
        ("doas", 127, "sh: doas: not found\n", "not installed"),
        ("doas", 127, "bash: line 1: doas: command not found\n", "not installed"),
        ("sudo", 1, "sudo: Command not found.\n", "not installed"),
        ("doas", 1, "doas: Authorization required\n", "permit nopass op as root"),
        ("doas", 1, "doas: Operation not permitted\n", "permit nopass op as root"),
        (
            "doas",
            1,
            "doas: doas is not enabled, /usr/local/etc/doas.conf: No such file or directory\n",
            "permit nopass",
        ),
        ("sudo", 1, "sudo: a password is required\n", "NOPASSWD"),
        ("sudo", 1, "op is not in the sudoers file.\n", "NOPASSWD"),
        ("sudo", 1, "sudo: sorry, you must have a tty to run sudo\nsudo: a terminal is required\n", "NOPASSWD"),
        (None, 1, "This account is currently not available.\n", "nologin"),
        (None, 1, "timeout: Command not found.\n", "timeout"),
        (None, 127, "sh: timeout: not found\n", "timeout"),
        (None, 1, "lockf: timeout: No such file or directory\n", "timeout"),
        (None, 1, "lockf: Command not found.\n", "lockf"),
    ],
)
def test_refusals(become: Literal["doas", "sudo"] | None, status: int, stderr: str, words: str) -> None:
    """Each tool's own words are understood, and answered with what to do."""
    assert words in (refusal(target(become), status, "", stderr) or "")


@pytest.mark.parametrize(
    ("become", "status", "stderr"),
    [
        (None, 0, ""),
        (None, 1, "ifconfig: interface vtnet9 does not exist\n"),
        (None, 127, "/bin/sh: hastctl: not found\n"),
        (None, 2, "sudo: a password is required\n"),
        ("doas", 0, "doas: Authorization required\n"),
        ("doas", 1, "hastctl: doas is a word\n"),
        ("sudo", 1, "mount: operation not permitted\n"),
    ],
)
def test_failures_of_the_script_are_no_refusals(
    become: Literal["doas", "sudo"] | None, status: int, stderr: str
) -> None:
    """A script that ran and failed is an answer."""
    assert refusal(target(become), status, "", stderr) is None


def test_default_identities(tmp_path: Path) -> None:
    """HACTL_IDENTITY alone when it is set; else the usual files that exist, best first."""
    assert default_identities({"HACTL_IDENTITY": "/k", "HOME": str(tmp_path)}) == ("/k",)
    assert default_identities({"HOME": str(tmp_path)}) == ()
    (tmp_path / ".ssh").mkdir()
    for name in ("id_rsa", "id_ed25519", "id_dsa"):
        (tmp_path / ".ssh" / name).write_text("")
    ssh = tmp_path / ".ssh"
    assert default_identities({"HOME": str(tmp_path)}) == (str(ssh / "id_ed25519"), str(ssh / "id_rsa"))
