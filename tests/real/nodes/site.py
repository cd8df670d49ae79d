"""hactl beside the nodes: a folder with the document, its secret and the record; the commands as people type them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from .node import Broken, Nodes, Ran

#: Given to hactl for one command; a first synchronisation of a small disk fits into it.
APPLY_SECONDS = 600.0
_STEPS = re.compile(r": (?P<word>.*), (?P<steps>\d+) steps? done in ")
_EXPECTED = re.compile(r"about ([0-9.]+) s")
_END_SECONDS = 30.0
#: No password of anybody: a string of the exams.
_PASSWORD = "exam.pass.1"


@dataclass(frozen=True)
class Applied:
    """What `hactl apply` came to."""

    ready: bool
    steps: int
    seconds: float
    text: str


class Site:
    """One cluster on two nodes, and its record."""

    def __init__(self, nodes: Nodes, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """The folder is made if it is not there. `environment`: what hactl gets besides this process's own."""
        self.nodes, self.folder = nodes, folder
        self.environment = dict(environment or {})
        self.documents = folder / "documents"
        (self.documents / "secrets").mkdir(parents=True, exist_ok=True)
        secret = self.documents / "secrets" / "files.carp"
        secret.write_text(_PASSWORD + "\n")
        secret.chmod(0o600)
        self.file = self.documents / "cluster.yaml"
        self.name = ""

    def write(self, document: dict[str, Any]) -> None:
        """The document in force from the next apply on."""
        self.name = document["metadata"]["name"]
        with self.file.open("w") as out:
            YAML(typ="safe").dump(document, out)

    def _start(self, words: tuple[str, ...], out: Any) -> subprocess.Popen[str]:
        hactl = Path(sys.executable).with_name("hactl")
        environment = {**os.environ, "HACTL_STATE": str(self.folder / "state.db"), "NO_COLOR": "1"} | self.environment
        return subprocess.Popen(
            [str(hactl), *words], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, text=True,
            env=environment,
        )  # fmt: skip

    def hactl(self, *words: str, seconds: float = APPLY_SECONDS) -> Ran:
        """One command; what it prints on both channels."""
        began = time.monotonic()
        child = self._start(words, subprocess.PIPE)
        try:
            out, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate()
        with (self.folder / "hactl.log").open("a") as log:
            log.write(f"$ hactl {' '.join(words)}\n{out}exit {child.returncode}, {time.monotonic() - began:.1f} s\n")
        return Ran(child.returncode, out, "", time.monotonic() - began)

    def apply(self, seconds: float = APPLY_SECONDS) -> Applied:
        """Converge, here and now."""
        ran = self.hactl("apply", "-f", str(self.file), "--timeout", f"{seconds:.0f}s", seconds=seconds + _END_SECONDS)
        found = _STEPS.search(ran.out)
        return Applied(ran.exit == 0, int(found["steps"]) if found else 0, ran.seconds, ran.out)

    def status(self) -> dict[str, Any]:
        """What the last look saw."""
        ran = self.hactl("status", self.name, "-o", "json")
        try:
            found: dict[str, Any] = json.loads(ran.out)[0]
        except (ValueError, IndexError):
            raise Broken(f"hactl status: {ran.out.strip()}") from None
        return found

    def active(self) -> str:
        """Who serves, by the last look; empty: nobody."""
        name = str(self.status()["active"] or "")
        return name if any(node.name == name for node in self.nodes.both) else ""

    def predicted_failover(self) -> float | None:
        """Seconds without service, as the condition FailoverReady says."""
        conditions = {each["type"]: each for each in self.status()["conditions"]}
        return seconds_said(conditions["FailoverReady"]["message"])

    def steps(self, since: int = 0) -> list[dict[str, Any]]:
        """Every step on record after an id."""
        out = self.hactl("history", self.name, "--kind", "Step", "--limit", "1000", "-o", "json").out
        return [row for row in json.loads(out) if row["id"] > since] if out.startswith("[") else []

    def rows(self, count: int) -> list[dict[str, Any]]:
        """The last rows on record, of every kind."""
        out = self.hactl("history", self.name, "--limit", str(count), "-o", "json").out
        found: list[dict[str, Any]] = json.loads(out) if out.startswith("[") else []
        return found

    def history(self) -> str:
        """Everything on record, as people read it."""
        return self.hactl("history", self.name, "--limit", "1000", "-o", "wide").out

    @contextlib.contextmanager
    def controller(self, *, wanted: bool = True) -> Iterator[None]:
        """`hactl run` beside it, if it is wanted."""
        if not wanted:
            yield
            return
        with (self.folder / "controller.log").open("a") as log:
            child = self._start(("run", "--source", str(self.documents), "--no-api"), log)
            try:
                yield
            finally:
                child.terminate()
                try:
                    child.wait(timeout=_END_SECONDS)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()


def seconds_said(text: str) -> float | None:
    """The first `about N s` of a sentence."""
    found = _EXPECTED.search(text)
    return float(found.group(1)) if found else None
