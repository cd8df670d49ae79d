"""Two documents that meet on one machine: the real passes on simulated nodes, by every spelling of an address (C1)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from hactl.adapters.record.memory import memory_record
from hactl.adapters.record.store import Store
from hactl.core.cluster import Cluster
from hactl.core.facts import fingerprint
from hactl.core.objects import HACluster
from hactl.core.pace.result import PassResult
from hactl.lab.build import build_world
from hactl.lab.front.nodes import LabNodes
from hactl.lab.shell.shell import run_script
from hactl.lab.virtual_time import VirtualTime
from hactl.lab.world import World
from hactl.ports import Document, Target
from hactl.runtime.passes.execute import Executor
from hactl.runtime.passes.observe import Observer
from hactl.runtime.passes.reconcile import Reconciler
from hactl.runtime.passes.types import Accepted, Access, PassRequest, ResolvedCluster
from support.lab.closed_loop import example

SALT = b"meetings"


def named(name: str, change: Callable[[dict[str, Any]], None] = lambda data: None) -> HACluster:
    """The document of a pair of firewalls under another name, changed."""

    def changed(data: dict[str, Any]) -> None:
        data["metadata"]["name"] = name
        change(data)

    return example("firewall", changed)


def spelled(*hosts: str) -> Callable[[dict[str, Any]], None]:
    """Its nodes are reached by other words, and it wants another address."""

    def change(data: dict[str, Any]) -> None:
        for node, host in zip(data["spec"]["nodes"], hosts, strict=True):
            node["ssh"]["host"] = host
        for number, vip in enumerate(data["spec"]["groups"][0]["virtualIPs"]):
            vip["vhid"] += 100
            vip["addresses"] = [f"203.0.113.{200 + number}/24"]

    return change


@dataclass
class Desk:
    """A process of hactl on a record, before nodes that outlive it."""

    time: VirtualTime
    world: World[Any]
    store: Store
    nodes: LabNodes = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = LabNodes(self.world)
        observer = Observer(self.nodes, self.time, SALT)
        access = Access(self._resolve, lambda _: nullcontext(), lambda row: self.documents[row["cluster"]])  # type: ignore[arg-type, return-value]
        executor = Executor(self.nodes, self.store, self.time)
        self.reconciler = Reconciler(observer, executor, self.store, self.time, access)
        self.documents: dict[str, Document] = {}
        self.accepted: dict[str, Accepted] = {}

    async def _resolve(self, document: Document, generation: int) -> ResolvedCluster:
        cluster, name = document.cluster, document.cluster.name
        vips = [(group.name, vip.name) for group in cluster.spec.groups for vip in group.virtual_ips]
        targets = {
            node.name: Target(name, node.name, node.ssh.host, node.ssh.port, "root", (node.ssh.host_key or "none",))
            for node in cluster.spec.nodes
        }
        keys = {vip: fingerprint("s3cret", SALT) for vip in vips}
        return ResolvedCluster(Cluster(cluster, generation, keys), targets, lambda use: "s3cret")

    async def hand_in(self, cluster: HACluster, *, controller: bool = True) -> None:
        """A document comes into force; a controller knows of all that are."""
        text = json.dumps(cluster.model_dump(mode="json"))
        document = Document(cluster, f"{cluster.name}.yaml", "", f"{cluster}", text)
        generation = await self.store.put_document(document, actor="ada", origin="files")
        self.documents[cluster.name] = document
        self.accepted[cluster.name] = Accepted(document, generation)
        if controller:
            self.reconciler.ownerships.know(dict(self.documents))
        await self.time.sleep(1.0)

    async def withdraw(self, name: str) -> None:
        """It is in force no more."""
        await self.store.unmanage(name, why="gone")
        del self.documents[name], self.accepted[name]
        self.reconciler.ownerships.know(dict(self.documents))
        self.reconciler.forget(name)

    async def passes(self, name: str, count: int = 1) -> PassResult:
        """So many looks, each with its stage of work, to the end of the work at most."""
        for _ in range(count):
            result = await self.reconciler.reconcile(PassRequest(self.accepted[name]))
            if result.converged:
                break
            await self.time.sleep(1.0)
        return result

    async def sh(self, node: str, script: str) -> str:
        """By hand."""
        return (await run_script(self.world.machines[node], script))[0]


def on_lab(document: HACluster, story: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    """The machines of that document are on, and its controller looks at them."""

    async def told() -> None:
        async with VirtualTime() as time:
            world = build_world(document, time, 1)
            time.attach(world)
            world.start()
            await time.sleep(1.0)
            desk = Desk(time, world, memory_record(clock=time))
            await story(desk)

    asyncio.run(told())


FIRST = named("first")
OTHER_KEYS = ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA==", "none")


def reasons(result: PassResult) -> list[str]:
    """Why it does not act."""
    return [str(hold.reason) for hold in result.plan.holds]


def test_a_second_document_of_the_same_machines_is_refused_and_removes_nothing_ever() -> None:
    """The first one goes on, also when the second one is deleted; when the first one is, the second takes its place."""

    async def story(desk: Desk) -> None:
        await desk.hand_in(FIRST)
        assert (await desk.passes("first", 30)).converged
        before = await desk.sh("fw-1", "cat /etc/rc.conf.d/netif; ls /usr/local/libexec/hactl; ifconfig ix0")
        await desk.hand_in(named("second", spelled("localhost", "::1")))
        for _ in range(3):
            result = await desk.passes("second")
            assert (reasons(result)[0], result.outcome, result.plan.stages) == ("MachineTaken", None, ())
            assert (await desk.passes("first")).converged
        (stalled,) = [each for each in result.status["conditions"] if each["type"] == "Stalled"]
        assert "fw-1 belongs to the cluster first: " in stalled["message"]
        assert "its document first.yaml is in force" in stalled["message"]
        # What is asked for is done by the first one alone.
        await desk.sh("fw-2", "ifconfig igb0 vhid 10 advskew 3")
        assert (await desk.passes("second")).outcome is None
        assert (await desk.passes("first", 9)).converged
        await desk.withdraw("second")
        assert (await desk.passes("first")).converged
        assert await desk.sh("fw-1", "cat /etc/rc.conf.d/netif; ls /usr/local/libexec/hactl; ifconfig ix0") == before
        # A cluster that is gone from this record has no machine any more.
        await desk.withdraw("first")
        await desk.hand_in(named("second"))
        assert (await desk.passes("second", 9)).converged
        await desk.sh("fw-2", "ifconfig igb0 vhid 10 advskew 3")
        assert (await desk.passes("second", 9)).converged
        assert " second " in await desk.sh("fw-2", "cat /var/db/hactl/owner")

    on_lab(FIRST, story)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (spelled("203.0.113.1", "elsewhere.example"), "both have 203.0.113.1 port 22"),
        (spelled("localhost", "elsewhere.example"), "both have the SSH host key ssh-ed25519 ..."),
        ("keys", "both have kern.hostuuid "),
    ],
    ids=["address", "key", "hostuuid"],
)
def test_nodes_that_note_no_owner_are_told_apart_by_what_they_are(change: Any, says: str) -> None:
    """An older hactl set them up: the document that came first has them, whoever looks first."""

    def other_keys(data: dict[str, Any]) -> None:
        spelled("localhost", "::1")(data)
        for node in data["spec"]["nodes"]:
            blob = node["ssh"]["hostKey"].split()[1]
            node["ssh"]["hostKey"] = f"ssh-rsa {blob[:-4]}AAAA"

    async def story(desk: Desk) -> None:
        await desk.hand_in(FIRST)
        assert (await desk.passes("first", 30)).converged
        for node in ("fw-1", "fw-2"):
            await desk.sh(node, "rm /var/db/hactl/owner")
        await desk.passes("first")
        data = FIRST.model_dump(by_alias=True, mode="json", exclude_none=True)
        data["metadata"]["name"] = "a-second"
        (other_keys if change == "keys" else change)(data)
        await desk.hand_in(HACluster.model_validate(data))
        result = await desk.passes("a-second", 2)
        assert (reasons(result)[0], result.outcome) == ("MachineTaken", None)
        assert says in result.plan.holds[0].message
        assert "first (first.yaml)" in result.plan.holds[0].message
        assert (await desk.passes("first")).converged

    on_lab(FIRST, story)


def test_without_a_controller_the_record_tells_and_what_it_does_not_tell_is_waited_for() -> None:
    """`apply` alone: other documents are read from the record; keys in files are told apart only if they are there."""

    async def story(desk: Desk) -> None:
        await desk.hand_in(FIRST)
        assert (await desk.passes("first", 30)).converged
        for node in ("fw-1", "fw-2"):
            await desk.sh(node, "rm /var/db/hactl/owner")
        alone = Desk(desk.time, desk.world, desk.store)
        alone.documents = dict(desk.documents)
        await alone.hand_in(named("second", spelled("localhost", "::1")), controller=False)
        result = await alone.passes("second", 2)
        assert (reasons(result)[0], result.outcome) == ("MachineTaken", None)
        assert "both have the SSH host key" in result.plan.holds[0].message

        def other_type(data: dict[str, Any]) -> None:
            spelled("localhost", "::1")(data)
            for node in data["spec"]["nodes"]:
                node["ssh"]["hostKey"] = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAA"

        await alone.hand_in(named("third", other_type), controller=False)
        result = await alone.passes("third", 2)
        assert (reasons(result)[0], result.outcome, result.plan.holds[0].passing) == ("MachineTaken", None, True)
        assert "whether fw-1 is a machine of the cluster first (first.yaml) too is not known" in (
            result.plan.holds[0].message
        )

    on_lab(FIRST, story)


def test_another_controller_and_one_that_is_gone() -> None:
    """Another cluster's machines are refused from another record too; a lease is lost while its taker listens only."""

    async def story(desk: Desk) -> None:
        await desk.hand_in(FIRST)
        assert (await desk.passes("first", 30)).converged
        stranger = Desk(desk.time, desk.world, memory_record(clock=desk.time))
        await stranger.hand_in(named("second", spelled("localhost", "::1")))
        result = await stranger.passes("second", 2)
        assert (reasons(result)[0], result.outcome) == ("MachineTaken", None)
        assert "from a record that this hactl does not have" in result.plan.holds[0].message

        # The same cluster from another record, as when a controller moves to another machine: it takes the lease.
        await stranger.hand_in(FIRST)
        await desk.sh("fw-2", "ifconfig igb0 vhid 10 advskew 3")
        assert (await stranger.passes("first", 9)).converged
        token = (await stranger.store.holder()).token
        await desk.sh("fw-2", f"sleep 3600 & echo $! >/var/run/hactl.listens.{token}; ifconfig igb0 vhid 10 advskew 3")
        for _ in range(3):
            result = await desk.passes("first", 2)
            assert (reasons(result)[-1], result.outcome) == ("LeaseLost", None)
            await desk.time.sleep(30.0)
        assert "this process (in memory) has acted on it since " in result.plan.holds[-1].message
        assert "and it listens on fw-2" in result.plan.holds[-1].message
        # It is gone: this one goes on by itself within a minute, and the other one is out of date now.
        await desk.sh("fw-2", f"rm /var/run/hactl.listens.{token}")
        gone = desk.time.monotonic()
        while not (result := await desk.passes("first")).converged:
            await desk.time.sleep(5.0 if result.outcome is None else 0.0)
        assert desk.time.monotonic() - gone < 60.0
        await desk.sh("fw-2", "ifconfig igb0 vhid 10 advskew 3")
        assert reasons(await stranger.passes("first", 2))[-1] == "LeaseLost"

    on_lab(FIRST, story)
