"""`hactl import`: a first document from nodes that somebody set up by hand, or from their files."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hactl.cli.output import replace_file
from hactl.errors import HactlError

if TYPE_CHECKING:
    from hactl.core.adopt.draft import Draft
    from hactl.core.adopt.live import Reached
    from hactl.core.adopt.node import NodeFile

#: How long a node may take for one look, seconds.
_LOOK_SECONDS = 120.0
#: A file of /etc has a few hundred lines.
_MAX_BYTES = 1024 * 1024


@click.command("import")
@click.argument("hosts", nargs=-1, metavar="[[USER@]HOST[:PORT]]...")
@click.option(
    "--from", "groups", multiple=True, metavar="FILE[,FILE...]",
    help="Files of one node: rc.conf, hast.conf, sysctl.conf, loader.conf, fstab. Once for each node.",
)  # fmt: skip
@click.option("--name", metavar="NAME", default="", help="Name of the cluster. Default: what the node names share.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write the document there, and CARP passwords into files beside it. Default: print it, without passwords.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Write over files that are there.")
def import_(hosts: tuple[str, ...], groups: tuple[str, ...], name: str, output: Path | None, force: bool) -> int:
    """Make a first document of nodes that somebody set up by hand, and name what is wrong there, with file and line.

    With HOSTs the nodes are asked over SSH, once, as root (or a USER who may read everything); nothing is changed.
    The host key that each shows is trusted for that one look: compare it before you use the document.

    With --from no node is asked. Which file is what is told by its name: anything with hast.conf, loader.conf,
    sysctl.conf or fstab in it is that; all others are taken for rc.conf, read in the order given.

    \b
      hactl import nas-a nas-b -o nas.yaml
      hactl import --from a/rc.conf,a/hast.conf --from b/rc.conf,b/hast.conf -o nas.yaml

    The document is in mode Observe. What nobody can know stands in its comments.

    Exit status: 0 a document was written, 1 there is not enough for a valid one, or a node does not answer.
    """
    from hactl.core.adopt.draft import draft

    if bool(hosts) == bool(groups):
        raise click.UsageError("name the hosts to look at, or files with --from")
    if hosts:
        nodes, reached = asyncio.run(_look(hosts))
        made, of = draft(nodes, name, reached), " and ".join(hosts)
    else:
        files = [[file for file in group.split(",") if file] for group in groups]
        made = draft([[_read(file) for file in group] for group in files], name)
        of = ", ".join(Path(file).name for group in files for file in group)
    return _hand_out(made, of, output, force=force)


async def _look(hosts: tuple[str, ...]) -> tuple[list[tuple[NodeFile, ...]], list[Reached]]:
    """The files of all nodes, and how each was reached. Raises NodeError."""
    from hactl.adapters.ssh.host_key import seen_host_key
    from hactl.adapters.ssh.nodes import SSHNodes
    from hactl.cli.output import safe
    from hactl.core.adopt.live import Reached, live_script, parse_live, reached_at
    from hactl.ports import Target

    reached = []
    for text in hosts:
        place = reached_at(text)
        if place is None:
            raise click.UsageError(f"{text} is no [USER@]HOST[:PORT]")
        user, host, port = place
        reached.append(Reached(host, port, user, await seen_host_key(host, port)))
    ssh = SSHNodes()
    try:
        found = []
        for text, at in zip(hosts, reached, strict=True):
            nonce = secrets.token_hex(8)
            target = Target("", text, at.host, at.port, at.user, (at.host_key,))
            answer = await ssh.run(target, live_script(nonce), timeout_seconds=_LOOK_SECONDS)
            files = parse_live(text, answer.stdout, nonce)
            if files is None:
                said = safe(answer.stderr.strip()[:200]) or "no word"
                raise HactlError(f"{text} did not answer to the end: {said}")
            found.append(files)
    finally:
        await ssh.close()
    return found, reached


def _hand_out(made: Draft, of: str, output: Path | None, *, force: bool) -> int:
    """Findings to standard error; the document, if it is one, to where it belongs."""
    from hactl.adapters.yaml.write import written
    from hactl.cli.output import safe

    for finding in made.findings:
        click.echo(safe(str(finding)), err=True)
    if made.missing:
        for line in made.missing:
            click.echo(f"hactl: {safe(line)}", err=True)
        click.echo("hactl: with this no valid document can be written; give more files, or mend these", err=True)
        return 1
    text = written(made.data, made.remarks, f"Made by hactl import of {of}: look it through.")
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text, made, force=force)
    for file in [] if output is not None else made.secrets:
        click.echo(f"put the CARP password into {file} beside the document, mode 0600 (-o FILE does that)", err=True)
    return 0


def _read(name: str) -> NodeFile:
    from hactl.core.adopt.node import NodeFile

    try:
        with Path(name).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise HactlError(f"{name} cannot be read: {reason}") from error
    if len(content) > _MAX_BYTES:
        raise HactlError(f"{name} is larger than 1 MiB: that is no file of a node's configuration")
    return NodeFile(name, content.decode(errors="replace"))


def _write(output: Path, text: str, made: Draft, *, force: bool) -> None:
    """The document and its secrets, all of them or, where one is there already, none."""
    passwords = {output.parent / file: password for file, password in made.secrets.items()}
    there = [str(path) for path in (output, *passwords) if path.exists() or path.is_symlink()]
    if there and not force:
        raise HactlError(f"{', '.join(there)}: there already; --force writes over what is there")
    try:
        for path, password in passwords.items():
            if not path.parent.is_dir():
                path.parent.mkdir(mode=0o700, parents=True)
            replace_file(path, f"{password}\n", 0o600)
        replace_file(output, text, 0o644)
    except OSError as error:
        raise HactlError(f"{error.filename or output} cannot be written: {error.strerror}") from error
    for path in (output, *passwords):
        click.echo(f"wrote {path}", err=True)
