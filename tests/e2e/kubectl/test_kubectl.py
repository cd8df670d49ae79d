"""Stock kubectl against `hactl run`, over TLS and with a token: everything people do with a built-in kind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from support.api.kubectl_site import EXAMPLE, WAIT, Kubectl, Server, a_server
from support.limits import LIMIT_SECONDS, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests here; each has a cluster of its own. No node answers: that is not what is tested."""
    with a_server(tmp_path_factory.mktemp("kubectl")) as running:
        yield running


@pytest.fixture(scope="module")
def kubectl(server: Server) -> Kubectl:
    """kubectl of an admin."""
    return server.kubectl()


@pytest.fixture
def cluster(kubectl: Kubectl, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file with a document; what came of it is deleted in the end. Its stem is the name."""
    name = request.node.name.removeprefix("test_").split("[")[0].replace("_", "-")[:40].strip("-")
    path = tmp_path / f"{name}.yaml"
    path.write_text(EXAMPLE.read_text().replace("name: nas\n", f"name: {name}\n").replace("port: 222", "port: 9"))
    yield path
    kubectl("delete", "hac", name, "--ignore-not-found", "--wait=false")


def change(path: Path, old: str, new: str) -> Path:
    """Another file, that says something else."""
    text = path.read_text()
    assert old in text
    other = path.with_name(f"changed-{path.name}")
    other.write_text(text.replace(old, new))
    return other


def test_reading_in_every_form(kubectl: Kubectl, cluster: Path) -> None:
    """get, -o wide, name, json, yaml, jsonpath and custom-columns, by name, short name, kind and category."""
    name = cluster.stem
    assert kubectl.ok("create", "-f", str(cluster)) == f"hacluster.hactl.dev/{name} created\n"
    table = kubectl.ok("get", "hac", name).splitlines()
    assert table[0].split() == ["NAME", "READY", "ACTIVE", "FAILOVER", "SYNC", "AGE"]
    assert table[1].startswith(name)
    assert "NODES" in kubectl.ok("get", "hacluster", name, "-o", "wide")
    assert kubectl.ok("get", "haclusters.hactl.dev", name, "-o", "name") == f"hacluster.hactl.dev/{name}\n"
    assert json.loads(kubectl.ok("get", "hac", name, "-o", "json"))["spec"]["mode"] == "Apply"
    assert "kind: HACluster" in kubectl.ok("get", "hac", name, "-o", "yaml")
    assert kubectl.ok("get", "hac", name, "-o", "jsonpath={.spec.nodes[*].name}") == "nas-a nas-b"
    assert kubectl.ok("get", "hac", name, "--no-headers", "-o", "custom-columns=N:.metadata.name").strip() == name
    assert name in kubectl.ok("get", "all")
    assert name in kubectl.ok("get", "hac", "-A", "-l", "site=example", "--chunk-size=1")
    assert "No resources found" in kubectl("get", "hac", "-n", "elsewhere").stderr
    assert "NotFound" in kubectl.refused("get", "hac", "nobody")


def test_describe_and_explain(kubectl: Kubectl, cluster: Path) -> None:
    """describe shows the object and its events; explain knows every field."""
    kubectl.ok("create", "-f", str(cluster))
    wait_until(lambda: "ConditionChanged" in kubectl.ok("events", "--for", f"hac/{cluster.stem}"), "a look")
    told = kubectl.ok("describe", "hac", cluster.stem)
    for text in ("Kind:", "Virtual I Ps:", "Events:", "DocumentAccepted", "RequestAccepted"):
        assert text in told
    explained = kubectl.ok("explain", "hac.spec.groups.virtualIPs.vhid")
    assert "CARP virtual host id" in explained
    assert "failback" in kubectl.ok("explain", "hac", "--recursive")
    assert "DocumentAccepted" in kubectl.ok("get", "events", "--field-selector", f"involvedObject.name={cluster.stem}")


def test_client_side_apply(kubectl: Kubectl, cluster: Path) -> None:
    """created, unchanged, configured; diff shows the difference and 0/1; a dropped field goes."""
    name = cluster.stem
    assert kubectl.ok("apply", "-f", str(cluster)).strip().endswith("created")
    assert kubectl.ok("apply", "-f", str(cluster)).strip().endswith("unchanged")
    assert kubectl("diff", "-f", str(cluster)).returncode == 0
    other = change(cluster, "advbase: 1", "advbase: 2")
    found = kubectl("diff", "-f", str(other))
    assert found.returncode == 1
    assert "+      advbase: 2" in found.stdout
    assert kubectl.ok("apply", "-f", str(other)).strip().endswith("configured")
    kubectl.ok("apply", "-f", str(change(cluster, "          advbase: 1\n", "")))
    assert kubectl.json("get", "hac", name)["spec"]["groups"][0]["virtualIPs"][0]["advbase"] == 1, "its default"
    assert kubectl.json("get", "hac", name)["metadata"]["generation"] == 3


def test_server_side_apply(kubectl: Kubectl, cluster: Path) -> None:
    """Fields have owners: another's field is a conflict, can be forced, and what is dropped goes."""
    name = cluster.stem
    assert "serverside-applied" in kubectl.ok("apply", "--server-side", "-f", str(cluster))
    other = change(cluster, "failback: Never", "failback: WhenReady")
    refused = kubectl.refused("apply", "--server-side", "--field-manager", "other", "-f", str(other))
    assert 'conflict with "kubectl": .spec.groups[name="files"].failback' in refused
    assert "--force-conflicts" in refused
    kubectl.ok("apply", "--server-side", "--field-manager", "other", "--force-conflicts", "-f", str(other))
    found = kubectl.json("get", "hac", name, "--show-managed-fields")
    assert found["spec"]["groups"][0]["failback"] == "WhenReady"
    assert {entry["manager"] for entry in found["metadata"]["managedFields"]} >= {"kubectl", "other"}
    without = change(cluster, "          advbase: 1\n", "")
    kubectl.ok("apply", "--server-side", "--force-conflicts", "-f", str(without))
    # The other one still wants it.
    assert kubectl.json("get", "hac", name)["spec"]["groups"][0]["virtualIPs"][0]["advbase"] == 1


def test_dry_run(kubectl: Kubectl, cluster: Path) -> None:
    """--dry-run=server answers as the server would and keeps nothing."""
    assert "created (server dry run)" in kubectl.ok("apply", "--dry-run=server", "-f", str(cluster))
    assert "NotFound" in kubectl.refused("get", "hac", cluster.stem)


def test_edit(kubectl: Kubectl, cluster: Path, tmp_path: Path) -> None:
    """A scripted editor changes a field; one that breaks the document is told why and nothing changes."""
    kubectl.ok("apply", "-f", str(cluster))
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i.bak 's/mode: Apply/mode: Observe/' \"$1\"\n")
    editor.chmod(0o755)
    kubectl.ok("edit", "hac", cluster.stem, env={"KUBE_EDITOR": str(editor)})
    assert kubectl.json("get", "hac", cluster.stem)["spec"]["mode"] == "Observe"
    # It breaks the document; asked again, with what is wrong as a comment, it leaves it alone.
    seen = tmp_path / "seen"
    editor.write_text(f'#!/bin/sh\ncp "$1" {seen}\nsed -i.bak \'s/vhid: 80$/vhid: 800/\' "$1"\n')
    refused = kubectl("edit", "hac", cluster.stem, env={"KUBE_EDITOR": str(editor), "TMPDIR": str(tmp_path)})
    assert refused.returncode != 0
    assert "800 is too large" in seen.read_text()
    assert kubectl.json("get", "hac", cluster.stem)["metadata"]["generation"] == 2


