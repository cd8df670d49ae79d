"""The audit's own reading of sh text: what would run is found, what is not understood is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hactl.core.audit.effects import (
    CreatesMetadata,
    Ifconfig,
    LoadsModule,
    MakesFilesystem,
    RunsService,
    SetsRole,
    Unmounts,
    WritesFile,
    Zpool,
)
from hactl.core.audit.reader.hastconf import meaning
from hactl.core.audit.reader.lexer import Unreadable, clear_passwords, read_commands
from hactl.core.audit.reader.programs import read_effects
from hactl.core.sh import quote
from hactl.core.steps import Check, Risk
from hactl.core.verbs import Verb
from support.facts.audit_plans import complaints, says, step
from support.facts.builder import healthy_pair, nas_cluster


@pytest.mark.parametrize(
    ("text", "effects"),
    [
        ("kldload -n carp", [LoadsModule("carp")]),
        ("hastctl role primary 'data'", [SetsRole("primary", ("data",))]),
        ("timeout -k 5 30 hastctl create -m 1024 data", [CreatesMetadata(("data",), 1024)]),
        ("if true; then umount -f /data; fi", [Unmounts("/data", force=True)]),
        ("x=$(hastctl create data)", [CreatesMetadata(("data",))]),
        ('echo "$(service hastd onestop)"', [RunsService("hastd", "onestop")]),
        ("case $x in a) newfs /dev/da0 ;; b) : ;; esac", [MakesFilesystem("/dev/da0")]),
        ("go() { zpool export tank; }\ngo", [Zpool("export", "tank")]),
        ("f=/etc/hast.conf; cat x > $f", [WritesFile("/etc/hast.conf", "redirection")]),
        ('new=$(mktemp /etc/x.XXXXXX) && mv -f "$new" /etc/x', [WritesFile("/etc/x", "mv")]),
        ("sysctl -n net.inet.carp.preempt", []),
        ("hastctl list data | grep -q primary", []),
        ("ifconfig -k vtnet1", []),
        ("# newfs /dev/da0", []),
        ("echo 'newfs /dev/da0; umount /'", []),
        ("cat <<'END'\nnewfs /dev/da0\nEND\n", []),
        (
            'ifconfig vtnet1 inet6 2001:db8::1/64 vhid 3 advskew 9 pass "$HACTL_PASS_1" alias',
            [Ifconfig("vtnet1", "2001:db8::1", 64, 3, None, 9, "HACTL_PASS_1", alias=True)],
        ),
    ],
)
def test_what_a_text_would_do(text: str, effects: list[object]) -> None:
    """Every command that could run is read, wherever it stands; quoted and commented text is not run."""
    assert list(read_effects(text)) == effects


@pytest.mark.parametrize(
    "text",
    [
        "eval 'newfs /dev/da0'",
        "sh -c 'newfs /dev/da0'",
        "`newfs /dev/da0`",
        "$x /dev/da0",
        "xargs newfs",
        "reboot",
        "newfs $device",
        'hastctl role primary "$name"',
        "ifconfig vtnet1 down",
        "ifconfig vtnet1 vhid 80 advskew x",
        "hastctl role -c /tmp/h primary data",
        "sed -i '' s/a/b/ $file",
        "awk 'BEGIN { system(\"newfs /dev/da0\") }'",
        "zpool destroy tank",
        "mount -a",
        "echo 'no end",
        "gpart destroy vtbd1",
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(Unreadable):
        read_effects(text)


@given(st.text(st.characters(blacklist_characters="\0"), min_size=1))
def test_quoted_words_come_back_whole(text: str) -> None:
    """Whatever a document says, `quote` keeps it one word for this reader too."""
    commands, _ = read_commands(f"echo {quote(text)}")
    assert [command.words for command in commands] == [("echo", text)]


def test_passwords_in_clear_are_found() -> None:
    """`pass` followed by anything but a variable of ours; words that only contain it are not meant."""
    assert list(clear_passwords("ifconfig em0 vhid 1 pass secret")) == ["secret"]
    assert not list(clear_passwords('ifconfig em0 vhid 1 pass "$HACTL_PASS_1"; bypass it; pass "${HACTL_PASS_2}"'))


@pytest.mark.parametrize("verb", sorted(Verb))
def test_the_right_verb_over_a_wrong_command_is_refused(verb: str) -> None:
    """Every verb of the catalogue is known, and none excuses a command that does something else."""
    for command in ("newfs /dev/vtbd1", "reboot", "service sshd onestop", "rm -f /etc/hast.conf", "true"):
        assert complaints(healthy_pair(), [step("nas-b", verb, command, target="nfsd")])


def test_an_unknown_verb_is_refused() -> None:
    """The set of verbs is closed."""
    found = complaints(healthy_pair(), [step("nas-b", "Reboot", "true")])
    assert any("not a verb" in line for line in found)


def test_a_check_that_changes_something_is_refused() -> None:
    """Conditions only look."""
    bad = step("nas-b", "SetVhid", "ifconfig vtnet1 vhid 80 advskew 100", before=(Check("x", "hastctl create data"),))
    found = complaints(healthy_pair().vhid("nas-b", advskew=7), [bad])
    assert any("changes something" in line for line in found)


def test_only_the_check_of_the_documents_own_service_may_be_run() -> None:
    """What a condition runs in a shell of its own is what the document names for that service, word for word."""
    edits = {"spec.groups.0.services.0.check": {"command": "/usr/local/bin/db ping | grep -q PONG"}}
    text = "timeout --foreground -k 2 5 /bin/sh -c '/usr/local/bin/db ping | grep -q PONG'"
    for target, test, refused in (
        ("nfsd", text, False),
        ("mountd", text, True),
        ("nfsd", text.replace("PONG", "OK"), True),
        ("nfsd", "/bin/sh -c 'reboot'", True),
    ):
        scene = healthy_pair().service("nas-b", "nfsd", running=True).wants(nas_cluster(edits))
        stop = step("nas-b", "StopService", "service nfsd onestop", target=target, after=(Check("x", test),))
        assert any("changes something" in line for line in complaints(scene, [stop])) is refused, test
    script = step("nas-b", "StopService", "service nfsd onestop", after=(Check("x", "/bin/sh /tmp/mine"),))
    assert any("cannot be read: sh /tmp/mine" in line for line in complaints(healthy_pair(), [script]))


def test_hast_conf_by_meaning() -> None:
    """Order, comments, defaults, schemes and default ports make no difference; other words are no hast.conf."""
    one = "resource d {\n on a {\n local /dev/x\n remote 10.0.0.2\n }\n}\n"
    two = "timeout 20 # default\nresource d {\n replication memsync\n on a { remote tcp4://10.0.0.2:8457\n"
    two += " local /dev/x }\n}\n"
    assert meaning(one) == meaning(two)
    assert meaning(one) != meaning(one.replace("10.0.0.2", "10.0.0.3"))
    assert meaning("resource d { bogus 1 }") is None
    assert meaning("resource d { on a { local /dev/x }") is None


def test_a_step_does_nothing_besides_what_its_verb_says() -> None:
    """A correction of an advskew that also stops a service."""
    drifted = healthy_pair().vhid("nas-b", advskew=50)
    command = "ifconfig vtnet1 vhid 80 advskew 100"
    assert not complaints(drifted, [step("nas-b", "SetVhid", command, risk=Risk.BLIP)])
    more = step("nas-b", "SetVhid", f"{command}\nsysctl net.inet.carp.preempt=1", risk=Risk.BLIP)
    assert says(complaints(drifted, [more]), "does something SetVhid does not say")
