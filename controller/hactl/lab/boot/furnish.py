"""What a FreeBSD node finds on its disk before anybody configured anything.

Rules:
- What is there already stays.
- Every program has a file, so that absolute paths, PATH, `test -x` and `which` work.
- Man pages: hier(7).
"""

from __future__ import annotations

from bashkit import FileSystem

from hactl.lab.kernel.devd_conf import DEVD_CONF
from hactl.lab.kernel.kernel import KernelHost
from hactl.lab.program import COMMANDS, PLACES
from hactl.lab.rc.etc import (
    FSTAB,
    LOADER_CONF,
    RC_SUBR,
    SYSCTL_CONF,
    defaults_rc_conf,
    freebsd_version,
    rc_conf,
    rc_script,
)
from hactl.lab.rc.rc import Rc
from hactl.lab.shell.words import ONLY_WHERE, PLAYED

_DIRECTORIES = (
    "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/etc/rc.d", "/usr/local/sbin", "/usr/local/bin", "/mnt",
    "/etc/defaults", "/etc/rc.d", "/etc/rc.conf.d", "/etc/ssh", "/etc/devd", "/boot/kernel", "/var/log", "/var/run",
    "/var/db", "/var/empty", "/tmp", "/root", "/dev",
)  # fmt: skip


def furnish(machine: KernelHost, rc: Rc) -> None:
    """Put the minimal tree of a freshly installed node on its disk; what is there already stays."""
    files = machine.files
    for directory in _DIRECTORIES:
        files.mkdir(directory)
    files.fs.chmod("/tmp", 0o1777)
    leased = {name: "DHCP" for name, port in machine.net.interfaces.items() if port.lease is not None}
    wanted = {
        "/etc/defaults/rc.conf": defaults_rc_conf(rc.scripts.values()),
        "/etc/rc.conf": rc_conf(machine.name, leased),
        "/etc/sysctl.conf": SYSCTL_CONF,
        "/boot/loader.conf": LOADER_CONF,
        "/etc/fstab": FSTAB,
        "/etc/exports": "# What this machine exports over NFS: exports(5).\n",
        "/etc/rc.subr": RC_SUBR,
        "/etc/devd.conf": DEVD_CONF,
        "/var/log/messages": "",
        "/var/log/daemon.log": "",
    }
    for path, text in wanted.items():
        if not files.exists(path):
            files.write_text(path, text)
    _install_programs(files.fs)
    files.fs.remove("/bin/freebsd-version")
    files.write_text("/bin/freebsd-version", freebsd_version(machine.release), 0o555)
    for script in rc.scripts.values():
        if not files.exists(script.path):
            files.write_text(script.path, rc_script(script), 0o755)


def _install_programs(fs: FileSystem) -> None:
    for name, directory in PLACES.items():
        path = f"{directory}/{name}"
        if (name in COMMANDS or name in PLAYED) and not fs.exists(path):
            how = f"__run {name}" if name in COMMANDS and name not in ONLY_WHERE else name
            fs.write_file(path, f'#!/bin/sh\n{how} "$@"\n'.encode())
            fs.chmod(path, 0o555)
