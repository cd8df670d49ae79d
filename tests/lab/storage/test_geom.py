"""GEOM in the lab: classes by name, what providers are made of, who has what open; its text as the kernel prints it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from hactl.lab.storage.geom import Anatomy, anatomy
from support.lab.pair import Pair


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("vtbd1", Anatomy("DISK")),
        ("nda0", Anatomy("DISK")),
        ("vtbd1p2", Anatomy("PART", base="vtbd1")),
        ("ada0s1a", Anatomy("PART", base="ada0")),
        ("mirror/gm0", Anatomy("MIRROR", members=2)),
        ("mirror/gm0p3", Anatomy("PART", base="mirror/gm0")),
        ("mirror/gm0.eli", Anatomy("ELI", base="mirror/gm0")),
        ("vtbd1p2.eli", Anatomy("ELI", base="vtbd1p2")),
        ("zvol/zroot/hast0", Anatomy("ZFS::ZVOL")),
        ("gpt/hast0", Anatomy("LABEL", members=1)),
        ("label/hast0", Anatomy("LABEL", members=1)),
        ("multipath/hast0", Anatomy("MULTIPATH", members=2)),
        ("md4", Anatomy("MD")),
    ],
)
def test_a_path_says_the_class(name: str, found: Anatomy) -> None:
    """As geom(4), gpart(8), geli(8) and their kin name providers."""
    assert anatomy(name) == found


def modes(pair: Pair) -> dict[str, str]:
    """Every provider's open counts, from the text."""
    tree = ElementTree.fromstring(pair.sh(pair.a, "sysctl -n kern.geom.confxml").out)
    return {p.findtext("name", ""): p.findtext("mode", "") for p in tree.iter("provider") if p.find("name") is not None}


def test_the_mesh_is_laid_out_as_the_kernel_does_it() -> None:
    """Tabs and blanks of sys/geom/geom_dump.c; every reference resolves, and consumers add up (g_access(9))."""
    pair = Pair()
    pair.a.disks.add("/dev/mirror/gm0p3")
    pair.sh(pair.a, "newfs -L old /dev/vtbd2")
    text = pair.sh(pair.a, "sysctl -n kern.geom.confxml").out
    assert text.startswith('<mesh>\n  <class id="0x')
    assert "\t  <mode>r0w0e0</mode>\n\t  <name>mirror/gm0p3</name>\n\t  <mediasize>134217728</mediasize>\n" in text
    assert re.search(r"    <geom id=\"0x\w+\">\n      <class ref=\"0x\w+\"/>\n      <name>gm0</name>\n", text)
    assert "\t<scheme>GPT</scheme>\n" in text
    tree = ElementTree.fromstring(text)
    made = {p.get("id"): p.findtext("mode", "") for p in tree.iter("provider") if p.get("id") is not None}
    held: dict[str | None, list[int]] = {}
    for consumer in tree.iter("consumer"):
        reference = consumer.find("provider")
        assert reference is not None
        assert reference.get("ref") in made
        counts = [int(each) for each in re.findall(r"\d+", consumer.findtext("mode", ""))]
        held[reference.get("ref")] = [
            a + b for a, b in zip(held.get(reference.get("ref"), [0] * 3), counts, strict=True)
        ]
    assert {key: "r{}w{}e{}".format(*counts) for key, counts in held.items()} == made


def test_who_has_a_partition_open_has_what_it_is_made_of_open() -> None:
    """A label and a partition pass open counts on; a mirror and geli have their members open all the time."""
    pair = Pair()
    pair.a.disks.add("/dev/gpt/hast0")
    pair.a.disks.add("/dev/mirror/gm0")
    before = modes(pair)
    assert (before["gpt/hast0"], before["da100p1"], before["da100"]) == ("r0w0e0", "r0w0e0", "r0w0e0")
    assert (before["mirror/gm0"], before["da101"], before["da102"]) == ("r0w0e0", "r1w1e1", "r1w1e1")
    pair.sh(pair.a, "newfs -U /dev/gpt/hast0; mkdir -p /mnt; mount /dev/gpt/hast0 /mnt")
    after = modes(pair)
    assert (after["gpt/hast0"], after["da100p1"], after["da100"]) == ("r1w1e1", "r1w1e1", "r1w1e1")


def test_what_is_made_of_disks_is_there_after_a_boot() -> None:
    """GEOM tastes it again; what processes and swap had open is gone."""
    pair = Pair()
    pair.a.disks.add("/dev/mirror/gm0")
    pair.sh(pair.a, "swapon /dev/vtbd1")
    assert modes(pair)["vtbd1"] == "r1w1e0"
    assert "/dev/vtbd1 " in pair.sh(pair.a, "swapinfo").out
    pair.world.power_off("nas-a")
    pair.world.power_on("nas-a")
    pair.world.advance(60.0)
    assert (modes(pair)["vtbd1"], modes(pair)["da100"]) == ("r0w0e0", "r1w1e1")
    assert pair.a.files.kind("/dev/mirror/gm0") == "char"
