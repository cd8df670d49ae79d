"""SSHNodes against OpenSSH's own sshd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncssh
import pytest

from hactl.adapters.ssh import connection as ssh_connection
from hactl.adapters.ssh.nodes import SSHNodes
from hactl.errors import HostKeyMismatch, LoginRefused, NodeGarbled, NodeUnreachable
from hactl.ports import Target
from support.contracts.nodes import NodesContract
from support.limits import LIMIT_SECONDS, until
from support.loopback import free_port
from support.needs import need
from support.sshd_server import Sshd, script_in, sshd, write_key


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One sshd for the module."""
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
async def nodes() -> AsyncIterator[SSHNodes]:
    """The adapter; nothing of it is left afterwards."""
    made = SSHNodes(grace_seconds=1.0, linger_seconds=0.1)
    yield made
    await made.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
def target(server: Sshd) -> Target:
    """The way to the server."""
    return server.target()


@pytest.fixture
def unreachable(server: Sshd) -> Target:
    """Nobody listens there."""
    return server.target(node="nas-x", port=free_port())


class TestOpenSSHContract(NodesContract):
    """The contract, over real SSH."""


async def test_one_connection_serves_everything(server: Sshd, nodes: SSHNodes, target: Target) -> None:
    """Execs one after the other and at once share one login, counted at the server."""
    before = server.logged_in()
    await asyncio.gather(*(nodes.run(target, "sleep 0.05\n", timeout_seconds=LIMIT_SECONDS) for _ in range(14)))
    for _ in range(3):
        await nodes.run(target, "true\n", timeout_seconds=LIMIT_SECONDS)
    assert server.logged_in() - before == 1


async def test_the_node_runs_the_documented_request(server: Sshd, nodes: SSHNodes, target: Target) -> None:
    """The exec request is `timeout --foreground -k 5 N /bin/sh -s`, N rounded up; nothing of the script is in argv."""
    script_in(server.bin, "timeout", 'echo "timeout $*"\nexec /usr/bin/timeout "$@"\n')
    try:
        answer = await nodes.run(target, "echo $#\n", timeout_seconds=2.3)
    finally:
        (server.bin / "timeout").unlink()
    assert answer.stdout == "timeout --foreground -k 5 3 /bin/sh -s\n0\n"


@pytest.mark.parametrize("tool", ["doas", "sudo"])
async def test_become_puts_the_tool_first(server: Sshd, nodes: SSHNodes, tool: str) -> None:
    """With become the whole bounded shell runs under doas or sudo, for runs and streams."""
    script_in(server.bin, tool, f'echo "{tool} $1"\nshift\nexec "$@"\n')
    target = server.target(become=tool)
    try:
        answer = await nodes.run(target, "echo ran\n", timeout_seconds=1)
        lines = [line async for line in nodes.stream(target, "echo streamed\n")]
    finally:
        (server.bin / tool).unlink()
    assert answer.stdout == f"{tool} -n\nran\n"
    assert lines == [f"{tool} -n", "streamed"]


@pytest.mark.parametrize(
    ("tool", "body", "words"),
    [
        ("sudo", "echo 'sudo: a password is required' >&2; exit 1", "NOPASSWD"),
        ("doas", "echo 'doas: Authorization required' >&2; exit 1", "permit nopass"),
        ("doas", "echo 'doas: Operation not permitted' >&2; exit 1", "permit nopass"),
        ("doas", "echo 'doas: Command not found.' >&2; exit 1", "not installed"),
    ],
)
async def test_a_refusing_become_is_a_refused_login(
    server: Sshd, nodes: SSHNodes, tool: str, body: str, words: str
) -> None:
    """doas and sudo that refuse are LoginRefused with the remedy."""
    script_in(server.bin, tool, body + "\n")
    try:
        with pytest.raises(LoginRefused, match=words):
            await nodes.run(server.target(become=tool), "echo no\n", timeout_seconds=LIMIT_SECONDS)
        with pytest.raises(LoginRefused, match=words):
            await anext(nodes.stream(server.target(become=tool), "echo no\n"))
    finally:
        (server.bin / tool).unlink()


async def test_a_missing_become_is_a_refused_login(server: Sshd, nodes: SSHNodes) -> None:
    """sh's own words for a command that is not there are understood (no doas in Debian's base)."""
    with pytest.raises(LoginRefused, match="doas is not installed"):
        await nodes.run(server.target(become="doas"), "echo no\n", timeout_seconds=LIMIT_SECONDS)


