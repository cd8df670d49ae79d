"""`make lint` checks every piece of sh there is, and says so when it cannot."""

from __future__ import annotations

import shutil

import pytest

from repo import shellcheck


def test_all_shell_is_checked() -> None:
    """Files of the project, and what the examples' nodes get: hook, devd's command, rc.d scripts, probe."""
    found = {str(path.relative_to(shellcheck.ROOT)) for path in shellcheck.shell_files()}
    assert {
        "controller/hactl/core/changes/trial.sh",
        "controller/hactl/core/probe/probe.sh",
        "controller/hactl/lab/rc/subr.sh",
        "manifests/freebsd/hactl",
        ".ci/run",
        ".ci/venv",
    } <= found
    texts = shellcheck.rendered()
    assert texts["nas-a.usr.local.etc.devd.hactl.conf"] == "/usr/local/libexec/hactl/hook carp 80@vtnet1 MASTER\n"
    assert {name.rpartition(".")[2] for name in texts} >= {"hook", "hactl_guard", "hactl_node", "probe"}


def test_without_shellcheck_it_fails_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where PyPI has no program: what is missing and where it comes from."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert shellcheck.main() == 2
    assert "pkg install hs-ShellCheck" in capsys.readouterr().err.strip("\n").splitlines()[-1]
