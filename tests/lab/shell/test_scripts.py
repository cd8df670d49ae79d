"""The lab's shell runs POSIX sh scripts as FreeBSD's /bin/sh would, on the machine's own files and programs."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator

import pytest

from hactl.lab.build import plug_recorded
from hactl.lab.clock import VirtualClock
from hactl.lab.shell.shell import drive, run_script
from hactl.lab.virtual_time import VirtualTime
from hactl.lab.world import World
from support.lab.pair import CONF
from support.lab.recordings import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A booted pair under virtual time."""
    async with VirtualTime() as time:
        found = Stage(time)
        await found.start()
        yield found
        await found.nodes.close()


async def out(stage: Stage, script: str, node: str = "nas-a") -> str:
    """What a script prints."""
    return (await stage.do(node, script))[1]


async def test_probe_style_script(stage: Stage) -> None:
    """Functions, here-documents, subshells, redirections, exit statuses and csh's SHELL work together."""
    script = """set -u
block() { name="$1"; shift; ( "$@" ) </dev/null 2>&1; echo "$name=$?"; }
block one ifconfig vtnet9
block two /sbin/kldstat -q -m carp
block three cat /nope
case "$(uname -s)" in FreeBSD) echo right;; *) echo wrong;; esac
while read -r a b; do echo "$b$a"; done <<E
x y
E
echo "$SHELL"
exit 3
"""
    assert await stage.do("nas-a", script) == (
        3,
        "ifconfig: interface vtnet9 does not exist\none=1\ntwo=1\ncat: /nope: No such file or directory\nthree=1\n"
        "right\nyx\n/bin/csh\n",
        "",
    )


@pytest.mark.parametrize("tool", ["jq", "curl", "python3", "sha256sum", "bash", "sudo", "doas", "tac", "shuf", "flock"])
async def test_tools_freebsd_lacks_are_not_found(stage: Stage, tool: str) -> None:
    """What is not in FreeBSD's base system is not in the lab either."""
    assert await stage.do("nas-a", f"{tool} x; echo $?; command -v {tool}") == (127, "127\n", f"{tool}: not found\n")


@pytest.mark.parametrize(
    "script",
    ["a=(1 2)", "cat <<< hi", "echo ${x//a/b}", "echo ${x:1:2}", "ls &> /tmp/x", "function f { :; }", "echo ${x^^}"],
)
async def test_bashisms_are_syntax_errors(stage: Stage, script: str) -> None:
    """What ash cannot parse ends with status 2 and runs nothing."""
    status, printed, errors = await stage.do("nas-a", f"echo before\n{script}\n")
    assert (status, printed) == (2, "")
    assert "Syntax error" in errors or "Bad substitution" in errors


@pytest.mark.parametrize(
    "script",
    [
        "A=$(date) B=$A C=",
        'A=1 B="${A}x" env',
        "if true; then A=$((1 + 1)) B=$A; fi",
        "case x in x) A=1 B=$A ;; esac",
        "f() { local A=1 B=$A; }",
        "A=1 B=$((A + 1))",
    ],
)
async def test_a_command_that_uses_what_it_assigns_does_not_run(stage: Stage, script: str) -> None:
    """All words of a command are expanded first (docs/freebsd-facts.md#7.50): the script would do something else."""
    status, printed, errors = await stage.do("nas-a", f"echo before\n{script}\n")
    assert (status, printed) == (2, "")
    assert "A: parameter not set" in errors


async def test_double_brackets_are_an_unknown_program(stage: Stage) -> None:
    """`[[` is not a keyword of ash; character classes are left alone."""
    assert await stage.do("nas-a", "[[ a = a ]] || echo no; echo a1 | sed 's/[[:digit:]]/x/'") == (
        0,
        "no\nax\n",
        "[[: not found\n",
    )


async def test_unknown_programs_and_absolute_paths(stage: Stage) -> None:
    """ash's words for what is missing; programs are found by absolute path too."""
    status, printed, errors = await stage.do("nas-a", "nosuch; /sbin/nosuch; /sbin/ifconfig -l; /bin/cat /etc/fstab")
    assert (status, errors) == (0, "nosuch: not found\n/sbin/nosuch: not found\n")
    assert printed == "vtnet0 vtnet1 vtnet2 lo0\n/dev/vtbd0\t/\tufs\trw\t1\t1\n"


