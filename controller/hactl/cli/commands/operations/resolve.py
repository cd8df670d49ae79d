"""`hactl resolve`: throw away one of two copies that refuse each other. Shows both, the plan, and asks for the name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hactl.cli import operations
from hactl.cli.api_client.connect import connected, server_options
from hactl.cli.observe import Looked, document_option, look_at
from hactl.cli.operations import Body, name_of, status_of
from hactl.cli.output import condition, safe, table
from hactl.cli.record import state_path
from hactl.cli.steps import print_step
from hactl.core.catalogue import ConditionType
from hactl.errors import HactlError

if TYPE_CHECKING:
    from hactl.core.evidence.copies import Comparison
    from hactl.core.objects import GroupSpec, StorageSpec
    from hactl.core.plan.resolve import Refusal
    from hactl.core.steps import Step


@click.command()
@click.argument("cluster")
@click.argument("resource")
@click.option(
    "--discard", metavar="NODE",
    help="The node whose copy is thrown away. Default: one that slept or was cut off while its peer took over, by its "
    "hook's note.",
)  # fmt: skip
@click.option("--preserve", default="", metavar="PATH", help="Keep an image of its device there first, on that node.")
@click.option("--yes-discard", metavar="NODE", help="The node's name again, instead of typing it.")
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--dry-run", is_flag=True, help="Only show both copies and the steps.")
@document_option
@server_options
@click.pass_context
def resolve(ctx: click.Context, /, cluster: str, resource: str, paths: tuple[str, ...], **how: Any) -> int:
    """Throw away the copy of RESOURCE on one node, after a split-brain, and let HAST fill it from the other one.

    Both copies are shown, then the exact steps, all of them on the node whose copy goes; away from the controller's
    machine what the controller saw last is shown instead. The node's name has to be typed, or given with --yes-discard.
    Without --discard it is the copy of a node that slept or was cut off while its peer took over, where a hook noted
    that; where none did, both copies are shown and nothing is done.
    Refused when there is no split-brain, when the copy is in use, and when the other node is not primary. The operation
    is recorded; a running controller, or the next `hactl apply`, carries it out.

    Exit status: 0 on record (or shown), 1 refused or error.
    """
    discard, preserve = how["discard"], how["preserve"]
    looked = look_at(state_path(ctx), cluster, paths) if paths else None
    if looked is not None:
        discard = discard or _slept(looked, resource)
    if looked is not None and not _show(looked, resource, discard, preserve):
        return 0
    if looked is not None and how["dry_run"]:
        return 0
    wanted = {"type": "Resolve", "cluster": cluster, "resource": resource, "node": discard, "preserve": preserve,
              "reason": how["reason"]}  # fmt: skip
    with connected(ctx, server=how["server"], context=how["context"]) as client:
        if looked is None:
            body = operations.cluster(client, cluster)
            if client.record is None:
                if discard is None:
                    raise HactlError("which copy goes? Away from the controller's machine say --discard NODE")
                operations.create(client, wanted, dry_run=True)
                _show_status(body, resource, discard)
            else:
                looked = look_at(client.record, cluster)
                discard = wanted["node"] = discard or _slept(looked, resource)
                if not _show(looked, resource, discard, preserve):
                    return 0
            if how["dry_run"]:
                return 0
        _confirm(discard, how["yes_discard"])
        made = operations.create(client, wanted)
    click.echo(f"{name_of(made)} is on record: a running controller carries it out, else: hactl apply -f FILE; "
               f"hactl events {cluster} shows every step")  # fmt: skip
    return 0


def _slept(looked: Looked, resource: str) -> str:
    """The node that slept while its peer took over, by its hook's note. Raises HactlError: there is none."""
    from hactl.core.evidence.copies import compare_copies, fenced_words, stale_writer
    from hactl.core.evidence.view import View
    from hactl.core.plan.resolve import no_split

    found, view = _group(looked, resource), View.at(looked.cluster, looked.snapshot, looked.now)
    node = stale_writer(view, found[1])
    if node is None:
        comparison = compare_copies(view, found[1])
        _show_copies(comparison)
        if (refusal := no_split(comparison)) is not None:
            raise _refused(refusal)
        raise HactlError(
            f"which copy of {resource} goes? No node noted that it slept or was cut off: say --discard NODE"
        )
    click.echo(safe(fenced_words(view, found[1], node)) + "\n")
    return node


