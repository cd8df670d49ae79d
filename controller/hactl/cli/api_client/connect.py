"""Which client a command gets: the server that is chosen, or this process on the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from hactl.cli.api_client.client import Client
from hactl.cli.api_client.contexts import Context, chosen, named
from hactl.cli.output import safe
from hactl.cli.record import state_path
from hactl.core.kube.kinds import NAMESPACE
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


def namespace_options(*, every: bool = False) -> Callable[[F], F]:
    """`-n NAMESPACE`, and for what lists `-A`, where kubectl's users type them. There is one namespace."""

    def add(function: F) -> F:
        if every:
            function = click.option(
                "-A", "--all-namespaces", "everywhere", is_flag=True, help="Of every namespace, and name it."
            )(function)
        return click.option(
            "-n", "--namespace", metavar="NAMESPACE", expose_value=False, callback=_known_namespace,
            help=f"The namespace: {NAMESPACE}, there is no other.",
        )(function)  # fmt: skip

    return add


def _known_namespace(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:  # noqa: ARG001
    if value is None or value == NAMESPACE:
        return value
    raise HactlError(f"nothing is in the namespace {safe(value)}: hactl has one, {NAMESPACE}; leave -n away")


def _asked(ctx: click.Context, server: str | None, context: str | None) -> tuple[str | None, str | None]:
    """What the command's own options say, else what stood before its name."""
    return (server, context) if server or context else (ctx.obj.get("server"), ctx.obj.get("context"))


def elsewhere(ctx: click.Context, server: str | None, context: str | None) -> bool:
    """Whether a server is asked that somebody named, and not this machine's record. Raises HactlError."""
    return named(*_asked(ctx, server, context), stated=ctx.obj["state"] is not None) is not None


def chosen_server(
    ctx: click.Context, *, server: str | None = None, context: str | None = None, create: bool = False
) -> Context | None:
    """The server that is chosen; None: the record is, which is there (unless `create`). Raises HactlError."""
    record = state_path(ctx)
    found = chosen(*_asked(ctx, server, context), record, stated=ctx.obj["state"] is not None)
    if found is None and not create and not record.exists():
        raise HactlError(
            f"no server runs and there is no record at {record} yet: `hactl run` and `hactl apply` make it; "
            "--server, --context and --state name others"
        )
    return found


@contextmanager
def connected(
    ctx: click.Context,
    *,
    server: str | None = None,
    context: str | None = None,
    create: bool = False,
    patience_seconds: float | None = None,
) -> Iterator[Client]:
    """The server that is chosen, or this process on the record. Raises HactlError.

    `create`: a record that does not exist yet is made when something is written into it. `patience_seconds`: so long an
    server is waited for.
    """
    record = state_path(ctx)
    found = chosen_server(ctx, server=server, context=context, create=create)
    if found is not None:
        from hactl.cli.api_client.remote import TIMEOUT_SECONDS, Remote

        yield Remote(found, record, patience_seconds=patience_seconds or TIMEOUT_SECONDS)
        return
    from hactl.cli.api_client.local import Local

    local = Local(record)
    try:
        yield local
    finally:
        local.close()
