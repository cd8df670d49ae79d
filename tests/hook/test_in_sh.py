"""The hook under the shells of this machine (dash, /bin/sh) against small programs that stand in for the base system's.

What it does on a whole node is tested in the lab's shell; this is the same text in the family of shells FreeBSD's sh
belongs to. The text is the one that is rendered, but for its directories and the search path.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hactl.core.cluster import Cluster
from hactl.core.hook.render import HOOK, hook_files
from support.lab.closed_loop import example
from support.limits import LIMIT_SECONDS

SHELLS = sorted({"/bin/sh", shutil.which("dash") or "/bin/sh"})
#: Program -> its body. Each notes how it was called and keeps what it is asked for in a file of $ROOT.
PROGRAMS = {
    "ifconfig": """
case "$*" in
*advskew*) echo "${5}" >"$ROOT/advskew" ;;
*) [ ! -f "$ROOT/carp" ] || echo "	carp: $(cat "$ROOT/carp") vhid 80 advbase 1 advskew $(cat "$ROOT/advskew")" ;;
esac""",
    "hastctl": """
case "$1 $2" in
'list '*) printf 'data:\\n  role: %s\\n  dirty: 0 (0B)\\n' "$(cat "$ROOT/role")"; cat "$ROOT/status" 2>/dev/null ;;
'role primary') echo primary >"$ROOT/role"; mkdir -p "$ROOT/dev/hast"; ln -sf /dev/null "$ROOT/dev/hast/data" ;;
role*) echo "$2" >"$ROOT/role"; rm -f "$ROOT/dev/hast/data" ;;
esac""",
    "mount": """
