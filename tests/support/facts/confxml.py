"""kern.geom.confxml of a few geoms, as sys/geom/geom_dump.c lays it out: what a node answers in tests of the probe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Geom:
    """A geom: class, name, the providers it consumes and makes, each with open counts ("r1w1e1"), and config lines."""

    geom_class: str
    name: str
    consumes: tuple[tuple[str, str], ...] = ()
    provides: tuple[tuple[str, str], ...] = ()
    config: str = ""
    #: Config lines of every provider of it.
    made: str = ""


def disk(name: str, mode: str = "r0w0e0", opened: str = "r0w0e0") -> tuple[Geom, Geom]:
    """A disk nobody but processes uses, and its device node."""
    return Geom("DISK", name, provides=((name, mode),)), Geom("DEV", name, ((name, opened),))


def confxml(*geoms: Geom) -> str:
    """The whole mesh."""
    ids = {name: 0xFFFFF80003A1C000 + 0x100 * n for n, name in enumerate(m for g in geoms for m, _ in g.provides)}
    text = "<mesh>\n"
    for number, geom_class in enumerate(dict.fromkeys(geom.geom_class for geom in geoms)):
        text += f'  <class id="0x{number + 1:x}">\n    <name>{geom_class}</name>\n'
        for place, geom in enumerate(geoms):
            if geom.geom_class == geom_class:
                text += _geom(geom, f"0x{place + 4096:x}", f"0x{number + 1:x}", ids)
        text += "  </class>\n"
    return f"{text}</mesh>\n\n"


def _geom(geom: Geom, address: str, of_class: str, ids: dict[str, int]) -> str:
    text = f'    <geom id="{address}">\n      <class ref="{of_class}"/>\n      <name>{geom.name}</name>\n'
    text += "      <rank>1</rank>\n"
    if geom.config:
        text += f"      <config>\n{geom.config}      </config>\n"
    for name, mode in geom.consumes:
        text += f'\t<consumer id="{address}0">\n\t  <geom ref="{address}"/>\n\t  <provider ref="{ids[name]:#x}"/>\n'
        text += f"\t  <mode>{mode}</mode>\n\t  <config>\n\t  </config>\n\t</consumer>\n"
    for name, mode in geom.provides:
        text += f'\t<provider id="{ids[name]:#x}">\n\t  <geom ref="{address}"/>\n\t  <mode>{mode}</mode>\n'
        text += f"\t  <name>{name}</name>\n\t  <mediasize>134217728</mediasize>\n\t  <sectorsize>512</sectorsize>\n"
        text += "\t  <stripesize>0</stripesize>\n\t  <stripeoffset>0</stripeoffset>\n"
        text += f"\t  <config>\n{geom.made}\t  </config>\n\t</provider>\n"
    return f"{text}    </geom>\n"
