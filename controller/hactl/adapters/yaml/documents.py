"""The content of a file as documents and problems: YAML, then types, then meaning, every error with its place.

A broken document never hides the others of its file. A document that is not whole is not loaded at all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from hactl.adapters.yaml.tree import MAX_BYTES, MAX_PROBLEMS, Tree, read_trees
from hactl.core.document.load import read_cluster
from hactl.core.document.problems import Fault, FieldPath, Problem, Stage, path_text
from hactl.core.document.recover import more_faults
from hactl.core.document.rules.check import check
from hactl.core.objects import HACluster
from hactl.ports import Document

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_METADATA_LINE = re.compile(r"[\"']?metadata[\"']?:[ \t]*(?:#.*)?")
_NAME_LINE = re.compile(r"[ \t]+name:[ \t]+[\"']?([a-z0-9][-a-z0-9]*)")

#: Rules beyond the meaning of the document, e.g. what a document from a network may name.
Rules: TypeAlias = Callable[[HACluster], Iterable[Fault]]


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file holds."""

    documents: tuple[Document, ...] = ()
    #: Line and column of each document's name.
    places: tuple[tuple[int, int], ...] = ()
    problems: tuple[Problem, ...] = ()
    #: Names of documents that do not load, as far as they can be told from what is left.
    broken: frozenset[str] = frozenset()
    #: Documents that do not load and whose name cannot be told.
    nameless: int = 0
    #: Where everything stands in each document; only for those who ask, because it is larger than the document.
    trees: tuple[Tree, ...] = ()


def read_documents(
    content: bytes, *, source: str, directory: str, rules: Rules | None = None, places: bool = False
) -> FileContent:
    """The documents of a file. Never raises: what is wrong is in `problems`.

    `source` names the file for people; `directory` is where relative references of the documents start. `rules`: what
    else must hold for documents of this kind of source. `places`: the trees are wanted too.
    """
    trees, problems = read_trees(content, source)
    if not trees:
        name = _name_in(content[:MAX_BYTES].decode(errors="replace"))
        named = frozenset({name} if name else ())
        return FileContent(problems=tuple(problems), broken=named, nameless=0 if name else 1)
    documents: list[Document] = []
    names: list[tuple[int, int]] = []
    whole: list[Tree] = []
    broken: list[str | None] = []
    for number, tree in enumerate(trees, 1):
        cluster, wrong = _read_tree(tree, source, rules)
        problems += _limited(wrong)
        if cluster is None:
            broken.append(_name_of(tree))
        else:
            label = source if number == 1 else f"{source}#{number}"
            documents.append(Document(cluster, label, directory, digest(cluster), tree.text))
            names.append(tree.at(("metadata", "name")))
            whole.append(tree)
    return FileContent(
        tuple(documents),
        tuple(names),
        tuple(problems),
        frozenset(name for name in broken if name),
        broken.count(None),
        tuple(whole) if places else (),
    )


def digest(cluster: HACluster) -> str:
    """sha256, hex, of the canonical JSON of name and spec: wire names, defaults filled in, absent fields left out.

    Labels and annotations say nothing about what hactl does; they are not part of a generation.
    """
    spec = cluster.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    data = {"name": cluster.name, "spec": spec}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_tree(tree: Tree, source: str, rules: Rules | None) -> tuple[HACluster | None, list[Problem]]:
    """The cluster of one YAML document, or None and every problem."""
    if not tree.readable:
        return None, tree.problems

    def at(path: FieldPath, at_key: bool) -> tuple[int, int]:
        return tree.at(path, key=at_key)

    found = read_cluster(tree.data)
    if isinstance(found, HACluster):
        more = _placed(rules(found), tree, source) if rules is not None else []
        problems = [*tree.problems, *check(found, source, at), *more]
        return (None if problems else found), sorted(set(problems))
    wrong = [*found, *more_faults(tree.data, found)]
    return None, sorted({*tree.problems, *_placed(wrong, tree, source)})


def _limited(problems: list[Problem]) -> list[Problem]:
    """The first problems of a document, and how many more there are."""
    if len(problems) <= MAX_PROBLEMS:
        return problems
    last = problems[MAX_PROBLEMS - 1]
    more = f"and {len(problems) - MAX_PROBLEMS} more problems in this document"
    return [*problems[:MAX_PROBLEMS], Problem(last.source, last.line, last.column, "", more)]


def _placed(faults: Iterable[Fault], tree: Tree, source: str) -> list[Problem]:
    """Faults with their line and column; what YAML itself already complains about is not said twice."""
    known = {(problem.line, problem.column) for problem in tree.problems}
    problems = []
    for fault in faults:
        line, column = tree.at(fault.path, key=fault.at_key)
        if (line, column) not in known:
            problems.append(Problem(source, line, column, path_text(fault.path), fault.text, fault.fix, Stage.SHAPE))
    return problems


def _name_of(tree: Tree) -> str | None:
    """The name a broken document gives itself."""
    metadata = tree.data.get("metadata") if isinstance(tree.data, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(name, str):
        return name if _NAME.fullmatch(name) else None
    return _name_in(tree.text)


def _name_in(text: str) -> str | None:
    """The same from text that is no YAML: the first `name:` below `metadata:`."""
    inside = False
    for line in text.splitlines():
        if line[:1].strip() and not line.startswith("#"):
            inside = _METADATA_LINE.fullmatch(line.rstrip()) is not None
        elif inside and (found := _NAME_LINE.match(line)):
            return found[1] if _NAME.fullmatch(found[1]) else None
    return None
