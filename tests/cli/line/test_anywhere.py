"""Options where kubectl's users type them: global ones behind the command, -n, -A; colour as the terminal has it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hactl.cli.main import COMMANDS, cli
from hactl.cli.output import table
from support.api.served_record import TOKEN, Served, filled, serving
from support.command_line import say


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record with clusters."""
    path = tmp_path_factory.mktemp("anywhere") / "hactl.db"
    asyncio.run(filled(path))
    return path


@pytest.fixture(scope="module")
def served(record: Path) -> Iterator[Served]:
    """A server on it."""
    with serving(record) as found:
        yield found


def _here(record: Path) -> dict[str, str]:
    return {"HACTL_CONFIG": str(record.parent / "config.yaml")}


def test_global_options_may_stand_behind_the_command(record: Path) -> None:
    """The same answer before the name, behind it and at the end; the last one counts."""
    wanted = say("--state", str(record), "get", "nas", **_here(record))
    assert wanted[0] == 0
    for words in (
        ("get", "--state", str(record), "nas"),
        ("get", "nas", "--state", str(record), "--log-level", "error"),
        ("--state", "/nowhere", "get", "nas", "--state", str(record)),
    ):
        assert say(*words, **_here(record)) == wanted, words
    assert say("token", "list", "--state", str(record), **_here(record))[0] == 0


def test_the_server_may_stand_before_the_command(record: Path, served: Served) -> None:
    """For a command that asks one; the others say that they do not."""
    there = {**_here(record), "HACTL_TOKEN": TOKEN, "HACTL_CA": str(served.authority), "HACTL_STATE": "/nowhere/x.db"}
    wanted = say("get", "--server", served.url, **there)
    assert wanted[0] == 0
    assert say("--server", served.url, "get", **there) == wanted
    for words in (("--server", served.url, "lint", "-f", "x.yaml"), ("version", "--context", "site")):
        status, _, error = say(*words, **there)
        assert status == 64
        assert "asks no server: leave --" in error


def test_every_command_takes_them() -> None:
    """No command, and none below one, was forgotten."""

    def check(command: click.Command, parent: click.Context, name: str) -> None:
        context = click.Context(command, info_name=name, parent=parent)
        options = {word for each in command.params for word in each.opts}
        assert {"--state", "--color", "--log-level", "--server", "--context"} <= options, context.command_path
        if isinstance(command, click.Group):
            for child in command.list_commands(context):
                found = command.get_command(context, child)
                assert found is not None
                check(found, context, child)

    root = click.Context(cli, info_name="hactl")
    assert isinstance(cli, click.Group)
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        check(command, root, name)


def test_the_one_namespace_is_known_and_another_one_is_told(record: Path) -> None:
    """`-n default` changes nothing, `-A` adds a column, `-n kube-system` says that there is one."""
    here = {**_here(record), "HACTL_STATE": str(record)}
    wanted = say("get", **here)
    assert say("get", "-n", "default", **here) == wanted
    every = say("get", "-A", **here)[1].splitlines()
    assert [line.split(None, 1)[0] for line in every] == ["NAMESPACE", *["default"] * (len(every) - 1)]
    assert [line.split(None, 1)[1].split() for line in every] == [line.split() for line in wanted[1].splitlines()]
    for words in (("get",), ("describe", "nas"), ("events",), ("delete", "nas"), ("wait", "nas", "--for", "delete")):
        status, out, error = say(*words, "-n", "kube-system", **here)
        assert (status, out) == (1, "")
        assert "nothing is in the namespace kube-system: hactl has one, default" in error


def test_templates_of_a_list_and_of_one_object(record: Path) -> None:
    """As kubectl: the list is the root without a name, the object with one."""
    here = {**_here(record), "HACTL_STATE": str(record)}
    names = say("get", "-o", "jsonpath={.items[*].metadata.name}", **here)[1].split()
    assert {"nas", "fw"} <= set(names)
    assert say("get", "nas", "-o", "jsonpath={.metadata.name}", **here) == (0, "nas", "")
    lines = say("get", "-o=custom-columns=NAME:.metadata.name,MODE:.spec.mode", "--no-headers", **here)[1].splitlines()
    assert [line.split()[0] for line in lines] == names
    assert say("status", "nas", "-o", "jsonpath={[0].name}", **here)[1] == "nas"
    assert say("history", "-o", "jsonpath={[*].cluster}", **here)[1].split()
    status, _, error = say("get", "-o", "go-template={{.items}}", **here)
    assert status == 64
    assert "-o jsonpath=" in error


def test_colour_is_asked_for_anywhere_and_never_with_no_color(record: Path) -> None:
    """What is written to a file has none, unless somebody says always; the last word on the line counts."""
    here = {**_here(record), "HACTL_STATE": str(record)}
    assert "\x1b" not in say("status", **here)[1]
    assert "\x1b" in say("status", "--color", "always", **here)[1]
    assert "\x1b" in say("--color", "never", "status", "--color", "always", **here, NO_COLOR="1")[1]
    assert "\x1b" not in say("--color", "always", "status", "--color", "never", **here)[1]


def test_a_table_is_cut_to_the_width_of_a_terminal_only() -> None:
    """The last column says less, and that it does; a program gets all of it."""
    rows = [["nas", "Ready: " + "x" * 100]]
    assert table(rows, ["NAME", "WHAT"]).splitlines()[1].endswith("x" * 100)
    cut = table(rows, ["NAME", "WHAT"], width=40).splitlines()[1]
    assert len(cut) == 40
    assert cut.endswith("x...")