async def test_file_tests_see_devices(stage: Stage) -> None:
    """`test -c`, `-S`, `-d`, `-f` and `-s` know devices and sockets."""
    script = "for t in '-c /dev/vtbd1' '-S /var/run/devd.pipe' '-f /etc/rc.conf' '-d /etc' '-c /etc/rc.conf' '-e /dev/hast/data' '-s /var/log/daemon.log'; do test $t; printf $?; done; [ 2 -gt 1 -a ! -d /nope ] && echo ok"  # noqa: E501
    assert await out(stage, script) == "0000111ok\n"


async def test_modes_survive_redirection(stage: Stage) -> None:
    """A temporary file of mktemp stays 0600 when written and moved; umask decides about new ones."""
    script = """tmp=$(mktemp /etc/hast.conf.XXXXXX) && cat > "$tmp" <<E
x
E
mv -f "$tmp" /etc/hast.conf; stat -f '%Lp' /etc/hast.conf
umask 077; echo s > /etc/secret; stat -f '%Lp' /etc/secret
chmod 644 /etc/secret; echo t > /etc/secret; stat -f %Lp /etc/secret
"""
    assert await out(stage, script) == "600\n600\n644\n"


async def test_sed_in_place_takes_an_extension(stage: Stage) -> None:
    """BSD sed's -i has an argument of its own; GNU's spelling takes the script for the extension."""
    script = "echo a > /tmp/f; sed -i '' -e s/a/b/ /tmp/f; cat /tmp/f; sed -i.old s/b/c/ /tmp/f; cat /tmp/f /tmp/f.old"
    assert await out(stage, script) == "b\nc\nb\n"
    status, _, errors = await stage.do("nas-a", "sed -i s/c/d/ /tmp/f")
    assert status != 0
    assert "sed: " in errors
    assert await out(stage, "cat /tmp/f") == "c\n"


async def test_gnu_options_are_refused(stage: Stage) -> None:
    """stat -c does not exist."""
    status, printed, errors = await stage.do("nas-a", "stat -c %a /etc/rc.conf")
    assert (status, printed) == (1, "")
    assert "illegal option -- c" in errors


async def test_timeout_ends_what_hangs(stage: Stage) -> None:
    """timeout(1) answers 124 at its time, also for a nested sh -s, and 137 when it had to kill."""
    before = stage.time.monotonic()
    script = "timeout 2 sleep 60; echo $?; timeout -k 1 3 /bin/sh -s <<E\necho in\nsleep 60\necho never\nE\necho $?; timeout -s KILL 1 sleep 9; echo $?"  # noqa: E501
    assert await out(stage, script) == "124\nin\n124\n137\n"
    assert stage.time.monotonic() - before == pytest.approx(6.0)


@pytest.mark.parametrize("service", ["hastd", "nfsd"])
async def test_timeout_without_foreground_waits_for_daemons_and_kills_them(stage: Stage, service: str) -> None:
    """timeout(1) is a reaper: the daemon a script starts becomes its child, and dies with it at the limit."""
    stage.world.machines["nas-a"].files.write_text("/etc/hast.conf", CONF)
    before = stage.time.monotonic()
    script = f"timeout -k 5 20 /bin/sh -s <<E\nservice {service} onestart\nE\necho $?"
    assert (await out(stage, script)).endswith(f"Starting {service}.\n124\n")
    assert stage.time.monotonic() - before >= 20
    await stage.time.sleep(6)
    assert (await stage.do("nas-a", f"service {service} onestatus"))[0] == 1


@pytest.mark.parametrize("service", ["hastd", "nfsd"])
async def test_timeout_in_the_foreground_leaves_daemons_alone(stage: Stage, service: str) -> None:
    """With --foreground only the command itself is waited for."""
    stage.world.machines["nas-a"].files.write_text("/etc/hast.conf", CONF)
    before = stage.time.monotonic()
    script = f"timeout --foreground -k 5 20 /bin/sh -s <<E\nservice {service} onestart\nE\necho $?"
    assert (await out(stage, script)).endswith(f"Starting {service}.\n0\n")
    assert stage.time.monotonic() - before < 2
    await stage.time.sleep(60)
    assert (await stage.do("nas-a", f"service {service} onestatus"))[0] == 0


async def test_only_the_nearest_reaper_waits(stage: Stage) -> None:
    """A daemon of somebody else, or that ended meanwhile, keeps nobody waiting."""
    before = stage.time.monotonic()
    script = "service nfsd onestart >/dev/null; timeout 20 service nfsd onestatus >/dev/null; echo $?"
    assert await out(stage, script) == "0\n"
    script = "timeout 20 /bin/sh -c 'service ctld onestart; service ctld onestop' >/dev/null; echo $?"
    assert await out(stage, script) == "0\n"
    assert stage.time.monotonic() - before < 5


