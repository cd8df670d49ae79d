"""A web server as a source: real requests on loopback, with everything a server does wrong."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hactl.adapters.http import FetchFailed
from hactl.adapters.sources.http import HttpPlace, HttpSource, children, redirected
from support.api.tls_files import Authority
from support.contracts.sources import SourceContract
from support.limits import LIMIT_SECONDS
from support.sources import StillClock, document


class Shelf:
    """A web server of documents that a test arranges."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        #: Answers instead of files: path -> handler.
        self.answers: dict[str, object] = {}
        self.requests: list[tuple[str, int]] = []
        self.headers: list[dict[str, str]] = []
        self.tagged = True
        self.server = TestServer(self._app())

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        """Listen."""
        await self.server.start_server(ssl=context)

    def url(self, path: str = "") -> str:
        """A URL of it."""
        return f"{'https' if self.server.scheme == 'https' else 'http'}://127.0.0.1:{self.server.port}/{path}"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.headers.append(dict(request.headers))
        response = await self._answer(request, path)
        self.requests.append((path, response.status))
        return response

    async def _answer(self, request: web.Request, path: str) -> web.StreamResponse:
        if path in self.answers:
            return await self.answers[path](request)
        if path.endswith("/") or not path:
            links = "".join(f'<a href="{name.removeprefix(path)}">{name}</a>\n' for name in sorted(self.files))
            return web.Response(text=f'<html><a href="../">up</a>{links}</html>', content_type="text/html")
        if path not in self.files:
            raise web.HTTPNotFound
        tag = hashlib.sha256(self.files[path].encode()).hexdigest()[:8]
        if not self.tagged:
            return web.Response(text=self.files[path])
        if request.headers.get("If-None-Match") == f'"{tag}"':
            return web.Response(status=304)
        headers = {"ETag": f'"{tag}"', "Last-Modified": "Sun, 01 Nov 2026 10:00:00 GMT"}
        return web.Response(text=self.files[path], headers=headers)


@pytest.fixture
async def shelf():
    """A server on loopback, without TLS."""
    shelf = Shelf()
    await shelf.start()
    yield shelf
    await shelf.server.close()


def source_of(shelf: Shelf, path: str, tmp_path: Path, **options) -> HttpSource:
    """A source over one of its URLs."""
    place = HttpPlace(shelf.url(path), plain=shelf.server.scheme == "http")
    return HttpSource(place, StillClock(), secrets_directory=tmp_path / "secrets", **options)


class HttpWorld:
    """A directory index."""

    remote = True

    def __init__(self, shelf: Shelf, tmp_path: Path) -> None:
        self.shelf = shelf
        self.secrets = tmp_path / "secrets"
        self.source = source_of(shelf, "clusters/", tmp_path)

    async def put(self, **documents):
        """Files in the directory."""
        for name, text in documents.items():
            if text is None:
                del self.shelf.files[f"clusters/{name}.yaml"]
            else:
                self.shelf.files[f"clusters/{name}.yaml"] = text

    async def fail(self):
        """The server is broken."""

        async def answer(request):
            return web.Response(status=500, text="Traceback: ...")

        self.shelf.answers["clusters/"] = answer

    async def mend(self):
        """It works again."""
        self.shelf.answers.clear()

    async def nobody_listens(self):
        """Nobody does."""


@pytest.fixture
def world(shelf, tmp_path):
    """An empty directory on a web server."""
    return HttpWorld(shelf, tmp_path)


class TestContract(SourceContract):
    """The contract of all sources."""


async def test_one_document_with_its_etag_and_date(shelf, tmp_path):
    """They are its revision and when it was made."""
    shelf.files["nas.yaml"] = document("nas")
    found = (await source_of(shelf, "nas.yaml", tmp_path).read()).documents["nas"]
    assert found.revision == f'"{hashlib.sha256(document("nas").encode()).hexdigest()[:8]}"'
    assert found.revised_at == "2026-11-01T10:00:00Z"
    assert found.source == shelf.url("nas.yaml")


async def test_what_did_not_change_is_neither_sent_nor_parsed(shelf, tmp_path):
    """304 for the same ETag; without ETags the same bytes are not parsed again."""
    shelf.files["nas.yaml"] = document("nas")
    source = source_of(shelf, "nas.yaml", tmp_path)
    for _ in range(3):
        await source.read()
    assert [status for _, status in shelf.requests] == [200, 304, 304]
    assert source.parsed == 1
    shelf.tagged = False
    shelf.files["nas.yaml"] = document("nas", 9)
    for _ in range(3):
        state = await source.read()
    assert source.parsed == 2
    assert state.documents["nas"].revision.startswith("sha256:")


