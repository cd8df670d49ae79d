"""What a person does with a pair: up, down, fresh, save, restore, status, destroy."""

from __future__ import annotations

import contextlib
import shutil
import subprocess

from . import disks, lan, qemu
from .settings import LOCAL, NETS, ROOT_DISK, Failed, Pair

_SHUTDOWN_SECONDS = 90.0
_OFF_SECONDS = 180.0


def up(pair: Pair, word: str | None = None) -> None:
    """Boot and wait for ssh."""
    disks.prepare(pair)
    lan.plug(pair)
    nodes = pair.pick(word)
    for node in nodes:
        qemu.start(node)
    for name, seconds in qemu.await_ssh(nodes).items():
        print(f"{name}: ssh answers after {seconds:.1f} s ({qemu.acceleration(pair)})", flush=True)


def down(pair: Pair, word: str | None = None) -> None:
    """A clean shutdown; of a frozen node after it is thawed."""
    nodes = [node for node in pair.pick(word) if qemu.process(node.path("pid"))]
    for node in nodes:
        with contextlib.suppress(Failed, OSError):
            qemu.qmp(node, "cont")
        command = qemu.ssh(node, "shutdown -p now")
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_SHUTDOWN_SECONDS, check=False
            )
    for node in nodes:
        if not qemu.gone(node.path("pid"), _OFF_SECONDS):
            raise Failed(f"{node.name} does not shut down; `power-off {node.key}` cuts the power")
        print(f"{node.name}: off", flush=True)
    if not any(qemu.process(node.path("pid")) for node in pair.nodes):
        lan.unplug(pair)


def fresh(pair: Pair, word: str | None = None) -> None:
    """Blank nodes again, switched off."""
    disks.prepare(pair)
    for node in pair.pick(word):
        qemu.kill(node.path("pid"))
        disks.discard(node)
        disks.make_disks(node)


def _must_be_off(pair: Pair) -> None:
    if any(qemu.process(node.path("pid")) for node in pair.nodes):
        raise Failed("both nodes must be off")


def save(pair: Pair, name: str) -> None:
    """Keep the disks."""
    _must_be_off(pair)
    print(f"saved {name}: {disks.save(pair, name)} MiB", flush=True)


def restore(pair: Pair, name: str) -> None:
    """Have them back; running nodes lose their power."""
    for node in pair.nodes:
        qemu.kill(node.path("pid"))
    disks.restore(pair, name)


def status(pair: Pair) -> None:
    """One line a node."""
    print(f"FreeBSD {pair.release}, {pair.home}, ports {pair.port + 1} and {pair.port + 2}, {qemu.acceleration(pair)}")
    for node in pair.nodes:
        pid = qemu.process(node.path("pid"))
        if not pid:
            print(f"{node.name}: {'off' if node.disk(ROOT_DISK).exists() else 'not made yet'}")
            continue
        state = qemu.qmp(node, "query-status")["status"]
        words = [{"running": "runs", "paused": "frozen"}.get(state, state), f"pid {pid}"]
        words += [f"ssh {'answers' if state == 'running' and qemu.answers(node) else 'silent'}"]
        words += [f"{net} cable pulled" for net in NETS if node.path(f"{net}.down").exists()]
        print(f"{node.name}: {', '.join(words)}")


def show_settings(pair: Pair) -> None:
    """Shell exports, and lines for the document."""
    disks.prepare(pair)
    print(f"export HACTL_IDENTITY={pair.identity}")
    for node in pair.nodes:
        print(f"#   - name: {node.name}")
        key = f"hostKeyFrom: {{file: {node.public_key}}}"
        print(f"#     ssh: {{host: {LOCAL}, port: {node.ssh_port}, user: root, {key}}}")


def destroy(pair: Pair) -> None:
    """Stop everything and remove the folder of the pair."""
    for node in pair.nodes:
        qemu.kill(node.path("pid"))
    lan.unplug(pair)
    if (pair.home / "pair.json").exists():
        shutil.rmtree(pair.home)
