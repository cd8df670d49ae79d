"""Looks that build on the last one: what is left out, what is kept, and what makes a quick look a full one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hactl.core.cluster import Cluster
from hactl.core.facts import HastRole, Known, NodeFacts, Service, Unknown
from hactl.core.parse import parse_probe
from hactl.core.parse.answer.quick import comparable, unchanged
from hactl.core.parse.question import DECIDING, Answered, Part, Question, Remembered
from hactl.core.probe.script import probe_script
from support.facts.builder import nas_cluster

from .test_script import (
    CARP_SYSCTL,
    IFCONFIG,
    LIST,
    MOUNT,
    NFSD_STOPPED,
    NONCE,
    PS,
    SALT,
    SYSCTL,
    Node,
    cluster,
    fresh,
    healthy,
)

__all__ = ["cluster", "fresh", "healthy"]


def ask(node: Node, cluster: Cluster, question: Question, seen_at: float = 20.0) -> Answered:
    """One look that asks this."""
    text = node.run(probe_script(cluster, "nas-a", NONCE, question, root=str(node.root)))
    return parse_probe(cluster, "nas-a", text, nonce=NONCE, seen_at=seen_at, salt=SALT, question=question)


def first(node: Node, cluster: Cluster) -> Answered:
    """A look that knows nothing."""
    return ask(node, cluster, Question(), seen_at=7.0)


def compare(node: Node, cluster: Cluster, before: Answered) -> NodeFacts | None:
    """A quick look."""
    question = Question(DECIDING, quick=True, bounded=False, last=before)
    text = node.run(probe_script(cluster, "nas-a", NONCE, question, root=str(node.root)))
    return unchanged(
        cluster,
        "nas-a",
        text,
        nonce=NONCE,
        seen_at=30.0,
        salt=SALT,
        question=question,
    )


def programs(node: Node) -> list[str]:
    """What ran, without arguments."""
    return sorted(line.split()[0] for line in node.commands)


# --- a full look --------------------------------------------------------------------------------------------------


def test_what_is_the_same_is_neither_read_nor_asked_again(healthy: Node, cluster: Cluster) -> None:
    """A second full look asks the kernel for everything, one stat(1) for all files, one ps(1) for all services."""
    before = first(healthy, cluster)
    again = ask(healthy, cluster, Question(last=before, bounded=False))
    assert programs(healthy) == sorted(
        [
            "sysctl",
            "ifconfig",
            "netstat",
            "dmesg",
            "awk",
            "mount",
            "hastctl",
            "hastctl",
            "ps",
            "stat",
            "sockstat",
            "route",
            "df",
        ]
    )
    assert again.complete
    assert again.remembered == before.remembered
    assert again.facts.seen_at == 20.0
    for name in ("boot", "hook", "system", "resources", "mounts"):
        now, then = getattr(again.facts, name), getattr(before.facts, name)
        assert isinstance(now, Known)
        assert (now.value, now.seen_at) == (then.value, 20.0)
    assert again.facts.services["nfsd"] == Known(before.facts.services["nfsd"].value, 20.0)  # type: ignore[union-attr]
    assert again.facts.files["/etc/hast.conf"].seen_at == 20.0  # type: ignore[union-attr]


def test_a_file_that_changed_is_read(healthy: Node, cluster: Cluster) -> None:
    """All of them are: their meaning hangs together."""
    before = first(healthy, cluster)
    healthy.write("/etc/rc.conf", 'hastd_enable="YES"\nkld_list="carp pf"\nnfs_server_enable="YES"\n')
    again = ask(healthy, cluster, Question(last=before))
    assert isinstance(again.facts.boot, Known)
    assert again.facts.boot.value.rc["kld_list"] == "carp pf"
    # Its script or rc.conf may be what changed: the service is asked too.
    assert again.facts.services["nfsd"] == Known(Service("nfsd", True, True, True, "nfs_server_enable"), 20.0)
    assert "service" in programs(healthy)
    assert again.remembered.files not in ("", before.remembered.files)


def test_a_service_whose_processes_changed_is_asked(healthy: Node, cluster: Cluster) -> None:
    """Here nfsd's child has another pid; what rc.conf says of it is not read again."""
    before = first(healthy, cluster)
    assert before.remembered.pids == "900 901"
    healthy.answers["ps"] = (PS.replace("  901 Mon", "  977 Mon"), 0)
    healthy.answers["service nfsd onestatus"] = (NFSD_STOPPED, 1)
    again = ask(healthy, cluster, Question(last=before))
    assert again.facts.services["nfsd"] == Known(Service("nfsd", True, False, False, "nfs_server_enable"), 20.0)
    assert "grep" not in programs(healthy)


