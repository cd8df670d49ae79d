"""The repository keeps its own rules."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from hactl.core import catalogue, verbs
from hactl.core.changes.boot import NETIF, SYSCTL_CONF
from hactl.core.changes.change import STATE_DIRECTORY
from hactl.core.changes.hast import HAST_CONF
from hactl.core.hook.render import DEVD_RULE, HOOK, RC_GUARD, RC_NODE

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "controller" / "hactl").rglob("*.py"))
#: Words that say nothing about what a thing is.
EMPTY_WORDS = ("manager", "helper", "util", "utils", "common", "base", "misc")


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in listed.splitlines()]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is(path: Path) -> None:
    """Every module opens with a sentence and has a name that means something."""
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert text.count("\n") <= 520
    assert path.stem not in EMPTY_WORDS


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_swallowed_and_nothing_is_left_for_later(path: Path) -> None:
    """No bare except, no `except ...: pass`, no TODO."""
    text = path.read_text()
    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: bare except"
            broad = isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            assert not (broad and isinstance(node.body[0], ast.Pass)), f"line {node.lineno}: swallowed"


def test_no_machine_path_and_no_registry_is_committed() -> None:
    """The project stands alone: no absolute home, no shared folder beside it, no registry host.

    CI alone looks beside it for the image of a FreeBSD machine.
    """
    # Put together from pieces, so that this file is no finding of its own.
    bad = re.compile(
        "|".join([r"\.\./" + "shared", r"(?<![A-Za-z0-9.])/(work|root|home)/" + "[a-z.]", "--(extra-)?index" + "-url"])
    )
    found = []
    for path in _tracked():
        if path.suffix == ".json" or not path.is_file() or path == ROOT / ".ci" / "run":
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if bad.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


def test_every_verb_and_hold_of_the_planner_is_in_the_catalogue() -> None:
    """What is planned is named; what is named is planned or held somewhere."""
    text = "\n".join(path.read_text() for path in SOURCES if path.name not in {"catalogue.py", "verbs.py"})
    for member in (*verbs.Verb, *catalogue.HoldReason, *catalogue.Cause, *catalogue.RefusalReason):
        named = f'"{member}"' in text or f"{type(member).__name__}.{member.name}" in text
        assert named, f"{member} is in the catalogue and nowhere else"
    used = set(re.findall(r'\.hold\(\s*"([A-Za-z]+)"', text)) | set(re.findall(r'\bHold\(\s*"([A-Za-z]+)"', text))
    assert used <= set(catalogue.HoldReason)


def test_everything_named_is_documented() -> None:
    """Undocumented is broken: verbs, holds, conditions, reasons and events stand in the reference."""
    reference = (ROOT / "crds" / "REFERENCE.md").read_text()
    names = (
        *verbs.Verb,
        *catalogue.HoldReason,
        *catalogue.EventKind,
        *catalogue.ConditionType,
        *catalogue.ConditionReason,
        *catalogue.Cause,
        *catalogue.RefusalReason,
    )
    missing = [name for name in names if name not in reference]
    assert not missing


def test_every_test_says_what_it_shows() -> None:
    """A docstring on every test."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                assert ast.get_docstring(node), f"{path.relative_to(ROOT)}: {node.name}"


def test_the_readme_has_the_two_commands() -> None:
    """One runs the main job, one passes the tests."""
    text = (ROOT / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text


def test_the_readme_lists_what_is_written_on_a_node() -> None:
    """Every file and directory; of two in one directory the second by its name."""
    text = (ROOT / "README.md").read_text().partition("What hactl writes on a node:")[2].partition("\n\n")[0]
    for path in (HAST_CONF, NETIF, "/etc/rc.conf", SYSCTL_CONF, HOOK, DEVD_RULE, RC_GUARD, STATE_DIRECTORY):
        assert f"`{path}`" in text
    assert f"`{Path(RC_NODE).name}`" in text


def test_the_version_is_written_once() -> None:
    """pyproject reads it from the package."""
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
    assert re.search(r"^__version__ = ", (ROOT / "controller/hactl/__init__.py").read_text(), re.MULTILINE)
