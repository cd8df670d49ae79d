"""kubectl with simulated nodes behind the server: a cluster is handed in, becomes Ready, moves, and is paused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.api.kubectl_site import WAIT, Kubectl, a_server
from support.lab.site import Site, a_site
from support.limits import wait_until

OPERATION = """
apiVersion: hactl.dev/v1alpha1
kind: HAOperation
metadata: {{generateName: {prefix}-}}
spec: {{cluster: nas, reason: a test, {spec}}}
"""


@dataclass
class Place:
    """A lab and kubectl."""

    site: Site
    kubectl: Kubectl
    operator: Kubectl


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A blank pair, a controller that knows nothing yet, and kubectl of an editor and of an operator."""
    with a_site(tmp_path / "lab", "nas") as site:
        options = ("--resync", "2s", "--secrets", str(site.document.parent))
        with a_server(
            tmp_path, *options, environment={k: site.environment[k] for k in ("HACTL_LAB", "HACTL_IDENTITY")}
        ) as server:
            yield Place(site, server.kubectl("editor"), server.kubectl("operator"))


def ask(kubectl: Kubectl, prefix: str, spec: str) -> str:
    """Make an operation; its name."""
    return kubectl.ok("create", "-f", "-", "-o", "name", stdin=OPERATION.format(prefix=prefix, spec=spec)).strip()


def test_a_cluster_lives_through_kubectl(place: Place) -> None:
    """Applied until Ready, moved by an operator, paused and resumed, changed, and deleted without tearing down."""
    kubectl, operator = place.kubectl, place.operator
    kubectl.ok("apply", "-f", str(place.site.document))
    kubectl.ok("wait", "hac/nas", "--for=condition=Ready", WAIT)
    row = kubectl.ok("get", "hac", "nas", "--no-headers").split()
    assert row[:4] == ["nas", "True", "nas-a", "True"]
    assert "Forbidden" in operator.refused("delete", "hac", "nas")

    move = ask(operator, "move", "type: Switchover, group: files, node: nas-b")
    assert "Conflict" in operator.refused(
        "create", "-f", "-", stdin=OPERATION.format(prefix="again", spec="type: Switchover, group: files, node: nas-b")
    )
    operator.ok("wait", move, "--for=condition=Complete", WAIT)
    assert kubectl.ok("get", "hac", "nas", "-o", "jsonpath={.status.active}") == "nas-b"
    assert "GroupMoved" in kubectl.ok("events", "--for", "hac/nas")
    assert "primary" in place.site.on("nas-b", "hastctl status")

    pause = ask(operator, "quiet", "type: Pause")
    wait_until(
        lambda: "Paused" in kubectl.ok("get", "hac", "nas", "-o", "jsonpath={.status.holds[*].reason}"), "a hold"
    )
    operator.ok("delete", pause)
    kubectl.ok("wait", "hac/nas", "--for=condition=Ready", WAIT)

    kubectl.ok(
        "patch", "hac", "nas", "--type=json",
        "-p", '[{"op":"replace","path":"/spec/groups/0/virtualIPs/0/advbase","value":2}]',
    )  # fmt: skip
    kubectl.ok("wait", "hac/nas", "--for=jsonpath={.status.observedGeneration}=2", WAIT)
    kubectl.ok("wait", "hac/nas", "--for=condition=Ready", WAIT)
    assert "advbase 2" in place.site.on("nas-b", "ifconfig vtnet1")

    kubectl.ok("delete", "hac", "nas")
    assert "MASTER" in place.site.on("nas-b", "ifconfig vtnet1")
