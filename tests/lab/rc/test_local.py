"""Scripts of /usr/local/etc/rc.d that run for real: their place in the order, boot, shutdown, service(8)."""

from __future__ import annotations

import pytest

from hactl.lab.machine import Machine
from hactl.lab.rc import rcorder
from hactl.lab.rc.scripts import SCRIPTS
from support.lab.pair import CONF, Pair

SCRIPT = """#!/bin/sh

# PROVIDE: {name}
{header}
. /etc/rc.subr

name="{name}"
desc="A test"
rcvar="{name}_enable"
start_cmd="{name}_start"
stop_cmd="{name}_stop"
{more}
{name}_start() {{
	{start}
}}

{name}_stop() {{
	{stop}
}}

load_rc_config $name
: ${{{name}_enable:=NO}}
run_rc_command "$1"
"""


def install(
    machine: Machine,
    name: str,
    *header: str,
    start: str = "echo started",
    stop: str = "echo stopped",
    more: str = "",
    mode: int = 0o755,
) -> None:
    """Write a script as a package or a controller would."""
    text = SCRIPT.format(name=name, header="".join(f"# {line}\n" for line in header), start=start, stop=stop, more=more)
    machine.files.write_text(f"/usr/local/etc/rc.d/{name}", text, mode)


@pytest.fixture
def pair() -> Pair:
    """Two machines in virtual time."""
    return Pair()


def reboot(pair: Pair) -> None:
    """A clean reboot of nas-a, until it is up."""
    count = pair.a.boot_count
    pair.world.reboot("nas-a")
    for _ in range(400):
        pair.world.advance(1)
        if pair.a.running and pair.a.boot_count > count:
            return
    raise AssertionError("it does not come up")


# order


def place(header: str, *others: str) -> list[str]:
    """rc's order around a script with this header."""
    scripts = [
        rcorder.read(f"x{n}", f"/x{n}", f"# PROVIDE: x{n}\n{text}\n") for n, text in enumerate([header, *others])
    ]
    steps, complaints = rcorder.order([script.name for script in SCRIPTS], scripts)
    names = [step if isinstance(step, str) else step.name for step in steps]
    return [*names, *complaints]


def test_order() -> None:
    """Between kld and netif; after hastd; after LOGIN and so before sshd's end of the table; after each other."""
    order = place("# REQUIRE: kld\n# BEFORE: netif")
    assert order.index("kld") < order.index("x0") < order.index("netif")
    order = place("# REQUIRE: hastd LOGIN\n# KEYWORD: shutdown")
    assert order.index("hastd") < order.index("powerd") < order.index("x0") < order.index("sysctl_lastload")
    order = place("# REQUIRE: NETWORKING\n# BEFORE: hastd")
    assert order.index("devd") < order.index("x0") < order.index("hastd")
    order = place("# REQUIRE: x1", "# REQUIRE: nfsd", "# BEFORE: x0")
    assert order.index("nfsd") < order.index("x1") < order.index("x0")
    assert order.index("x2") < order.index("x0")


def test_order_complaints() -> None:
    """What nobody provides and what cannot be is said, and the script runs all the same."""
    order = place("# REQUIRE: nonsense")
    assert order[-1] == "rcorder: requirement `nonsense' in file `/x0' has no providers."
    assert "x0" in order
    order = place("# REQUIRE: sshd\n# BEFORE: netif")
    assert order[-1] == "rcorder: Circular dependency on file `/x0'."
    assert order.index("x0") > order.index("sshd")
    assert place("# REQUIRE: x1", "# REQUIRE: x0")[-1].startswith("rcorder: Circular dependency")


# boot


def test_a_guard_runs_before_any_address_comes_up(pair: Pair) -> None:
    """`BEFORE: netif`, `REQUIRE: kld`: it sees the module but no address; rc.conf switches it on."""
    install(pair.a, "guard", "REQUIRE: kld", "BEFORE: netif",
            start="sysctl net.inet.carp.demotion=240; ifconfig vtnet1 | grep -c inet > /var/db/addresses")  # fmt: skip
    alias = "ifconfig_vtnet1_alias0='inet vhid 80 advskew 0 pass x 192.0.2.80/24'"
    pair.sh(pair.a, f"sysrc kld_list+=carp {alias}")
    reboot(pair)
    assert not pair.a.files.exists("/var/db/addresses")
    assert pair.sh(pair.a, "sysctl -n net.inet.carp.demotion").out == "0\n"
    pair.sh(pair.a, "sysrc guard_enable=YES")
    reboot(pair)
    assert pair.a.files.read_text("/var/db/addresses") == "0\n"
    assert pair.sh(pair.a, "sysctl -n net.inet.carp.demotion; ifconfig vtnet1 | grep -c inet").out == "240\n2\n"


