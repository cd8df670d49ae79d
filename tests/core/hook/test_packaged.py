"""What is in sh is package data: an installed hactl has it, from a wheel and from a source distribution."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with both distributions."""
    place = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(place)],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    return place


def _data_files() -> set[str]:
    """What the program has besides Python, as the repository knows it: paths below controller/."""
    listed = subprocess.run(["git", "ls-files", "controller"], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = {line.removeprefix("controller/") for line in listed.stdout.splitlines() if not line.endswith(".py")}
    assert {"hactl/core/hook/program/take_over.sh", "hactl/core/probe/probe.sh", "hactl/lab/rc/subr.sh"} <= paths
    return paths


def test_the_wheel_has_every_file(built: Path) -> None:
    """Whole and unchanged."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        for name in _data_files():
            assert wheel.read(name) == (ROOT / "controller" / name).read_bytes()


def test_the_source_distribution_has_every_file(built: Path) -> None:
    """The documents that comments cite too."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"controller/{name}" for name in _data_files()} <= names
    assert {"docs/freebsd-facts.md", "docs/safety.md"} <= names
