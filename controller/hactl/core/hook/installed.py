"""Whether a node has the hook as the document makes it: its files, and the rule that devd was started with.

Rules: files are compared by checksum and mode; devd reads its rules only when it starts (devd(8)).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from hactl.core.facts import HookFacts
from hactl.core.hook.render import DEVD_RULE, HookFile


@lru_cache(maxsize=256)
def checksum(text: str) -> str:
    """sha256 as sha256(1) prints it."""
    return hashlib.sha256(text.encode()).hexdigest()


def differing(files: Sequence[HookFile], hook: HookFacts) -> list[HookFile]:
    """The files that are missing on the node, or are not as they should be."""
    return [file for file in files if hook.files.get(file.path) != (checksum(file.text), file.mode)]


def rule_loaded(files: Sequence[HookFile], hook: HookFacts) -> bool:
    """Whether the running devd was started with the rule among the files.

    While the file is another, or gone, the note that says so proves nothing: devd may have been started since.
    """
    return all(
        hook.devd_loaded == checksum(file.text) == hook.files.get(file.path, ("", 0))[0]
        for file in files
        if file.path == DEVD_RULE
    )
