"""Commands print the same whether a server answers (Unix socket, TLS) or the record itself is opened.

Those that read, and those that change something without a node; `test_operations_both_ways` has the rest.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hactl.adapters.record.sqlite.store import open_record
from hactl.cli.api_client.local import Local
from hactl.cli.documents import server_side_apply
from hactl.cli.main import COMMANDS
from support.api.served_record import TOKEN, Served, document, filled, serving
from support.command_line import Completed, say
from support.limits import LIMIT_SECONDS

NAS_FILE = str(Path(__file__).resolve().parents[2] / "manifests" / "examples" / "nas.yaml")
READS: list[tuple[str, ...]] = [
    ("get",),
    ("get", "-o", "wide"),
    ("get", "nas", "-o", "yaml"),
    ("get", "nas", "-o", "json"),
    ("get", "-o", "json"),
    ("get", "-o", "name"),
    ("get", "hac/nas", "hac/fw"),
    ("get", "haclusters", "nas", "fw", "-o", "yaml"),
    ("get", "nas", "nowhere", "fw"),
    ("get", "nowhere"),
    ("get", "-l", "role=storage"),
    ("get", "-l", "role in"),
    ("get", "--field-selector", "metadata.name=nas"),
    ("get", "--field-selector", "spec.mode=Apply"),
    ("get", "pods"),
    ("get", "haop"),
    ("get", "haop", "pause-1", "-o", "yaml"),
    ("get", "events", "--no-headers"),
    ("get", "leases"),
    ("get", "ns"),
    ("describe", "nas"),
    ("describe", "fw"),
    ("describe", "haop", "pause-1"),
    ("describe", "nowhere"),
    ("events",),
    ("events", "nas", "--limit", "2"),
    ("events", "fw", "-o", "yaml"),
    ("events", "-o", "json"),
    ("wait", "nas", "--for", "condition=Ready"),
    ("wait", "nas", "--for", "condition=Ready=False", "--timeout", "0.1s"),
    ("wait", "fw", "--for", "condition=Ready", "--timeout", "0.1s"),
    ("wait", "nowhere", "--for", "delete"),
    ("wait", "nowhere", "--for", "condition=Ready"),
    ("token", "list"),
    ("token", "list", "-o", "json"),
]

#: What a server elsewhere does not know (the record of this machine, files of this machine, keys for its nodes): a
#: server on this machine, found by its Unix socket, changes nothing of what is printed.
HERE: list[tuple[str, ...]] = [
    ("status",),
    ("status", "-o", "wide"),
    ("status", "-o", "name"),
    ("status", "nas"),
    ("status", "nowhere"),
    ("history",),
    ("history", "nas", "-o", "wide"),
    ("history", "-o", "json"),
    ("validate", "--offline", "-f", NAS_FILE),
    ("validate", "-f", "/nowhere/nas.yaml"),
    ("render", "nas-a", "-f", NAS_FILE),
    ("render", "nas-x", "-f", NAS_FILE),
    ("config", "view"),
    ("config", "get-contexts"),
]
#: Commands that ask no server and no record -> why.
LOCAL = {
    "lint": "it looks at documents alone",
    "simulate": "it plays documents on this machine",
    "import": "it reads files of nodes and writes a document",
    "node-access": "it asks nodes, and no record",
    "explain": "the schema is part of the program",
    "run": "it is the server",
    "record": "it is about the file on this machine",
    "doctor": "it is about this machine, and asks the nodes themselves",
    "lab": "simulated nodes have a directory of their own",
    "demo": "it makes a lab and a record of its own",
    "version": "it is about this program",
    "completion": "it is about this program",
    "help": "the texts are part of the program",
}


class Answers:
    """What every command said, each way."""

    def __init__(self, directory: Path) -> None:
        self.record = directory / "hactl.db"
        asyncio.run(filled(self.record))
        self.here = {"HACTL_STATE": str(self.record), "HACTL_CONFIG": str(directory / "config.yaml")}
        self.before = {words: say(*words, **self.here) for words in READS + HERE}

    def over_tls(self, served: Served) -> dict[str, str]:
        """The environment for a client elsewhere."""
        return {
            "HACTL_STATE": str(self.record.parent / "elsewhere" / "hactl.db"),
            "HACTL_CONFIG": self.here["HACTL_CONFIG"],
            "HACTL_SERVER": served.url,
            "HACTL_TOKEN": TOKEN,
            "HACTL_CA": str(served.authority),
        }


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Asked of the record, while no server runs."""
    return Answers(tmp_path_factory.mktemp("both"))


