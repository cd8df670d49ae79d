"""`hactl`: the command line. Each command's module is imported when the command is used, so that help is fast.

Rules: a person's mistake never shows a traceback; what is printed for people goes through `hactl.cli.output`;
exit statuses are those of `hactl help exit-codes`.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from hactl import __version__
from hactl.cli.line.anywhere import everywhere, global_options
from hactl.errors import HactlError, InvariantBroken

#: command -> (module below `hactl.cli.commands`, whose last name is the command, one line for `hactl --help`).
COMMANDS: dict[str, tuple[str, str]] = {
    "validate": ("documents.validate", "Check documents: shape, meaning and what they refer to."),
    "lint": ("documents.lint", "Find what works and is likely to go wrong, in documents alone."),
    "simulate": ("documents.simulate", "Play every fault of a document on simulated nodes, before it is deployed."),
    "explain": ("documents.explain", "Say what a field of the document means."),
    "plan": ("documents.plan", "Show what would be done, and what is held back and why. Touches nothing."),
    "apply": ("documents.apply", "Converge clusters to their documents, in the foreground."),
    "status": ("reports.status", "Every cluster on one screen, worst first."),
    "get": ("objects.get", "List clusters, operations, events: once or as they change."),
    "describe": ("objects.describe", "Everything about one cluster, and what happened to it."),
    "diff": ("documents.diff", "Show how documents differ from what is in force."),
    "edit": ("objects.edit", "Change a cluster's document in your editor."),
    "delete": ("objects.delete", "Stop managing a cluster, or cancel an operation."),
    "wait": ("objects.wait", "Wait until a condition is so, or an object is gone."),
    "events": ("objects.events", "What happened, as Kubernetes tells it."),
    "history": ("reports.history", "What happened, and every command that ran, by whom and why."),
    "why": ("reports.why", "Explain why a cluster is as it is, and what would help."),
    "why-not": ("reports.why_not", "Explain why a node is not active, not MASTER or not primary."),
    "switchover": ("operations.switchover", "Move a group to another node, checked and verified."),
    "drain": ("operations.drain", "Move everything off a node and keep it off."),
    "uncordon": ("operations.uncordon", "Let a drained node work again."),
    "pause": ("operations.pause", "Change nothing of a cluster, group, node or the fleet for a while."),
    "resume": ("operations.resume", "End a pause."),
    "approve": ("operations.approve", "Let one plan be carried out (mode Propose)."),
    "resolve": ("operations.resolve", "Throw away one of two diverged copies."),
    "give-up": ("operations.give_up", "Let hactl end a setting that was on a node before it."),
    "import": ("documents.import_", "Make a first document of nodes that were set up by hand, or of their files."),
    "render": ("documents.render", "Print the files that let a node fail over by itself."),
    "node-access": (
        "documents.node_access",
        "What a key may do on a node: print it, install it, check it, rotate the key.",
    ),
    "config": ("controller.config", "Which servers you work with."),
    "token": ("controller.token", "Tokens of the API: make, list, revoke."),
    "kubeconfig": ("controller.kubeconfig", "Make a token, and kubectl's configuration with it."),
    "record": ("controller.record", "The record: back it up, verify, compact, restore or salvage it."),
    "run": ("controller.run", "The controller: watch documents and nodes, and keep them together."),
    "doctor": ("controller.doctor", "Check this machine, keys, sources, the record, clocks and every node."),
    "lab": ("lab.lab", "Simulated FreeBSD nodes to try things on."),
    "demo": ("lab.demo", "A guided story on a simulated pair, in under two minutes."),
    "version": ("version", "Print the version of hactl and of what it runs on."),
    "completion": ("completion", "Print completion for a shell."),
    "help": ("topics", "Longer texts: exit-codes, modes, secrets, contexts."),
}


class Commands(click.Group):
    """Finds commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        found = importlib.import_module(f"hactl.cli.commands.{module}")
        command = getattr(found, module.rpartition(".")[2])
        assert isinstance(command, click.Command)
        return everywhere(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of `hactl --help`, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A mistyped command gets the nearest one as a hint."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            ctx.fail(f"there is no command {args[0]}{hint}")
        return super().resolve_command(ctx, args)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@global_options
@click.version_option(__version__, prog_name="hactl")
def cli() -> None:
    """Keep FreeBSD high-availability clusters the way their documents say.

    \b
    A first round:
      hactl validate -f cluster.yaml     is the document right?
      hactl plan -f cluster.yaml         what would be done? (read-only)
      hactl apply -f cluster.yaml        do it, and watch
      hactl status                       how is everything?
      hactl run --source ./clusters      keep it that way

    `hactl demo` shows all of it on simulated nodes. Options of this page may also stand behind the command.
    """


def main() -> None:
    """The entry point; returns only through `sys.exit`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """One invocation; its exit status."""
    try:
        result = cli.main(args=arguments, prog_name="hactl", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.Abort:
        click.echo("stopped", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 64 if isinstance(error, click.UsageError) else error.exit_code
    except HactlError as error:
        click.echo(f"hactl: {error}" if "\n" not in str(error) else str(error), err=True)
        return error.exit_code
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; leave quietly, without Python's own complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except InvariantBroken as broken:
        click.echo(
            f"hactl: stopped, because something that must always hold does not: {broken}\n"
            "nothing was done because of it and nothing more will be; this is a bug in hactl, please report it",
            err=True,
        )
        return 70
    except Exception as error:
        if os.environ.get("HACTL_DEBUG"):
            raise
        click.echo(f"hactl: unexpected {type(error).__name__}: {error} (HACTL_DEBUG=1 shows where)", err=True)
        return 70