def test_patch_label_annotate(kubectl: Kubectl, cluster: Path) -> None:
    """Merge and JSON patches; labels and annotations come and go; strategic merge is refused as for any CRD."""
    name = cluster.stem
    kubectl.ok("create", "-f", str(cluster))
    kubectl.ok("patch", "hac", name, "--type=merge", "-p", '{"spec":{"mode":"Propose"}}')
    kubectl.ok("patch", "hac", name, "--type=json", "-p", '[{"op":"replace","path":"/spec/mode","value":"Observe"}]')
    assert "strategic-merge-patch" in kubectl.refused("patch", "hac", name, "-p", '{"spec":{"mode":"Apply"}}')
    assert "labeled" in kubectl.ok("label", "hac", name, "tier=gold")
    assert "already has a value" in kubectl.refused("label", "hac", name, "tier=iron")
    kubectl.ok("label", "hac", name, "tier-")
    kubectl.ok("annotate", "hac", name, "note=hello")
    found = kubectl.json("get", "hac", name)
    assert (found["spec"]["mode"], found["metadata"]["labels"]) == ("Observe", {"site": "example"})
    assert found["metadata"]["annotations"] == {"note": "hello"}


def test_replace(kubectl: Kubectl, cluster: Path, tmp_path: Path) -> None:
    """replace of what was read works once; the second time it is a conflict."""
    kubectl.ok("create", "-f", str(cluster))
    found = kubectl.json("get", "hac", cluster.stem)
    found["spec"]["mode"] = "Observe"
    kubectl.ok("replace", "-f", "-", stdin=json.dumps(found))
    refused = kubectl.refused("replace", "-f", "-", stdin=json.dumps(found))
    assert "Conflict" in refused
    assert "the object has been modified" in refused


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("vhid: 80", "vhid: 800", "spec.groups[0].virtualIPs[0].vhid: 800 is too large; it takes 1 to 255"),
        ("preferred: [nas-a, nas-b]", "preferred: [nas-a, nas-c]", "spec.groups[0].preferred"),
        ("file: secrets/files.carp", "file: /etc/passwd", "below the directory of --secrets"),
    ],
)
def test_what_is_invalid(kubectl: Kubectl, cluster: Path, old: str, new: str, told: str) -> None:
    """Faults are printed as for a built-in kind, with the field paths of `hactl validate`."""
    refused = kubectl.refused("apply", "--validate=false", "-f", str(change(cluster, old, new)))
    assert f'The HACluster "{cluster.stem}" is invalid' in refused
    assert told in refused


