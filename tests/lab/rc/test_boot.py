"""What rc does at boot, what service(8) and sysrc(8) say and do: docs/freebsd-facts.md#1.8, #3.1, #3.4."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hactl.lab.boot import netif
from hactl.lab.rc.etc import variable_name
from hactl.lab.virtual_time import VirtualTime
from support.lab.recordings import Stage

HAST_CONF = """resource data {
	on nas-a {
		local /dev/vtbd1
		remote 198.51.100.12
	}
	on nas-b {
		local /dev/vtbd1
		remote 198.51.100.11
	}
}
"""


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A booted pair under virtual time."""
    async with VirtualTime() as time:
        found = Stage(time)
        await found.start()
        yield found
        await found.nodes.close()


async def out(stage: Stage, script: str) -> str:
    """What a script prints on nas-a."""
    return (await stage.do("nas-a", script))[1]


async def reboot(stage: Stage, how: str = "shutdown -r now") -> None:
    """Reboot nas-a and wait until it serves again."""
    await stage.do("nas-a", f"({how}) >/dev/null 2>&1 &")
    await stage.time.sleep(stage.world.boot_seconds + 5)


async def vhids(stage: Stage) -> list[str]:
    """The vhid of each address of vtnet1, in order."""
    return (await out(stage, "ifconfig vtnet1 | awk '/vhid/ && /inet/ {print $2, $NF}'")).splitlines()


async def test_carp_aliases_come_up_from_the_secret_file(stage: Stage) -> None:
    """kld_list, rc.conf.d/netif and `alias` at the end make a vhid with its password at boot."""
    await out(
        stage,
        "sysrc kld_list+=carp; umask 077; cat > /etc/rc.conf.d/netif <<'E'\n"
        '# BEGIN hactl\nifconfig_vtnet1_alias8000="inet vhid 80 advskew 0 pass s3cret 192.0.2.80/24"\n# END hactl\nE\n',
    )
    await reboot(stage)
    await stage.time.sleep(5)
    shown = await out(stage, "ifconfig -k vtnet1")
    assert 'carp: MASTER vhid 80 advbase 1 advskew 0 key "s3cret"' in shown
    assert "inet 192.0.2.80 netmask 0xffffff00 broadcast 192.0.2.255 vhid 80" in shown
    assert await out(stage, "stat -f %Lp /etc/rc.conf.d/netif") == "600\n"


async def test_without_the_module_no_vhid(stage: Stage) -> None:
    """Aliases without carp loaded leave the base address alone (recording 08)."""
    await out(stage, 'sysrc ifconfig_vtnet1_alias0="inet vhid 80 pass x 192.0.2.80/24"')
    await reboot(stage)
    assert await out(stage, "ifconfig vtnet1 | grep -c 'inet '") == "1\n"


async def test_a_loader_that_reads_its_file(stage: Stage) -> None:
    """carp_load="YES" works where the loader reads loader.conf, and only there."""
    await out(stage, "sysrc -f /boot/loader.conf carp_load=YES")
    await reboot(stage)
    assert (await stage.do("nas-a", "kldstat -q -m carp"))[0] == 0
    stage.world.machines["nas-a"].rc.loader_reads_conf = False
    await reboot(stage)
    assert (await stage.do("nas-a", "kldstat -q -m carp"))[0] == 1


async def test_alias_order_gaps_and_the_empty_one(stage: Stage) -> None:
    """`_aliases` first, numbers in numeric order, gaps do not matter, an empty one stops the scan."""
    await out(
        stage,
        "sysrc kld_list=carp; cat >> /etc/rc.conf <<'E'\n"
        'ifconfig_vtnet1_alias10="inet vhid 10 192.0.2.110/32"\n'
        'ifconfig_vtnet1_alias2="inet vhid 2 192.0.2.102/32"\n'
        'ifconfig_vtnet1_aliases="inet vhid 7 192.0.2.107/32 inet vhid 8 192.0.2.108/32"\n'
        'ifconfig_vtnet1_alias30=""\n'
        'ifconfig_vtnet1_alias31="inet vhid 31 192.0.2.131/32"\nE\n',
    )
    await reboot(stage)
    assert await vhids(stage) == ["192.0.2.107 7", "192.0.2.108 8", "192.0.2.102 2", "192.0.2.110 10"]


async def test_inet6_aliases_need_the_ipv6_variable(stage: Stage) -> None:
    """Without ifconfig_IF_ipv6 an inet6 alias is skipped."""
    await out(
        stage,
        'sysrc kld_list=carp; sysrc ifconfig_vtnet1_alias0="inet6 2001:db8::80/64 vhid 6 pass x"',
    )
    await reboot(stage)
    assert await vhids(stage) == []
    await out(stage, 'sysrc ifconfig_vtnet1_ipv6="inet6 -ifdisabled"')
    await reboot(stage)
    assert await vhids(stage) == ["2001:db8::80 6"]