def test_a_late_script_runs_after_hastd(pair: Pair) -> None:
    """`REQUIRE: hastd`: hastd answers; what it backgrounds goes on after the boot."""
    pair.a.files.write_text("/etc/hast.conf", CONF)
    install(pair.a, "late", "REQUIRE: hastd LOGIN",
            start="hastctl role secondary data; (sleep 30; touch /var/db/later) </dev/null >/dev/null &")  # fmt: skip
    pair.sh(pair.a, "hastctl create data; sysrc hastd_enable=YES late_enable=YES")
    reboot(pair)
    assert pair.sh(pair.a, "hastctl status data | awk 'NR > 1 {print $3}'").out == "secondary\n"
    assert not pair.a.files.exists("/var/db/later")
    pair.world.advance(31)
    assert pair.a.files.exists("/var/db/later")


def test_boot_waits_for_a_script_and_the_world_goes_on(pair: Pair) -> None:
    """A script that takes its time holds up its own boot only."""
    install(pair.a, "slow", "REQUIRE: LOGIN", start="sleep 40")
    pair.sh(pair.a, "sysrc slow_enable=YES; (sleep 1000) &")
    pair.sh(pair.b, "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5; echo $i > /tmp/count; done &")
    begun = pair.now
    pair.world.reboot("nas-a")
    pair.world.advance(30)
    assert not pair.a.running
    assert pair.b.files.read_text("/tmp/count") == "6\n"
    pair.world.advance(30)
    assert pair.a.running
    assert pair.now - begun == pytest.approx(60)


def test_only_executable_scripts_run(pair: Pair) -> None:
    """Without the bit a script is no script; `nostart` is not run at boot."""
    install(pair.a, "dull", start="touch /var/db/dull", mode=0o644)
    install(pair.a, "shy", "KEYWORD: nostart", start="touch /var/db/shy")
    pair.sh(pair.a, "sysrc dull_enable=YES shy_enable=YES")
    reboot(pair)
    assert pair.sh(pair.a, "ls /var/db").out == ""
    assert pair.sh(pair.a, "service dull onestart").status == 1


# shutdown


def test_shutdown_stops_in_reverse_order_before_hastd(pair: Pair) -> None:
    """`KEYWORD: shutdown` gets `faststop`, the last one first, while hastd still has its roles."""
    pair.replicating()
    stop = "hastctl status data | awk 'NR > 1 {print \"NAME\", \\$3}' >> /var/db/order"
    for name, header in (("one", "REQUIRE: hastd"), ("two", "REQUIRE: one")):
        install(pair.a, name, header, "KEYWORD: shutdown", stop=stop.replace("\\$", "$").replace("NAME", name))
    install(pair.a, "three", "REQUIRE: one", stop="touch /var/db/three")
    install(pair.a, "off", "KEYWORD: shutdown", stop="touch /var/db/off")
    pair.sh(pair.a, "sysrc one_enable=YES two_enable=YES three_enable=YES hastd_enable=YES")
    reboot(pair)
    assert pair.a.files.read_text("/var/db/order") == "two primary\none primary\n"
    assert not pair.a.files.exists("/var/db/three")
    assert not pair.a.files.exists("/var/db/off")


def test_shutdown_has_its_time(pair: Pair) -> None:
    """rc.shutdown ends after rcshutdown_timeout, hung scripts or not; reboot(8) does not run it at all."""
    install(pair.a, "hung", "KEYWORD: shutdown", stop="sleep 1000; touch /var/db/stopped")
    pair.sh(pair.a, "sysrc hung_enable=YES rcshutdown_timeout=20")
    begun = pair.now
    reboot(pair)
    assert pair.now - begun == pytest.approx(35, abs=2)
    begun = pair.now
    pair.sh(pair.a, "reboot")
    pair.world.advance(20)
    assert pair.a.running
    assert not pair.a.files.exists("/var/db/stopped")


def test_power_loss_during_shutdown(pair: Pair) -> None:
    """A machine that loses power while it stops its services does not go on with it."""
    install(pair.a, "slow", "KEYWORD: shutdown", stop="sleep 10; touch /var/db/stopped")
    pair.sh(pair.a, "sysrc slow_enable=YES")
    pair.world.reboot("nas-a")
    pair.world.advance(5)
    pair.world.power_off("nas-a")
    pair.world.advance(60)
    assert not pair.a.powered
    assert not pair.a.files.exists("/var/db/stopped")


# service(8)


