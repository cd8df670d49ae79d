"""What is kept of a round: its timeline, what nodes and hook wrote down, hactl's history, what the client saw."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

from ..nodes.node import Nodes
from ..nodes.site import Site
from .rounds import Outcome

#: What the base system and the hook wrote down.
NODE_SCRIPTS = {
    "messages": "tail -n 400 /var/log/messages",
    "moves": "tail -n 50 /var/db/hactl/moves",
    "processes": "ps -axo pid,ppid,stat,wchan,command; procstat -kk -a | grep hast; ls -l /dev/hast",
    "state": "ifconfig vtnet1; hastctl list; hastctl dump all; mount; ls -l /var/db/hactl; sysctl net.inet.carp",
}
_LINE_OF_MESSAGES = 30.0


class Timeline:
    """What the exam did, with times, in a file and on the screen of whoever waits."""

    def __init__(self, file: Path, *, aloud: bool = True) -> None:
        """Lines are added to what is there."""
        self.file, self.aloud = file, aloud

    def say(self, text: str) -> float:
        """One line. Returns the time it carries."""
        now = time.time()
        line = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now * 1000) % 1000:03d} {text}"
        with self.file.open("a") as out:
            out.write(line + "\n")
        if self.aloud:
            print(f"    {line}", flush=True)
        return now


def keep_nodes(folder: Path, nodes: Nodes, when: str = "") -> None:
    """What the nodes say; one that does not answer leaves no files. `when` goes after the names of the files."""
    for node in nodes.both:
        if not nodes.answers(node.name):
            continue
        for name, script in NODE_SCRIPTS.items():
            (folder / f"{node.name}.{name}{when}").write_text(node.run(script, _LINE_OF_MESSAGES).out)


def keep(folder: Path, nodes: Nodes, site: Site, outcome: Outcome) -> None:
    """After a round."""
    keep_nodes(folder, nodes)
    (folder / "history").write_text(site.history())
    (folder / "outcome.json").write_text(json.dumps(asdict(outcome), indent=1))
