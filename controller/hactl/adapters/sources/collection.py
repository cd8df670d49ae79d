"""Documents of several files put together: what a source holds, by the names of the clusters.

A name given twice is an error at both places, and neither is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hactl.adapters.yaml.documents import FileContent
from hactl.core.document.problems import Problem, Stage, shown
from hactl.ports import Document, SourceState

_SUFFIXES = (".yaml", ".yml")


def is_document_file(name: str) -> bool:
    """Whether a file of a directory holds documents: *.yaml and *.yml, but no editor's temporary file."""
    return name.endswith(_SUFFIXES) and name[0] not in ".#~"


@dataclass(slots=True)
class Collection:
    """Documents of several files by name."""

    documents: dict[str, Document] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    _twice: set[str] = field(default_factory=set)

    def add(self, content: FileContent) -> None:
        """Take in a file; a name that is there already is an error at both places."""
        self.problems += content.problems
        self.broken |= content.broken
        for document, place in zip(content.documents, content.places, strict=True):
            name = document.cluster.name
            if name in self.documents:
                self._twice.add(name)
                self.problems.append(_name_twice(document, place, self.documents[name]))
                self.problems.append(_name_twice(self.documents[name], self.places[name], document))
            else:
                self.documents[name] = document
                self.places[name] = place

    def state(self, down: str | None = None, *, trouble: str = "", certain: bool = False) -> SourceState:
        """What a source says. A name given twice is broken: nobody knows which one is meant."""
        documents = {name: document for name, document in self.documents.items() if name not in self._twice}
        broken = frozenset((self.broken | self._twice) - documents.keys())
        problems = tuple(sorted(set(self.problems)))
        return SourceState(documents, problems, broken, down, trouble=trouble, certain=certain)


def _name_twice(document: Document, place: tuple[int, int], other: Document) -> Problem:
    message = f"the cluster {shown(document.cluster.name)} is there twice, also in {other.source}"
    fix = "give each cluster its own name; neither is loaded"
    return Problem(document.file, *place, "metadata.name", message, fix, Stage.MEANING)
