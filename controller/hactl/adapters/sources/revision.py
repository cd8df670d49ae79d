"""A document as it was in another revision of the Git repository it is in: read by git(1), nothing is checked out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from hactl.adapters.sources.git_command import LOCAL_SECONDS, GitFailed
from hactl.adapters.yaml.documents import FileContent, read_documents
from hactl.core.document.problems import printable

#: Said to git for a repository of somebody's own: nothing of it is run, nothing asks.
_SETTINGS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "log.showSignature=false")


def at_revision(path: Path, revision: str) -> FileContent:
    """What the file held in that revision: a commit, a branch, a tag, HEAD~1. Raises GitFailed."""
    if revision.startswith("-") or ":" in revision:
        raise GitFailed(f"{printable(revision)} is neither a file nor a revision")
    # Variables of a hook that we may run in say where another repository is.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    settings = [word for each in _SETTINGS for word in ("-c", each)]
    command = ["git", "--no-pager", *settings, "show", "--no-textconv", f"{revision}:./{path.name}"]
    try:
        done = subprocess.run(
            command,
            cwd=path.absolute().parent,
            env={**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LOCAL_SECONDS,
            check=False,
        )
    except FileNotFoundError as missing:
        raise GitFailed("git is not installed; install devel/git-tiny or git, or compare with a file") from missing
    except subprocess.TimeoutExpired:
        raise GitFailed(f"git show took longer than {LOCAL_SECONDS:g} s") from None
    if done.returncode != 0:
        said = printable(" ".join(done.stderr.decode(errors="replace").split())[:300])
        raise GitFailed(f"{printable(revision)} is no file, and git has no {path.name} of such a revision: {said}")
    return read_documents(done.stdout, source=f"{path}@{revision}", directory=str(path.absolute().parent))
