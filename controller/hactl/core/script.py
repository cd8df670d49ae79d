"""Steps as the sh script that a node runs, and the reading of what came back.

One exec does it all: conditions are tested by the node just before the command, so that nothing can change in
between; then the command; then the conditions after it, waited for; then the next step. Nothing comes after a step
that is not Done. Frame lines carry a nonce that the caller makes, so that no output of a command can be mistaken for
ours. Secrets are shell variables set before their step: the script travels on standard input, so they are on no
command line but ifconfig's own.
Rules: what a step was to bring about is asked of the node; where the conditions after it tell all of it
(`Step.state_decides`) the exit status is only a hint (docs/freebsd-facts.md#7.2). Man pages: sh(1), timeout(1).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hactl.core.changes.change import STATE_DIRECTORY
from hactl.core.sh import quote
from hactl.core.steps import Check, Outcome, Step, StepResult

#: Where FreeBSD keeps what steps use; set by us because a login shell's own idea of it is not ours to trust.
PATH = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
#: What opens our lines of the answer.
FRAME = "%%hactl"
#: Extra time a node has for its own tests, seconds.
SLACK_SECONDS = 15.0
#: Output of one step that is kept, characters.
OUTPUT_LIMIT = 20_000
#: How much of it the sentence of what went wrong quotes, characters.
QUOTED_LIMIT = 2_000
#: How long the state of a step is waited for when its command failed, at most, seconds.
FAILED_WAIT_SECONDS = 5.0
#: How long a step waits for the node's own hook, and the hook for it, seconds (lockf(1)).
LOCK_WAIT_SECONDS = 20
#: What lockf(1) exits with when it did not get the lock in time (EX_TEMPFAIL).
LOCK_BUSY_STATUS = 75
#: Where a node keeps the generation of the lease that last acted on it.
LEASE_FILE = f"{STATE_DIRECTORY}/lease"
#: Where it keeps for which cluster, and by whom: "LEASE CLUSTER HOLDER EPOCH WHO" in one line. A file of its own, so
#: that a hactl that knows nothing of owners still reads the lease; it counts only with the lease it names.
OWNER_FILE = f"{STATE_DIRECTORY}/owner"


@dataclass(frozen=True, slots=True)
class Ownership:
    """For which cluster, and by which process of hactl, steps are sent."""

    cluster: str
    #: Token of the process on its record; never empty.
    holder: str
    #: The process for people.
    who: str
    #: Other clusters that gave the node up, so that their note is overwritten.
    succeeds: frozenset[str] = frozenset()


def step_budget_seconds(step: Step) -> float:
    """What a node needs at most for a step, in an exec of its own."""
    return step.timeout_seconds + sum(check.within_seconds for check in step.after) + SLACK_SECONDS


def budget_seconds(steps: Sequence[Step]) -> float:
    """What a node needs at most for the whole exec of these steps."""
    return sum(step_budget_seconds(step) for step in steps)


def step_script(
    steps: Sequence[Step],
    secrets: Mapping[str, str],
    nonce: str,
    *,
    lease: int | None = None,
    owner: Ownership | None = None,
) -> str:
    """The script for `/bin/sh -s`. `secrets` maps the variables of the steps' secrets to their values.

    `lease`: the generation of the lease we act under; a node that has seen a newer one runs nothing. None: not asked.
    `owner`: for whom; a node that belongs to another cluster runs nothing. None: not asked and not noted.
    """
    missing = [use.variable for step in steps for use in step.secrets if use.variable not in secrets]
    if missing:
        raise KeyError(f"no value for {', '.join(missing)}")
    # Braces: sh reads a compound command to its end before it runs any of it, so a script cut in transit does nothing.
    lines = [
        "{",
        "set -u",
        f"PATH={PATH}; LC_ALL=C; export PATH LC_ALL",
        "umask 022",
        f"hactl_say() {{ printf '\\n%s %s\\n' '{FRAME} {nonce}' \"$*\"; }}",
    ]
    lines += [] if lease is None else [_lease(lease, owner)]
    for step in steps:
        lines += _step(step, secrets)
    lines += ["}"]
    return "\n".join(lines) + "\n"


def _step(step: Step, secrets: Mapping[str, str]) -> list[str]:
    """One step: whatever keeps it from being Done ends the script."""
    # hastctl has no timeout of its own: one stuck worker would hang it for ever (docs/freebsd-facts.md#2.4).
    lines = [f'hastctl() {{ command timeout -k 2 {_whole(step.timeout_seconds)} hastctl "$@"; }}']
    lines += [f"{use.variable}={quote(secrets[use.variable])}" for use in step.secrets]
    lines += [_before(number, check) for number, check in enumerate(step.before)]
    lines += [
        "hactl_say begun",
        "(",
        step.command,
        ") </dev/null 2>&1",
        "hactl_status=$?",
        'hactl_say "exit $hactl_status"',
    ]
    if not step.state_decides:
        lines.append('[ "$hactl_status" -eq 0 ] || exit 0')
    for number, check in enumerate(step.after):
        lines += _after(number, check)
    return [*lines, "hactl_say done"]


def _whole(seconds: float) -> int:
    return max(1, int(seconds + 0.999))


def _lease(lease: int, owner: Ownership | None) -> str:
    """Refuse when the node has seen a newer lease, or belongs to another cluster; note ours when it is not there yet.

    An empty file is what a power cut left of one that an older hactl wrote; anything else but a number is not ours.
    """
    directory, _, name = LEASE_FILE.rpartition("/")
    asked, noted = ("", "") if owner is None else (_asked_owner(owner), _noted_owner(lease, owner))
    return f"""\