def test_what_kubectl_itself_refuses(kubectl: Kubectl, cluster: Path) -> None:
    """An unknown field is found before anything is sent, or by the server: either way it is named."""
    refused = kubectl.refused("apply", "-f", str(change(cluster, "failback: Never", "failbak: Never")))
    assert "failbak" in refused


def test_deleting_and_waiting(kubectl: Kubectl, cluster: Path) -> None:
    """delete waits until it is gone; wait follows a condition, a field and a deletion, finalizers included."""
    name = cluster.stem
    kubectl.ok("create", "-f", str(cluster))
    kubectl.ok("wait", f"hac/{name}", "--for=condition=Ready=Unknown", WAIT)
    kubectl.ok("wait", f"hac/{name}", "--for=jsonpath={.spec.mode}=Apply", WAIT)
    kubectl.ok("patch", "hac", name, "--type=merge", "-p", '{"metadata":{"finalizers":["example.org/hold"]}}')
    kubectl.ok("delete", "hac", name, "--wait=false")
    assert kubectl.json("get", "hac", name)["metadata"]["deletionTimestamp"]
    waiting = kubectl.start("wait", f"hac/{name}", "--for=delete", WAIT)
    kubectl.ok("patch", "hac", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    output, _ = waiting.communicate(timeout=LIMIT_SECONDS)
    assert waiting.returncode == 0, output
    kubectl.ok("create", "-f", str(cluster))
    assert "deleted" in kubectl.ok("delete", "-f", str(cluster), "--cascade=foreground")
    assert "NotFound" in kubectl.refused("get", "hac", name)
    timed = kubectl("wait", "hac/nobody", "--for=condition=Ready", "--timeout=2s")
    assert timed.returncode != 0


def test_get_watch(kubectl: Kubectl, cluster: Path) -> None:
    """get -w shows what is there and every change, as rows and as objects."""
    name = cluster.stem
    kubectl.ok("create", "-f", str(cluster))
    kubectl.ok("wait", f"hac/{name}", "--for=condition=Ready=Unknown", WAIT)
    watching = kubectl.start("get", "hac", name, "-w", "--output-watch-events", "--no-headers")
    assert watching.stdout is not None
    lines = [watching.stdout.readline()]
    kubectl.ok("label", "hac", name, "a=b")
    while "MODIFIED" not in lines[-1]:
        lines.append(watching.stdout.readline())
    kubectl.ok("delete", "hac", name)
    while "DELETED" not in lines[-1]:
        lines.append(watching.stdout.readline())
    watching.kill()
    watching.communicate()
    assert lines[0].split()[:2] == ["ADDED", name]


def test_who_may(server: Server, kubectl: Kubectl, cluster: Path) -> None:
    """auth can-i tells what the roles may; what they may not is Forbidden; a wrong token is Unauthorized."""
    kubectl.ok("create", "-f", str(cluster))
    viewer = server.kubectl("viewer")
    for who, verb, what, may in (
        (kubectl, "create", "hac", True), (viewer, "create", "hac", False), (viewer, "watch", "hac", True),
        (viewer, "create", "haop", False), (kubectl, "delete", "events", False),
    ):  # fmt: skip
        done = who("auth", "can-i", verb, what)
        assert (done.returncode == 0, done.stdout.split()[0]) == (may, "yes" if may else "no"), done.stderr
    assert "Forbidden" in viewer.refused("delete", "hac", cluster.stem)
    assert "forbidden" in viewer.refused("apply", "-f", str(change(cluster, "mode: Apply", "mode: Observe")))
    viewer.ok("get", "hac")
    wrong = viewer.config.with_name("wrong")
    wrong.write_text(viewer.config.read_text().replace("hactl_", "hactl_x"))
    refused = Kubectl(viewer.directory, viewer.environment, wrong, viewer.program).refused("get", "hac")
    assert "Unauthorized" in refused or "You must be logged in" in refused


def test_what_there_is(kubectl: Kubectl) -> None:
    """api-resources, api-versions, version and namespaces."""
    names = kubectl.ok("api-resources", "-o", "name").split()
    assert {"haclusters.hactl.dev", "haoperations.hactl.dev", "events", "leases.coordination.k8s.io"} <= set(names)
    assert "hactl.dev/v1alpha1" in kubectl.ok("api-versions")
    assert "+hactl." in kubectl.ok("version")
    assert "Active" in kubectl.ok("get", "ns", "default")


OPERATION = """
apiVersion: hactl.dev/v1alpha1
kind: HAOperation
metadata: {{generateName: quiet-}}
spec: {{type: Pause, cluster: {cluster}, reason: a test}}
"""


def test_operations(kubectl: Kubectl, cluster: Path) -> None:
    """A pause is made with generateName, seen, watched to its end, and cancelled by deleting it."""
    kubectl.ok("create", "-f", str(cluster))
    text = OPERATION.format(cluster=cluster.stem)
    name = kubectl.ok("create", "-f", "-", "-o", "name", stdin=text).strip()
    assert name.startswith("haoperation.hactl.dev/quiet-")
    assert "Pause" in kubectl.ok("get", "haop")
    assert kubectl.json("get", name)["status"]["state"] == "Open"
    assert "Pause" in kubectl.ok("describe", name)
    kubectl.ok("delete", name)
    assert "NotFound" in kubectl.refused("get", name)
    refused = kubectl.refused("create", "-f", "-", stdin=text.replace("Pause", "Switchover"))
    assert "spec.group" in refused
    refused = kubectl.refused("create", "-f", "-", stdin=text.replace(cluster.stem, "nobody"))
    assert 'there is no cluster "nobody"' in refused
    assert "not found" in kubectl.refused("create", "-n", "other", "-f", "-", stdin=text)


def test_who_did_it_is_on_record(server: Server, kubectl: Kubectl, cluster: Path) -> None:
    """Every write is in the history with the token's name and the address it came from."""
    kubectl.ok("create", "-f", str(cluster))
    rows = json.loads(server.hactl("history", cluster.stem, "-o", "json"))
    [row] = [row for row in rows if row["kind"] == "RequestAccepted"]
    assert row["detail"] == {
        "actor": "token:kubectl-admin", "origin": "127.0.0.1", "verb": "create", "resource": "haclusters",
        "name": cluster.stem,
    }  # fmt: skip


def test_without_a_certificate_it_trusts_nobody_is_reached(kubectl: Kubectl) -> None:
    """The server's authority is pinned: kubectl without it does not talk to the server."""
    config = YAML(typ="safe").load(kubectl.config)
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    other = kubectl.config.with_name("untrusting")
    other.write_text(json.dumps(config))
    done: subprocess.CompletedProcess[str] = Kubectl(kubectl.directory, kubectl.environment, other, kubectl.program)(
        "get", "hac"
    )
    assert done.returncode != 0
    assert "certificate" in done.stderr
