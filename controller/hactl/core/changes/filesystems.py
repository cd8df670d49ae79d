"""Changes of what lives on the replicated devices: filesystems, pools and services.

Man pages: newfs(8), fsck(8), mount(8), umount(8), zpool(8), service(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hactl.core.changes.change import Change, NamedChange
from hactl.core.choices import PoolLayout
from hactl.core.facts import device_of
from hactl.core.sh import quote_plain
from hactl.core.verbs import Verb


@dataclass(frozen=True, slots=True)
class _DeviceChange(Change):
    resource: str

    @property
    def target(self) -> str:
        return device_of(self.resource)


@dataclass(frozen=True, slots=True)
class MakeFilesystem(_DeviceChange):
    """A UFS filesystem."""

    verb = Verb.MAKE_FILESYSTEM

    @property
    def command(self) -> str:
        return f"newfs -U {quote_plain(self.target)}"


@dataclass(frozen=True, slots=True)
class CheckFilesystem(_DeviceChange):
    """A UFS filesystem, before it is mounted."""

    verb = Verb.CHECK_FILESYSTEM

    @property
    def command(self) -> str:
        return f"fsck -p -t ufs {quote_plain(self.target)}"


@dataclass(frozen=True, slots=True)
class _MountChange(Change):
    mountpoint: str

    @property
    def target(self) -> str:
        return self.mountpoint


@dataclass(frozen=True, slots=True)
class Mount(_MountChange):
    """A UFS filesystem of a resource, with the document's options."""

    verb = Verb.MOUNT
    resource: str
    options: tuple[str, ...]

    @property
    def command(self) -> str:
        device, point = quote_plain(device_of(self.resource)), quote_plain(self.mountpoint)
        options = f"-o {quote_plain(','.join(self.options))} " if self.options else ""
        return f"mkdir -p {point} && mount -t ufs {options}{device} {point}"


@dataclass(frozen=True, slots=True)
class Remount(_MountChange):
    """The document's options, and the words that take others away.

    All of the document's options are given, not only what differs: the kernel drops every flag that `mount -u` does
    not name (vfs_mount.c, vfs_domount_update: MNT_UPDATEMASK), and `ro` too, for mount(8) adds `noro` where none is.
    """

    verb = Verb.REMOUNT
    resource: str
    options: tuple[str, ...]
    taken_away: tuple[str, ...]

    @property
    def command(self) -> str:
        words = ",".join(dict.fromkeys((*self.options, *self.taken_away)))
        device = quote_plain(device_of(self.resource))
        return f"mount -u -o {quote_plain(words)} {device} {quote_plain(self.mountpoint)}"


@dataclass(frozen=True, slots=True)
class Unmount(_MountChange):
    """What is mounted there; `force` when its device is gone."""

    verb = Verb.UNMOUNT
    force: bool = False

    @property
    def command(self) -> str:
        return f"umount {'-f ' if self.force else ''}{quote_plain(self.mountpoint)}"


@dataclass(frozen=True, slots=True)
class _PoolChange(Change):
    pool: str

    @property
    def target(self) -> str:
        return self.pool


@dataclass(frozen=True, slots=True)
class CreatePool(_PoolChange):
    """A ZFS pool on the devices of its resources, in their order, which no node imports by itself."""

    verb = Verb.CREATE_POOL
    resources: tuple[str, ...]
    #: None: a plain stripe.
    layout: PoolLayout | None
    mountpoint: str | None

    @property
    def command(self) -> str:
        mountpoint = f"-m {quote_plain(self.mountpoint)} " if self.mountpoint else ""
        devices = [quote_plain(device_of(resource)) for resource in self.resources]
        words = [quote_plain(self.pool), *filter(None, [self.layout.vdev if self.layout else ""]), *devices]
        return f"zpool create -o cachefile=none {mountpoint}{' '.join(words)}"


@dataclass(frozen=True, slots=True)
class ImportPool(_PoolChange):
    """A ZFS pool. -f: it was last used under the peer's hostid; only the node with its devices can import it."""

    verb = Verb.IMPORT_POOL

    @property
    def command(self) -> str:
        return f"zpool import -f -d /dev/hast -o cachefile=none {quote_plain(self.pool)}"


@dataclass(frozen=True, slots=True)
class ExportPool(_PoolChange):
    """A ZFS pool; `force` when its devices are gone."""

    verb = Verb.EXPORT_POOL
    force: bool = False

    @property
    def command(self) -> str:
        return f"zpool export {'-f ' if self.force else ''}{quote_plain(self.pool)}"


@dataclass(frozen=True, slots=True)
class StartService(NamedChange):
    """onestart, because a disabled service's plain start exits 0 without starting (recording 01, step 21)."""

    verb = Verb.START_SERVICE

    @property
    def command(self) -> str:
        return f"service {quote_plain(self.name)} onestart"


@dataclass(frozen=True, slots=True)
class StopService(NamedChange):
    """onestop, for the same reason."""

    verb = Verb.STOP_SERVICE

    @property
    def command(self) -> str:
        return f"service {quote_plain(self.name)} onestop"


FilesystemChange: TypeAlias = (
    MakeFilesystem | CheckFilesystem | Mount | Remount | Unmount | CreatePool | ImportPool | ExportPool
)
ServiceChange: TypeAlias = StartService | StopService
