"""`hactl lint` as a person and as CI run it: what is printed, the exit status, and what is not touched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hactl.adapters.sources.files import load_with_places
from hactl.core.lint.check import lint
from hactl.core.lint.codes import Code
from hactl.core.lint.finding import Subject
from support.command_line import say
from support.documents import EXAMPLES, NAS, write_pairs

SECRET = "abc-1"


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    """nas.yaml alone, with a witness pair so that nothing is found in it but what it refers to."""
    file = tmp_path / "nas.yaml"
    file.write_text(NAS.replace("  mode: Apply\n", "  mode: Apply\n  failover: {witness: [192.0.2.1, 192.0.2.2]}\n"))
    return file


def test_the_examples_are_clean() -> None:
    """Nothing worse than info in what people copy; both together, and one by one."""
    for arguments in (("-f", str(EXAMPLES)), *(("-f", str(file)) for file in EXAMPLES.glob("*.yaml"))):
        status, out, err = say("lint", *arguments)
        assert status == 0, out
        assert "error" not in err
        assert "warning" not in err


def test_findings_are_lines_and_make_the_status(nas: Path) -> None:
    """One line each, sorted; --fail-on says what counts."""
    status, out, err = say("lint", "--offline", "-f", str(nas))
    assert (status, out, err) == (0, "", "no findings in 1 document\n")
    nas.write_text(nas.read_text().replace("advbase: 1", "advbase: 9").replace("mode: Apply", "mode: Observe"))
    status, out, err = say("lint", "--offline", "-f", str(nas))
    assert status == 1
    lines = out.splitlines()
    assert lines[0].startswith(f"{nas}:9:9: HL405 info: spec.mode: ")
    assert lines[1].startswith(f"{nas}:33:20: HL109 warning: spec.groups[0].virtualIPs[0].advbase: ")
    assert err == "2 findings in 1 document: 1 warning, 1 info\n"
    wanted = {"error": 0, "warning": 1, "info": 1}
    assert {limit: say("lint", "--offline", "-f", str(nas), "--fail-on", limit)[0] for limit in wanted} == wanted


def test_codes_are_selected_and_ignored(nas: Path) -> None:
    """By code or beginning, with commas or again; what was left out does not count."""
    nas.write_text(nas.read_text().replace("advbase: 1", "advbase: 9").replace("mode: Apply", "mode: Observe"))

    def codes(*options: str) -> tuple[int, list[str]]:
        status, out, _ = say("lint", "--offline", "-f", str(nas), "-o", "json", *options)
        return status, [each["code"] for each in json.loads(out)]

    assert codes() == (1, ["HL405", "HL109"])
    assert codes("--select", "HL1") == (1, ["HL109"])
    assert codes("--select", "HL2", "--select", "HL405") == (0, ["HL405"])
    assert codes("--ignore", "HL109,HL3") == (0, ["HL405"])
    assert codes("--select", "HL", "--ignore", "HL109") == (0, ["HL405"])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ((), "name documents with -f"),
        (("-f", "x.yaml", "--select", "HL999"), "there is no code HL999"),
        (("-f", "x.yaml", "--ignore", "HA003"), "HA003 keeps a document from being loaded"),
        (("-f", "x.yaml", "--fail-on", "never"), "--fail-on"),
        (("x.yaml",), "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line_is_64(options: tuple[str, ...], word: str) -> None:
    """And says what is wrong."""
    status, _, err = say("lint", *options)
    assert status == 64
    assert word in err


def test_what_cannot_be_loaded_is_found_as_validate_finds_it(nas: Path, tmp_path: Path) -> None:
    """The same words with a code, the same status, whatever is selected; the other documents are looked at."""
    (tmp_path / "bad.yaml").write_text(
        nas.read_text().replace("name: nas\n", "name: bad\n").replace("vhid: 80", "vhid: 800")
    )
    missing = str(tmp_path / "missing.yaml")
    given = ("--offline", "-f", str(tmp_path), "-f", missing)
    status, _, told = say("validate", *given)
    assert status == 1
    lint_status, out, _ = say("lint", *given, "--select", "HL405", "--fail-on", "error")
    assert lint_status == 1
    assert [
        line.replace("HA001 error: ", "").replace("HA002 error: ", "") for line in out.splitlines()
    ] == told.splitlines()
    assert f"{missing}: HA001 error: no such file or directory" in out


def test_documents_come_from_standard_input(nas: Path) -> None:
    """`-f -`, a place in <stdin>."""
    done = subprocess.run(
        [sys.executable, "-m", "hactl", "lint", "--offline", "-f", "-"],
        input=nas.read_text().replace("advbase: 1", "advbase: 9"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("<stdin>:33:20: HL109 warning: ")


def test_secrets_are_judged_where_they_are_and_never_shown(nas: Path) -> None:
    """Absent is an info; what rc(8) breaks is an error; open to others is a warning; --offline looks at nothing."""

    def codes(*options: str) -> dict[str, str]:
        _, out, err = say("lint", "-f", str(nas), "-o", "json", *options, HACTL_IDENTITY="")
        assert SECRET not in out + err
        return {each["path"]: each["code"] for each in json.loads(out)}

    field = "spec.groups[0].virtualIPs[0].passwordFrom"
    assert codes()[field] == "HL701"
    (nas.parent / "secrets").mkdir()
    secret = nas.parent / "secrets" / "files.carp"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    assert codes()[field] == "HL704"
    secret.write_text("s3cret")
    assert field not in codes()
    secret.chmod(0o604)
    assert codes()[field] == "HL703"
    keys = nas.parent / "lab"
    keys.mkdir()
    (keys / "nas-a.pub").write_text("ssh-ed25519 AAAA")
    assert codes()["spec.nodes[0].ssh.hostKeyFrom"] == "HL702"
    assert codes()["spec.nodes[1].ssh.hostKeyFrom"] == "HL701"
    assert codes("--offline") == {}


def test_sarif_and_json_are_whole_without_findings(nas: Path) -> None:
    """Programs read standard output alone."""
    status, out, err = say("lint", "--offline", "-f", str(nas), "-o", "sarif")
    assert (status, err) == (0, "")
    assert json.loads(out)["runs"][0]["results"] == []
    assert say("lint", "--offline", "-f", str(nas), "-o", "json") == (0, "[]\n", "")


def test_the_list_has_every_code() -> None:
    """Without documents."""
    status, out, _ = say("lint", "--list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == [str(code) for code in Code]


def test_no_record_and_no_ssh_is_needed(nas: Path) -> None:
    """It is a matter of documents: it starts quickly in CI."""
    script = (
        "import sys; from hactl.cli.main import run; run(sys.argv[1:]); "
        "bad = {'asyncssh', 'sqlite_utils', 'aiohttp'} & set(sys.modules); "
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    record = nas.parent / "hactl.db"
    command = [sys.executable, "-c", script, "--state", str(record), "lint", "-f", str(nas)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not record.exists()


def _subjects(place: Path) -> list[Subject]:
    state, trees = load_with_places([str(place)])
    assert state.problems == ()
    return [Subject(each.cluster, each.file, trees[name].at, each.directory) for name, each in state.documents.items()]


def test_rules_cost_less_than_reading_and_grow_with_the_documents(tmp_path: Path) -> None:
    """Ratios of processor time in one process: all rules over a site are cheaper than loading it, and twice as many
    documents are not four times as dear.
    """
    small, large = _subjects(write_pairs(tmp_path / "small", 20)), []
    began = time.process_time()
    large = _subjects(write_pairs(tmp_path / "large", 80))
    loading = time.process_time() - began

    def cost(subjects: list[Subject]) -> float:
        times = []
        for _ in range(3):
            began = time.process_time()
            assert {each.code for each in lint(subjects)} == {Code.NO_WITNESS}
            times.append(time.process_time() - began)
        return min(times)

    assert cost(large) < loading
    assert cost(large) < 10 * cost(small)


def test_one_file_twice_is_one_document(nas: Path, tmp_path: Path) -> None:
    """A directory and a file of it: no cluster conflicts with itself."""
    assert say("lint", "--offline", "-f", str(nas), "-f", str(tmp_path))[0] == 0
    shutil.copy(nas, tmp_path / "copy.yaml")
    status, out, _ = say("lint", "--offline", "-f", str(tmp_path))
    assert status == 1
    assert out.count("HA003 error: metadata.name: ") == 2
