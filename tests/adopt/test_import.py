"""`hactl import --from`: what is printed, written and never written over."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hactl.core.parse.hastconf import HastConf, parse_hastconf
from support.command_line import say

SEED = Path(__file__).resolve().parent / "seed"
FROM = [
    word
    for node in ("first", "second")
    for word in ("--from", f"{SEED / f'rc.conf.{node}'},{SEED / 'hast.conf'}")
]  # fmt: skip
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQyHj"


def test_the_seed_gives_a_document_on_standard_output_and_findings_beside_it(tmp_path: Path) -> None:
    """The document is valid as it is printed; the password is nowhere, and it is said where it belongs."""
    status, out, error = say("import", *FROM)
    assert status == 0
    assert f"{SEED}/rc.conf.second:2: 192.0.2.2 is on vhid 2 here and on vhid 1 on first" in error
    assert "put the CARP password into secrets/vhid-1.carp beside the document" in error
    assert "mypassword" not in out + error
    assert "ssh-keygen -lf" in out
    (tmp_path / "pair.yaml").write_text(out)
    status, out, error = say("validate", "--offline", "-f", str(tmp_path / "pair.yaml"))
    assert (status, error) == (0, "")
    assert "HACluster pair is valid (nodes first, second; groups main)" in out


def test_a_document_in_a_file_has_its_passwords_beside_it(tmp_path: Path) -> None:
    """0600 in a directory of 0700; with the host keys, the only thing nobody can know, it is valid as a whole."""
    target = tmp_path / "clusters" / "web.yaml"
    target.parent.mkdir()
    status, out, error = say("import", *FROM, "--name", "web", "-o", str(target))
    assert (status, out) == (0, "")
    assert "mypassword" not in error + target.read_text()
    secret = target.parent / "secrets" / "vhid-1.carp"
    assert secret.read_text() == "mypassword\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in target.parent.iterdir()) == ["secrets", "web.yaml"]
    (target.parent / "keys").mkdir()
    for node in ("first", "second"):
        (target.parent / "keys" / f"{node}.pub").write_text(KEY + "\n")
    status, out, error = say("validate", "-f", str(target))
    assert status == 0, error
    assert "HACluster web is valid" in out


@pytest.mark.parametrize("there", ["web.yaml", "secrets/vhid-1.carp"])
def test_nothing_is_written_over_without_force(tmp_path: Path, there: str) -> None:
    """Neither the document nor a secret, and then nothing at all; with --force both."""
    old = tmp_path / there
    old.parent.mkdir(exist_ok=True)
    old.write_text("old\n")
    status, _, error = say("import", *FROM, "-o", str(tmp_path / "web.yaml"))
    assert status == 1
    assert f"{old}: there already; --force writes over what is there" in error
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [old]
    assert old.read_text() == "old\n"
    assert say("import", *FROM, "-o", str(tmp_path / "web.yaml"), "--force")[0] == 0
    assert old.read_text() != "old\n"
    assert stat.S_IMODE((tmp_path / "secrets" / "vhid-1.carp").stat().st_mode) == 0o600


def test_too_little_gives_no_document(tmp_path: Path) -> None:
    """What is missing is said; nothing is printed or written."""
    target = tmp_path / "x.yaml"
    status, out, error = say(
        "import", "--from", str(SEED / "rc.conf.first") + "," + str(SEED / "hast.conf"), "-o", str(target)
    )
    assert (status, out) == (1, "")
    assert "HAST replicates between two nodes, this cluster has 1" in error
    assert not target.exists()
    empty = tmp_path / "rc.conf"
    empty.write_text("")
    status, out, error = say("import", "--from", str(empty))
    assert (status, out) == (1, "")
    assert "no file names a CARP vhid with an address, or a HAST resource with its disk" in error


def test_what_cannot_be_read_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    """A file that is not there, a directory, no file at all, and bytes that are no text."""
    status, _, error = say("import", "--from", str(tmp_path / "nowhere"))
    assert (status, error) == (1, f"hactl: {tmp_path / 'nowhere'} cannot be read: No such file or directory\n")
    assert say("import", "--from", str(tmp_path))[0] == 1
    assert say("import")[0] == 64
    (tmp_path / "rc.conf").write_bytes(b"\xff\xfe\0ifconfig_em0=\x1b[2J")
    status, _, error = say("import", "--from", str(tmp_path / "rc.conf"))
    assert status == 1
    assert "\x1b" not in error


def test_the_document_of_the_seed_renders_the_right_files(tmp_path: Path) -> None:
    """From mistakes to hast.conf, rc.conf, rc.conf.d/netif and sysctl.conf that are right, on both nodes."""
    (tmp_path / "pair.yaml").write_text(say("import", *FROM)[1])
    texts = [say("render", node, "--system", "-f", str(tmp_path / "pair.yaml"))[1] for node in ("first", "second")]
    conf = parse_hastconf(texts[0].partition("# --- /etc/rc.conf")[0])
    assert isinstance(conf, HastConf)
    on = conf.resources["data"].nodes
    assert [(name, each.local, each.remote) for name, each in on.items()] == [
        ("first", "/dev/ad4s1", "192.0.2.3:8457"),
        ("second", "/dev/ad4s1", "192.0.2.1:8457"),
    ]
    for text, advskew in zip(texts, (0, 100), strict=True):
        line = f'inet 192.0.2.2/24 vhid 1 advbase 1 advskew {advskew} pass ${{HACTL_PASS_1}}"\n'
        assert f'ifconfig_em0_alias100="{line}' in text
        assert 'kld_list="carp"\nhastd_enable="YES"\nhactl_node_enable="YES"\n' in text
        assert "net.inet.carp.preempt=1\n" in text
        assert "mypassword" not in text
    hook = say("render", "second", "-f", str(tmp_path / "pair.yaml"))[1]
    assert "1/em0/0/100/" in hook
