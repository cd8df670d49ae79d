"""The command line without nodes: help, errors, exit statuses, what is imported, what is printed."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from hactl.adapters.record.sqlite.store import open_record
from hactl.cli.main import COMMANDS
from hactl.cli.output import safe, table, to_seconds
from hactl.cli.topics import EXIT_STATUSES
from hactl.core.evidence.view import View
from hactl.core.facts import Connects
from hactl.core.plan import make_plan
from hactl.core.status.cluster import Origin, cluster_status
from support.command_line import say
from support.facts.builder import NOW, healthy_pair
from support.limits import LIMIT_SECONDS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "manifests" / "examples"


def hactl(*arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a person does."""
    import os

    return subprocess.run(
        [sys.executable, "-m", "hactl", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
        env={**os.environ, **environment},
    )


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    """nas.yaml with everything it refers to."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "lab").mkdir()
    secret = tmp_path / "secrets" / "files.carp"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQyHj"
    for node in ("nas-a", "nas-b"):
        (tmp_path / "lab" / f"{node}.pub").write_text(key + "\n")
    shutil.copy(EXAMPLES / "nas.yaml", tmp_path / "nas.yaml")
    return tmp_path / "nas.yaml"


def test_help_lists_every_command_and_each_has_its_own() -> None:
    """`hactl --help` and `hactl COMMAND --help` teach."""
    text = hactl("--help").stdout
    for name in COMMANDS:
        assert name in text
        status, own, _ = say(name, "--help")
        assert status == 0
        assert "Usage: hactl" in own


@pytest.mark.parametrize(
    "arguments", [("--help",), ("status", "--help"), ("help", "exit-codes"), ("completion", "bash")]
)
def test_help_needs_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Start-up stays quick: no SSH, no database, no YAML, no pydantic for a help text."""
    script = (
        "import sys; from hactl.cli.main import run; status = run(sys.argv[1:]); "
        "bad = {'asyncssh', 'sqlite_utils', 'aiohttp', 'rich', 'ruamel.yaml', 'pydantic'} & set(sys.modules); "
        "sys.exit(f'imported {bad}' if bad else status)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_validate_needs_no_ssh_and_no_database(nas: Path) -> None:
    """Commands that need no SSH do not load it."""
    script = (
        "import sys; from hactl.cli.main import run; status = run(sys.argv[1:]); "
        "bad = {'asyncssh', 'sqlite_utils', 'rich'} & set(sys.modules); sys.exit(f'imported {bad}' if bad else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "validate", "-f", str(nas)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_valid_document_is_said_to_be_valid(nas: Path) -> None:
    """One line, exit 0."""
    done = hactl("validate", "-f", str(nas))
    assert done.returncode == 0
    assert "HACluster nas is valid" in done.stdout


def test_a_valid_document_for_unsuitable_nodes_is_warned_of(nas: Path, tmp_path: Path) -> None:
    """What the last look found is on record; no node is asked, and the document stays valid."""
    record = tmp_path / "h.db"
    scene = healthy_pair().system("nas-b", release="15.1-RELEASE").node("nas-b", connects=Connects.NEVER)
    plan = make_plan(scene.cluster, scene.snapshot, NOW)
    view = View.at(scene.cluster, scene.snapshot, NOW)

    async def remember() -> None:
        store = await open_record(record, actor="tester")
        await store.put_status("nas", cluster_status(view, plan, Origin("here"), wall=datetime.now(UTC)))
        await store.close()

    asyncio.run(remember())
    done = hactl("--state", str(record), "validate", "-f", str(nas))
    assert done.returncode == 0
    assert "warning: as seen at " in done.stderr
    assert "the hastd of FreeBSD 15.1-RELEASE on nas-b never connects" in done.stderr
    assert "leave nas-a on the release it has" in done.stderr
    record.write_text("not a record\n")
    done = hactl("--state", str(record), "validate", "-f", str(nas))
    assert done.returncode == 0
    assert "what the last look found is not known" in done.stderr


BAD: list[tuple[str, str, str]] = [
    ("empty", "", "empty"),
    ("not YAML", "a: [1, 2\n", "not yaml"),
    ("a tab", "spec:\n\tnodes: []\n", "tab"),
    ("another kind", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", "kind"),
    ("a duplicate key", "kind: HACluster\nkind: HACluster\n", "twice"),
    ("a bomb", "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)), "alias"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "word"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_bad_documents_are_refused_in_words(text: str, word: str, tmp_path: Path) -> None:
    """A message with the file's name, exit 1, no traceback; the same for every command that reads documents."""
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    for command in ("validate", "plan", "apply"):
        done = hactl("--state", str(tmp_path / "h.db"), command, "-f", str(file))
        assert done.returncode == 1, done
        assert "bad.yaml" in done.stderr
        assert word in done.stderr.lower()
        assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "h.db").exists(), "a refused document leaves no record"


def test_every_problem_is_shown_at_once_with_its_place(nas: Path) -> None:
    """file:line:column for each."""
    nas.write_text(nas.read_text().replace("vhid: 80", "vhid: 800").replace("mountpoint:", "mountpiont:"))
    done = hactl("validate", "-f", str(nas))
    lines = done.stderr.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith(f"{nas}:") for line in lines)
    assert any("did you mean mountpoint" in line for line in lines)


def test_a_missing_secret_names_the_field_and_the_file(nas: Path) -> None:
    """Never the secret."""
    (nas.parent / "secrets" / "files.carp").unlink()
    done = hactl("validate", "-f", str(nas))
    assert done.returncode == 1
    assert "passwordFrom" in done.stderr
    assert "files.carp" in done.stderr


def test_documents_come_from_standard_input(nas: Path) -> None:
    """-f -"""
    done = hactl("validate", "--offline", "-f", "-", stdin=nas.read_text())
    assert done.returncode == 0, done.stderr


def test_a_mistyped_command_gets_a_hint() -> None:
    """Exit 64 and the nearest command."""
    done = hactl("staus")
    assert done.returncode == 64
    assert "did you mean status" in done.stderr


def test_explain_and_its_mistakes() -> None:
    """A field, its fields, and a hint for a wrong one."""
    assert "virtualIPs" in hactl("explain", "HACluster.spec.groups").stdout
    wrong = hactl("explain", "HACluster.spec.gruops")
    assert wrong.returncode == 1
    assert "groups" in wrong.stderr


def test_status_and_history_without_a_record_say_what_to_do(tmp_path: Path) -> None:
    """Not an empty table: a sentence."""
    for command in ("status", "history"):
        done = hactl("--state", str(tmp_path / "none.db"), command)
        assert done.returncode == 1
        assert "no record" in done.stderr


def test_a_corrupt_record_is_named_and_left_alone(tmp_path: Path) -> None:
    """The file, what to do, and not a byte changed."""
    file = tmp_path / "broken.db"
    file.write_bytes(b"this is no database" * 100)
    before = file.read_bytes()
    done = hactl("--state", str(file), "status")
    assert done.returncode == 1
    assert str(file) in done.stderr
    assert file.read_bytes() == before


def test_the_lab_that_does_not_run_is_no_traceback(tmp_path: Path) -> None:
    """`hactl lab status` without a lab."""
    done = hactl("lab", "status", HACTL_LAB=str(tmp_path))
    assert done.returncode == 1
    assert "lab" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "sh", "csh"])
def test_completion_is_printed(shell: str) -> None:
    """Something for every shell."""
    done = hactl("completion", shell)
    assert done.returncode == 0
    assert "hactl" in done.stdout


def test_exit_statuses_are_documented() -> None:
    """The table is what `hactl help exit-codes` prints."""
    text = hactl("help", "exit-codes").stdout
    for number in EXIT_STATUSES:
        assert f"{number}  " in text


def test_a_closed_pipe_is_quiet() -> None:
    """`hactl explain | head -1` prints no complaint."""
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" -m hactl explain HACluster.spec.groups --recursive | head -1', sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


def test_every_generated_file_is_fresh() -> None:
    """`make gen` was run after the last change. In a process of its own: a command keeps the first option for help that
    another test asked it for."""
    done = subprocess.run(
        [sys.executable, "-m", "hactl.cli.generated", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_version() -> None:
    """--version."""
    assert hactl("--version").stdout.startswith("hactl")


def test_plan_of_unreachable_nodes_says_so(nas: Path, tmp_path: Path) -> None:
    """Nobody listens there: held with the reason, exit 1 (not "nothing to do": nobody knows), no traceback."""
    text = nas.read_text().replace("port: 2221", "port: 1").replace("port: 2222", "port: 1")
    nas.write_text(
        text.replace(
            "host: 127.0.0.1\n        port: 1\n        user: root\n        hostKeyFrom: {file: lab/nas-b",
            "host: 127.0.0.2\n        port: 1\n        user: root\n        hostKeyFrom: {file: lab/nas-b",
        )
    )
    done = hactl("--state", str(tmp_path / "h.db"), "plan", "-f", str(nas), "-o", "json")
    assert "Traceback" not in done.stderr
    holds = {hold["reason"] for hold in json.loads(done.stdout)[0]["holds"]}
    assert "NodeSilent" in holds
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("a\x1b[31mred", "a\\u001b[31mred"), ("a\tb\nc", "a       b\nc"), ("bell\x07", "bell\\u0007")],
)
def test_what_a_node_prints_plays_no_tricks_on_a_terminal(text: str, shown: str) -> None:
    """Control characters of a node's output are shown, not obeyed; lines stay lines."""
    assert safe(text) == shown


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400)])
def test_durations(text: str, seconds: float) -> None:
    """A number with s, m or h."""
    assert to_seconds(click.Context(click.Command("x")), click.Option(["--x"]), text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5s", "5d", "ten", "1e9", "nan", "inf"])
def test_wrong_durations_are_refused_in_words(text: str) -> None:
    """Before anything is done, exit 64."""
    with pytest.raises(click.BadParameter, match="is no duration"):
        to_seconds(click.Context(click.Command("x")), click.Option(["--x"]), text)


def test_a_table_is_aligned_whatever_its_colours() -> None:
    """Colour codes take no room."""
    lines = table([[click.style("a", fg="red"), "1"], ["bbb", "2"]], ["N", "V"]).splitlines()
    assert [click.unstyle(line) for line in lines] == ["N     V", "a     1", "bbb   2"]


def test_version_is_what_a_report_needs() -> None:
    """hactl, Python, and the libraries."""
    done = hactl("version")
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines()} >= {"hactl", "python", "asyncssh", "pydantic"}


@pytest.mark.parametrize(
    ("words", "completed"),
    [("hactl st", "status"), ("hactl apply --ti", "--timeout"), ("hactl lab power-", "power-on")],
)
def test_completion_completes(words: str, completed: str) -> None:
    """What the shell asks for through the environment is answered."""
    done = hactl(_HACTL_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
    assert f"plain,{completed}" in done.stdout


def test_logs_are_json_when_nobody_watches(tmp_path: Path) -> None:
    """`run` on an empty directory: one JSON object a line on standard error, SIGTERM ends it with 0."""
    (tmp_path / "clusters").mkdir()
    command = [sys.executable, "-m", "hactl", "--state", str(tmp_path / "h.db"), "run", "--source"]
    process = subprocess.Popen([*command, str(tmp_path / "clusters")], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told: list[dict[str, str]] = []
    while not told or "controller started" not in told[-1]["message"]:
        told.append(json.loads(process.stderr.readline()))
    assert {each["level"] for each in told} == {"info"}
    second = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS
    )
    assert second.returncode == 1
    assert "another controller runs on this database: hactl" in second.stderr
    process.terminate()
    _, rest = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0
    assert [json.loads(line)["message"] for line in rest.splitlines()][-1] == "controller stopped"
