"""What every record must do for `hactl.ports`: the same suite for the SQLite file and for the one in memory.

A test module derives a class from `StoreContract` and provides the fixtures `store` (closed by the fixture) and
`clock` (the `ManualClock` it was made with).
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hactl.adapters.record import rules
from hactl.adapters.record.store import Store
from hactl.core.catalogue import EventKind
from hactl.core.objects import HACluster
from hactl.core.operations import Kind, Operation, State
from hactl.errors import Busy, StoreError
from hactl.ports import Document

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


class ManualClock:
    """A clock that stands until it is told to move."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


def document(name: str = "nas", digest: str = "d1", text: str = "kind: HACluster\n") -> Document:
    """A document as a source hands it over."""
    node = {"name": "nas-a", "ssh": {"host": "192.0.2.11", "hostKey": "ssh-ed25519 AAAA"}}
    group = {"name": "files", "preferred": ["nas-a"]}
    wire = {
        "apiVersion": "hactl.dev/v1alpha1",
        "kind": "HACluster",
        "metadata": {"name": name},
        "spec": {"nodes": [node], "groups": [group]},
    }
    return Document(HACluster.model_validate(wire), f"clusters/{name}.yaml", "/etc/hactl", digest, text)


def intent(**changes: Any) -> dict[str, Any]:
    """What is recorded before a step."""
    return {
        "cluster": "nas",
        "generation": 1,
        "plan": "abcdef012345",
        "node": "nas-a",
        "verb": "SetVhid",
        "target": "vtnet1 vhid 80",
        "command": 'ifconfig vtnet1 vhid 80 advskew 100 pass "$HACTL_PASS_1"',
        "risk": "none",
        "why": "advskew is 200, the document says 100",
        "actor": "root",
        "cause": "apply",
    } | changes


