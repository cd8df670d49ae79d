"""A repair reaches the file that decides: the last one that rc(8) reads; and nothing is done again and again."""

from __future__ import annotations

import pytest

from support.lab.closed_loop import Loop, example

_RC_CONF_D = ["/etc/rc.conf.d/{0}", "/etc/rc.conf.d/{0}/10-own", "/usr/local/etc/rc.conf.d/{0}"]


@pytest.mark.parametrize("path", _RC_CONF_D)
@pytest.mark.parametrize(
    ("service", "variable", "says", "wanted"),
    [("nfsd", "nfs_server_enable", "YES", "NO"), ("hastd", "hastd_enable", "NO", "YES")],
)
def test_a_variable_is_changed_where_it_is_set(path: str, service: str, variable: str, says: str, wanted: str) -> None:
    """One step a node, in that file; other lines of it stay; the next boot does what the document says."""
    loop = Loop(example("nas"))
    loop.converge()
    file = path.format(service)
    for node in ("nas-a", "nas-b"):
        loop.sh(node, f"mkdir -p {file.rpartition('/')[0]}")
        loop.machine(node).files.write_text(file, f'# mine\nother="x"\n{variable}="{says}"\n')
    loop.executed.clear()
    loop.converge()
    assert len(loop.executed) == 2, loop.executed
    assert loop.sh("nas-b", f"cat {file}") == f'# mine\nother="x"\n{variable}="{wanted}"\n'


def test_kld_list_counts_where_rc_d_kld_reads_it_alone() -> None:
    """In the file of kld it is changed; in those of netif and network it is nothing, and nobody looks there."""
    loop = Loop(example("nas"))
    loop.converge()
    for file, value in (("kld", "zfs"), ("netif", "if_lagg"), ("network", "if_lagg")):
        loop.sh("nas-b", f"echo 'kld_list=\"{value}\"' >> /etc/rc.conf.d/{file}")
    loop.executed.clear()
    loop.converge()
    assert len(loop.executed) == 1, loop.executed
    assert loop.sh("nas-b", "cat /etc/rc.conf.d/kld").strip() == 'kld_list="zfs carp"'
    loop.sh("nas-b", "rm /etc/rc.conf.d/kld")
    assert loop.converge() == []


@pytest.mark.parametrize("path", ["/etc/rc.conf.local", "/etc/rc.conf"])
def test_a_variable_of_the_files_that_sysrc_knows(path: str) -> None:
    """The same there."""
    loop = Loop(example("nas"))
    loop.converge()
    for node in ("nas-a", "nas-b"):
        loop.sh(node, f"echo 'nfs_server_enable=YES' >> {path}")
    loop.executed.clear()
    loop.converge()
    assert len(loop.executed) == 2, loop.executed


def test_sysctl_conf_local_is_read_last() -> None:
    """rc.d/sysctl reads it after sysctl.conf: what it says is changed there."""
    loop = Loop(example("nas"))
    loop.converge()
    loop.sh("nas-b", "echo 'net.inet.carp.preempt=0' > /etc/sysctl.conf.local")
    loop.executed.clear()
    loop.converge()
    assert len(loop.executed) == 1, loop.executed
    assert loop.sh("nas-b", "cat /etc/sysctl.conf.local").strip() == "net.inet.carp.preempt=1"


def test_a_file_of_an_unusual_name_is_for_a_person() -> None:
    """It is named, and nothing is written in vain."""
    loop = Loop(example("nas"))
    loop.converge()
    loop.sh("nas-b", "mkdir -p /etc/rc.conf.d/nfsd; echo 'nfs_server_enable=YES' > '/etc/rc.conf.d/nfsd/10+on'")
    plan = loop.plan()
    assert not plan.stages
    (hold,) = [hold for hold in plan.holds if hold.reason == "BootConfigByHand"]
    assert "/etc/rc.conf.d/nfsd/10+on sets nfs_server_enable" in hold.message
