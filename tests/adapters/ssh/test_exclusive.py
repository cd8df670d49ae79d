"""Steps take turns with the node's own hook: the lock is waited for, and a lock that is not had is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hactl.adapters.ssh.nodes import SSHNodes
from hactl.core.script import LOCK_BUSY_STATUS
from support.limits import LIMIT_SECONDS
from support.sshd_server import script_in, sshd


async def test_a_lock_that_is_not_had_in_time_is_an_answer_of_its_own(tmp_path: Path) -> None:
    """The script does not run; the status is lockf's."""
    with sshd(tmp_path) as server:
        script_in(server.bin, "lockf", 'echo "lockf: /var/run/hactl.lock: already locked" >&2\nexit 75\n')
        nodes = SSHNodes()
        answer = await nodes.run(server.target(), "echo ran\n", timeout_seconds=LIMIT_SECONDS, exclusive=True)
        await nodes.close()
    assert (answer.exit_status, answer.stdout) == (LOCK_BUSY_STATUS, "")
    assert not answer.timed_out


@pytest.mark.parametrize("how", ["exit 70", "kill -KILL $$"])
async def test_a_script_that_was_killed_at_its_limit_is_timed_out(tmp_path: Path, how: str) -> None:
    """lockf(1) answers 70 when its command was ended by a signal, timeout(1) kills itself after a SIGKILL."""
    with sshd(tmp_path) as server:
        script_in(server.bin, "lockf", f"sleep 1.05\n{how}\n")
        nodes = SSHNodes()
        answer = await nodes.run(server.target(), "echo ran\n", timeout_seconds=1, exclusive=True)
        await nodes.close()
    assert answer.timed_out
