"""`hactl completion`."""

from __future__ import annotations

import click

#: What FreeBSD's sh and csh can do: complete the commands' names.
SH_NOTE = (
    "# FreeBSD's sh completes file names only. For csh and tcsh (~/.cshrc):\n"
    "#   complete hactl 'p/1/({words})/'\n"
    "# For anything more use bash, zsh or fish: hactl completion bash\n"
)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish", "sh", "csh"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print completion for SHELL.

    \b
    bash:  eval "$(hactl completion bash)"        in ~/.bashrc
    zsh:   eval "$(hactl completion zsh)"         in ~/.zshrc
    fish:  hactl completion fish | source         in ~/.config/fish/config.fish
    csh:   eval `hactl completion csh`            in ~/.cshrc
    """
    from click.shell_completion import get_completion_class

    root = ctx.find_root().command
    assert isinstance(root, click.Group)
    words = " ".join(root.list_commands(ctx))
    if shell == "sh":
        click.echo(SH_NOTE.format(words=words), nl=False)
        return
    if shell == "csh":
        click.echo(f"complete hactl 'p/1/({words})/'")
        return
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(root, {}, "hactl", "_HACTL_COMPLETE").source())
