"""Which client a command gets: the server that is chosen, or this process on the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from hactl.cli.api_client.client import Client
from hactl.cli.api_client.contexts import Context, chosen, named
from hactl.cli.record import state_path
from hactl.errors import HactlError

F = TypeVar("F", bound=Callable[..., Any])


def server_options(function: F) -> F:
    """`--server` and `--context`."""
    function = click.option(
        "--context", "context", metavar="NAME", help="A context of `hactl config` (or HACTL_CONTEXT)."
    )(function)
    return click.option("--server", "server", metavar="URL", help="https://HOST:PORT or unix:PATH (or HACTL_SERVER).")(
        function
    )


def here_only(ctx: click.Context, instead: str) -> None:
    """For a command that works on the record itself. Raises HactlError when a server is set up."""
    found = named(None, None, stated=ctx.obj["state"] is not None)
    if found is not None:
        raise HactlError(
            f"this command reads the record on the controller's machine, and {found.server} is set up here: {instead}, "
            "or name a record with --state PATH"
        )


def chosen_server(
    ctx: click.Context, *, server: str | None = None, context: str | None = None, create: bool = False
) -> Context | None:
    """The server that is chosen; None: the record is, which is there (unless `create`). Raises HactlError."""
    record = state_path(ctx)
    found = chosen(server, context, record, stated=ctx.obj["state"] is not None)
    if found is None and not create and not record.exists():
        raise HactlError(
            f"no server runs and there is no record at {record} yet: `hactl run` and `hactl apply` make it; "
            "--server, --context and --state name others"
        )
    return found


@contextmanager
def connected(
    ctx: click.Context, *, server: str | None = None, context: str | None = None, create: bool = False
) -> Iterator[Client]:
    """The server that is chosen, or this process on the record. Raises HactlError.

    `create`: a record that does not exist yet is made when something is written into it.
    """
    record = state_path(ctx)
    found = chosen_server(ctx, server=server, context=context, create=create)
    if found is not None:
        from hactl.cli.api_client.remote import Remote

        yield Remote(found, record)
        return
    from hactl.cli.api_client.local import Local

    local = Local(record)
    try:
        yield local
    finally:
        local.close()
