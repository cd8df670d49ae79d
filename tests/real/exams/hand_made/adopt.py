"""Pairs that somebody set up by hand, given to hactl while a client writes.

A pair is a file of sh(1) beside this one: what its owner did before the first boot, and once after it. Then what
docs/adopt.md says is done: import, a plan, Observe, an answer to what is held, Apply, and nothing left to do.
"""

from __future__ import annotations

import difflib
import re
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ...load.writers import Load
from ...nodes.site import Site
from ...outcome.timelines import longest
from ..exam import BOOT_SECONDS, Bench, exam

HERE = Path(__file__).parent
#: What a client may notice of an adoption, in seconds: nothing but a busy machine.
CALM_SECONDS = 2.0
_SYNC_SECONDS = 180.0
_BOOT = "sysctl -n kern.boottime"
_SERVING = "ifconfig vtnet1 | grep -q 'carp: MASTER vhid 80 '"
_SYNCED = "hastctl list data | grep -q 'dirty: 0 ' && hastctl status data | grep -q complete"
_PLACES = "etc boot/loader.conf boot/loader.conf.d usr/local/etc usr/local/sbin var/cron/tabs"
#: What the kernel and hastd have; numbers of packets and of processes are none of it.
_STATE = (
    "ifconfig vtnet1; ifconfig vtnet2; sysctl net.inet.carp.preempt net.inet.carp.log net.inet.carp.demotion; "
    "hastctl list data | grep -e '^ *role' -e provname -e localpath -e '^ *remote' -e source -e replication -e status; "
    "mount | sort; service records onestatus | sed 's/pid .*//'"
)
_HELD = re.compile(r"give it up: hactl give-up (?P<cluster>\S+) (?P<node>\S+) (?P<setting>'[^']*'|\S+)")
_KEPT = re.compile(r"leave it alone: spec\.keep: \[(?P<setting>'[^']*'|[^]]*)\]")


@dataclass(frozen=True)
class Owner:
    """What becomes of what hactl finds and the document does not say."""

    #: Held settings that contain one of these are kept; the rest is given up.
    keeps: tuple[str, ...] = ()
    #: hactl fails over at the end, and shows it.
    hands_over: bool = True
    #: hactl cannot say what is there: it leaves the storage alone, and nothing is Ready.
    refused: bool = False
    #: Programs that hastd calls today: the document says them (spec.hast.notify) instead of leaving hast.conf alone.
    hast_notify: tuple[str, ...] = ()
    #: What he does on each node because `hactl plan` and `hactl status` told him to.
    does: str = ""
    #: What told him.
    told: str = ""


OWNERS = {
    "handbook": Owner(),
    "ansible": Owner(keeps=("/etc/rc.local",), hands_over=False),
    "zfs": Owner(),
    "name": Owner(keeps=("",), hands_over=False, refused=True),
    "extras": Owner(
        hast_notify=("/usr/local/sbin/hast-event",),
        told="HookOvertaken",
        does="sed -i '' 's/notify 100/notify 20/' /etc/devd.conf && fsync /etc/devd.conf /etc && service devd restart",
    ),
}


@exam("adopt", tuple(OWNERS), "blank", "power")
def adopt(bench: Bench, name: str) -> None:
    """A pair set up by hand is adopted while a client writes: no interruption, nothing lost, nothing disarmed."""
    bench.clean = False
    owner = OWNERS[name]
    first = _set_up(bench, name)
    site = _site(bench)
    with bench.load() as load:
        time.sleep(3)
        began = bench.say("the adoption begins")
        before = _all_that_is_there(bench)
        _imported(bench, site)
        _observed(bench, site, before)
        _answered(bench, site, owner)
        _applied(bench, site, owner)
        time.sleep(3)
        bench.outcome.seconds["longest gap"] = max(longest(load.seen(), kind, began) for kind in ("tcp", "ping"))
        gap = bench.outcome.seconds["longest gap"]
        bench.outcome.must(gap <= CALM_SECONDS, f"a client was not answered for {gap:.1f} s")
        _compared(bench, before, _all_that_is_there(bench))
        if owner.hands_over:
            fault = bench.power_off(first)
            bench.outcome.must(bench.back(load, fault), "the service does not come back after the power cut")
            bench.measure(load, fault)
            bench.phases(bench.nodes.peer(first))
            bench.power_on(first)
            bench.outcome.must(_calm(site), "not Ready again after the power cut")
    _judged(bench, load, bench.nodes.peer(first) if owner.hands_over else first)
    bench.rebuild()


