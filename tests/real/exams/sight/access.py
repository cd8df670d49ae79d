"""A key that only looks, on the nodes' own sshd: installed, used, rotated, stolen; nothing is different afterwards."""

from __future__ import annotations

import asyncio
import copy
import os
from pathlib import Path
from typing import Any

import asyncssh

from hactl.adapters.references import resolve_references
from hactl.adapters.sources.files import load_files
from hactl.adapters.ssh.commands import default_identities
from hactl.adapters.ssh.keys import new_key_file
from hactl.core.gate.request import REFUSED_STATUS
from hactl.ports import Target
from support.attacks.gate import HARMLESS, REQUESTS, filled

from ...nodes.node import Broken
from ..exam import Bench, exam

#: What a thief would be glad to have changed.
_PLACES = "/etc /usr/local/etc /usr/local/libexec /root /boot/loader.conf /var/db/hactl"
_MARK = "/tmp/hactl.mark"
#: A login that is not root, and a file that it would like to have.
_USER, _PRECIOUS = "looker", "/var/db/precious"
_SECONDS = 60.0
_COMMANDS = (f"touch {_MARK}", "/bin/sh -s", "sftp-server", "hastctl role init all", "reboot")


@exam("access", ("observe",))
def access(bench: Bench, name: str) -> None:
    """Installed by hactl, the key looks and plans as root's does; a thief of it changes nothing and reads no file."""
    bench.ready()
    admin = _admin(bench)
    document = copy.deepcopy(bench.document)
    document["spec"]["mode"] = "Propose"
    key = bench.site.documents / "look"
    key.unlink(missing_ok=True)
    new_key_file(key)
    for node in document["spec"]["nodes"]:
        node["ssh"] |= {"access": "Observe", "identityFrom": {"file": key.name}}
    bench.site.write(document)
    try:
        given = ("-f", str(bench.site.file), "--admin-key", admin)
        for action in ("install", "check"):
            ran = bench.site.hactl("node-access", action, *given)
            bench.outcome.must(ran.exit == 0, f"hactl node-access {action}: exit {ran.exit}: {ran.out.strip()}")
        before = {node.name: node.files(_PLACES) for node in bench.nodes.both}
        planned = bench.site.hactl("plan", "-f", str(bench.site.file))
        bench.outcome.must(planned.exit == 0, f"hactl plan with the key: exit {planned.exit}: {planned.out.strip()}")
        for target in _targets(bench):
            for wrong in asyncio.run(_stolen(target)):
                bench.outcome.must(False, f"{target.node}: {wrong}")
        for node in bench.nodes.both:
            bench.outcome.must(node.run(f"test ! -e {_MARK}").exit == 0, f"{node.name}: a thief made {_MARK}")
            changed = [path for path, text in node.files(_PLACES).items() if before[node.name].get(path) != text]
            bench.outcome.must(not changed, f"{node.name}: changed: {', '.join(changed)}")
        ran = bench.site.hactl("node-access", "rotate", *given)
        bench.outcome.must(ran.exit == 0, f"hactl node-access rotate: exit {ran.exit}: {ran.out.strip()}")
        planned = bench.site.hactl("plan", "-f", str(bench.site.file))
        bench.outcome.must(planned.exit == 0, f"hactl plan after it: exit {planned.exit}: {planned.out.strip()}")
        _at_a_user(bench, document, given)
    finally:
        bench.site.write(bench.document)
        for node in bench.nodes.both:
            node.must("sed -i '' '/ hactl-observe$/d' ~root/.ssh/authorized_keys; rm -f /usr/local/libexec/hactl/gate")
            node.run(f"pw userdel {_USER} -r; rm -f {_PRECIOUS} /usr/local/etc/doas.conf")


def _at_a_user(bench: Bench, document: dict[str, Any], given: tuple[str, ...]) -> None:
    """Installed for a login that is not root; a link that it made to a file of root's is not followed."""
    for node in bench.nodes.both:
        node.must(f"pw useradd {_USER} -m -s /bin/sh")
    for each in document["spec"]["nodes"]:
        each["ssh"] |= {"user": _USER, "become": "doas"}
    bench.site.write(document)
    ran = bench.site.hactl("node-access", "install", *given)
    bench.outcome.must(ran.exit == 0, f"installed for {_USER}: exit {ran.exit}: {ran.out.strip()}")
    for node in bench.nodes.both:
        owner = node.must(f"stat -f '%Su %Lp' ~{_USER}/.ssh/authorized_keys ~{_USER}/.ssh").splitlines()
        bench.outcome.must(owner == [f"{_USER} 600", f"{_USER} 700"], f"{node.name}: the file of keys is {owner}")
        node.must(f"echo precious >{_PRECIOUS}; ln -sf {_PRECIOUS} ~{_USER}/.ssh/authorized_keys")
    ran = bench.site.hactl("node-access", "install", *given)
    bench.outcome.must(ran.exit != 0, f"a link to a file of root's was followed: {ran.out.strip()}")
    for node in bench.nodes.both:
        found = node.must(f"stat -f %Su {_PRECIOUS}; cat {_PRECIOUS}").split()
        bench.outcome.must(found == ["root", "precious"], f"{node.name}: {_PRECIOUS} became {found}")


def _targets(bench: Bench) -> list[Target]:
    (document,) = load_files([str(bench.site.file)]).documents.values()
    return list(resolve_references(document).targets.values())


def _admin(bench: Bench) -> str:
    """The private key that the exams log in with. Raises Broken."""
    environment = {**os.environ, **bench.site.environment}
    for target in _targets(bench):
        for path in target.identities or default_identities(environment):
            return str(Path(path))
    raise Broken("no key to log in with: set HACTL_IDENTITY")


async def _stolen(target: Target) -> list[str]:
    """What a thief got that no thief should get: a line each."""
    wrong = []
    host_keys = [asyncssh.import_public_key(line) for line in target.host_keys]
    async with await asyncssh.connect(
        target.host, target.port, username=target.user, client_keys=list(target.identities),
        known_hosts=(host_keys, [], []), config=None, agent_path=None,
    ) as link:  # fmt: skip
        tries = {
            **dict.fromkeys(_COMMANDS, (f"touch {_MARK}\n", REFUSED_STATUS)),
            **{name: (text, REFUSED_STATUS) for name, text in REQUESTS.items()},
            **{name: (text, 0) for name, text in HARMLESS.items()},
        }
        for name, (text, expected) in tries.items():
            process = await link.create_process(name, encoding="utf-8", errors="surrogateescape")
            try:
                process.stdin.write(filled(text, target.gate, _MARK))
                process.stdin.write_eof()
            except BrokenPipeError:
                # The gate had read enough; how it ended is looked at below.
                pass
            done = await asyncio.wait_for(process.wait(), _SECONDS)
            if done.exit_status != expected:
                wrong.append(f"{name}: exit status {done.exit_status}, not {expected}: {str(done.stdout)[:200]}")
        try:
            await link.open_connection("127.0.0.1", target.port)
            wrong.append("a port was forwarded")
        except asyncssh.ChannelOpenError:
            # As it should be.
            pass
    return wrong
