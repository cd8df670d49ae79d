"""Which documents are in force: what the sources hold, what was good before, and what the record has accepted.

Rules: a document is in force only once it is on record; a broken file, an unreadable source or a lost record leaves
the last good generation in force and says so; a vanished document is unmanaged, and nothing is torn down; a name that
two sources hold is an error on both, and neither changes what is in force, also after a restart.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hactl.core.catalogue import EventKind
from hactl.core.document.problems import Problem
from hactl.errors import DocumentError, StoreError
from hactl.ports import API_LABEL, API_ORIGIN, FILES_ORIGIN, Document, Documents, Source, SourceState
from hactl.runtime.passes.types import Accepted, Revive

log = logging.getLogger("hactl.runtime.documents")

#: The actor of documents that came from a source.
ACTOR = "controller"


@dataclass(frozen=True, slots=True)
class Changes:
    """What taking a source in changed."""

    #: New generations (or first sights): look at once.
    new: frozenset[str] = frozenset()
    #: Same generation, other problems: their status changes.
    touched: frozenset[str] = frozenset()
    vanished: frozenset[str] = frozenset()
    #: Something could not be recorded: take in again soon.
    unsettled: bool = False


@dataclass(slots=True)
class _Held:
    """What one source holds, by what is known of it."""

    good: dict[str, Document] = field(default_factory=dict)
    #: Cluster -> the controller that looks after it, where that is another one ("": one without a name).
    others: dict[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    broken: frozenset[str] = frozenset()
    trouble: str = ""
    read_once: bool = False


class DocumentsInForce:
    """Takes documents in. One at a time: the caller holds a lock around `take`; reading needs none."""

    def __init__(
        self, sources: Mapping[str, Source], store: Documents, *, revive: Revive, managed_by: str = ""
    ) -> None:
        """`sources` by a name for people, e.g. the directory. Documents of which `spec.managedBy` is not ours are not
        taken in: another controller looks after them.
        """
        self._managed_by = managed_by
        self._sources = sources
        self._store = store
        self._revive = revive
        self._held = {label: _Held() for label in sources}
        self._accepted: dict[str, Accepted] = {}
        #: What is on record about refused documents, per source.
        self._refused: dict[str, frozenset[str]] = {}
        #: What is wrong because of another source: label -> cluster -> what.
        self._doubled: dict[str, dict[str, str]] = {label: {} for label in sources}

    @property
    def sources(self) -> Mapping[str, Source]:
        """Every source, by its label."""
        return self._sources

    @property
    def accepted(self) -> Mapping[str, Accepted]:
        """What is in force, by cluster name."""
        return self._accepted

    @property
    def problems(self) -> Mapping[str, tuple[str, ...]]:
        """What is wrong now, by source; includes what belongs to no known cluster."""
        return {
            label: (
                *((held.trouble,) if held.trouble else ()),
                *(str(problem) for problem in held.problems),
                *self._doubled[label].values(),
            )
            for label, held in self._held.items()
        }

    @property
    def troubles(self) -> Mapping[str, tuple[str, int]]:
        """By source: what is wrong with it ("": nothing), and for how many faults documents of it are refused."""
        return {
            label: (held.trouble, len(held.problems) + len(self._doubled[label])) for label, held in self._held.items()
        }

    async def read(self, label: str) -> SourceState:
        """What a source holds now. It may take long: a slow one must not keep the others waiting."""
        return await self._sources[label].read()

    async def take(self, label: str, state: SourceState) -> Changes:
        """Take in what a source holds, and settle what is in force."""
        held = self._held[label]
        state = self._of_ours(held, state)
        missed = {} if held.read_once else await self._recollect(label, held, state)
        self._merge(label, held, state)
        owned = {name for each in self._held.values() for name in each.good}
        # What is gone since we last ran is unmanaged as if it had gone now.
        self._accepted |= {name: accepted for name, accepted in missed.items() if name not in owned}
        return await self.settle()

    def _of_ours(self, held: _Held, state: SourceState) -> SourceState:
        """What a source holds for us."""
        if state.down is None:
            held.others = {
                name: document.cluster.spec.managed_by or ""
                for name, document in state.documents.items()
                if not self._is_mine(document)
            }
        documents = {name: document for name, document in state.documents.items() if self._is_mine(document)}
        # A source of which we leave everything to others is not suddenly empty.
        return replace(state, documents=documents, certain=state.certain or bool(held.others))

    def _is_mine(self, document: Document) -> bool:
        return (document.cluster.spec.managed_by or "") == self._managed_by

    async def _recollect(self, label: str, held: _Held, state: SourceState) -> dict[str, Accepted]:
        """The first read: what is broken or unreadable now may have been good when we last ran.

        Returns what this source gave then and does not hold now.
        """
        files = {problem.source for problem in state.problems}
        try:
            rows = await self._store.documents()
        except StoreError as error:
            log.error("the record cannot be read", extra={"source": label, "error": str(error)})
            return {}
        missed = {}
        for row in rows:
            name = row["cluster"]
            stays = name in state.broken or _file_of(row["source"]) in files
            ours = row.get("origin", FILES_ORIGIN) == _origin(label) != API_ORIGIN
            gone = ours and state.down is None and not stays and name not in state.documents
            kept = self._may_be_of(label, row) and (stays or (state.down is not None and self._is_of(label, row)))
            if not (gone or kept):
                continue
            document = self._revived(row)
            if document is not None:
                held.good[document.cluster.name] = document
                if gone:
                    missed[name] = Accepted(document, int(row["generation"]), label=label)
        held.read_once = True
        return missed

    def _may_be_of(self, label: str, row: Mapping[str, Any]) -> bool:
        """Whether no other source of ours gave that document."""
        origin = row.get("origin", FILES_ORIGIN)
        return origin == _origin(label) or origin not in {_origin(other) for other in self._sources}

    def _is_of(self, label: str, row: Mapping[str, Any]) -> bool:
        """Whether this source gave that document; records of an older hactl say only which file it was."""
        origin = row.get("origin", FILES_ORIGIN)
        if origin != FILES_ORIGIN:
            return bool(origin == _origin(label))
        alone = [other for other in self._sources if other != API_LABEL] == [label]
        return row["actor"] == ACTOR and (alone or str(row["source"]).startswith(label))

    def _revived(self, row: Mapping[str, Any]) -> Document | None:
        """A document of the record, as it was taken in; None when it is not accepted any more, or is not ours."""
        try:
            document = self._revive(row)
        except DocumentError as error:
            log.error("a recorded document is no longer valid", extra={"cluster": row["cluster"], "error": str(error)})
            return None
        if not self._is_mine(document):
            return None
        revision, author, at = (str(row.get(key) or "") for key in ("revision", "author", "revised_at"))
        return replace(document, revision=revision, author=author, revised_at=at)

    def _merge(self, label: str, held: _Held, state: SourceState) -> None:
        """What this source holds now, as far as that can be said."""
        if state.down is not None:
            if not held.trouble:
                log.error("a source cannot be read; what is in force stays", extra={"source": label, "why": state.down})
            held.trouble = f"{label}: cannot be read: {state.down}; the last good documents stay in force"
            return
        held.problems, held.broken = state.problems, state.broken
        empty = not (state.documents or state.broken or state.problems or state.certain)
        if empty and len(held.good) > 1:
            # Files are deleted one by one; a source that is empty at once is more likely not mounted.
            if not held.trouble:
                log.error("a source is suddenly empty; what is in force stays", extra={"source": label})
            held.trouble = f"{label}: suddenly empty; the last good documents stay in force"
            return
        trouble = f"{label}: {state.trouble}" if state.trouble else ""
        if trouble and trouble != held.trouble:
            log.error("something is wrong with a source", extra={"source": label, "why": state.trouble})
        held.trouble = trouble
        files = {problem.source for problem in state.problems}
        kept = {
            name: document
            for name, document in held.good.items()
            if name not in state.documents and (name in state.broken or _file(document) in files)
        }
        held.good = {**state.documents, **kept}

    async def settle(self) -> Changes:
        """Bring what is in force in line with what the sources hold, and record it."""
        owners: dict[str, list[str]] = {}
        for label, held in self._held.items():
            for name in held.good:
                owners.setdefault(name, []).append(label)
        new: set[str] = set()
        touched: set[str] = set()
        unsettled = False
        self._doubled = {label: {} for label in self._sources}
        for name, labels in owners.items():
            before = self._accepted.get(name)
            try:
                after = await self._accept(name, labels)
            except StoreError as error:
                log.error("a document cannot be recorded", extra={"cluster": name, "error": str(error)})
                unsettled = True
                continue
            if after is None:
                continue
            self._accepted[name] = after
            if before is None or before.generation != after.generation:
                new.add(name)
            elif (before.problems, before.document.source, before.document.revision) != (
                after.problems,
                after.document.source,
                after.document.revision,
            ):
                touched.add(name)
        vanished = set()
        for name in [name for name in self._accepted if name not in owners]:
            if await self._unmanage(name):
                vanished.add(name)
            else:
                unsettled = True
        unsettled = not await self._record_refused() or unsettled
        return Changes(frozenset(new), frozenset(touched), frozenset(vanished), unsettled)

    async def _accept(self, name: str, labels: Sequence[str]) -> Accepted | None:
        """What is in force for a name from now on. Raises StoreError."""
        before = self._accepted.get(name)
        if len(labels) > 1:
            return await self._accept_doubled(name, labels, before)
        held = self._held[labels[0]]
        document = held.good[name]
        own = self._faults_of(held, document)
        found = Accepted(
            document,
            0,
            (*((held.trouble,) if held.trouble else ()), *own),
            refused=own[0] if own else "",
            source_trouble=held.trouble,
            label=labels[0],
        )
        if before is not None and (before.label, before.document) == (labels[0], document):
            return replace(found, generation=before.generation)
        generation = await self._store.put_document(document, actor=ACTOR, origin=_origin(labels[0]))
        if before is None or before.generation != generation:
            log.info("document accepted", extra={"cluster": name, "generation": generation, "source": document.source})
        return replace(found, generation=generation)

    async def _accept_doubled(self, name: str, labels: Sequence[str], before: Accepted | None) -> Accepted | None:
        """A name that several sources hold: what was in force stays. Raises StoreError."""
        where = " and ".join(self._held[label].good[name].source for label in labels)
        problem = f"{name} is in two sources, {where}; remove it from one of them"
        for label in labels:
            self._doubled[label][name] = problem
        if before is None:
            before = await self._recorded(name, labels)
        return None if before is None else replace(before, problems=(problem,), refused=problem, source_trouble="")

    async def _recorded(self, name: str, labels: Sequence[str]) -> Accepted | None:
        """What was in force when we last ran, if one of these sources gave it; None: nothing is. Raises StoreError."""
        for row in await self._store.documents():
            if row["cluster"] == name:
                for label in labels:
                    if row.get("origin", FILES_ORIGIN) == _origin(label):
                        document = self._revived(row)
                        return None if document is None else Accepted(document, row["generation"], label=label)
        return None

    def _faults_of(self, held: _Held, document: Document) -> tuple[str, ...]:
        """What a newer document of a cluster is refused for."""
        own = tuple(str(problem) for problem in held.problems if problem.source == _file(document))
        if not own and document.cluster.name in held.broken:
            own = tuple(str(problem) for problem in held.problems)
        return own

    async def _unmanage(self, name: str) -> bool:
        accepted = self._accepted[name]
        who = next((held.others[name] for held in self._held.values() if name in held.others), None)
        why = f"{accepted.document.source} is gone"
        if who is not None:
            why = f"{f'the controller {who}' if who else 'a controller without a name'} looks after it (spec.managedBy)"
        try:
            await self._store.unmanage(name, why=why, origin=_origin(accepted.label))
            if who is not None and accepted.label == API_LABEL:
                # The record keeps it for the other one, and would say nothing by itself.
                await self._store.record(EventKind.DOCUMENT_VANISHED, name, f"unmanaged: {why}; nothing is torn down")
        except StoreError as error:
            log.error("cannot record that a document vanished", extra={"cluster": name, "error": str(error)})
            return False
        log.warning("unmanaged, nothing is torn down", extra={"cluster": name, "why": why})
        del self._accepted[name]
        return True

    async def _record_refused(self) -> bool:
        """Record refused documents, once each; False when the record cannot be written."""
        for label, held in self._held.items():
            now = {str(problem): self._cluster_of(held, problem) for problem in held.problems}
            now |= {problem: name for name, problem in self._doubled[label].items()}
            # What two sources have in common is recorded once.
            known = frozenset[str]().union(*self._refused.values())
            for text in sorted(now.keys() - known):
                cluster = now[text]
                log.error("document refused", extra={"cluster": cluster, "source": label, "problem": text})
                try:
                    await self._store.record(EventKind.DOCUMENT_REFUSED, cluster, text)
                except StoreError as error:
                    log.error("cannot record a refused document", extra={"error": str(error)})
                    return False
            self._refused[label] = frozenset(now)
        return True

    def _cluster_of(self, held: _Held, problem: Problem) -> str:
        """The cluster a problem is about; empty when nobody can tell."""
        names = [name for name, document in held.good.items() if _file(document) == problem.source]
        return names[0] if len(names) == 1 else ""


def _origin(label: str) -> str:
    """What the record calls the source."""
    return API_ORIGIN if label == API_LABEL else label


def _file(document: Document) -> str:
    return _file_of(document.source)


def _file_of(source: str) -> str:
    """The file of a document, without the number of a later document in it."""
    file, hash_mark, number = source.rpartition("#")
    return file if hash_mark and number.isdigit() else source
