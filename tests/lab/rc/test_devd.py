"""devd of a lab node: rules read at its start, actions one at a time, events that wait, the socket's readers."""

from __future__ import annotations

import pytest

from hactl.lab.build import plug_recorded
from hactl.lab.files import Files
from hactl.lab.kernel import devd_conf
from hactl.lab.machine import Machine
from hactl.lab.shell.shell import run_script
from hactl.lab.virtual_time import VirtualTime
from hactl.lab.world import World
from support.lab.pair import Pair

RULE = """notify 30 {
	match "system"		"CARP";
	match "subsystem"	"(80@vtnet1|81@vtnet1)";
	match "type"		"(MASTER|BACKUP|INIT)";
	action "/usr/local/libexec/hook $subsystem $type";
};
"""
HOOK = '#!/bin/sh\necho "$(date +%s) $*" >> /var/db/seen\n'
VHID = "kldload -n carp; ifconfig vtnet1 inet 192.0.2.80/24 alias vhid 80 advskew 0 pass x"


def install(machine: Machine, rule: str = RULE, hook: str = HOOK) -> None:
    """Put a rule and its program on the disk; devd does not know it yet."""
    files = machine.files
    for directory in ("/usr/local/etc/devd", "/usr/local/libexec"):
        files.mkdir(directory)
    files.write_text("/usr/local/etc/devd/hook.conf", rule)
    files.write_text("/usr/local/libexec/hook", hook, 0o755)


def seen(machine: Machine) -> list[str]:
    """What the program wrote, without the time."""
    if not machine.files.exists("/var/db/seen"):
        return []
    return [line.partition(" ")[2] for line in machine.files.read_text("/var/db/seen").splitlines()]


@pytest.fixture
def pair() -> Pair:
    """Two machines in virtual time; nas-a has the rule."""
    pair = Pair()
    install(pair.a)
    return pair


def conf(text: str) -> devd_conf.DevdConf:
    """A configuration of one file."""
    files = Files()
    files.mkdir("/etc")
    files.write_text("/etc/devd.conf", text)
    return devd_conf.read(files)


def test_rules_count_from_the_next_start(pair: Pair) -> None:
    """An installed rule does nothing until devd is restarted; SIGHUP ends devd instead of reloading."""
    pair.sh(pair.a, VHID)
    pair.world.advance(5)
    assert seen(pair.a) == []
    done = pair.sh(pair.a, "service devd restart")
    assert (done.status, done.out.splitlines()[-1]) == (0, "Starting devd.")
    pair.sh(pair.a, "ifconfig vtnet1 vhid 80 state backup")
    pair.world.advance(5)
    assert seen(pair.a) == ["80@vtnet1 BACKUP", "80@vtnet1 MASTER"]
    pair.sh(pair.a, "pkill -HUP devd; ifconfig vtnet1 vhid 80 state backup")
    assert pair.sh(pair.a, "service devd onestatus").out == "devd is not running.\n"
    assert len(seen(pair.a)) == 2


def test_events_wait_for_devd(pair: Pair) -> None:
    """What happens while devd does not run it hears when it starts; of more than 1000 the oldest are lost."""
    pair.sh(pair.a, f"service devd stop; {VHID}")
    pair.world.advance(5)
    pair.sh(pair.a, "service devd start")
    assert seen(pair.a) == ["80@vtnet1 BACKUP", "80@vtnet1 MASTER"]
    pair.sh(pair.a, "service devd stop")
    for number in range(1010):
        pair.a.devd(f"!system=TEST subsystem={number} type=X")
    assert len(pair.a.devctl.queue) == 1000
    assert pair.a.devctl.queue[0] == "!system=TEST subsystem=10 type=X"


def test_an_action_delays_later_events_and_their_readers(pair: Pair) -> None:
    """devd waits for its action: the next event, also for readers of the socket, comes after it."""
    install(pair.a, hook='#!/bin/sh\nsleep 10\necho "$(date +%s) $*" >> /var/db/seen\n')
    pair.sh(pair.a, "service devd restart")
    heard: list[tuple[float, str]] = []
    pair.a.devctl.listeners.append(lambda line: heard.append((pair.now, line.rpartition("=")[2])))
    begun = pair.now
    pair.sh(pair.a, VHID)
    pair.world.advance(9)
    assert [what for _, what in heard] == ["BACKUP"]
    assert seen(pair.a) == []
    pair.world.advance(20)
    assert seen(pair.a) == ["80@vtnet1 BACKUP", "80@vtnet1 MASTER"]
    assert [what for _, what in heard] == ["BACKUP", "MASTER"]
    assert heard[1][0] - begun == pytest.approx(10, abs=0.5)


def test_an_action_that_leaves_its_work_behind_delays_nothing(pair: Pair) -> None:
    """What an action puts in the background goes on beside devd, and beside a restart of devd."""
    hook = '#!/bin/sh\n(sleep 10; echo "$(date +%s) $*" >> /var/db/seen) </dev/null >/dev/null 2>&1 &\n'
    install(pair.a, hook=hook)
    pair.sh(pair.a, f"service devd restart; {VHID}")
    pair.world.advance(9)
    assert not pair.a.devctl.acting
    assert seen(pair.a) == []
    pair.sh(pair.a, "service devd restart")
    pair.world.advance(6)
    assert seen(pair.a) == ["80@vtnet1 BACKUP", "80@vtnet1 MASTER"]


def test_devd_ends_after_its_action(pair: Pair) -> None:
    """SIGTERM is heeded when the action that runs has ended: a restart takes as long."""
    install(pair.a, hook="#!/bin/sh\nsleep 10\n")
    pair.sh(pair.a, f"service devd restart; {VHID}")
    pair.world.advance(0.5)
    before = pair.now
    pair.sh(pair.a, "service devd stop")
    assert pair.now - before == pytest.approx(9.5, abs=0.5)


