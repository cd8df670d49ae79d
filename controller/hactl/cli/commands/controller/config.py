"""`hactl config`: the servers this person works with."""

from __future__ import annotations

import click

from hactl.cli.api_client.contexts import FIELDS, Contexts
from hactl.cli.forms.option import output_option
from hactl.cli.output import print_data, table
from hactl.errors import HactlError


@click.group()
def config() -> None:
    """Contexts: which server commands talk to, and as whom.

    Without a context, commands find the server on this machine by its Unix socket, or work on the record.
    """


@config.command("set-context")
@click.argument("name")
@click.option("--server", "server", metavar="URL", help=FIELDS["server"])
@click.option("--certificate-authority", "certificateAuthority", metavar="FILE", help=FIELDS["certificateAuthority"])
@click.option("--token", "token", metavar="TOKEN", help=FIELDS["token"])
@click.option("--token-file", "tokenFile", metavar="FILE", help=FIELDS["tokenFile"])
@click.option("--client-certificate", "clientCertificate", metavar="FILE", help=FIELDS["clientCertificate"])
@click.option("--client-key", "clientKey", metavar="FILE", help=FIELDS["clientKey"])
@click.option("--use", is_flag=True, help="And use it from now on.")
def set_context(name: str, use: bool, **fields: str | None) -> int:
    """Make a context, or change what is named of it; an empty value removes a field."""
    contexts = Contexts.load()
    known = dict(contexts.contexts.get(name, {}))
    for key, value in fields.items():
        if value == "":
            known.pop(key, None)
        elif value is not None:
            known[key] = value
    if "server" not in known:
        raise click.UsageError(f"context {name} needs --server")
    contexts.contexts[name] = known
    if use:
        contexts.current = name
    contexts.save()
    click.echo(f"context {name} {'is used from now on' if use else 'is set'} ({contexts.path})")
    return 0


@config.command("use-context")
@click.argument("name", required=False)
@click.option("--none", "nothing", is_flag=True, help="Use no context: this machine's own server or record.")
def use_context(name: str | None, nothing: bool) -> int:
    """Use a context from now on."""
    if bool(name) == nothing:
        raise click.UsageError("name a context, or say --none")
    contexts = Contexts.load()
    if name:
        contexts.find(name)
    contexts.current = name or ""
    contexts.save()
    click.echo(f"context {name} is used from now on" if name else "no context is used from now on")
    return 0


@config.command("get-contexts")
@output_option("name")
def get_contexts(form: str | None) -> int:
    """Every context."""
    contexts = Contexts.load()
    if form == "name":
        click.echo("\n".join(contexts.contexts))
    elif contexts.contexts:
        rows = [
            ["*" if name == contexts.current else "", name, fields.get("server", ""), _credential(fields)]
            for name, fields in contexts.contexts.items()
        ]
        click.echo(table(rows, ["CURRENT", "NAME", "SERVER", "CREDENTIAL"]))
    else:
        click.echo(f"there are no contexts in {contexts.path}", err=True)
    return 0


@config.command("delete-context")
@click.argument("name")
def delete_context(name: str) -> int:
    """Remove a context."""
    contexts = Contexts.load()
    if contexts.contexts.pop(name, None) is None:
        raise HactlError(f"there is no context {name} in {contexts.path}")
    if contexts.current == name:
        contexts.current = ""
    contexts.save()
    click.echo(f"context {name} deleted")
    return 0


@config.command()
def view() -> int:
    """The file as it is, without tokens."""
    contexts = Contexts.load()
    hidden = {
        name: {key: "(not shown)" if key == "token" else value for key, value in fields.items()}
        for name, fields in contexts.contexts.items()
    }
    print_data("yaml", {"contexts": hidden, "currentContext": contexts.current})
    return 0


def _credential(fields: dict[str, str]) -> str:
    """Which kind, never the thing itself."""
    return next((key for key in ("token", "tokenFile", "clientCertificate") if key in fields), "none")
