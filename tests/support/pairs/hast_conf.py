"""hast.conf(5) as people write it, and what hastd then does."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from support.pairs.pair import Machine, Pair, Resource
from support.pairs.rc_conf import RcFiles

_DEVICES = ["/dev/vtbd1", "/dev/ada1", "/dev/da0p3", "/dev/gpt/hast", "/dev/mirror/gm0", "/dev/zvol/tank/hast"]
HAST_CONF = "/etc/hast.conf"


@dataclass
class Drawn:
    """One resource of the pair."""

    name: str
    devices: tuple[str, str]
    #: Keyword -> value, where it is said.
    settings: dict[str, str]
    mountpoint: str


@dataclass
class Style:
    """How the file is written; the same on both nodes, or hastd would not agree with itself."""

    short: bool
    remote: str
    source: bool
    whole: dict[str, str]
    brace_below: bool
    #: What a document can only keep: keyword, value, and whether it stands in each resource.
    odd: tuple[str, str, bool] | None = None


#: Keyword, value, and whether it stands in the resources.
_ODD = [
    ("exec", "/usr/local/sbin/hast-event", True),
    ("exec", "/usr/local/sbin/hast-event", False),
    ("pidfile", "/var/run/hast.pid", False),
    ("control", "uds:///var/run/hastctl.sock", False),
    ("port", "9457", False),
]


def drawn(random: Random, pair: Pair) -> list[Drawn]:
    """One to three resources."""
    found = []
    names = random.sample(["data", "shared", "disk0", "home", "db_log", "vm-1"], random.choice([1, 1, 2, 3]))
    for at, name in enumerate(names):
        one = f"{random.choice(_DEVICES)}{at}"
        other = one if random.random() < 0.7 else f"/dev/ada{at + 4}"
        settings = {
            key: random.choice(values)
            for key, values in {
                "timeout": ["5", "20", "30"], "checksum": ["crc32", "sha256", "none"],
                "compression": ["lzf", "none", "hole"], "metaflush": ["off", "on"],
                "replication": ["fullsync", "memsync", "async"],
            }.items()
            if random.random() < 0.3
        }  # fmt: skip
        found.append(Drawn(name, (one, other), settings, f"/{name}" if random.random() < 0.7 else ""))
    pair.drawn.append(f"resources {' '.join(names)}")
    return found


def write(
    random: Random, pair: Pair, machine: Machine, at: int, active: int, resources: list[Drawn], rc: RcFiles
) -> None:
    """The file of one node, hastd's variable, and what hastd has."""
    if not resources:
        return
    rc.set("hastd_enable", random.choice(["YES", "yes", "true", "1", "On"]), random.choice(
        ["/etc/rc.conf", "/etc/rc.conf", "/etc/rc.conf.local", "/etc/rc.conf.d/hastd"]
    ))  # fmt: skip
    style = _style(Random(pair.seed), pair)
    for each in resources:
        called, whole = each.name, {**style.whole, **each.settings}
        machine.resources[each.name] = Resource(
            each.name, called, each.devices[at], _remote(style, at), "primary" if at == active else "secondary",
            whole.get("replication", "memsync"), each.mountpoint, f"198.51.100.{11 + at}" if style.source else "",
        )  # fmt: skip
    machine.files[HAST_CONF] = _text(random, pair, style, resources)
    pair.missing |= {(f"{machine.name} {verb}", target) for verb, target in _OF_THE_HOOK}
    if style.odd is not None:
        # The file stays its owner's: hastd does not tell the node hook, so no copy is confirmed.
        pair.missing -= {(f"{machine.name} {verb}", target) for verb, target in _OF_THE_FILE}
        pair.held.add("BootConfigByHand")
        pair.drawn += [" ".join(style.odd[:2])] if at else []
    elif at != active:
        pair.missing |= {(f"{machine.name} ConfirmCopy", each.name) for each in resources}


_OF_THE_HOOK = [
    ("WriteHook", "/usr/local/libexec/hactl/hook"),
    ("WriteHook", "/usr/local/etc/devd/hactl.conf"),
    ("WriteHook", "/usr/local/etc/rc.d/hactl_guard"),
    ("WriteHook", "/usr/local/etc/rc.d/hactl_node"),
    ("RestartDevd", "devd"),
    ("WriteHastConf", HAST_CONF),
    ("ReloadHastd", "hastd"),
    ("SetRcVariable", "hactl_node_enable"),
]


_OF_THE_FILE = [("WriteHastConf", HAST_CONF), ("ReloadHastd", "hastd")]


def _style(random: Random, pair: Pair) -> Style:
    short = "." in pair.machines[0].name and random.random() < 0.6
    whole = {}
    if random.random() < 0.3:
        whole["timeout"] = random.choice(["10", "25"])
    if random.random() < 0.2:
        whole["replication"] = "async"
    if random.random() < 0.2:
        whole["metaflush"] = "off"
    if random.random() < 0.2:
        whole["listen"] = random.choice(["tcp4://0.0.0.0:8457", "tcp://0.0.0.0", "0.0.0.0"])
    remote = random.choice(["{}", "tcp4://{}", "tcp://{}", "{}:8457", "tcp4://{}:8457"])
    odd = random.choice(_ODD) if random.random() < 0.2 else None
    if odd is not None and odd[0] == "port":
        remote, whole["listen"] = "tcp4://{}:9457", "tcp4://0.0.0.0:9457"
    elif odd is not None and not odd[2]:
        whole[odd[0]] = odd[1]
    return Style(short, remote, random.random() < 0.3, whole, random.random() < 0.2, odd)


def _remote(style: Style, at: int) -> str:
    return style.remote.format(f"198.51.100.{12 - at}")


def _text(random: Random, pair: Pair, style: Style, resources: list[Drawn]) -> str:
    lines = random.choice([[], ["# HAST, see the handbook"], ["", "#", ""]])
    lines = [*lines, *(f"{key} {value}" for key, value in style.whole.items())]
    brace = "\n{" if style.brace_below else " {"
    for each in resources:
        lines.append(f"resource {each.name}{brace}")
        said = [f"\t{key} {value}" for key, value in each.settings.items()]
        said += [f"\t{style.odd[0]} {style.odd[1]}"] if style.odd is not None and style.odd[2] else []
        above = each.devices[0] == each.devices[1] and random.random() < 0.4
        lines += [*said, *([f"\tlocal {each.devices[0]}"] if above else [])]
        for at in random.choice([(0, 1), (1, 0)]):
            name = pair.machines[at].name
            own = [f"\t\tremote {_remote(style, at)}{random.choice(['', '   # the other one'])}"]
            own += [] if above else [f"\t\tlocal {each.devices[at]}"]
            own += [f"\t\tsource 198.51.100.{11 + at}"] if style.source else []
            random.shuffle(own)
            lines += [f"\ton {name.partition('.')[0] if style.short else name}{brace}", *own, "\t}"]
        lines.append("}")
    return "\n".join(lines) + "\n"
