"""What people see of a step that writes a file: what they decide on, and never a password."""

from __future__ import annotations

import click
import pytest

from hactl.cli.steps import DIFFERENCE_LINES, Texts, print_plan, print_step
from hactl.core.changes.boot import BootAlias, SetSysctlConf, WriteBootAliases
from hactl.core.changes.carp import LoadModule
from hactl.core.changes.change import SecretUse
from hactl.core.changes.hook import WriteHook
from hactl.core.facts import RcAlias
from hactl.core.steps import Plan, Risk, Stage, Step

HOOK = "/usr/local/libexec/hactl/hook"
OLD = "".join(f"line {number}\n" for number in range(800))


def written(text: str) -> Step:
    """The hook is written on nas-a."""
    return Step.of("nas-a", WriteHook(HOOK, text, 0o755, "c0ffee"), "it is another one", Risk.NONE)


def shown(capsys: pytest.CaptureFixture[str], step: Step, there: Texts | None = None, *, full: bool = False) -> str:
    """What is printed of one step."""
    print_step(1, step, there, full=full)
    return click.unstyle(capsys.readouterr().out)


def test_a_file_that_differs_is_shown_by_its_difference(capsys: pytest.CaptureFixture[str]) -> None:
    """One line of 800: its neighbours, the counts, the size; the whole with --full only."""
    step = written(OLD.replace("line 400\n", "line 400, changed\n"))
    text = shown(capsys, step, {("nas-a", HOOK): OLD})
    assert "mode 755, 800 lines (7 KiB); against what is there 1 lines come and 1 go:" in text
    assert "+line 400, changed" in text
    assert "-line 400\n" in text
    assert len(text.splitlines()) < 12
    whole = shown(capsys, step, {("nas-a", HOOK): OLD}, full=True)
    assert len(whole.splitlines()) > 800
    assert "fsync" in whole


def test_a_new_file_and_one_that_could_not_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """No difference is made up."""
    assert "a new file, mode 755, 800 lines (7 KiB)" in shown(capsys, written(OLD), {("nas-a", HOOK): None})
    unread = shown(capsys, written(OLD))
    assert "mode 755, 800 lines (7 KiB)\n" in unread
    assert "new file" not in unread
    assert "its text stays" in shown(capsys, written(OLD), {("nas-a", HOOK): OLD})


def test_a_long_difference_is_cut_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Another hook altogether: no screen of 1600 lines."""
    text = shown(capsys, written(OLD.replace("line", "word")), {("nas-a", HOOK): OLD})
    assert len(text.splitlines()) < DIFFERENCE_LINES + 6
    assert "lines more (the file as it would be: hactl render, or --full)" in text


def test_what_stands_in_a_file_cannot_play_tricks_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Text of a node is shown escaped."""
    assert "\x1b" not in shown(capsys, written("a\n"), {("nas-a", HOOK): "\x1b[2J\n"})


def test_of_a_file_that_is_kept_only_the_new_lines_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The block of the boot aliases with the name of the password's variable, and a line of sysctl.conf."""
    alias = RcAlias("ifconfig_vtnet1_alias8000", "vtnet1", "inet6", "2001:db8::80", 64, 80, 1, 0, None)
    block = WriteBootAliases((BootAlias(alias, SecretUse("HACTL_PASS_1", "files", "files")),))
    text = shown(capsys, Step.of("nas-a", block, "missing", Risk.NONE))
    assert "/etc/rc.conf.d/netif, mode 600; these lines are written, every other line stays:" in text
    assert 'advskew 0 pass ${HACTL_PASS_1}"' in text
    assert '+: "${ifconfig_vtnet1_ipv6:=inet6 -ifdisabled}"' in text
    assert "mktemp" not in text
    gone = shown(capsys, Step.of("nas-a", WriteBootAliases(()), "none is left", Risk.NONE))
    assert "hactl's lines are taken out, every other line stays\n" in gone
    line = shown(capsys, Step.of("nas-a", SetSysctlConf("net.inet.carp.preempt", 1), "not set", Risk.NONE))
    assert "/etc/sysctl.conf, mode as it is; these lines are written, every other line stays:" in line
    assert "+net.inet.carp.preempt=1" in line


def test_a_plan_shows_every_step_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbered through all stages; a short command stands as it is."""
    load = Step.of("nas-b", LoadModule(), "it is not loaded", Risk.NONE)
    plan = Plan("nas", 1, (Stage("Kernel", (load,)), Stage("Hook", (written(OLD),), ordered=True)))
    print_plan(plan, {("nas-a", HOOK): None}, full=False)
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert "  1. nas-b  kldload -n carp" in lines
    assert f"  2. nas-a  WriteHook {HOOK}:" in lines
    assert "Hook (one after the other)  (expected; looked at again before)" in lines