@pytest.fixture(scope="module")
def served(answers: Answers) -> Iterator[Served]:
    """Then a server runs on it."""
    with serving(answers.record) as found:
        yield found


#: One after the other: each on what the ones before have left.
WRITES: list[tuple[int, tuple[str, ...]]] = [
    (0, ("pause", "nas", "--reason", "work", "--for", "1h")),
    (0, ("pause", "nas", "--group", "files", "--reason", "more work")),
    (0, ("pause", "--node", "nas-b", "--reason", "a disk")),
    (0, ("pause", "--all", "--reason", "a storm")),
    (1, ("pause", "mail", "--reason", "work")),
    (1, ("pause", "nas", "--group", "mail", "--reason", "work")),
    (1, ("pause", "--node", "mail-a", "--reason", "work")),
    (64, ("pause", "nas", "--all", "--reason", "work")),
    (0, ("get", "haop", "-o", "name")),
    (0, ("resume", "nas", "--group", "files")),
    (1, ("resume", "nas", "--group", "files")),
    (0, ("resume", "--all")),
    (1, ("resume", "mail")),
    (0, ("approve", "nas", "NEWEST", "--reason", "as shown")),
    (1, ("approve", "nas", "NEWEST")),
    (1, ("approve", "nas", "000000000000")),
    (1, ("approve", "mail", "000000000000")),
    (1, ("switchover", "nas", "--cancel")),
    (1, ("switchover", "mail", "--yes")),
    (1, ("switchover", "nas", "mail", "--yes")),
    (1, ("drain", "mail-a", "--yes")),
    (1, ("drain", "nas-a", "--cluster", "mail", "--yes")),
    (1, ("uncordon", "nas-a")),
    (1, ("resolve", "mail", "data", "--discard", "nas-b")),
    (0, ("delete", "haop/pause-2")),
    (1, ("delete", "haop/pause-2", "haop/pause-9")),
    (1, ("delete", "nas", "--yes")),
    (0, ("delete", "fw", "--yes", "--dry-run")),
    (1, ("edit", "nas")),
    (1, ("edit", "mail")),
    (0, ("edit", "edge")),
    (0, ("get", "edge", "-o", "yaml")),
    (0, ("delete", "edge", "--yes")),
    (0, ("wait", "edge", "--for", "delete")),
    (0, ("get", "-o", "name")),
    (0, ("get", "haop", "--no-headers")),
    (0, ("describe", "haop", "pause-4")),
    (0, ("wait", "haop", "pause-9", "--for", "delete")),
    (3, ("wait", "haop", "pause-4", "--for", "condition=Complete", "--timeout", "0.1s")),
    (0, ("token", "create", "kim", "--role", "viewer")),
    (1, ("token", "create", "kim", "--role", "viewer")),
    (0, ("token", "revoke", "kim")),
    (0, ("kubeconfig", "https://ha:6443", "--name", "kube", "--authority", NAS_FILE)),
    (1, ("kubeconfig", "https://ha:6443", "--name", "kube", "--authority", NAS_FILE)),
    (1, ("kubeconfig", "https://ha:6443", "--authority", "/nowhere/ca.crt")),
]
#: Who asks, when, and a token: what is different each time.
_CHANCE = (
    (r"hactl_[A-Za-z0-9_-]+", "TOKEN"),
    (r"token:ci|\w+@local", "SOMEBODY"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?", "TIME"),
    (r"\b\d+s\b", "AGE"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
)


def object_of_the_api(record: Path) -> None:
    """A cluster that may be edited: edge."""
    client = Local(record)
    server_side_apply(client, document("edge"))
    client.close()


def written(directory: Path, **environment: str) -> list[Completed]:
    """What each of WRITES said, without what is chance."""
    editor = directory / "editor.sh"
    change = "s/^metadata:/metadata:\\n  labels: {site: berlin}/"
    editor.write_text(f"#!/bin/sh\ngrep -q '^# hactl' \"$1\" || sed -i '{change}' \"$1\"\n")
    editor.chmod(0o700)
    digest = json.loads(say("get", "nas", "-o", "json", **environment)[1])["status"]["plan"]["digest"]
    found = []
    for _, words in WRITES:
        status, *texts = say(
            *(digest if word == "NEWEST" else word for word in words), EDITOR=str(editor), **environment
        )
        for pattern, word in _CHANCE:
            texts = [re.sub(pattern, word, text) for text in texts]
        found.append((status, *texts))
    return found


@pytest.fixture(scope="module")
def written_alone(tmp_path_factory: pytest.TempPathFactory) -> list[Completed]:
    """On a record of its own, without a server."""
    directory = tmp_path_factory.mktemp("alone")
    answers = Answers(directory)
    object_of_the_api(answers.record)
    return written(directory, **answers.here)


def test_what_is_changed_without_a_server_ends_as_it_should(written_alone: list[Completed]) -> None:
    """Each exit status; and no traceback."""
    for (wanted, words), (status, out, error) in zip(WRITES, written_alone, strict=True):
        assert status == wanted, (words, out, error)
        assert "Traceback" not in out + error


@pytest.mark.parametrize("way", ["socket", "TLS"])
def test_a_server_changes_the_same_and_says_the_same(way: str, written_alone: list[Completed], tmp_path: Path) -> None:
    """Status, output and errors of each command, and so the names of what was made."""
    answers = Answers(tmp_path)
    object_of_the_api(answers.record)
    with serving(answers.record) as served:
        with_a_server = written(tmp_path, **(answers.here if way == "socket" else answers.over_tls(served)))
    for (_, words), ours, theirs in zip(WRITES, written_alone, with_a_server, strict=True):
        assert theirs == ours, words


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_a_server_gives_what_the_record_gave(words: tuple[str, ...], answers: Answers, served: Served) -> None:
    """Status, output and errors are the same, byte for byte, over the Unix socket and over TLS."""
    before = answers.before[words]
    assert say(*words, **answers.here) == before
    assert say(*words, **answers.over_tls(served)) == before
    assert "Traceback" not in "".join(map(str, before))


@pytest.mark.parametrize("words", HERE, ids=" ".join)
def test_a_server_on_this_machine_changes_nothing_that_is_printed(
    words: tuple[str, ...], answers: Answers, served: Served
) -> None:
    """Status, output and errors are the same, byte for byte, when its socket is found beside the record."""
    assert served.socket.exists()
    before = answers.before[words]
    assert say(*words, **answers.here) == before
    assert "Traceback" not in "".join(map(str, before))


def test_every_command_is_compared_or_is_local() -> None:
    """No command is forgotten: it is in a list above, in `test_operations_both_ways`, or local for a reason."""
    operations = Path(__file__).with_name("test_operations_both_ways.py").read_text()
    compared = {words[0] for words in READS + HERE + [words for _, words in WRITES]}
    compared |= set(re.findall(r"""both\.(?:same|say)\(\s*"([a-z-]+)\"""", operations))
    assert compared | LOCAL.keys() == set(COMMANDS)
    assert not compared & LOCAL.keys()


def test_the_socket_was_used(answers: Answers, served: Served) -> None:
    """Else the comparison above says nothing: a socket that is named and has no server is an error."""
    assert served.socket.exists()
    assert say("get", "--server", f"unix:{served.socket}", **answers.here) == answers.before[("get",)]
    status, _, error = say("get", "--server", f"unix:{served.socket}x", **answers.here)
    assert status == 1
    assert "does not answer" in error


def test_what_people_expect_is_shown(answers: Answers) -> None:
    """The tables and texts are not only the same, but right."""
    listing = answers.before[("get",)][1]
    assert listing.splitlines()[0].split() == ["NAME", "READY", "ACTIVE", "FAILOVER", "SYNC", "AGE"]
    assert any(line.split()[:3] == ["nas", "True", "nas-a"] for line in listing.splitlines())
    told = answers.before[("describe", "nas")][1]
    assert "vhid 80" in told
    assert "nas-b does not answer" in told
    missing = answers.before[("get", "pods")][2].splitlines()
    assert missing[0] == 'hactl: haclusters.hactl.dev "pods" not found'
    assert "kinds are haclusters (hac), haoperations (haop)" in missing[1]
    assert answers.before[("wait", "nas", "--for", "condition=Ready")][:2] == (0, "hacluster/nas condition met\n")
    assert answers.before[("wait", "fw", "--for", "condition=Ready", "--timeout", "0.1s")][0] == 3


def test_status_of_a_server_is_status_of_its_record(answers: Answers, served: Served) -> None:
    """The same screen but for who looks; the same JSON but for ages."""
    status, screen, _ = say("status", **answers.here)
    there, theirs, _ = say("status", **answers.over_tls(served))
    # Only the record's own machine knows that no controller runs: it says so first.
    assert screen.startswith("nobody looks at the nodes: no controller runs on this record")
    rows = screen.splitlines()[1:]
    assert (status, rows) == (there, theirs.splitlines()[: len(rows)])
    assert len(rows) > 4
    assert "new switch" in screen
    (ours,) = json.loads(say("status", "nas", "-o", "json", **answers.here)[1])
    (other,) = json.loads(say("status", "nas", "-o", "json", **answers.over_tls(served))[1])
    assert ours.pop("ageSeconds") == pytest.approx(other.pop("ageSeconds"), abs=LIMIT_SECONDS)
    assert ours == other
    assert say("status", "nowhere", **answers.over_tls(served))[0] == 1


def test_a_cluster_whose_document_is_gone_is_shown_from_the_record(tmp_path: Path) -> None:
    """Only the record knows it; with a server on this machine it is shown all the same, and last."""
    answers = Answers(tmp_path)

    async def unmanage() -> None:
        store = await open_record(answers.record, actor="tester")
        await store.unmanage("nas", why="its file was removed")
        await store.close()

    asyncio.run(unmanage())
    screen = say("status", **answers.here)
    (row,) = json.loads(say("status", "-o", "json", **answers.here)[1])
    assert screen[0] == 0
    assert "unmanaged: its document is gone" in screen[1]
    assert (row["name"], row["managed"]) == ("nas", False)
    with serving(answers.record) as served:
        assert say("status", **answers.here) == screen
        assert say("status", "-o", "name", **answers.over_tls(served)) == (0, "", "")


def test_a_wrong_credential_or_authority_is_told_with_what_helps(answers: Answers, served: Served) -> None:
    """No token, a wrong one, an unknown authority, the wrong authority, another name: each in words, exit 1."""
    right = answers.over_tls(served)
    nobody = say("get", **{**right, "HACTL_TOKEN": ""})
    assert nobody[0] == 1
    assert "--token-file" in nobody[2]
    wrong = say("get", **{**right, "HACTL_TOKEN": "hactl_wrong"})
    assert wrong[0] == 1
    assert "the token is not known" in wrong[2]
    untrusted = say("get", **{**right, "HACTL_CA": ""})
    assert untrusted[0] == 1
    assert "--certificate-authority FILE" in untrusted[2]
    missing = say("get", **{**right, "HACTL_CA": "/nowhere/ca.crt"})
    assert missing[0] == 1
    assert "/nowhere/ca.crt cannot be used: No such file or directory" in missing[2]
    other_name = say("get", **{**right, "HACTL_SERVER": served.url.replace("127.0.0.1", "127.0.0.2")})
    assert other_name[0] == 1
    plain = say("get", **{**right, "HACTL_SERVER": served.url.replace("https", "http")})
    assert plain[0] == 1
    for _, out, error in (nobody, wrong, untrusted, missing, other_name, plain):
        assert "Traceback" not in out + error
        assert error.startswith(("hactl: ", "Unauthorized", "the token"))


def test_who_may_not_is_told_so(answers: Answers, served: Served) -> None:
    """A viewer reads, and neither deletes nor makes tokens: 403, in words."""
    status, token, _ = say("token", "create", "looker", "--role", "viewer", **answers.here)
    assert status == 0
    viewer = {**answers.over_tls(served), "HACTL_TOKEN": token.strip()}
    assert say("get", **viewer) == answers.before[("get",)]
    for words in (("delete", "nas", "--yes"), ("token", "list"), ("drain", "nas-a", "--cluster", "nas", "--yes")):
        refused = say(*words, **viewer)
        assert refused[0] == 1, refused
        assert "forbidden" in refused[2]
        assert "viewer" in refused[2]


def test_a_revoked_token_is_refused(answers: Answers, served: Served) -> None:
    """Within a second, also by a server that knew it."""
    _, token, _ = say("token", "create", "gone", "--role", "viewer", **answers.here)
    gone = {**answers.over_tls(served), "HACTL_TOKEN": token.strip()}
    assert say("get", **gone)[0] == 0
    assert say("token", "revoke", "gone", **answers.here)[0] == 0
    assert say("get", **gone)[0] == 1
    assert say("token", "revoke", "gone", **answers.here)[0] == 1


HISTORIES: list[tuple[str, ...]] = [
    ("history",),
    ("history", "nas", "-o", "wide"),
    ("history", "-o", "json"),
    ("history", "--failed"),
    ("history", "--kind", "Step", "--limit", "2", "--full"),
    ("history", "fw", "--since", "2d", "--until", "1s"),
    ("history", "nowhere"),
]


@pytest.mark.parametrize("words", HISTORIES, ids=" ".join)
def test_history_of_a_server_is_the_one_of_its_record(words: tuple[str, ...], answers: Answers, served: Served) -> None:
    """Byte for byte, over TLS as beside the record."""
    here = say(*words, **answers.here)
    assert here[0] == 0
    assert say(*words, **answers.over_tls(served)) == here


def test_a_server_gives_so_much_history_at_once(answers: Answers, served: Served) -> None:
    """And says how much."""
    status, _, error = say("history", "--limit", "5001", **answers.over_tls(served))
    assert (status, "limit: 1 to 5000" in error) == (1, True)


def test_why_of_a_server_that_has_not_looked_says_so(answers: Answers, served: Served) -> None:
    """This one has no controller behind it; `tests/e2e` and `tests/api` have one."""
    status, _, error = say("why", "nas", **answers.over_tls(served))
    assert status == 1
    assert "no controller has looked yet" in error
    assert say("why", "nowhere", **answers.over_tls(served))[0] == 1
    status, _, error = say("why-not", "mail-a", "active", **answers.over_tls(served))
    assert (status, "there is no node mail-a on https://" in error) == (1, True)


def test_a_reading_command_changes_nothing(answers: Answers) -> None:
    """Without a server it cannot: the record is opened for reading."""
    before = answers.record.stat().st_mtime_ns
    assert say("get", **answers.here)[0] == 0
    assert answers.record.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "words", [("get",), ("describe", "nas"), ("events",), ("get", "nas", "-o", "json")], ids=" ".join
)
def test_a_client_starts_at_once(words: tuple[str, ...], answers: Answers, served: Served) -> None:
    """Asking a server needs no HTTP library, no SSH, no database, no YAML and no pydantic."""
    script = (
        "import sys; from hactl.cli.main import run; status = run(sys.argv[1:]); "
        "bad = {'aiohttp', 'asyncssh', 'sqlite_utils', 'rich', 'ruamel.yaml', 'pydantic'} & set(sys.modules); "
        "sys.exit(f'imported {bad}' if bad else status)"
    )
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, env={**os.environ, **answers.here}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
