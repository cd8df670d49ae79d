"""Two controllers on one API: one serves it, the other one looks after the clusters that name it, and tells."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.api.kubectl_site import WAIT, Kubectl, Server, a_server
from support.lab.site import a_site
from support.limits import LIMIT_SECONDS, wait_until
from support.sources import nowhere

SECOND = "second"


@contextmanager
def the_second(server: Server, kubectl: Kubectl, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`hactl run` with a name and a record of its own, whose source is the API of the first one."""
    state = server.directory / "second" / "hactl.db"
    state.parent.mkdir(mode=0o700, exist_ok=True)
    log_file = server.directory / "second.log"
    command = [
        sys.executable, "-m", "hactl", "run", "--managed-by", SECOND, "--source", f"k8s:{kubectl.config}",
        "--resync", "1s", "--no-api", *options,
    ]  # fmt: skip
    with log_file.open("a") as log:
        process = subprocess.Popen(
            command, env={**server.environment, "HACTL_STATE": str(state)}, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(LIMIT_SECONDS)
    assert "Traceback" not in log_file.read_text(), log_file.read_text()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Server]:
    """The first one, which serves."""
    with a_server(tmp_path, "--resync", "1s") as server:
        yield server


def status_of(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """The status of a cluster."""
    found: dict[str, Any] = kubectl.json("get", "hac", name).get("status") or {}
    return found


def holder(kubectl: Kubectl) -> str:
    """Who leads for the second name; "": nobody."""
    leases = kubectl.json("get", "leases")["items"]
    found = [each["spec"].get("holderIdentity", "") for each in leases if each["metadata"]["name"] == f"hactl-{SECOND}"]
    return str(found[0]) if found else ""


def messages(kubectl: Kubectl, name: str) -> list[str]:
    """What the events of a cluster say."""
    events = kubectl.json("get", "events")["items"]
    return [each["message"] for each in events if each["involvedObject"]["name"] == name]


def soon(condition: Callable[[], object], what: str) -> None:
    """Wait for it."""
    wait_until(lambda: bool(condition()), what)


def test_each_looks_after_its_own_and_tells_the_other(site: Server) -> None:
    """Status, events and lease of the second come to the API of the first one; a cluster goes from one to the other."""
    admin, editor = site.kubectl(), site.kubectl("editor")
    editor.ok("apply", "-f", "-", stdin=nowhere("mine", 7))
    editor.ok("apply", "-f", "-", stdin=nowhere("theirs", 8, SECOND))
    soon(lambda: status_of(admin, "mine").get("conditions"), "the first looks after its own")
    assert status_of(admin, "theirs") == {}, "nobody looks after it yet"
    refused = admin.refused("create", "-f", "-", stdin=json.dumps({
        "apiVersion": "hactl.dev/v1alpha1", "kind": "HAOperation", "metadata": {"name": "quiet"},
        "spec": {"type": "Pause", "cluster": "theirs", "reason": "a test"},
    }))  # fmt: skip
    assert "the controller second looks after theirs" in refused
    with the_second(site, editor):
        soon(lambda: status_of(admin, "theirs").get("conditions"), "the second looks after what names it")
        told = status_of(admin, "theirs")
        assert told["observedGeneration"] == 1
        assert "does not answer" in json.dumps(told)
        soon(lambda: any("does not answer" in each for each in messages(admin, "theirs")), "its events")
        assert holder(admin)
        told_at = told["observedAt"]
        found = admin.json("get", "hac", "theirs", "--show-managed-fields")["metadata"]["managedFields"]
        managers = {entry["manager"] for entry in found if entry.get("subresource") == "status"}
        assert managers == {"hactl"}
        # A newer document, by who may write it, is taken up there.
        editor.ok("patch", "hac", "theirs", "--type=merge", "-p", '{"spec":{"failover":{"settleSeconds":2}}}')
        admin.ok("wait", "hac/theirs", "--for=jsonpath={.status.observedGeneration}=2", WAIT)
        assert status_of(admin, "theirs")["observedAt"] >= told_at
        # The one that was the first's goes to the second, and back.
        editor.ok("patch", "hac", "mine", "--type=merge", "-p", json.dumps({"spec": {"managedBy": SECOND}}))
        admin.ok("wait", "hac/mine", "--for=jsonpath={.status.observedGeneration}=2", WAIT)
        editor.ok("patch", "hac", "mine", "--type=merge", "-p", '{"spec":{"managedBy":null}}')
        admin.ok("wait", "hac/mine", "--for=jsonpath={.status.observedGeneration}=3", WAIT)
        told = admin.refused("patch", "hac", "mine", "--subresource=status", "--type=merge", "-p", '{"status":{}}')
        assert "written by the controller here" in told
        viewer = site.kubectl("viewer").refused(
            "patch", "hac", "theirs", "--subresource=status", "--type=merge", "-p", '{"status":{}}'
        )
        assert "it takes the role editor" in viewer
    assert holder(admin) == "", "who stops gives the lease back"
    assert status_of(admin, "theirs")["observedGeneration"] == 2
    log = (site.directory / "second.log").read_text()
    assert "cannot report" not in log, log


def test_a_pair_goes_from_one_controller_to_the_other_and_back(tmp_path: Path) -> None:
    """Each acts while the document names it, and never both: the nodes take steps under the newer lease only."""
    with a_site(tmp_path / "lab", "nas") as lab:
        secrets = ("--secrets", str(lab.document.parent))
        environment = {key: lab.environment[key] for key in ("HACTL_LAB", "HACTL_IDENTITY")}
        with a_server(tmp_path, "--resync", "2s", *secrets, environment=environment) as server:
            kubectl = server.kubectl("editor")
            kubectl.ok("apply", "-f", str(lab.document))
            kubectl.ok("wait", "hac/nas", "--for=condition=Ready", WAIT)
            with the_second(server, kubectl, *secrets):
                for generation, name in ((2, SECOND), (3, None)):
                    change = json.dumps({"spec": {"managedBy": name}})
                    kubectl.ok("patch", "hac", "nas", "--type=merge", "-p", change)
                    kubectl.ok("wait", "hac/nas", f"--for=jsonpath={{.status.observedGeneration}}={generation}", WAIT)
                    kubectl.ok("wait", "hac/nas", "--for=condition=Ready", WAIT)
                    assert "True" in server.hactl("status", "nas"), "whole, and believed, whoever told it"
                    assert f"generation {generation}" in server.hactl("status", "nas")
                    before = len(steps(server))
                    lab.on("nas-b", "ifconfig vtnet1 vhid 80 advskew 77")
                    soon(lambda: "advskew 77" not in lab.on("nas-b", "ifconfig vtnet1"), "what somebody changed")
                    kubectl.ok("wait", "hac/nas", "--for=condition=Ready", WAIT)
                    assert (len(steps(server)) > before) is (name is None), "who did it"
        assert "MASTER" in lab.on("nas-a", "ifconfig vtnet1")


def steps(server: Server) -> list[dict[str, Any]]:
    """The steps on the record of the first one."""
    found: list[dict[str, Any]] = json.loads(server.hactl("history", "nas", "--kind", "Step", "-o", "json"))
    return found