async def test_a_date_alone_is_enough_to_ask_for_what_changed(shelf, tmp_path):
    """If-Modified-Since."""

    async def answer(request):
        if request.headers.get("If-Modified-Since") == "Sun, 01 Nov 2026 10:00:00 GMT":
            return web.Response(status=304)
        return web.Response(text=document("nas"), headers={"Last-Modified": "Sun, 01 Nov 2026 10:00:00 GMT"})

    shelf.answers["nas.yaml"] = answer
    source = source_of(shelf, "nas.yaml", tmp_path)
    await source.read()
    assert "nas" in (await source.read()).documents
    assert [status for _, status in shelf.requests] == [200, 304]


async def _status_404(request):
    return web.Response(status=404)


async def _status_500(request):
    return web.Response(status=500, text="Traceback (most recent call last)")


async def _status_401(request):
    return web.Response(status=401)


async def _truncated(request):
    response = web.StreamResponse(headers={"Content-Length": "100000"})
    await response.prepare(request)
    await response.write(document("nas").encode())
    request.transport.close()
    return response


async def _too_large(request):
    return web.Response(text=document("nas") + "#" * (1024 * 1024))


async def _too_large_and_not_told(request):
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        for _ in range(40):
            await response.write(b"#" * 65536)
    except ConnectionResetError:
        return response
    return response


async def _compressed(request):
    return web.Response(body=b"\x1f\x8b...", headers={"Content-Encoding": "gzip"})


async def _slow(request):
    await asyncio.sleep(3)
    return web.Response(text=document("nas"))


async def _trickle(request):
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        for _ in range(30):
            await response.write(b"#")
            await asyncio.sleep(0.1)
    except ConnectionResetError:
        return response
    return response


async def _elsewhere(request):
    return web.Response(status=302, headers={"Location": "https://192.0.2.1/nas.yaml"})


