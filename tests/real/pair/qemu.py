"""The machines as QEMU processes: start, power, freeze, cables, and whether sshd greets.

KVM is used only where the processor has it: a /dev/kvm without vmx or svm runs firmware, but no operating system.
A write that a disk acknowledged is in the host's page cache, QEMU's own tables included, and nothing is synced to the
host's disk: a killed QEMU loses what the guest had not written, and nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .disks import make_disks
from .settings import DATA_DISKS, LOCAL, NETS, ROOT_DISK, Failed, Machine, Pair

GONE_SECONDS = 10.0
BOOT_SECONDS = 600.0
_QMP_SECONDS = 20.0
_GREETING_SECONDS = 3.0
_POLL_SECONDS = 0.05
_DRIVE = "if=none,format={},id={},file={},cache.no-flush=on,discard=unmap,detect-zeroes=unmap"


def process(pidfile: Path) -> int | None:
    """The process of a pid file, if it lives and is ours."""
    try:
        pid = int(pidfile.read_text())
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return None
    return pid if str(pidfile.parent) in line and state != "Z" else None


def gone(pidfile: Path, seconds: float) -> bool:
    """Whether it ends in time."""
    end = time.monotonic() + seconds
    while process(pidfile):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def kill(pidfile: Path) -> bool:
    """End it at once; of a machine: cut its power. Returns whether it ran."""
    pid = process(pidfile)
    if pid:
        os.kill(pid, signal.SIGKILL)
        gone(pidfile, GONE_SECONDS)
    pidfile.unlink(missing_ok=True)
    return bool(pid)


def acceleration(pair: Pair) -> str:
    """`kvm` or `tcg`."""
    if pair.accel != "auto":
        return pair.accel
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text()
        if (" vmx" in flags or " svm" in flags) and os.access("/dev/kvm", os.R_OK | os.W_OK):
            return "kvm"
    return "tcg"


def start(node: Machine) -> None:
    """Power on. It comes back when the machine runs, not when FreeBSD is up."""
    if process(node.path("pid")):
        return
    if not node.disk(ROOT_DISK).exists():
        make_disks(node)
    accel = acceleration(node.pair)
    for suffix in ("qmp", "serial"):
        node.path(suffix).unlink(missing_ok=True)
    command = _command(node, accel)
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode and accel == "kvm" and node.pair.accel == "auto":
        dataclasses.replace(node.pair, accel="tcg").write()
        start(Machine(dataclasses.replace(node.pair, accel="tcg"), node.key, node.number))
        return
    if done.returncode:
        raise Failed(f"{node.name}: {done.stderr.strip().splitlines()[-1] if done.stderr else 'qemu failed'}")
    for net in NETS:
        if node.path(f"{net}.down").exists():  # a pulled cable stays pulled
            link(node, net, up=False)


def _command(node: Machine, accel: str) -> list[str]:
    pair, port, number = node.pair, node.pair.port, node.number
    command = ["qemu-system-x86_64", "-name", f"{node.name},process={node.name}", "-nodefaults", "-no-user-config"]
    command += ["-machine", "pc,usb=off,vmport=off", "-display", "none", "-vga", "none", "-rtc", "base=utc"]
    command += ["-accel", "kvm", "-cpu", "host"] if accel == "kvm" else []
    command += ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,la57=off"] if accel != "kvm" else []
    command += ["-m", str(pair.memory), "-smp", str(pair.cpus)]
    command += ["-uuid", f"70616972-0000-4000-8000-{port:08d}000{number}"]
    console = f"socket,id=ser,path={node.path('serial')},server=on,wait=off,logfile={node.path('log')},logappend=on"
    command += ["-chardev", console, "-serial", "chardev:ser", "-qmp", f"unix:{node.path('qmp')},server=on,wait=off"]
    command += ["-pidfile", str(node.path("pid")), "-daemonize"]
    command += ["-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"]
    for disk in (ROOT_DISK, *DATA_DISKS):
        command += ["-drive", _DRIVE.format("qcow2", disk, node.disk(disk))]
        command += ["-device", f"virtio-blk-pci,drive={disk},write-cache=off"]
    if node.path("seed").exists():
        command += ["-drive", f"if=none,format=raw,id=seed,file={node.path('seed')},readonly=on"]
        command += ["-device", "virtio-blk-pci,drive=seed"]
    command += ["-netdev", f"user,id=mgmt,restrict=on,hostfwd=tcp:{LOCAL}:{node.ssh_port}-:22"]
    command += _wire("lan", port + 3 + number, port + 3) + _wire("repl", port + 5 + number, port + 8 - number)
    for n, net in enumerate(NETS):
        mac = f"52:54:00:00:0{n}:0{number}"
        command += ["-device", f"virtio-net-pci,netdev={net},id=nic-{net},mac={mac},romfile="]
    return command


def _wire(name: str, local: int, remote: int) -> list[str]:
    text = f"dgram,id={name},local.type=inet,local.host={LOCAL},local.port={local}"
    return ["-netdev", f"{text},remote.type=inet,remote.host={LOCAL},remote.port={remote}"]


def answers(node: Machine) -> bool:
    """Does sshd greet? Port forwarding alone accepts connections before anyone listens."""
    with contextlib.suppress(OSError), socket.create_connection((LOCAL, node.ssh_port), _GREETING_SECONDS) as link:
        link.settimeout(_GREETING_SECONDS)
        return link.recv(8).startswith(b"SSH-")
    return False


def await_ssh(nodes: Iterable[Machine], seconds: float = BOOT_SECONDS) -> dict[str, float]:
    """Wait until each greets. Returns seconds by name; raises Failed."""
    began, waiting, took = time.monotonic(), list(nodes), dict[str, float]()
    while waiting:
        for node in list(waiting):
            if not process(node.path("pid")):
                raise Failed(f"{node.name}: QEMU ended; see its console {node.path('log')}")
            if answers(node):
                node.path("seed").unlink(missing_ok=True)  # used up
                took[node.name] = time.monotonic() - began
                waiting.remove(node)
        if time.monotonic() - began > seconds:
            raise Failed(f"{waiting[0].name}: no ssh after {seconds:.0f} s; see its console {waiting[0].path('log')}")
        time.sleep(_POLL_SECONDS * 4)
    return took


def qmp(node: Machine, command: str, **arguments: object) -> dict[str, Any]:
    """One command of QEMU's own protocol."""
    if not process(node.path("pid")):
        raise Failed(f"{node.name} is off")
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_QMP_SECONDS)
        link.connect(str(node.path("qmp")))
        lines = link.makefile("rw")
        lines.readline()
        answer: dict[str, Any] = {}
        for execute, args in (("qmp_capabilities", {}), (command, arguments)):
            lines.write(json.dumps({"execute": execute, "arguments": args}) + "\n")
            lines.flush()
            answer = json.loads(lines.readline())
            while "event" in answer:
                answer = json.loads(lines.readline())
    if "error" in answer:
        raise Failed(f"{node.name}: {answer['error']['desc']}")
    found: dict[str, Any] = answer["return"]
    return found


def link(node: Machine, net: str, *, up: bool) -> None:
    """Pull a cable, or plug it; a pulled one stays pulled over a power cut."""
    if net not in NETS:
        raise Failed(f"{net}: no such net; it is one of {', '.join(NETS)}")
    qmp(node, "set_link", name=f"nic-{net}", up=up)
    mark = node.path(f"{net}.down")
    if up:
        mark.unlink(missing_ok=True)
    else:
        mark.touch()


def ssh(node: Machine, *command: str) -> list[str]:
    """The command line that runs something on it as root."""
    line = ["ssh", "-F", "none", "-o", "ConnectTimeout=20", "-i", str(node.pair.identity), "-p", str(node.ssh_port)]
    line += ["-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={node.pair.known_hosts}"]
    line += ["-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
    return [*line, f"root@{LOCAL}", *command]