def test_a_hex_digit_and_a_dash_hang_netif() -> None:
    """`pass abc-1` sends network.subr into endless recursion; `xyz-1` does not; real ranges expand."""
    with pytest.raises(netif.NetifHang):
        netif.entries("em0", {"ifconfig_em0_alias0": "inet vhid 1 pass abc-1 192.0.2.1/32"})
    assert netif.entries("em0", {"ifconfig_em0_alias0": "inet vhid 1 pass xyz-1 192.0.2.1/32"}) == [
        ["inet", "vhid", "1", "pass", "xyz-1", "192.0.2.1/32"]
    ]
    assert netif.entries("em0", {"ifconfig_em0_alias0": "inet 192.0.2.5-6/24"}) == [
        ["inet", "192.0.2.5/24"],
        ["inet", "192.0.2.6/32"],
    ]
    assert variable_name("em0.100", "_alias0") == "ifconfig_em0_100_alias0"


async def test_demotion_in_sysctl_conf_is_added_twice(stage: Stage) -> None:
    """sysctl.conf is applied at the start and again at the end; unknown names do not matter.

    See docs/freebsd-facts.md#1.8.
    """
    await out(
        stage,
        "sysrc -f /boot/loader.conf carp_load=YES; "
        "printf 'net.inet.carp.preempt=1\\nnet.inet.carp.demotion=5\\nno.such=1\\n' >> /etc/sysctl.conf",
    )
    await reboot(stage)
    assert await out(stage, "sysctl -n net.inet.carp.preempt net.inet.carp.demotion") == "1\n10\n"


async def test_hostname_and_memory_after_boot(stage: Stage) -> None:
    """rc.conf's hostname counts; /tmp and the kernel's state are gone; files stay."""
    await out(stage, "sysrc hostname=nas-a.example.org; touch /tmp/x /var/db/y; kldload carp")
    await reboot(stage)
    assert await out(stage, "hostname; ls /tmp; ls /var/db/y; kldstat -q -m carp || echo unloaded") == (
        "nas-a.example.org\n/var/db/y\nunloaded\n"
    )


async def test_hastd_starts_with_roles_init(stage: Stage) -> None:
    """hastd_enable starts hastd at boot; every role is init (recording 08)."""
    await stage.both(f"cat > /etc/hast.conf <<'E'\n{HAST_CONF}E\n")
    await out(stage, "sysrc hastd_enable=YES; hastctl create data; service hastd start; hastctl role secondary data")
    await reboot(stage)
    assert (
        await out(stage, "service hastd status >/dev/null && hastctl status | awk 'NR > 1 {print $1, $3}'")
        == "data init\n"
    )


async def test_clean_shutdown_sets_roles_to_init_first(stage: Stage) -> None:
    """rc.shutdown runs `hastctl role init all`; reboot(8) does not; a power cut says nothing."""
    await stage.both(f"cat > /etc/hast.conf <<'E'\n{HAST_CONF}E\n")
    await out(stage, "sysrc hastd_enable=YES")
    for how, expected in (("shutdown -r now", "1\n"), ("reboot", "0\n")):
        await out(
            stage, "service hastd onestart; hastctl create data; hastctl role secondary data; : > /var/log/daemon.log"
        )
        await reboot(stage, how)
        assert await out(stage, "grep -c 'Role changed to init' /var/log/daemon.log") == expected


async def test_enabled_services_run_after_boot(stage: Stage) -> None:
    """A base service by its rcvar and a package's service by its own."""
    stage.world.machines["nas-a"].rc.add_service("web_app")
    await out(stage, "sysrc nfs_server_enable=YES web_app_enable=YES")
    await reboot(stage)
    assert (
        await out(stage, "service nfsd status >/dev/null; echo $?; service web_app status >/dev/null; echo $?")
        == "0\n0\n"
    )


async def test_service_words(stage: Stage) -> None:
    """The table of docs/freebsd-facts.md#3.1 for a service whose rcvar is not its name."""
    script = """service nfsd status; echo $?
service nfsd onestatus; echo $?
service nfsd onestop; echo $?
service nfsd onestart; echo $?
service nfsd onestart; echo $?
service nfsd enabled; echo $?
service nfsd rcvar
service nfsd stop | sed 's/[0-9][0-9]*/N/'
service nfsd onestatus
service nfsd enable; service nfsd enabled; echo $?
"""
    status, printed, errors = await stage.do("nas-a", script)
    assert status == 0
    assert printed == (
        "Cannot 'status' nfsd. Set nfs_server_enable to YES in /etc/rc.conf or use 'onestatus' instead of 'status'.\n"
        "0\n"
        "nfsd is not running.\n1\n1\n"
        "NFSv4 is disabled\nStarting rpcbind.\nStarting mountd.\nStarting nfsd.\n0\n1\n1\n"
        '# nfsd : Remote NFS server\n#\nnfs_server_enable="NO"\n#   (default: "")\n\n'
        "Stopping nfsd.\nnfsd is not running.\nnfsd enabled in /etc/rc.conf\n0\n"
    )
    assert errors.splitlines()[0] == "nfsd not running? (check /var/run/nfsd.pid)."
    assert errors.splitlines()[1].startswith("nfsd already running?  (pid=")
    assert errors.splitlines()[2].endswith(": No such process")