def _group(looked: Looked, resource: str) -> tuple[GroupSpec, StorageSpec]:
    """Whose resource it is. Raises HactlError: there is none of that name."""
    from hactl.core.evidence.copies import group_of

    found = group_of(looked.cluster, resource)
    if found is None:
        names = ", ".join(storage.name for group in looked.cluster.groups for storage in group.storage)
        raise HactlError(f"{looked.cluster.name} has no resource {resource}; it has {names or 'none'}")
    return found


def _refused(refusal: Refusal) -> HactlError:
    helps = f"; what helps: {refusal.remedy}" if refusal.remedy else ""
    return HactlError(f"refused, {refusal.reason}: {refusal.message}{helps}")


def _show(looked: Looked, resource: str, discard: str, preserve: str) -> bool:
    """Both copies and the steps; False: nothing is to be done (said). Raises HactlError when it is refused."""
    from hactl.core.evidence.copies import compare_copies
    from hactl.core.evidence.view import View
    from hactl.core.plan.resolve import Refusal, resolve_steps

    found = _group(looked, resource)
    _show_copies(compare_copies(View.at(looked.cluster, looked.snapshot, looked.now), found[1]))
    steps = resolve_steps(looked.cluster, looked.snapshot, resource, discard, preserve, looked.now)
    if isinstance(steps, Refusal):
        raise _refused(steps)
    if not steps:
        click.echo(f"nothing to do: the copy on {discard} is new and empty, HAST fills it from the other one")
        return False
    _show_steps(steps)
    return True


def _show_copies(comparison: Comparison) -> None:
    from hactl.core.evidence.copies import comparison_table

    header, rows = comparison_table(comparison)
    click.echo(table([[safe(cell) for cell in row] for row in rows], header))
    for copy in comparison.copies:
        for line in copy.timeline:
            click.echo(f"  {copy.node}: {safe(line)}")
    click.echo(f"\n{click.style(safe(comparison.message), bold=True)}")
    click.echo("  HAST keeps no time of the last write: look at the files themselves before one copy goes\n")


def _show_steps(steps: tuple[Step, ...]) -> None:
    from hactl.core.plan.resolve import TITLE

    click.echo(click.style(TITLE, bold=True))
    for number, step in enumerate(steps, 1):
        print_step(number, step)
    click.echo("")


def _show_status(body: Body, resource: str, discard: str) -> None:
    """From elsewhere the copies cannot be compared: what the controller saw last. Raises HactlError."""
    name, status = name_of(body), status_of(body)
    split = condition(status, ConditionType.SPLIT_BRAIN)
    if split.get("status") != "True":
        raise HactlError(f"refused, NoSplitBrain: by the newest look {name} has no split-brain, so no copy has to go")
    click.echo(click.style(safe(split["message"]), bold=True))
    for group in status.get("groups", ()):
        for storage in group["storage"]:
            if storage["name"] == resource:
                roles = ", ".join(f"{node} says {role}" for node, role in storage["roles"].items())
                click.echo(f"  {resource}: {roles}; in use on {', '.join(storage['mountedOn']) or 'no node'}")
    click.echo("  the copies are compared, and the steps shown, only on the controller's machine: "
               f"hactl resolve {name} {resource} --discard {discard} --dry-run")  # fmt: skip


def _confirm(node: str, given: str | None) -> None:
    """The name, typed or given. Raises HactlError when it is another one, or nobody can be asked."""
    if given is None:
        if not sys.stdin.isatty():
            raise HactlError(f"nothing was done: say --yes-discard {node}, or run it on a terminal")
        given = click.prompt(f"what only {node} has is lost. Type the node's name to throw its copy away")
    if given != node:
        raise HactlError(f"nothing was done: {given} is not {node}")