async def _round(request):
    return web.Response(status=302, headers={"Location": "/nas.yaml"})


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (_status_404, "404"), (_status_500, "500"), (_status_401, "is the token right?"),
        (_truncated, "cut short"), (_too_large, "larger than 1024 KiB"), (_too_large_and_not_told, "larger than"),
        (_compressed, "compresses"), (_slow, "no answer within 1 s"), (_trickle, "no answer within 1 s"),
        (_elsewhere, "another host"), (_round, "more than 5 redirects"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
async def test_an_answer_that_is_none_is_an_outage(shelf, tmp_path, answer, told):
    """The reason is told, nothing of the body, and the next good answer ends it."""
    shelf.files["nas.yaml"] = document("nas")
    limit = 1.0 if "within 1 s" in told else LIMIT_SECONDS
    source = source_of(shelf, "nas.yaml", tmp_path, timeout_seconds=limit)
    good = await source.read()
    shelf.answers["nas.yaml"] = answer
    state = await source.read()
    assert state.documents == {}
    assert told in (state.down or "")
    assert "Traceback" not in (state.down or "")
    shelf.answers.clear()
    assert (await source.read()).documents == good.documents


async def test_nobody_listens(shelf, tmp_path):
    """Refused connections are an outage, and asked about more rarely."""
    source = source_of(shelf, "nas.yaml", tmp_path)
    await shelf.server.close()
    changes = source.changes()
    for _ in range(3):
        assert "Cannot connect" in ((await source.read()).down or "")
        await anext(changes)
    await changes.aclose()
    assert source._clock.slept == [60.0, 120.0, 240.0]


async def test_a_redirect_on_the_same_server_is_followed(shelf, tmp_path):
    """Relative or absolute."""

    async def answer(request):
        return web.Response(status=307, headers={"Location": "/new/nas.yaml"})

    shelf.answers["nas.yaml"] = answer
    shelf.files["new/nas.yaml"] = document("nas")
    assert "nas" in (await source_of(shelf, "nas.yaml", tmp_path).read()).documents


@pytest.mark.parametrize(
    "location",
    [
        "http://a.example/x", "https://b.example/x", "//b.example/x", "file:///etc/passwd", "",
        "https://u:p@a.example/x", "http://a.example:8080/x",
    ],
)  # fmt: skip
def test_a_redirect_does_not_leave_the_host_or_https(location):
    """Nor does it bring credentials."""
    with pytest.raises(FetchFailed, match="another host or not https"):
        redirected("https://a.example/clusters.yaml", location)


def test_a_redirect_may_go_from_http_to_https():
    """On the same host."""
    assert redirected("http://localhost/x", "https://localhost:8443/y") == "https://localhost:8443/y"


async def test_a_signature_in_a_url_is_not_repeated(shelf, tmp_path):
    """Not as the place of a document, nor in what goes wrong."""
    shelf.files["nas.yaml"] = document("nas")
    source = source_of(shelf, "nas.yaml?v=1&X-Sig=hunter2", tmp_path)
    assert (await source.read()).documents["nas"].source == shelf.url("nas.yaml?v=1&X-Sig=...")
    shelf.files.clear()
    assert "hunter2" not in ((await source.read()).down or "")


async def test_one_file_of_an_index_that_cannot_be_had_does_not_hide_the_others(shelf, tmp_path):
    """Its documents are broken, not gone."""
    shelf.files |= {"c/one.yaml": document("one"), "c/two.yaml": document("two", 8)}
    source = source_of(shelf, "c/", tmp_path)
    await source.read()
    shelf.answers["c/one.yaml"] = _status_404
    state = await source.read()
    assert set(state.documents) == {"two"}
    assert state.broken == {"one"}
    assert "404" in str(state.problems[0])


def test_an_index_names_only_documents_directly_below_it():
    """No way up, no other host, no subdirectory, no query, no hidden or other file."""
    page = b"""<a href="a.yaml">a</a> <a href='./b%20c.yml'>b</a> <a href="/c/d.yaml#x">d</a>
    <a href="../e.yaml">e</a> <a href="https://evil.example/c/f.yaml">f</a> <a href="sub/g.yaml">g</a>
    <a href="h.yaml?x=1">h</a> <a href=".i.yaml">i</a> <a href="j.txt">j</a> <a href="%2e%2e%2fk.yaml">k</a>"""
    found = children("https://a.example/c/", page, "text/html")
    assert [url.removeprefix("https://a.example/c/") for url in found] == ["a.yaml", "b%20c.yml", "d.yaml"]
    listing = b'[{"name": "a.yaml", "type": "file"}, {"name": "sub", "type": "directory"}]'
    assert children("https://a.example/c/", listing, "application/json") == ["https://a.example/c/a.yaml"]


@pytest.mark.parametrize(("content", "kind"), [(b"{}", "text/plain"), (b"{", "application/json")])
def test_what_is_no_index_is_not_taken_for_an_empty_one(content, kind):
    """It would look as if everything had been taken away."""
    with pytest.raises(FetchFailed):
        children("https://a.example/c/", content, kind)


async def test_tls_token_and_client_certificate(tmp_path):
    """Given as files; the token is read anew each time; a server of another authority gets nothing."""
    authority = Authority(tmp_path / "tls")
    server, client = authority.pair("server"), authority.pair("client")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.load_cert_chain(server.cert, server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    shelf = Shelf()
    shelf.files["nas.yaml"] = document("nas")
    await shelf.start(context)
    token = tmp_path / "token"
    token.write_text("first\n")
    try:
        place = HttpPlace(shelf.url("nas.yaml"), authority.file, client.cert, client.key, token)
        source = HttpSource(place, StillClock(), secrets_directory=tmp_path)
        assert "nas" in (await source.read()).documents
        token.write_text("second")
        await source.read()
        assert [headers["Authorization"] for headers in shelf.headers] == ["Bearer first", "Bearer second"]
        strangers = Authority(tmp_path / "other").file
        stranger = HttpSource(HttpPlace(place.url, strangers), StillClock(), secrets_directory=tmp_path)
        assert "certificate verify failed" in ((await stranger.read()).down or "")
        assert len(shelf.headers) == 2
    finally:
        await shelf.server.close()


@pytest.mark.parametrize("content", [None, "", "two words", "s3cr\u00e9t", "a\x00b"])
async def test_a_token_that_cannot_be_used_is_an_outage_that_does_not_repeat_it(shelf, tmp_path, content):
    """Nothing is sent."""
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    place = HttpPlace(shelf.url("nas.yaml"), token_file=token, plain=True)
    state = await HttpSource(place, StillClock(), secrets_directory=tmp_path).read()
    assert "token" in (state.down or "")
    assert content is None or len(content) < 3 or content not in (state.down or "")
    assert shelf.requests == []
