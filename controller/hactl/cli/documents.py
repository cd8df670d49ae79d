"""Documents of a command line: read from files, and handed in.

A server gets a document by server-side apply. Without one it is put on record as a command's, so that a source of
`hactl run` that has it too may take it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hactl.cli.api_client.client import CLUSTERS, Call, Client, StatusError, Unreachable
from hactl.cli.output import safe
from hactl.errors import DocumentError, HactlError

if TYPE_CHECKING:
    from hactl.ports import Document, SourceState

F = TypeVar("F", bound=Callable[..., Any])

MANAGER = "hactl"
APPLY = "application/apply-patch+yaml"


def files_option(function: F) -> F:
    """`-f PATH...`."""
    return click.option(
        "-f", "--filename", "paths", multiple=True, required=True, metavar="PATH", type=str,
        help="A document, a directory of documents, or - for standard input. May be given several times.",
    )(function)  # fmt: skip


def load(paths: Sequence[str]) -> SourceState:
    """What the files of a command line hold."""
    from hactl.adapters.sources.files import load_files

    return load_files(list(paths), stdin=sys.stdin.buffer)


def load_all(paths: Sequence[str]) -> tuple[Document, ...]:
    """Every document, or every problem: a command that acts wants all of them right. Raises DocumentError."""
    state = load(paths)
    if state.problems or state.down:
        raise DocumentError(state.problems) if state.problems else HactlError(str(state.down))
    return tuple(state.documents.values())


def selected(documents: Sequence[Document], names: Sequence[str]) -> list[Document]:
    """The documents of these clusters, or all. Raises HactlError for a name that is not there."""
    known = {document.cluster.name: document for document in documents}
    missing = [name for name in names if name not in known]
    if missing:
        files = [name for name in missing if Path(name).exists()]
        hint = f"; for another file say -f {files[0]}, or -f and its directory" if files else ""
        raise HactlError(f"there is no cluster {', '.join(missing)} in these files, only {', '.join(known)}{hint}")
    return [known[name] for name in names] if names else list(documents)


# -- handing in -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What is in force after a document was handed in."""

    document: Document
    #: None: it was refused, and that is said.
    generation: int | None = None

    @property
    def name(self) -> str:
        """Of the cluster."""
        return self.document.cluster.name


def hand_in(client: Client, document: Document, *, force: bool) -> HandedIn:
    """Hand one document in and say what came of it. Raises Unreachable; Busy when a controller has another text."""
    name = document.cluster.name
    before = _in_force(client, name)
    generation: int | None
    if client.served:
        try:
            generation = int(server_side_apply(client, document, force=force)["metadata"]["generation"])
        except StatusError as refused:
            generation = _same(client, document) if refused.code == 403 else None
            if generation is None:
                conflict = "FieldManagerConflict" in json.dumps(refused.status)
                hint = "\n  --force-conflicts takes these fields over" if conflict else ""
                click.echo(f"{document.source}: {safe(str(refused))}{hint}", err=True)
    else:
        assert client.record is not None
        generation = asyncio.run(_put(client.record, document))
    if generation is not None and generation != before:
        click.echo(f"{name}: generation {generation} is in force")
    return HandedIn(document, generation)


def server_side_apply(client: Client, document: Document, *, dry_run: bool = False, force: bool = False) -> Any:
    """The object as it is afterwards. Raises StatusError, Unreachable."""
    from hactl.core.kube.codec import REFERENCES, cluster_body

    body = cluster_body(document.cluster)
    if client.here:
        directory = str(Path(document.directory or ".").absolute())
        body["metadata"].setdefault("annotations", {})[REFERENCES] = directory
    query = {"fieldManager": MANAGER, "force": "true" if force else "", "dryRun": "All" if dry_run else ""}
    path = f"{CLUSTERS}/{document.cluster.name}"
    return client.send(Call("PATCH", path, query, body=json.dumps(body).encode(), content_type=APPLY))


async def _put(record: Path, document: Document) -> int:
    from hactl.app import actor, opened

    async with opened(record) as app:
        return (await app.accept(document, who=actor())).generation


def _in_force(client: Client, name: str) -> int | None:
    """The generation of a cluster; None: there is none."""
    if client.record is not None and not client.record.exists():
        return None
    try:
        return int(client.send(Call("GET", f"{CLUSTERS}/{name}"))["metadata"]["generation"])
    except StatusError:
        return None


def _same(client: Client, document: Document) -> int | None:
    """The generation of the cluster, if it says the same as the document already: its source keeps it."""
    from hactl.core.kube.codec import cluster_body

    try:
        found = client.send(Call("GET", f"{CLUSTERS}/{document.cluster.name}"))
    except StatusError:
        return None
    same = found["spec"] == cluster_body(document.cluster)["spec"]
    return int(found["metadata"]["generation"]) if same else None


def nudge(client: Client) -> None:
    """Have the controller read the API's documents now: one that was taken over from a command looks like no news."""
    from hactl.ports import API_LABEL

    if client.served and client.here:
        with contextlib.suppress(StatusError, Unreachable):
            client.send(Call("POST", "/nudge", {"source": API_LABEL}))
