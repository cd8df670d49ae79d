"""What a write came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Body: TypeAlias = Mapping[str, Any]


class Written:
    """What a write came to."""

    __slots__ = ("about", "body", "changed", "code", "warnings")

    def __init__(
        self, body: Body, code: int, *, changed: bool, warnings: tuple[str, ...] = (), about: Body | None = None
    ) -> None:
        """`changed`: the record is another one now. `about`: the object, where `body` is something else."""
        self.about = about or body
        self.body = body
        self.code = code
        self.changed = changed
        self.warnings = warnings
