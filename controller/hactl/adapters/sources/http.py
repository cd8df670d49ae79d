"""Documents on an HTTPS server: one file, or every *.yaml of a directory index, polled with conditional requests.

What does not answer, is cut short, too large or forbidden leaves the last good documents in force; so does a file that
the server no longer finds, because that is more often a mistake of the server than a decision. Only a file that left
an index is gone. Redirects stay on the same host and on https. Plain http only to this machine, and only when asked.
RFC 9110, 13 (conditional requests) and 15.4 (redirects).
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import json
import logging
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from hactl.adapters.http import FetchFailed, read_token, what_failed
from hactl.adapters.sources.collection import Collection, is_document_file
from hactl.adapters.sources.text import Origin, remote_documents, whole
from hactl.adapters.yaml.documents import FileContent
from hactl.adapters.yaml.tree import MAX_BYTES
from hactl.core.document.problems import printable
from hactl.ports import Clock, SourceState

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

log = logging.getLogger("hactl.adapters.http")

POLL_SECONDS = 30.0
POLL_LIMIT_SECONDS = 300.0
TOTAL_SECONDS = 30.0
CONNECT_SECONDS = 10.0
_SECRET_PARAMETER = re.compile(r"([?&][^=&#]*(?:token|sig|key|secret|pass|auth|cred)[^=&#]*=)[^&#]*", re.IGNORECASE)
MAX_REDIRECTS = 5
MAX_FILES = 1000
#: Files of an index that are fetched at once.
ABREAST = 4
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class HttpPlace:
    """What to fetch, and as whom. A URL that ends with a slash is a directory index."""

    url: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    token_file: Path | None = None
    #: Plain http is meant (to this machine only).
    plain: bool = False

    @property
    def label(self) -> str:
        """How it is written on the command line, without its options."""
        return shown_url(self.url)


@dataclass(frozen=True, slots=True)
class _Fetched:
    """One URL as it was last given."""

    url: str
    content: bytes = b""
    etag: str = ""
    modified: str = ""
    type: str = ""

    @property
    def origin(self) -> Origin:
        """The ETag as it came; without one, the digest of the content."""
        revision = self.etag or f"sha256:{hashlib.sha256(self.content).hexdigest()[:16]}"
        return Origin(printable(revision), revised_at=_http_time(self.modified))


def _http_time(text: str) -> str:
    """Last-Modified as ISO 8601; "" when it is none."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return ""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def shown_url(url: str) -> str:
    """A URL for people: what in its query looks like a secret is left out."""
    return _SECRET_PARAMETER.sub(r"\1...", printable(url))


