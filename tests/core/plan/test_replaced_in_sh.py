"""How a file is replaced, run for real under dash: what stays of the old one, what is left when it cannot be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from hactl.core.changes.boot import RC_COPY, DisableService, MendTornFile, RemoveRcVariable, SetRcVariable
from hactl.core.changes.replace import making, replacing, text_into_new
from support.node_sh import node_says

#: sysrc(8) for one assignment: it writes a new file, as the real one does.
SYSRC = 'sed "s/^a=.*/$3/" "$2" > "$2.x" && mv "$2.x" "$2"'


def new(path: Path, mode: int | None = None) -> str:
    """Text that makes the file say `new`."""
    return replacing(str(path), *text_into_new("new"), mode=mode)


def test_mode_and_a_link_stay(tmp_path: Path) -> None:
    """The file a symbolic link points to is replaced, with its mode; the link stays a link."""
    real = tmp_path / "elsewhere" / "real.conf"
    real.parent.mkdir()
    real.write_text("old\n")
    real.chmod(0o644)
    link = tmp_path / "x.conf"
    link.symlink_to("elsewhere/real.conf")
    assert node_says(f"umask 077\n{new(link)}", tmp_path)
    assert (link.is_symlink(), real.read_text(), real.stat().st_mode & 0o777) == (True, "new\n", 0o644)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "x.conf"]
    assert [path.name for path in real.parent.iterdir()] == ["real.conf"]


def test_a_file_that_is_new(tmp_path: Path) -> None:
    """It has what umask gives, or the mode that is asked for; a rest of a power cut does not matter."""
    (tmp_path / ".hactl.new").write_text("half")
    (tmp_path / ".hactl.new").chmod(0o600)
    assert node_says(f"umask 022\n{new(tmp_path / 'x')}", tmp_path)
    assert ((tmp_path / "x").read_text(), (tmp_path / "x").stat().st_mode & 0o777) == ("new\n", 0o644)
    assert node_says(new(tmp_path / "y", 0o755), tmp_path)
    assert (tmp_path / "y").stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "y"]


@pytest.mark.parametrize(
    "broken",
    [
        {"cp": "echo 'cp: No space left on device'; return 1"},
        {"cat": "echo 'cat: stdout: No space left on device' >&2; return 1"},
        {"chmod": "return 1"},
        {"fsync": "echo 'fsync: Input/output error'; return 1"},
        {"mv": "echo 'mv: Read-only file system'; return 1"},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_what_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path, broken: dict[str, str]) -> None:
    """The step fails; the old file is whole."""
    (tmp_path / "x").write_text("old\n")
    assert not node_says(new(tmp_path / "x", 0o644), tmp_path, **broken)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "old\n")]


def test_a_directory_is_made_once_with_all_above_it(tmp_path: Path) -> None:
    """Each directory above is flushed; one that is there costs no program."""
    text = making(f"{tmp_path}/a/b/c", 0o700)
    log = tmp_path / "log"
    assert node_says(text, tmp_path, fsync=f'echo "$@" >> {log}')
    assert (tmp_path / "a/b/c").is_dir()
    assert log.read_text().split()[-3:] == [str(tmp_path), f"{tmp_path}/a", f"{tmp_path}/a/b"]
    assert node_says(text, tmp_path, fsync="exit 9", mkdir="exit 9")


def edited(command: str, place: Path, **programs: str) -> bool:
    """A change of rc.conf whose files are in that place."""
    command = command.replace(RC_COPY, f"{place}/copy").replace("/etc/", f"{place}/")
    return node_says(command, place, **{"sysrc": SYSRC, **programs})


def test_rc_conf_becomes_what_sysrc_makes_of_a_copy(tmp_path: Path) -> None:
    """In place, in the file that has the variable last; every other byte, mode and all, stays."""
    rc, local = tmp_path / "rc.conf", tmp_path / "rc.conf.local"
    rc.write_text("# mine\na=1\nb='2' # \xe9\n")
    rc.chmod(0o600)
    assert edited(SetRcVariable("a", "9").command, tmp_path)
    assert (rc.read_text(), rc.stat().st_mode & 0o777) == ("# mine\na=9\nb='2' # \xe9\n", 0o600)
    local.write_text("a=3\n")
    assert edited(DisableService("x", "a").command, tmp_path)
    assert (rc.read_text(), local.read_text()) == ("# mine\na=9\nb='2' # \xe9\n", "a=NO\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rc.conf", "rc.conf.local"]


def test_a_sysrc_that_fails_changes_nothing(tmp_path: Path) -> None:
    """Neither rc.conf nor what lies beside it."""
    (tmp_path / "rc.conf").write_text("a=1\n")
    assert not edited(SetRcVariable("a", "9").command, tmp_path, sysrc='echo garbage > "$2"; return 1')
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("rc.conf", "a=1\n")]


def test_nul_bytes_are_taken_out_and_the_torn_file_is_kept(tmp_path: Path) -> None:
    """Nothing else changes."""
    rc = tmp_path / "rc.conf"
    rc.write_bytes(b"# mine \xe9\na=1\n\0\0\0b=2\n\0\0")
    command = MendTornFile("/etc/rc.conf").command.replace("/var/db/hactl", f"{tmp_path}/kept")
    assert node_says(command.replace("/etc/", f"{tmp_path}/"), tmp_path, fsync="true")
    assert rc.read_bytes() == b"# mine \xe9\na=1\nb=2\n"
    assert (tmp_path / "kept" / "rc.conf.torn").read_bytes() == b"# mine \xe9\na=1\n\0\0\0b=2\n\0\0"


def test_a_variable_is_taken_out_of_every_file(tmp_path: Path) -> None:
    """As sysrc -x does; a file without it is not touched."""
    for name in ("rc.conf", "rc.conf.local"):
        (tmp_path / name).write_text("a=1\nb=2\n")
    out = RemoveRcVariable("a").command
    assert edited(out, tmp_path, sysrc='sed "/^$4=/d" "$2" > "$2.x" && mv "$2.x" "$2"')
    assert [(tmp_path / name).read_text() for name in ("rc.conf", "rc.conf.local")] == ["b=2\n", "b=2\n"]
    assert edited(out, tmp_path, sysrc="exit 9", mv="exit 9")
