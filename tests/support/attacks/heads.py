"""Lines of a request and of its head: smuggling, paths, methods, protocols of others."""

from __future__ import annotations

from support.api.service import CLUSTERS, LEASES
from support.attacks.attack import Attack, short
from support.attacks.daemon import Daemon

HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"
#: A second request that a front-end would have taken for a body: it must not be answered on its own.
HIDDEN = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
#: The head is not understood, or the connection ends: both are right.
REFUSED = ("400", "cut off")


def _raw(name: str, sent: bytes, *expected: str) -> Attack:
    async def play(daemon: Daemon) -> str:
        return await daemon.raw(sent)

    return Attack(name, short(sent), expected or REFUSED, play)


def _head(name: str, lines: bytes, *expected: str) -> Attack:
    """Lines in the head of a request for what everybody may see."""
    return _raw(name, b"GET /version HTTP/1.1\r\n" + HOST + CLOSE + lines + b"\r\n", *expected)


def _post(name: str, lines: bytes, body: bytes, *expected: str) -> Attack:
    """Nobody may post there without a name: at most one answer, and what hides in the body is none."""
    head = b"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews HTTP/1.1\r\n" + HOST
    return _raw(name, head + lines + b"\r\n" + body, *(expected or ("400", "401", "401 400", "cut off")))


def _line(name: str, line: bytes, *expected: str) -> Attack:
    return _raw(name, line + b"\r\n" + HOST + CLOSE + b"\r\n", *expected)


