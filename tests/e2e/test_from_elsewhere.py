"""From another machine: history and why of a controller at work, over TLS, as a viewer; no record is here, no key."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from support.lab.site import Site, a_site
from support.limits import LIMIT_SECONDS
from support.loopback import free_port


@pytest.mark.timeout(3 * LIMIT_SECONDS)
def test_history_and_why_of_a_controller_elsewhere(tmp_path: Path) -> None:
    """The same history as beside the record; an explanation with ages from its last look; what nobody has is told."""
    with a_site(tmp_path, "nas") as site:
        port = free_port()
        running = site.start(
            "run", "--source", str(site.document.parent), "--listen", f"127.0.0.1:{port}", "--resync", "5s"
        )
        try:
            socket = site.directory / "api.sock"
            site.until(socket.exists)
            token = site.hactl("token", "create", "looker", "--role", "viewer").stdout.strip()
            there = _elsewhere(site, port, token)
            site.until(lambda: there.hactl("why", "nas").returncode in (0, 3))
            site.until(
                lambda: there.hactl("wait", "nas", "--for", "condition=Ready", "--timeout", "1s").returncode == 0
            )
            why = there.hactl("why", "nas", "-o", "json")
            assert why.returncode == 0, why.stdout + why.stderr
            (answer,) = json.loads(why.stdout)
            assert (answer["cluster"], answer["healthy"]) == ("nas", True)
            assert answer["headline"]
            why_not = there.hactl("why-not", "nas-b", "active")
            assert why_not.returncode == 0
            assert why_not.stdout.startswith("nas-b is not active")
            steps = json.loads(there.hactl("history", "nas", "--kind", "Step", "--limit", "5000", "-o", "json").stdout)
            assert steps
            assert steps == site.steps()[-len(steps) :]
            mine = there.hactl("why", "mail")
            assert (mine.returncode, "there is no such cluster" in mine.stderr) == (1, True)
        finally:
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=LIMIT_SECONDS)


def _elsewhere(site: Site, port: int, token: str) -> Site:
    """A machine that has neither the record nor the keys: a token and the authority are all it knows."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HACTL_")}
    return Site(
        site.directory,
        {
            **kept,
            "HACTL_STATE": str(site.directory / "elsewhere" / "hactl.db"),
            "HACTL_CONFIG": str(site.directory / "elsewhere" / "config.yaml"),
            "HACTL_SERVER": f"https://127.0.0.1:{port}",
            "HACTL_TOKEN": token,
            "HACTL_CA": str(site.directory / "tls" / "ca.crt"),
        },
    )
