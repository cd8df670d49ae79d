"""What gives roles on a pair without hactl: rules of devd, rc.local, crontabs, scripts of rc.d."""

from __future__ import annotations

from random import Random

from support.pairs.hast_conf import Drawn
from support.pairs.pair import Pair


def write(random: Random, pair: Pair, resources: list[Drawn]) -> None:
    """On both nodes the same."""
    del random, pair, resources
