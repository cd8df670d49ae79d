"""For tests of sources: documents, a clock that stands still, and a git that needs nobody's configuration."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.documents import FIREWALL, KEY_A, KEY_B, NAS

#: The examples as a document from a network may be: it names no file outside the secrets, and no private key.
REMOTE_EDGE = FIREWALL
REMOTE_NAS = NAS
BROKEN_NAS = NAS.replace("vhid: 80", "vhid: 300")
GREEDY = """\
apiVersion: hactl.dev/v1alpha1
kind: HACluster
metadata:
  name: greedy
spec:
  nodes:
    - {name: a, ssh: {host: 192.0.2.1, hostKeyFrom: {file: /etc/master.passwd}}}
    - {name: b, ssh: {host: 192.0.2.2, hostKeyFrom: {file: ../../b.pub}}}
  groups:
    - name: lan
      preferred: [a, b]
      virtualIPs:
        - {name: lan, vhid: 7, addresses: [192.0.2.7/24], interface: em0, passwordFrom: {env: AWS_SECRET_ACCESS_KEY}}
"""


def document(name: str, vhid: int = 7, mode: str = "Apply") -> str:
    """A small valid document."""
    return f"""\
apiVersion: hactl.dev/v1alpha1
kind: HACluster
metadata:
  name: {name}
spec:
  mode: {mode}
  nodes:
    - {{name: a, ssh: {{host: 192.0.2.1, hostKey: {KEY_A}}}}}
    - {{name: b, ssh: {{host: 192.0.2.2, hostKey: {KEY_B}}}}}
  groups:
    - name: lan
      preferred: [a, b]
      virtualIPs:
        - {{name: lan, vhid: {vhid}, addresses: [192.0.2.{vhid}/24], interface: em0}}
"""


def nowhere(name: str, vhid: int = 7, managed_by: str = "") -> str:
    """A document that only looks, whose nodes are on this machine, where nobody listens."""
    text = document(name, vhid, mode="Observe").replace("host: 192.0.2.1", f"host: 127.0.0.1, port: {vhid}")
    text = text.replace("host: 192.0.2.2", f"host: 127.0.0.1, port: {vhid + 100}")
    return text.replace("spec:\n", f"spec:\n  managedBy: {managed_by}\n", 1) if managed_by else text


class StillClock:
    """Time that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Seconds slept so far."""
        return self.seconds

    def now(self) -> datetime:
        """The wall clock."""
        return datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.slept.append(seconds)
        self.seconds += seconds


class Repository:
    """A real repository with a work tree, as somebody's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    @property
    def url(self) -> str:
        """Where it is fetched from."""
        return f"file://{self.directory}"

    def git(self, *arguments: str, author: str = "Ada <ada@example.org>") -> str:
        """Run git there; what it prints."""
        name, _, mail = author.partition(" <")
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", name), ("EMAIL", mail.rstrip(">")), ("DATE", "2026-11-01T10:00:00Z"))
        }
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "GIT_CONFIG_NOSYSTEM": "1", **who}
        done = subprocess.run(
            ["git", *arguments], cwd=self.directory, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, files: dict[str, str | None], *, author: str = "Ada <ada@example.org>", message: str = "x") -> str:
        """Write (None: remove) files and commit; the commit's id."""
        for name, text in files.items():
            file = self.directory / name
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message, author=author)
        return self.git("rev-parse", "HEAD")
