"""`hactl doctor` on the lab: what is well, and each thing that is not, named with what helps; nothing is changed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hactl.adapters.references import reachable
from hactl.cli.doctor.finding import worst
from hactl.cli.doctor.machine import machine
from hactl.cli.doctor.nodes import ask
from hactl.cli.doctor.records import record
from hactl.cli.doctor.references import references
from hactl.cli.documents import load_all
from support.lab.site import Site, a_site
from support.limits import LIMIT_SECONDS
from support.needs import need


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two blank nodes that answer."""
    with a_site(tmp_path_factory.mktemp("doctor"), "nas") as found:
        yield found


def told(site: Site, *words: str, **environment: str) -> tuple[int, list[dict[str, str]]]:
    """Exit status and findings."""
    place = Site(site.directory, {**site.environment, **environment})
    done = place.hactl("doctor", "-f", str(site.document.parent), "-o", "json", *words)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def only(found: list[dict[str, str]], level: str, area: str) -> dict[str, str]:
    """The one finding of that level there."""
    (one,) = [each for each in found if (each["level"], each["area"]) == (level, area)]
    return one


def changed(url: str, old: str, new: str) -> str:
    """That text with another word in it, which must be there."""
    assert old in url
    return url.replace(old, new)


def test_all_is_well_and_nothing_is_changed(site: Site) -> None:
    """Every node is root's, runs FreeBSD and has this machine's time; no file came or went, on no machine."""
    before = {path: path.stat().st_mtime_ns for path in site.document.parent.rglob("*")}
    files = site.on("nas-a", "ls -R /etc /var/db /usr/local/etc; cat /etc/rc.conf")
    status, found = told(site, "--source", str(site.document.parent))
    assert [each for each in found if each["level"] == "fail"] == []
    assert status == 0
    nodes = [each for each in found if each["area"] == "node"]
    assert [each["about"] for each in nodes] == ["nas/nas-a", "nas/nas-b"]
    assert all("FreeBSD" in each["text"] and "root as root" in each["text"] for each in nodes)
    assert only(found, "ok", "source")["text"] == "1 documents"
    assert {path: path.stat().st_mtime_ns for path in site.document.parent.rglob("*")} == before
    assert site.on("nas-a", "ls -R /etc /var/db /usr/local/etc; cat /etc/rc.conf") == files
    assert not (site.directory / "hactl.db").exists()


def test_people_are_told_in_lines_with_what_helps(site: Site) -> None:
    """A mark, a place, words; what helps below; a sum at the end."""
    done = site.hactl("doctor", "-f", str(site.document), "--no-nodes")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert any(line.startswith("warn  record") and "there is none yet" in line for line in lines)
    assert any("what helps: hactl apply and hactl run make it" in line for line in lines)
    assert lines[-1].startswith("0 wrong, 1 to look at, ")


