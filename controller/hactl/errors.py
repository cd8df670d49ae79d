"""The exceptions hactl raises on purpose, as one tree.

HactlError                      a person can act on it; the message says what, where and what to do
├── DocumentError               one or more problems in documents (carries them all)
├── SecretError                 a secret reference that cannot be resolved (never the secret)
├── NodeError                   talking to a node failed
│   ├── NodeUnreachable         no connection: refused, no route, timeout, name does not resolve
│   ├── HostKeyMismatch         the node's host key is not the pinned one; nothing was sent
│   ├── LoginRefused            the node does not accept our user or key
│   └── NodeGarbled             the session broke, or the answer was cut or too large
├── StoreError                  the record cannot be written or read; hactl stops acting
├── Busy                        another hactl process holds this cluster or this database
├── ObjectError                 an object of the API is not as the caller thought
│   ├── AlreadyExists           there is one of that name
│   ├── NoSuchObject            there is none of that name
│   ├── StaleRevision           it was changed meanwhile
│   └── TooOld                  changes since that revision are no longer kept
└── core.kube.errors.ApiError   a request the API refuses, with its HTTP status

InvariantBroken                 our own promise does not hold: stop the process, never catch it

Refusals to act are not exceptions: they are `hactl.core.steps.Hold` values in the plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hactl.core.document.problems import Problem


class HactlError(Exception):
    """Something a person can act on. `str(error)` is the whole message, fit for a terminal."""

    #: What the process exits with when this error ends a command (see `hactl help exit-codes`).
    exit_code = 1


class DocumentError(HactlError):
    """Problems in one or more documents, all of them at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep the problems; the message is one line per problem."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SecretError(HactlError):
    """A secret reference that cannot be resolved."""


class NodeError(HactlError):
    """Talking to a node failed. `node` is its name in the document."""

    #: PascalCase reason for conditions and holds.
    reason = "NodeError"

    def __init__(self, node: str, message: str) -> None:
        """Keep the node's name and prefix the message with it."""
        self.node = node
        super().__init__(f"{node}: {message}")


class NodeUnreachable(NodeError):
    """No connection: refused, no route, timeout, or a name that does not resolve."""

    reason = "Unreachable"


class HostKeyMismatch(NodeError):
    """The node's host key is not the pinned one. Nothing was sent to it."""

    reason = "HostKeyMismatch"


class LoginRefused(NodeError):
    """The node accepts neither our user nor our key."""

    reason = "LoginRefused"


class NodeGarbled(NodeError):
    """The session broke in the middle, or the answer was cut, too large or not ours."""

    reason = "Garbled"


class StoreError(HactlError):
    """The record cannot be written or read. Without a record hactl does not act."""


class Busy(HactlError):
    """Another hactl process holds this cluster."""


class ObjectError(HactlError):
    """An object of the API is not as the caller thought."""


class AlreadyExists(ObjectError):
    """There is an object of that name."""


class NoSuchObject(ObjectError):
    """There is no object of that name."""


class StaleRevision(ObjectError):
    """The object was changed meanwhile."""


class TooOld(ObjectError):
    """Changes since that revision are no longer kept: list again."""


class InvariantBroken(BaseException):
    """A promise of ours does not hold. Not an Exception: nothing but the top of the process may catch it."""
