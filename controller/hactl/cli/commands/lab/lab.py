"""`hactl lab`: simulated FreeBSD nodes on loopback, and the ways to break them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from hactl.cli.documents import files_option, load_all
from hactl.cli.forms.option import is_data, output_option
from hactl.cli.output import print_data, table
from hactl.errors import HactlError
from hactl.ports import Document

#: How long a lab may take to boot, seconds.
UP_SECONDS = 60.0


def lab_directory() -> Path:
    """Where the lab keeps its control socket: HACTL_LAB, else .lab here."""
    return Path(os.environ.get("HACTL_LAB", ".lab"))


def ask(verb: str, **arguments: Any) -> dict[str, Any]:
    """Ask the running lab. Raises LabError."""
    from hactl.lab.front.control import SOCKET_NAME, request

    return request(lab_directory() / SOCKET_NAME, verb, arguments)


@click.group()
def lab() -> None:
    """Simulated FreeBSD nodes to try things on.

    \b
    hactl lab up -f cluster.yaml --detach
    export HACTL_IDENTITY=lab/id_ed25519      (beside the document)
    hactl apply -f cluster.yaml
    hactl lab power-off nas-a
    hactl lab down
    """


@lab.command()
@files_option
@click.option("--detach", is_flag=True, help="Return when the nodes are up; they run until `hactl lab down`.")
@click.option("--release", default="13.2-RELEASE", show_default=True, help="What the nodes say they run.")
@click.option("--boot-seconds", type=float, default=15.0, show_default=True, help="From power to sshd.")
def up(paths: tuple[str, ...], detach: bool, release: str, boot_seconds: float) -> int:
    """One simulated node for each node of the documents, each a real SSH server on its host and port.

    Host keys are made where the documents' hostKeyFrom says, the client's key as lab/id_ed25519 beside the document.
    """
    documents = load_all(paths)
    if detach:
        return _detached(paths, release, boot_seconds)
    return asyncio.run(_serve(documents, release, boot_seconds))


def _detached(paths: Sequence[str], release: str, boot_seconds: float) -> int:
    """Start ourselves in the background and wait until the nodes answer."""
    from hactl.lab.front.control import LabError

    files = [word for path in paths for word in ("-f", path)]
    command = [sys.executable, "-m", "hactl", "lab", "up", *files, "--release", release]
    directory = lab_directory()
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "lab.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--boot-seconds", str(boot_seconds)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + UP_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise HactlError(f"the lab did not start: {log.read_text(errors='replace').strip() or 'no message'}")
        if b"lab is up" in log.read_bytes():
            click.echo(log.read_text(errors="replace"), nl=False)
            return 0
        time.sleep(0.1)
    process.terminate()
    raise LabError(f"the lab did not come up within {UP_SECONDS:.0f} s; see {log}")


async def _serve(documents: Sequence[Document], release: str, boot_seconds: float) -> int:
    try:
        from hactl.lab.front.server import LabServer
    except ImportError as missing:
        raise HactlError(f"the lab is not installed ({missing.name}): pip install 'hactl[lab]'") from missing

    server = LabServer(documents, lab_directory(), release=release, boot_seconds=boot_seconds)
    await server.start()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    for document in documents:
        for node in document.cluster.spec.nodes:
            click.echo(f"{node.name}: {node.ssh.host} port {node.ssh.port}")
        key = Path(document.directory) / "lab" / "id_ed25519"
        click.echo(f"export HACTL_IDENTITY={key}")
    click.echo("the lab is up; Ctrl-C or `hactl lab down` ends it")
    sys.stdout.flush()
    waits = [asyncio.ensure_future(server.wait()), asyncio.ensure_future(stopping.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await server.stop()
    return 0


@lab.command()
def down() -> None:
    """End the lab."""
    ask("down")
    click.echo("the lab is down")


@lab.command()
@output_option("json", "yaml", "name")
def status(form: str | None) -> None:
    """The nodes of the lab, as they are: not what hactl thinks of them."""
    nodes = ask("status")["nodes"]
    if is_data(form):
        print_data(form, nodes)
        return
    if form == "name":
        for node in nodes:
            click.echo(node["node"])
        return
    rows = []
    for node in nodes:
        carp = ", ".join(f"{where} {state}" for where, state in node["carp"].items())
        hast = ", ".join(f"{name} {role}" for name, role in node["hast"].items())
        trouble = [node["problem"], f"cut: {', '.join(node['cut'])}" if node["cut"] else ""]
        rows.append([
            click.style(node["node"], bold=True), node["power"], node["address"], carp or "-", hast or "-",
            "; ".join(word for word in trouble if word),
        ])  # fmt: skip
    click.echo(table(rows, ["NODE", "POWER", "SSH", "CARP", "HAST", "TROUBLE"]))


@lab.command("exec")
@click.argument("node")
@click.argument("words", nargs=-1, required=True, metavar="COMMAND...")
def exec_(node: str, words: tuple[str, ...]) -> int:
    """Run a shell command on a node, as somebody logged in there would: hactl lab exec nas-a -- ifconfig vtnet1."""
    answer = ask("exec", node=node, script=" ".join(words))
    click.echo(answer["stdout"], nl=False)
    click.echo(answer["stderr"], nl=False, err=True)
    return int(answer["status"])


def _power(verb: str, text: str) -> None:
    @lab.command(verb, help=text)
    @click.argument("node")
    def command(node: str) -> None:
        ask(verb, node=node)
        click.echo(f"{node}: {verb}")


_power("power-off", "Pull the power cord of a node.")
_power("power-on", "Give a node its power back; it boots.")
_power("reboot", "Reboot a node cleanly.")
_power("freeze", "Stop a node's clock and everything on it, as a hung hypervisor does.")
_power("thaw", "Let a frozen node go on; it believes what it believed before.")


def _cable(verb: str, text: str, *options: Callable[[Any], Any]) -> None:
    def command(node: str, interface: str | None, direction: str = "both") -> None:
        ask(verb, node=node, interface=interface, direction=direction)
        click.echo(f"{node}: {verb} {interface or 'every interface'}")

    for option in options:
        command = option(command)
    lab.command(verb, help=text)(click.argument("node")(click.argument("interface", required=False)(command)))


_cable(
    "cut",
    "Cut a node's network: one INTERFACE, or all of them.",
    click.option(
        "--direction", type=click.Choice(["both", "in", "out"]), default="both", help="Which packets are lost."
    ),
)
_cable("join", "Mend what was cut.")


def _disk(verb: str, text: str) -> None:
    @lab.command(verb, help=text)
    @click.argument("node")
    @click.argument("device")
    def command(node: str, device: str) -> None:
        ask(verb, node=node, device=device)
        click.echo(f"{node}: {verb} {device}")


_disk("fail-disk", "Every read and write of DEVICE fails from now on.")
_disk("mend-disk", "DEVICE works again.")