def test_devd_starts_at_boot_with_what_netif_did(pair: Pair) -> None:
    """At boot the addresses come before devd: it hears of them when it starts."""
    pair.sh(pair.a, "sysrc kld_list+=carp ifconfig_vtnet1_alias0='inet vhid 80 advskew 0 pass x 192.0.2.80/24'")
    pair.world.reboot("nas-a")
    pair.world.advance(30)
    assert seen(pair.a) == ["80@vtnet1 BACKUP", "80@vtnet1 MASTER"]


def test_a_frozen_machine_acts_when_it_thaws(pair: Pair) -> None:
    """Neither events nor actions go on while the machine is frozen; power loss ends an action."""
    install(pair.a, hook='#!/bin/sh\nsleep 2\necho "$(date +%s) $*" >> /var/db/seen\n')
    pair.sh(pair.a, f"service devd restart; {VHID}")
    pair.world.advance(1)
    pair.world.freeze("nas-a")
    pair.world.advance(60)
    assert seen(pair.a) == []
    pair.world.thaw("nas-a")
    pair.world.advance(1.5)
    assert seen(pair.a) == ["80@vtnet1 BACKUP"]
    pair.world.advance(2.0)
    pair.sh(pair.a, "fsync /var/db/seen")
    pair.world.power_off("nas-a")
    pair.world.advance(60)
    assert seen(pair.a) == ["80@vtnet1 BACKUP"]


def test_a_broken_file_keeps_devd_from_starting(pair: Pair) -> None:
    """A file devd cannot parse is fatal, and says where; files that do not end in .conf are not read."""
    pair.a.files.write_text("/usr/local/etc/devd/more.conf.bak", "nonsense")
    assert pair.sh(pair.a, "service devd restart").status == 0
    pair.a.files.write_text("/usr/local/etc/devd/more.conf", 'notify 10 {\n\tmatch "a" "b"\n\taction "x";\n};\n')
    done = pair.sh(pair.a, "service devd restart")
    assert done.status == 1
    assert done.err.splitlines() == [
        "devd: Cannot parse /usr/local/etc/devd/more.conf at line 3",
        "/etc/rc.d/devd: WARNING: failed to start devd",
    ]
    assert pair.a.rc.pid_of("devd") is None


async def test_actions_under_asyncio() -> None:
    """The same under real suspension."""
    async with VirtualTime() as time:
        world = World(time)
        time.attach(world)
        machine = plug_recorded(world, "nas-a")
        world.start()
        await time.sleep(1)
        install(machine, hook='#!/bin/sh\n(sleep 3; echo "$(date +%s) $*" >> /var/db/seen) &\n')
        await run_script(machine, f"service devd restart; {VHID}")
        await time.sleep(5)
        assert seen(machine) == ["80@vtnet1 BACKUP"]
        await time.sleep(5)
        assert seen(machine) == ["80@vtnet1 BACKUP", "80@vtnet1 MASTER"]
        await world.close()


# the configuration file


def test_the_highest_priority_acts_alone() -> None:
    """Of several matching rules only the one with the highest priority runs; of equal ones the first."""
    text = "".join(
        f'notify {priority} {{ match "system" "CARP"; action "{name}"; }};\n'
        for priority, name in ((10, "low"), (30, "high"), (30, "second"), (20, "middle"))
    )
    assert conf(text).actions_for("!system=CARP subsystem=1@em0 type=MASTER") == ["high"]
    assert conf(text).actions_for("!system=IFNET subsystem=em0 type=LINK_UP") == []


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("MASTER", "master", True),
        ("MAST", "MASTER", False),
        ("(MASTER|BACKUP)", "BACKUP", True),
        ("MASTER|BACKUP", "XBACKUP", True),
        ("!MASTER", "BACKUP", True),
        ("!(MASTER|BACKUP)", "backup", False),
        ("[[:digit:]]+@em0", "12@em0", True),
        ("[0-9]+@[0-9a-z]+", "1@em0.100", False),
        ("(", "(", False),
    ],
)
def test_matching(pattern: str, value: str, expected: bool) -> None:
    """Anchored, case-insensitive, extended, inverted; `a|b` without a group is half anchored; a bad one never holds."""
    text = f'notify 1 {{ match "type" "{pattern}"; action "yes"; }};\n'
    assert bool(conf(text).actions_for(f"!system=X type={value}")) is expected


def test_variables_in_actions_are_quoted_for_sh() -> None:
    """`$name` becomes `$'value'`; unset is empty; `$$`, `$(...)` and `${...}` are not devd's."""
    text = 'notify 1 { match "system" "X"; action "run $subsystem $none $$ $(date) ${type} $_"; };\n'
    assert conf(text).actions_for("!system=X subsystem=it's type=Y") == [
        "run $'it\\'s' $'' $ $(date) ${type} $'system=X subsystem=it\\'s type=Y'"
    ]


def test_options_and_other_statements() -> None:
    """The stock file's statements are read: directories, set, attach rules, device-name; comments are skipped."""
    found = conf(
        '# comment\noptions {\n\tdirectory "/etc/devd"; # more\n\tset wifi "(ath|iwn)[0-9]+";\n};\n'
        'attach 0 {\n\tdevice-name "$wifi";\n\taction "/etc/rc.d/x $device-name";\n};\n'
        'notify 0 {\n\tmatch "subsystem" "$wifi";\n\tmedia-type "ethernet";\n\taction "a"; };\n'
    )
    assert found.directories == ["/etc/devd"]
    assert [rule.kind for rule in found.rules] == ["attach", "notify"]
    assert found.actions_for("!system=IFNET subsystem=ath0") == ["a"]