# --- as its owner did -----------------------------------------------------------------------------------------------


def _set_up(bench: Bench, name: str) -> str:
    """From blank disks, as the owner did; returns who serves."""
    script = (HERE / "common.sh").read_text() + (HERE / f"{name}.sh").read_text()
    bench.nodes.blank()
    bench.furnish()
    first, second = bench.nodes.both
    boots = {}
    for node in (first, second):
        node.must(script + "set -e; set_up; sync")
        boots[node.name] = node.must(_BOOT)
        node.run("shutdown -r now >/dev/null 2>&1 &")

    def booted(name: str) -> bool:
        ran = bench.nodes[name].run(_BOOT)
        return ran.exit == 0 and ran.out != boots[name]

    for node in (first, second):
        bench.wait(partial(booted, node.name), BOOT_SECONDS, f"{node.name} boots")
    second.must(script + "standby")
    first.must(script + "begin", 120)
    bench.wait(lambda: first.run(_SERVING).exit == 0, 60, "the address is where the storage is")
    bench.wait(lambda: first.run(_SYNCED).exit == 0, _SYNC_SECONDS, "both copies are the same")
    bench.say(f"{name}: {first.name} serves, as its owner set it up")
    return first.name


# --- docs/adopt.md --------------------------------------------------------------------------------------------------


def _site(bench: Bench) -> Site:
    """A folder and a record of its own; no document yet."""
    keys = {node["ssh"].get("identityFrom", {}).get("file", "") for node in bench.document["spec"]["nodes"]}
    return Site(bench.nodes, bench.folder / "hactl", {"HACTL_IDENTITY": keys.pop()} if keys != {""} else None)


def _imported(bench: Bench, site: Site) -> None:
    """What runs is a document."""
    hosts = [
        f"{node['ssh'].get('user', 'root')}@{node['ssh']['host']}:{node['ssh'].get('port', 22)}"
        for node in bench.document["spec"]["nodes"]
    ]
    ran = site.hactl("import", *hosts, "--name", "nas", "--force", "-o", str(site.file))
    bench.outcome.must(ran.exit == 0, f"hactl import: exit {ran.exit}: {ran.out.strip()}")
    site.name = "nas"
    bench.say("imported")
    bench.outcome.details += [f"hactl import: {ran.out.strip()}", site.file.read_text() if site.file.exists() else ""]


def _observed(bench: Bench, site: Site, before: dict[str, dict[str, str]]) -> None:
    """Looked at, on record, and nothing was changed."""
    plan = site.hactl("plan", "-f", str(site.file))
    bench.outcome.details.append(f"hactl plan: {plan.out.strip()}")
    site.hactl("apply", "-f", str(site.file), "--timeout", "60s")
    _same(bench, before, _all_that_is_there(bench), "with mode Observe")


def _answered(bench: Bench, site: Site, owner: Owner) -> None:
    """Every hold has one of the three answers; most of what the document can say import has written already."""
    if owner.hast_notify:
        _edit(site, hast_notify=owner.hast_notify)
    given_up = set()
    for _ in range(3):
        text = site.hactl("plan", "-f", str(site.file)).out
        held = [words.strip() for words in text.split("  held  ") if "give it up: hactl give-up" in words]
        if not held:
            return
        for hold in held:
            given, kept = _HELD.search(hold), _KEPT.search(hold)
            if given is None:
                continue
            setting = shlex.split(given["setting"].rstrip(";"))[0]
            if kept and any(word in setting for word in owner.keeps):
                _edit(site, keep=shlex.split(kept["setting"])[0])
                continue
            if (given["node"], setting) in given_up:
                continue  # two rules of one file
            given_up.add((given["node"], setting))
            ran = site.hactl("give-up", "nas", given["node"], setting)
            bench.outcome.must(ran.exit == 0, f"hactl give-up nas {given['node']} {setting}: {ran.out.strip()}")
            bench.outcome.details.append(f"given up on {given['node']}: {setting}")
        site.hactl("apply", "-f", str(site.file), "--timeout", "60s")


