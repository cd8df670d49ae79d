"""`hactl demo`: a guided story on a simulated pair. Every expectation is checked; the exit status is honest."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import hactl
from hactl.core.catalogue import ConditionType
from hactl.errors import HactlError

#: How long one act may take, seconds.
ACT_SECONDS = 60.0


#: What kubectl is given to move the group back.
MOVE = """\
apiVersion: hactl.dev/v1alpha1
kind: HAOperation
metadata: {name: move-back}
spec: {type: Switchover, cluster: nas, group: files, node: nas-a, reason: back home}
"""


class ExpectationFailed(HactlError):
    """The story did not go as told."""


@click.command()
@click.option("--keep", is_flag=True, help="Keep the lab, the documents and the record for looking around.")
def demo(keep: bool) -> int:
    """A blank pair becomes Ready, mistakes are corrected, a bad document is refused, a node loses power and returns.

    Everything runs on this machine, on loopback, and is gone afterwards. Takes under two minutes.
    """
    story = Story(Path(tempfile.mkdtemp(prefix="hactl-demo-")))
    for number in (signal.SIGTERM, signal.SIGHUP):
        # However it is ended, nothing is left running.
        signal.signal(number, _interrupted)
    try:
        story.tell()
    except HactlError as error:
        click.echo(f"\n{click.style('the demo failed', fg='red', bold=True)}: {error}")
        story.show_log()
        return 1
    except subprocess.TimeoutExpired as error:
        command = " ".join(str(word) for word in error.cmd[3:])
        click.echo(f"\nthe demo failed: `hactl {command}` did not end within {error.timeout:.0f} s")
        story.show_log()
        return 1
    except KeyboardInterrupt:
        click.echo("\nstopped")
        return 130
    finally:
        story.end(keep=keep)
    return 0


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


class Story:
    """The stage: a directory, a lab process, a controller process."""

    def __init__(self, directory: Path) -> None:
        """Nothing runs yet."""
        self.directory = directory
        self.clusters = directory / "clusters"
        self.document = self.clusters / "nas.yaml"
        self.began = time.monotonic()
        self.controller: subprocess.Popen[bytes] | None = None
        self.environment = {
            **os.environ,
            "HACTL_LAB": str(directory / "lab-state"),
            "HACTL_STATE": str(directory / "hactl.db"),
            "HACTL_IDENTITY": str(self.clusters / "lab" / "id_ed25519"),
        }
        for name in ("FORCE_COLOR", "HACTL_SERVER", "HACTL_CONTEXT", "HACTL_TOKEN", "KUBECONFIG"):
            self.environment.pop(name, None)
        self.environment["HACTL_CONFIG"] = str(directory / "config.yaml")
        self.port = _free_port()
        self.kubectl_program = _kubectl()

    # -- the acts -------------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """The whole story."""
        self.act("Two fresh FreeBSD machines with blank disks, simulated, each a real SSH server")
        self.set_the_stage()
        self.hactl("lab", "up", "-f", str(self.document), "--detach", "--boot-seconds", "5")
        self.act("What would hactl do? `hactl plan` looks and touches nothing")
        self.hactl("plan", "-f", str(self.document), expect=2, first_lines=24)
        self.act("`hactl apply` converges the pair, one stage at a time, looking again after each")
        self.hactl("apply", "-f", str(self.document))
        self.act("A second apply finds nothing to do")
        self.hactl("apply", "-f", str(self.document))
        self.act("The controller takes over: it watches the documents and the nodes")
        self.start_controller()
        self.with_kubectl()
        self.by_hand()
        self.bad_document()
        self.power_cut()
        self.act("The history of it all (`hactl history nas --kind Step`)")
        self.hactl("history", "nas", "--kind", "Step", "--limit", "12")
        took = time.monotonic() - self.began
        click.echo(f"\n{click.style('That was all', fg='green', bold=True)}, in {took:.0f} s.")

    def with_kubectl(self) -> None:
        """The API, seen by stock kubectl, or by hactl where there is none."""
        self.act("The controller serves a Kubernetes-style API, and kubectl is a client of it")
        if self.kubectl_program is None:
            click.echo("kubectl is not installed here; `hactl get` asks the same API and prints the same")
            self.hactl("get", "hac", "-o", "wide")
            return
        url = f"https://127.0.0.1:{self.port}"
        config = self.directory / "kubeconfig"
        self.hactl("kubeconfig", url, "--name", "demo", "--role", "operator", "-o", str(config))
        self.environment["KUBECONFIG"] = str(config)
        self.kubectl("get", "hac", "-o", "wide")
        self.kubectl("explain", "hac.spec.groups.failback")

    def move_back(self) -> None:
        """A switchover as an object, or as a command where there is no kubectl."""
        if self.kubectl_program is None:
            self.hactl("switchover", "nas", "files", "--to", "nas-a", "--yes")
            return
        click.echo(MOVE.rstrip())
        self.kubectl("create", "-f", "-", given=MOVE)
        self.kubectl("wait", "haop/move-back", "--for=condition=Complete", "--timeout=90s")
        self.kubectl("get", "haop", "-o", "wide")

    def by_hand(self) -> None:
        """Drift is corrected with exactly the command it needs."""
        self.act("Somebody changes advskew on nas-b by hand; a devd event or the next look finds it")
        before = self.last_step()
        self.on("nas-b", "ifconfig vtnet1 vhid 80 advskew 50")
        self.expect_step(before, "ifconfig vtnet1 vhid 80 advskew 100")
        self.act("Somebody changes the CARP password on nas-b: both nodes would be MASTER, silently")
        before = self.last_step()
        self.on("nas-b", "ifconfig vtnet1 vhid 80 pass wrong")
        self.expect_step(before, 'ifconfig vtnet1 vhid 80 pass "$HACTL_PASS_1"')

    def bad_document(self) -> None:
        """A broken document leaves the last good one in force."""
        self.act("Somebody commits a document with mistakes; the last good one stays in force")
        good = self.document.read_text()
        self.document.write_text(
            good.replace("vhid: 80", "vhid: 800").replace("mountpoint: /data", "mountpiont: /data")
        )
        self.hactl("validate", "-f", str(self.document), expect=1)
        self.wait("the status says so", lambda: bool(self.status()["problems"]))
        self.hactl("status", expect=None)
        self.document.write_text(good)
        self.wait("it is mended", lambda: not self.status()["problems"])

    def power_cut(self) -> None:
        """The active node loses power while nobody looks; the other one serves; all is healed and moved back."""
        self.act("The controller is stopped, and then the active node loses power: the nodes are on their own")
        self.stop_controller()
        self.hactl("lab", "power-off", "nas-a")
        self.wait("nas-b serves: address, disk, filesystem, NFS", lambda: self.serves("nas-b"))
        self.on("nas-b", "/usr/local/libexec/hactl/hook status")
        click.echo(self.quiet("lab", "exec", "nas-b", "--", "/usr/local/libexec/hactl/hook status").rstrip())
        self.act("The controller is started again and tells what it sees")
        self.start_controller(ready=False)
        self.wait("it has looked", lambda: not self.node("nas-a")["answers"])
        self.hactl("why", "nas", expect=3)
        self.act("nas-a returns: it comes up as the standby, and is held back until it could serve again")
        self.hactl("lab", "power-on", "nas-a")
        self.wait("the pair is Ready again", lambda: self.node("nas-a")["answers"] and self.ready())
        self.hactl("status", "nas")
        self.act("Back to nas-a, on purpose")
        self.move_back()
        self.wait("nas-a serves", lambda: self.serves("nas-a"))
        self.wait("the pair is Ready", self.ready)

    def serves(self, node: str) -> bool:
        """Asked of the node itself."""
        output = self.on(node, "ifconfig vtnet1; mount; service nfsd onestatus", show=False)
        return "carp: MASTER" in output and " on /data (" in output and "nfsd is running" in output

    # -- the stage ------------------------------------------------------------------------------------------------

    def set_the_stage(self) -> None:
        """The example, a generated secret, and ports that are free."""
        (self.clusters / "secrets").mkdir(parents=True)
        secret = self.clusters / "secrets" / "files.carp"
        secret.write_text(secrets.token_hex(8) + "\n")
        secret.chmod(0o600)
        text = example_text("nas")
        for port in ("2221", "2222"):
            if not _free(int(port)):
                other = _free_port()
                click.echo(f"port {port} is taken; using {other}")
                text = text.replace(f"port: {port}", f"port: {other}")
        self.document.write_text(text)
        click.echo(f"the document is manifests/examples/nas.yaml, here {self.document}")

    def start_controller(self, *, ready: bool = True) -> None:
        """`hactl run` as a process of its own."""
        log = (self.directory / "controller.log").open("ab")
        listen = f"127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "hactl", "run", "--source", str(self.clusters), "--resync", "5s"]
        command += ["--listen", listen]
        self.controller = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
        )
        log.close()
        self.wait("the controller answers", self.answers)
        if ready:
            self.wait("the pair is Ready under the controller", self.ready)
        click.echo(f"$ hactl run --source {self.clusters} --resync 5s --listen {listen} &")
        time.sleep(1.5)  # for the devd streams; without them the next look would find it, only later

    def stop_controller(self) -> None:
        """Ask it to end, and see to it."""
        if self.controller is None or self.controller.poll() is not None:
            return
        self.controller.send_signal(signal.SIGTERM)
        try:
            self.controller.wait(30)
        except subprocess.TimeoutExpired:
            self.controller.kill()
            self.controller.wait()

    def end(self, *, keep: bool) -> None:
        """Leave nothing running, and nothing behind."""
        self.stop_controller()
        if keep:
            names = ("HACTL_LAB", "HACTL_STATE", "HACTL_IDENTITY")
            exports = "; ".join(f"export {name}={self.environment[name]}" for name in names)
            click.echo(f"\nkept: {self.directory}; the lab runs until `hactl lab down`\n{exports}")
            return
        subprocess.run(
            [sys.executable, "-m", "hactl", "lab", "down"], env=self.environment, capture_output=True, check=False
        )
        shutil.rmtree(self.directory, ignore_errors=True)

    def show_log(self) -> None:
        """What the controller logged last, when something went wrong."""
        log = self.directory / "controller.log"
        if log.exists():
            for line in log.read_text(errors="replace").splitlines()[-15:]:
                click.echo(f"  {line}")

    # -- telling --------------------------------------------------------------------------------------------------

    def act(self, title: str) -> None:
        """Announce what comes."""
        took = time.monotonic() - self.began
        click.echo(f"\n{click.style(f'== {title}', fg='cyan', bold=True)}  {click.style(f'[{took:.0f} s]', dim=True)}")

    def hactl(self, *arguments: str, expect: int | None = 0, first_lines: int | None = None) -> None:
        """Run a command as a person would, and show it. `expect` None: any status."""
        shown = " ".join(argument.replace(str(self.clusters), "clusters") for argument in arguments)
        click.echo(click.style(f"$ hactl {shown}", bold=True))
        sys.stdout.flush()
        process = subprocess.run(
            [sys.executable, "-m", "hactl", *(["--color=always"] if sys.stdout.isatty() else []), *arguments],
            env=self.environment,
            capture_output=first_lines is not None,
            text=True,
            check=False,
            timeout=ACT_SECONDS * 2,
        )
        if first_lines is not None:
            lines = process.stdout.splitlines()
            click.echo("\n".join(lines[:first_lines]))
            if len(lines) > first_lines:
                click.echo(f"  ... {len(lines) - first_lines} more lines")
        if expect is not None and process.returncode != expect:
            raise ExpectationFailed(f"`hactl {shown}` exited with {process.returncode}, expected {expect}")

    def kubectl(self, *arguments: str, given: str | None = None) -> None:
        """Run kubectl as a person would, and show it."""
        click.echo(click.style(f"$ kubectl {' '.join(arguments)}", bold=True))
        sys.stdout.flush()
        done = subprocess.run(
            [str(self.kubectl_program), *arguments],
            env=self.environment,
            input=given,
            text=True,
            check=False,
            timeout=ACT_SECONDS * 2,
        )
        if done.returncode:
            raise ExpectationFailed(f"`kubectl {' '.join(arguments)}` exited with {done.returncode}")

    def on(self, node: str, command: str, *, show: bool = True) -> str:
        """Do something on a node by hand."""
        if show:
            click.echo(click.style(f"{node}# {command}", fg="magenta"))
        return self.quiet("lab", "exec", node, "--", command)

    def quiet(self, *arguments: str) -> str:
        """The output of a command that is not shown."""
        process = subprocess.run(
            [sys.executable, "-m", "hactl", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=ACT_SECONDS,
        )
        return process.stdout

    def wait(self, what: str, happened: Callable[[], bool], seconds: float = ACT_SECONDS) -> None:
        """Until it happens, or the story failed."""
        began = time.monotonic()
        while not happened():
            if time.monotonic() - began > seconds:
                raise ExpectationFailed(f"{what}: not within {seconds:.0f} s")
            time.sleep(0.3)
        click.echo(f"  {click.style('ok', fg='green')}  {what} ({time.monotonic() - began:.1f} s)")

    def status(self) -> dict[str, Any]:
        """The recorded status of nas."""
        rows = json.loads(self.quiet("status", "nas", "-o", "json") or "[]")
        if not rows:
            raise ExpectationFailed("there is no status of nas on record")
        found: dict[str, Any] = rows[0]
        return found

    def node(self, name: str) -> dict[str, Any]:
        """What the status says of a node."""
        found: dict[str, Any] = next(node for node in self.status()["nodes"] if node["name"] == name)
        return found

    def answers(self) -> bool:
        """The controller listens: until then commands would do its work themselves, and it has made no authority."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False

    def ready(self) -> bool:
        """Condition Ready is True."""
        return any(c["type"] == ConditionType.READY and c["status"] == "True" for c in self.status()["conditions"])

    def last_step(self) -> int:
        """Id of the newest step on record."""
        rows = json.loads(self.quiet("history", "nas", "--kind", "Step", "--limit", "1", "-o", "json") or "[]")
        return int(rows[-1]["id"]) if rows else 0

    def expect_step(self, after: int, command: str) -> None:
        """Exactly this command ran since then, and nothing else."""

        def steps() -> list[dict[str, Any]]:
            rows = json.loads(self.quiet("history", "nas", "--kind", "Step", "--limit", "50", "-o", "json") or "[]")
            return [row for row in rows if int(row["id"]) > after]

        self.wait("hactl corrects it", lambda: any(row["outcome"] == "Done" for row in steps()))
        self.wait("the pair is Ready", self.ready)
        ran = [row["command"] for row in steps()]
        if ran != [command]:
            raise ExpectationFailed(f"expected exactly {command!r}, but {ran} ran")
        click.echo(f"  {click.style('exactly one command ran:', bold=True)} nas-b  {command}")


def example_text(name: str) -> str:
    """A document of manifests/examples: of this checkout, or of the installed package."""
    package = Path(hactl.__file__).resolve().parent
    for place in (package.parents[1] / "manifests" / "examples", package / "examples"):
        file = place / f"{name}.yaml"
        if file.is_file():
            return file.read_text()
    raise HactlError(f"the example {name}.yaml is not installed")


def _kubectl() -> str | None:
    """kubectl beside this Python, else on the path."""
    kubectl = Path(sys.executable).parent / "kubectl"
    return str(kubectl) if os.access(kubectl, os.X_OK) else shutil.which("kubectl")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
