"""Steps and plans as people see them, and for `-o json`.

Rules: of a file that is written people see what they decide on: its mode and size, and how it differs from what is
there; `--full` shows every command as it is. Nothing is read here: what is there was read before, or no difference is
shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import click

from hactl.cli.output import hold_data, indent, print_hold, safe
from hactl.core.changes.change import WrittenFile
from hactl.core.steps import Plan, Risk, Step

RISK_COLOURS = {
    Risk.NONE: None, Risk.BLIP: "yellow", Risk.OUTAGE: "yellow", Risk.REDUNDANCY: "yellow", Risk.DESTRUCTIVE: "red",
}  # fmt: skip
#: Lines around a difference.
CONTEXT_LINES = 2
#: More of a difference is shown with --full only.
DIFFERENCE_LINES = 60
#: (node, path) -> what is in that file now; None: there is none. A file that is not named could not be read.
Texts = Mapping[tuple[str, str], str | None]


def file_of(step: Step) -> WrittenFile | None:
    """The file that the step writes."""
    return step.change.writes if step.change is not None else None


def written_lines(node: str, file: WrittenFile, there: Texts) -> Iterator[str]:
    """What is shown instead of the command that writes it."""
    mode = f"mode {file.mode:o}" if file.mode is not None else "mode as it is"
    if file.part:
        lines = safe(file.text).splitlines()
        what = "these lines are written" if lines else "hactl's lines are taken out"
        yield f"{file.path}, {mode}; {what}, every other line stays" + (":" if lines else "")
        yield from (click.style(f"+{line}", fg="green") for line in lines)
        return
    size = f"{mode}, {len(file.text.splitlines())} lines ({_size(len(file.text.encode()))})"
    if (node, file.path) not in there:
        yield size
        return
    old = there[node, file.path]
    if old is None:
        yield f"a new file, {size}"
        return
    changed = list(difflib.unified_diff(old.splitlines(), file.text.splitlines(), n=CONTEXT_LINES, lineterm=""))[2:]
    if not changed:
        yield f"{size}; its text stays"
        return
    more = sum(line.startswith("+") for line in changed)
    less = sum(line.startswith("-") for line in changed)
    yield f"{size}; against what is there {more} lines come and {less} go:"
    for line in changed[:DIFFERENCE_LINES]:
        yield click.style(safe(line), fg={"+": "green", "-": "red", "@": "cyan"}.get(line[:1]))
    if len(changed) > DIFFERENCE_LINES:
        yield f"... and {len(changed) - DIFFERENCE_LINES} lines more (the file as it would be: hactl render, or --full)"


def _size(count: int) -> str:
    return f"{count} bytes" if count < 1024 else f"{count / 1024:.0f} KiB"


def print_step(number: int | None, step: Step, there: Texts | None = None, *, full: bool = False) -> None:
    """One step: where, what exactly, how risky, why. `there`: what is in files that are written now."""
    head = f"{number:>3}. " if number is not None else "     "
    risk = click.style(step.risk, fg=RISK_COLOURS[step.risk]) if step.risk is not Risk.NONE else str(step.risk)
    file, lines = file_of(step), step.command.splitlines()
    if len(lines) == 1:
        click.echo(f"{head}{click.style(step.node, bold=True)}  {lines[0]}")
    else:
        click.echo(f"{head}{click.style(step.node, bold=True)}  {step.verb} {step.target}:")
        shown = lines if full or file is None else written_lines(step.node, file, there or {})
        for line in shown:
            click.echo(indent(line, 9))
    click.echo(f"       {click.style(f'[{step.verb}, risk: ', dim=True)}{risk}{click.style(f'] {step.why}', dim=True)}")


def print_plan(plan: Plan, there: Texts, *, full: bool) -> None:
    """A whole plan, for people."""
    number = 0
    for position, stage in enumerate(plan.stages):
        how = "one after the other" if stage.ordered else "nodes in parallel"
        note = "" if position == 0 else click.style("  (expected; looked at again before)", dim=True)
        click.echo(f"\n{click.style(stage.title, bold=True)} {click.style(f'({how})', dim=True)}{note}")
        for step in stage.steps:
            number += 1
            print_step(number, step, there, full=full)
    if plan.holds:
        click.echo(f"\n{click.style('Not done, and why', bold=True)}")
        for hold in plan.holds:
            print_hold(hold_data(hold))


def step_data(step: Step) -> dict[str, Any]:
    """A step for `-o json`."""
    return {
        "node": step.node, "verb": step.verb, "target": step.target, "command": step.command, "risk": step.risk.value,
        "why": step.why, "before": [check.says for check in step.before], "after": [check.says for check in step.after],
    }  # fmt: skip


def plan_data(plan: Plan) -> dict[str, Any]:
    """A plan for `-o json`."""
    return {
        "cluster": plan.cluster,
        "generation": plan.generation,
        "digest": plan.digest,
        "active": plan.active,
        "stages": [
            {"title": stage.title, "ordered": stage.ordered, "risk": stage.risk.value,
             "steps": [step_data(step) for step in stage.steps]}
            for stage in plan.stages
        ],
        "holds": [hold_data(hold) for hold in plan.holds],
    }  # fmt: skip
