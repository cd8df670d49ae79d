"""What people do to a simulated pair: mistakes by hand on its machines, and changes of its document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mistake:
    """Something a person does by hand. `dual`: it can make a second primary or split the copies."""

    command: str
    dual: bool = False


NAS_MISTAKES = (
    *(Mistake(f"ifconfig vtnet1 vhid 80 advskew {n}") for n in (0, 50, 200)),
    Mistake("ifconfig vtnet1 vhid 80 pass wrong"),
    Mistake("ifconfig vtnet1 vhid 80 advbase 5"),
    Mistake("ifconfig vtnet1 vhid 80 state backup"),
    Mistake("ifconfig vtnet1 inet 192.0.2.80 -alias"),
    Mistake("ifconfig vtnet1 inet 192.0.2.81/24 vhid 80 alias"),
    Mistake("ifconfig vtnet1 inet 192.0.2.80/32 vhid 2 alias"),
    Mistake("sysctl net.inet.carp.demotion=100"),
    Mistake("sysctl net.inet.carp.preempt=0"),
    Mistake("sysctl net.inet.carp.allow=0"),
    Mistake("service nfsd onestop"),
    Mistake("service nfsd onestart"),
    Mistake("service nfsd onestop; umount /data"),
    Mistake("umount -f /data"),
    Mistake("mount -u -o atime /data"),
    Mistake("mount | grep -q /dev/hast/data || hastctl role init data"),
    Mistake("service nfsd onestop; umount /data && hastctl role init data"),
    Mistake("hastctl role secondary data"),
    Mistake("service hastd onestop"),
    Mistake("service hastd onereload"),
    Mistake("pkill -9 hastd"),
    Mistake("sysrc hastd_enable=NO"),
    Mistake("sysrc kld_list="),
    Mistake("sysrc nfs_server_enable=YES"),
    Mistake("chmod 644 /etc/rc.conf.d/netif"),
    Mistake("rm -f /etc/rc.conf.d/netif"),
    Mistake("echo net.inet.carp.preempt=0 >> /etc/sysctl.conf"),
    Mistake("sed -i '' -e s/memsync/fullsync/ /etc/hast.conf"),
    Mistake("rm -f /etc/hast.conf"),
    Mistake("echo nonsense >> /etc/hast.conf"),
    Mistake("hastctl role primary data", dual=True),
)
FIREWALL_MISTAKES = (
    Mistake("for i in ix0 igb0; do ifconfig $i vhid 10 advskew 150; done"),
    Mistake("for i in ix1 igb1; do ifconfig $i vhid 20 pass wrong; done"),
    Mistake("for i in ix1 igb1; do ifconfig $i vhid 20 advbase 4; done"),
    Mistake("for i in ix1 igb1; do ifconfig $i inet6 2001:db8:1::1 -alias; done"),
    Mistake("for i in ix1 igb1; do ifconfig $i inet 192.0.2.1 -alias; done"),
    Mistake("for i in ix0 igb0; do ifconfig $i inet 198.51.100.1 -alias; done"),
    Mistake("sysctl net.inet.carp.demotion=100"),
    Mistake("sysctl net.inet.carp.preempt=0"),
    Mistake("sysrc kld_list="),
    Mistake("rm -f /etc/rc.conf.d/netif"),
)

#: Changes a document as read from YAML.
Edit = Callable[[dict[str, Any]], None]
#: A change of the virtual IP's password, which is not in the document.
PASSWORD = "password"
#: Without preemption nothing keeps the virtual IPs of a group together (carp(4)).
NO_PREEMPTION = "preempt: false"


def _group(data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["spec"]["groups"][0]
    return found


def _hast(**settings: object) -> Edit:
    return lambda data: _group(data)["storage"][0]["hast"].update(settings)


def _vip(number: int, **settings: object) -> Edit:
    return lambda data: _group(data)["virtualIPs"][number].update(settings)


def _advskews(**by_node: int) -> Edit:
    """The same for every virtual IP of the group: they move together. Storage follows them, so it goes back nowhere."""
    skews = {node.replace("_", "-"): advskew for node, advskew in by_node.items()}

    def change(data: dict[str, Any]) -> None:
        for vip in _group(data)["virtualIPs"]:
            vip["advskews"] = skews
        if "storage" in _group(data):
            _group(data)["failback"] = "Never"

    return change


def _set(**settings: object) -> Edit:
    return lambda data: _group(data).update(settings)


def _more(data: dict[str, Any]) -> None:
    """A second virtual IP of the group."""
    first = _group(data)["virtualIPs"][0]
    _group(data)["virtualIPs"].append({**first, "name": "more", "vhid": 81, "addresses": ["192.0.2.90/24"]})


def _turned(data: dict[str, Any]) -> None:
    _group(data)["preferred"].reverse()


def _ufs(options: list[str]) -> Edit:
    return lambda data: _group(data)["storage"][0]["filesystem"]["ufs"].update(options=options)


def _nothing(data: dict[str, Any]) -> None:
    del data


_ANYWHERE: dict[str, Edit] = {
    "preferred the other way round": _turned,
    NO_PREEMPTION: lambda data: data["spec"].update(carp={"preempt": False}),
    "advbase 2": _vip(0, advbase=2),
    PASSWORD: _nothing,
}
NAS_EDITS: dict[str, Edit] = {
    **_ANYWHERE,
    "failback": _set(failback="WhenReady"),
    "a second virtual IP": _more,
    "advskews for nas-a": _advskews(nas_a=10, nas_b=20),
    "advskews for nas-b": _advskews(nas_a=120, nas_b=20),
    "two addresses": _vip(0, addresses=["192.0.2.80/24", "192.0.2.81/24"]),
    "fullsync": _hast(replication="fullsync"),
    "async": _hast(replication="async"),
    "timeout 10 s": _hast(timeoutSeconds=10),
    "checksum": _hast(checksum="crc32"),
    "no mount options": _ufs([]),
    "mounted nosuid": _ufs(["noatime", "nosuid"]),
    "policy Manual": _set(failover={"policy": "Manual"}),
    "settle 3 s": _set(failover={"settleSeconds": 3}),
    "nfsd everywhere": _set(services=[{"name": "nfsd", "runOn": "All"}]),
    "no services": _set(services=[]),
}
FIREWALL_EDITS: dict[str, Edit] = {
    **_ANYWHERE,
    "advbase 3 inside": _vip(1, advbase=3),
    "advskews": _advskews(fw_1=50, fw_2=20),
    "no IPv6": _vip(1, addresses=["192.0.2.1/24"]),
    "one more address": _vip(0, addresses=["198.51.100.1/24", "198.51.100.2/24"]),
    "failback Never": _set(failback="Never"),
}
