"""What hactl can do to a node, as values: the closed set of changes, each with its target and its exact sh text.

Rules: what the planner means is the value, and what a node runs is the text made from it here and nowhere else; the
planner's prediction reads the value, the audit only the text and never this package. Every file that must outlive a
boot is replaced as `replace` says.
"""

from __future__ import annotations

from typing import TypeAlias

from hactl.core.changes.boot import BootChange
from hactl.core.changes.carp import CarpChange
from hactl.core.changes.filesystems import FilesystemChange, ServiceChange
from hactl.core.changes.hast import HastChange
from hactl.core.changes.hook import HookChange

AnyChange: TypeAlias = CarpChange | HastChange | FilesystemChange | ServiceChange | BootChange | HookChange
