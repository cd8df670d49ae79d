"""`hactl node-access`: what a key may do on a node; what that needs there; keys rotated."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hactl.cli.documents import files_option, load_all
from hactl.cli.output import safe
from hactl.errors import HactlError, NodeError, SecretError

if TYPE_CHECKING:
    from hactl.adapters.ssh.nodes import SSHNodes
    from hactl.core.cluster import Cluster
    from hactl.core.gate.install import Login
    from hactl.ports import Target

#: How long a node may take for one script, seconds.
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Node:
    """One node of the files, and the key that is asked about."""

    cluster: Cluster
    login: Login
    #: As the document reaches it.
    target: Target
    #: As somebody who may do everything reaches it.
    admin: Target
    #: The gate file's text.
    gate: str

    @property
    def name(self) -> str:
        """Of the node."""
        return self.target.node


@click.command("node-access")
@click.argument("action", type=click.Choice(["print", "check", "install", "rotate"]), default="print", metavar="ACTION")
@files_option
@click.option("--node", "names", multiple=True, metavar="NODE", help="Only this node. May be given several times.")
@click.option("--level", type=click.Choice(["observe", "root"]), help="Default: as the document says (access).")
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="FILE.pub",
    help="The public key it is about. Default: that of the key hactl logs in with.",
)  # fmt: skip
@click.option(
    "--from", "sources", multiple=True, metavar="ADDRESS",
    help="Where the key may be used from: an address, a network, a pattern (sshd(8)). May be given several times.",
)  # fmt: skip
@click.option(
    "--admin-key", type=click.Path(path_type=Path), metavar="FILE",
    help="A private key that may do everything there. Default: the document's with access: Root, else your own.",
)  # fmt: skip
@click.option("--admin-user", metavar="USER", help="Whom it logs in as. Default: the document's user, or root.")
def node_access(
    action: str,
    paths: tuple[str, ...],
    names: tuple[str, ...],
    level: str | None,
    key: Path | None,
    sources: tuple[str, ...],
    admin_key: Path | None,
    admin_user: str | None,
) -> int:
    """What hactl's key may do on the nodes of a document: everything (root), or only look (observe).

    \b
    print    what belongs where on each node; nothing is contacted
    check    ask the nodes whether it is so
    install  put it there, and check it
    rotate   a new key in beside the old one, proven, then the old one out

    A key of level observe reaches one file there, the gate, which belongs to root, is made from the document, and is
    to be installed again when the document or hactl changes. rotate replaces the private key's file on this machine:
    use it where the controller runs. See docs/security.md.

    Exit status: 0 as it should be, 1 something is missing or went wrong.
    """
    nodes = _nodes(paths, names, level, key, sources, admin_key, admin_user)
    if action == "print":
        for node in nodes:
            _print(node)
        return 0
    if action == "rotate" and key is not None:
        raise click.UsageError("rotate is about the key that hactl logs in with: leave --key away")
    return asyncio.run({"check": _check_all, "install": _install_all, "rotate": _rotate_all}[action](nodes))


def _nodes(
    paths: Sequence[str],
    names: Sequence[str],
    level: str | None,
    key: Path | None,
    sources: tuple[str, ...],
    admin_key: Path | None,
    admin_user: str | None,
) -> list[_Node]:
    """The chosen nodes of the files, with the key and how to reach them. Raises HactlError."""
    from hactl.adapters.references import resolve_references
    from hactl.adapters.ssh.keys import public_line
    from hactl.core.choices import NodeAccess
    from hactl.core.cluster import Cluster
    from hactl.core.gate.install import Level, Login
    from hactl.core.gate.render import gate_text

    found = []
    for document in load_all(paths):
        targets, cluster = resolve_references(document).targets, Cluster(document.cluster, 0)
        for target in targets.values():
            if names and target.node not in names:
                continue
            wanted = Level(level or ("root" if target.access is NodeAccess.ROOT else "observe"))
            public = public_line(key or _identity(target))
            try:
                login = Login(wanted, target.user, target.become, public, sources)
            except ValueError as error:
                raise HactlError(str(error)) from None
            admin = _admin(target, admin_key, admin_user)
            found.append(_Node(cluster, login, target, admin, gate_text(cluster, target.node)))
    missing = set(names) - {node.name for node in found}
    if missing:
        raise HactlError(f"there is no node {', '.join(sorted(missing))} in these files")
    return found


def _identity(target: Target) -> Path:
    """The private key that hactl logs in to that node with."""
    from hactl.adapters.ssh.commands import default_identities

    for path in target.identities or default_identities():
        return Path(path)
    raise HactlError(
        f"{target.node}: no key is named (identityFrom, HACTL_IDENTITY) and you have none: say --key FILE.pub"
    )


def _admin(target: Target, key: Path | None, user: str | None) -> Target:
    from hactl.core.choices import NodeAccess

    own = target.access is NodeAccess.ROOT
    become = target.become if own and user is None else None
    identities = (str(key),) if key else target.identities if own else ()
    whom = user or (target.user if own else "root")
    return replace(target, user=whom, become=become, identities=identities, access=NodeAccess.ROOT, gate="")


def _print(node: _Node) -> None:
    from hactl.core.gate.install import Level
    from hactl.core.gate.render import GATE

    login = node.login
    click.echo(f"# {node.name} of {node.cluster.name}: level {login.level}, login {login.user}")
    if login.level is Level.OBSERVE:
        click.echo(f"# {GATE}, owner root, mode 0500:\n#   hactl render {node.name} --gate -f FILE prints it")
    if login.rule is not None:
        path, line = login.rule
        click.echo(f"# {path}, one line:\n{line}")
    click.echo(
        f"# {login.authorized_keys}, owner {login.user}, mode 0600, in place of any line with this key:\n{login.line}\n"
    )


async def _check_all(nodes: list[_Node]) -> int:
    return await _each(nodes, _check)


async def _install_all(nodes: list[_Node]) -> int:
    async def install(ssh: SSHNodes, node: _Node) -> str:
        from hactl.core.gate.install import install_script

        await _run(ssh, node.admin, install_script(node.login, node.gate))
        return await _check(ssh, node)

    return await _each(nodes, install)


async def _check(ssh: SSHNodes, node: _Node) -> str:
    """What is not as it should be; empty: nothing. Raises NodeError."""
    from hactl.core.gate.install import check_script, conditions, read_check

    wanted, nonce = conditions(node.login, node.gate), secrets.token_hex(8)
    missing = read_check(wanted, await _run(ssh, node.admin, check_script(wanted, nonce)), nonce)
    if missing is None:
        return "it did not answer to the end; try again"
    return "".join(f"\n  not so: {sentence}" for sentence in missing)


async def _rotate_all(nodes: list[_Node]) -> int:
    """For each key file: its nodes get the new key, all of them prove it, the file is replaced, the old key goes."""
    keys: dict[Path, list[_Node]] = {}
    for node in nodes:
        keys.setdefault(_identity(node.target), []).append(node)
    return max([await _rotate(path, some) for path, some in keys.items()], default=0)


async def _rotate(path: Path, nodes: list[_Node]) -> int:
    from hactl.adapters.ssh.keys import new_key_file, public_line
    from hactl.core.gate.install import beside_script, line_script, read_line, removal_script

    fresh = path.with_name(f"{path.name}.new")
    # One that an earlier try left is gone on with: some nodes may know it.
    public = public_line(fresh) if fresh.exists() else new_key_file(fresh)

    async def beside(ssh: SSHNodes, node: _Node) -> str:
        nonce = secrets.token_hex(8)
        line = read_line(await _run(ssh, node.admin, line_script(node.login, nonce)), nonce)
        if not line:
            return f"{node.login.authorized_keys} has no line with the key {path}: nothing was changed"
        try:
            script, _ = beside_script(node.login, line, public)
        except ValueError as error:
            return f"{error}: nothing was changed"
        await _run(ssh, node.admin, script)
        await _prove(ssh, replace(node.target, identities=(str(fresh),)), node.cluster)
        return ""

    async def old_out(ssh: SSHNodes, node: _Node) -> str:
        await _run(ssh, node.admin, removal_script(node.login))
        await _prove(ssh, node.target, node.cluster)
        return ""

    if await _each(nodes, beside, well="the new key is in beside the old one, and works"):
        click.echo(
            f"hactl: the old key stays in use everywhere; mend it and say rotate again ({fresh} is kept)", err=True
        )
        return 1
    fresh.replace(path)
    click.echo(f"{path} is the new key now")
    status = await _each(nodes, old_out, well="the old key is out")
    if status:
        line = safe(nodes[0].login.public_key)
        click.echo(f"hactl: where it went wrong the old key is still accepted; take its line out: {line}", err=True)
    return status


async def _prove(ssh: SSHNodes, target: Target, cluster: Cluster) -> None:
    """That a key does what hactl needs of it. Raises NodeError."""
    from hactl.core.choices import NodeAccess
    from hactl.core.gate.request import look_request
    from hactl.core.parse.question import Part, Question

    if target.access is NodeAccess.ROOT:
        await _run(ssh, target, "exit 0\n")
        return
    nonce, question = secrets.token_hex(8), Question(frozenset({Part.NOTES}))
    await _run(ssh, target, look_request(target.gate, cluster, nonce, question, _SECONDS / 2))


async def _run(ssh: SSHNodes, target: Target, script: str) -> str:
    """What a script printed that ended well. Raises NodeError."""
    answer = await ssh.run(target, script, timeout_seconds=_SECONDS)
    if answer.exit_status != 0:
        said = "; ".join((answer.stderr.strip() or answer.stdout.strip()).splitlines()[-2:])
        how = "no end in time" if answer.exit_status is None else f"exit status {answer.exit_status}"
        raise NodeError(target.node, f"{how}: {said or 'it said nothing'}")
    return answer.stdout


async def _each(
    nodes: Sequence[_Node], work: Callable[[SSHNodes, _Node], Awaitable[str]], *, well: str = "as it should be"
) -> int:
    """One node after the other, whatever comes of one; what came of each is printed. 1 where one went wrong."""
    from hactl.adapters.ssh.nodes import SSHNodes

    ssh, status = SSHNodes(), 0
    try:
        for node in nodes:
            try:
                wrong = await work(ssh, node)
            except (NodeError, SecretError) as error:
                wrong = f"{error}"
            status = status or int(bool(wrong))
            click.echo(
                f"{node.name}: {safe(wrong) if wrong else well}" if "\n" not in wrong else f"{node.name}:{wrong}"
            )
    finally:
        await ssh.close()
    return status
