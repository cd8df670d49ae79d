"""`hactl help TOPIC`."""

from __future__ import annotations

import click

from hactl.cli.topics import TOPICS


@click.command()
@click.argument("topic", required=False, type=click.Choice(list(TOPICS)))
def topics(topic: str | None) -> None:
    """Longer texts: exit-codes, modes, secrets, contexts."""
    if topic is None:
        click.echo("topics: " + ", ".join(TOPICS) + "\nfor a command: hactl COMMAND --help; for fields: hactl explain")
        return
    click.echo(TOPICS[topic], nl=False)
