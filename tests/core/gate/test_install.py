"""What belongs where: lines, rules, and the scripts that look for them and put them there, under this machine's sh."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hactl.core.gate.install import (
    DOAS_CONF,
    SUDOERS,
    Level,
    Login,
    beside_script,
    check_script,
    conditions,
    install_script,
    line_script,
    read_check,
    read_line,
    removal_script,
)
from hactl.core.gate.render import GATE
from support.limits import LIMIT_SECONDS
from support.node_sh import BASE, DASH

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGoodGoodGoodGoodGoodGoodGoodGoodGoodGoodGood"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIElseElseElseElseElseElseElseElseElseElseElse"
NONCE = "0123456789abcdef"
TEXT = "#!/bin/sh\necho gate\n"


class Home:
    """A node below a directory: its root's home, and the places of the gate and of rules."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys = root / "home/.ssh/authorized_keys"
        self.keys.parent.mkdir(parents=True)

    def run(self, script: str) -> str:
        """A script of ours, with its places below the directory."""
        places = (
            (GATE, "/gate"),
            (DOAS_CONF, "/doas.conf"),
            (SUDOERS, "/sudoers"),
            ("~hactl", "/home"),
            ("~root", "/home"),
        )
        for place, here in places:
            script = script.replace(place, f"{self.root}{here}")
        programs = {
            **BASE,
            "stat": 'o=root; [ "$2" != "%u %Lp" ] || o=0; shift 2; command stat -c "$o %a" "$@"',
            "sha256": 'shift; command sha256sum "$@" | cut -d " " -f 1',
            "id": "echo 0",
            "chroot": f'shift 8; {{ printf "%s\\n" "$programs"; cat; }} | command {DASH} "$@"',
        }  # fmt: skip
        lines = "\n".join(f"{name}() {{ {body}; }}" for name, body in programs.items())
        ran = subprocess.run([DASH, "-s"], input=f"{lines}\n{script}", capture_output=True, text=True,
                             timeout=LIMIT_SECONDS, check=False, env={**os.environ, "programs": lines})  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def missing(self, login: Login) -> list[str] | None:
        """What is not as it should be."""
        wanted = conditions(login, TEXT)
        return read_check(wanted, self.run(check_script(wanted, NONCE)), NONCE)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A node."""
    return Home(tmp_path)


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize(("user", "become"), [("root", None), ("hactl", "doas"), ("hactl", "sudo")])
def test_what_was_installed_is_there(home: Home, level: Level, user: str, become: str | None) -> None:
    """Twice is once; a line that somebody wrote for the key is replaced, all others stay."""
    login = Login(level, user, become, f"{KEY} me@here", ("192.0.2.0/24", "2001:db8::/32"))  # type: ignore[arg-type]
    home.keys.write_text(f"# mine\n{OTHER} other\n{KEY} unrestricted\n")
    for file in ("doas.conf", "sudoers"):
        (home.root / file).write_text("# rules of mine\n")
    assert home.missing(login)
    home.run(install_script(login, TEXT))
    assert home.missing(login) == []
    home.run(install_script(login, TEXT))
    assert home.missing(login) == []
    assert home.keys.read_text() == f"# mine\n{OTHER} other\n{login.line}\n".replace(GATE, f"{home.root}/gate")
    assert (home.root / "gate").exists() is (level is Level.OBSERVE)
    rules = {"doas": "doas.conf", "sudo": "sudoers"}
    for name, file in rules.items():
        assert (home.root / file).read_text().count("\n") == (2 if become == name else 1)


def test_lines_and_rules_to_the_letter() -> None:
    """As sshd(8), doas.conf(5) and sudoers(5) read them; level observe reaches the gate and nothing else."""
    look = Login(Level.OBSERVE, "hactl", "doas", KEY, ("192.0.2.9",))
    assert look.line == (
        'restrict,from="192.0.2.9",command="doas -n /usr/local/libexec/hactl/gate observe" ' + KEY + " hactl-observe"
    )
    assert look.rule == (DOAS_CONF, "permit nopass hactl as root cmd /usr/local/libexec/hactl/gate args observe")
    sudo = Login(Level.OBSERVE, "hactl", "sudo", KEY)
    assert sudo.rule == (SUDOERS, "hactl ALL=(root) NOPASSWD: /usr/local/libexec/hactl/gate observe")
    assert Login(Level.ROOT, "root", None, KEY).line == f"restrict {KEY} hactl-root"
    assert Login(Level.ROOT, "root", None, KEY).rule is None


@pytest.mark.parametrize("key", ["", "ssh-ed25519", "ssh-dss " + "A" * 68, 'command="x" ' + KEY, "ssh-ed25519 short"])
def test_what_is_no_key_is_refused(key: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="is no public key in one line"):
        Login(Level.OBSERVE, "root", None, key)


@pytest.mark.parametrize("source", ["", 'x",command="sh', "a b", "a,b", "$(x)", "a\nb"])
def test_what_is_no_place_is_refused(source: str) -> None:
    """It stands between quotes in authorized_keys."""
    with pytest.raises(ValueError, match="is no address, network"):
        Login(Level.OBSERVE, "root", None, KEY, (source,))


def test_a_key_beside_another_has_its_options_and_the_old_one_goes(home: Home) -> None:
    """Rotation: what an administrator wrote in front of the key stays."""
    line = f'restrict,from="192.0.2.1",command="{GATE} observe" {KEY} a comment'
    home.keys.write_text(f"# mine\n{line}\n")
    login = Login(Level.OBSERVE, "root", None, KEY)
    found = read_line(home.run(line_script(login, NONCE)), NONCE)
    assert found == line
    script, new = beside_script(login, found, OTHER)
    home.run(script)
    assert new == line.replace(KEY, OTHER)
    assert home.keys.read_text() == f"# mine\n{line}\n{new}\n".replace(f"{new}", new.replace(GATE, f"{home.root}/gate"))
    home.run(removal_script(login))
    assert KEY not in home.keys.read_text()
    assert OTHER in home.keys.read_text()
    assert "# mine\n" in home.keys.read_text()
    assert read_line(home.run(line_script(login, NONCE)), NONCE) == ""
    with pytest.raises(ValueError, match="another kind of key"):
        beside_script(login, "ssh-rsa AAAA", OTHER)


def test_root_writes_nothing_in_the_home_of_somebody_else() -> None:
    """A user who makes a link of authorized_keys to a file of root's would get it written, and given to him."""
    login = Login(Level.OBSERVE, "hactl", "doas", KEY)
    beside, _ = beside_script(login, login.line, OTHER)
    for script in (install_script(login, TEXT), beside, removal_script(login)):
        of_root, *rest = script.split("chroot -u hactl -g ")
        assert rest
        of_root += "".join(each.partition("\nHACTL_AS\n")[2] for each in rest)
        assert "~hactl" in script
        assert "~hactl" not in of_root
    assert "chroot" not in install_script(Login(Level.OBSERVE, "root", None, KEY), TEXT)


def test_an_answer_that_is_cut_says_nothing() -> None:
    """Neither that it is so, nor that it is not."""
    wanted = conditions(Login(Level.OBSERVE, "root", None, KEY), TEXT)
    assert read_check(wanted, f"%%hactl {NONCE} 0 yes\n", NONCE) is None
    assert read_line("", NONCE) is None