SMUGGLED = [
    _post("length and chunks", b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    _post("chunks and length", b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", b"0\r\n\r\nX" + HIDDEN),
    _post("two lengths", b"Content-Length: 0\r\nContent-Length: 44\r\n", HIDDEN),
    _post("a list of lengths", b"Content-Length: 0, 44\r\n", HIDDEN),
    _post("a length with a sign", b"Content-Length: +44\r\n", HIDDEN),
    _post("a negative length", b"Content-Length: -1\r\n", HIDDEN),
    _post("a length in hexadecimal", b"Content-Length: 0x2c\r\n", HIDDEN),
    _post("a length in other digits", "Content-Length: ٤٤\r\n".encode(), HIDDEN),
    _post("a length beyond 64 bits", b"Content-Length: 18446744073709551660\r\n", HIDDEN, "400", "401", "413",
          "cut off"),
    _post("a space before the colon", b"Content-Length : 44\r\n", HIDDEN),
    _post("a folded header", b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    _post("an unknown coding", b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + HIDDEN),
    _post("chunked twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN),
    _post("chunked, then identity", b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n" + HIDDEN),
    _post("a vertical tab before chunked", b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n" + HIDDEN),
    _post("a chunk's size beyond 64 bits", b"Transfer-Encoding: chunked\r\n", b"10000000000000000A\r\n" + HIDDEN),
    _post("a chunk's size with a sign", b"Transfer-Encoding: chunked\r\n", b"-1\r\n" + HIDDEN),
    _post("a long chunk extension", CLOSE + b"Transfer-Encoding: chunked\r\n",
          b"1;" + b"a" * 100_000 + b"\r\nx\r\n0\r\n\r\n"),
    _post("no end of a chunk", b"Transfer-Encoding: chunked\r\n", b"1\r\nxGARBAGE" + HIDDEN),
]  # fmt: skip

HEADS = [
    _head("a header of 100 KB", b"X: " + b"a" * 100_000 + b"\r\n", *REFUSED, "431"),
    _head("50,000 headers", b"X: a\r\n" * 50_000, *REFUSED, "431"),
    _head("a header without a colon", b"nonsense\r\n"),
    _head("a header without a name", b": x\r\n"),
    _head("NUL in a header", b"X: a\x00b\r\n"),
    _head("a bare carriage return", b"X: a\rSet-Cookie: b\r\n"),
    _head("two hosts", b"Host: other\r\n", "200", *REFUSED),
    _raw("no host", b"GET /version HTTP/1.1\r\n" + CLOSE + b"\r\n", "200", *REFUSED),
    _raw("the host of somebody else", b"GET /tokens HTTP/1.1\r\nHost: evil.example\r\n" + CLOSE + b"\r\n", "401"),
    _head("a range", b"Range: bytes=0-0,1-1,2-2\r\n", "200"),
    _head("an upgrade to WebSocket", b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n",
          "200", *REFUSED),
    _head("an upgrade to HTTP/2", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
          "200", *REFUSED),
    _raw("an upgrade of exec", f"GET {CLUSTERS}/nas/exec HTTP/1.1\r\n".encode() + HOST +
         b"Connection: Upgrade, close\r\nUpgrade: SPDY/3.1\r\n\r\n", "401", "404", *REFUSED),
    _head("names of a front-end proxy", b"X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n", "200"),
    _raw("a name of a front-end proxy, for tokens", b"GET /tokens HTTP/1.1\r\n" + HOST + CLOSE +
         b"X-Remote-User: admin\r\nX-Forwarded-For: 127.0.0.1\r\nX-HTTP-Method-Override: DELETE\r\n\r\n", "401"),
]  # fmt: skip

LINES = [
    _line("TRACE", b"TRACE /version HTTP/1.1", "405", *REFUSED),
    _line("TRACE of health", b"TRACE /healthz HTTP/1.1", "405", *REFUSED),
    _line("a made-up method", b"BREW /healthz HTTP/1.1", "405", *REFUSED),
    _line("CONNECT", b"CONNECT localhost:22 HTTP/1.1", "401", "404", "405", *REFUSED),
    _line("OPTIONS *", b"OPTIONS * HTTP/1.1", "401", "404", "405", *REFUSED),
    _line("a method that is none", b"G\x00T / HTTP/1.1"),
    _line("a method of 10 KB", b"G" * 10_000 + b" / HTTP/1.1", *REFUSED, "401", "404", "405"),
    _line("a path of 100 KB", b"GET /" + b"a" * 100_000 + b" HTTP/1.1", *REFUSED, "414", "431"),
    _line("another version", b"GET / HTTP/3.0"),
    _line("a version of many digits", b"GET / HTTP/1." + b"1" * 50),
    _line("no version", b"GET /version"),
    _line("an absolute address", b"GET http://169.254.169.254/latest/meta-data/ HTTP/1.1", "401", "404", *REFUSED),
    _line("an address that is none", b"GET http://[::1 HTTP/1.1", "401", "404", *REFUSED),
    _line("two slashes", b"GET //evil.example/version HTTP/1.1", "401", "404", *REFUSED),
    _raw("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"),
    _raw("1,000 empty lines", b"\r\n" * 1000 + b"GET /version HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", "200", *REFUSED),
    _raw("a shell", b"\x16\x03\x01\x02\x00; cat /etc/master.passwd\n"),
]


def _path(name: str, path: str, *expected: str, role: str = "admin") -> Attack:
    async def play(daemon: Daemon) -> str:
        status, headers, content = await daemon.ask("GET", path, role=role)
        if "injected" in headers or b"root:" in content or b"not-for-strangers" in content:
            return f"{status} and it worked"
        return str(status)

    return Attack(name, f"GET {path[:80]}", expected, play)


#: With an admin's token: what even who may do everything must not reach by names.
PATHS = [
    _path("up and out", "/../../../../etc/passwd", "404", "400"),
    _path("up and out, encoded", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "404", "400"),
    _path("up and out in a name", f"{CLUSTERS}/..%2f..%2f..%2fetc%2fpasswd", "404", "400"),
    _path("up and out, encoded twice", f"{CLUSTERS}/%252e%252e%252fsecrets%252ffiles.carp", "404", "400"),
    _path("overlong UTF-8", f"{CLUSTERS}/%c0%ae%c0%ae%c0%afsecrets", "404", "400"),
    _path("a slash in a namespace", "/apis/hactl.dev/v1alpha1/namespaces/default%2fhaclusters/x", "404", "400"),
    _path("a back slash", f"{CLUSTERS}/..%5c..%5csecrets", "404", "400"),
    _path("NUL in a name", f"{CLUSTERS}/nas%00.yaml", "404", "400"),
    _path("a look-alike of a name", f"{CLUSTERS}/n%D0%B0s", "404", "400"),
    _path("a full-width name", f"{CLUSTERS}/%EF%BD%8E%EF%BD%81%EF%BD%93", "404", "400"),
    _path("a name turned around", f"{CLUSTERS}/%E2%80%AEsan", "404", "400"),
    _path("another answer in a name", f"{CLUSTERS}/x%0d%0aInjected:%20yes%0d%0a%0d%0aHTTP/1.1%20200%20OK", "404",
          "400"),
    _path("another answer in a query", "/version?a=%0d%0aInjected:%20yes", "200"),
    _path("another answer in a group", "/clusters/nas/active?group=%0d%0aInjected:%20yes", "400", "404", "503"),
    _path("a name of 7,000 letters", f"{CLUSTERS}/" + "a" * 7000, "404", "400"),
    _path("a token in the address", f"{LEASES}?access_token=x&token=x", "401", role=""),
    _path("somebody's name in the address", "/tokens?user=admin", "401", role=""),
    _path("a dot for the record", "/.%2fhactl.db", "404", "400"),
]  # fmt: skip

ALL = [*SMUGGLED, *HEADS, *LINES, *PATHS]