if [ $# -eq 0 ]; then cat "$ROOT/mounts"; exit; fi
while [ $# -gt 2 ]; do shift 2; done
echo "$1 on $2 (ufs, local)" >"$ROOT/mounts\"""",
    "umount": ': >"$ROOT/mounts"',
    "service": """
case "$2" in
onestart) : >"$ROOT/running" ;;
onestop) rm -f "$ROOT/running" ;;
onestatus) [ -f "$ROOT/running" ] ;;
esac""",
    "sysctl": """
case "$*" in
*carp.allow=*) echo "${1#*=}" >"$ROOT/allow" ;;
*carp.allow) cat "$ROOT/allow" ;;
*kern.boottime) echo '{ sec = 1000, usec = 0 } Thu Jan  1 00:16:40 1970' ;;
*=*) echo $(($(cat "$ROOT/demotion") + ${1#*=})) >"$ROOT/demotion" ;;
*) cat "$ROOT/demotion" ;;
esac""",
    "lockf": """
while case "$1" in -t) shift ;; -*) ;; *) false ;; esac; do shift; done
shift
exec "$@\"""",
    "env": """
while case "$1" in -L) shift ;; -i | *=*) ;; *) false ;; esac; do shift; done
exec "$@\"""",
    "ping": "exit 1",
    **dict.fromkeys(("fsck", "fsync", "kldload", "logger", "nc", "sha256", "sleep"), ":"),
}


@dataclass
class Node:
    """nas-b: its files and stand-ins below a directory."""

    root: Path
    shell: str

    def call(self, *words: str, status: int = 0) -> str:
        """Run the hook; its standard output. Standard error must stay empty."""
        done = subprocess.run(
            [self.shell, self.root / "hook", *words], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
        assert done.returncode == status, done
        assert status or done.stderr == ""
        return done.stdout

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.root / name.replace("__", ".")).write_text(f"{text}\n" if text else "")

    def note(self, name: str, text: str = "") -> None:
        """A note of the hook's in /var/db/hactl."""
        (self.root / "notes" / name).write_text(f"{text}\n")

    @property
    def notes(self) -> set[str]:
        return {path.name for path in (self.root / "notes").iterdir()}

    @property
    def changes(self) -> list[str]:
        """The commands that changed something, in order."""
        told = re.compile(r"hastctl role|mount -t|umount|fsck|service \w+ one(?!status)|ifconfig .*advskew|sysctl .*=")
        lines = (self.root / "log").read_text().replace(str(self.root), "").splitlines()
        return [line for line in lines if told.match(line)]

    @property
    def last_move(self) -> str:
        """What the last line of /var/db/hactl/moves says, but for the times in it."""
        return (self.root / "notes" / "moves").read_text().splitlines()[-1].partition(" ")[2]


@pytest.fixture(params=SHELLS, ids=lambda path: Path(path).name)
def node(tmp_path: Path, request: pytest.FixtureRequest) -> Node:
    """Standing by: BACKUP, secondary, nothing mounted, nothing running."""

    def below(data: dict[str, Any]) -> None:
        data["spec"]["groups"][0]["storage"][0]["filesystem"]["ufs"]["mountpoint"] = f"{tmp_path}/data"

    files = hook_files(Cluster(example("nas", below)), "nas-b")
    text = next(file.text for file in files if file.path == HOOK)
    for old, new in (
        (
            "PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin",
            f"PATH={tmp_path}/programs:/usr/bin:/bin",
        ),
        ("PATH=/sbin:/bin:/usr/sbin:/usr/bin\n", f"PATH={tmp_path}/programs:/usr/bin:/bin\n"),
        ("/etc/rc.d /usr/local/etc/rc.d;", f"{tmp_path}/rc.d;"),
        ("STATE=/var/db/hactl", f"STATE={tmp_path}/notes"),
        ("LOCK=/var/run/", f"LOCK={tmp_path}/run/"),
        ("RUN=/var/run/", f"RUN={tmp_path}/run/"),
        ("RULE=/", f"RULE={tmp_path}/"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    text = text.replace("/dev/hast/", f"{tmp_path}/dev/hast/").replace("/bin/sh ", f"{request.param} ")
    for directory in ("notes", "run", "programs", "data"):
        (tmp_path / directory).mkdir()
    for name, body in PROGRAMS.items():
        program = tmp_path / "programs" / name
        program.write_text(f'#!{request.param}\nROOT={tmp_path}\necho "{name} $*" >>"$ROOT/log"\n{body}\n')
        program.chmod(0o755)
    made = Node(tmp_path, request.param)
    made.write(hook=text, carp="BACKUP", advskew="100", role="secondary", mounts="", demotion="0", allow="1", log="")
    return made


def test_it_takes_over_what_is_known_to_be_complete(node: Node) -> None:
    """Role, check, mount, service, advskew, in the document's order; it says how long each took."""
    node.note("confirmed.data")
    node.note("disconnected.data", str(2**40))
    node.write(carp="MASTER")
    node.call("react")
    assert node.changes == [
        "hastctl role primary data",
        "ifconfig vtnet1 vhid 80 advskew 0",
        "fsck -p -t ufs /dev/hast/data",
        "mount -t ufs -o noatime /dev/hast/data /data",
        "service nfsd onestart",
    ]
    assert re.fullmatch(r"files took-by-hand \d+ peer \d+ role \d+ filesystem \d+ services \d+ of 1/1", node.last_move)
    assert node.notes == {"alone.data", "moves"}
    assert "addresses MASTER, serving" in node.call("status")


def test_it_does_not_take_over_what_may_be_old(node: Node) -> None:
    """I4: without the note nothing is changed, and it says why."""
    node.write(carp="MASTER")
    node.call("react")
    assert node.changes == []
    assert node.last_move.endswith("the copy of data is not known to be complete; hactl or a person decides")


def answers(node: Node, words: str, status: int) -> None:
    """What the script of the service says when it is asked, as soon as it was started."""
    program = node.root / "programs" / "service"
    text = program.read_text()
    assert "onestatus) [ -f" in text
    started = f'if [ -f "$ROOT/running" ]; then printf "%b" "{words}"; exit {status}; fi; exit 1'
    text = text.replace('[ -f "$ROOT/running" ] ;;', f"{started} ;;")
    program.write_text(text.replace('onestart) : >"$ROOT/running" ;;', 'onestart) : >"$ROOT/running"; echo started ;;'))


def test_a_service_of_several_daemons_runs_while_one_of_them_does(node: Node) -> None:
    """`onestatus` of samba_server asks winbindd too, which is switched off."""
    node.write(carp="MASTER", role="primary", mounts=f"{node.root}/dev/hast/data on {node.root}/data (ufs, local)")
    (node.root / "dev/hast").mkdir(parents=True)
    (node.root / "dev/hast/data").symlink_to("/dev/null")
    answers(node, "smbd is running as pid 805.\\nwinbindd is not running.\\n", 1)
    node.call("react")
    assert node.changes[-1] == "service nfsd onestart"
    assert " of 1/1" in node.last_move
    assert "addresses MASTER, serving" in node.call("status")


def test_a_service_nobody_can_tell_about_is_started_and_named(node: Node) -> None:
    """A script without a status: it is started, and nobody is told that it runs."""
    node.note("confirmed.data")
    node.note("disconnected.data", str(2**40))
    node.write(carp="MASTER")
    answers(node, "nfsd: unknown directive 'onestatus'.\\n", 1)
    node.call("react", status=1)
    assert node.changes[-1] == "service nfsd onestart"
    assert "service nfsd does not start: nobody can tell, so name a check in the document; started" in node.last_move


def test_it_gives_up_in_order(node: Node) -> None:
    """I2: service, filesystem, role; the copy is known to be given up in order."""
    (node.root / "dev/hast").mkdir(parents=True)
    (node.root / "dev/hast/data").symlink_to("/dev/null")
    node.write(role="primary", mounts=f"{node.root}/dev/hast/data on {node.root}/data (ufs, local)", running="")
    node.write(advskew="0", status="  status: complete")
    node.call("react")
    assert node.changes == [
        "service nfsd onestop",
        "umount /dev/hast/data",
        "hastctl role secondary data",
        "ifconfig vtnet1 vhid 80 advskew 100",
    ]
    assert re.fullmatch(r"files gave \d+ ?", node.last_move)
    assert node.notes == {"released.data", "moves"}


def test_a_boot_is_held_back_once_and_released(node: Node) -> None:
    """Before the network: notes of an earlier boot are void, the demotion is added and taken back as it was."""
    (node.root / "carp").unlink()
    for name in ("confirmed.data", "alone.data"):
        node.note(name)
    node.call("guard")
    assert (node.root / "allow").read_text() == "0\n"
    node.call("guard")
    assert (node.root / "demotion").read_text() == "240\n"
    assert node.notes == set()
    node.call("release")
    assert (node.root / "demotion").read_text() == "0\n"
    assert (node.root / "allow").read_text() == "1\n"
    assert not (node.root / "run/hactl.held").exists()


def test_what_hastd_says_makes_notes_void(node: Node) -> None:
    """A connection, and a change of the role by others; a primary notes since when it writes alone."""
    node.note("confirmed.data")
    node.call("connect", "data")
    assert node.notes == set()
    node.write(role="primary")
    node.call("disconnect", "data")
    assert node.notes == {"alone.data"}
    node.call("role", "data", "primary", "secondary")
    assert node.notes == set()


def test_a_word_it_does_not_know(node: Node) -> None:
    """The usage, and sysexits' 64; without a word it tells how things are."""
    assert node.call("dance", status=64) == ""
    assert node.call().startswith("files: policy Automatic, addresses BACKUP, not serving\n")
