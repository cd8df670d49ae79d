"""Global options: before the command's name or behind it, as kubectl's users type them.

A command's own help does not list them; `hactl --help` does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hactl.cli.line.completion import completed

F = TypeVar("F", bound=Callable[..., Any])


def _options() -> list[click.Option]:
    """The options that every command takes, new ones each time: click keeps them by the command."""
    return [
        click.Option(
            ["--state"],
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="PATH",
            expose_value=False,
            help="The record (SQLite). Default: HACTL_STATE, state/hactl.db in a checkout or /var/db/hactl/hactl.db.",
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            help="Colour; auto (the default): on a terminal only, and never with NO_COLOR or TERM=dumb.",
        ),
        click.Option(
            ["--log-level"],
            type=click.Choice(["debug", "info", "warning", "error"]),
            expose_value=False,
            help="What is logged.",
        ),
    ]


def _server_options() -> list[click.Option]:
    return [
        click.Option(
            ["--server"], metavar="URL", expose_value=False, help="https://HOST:PORT or unix:PATH (or HACTL_SERVER)."
        ),
        click.Option(
            ["--context"], metavar="NAME", expose_value=False, help="A context of `hactl config` (or HACTL_CONTEXT)."
        ),
    ]


def global_options(function: F) -> F:
    """All of them, for `hactl` itself; to be applied to a function that click has not made a command of yet."""
    for each in reversed([*_options(), *_server_options()]):
        each.callback = _kept
        parameters = function.__dict__.setdefault("__click_params__", [])
        parameters.append(each)
    return function


def everywhere(command: click.Command) -> click.Command:
    """That command, and those below it, with the global options behind their names too, and what a shell completes.

    Once or again: the same.
    """
    if any(getattr(each, "is_global", False) for each in command.params):
        return command
    own = {each.name for each in command.params}
    for option in [*_options(), *_server_options()]:
        if option.name in own:
            continue
        option.hidden = True
        option.is_global = True  # type: ignore[attr-defined]
        asks_no_server = option.name in ("server", "context") and not isinstance(command, click.Group)
        option.callback = _no_server if asks_no_server else _kept
        command.params.append(option)
    for each in command.params:
        completed(each)
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            command.commands[name] = everywhere(child)
    return command


def _kept(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Keep what was said, over what was said before the command's name."""
    obj = ctx.ensure_object(dict)
    assert param.name is not None
    if value is not None or param.name not in obj:
        obj[param.name] = value
        if param.name == "color":
            _colour(ctx, value or "auto")
        elif param.name == "log_level":
            _logging(value)
    return value


def _no_server(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """A command that asks no server must not look as if it had asked one."""
    assert param.name is not None
    if value is not None or ctx.ensure_object(dict).get(param.name) is not None:
        raise click.UsageError(f"{ctx.command_path} asks no server: leave --{param.name} away", ctx)
    return value


def _colour(ctx: click.Context, wanted: str) -> None:
    """On a terminal only, unless somebody said otherwise (https://no-color.org)."""
    if wanted != "auto":
        ctx.color = wanted == "always"
    elif os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        ctx.color = False


def _logging(level: str | None) -> None:
    if level is not None:
        from hactl.cli.commands.controller.run import set_up_logging

        set_up_logging(level)
        return
    # What matters is in what the command prints; `run` sets up logs of its own.
    logging.getLogger("hactl").addHandler(logging.NullHandler())
    logging.getLogger("asyncssh").addHandler(logging.NullHandler())
