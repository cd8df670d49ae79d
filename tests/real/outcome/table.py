"""The table at the end: one row for each exam and release. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from .rounds import Outcome, Verdict, worst

HEAD = ("EXAM", "RELEASE", "VERDICT", "ROUNDS", "SECONDS: MEDIAN (WORST)", "PREDICTED", "START", "REMARKS")
#: So many tries of a hundred must reach a goal: 19 of 20.
ENOUGH = 0.95
#: The exams whose goal is one of so many tries, not of every one.
OF_MANY = ("power-cut",)
_WIDEST = 100


def verdict_of(exam: str, outcomes: Sequence[Outcome]) -> Verdict:
    """Of all rounds of an exam; nothing excuses `failed`."""
    found = worst(*(each.verdict for each in outcomes))
    missed = sum(each.verdict is Verdict.GOAL_MISSED for each in outcomes)
    if found is Verdict.GOAL_MISSED and exam in OF_MANY and missed <= len(outcomes) * (1 - ENOUGH) + 1e-9:
        return Verdict.PASSED
    return found


def seconds_of(outcomes: Iterable[Outcome]) -> str:
    """`service 7.3 (9.1), command 18.0 (21.0)`."""
    by_name: dict[str, list[float]] = {}
    for outcome in outcomes:
        for name, seconds in outcome.seconds.items():
            by_name.setdefault(name, []).append(seconds)
    return ", ".join(f"{name} {_median(values)} ({_text(max(values))})" for name, values in by_name.items())


def _median(values: list[float]) -> str:
    return _text(statistics.median(values))


def _text(seconds: float) -> str:
    return f"{seconds:.1f}" if math.isfinite(seconds) else "never"


def predicted_of(outcomes: Iterable[Outcome]) -> str:
    """The range of what hactl said."""
    said = sorted({round(each.predicted, 1) for each in outcomes if each.predicted is not None})
    if not said:
        return "-"
    return f"{said[0]:g}" if len(said) == 1 else f"{said[0]:g} to {said[-1]:g}"


def starts_of(outcomes: Iterable[Outcome]) -> str:
    """What a program start took meanwhile: seconds of a busy machine are not those of a calm one."""
    found = [each.start_ms for each in outcomes if each.start_ms is not None]
    return f"{statistics.median(found):.0f} ms" if found else "-"


def rows(outcomes: Mapping[str, Outcome]) -> list[tuple[str, ...]]:
    """Outcomes by `RELEASE/EXAM/ROUND`, in the order in which they ran."""
    exams: dict[tuple[str, str], list[tuple[str, Outcome]]] = {}
    for name, outcome in outcomes.items():
        release, exam, round_name = name.split("/", 2)
        exams.setdefault((exam, release), []).append((round_name, outcome))
    found = []
    for (exam, release), each in exams.items():
        results = [outcome for _, outcome in each]
        good = sum(outcome.verdict is Verdict.PASSED for outcome in results)
        seconds, predicted, starts = seconds_of(results), predicted_of(results), starts_of(results)
        cells = (verdict_of(exam, results), f"{good} of {len(results)}", seconds, predicted, starts)
        found.append((exam, release, *(str(cell) for cell in cells), remarks_of(each)))
    return found


def remarks_of(outcomes: Iterable[tuple[str, Outcome]]) -> str:
    """Each remark once, with the rounds it is of."""
    by_remark: dict[str, list[str]] = {}
    for name, outcome in outcomes:
        for remark in outcome.remarks:
            by_remark.setdefault(remark, []).append(name)
    return "; ".join(f"{remark} [{', '.join(names)}]" for remark, names in by_remark.items())


def render(outcomes: Mapping[str, Outcome], *, whole: bool = False) -> str:
    """Columns for a terminal; remarks that are long are cut unless `whole`."""
    body = [HEAD, *rows(outcomes)]
    widths = [max(len(row[column]) for row in body) for column in range(len(HEAD) - 1)]
    lines = []
    for row in body:
        last = row[-1] if whole or len(row[-1]) <= _WIDEST else row[-1][: _WIDEST - 3] + "..."
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        lines.append("  ".join((*cells, last)).rstrip())
    return "\n".join(lines)
