"""Every node: does it answer, is it the one whose key is pinned, may we in, are we root, what is it, what time has it.

One exec of a few lines that changes nothing, on all nodes at once; one that hangs ends at its own limit.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from hactl.adapters.ssh.nodes import SSHNodes
from hactl.cli.doctor.finding import Finding, Level
from hactl.errors import HostKeyMismatch, LoginRefused, NodeError
from hactl.ports import Target

SCRIPT = "id -u; uname -sr; date +%s\n"
#: Clocks may differ so much, seconds: beyond the first, times of events are misleading; beyond the second, much is.
WARN_SECONDS, FAIL_SECONDS = 5.0, 60.0
#: More than this of a node's delay is not spent waiting for it, seconds.
GRACE_SECONDS = 2.0
_ANSWER = re.compile(r"(\d+)\n(\S+) (\S+)\n(\d+)\n")


@dataclass(frozen=True, slots=True)
class Reached:
    """What a node answered, or what became of asking."""

    findings: tuple[Finding, ...]
    #: Its clock against this machine's, seconds; positive: it is ahead.
    offset: float | None = None


async def ask(
    targets: Mapping[str, Mapping[str, Target]], *, limit_seconds: float, wall: Callable[[], float] = time.time
) -> list[Finding]:
    """Every node of every cluster, by cluster and name, at once; none takes longer than the limit.

    `wall`: this machine's clock, seconds since 1970.
    """
    ssh = SSHNodes(connect_seconds=limit_seconds, grace_seconds=GRACE_SECONDS)
    wanted = [target for nodes in targets.values() for target in nodes.values()]
    try:
        answers = await asyncio.gather(*(_reached(ssh, target, limit_seconds, wall) for target in wanted))
    finally:
        await ssh.close()
    found = [finding for answer in answers for finding in answer.findings]
    return found + list(_clock([answer.offset for answer in answers if answer.offset is not None]))


async def _reached(ssh: SSHNodes, target: Target, limit_seconds: float, wall: Callable[[], float]) -> Reached:
    about = f"{target.cluster}/{target.node}"
    where = f"{target.user}@{target.host}:{target.port}"
    before = wall()
    try:
        async with asyncio.timeout(limit_seconds):
            answer = await ssh.run(target, SCRIPT, timeout_seconds=limit_seconds)
    except TimeoutError:
        remedy = "is it up, is sshd well, does a firewall drop packets?"
        return Reached((Finding("fail", "node", about, f"{where} gave no answer in {limit_seconds:.0f} s", remedy),))
    except NodeError as error:
        return Reached((Finding("fail", "node", about, str(error), _remedy(error, target)),))
    after = wall()
    understood = _ANSWER.fullmatch(answer.stdout)
    if answer.exit_status != 0 or understood is None:
        text = f"{where} answers, but not as expected: {(answer.stderr or answer.stdout).strip()[:200]!r}"
        remedy = f"does {target.become} let {target.user} in without a password?" if target.become else ""
        return Reached((Finding("fail", "node", about, text, remedy or "what does its login shell print?"),))
    uid, system, release, epoch = understood.groups()
    offset = int(epoch) + 0.5 - (before + after) / 2
    return Reached(tuple(_told(about, target, uid, f"{system} {release}", offset, answer.seconds)), offset)


def _told(about: str, target: Target, uid: str, release: str, offset: float, seconds: float) -> Iterator[Finding]:
    how = f"{target.user}, by {target.become}" if target.become else target.user
    if uid == "0":
        yield Finding("ok", "node", about, f"{release}, root as {how}, in {seconds:.1f} s")
    else:
        remedy = "set become: doas or sudo, or log in as root"
        yield Finding("fail", "node", about, f"logged in as {how}, which is not root", remedy)
    if not release.startswith("FreeBSD "):
        yield Finding("fail", "node", about, f"runs {release}, and hactl knows FreeBSD", "is it the right machine?")
    if abs(offset) > WARN_SECONDS:
        level: Level = "fail" if abs(offset) > FAIL_SECONDS else "warn"
        text = f"its clock is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} this machine's"
        yield Finding(level, "node", about, text, "service ntpd start; sysrc ntpd_enable=YES ntpd_sync_on_start=YES")


def _remedy(error: NodeError, target: Target) -> str:
    if isinstance(error, HostKeyMismatch):
        return "if its key was changed on purpose, pin the new one in the document (ssh-keyscan from where you trust)"
    if isinstance(error, LoginRefused):
        return f"put the public key into authorized_keys of {target.user}; root: PermitRootLogin prohibit-password"
    return "is it up, is sshd well, is the address right?"


def _clock(offsets: Sequence[float]) -> Iterator[Finding]:
    """This machine's own clock, by the word of most nodes."""
    if not offsets:
        return
    middle = median(offsets)
    text = f"{abs(middle):.1f} s {'behind' if middle > 0 else 'ahead of'} the nodes' (a second of it is not measured)"
    if len(offsets) > 1 and abs(middle) > WARN_SECONDS and all(abs(each - middle) < WARN_SECONDS for each in offsets):
        yield Finding("fail", "machine", "clock", text, "set this machine's clock: all nodes agree with each other")
    else:
        yield Finding("ok", "machine", "clock", text)
