"""What every `hactl.ports.Nodes` must do: the same suite for real SSH and for simulated nodes.

A test module derives a class from `NodesContract` and provides three fixtures: `nodes` (a Nodes, closed by the
fixture), `target` (a node that answers) and `unreachable` (a Target where nothing answers).
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from hactl.errors import NodeError, NodeGarbled, NodeUnreachable
from hactl.ports import Nodes, Target
from support.limits import LIMIT_SECONDS, SLOW


class NodesContract:
    """Scripts use only what a simulated node's shell must know."""

    async def test_answer_has_both_streams_and_the_status(self, nodes: Nodes, target: Target) -> None:
        """Standard output, standard error and exit status come back apart."""
        answer = await nodes.run(target, "echo out\necho err >&2\nexit 3\n", timeout_seconds=LIMIT_SECONDS)
        assert (answer.stdout, answer.stderr, answer.exit_status) == ("out\n", "err\n", 3)
        assert not answer.timed_out
        assert not answer.truncated
        assert answer.seconds >= 0

    async def test_script_is_posix_sh_whatever_the_login_shell(self, nodes: Nodes, target: Target) -> None:
        """Functions, case, here-documents and quotes survive."""
        script = 'f() { case $1 in a*) echo "it\'s $1" ;; esac; }\nf abc\ncat <<\'E\'\n$x `y` "z"\nE\n'
        answer = await nodes.run(target, script, timeout_seconds=LIMIT_SECONDS)
        assert answer.stdout == 'it\'s abc\n$x `y` "z"\n'

    async def test_exclusive_runs_take_turns(self, nodes: Nodes, target: Target) -> None:
        """No two of them at the same time, each with its own answer and status; others do not wait for them."""
        mark = "/tmp/hactl-contract-exclusive"
        script = f"[ ! -e {mark} ] || echo overlap\n: >{mark}\nsleep 0.3\nrm -f {mark}\nexit 5\n"
        waiting = [
            asyncio.ensure_future(nodes.run(target, script, timeout_seconds=LIMIT_SECONDS, exclusive=True))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        assert (await nodes.run(target, "echo here\n", timeout_seconds=LIMIT_SECONDS)).stdout == "here\n"
        answers = await asyncio.gather(*waiting)
        assert [(answer.stdout, answer.exit_status) for answer in answers] == [("", 5)] * 3

    async def test_many_at_once_keep_their_answers_apart(self, nodes: Nodes, target: Target) -> None:
        """Fourteen execs at once all answer, each with its own words (sshd allows ten sessions)."""
        answers = await asyncio.gather(
            *(nodes.run(target, f"echo {n}\n", timeout_seconds=LIMIT_SECONDS) for n in range(14))
        )
        assert [answer.stdout for answer in answers] == [f"{n}\n" for n in range(14)]

    async def test_output_is_told_line_by_line(self, nodes: Nodes, target: Target) -> None:
        """The listener gets whole lines in order, a last one without newline too."""
        told: list[str] = []
        answer = await nodes.run(
            target, "echo one\necho two\nprintf three\n", timeout_seconds=LIMIT_SECONDS, on_output=told.append
        )
        assert told == ["one", "two", "three"]
        assert answer.stdout == "one\ntwo\nthree"

    async def test_a_script_too_slow_is_timed_out(self, nodes: Nodes, target: Target) -> None:
        """The node stops it; what it printed until then is kept."""
        answer = await nodes.run(target, "echo begun\nsleep 30\necho never\n", timeout_seconds=2 * SLOW)
        assert answer.timed_out
        assert answer.stdout == "begun\n"

    async def test_a_large_script_arrives_whole(self, nodes: Nodes, target: Target) -> None:
        """A hundred kilobytes of script run to their end."""
        script = ": " + "x" * 70 + "\n"
        answer = await nodes.run(target, script * 1400 + "echo end\n", timeout_seconds=LIMIT_SECONDS)
        assert (answer.stdout, answer.exit_status) == ("end\n", 0)

    async def test_a_stream_gives_lines_and_ends(self, nodes: Nodes, target: Target) -> None:
        """A script that exits with 0 ends its stream."""
        lines = [line async for line in nodes.stream(target, "echo one\necho two\n")]
        assert lines == ["one", "two"]

    async def test_a_stream_that_fails_is_an_error(self, nodes: Nodes, target: Target) -> None:
        """A script that exits with anything else ends its stream with a NodeGarbled, after its lines."""
        lines: list[str] = []

        async def read() -> None:
            async for line in nodes.stream(target, "echo one\nexit 4\n"):
                lines.append(line)  # noqa: PERF401 - the lines before the error count

        with pytest.raises(NodeGarbled):
            await read()
        assert lines == ["one"]

    async def test_a_stream_can_be_left(self, nodes: Nodes, target: Target) -> None:
        """Leaving an endless stream closes it; the node still answers."""
        script = "while :; do echo tick; sleep 0.1; done\n"
        async with contextlib.aclosing(nodes.stream(target, script)) as stream:  # type: ignore[type-var]
            assert await anext(stream) == "tick"
        answer = await nodes.run(target, "echo still here\n", timeout_seconds=LIMIT_SECONDS)
        assert answer.stdout == "still here\n"

    async def test_a_run_can_be_cancelled(self, nodes: Nodes, target: Target) -> None:
        """Cancelling one exec leaves the node usable."""
        begun = asyncio.Event()
        task = asyncio.create_task(
            nodes.run(target, "echo begun\nsleep 30\n", timeout_seconds=LIMIT_SECONDS, on_output=lambda _: begun.set())
        )
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer = await nodes.run(target, "echo after\n", timeout_seconds=LIMIT_SECONDS)
        assert answer.stdout == "after\n"

    async def test_a_forgotten_node_is_connected_again(self, nodes: Nodes, target: Target) -> None:
        """forget closes the connection, and the next run makes another."""
        await nodes.run(target, "echo 1\n", timeout_seconds=LIMIT_SECONDS)
        await nodes.forget(target)
        answer = await nodes.run(target, "echo 2\n", timeout_seconds=LIMIT_SECONDS)
        assert answer.stdout == "2\n"

    async def test_nobody_there_is_unreachable(self, nodes: Nodes, unreachable: Target) -> None:
        """No connection is NodeUnreachable and names the node, for runs and for streams."""
        with pytest.raises(NodeUnreachable) as caught:
            await nodes.run(unreachable, "echo no\n", timeout_seconds=1)
        assert caught.value.node == unreachable.node
        with pytest.raises(NodeUnreachable):
            await anext(nodes.stream(unreachable, "echo no\n"))

    async def test_after_close_nothing_runs(self, nodes: Nodes, target: Target) -> None:
        """A closed Nodes refuses, and closing twice is harmless."""
        await nodes.run(target, "echo 1\n", timeout_seconds=LIMIT_SECONDS)
        await nodes.close()
        await nodes.close()
        with pytest.raises(NodeError):
            await nodes.run(target, "echo 2\n", timeout_seconds=LIMIT_SECONDS)
