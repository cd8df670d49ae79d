"""Commands that write through a server: apply, diff, edit, delete, and operations; nobody works on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hactl.adapters.record.sqlite.store import open_record
from hactl.core.kube.codec import REFERENCES
from hactl.core.operations import State
from hactl.ports import API_ORIGIN, FILES_ORIGIN
from support.api.served_record import TOKEN, Served, filled, serving
from support.command_line import Completed, say
from support.documents import FIREWALL

#: A document whose password is a file that only the machine of the controller may name.
NEW = FIREWALL.replace("name: edge\n", "name: web\n  labels: {site: berlin}\n")
for _side in ("WAN", "LAN"):
    NEW = NEW.replace(f"env: EDGE_{_side}_PASSWORD", f"file: /etc/carp/{_side.lower()}")


class Place:
    """A served record, and who asks it."""

    def __init__(self, served: Served, directory: Path) -> None:
        self.served = served
        self.directory = directory
        self.here = {"HACTL_STATE": str(served.record), "HACTL_CONFIG": str(directory / "config.yaml")}
        self.there = {
            "HACTL_STATE": str(directory / "elsewhere" / "hactl.db"),
            "HACTL_CONFIG": str(directory / "config.yaml"),
            "HACTL_SERVER": served.url,
            "HACTL_TOKEN": TOKEN,
            "HACTL_CA": str(served.authority),
        }
        self.file = directory / "docs" / "web.yaml"
        self.file.parent.mkdir()
        self.file.write_text(NEW)

    def ask(self, doing: Any) -> Any:
        """Something of the record itself."""

        async def asked() -> Any:
            store = await open_record(self.served.record, actor="tester")
            try:
                return await doing(store)
            finally:
                await store.close()

        return asyncio.run(asked())

    def origin(self, name: str) -> str | None:
        """Where a cluster comes from."""
        found: str | None = self.ask(lambda store: store.origin(name))
        return found

    def directory_of(self, name: str) -> str:
        """Where a cluster's references start."""
        rows = self.ask(lambda store: store.documents())
        return str(next(row["directory"] for row in rows if row["cluster"] == name))

    def looked_at(self, name: str, generation: int, **condition: str) -> None:
        """As if the controller had looked."""
        ready = {"type": "Ready", "status": "True", "reason": "AsDesired", "message": "fine"} | condition
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = {
            "conditions": [{**ready, "lastTransitionTime": at}], "nodes": [], "groups": [], "problems": [],
            "holds": [], "plan": {"digest": "24585e5da65f", "steps": 0, "next": None}, "observedAt": at,
            "observedGeneration": generation, "name": name, "generation": generation,
        }  # fmt: skip
        self.ask(lambda store: store.put_status(name, status))

    def object(self, *words: str) -> Any:
        """What `hactl get -o json` shows."""
        status, out, error = say("get", *words, "-o", "json", **self.here)
        assert status == 0, error
        return json.loads(out)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A served record."""
    record = tmp_path / "hactl.db"
    asyncio.run(filled(record))
    with serving(record) as served:
        yield Place(served, tmp_path)


def _address(body: Any) -> Any:
    return body["spec"]["groups"][0]["virtualIPs"][0]


def good(done: Completed) -> str:
    """The output of a command that worked."""
    assert done[0] == 0, done
    return done[1]


def test_apply_on_the_machine_of_the_server_hands_in_with_the_documents_directory(place: Place) -> None:
    """The server has it from the API, with references that start beside the document, whatever they name."""
    told = say("apply", "-f", str(place.file), "--timeout", "0.5s", **place.here)
    assert told[0] == 3, told
    assert "web: generation 1 is in force" in told[1]
    assert "not there yet" in told[1]
    assert place.origin("web") == API_ORIGIN
    assert place.directory_of("web") == str(place.file.parent)
    place.looked_at("web", 1)
    again = good(say("apply", "-f", str(place.file), **place.here))
    assert again == "web: Ready, already as the document says; nothing was done\n"
    place.looked_at("web", 1, status="False", reason="Other", message="no")
    place.file.write_text(NEW.replace("[fw-1, fw-2]", "[fw-2, fw-1]"))
    assert "generation 2 is in force" in say("apply", "-f", str(place.file), "--timeout", "0.5s", **place.here)[1]


def test_apply_from_elsewhere_may_name_the_servers_secrets_only(place: Place) -> None:
    """An editor cannot have any file of the controller sent anywhere, nor say where references start."""
    told = say("apply", "-f", str(place.file), **place.there)
    assert told[0] == 1
    assert "absolute path" in told[2]
    assert place.origin("web") is None
    place.file.write_text(NEW.replace("/etc/carp/", "carp/"))
    assert say("apply", "-f", str(place.file), "--timeout", "0.5s", **place.there)[0] == 3
    assert place.directory_of("web") == str(place.served.record.parent / "secrets")


def test_what_was_handed_in_beside_the_server_stays_so_for_others(place: Place) -> None:
    """From the network its directory cannot be changed or dropped, labels can, and new references are checked."""
    say("apply", "-f", str(place.file), "--timeout", "0.1s", **place.here)
    body = place.object("web")

    def put(change: Any) -> Completed:
        changed = json.loads(json.dumps(body))
        change(changed)
        file = place.directory / "edited.yaml"
        file.write_text(json.dumps({key: value for key, value in changed.items() if key != "status"}))
        return say("edit", "web", EDITOR=f"cp {file}", **place.there)

    for directory in (None, "/etc"):

        def moved(changed: Any, directory: str | None = directory) -> None:
            changed["metadata"]["annotations"].pop(REFERENCES)
            changed["metadata"]["annotations"] |= {REFERENCES: directory} if directory else {"a": "b"}

        refused = put(moved)
        assert refused[0] == 1, refused
        assert "controller's own machine" in refused[2]
    good(put(lambda changed: changed["metadata"]["labels"].update(site="paris")))
    body = place.object("web")
    assert body["metadata"]["labels"] == {"site": "paris"}
    named = put(lambda changed: _address(changed).update(passwordFrom={"file": "/etc/other"}))
    assert named[0] == 1
    assert "absolute path" in named[2]
    assert place.directory_of("web") == str(place.file.parent)


def test_what_comes_from_a_source_is_changed_there(place: Place) -> None:
    """The message says where; nothing is written; the same text is only followed."""
    other = place.directory / "nas.yaml"
    body = place.object("nas")
    metadata = {key: body["metadata"][key] for key in ("name", "labels", "annotations") if key in body["metadata"]}
    wanted = {key: body[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": metadata}
    other.write_text(json.dumps(wanted))
    same = say("apply", "-f", str(other), "--server", place.served.url, **place.there)
    assert (same[0], same[2]) == (0, ""), same
    assert "nas: Ready" in same[1]
    assert say("diff", "-f", str(other), **place.there) == (0, "", ""), "compared, and not forbidden"
    wanted["spec"]["mode"] = "Observe"
    other.write_text(json.dumps(wanted))
    refused = say("apply", "-f", str(other), **place.here)
    assert refused[0] == 1
    assert "kept by the source clusters" in refused[2]
    for words in (("delete", "nas", "--yes"), ("edit", "nas")):
        refused = say(*words, EDITOR="false", **place.here)
        assert refused[0] == 1
        assert "kept by the source clusters" in refused[2]
    differs = say("diff", "-f", str(other), **place.here)
    assert differs[0] == 2
    assert "+  mode: Observe" in differs[1]
    assert "note: nas is kept by the source clusters" in differs[2]


def test_what_a_command_handed_in_is_taken_over_by_the_server(place: Place) -> None:
    """fw was applied before the server ran; applied again it is the API's, with one history."""
    assert place.origin("fw") == FILES_ORIGIN
    body = place.object("fw")
    file = place.directory / "fw.yaml"
    wanted = {key: body[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": "fw"}}
    file.write_text(json.dumps(wanted))
    assert say("apply", "-f", str(file), "--timeout", "0.1s", **place.there)[0] == 3
    assert place.origin("fw") == FILES_ORIGIN, "not from elsewhere"
    told = say("apply", "-f", str(file), "--timeout", "0.1s", **place.here)
    assert told[0] == 3, told
    assert place.origin("fw") == API_ORIGIN
    assert place.object("fw")["metadata"]["uid"] == body["metadata"]["uid"]
    assert place.directory_of("fw") == str(file.parent)


def test_apply_tells_what_holds_a_cluster_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3 as soon as it is believed."""
    monkeypatch.setattr("hactl.cli.commands.documents.apply.SETTLE_SECONDS", 0.1)
    say("apply", "-f", str(place.file), "--timeout", "0.1s", **place.here)
    place.looked_at("web", 1, type="Stalled", status="True", reason="ObserveOnly", message="mode is Observe")
    told = say("apply", "-f", str(place.file), **place.here)
    assert told[0] == 3
    assert "web: held back" in told[1]
    assert "ObserveOnly: mode is Observe" in told[1]


def test_fields_of_others_are_taken_over_by_force_only(place: Place) -> None:
    """Conflict, with the field and its manager; --force-conflicts for apply and diff."""
    say("apply", "-f", str(place.file), "--timeout", "0.1s", **place.here)
    edited = place.directory / "edited.yaml"
    body = place.object("web")
    body["spec"]["mode"] = "Observe"
    edited.write_text(json.dumps(body))
    good(say("edit", "web", EDITOR=f"cp {edited}", **place.here))
    place.file.write_text(NEW.replace("spec:\n", "spec:\n  mode: Propose\n"))
    refused = say("apply", "-f", str(place.file), **place.here)
    assert refused[0] == 1
    assert "hactl-edit" in refused[2]
    assert ".spec.mode" in refused[2]
    assert "--force-conflicts" in refused[2]
    assert say("diff", "-f", str(place.file), **place.here)[0] == 1
    differs = say("diff", "-f", str(place.file), "--force-conflicts", **place.here)
    assert differs[0] == 2
    assert "+  mode: Propose" in differs[1]
    assert "hactl.dev/references" not in differs[1]
    assert say("apply", "-f", str(place.file), "--force-conflicts", "--timeout", "0.1s", **place.here)[0] == 3
    assert place.object("web")["spec"]["mode"] == "Propose"
    assert say("diff", "-f", str(place.file), **place.here) == (0, "", "")


def test_several_documents_each_get_their_status(place: Place) -> None:
    """One refused, one not there yet: 1 says more than 3."""
    bad = place.directory / "nas.yaml"
    bad.write_text(NEW.replace("name: web\n", "name: nas\n"))
    told = say("apply", "-f", str(place.file), "-f", str(bad), "--timeout", "0.5s", **place.here)
    assert told[0] == 1
    assert "web: generation 1" in told[1]
    assert "kept by the source" in told[2]


def test_delete_asks_checks_and_deletes(place: Place) -> None:
    """Nobody to ask: nothing. A dry run: nothing. An operation: cancelled. What is not there: 1."""
    say("apply", "-f", str(place.file), "--timeout", "0.1s", **place.here)
    assert say("delete", "web", **place.here)[0] == 1
    assert "dry run" in good(say("delete", "web", "--dry-run", **place.here))
    assert place.origin("web") == API_ORIGIN
    assert good(say("delete", "web", "--yes", **place.there)) == "hacluster/web deleted\n"
    assert place.origin("web") is None
    assert good(say("wait", "web", "--for", "delete", **place.here)) == "hacluster/web deleted\n"
    assert good(say("delete", "haop/pause-1", **place.here)) == "haoperation/pause-1 deleted\n"
    (operation,) = place.ask(lambda store: store.operations())
    assert operation.state is State.CANCELLED
    assert say("delete", "haop", "pause-1", **place.here)[0] == 1


def test_edit_opens_again_with_what_is_wrong_and_keeps_what_was_typed(place: Place) -> None:
    """A refused text is shown again; leaving it ends with 1 and the text in a file."""
    say("apply", "-f", str(place.file), "--timeout", "0.1s", **place.here)
    assert good(say("edit", "web", EDITOR="true", **place.here)) == "nothing was changed\n"
    script = place.directory / "editor.sh"
    script.write_text('#!/bin/sh\ncp "$1" "$1.seen" && cat "$1" >> ' + str(place.directory / "seen") + "\n"
                      'sed -i "s/preferred:/preffered:/" "$1"\n')  # fmt: skip
    script.chmod(0o700)
    left = say("edit", "web", EDITOR=str(script), **place.here)
    assert left[0] == 1
    assert "your text is kept in" in left[2]
    assert "# hactl: " in (place.directory / "seen").read_text()
    kept = Path(left[2].rpartition(" ")[2].strip())
    assert "preffered" in kept.read_text()
    kept.unlink()


def test_operations_are_made_followed_and_cancelled_through_a_server(place: Place) -> None:
    """The same words and statuses as on the record: pause, resume, drain, uncordon, switchover, approve, resolve."""
    paused = good(say("pause", "nas", "--reason", "work", "--for", "1h", **place.there))
    assert "nas is paused until" in paused
    assert "work" in say("status", **place.there)[1]
    wrong = say("resume", "--all", **place.there)
    assert wrong[0] == 1
    assert "work" in wrong[2]
    assert good(say("resume", "nas", **place.there)) == "nas is resumed\n"
    assert say("resume", "nas", **place.there)[0] == 1
    assert say("pause", "--node", "nowhere", "--reason", "x", **place.there)[0] == 1
    assert say("pause", "nas", "--group", "web", "--reason", "x", **place.there)[0] == 1

    assert say("switchover", "nas", "--to", "nas-b", **place.there)[0] == 1, "nobody confirms"
    assert "->" in good(say("switchover", "nas", "--to", "nas-a", "--dry-run", "--at", "2h", **place.there))
    assert "nothing to do" in good(say("switchover", "nas", "--to", "nas-a", "--yes", **place.there))
    later = good(say("switchover", "nas", "--to", "nas-a", "--at", "2h", "--yes", "--reason", "test", **place.there))
    assert "is on record" in later
    assert say("switchover", "nas", "--to", "nas-a", "--at", "2h", "--yes", **place.there)[0] == 1, "asked already"
    assert "is cancelled" in good(say("switchover", "nas", "--cancel", **place.there))
    assert say("switchover", "nas", "--cancel", **place.there)[0] == 1
    assert say("switchover", "nowhere", "--yes", **place.there)[0] == 1

    assert say("approve", "nas", "000000000000", **place.there)[0] == 1
    assert say("resolve", "nas", "data", "--discard", "nas-a", "--yes-discard", "nas-a", **place.there)[0] == 1
    states = place.ask(lambda store: store.operations("nas"))
    assert [(each.kind.value, each.state.value) for each in states] == [
        ("Pause", "Cancelled"),
        ("Switchover", "Cancelled"),
    ]
    assert {each.actor for each in states} == {"token:ci"}


def test_a_drain_is_followed_until_it_is_so(place: Place) -> None:
    """Nothing is on the node by the status: drained; uncordon takes it back; a viewer of time sees 3."""
    assert "drained" in good(say("drain", "nas-b", "--cluster", "nas", "--yes", **place.there))
    assert say("drain", "nas-b", "--cluster", "nas", "--yes", **place.there)[0] == 1, "asked already"
    assert "nas-b may work again" in good(say("uncordon", "nas-b", "--cluster", "nas", **place.there))
    assert say("uncordon", "nas-b", "--cluster", "nas", **place.there)[0] == 1
    waits = say("drain", "nas-a", "--cluster", "nas", "--yes", "--timeout", "0.5s", **place.there)
    assert waits[0] == 3, waits


def test_an_approval_takes_the_digest_that_is_planned(place: Place) -> None:
    """And no other."""
    place.looked_at("fw", 1)
    assert "is approved" in good(say("approve", "fw", "24585e5da65f", **place.there))
    (operation,) = [each for each in place.ask(lambda store: store.operations("fw")) if each.kind == "Approve"]
    assert operation.detail["digest"] == "24585e5da65f"


def test_an_object_with_a_directory_of_its_own_is_deleted_from_elsewhere(place: Place) -> None:
    """Also while a finalizer holds it: what it refers to is not looked at again for that."""
    say("apply", "-f", str(place.file), "--timeout", "0.1s", **place.here)
    body = place.object("web")
    body["metadata"]["finalizers"] = ["example.org/hold"]
    edited = place.directory / "edited.json"
    edited.write_text(json.dumps(body))
    good(say("edit", "web", EDITOR=f"cp {edited}", **place.here))
    assert "finalizers are gone: example.org/hold" in good(say("delete", "web", "--yes", **place.there))
    assert place.object("web")["metadata"]["deletionTimestamp"]
    assert "example.org/hold" in good(say("describe", "web", **place.here))
    assert place.directory_of("web") == str(place.file.parent)


def test_a_kubeconfig_has_a_token_and_the_authority(place: Place) -> None:
    """For kubectl, over TLS only; a missing authority is named."""
    made = good(say("kubeconfig", place.served.url, "--name", "kube", "--role", "viewer", **place.here))
    assert place.served.url in made
    assert "certificate-authority-data" in made
    assert "token: hactl_" in made
    assert say("kubeconfig", "http://127.0.0.1:1", **place.here)[0] == 64
    assert say("kubeconfig", "https://[::1", **place.here)[0] == 64
    other = say("kubeconfig", "https://ha.example.org:6443", "--name", "other", **place.here)
    assert other[0] == 1
    assert "--tls-san ha.example.org" in other[2]
    written = place.directory / "new" / "config"
    told = say("kubeconfig", place.served.url, "--name", "file", "--for", "90d", "-o", str(written), **place.here)
    assert (told[0], told[1]) == (0, "")
    assert "wrote" in told[2]
    assert "token: hactl_" in written.read_text()
    assert written.stat().st_mode & 0o777 == 0o600
    for much in ("99999999999999d", "9" * 5000 + "d", "0d"):
        assert say("token", "create", "x", "--role", "viewer", "--for", much, **place.here)[0] == 64
    assert "other" not in good(say("token", "list", **place.here))
    missing = say("kubeconfig", place.served.url, "--authority", "/nowhere/ca.crt", **place.here)
    assert missing[0] == 1
    assert "/nowhere/ca.crt" in missing[2]
