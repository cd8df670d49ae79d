"""What each verb and flag of kubectl does with this API: docs/kubectl.md, made by running every line of it.

HACTL_UPDATE=1 writes what came out. The commands run in their order on one server, as somebody who may everything
where no other role is said; no node answers.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from support.api.kubectl_site import EXAMPLE, Kubectl, a_server

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kubectl.md"

LEASE = """\
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: lead, finalizers: [example.org/a]}
spec: {holderIdentity: me, leaseDurationSeconds: 15}
"""
OPERATION = """\
apiVersion: hactl.dev/v1alpha1
kind: HAOperation
metadata: {name: quiet, labels: {ticket: "7"}}
spec: {type: Pause, cluster: nas, reason: a test}
"""
ROLES = ("admin", "viewer")


class Line(NamedTuple):
    """One line of the table."""

    #: As typed, in a directory with the files it names.
    command: str
    #: What it does.
    does: str
    role: str = "admin"


SECTIONS: dict[str, list[Line]] = {
    "What there is, and who may": [
        Line("version", "client and server"),
        Line("api-resources -o name", "every kind"),
        Line("api-versions", "every group"),
        Line("explain hac.spec.groups.virtualIPs", "every field of a document"),
        Line("auth whoami", "the name and groups of the credential"),
        Line("auth can-i delete hac", "what the role may"),
        Line("auth can-i delete hac", "exit status 1 where it may not", "viewer"),
        Line("auth can-i --list", "everything the role may"),
        Line("auth can-i get /tokens", "for paths that are no resource too", "viewer"),
        Line("auth can-i get hac --as=somebody", "nobody can act as somebody else"),
        Line("get hac --as=somebody", "the same for every request"),
        Line("get ns", "there is one namespace, default"),
    ],
    "Making and changing": [
        Line("diff -f nas.yaml", "exit status 1: it is not there yet"),
        Line("apply -f nas.yaml --dry-run=server", "checked as if, nothing is kept"),
        Line("create -f nas.yaml", "makes it"),
        Line("create -f nas.yaml", "is there already"),
        Line("apply -f nas.yaml", "takes over what create made"),
        Line("apply -f nas.yaml", "nothing differs, nothing is written"),
        Line("apply --server-side --force-conflicts -f nas.yaml", "fields have owners"),
        Line("apply -f wrong.yaml", "every fault with its field"),
        Line("apply -f elsewhere.yaml -n web", "one namespace only"),
        Line("replace -f nas.yaml", "the whole object"),
        Line("label hac nas site=here --overwrite", "labels are no new generation"),
        Line("annotate hac nas note=hello", "annotations neither"),
        Line("""patch hac nas --type=merge -p '{"spec":{"mode":"Observe"}}'""", "merge patch"),
        Line("""patch hac nas --type=json -p '[{"op":"replace","path":"/spec/mode","value":"Apply"}]'""", "JSON patch"),
        Line("""patch hac nas -p '{"spec":{"mode":"Apply"}}'""", "strategic: not for custom resources"),
        Line("""patch hac nas --subresource=status --type=merge -p '{"status":{}}'""", "the status is hactl's own"),
        Line("set image hac/nas a=b", "for pods"),
        Line("scale hac nas --replicas=2", "nothing to scale"),
        Line("delete hac nas", "not with that role", "viewer"),
    ],
    "Looking": [
        Line("get hac", "the table"),
        Line("get hac nas -o wide", "more columns"),
        Line("get hac nas -o yaml", "or json, name"),
        Line("get hac nas -o jsonpath={.spec.nodes[*].name}", "or go-template, custom-columns"),
        Line("get hac -A -l site=here --sort-by=.metadata.name --chunk-size=1", "selectors, pages"),
        Line("get hac --field-selector metadata.name=nas", "by name and namespace"),
        Line("get hac --field-selector spec.mode=Apply", "not by other fields"),
        Line("get hac nas --subresource=status", "the status alone"),
        Line("get --raw /readyz", "any path"),
        Line("describe hac nas", "with its events"),
        Line("events --for hac/nas", "what happened to it"),
        Line("wait hac/nas --for=jsonpath={.spec.mode}=Apply --timeout=20s", "or condition=Ready, delete"),
        Line("get pods", "no such kind"),
        Line("logs nas", "for pods"),
        Line("top node", "no metrics API; hactl has /metrics"),
    ],
    "Operations": [
        Line("create -f quiet.yaml", "asks for it"),
        Line("apply -f quiet.yaml", "again"),
        Line("apply --server-side --force-conflicts -f quiet.yaml", "server-side too"),
        Line("label haop quiet ticket=8 --overwrite", "labels are kept"),
        Line("""patch haop quiet --type=merge -p '{"spec":{"reason":"other"}}'""", "its spec never changes"),
        Line("get haop", "the table"),
        Line("delete haop quiet", "cancels it"),
    ],
    "Leases": [
        Line("apply -f lead.yaml", "made"),
        Line("apply -f lead2.yaml", "kubectl sends a strategic merge patch"),
        Line("""patch lease lead -p '{"metadata":{"finalizers":["example.org/b"]}}'""", "lists are merged"),
        Line("get lease lead -o jsonpath={.spec.holderIdentity}{.metadata.finalizers}", "and this came of it"),
        Line("""patch lease lead --type=merge -p '{"metadata":{"finalizers":null}}'""", "all finalizers go"),
        Line("delete lease --all", "deletes each"),
    ],
    "Deleting": [
        Line("delete events --all", "the history stays"),
        Line("delete hac nas --dry-run=server", "checked as if"),
        Line("delete hac -l site=here", "no longer managed; nothing is torn down on the nodes"),
        Line("delete hac nas", "is gone"),
        Line("delete ns default", "stays"),
    ],
}

HEAD = """\
# kubectl, verb by verb

