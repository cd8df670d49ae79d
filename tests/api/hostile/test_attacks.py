"""What strangers and clients can send to hurt: each is answered with a Status below 500, soon, without a trace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hactl.api.http import server as serving
from hactl.api.request.payload import MAX_DEPTH
from support.api.served import ADMIN, VIEWER, a_site
from support.api.service import CLUSTERS, LEASES, OPERATIONS, asking, document, lease
from support.limits import LIMIT_SECONDS

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def nested(depth: int) -> bytes:
    """Lists in lists."""
    return b"[" * depth + b"]" * depth


BODIES = {
    "deep": nested(20_000),
    "just too deep": b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "deep and unclosed": b"[" * 30_000,
    "many values": b"[" + b"[]," * 15_000 + b"1]",
    "many keys": b"{" + b",".join(b'"%d":1' % number for number in range(2000)) + b"}",
    "a key twice": b'{"apiVersion":"v1","apiVersion":"v2"}',
    "too large a float": b'{"spec":1e999}',
    "too large an int": b'{"spec":' + b"9" * 5000 + b"}",
    "a large int": b'{"spec":' + b"9" * 30 + b"}",
    "NaN": b'{"spec":NaN}',
    "minus infinity": b'{"spec":-Infinity}',
    "half a surrogate pair": b'{"metadata":{"name":"\\ud800"}}',
    "half a pair as a key": b'{"\\udfff":1}',
    "NUL": b'{"metadata":{"name":"a\\u0000b"},"kind":"\\u0000"}',
    "NUL bytes": b"\0" * 100,
    "no UTF-8": b'{"a":"\xff\xfe"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a BOM": b"\xef\xbb\xbf{}",
    "an unclosed string": b'["' + b'\\"' * 20_000,
    "empty": b"",
    "null": b"null",
    "text": b'"x"',
    "list": b"[]",
    "nothing in it": b"{}",
    "metadata is text": b'{"metadata":"x","spec":{"type":"Drain"}}',
    "metadata is null": b'{"metadata":null,"spec":null}',
    "names that are none": b'{"metadata":{"name":{"a":1},"labels":[],"annotations":5,"finalizers":{}},"spec":[]}',
    "a token's end": b'{"name":"x","role":"viewer","expiresAt":"9999-12-31T23:59:59-23:59"}',
    "a token's beginning": b'{"name":"x","role":"viewer","expiresAt":"0001-01-01T00:00:00+23:59"}',
    "a role that is a mapping": b'{"name":"x","role":{"a":[]},"expiresAt":[]}',
    "times of an operation": b'{"metadata":{},"spec":{"type":"Pause","until":"9999-12-31T23:59:59-23:59",'
    b'"notBefore":"0001-01-01T00:00:00+23:59","cluster":"x"}}',
    "times of a lease": b'{"metadata":{"name":"l"},"spec":{"renewTime":"9999-12-31T23:59:59-23:59",'
    b'"acquireTime":"0001-01-01T00:00:00+23:59","leaseDurationSeconds":99999999999}}',
    "options of a deletion": b'{"kind":"DeleteOptions","preconditions":[],"dryRun":{},"propagationPolicy":{}}',
    "a patch": b'[{"op":"copy","from":"","path":"/a"},{"op":"move","from":"/a","path":"/a/b"},{"op":"test"}]',
    "paths of a patch": b'[{"op":"add","path":"/\\u0000/~2/-","value":1},{"op":"remove","path":"nothing"}]',
    "owners of fields": b'{"metadata":{"managedFields":[{"manager":1,"fieldsV1":{"v:[[[[":{},"k:{":{},"i:x":{}}}]}}',
    "deep YAML": b"a: " + b"[" * 100,
    "much YAML": b"a: b\n" * 30_000,
    "deep YAML, a level a line": b"".join(b" " * level + b"a:\n" for level in range(200)),
    "YAML": b"a: &a [x, x]\nb: *a\nc: .inf\nd: 1e999\ne: !!python/object:x {}\n",
}
PLACES = [
    ("POST", CLUSTERS, "application/json"),
    ("POST", CLUSTERS, "application/yaml"),
    ("PUT", f"{CLUSTERS}/nas", "application/json"),
    ("PATCH", f"{CLUSTERS}/nas", "application/merge-patch+json"),
    ("PATCH", f"{CLUSTERS}/nas", "application/json-patch+json"),
    ("PATCH", f"{CLUSTERS}/nas?fieldManager=me", "application/apply-patch+yaml"),
    ("DELETE", f"{CLUSTERS}/nosuch", "application/json"),
    ("DELETE", f"{LEASES}?labelSelector=a%3Db", "application/yaml"),
    ("POST", OPERATIONS, "application/json"),
    ("POST", LEASES, "application/json"),
    ("POST", REVIEWS, "application/json"),
    ("POST", REVIEWS, "application/vnd.kubernetes.protobuf"),
    ("POST", "/tokens", "application/json"),
    ("DELETE", "/tokens/nosuch", "application/json"),
    ("POST", "/nudge", "application/json"),
    ("PATCH", f"{CLUSTERS}/nas", "text/\xff"),
]  # fmt: skip


async def test_bodies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every odd body to every path that takes one: answered below 500, with a Status, without a trace in the log."""
    async with a_site(tmp_path) as site:
        await site.ada.ok("POST", CLUSTERS, document())
        for name, body in BODIES.items():
            for method, path, kind in PLACES:
                status, found = await site.ask(method, path, body, kind=kind)
                assert status < 500, (name, method, path, kind, found)
                if status >= 400:
                    assert found["kind"] == "Status", (name, method, path, found)
        assert [record.getMessage() for record in caplog.records if record.exc_info] == []
        assert (await site.ada.ok("GET", f"{CLUSTERS}/nas"))["spec"] == document()["spec"]


