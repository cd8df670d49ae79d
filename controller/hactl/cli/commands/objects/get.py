"""`hactl get`: objects as kubectl shows them, once or as they change."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from hactl.cli.api_client.client import TABLE, Call, Client, StatusError
from hactl.cli.api_client.connect import connected, namespace_options, server_options
from hactl.cli.api_client.watch import follow as followed
from hactl.cli.api_client.watch import revision_of
from hactl.cli.forms.option import output_option
from hactl.cli.objects import KINDS_THERE_ARE, path_of, split_names
from hactl.cli.output import print_data, safe
from hactl.core.kube.kinds import Resource


@click.command()
@click.argument("words", nargs=-1, metavar="[KIND] [NAME]...")
@output_option("wide", "json", "yaml", "name")
@click.option("-l", "--selector", "labels", default="", metavar="SELECTOR", help="Labels: a=b,c!=d,e in (x,y).")
@click.option("--field-selector", "fields", default="", metavar="SELECTOR", help="Fields: metadata.name=nas.")
@click.option("-w", "--watch", "follow", is_flag=True, help="Then show every change, until Ctrl-C.")
@click.option("--no-headers", is_flag=True, help="No line with the names of the columns.")
@namespace_options(every=True)
@server_options
@click.pass_context
def get(
    ctx: click.Context,
    words: tuple[str, ...],
    form: str | None,
    labels: str,
    fields: str,
    follow: bool,
    no_headers: bool,
    everywhere: bool,
    server: str | None,
    context: str | None,
) -> int:
    """Show clusters (or KIND: haclusters, haoperations, events, leases) as the record has them.

    A running server is asked, else the record itself; the answer is the same. Exit status: 0, or 1 when something that
    was named does not exist.
    """
    resource, names = split_names(words)
    if names and (labels or fields):
        raise click.UsageError("names and selectors do not go together")
    if follow and len(names) > 1:
        raise click.UsageError("watch one, or all")
    with connected(ctx, server=server, context=context) as client:
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        lister = _Lister(client, resource, names, selectors, form, headers=not no_headers, everywhere=everywhere)
        status = lister.show()
        if status and names == list(words):
            click.echo(f"hactl: {safe(words[0])} was taken for the name of a cluster; {KINDS_THERE_ARE}", err=True)
        if follow and status == 0:
            lister.follow()
        return status


class _Lister:
    """Shows objects of one kind."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        names: Sequence[str],
        selectors: Mapping[str, str],
        form: str | None,
        *,
        headers: bool,
        everywhere: bool = False,
    ) -> None:
        self._client = client
        self._resource = resource
        self._names = names
        self._selectors = selectors
        self._form = form
        self._headers = headers
        #: Whether the first column names the namespace.
        self._everywhere = everywhere and resource.namespaced
        self._revision = ""
        self._widths: list[int] = []
        self._columns: Sequence[Mapping[str, Any]] = ()

    @property
    def _tabular(self) -> bool:
        return self._form in (None, "wide")

    def show(self) -> int:
        """What there is now."""
        accept = TABLE if self._tabular else "application/json"
        found, missing = [], []
        for name in self._names or [""]:
            call = Call("GET", path_of(self._resource, name), {} if name else self._selectors, accept=accept)
            try:
                found.append(self._client.send(call))
            except StatusError as refused:
                if refused.code != 404 or not name:
                    raise
                missing.append(str(refused))
        if found:
            self._revision = revision_of(found[-1])
            self._print(found)
        for text in missing:
            click.echo(f"hactl: {safe(text)}", err=True)
        return 1 if missing else 0

    def _print(self, found: Sequence[Mapping[str, Any]]) -> None:
        if self._tabular:
            rows = [row for each in found for row in each["rows"]]
            if not rows:
                click.echo(f"no {self._resource.plural} found", err=True)
            else:
                self._columns = found[0]["columnDefinitions"]
                self._table(self._columns, rows, headers=self._headers)
            return
        objects = [item for each in found for item in each.get("items", [each])]
        if self._form == "name":
            for each in objects:
                click.echo(self._named(each))
        elif len(self._names) == 1:
            self._data(objects[0])
        else:
            listing = found[0] if not self._names else {"apiVersion": "v1", "kind": "List", "items": objects}
            self._data(listing)

    def _data(self, found: Any) -> None:
        """As the form says; headers of custom columns once."""
        print_data(str(self._form), found, headers=self._headers)
        self._headers = False

    def _table(self, columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], *, headers: bool) -> None:
        """Lines as wide as the ones before, so that what a watch adds stays in its columns."""
        shown = [i for i, column in enumerate(columns) if self._form == "wide" or not column.get("priority")]
        lines = [[*self._where(row), *(_cell(row["cells"][i]) for i in shown)] for row in rows]
        if headers:
            titles = ["NAMESPACE"] if self._everywhere else []
            lines.insert(0, titles + [str(columns[i]["name"]).upper() for i in shown])
        count = len(lines[0])
        before = self._widths if len(self._widths) == count else [0] * count
        self._widths = [max(before[i], *(len(line[i]) for line in lines)) for i in range(count)]
        for line in lines:
            click.echo("   ".join(cell.ljust(width) for cell, width in zip(line, self._widths, strict=True)).rstrip())

    def _where(self, row: Mapping[str, Any]) -> list[str]:
        return [_cell(row["object"]["metadata"].get("namespace"))] if self._everywhere else []

    def follow(self) -> None:
        """Every change from now on, until a person ends it."""
        query = dict(self._selectors)
        if self._names:
            query["fieldSelector"] = f"metadata.name={self._names[0]}"
        call = Call("GET", path_of(self._resource), query, accept=TABLE if self._tabular else "application/json")
        for event in followed(self._client, call, self._revision, again=self._again):
            found = event["object"]
            if self._tabular:
                self._columns = found.get("columnDefinitions") or self._columns
                self._table(self._columns, found["rows"], headers=self._headers and not self._widths)
            else:
                self._print_one(found)
            sys.stdout.flush()

    def _again(self) -> str:
        """Changes were missed: everything once more."""
        self._revision = ""
        self.show()
        return self._revision

    def _print_one(self, found: Mapping[str, Any]) -> None:
        if self._form == "name":
            click.echo(self._named(found))
            return
        if self._form == "yaml":
            click.echo("---")
        self._data(found)

    def _named(self, found: Mapping[str, Any]) -> str:
        kind = ".".join(part for part in (self._resource.singular, self._resource.group) if part)
        return f"{kind}/{found['metadata']['name']}"


def _cell(value: object) -> str:
    return "" if value is None else safe(str(value))
