"""Operations (HAOperation) through the API: making one, seeing it through, cancelling it.

Rules: the controller judges whether and when an operation can be carried out, and when it is over. When it works, a
command only follows: Ctrl-C leaves the operation going. When none runs the work is done here
(`hactl.cli.work.worker`), and followed in the same way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hactl.cli.api_client.client import CLUSTERS, OPERATIONS, Call, Client, StatusError, Unreachable
from hactl.cli.api_client.watch import revision_of
from hactl.cli.follow import Following
from hactl.cli.output import to_seconds
from hactl.cli.work.worker import HOW_ENDED, STOPPING, Reached, Work, controller_runs, why_ended, working
from hactl.errors import HactlError

if TYPE_CHECKING:
    from hactl.cli.work.node_loop import NodeLoop
    from hactl.core.pace.convergence import Summary

Body = Mapping[str, Any]


def wait_options(function: Callable[..., int]) -> Callable[..., int]:
    """`--timeout` and `--no-wait`, of commands that see an operation through."""
    timeout = click.option(
        "--timeout", "seconds", callback=to_seconds, default="15m", metavar="DURATION", show_default=True,
        help="Watch, or begin new passes, no longer than this.",
    )  # fmt: skip
    no_wait = click.option("--no-wait", is_flag=True, help="Leave it to the running controller and do not watch.")
    return no_wait(timeout(function))


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal. Raises HactlError when the answer is no, or nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise HactlError("nothing was done: say --yes, or run it on a terminal")
    if not click.confirm(question):
        raise HactlError("nothing was done")


# -- what they are about ----------------------------------------------------------------------------------------------


def name_of(body: Body) -> str:
    """The name of an object."""
    return str(body["metadata"]["name"])


def status_of(body: Body) -> Mapping[str, Any]:
    """The status of an object; empty while nobody has looked."""
    return body.get("status") or {}


def clusters(client: Client) -> dict[str, Body]:
    """Every cluster, by name."""
    return {name_of(body): body for body in client.send(Call("GET", CLUSTERS))["items"]}


def cluster(client: Client, name: str) -> Body:
    """The cluster of that name. Raises HactlError when there is none."""
    known = clusters(client)
    if name not in known:
        raise HactlError(f"there is no cluster {name}" + (f", only {', '.join(sorted(known))}" if known else ""))
    return known[name]


def cluster_with(client: Client, node: str, name: str | None) -> Body:
    """The one cluster that has the node. Raises HactlError."""
    known = clusters(client)
    if name is not None:
        known = {name: cluster(client, name)}
    found = [body for body in known.values() if any(each["name"] == node for each in body["spec"]["nodes"])]
    if len(found) != 1:
        names = ", ".join(map(name_of, found))
        raise HactlError(f"{node} is in {names}: say --cluster" if found else f"there is no node {node}")
    return found[0]


def serving(status: Mapping[str, Any], group: str) -> list[str]:
    """Who serves what, as every node that has a say told in the last look; one line for each part."""
    lines = []
    for found in status.get("groups", ()):
        if found["name"] != group:
            continue
        for vip in found["addresses"]:
            states = ", ".join(f"{node} says {state}" for node, state in vip["states"].items())
            lines.append(f"vhid {vip['vhid']} {', '.join(vip['addresses'])}: {states}")
        for storage in found["storage"]:
            roles = ", ".join(f"{node} says {role}" for node, role in storage["roles"].items())
            mounted = ", ".join(storage["mountedOn"]) or "no node"
            lines.append(f"{storage['name']}: {roles}; {storage['status'] or 'not connected'}; in use on {mounted}")
        for service in found["services"]:
            states = ", ".join(f"{node} {state.lower()}" for node, state in service["states"].items())
            lines.append(f"{service['name']}: {states}")
    return lines


# -- making and cancelling --------------------------------------------------------------------------------------------


def wire_time(moment: datetime | None) -> str | None:
    """As the API wants it; None: none."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def create(client: Client, spec: Mapping[str, Any], *, dry_run: bool = False) -> Body:
    """Make the operation; empty fields are left out. Raises StatusError."""
    body = {"spec": {key: value for key, value in spec.items() if value}}
    query = {"dryRun": "All"} if dry_run else {}
    made: Body = client.send(Call("POST", OPERATIONS, query, body=body))
    return made


def open_operations(client: Client, kind: str, **fields: str) -> list[Body]:
    """Operations of that type that are not over, whose spec has these fields exactly (empty: not there)."""
    return [
        body
        for body in client.send(Call("GET", OPERATIONS))["items"]
        if status_of(body).get("state") == "Open"
        and body["spec"]["type"] == kind
        and all(body["spec"].get(key, "") == value for key, value in fields.items())
    ]


def cancel(client: Client, operations: Sequence[Body]) -> None:
    """Cancel them; those that are gone meanwhile are."""
    for body in operations:
        try:
            client.send(Call("DELETE", f"{OPERATIONS}/{name_of(body)}"))
        except StatusError as refused:
            if refused.code != 404:
                raise


def must_run(client: Client) -> None:
    """For what is to be done later. Raises HactlError when no controller runs that could do it."""
    if not controller_runs(client):
        raise HactlError("nothing was done: no controller runs on this record that could do it later")


