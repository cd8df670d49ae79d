"""One thing changed by hand on one node of a generated pair, and what the plan has to say of it, and no more."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from support.pairs.hast_conf import HAST_CONF
from support.pairs.pair import Machine, Pair, Port, Vhid


@dataclass(frozen=True)
class Changed:
    """What somebody did."""

    #: Number of the node, from 0.
    at: int
    what: str
    #: Verbs of the steps that undo it: at least one of them, or a hold of these reasons, and nothing else.
    verbs: frozenset[str]
    reasons: frozenset[str] = frozenset()
    #: Steps that were to be done before and now wait.
    waits: frozenset[str] = frozenset()


def change(random: Random, pair: Pair) -> Changed:
    """Do one thing to the pair."""
    at = random.randrange(2)
    machine = pair.machines[at]
    able = [(how, found) for how in _CHANGES if (found := how(random, pair, machine)) is not None]
    how, (what, do, verbs, *more) = random.choice(able)
    del how
    do()
    reasons, waits = (*more, frozenset(), frozenset())[:2]
    return Changed(at, what, frozenset(verbs), frozenset(reasons), frozenset(waits))


#: What a hast.conf that waits for an answer entails: the other node's, and the copy that nobody may confirm.
_OF_A_FILE_THAT_WAITS = {"StandbyFirst", "BootConfigByHand"}
_Found = tuple[str, Callable[[], None], set[str], *tuple[set[str], ...]] | None


def _ours(pair: Pair, machine: Machine) -> list[tuple[Port, Vhid]]:
    """Those that no script of the owner's sets: there hactl waits for an answer."""
    found = _vhids(machine)
    return [] if any("cron.d/load" in name for name in pair.waiting) else found


def _vhids(machine: Machine) -> list[tuple[Port, Vhid]]:
    return [(port, vhid) for port in machine.ports.values() for vhid in port.vhids.values()]


def _advskew(random: Random, pair: Pair, machine: Machine) -> _Found:
    if not (ours := _ours(pair, machine)):
        return None
    port, vhid = random.choice(ours)
    skew = (vhid.advskew + 7) % 230

    def do() -> None:
        vhid.advskew = skew

    return f"ifconfig {port.name} vhid {vhid.number} advskew {skew}", do, {"SetVhid"}


def _password(random: Random, pair: Pair, machine: Machine) -> _Found:
    if not (ours := _ours(pair, machine)):
        return None
    port, vhid = random.choice(ours)
    if vhid.password is None or not re.fullmatch(r"[\w.+=:@%,]+", vhid.password):
        return None  # the document does not name it

    def do() -> None:
        vhid.password = "another.one"

    return f"ifconfig {port.name} vhid {vhid.number} pass another.one", do, {"SetVhid"}


def _address_gone(random: Random, pair: Pair, machine: Machine) -> _Found:
    port, vhid = random.choice(_vhids(machine))
    if len(vhid.addresses) == 1:
        return None
    gone = random.choice(vhid.addresses)
    return f"ifconfig {port.name} {gone} -alias", lambda: vhid.addresses.remove(gone), {"AddAddress"}


def _vhid_gone(random: Random, pair: Pair, machine: Machine) -> _Found:
    port, vhid = random.choice(_vhids(machine))
    if vhid.state == "MASTER":
        return None
    what = f"every address of vhid {vhid.number} off {port.name}"
    return what, lambda: port.vhids.__delitem__(vhid.number), {"AddAddress"}, {"NotInDocument"}


def _address_more(random: Random, pair: Pair, machine: Machine) -> _Found:
    port, vhid = random.choice(_vhids(machine))
    return (
        f"ifconfig {port.name} inet 192.0.2.222/32 vhid {vhid.number} alias",
        lambda: vhid.addresses.append("192.0.2.222/32"),
        {"RemoveAddress"},
    )


def _preempt(random: Random, pair: Pair, machine: Machine) -> _Found:
    def do() -> None:
        machine.preempt = 1 - machine.preempt

    return f"sysctl net.inet.carp.preempt={1 - machine.preempt}", do, {"SetSysctl"}


def _without(machine: Machine, pattern: str) -> Callable[[], None]:
    def do() -> None:
        for path, text in machine.files.items():
            machine.files[path] = re.sub(pattern, "# gone\n", text)

    return do


def _module(random: Random, pair: Pair, machine: Machine) -> _Found:
    if any("carp_load" in text for text in machine.files.values()):
        return None
    return "kld_list taken out", _without(machine, r"(?m)^.*\bkld_list=.*\n"), {"SetRcVariable"}


def _sysctl_conf(random: Random, pair: Pair, machine: Machine) -> _Found:
    if not machine.preempt or ("SetSysctlConf", "net.inet.carp.preempt") in {
        (s.split()[1], t) for s, t in pair.missing
    }:
        return None
    return (
        "preempt taken out of sysctl.conf",
        _without(machine, r"(?m)^net\.inet\.carp\.preempt.*\n"),
        {"SetSysctlConf"},
    )


def _boot_line(random: Random, pair: Pair, machine: Machine) -> _Found:
    said = re.compile(r"(?m)^[^#\n]*advskew (\d+)")
    mine = [
        (path, match)
        for path, text in machine.files.items()
        if "rc.conf" in path
        for match in said.finditer(text)
        if "bge7" not in match[0]
    ]
    if not mine:
        return None
    path, match = random.choice(mine)

    def do() -> None:
        text = machine.files[path]
        machine.files[path] = text[: match.start(1)] + str((int(match[1]) + 3) % 230) + text[match.end(1) :]

    return f"another advskew in {path}", do, {"WriteBootAliases", "RemoveRcVariable"}, {"BootConfigByHand"}


def _boot_line_gone(random: Random, pair: Pair, machine: Machine) -> _Found:
    whole = re.compile(r"""(?m)^(export |[ \t]*)ifconfig_(?!bge7)\w+_alias\d+=("[^"\n]*"|'[^'\n]*')[^\n]*\n""")
    paths = [path for path, text in machine.files.items() if "rc.conf" in path and whole.search(text)]
    if not paths:
        return None
    path = random.choice(paths)

    def do() -> None:
        machine.files[path] = whole.sub("", machine.files[path], count=1)

    return f"an alias taken out of {path}", do, {"WriteBootAliases", "RemoveRcVariable"}, {"BootConfigByHand"}


def _hastd(random: Random, pair: Pair, machine: Machine) -> _Found:
    if not machine.resources:
        return None

    def do() -> None:
        for path, text in machine.files.items():
            machine.files[path] = re.sub(r"(?m)^(.*\bhastd_enable=).*\n", r"\1NO\n", text)

    return "hastd_enable=NO", do, {"SetRcVariable"}


def _setting_more(random: Random, pair: Pair, machine: Machine) -> _Found:
    if not machine.resources or "checksum" in machine.files[HAST_CONF]:
        return None

    def do() -> None:
        machine.files[HAST_CONF] = "checksum crc32\n" + machine.files[HAST_CONF]

    waits = {"WriteHastConf", "ReloadHastd", "ConfirmCopy"}
    return "checksum crc32 in hast.conf", do, set(), {"NotInDocument", *_OF_A_FILE_THAT_WAITS}, waits


_CHANGES: list[Callable[[Random, Pair, Machine], _Found]] = [
    _advskew, _password, _address_gone, _vhid_gone, _address_more, _preempt, _module, _sysctl_conf, _boot_line,
    _boot_line_gone, _hastd, _setting_more,
]  # fmt: skip
