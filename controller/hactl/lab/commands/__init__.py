"""The programs of the simulated FreeBSD base system; importing this package registers them all.

`PLACES` says where each lives (hier(7)), for absolute paths, `which` and PATH.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_module.name)

_BIN = (
    "[ cat chmod cp date dd df echo expr hostname kill link ln ls mkdir mv pgrep pkill ps pwd realpath rm rmdir sh "
    "sleep stty sync test timeout unlink"
)
_SBIN = (
    "camcontrol devd dmesg fsck geom ggatec ggatel glabel gpart hastctl hastd ifconfig kldload kldstat kldunload md5 "
    "mount newfs nologin ping ping6 reboot shutdown sha256 swapinfo swapon sysctl umount zfs zpool fsck_ufs mdmfs"
)
_USR_BIN = (
    "awk basename bc cmp cut dirname du egrep env false fgrep find fstat fsync fuser grep head id install join less "
    "locate lockf logger mktemp nc netstat nice nohup od printf readlink sed sort split stat tail tee touch tr true "
    "truncate tsort uname uniq uptime uuidgen wc which who whoami xargs yes freebsd-version column"
)
_USR_SBIN = "chown daemon diskinfo iostat jls service sysrc syslogd sshd nfsd mountd rpcbind"
PLACES: dict[str, str] = {
    name: directory
    for directory, names in (
        ("/bin", _BIN),
        ("/sbin", _SBIN),
        ("/usr/bin", _USR_BIN),
        ("/usr/sbin", _USR_SBIN),
    )
    for name in names.split()
} | {"freebsd-version": "/bin", "diskinfo": "/usr/sbin", "uuidgen": "/bin"}