class StoreContract:
    """Documents, steps, events, statuses, history, retention."""

    async def test_generations_count_from_one_per_cluster(self, store: Store) -> None:
        """Another digest is another generation; each cluster counts for itself."""
        assert await store.put_document(document(), actor="root") == 1
        assert await store.put_document(document(digest="d2"), actor="root") == 2
        assert await store.put_document(document("fw"), actor="root") == 1

    async def test_the_same_document_keeps_its_generation(self, store: Store) -> None:
        """The same digest is no new generation; going back to an older digest is one."""
        await store.put_document(document(), actor="root")
        assert await store.put_document(document(text="# a comment\n"), actor="eve") == 1
        await store.put_document(document(digest="d2"), actor="root")
        assert await store.put_document(document(), actor="root") == 3
        assert [row["digest"] for row in await store.generations("nas")] == ["d1", "d2", "d1"]

    async def test_a_document_is_kept_as_found(self, store: Store) -> None:
        """Every column is what was given."""
        await store.put_document(document(text="a: ü\n"), actor="root")
        assert list(await store.documents()) == [
            {
                "cluster": "nas",
                "generation": 1,
                "digest": "d1",
                "source": "clusters/nas.yaml",
                "directory": "/etc/hactl",
                "actor": "root",
                "at": "2026-11-24T03:00:00.000Z",
                "text": "a: ü\n",
                "origin": "files",
                "revision": "",
                "author": "",
                "revised_at": "",
                "managed_at": "2026-11-24T03:00:00.000Z",
            }
        ]

    async def test_a_vanished_document_is_unmanaged_and_comes_back(self, store: Store) -> None:
        """Its history stays; the same document again is the same generation, managed again."""
        await store.put_document(document(), actor="root")
        await store.unmanage("nas", why="clusters/nas.yaml is gone")
        assert list(await store.documents()) == []
        assert len(await store.generations("nas")) == 1
        assert await store.put_document(document(), actor="root") == 1
        assert [row["cluster"] for row in await store.documents()] == ["nas"]

    async def test_unmanaging_the_unknown_is_nothing(self, store: Store) -> None:
        """No such cluster, or unmanaged already: no error."""
        await store.unmanage("nas", why="gone")
        await store.put_document(document(), actor="root")
        await store.unmanage("nas", why="gone")
        await store.unmanage("nas", why="gone")
        assert list(await store.documents()) == []

    async def test_a_step_is_recorded_exactly_as_given(self, store: Store, clock: ManualClock) -> None:
        """The row has what was given and nothing else: what is not given cannot leak."""
        await store.put_document(document(), actor="root")
        step = await store.begin_step(intent())
        running = (await store.history({}))[-1]
        assert (running["kind"], running["outcome"], running["ended_at"]) == ("StepBegun", None, None)
        clock.seconds = 2
        await store.end_step(step, outcome="Done", exit_status=0, output="ok\n", seconds=1.5)
        assert list(await store.history({"kind": "Step"})) == [
            intent()
            | {
                "id": step,
                "at": "2026-11-24T03:00:00.000Z",
                "kind": "StepEnded",
                "summary": "SetVhid vtnet1 vhid 80: Done",
                "ended_at": "2026-11-24T03:00:02.000Z",
                "outcome": "Done",
                "exit_status": 0,
                "output": "ok\n",
                "seconds": 1.5,
            }
        ]

    async def test_an_intent_has_all_its_keys_and_no_others(self, store: Store) -> None:
        """A missing key or one too many is refused, so that the record stays what it says it is."""
        await store.put_document(document(), actor="root")
        with pytest.raises(StoreError, match="secrets"):
            await store.begin_step(intent(secrets="hunter2"))
        incomplete = intent()
        del incomplete["cause"]
        with pytest.raises(StoreError, match="cause"):
            await store.begin_step(incomplete)
        assert list(await store.history({"kind": "Step"})) == []

    async def test_a_step_of_an_older_generation_is_refused(self, store: Store) -> None:
        """Somebody applied another document meanwhile: the plan is stale."""
        await store.put_document(document(), actor="root")
        await store.put_document(document(digest="d2"), actor="eve")
        with pytest.raises(Busy, match="generation 2"):
            await store.begin_step(intent(generation=1))
        assert await store.begin_step(intent(generation=2)) > 0

    async def test_a_step_without_a_document_in_force_is_refused(self, store: Store) -> None:
        """Never recorded, or unmanaged meanwhile: no step."""
        with pytest.raises(Busy, match="not managed"):
            await store.begin_step(intent())
        await store.put_document(document(), actor="root")
        await store.unmanage("nas", why="gone")
        with pytest.raises(Busy, match="not managed"):
            await store.begin_step(intent())

    async def test_a_step_ends_once(self, store: Store) -> None:
        """Ending an ended or unknown step, or with an unknown outcome, is an error."""
        await store.put_document(document(), actor="root")
        step = await store.begin_step(intent())
        with pytest.raises(ValueError, match="Fine"):
            await store.end_step(step, outcome="Fine", exit_status=0, output="", seconds=0)
        await store.end_step(step, outcome="Failed", exit_status=1, output="", seconds=0)
        for gone in (step, 4711):
            with pytest.raises(StoreError, match="running step"):
                await store.end_step(gone, outcome="Done", exit_status=0, output="", seconds=0)

    async def test_long_output_keeps_its_end(self, store: Store) -> None:
        """A megabyte of output does not fill the record; what is missing is said."""
        await store.put_document(document(), actor="root")
        step = await store.begin_step(intent())
        await store.end_step(step, outcome="Failed", exit_status=1, output="x" * 1_000_000 + "the end", seconds=1)
        output = (await store.history({}))[-1]["output"]
        assert len(output) < 70_000
        assert output.endswith("the end")
        assert output.startswith("[934471 characters not kept]")

    async def test_events_are_kept_as_given(self, store: Store) -> None:
        """Kind, node, summary and detail come back."""
        await store.record("NodeLost", "nas", "nas-a: no answer", node="nas-a", detail={"since": [1, "ü"]})
        assert list(await store.history({})) == [
            {
                "id": 1,
                "at": "2026-11-24T03:00:00.000Z",
                "kind": "NodeLost",
                "cluster": "nas",
                "node": "nas-a",
                "summary": "nas-a: no answer",
                "detail": {"since": [1, "ü"]},
            }
        ]

    async def test_an_unknown_kind_is_our_own_mistake(self, store: Store) -> None:
        """Events are a closed set."""
        with pytest.raises(ValueError, match="Whatever"):
            await store.record("Whatever", "nas", "x")

    async def test_what_is_not_json_is_refused(self, store: Store) -> None:
        """A detail or status that cannot be written is an error now, not when it is read."""
        with pytest.raises(StoreError, match="not JSON"):
            await store.record("NodeLost", "nas", "x", detail=object())
        with pytest.raises(StoreError, match="not JSON"):
            await store.put_status("nas", {"x": object()})

    async def test_history_is_in_the_order_of_writing(self, store: Store, clock: ManualClock) -> None:
        """Newest last, steps and events together, even when the wall clock was set back."""
        await store.put_document(document(), actor="root")
        await store.record("NodeLost", "nas", "first")
        clock.seconds = -3600
        await store.begin_step(intent())
        await store.record("NodeBack", "nas", "third")
        kinds = [row["kind"] for row in await store.history({})]
        assert kinds == ["DocumentAccepted", "NodeLost", "StepBegun", "NodeBack"]

    async def test_history_filters(self, store: Store, clock: ManualClock) -> None:
        """By cluster, node, kind, time and failure, together and apart."""
        await store.put_document(document(), actor="root")
        await store.put_document(document("fw"), actor="root")
        await store.prune(keep_rows=1)
        clock.seconds = 1
        await store.record("NodeLost", "nas", "e1", node="nas-a")
        clock.seconds = 10
        done = await store.begin_step(intent())
        await store.end_step(done, outcome="Done", exit_status=0, output="", seconds=0)
        clock.seconds = 20
        failed = await store.begin_step(intent(cluster="fw", node="fw-a"))
        await store.end_step(failed, outcome="Indeterminate", exit_status=None, output="", seconds=0)
        clock.seconds = 30
        await store.record("NodeBack", "nas", "e2", node="nas-a")
        running = await store.begin_step(intent())
        cases: list[tuple[dict[str, Any], list[int]]] = [
            ({"since": START + timedelta(seconds=1)}, [3, done, failed, 6, running]),
            ({"cluster": "fw"}, [2, failed]),
            ({"node": "nas-a"}, [3, done, 6, running]),
            ({"kind": "Step"}, [done, failed, running]),
            ({"kind": "StepBegun"}, [running]),
            ({"kind": "StepEnded"}, [done, failed]),
            ({"kind": "NodeLost"}, [3]),
            ({"failed": True}, [3, failed]),
            ({"failed": False}, [2, 3, done, failed, 6, running]),
            ({"since": START + timedelta(seconds=20)}, [failed, 6, running]),
            ({"since": "2026-11-24T04:00:20+01:00", "until": "2026-11-24T03:00:29Z"}, [failed]),
            ({"until": (START + timedelta(seconds=10)).replace(tzinfo=None)}, [2, 3, done]),
            ({"limit": 2}, [6, running]),
            ({"limit": 0}, []),
            ({"cluster": "nas", "node": "nas-a", "kind": "Step", "limit": 1}, [running]),
            (
                {"cluster": None, "node": None, "kind": None, "since": None, "limit": None},
                [2, 3, done, failed, 6, running],
            ),
        ]
        for query, ids in cases:
            assert [row["id"] for row in await store.history(query)] == ids, query

    async def test_a_query_it_does_not_know_is_an_error(self, store: Store) -> None:
        """A mistyped filter is not silently no filter; hostile text is only text."""
        for query in ({"clutser": "nas"}, {"since": "yesterday"}, {"since": 5}):
            with pytest.raises(ValueError, match=r"."):
                await store.history(query)
        assert list(await store.history({"cluster": "x' OR 1=1 --"})) == []

    async def test_status_is_written_when_more_than_ages_changed(self, store: Store, clock: ManualClock) -> None:
        """Ages alone are no change; the age told is since it was last put."""

        def status(ready: str, age: float) -> dict[str, Any]:
            nodes = [{"name": "nas-a", "ageSeconds": age, "observedAt": f"t{age}"}]
            return {"conditions": [{"type": "Ready", "status": ready}], "nodes": nodes, "seenAt": f"t{age}"}

        assert await store.put_status("nas", status("True", 1))
        clock.seconds = 10
        assert not await store.put_status("nas", status("True", 2))
        clock.seconds = 15
        (row,) = await store.statuses()
        assert row == {
            "cluster": "nas",
            "managed": True,
            "status": status("True", 1),
            "changed_at": "2026-11-24T03:00:00.000Z",
            "age_seconds": 5.0,
        }
        assert await store.put_status("nas", status("False", 3))
        assert (await store.statuses())[0]["status"] == status("False", 3)

    async def test_statuses_are_by_name_and_say_who_is_unmanaged(self, store: Store) -> None:
        """A cluster whose document vanished keeps its last status, marked."""
        await store.put_document(document(), actor="root")
        await store.put_status("nas", {"a": 1})
        await store.put_status("fw", {"a": 2})
        await store.unmanage("nas", why="gone")
        assert [(row["cluster"], row["managed"]) for row in await store.statuses()] == [("fw", True), ("nas", False)]

    async def test_retention_by_age_keeps_what_counts(self, store: Store, clock: ManualClock) -> None:
        """Old events, steps and generations go; running steps, the newest row, document and status stay."""
        await store.put_document(document(), actor="root")
        running = await store.begin_step(intent())
        ended = await store.begin_step(intent())
        await store.end_step(ended, outcome="Done", exit_status=0, output="", seconds=0)
        await store.put_document(document(digest="d2"), actor="root")
        await store.put_document(document(digest="d3"), actor="root")
        await store.record("NodeLost", "nas", "old")
        await store.record("NodeLost", "nas", "newest of all")
        await store.put_status("nas", {"a": 1})
        clock.seconds = 10 * 86400
        assert await store.prune(keep_days=30) == 0
        assert await store.prune(keep_days=9) == 6
        assert [row["id"] for row in await store.history({})] == [running, 7]
        # Generation 1 stays because the running step refers to it.
        assert [row["generation"] for row in await store.generations("nas")] == [1, 3]
        assert len(await store.statuses()) == 1
        await store.record("NodeBack", "nas", "after")
        assert [row["id"] for row in await store.history({})] == [running, 7, 8]

    async def test_retention_by_count(self, store: Store) -> None:
        """The newest rows stay, at least one."""
        for number in range(10):
            await store.record("NodeLost", "nas", str(number))
        assert await store.prune(keep_rows=20) == 0
        assert await store.prune(keep_rows=3) == 7
        assert [row["summary"] for row in await store.history({})] == ["7", "8", "9"]
        assert await store.prune(keep_rows=0) == 2
        assert [row["summary"] for row in await store.history({})] == ["9"]

    async def test_noise_has_a_budget_by_bytes(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """The newest bytes of a kind stay, and nothing of another kind goes for it; the newest row stays always."""
        monkeypatch.setattr(rules, "BUDGETS", {EventKind.REQUEST_REFUSED: 1000})
        await store.record("OperationEnded", "nas", "what a person did")
        for number in range(20):
            await store.record("RequestRefused", "", f"{number:02} " + "\u00e9" * 50, detail={"code": 403})
        assert await store.prune() == 17
        assert [row["summary"][:2] for row in await store.history({})] == ["wh", "17", "18", "19"]
        assert await store.prune() == 0
        await store.record("RequestRefused", "", "x" * 2000)
        assert await store.prune() == 3
        assert [row["kind"] for row in await store.history({})] == ["OperationEnded", "RequestRefused"]

    async def test_steps_and_generations_have_budgets_too(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """The newest stay, by the bytes of what they printed and say; one that runs, and what is in force, always."""
        monkeypatch.setattr(rules, "BUDGETS", {EventKind.STEP_ENDED: 4000})
        monkeypatch.setattr(rules, "DOCUMENTS_BYTES", 0)
        monkeypatch.setattr(rules, "FORGET_AT_ONCE", 2)
        await store.put_document(document(), actor="root")
        running = await store.begin_step(intent())
        steps = [await store.begin_step(intent()) for _ in range(6)]
        for step in steps:
            await store.end_step(step, outcome="Done", exit_status=0, output="\u00e9" * 400, seconds=0)
        for digest in ("d2", "d3"):
            await store.put_document(document(digest=digest), actor="root")
        await store.put_document(document("fw"), actor="root")
        assert await store.prune() == 6
        kept = [row["id"] for row in await store.history({"kind": "Step"})]
        assert kept == [running, *steps[-2:]]
        assert [row["generation"] for row in await store.generations("nas")] == [3]
        assert [row["generation"] for row in await store.generations("fw")] == [1]
        assert await store.prune() == 0

    async def test_a_document_and_its_event_are_one(self, store: Store) -> None:
        """What came into force, from where, by whom; what vanished. Nothing for what changed nothing."""
        for digest in ("d1", "d1", "d2"):
            await store.put_document(document(digest=digest), actor="root")
        for _ in range(2):
            await store.unmanage("nas", why="clusters/nas.yaml is gone")
        assert [(row["kind"], row["summary"], row["detail"]) for row in await store.history({})] == [
            ("DocumentAccepted", "generation 1 of clusters/nas.yaml accepted", {"digest": "d1", "actor": "root"}),
            ("DocumentAccepted", "generation 2 of clusters/nas.yaml accepted", {"digest": "d2", "actor": "root"}),
            ("DocumentVanished", "unmanaged: clusters/nas.yaml is gone; nothing is torn down", None),
        ]

    async def test_a_status_and_its_events_are_one(self, store: Store) -> None:
        """Events of a status that is not news are not recorded; one that is not JSON keeps the status out too."""
        lost = ("NodeLost", "nas-a: no answer", "nas-a", {"since": 1})
        assert await store.put_status("nas", {"a": 1}, events=[lost])
        assert not await store.put_status("nas", {"a": 1}, events=[lost])
        assert [row["detail"] for row in await store.history({"node": "nas-a"})] == [{"since": 1}]

    async def test_a_lease_is_kept_and_grows_from_the_wall_clock(self, store: Store, clock: ManualClock) -> None:
        """The same process keeps its generation, whatever time it is; each cluster has its own."""
        first = await store.lease("nas")
        assert first == int(START.timestamp())
        clock.seconds = 50
        assert await store.lease("nas") == first
        assert await store.lease("fw") == first + 50
        assert await store.lease("nas", above=first - 1) == first
        assert await store.lease("nas", above=first + 90) == first + 91
        assert await store.lease("nas") == first + 91

    async def test_a_process_knows_itself_and_nobody_of_other_records(self, store: Store) -> None:
        """What nodes note of who acts on them: known once something was recorded."""
        await store.record("ControllerStarted", "", "it began")
        holder = await store.holder()
        assert holder.token.isalnum()
        assert await store.knows(holder.token)
        assert not await store.knows("a" * 32)

    async def test_a_step_needs_the_lease_it_was_planned_under(self, store: Store) -> None:
        """Another generation than the one this process holds, or none taken: no step."""
        await store.put_document(document(), actor="root")
        with pytest.raises(Busy, match="another hactl process"):
            await store.begin_step(intent(), lease=5)
        lease = await store.lease("nas")
        with pytest.raises(Busy, match="another hactl process"):
            await store.begin_step(intent(), lease=lease - 1)
        assert await store.begin_step(intent(), lease=lease) > 0

    async def test_an_operation_comes_back_as_it_was_asked_for(self, store: Store, clock: ManualClock) -> None:
        """Every field, with its event; its end too, once."""
        later = START + timedelta(hours=1)
        number = await store.open_operation(
            {
                "kind": "Switchover",
                "cluster": "nas",
                "actor": "root@gw",
                "reason": "new disks",
                "group": "files",
                "node": "nas-b",
                "detail": {"from": "nas-a"},
                "not_before": START,
                "expires_at": later,
            }
        )
        (found,) = await store.operations()
        assert found == Operation(
            number, "nas", Kind.SWITCHOVER, "root@gw", "new disks", START, "files", "nas-b", "", {"from": "nas-a"},
            START, later,
        )  # fmt: skip
        clock.seconds = 30
        assert await store.end_operation(number, State.DONE, "served by nas-b", seconds=4.5)
        assert not await store.end_operation(number, State.FAILED, "too late")
        (ended,) = await store.operations("nas")
        assert (ended.state, ended.message, ended.seconds) == (State.DONE, "served by nas-b", 4.5)
        assert ended.ended_at == START + timedelta(seconds=30)
        assert [row["kind"] for row in await store.history({})] == ["OperationOpened", "OperationEnded"]
        assert "Switchover of files to nas-b" in (await store.history({}))[0]["summary"]
        assert (await store.history({}))[1]["detail"]["seconds"] == 4.5

    async def test_the_same_is_not_asked_for_twice(self, store: Store, clock: ManualClock) -> None:
        """A move of a group, a drain of a node; pauses may overlap. What is over or expired is in nobody's way."""
        move = {"kind": "Switchover", "cluster": "nas", "actor": "root", "group": "files", "node": "nas-b"}
        drain = {"kind": "Drain", "cluster": "nas", "actor": "root", "node": "nas-a"}
        soon = START + timedelta(seconds=60)
        first = await store.open_operation(move | {"expires_at": soon})
        await store.open_operation(drain)
        for again in (move | {"node": "nas-a"}, drain):
            with pytest.raises(Busy, match="asked for already"):
                await store.open_operation(again)
        await store.open_operation(drain | {"node": "nas-b"})
        await store.open_operation(drain | {"cluster": "fw"})
        await store.open_operation(move | {"group": "web"})
        for _ in range(2):
            await store.open_operation({"kind": "Pause", "cluster": "", "actor": "root"})
        clock.seconds = 61
        await store.open_operation(move)
        assert await store.end_operation(first, State.EXPIRED, "")

    async def test_a_request_has_its_keys_and_no_others(self, store: Store) -> None:
        """A missing or unknown key, or an unknown kind, is refused; so is the end of what was never asked for."""
        with pytest.raises(StoreError, match="actor"):
            await store.open_operation({"kind": "Pause", "cluster": ""})
        with pytest.raises(StoreError, match="until"):
            await store.open_operation({"kind": "Pause", "cluster": "", "actor": "root", "until": 1})
        with pytest.raises(ValueError, match="Dance"):
            await store.open_operation({"kind": "Dance", "cluster": "", "actor": "root"})
        with pytest.raises(StoreError, match="no operation 7"):
            await store.end_operation(7, State.DONE, "")
        assert list(await store.operations()) == []

    async def test_requests_are_what_counts_now(self, store: Store) -> None:
        """Open ones of the cluster and the fleet, and the newest move of each group if it failed."""
        move = {"kind": "Switchover", "cluster": "nas", "actor": "root", "group": "files", "node": "nas-b"}
        ended = []
        for state in (State.FAILED, State.DONE, State.FAILED):
            ended.append(await store.open_operation(move))
            await store.end_operation(ended[-1], state, "")
        other = await store.open_operation({"kind": "Drain", "cluster": "fw", "actor": "root", "node": "fw-a"})
        fleet = await store.open_operation({"kind": "Pause", "cluster": "", "actor": "root"})
        assert [each.id for each in await store.operations_in_force("nas")] == [ended[-1], fleet]
        assert [each.id for each in await store.operations_in_force("fw")] == [other, fleet]
        again = await store.open_operation(move)
        assert [each.id for each in await store.operations_in_force("nas")] == [fleet, again]
        assert [each.id for each in await store.operations("nas")] == [*ended, fleet, again]
        assert [each.id for each in await store.operations(open_only=True)] == [other, fleet, again]

    async def test_retention_forgets_old_operations_that_are_over(self, store: Store, clock: ManualClock) -> None:
        """An open one stays however old it is; numbers are never used again."""
        drain = {"kind": "Drain", "cluster": "nas", "actor": "root", "node": "nas-a"}
        over = await store.open_operation(drain)
        await store.end_operation(over, State.CANCELLED, "")
        stays = await store.open_operation(drain)
        clock.seconds = 10 * 86400
        await store.prune(keep_days=9)
        assert [each.id for each in await store.operations()] == [stays]
        assert await store.open_operation({"kind": "Pause", "cluster": "", "actor": "root"}) == stays + 1

    async def test_many_writers_at_once(self, store: Store) -> None:
        """Concurrent tasks each get an id of their own."""
        await store.put_document(document(), actor="root")
        steps = await asyncio.gather(*(store.begin_step(intent(target=str(n))) for n in range(50)))
        assert len(set(steps)) == 50

    async def test_a_closed_store_takes_nothing(self, store: Store) -> None:
        """Closing twice is harmless; using it afterwards is an error."""
        await store.close()
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await store.record("NodeLost", "nas", "x")
        with pytest.raises(StoreError, match="closed"):
            await store.history({})