HEADERS = [
    b"Authorization: Bearer \xff\xfe\xfd", b"Authorization: \xe4", b"Authorization: Bearer hactl_\xc3\xa9",
    b"Authorization: Bearer", b"Authorization: Basic YTpi", b"Authorization: Bearer " + b"x" * 7000,
    b"Authorization: Bearer a b c", b"Authorization: Negotiate \x01", b"Authorization: bearer hactl_\x7f",
    b"User-Agent: \xff\xfe", b"Accept: application/json;as=\xff;g=;v", b"Accept: " + b"a," * 3000,
    b"Content-Type: \xff", b"Last-Event-ID: \xb2", b"Last-Event-ID: " + b"9" * 5000, b"Impersonate-User: \xff",
    b"Content-Length: 18446744073709551616", b"Content-Length: 1e3", b"Transfer-Encoding: chunked, chunked",
    b"Expect: 200-maybe", b"Cookie: " + b"a=b;" * 1000, b"Host: \xff", b"X: \0",
]  # fmt: skip
QUERIES = [
    "limit=9999999999999999999999", "limit=-1", "limit=%ff", "limit=%C2%B2", "continue=" + "A" * 2000, "continue=%00",
    "continue=W1tbW1tb", "resourceVersion=1e9", "resourceVersion=99999999999999999999", "watch=2",
    "watch=1&timeoutSeconds=99999999999999999999", "watch=1&timeoutSeconds=-1", "labelSelector=" + "a," * 1000,
    "labelSelector=" + "%28" * 500, "labelSelector=a%20in%20(", "fieldSelector=%00%3D%00", "fieldManager=%ff",
    "dryRun=All&dryRun=None", "fieldValidation=%F0%9F%92%A9", "includeObject=%00", "%00=%00", "=&=&&",
    "sendInitialEvents=x", "resourceVersionMatch=Exact", "after=%C2%B2", "after=99999999999999999999999999",
]  # fmt: skip


