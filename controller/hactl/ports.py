"""What the core's callers need from the outside, as few small protocols.

Each ships with a fake that passes the same tests as the real adapter.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from hactl.core.catalogue import EventKind
from hactl.core.choices import NodeAccess
from hactl.core.document.problems import Problem
from hactl.core.operations import Operation, State

if TYPE_CHECKING:
    from hactl.core.objects import HACluster


class Clock(Protocol):
    """Time. Ages use `monotonic`; what people read uses `now`."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def now(self) -> datetime:
        """Wall clock, timezone-aware UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """How to reach one node."""

    cluster: str
    node: str
    host: str
    port: int
    user: str
    #: Pinned public host keys, OpenSSH one-line form ("ssh-ed25519 AAAA..."). Never empty.
    host_keys: tuple[str, ...]
    #: Private key files to try; empty: the user's default keys.
    identities: tuple[str, ...] = ()
    become: Literal["doas", "sudo"] | None = None
    #: What the key can do. Observe: what is sent is no script but a request to the gate (`hactl.core.gate.request`).
    access: NodeAccess = NodeAccess.ROOT
    #: Id of the gate that must be there (`hactl.core.gate.render.gate_id`); empty with access Root.
    gate: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an exec gave back."""

    #: None: the exec ended without one (killed by a signal, or we gave up waiting).
    exit_status: int | None
    stdout: str
    stderr: str
    seconds: float
    #: We stopped waiting: the command may still be running on the node.
    timed_out: bool = False
    #: Output was cut at the limit.
    truncated: bool = False


class Nodes(Protocol):
    """Running sh scripts on nodes, over connections that stay warm."""

    async def run(
        self,
        target: Target,
        script: str,
        *,
        timeout_seconds: float,
        on_output: Callable[[str], None] | None = None,
        exclusive: bool = False,
    ) -> Answer:
        """Run `/bin/sh -s` as root with the script on standard input, or the node's gate with a request on it.

        `exclusive`: nothing of hactl, the node's own hook included, changes anything there meanwhile. The lock is
        waited for up to `hactl.core.script.LOCK_WAIT_SECONDS`, which `timeout_seconds` does not count; when it is not
        had the script does not run and the Answer has exit status `LOCK_BUSY_STATUS`.
        Raises NodeError (NodeUnreachable, HostKeyMismatch, LoginRefused, NodeGarbled) when no answer exists.
        A NodeGarbled or a timed-out Answer means the script may have run.
        """
        ...

    async def answers(self, target: Target) -> bool:
        """Whether an sshd answers there now, within a few seconds; no login is tried. Never raises."""
        ...

    def stream(self, target: Target, script: str) -> AsyncIterator[str]:
        """Lines a long-running script prints, until it ends or the connection breaks (NodeError)."""
        ...

    async def forget(self, target: Target) -> None:
        """Close the connection to that node, if any."""
        ...

    async def close(self) -> None:
        """Close everything."""
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """One valid document of a source."""

    cluster: HACluster
    #: Where it stands, for people: "clusters/nas.yaml" (and "#2" for a later document of the same file).
    source: str
    #: The directory its relative references start from.
    directory: str
    #: sha256 of the canonical JSON of its name and spec (defaults filled in), hex: the identity of a generation.
    digest: str
    #: The document as YAML text, as found.
    text: str
    #: Which revision of the source it is from: a git commit, an ETag, a resourceVersion; "" where there are none.
    revision: str = ""
    #: Who wrote that revision, as far as the source knows; "" else.
    author: str = ""
    #: When that revision was made, by the source's own word (ISO 8601, UTC); "" where it does not say.
    revised_at: str = ""

    @property
    def file(self) -> str:
        """The file it stands in, without the number of the document."""
        return re.sub(r"#[0-9]+$", "", self.source)


@dataclass(frozen=True, slots=True)
class SourceState:
    """What a source holds now: valid documents by cluster name, and what is wrong with the rest."""

    documents: Mapping[str, Document]
    problems: tuple[Problem, ...]
    #: Names whose file exists but does not load now; their last good document stays in force.
    broken: frozenset[str] = frozenset()
    #: The source itself cannot be read (directory gone, no permission): everything stays in force.
    down: str | None = None
    #: What is wrong with the source as a whole although its documents are known, for people: a commit was refused, the
    #: newest state cannot be had.
    trouble: str = ""
    #: What is not here was taken away on purpose, even when nothing is left.
    certain: bool = False


