"""Records what a real pair prints: a script of tests/recordings/scripts is played on it, one command a step.

`python -m support.lab.recorder "PAIR COMMAND" SCRIPT...`, from tests/. PAIR COMMAND starts the tool that drives two
machines (`env`, `power-off NODE`, `freeze NODE`, `link NODE NET up|down` and so on); both must be up. A script's lines:

- `about: TEXT`: what the recording shows.
- `a$ COMMAND` (or b): run by /bin/sh on that node, on standard input, and written down with its output and its end. An
  indented line goes on with the command above.
- `a& COMMAND`: the same beside what follows; its step stands where it began.
- `! WORDS`: the pair's tool does something (`! power-off b`); written down as a note. `! power-on` waits for ssh.
- `wait SECONDS`: nothing happens; `wait until SECONDS`: since the recording began.
- `# TEXT`: a note for the reader.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

RECORDINGS = Path(__file__).parents[2] / "recordings"


@dataclass
class Pair:
    """Two machines and the tool that drives them."""

    tool: list[str]
    sockets: Path
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Ask the tool how the nodes are reached."""
        self.settings = dict(re.findall(r"(?m)^export (\w+)=(.*)$", self.do("env")))

    def do(self, *words: str) -> str:
        """One command of the tool. Raises CalledProcessError."""
        return subprocess.run([*self.tool, *words], check=True, capture_output=True, text=True).stdout

    def sh(self, node: str, command: str) -> tuple[int, str, str]:
        """A command on a node: exit status (255: no answer), standard output, standard error."""
        known = self.sockets / f"known.{node}"
        port = self.settings[f"PAIR_{node.upper()}_PORT"]
        key = Path(self.settings[f"PAIR_{node.upper()}_HOSTKEY"]).read_text().split()
        known.write_text(f"[127.0.0.1]:{port} {' '.join(key[:2])}\n")
        line = ["ssh", "-F", "none", "-i", self.settings["HACTL_IDENTITY"], "-p", port]
        for option in (
            f"UserKnownHostsFile={known}", "IdentitiesOnly=yes", "LogLevel=ERROR", "ConnectTimeout=20",
            "ControlMaster=auto", f"ControlPath={self.sockets}/{node}", "ControlPersist=600",
        ):  # fmt: skip
            line += ["-o", option]
        ended = subprocess.run(
            [*line, "root@127.0.0.1", "/bin/sh -s"], input=command + "\n", capture_output=True, text=True, check=False
        )
        return ended.returncode, ended.stdout, ended.stderr

    def forget(self, node: str) -> None:
        """The node's connections are gone: the next command makes new ones."""
        (self.sockets / node).unlink(missing_ok=True)


class Recording:
    """One scenario as it is played."""

    def __init__(self, pair: Pair, name: str) -> None:
        """Nothing is recorded yet."""
        self.pair, self.name = pair, name
        self.about = ""
        self.steps: list[dict[str, Any]] = []
        self.beside: list[Thread] = []
        for node in "ab":
            pair.sh(node, "true")
        self.begin = time.monotonic()

    def now(self) -> float:
        """Seconds since the recording began."""
        return time.monotonic() - self.begin

    def play(self, text: str) -> None:
        """Play a script. Raises ValueError at a line that is none."""
        for line in re.sub(r"\n[ \t]+", "\0", text).split("\n"):
            self._line(line.replace("\0", "\n"))
        for thread in self.beside:
            thread.join()

    def _line(self, line: str) -> None:
        if not line.strip():
            return
        word, _, rest = line.partition(" ")
        if word == "about:":
            self.about = rest
        elif word in ("a$", "b$"):
            self._run(word[0], rest)
        elif word in ("a&", "b&"):
            step: dict[str, Any] = {}
            self.steps.append(step)
            self.beside.append(Thread(target=self._run, args=(word[0], rest, step)))
            self.beside[-1].start()
        elif word == "!":
            self._happens(shlex.split(rest))
        elif word == "wait":
            until = rest.removeprefix("until ")
            time.sleep(max(0.0, float(until) - (self.now() if until != rest else 0.0)))
        elif word == "#":
            self.steps.append({"t": round(self.now(), 2), "note": rest})
        else:
            raise ValueError(f"no script has such a line: {line}")

    def _run(self, node: str, command: str, step: dict[str, Any] | None = None) -> None:
        at = self.now()
        status, out, err = self.pair.sh(node, command)
        done = {
            "t": round(at, 2), "node": f"nas-{node}", "command": command, "exit": status, "stdout": out, "stderr": err,
            "seconds": round(self.now() - at, 2),
        }  # fmt: skip
        print(f"{done['t']:8.2f} {node}$ {command} [{status}, {done['seconds']} s]\n{out}{err}", end="", flush=True)
        if step is None:
            self.steps.append(done)
        else:
            step.update(done)

    def _happens(self, words: list[str]) -> None:
        print(f"{self.now():8.2f} ! {' '.join(words)}", flush=True)
        self.steps.append({"t": round(self.now(), 2), "note": " ".join(words)})
        self.pair.do(*words)
        if words[0] in ("power-off", "power-on", "down"):
            for node in "ab":
                self.pair.forget(node)

    def save(self) -> Path:
        """Write it down; returns where."""
        path = RECORDINGS / f"{self.name}.json"
        whole = {"scenario": self.name, "about": self.about, "release": "13.2-RELEASE", "steps": self.steps}
        path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
        return path


def main() -> None:
    """Play scripts one after the other on one pair."""
    tool, *scripts = sys.argv[1:]
    with TemporaryDirectory(prefix="rec") as directory:
        pair = Pair(shlex.split(tool), Path(directory))
        for script in map(Path, scripts):
            recording = Recording(pair, script.stem)
            recording.play(script.read_text())
            print(recording.save())


if __name__ == "__main__":
    main()
