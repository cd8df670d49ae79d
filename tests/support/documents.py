"""Documents for tests: the two examples as text and as data, and ways to change one field."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from hactl.adapters.yaml.documents import FileContent, read_documents
from hactl.adapters.yaml.tree import read_trees

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "manifests" / "examples"
NAS = (EXAMPLES / "nas.yaml").read_text(encoding="utf-8")
FIREWALL = (EXAMPLES / "firewall.yaml").read_text(encoding="utf-8")
KEY_A = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpgX4BDyHwBSelSW0txQo1SEMEc6u6uj3umJRPBQyHj"
KEY_B = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBH6v8wBfj9NiL/gyuf/60ng5psZzugni38kyVK/uKck"


def read(text: str | bytes, source: str = "nas.yaml") -> FileContent:
    """What a file with this text holds."""
    content = text.encode() if isinstance(text, str) else text
    return read_documents(content, source=source, directory="/clusters")


def problems(text: str | bytes) -> list[str]:
    """Its problems, one line each."""
    return [str(problem) for problem in read(text).problems]


def nas_data() -> dict[str, Any]:
    """The storage pair as plain data."""
    return _data(NAS)


def second_group(data: dict[str, Any], *, more: bool = True) -> None:
    """Another group, at home on the other node; `more`: and a second resource of the group that is there."""
    groups = data["spec"]["groups"]
    first = groups[0]
    groups.append(copy.deepcopy(first) | {"name": "more", "services": [], "preferred": first["preferred"][::-1]})
    groups[1]["virtualIPs"][0] |= {"name": "more", "vhid": 81, "addresses": ["192.0.2.81/24"]}
    groups[1]["storage"] = [_like(first["storage"][0], "data3", "/dev/vtbd3")]
    if more:
        first["storage"].append(_like(first["storage"][0], "data2", "/dev/vtbd2"))


def _like(first: dict[str, Any], name: str, disk: str) -> dict[str, Any]:
    made = copy.deepcopy(first) | {"name": name, "filesystem": {"ufs": {"mountpoint": f"/{name}"}}}
    made["hast"]["devices"] = dict.fromkeys(made["hast"]["devices"], disk)
    return made


def write_pairs(place: Path, count: int) -> Path:
    """A new directory with so many storage pairs (at most 256) that have nothing in common, a file each."""
    place.mkdir()
    for number in range(count):
        text = NAS.replace("name: nas\n", f"name: nas-{number}\n").replace("192.0.2.", f"10.{number}.2.")
        text = text.replace("198.51.100.", f"10.{number}.3.").replace("files.carp", f"{number}.carp")
        for node, port in enumerate(("2221", "2222"), 1):
            text = text.replace(f"127.0.0.1\n        port: {port}", f"10.{number}.1.{node}\n        port: 22")
        (place / f"{number}.yaml").write_text(text, encoding="utf-8")
    return place


def firewall_data() -> dict[str, Any]:
    """The firewall pair as plain data."""
    return _data(FIREWALL)


def _data(text: str) -> dict[str, Any]:
    [tree] = read_trees(text.encode(), "example.yaml")[0]
    assert isinstance(tree.data, dict)
    return copy.deepcopy(tree.data)


def put(data: Any, path: str, value: Any) -> None:
    """Set a field by path: `spec.groups.0.failback`; the value `...` removes it."""
    *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    for part in way:
        data = data[part]
    if value is ...:
        del data[last]
    elif isinstance(data, list) and last == len(data):
        data.append(value)
    else:
        data[last] = value
