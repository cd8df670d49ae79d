"""`hactl demo`: a told story on a simulated pair. Every expectation is checked; the exit status is honest."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from pathlib import Path

import click

from hactl.cli.demo_stage import Stage, named
from hactl.errors import HactlError

#: What kubectl is given to move the group back.
MOVE = """\
apiVersion: hactl.dev/v1alpha1
kind: HAOperation
metadata: {name: move-back}
spec: {type: Switchover, cluster: nas, group: files, node: nas-a, reason: back home}
"""


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
        click.echo(f"\nthe demo failed: `{named(error.cmd)}` did not end within {error.timeout:.0f} s")
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


class Story(Stage):
    """What happens on the stage."""

    def tell(self) -> None:
        """The whole story."""
        self.act("Two fresh FreeBSD machines with blank disks, simulated, each a real SSH server")
        self.set_the_stage()
        self.hactl("lab", "up", "-f", str(self.document), "--detach", "--boot-seconds", "5")
        self.act("What would hactl do? `hactl plan` looks and touches nothing")
        self.hactl("plan", "-f", str(self.document), expect=2, first_lines=24)
        self.act("`hactl apply` converges the pair, one stage at a time, looking again after each")
        self.hactl("apply", "-f", str(self.document), "--quiet")
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
            click.echo("there is no kubectl here; `hactl get` asks the same API and prints the same columns")
            self.hactl("get", "hac", "-o", "wide")
            return
        self.make_kubeconfig(role="operator")
        self.kubectl("get", "hac", "-o", "wide")
        self.kubectl("explain", "hac.spec.groups.failback")

    def move_back(self) -> None:
        """A switchover as an object, or as a command where there is no kubectl; it is an object either way."""
        if self.kubectl_program is None:
            self.hactl("switchover", "nas", "files", "--to", "nas-a", "--reason", "back home", "--yes")
            self.hactl("get", "haop", "-o", "wide")
            return
        self.kubectl("create", "-f", "-", given=MOVE)
        # kubectl gives up before we do, and says why.
        self.kubectl("wait", "haop/move-back", "--for=condition=Complete", "--timeout=50s")
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
        told = self.on(node, "ifconfig vtnet1; mount; service nfsd onestatus", show=False)
        return "carp: MASTER" in told and " on /data (" in told and "nfsd is running" in told
