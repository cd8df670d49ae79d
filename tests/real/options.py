"""What `make real` is asked for, from the environment. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class Wrong(Exception):
    """A setting that cannot be meant."""


@dataclass(frozen=True)
class Options:
    """See docs/real-nodes.md."""

    #: A folder with images, or two addresses.
    where: str
    #: Empty: all.
    exams: tuple[str, ...]
    release: str
    seed: int
    out: Path
    #: Instead of the number that an exam has of its own.
    tries: int | None = None
    record: Path | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those of two real machines; empty: images."""
        return tuple(self.where.split()) if "@" in self.where else ()


def read_options(environment: Mapping[str, str]) -> Options:
    """Raises Wrong, in one sentence for people."""
    get = environment.get
    tries = get("TRIES", "")
    if tries and not (tries.isdigit() and int(tries)):
        raise Wrong(f"TRIES={tries}: a number of rounds is meant, 1 or more")
    if not get("SEED", "1").isdigit():
        raise Wrong(f"SEED={get('SEED')}: a number is meant")
    if not get("HACTL_REAL"):
        raise Wrong("HACTL_REAL: the folder of the images, or two addresses 'root@HOST root@HOST' (docs/real-nodes.md)")
    return Options(
        where=environment["HACTL_REAL"],
        exams=tuple(word for word in get("EXAM", "").replace(",", " ").split() if word),
        release=get("RELEASE", "13.2"),
        seed=int(get("SEED", "1")),
        out=Path(get("OUT") or ".lab/real").absolute(),
        tries=int(tries) if tries else None,
        record=Path(environment["RECORD"]) if get("RECORD") else None,
    )
