"""The list of mutations fits the code it is about; whether each is noticed is `make mutants`."""

from __future__ import annotations

import ast

import pytest

from mutants.mutations import ROOT, SOURCES, Mutation, read_mutations

MUTATIONS = read_mutations()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_applies(mutation: Mutation) -> None:
    """Its text is there exactly once, what comes out is Python, and the tests that should notice are there."""
    mutated = mutation.applied_to((SOURCES / mutation.file).read_text())
    assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse((SOURCES / mutation.file).read_text()))
    for selection in mutation.tests:
        path, _, name = selection.partition("::")
        text = (ROOT / "tests" / path).read_text()
        assert f"def {name.partition('[')[0]}(" in text if name else "def test_" in text


def test_names_are_unique_and_there_are_many() -> None:
    """`--only NAME` means one; the list is worth its name."""
    names = [mutation.name for mutation in MUTATIONS]
    assert len(names) == len(set(names))
    assert len(names) >= 40