def test_a_stopped_service_is_asked_when_a_daemon_appears(healthy: Node, cluster: Cluster) -> None:
    """A service that does not run has no process to go by: a new child of init may be it."""
    healthy.answers["service nfsd onestatus"] = (NFSD_STOPPED, 1)
    healthy.answers["ps"] = ("".join(line for line in PS.splitlines(True) if "nfsd" not in line), 0)
    before = first(healthy, cluster)
    assert before.remembered.services == {"nfsd"}
    ask(healthy, cluster, Question(last=before))
    assert "service" not in programs(healthy)
    healthy.answers["ps"] = (PS, 0)
    healthy.answers["service nfsd onestatus"] = ("nfsd is running as pid 900 901.\n", 0)
    again = ask(healthy, cluster, Question(last=before))
    assert again.facts.services["nfsd"].value.running  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("times in whole seconds", lambda node: node.sysctl("vfs.timestamp_precision: 0\n")),
        ("no word on them", lambda node: node.sysctl("")),
        ("rc.conf reads a file of its own", lambda node: node.write("/etc/rc.conf", "kld_list=carp\n. /etc/mine\n")),
        ("rc.conf runs something", lambda node: node.write("/etc/rc.conf", 'kld_list="$(cat /dev/null)"\n')),
    ],
)
def test_files_that_stat_cannot_vouch_for(
    healthy: Node, cluster: Cluster, what: str, spoil: Callable[[Node], None]
) -> None:
    """Nothing is remembered of them."""
    spoil(healthy)
    healthy.write("/etc/mine", "")
    assert first(healthy, cluster).remembered.files == "", what


def test_a_service_that_names_no_process_is_always_asked(healthy: Node, cluster: Cluster) -> None:
    """A status command of its own says it with its exit status alone."""
    healthy.answers["service nfsd onestatus"] = ("Status: Enabled\n", 0)
    assert first(healthy, cluster).remembered.services == frozenset()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("exit 0", Service("nfsd", True, True, False, "nfs_server_enable")),
        ("echo nfsd is running as pid 3.; exit 7", Service("nfsd", True, False, False, "nfs_server_enable")),
        ("/no/such/program", "its check (/no/such/program) ended with status 127 and says: "),
        ("sleep 9", "the node gave no answer to this query in time"),
    ],
)
def test_a_check_of_the_document_decides(healthy: Node, command: str, told: Service | str) -> None:
    """The script is not asked, what it prints does not count, and no process tells that it is still so."""
    cluster = nas_cluster({"spec.groups.0.services.0.check": {"command": command, "timeoutSeconds": 1}})
    healthy.write("/etc/rc.d/nfsd", "rcvar=nfs_server_enable\n", 0o755)
    answered = first(healthy, cluster)
    assert "service nfsd onestatus" not in healthy.commands
    found = answered.facts.services["nfsd"]
    if isinstance(told, Service):
        assert found == Known(replace(told, rcvar=found.value.rcvar), 7.0)  # type: ignore[union-attr]
    else:
        assert isinstance(found, Unknown)
        assert found.reason.startswith(told)
    assert answered.remembered.services == frozenset()


def test_a_check_does_not_make_a_script_exist(healthy: Node) -> None:
    """Whoever names a check for a service that is not there is told so."""
    cluster = nas_cluster({"spec.groups.0.services.0.check": {"tcp": 2049}})
    (healthy.root / "etc/rc.d/nfsd").unlink(missing_ok=True)
    healthy.answers["service nfsd onestatus"] = ("nfsd does not exist in /etc/rc.d or the local startup\n", 1)
    assert first(healthy, cluster).facts.services["nfsd"] == Known(Service("nfsd", False, False, False), 7.0)


