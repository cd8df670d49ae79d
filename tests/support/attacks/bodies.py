"""Bodies, queries and names, from people whose role allows them to send some."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from support.api.service import APPLY, CLUSTERS, JSON_PATCH, LEASES, MERGE, OPERATIONS, document, lease
from support.attacks.attack import Attack, short
from support.attacks.daemon import Daemon

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
NAS = f"{CLUSTERS}/nas"
#: Read well and refused for what it says.
INVALID = ("400", "413", "422")


def _sent(name: str, method: str, path: str, body: bytes | Any, *expected: str, **how: Any) -> Attack:
    """`how`: role (an editor's), kind and headers, as of `Daemon.ask`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def play(daemon: Daemon) -> str:
        status, found, text = await daemon.ask(method, path, content, **{"role": "editor", **how})
        if status >= 400 and json.loads(text)["kind"] != "Status":
            return f"{status} without a Status"
        return f"{status} with another header" if "injected" in found else str(status)

    return Attack(name, f"{method} {path[:40]} {short(content)}", expected or INVALID, play)


def _asked(name: str, query: str, *expected: str, path: str = LEASES) -> Attack:
    async def play(daemon: Daemon) -> str:
        return str((await daemon.ask("GET", f"{path}?{query}", role="viewer"))[0])

    return Attack(name, f"GET ?{query[:80]}", expected or ("400",), play)


def _named(name: str, value: Any) -> Attack:
    return _sent(f"a name: {name}", "POST", LEASES, lease(value))


def _laughs() -> bytes:
    """Aliases of aliases: a billion texts, were they made."""
    lines = [b"a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 10)]
    return b"\n".join(lines)


def _with(**metadata: Any) -> dict[str, Any]:
    return lease("labelled", **metadata)


_COPIES = [{"op": "copy", "from": "/spec/groups", "path": "/spec/groups/-"} for _ in range(60)]
_SHIFTS = [{"op": "add", "path": "/spec/nodes/0", "value": {}} for _ in range(3000)]
_TESTS = [{"op": "test", "path": "/spec" + "/groups/0" * 400, "value": 1}] * 100
_FAR = "9999-12-31T23:59:59-23:59"

BODIES = [
    _sent("JSON of 100,000 levels", "POST", CLUSTERS, b"[" * 100_000),
    _sent("objects of 30,000 levels", "POST", CLUSTERS, b'{"a":' * 30_000),
    _sent("a deep patch", "PATCH", NAS, b'{"spec":' * 5000 + b"1" + b"}" * 5000, kind=MERGE),
    _sent("YAML of 50,000 levels", "PATCH", f"{NAS}?fieldManager=x", b"[" * 50_000, kind=APPLY),
    _sent("a billion laughs", "PATCH", f"{NAS}?fieldManager=x", _laughs(), kind=APPLY),
    _sent("an alias of itself", "PATCH", f"{NAS}?fieldManager=x", b"a: &a [*a]", kind=APPLY),
    _sent("merge keys", "PATCH", f"{NAS}?fieldManager=x", b"a: &a {b: c}\nspec: {<<: [*a, *a]}", kind=APPLY),
    _sent("a Python object", "PATCH", f"{NAS}?fieldManager=x", b"!!python/object/apply:os.system [id]", kind=APPLY),
    _sent("two documents", "PATCH", f"{NAS}?fieldManager=x", b"a: 1\n---\nb: 2\n", kind=APPLY),
    _sent("bad UTF-8", "POST", CLUSTERS, b'{"a":"\xff\xfe\xc0\xae"}'),
    _sent("half a surrogate pair", "POST", CLUSTERS, b'{"metadata":{"name":"\\ud83d"}}'),
    _sent("a key twice", "POST", LEASES, b'{"metadata":{"name":"a","name":"b"}}'),
    _sent("NaN", "POST", LEASES, b'{"metadata":{"name":"a"},"spec":{"leaseDurationSeconds":NaN}}'),
    _sent("1e400", "POST", LEASES, b'{"metadata":{"name":"a"},"spec":{"leaseDurationSeconds":1e400}}'),
    _sent("an integer of 100,000 digits", "POST", CLUSTERS, b'{"spec":' + b"9" * 100_000 + b"}"),
    _sent("2^64 + 1 seconds", "POST", LEASES,
          b'{"metadata":{"name":"a"},"spec":{"leaseDurationSeconds":18446744073709551617}}'),
    _sent("2^63 of an operation", "POST", OPERATIONS, {"spec": {"type": "Pause", "cluster": "nas", "reason": 2**63}}),
    _sent("a date out of range", "POST", LEASES, {"metadata": {"name": "a"}, "spec": {"renewTime": _FAR}}),
    _sent("a year of five digits", "POST", OPERATIONS,
          {"spec": {"type": "Pause", "cluster": "nas", "expiresAt": "99999-01-01T00:00:00Z"}}),
    _sent("a token until then", "POST", "/tokens", {"name": "x", "role": "viewer", "expiresAt": _FAR}, role="admin"),
    _sent("2 MB", "POST", CLUSTERS, b'{"a":"' + b"x" * 2_000_000 + b'"}'),
    _sent("50,000 values", "POST", CLUSTERS, b"[" + b"1," * 50_000 + b"1]"),
    _sent("50,000 keys", "POST", CLUSTERS, b"{" + b",".join(b'"%d":1' % n for n in range(50_000)) + b"}"),
    _sent("keys of one hash", "POST", CLUSTERS, {"spec": {f"{n * (2**61 - 1)}": 1 for n in range(4000)}}),
    _sent("10,000 nodes", "POST", CLUSTERS, {**document("many"), "spec": {"nodes": [{"name": "n"}] * 10_000}}),
    _sent("gzip", "POST", LEASES, gzip.compress(b"[" + b" " * 10_000_000), "400",
          "415", headers="Content-Encoding: gzip\r\n"),
    _sent("gzip by its type", "POST", LEASES, gzip.compress(b"{}"), "415", kind="application/gzip"),
    _sent("a form", "POST", LEASES, b"metadata.name=a", "415", kind="application/x-www-form-urlencoded"),
    _sent("parts of a form", "POST", LEASES, b"--b\r\n\r\nx\r\n--b--", "415", kind="multipart/form-data; boundary=b"),
    _sent("text", "POST", LEASES, b'{"metadata":{"name":"a"}}', "415", kind="text/plain"),
    _sent("JSON that is YAML", "POST", LEASES, b"metadata: {name: a}"),
    _sent("a type that is none", "POST", LEASES, b"{}", "415", kind="/;,=\\"),
    _sent("UTF-7", "POST", LEASES, b"+AHsAfQ-", *INVALID, "415", kind="application/json; charset=utf-7"),
    _sent("copies of copies", "PATCH", NAS, _COPIES, kind=JSON_PATCH),
    _sent("3,000 insertions", "PATCH", NAS, _SHIFTS, kind=JSON_PATCH),
    _sent("long paths of a patch", "PATCH", NAS, _TESTS, kind=JSON_PATCH),
    _sent("moves into themselves", "PATCH", NAS, [{"op": "move", "from": "/spec", "path": "/spec/a"}], kind=JSON_PATCH),
    _sent("a patch of the prototype", "PATCH", NAS, {"__proto__": {"a": 1}, "spec": {"__class__": 1}}, kind=MERGE),
    _sent("a patch of the status", "PATCH", NAS, {"status": {"conditions": []}}, "200", kind=MERGE),
    _sent("the status", "PUT", f"{NAS}/status", document(), "405"),
    _sent("a forged version", "PUT", NAS, document(resourceVersion="1"), "409"),
    _sent("a version that is none", "PUT", NAS, document(resourceVersion="1' OR '1'='1"), "400"),
    _sent("a version of 500 digits", "PUT", NAS, document(resourceVersion="9" * 500), "400"),
    _sent("a forged uid", "PUT", NAS, document(uid=["x"] * 1000, resourceVersion="1"), "409", "422", "400"),
    _sent("5,000 owners of fields", "PATCH", NAS,
          {"metadata": {"managedFields": [{"manager": "x", "operation": "Apply", "fieldsV1": {}}] * 5000}}, kind=MERGE),
    _sent("a manager of 7,000 letters", "PATCH", f"{NAS}?fieldManager={'x' * 7000}", b"spec: {}", kind=APPLY),
    _sent("a manager with a new line", "PATCH", f"{NAS}?fieldManager=a%0aInjected:%20b", b"spec: {}", kind=APPLY),
    _sent("20,000 labels", "POST", LEASES, _with(labels={f"l{n}": "x" for n in range(20_000)})),
    _sent("a label with a new line", "POST", LEASES, _with(labels={"a\nb": "c\x1b[2J"})),
    _sent("a label of 30 KB", "POST", LEASES, _with(labels={"a": "x" * 30_000})),
    _sent("annotations of 900 KB", "PATCH", NAS, {"metadata": {"annotations": {"a": "x" * 900_000}}}, kind=MERGE),
    _sent("an annotation that is a page", "POST", LEASES, _with(annotations={"<script>": "x"})),
    _sent("2,000 finalizers", "POST", LEASES, _with(finalizers=[f"a.b/{n}" for n in range(2000)])),
    _sent("1,900 owners", "POST", LEASES, _with(ownerReferences=[{"uid": "x" * 20}] * 1900)),
    _sent("a made-up name with a new line", "POST", LEASES, lease("", generateName="a\nb-")),
    _named("of 60 KB", "a" * 60_000),
    _named("with NUL", "a\0b"),
    _named("a look-alike", "n\u0430s"),
    _named("turned around", "\u202esan"),
    _named("up and out", "../../etc/passwd"),
    _named("a shell's", "$(reboot)"),
    _named("with an escape", "a\x1b]0;owned\x07"),
    _named("a mapping", {"$ne": ""}),
    _sent("a file elsewhere", "POST", CLUSTERS,
          json.dumps(document("thief")).replace("secrets/files.carp", "../hactl.db").encode()),
    _sent("a file of the machine", "POST", CLUSTERS,
          json.dumps(document("thief")).replace("secrets/files.carp", "/etc/master.passwd").encode()),
    _sent("a command in an interface", "POST", CLUSTERS,
          json.dumps(document("shell")).replace("vtnet1", "vtnet1;reboot").encode()),
    _sent("a command in a device", "POST", CLUSTERS,
          json.dumps(document("shell")).replace("/dev/vtbd1", "/dev/vtbd1 $(reboot)").encode()),
    _sent("an option in a host", "POST", CLUSTERS,
          json.dumps(document("shell")).replace("127.0.0.1", "-oProxyCommand=id").encode()),
    _sent("100 Continue for nobody", "POST", LEASES, b"{}", "401", role="", headers="Expect: 100-continue\r\n"),
    _sent("another expectation", "POST", LEASES, b"{}", "417", *INVALID, headers="Expect: 200-ok\r\n"),
]  # fmt: skip


def _forged(**token: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")


QUERIES = [
    _asked("a forged page", f"continue={_forged(v=1, resource='leases', rv=2**63, after='')}", "400", "410", "504"),
    _asked("a page of another kind", f"continue={_forged(v=1, resource='tokens', rv=1, after='')}"),
    _asked("a page before the first", f"continue={_forged(v=1, resource='leases', rv=-1, after='')}"),
    _asked("a page that is a mapping", f"continue={_forged(v=1, resource='leases', rv={}, after=[])}"),
    _asked("a deep page", "continue=" + base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")),
    _asked("a version to come", "resourceVersion=9223372036854775808&resourceVersionMatch=Exact", "400", "410", "504"),
    _asked("a version of SQL", "resourceVersion=1;DROP%20TABLE%20tokens"),
    _asked("a limit beyond 64 bits", "limit=18446744073709551617"),
    _asked("an expression without end", "labelSelector=" + "(" * 3000),
    _asked("an expression for regexes", "labelSelector=a%20in%20(" + "a" * 3000 + "!)"),
    _asked("3,000 conditions", "labelSelector=" + ",".join(["a!=b"] * 1500), "200", "400"),
    _asked("a field that is none", "fieldSelector=metadata.annotations.__class__=x"),
    _asked("many commas", "fieldSelector=" + "," * 6000, "200", "400"),
    _asked("a time without end", "watch=1&timeoutSeconds=99999999999999999999999"),
    _asked("a word of another script", "watch=%D1%82rue"),
    _asked("a page of the log", "labelSelector=%0a%1b[2J"),
]

ALL = [*BODIES, *QUERIES]
