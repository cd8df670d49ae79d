"""Documents in a git repository: fetched into a bare clone, read from the newest commit without a checkout.

A commit counts as a whole: one that does not validate is refused, and the commit before stays in force, also after a
restart (the clone remembers it as `refs/hactl/good`). Symbolic links are not followed. With `verify` only commits that
git-verify-commit(1) accepts are taken. A generation names the last commit that touched its file, and that one's author.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from hactl.adapters.sources.collection import Collection, is_document_file
from hactl.adapters.sources.git_command import Git, GitFailed
from hactl.adapters.sources.text import Origin, remote_documents, whole
from hactl.adapters.yaml.documents import FileContent
from hactl.adapters.yaml.tree import MAX_BYTES
from hactl.core.document.problems import Problem, printable
from hactl.ports import Clock, SourceState

log = logging.getLogger("hactl.adapters.git")

MAX_FILES = 1000
FETCH_SECONDS = 120.0
POLL_SECONDS = 30.0
POLL_LIMIT_SECONDS = 300.0
HEAD, GOOD = "refs/hactl/head", "refs/hactl/good"


@dataclass(frozen=True, slots=True)
class GitPlace:
    """What to follow: `path` is a file or a directory of the repository, "" its top."""

    url: str
    ref: str = "HEAD"
    path: str = ""
    verify: bool = False

    @property
    def label(self) -> str:
        """How it is written on the command line, without its options."""
        return f"git:{self.url}#{self.ref}" + (f":{self.path}" if self.path else "")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a tree."""

    mode: str
    type: str
    id: str
    size: int
    path: str


@dataclass(slots=True)
class _Commit:
    """What a commit holds."""

    id: str
    author: str
    at: str
    collection: Collection = field(default_factory=Collection)
    #: Why it is not taken: its files have problems, or it is not signed ...
    refused: str = ""

    @property
    def named(self) -> str:
        """For people."""
        return f"{self.id[:12]} ({self.author}, {self.at})"


class _Refused(Exception):
    """A commit that is not taken, and why. Never leaves this module."""