class HttpSource:
    """`hactl.ports.Source` over one URL."""

    def __init__(
        self,
        place: HttpPlace,
        clock: Clock,
        *,
        secrets_directory: Path,
        poll_seconds: float = POLL_SECONDS,
        timeout_seconds: float = TOTAL_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """References of documents start in `secrets_directory`; a body has at most `max_bytes`."""
        self._place = place
        self._clock = clock
        self._secrets = str(secrets_directory)
        self._poll_seconds = poll_seconds
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._fetched: dict[str, _Fetched] = {}
        self._contents: dict[str, tuple[bytes, Origin, FileContent]] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._lock = asyncio.Lock()
        self._failures = 0
        #: How many files were parsed: an unchanged one is not.
        self.parsed = 0

    async def read(self) -> SourceState:
        """Ask for what changed. Never raises for what the server does."""
        async with self._lock:
            try:
                async with self._session() as session:
                    state = await self._read(session)
            except (FetchFailed, OSError, ssl.SSLError) as error:
                self._failures += 1
                return SourceState({}, (), down=str(error))
            self._failures = 0
            return state

    async def changes(self) -> AsyncIterator[None]:
        """Yields when it is time to ask again; more rarely while the server is down."""
        while True:
            seconds = min(self._poll_seconds * 2 ** min(self._failures, 10), POLL_LIMIT_SECONDS)
            await self._clock.sleep(max(seconds, self._poll_seconds))
            yield None

    # -- what is there --------------------------------------------------------------------------------------------

    async def _read(self, session: ClientSession) -> SourceState:
        if not self._place.url.endswith("/"):
            await self._fetch(session, self._place.url)
            return self._state([self._place.url], {})
        index = await self._fetch(session, self._place.url)
        urls = children(index.url, index.content, index.type)
        if len(urls) > MAX_FILES:
            raise FetchFailed(f"the index names {len(urls)} documents; at most {MAX_FILES} are read")
        limit = asyncio.Semaphore(ABREAST)
        failed: dict[str, str] = {}

        async def fetch(url: str) -> None:
            async with limit:
                try:
                    await self._fetch(session, url)
                except FetchFailed as error:
                    failed[url] = str(error)

        await asyncio.gather(*(fetch(url) for url in urls))
        if urls and len(failed) == len(urls):
            raise FetchFailed(next(iter(failed.values())))
        return self._state(urls, failed)

    def _state(self, urls: list[str], failed: dict[str, str]) -> SourceState:
        """What the files hold; one that could not be had now is broken, not gone."""
        collection = Collection()
        for url in urls:
            if url not in failed:
                content = self._content(url)
            else:
                names = self._names.get(url, frozenset())
                content = FileContent(
                    problems=(whole(shown_url(url), failed[url]),), broken=names, nameless=0 if names else 1
                )
            collection.add(content)
        for gone in self._contents.keys() - set(urls):
            del self._contents[gone]
            self._names.pop(gone, None)
            self._fetched.pop(gone, None)
        return collection.state()

    def _content(self, url: str) -> FileContent:
        fetched = self._fetched[url]
        known = self._contents.get(url)
        if known is not None and known[0] == fetched.content:
            return known[2]
        self.parsed += 1
        content = remote_documents(
            fetched.content, source=shown_url(url), directory=self._secrets, origin=fetched.origin
        )
        names = frozenset(document.cluster.name for document in content.documents)
        if content.problems:
            # A name this file held and that is not there any more may be inside what does not load.
            names |= content.broken | self._names.get(url, frozenset())
            content = replace(content, broken=names)
        self._names[url] = names
        self._contents[url] = (fetched.content, fetched.origin, content)
        return content

    # -- requests -------------------------------------------------------------------------------------------------

    def _session(self) -> ClientSession:
        import aiohttp

        timeout = aiohttp.ClientTimeout(
            total=self._timeout_seconds, sock_connect=min(CONNECT_SECONDS, self._timeout_seconds)
        )
        # No proxies, netrc or cookies of the environment: what is asked is what was written.
        return aiohttp.ClientSession(
            timeout=timeout, auto_decompress=False, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def _fetch(self, session: ClientSession, url: str) -> _Fetched:
        """The newest version of a URL, which is the known one when the server says so. Raises FetchFailed."""
        import aiohttp

        headers = {"Accept-Encoding": "identity", "User-Agent": "hactl", **await asyncio.to_thread(self._authority)}
        known = self._fetched.get(url)
        if known is not None:
            headers |= {"If-None-Match": known.etag} if known.etag else {}
            headers |= {"If-Modified-Since": known.modified} if known.modified else {}
        context = await asyncio.to_thread(self._tls)
        at = url
        try:
            for _ in range(MAX_REDIRECTS + 1):
                async with session.get(at, headers=headers, allow_redirects=False, ssl=context) as response:
                    if response.status not in _REDIRECTS:
                        self._fetched[url] = await self._received(response, at, known)
                        return self._fetched[url]
                    at = redirected(at, response.headers.get("Location", ""))
        except aiohttp.ClientPayloadError:
            raise FetchFailed(f"{shown_url(at)}: the answer was cut short") from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise FetchFailed(f"{shown_url(at)}: {what_failed(error, self._timeout_seconds)}") from None
        raise FetchFailed(f"{shown_url(url)}: more than {MAX_REDIRECTS} redirects")

    async def _received(self, response: ClientResponse, at: str, known: _Fetched | None) -> _Fetched:
        where = shown_url(at)
        if response.status == 304 and known is not None:
            return known
        if response.status != 200:
            advice = {401: "; is the token right?", 403: "; is the token right?"}.get(response.status, "")
            raise FetchFailed(
                f"{where}: the server answers {response.status} {printable(response.reason or '')}{advice}"
            )
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchFailed(f"{where}: the server compresses although it was told not to")
        if (response.content_length or 0) > self._max_bytes:
            raise FetchFailed(f"{where}: larger than {self._max_bytes // 1024} KiB")
        content = bytearray()
        async for chunk in response.content.iter_chunked(65536):
            content += chunk
            if len(content) > self._max_bytes:
                raise FetchFailed(f"{where}: larger than {self._max_bytes // 1024} KiB")
        headers = response.headers
        return _Fetched(
            at, bytes(content), headers.get("ETag", ""), headers.get("Last-Modified", ""), response.content_type
        )

    def _authority(self) -> dict[str, str]:
        """The token, read anew for each request: it may have been rotated."""
        file = self._place.token_file
        if file is None:
            return {}
        return {"Authorization": f"Bearer {read_token(file)}"}

    def _tls(self) -> ssl.SSLContext | bool:
        if self._place.plain:
            return True
        try:
            context = ssl.create_default_context(cafile=self._place.ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self._place.cert_file is not None:
                context.load_cert_chain(self._place.cert_file, self._place.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(file) for file in (self._place.ca_file, self._place.cert_file) if file is not None)
            raise FetchFailed(f"the certificates cannot be used ({printable(files)}): {error}") from None
        return context


def redirected(at: str, location: str) -> str:
    """Where a redirect leads. Raises FetchFailed when it leaves the host or https."""
    target = urlsplit(urljoin(at, location))
    here = urlsplit(at)
    same = (target.hostname, target.port, target.scheme) == (here.hostname, here.port, here.scheme)
    up = target.hostname == here.hostname and target.scheme == "https"
    if not location or not (same or up) or target.username is not None:
        raise FetchFailed(
            f"{shown_url(at)}: it redirects to {shown_url(urlunsplit(target)) or 'nowhere'}, which is another host or "
            "not https; write the URL that is meant"
        )
    return urlunsplit(target)


class _Links(HTMLParser):
    """The targets of links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def children(index: str, content: bytes, content_type: str) -> list[str]:
    """URLs of the documents that an index names: files directly below it. Raises FetchFailed when it is no index.

    Read are HTML with links, as web servers make it, and JSON as nginx's `autoindex_format json` makes it.
    """
    text = content.decode(errors="replace")
    if content_type.endswith("json"):
        try:
            names = [entry["name"] if isinstance(entry, dict) else str(entry) for entry in json.loads(text)]
        except (ValueError, TypeError, KeyError):
            raise FetchFailed(f"{shown_url(index)}: the index is not a list of files") from None
    elif content_type in ("text/html", "application/xhtml+xml"):
        links = _Links()
        links.feed(text)
        names = links.found
    else:
        raise FetchFailed(
            f"{shown_url(index)}: {printable(content_type)} is no directory index (HTML or JSON); name a document"
        )
    found: dict[str, None] = {}
    for name in names:
        url, _, _ = urljoin(index, name).partition("#")
        rest = unquote(url.removeprefix(index))
        below = url.startswith(index) and "/" not in rest and "?" not in url
        if below and rest and is_document_file(rest):
            found[url] = None
    return sorted(found)