hactl_seen=$(cat {LEASE_FILE} 2>/dev/null)
case ${{hactl_seen:=0}} in *[!0-9]*|???????????????????*) hactl_say "lease ? {lease}"; exit 0 ;; esac
[ "$hactl_seen" -le {lease} ] || {{ hactl_say "lease $hactl_seen {lease}"; exit 0; }}
{asked}[ "$hactl_seen" -eq {lease} ] || (
  umask 077
  {{ [ -d {directory} ] || {{ mkdir -p {directory} && fsync {posixpath.dirname(directory)}; }}; }} && cd {directory} &&
  echo {lease} >{name}.new && fsync {name}.new && mv -f {name}.new {name} && fsync .
) 2>/dev/null || {{ hactl_say "leaseless"; exit 0; }}
{noted}"""


def _asked_owner(owner: Ownership) -> str:
    """Refuse when the node belongs to another cluster, which is said by whoever acted under the lease it has seen."""
    ours = " ".join(sorted({owner.cluster, *owner.succeeds}))
    return f"""\
hactl_of='' hactl_owner=''
[ ! -f {OWNER_FILE} ] || read -r hactl_of hactl_owner hactl_rest <{OWNER_FILE}
if [ "$hactl_of" = "$hactl_seen" ] && [ -n "$hactl_owner" ]; then
  case {quote(f" {ours} ")} in *" $hactl_owner "*) ;; *) hactl_say "owner $hactl_owner"; exit 0 ;; esac
fi
"""


def _noted_owner(lease: int, owner: Ownership) -> str:
    """Note for whom we act, once for each lease. After the lease: a note of an older one does not count."""
    directory, _, note = OWNER_FILE.rpartition("/")
    who = " ".join(owner.who.split())[:200]
    return f"""\