class GitSource:
    """`hactl.ports.Source` over one ref of one repository."""

    def __init__(
        self,
        place: GitPlace,
        clock: Clock,
        *,
        state_directory: Path,
        secrets_directory: Path,
        poll_seconds: float = POLL_SECONDS,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        """The clone is made below `state_directory`; references of documents start in `secrets_directory`."""
        self._place = place
        self._clock = clock
        self._secrets = str(secrets_directory)
        # A repository of its own for each place: what is good at one path says nothing about another.
        name = hashlib.sha256(place.label.encode()).hexdigest()[:24]
        self._git = Git(state_directory / "git" / f"{name}.git")
        self._poll_seconds = poll_seconds
        self._fetch_seconds = fetch_seconds
        self._lock = asyncio.Lock()
        self._prepared = False
        self._good: _Commit | None = None
        self._refused: _Commit | None = None
        self._origins: dict[tuple[str, str], Origin] = {}
        self._failures = 0

    async def read(self) -> SourceState:
        """Fetch, and judge the newest commit if it is new. Never raises for what is in the repository."""
        async with self._lock:
            try:
                if not self._prepared:
                    await self._git.prepare()
                    self._prepared = True
                    await self._recall()
            except GitFailed as error:
                return SourceState({}, (), down=str(error))
            try:
                newest = await self._fetch()
            except GitFailed as error:
                self._failures += 1
                return self._state(f"cannot be fetched: {error}")
            self._failures = 0
            try:
                await self._take(newest)
            except GitFailed as error:
                return self._state(f"commit {newest[:12]} cannot be read: {error}")
            return self._state("")

    async def changes(self) -> AsyncIterator[None]:
        """Yields when it is time to fetch again; more rarely while that fails."""
        while True:
            seconds = min(self._poll_seconds * 2 ** min(self._failures, 10), POLL_LIMIT_SECONDS)
            await self._clock.sleep(max(seconds, self._poll_seconds))
            yield None

    # -- commits --------------------------------------------------------------------------------------------------

    async def _fetch(self) -> str:
        """The newest commit of the ref, which is in the clone now. Raises GitFailed."""
        await self._git.run(
            "fetch", "--quiet", "--force", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
            "--", self._place.url, f"+{self._place.ref}:{HEAD}",
            timeout_seconds=self._fetch_seconds,
        )  # fmt: skip
        return await self._commit_of(HEAD)

    async def _commit_of(self, name: str) -> str:
        return await self._git.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")

    async def _recall(self) -> None:
        """The commit that was in force when we last ran, if it still holds what is asked of a commit now."""
        try:
            commit = await self._commit_of(GOOD)
        except GitFailed:
            return
        found = await self._judge(commit)
        if found.refused:
            log.error("the commit in force is no longer valid", extra={"commit": found.named, "why": found.refused})
        else:
            self._good = found

    async def _take(self, newest: str) -> None:
        """Make the newest commit the good one, or remember why not. Raises GitFailed."""
        if self._good is not None and self._good.id == newest:
            self._refused = None
            return
        if self._refused is not None and self._refused.id == newest:
            return
        found = await self._judge(newest)
        if found.refused:
            self._refused = found
            return
        if self._good is not None and not await self._descends(newest, self._good.id):
            log.warning(
                "history was rewritten", extra={"source": self._place.label, "from": self._good.id, "to": newest}
            )
        await self._git.run("update-ref", GOOD, newest)
        self._good, self._refused = found, None

    async def _descends(self, newest: str, before: str) -> bool:
        try:
            await self._git.run("merge-base", "--is-ancestor", before, newest)
        except GitFailed:
            return False
        return True

    async def _judge(self, commit: str) -> _Commit:
        """Everything about a commit. Raises GitFailed when git cannot tell."""
        author, at = (await self._git.text("show", "--no-patch", "--format=%an <%ae>%x00%cI", commit)).split("\0")[:2]
        found = _Commit(commit, printable(author), _utc(at))
        try:
            if self._place.verify:
                await self._verify(commit)
            for content in await self._contents(commit):
                found.collection.add(content)
        except _Refused as error:
            found.refused = str(error)
            return found
        problems = len(set(found.collection.problems))
        if problems:
            found.refused = f"its documents have {problems} problem{'s' if problems != 1 else ''}"
        return found

    async def _verify(self, commit: str) -> None:
        try:
            await self._git.run("verify-commit", commit)
        except GitFailed as error:
            raise _Refused(f"git verify-commit does not accept it: {error}") from None

    # -- files ----------------------------------------------------------------------------------------------------

    async def _contents(self, commit: str) -> list[FileContent]:
        entries = await self._entries(commit)
        contents = [self._misplaced(entries)]
        good = [entry for entry in entries if self._wrong(entry) is None]
        for entry, blob in zip(good, await self._blobs(good), strict=True):
            origin = await self._origin(commit, entry)
            contents.append(
                remote_documents(blob, source=self._name(entry.path), directory=self._secrets, origin=origin)
            )
        return contents

    def _misplaced(self, entries: Iterable[_Entry]) -> FileContent:
        """What is wrong with the files as such."""
        wrong: list[Problem] = []
        for entry in entries:
            why = self._wrong(entry)
            if why is not None:
                wrong.append(whole(self._name(entry.path), why))
        return FileContent(problems=tuple(wrong))

    def _name(self, path: str) -> str:
        """A file, for people: as a source it would be written like this."""
        return f"git:{self._place.url}#{self._place.ref}:{printable(path)}"

    def _wrong(self, entry: _Entry) -> str | None:
        if entry.mode == "120000":
            return "is a symbolic link, which is not followed; put the document there"
        if entry.size > MAX_BYTES:
            return f"the file is larger than {MAX_BYTES // 1024} KiB; split it"
        return None

    async def _entries(self, commit: str) -> list[_Entry]:
        """The document files of the commit, in order. Raises _Refused."""
        top, path = commit, self._place.path
        if path:
            found = [entry for entry in await self._tree(commit, path) if entry.path == path]
            if not found:
                raise _Refused(f"there is no {printable(path)} in it")
            if found[0].type == "blob":
                if found[0].mode == "120000":
                    raise _Refused(f"{printable(path)} is a symbolic link, which is not followed")
                return found
            if found[0].type != "tree":
                raise _Refused(f"{printable(path)} is neither a file nor a directory of this repository")
            top = found[0].id
        entries = [entry for entry in await self._tree(top) if _is_document(entry)]
        if not entries:
            raise _Refused(f"there is no *.yaml file in {printable(path) or 'its top directory'}")
        if len(entries) > MAX_FILES:
            raise _Refused(f"it has {len(entries)} documents; at most {MAX_FILES} are read")
        prefix = f"{path}/" if path else ""
        return [_Entry(each.mode, each.type, each.id, each.size, prefix + each.path) for each in entries]

    async def _tree(self, tree: str, *paths: str) -> list[_Entry]:
        output = await self._git.run("ls-tree", "-z", "-l", "--full-tree", tree, *paths)
        entries = []
        for line in output.split(b"\0"):
            if line:
                about, _, name = line.partition(b"\t")
                mode, kind, identity, size = about.decode().split()
                number = int(size) if size.isdecimal() else 0
                entries.append(_Entry(mode, kind, identity, number, name.decode(errors="surrogateescape")))
        return sorted(entries, key=lambda entry: entry.path)

    async def _blobs(self, entries: list[_Entry]) -> list[bytes]:
        if not entries:
            return []
        wanted = "".join(f"{entry.id}\n" for entry in entries).encode()
        output = await self._git.run("cat-file", "--batch", stdin=wanted)
        blobs, at = [], 0
        for entry in entries:
            header, _, _ = output[at:].partition(b"\n")
            words = header.split()
            if len(words) != 3 or words[0].decode() != entry.id:
                raise GitFailed(f"{printable(entry.path)} is not in the clone")
            start = at + len(header) + 1
            end = start + int(words[2])
            blobs.append(output[start:end])
            at = end + 1
        return blobs

    async def _origin(self, commit: str, entry: _Entry) -> Origin:
        """The last commit that touched a file."""
        key = (entry.path, entry.id)
        if key not in self._origins:
            line = await self._git.text("log", "-1", "--format=%H%x00%an <%ae>%x00%cI", commit, "--", entry.path)
            words = line.split("\0")
            if len(words) != 3:
                return Origin(commit)
            self._origins[key] = Origin(words[0], printable(words[1]), _utc(words[2]))
        return self._origins[key]

    # -- what is told ---------------------------------------------------------------------------------------------

    def _state(self, trouble: str) -> SourceState:
        good, refused = self._good, self._refused
        if good is None and refused is None:
            return SourceState({}, (), down=trouble or "nothing was fetched yet")
        troubles = [trouble] if trouble else []
        if refused is not None:
            stays = f"; commit {good.named} stays in force" if good is not None else ""
            troubles.append(f"commit {refused.named} is refused: {refused.refused}{stays}")
        problems = tuple(sorted(set(refused.collection.problems))) if refused is not None else ()
        if good is not None:
            documents = good.collection.documents
            return SourceState(documents, problems, trouble="; ".join(troubles), certain=True)
        assert refused is not None
        if not problems:
            # Nothing of it can be looked at, so nothing is known to be gone.
            return SourceState({}, (), down="; ".join(troubles))
        names = frozenset(refused.collection.documents) | refused.collection.broken
        return SourceState({}, problems, names, trouble="; ".join(troubles))


def _is_document(entry: _Entry) -> bool:
    return entry.type == "blob" and is_document_file(PurePosixPath(entry.path).name)


def _utc(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