async def test_a_failing_script_is_not_a_refused_login(nodes: SSHNodes, target: Target) -> None:
    """Exit status 1 and 127 of the script itself stay answers."""
    answer = await nodes.run(target, "no-such-command\n", timeout_seconds=LIMIT_SECONDS)
    assert answer.exit_status == 127
    assert "not found" in answer.stderr


async def test_a_wrong_host_key_is_told_with_both_fingerprints(server: Sshd, nodes: SSHNodes, tmp_path: Path) -> None:
    """The message has the pinned and the offered fingerprint, and no login was tried."""
    other = write_key(tmp_path / "other")
    before = (server.directory / "log").read_text()
    with pytest.raises(HostKeyMismatch) as caught:
        await nodes.run(server.target(host_keys=(other,)), "echo secret\n", timeout_seconds=LIMIT_SECONDS)
    for line in (other, server.host_key):
        assert asyncssh.import_public_key(line).get_fingerprint() in str(caught.value)
    assert "nothing was sent" in str(caught.value)
    since = (server.directory / "log").read_text()[len(before) :]
    assert "Accepted" not in since
    assert "Failed" not in since


async def test_a_pinned_type_the_node_does_not_have_is_a_mismatch(
    server: Sshd, nodes: SSHNodes, tmp_path: Path
) -> None:
    """A pinned ECDSA key where the node has only Ed25519: never silently the other key."""
    other = write_key(tmp_path / "other", "ecdsa-sha2-nistp256")
    with pytest.raises(HostKeyMismatch, match="offered ssh-ed25519 SHA256"):
        await nodes.run(server.target(host_keys=(other,)), "echo no\n", timeout_seconds=LIMIT_SECONDS)


async def test_one_of_several_pinned_keys_is_enough(server: Sshd, nodes: SSHNodes, tmp_path: Path) -> None:
    """During a change of keys both are pinned."""
    other = write_key(tmp_path / "other")
    answer = await nodes.run(
        server.target(host_keys=(other, server.host_key)), "echo yes\n", timeout_seconds=LIMIT_SECONDS
    )
    assert answer.stdout == "yes\n"


async def test_a_pin_that_is_no_key_sends_nothing(server: Sshd, nodes: SSHNodes) -> None:
    """Text that is not a public key is refused before connecting, and so is no key at all."""
    for pins in (("ssh-ed25519 AAAAnonsense",), ()):
        with pytest.raises(HostKeyMismatch, match="nothing was sent"):
            await nodes.run(server.target(host_keys=pins), "echo no\n", timeout_seconds=LIMIT_SECONDS)


async def test_a_refused_key_names_user_and_keys(server: Sshd, nodes: SSHNodes, tmp_path: Path) -> None:
    """The message says who tried to log in and with which key."""
    public = write_key(tmp_path / "stranger")
    with pytest.raises(LoginRefused) as caught:
        await nodes.run(
            server.target(identities=(str(tmp_path / "stranger"),)), "echo no\n", timeout_seconds=LIMIT_SECONDS
        )
    message = str(caught.value)
    assert server.target().user in message
    assert str(tmp_path / "stranger") in message
    assert asyncssh.import_public_key(public).get_fingerprint() in message
    assert "authorized_keys" in message


async def test_keys_that_cannot_be_used_are_told(server: Sshd, nodes: SSHNodes, tmp_path: Path) -> None:
    """Encrypted, missing and garbage key files each have their words."""
    write_key(tmp_path / "locked", passphrase="secret words")
    (tmp_path / "garbage").write_text("hello")
    cases = {"locked": "encrypted", "missing": "No such file", "garbage": "not a private key"}
    for name, words in cases.items():
        with pytest.raises(LoginRefused, match=words):
            await nodes.run(
                server.target(identities=(str(tmp_path / name),)), "echo no\n", timeout_seconds=LIMIT_SECONDS
            )