def test_daemons_that_are_off_are_noted_as_long_as_they_are(healthy: Node, cluster: Cluster) -> None:
    """Also by a look that did not ask again."""
    healthy.answers["service nfsd onestatus"] = ("nfsd is running as pid 900 901.\nlockd is not running.\n", 1)
    before = first(healthy, cluster)
    note = "nfsd runs; of its daemons lockd does not"
    assert note in before.facts.notes
    again = ask(healthy, cluster, Question(last=before))
    assert "service nfsd onestatus" not in healthy.commands
    assert note in again.facts.notes


def test_another_interface_makes_boot_configuration_mean_something_else(healthy: Node, cluster: Cluster) -> None:
    """The files are the same, what rc makes of them is not: such an answer is not enough."""
    before = first(healthy, cluster)
    healthy.answers["ifconfig"] = (IFCONFIG + "em7: flags=8843<UP> metric 0 mtu 1500\n", 0)
    assert not ask(healthy, cluster, Question(last=before)).complete


# --- parts --------------------------------------------------------------------------------------------------------


def test_parts_alone(healthy: Node, cluster: Cluster) -> None:
    """What was asked is new, the rest keeps its age, and the whole is as old as that."""
    before = first(healthy, cluster)
    healthy.answers |= {
        "hastctl list": (LIST.replace("role: primary", "role: secondary"), 0),
        "mount": (MOUNT, 0),
        "ifconfig": ("", 1),
    }
    question = Question(frozenset({Part.STORAGE}), bounded=False, last=before)
    facts = ask(healthy, cluster, question).facts
    assert programs(healthy) == sorted(["sysctl", "mount", "hastctl", "hastctl"])
    assert isinstance(facts.resources, Known)
    assert (facts.resources.value["data"].role, facts.resources.seen_at) == (HastRole.SECONDARY, 20.0)
    assert facts.interfaces == before.facts.interfaces
    assert (facts.services, facts.boot, facts.files, facts.hook) == (
        before.facts.services,
        before.facts.boot,
        before.facts.files,
        before.facts.hook,
    )
    assert facts.modules == Known({"carp": True, "g_gate": True}, 20.0)
    assert facts.seen_at == 7.0


def test_services_and_notes_alone(healthy: Node, cluster: Cluster) -> None:
    """Both are made of what was asked now and what was read from files before."""
    before = first(healthy, cluster)
    healthy.write("/var/db/hactl/confirmed.data", "17 answers\n")
    healthy.answers["service nfsd onestatus"] = (NFSD_STOPPED, 1)
    question = Question(
        frozenset({Part.SERVICES, Part.NOTES}),
        last=replace(before, remembered=replace(before.remembered, processes="")),
    )
    facts = ask(healthy, cluster, question).facts
    assert facts.services["nfsd"] == Known(Service("nfsd", True, False, False, "nfs_server_enable"), 20.0)
    assert isinstance(facts.hook, Known)
    assert facts.hook.value.confirmed == {"data": 17}
    assert facts.hook.seen_at == 7.0


# --- a quick look -------------------------------------------------------------------------------------------------


def test_an_unchanged_node_costs_six_programs(healthy: Node, cluster: Cluster) -> None:
    """And its facts are as of now, but for what explains only."""
    before = first(healthy, cluster)
    assert comparable(before.facts, before.remembered)
    facts = compare(healthy, cluster, before)
    assert programs(healthy) == sorted(["sysctl", "ifconfig", "mount", "hastctl", "ps", "stat"])
    assert facts is not None
    assert facts.seen_at == 30.0
    everything = (*facts.services.values(), *facts.metadata.values(), *facts.files.values(), facts.boot, facts.hook)
    assert all(reading.seen_at == 30.0 for reading in everything if isinstance(reading, Known))
    assert facts.carp_counters == before.facts.carp_counters
    assert replace(facts, system=before.facts.system).metadata["data"].value == before.facts.metadata["data"].value  # type: ignore[union-attr]


def test_numbers_that_grow_are_taken_over(healthy: Node, cluster: Cluster) -> None:
    """Writes and dirty bytes on their way are no difference."""
    before = first(healthy, cluster)
    healthy.answers["hastctl list"] = (
        LIST.replace("writes: 45", "writes: 99").replace("dirty: 0", "dirty: 2097152"),
        0,
    )
    facts = compare(healthy, cluster, before)
    assert facts is not None
    assert isinstance(facts.resources, Known)
    assert (facts.resources.value["data"].writes, facts.resources.value["data"].dirty) == (99, 2097152)


