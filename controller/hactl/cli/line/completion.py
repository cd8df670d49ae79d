"""What a shell completes: clusters, nodes, groups, resources, kinds, contexts, as the API has them now.

The same server or record is asked that the command would ask. Somebody waits for a key to have its effect, so a server
gets little time, and whatever goes wrong completes nothing: the command itself will say what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from hactl.errors import HactlError

#: A server that takes longer completes nothing, seconds.
PATIENCE_SECONDS = 2.0


def _clusters(ctx: click.Context) -> Iterable[str]:
    return (body["metadata"]["name"] for body in _bodies(ctx))


def _nodes(ctx: click.Context) -> Iterable[str]:
    return (node["name"] for spec in _specs(ctx) for node in spec["nodes"])


def _groups(ctx: click.Context) -> Iterable[str]:
    return (group["name"] for spec in _specs(ctx) for group in spec["groups"])


def _resources(ctx: click.Context) -> Iterable[str]:
    groups = (group for spec in _specs(ctx) for group in spec["groups"])
    return (storage["name"] for group in groups for storage in group.get("storage", ()))


def _digests(ctx: click.Context) -> Iterable[str]:
    wanted = ctx.params.get("cluster")
    plans = (body.get("status", {}).get("plan") for body in _bodies(ctx) if body["metadata"]["name"] == wanted)
    return (plan["digest"] for plan in plans if plan and plan.get("digest"))


def _contexts(ctx: click.Context) -> Iterable[str]:  # noqa: ARG001
    from hactl.cli.api_client.contexts import Contexts

    return Contexts.load().contexts


def _named_contexts(ctx: click.Context) -> Iterable[str]:
    """For `hactl config`; what is called NAME elsewhere is new."""
    return _contexts(ctx) if ctx.command_path.startswith("hactl config ") else ()


def _namespaces(ctx: click.Context) -> Iterable[str]:  # noqa: ARG001
    from hactl.core.kube.kinds import NAMESPACE

    return (NAMESPACE,)


def _event_kinds(ctx: click.Context) -> Iterable[str]:  # noqa: ARG001
    from hactl.core.catalogue import EventKind

    return ("Step", *EventKind)


def _objects(ctx: click.Context) -> Iterable[str]:
    """`[KIND] NAME...`: kinds and clusters first, then the names of that kind."""
    from hactl.cli.objects import KINDS, resource_named
    from hactl.core.kube.kinds import HACLUSTERS

    words = ctx.params.get("words") or ()
    if words:
        kind = resource_named(words[0]) or HACLUSTERS
        return (body["metadata"]["name"] for body in _bodies(ctx, kind.plural))
    return (*(kind.plural for kind in KINDS), *_clusters(ctx))


#: What an argument or option stands for, by the name it has in every command.
BY_NAME: Mapping[str, Callable[[click.Context], Iterable[str]]] = {
    "cluster": _clusters,
    "names": _clusters,
    "node": _nodes,
    "discard": _nodes,
    "yes_discard": _nodes,
    "group": _groups,
    "resource": _resources,
    "digest": _digests,
    "context": _contexts,
    "namespace": _namespaces,
    "kind": _event_kinds,
    "words": _objects,
}


class Completed(StringParamType):
    """A text that a shell can complete."""

    def __init__(self, values: Callable[[click.Context], Iterable[str]] | None) -> None:
        """`values`: what there is; None: files."""
        self._values = values

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """What begins so."""
        if self._values is None:
            return [CompletionItem(incomplete, type="file")]
        if ctx.command_path.startswith("hactl lab"):
            # The lab's nodes are not those of the record.
            return []
        try:
            found = dict.fromkeys(value for value in self._values(ctx) if value.startswith(incomplete))
        except (HactlError, OSError, KeyError, TypeError):
            # No server, no record, or one that answers otherwise: nothing is completed, and nothing is said in between.
            return []
        return [CompletionItem(value) for value in found]


def completed(parameter: click.Parameter) -> None:
    """Let a shell complete it, when it is known what it stands for."""
    if not isinstance(parameter.type, StringParamType):
        return
    metavar = parameter.metavar or ""
    if parameter.name == "paths" or "FILE" in metavar:
        parameter.type = Completed(None)
    elif parameter.name in BY_NAME:
        parameter.type = Completed(BY_NAME[parameter.name])
    elif parameter.name == "name":
        parameter.type = Completed(_clusters if "CLUSTER" in metavar else _named_contexts)


def _bodies(ctx: click.Context, plural: str = "haclusters") -> list[Mapping[str, Any]]:
    """Objects of that kind. Raises HactlError."""
    from hactl.cli.api_client.client import Call
    from hactl.cli.api_client.connect import connected
    from hactl.cli.objects import path_of, resource_named

    resource = resource_named(plural)
    assert resource is not None
    server, context = ctx.params.get("server"), ctx.params.get("context")
    with connected(ctx, server=server, context=context, patience_seconds=PATIENCE_SECONDS) as client:
        items: list[Mapping[str, Any]] = client.send(Call("GET", path_of(resource)))["items"]
    return items


def _specs(ctx: click.Context) -> list[Mapping[str, Any]]:
    """Of the cluster that the line names, else of all."""
    wanted = ctx.params.get("cluster")
    return [body["spec"] for body in _bodies(ctx) if wanted in (None, body["metadata"]["name"])]