def test_a_key_that_no_node_knows_is_refused_and_told(site: Site, tmp_path: Path) -> None:
    """Both nodes say so; what helps names authorized_keys."""
    key = tmp_path / "other"
    subprocess.run([need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    status, found = told(site, HACTL_IDENTITY=str(key))
    assert status == 1
    wrong = [each for each in found if each["level"] == "fail"]
    assert [each["about"] for each in wrong] == ["nas/nas-a", "nas/nas-b"]
    assert all("authorized_keys of root" in each["remedy"] for each in wrong)


def test_a_key_that_cannot_be_used_is_told_before_any_login(site: Site, tmp_path: Path) -> None:
    """One with a passphrase, one that is open to others, one that is not there."""
    key = tmp_path / "locked"
    subprocess.run([need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "secret", "-f", str(key)], check=True)
    _, found = told(site, "--no-nodes", HACTL_IDENTITY=str(key), SSH_AUTH_SOCK="/nowhere")
    one = only(found, "fail", "keys")
    assert "hactl uses no agent" in one["text"]
    assert "without passphrase" in one["remedy"]
    usable = tmp_path / "open"
    subprocess.run([need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(usable)], check=True)
    usable.chmod(0o644)
    assert "chmod 600" in only(told(site, "--no-nodes", HACTL_IDENTITY=str(usable))[1], "warn", "keys")["text"]
    status, found = told(site, "--no-nodes", HACTL_IDENTITY="/nowhere/key")
    assert status == 1
    assert "/nowhere/key cannot be read" in next(each for each in found if each["level"] == "fail")["text"]


def test_another_machine_at_the_address_is_told(site: Site, tmp_path: Path) -> None:
    """The pinned key is not the node's: nothing is sent there."""
    text = site.document.read_text()
    place = tmp_path / "clusters"
    place.mkdir()
    for name in ("lab", "secrets"):
        (place / name).symlink_to(site.document.parent / name)
    (place / "nas.yaml").write_text(changed(text, "lab/nas-b.pub", "lab/nas-a.pub"))
    done = site.hactl("doctor", "-f", str(place / "nas.yaml"), "-o", "json")
    one = only(json.loads(done.stdout), "fail", "node")
    assert one["about"] == "nas/nas-b"
    assert "pin the new one" in one["remedy"]


def test_a_node_that_hangs_ends_at_the_limit_and_delays_no_other(site: Site) -> None:
    """A listener that never says a word instead of nas-b: nas-a is well, nas-b is told."""
    (document,) = load_all([str(site.document)])
    targets = dict(reachable(document, {**os.environ, **site.environment}))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        targets["nas-b"] = replace(targets["nas-b"], port=port)
        began = time.monotonic()
        found = asyncio.run(ask({"nas": targets}, limit_seconds=5.0))
        assert time.monotonic() - began < LIMIT_SECONDS
    by_node = {each.about: each for each in found if each.area == "node"}
    assert by_node["nas/nas-a"].level == "ok"
    assert by_node["nas/nas-b"].level == "fail"
    assert by_node["nas/nas-b"].remedy


def test_a_node_without_power_is_told(site: Site) -> None:
    """And the other one is well."""
    site.hactl("lab", "power-off", "nas-b")
    try:
        status, found = told(site, "--timeout", "5s")
    finally:
        site.hactl("lab", "power-on", "nas-b")
        site.until(lambda: told(site)[0] == 0)
    assert status == 1
    assert only(found, "fail", "node")["about"] == "nas/nas-b"
    assert only(found, "ok", "node")["about"] == "nas/nas-a"


@pytest.mark.parametrize(("ahead", "level"), [(0.0, "ok"), (20.0, "warn"), (-600.0, "fail")])
def test_a_wrong_clock_is_told(site: Site, ahead: float, level: str) -> None:
    """All nodes disagree with this machine and agree with each other: it is this machine's clock."""
    (document,) = load_all([str(site.document)])
    targets = reachable(document, {**os.environ, **site.environment})
    found = asyncio.run(ask({"nas": targets}, limit_seconds=LIMIT_SECONDS, wall=lambda: time.time() + ahead))
    clocks = [each for each in found if "clock is" in each.text]
    assert [each.level for each in clocks] == ([] if level == "ok" else [level, level])
    assert all(("behind" if ahead > 0 else "ahead of") in each.text for each in clocks)
    (own,) = [each for each in found if each.area == "machine"]
    assert own.level == ("ok" if level == "ok" else "fail")


def test_a_machine_that_lacks_something() -> None:
    """A library that does not load; too few open files."""

    def without(name: str) -> object:
        if name == "asyncssh":
            raise ImportError("no module named asyncssh")
        return None

    found = list(machine(10, soft_limit=64, load=without))
    assert [(each.level, each.about) for each in found if each.level != "ok"] == [
        ("fail", "asyncssh"),
        ("warn", "open files"),
    ]
    assert "ulimit -n 296" in found[-1].remedy


def test_a_record_that_is_not_well(tmp_path: Path) -> None:
    """No record at all, a full disk, a file that is none, one that others may open."""
    path = tmp_path / "hactl.db"
    assert [each.level for each in record(path)] == ["warn"]
    path.write_text("this is no database at all, whatever its name says" * 100)
    path.chmod(0o644)
    found = list(record(path, free_bytes=1024))
    told = {(each.level, each.about) for each in found}
    assert ("fail", "room") in told
    assert ("fail", str(path)) in told
    assert any("chmod 600" in each.remedy for each in found)


def test_sources_that_cannot_be_read(site: Site, tmp_path: Path) -> None:
    """A directory that is not there, and a document that is wrong."""
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "x.yaml").write_text("kind: HACluster\n")
    status, found = told(site, "--no-nodes", "--source", str(tmp_path / "nowhere"), "--source", str(wrong))
    assert status == 1
    assert len([each for each in found if (each["level"], each["area"]) == ("fail", "source")]) == 2


def test_a_secret_that_is_missing_keeps_no_node_from_being_asked(site: Site, tmp_path: Path) -> None:
    """The nodes can be reached all the same, and that is told too."""
    text = changed(site.document.read_text(), "secrets/files.carp", "secrets/nothing.carp")
    place = tmp_path / "clusters"
    place.mkdir()
    (place / "lab").symlink_to(site.document.parent / "lab")
    (place / "nas.yaml").write_text(text)
    found, targets = references(load_all([str(place / "nas.yaml")]), {**os.environ, **site.environment})
    assert worst(found) == "fail"
    assert any("secrets/nothing.carp" in each.text for each in found)
    assert set(targets["nas"]) == {"nas-a", "nas-b"}