def _same_size(node: Node) -> None:
    node.write("/etc/sysctl.conf", "# Comment\nnet.inet.carp.preempt=1\nkern.other=1\n")


def _answer(line: str, text: str, status: int = 0) -> Callable[[Node], None]:
    return lambda node: node.answers.__setitem__(line, (text, status))


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("carrier", _answer("ifconfig", IFCONFIG.replace("status: active", "status: no carrier"))),
        ("a vhid", _answer("ifconfig", IFCONFIG.replace("MASTER", "BACKUP"))),
        ("a sysctl", _answer("sysctl", SYSCTL + CARP_SYSCTL.replace("preempt: 1", "preempt: 0"))),
        ("a boot", _answer("sysctl", SYSCTL.replace("sec = 1795448018", "sec = 1795449018"))),
        ("a role", _answer("hastctl list", LIST.replace("role: primary", "role: secondary"))),
        ("a status", _answer("hastctl list", LIST.replace("complete", "degraded"))),
        ("a worker", _answer("hastctl list", LIST.replace("1519", "1600"))),
        ("hastd gone", _answer("hastctl list", "hastctl: cannot connect\n", 69)),
        ("a mount", _answer("mount", MOUNT)),
        ("a daemon gone", _answer("ps", PS.replace("    1  411 Mon Nov 23 15:33:41 2026 devd\n", ""))),
        ("a daemon new", _answer("ps", PS + "    1 1700 Mon Nov 23 16:00:00 2026 mountd\n")),
        ("a service's process", _answer("ps", PS.replace("  901 Mon", "  977 Mon"))),
        ("the same pid again", _answer("ps", PS.replace("15:33:44 2026 nfsd", "16:33:44 2026 nfsd"))),
        ("a file", lambda node: node.write("/etc/rc.conf", "hastd_enable=NO\n")),
        ("a file of the same size", _same_size),
        ("a mode", lambda node: (node.root / "etc/hast.conf").chmod(0o600)),
        ("a new file", lambda node: node.write("/boot/loader.conf.local", "carp_load=YES\n")),
        ("a file gone", lambda node: (node.root / "boot/loader.conf").unlink()),
        ("a note", lambda node: node.write("/var/db/hactl/drained", "by hand\n")),
        ("a device gone", lambda node: (node.root / "dev/hast/data").unlink()),
    ],
)  # fmt: skip
def test_a_difference_is_no_answer(healthy: Node, cluster: Cluster, what: str, change: Callable[[Node], None]) -> None:
    """Whatever it is, everything is asked then."""
    before = first(healthy, cluster)
    change(healthy)
    assert compare(healthy, cluster, before) is None, what


def test_what_cannot_be_compared(healthy: Node, cluster: Cluster) -> None:
    """A reading that is not known, a service that must be asked, files that are not remembered."""
    before = first(healthy, cluster)
    assert not comparable(before.facts, Remembered())
    assert not comparable(before.facts, replace(before.remembered, services=frozenset()))
    unread = replace(before.facts, files={"/etc/hast.conf": Unknown("cut", 1.0)})
    assert not comparable(unread, before.remembered)
    healthy.answers["mount"] = ("what?\n", 71)
    unknown = first(healthy, cluster)
    assert not comparable(unknown.facts, unknown.remembered)


def test_a_cut_quick_answer_is_none(healthy: Node, cluster: Cluster, tmp_path: Path) -> None:
    """Wherever it is cut."""
    assert tmp_path == healthy.root
    before = first(healthy, cluster)
    question = Question(DECIDING, quick=True, last=before)
    text = healthy.run(probe_script(cluster, "nas-a", NONCE, question, root=str(healthy.root)))
    told = {"nonce": NONCE, "seen_at": 9.0, "salt": SALT, "question": question}
    assert unchanged(cluster, "nas-a", text, **told) is not None  # type: ignore[arg-type]
    for length in range(text.index(NONCE) + 40, len(text) - 2, 97):
        assert unchanged(cluster, "nas-a", text[:length], **told) is None  # type: ignore[arg-type]
