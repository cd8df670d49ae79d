"""What of a status is only an age, and not news."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Keys of a status that only say how old a reading is, or when the status was made: they change on every pass.
AGES = frozenset({"ageSeconds", "observedAt", "seenAt"})


def without_ages(value: Any) -> Any:
    """A status, or a part of one, without its ages."""
    if isinstance(value, Mapping):
        return {key: without_ages(entry) for key, entry in value.items() if key not in AGES}
    if isinstance(value, list | tuple):
        return [without_ages(entry) for entry in value]
    return value
