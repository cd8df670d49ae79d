"""The project's own Python sources: its modules, who imports whom and what, its functions. Read, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HACTL = ROOT / "controller" / "hactl"


@dataclass(frozen=True)
class Function:
    """A function or method."""

    #: `path/of/module.py: name`, relative to the project.
    name: str
    lines: int
    #: Without self and cls; those of a click command are its options, and are not counted.
    parameters: int


@dataclass(frozen=True)
class Import:
    """One module of hactl imports another."""

    importer: str
    imported: str
    #: Not at the top of the module.
    inside_function: bool


def functions(folder: Path) -> Iterator[Function]:
    """Every function below a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{path.relative_to(ROOT)}: {node.name}"
                yield Function(name, (node.end_lineno or node.lineno) - node.lineno + 1, _parameters(node))


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if any("option" in ast.unparse(decorator) for decorator in node.decorator_list):
        return 0
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return len([each for each in named if each and each.arg not in ("self", "cls")])


@cache
def modules() -> Mapping[str, Path]:
    """The modules of hactl by name; a package is the module of its `__init__`."""
    found = {}
    for path in sorted(HACTL.rglob("*.py")):
        name = ".".join(path.relative_to(HACTL.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import among the modules of hactl, those in functions and under TYPE_CHECKING too."""
    return tuple(each for name, path in modules().items() for each in _imports_of(name, ast.parse(path.read_text())))


def _imports_of(importer: str, tree: ast.AST, *, inside_function: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        inside = inside_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for imported in _named(node):
            yield Import(importer, imported, inside_function=inside)
        yield from _imports_of(importer, node, inside_function=inside)


def _named(node: ast.AST) -> Iterator[str]:
    """The modules of hactl that a statement names, without the packages they are in."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in modules())
    elif isinstance(node, ast.ImportFrom) and node.module in modules():
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            yield submodule if submodule in modules() else node.module


@cache
def foreign(module: str) -> frozenset[str]:
    """Dotted names that a module of hactl imports from elsewhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in found if name.partition(".")[0] != "hactl")


@cache
def reached(module: str) -> frozenset[str]:
    """Those, and every dotted name in the text of the module: `os.kill`."""
    tree = ast.parse(modules()[module].read_text())
    return foreign(module) | {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def runs_first(each: Import) -> Iterator[str]:
    """What Python runs for an import: the module, and the packages it is in, without those the importer is in too."""
    parts = each.imported.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        if name in modules() and not f"{each.importer}.".startswith(f"{name}."):
            yield name


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan), each sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[-len(component) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in edges:
        if node not in index:
            visit(node)
    return found
