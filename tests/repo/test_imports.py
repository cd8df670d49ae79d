"""Every module of the core and the API can be the first one that is imported: commands import lazily, in any order."""

from __future__ import annotations

import subprocess
import sys

import pytest

_ALONE = """
import importlib, pkgutil, sys
import aiohttp, jsonpatch, prometheus_client, pydantic
import hactl
names = [m.name for m in pkgutil.walk_packages([f"{hactl.__path__[0]}/" + sys.argv[1]], f"hactl.{sys.argv[1]}.")]
assert len(names) > 20, names
for name in names:
    for known in [known for known in sys.modules if known == "hactl" or known.startswith("hactl.")]:
        del sys.modules[known]
    importlib.import_module(name)
"""


@pytest.mark.parametrize("package", ["core", "api"])
def test_every_module_can_be_imported_first(package: str) -> None:
    """No import cycle that only works when somebody else came first (`hactl why` once failed on one)."""
    done = subprocess.run([sys.executable, "-c", _ALONE, package], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
