"""`hactl help TOPIC`: texts that belong to no single command."""

from __future__ import annotations

import platform

import click

from hactl import __version__

EXIT_STATUSES: dict[int, str] = {
    0: "all is well; plan: nothing to do; apply: converged; status: everything is Ready; switchover, drain: done",
    1: "an error: a document, a secret, a node or the record; the message says which and what to do",
    2: "plan: there are changes",
    3: "apply, drain, switchover: held back or not there yet; status, why: something is not Ready",
    64: "the command line is wrong",
    70: "a bug of ours; nothing is done any more",
    130: "stopped by Ctrl-C or SIGTERM; what was and was not done is printed",
    141: "whoever read the output went away",
}

MODES = """\
spec.mode says how far hactl may go:

  Observe   look and report; nothing is ever touched
  Propose   plan, and wait until a person runs: hactl approve CLUSTER DIGEST
            (or, without a controller: hactl apply -f FILE --approve DIGEST)
  Apply     converge (the default)

Whatever the mode, `destructive` steps run only with initialize: IfBlank and only on devices whose first and last MiB
were just seen to be zero, on every node.
"""

SECRETS = """\
A CARP password never stands in a document. passwordFrom names where it is, on the controller:

  passwordFrom: {file: secrets/files.carp}    the first line of a file, relative to the document; mode 0600
  passwordFrom: {env: FILES_CARP_PASSWORD}    a variable of the controller's environment

1 to 19 characters out of letters, digits and _ . + = : @ % , (rc.conf can carry no others safely, carp(4) no more).
On a node it is in the kernel, in /etc/rc.conf.d/netif (mode 0600) and, while ifconfig runs, on its command line.
It is in no plan, no log, no history and no error.
"""


def exit_codes() -> str:
    """The table of exit statuses."""
    return "\n".join(f"{number:>5}  {text}" for number, text in EXIT_STATUSES.items()) + "\n"


TOPICS = {"exit-codes": exit_codes(), "modes": MODES, "secrets": SECRETS}


@click.command()
@click.argument("topic", required=False, type=click.Choice(list(TOPICS)))
def topics(topic: str | None) -> None:
    """Longer texts: exit-codes, modes, secrets."""
    if topic is None:
        click.echo("topics: " + ", ".join(TOPICS) + "\nfor a command: hactl COMMAND --help; for fields: hactl explain")
        return
    click.echo(TOPICS[topic], nl=False)


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
