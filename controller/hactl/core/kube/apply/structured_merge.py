"""Structured merge: which fields a value has, how two values differ, what becomes of one when another is applied to it.

The semantics of server-side apply as sigs.k8s.io/structured-merge-diff defines them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hactl.core.kube.apply.fieldsets import MEMBER, Fields, leaf
from hactl.core.kube.apply.structural_schema import Schema, list_keys, parts, same


@dataclass(slots=True)
class Differences:
    """How a value became another one."""

    #: New or different fields, and whatever contains only new ones.
    changed: Fields = field(default_factory=dict)
    #: Fields that are gone, with what contained only them.
    removed: Fields = field(default_factory=dict)
    #: Containers that still exist and lost their last part: they are fields now.
    emptied: Fields = field(default_factory=dict)


def owned(value: Any, schema: Schema) -> Fields:
    """What somebody who applies this value owns: its leaves, items and keys of maps; not the shape around them."""
    found = parts(value, schema)
    if not found:
        return leaf()
    result: Fields = {}
    for step, part in found.items():
        below = owned(part.value, part.schema)
        result[step] = {MEMBER: {}, **below} if part.is_item else below
    return result


def whole(value: Any, schema: Schema) -> Fields:
    """Every node of a value: what somebody who made all of it owns."""
    found = parts(value, schema) or {}
    return {MEMBER: {}, **{step: whole(part.value, part.schema) for step, part in found.items()}}


def differences(before: Any, after: Any, schema: Schema) -> Differences:
    """How `after` differs from `before`; None is the absence of a value. The order of sets and maps does not count."""
    result = Differences()
    old, new = parts(before, schema), parts(after, schema)
    if not old and not new:
        if not same(before, after):
            result.changed = leaf()
        return result
    if (new is None and after is not None) or (old is None and before is not None):
        # One field became several, or the other way round.
        result.changed[MEMBER] = {}
    elif not new:
        result.emptied[MEMBER] = {}
    old, new = old or {}, new or {}
    for step, part in new.items():
        if step not in old:
            result.changed[step] = whole(part.value, part.schema)
            continue
        below = differences(old[step].value, part.value, part.schema)
        for mine, found in (
            (result.changed, below.changed),
            (result.removed, below.removed),
            (result.emptied, below.emptied),
        ):
            if found:
                mine[step] = found
    for step, part in old.items():
        if step not in new:
            result.removed[step] = whole(part.value, part.schema)
    return result


def merged(live: Any, config: Any, schema: Schema) -> Any:
    """`live` with everything `config` says; new data, `live` and `config` stay as they are.

    Items that both have stand in the order of `config`; items only `live` has keep their place; new ones come last.
    """
    new, old = parts(config, schema), parts(live, schema)
    if new is None or old is None:
        return copy.deepcopy(config)
    if isinstance(config, Mapping) != isinstance(live, Mapping):
        return copy.deepcopy(config)
    order = (
        _order(list(old), list(new)) if isinstance(config, list) else [*old, *(step for step in new if step not in old)]
    )
    result: dict[str, Any] = {}
    for step in order:
        if step not in new:
            result[step] = copy.deepcopy(old[step].value)
        elif step not in old:
            result[step] = copy.deepcopy(new[step].value)
        else:
            result[step] = merged(old[step].value, new[step].value, new[step].schema)
    return _rebuilt(config, result)


def _order(live: list[str], config: list[str]) -> list[str]:
    wanted, present = set(config), set(live)
    shared = iter([step for step in config if step in present])
    anchor = next(shared, None)
    result: list[str] = []
    position = 0
    for step in config:
        while position < len(live) and live[position] != anchor:
            if live[position] not in wanted:
                result.append(live[position])
            position += 1
        result.append(step)
        if step == anchor:
            anchor = next(shared, None)
            position += 1
    return result + [step for step in live[position:] if step not in wanted]


def _rebuilt(like: Any, found: Mapping[str, Any]) -> Any:
    """An object or a list of these parts, whichever `like` is."""
    return list(found.values()) if isinstance(like, list) else {step[2:]: value for step, value in found.items()}


def pruned(value: Any, schema: Schema, last: Fields, kept: Fields, keys: tuple[str, ...] = ()) -> Any:
    """`value` without what is in `last` (what was applied before) and not in `kept` (what anybody owns now).

    What was in neither stays; an item goes with all its parts. `keys`: fields that are the key of this item.
    """
    found = parts(value, schema) or {}
    result: dict[str, Any] = {}
    for step, part in found.items():
        if step not in last or step[2:] in keys:
            result[step] = part.value
            continue
        mine, held = last[step], kept.get(step, {})
        if part.is_item and MEMBER in mine and MEMBER not in held:
            continue
        if not parts(part.value, part.schema):
            if MEMBER in held or MEMBER not in mine:
                result[step] = part.value
            continue
        rest = pruned(part.value, part.schema, mine, held, list_keys(schema))
        # Whoever owns only what was in it does not keep it, now that it is empty.
        if rest or MEMBER in held:
            result[step] = rest
    return _rebuilt(value, result)
