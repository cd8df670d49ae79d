"""The document that the files of some nodes mean: data, what to remark on it, its secrets, and all findings.

What comes out is a valid document, or the findings say what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hactl.core.adopt.addresses import VirtualIP, virtual_ips
from hactl.core.adopt.finding import Finding
from hactl.core.adopt.live import Reached
from hactl.core.adopt.names import Names, cluster_name, name_nodes
from hactl.core.adopt.node import Node, NodeFile, boot_findings, carp_words, read_node
from hactl.core.adopt.storage import Resource, Storage, storage
from hactl.core.document.load import read_cluster
from hactl.core.document.problems import FieldPath, path_text
from hactl.core.document.rules.check import faults
from hactl.core.facts import Pool
from hactl.core.objects import API_VERSION, KIND, HACluster, Mode, PoolLayout

_ON_THE_CONSOLE = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the console of the node"
_KEYS_TO_GET = (
    "Host keys: ssh-keyscan -t ed25519 HOST | cut -d' ' -f2- > keys/NODE.pub; before you trust it, compare "
    f"ssh-keygen -lf keys/NODE.pub with {_ON_THE_CONSOLE}."
)
_KEYS_SEEN = (
    "Host keys are what was seen on the connection: before you trust one, put it into a file and compare "
    f"ssh-keygen -lf FILE with {_ON_THE_CONSOLE}."
)


@dataclass(slots=True)
class Draft:
    """A document to look through, and what has to stand beside it."""

    data: dict[str, Any]
    #: Remarks, each before a field.
    remarks: dict[FieldPath, str] = field(default_factory=dict)
    #: File beside the document -> the CARP password in it.
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    findings: list[Finding] = field(default_factory=list)
    #: Why there is no valid document; empty: this is one.
    missing: list[str] = field(default_factory=list)


def draft(files: Sequence[Sequence[NodeFile]], name: str = "", reached: Sequence[Reached] = ()) -> Draft:
    """The document that these files mean, those of each node together; `reached`: how, where the nodes were asked."""
    nodes = [read_node(tuple(each)) for each in files]
    names = name_nodes(nodes)
    vips, findings = virtual_ips(nodes, names.of_node)
    disks = storage(nodes, names)
    found = Draft({})
    found.findings = [*(f for node in nodes for f in _of_node(node)), *names.findings, *findings, *disks.findings]
    _Writer(found, nodes, names, vips, disks, reached).write(name or cluster_name(names.of_node))
    found.findings = sorted(dict.fromkeys(found.findings), key=lambda each: (each.place, each.note))
    found.missing = list(dict.fromkeys(_missing(found.data)))
    return found


def _of_node(node: Node) -> Iterator[Finding]:
    yield from node.findings
    yield from carp_words(node)
    yield from boot_findings(node)


def _missing(data: dict[str, Any]) -> Iterator[str]:
    """Why this is no valid document."""
    if not data["spec"]["groups"]:
        yield "no file names a CARP vhid with an address, or a HAST resource with its disk"
        return
    cluster = read_cluster(data)
    for fault in faults(cluster) if isinstance(cluster, HACluster) else cluster:
        yield f"{path_text(fault.path)}: {fault.text}{f'; {fault.fix}' if fault.fix else ''}"


class _Writer:
    """Puts the document together."""

    def __init__(
        self,
        found: Draft,
        nodes: Sequence[Node],
        names: Names,
        vips: list[VirtualIP],
        disks: Storage,
        reached: Sequence[Reached],
    ) -> None:
        self._reached = reached
        self._draft, self._nodes, self._names, self._vips, self._disks = found, nodes, names.of_node, vips, disks

    def write(self, name: str) -> None:
        spec: dict[str, Any] = {"mode": str(Mode.OBSERVE)}
        self._draft.data |= {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}
        self._remark(("spec", "mode"), "Observe: hactl changes nothing. Apply, once `hactl plan` shows what you want.")
        spec["nodes"] = [self._node(number) for number in range(len(self._nodes))]
        self._remark(("spec", "nodes"), _KEYS_SEEN if self._reached else _KEYS_TO_GET)
        if self._vips:
            spec["carp"] = {"preempt": self._preempt()}
        if self._disks.listen:
            spec["hast"] = {"listen": self._disks.listen}
        if self._disks.keep:
            spec["keep"] = self._disks.keep
            self._remark(("spec", "keep"), "What no document can say; with these hast.conf stays as it is.")
        spec["groups"] = []
        for vips, resources in self._groups():
            self._group(spec["groups"], vips, resources)

    def _remark(self, path: FieldPath, text: str) -> None:
        self._draft.remarks[path] = text

    def _node(self, number: int) -> dict[str, Any]:
        name, node = self._names[number], self._nodes[number]
        if self._reached:
            at = self._reached[number]
            return {"name": name, "ssh": {"host": at.host, "port": at.port, "user": at.user, "hostKey": at.host_key}}
        replicated = {resource.addresses.get(name) for resource in self._disks.resources}
        virtual = {address.partition("/")[0] for vip in self._vips for address in vip.addresses}
        own = [str(address.ip) for address in node.addresses if str(address.ip) not in virtual]
        host = next((ip for ip in own if ip not in replicated), own[0] if own else name)
        if not own:
            path = ("spec", "nodes", number, "ssh")
            self._remark(path, f"No file says an address of {name}'s own: write the one that ssh reaches it at.")
        return {"name": name, "ssh": {"host": host, "user": "root", "hostKeyFrom": {"file": f"keys/{name}.pub"}}}

    def _preempt(self) -> bool:
        said = [node.preempt for node in self._nodes if node.preempt is not None]
        if not said:
            self._remark(("spec", "carp"), "No file chooses: with it the addresses of a node move together.")
        for value, place in said[1:]:
            if value != said[0][0]:
                message = f"net.inet.carp.preempt is {value} here and {said[0][0]} on another node"
                self._draft.findings.append(Finding(place, message, f"the document has {said[0][0]}"))
        return not said or said[0][0] not in ("0", "")

    def _groups(self) -> list[tuple[list[VirtualIP], list[Resource]]]:
        """What has the same preferred node moves together; the disks with the first of them."""
        resources = [each for each in self._disks.resources if each.devices and each.addresses]
        by_order: dict[tuple[int, ...], list[VirtualIP]] = {}
        for vip in self._vips:
            by_order.setdefault(tuple(vip.order), []).append(vip)
        if not by_order:
            return [([], resources)] if resources else []
        return [(vips, [] if at else resources) for at, vips in enumerate(by_order.values())]

    def _group(self, groups: list[dict[str, Any]], vips: list[VirtualIP], resources: list[Resource]) -> None:
        path: FieldPath = ("spec", "groups", len(groups))
        order = vips[0].order if vips else list(range(len(self._nodes)))
        group: dict[str, Any] = {
            "name": f"group-{len(groups) + 1}" if len(groups) else "main",
            "preferred": [self._names[number] for number in order],
        }
        groups.append(group)
        if vips:
            group["virtualIPs"] = [self._vip(vip, (*path, "virtualIPs", at)) for at, vip in enumerate(vips)]
        else:
            self._remark((*path, "preferred"), "No file has a CARP address: nothing tells the nodes who is active.")
        if resources:
            group["storage"] = [self._resource(each, (*path, "storage", at)) for at, each in enumerate(resources)]
        group["services"] = []
        about = "No file can say which services follow the addresses: name them, e.g. {name: nfsd}, in start order."
        self._remark((*path, "services"), about)

    def _vip(self, vip: VirtualIP, path: FieldPath) -> dict[str, Any]:
        first = vip.first
        data: dict[str, Any] = {"name": vip.name, "vhid": first.number}
        if any(other.number != first.number for other in vip.on.values()):
            self._remark((*path, "vhid"), "The nodes have different vhids; this is that of the first.")
        on = {self._names[n]: vip.on[n].interface if n in vip.on else first.interface for n in range(len(self._nodes))}
        data |= {"interface": first.interface} if len(set(on.values())) == 1 else {"interfaces": on}
        data["addresses"] = vip.addresses
        if first.advbase != 1:
            data["advbase"] = first.advbase
        if vip.advskews:
            data["advskews"] = {self._names[number]: skew for number, skew in vip.advskews.items()}
            about = "As in the files. Without this the node that serves gets 0, the next 100."
            self._remark((*path, "advskews"), about)
        if first.password is not None:
            file = f"secrets/{vip.name}.carp"
            data["passwordFrom"] = {"file": file}
            if vip.password is not None:
                self._draft.secrets[file] = vip.password
            else:
                self._remark((*path, "passwordFrom"), "The password of the files cannot be used: choose another one.")
        return data

    def _resource(self, resource: Resource, path: FieldPath) -> dict[str, Any]:
        data: dict[str, Any] = {
            "name": resource.name,
            "hast": {"devices": resource.devices, "addresses": resource.addresses, **resource.settings},
        }
        for key, about in (("devices", resource.about_devices), ("addresses", resource.about_addresses)):
            if about:
                self._remark((*path, "hast", key), about[0].upper() + about[1:] + ".")
        mount = resource.mount
        if mount is not None and mount.kind == "ufs":
            options = [
                option
                for option in mount.options
                if option not in ("rw", "noauto", "late", "failok", "local", "soft-updates")
            ]
            data["filesystem"] = {"ufs": {"mountpoint": mount.point} | ({"options": options} if options else {})}
        elif resource.pool is not None:
            data["filesystem"] = {"zfs": _zfs(resource.pool, resource.pool_mounted_on)}
        else:
            about = f"No file says what is on /dev/hast/{resource.name}: add filesystem (ufs or zfs)."
            self._remark((*path, "hast"), about)
        return data


def _zfs(pool: Pool, mounted_on: str) -> dict[str, str]:
    """The pool as a document names it at each of its resources."""
    layout = next((each.value for each in PoolLayout if each.vdev and each.vdev == pool.layout), "")
    place = mounted_on if mounted_on != f"/{pool.name}" else ""
    return {"pool": pool.name} | ({"layout": layout} if layout else {}) | ({"mountpoint": place} if place else {})