# -- seeing it through ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ending:
    """How far it is when a command stops to follow."""

    #: The operation's status, as it is then; empty: it is about none.
    operation: Mapping[str, Any]
    #: Whether what was wanted is there: the operation is over, or `reached` says so.
    over: bool
    #: How the work in this process ended; None: a controller works.
    summary: Summary | None = None

    @property
    def why(self) -> str:
        """Why it is not over, for people; empty: a controller goes on with it."""
        return "" if self.summary is None else why_ended(self.summary)

    @property
    def status(self) -> int:
        """Exit status of what is not over."""
        return HOW_ENDED["deadline" if self.summary is None else self.summary.end].status

    @property
    def stopped(self) -> bool:
        """Whether a person stopped the work that was done here."""
        return self.summary is not None and self.summary.end == "stopped"


def carry_out(
    client: Client,
    cluster: str,
    *,
    operation: Body | None,
    seconds: float,
    aside: str,
    reached: Reached | None = None,
    nodes: NodeLoop | None = None,
) -> Ending:
    """Follow it until it is over, or `reached` by the status of the cluster, or the time is up.

    Without `reached` the operation is to end by itself, and is ended when it could not be finished here. `aside` is
    said when a person stops to follow what a controller goes on with. `nodes`: the connections the command has already.
    """
    name = "" if operation is None else name_of(operation)
    number = 0 if operation is None or reached is not None else int(status_of(operation)["number"])
    following = Following(client, [cluster], seconds)
    with working(client, Work((cluster,), seconds, awaited=number, reached=reached), nodes) as worker:
        try:
            for _ in following.rounds(endless=worker is not None):
                # In this order: work that has ended may have ended the operation.
                summary = None if worker is None else worker.ended(cluster)
                state, revision = _state(client, name)
                over = state.get("state", "Open") != "Open"
                if not over and reached is not None:
                    over = reached(following.status(cluster)) if worker is None else _over(summary)
                    revision = following.revision_of(cluster)
                if (over and worker is None) or summary is not None:
                    following.last(revision if over and worker is None else "")
                    return Ending(state, over, summary)
        except KeyboardInterrupt:
            if worker is None:
                click.echo(f"\nnot watching any more; {aside}", err=True)
                raise
            click.echo(STOPPING, err=True)
            worker.stop()
            following.last()
            return Ending(_state(client, name)[0], over=False, summary=worker.ended(cluster))
    return Ending(_state(client, name)[0], over=False)


def _over(summary: Summary | None) -> bool:
    return summary is not None and summary.end == "over"


def _state(client: Client, name: str) -> tuple[Mapping[str, Any], str]:
    """The status of the operation of that name, and its revision; of none, and of one that nobody tells, nothing."""
    if not name:
        return {}, ""
    try:
        body = client.send(Call("GET", f"{OPERATIONS}/{name}"))
    except Unreachable:
        # It is said when the clusters are read.
        return {}, ""
    except StatusError as refused:
        if refused.code != 404:
            raise
        return {"state": "Cancelled", "message": "it was cancelled meanwhile"}, ""
    return status_of(body), revision_of(body)


# -- pauses -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """What a pause is about: the fleet (all empty), a cluster, or a group or node of it."""

    cluster: str
    group: str = ""
    node: str = ""

    def __str__(self) -> str:
        """For people."""
        part = f"group {self.group} of " if self.group else f"node {self.node} of " if self.node else ""
        return f"{part}{self.cluster}" if self.cluster else "the whole fleet"

    @property
    def fields(self) -> dict[str, str]:
        """As an operation's spec has it."""
        return {"cluster": self.cluster, "group": self.group, "node": self.node}


def scope_options(function: Callable[..., int]) -> Callable[..., int]:
    """CLUSTER, --group, --node, --all."""
    for decorate in (
        click.argument("cluster", required=False),
        click.option("--group", default="", metavar="GROUP", help="Only this group of the cluster."),
        click.option("--node", default="", metavar="NODE", help="Only this node."),
        click.option("--all", "everything", is_flag=True, help="The whole fleet."),
    ):
        function = decorate(function)
    return function


def check_scope(cluster: str | None, group: str, node: str, *, everything: bool) -> None:
    """Raises UsageError for words that contradict each other."""
    if everything and (cluster or group or node):
        raise click.UsageError("--all is the whole fleet: it goes with no cluster, --group or --node")
    if group and node:
        raise click.UsageError("a group or a node, not both")
    if not everything and not cluster and not node:
        raise click.UsageError("name a cluster, a --node, or --all")


def scope(client: Client, name: str | None, group: str, node: str) -> Scope:
    """What is meant; all empty: the fleet. Raises HactlError for what does not exist."""
    if not name and not node:
        return Scope("")
    found = cluster_with(client, node, None) if not name else cluster(client, name)
    for kind, one in (("groups", group), ("nodes", node)):
        if one and all(each["name"] != one for each in found["spec"][kind]):
            raise HactlError(f"{name_of(found)} has no {kind[:-1]} {one}")
    return Scope(name_of(found), group, node)