def test_service_words(pair: Pair) -> None:
    """rcvar, prefixes, exit statuses and messages of rc.subr for a script with its own commands."""
    install(pair.a, "mine", stop="return 3", more='extra_commands="look"\nlook_cmd="echo looked"')
    script = """for word in start onestart faststart forcestart stop onestop forcestop look onelook enabled; do
service mine $word; echo "$word $?"; done
"""
    refused = "Set mine_enable to YES in /etc/rc.conf or use"
    assert pair.sh(pair.a, script).out == (
        f"Cannot 'start' mine. {refused} 'onestart' instead of 'start'.\nstart 0\nstarted\nonestart 0\nfaststart 0\n"
        f"started\nforcestart 0\nCannot 'stop' mine. {refused} 'onestop' instead of 'stop'.\nstop 0\nonestop 1\n"
        f"forcestop 3\nCannot 'look' mine. {refused} 'onelook' instead of 'look'.\nlook 0\nlooked\nonelook 0\n"
        "enabled 1\n"
    )
    done = pair.sh(pair.a, "sysrc mine_enable=YES >/dev/null; service mine start; service mine onestatus; echo $?")
    assert done.out == "started\n1\n"
    assert done.err.splitlines()[0] == "/usr/local/etc/rc.d/mine: unknown directive 'onestatus'."
    assert pair.sh(pair.a, "service mine rcvar").out == ('# mine : A test\n#\nmine_enable="YES"\n#   (default: "")\n\n')


def test_status_restart_and_direct_call(pair: Pair) -> None:
    """status_cmd answers `status`; restart is stop and start; the file itself can be run."""
    install(pair.a, "mine", more='status_cmd="mine_status"\nmine_status() { test -e /tmp/up; }',
            start="touch /tmp/up; echo up", stop="rm -f /tmp/up; echo down")  # fmt: skip
    script = """m=/usr/local/etc/rc.d/mine
$m onestatus; echo $?; $m onestart; $m onestatus; echo $?; $m onerestart; $m onestop; service mine onestatus; echo $?
"""
    assert pair.sh(pair.a, script).out == "1\nup\n0\ndown\nup\ndown\n1\n"


def test_configuration_of_a_script(pair: Pair) -> None:
    """rc.conf, then rc.conf.d/NAME of both trees; a value that is neither yes nor no is a warning and means no."""
    install(pair.a, "mine", start="echo $mine_word")
    pair.a.files.mkdir("/usr/local/etc/rc.conf.d")
    pair.sh(
        pair.a,
        "sysrc mine_enable=YES mine_word=one; echo 'mine_word=two' > /etc/rc.conf.d/mine;"
        "service mine start > /tmp/a; echo 'mine_word=three' > /usr/local/etc/rc.conf.d/mine;"
        "service mine start >> /tmp/a",
    )
    assert pair.a.files.read_text("/tmp/a") == "two\nthree\n"
    done = pair.sh(pair.a, "sysrc mine_enable=perhaps >/dev/null; service mine start")
    assert done.err == "/usr/local/etc/rc.d/mine: WARNING: $mine_enable is not set properly - see rc.conf(5).\n"


def test_enabled_services_are_listed(pair: Pair) -> None:
    """`service -e` greps for rcvar and has rc's order."""
    install(pair.a, "early", "REQUIRE: kld", "BEFORE: netif")
    install(pair.a, "never")
    pair.sh(pair.a, "sysrc early_enable=YES")
    listed = pair.sh(pair.a, "service -e").out.splitlines()
    assert listed.index("/usr/local/etc/rc.d/early") < listed.index("/etc/rc.d/netif")
    assert "/usr/local/etc/rc.d/never" not in listed


def test_a_daemonless_script_is_no_daemon(pair: Pair) -> None:
    """Its name does not become a process, whatever service(8) was asked."""
    install(pair.a, "mine")
    pair.sh(pair.a, "service mine onestart")
    assert "mine" not in pair.a.rc.scripts
    assert pair.sh(pair.a, "pgrep mine").status == 1


def test_a_new_daemon_starts_at_boot(pair: Pair) -> None:
    """A script that only names its daemon is played from then on, at boot too, without having been asked before."""
    text = "#!/bin/sh\n. /etc/rc.subr\nname=web\nrcvar=web_enable\ncommand=/usr/local/sbin/web\nload_rc_config $name\n"
    pair.a.files.write_text("/usr/local/etc/rc.d/web", f'{text}run_rc_command "$1"\n', 0o755)
    pair.sh(pair.a, "sysrc web_enable=YES")
    reboot(pair)
    assert pair.sh(pair.a, "service web status | sed 's/[0-9]*//g'").out == "web is running as pid .\n"
