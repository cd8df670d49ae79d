"""A directory with documents, a running lab for them and a record, and the program as a person runs it there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.limits import LIMIT_SECONDS, wait_until
from support.loopback import free_port

EXAMPLE = Path(__file__).resolve().parents[3] / "manifests" / "examples" / "nas.yaml"


@dataclass
class Site:
    """A directory with a document, a lab, and a record."""

    directory: Path
    environment: dict[str, str]

    @property
    def document(self) -> Path:
        """The cluster's file."""
        return self.directory / "clusters" / "nas.yaml"

    def hactl(self, *arguments: str, bound_seconds: float = LIMIT_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        return subprocess.run(
            [sys.executable, "-m", "hactl", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=bound_seconds,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the program."""
        return subprocess.Popen(
            [sys.executable, "-m", "hactl", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def on(self, node: str, command: str) -> str:
        """Do something on a node by hand."""
        return self.hactl("lab", "exec", node, "--", command).stdout

    def steps(self) -> list[dict[str, Any]]:
        """Every step on record."""
        found = json.loads(self.hactl("history", "nas", "--kind", "Step", "-o", "json").stdout or "[]")
        assert isinstance(found, list)
        return found

    def status(self) -> dict[str, Any]:
        """The recorded status."""
        rows = json.loads(self.hactl("status", "nas", "-o", "json").stdout)
        assert isinstance(rows[0], dict)
        return rows[0]

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait, bounded; each look is a whole command."""
        wait_until(happened, every_seconds=0.2)


@contextmanager
def a_site(directory: Path, *names: str) -> Iterator[Site]:
    """A running lab for documents like nas.yaml on free ports, one for each name."""
    clusters = directory / "clusters"
    (clusters / "secrets").mkdir(parents=True)
    secret = clusters / "secrets" / "files.carp"
    secret.write_text("e2e_free\n")
    secret.chmod(0o600)
    for name in names:
        text = EXAMPLE.read_text().replace("2221", str(free_port())).replace("2222", str(free_port()))
        # Machines of their own: with one host key two documents would name the same ones.
        text = text.replace("lab/nas-a.pub", f"lab/{name}-a.pub").replace("lab/nas-b.pub", f"lab/{name}-b.pub")
        (clusters / f"{name}.yaml").write_text(text.replace("name: nas\n", f"name: {name}\n"))
    environment = {
        **os.environ,
        "HACTL_LAB": str(directory / "lab"),
        "HACTL_STATE": str(directory / "hactl.db"),
        "HACTL_IDENTITY": str(clusters / "lab" / "id_ed25519"),
    }
    place = Site(directory, environment)
    up = place.hactl("lab", "up", "-f", str(clusters), "--detach", "--boot-seconds", "2")
    assert up.returncode == 0, up.stderr + up.stdout
    try:
        yield place
    finally:
        place.hactl("lab", "down")
