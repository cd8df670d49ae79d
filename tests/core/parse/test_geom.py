"""The probe's lines about GEOM: who uses a provider, under whatever name, and what is not understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from hactl.core.parse.geom import User, parse_mesh
from hactl.core.parse.text import NotUnderstood

#: Two disks, a table with a labelled partition on the one, a mirror over the other; nobody has anything open.
MESH = """class DISK
geom da0
provider 0xd0 r0w0e0 da0
geom da1
provider 0xd1 r1w1e1 da1
class DEV
geom da0
consumer 0xd0 r0w0e0
geom gpt/hast0
consumer 0xb0 r0w0e0
class PART
geom da0
scheme GPT
consumer 0xd0 r0w0e0
provider 0xa0 r0w0e0 da0p1
class LABEL
geom da0p1
consumer 0xa0 r0w0e0
provider 0xb0 r0w0e0 gpt/hast0
class MIRROR
geom gm0
consumer 0xd1 r1w1e1
provider 0xc0 r0w0e0 mirror/gm0
"""
TABLE, LABEL, MIRROR = User("PART", "GPT"), User("LABEL", "gpt/hast0"), User("MIRROR", "gm0", (1, 1, 1))


def users(name: str, more: str = "", *, changed: tuple[str, str] = ("", "")) -> tuple[User, ...]:
    """Who uses a provider where the mesh goes on like that."""
    return parse_mesh(MESH.replace(*changed) + more + "end\n").users(name)


def test_everybody_on_a_provider_is_a_user() -> None:
    """A table and a label on the disk count; a member is its mirror's; a device node nobody has open is none."""
    assert users("da0") == (TABLE, LABEL)
    assert users("da0p1") == (LABEL,)
    assert users("da1") == (MIRROR,)
    assert users("gpt/hast0") == ()
    assert users("mirror/gm0") == ()
    assert "da2" not in parse_mesh(MESH + "end\n")


def test_who_has_it_open_under_another_name_is_a_user() -> None:
    """A filesystem on the partition is one of the label, and of the disk; one on the label is one of the partition."""
    filesystem = User("VFS", "ffs.da0p1", (1, 1, 1))
    on_partition = "class VFS\ngeom ffs.da0p1\nconsumer 0xa0 r1w1e1\n"
    opened = ("0xa0 r0w0e0 da0p1", "0xa0 r1w1e1 da0p1")
    assert users("gpt/hast0", on_partition, changed=opened) == (filesystem,)
    assert filesystem in users("da0", on_partition)
    on_label = "class SWAP\ngeom swap\nconsumer 0xb0 r1w1e0\n"
    assert users("da0p1", on_label) == (LABEL, User("SWAP", "swap", (1, 1, 0)))
    assert users("mirror/gm0", "class DEV\ngeom da1\nconsumer 0xd1 r1w0e0\n") == (User("DEV", "da1", (1, 0, 0)),)


def test_open_counts_that_no_consumer_has_are_somebody() -> None:
    """GEOM adds up what its consumers have: the rest is not understood, and not nobody."""
    assert users("da0p1", changed=("0xa0 r0w0e0 da0p1", "0xa0 r1w0e0 da0p1")) == (LABEL, User("", "", (1, 0, 0)))
    assert users("mirror/gm0", changed=("0xc0 r0w0e0", "0xc0 r0w1e0")) == (User("", "", (0, 1, 0)),)


def test_names_are_read_as_they_are_escaped() -> None:
    """geom_dump.c escapes what XML cannot hold; a blank is left alone."""
    mesh = parse_mesh("class LABEL\ngeom da0\nprovider 0x1 r0w0e0 ufs/my&#x26;own disk\nend\n")
    assert "ufs/my&own disk" in mesh


def test_memory_disks_of_a_file_are_found() -> None:
    """md(4) names the file behind it."""
    mesh = parse_mesh("class MD\ngeom md0\nprovider 0x1 r0w0e0 md0\nfile /var/a file\nend\n")
    assert mesh.of_file("/var/a file") == ("md0",)
    assert mesh.of_file("/var/a") == ()


def test_a_mesh_in_circles_comes_to_an_end() -> None:
    """GEOM has none; whatever a node prints, nobody hangs."""
    circle = "class LABEL\ngeom x\nconsumer 0x1 r0w0e0\nprovider 0x1 r0w0e0 label/x\nend\n"
    assert parse_mesh(circle).users("label/x") == (User("LABEL", "label/x"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        MESH,
        MESH + "end\ngeom x\n",
        MESH + "sysctl: unknown oid 'kern.geom.confxml'\nend\n",
        "provider 0x1 r0w0e0\nend\n",
        "provider 0x1 open vtbd1\nend\n",
        "consumer 0x1 r0w0\nend\n",
        "consumer 0x1\nend\n",
        "file /x\nend\n",
    ],
)
def test_what_is_not_whole_is_not_understood(text: str) -> None:
    """Whoever is missing from it could be the user."""
    with pytest.raises(NotUnderstood):
        parse_mesh(text)


@pytest.mark.parametrize(
    ("name", "users"),
    [
        ("vtbd2", []),
        ("vtbd3", []),
        ("vtbd1", ["DEV vtbd1"]),
        ("hast/data", ["VFS ffs.hast/data"]),
        ("vtbd0p2", ["LABEL gpt/root", "VFS ffs.gpt/root"]),
        ("gpt/swap", ["SWAP swap"]),
        ("vtbd0p1", ["LABEL gptid/c2236938-ec1b-11f1-0567-c7697351ff4a", "LABEL gpt/boot"]),
    ],
)
def test_a_real_node(name: str, users: list[str]) -> None:
    """A primary of FreeBSD 13.2, recorded on 2026-11-30: blank disks are nobody's, hastd has its own open."""
    mesh = parse_mesh((Path(__file__).parent / "pair.mesh").read_text())
    assert name in mesh
    assert [f"{user.geom_class} {user.name}" for user in mesh.users(name) if user.geom_class != "PART"][
        : len(users)
    ] == users
    assert bool(mesh.users(name)) is bool(users)
