"""Whatever is sent, the API answers with a Status or an object, never with an error of ours, and never hangs.

What is sent follows the OpenAPI document closely enough to get past the first checks, and leaves it at random places.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hactl.api.request.wire import Request
from hactl.core.kube.openapi import index as openapi
from support.api.service import APPLY, CLUSTERS, EVENTS, JSON_PATCH, LEASES, MERGE, OPERATIONS, asking, document, lease
from support.limits import LIMIT_SECONDS

PATHS = ("", "/", "/nas", "/other", "/nas/status", "/%00", "/..", "/Ä", "/nas/x/y")
COLLECTIONS = (CLUSTERS, LEASES, OPERATIONS, EVENTS, "/api/v1/namespaces", CLUSTERS.replace("/namespaces/default", ""),
               "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")  # fmt: skip
TYPES = (
    "application/json",
    MERGE,
    JSON_PATCH,
    APPLY,
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "",
    "x",
)
ACCEPTS = ("", "application/json", "*/*", "application/json;as=Table;g=meta.k8s.io;v=v1", "application/json;as=Table",
           "text/html", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", ";;,=,")  # fmt: skip
#: Every query parameter of the OpenAPI document.
PARAMETERS = sorted({
    parameter["name"]
    for path in openapi.index()["paths"]
    for operations in (openapi.document(path) or {}).get("paths", {}).values()
    for operation in (operations, *operations.values())
    for parameter in (operation.get("parameters", ()) if isinstance(operation, dict) else ())
    if parameter.get("in") == "query"
} | {"watch", "includeObject"})  # fmt: skip
VALUES = st.sampled_from(
    ["", "0", "1", "-1", "true", "false", "All", "Strict", "Ignore", "NotOlderThan", "Exact", "x=y", "None",
     "metadata.name=nas", "a in (b,c)", "((", "9" * 30, "٣", "me", "None", "Object", "Foreground", "\x00", "eyJ2IjoxfQ"]
) | st.text(max_size=8)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
PATCH = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]),
     "path": st.sampled_from(["", "/", "/spec", "/spec/mode", "/metadata/labels/a", "/spec/nodes/0", "/spec/nodes/-",
                              "/metadata", "/kind", "/spec/nodes/99", "/a~2b", "spec"])},
    optional={"value": ANYTHING, "from": st.sampled_from(["/spec", "/metadata", "/x", ""])},
)  # fmt: skip
BASES = (document(), document("other"), lease("nas"), {
    "apiVersion": "hactl.dev/v1alpha1", "kind": "HAOperation", "metadata": {"generateName": "x-"},
    "spec": {"type": "Pause", "cluster": "nas"},
}, {"spec": {"resourceAttributes": {"verb": "get", "resource": "hac"}}},
    {"metadata": {"labels": {"a": "b"}}})  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path of some data."""
    found = [path]
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        found += _places(value[key], (*path, key))
    return found


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body that was right once, with a few places changed; or patches; or anything."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=30))
    if kind == 1:
        return json.dumps(draw(ANYTHING)).encode()
    if kind == 2:
        return json.dumps(draw(st.lists(PATCH, max_size=3))).encode()
    body = copy.deepcopy(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(_places(body)[1:] or [("a",)]))
        parent: Any = body
        for part in path[:-1]:
            parent = parent[part]
        if draw(st.booleans()):
            parent[path[-1]] = draw(ANYTHING)
        elif isinstance(parent, dict):
            parent[draw(st.text(max_size=6))] = draw(ANYTHING)
        else:
            parent.append(draw(ANYTHING))
    return json.dumps(body).encode()


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
        st.sampled_from(COLLECTIONS), st.sampled_from(PATHS),
        st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=3),
        st.sampled_from(TYPES), st.sampled_from(ACCEPTS), bodies(),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(REQUESTS)
def test_no_request_breaks_it(requests: list[Any]) -> None:
    """A few requests one after the other: each has an answer that can be sent, and the list is readable afterwards."""

    async def play() -> None:
        async with asking() as ada:
            await ada.ok("POST", CLUSTERS, document())
            for method, collection, path, query, kind, accept, body in requests:
                headers: Mapping[str, str] = {"content-type": kind, "accept": accept, "user-agent": "fuzz"}
                request = Request(method, collection + path, ada.identity, query, headers, body)
                async with asyncio.timeout(LIMIT_SECONDS):
                    response = await ada.service.handle(request)
                assert response.status < 500 or response.status == 504, (request, response.body)
                assert b"Traceback" not in json.dumps(response.body, ensure_ascii=False).encode()
                if response.status >= 400:
                    assert response.body["code"] == response.status
                if response.stream is not None:
                    await response.stream.aclose()  # type: ignore[attr-defined]
            await ada.ok("GET", CLUSTERS)
            await ada.ok("GET", LEASES)
            for row in await ada.store.documents():
                assert row["text"].strip()

    asyncio.run(play())