class Source(Protocol):
    """Where documents come from."""

    async def read(self) -> SourceState:
        """Everything the source holds now. Never raises for bad documents."""
        ...

    def changes(self) -> AsyncIterator[None]:
        """Yields when the source may have changed (a hint; read again)."""
        ...


#: Origin of a cluster that was made through the API.
API_ORIGIN = ""
#: Label of the API among the sources of a controller; the origin of what comes from there is `API_ORIGIN`.
API_LABEL = "api"
#: Origin of a cluster whose document was handed in by a command, not by a source of a controller.
FILES_ORIGIN = "files"


#: Something that changed, for the record: kind, summary, node, detail.
Change = tuple[EventKind, str, str | None, Any]


# -- the record -------------------------------------------------------------------------------------------------------
#
# One thing keeps it (`hactl.adapters.record.store.Store`) and offers all of these; who uses it names the one it needs.
# Every method raises StoreError when the record cannot be kept; then hactl does not act.


class History(Protocol):
    """What happened: for everybody who tells it or reads it."""

    async def record(
        self, kind: EventKind, cluster: str, summary: str, *, node: str | None = None, detail: Any = None
    ) -> None:
        """Record something that changed."""
        ...

    async def history(self, query: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Events and steps in the order they were written, newest last.

        Keys of the query, all optional: cluster, node, kind (an `EventKind`, or "Step"), since and until (datetime or
        ISO text), limit (the newest so many, default 1000), failed (True: only what went wrong).
        Keys of every row: id, at (ISO, UTC), kind, cluster, node, summary. An event has detail; a step (kind StepBegun
        while it runs, StepEnded afterwards) has what `begin_step` took, ended_at, outcome, exit_status, output,
        seconds. Raises ValueError for a query it does not understand.
        """
        ...


class Documents(History, Protocol):
    """The documents in force: for the intake of sources, and for `apply`."""

    async def put_document(self, document: Document, *, actor: str, origin: str | None = None) -> int:
        """Record a document; returns its generation (1, 2 ...), in one transaction with its object and event.

        The same digest: same generation; no write at all unless labels, annotations or the place it comes from differ.
        `origin`: label of the source it comes from, `API_ORIGIN` for what was read from the API's own objects; None:
        as it is (a new one: `FILES_ORIGIN`). What comes from `API_ORIGIN` writes nothing. Raises StoreError also for a
        document of `API_ORIGIN` that is not the newest one any more, and for one of another origin while the cluster
        is one of the API's.
        """
        ...

    async def unmanage(self, cluster: str, *, why: str, origin: str | None = None) -> None:
        """The document vanished from the source: no longer managed. History stays. No write if already so.

        In one transaction with its object and event. `origin`: only if it is still the cluster's; clusters of
        `API_ORIGIN` are removed by `Objects.delete_object` only. None: whatever its origin.
        """
        ...

    async def documents(self) -> Sequence[Mapping[str, Any]]:
        """The newest document of every managed cluster, by name: what stays in force while a source is broken.

        Keys: cluster, generation, digest, source, directory, actor, at, text, origin, revision, author, revised_at (the
        last three as in `Document`, of when it became a generation), managed_at (since when it has been managed).
        """
        ...

    async def generations(self, cluster: str) -> Sequence[Mapping[str, Any]]:
        """Every recorded document of a cluster, newest last; keys as `documents`."""
        ...


@dataclass(slots=True)
class WriteHealth:
    """Whether the record can be written, by the writes that were tried."""

    failed: int = 0
    #: Why the newest write failed; "": it did not.
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How a source of documents is."""

    #: What is wrong with it (not with its documents), for people; "": nothing.
    trouble: str
    #: Faults for which documents of it are refused now.
    refused: int
    #: Since it was read well; None: it never was.
    age_seconds: float | None


@dataclass(frozen=True, slots=True)
class Holder:
    """A process of hactl that acts on nodes."""

    #: Nobody else has it.
    token: str
    #: For people: who started what, where.
    who: str


class Steps(Protocol):
    """Steps that change nodes: for who executes them."""

    async def begin_step(self, record: Mapping[str, Any], *, lease: int | None = None) -> int:
        """Record the intent to run a step, durably, before it runs; returns its id.

        Keys: cluster, generation, plan (digest), node, verb, target, command, risk, why, actor, cause; all of them.
        Raises Busy when the generation is not the newest one (any more), the cluster is not managed, or `lease` is no
        longer the one this process holds (None: not looked at).
        """
        ...

    async def end_step(self, step: int, *, outcome: str, exit_status: int | None, output: str, seconds: float) -> None:
        """Record how it ended (a value of `hactl.core.steps.Outcome`); only for a running step of this process."""
        ...


class OperationLog(History, Protocol):
    """What people ask for: for commands, and for what ends operations that are over."""

    async def open_operation(self, fields: Mapping[str, Any]) -> int:
        """Record what a person asks for, with the event OperationOpened in the same transaction; returns its id.

        Keys as the fields of `hactl.core.operations.Operation`: kind, cluster and actor must be there; reason, group,
        node, resource, detail, not_before, expires_at may be. Raises Busy when the same is asked for already: a
        switchover of the group, a drain of the node, an approval of the digest, a resolution of the resource.
        """
        ...

    async def end_operation(self, number: int, state: State, message: str, *, seconds: float | None = None) -> bool:
        """It is over, with the event OperationEnded in the same transaction. False: it was over already.

        `seconds`: how long the work took, as measured. Raises StoreError when there is no such operation.
        """
        ...

    async def operations(self, cluster: str | None = None, *, open_only: bool = False) -> Sequence[Operation]:
        """What was asked for, oldest first: everything, or what is about that cluster or the whole fleet."""
        ...

    async def operations_in_force(self, cluster: str) -> Sequence[Operation]:
        """What counts now for a cluster: open operations, also of the fleet; a group's newest switchover if it failed.

        Cheap: asked in every pass.
        """
        ...


class Passes(OperationLog, Protocol):
    """What one pass over a cluster keeps: under which lease it acts, what it saw; it ends operations that are over."""

    async def lease(self, cluster: str, *, above: int = 0) -> int:
        """The generation under which this process acts on the cluster: to be asked while holding the cluster's lock.

        The same one, without a write, as long as no other process has taken it and it is greater than `above`; else a
        new one that is greater than `above` and every one before, and at least the wall clock's seconds since 1970.
        """
        ...

    async def holder(self) -> Holder:
        """This process, as nodes note it."""
        ...

    async def knows(self, token: str) -> bool:
        """Whether that token (`Holder.token`) is of a process of this record, dead or alive."""
        ...

    async def documents(self) -> Sequence[Mapping[str, Any]]:
        """As `Documents.documents`."""
        ...

    async def put_status(self, cluster: str, status: Mapping[str, Any], *, events: Sequence[Change] = ()) -> bool:
        """Keep the newest status of a cluster; returns False, without a write, when nothing but ages changed.

        `events`: what changed since the status before; recorded in the same transaction if there is a write.
        What an age is: `hactl.core.status.ages.AGES`.
        """
        ...

    async def statuses(self, cluster: str | None = None) -> Sequence[Mapping[str, Any]]:
        """The newest status of every cluster, by name; or of that one, if it has one.

        Keys: cluster, managed, status, changed_at (ISO), age_seconds: since this process put it, else since it changed.
        """
        ...


class Upkeep(Protocol):
    """The record as a whole: for the process that has opened it."""

    async def recover(self) -> int:
        """Settle the steps of other processes that died (Indeterminate, "controller died"); returns how many."""
        ...

    async def prune(self, *, keep_days: float | None = None, keep_rows: int | None = None) -> int:
        """Forget what is older than `keep_days` or beyond the newest `keep_rows` events and steps; returns how many.

        Of what machines and strangers can repeat without end, only the newest bytes are kept, by kind, whatever is
        asked: `hactl.adapters.record.rules.BUDGETS`. Never the newest document or status of a cluster, nor a step that
        still runs. To be run rarely.
        """
        ...

    async def try_writing(self) -> bool:
        """A small write that changes nothing, if the newest write failed. True: it succeeded, and all may go on."""
        ...

    async def close(self) -> None:
        """Write what is pending and close."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One change of a stored API object, as a watch tells it."""

    revision: int
    #: Plural name, e.g. "haclusters".
    resource: str
    name: str
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    #: The whole object as it was then (for DELETED: as it was last, with the new resourceVersion).
    body: Mapping[str, Any]
    #: Characters of its JSON.
    size: int = 0


class ObjectLog(Protocol):
    """Changes of whole objects under one revision that only grows: for watches, and for the API as a source.

    Revisions count every change of an object, event or step; `metadata.resourceVersion` is a revision as text.
    `put_document`, `unmanage`, `put_status`, `open_operation` and `end_operation` change the objects haclusters and
    haoperations in their own transaction.
    """

    async def revision(self) -> int:
        """The newest revision; 0 for an empty record."""
        ...

    async def objects(self, resource: str, name: str | None = None) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """(revision of the read, whole objects in the order of their names); with `name` at most one."""
        ...

    async def origins(self) -> Mapping[str, str]:
        """The origin of every managed cluster."""
        ...

    async def changes_since(self, revision: int, *, limit: int = 1000) -> Sequence[ObjectChange]:
        """Changes of stored objects after `revision`, oldest first.

        Raises TooOld when some are no longer kept, and for a revision this record has not reached.
        """
        ...

    async def event_rows(
        self, *, after: int | None = None, limit: int = 1000
    ) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """(revision of the read, rows of `History.history` with their key `revision`, in the order of revisions).

        `after` None: the newest `limit` ones; else those after that revision, oldest first.
        """
        ...

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` (on the event loop) soon after this process wrote something; returns what ends it."""
        ...

    async def changed_outside(self) -> bool:
        """Whether another process wrote to the record since this was asked last. Cheap (PRAGMA data_version).

        If so, the listeners of `on_change` are called too: one who asks is enough for all who listen.
        """
        ...


class Objects(ObjectLog, Protocol):
    """Whole objects, written: for the API."""

    async def origin(self, cluster: str) -> str | None:
        """Where a cluster's document comes from: the label of its source; "" for the API; None: no such object."""
        ...

    async def create_object(
        self, resource: str, body: Mapping[str, Any], *, actor: str, document: Document | None = None
    ) -> Mapping[str, Any]:
        """Store a new object; returns it with uid, resourceVersion, creationTimestamp and generation.

        `document`: for haclusters, always: it becomes a generation as by `put_document`, in the same transaction.
        Raises AlreadyExists.
        """
        ...

    async def update_object(
        self, resource: str, body: Mapping[str, Any], *, expected: int, actor: str, document: Document | None = None
    ) -> Mapping[str, Any]:
        """Replace an object whose revision is `expected`; returns it as stored. Nothing differs: no write, no revision.

        `document`: for haclusters, always; a new generation only when its digest (name and spec) differs. The status
        of haclusters, metadata.uid, creationTimestamp and generation are kept by the store, whatever the body says.
        Raises StaleRevision; NoSuchObject.
        """
        ...

    async def update_status(self, body: Mapping[str, Any], *, expected: int) -> Mapping[str, Any]:
        """Put the status of `body`, a hacluster that another controller looks after, and who owns its fields, in the
        place of those of the object of revision `expected`; returns it as stored. Raises StaleRevision; NoSuchObject.
        """
        ...

    async def delete_object(
        self, resource: str, name: str, *, actor: str, expected: int | None = None
    ) -> Mapping[str, Any]:
        """Remove an object; returns it as it was last. haclusters: unmanaged, nothing is torn down; an open
        haoperation is Cancelled. Raises StaleRevision; NoSuchObject.
        """
        ...

    async def create_operation(
        self, fields: Mapping[str, Any], *, name: str, metadata: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """`open_operation` with a name of its own ("": `KIND-NUMBER` in lower case); returns the haoperation.

        `metadata`: labels, annotations and whatever else somebody gave it. Raises Busy; AlreadyExists.
        """
        ...


class Tokens(Protocol):
    """Who may use the API."""

    async def create_token(self, name: str, *, digest: str, role: str, actor: str, expires_at: datetime | None) -> None:
        """Keep the sha256 (hex) of a token, with an event TokenCreated. Raises AlreadyExists for a name in use."""
        ...

    async def use_tokens(self, uses: Mapping[str, datetime]) -> None:
        """Keep when each of them (by name) was used last; one that was revoked meanwhile is passed over."""
        ...

    async def revoke_token(self, name: str, *, actor: str) -> bool:
        """It is not accepted any more, with an event TokenRevoked. False: there was none."""
        ...

    async def tokens(self) -> Sequence[Mapping[str, Any]]:
        """Tokens that were not revoked.

        Keys: name, digest, role, created_at, created_by, expires_at and last_used_at (ISO or None).
        """
        ...
