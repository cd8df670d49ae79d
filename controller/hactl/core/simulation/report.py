"""A simulation for people: the table, the shortest story of each bad one, the comparison; as text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hactl.core.objects import ObjectivesSpec
from hactl.core.simulation.story import Result
from hactl.core.simulation.verdict import Change, Comparison, misses, troubles

HEADER = ("FAULT", "SERVES", "AWAY", "LOST", "ONE COPY", "PERSON", "OBJECTIVES")
#: Stories that are told at most.
STORIES = 12
#: Lines of a story that are told at most.
STORY_LINES = 14


def row(result: Result, objectives: ObjectivesSpec | None) -> list[str]:
    """The cells of a story's row, as in HEADER."""
    missed = misses(objectives, result)
    judged = objectives is not None and result.weight <= objectives.faults
    return [
        result.name,
        serving(result),
        f"{result.away_seconds:.1f} s" if result.over else "for good",
        "-" if result.acknowledged is None else str(result.lost),
        "-" if result.acknowledged is None else str(result.one_copy),
        "yes" if result.person else "no",
        "; ".join(missed) if missed else "met" if judged else "-",
    ]


def serving(result: Result) -> str:
    """Who serves while the faults last; with the group's name where groups are served by different nodes."""
    found = {group: " and ".join(nodes) or "nobody" for group, nodes in result.serves.items()}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return ", ".join(f"{group}: {who}" for group, who in found.items())


def bad(results: Sequence[Result], objectives: ObjectivesSpec | None) -> list[tuple[Result, list[str]]]:
    """Stories to be told, the shortest first; what is wrong with one fault alone is not told again with another."""
    told: list[tuple[set[str], list[str]]] = []
    found = []
    for result in sorted(results, key=lambda each: len(each.faults)):
        missed = misses(objectives, result)
        wrong = [*troubles(result), *missed]
        kinds = [*troubles(result), *(each.partition(" ")[0] for each in missed)]
        known = [kind for faults, earlier in told if faults <= set(result.faults) for kind in earlier]
        if any(kind not in known for kind in kinds):
            told.append((set(result.faults), kinds))
            found.append((result, wrong))
    return found


def story(result: Result, wrong: Sequence[str]) -> Iterator[str]:
    """What is wrong, and the lines of the story with virtual times."""
    yield f"{result.name}: {'; '.join(wrong)}"
    lines = result.lines
    cut = len(lines) - STORY_LINES
    shown = lines if cut <= 1 else (*lines[: STORY_LINES - 4], None, *lines[-4:])
    for line in shown:
        yield f"  {line.seconds:7.1f} s  {line.text}" if line is not None else f"           ... {cut} lines"
    if result.person:
        yield f"             a person: {result.person}"


def summary(results: Sequence[Result], objectives: ObjectivesSpec | None) -> str:
    """One line: how many of them are bad, and how many miss an objective."""
    wrong = sum(bool(troubles(each)) for each in results)
    parts = [f"{counted(len(results))}, {wrong or 'none'} of them bad"]
    if objectives is not None:
        judged = sum(each.weight <= objectives.faults for each in results)
        missed = sum(bool(misses(objectives, each)) for each in results)
        parts.append(f"objectives missed in {missed} of {judged}" if missed else f"objectives met in all {judged}")
    return "; ".join(parts)


def counted(stories: int) -> str:
    """`1 story`, `41 stories`."""
    return f"{stories} {'story' if stories == 1 else 'stories'}"


def comparison(found: Comparison) -> Iterator[str]:
    """How one revision compares with another, and every fault that differs."""
    yield f"{len(found.worse)} of {found.common} faults become worse, {len(found.better)} better"
    for word, changes in (("worse", found.worse), ("better", found.better)):
        for change in changes:
            yield f"  {word}: {change.after.name}: {_differs(change)}"
    for word, names in (("only before", found.gone), ("new", found.new)):
        if names:
            yield f"  {word}: {', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"


def _differs(change: Change) -> str:
    return "; ".join((*change.worse, *(f"but {each}" if change.worse else each for each in change.better)))


def markdown(
    name: str, results: Sequence[Result], objectives: ObjectivesSpec | None, compared: Comparison | None
) -> str:
    """For a comment in a pull request: what is new or bad at the top, the whole table folded."""
    lines = [f"### hactl simulate: {name}", "", summary(results, objectives) + "."]
    if compared is not None:
        head, *rest = comparison(compared)
        lines += ["", f"**{head}**", *(f"- {line.strip()}" for line in rest)]
    for result, wrong in bad(results, objectives)[:STORIES]:
        lines += ["", "```text", *story(result, wrong), "```"]
    lines += ["", f"<details><summary>All {len(results)} stories</summary>", "", _markdown_row(HEADER)]
    lines.append(_markdown_row(["---"] * len(HEADER)))
    lines += [_markdown_row(row(each, objectives)) for each in results]
    return "\n".join([*lines, "", "</details>"])


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
