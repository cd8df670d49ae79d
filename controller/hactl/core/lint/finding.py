"""What lint looks at, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from hactl.core.document.problems import Fault, FieldPath
from hactl.core.lint.codes import Code
from hactl.core.objects import HACluster


@dataclass(frozen=True, slots=True)
class Note:
    """A comment of a document that may be for lint."""

    line: int
    column: int
    text: str
    #: The line it is about; 0: the whole document.
    about: int


class Places(Protocol):
    """Where everything stands in a document."""

    def __call__(self, path: FieldPath, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a field (or of its key), from 1; of the nearest thing around it when it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """One valid document, and where everything stands in it."""

    cluster: HACluster
    #: The file, for people.
    file: str
    at: Places
    #: The directory its relative references start from.
    directory: str = "."
    notes: tuple[Note, ...] = ()
    #: What is wrong with the files and variables it names.
    references: tuple[tuple[Code, Fault], ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One finding. Line and column count from 1; 0 means the whole file."""

    file: str
    line: int
    column: int
    code: Code
    #: The field path as written on the wire; empty for what is no field.
    path: str
    message: str
    fix: str = ""


#: A rule over one document.
Rule: TypeAlias = Callable[[HACluster], Iterator[Fault]]
#: A rule over all documents; a fault belongs to the subject with that place in the sequence.
FleetRule: TypeAlias = Callable[[Sequence[Subject]], Iterator[tuple[int, Fault]]]
