"""Objects as people name them: `KIND NAME`, `KIND/NAME`, short names; and where the API has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from hactl.cli.output import safe, table
from hactl.core.kube.kinds import EVENTS, HACLUSTERS, HAOPERATIONS, LEASES, NAMESPACE, NAMESPACES, Resource

KINDS = (HACLUSTERS, HAOPERATIONS, EVENTS, LEASES, NAMESPACES)


#: For whoever named another one.
KINDS_THERE_ARE = "kinds are " + ", ".join(
    f"{kind.plural} ({', '.join(kind.short_names)})" if kind.short_names else kind.plural for kind in KINDS
)


def resource_named(word: str) -> Resource | None:
    """The kind somebody means: plural, singular, Kind or a short name, with or without its group."""
    wanted = word.lower().partition(".")[0]
    for kind in KINDS:
        if wanted in (kind.plural, kind.singular, *kind.short_names):
            return kind
    return None


def split_names(words: Sequence[str]) -> tuple[Resource, list[str]]:
    """`[KIND] [NAME...]` or `KIND/NAME...`; clusters when no kind is named. Raises click.UsageError."""
    if words and "/" in words[0]:
        pairs = [word.partition("/") for word in words]
        kinds = {resource_named(kind) for kind, _, _ in pairs}
        if len(kinds) != 1 or None in kinds:
            raise click.UsageError(f"{' '.join(words)}: expected KIND/NAME, all of one kind; {KINDS_THERE_ARE}")
        found = kinds.pop()
        assert found is not None
        return found, [name for _, _, name in pairs]
    kind = resource_named(words[0]) if words else HACLUSTERS
    return (HACLUSTERS, list(words)) if kind is None else (kind, list(words[1:]))


def path_of(resource: Resource, name: str = "") -> str:
    """Where objects of that kind are."""
    where = f"{resource.prefix}/namespaces/{NAMESPACE}" if resource.namespaced else resource.prefix
    return f"{where}/{resource.plural}" + (f"/{name}" if name else "")


def print_events(found: Mapping[str, Any], limit: int) -> None:
    """The newest events of a Table."""
    columns = [i for i, column in enumerate(found["columnDefinitions"]) if not column.get("priority")]
    rows = [[safe(str(row["cells"][i])) for i in columns] for row in found["rows"][-limit:]]
    if rows:
        click.echo(table(rows, [str(found["columnDefinitions"][i]["name"]).upper() for i in columns]))
    else:
        click.echo("none on record")