async def test_a_shell_under_another_program(stage: Stage) -> None:
    """`timeout 5 sh -c` starts the shell, whatever the player calls it."""
    assert await out(stage, "timeout 5 sh -c 'echo in; exit 3'; echo $?") == "in\n3\n"


async def test_fsync(stage: Stage) -> None:
    """fsync(1) is in the base system and names what it cannot open."""
    assert await out(stage, "command -v fsync; fsync /etc/rc.conf; echo $?") == "/usr/bin/fsync\n0\n"
    assert (await stage.do("nas-a", "fsync /nope"))[::2] == (66, "fsync: open /nope: No such file or directory\n")


async def test_zero_bytes_are_counted(stage: Stage) -> None:
    """tr(1) where a script counts the zero bytes of a disk, and its other uses beside it."""
    script = "dd if=/dev/vtbd1 bs=512 count=4 2>/dev/null | tr -d '\\000' | wc -c | tr -d ' '\n"
    script += "dd if=/dev/vtbd1 bs=512 count=4 2>/dev/null | tr -cd '\\000' | wc -c | tr -d ' '\n"
    script += "echo aXb | cat | tr -d X; printf 'a\\000b\\n' | cat | tr -d '\\000'"
    assert await out(stage, script) == "0\n2048\nab\nab\n"


async def test_background_jobs_run_beside(stage: Stage) -> None:
    """`cmd &` runs while the script goes on; `wait` waits; `$!` is its pid."""
    before = stage.time.monotonic()
    script = """(sleep 3; echo late > /tmp/late) & p=$!; sleep 1; test -e /tmp/late; echo $?
[ -n "$p" ] && wait; cat /tmp/late
"""
    assert await out(stage, script) == "1\nlate\n"
    assert stage.time.monotonic() - before == pytest.approx(3.0)


async def test_two_scripts_wait_at_the_same_time(stage: Stage) -> None:
    """Concurrent execs on one machine share time instead of queueing."""
    import asyncio

    before = stage.time.monotonic()
    both = await asyncio.gather(out(stage, "sleep 5; echo a"), out(stage, "sleep 5; echo b"))
    assert both == ["a\n", "b\n"]
    assert stage.time.monotonic() - before == pytest.approx(5.0)


async def test_a_script_can_kill_itself(stage: Stage) -> None:
    """kill -9 $$ ends the script without a status, and nothing else."""
    status, printed, _ = await stage.do("nas-a", "echo one; kill -9 $$; echo two")
    assert (status, printed) == (-1, "one\n")
    assert await out(stage, "echo fine") == "fine\n"


async def test_full_disk_and_read_only_etc(stage: Stage) -> None:
    """Writes fail with FreeBSD's words; reads go on; afterwards everything works again."""
    files = stage.world.machines["nas-a"].files
    files.read_only.add("/etc")
    status, _, errors = await stage.do("nas-a", "echo x > /etc/hast.conf")
    assert (status, errors) == (1, "cannot create /etc/hast.conf: Read-only file system\n")
    assert (await stage.do("nas-a", "sysrc hastd_enable=YES"))[0] == 1
    assert (await stage.do("nas-a", "mktemp /etc/x.XXXX"))[
        2
    ] == "mktemp: mkstemp failed on /etc/x.XXXX: Read-only file system\n"
    files.read_only.clear()
    files.full = True
    status, _, errors = await stage.do("nas-a", "echo x > /etc/hast.conf")
    assert (status, errors) == (1, "cannot create /etc/hast.conf: No space left on device\n")
    assert (await out(stage, "head -1 /etc/rc.conf")) == 'hostname="nas-a"\n'
    files.full = False
    assert (await stage.do("nas-a", "echo x > /etc/hast.conf"))[0] == 0


async def test_scripts_leave_no_descriptors(stage: Stage) -> None:
    """A thousandth script costs no more descriptors than the tenth."""
    await out(stage, "ifconfig")
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        await out(stage, "ifconfig; timeout 5 /bin/sh -s <<E\nhostname\nE\n")
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_scripts_run_without_asyncio() -> None:
    """Under a clock that never suspends a script can be driven by hand; sleep moves the world."""
    world = World(VirtualClock(), 1)
    machine = plug_recorded(world, "nas-a")
    world.start()
    before = world.clock.monotonic()
    assert drive(run_script(machine, "sleep 4; timeout 2 sleep 9; echo $?")) == ("124\n", "", 0)
    assert world.clock.monotonic() - before == pytest.approx(6.0, abs=0.3)
