"""What a shell completes, asked as its function asks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from hactl.cli.main import cli
from support.api.served_record import TOKEN, filled, serving
from support.command_line import VARIABLES


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record with clusters."""
    path = tmp_path_factory.mktemp("completion") / "hactl.db"
    asyncio.run(filled(path))
    return path


def complete(line: str, **environment: str) -> list[str]:
    """What a shell is offered at the end of that line."""
    words = line.split(" ")
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        found = BashComplete(cli, {}, "hactl", "_HACTL_COMPLETE").get_completions(words[:-1], words[-1])
    return [each.value for each in found]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("get n", ["namespaces", "nas"]),
        ("get hac ", ["fw", "nas"]),
        ("get haop p", ["pause-1"]),
        ("describe f", ["fw"]),
        ("history n", ["nas"]),
        ("history --kind StepB", ["StepBegun"]),
        ("why nas ", ["files"]),
        ("why-not nas-", ["nas-a", "nas-b"]),
        ("switchover nas files --to ", ["fw-1", "fw-2", "nas-a", "nas-b"]),
        ("drain --cluster nas nas-b", ["nas-b"]),
        ("pause --group ", ["gateway", "files"]),
        ("resolve nas ", ["data"]),
        ("get -n ", ["default"]),
        ("get -o y", ["yaml"]),
        ("plan -f /x", ["/x"]),
        ("lab power-off ", []),
        ("config use-context s", ["site"]),
        ("config set-context s", ["site"]),
        ("get --context ", ["site"]),
        ("get hac --state /nowhere/hactl.db ", []),
        ("get hac --server unix:/nowhere ", []),
    ],
)
def test_names_are_completed_from_where_the_command_would_ask(line: str, wanted: list[str], record: Path) -> None:
    """The record itself, contexts of the file; nothing, in silence, where nobody answers."""
    config = record.parent / "config.yaml"
    config.write_text("contexts: {site: {server: 'https://127.0.0.1:1'}}\n")
    assert complete(line, HACTL_STATE=str(record), HACTL_CONFIG=str(config)) == wanted


def test_a_server_is_asked_as_well(record: Path) -> None:
    """Over TLS, with the token of the environment."""
    with serving(record) as served:
        there = {
            "HACTL_STATE": "/nowhere/hactl.db",
            "HACTL_SERVER": served.url,
            "HACTL_TOKEN": TOKEN,
            "HACTL_CA": str(served.authority),
            "HACTL_CONFIG": str(record.parent / "none.yaml"),
        }
        assert complete("get hac n", **there) == ["nas"]
        assert complete("get hac n", **{**there, "HACTL_TOKEN": "hactl_wrong"}) == []
