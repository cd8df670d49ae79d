"""`hactl diff`: what handing documents in would change of what is in force."""

from __future__ import annotations

import difflib
import io
from collections.abc import Mapping
from typing import Any

import click

from hactl.cli.api_client.client import CLUSTERS, Call, Client, StatusError
from hactl.cli.api_client.connect import connected, namespace_options, server_options
from hactl.cli.documents import files_option, load_all, selected, server_side_apply
from hactl.cli.output import safe
from hactl.core.kube.codec import REFERENCES, cluster_body
from hactl.ports import Document

#: What differs in every version without anybody wanting it.
_VOLATILE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "namespace")
#: Annotations that are no part of anybody's document.
_NOT_WANTED = (REFERENCES, "kubectl.kubernetes.io/last-applied-configuration")


@click.command()
@files_option
@click.argument("names", nargs=-1, metavar="[CLUSTER]...")
@click.option("--force-conflicts", is_flag=True, help="As for apply: take over fields that others manage.")
@namespace_options()
@server_options
@click.pass_context
def diff(
    ctx: click.Context,
    paths: tuple[str, ...],
    names: tuple[str, ...],
    force_conflicts: bool,
    server: str | None,
    context: str | None,
) -> int:
    """Show how documents differ from what is in force: the documents, not the nodes (`hactl plan` shows those).

    Exit status: 0 nothing differs, 2 something does, 1 error.
    """
    documents = selected(load_all(paths), names)
    differs = False
    with connected(ctx, server=server, context=context) as client:
        for document in documents:
            lines = _difference(client, document, force=force_conflicts)
            differs = differs or bool(lines)
            for line in lines:
                colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
                click.echo(click.style(safe(line), fg=colour))
    return 2 if differs else 0


def _difference(client: Client, document: Document, *, force: bool) -> list[str]:
    name = document.cluster.name
    try:
        before = _text(client.send(Call("GET", f"{CLUSTERS}/{name}")))
    except StatusError as refused:
        if refused.code != 404:
            raise
        before = []
    try:
        after = _text(server_side_apply(client, document, dry_run=True, force=force))
    except StatusError as refused:
        if refused.code != 403 or not before:
            raise
        # Kept by a source: it cannot be handed in, but it can be compared.
        after = _text(cluster_body(document.cluster))
        if after != before:
            click.echo(f"note: {safe(str(refused).partition('is forbidden: ')[2] or str(refused))}", err=True)
    return list(difflib.unified_diff(before, after, f"{name} in force", document.source, lineterm=""))


def _text(body: Mapping[str, Any]) -> list[str]:
    """The document of an object as lines of YAML, keys in one order."""
    from ruamel.yaml import YAML

    metadata = {key: value for key, value in body["metadata"].items() if key not in _VOLATILE}
    kept = {key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key not in _NOT_WANTED}
    metadata |= {"annotations": kept} if kept else {}
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump({"metadata": metadata, "spec": body["spec"]}, stream)
    return stream.getvalue().splitlines()
