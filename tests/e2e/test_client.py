"""End to end: `hactl` as a client of a running controller, on its machine and from elsewhere, on simulated nodes."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.lab.site import Site, a_site
from support.limits import LIMIT_SECONDS
from support.loopback import free_port


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A blank pair whose document is not handed in yet."""
    with a_site(tmp_path, "nas") as place:
        place.environment["HACTL_CONFIG"] = str(tmp_path / "config.yaml")
        yield place


def ok(done: subprocess.CompletedProcess[str]) -> str:
    """What it printed."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def an_operator(site: Site, port: int) -> tuple[str, Site]:
    """A new operator's token, and the program as that operator runs it from elsewhere, over TLS."""
    token = ok(site.hactl("token", "create", "ops", "--role", "operator")).strip()
    (site.directory / "ops.token").write_text(token + "\n")
    elsewhere = replace(
        site,
        environment={
            **site.environment,
            "HACTL_STATE": str(site.directory / "elsewhere" / "hactl.db"),
            "HACTL_CONFIG": str(site.directory / "operator.yaml"),
        },
    )
    context = ("--server", f"https://127.0.0.1:{port}", "--token-file", str(site.directory / "ops.token"), "--use")
    authority = str(site.directory / "tls" / "ca.crt")
    ok(elsewhere.hactl("config", "set-context", "site", *context, "--certificate-authority", authority))
    return token, elsewhere


def test_a_cluster_lives_through_the_api_alone(site: Site) -> None:
    """Handed in on the machine, moved and paused by an operator over TLS, followed, changed, deleted; nothing leaks."""
    port = free_port()
    controller = site.start("run", "--resync", "2s", "--listen", f"127.0.0.1:{port}")
    try:
        site.until(lambda: site.hactl("get", "--server", f"unix:{site.directory}/api.sock").returncode == 0)
        applied = ok(site.hactl("apply", "-f", str(site.document)))
        assert "nas: generation 1 is in force" in applied
        assert "nas: Ready" in applied
        assert "Traceback" not in applied
        assert ok(site.hactl("get", "--no-headers")).split()[:3] == ["nas", "True", "nas-a"]
        assert "nas: Ready" in ok(site.hactl("apply", "-f", str(site.document)))

        token, elsewhere = an_operator(site, port)
        assert ok(elsewhere.hactl("get", "-o", "name")) == "hacluster.hactl.dev/nas\n"
        refused = elsewhere.hactl("delete", "nas", "--yes")
        assert (refused.returncode, "forbidden" in refused.stderr) == (1, True)
        moved = ok(elsewhere.hactl("switchover", "nas", "--yes", "--reason", "a test"))
        assert "files: Done, at most" in moved
        assert "data: nas-a says secondary, nas-b says primary" in moved
        ok(elsewhere.hactl("wait", "nas", "--for=condition=Ready", "--timeout", f"{LIMIT_SECONDS:.0f}s"))
        assert "drained" in ok(elsewhere.hactl("drain", "nas-b", "--yes"))
        assert json.loads(ok(site.hactl("get", "nas", "-o", "json")))["status"]["active"] == "nas-a"
        ok(elsewhere.hactl("uncordon", "nas-b"))
        ok(elsewhere.hactl("pause", "nas", "--reason", "switch work"))
        site.until(lambda: "Paused" in site.hactl("get").stdout)
        assert "switch work" in elsewhere.hactl("status").stdout
        ok(elsewhere.hactl("resume", "nas"))
        actors = ok(site.hactl("history", "--kind", "RequestAccepted", "-o", "json"))
        assert {"token:ops"} < {row["detail"]["actor"] for row in json.loads(actors)}
        for place in (site.hactl("get", "-o", "yaml"), site.hactl("history", "-o", "json")):
            assert token not in ok(place)
            assert "e2e_free" not in place.stdout

        site.document.write_text(site.document.read_text().replace("advbase: 1", "advbase: 2"))
        assert site.hactl("diff", "-f", str(site.document)).returncode == 2
        assert "generation 2 is in force" in ok(site.hactl("apply", "-f", str(site.document)))
        assert site.hactl("diff", "-f", str(site.document)).returncode == 0
        ok(site.hactl("delete", "nas", "--yes"))
        ok(site.hactl("wait", "nas", "--for=delete"))
        assert "advbase 2" in site.on("nas-a", "ifconfig vtnet1"), "nothing is torn down"
    finally:
        controller.send_signal(signal.SIGTERM)
        output, _ = controller.communicate(timeout=LIMIT_SECONDS)
    assert controller.returncode == 0, output
    assert "Traceback" not in output
    assert "no haclusters found" in site.hactl("get").stderr, "the record tells it without a server too"
