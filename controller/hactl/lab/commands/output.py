"""How programs print sizes and tables.

Rules:
- humanize_number(3) of libutil: at most four characters; each program puts its own letter behind bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


def humanize_number(number: int) -> str:
    """Bytes in the largest unit that leaves at most three digits: 512, 2.0M, 128M."""
    scaled, units = float(number), " KMGTPE"
    while scaled >= 999.5 and len(units) > 1:
        scaled, units = scaled / 1024, units[1:]
    unit = units[0].strip()
    return f"{scaled:.1f}{unit}" if unit and scaled < 9.95 else f"{scaled:.0f}{unit}"


def aligned(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """Lines with two blanks between their columns; those of `right` stand at the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = (
        "  ".join(f"{text:{'>' if place in right else '<'}{widths[place]}}" for place, text in enumerate(row))
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)