async def test_an_openssh_key_with_a_passphrase_is_told(server: Sshd, nodes: SSHNodes, tmp_path: Path) -> None:
    """What ssh-keygen itself writes is understood as encrypted."""
    path = tmp_path / "locked"
    make = [need("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "secret words", "-f", str(path)]
    await asyncio.to_thread(subprocess.run, make, check=True)
    with pytest.raises(LoginRefused, match="encrypted"):
        await nodes.run(server.target(identities=(str(path),)), "echo no\n", timeout_seconds=LIMIT_SECONDS)


async def test_own_keys_are_used_when_the_document_names_none(
    server: Sshd, nodes: SSHNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without identityFrom: HACTL_IDENTITY, else ~/.ssh/id_*; an encrypted one among them does no harm."""
    target = server.target(identities=())
    monkeypatch.setenv("HACTL_IDENTITY", server.identity)
    assert (await nodes.run(target, "echo 1\n", timeout_seconds=LIMIT_SECONDS)).stdout == "1\n"
    await nodes.forget(target)
    monkeypatch.delenv("HACTL_IDENTITY")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(LoginRefused, match="HACTL_IDENTITY"):
        await nodes.run(target, "echo no\n", timeout_seconds=LIMIT_SECONDS)
    (tmp_path / ".ssh").mkdir()
    shutil.copy(server.identity, tmp_path / ".ssh" / "id_ed25519")
    write_key(tmp_path / ".ssh" / "id_rsa", "ssh-rsa", passphrase="secret words")
    assert (await nodes.run(target, "echo 2\n", timeout_seconds=LIMIT_SECONDS)).stdout == "2\n"


async def test_a_dead_connection_is_replaced_before_anything_is_sent(
    server: Sshd, nodes: SSHNodes, target: Target
) -> None:
    """The server's end was killed meanwhile: the next run logs in again and answers."""
    await nodes.run(target, "true\n", timeout_seconds=LIMIT_SECONDS)
    before = server.logged_in()
    for pid in server.connection_pids():
        os.kill(pid, signal.SIGKILL)
    answer = await nodes.run(target, "echo again\n", timeout_seconds=LIMIT_SECONDS)
    assert answer.stdout == "again\n"
    assert server.logged_in() - before == 1


async def test_a_connection_broken_during_a_script_may_have_run_it(
    server: Sshd, nodes: SSHNodes, target: Target
) -> None:
    """The script is never sent again: the error says that it may have run."""
    before = server.logged_in()

    def cut(_: str) -> None:
        for pid in server.connection_pids():
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(NodeGarbled, match="may have run"):
        await nodes.run(target, "echo begun\nsleep 20\n", timeout_seconds=LIMIT_SECONDS, on_output=cut)
    assert server.logged_in() - before == 1


async def test_a_daemon_that_holds_the_output_does_not_hold_us(nodes: SSHNodes, target: Target) -> None:
    """sshd waits for end of file; the exit status is enough for us (service onestart leaves daemons behind)."""
    script = f"sleep {3 * LIMIT_SECONDS:.0f} &\necho $!\nexit 0\n"
    answer = await nodes.run(target, script, timeout_seconds=LIMIT_SECONDS)
    # It is still there: otherwise this raises.
    os.kill(int(answer.stdout), signal.SIGTERM)
    assert (answer.exit_status, answer.timed_out) == (0, False)


async def test_a_killed_script_has_no_exit_status(nodes: SSHNodes, target: Target) -> None:
    """A script that kills itself is an answer, not a broken session."""
    answer = await nodes.run(target, "echo dying\nkill -9 $$\n", timeout_seconds=LIMIT_SECONDS)
    assert answer.stdout == "dying\n"
    assert answer.exit_status != 0
    assert not answer.timed_out


async def test_full_sessions_are_answered_on_a_fresh_connection(tmp_path: Path, nodes: SSHNodes) -> None:
    """A server that allows fewer sessions than we open at once still answers every exec."""
    with sshd(tmp_path, "MaxSessions 2") as small:
        target = small.target()
        answers = await asyncio.gather(
            nodes.run(target, "sleep 0.5\necho 1\n", timeout_seconds=LIMIT_SECONDS),
            nodes.run(target, "sleep 0.5\necho 2\n", timeout_seconds=LIMIT_SECONDS),
            nodes.run(target, "echo 3\n", timeout_seconds=LIMIT_SECONDS),
        )
        assert [answer.stdout for answer in answers] == ["1\n", "2\n", "3\n"]
        assert small.logged_in() == 2
        await nodes.close()


async def test_a_server_over_its_limit_is_unreachable_with_a_hint(tmp_path: Path, nodes: SSHNodes) -> None:
    """MaxStartups drops connections before the login; the message says so."""
    with sshd(tmp_path, "MaxStartups 1") as small:
        writer = await half_a_login(small.port)
        try:
            with pytest.raises(NodeUnreachable, match="MaxStartups"):
                await nodes.run(small.target(), "echo no\n", timeout_seconds=LIMIT_SECONDS)
        finally:
            writer.close()
            await writer.wait_closed()


async def half_a_login(port: int) -> asyncio.StreamWriter:
    """Take the one place for a login. The connection that looked whether sshd listens may still have it."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            if (await reader.readline()).startswith(b"SSH-"):
                return writer
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("become", [None, "doas"])
async def test_csh_as_login_shell_with_a_banner(tmp_path: Path, nodes: SSHNodes, become: str | None) -> None:
    """Root's shell on FreeBSD 13 is csh, and people print things in .cshrc: the script still runs in sh."""
    csh = need("csh", "tcsh")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".cshrc").write_text("echo 'Welcome to csh'\n")
    force = f'ForceCommand HOME={home} exec {csh} -c "$SSH_ORIGINAL_COMMAND"'
    with sshd(tmp_path, force) as server:
        script_in(server.bin, "doas", 'shift\nexec "$@"\n')
        answer = await nodes.run(
            server.target(become=become), "x='it is'; f() { echo \"$x sh\" 2>&1; }\nf\n", timeout_seconds=LIMIT_SECONDS
        )
        await nodes.close()
    assert answer.stdout == "Welcome to csh\nit is sh\n"


async def test_csh_words_for_a_missing_command(tmp_path: Path, nodes: SSHNodes) -> None:
    """csh says "Command not found." and exits 1; that is a refused login, not a failed script."""
    force = f'ForceCommand exec {need("csh", "tcsh")} -f -c "$SSH_ORIGINAL_COMMAND"'
    with sshd(tmp_path, force) as server:
        with pytest.raises(LoginRefused, match="doas is not installed"):
            await nodes.run(server.target(become="doas"), "echo no\n", timeout_seconds=LIMIT_SECONDS)
        await nodes.close()


async def test_an_ssh_banner_is_not_output(tmp_path: Path, nodes: SSHNodes) -> None:
    """The Banner of sshd_config(5) is not part of an answer."""
    (tmp_path / "banner").write_text("Authorised use only\n")
    with sshd(tmp_path, f"Banner {tmp_path / 'banner'}") as server:
        answer = await nodes.run(server.target(), "echo plain\n", timeout_seconds=LIMIT_SECONDS)
        await nodes.close()
    assert (answer.stdout, answer.stderr) == ("plain\n", "")


async def test_other_pins_never_reuse_a_connection(
    server: Sshd, nodes: SSHNodes, target: Target, tmp_path: Path
) -> None:
    """A document that now pins another key does not get the connection made with the old pin."""
    await nodes.run(target, "true\n", timeout_seconds=LIMIT_SECONDS)
    other = write_key(tmp_path / "other")
    with pytest.raises(HostKeyMismatch):
        await nodes.run(server.target(host_keys=(other,)), "echo no\n", timeout_seconds=LIMIT_SECONDS)


async def test_the_users_own_ssh_settings_do_not_matter(
    nodes: SSHNodes, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither ~/.ssh/config nor known_hosts nor an agent has a say."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host *\n  Port 1\n  User nobody\n  ProxyCommand false\n")
    (tmp_path / ".ssh" / "known_hosts").write_text("127.0.0.1 garbage\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "no-agent"))
    assert (await nodes.run(target, "echo mine\n", timeout_seconds=LIMIT_SECONDS)).stdout == "mine\n"


async def test_nothing_is_forwarded(nodes: SSHNodes, target: Target) -> None:
    """The node sees no agent and no display."""
    answer = await nodes.run(
        target, 'echo "[${SSH_AUTH_SOCK-}${DISPLAY-}${SSH_TTY-}]"\n', timeout_seconds=LIMIT_SECONDS
    )
    assert answer.stdout == "[]\n"


async def test_a_cancelled_script_ends_on_the_node(nodes: SSHNodes, target: Target) -> None:
    """Ctrl-C here closes the channel, and a script that prints notices (SIGPIPE)."""
    told: asyncio.Queue[str] = asyncio.Queue()
    script = "echo $$\nwhile echo tick; do sleep 0.05; done\n"
    task = asyncio.create_task(nodes.run(target, script, timeout_seconds=LIMIT_SECONDS, on_output=told.put_nowait))
    pid = int(await told.get())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not is_there(pid), "the end of the script")


def is_there(pid: int) -> bool:
    """Whether a process lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_connection_uses_modern_algorithms(server: Sshd, nodes: SSHNodes, target: Target) -> None:
    """The cheapest AEAD cipher, an elliptic or hybrid key exchange, never SHA-1."""
    await nodes.run(target, "true\n", timeout_seconds=LIMIT_SECONDS)
    (link,) = nodes._links.values()
    (connection,) = link.connections
    inner = connection._inner
    assert inner.get_extra_info("send_cipher") == "aes128-gcm@openssh.com"
    assert inner.get_extra_info("recv_cipher") == "aes128-gcm@openssh.com"
    options = ssh_connection._fixed_options()
    assert not [name for names in options.values() if isinstance(names, list) for name in names if "sha1" in name]
    assert "ssh-rsa" not in options["signature_algs"]
    assert options["kex_algs"]
    assert all("group" not in name for name in options["kex_algs"])
