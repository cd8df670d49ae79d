"""Twenty services of the base system and of ports, played from what their scripts do, on a pair in the lab."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from hactl.core.catalogue import HoldReason
from hactl.core.evidence.view import ServiceState, View
from hactl.core.hook.render import HOOK
from hactl.core.steps import Outcome
from support.lab.closed_loop import Loop, example
from support.source_tree import ROOT

SCRIPTS = {path.name: path.read_text() for path in sorted((Path(__file__).parent / "rc.d").iterdir())}
#: Rows of the table in the docs: the service, what its status does, its check.
ROWS = re.findall(r"^\| ([\w-]+) \| ([^|]+) \| (?:`(.*)`)? ?\|$", (ROOT / "docs/services.md").read_text(), re.MULTILINE)
CHECKS: dict[str, Any] = {name: YAML(typ="safe").load(check) for name, _, check in ROWS if check}
#: What the checks and scripts call.
PROGRAMS = {"/usr/sbin/jls": "#!/bin/sh\n[ -f /var/run/jail.www ]\n"}


def pair(names: list[str], checks: dict[str, Any]) -> Loop:
    """nas.yaml with these services, and with these checks; their scripts are on both nodes."""

    def change(data: dict[str, Any]) -> None:
        services = [{"name": name} | ({"check": checks[name]} if name in checks else {}) for name in names]
        data["spec"]["groups"][0]["services"] = services

    loop = Loop(example("nas", change))
    for machine in loop.world.machines.values():
        for name in names:
            if machine.files.exists(f"/etc/rc.d/{name}"):
                machine.files.remove(f"/etc/rc.d/{name}")
            machine.files.write_text(f"/usr/local/etc/rc.d/{name}", SCRIPTS[name], 0o755)
        for path, text in PROGRAMS.items():
            machine.files.write_text(path, text, 0o755)
    return loop


def states(loop: Loop, node: str) -> dict[str, ServiceState]:
    """Service -> what is known of it there."""
    view = View.at(loop.cluster, loop.look(), loop.now)
    services = loop.document.spec.groups[0].services
    return {service.name: view.service(service.name, node) for service in services}


def test_the_table_names_every_script() -> None:
    """What works as it is, and what needs a check: a row for each script that is played here, and for no other."""
    assert [name for name, _, _ in ROWS if name != "service"] == list(dict.fromkeys(name for name, _, _ in ROWS))
    assert sorted(name for name, _, _ in ROWS) == sorted(SCRIPTS)
    assert len(SCRIPTS) == 20


def test_all_of_them_follow_their_group() -> None:
    """Started once where the group is active, stopped on the standby, left alone then, and taken over by the hook."""
    names = list(SCRIPTS)
    loop = pair(names, CHECKS)
    started = [line for line in loop.converge() if "onestart" in line and "hastd" not in line]
    assert started == [f"nas-a: service {name} onestart" for name in names]
    assert loop.converge() == []
    assert states(loop, "nas-a") == dict.fromkeys(names, ServiceState.RUNNING)
    assert states(loop, "nas-b") == dict.fromkeys(names, ServiceState.STOPPED)
    notes = [note for reading in loop.look().nodes.values() for note in reading.value.notes]  # type: ignore[union-attr]
    assert notes == ["samba_server runs; of its daemons winbindd does not"]
    for name in names:
        if name != "postgresql":  # its directory is on the disk that is not here
            loop.sh("nas-b", f"service {name} onestart")
    stopped = [line for line in loop.converge() if "onestop" in line]
    assert stopped == [f"nas-b: service {name} onestop" for name in reversed(names) if name != "postgresql"]
    assert loop.converge() == []
    assert states(loop, "nas-a") == dict.fromkeys(names, ServiceState.RUNNING)
    loop.machine("nas-a").lose_power()
    loop.world.advance(120)
    assert "addresses MASTER, serving" in loop.sh("nas-b", f"{HOOK} status")
    assert states(loop, "nas-b") == dict.fromkeys(names, ServiceState.RUNNING)


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_what_needs_a_check_says_so_without_it(name: str) -> None:
    """It is unknown, or its step fails: nothing is believed, and nobody is told that it serves."""
    loop = pair([name], {})
    for _ in range(30):
        plan = loop.plan()
        if not plan.stages or (not loop.stage(plan.stages[0]) and loop.results[-1].outcome is Outcome.FAILED):
            break
        loop.world.advance(1.0)
    unknown = [hold for hold in loop.plan().holds if hold.reason is HoldReason.SERVICE_UNKNOWN]
    if name == "tgt":
        assert "its script has no status; name a `check` for it in the document" in unknown[0].message
    else:
        assert not unknown
        assert "did not become true" in loop.results[-1].reason
