"""The house keeps its plan: no circle of imports, small folders, no nouns that are only prefixes, short functions."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from support.limits import LIMIT_SECONDS
from support.source_tree import HACTL, ROOT, circles, functions, imports, modules, runs_first

#: "About ten": what a person takes in at one look.
MODULES_IN_A_FOLDER = 12
#: Three modules of one prefix are a package.
SIBLINGS_OF_ONE_PREFIX = 2
LINES_OF_A_FUNCTION = 50
PARAMETERS_OF_A_FUNCTION = 7
#: Fewer are only the name again.
WORDS_OF_A_SENTENCE = 5

TESTS = ROOT / "tests"
SUPPORT = TESTS / "support"
HOUSES = (HACTL, TESTS)


def _folders() -> dict[Path, list[str]]:
    """The modules of every folder, without `__init__`."""
    found = defaultdict(list)
    for house in HOUSES:
        for path in sorted(house.rglob("*.py")):
            if path.stem not in ("__init__", "conftest"):
                found[path.parent].append(path.stem.removeprefix("test_"))
    return found


def test_a_circle_is_found() -> None:
    """The search itself: through several modules, once, and not what only leads there."""
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"b"}, "e": {"e", "a"}}
    assert circles(edges) == [["b", "c", "d"]]


def test_there_is_no_circle_of_imports() -> None:
    """Of all imports: those inside functions and for type checking too, and of packages whose `__init__` runs first."""
    edges: dict[str, set[str]] = defaultdict(set)
    for each in imports():
        edges[each.importer] |= set(runs_first(each))
    found = circles(edges)
    assert found == []


def test_every_module_can_be_imported() -> None:
    """Without a circle in any order; here the last first, in a process of their own: commands import lazily."""
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    names = sorted(modules(), reverse=True)
    names.remove("hactl.__main__")  # that one runs
    command = [sys.executable, "-c", code, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
    assert done.returncode == 0, done.stderr


def test_only_commands_import_inside_functions() -> None:
    """There it keeps `hactl --help` fast; anywhere else it hides something."""
    found = {each.importer for each in imports() if each.inside_function and not each.importer.startswith("hactl.cli")}
    assert found == set()


def test_a_folder_is_taken_in_at_one_look() -> None:
    """Not more than about ten modules."""
    many = {folder for folder, names in _folders().items() if len(names) > MODULES_IN_A_FOLDER}
    assert many == set()


def test_no_noun_is_only_a_prefix() -> None:
    """Three siblings that begin alike are a package."""
    found = set()
    for folder, names in _folders().items():
        for word, count in Counter(name.split("_")[0] for name in names).items():
            if count > SIBLINGS_OF_ONE_PREFIX:
                found.add(f"{folder.relative_to(ROOT)}: {word}_")
    assert found == set()


@pytest.mark.parametrize("house", HOUSES, ids=lambda house: house.name)
def test_a_function_fits_on_a_screen(house: Path) -> None:
    """And takes no more parameters than one keeps in mind."""
    long = {each.name for each in functions(house) if each.lines > LINES_OF_A_FUNCTION}
    wide = {each.name for each in functions(house) if each.parameters > PARAMETERS_OF_A_FUNCTION}
    assert long == set()
    assert wide == set()


def test_every_folder_says_what_it_holds() -> None:
    """A package in one sentence of its own, a folder of tests in the README beside them."""
    for house in (HACTL, SUPPORT):
        for folder in {path.parent for path in house.rglob("*.py")}:
            sentence, *_ = (ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "").splitlines() or [
                ""
            ]
            assert len(sentence.split()) >= WORDS_OF_A_SENTENCE, folder
            assert re.search(r"[.:,]$", sentence), folder
    listed = re.findall(r"^\| \[(\w+)\]", (TESTS / "README.md").read_text(), re.MULTILINE)
    there = {folder.name for folder in TESTS.iterdir() if folder.is_dir() and any(folder.glob("[!_]*"))}
    assert set(listed) == there
