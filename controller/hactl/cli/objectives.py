"""One line for each document with objectives that a simulation on record does not say are met; it never blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hactl.cli.output import safe
from hactl.errors import StoreError
from hactl.ports import Document

#: So many simulations of a cluster are looked at, the newest: of other revisions, or with other objectives, too.
LATEST = 50


def warn_of_objectives(record: Path, documents: Sequence[Document]) -> None:
    """On standard error. Nothing is opened where no document has objectives."""
    wanted = [document for document in documents if document.cluster.spec.objectives is not None]
    if not wanted:
        return
    from hactl.core.simulation.verdict import on_record

    for document, details in zip(wanted, asyncio.run(_on_record(record, wanted)), strict=True):
        said = on_record(document.cluster, details)
        if said:
            click.echo(safe(f"{document.cluster.name}: {said} (hactl simulate -f {document.file})"), err=True)


async def _on_record(record: Path, documents: Sequence[Document]) -> list[list[Mapping[str, Any]]]:
    """What was simulated of each cluster, newest first; nothing where there is no record that can be read."""
    from hactl.adapters.record.sqlite.store import open_record
    from hactl.core.catalogue import EventKind

    nothing: list[list[Mapping[str, Any]]] = [[] for _ in documents]
    if not await asyncio.to_thread(record.exists):
        return nothing
    try:
        store = await open_record(record, read_only=True)
    except StoreError:
        return nothing
    try:
        found = []
        for document in documents:
            query = {"cluster": document.cluster.name, "kind": EventKind.SIMULATED, "limit": LATEST}
            found.append([row["detail"] for row in reversed(await store.history(query)) if row.get("detail")])
        return found
    except StoreError:
        return nothing
    finally:
        await store.close()
