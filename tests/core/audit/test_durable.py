"""What a power cut could tear is refused: docs/freebsd-facts.md#7.1 and #7.17."""

from __future__ import annotations

import pytest

from hactl.core.audit.rules.durable import durable
from hactl.core.changes import AnyChange
from hactl.core.changes.boot import (
    DisableService,
    EnableService,
    MendTornFile,
    RemoveRcVariable,
    SetRcVariable,
    SetSysctlConf,
    WriteBootAliases,
)
from hactl.core.changes.hast import PreserveCopy, WriteHastConf
from hactl.core.changes.hook import ConfirmCopy, ForgetDrained, NoteDrained, RemoveHook, WriteHook

#: Every change that writes, replaces or removes a file.
CHANGES: tuple[AnyChange, ...] = (
    WriteBootAliases(()),
    SetRcVariable("kld_list", "carp", append=True),
    RemoveRcVariable("ifconfig_vtnet1_alias0"),
    SetSysctlConf("net.inet.carp.preempt", 1),
    MendTornFile("/etc/rc.conf"),
    EnableService("nfsd", "nfs_server_enable"),
    DisableService("nfsd", "nfs_server_enable"),
    WriteHastConf("resource data {\n}\n"),
    PreserveCopy("data", "/dev/vtbd1", "/var/tmp/data.img"),
    WriteHook("/usr/local/etc/devd/hactl.conf", "# Written by hactl\n", 0o644, "0" * 64),
    RemoveHook(("/usr/local/etc/devd/hactl.conf", "/usr/local/libexec/hactl/hook")),
    ConfirmCopy("data", "198.51.100.11"),
    NoteDrained("by admin"),
    ForgetDrained(),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.verb)
def test_every_file_hactl_writes_survives_a_power_cut(change: AnyChange) -> None:
    """As it is there is nothing to complain of; with any one flush left out there is."""
    assert list(durable(change.command)) == []
    flushes = change.command.count("fsync ")
    assert flushes
    for number in range(flushes):
        pieces = change.command.split("fsync ")
        left_out = "fsync ".join(pieces[: number + 1]) + "true " + "fsync ".join(pieces[number + 1 :])
        assert list(durable(left_out)), left_out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("echo x > /etc/x && fsync /etc/x /etc", "in place"),
        ("echo x >> /etc/x && fsync /etc/x /etc", "in place"),
        ("echo x > /etc/y && mv /etc/y /etc/x && fsync /etc/x /etc", "before it is flushed"),
        ("fsync /etc && echo x > /etc/y && fsync /etc/y && mv /etc/y /etc/x", "does not flush the directory"),
        ("echo x > /etc/y && fsync /etc/y && mv /etc/y /etc/x && fsync /usr", "does not flush the directory"),
        ("cp /etc/x /etc/x.old", "could be empty"),
        ("dd if=/dev/vtbd1 of=/var/x", "could be empty"),
        ("rm -f /var/db/hactl/drained", "could undo it"),
        ("mkdir -p -m 700 /var/db/hactl", "could undo it"),
    ],
)
def test_what_a_power_cut_could_tear(text: str, complaint: str) -> None:
    """In place, not flushed, in the wrong order, the wrong directory."""
    assert any(complaint in found for found in durable(text))


@pytest.mark.parametrize(
    "text",
    [
        "echo x > /etc/y && fsync /etc/y && mv /etc/y /etc/x && fsync /etc",
        "echo x > /var/run/hactl.devd; rm -f /var/run/hactl.devd; mkdir -p /tmp/x; echo y > /dev/null",
        'hactl_file=/etc/x; hactl_new=${hactl_file%/*}/.hactl.new; echo x > "$hactl_new"; fsync "$hactl_new" && '
        'mv "$hactl_new" "$hactl_file" && fsync "${hactl_file%/*}"',
        "mkdir -p /usr/local/x && fsync /usr /usr/local",
    ],
)
def test_what_it_could_not(text: str) -> None:
    """Whole, in order; and what no boot finds."""
    assert list(durable(text)) == []