[ "$hactl_of $hactl_owner" = {quote(f"{lease} {owner.cluster}")} ] || (
  umask 077
  cd {directory} && echo {quote(f"{lease} {owner.cluster} {owner.holder}")} "$(date +%s)" {quote(who)} >{note}.new &&
  fsync {note}.new && mv -f {note}.new {note} && fsync .
) 2>/dev/null || {{ hactl_say "leaseless"; exit 0; }}
"""


def _before(number: int, check: Check) -> str:
    return f"( {check.test}\n) </dev/null >/dev/null 2>&1 || {{ hactl_say 'refused {number}'; exit 0; }}"


def _after(number: int, check: Check) -> list[str]:
    """Test, and test again five times a second until the time is over: not for long when the command failed."""
    patience = _whole(check.within_seconds * 5) if check.within_seconds else 0
    lines = [f"hactl_left={patience}"]
    if patience > (least := _whole(FAILED_WAIT_SECONDS * 5)):
        lines.append(f'[ "$hactl_status" -eq 0 ] || hactl_left={least}')
    return [
        *lines,
        f"until ( {check.test}\n) </dev/null >/dev/null 2>&1; do",
        f"  [ \"$hactl_left\" -gt 0 ] || {{ hactl_say 'unmet {number}'; exit 0; }}",
        "  hactl_left=$((hactl_left - 1)); sleep 0.2",
        "done",
    ]


def visible_line(line: str, nonce: str) -> str | None:
    """A line of live output as people may see it; None for our own frame lines."""
    return None if line.startswith(f"{FRAME} {nonce} ") else line


def says_done(line: str, nonce: str) -> bool:
    """Whether that line of live output says that a step is Done."""
    return line == f"{FRAME} {nonce} done"


def read_answer(
    steps: Sequence[Step],
    text: str,
    nonce: str,
    *,
    exit_status: int | None,
    timed_out: bool,
    truncated: bool = False,
) -> list[StepResult]:
    """What the answer says of the steps, up to the first that failed; those after it were not run.

    Whatever leaves room for doubt is Indeterminate, and what comes after that too: look again.
    """
    results: list[StepResult] = []
    parts = _parts(text, nonce)
    for step in steps:
        words, output = parts.pop(0) if parts else ([], "")
        if results:
            # What a shell says that ran nothing is about the first step.
            exit_status = None
        result = _judge(step, words, output, exit_status, timed_out=timed_out, truncated=truncated)
        results.append(result)
        if result.outcome is Outcome.FAILED:
            break
    return results


def _parts(text: str, nonce: str) -> list[tuple[list[str], str]]:
    """For each step that the answer tells of: our words, and what the command printed."""
    parts: list[tuple[list[str], list[str]]] = []
    ended = True
    for line in text.splitlines():
        if visible_line(line, nonce) is None:
            if ended:
                parts.append(([], []))
            word = line.split(" ", 2)[2]
            parts[-1][0].append(word)
            ended = word == "done"
        elif parts and parts[-1][0][-1] == "begun":
            parts[-1][1].append(line)
    return [(words, "\n".join(shown).strip("\n")[:OUTPUT_LIMIT]) for words, shown in parts]


def _judge(
    step: Step, words: list[str], output: str, exit_status: int | None, *, timed_out: bool, truncated: bool
) -> StepResult:
    last = words[-1] if words else ""
    verb, _, argument = last.partition(" ")
    ended = next((int(word[5:]) for word in words if word.startswith("exit ") and word[5:].isdigit()), None)
    if verb == "done":
        note = f"exit status {ended}, and all the same {_all_of(step)}" if ended else ""
        return StepResult(Outcome.DONE, ended or 0, output, note=note)
    if verb == "owner":
        reason = f"not run: the node belongs to the cluster {argument} now; looking again"
        return StepResult(Outcome.FAILED, None, "", reason, busy=True)
    if verb in ("lease", "leaseless"):
        return _out_of_date(argument)
    if not words and exit_status == LOCK_BUSY_STATUS:
        reason = "the node's own failover hook is at work (lock busy); looking again"
        return StepResult(Outcome.FAILED, exit_status, output, reason, busy=True)
    if verb == "refused":
        says = step.before[int(argument)].says
        return StepResult(Outcome.FAILED, None, output, f"not run: on the node it is no longer true that {says}")
    if verb == "unmet":
        return StepResult(Outcome.FAILED, ended or 0, output, _unmet(step.after[int(argument)], ended, output))
    if verb == "exit" and argument not in ("", "0") and not step.state_decides:
        return StepResult(Outcome.FAILED, int(argument), output, f"exit status {argument}{quoted(output)}")
    if timed_out:
        return StepResult(Outcome.INDETERMINATE, None, output, "no end within the time allowed")
    if truncated:
        return StepResult(Outcome.INDETERMINATE, None, output, "too much output; the rest of the answer was cut")
    if not words and exit_status not in (None, 0):
        return StepResult(Outcome.FAILED, exit_status, output, "the node did not run the script")
    return StepResult(Outcome.INDETERMINATE, exit_status, output, "the answer ended early")


def _all_of(step: Step) -> str:
    return " and ".join(check.says for check in step.after)


def _unmet(check: Check, ended: int | None, output: str) -> str:
    """The state is not what the step was to bring about: that, and whatever its command said."""
    within = min(check.within_seconds, FAILED_WAIT_SECONDS) if ended else check.within_seconds
    waited = f" within {within:.0f} s" if within else ""
    if ended:
        return f"exit status {ended}, and {check.says} did not become true{waited}{quoted(output)}"
    return f"ran, but {check.says} did not become true{waited}{quoted(output)}"


def _out_of_date(argument: str) -> StepResult:
    """The node did not take our lease."""
    seen, _, ours = argument.partition(" ")
    if not ours:
        return StepResult(Outcome.FAILED, None, "", f"not run: {LEASE_FILE} on the node cannot be written")
    if not seen.isdigit():
        reason = f"not run: {LEASE_FILE} on the node holds no number; look at it, then remove it"
        return StepResult(Outcome.FAILED, None, "", reason)
    reason = f"a newer controller (lease {seen}) acts on this node; this one (lease {ours}) is out of date"
    return StepResult(Outcome.FAILED, None, "", f"not run: {reason}", newer_lease=int(seen))


def quoted(output: str) -> str:
    """What a command printed, for the sentence of what went wrong: all of it on one line; empty: nothing."""
    said = "; ".join(line.strip() for line in output.splitlines() if line.strip())
    if len(said) > QUOTED_LIMIT:
        said = f"{said[: QUOTED_LIMIT // 2]} ... {said[-QUOTED_LIMIT // 2 :]}"
    return f": {said}" if said else ""
