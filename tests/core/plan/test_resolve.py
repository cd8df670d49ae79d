"""Throwing one copy away: the exact steps on the losing node only, or the reason why not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hactl.core.facts import HastRole, Mount, NoMetadata, Pool
from hactl.core.operations import Kind, Operation, State
from hactl.core.plan import AREAS
from hactl.core.plan.resolve import TITLE, Refusal, judge_resolution, resolve_steps
from hactl.core.steps import Risk, Step
from support.facts.builder import Scene, healthy_pair, zfs_cluster
from support.facts.hooked_scene import diverged, hooked, slept
from support.facts.planned import held, plan_of

OPENED = datetime(2026, 11, 24, tzinfo=UTC)


def resolve(scene: Scene, discard: str = "nas-b", preserve: str = "", resource: str = "data") -> Any:
    """The steps or the refusal."""
    return resolve_steps(scene.cluster, scene.snapshot, resource, discard, preserve)


def steps_of(scene: Scene, **more: Any) -> tuple[Step, ...]:
    """The steps, which run one after the other."""
    found = resolve(scene, **more)
    assert isinstance(found, tuple), found
    assert [ordered for title, ordered, _ in AREAS if title == TITLE] == [True]
    return found


def test_the_steps_touch_the_losing_node_only() -> None:
    """role init, create of the same size, role secondary; the middle one is destructive."""
    steps = steps_of(diverged())
    assert [(step.node, step.verb, step.risk) for step in steps] == [
        ("nas-b", "DiscardCopy", Risk.DESTRUCTIVE),
        ("nas-b", "SetRole", Risk.NONE),
    ]
    assert steps[0].command == "hastctl role init data &&\nhastctl create -e 2097152 -k 64 -m 134217728 data"
    assert steps[1].command == "hastctl role secondary data"


def test_the_node_checks_that_the_copy_is_the_one_shown() -> None:
    """resuid and both counters, and that nothing uses the device."""
    tests = "\n".join(check.test for check in steps_of(diverged())[0].before)
    for word in (
        "resuid: 4022304802173682088$",
        "localcnt: 1$",
        "remotecnt: 0$",
        "role: secondary",
        "/dev/hast/data on",
    ):
        assert word in tests
    after = "\n".join(check.test for check in steps_of(diverged())[0].after)
    assert "resuid: 0$" in after


def test_a_copy_can_be_kept_first() -> None:
    """An image of the device, with room for it, before anything is thrown away."""
    steps = steps_of(diverged(), preserve="/var/tmp/data.img")
    assert [step.verb for step in steps] == ["PreserveCopy", "DiscardCopy", "SetRole"]
    assert "dd if=/dev/vtbd1 of=/var/tmp/data.img.part bs=1048576" in steps[0].command
    assert "rm -f /var/tmp/data.img.part" in steps[0].command
    checks = "\n".join(check.test for check in (*steps[0].before, *steps[0].after))
    assert "df -k '/var/tmp'" in checks
    assert "diskinfo /dev/vtbd1" in checks
    assert steps[0].timeout_seconds == 60 + 12


REFUSED: dict[str, tuple[Callable[[Scene], Scene], str, str]] = {
    "no split-brain": (lambda s: hooked(healthy_pair()), "nas-b", "NoSplitBrain"),
    "only older": (lambda s: s.metadata("nas-b", localcnt=0), "nas-b", "NoSplitBrain"),
    "the serving one": (lambda s: s, "nas-a", "Serving"),
    "the other not primary": (lambda s: s.resource("nas-a", role=HastRole.INIT).hast_device(
        "nas-a", exists=False, used_by=()), "nas-b", "OtherNotPrimary"),
    "the other has a sick disk": (lambda s: s.resource("nas-a", local_errors=2), "nas-b", "OtherNotComplete"),
    "mounted there": (
        lambda s: s.node("nas-b", mounts=(Mount("/dev/hast/data", "/data", "ufs"),)), "nas-b", "InUse",
    ),
    "its raw disk mounted there": (
        lambda s: s.node("nas-b", mounts=(Mount("/dev/vtbd1s1a", "/mnt", "ufs"),)), "nas-b", "InUse",
    ),
    "its device open there": (
        lambda s: s.resource("nas-b", role=HastRole.PRIMARY).hast_device("nas-b", exists=True, used_by=("dd",)),
        "nas-b",
        "InUse",
    ),
    "mounts not known": (lambda s: s.unknown("nas-b", "mounts"), "nas-b", "UseUnknown"),
    "the loser silent": (lambda s: s.silent("nas-b"), "nas-b", "NodeSilent"),
    "the other silent": (lambda s: s.silent("nas-a"), "nas-b", "NodeSilent"),
    "too old": (lambda s: s.aged(26), "nas-b", "StaleFacts"),
    "metadata not known": (lambda s: s.unknown("nas-a", "metadata"), "nas-b", "CopiesUnknown"),
    "not a copy of it": (lambda s: s.metadata("nas-b", value=NoMetadata.INVALID), "nas-b", "NotACopy"),
    "a disk that is too small": (lambda s: s.device("nas-b", mediasize=2**20), "nas-b", "SizesDiffer"),
    "a node without a copy": (lambda s: s, "nas-c", "NotItsNode"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "discard", "reason"), REFUSED.values(), ids=REFUSED)
def test_refusals(change: Callable[[Scene], Scene], discard: str, reason: str) -> None:
    """Nothing is planned when anything speaks against it, and it is said what."""
    found = resolve(change(diverged()), discard)
    assert isinstance(found, Refusal), found
    assert found.reason == reason, found.message


def test_another_disks_mount_is_no_reason() -> None:
    """/dev/vtbd10 is not /dev/vtbd1."""
    scene = diverged().node("nas-b", mounts=(Mount("/dev/vtbd10", "/mnt", "ufs"),))
    assert len(steps_of(scene)) == 2


def test_an_imported_pool_is_in_use() -> None:
    """zfs instead of a mount."""
    scene = diverged().wants(zfs_cluster()).node("nas-b", pools={"tank": Pool("tank", "ONLINE")})
    found = resolve(scene)
    assert isinstance(found, Refusal)
    assert (found.reason, found.remedy) == ("InUse", "on nas-b: zpool export tank")


@pytest.mark.parametrize("path", ["data.img", "/var/../etc/x", "/dev/vtbd1", "/var/tmp/a b", "/x'; rm -rf /"])
def test_paths_that_are_none(path: str) -> None:
    """Absolute, plain, and not a device."""
    found = resolve(diverged(), preserve=path)
    assert isinstance(found, Refusal)
    assert found.reason == "BadPath"


def test_an_unused_second_primary_can_be_discarded() -> None:
    """Two primaries, the other one serving: role init takes the device away from nobody."""
    scene = diverged().resource("nas-b", role=HastRole.PRIMARY, status="degraded")
    scene = scene.hast_device("nas-b", exists=True, used_by=(), use_known=True)
    assert [step.verb for step in steps_of(scene)] == ["DiscardCopy", "SetRole"]


def test_another_resources_disk_can_be_discarded() -> None:
    """A resource id that does not match, without counters apart."""
    scene = diverged().metadata("nas-b", resuid=7)
    assert "resuid: 7$" in "\n".join(check.test for check in steps_of(scene)[0].before)


def test_the_copy_of_a_node_that_slept_goes_where_the_document_says_so() -> None:
    """`onStaleWriter: Discard`; the audit looks at the note and the document itself."""
    (first, *_) = plan_of(slept(diverged(), "nas-b")).stages
    assert [(step.node, step.verb) for step in first.steps] == [("nas-b", "DiscardCopy"), ("nas-b", "SetRole")]


@pytest.mark.parametrize(
    ("nodes", "word"), [(("nas-b",), "Ask"), ((), "Discard"), (("nas-a",), "Discard"), (("nas-a", "nas-b"), "Discard")]
)
def test_otherwise_a_person_is_asked(nodes: tuple[str, ...], word: str) -> None:
    """The default; nobody slept; the one that serves did; both did."""
    scene = slept(diverged(), *nodes, word=word)
    assert not [step for stage in plan_of(scene).stages for step in stage.steps if step.verb == "DiscardCopy"]


def test_a_copy_that_is_not_diverged_is_never_thrown_away_by_an_old_note() -> None:
    """Connected again, the hook forgets its note; should it be there all the same, it says nothing."""
    assert not plan_of(slept(healthy_pair(), "nas-b")).stages


def test_the_hold_says_who_slept_and_how_often_it_wrote() -> None:
    """Nobody is primary: the one word that helps names the node."""
    scene = slept(diverged(), "nas-b", word="Ask").unmounted("nas-a").resource("nas-a", role=HastRole.SECONDARY)
    scene = scene.hast_device("nas-a", exists=False, used_by=()).service("nas-a", running=False)
    hold = held(plan_of(scene), "SplitBrain")
    assert "nas-b slept or was cut off while its peer took over, and wrote at least 24 times to data" in hold.message
    assert hold.remedy == "hactl resolve nas data --discard nas-b"


def test_after_a_crash_it_goes_on_and_ends() -> None:
    """Between any two steps: from the facts alone it is seen what is left."""
    after_init = diverged().resource("nas-b", role=HastRole.INIT)
    assert [step.verb for step in steps_of(after_init)] == ["DiscardCopy", "SetRole"]
    created = after_init.metadata("nas-b", resuid=0, localcnt=0, remotecnt=0, prevrole="init")
    assert [step.verb for step in steps_of(created)] == ["SetRole"]
    assert resolve(created.resource("nas-b", role=HastRole.SECONDARY)) == ()


def test_the_image_is_whole_or_not_there(tmp_path: Path) -> None:
    """The very command, in a POSIX shell with dd, cmp and a BSD-like stat: whole, again, and without room."""
    device, image = tmp_path / "device", tmp_path / "image"
    device.write_bytes(b"hast" * 262144)
    command = steps_of(diverged(), preserve="/var/tmp/data.img")[0].command
    command = command.replace("/dev/vtbd1", str(device)).replace("/var/tmp/data.img", str(image))
    sizes = 'fsync() { sync "$@"; }\nstat() { wc -c < "$3" | tr -d " "; }\ndiskinfo() { echo "$1 512 $hactl_media 0"; }'
    shell = shutil.which("dash") or "/bin/sh"

    def run(media: int) -> int:
        script = f"hactl_media={media}\n{sizes}\n({command})"
        return subprocess.run([shell, "-c", script], capture_output=True, check=False).returncode

    assert run(1048576) == 0
    assert image.read_bytes() == device.read_bytes()
    assert image.stat().st_mode & 0o077 == 0
    assert run(1048576) == 0, "a second run finds the same image"
    device.write_bytes(b"other" * 1000)
    assert run(5000) != 0, "an image of something else is never overwritten"
    assert image.read_bytes().startswith(b"hast")
    image.unlink()
    assert run(4999) != 0, "a size that is not the device's"
    assert not image.exists()
    assert not Path(f"{image}.part").exists()


def test_a_request_ends_when_the_copy_is_gone_or_never_can() -> None:
    """Open while it is under way or waits for the world; Done when the copy is new; Failed when there is nothing."""

    def judged(scene: Scene, node: str = "nas-b") -> Any:
        request = Operation(1, "nas", Kind.RESOLVE, "kim", "", OPENED, node=node, resource="data")
        found = judge_resolution(scene.cluster, scene.snapshot, request, scene.now)
        return found and found[0]

    assert judged(diverged()) is None
    assert judged(diverged().silent("nas-b")) is None
    assert judged(diverged().metadata("nas-b", resuid=0, localcnt=0)) is State.DONE
    assert judged(hooked(healthy_pair())) is State.FAILED
    assert judged(diverged(), "nas-a") is State.FAILED
