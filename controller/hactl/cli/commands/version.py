"""`hactl version`."""

from __future__ import annotations

import platform

import click

from hactl import __version__


@click.command()
def version() -> None:
    """Print the version of hactl, of Python and of the libraries it stands on: what a report of a bug needs."""
    from importlib import metadata

    click.echo(f"hactl {__version__}")
    click.echo(f"python {platform.python_version()} on {platform.system()} {platform.release()}")
    for name in ("asyncssh", "click", "pydantic", "ruamel.yaml", "sqlite-utils", "bashkit"):
        try:
            click.echo(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            click.echo(f"{name} is not installed")
