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
from hactl.core.choices import Mode, PoolLayout
from hactl.core.document.load import read_cluster
from hactl.core.document.problems import FieldPath, path_text
from hactl.core.document.rules.check import faults
from hactl.core.facts import CarpState, Pool
from hactl.core.objects import API_VERSION, KIND, HACluster

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
        groups: list[tuple[list[VirtualIP], list[Resource]]] = [(vips, []) for vips in by_order.values()]
        for resource in resources:
            mine = (group for group in groups if self._active(group[0], []) == resource.primary)
            next(mine if resource.primary is not None else iter(groups), groups[0])[1].append(resource)
        return groups

    def _active(self, vips: list[VirtualIP], resources: list[Resource]) -> int | None:
        """The node that has the first address of a group now, else the first disk; None: no node said."""
        for vip in vips:
            for number, vhid in vip.on.items():
                interface = self._nodes[number].running.get(vhid.interface)
                there = interface.vhid(vhid.number) if interface is not None else None
                if there is not None and there.state is CarpState.MASTER:
                    return number
        return next((each.primary for each in resources), None)

    def _group(self, groups: list[dict[str, Any]], vips: list[VirtualIP], resources: list[Resource]) -> None:
        path: FieldPath = ("spec", "groups", len(groups))
        order = vips[0].order if vips else list(range(len(self._nodes)))
        group: dict[str, Any] = {
            "name": f"group-{len(groups) + 1}" if len(groups) else "main",
            "preferred": [self._names[number] for number in order],
        }
        groups.append(group)
        if vips:
            if not resources and self._active(vips, []) not in (None, order[0]):
                self._stay(vips)
            group["virtualIPs"] = [self._vip(vip, (*path, "virtualIPs", at)) for at, vip in enumerate(vips)]
        else:
            self._remark((*path, "preferred"), "No file has a CARP address: nothing tells the nodes who is active.")
        if resources:
            group["storage"] = [self._resource(each, (*path, "storage", at)) for at, each in enumerate(resources)]
        group["services"] = [{"name": name} for name in self._services(vips, resources, groups[:-1])]
        self._remark((*path, "services"), self._about_services(group["services"]))

    def _stay(self, vips: list[VirtualIP]) -> None:
        """The other node serves now: the advskews stay with the nodes, where hactl would give the better one to it."""
        for vip in vips:
            if len(vip.on) == len(self._nodes) and not vip.advskews:
                vip.advskews = {number: vhid.advskew or 0 for number, vhid in vip.on.items()}

    def _services(self, vips: list[VirtualIP], resources: list[Resource], before: list[dict[str, Any]]) -> list[str]:
        """What runs where the group is active, is there on every node, and runs on no other one."""
        active = self._active(vips, resources)
        if active is None:
            return []
        others = [node.answers.services for at, node in enumerate(self._nodes) if at != active]
        taken = {service["name"] for group in before for service in group["services"]}
        return [
            name
            for name, pid in self._nodes[active].answers.services.items()
            if pid is not None and name not in taken and all(name in each and each[name] is None for each in others)
        ]

    def _about_services(self, found: list[dict[str, str]]) -> str:
        if not self._reached:
            return "No file can say which services follow the addresses: name them, e.g. {name: nfsd}, in start order."
        runs = [{name for name, pid in node.answers.services.items() if pid is not None} for node in self._nodes]
        both = ", ".join(sorted(set.intersection(*runs))) if runs else ""
        everywhere = f" On every node run {both}: these stay as they are." if both else ""
        if not found:
            return f"No service was found that runs on the active node alone: name those that move.{everywhere}"
        return f"These run on the active node and not on the other one: check which are to move.{everywhere}"

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
        if vip.keeps_password:
            self._remark((*path, "addresses"), "Its password cannot be said here: the vhid keeps the one that it has.")
        elif first.password is not None:
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
            says = "No node says" if self._reached else "No file says"
            about = f"{says} what is on /dev/hast/{resource.name}: add filesystem (ufs or zfs)."
            self._remark((*path, "hast"), about)
        return data


def _zfs(pool: Pool, mounted_on: str) -> dict[str, str]:
    """The pool as a document names it at each of its resources."""
    layout = next((each.value for each in PoolLayout if each.vdev and each.vdev == pool.layout), "")
    place = mounted_on if mounted_on != f"/{pool.name}" else ""
    return {"pool": pool.name} | ({"layout": layout} if layout else {}) | ({"mountpoint": place} if place else {})
