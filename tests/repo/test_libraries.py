"""What comes from outside has its rooms: a new module lets no library in elsewhere because a rule was forgotten."""

from __future__ import annotations

import re
import sys
import tomllib
from collections import defaultdict

from support.source_tree import ROOT, foreign, modules, reached

#: Library -> packages and modules of hactl that may import it; no others.
ROOMS = {
    "aiohttp": {"adapters.kubernetes", "adapters.sources", "api.http"},
    "asyncssh": {"adapters.ssh", "lab.front"},
    "bashkit": {"lab"},
    "click": {"cli"},
    "cryptography": {"api.http"},
    "jsonpatch": {"core.kube"},
    "prometheus_client": {"api.non_kubernetes.metrics"},
    "pydantic": {"core.document", "core.objects"},
    "pydantic_core": {"core.document"},
    "ruamel": {"adapters.generated", "adapters.yaml", "cli"},
    "sqlite3": {"adapters.record.sqlite"},
    "sqlite_utils": {"adapters.record.sqlite"},
}
#: What starts other programs on this machine, and the only modules that do: Git, the lab's own processes, an editor.
STARTS_PROGRAMS = re.compile(
    r"(subprocess|multiprocessing|pty|webbrowser)\b|os\.(system|popen|fork|exec|spawn|posix_spawn)|click\.(edit|launch|echo_via_pager)"
    r"|.*\b(create_subprocess_|subprocess_(exec|shell)|ProcessPoolExecutor)"
)
PROGRAMS = {
    "adapters.sources.git_command",
    "adapters.sources.revision",
    "cli.commands.lab.demo",
    "cli.commands.lab.lab",
    "cli.commands.objects.edit",
    "simulate.play",
}


def _room(module: str, rooms: set[str]) -> str | None:
    """The room of them that a module is in."""
    return next((room for room in rooms if f"{module}.".startswith(f"hactl.{room}.")), None)


def test_a_library_is_imported_in_its_rooms_only() -> None:
    """Inside functions and for type checking too; a library without a rule has no room, a rule without use goes."""
    used = defaultdict(set)
    outside = []
    for module in modules():
        for library in {name.partition(".")[0] for name in foreign(module)}:
            if library in sys.stdlib_module_names and library not in ROOMS:
                continue
            room = _room(module, ROOMS.get(library, set()))
            if room is None:
                outside.append(f"{module}: {library}")
            else:
                used[library].add(room)
    assert outside == []
    assert used == ROOMS


def test_programs_are_started_where_it_is_said() -> None:
    """Nowhere else a child process, by whatever call."""
    found = {module for module in modules() if any(STARTS_PROGRAMS.match(name) for name in reached(module))}
    assert found == {f"hactl.{name}" for name in PROGRAMS}


def test_what_is_imported_is_declared() -> None:
    """Every library is a dependency of its own (pydantic brings its core), and there is no dependency without use."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["lab"]]
    declared = {re.split(r"[^\w.-]", each)[0].replace("-", "_").partition(".")[0] for each in wanted}
    assert declared == ROOMS.keys() - {"pydantic_core", "sqlite3"}