def _edit(site: Site, *, keep: str = "", mode: str = "", hast_notify: tuple[str, ...] = ()) -> None:
    yaml = YAML()
    document: Any = yaml.load(site.file)
    if keep and keep not in document["spec"].setdefault("keep", []):
        document["spec"]["keep"].append(keep)
    if hast_notify:
        document["spec"].setdefault("hast", {})["notify"] = [*hast_notify]
        document["spec"]["keep"] = [each for each in document["spec"]["keep"] if not each.endswith(".exec")]
    if mode:
        document["spec"]["mode"] = mode
    with site.file.open("w") as out:
        yaml.dump(document, out)


def _applied(bench: Bench, site: Site, owner: Owner) -> None:
    """In force; where all of it can be said it is Ready, and a second time nothing is to be done."""
    _edit(site, mode="Apply")
    first = site.apply(120)
    bench.outcome.seconds["apply"] = first.seconds
    bench.outcome.details.append(f"hactl apply: {first.text.strip()}")
    if owner.refused:
        bench.outcome.must(not first.ready, "hactl says Ready of what it cannot say")
        bench.outcome.must("ReloadUnsafe" in first.text or "NotInDocument" in first.text, "it does not say why")
        return
    if owner.does:
        bench.outcome.must(
            not first.ready and owner.told in site.hactl("status", "nas").out, f"{owner.told} is not told"
        )
        for node in bench.nodes.both:
            node.must(owner.does)
        first = site.apply(120)
    bench.outcome.must(first.ready or not owner.hands_over, "not Ready")
    second = site.apply(120)
    bench.outcome.must(second.steps == 0, f"the second apply took {second.steps} steps")
    bench.outcome.details.append(site.hactl("status", "nas").out.strip())


def _calm(site: Site) -> bool:
    """Ready, in three tries."""
    return any(site.apply().ready for _ in range(3))


# --- what became of it ----------------------------------------------------------------------------------------------


def _all_that_is_there(bench: Bench) -> dict[str, dict[str, str]]:
    """Node -> file, or `state` -> text."""
    return {
        node.name: {
            "state": node.run(_STATE).out,
            **{path: data.decode(errors="replace") for path, data in node.files(_PLACES).items()},
        }
        for node in bench.nodes.both
    }


def _same(bench: Bench, before: dict[str, dict[str, str]], after: dict[str, dict[str, str]], when: str) -> None:
    for node, path, was, now in _changes(before, after):
        bench.outcome.must(False, f"{when} {path} of {node} changed: {_difference(was, now)}")


def _compared(bench: Bench, before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> None:
    """What hactl wrote is told; no line of anybody's went away but in hast.conf, which is written whole."""
    for node, path, was, now in _changes(before, after):
        bench.outcome.details.append(f"{node}: {path}:\n{_difference(was, now)}")
        if path == "/etc/hast.conf":
            continue
        gone = _meant(was) - _meant(now)
        bench.outcome.must(not gone, f"{path} of {node} has lost: {'; '.join(sorted(gone))}")


def _changes(
    before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]
) -> Iterable[tuple[str, str, str, str]]:
    for node in before:
        for path in sorted(before[node].keys() | after[node].keys()):
            was, now = before[node].get(path, ""), after[node].get(path, "")
            if was != now:
                yield node, path, was, now


def _meant(text: str) -> set[str]:
    """Lines that do something; hastctl(8) shows an address as its file has it, with or without what is usual."""
    lines = (" ".join(line.split()).replace("tcp4://", "").removesuffix(":8457") for line in text.splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def _difference(was: str, now: str) -> str:
    return "\n".join(difflib.unified_diff(was.splitlines(), now.splitlines(), "before", "after", lineterm="", n=1))


def _judged(bench: Bench, load: Load, active: str) -> None:
    """Every record that was acknowledged is where it is served now."""
    judgement = load.judge(active)
    bench.outcome.details.append(f"records: {judgement.words()}")
    bench.outcome.must(judgement.sound, f"records: {judgement.words()}")