What kubectl {version} does with `hactl run`, line by line in this order: made by `tests/e2e/test_every_verb.py`,
which runs every line and fails when something else comes out (`HACTL_UPDATE=1` writes this page). No node answers
there. "Says" is the first line that kubectl prints; of a refusal what the server said. kubectl 1.36 does the same. The
oldest that is meant to work is 1.27; no binary of it was at hand for this page.

Not in the table: there is one namespace, `default`; statuses are written by hactl itself; defaults of the CRD are not
filled in (`hactl explain` names them). With `Accept: application/yaml` answers are YAML; refusals stay JSON, watches
are refused (406), and a list of more than 20 objects is written as JSON, which is YAML too. A cluster that a directory,
Git, HTTP or another API server keeps is labelled in its document there; here that is refused (403) with the place.
"""


def said(kubectl: Kubectl, line: Line, directory: Path) -> str:
    """How it ended and what it printed, without what differs from run to run."""
    done = kubectl(*shlex.split(line.command), cwd=directory)
    assert "Traceback" not in done.stderr
    text = (done.stdout if done.returncode == 0 else done.stderr or done.stdout).strip()
    lines = [each for each in text.splitlines() if not each.startswith("Warning:")] or ["(nothing)"]
    first = lines[0]
    if "error:" in text.lower() or "Error from server" in text:
        first = next(each for each in lines if "rror" in each)
    first = re.sub(r"^(Error from server \(\w+\)|error): (error when \w+ \"[^\"]*\": )?", "", first)
    first = re.sub(r"^Error from server \(\w+\): ", "", first)
    if first.endswith("is invalid: "):
        first += "; ".join(each.strip("* ") for each in lines[1:])
    first = re.sub(r"\S*/(?:LIVE|MERGED)-\d+", "...", first)
    first = re.sub(r"v\d+\.\d+\.\d+\S*", "vX", first)
    first = re.sub(r"\s{2,}", " ", first)
    first = first if len(first) <= 150 else f"{first[:147]}..."
    verdict = "yes" if done.returncode == 0 else f"exit {done.returncode}"
    return f"{verdict} | `{first.replace('|', '¦').replace('`', chr(39))}`"


def files(directory: Path) -> None:
    """What the commands name."""
    document = EXAMPLE.read_text().replace("port: 222", "port: 9")
    contents = {
        "nas": document,
        "wrong": document.replace("vhid: 80", "vhid: 800").replace("failback: Never", "failback: Often"),
        "elsewhere": document.replace("name: nas\n", "name: other\n", 1),
        "quiet": OPERATION,
        "lead": LEASE,
        "lead2": LEASE.replace("holderIdentity: me", "holderIdentity: you"),
    }
    for name, text in contents.items():
        (directory / f"{name}.yaml").write_text(text)


def without_version(page: str) -> str:
    """The page as every kubectl makes it."""
    return re.sub(r"kubectl v?\d+\.\d+", "kubectl", page)


@pytest.mark.timeout(180)
def test_the_page_says_what_kubectl_does(tmp_path: Path) -> None:
    """Every line of docs/kubectl.md comes out as written."""
    files(tmp_path)
    with a_server(tmp_path) as server:
        users = {role: server.kubectl(role) for role in ROLES}
        version = users["admin"].json("version", "--client")["clientVersion"]["gitVersion"].removeprefix("v")
        page = HEAD.format(version=".".join(version.split(".")[:2]))
        for title, lines in SECTIONS.items():
            page += f"\n## {title}\n\n| `kubectl ...` | what it does | works | says |\n|---|---|---|---|\n"
            for line in lines:
                role = "" if line.role == "admin" else f" ({line.role})"
                command = line.command.replace("|", "\\|")
                page += f"| `{command}`{role} | {line.does} | {said(users[line.role], line, tmp_path)} |\n"
    if os.environ.get("HACTL_UPDATE"):
        PAGE.write_text(page)
    assert without_version(PAGE.read_text()) == without_version(page)