async def test_headers_and_queries(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Odd bytes where a head has them, with and without a right token, and in every query parameter."""
    async with a_site(tmp_path) as site:
        right = b"Authorization: Bearer " + ADMIN.encode()
        for path in (LEASES.encode(), b"/stream?after=0", b"/clusters/%00/active"):
            for line in HEADERS:
                head = b"GET " + path + b" HTTP/1.1\r\nConnection: close\r\n"
                more = b"" if line.startswith(b"Authorization") else b"Host: localhost\r\n" + right + b"\r\n"
                more = more or b"Host: localhost\r\n"
                found = await site.raw(head + more + line + b"\r\n\r\n")
                assert found == b"" or int(found.split()[1]) < 500, (line, found)
        for query in QUERIES:
            for path in (LEASES, f"{LEASES}/a", "/clusters/x/active", "/nosuch"):
                url = f"{path}?{query}" + ("&timeoutSeconds=1" if "watch=2" in query else "")
                status, found = await asyncio.wait_for(site.ask("GET", url), LIMIT_SECONDS)
                assert status < 500 or status == 504, (query, path, found)
        assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def test_nothing_of_a_body_is_read_before_who_asks_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """401, 403, 404, 405 and 413 are there before the body is: nothing of it is waited for or kept."""
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.0)
    async with a_site(tmp_path) as site:

        async def code(method: str, path: str, *, token: str = "", length: int = 60_000) -> int:
            who = f"Authorization: Bearer {token}\r\n" if token else ""
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{who}Content-Length: {length}"
            monkeypatch.setattr(serving, "LINGER_SECONDS", 0.1)
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(head.encode() + b"\r\n\r\n{")
            async with asyncio.timeout(LIMIT_SECONDS):
                line = await reader.readline()
            writer.close()
            return int(line.split()[1])

        assert await code("POST", CLUSTERS) == 401
        assert await code("POST", REVIEWS) == 401
        assert await code("POST", "/tokens") == 401
        assert await code("POST", "/nosuch") == 401
        assert await code("POST", CLUSTERS, token="hactl_wrong") == 401
        assert await code("POST", CLUSTERS, token=VIEWER) == 403
        assert await code("POST", "/tokens", token=VIEWER) == 403
        assert await code("POST", "/nosuch", token=ADMIN) == 404
        assert await code("PUT", CLUSTERS, token=ADMIN) == 405
        assert await code("POST", CLUSTERS, token=ADMIN, length=serving.MAX_BODY_BYTES + 1) == 413
        assert await code("POST", REVIEWS, token=VIEWER, length=serving.SMALL_BODY_BYTES + 1) == 413
        # Only who may is waited for.
        assert await code("POST", REVIEWS, token=VIEWER) == 408


async def test_a_body_without_a_length_has_the_same_limit(tmp_path: Path) -> None:
    """Chunked: as soon as there is too much of it."""
    async with a_site(tmp_path) as site:

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(1000):
                yield b" " * 1000

        headers = {"Authorization": f"Bearer {VIEWER}"}
        url = f"http://127.0.0.1:{site.port}{REVIEWS}"
        async with site.session.post(url, data=endless(), headers=headers) as answer:
            assert answer.status == 413


@pytest.mark.parametrize(
    "name", ["Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "impersonate-extra-scopes"]
)
async def test_nobody_acts_as_somebody_else(tmp_path: Path, name: str) -> None:
    """As Kubernetes without the right to impersonate: 403 whatever is asked; it does not run as who asks."""
    async with a_site(tmp_path) as site:
        for method, path in (
            ("GET", LEASES),
            ("POST", LEASES),
            ("POST", REVIEWS),
            ("GET", "/version"),
            ("GET", "/tokens"),
        ):
            body = json.dumps(lease("a")).encode() if method == "POST" else None
            status, found = await site.ask(method, path, body, **{name: "system:anonymous"})
            assert (status, found["reason"]) == (403, "Forbidden"), path
            assert "cannot impersonate" in found["message"]
            assert (await site.ask(method, path, body, token="", **{name: "ada"}))[0] == 401
        assert await site.ada.names(LEASES) == []
        row = (await site.ada.store.history({"kind": "RequestRefused"}))[0]
        assert (row["detail"]["actor"], row["detail"]["verb"]) == ("token:admin", "impersonate")


async def test_one_credential_and_a_body_that_is_waited_for(tmp_path: Path) -> None:
    """Two credentials are none, whichever is right. Who may send a body is told to go on, who may not is not."""
    async with a_site(tmp_path) as site:
        right, wrong = f"Authorization: Bearer {ADMIN}\r\n", "Authorization: Bearer hactl_wrong\r\n"
        head = f"POST {LEASES} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n"
        expecting = head + "Expect: 100-continue\r\n"
        for sent, expected in (
            (head + right + wrong, b"HTTP/1.1 401"),
            (head + wrong + right, b"HTTP/1.1 401"),
            (expecting + right, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 422"),
            (expecting, b"HTTP/1.1 401"),
        ):
            assert (await site.raw(sent.encode() + b"\r\n{}")).startswith(expected), sent


async def test_what_is_no_http(tmp_path: Path) -> None:
    """A Status, with nothing of what was sent, and no library's name."""
    async with a_site(tmp_path) as site:
        for sent in (b"GET /<script> HTTP/9.9\r\n\r\n", b"\x16\x03\x01<script>\r\n\r\n", b"GET /version\r\n\r\n"):
            found = await site.raw(sent)
            assert b" 400 " in found.partition(b"\r\n")[0]
            assert json.loads(found.partition(b"\r\n\r\n")[2])["kind"] == "Status"
            assert b"script" not in found
            assert b"Server: hactl" in found


NAMES: list[tuple[dict[str, Any], str]] = [
    ({"generateName": "a\nb-"}, "metadata.generateName"),
    ({"generateName": "\u043das-"}, "metadata.generateName"),
    ({"name": "a", "labels": {"a\nb": "c"}}, "metadata.labels"),
    ({"name": "a", "labels": {"a": "\x1b[2J"}}, "metadata.labels"),
    ({"name": "a", "labels": {"a": "x" * 64}}, "metadata.labels"),
    ({"name": "a", "annotations": {"<script>": "x"}}, "metadata.annotations"),
    ({"name": "a", "annotations": {f"a{number}": "x" * 30_000 for number in range(10)}}, "metadata.annotations"),
]


@pytest.mark.parametrize(("metadata", "field"), NAMES)
async def test_names_are_names(metadata: dict[str, Any], field: str) -> None:
    """As in Kubernetes; and the message has no line or escape of theirs."""
    async with asking() as ada:
        told = await ada.refused(422, "POST", LEASES, {**lease("a"), "metadata": metadata})
        assert told["details"]["causes"][0]["field"] == field
        assert told["message"].isprintable()
        good = {
            "name": "a",
            "labels": {"app.example.org/Part": "Web_1", "e": ""},
            "annotations": {"X.org/A": "any\ntext"},
        }
        await ada.ok("POST", LEASES, {**lease("a"), "metadata": good})
