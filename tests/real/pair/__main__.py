"""`python -m real.pair`: two FreeBSD machines in QEMU, to try a CARP and HAST controller on.

  up [a|b|both]               boot (default both) and wait until ssh answers; makes blank nodes if there are none
  down [a|b|both]             clean shutdown
  power-off NODE              cut the power: QEMU is killed
  power-on NODE [--no-wait]   boot again with the same disks
  freeze NODE, thaw NODE      stop the virtual processor, let it go on (its clock stands still meanwhile)
  link NODE lan|repl|mgmt up|down      pull and plug a cable
  lose [from-a] [to-a] [from-b] [to-b] the LAN loses frames of or for a node; without words it loses none
  fresh [NODE]                throw the disks away: a blank node again (switched off; `up` boots it)
  ssh NODE [COMMAND ...]      a shell on the node, or one command
  status                      what runs
  env                         settings for hactl, as shell exports
  save NAME, restore NAME     keep the disks of both nodes (switched off), bring them back
  client --address A [--tcp P] [--records P] [--seconds N] [--log FILE]
                              a client on the LAN: every outage to the millisecond
  destroy                     stop everything and remove $PAIR_HOME

Settings come from the environment (docs/real-nodes.md) and are kept in $PAIR_HOME by the first `up`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import client, lan, qemu
from .command import destroy, down, fresh, restore, save, show_settings, status, up
from .settings import Failed, Pair, read_pair


def main() -> int:
    """Do one command."""
    arguments = sys.argv[1:]
    release = ""
    if arguments[:1] == ["--release"]:
        release, arguments = arguments[1], arguments[2:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print((__doc__ or "").strip())
        return 0
    command, *rest = arguments
    pair = read_pair({**os.environ, "PAIR_HOME": rest[0]} if command == "_switch" else os.environ, release)
    try:
        return _do(pair, command, rest)
    except IndexError:
        raise Failed(f"{command}: something is missing; see --help") from None


def _do(pair: Pair, command: str, rest: list[str]) -> int:
    word = rest[0] if rest else None
    match command:
        case "_switch":
            lan.serve(pair)
        case "up":
            up(pair, word)
        case "down":
            down(pair, word)
        case "power-off":
            qemu.kill(pair.machine(rest[0]).path("pid"))
        case "power-on":
            lan.plug(pair)
            qemu.start(pair.machine(rest[0]))
            if "--no-wait" not in rest:
                qemu.await_ssh([pair.machine(rest[0])])
        case "freeze" | "thaw":
            qemu.qmp(pair.machine(rest[0]), {"freeze": "stop", "thaw": "cont"}[command])
        case "link":
            qemu.link(pair.machine(rest[0]), rest[1], up=rest[2] == "up")
        case "lose":
            lan.lose(pair, *rest)
        case "fresh":
            fresh(pair, word)
        case "ssh":
            os.execvp("ssh", qemu.ssh(pair.machine(rest[0]), *rest[1:]))
        case "status":
            status(pair)
        case "env":
            show_settings(pair)
        case "save":
            save(pair, rest[0])
        case "restore":
            restore(pair, rest[0])
        case "client":
            _client(pair, rest)
        case "destroy":
            destroy(pair)
        case other:
            raise Failed(f"{other}: no such command; see --help")
    return 0


def _client(pair: Pair, rest: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="client")
    parser.add_argument("--address", required=True)
    parser.add_argument("--tcp", type=int, default=2049)
    parser.add_argument("--records", type=int, default=0)
    parser.add_argument("--writer", default="lan")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args(rest)
    it = client.Client(pair, options.address, options.tcp, client.into(options.log), options.records, options.writer)
    client.watch(it, options.seconds)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as problem:
        print(f"pair: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