async def test_unknown_directive(stage: Stage) -> None:
    """An unknown command prints the usage on standard error and exits 1."""
    status, printed, errors = await stage.do("nas-a", "service hastd dance")
    assert (status, printed) == (1, "")
    assert errors.startswith(
        "/etc/rc.d/hastd: unknown directive 'dance'.\nUsage: /etc/rc.d/hastd [fast|force|one|quiet](start|"
    )


async def test_a_service_that_is_a_real_script(stage: Stage) -> None:
    """A script somebody puts into /usr/local/etc/rc.d runs in the shell."""
    script = "printf '#!/bin/sh\\necho \"did $1\"; exit 4\\n' > /usr/local/etc/rc.d/mine; chmod 755 /usr/local/etc/rc.d/mine; service mine go"  # noqa: E501
    assert await stage.do("nas-a", script) == (4, "did go\n", "")


async def test_a_package_script_with_rc_subr(stage: Stage) -> None:
    """A script that sources rc.subr works through service(8) and when run directly."""
    await out(
        stage,
        """cat > /usr/local/etc/rc.d/web_app <<'E'
#!/bin/sh
. /etc/rc.subr
name="web_app"
rcvar="web_app_on"
load_rc_config $name
run_rc_command "$1"
E
chmod 755 /usr/local/etc/rc.d/web_app
""",
    )
    script = "service web_app onestart; /usr/local/etc/rc.d/web_app onestatus | sed 's/[0-9]//g'; service web_app rcvar"
    assert await out(stage, script) == (
        'Starting web_app.\nweb_app is running as pid .\n# web_app\n#\nweb_app_on="NO"\n#   (default: "")\n\n'
    )
    assert await out(stage, "/etc/rc.d/hastd onestatus; grep -c USERLAND_VERSION= /bin/freebsd-version") == (
        "hastd is not running.\n1\n"
    )


async def test_sysrc_lists_and_removal(stage: Stage) -> None:
    """+= and -= are idempotent; -x removes silently and complains about what is not there; -q is quiet."""
    script = """sysrc kld_list+=carp; sysrc kld_list+=carp; sysrc kld_list+=pf; sysrc kld_list-=carp
sysrc -x kld_list; echo $?; sysrc -n kld_list; sysrc -x nope; echo $?; sysrc -qn nope; echo $?; sysrc -in nope; echo $?
"""
    assert await stage.do("nas-a", script) == (
        0,
        "kld_list:  -> carp\nkld_list: carp -> carp\nkld_list: carp -> carp pf\nkld_list: carp pf -> pf\n"
        "0\n\n1\n1\n0\n",
        "sysrc: unknown variable 'nope'\n",
    )


async def test_sysrc_keeps_modes_and_executes(stage: Stage) -> None:
    """An existing file keeps its mode, a new one is 0644; values are written without escaping and run when read."""
    script = """chmod 600 /etc/rc.conf; sysrc a=1 >/dev/null; stat -f %Lp /etc/rc.conf
sysrc -f /tmp/new b=2; stat -f %Lp /tmp/new; cat /tmp/new
sysrc -f /tmp/new 'c=$(echo ran)'; grep ^c= /tmp/new
"""
    assert await out(stage, script) == '600\nb:  -> 2\n644\nb="2"\nc:  -> ran\nc="$(echo ran)"\n'


async def test_sysrc_and_a_syntax_error(stage: Stage) -> None:
    """A file sh cannot read ends sysrc with status 1."""
    status, _, errors = await stage.do("nas-a", "echo 'x=\"unclosed' >> /etc/rc.conf; sysrc hostname")
    assert (status, errors) == (1, "sysrc: Exiting due to previous syntax errors\n")


async def test_netif_start_bounces_addresses(stage: Stage) -> None:
    """`service netif start` on a live system re-adds every address: the vhid starts over."""
    await out(
        stage,
        'kldload carp; sysrc ifconfig_vtnet1_alias0="inet vhid 80 pass x 192.0.2.80/24"; service netif start vtnet1',
    )
    await stage.time.sleep(5)
    assert "MASTER" in await out(stage, "ifconfig vtnet1 | grep carp:")
    assert (await out(stage, "service netif start vtnet1")).startswith("Starting Network: vtnet1.\nvtnet1: flags=")
    assert "BACKUP" in await out(stage, "ifconfig vtnet1 | grep carp:")
