"""Reading through the API: lists, pages, selectors, forms, discovery, and who sees what."""

from __future__ import annotations

import json

import pytest
from ruamel.yaml import YAML

from hactl.api.workers import INLINE_OBJECTS
from hactl.core.kube.access import LEAST
from support.api.service import CLUSTERS, EVENTS, LEASES, MERGE, PARTIAL, ROLES, TABLE, asking, document, lease


async def test_what_was_made_is_read() -> None:
    """Get and list give the object that was created, and the list's revision is at least the object's."""
    async with asking() as ada:
        made = await ada.ok("POST", CLUSTERS, document())
        assert await ada.ok("GET", f"{CLUSTERS}/nas") == made
        listed = await ada.ok("GET", CLUSTERS)
        assert (listed["kind"], listed["items"]) == ("HAClusterList", [made])
        assert int(listed["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])
        everywhere = await ada.ok("GET", "/apis/hactl.dev/v1alpha1/haclusters")
        assert everywhere["items"] == [made]


async def test_pages_show_the_state_of_the_first_one() -> None:
    """With limit and continue every object of the moment of the first page is seen once, whatever changes meanwhile."""
    async with asking() as ada:
        for number in range(7):
            await ada.ok("POST", LEASES, lease(f"l{number}"))
        first = await ada.ok("GET", LEASES, limit="3")
        assert first["metadata"]["remainingItemCount"] == 4
        await ada.ok("DELETE", f"{LEASES}/l4")
        await ada.ok("POST", LEASES, lease("l33"))
        await ada.ok("PATCH", f"{LEASES}/l5", {"spec": {"holderIdentity": "you"}}, kind="application/merge-patch+json")
        names = [item["metadata"]["name"] for item in first["items"]]
        token = first["metadata"]["continue"]
        holders = {}
        while token:
            page = await ada.ok("GET", LEASES, limit="3", **{"continue": token})
            assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
            names += [item["metadata"]["name"] for item in page["items"]]
            holders |= {item["metadata"]["name"]: item["spec"]["holderIdentity"] for item in page["items"]}
            token = page["metadata"].get("continue")
        assert names == [f"l{number}" for number in range(7)]
        assert holders["l5"] == "me"
        assert await ada.names(LEASES) == ["l0", "l1", "l2", "l3", "l33", "l5", "l6"]


@pytest.mark.parametrize("token", ["nonsense", "e30", "eyJ2IjoxfQ", "%%%", "W10", "eyJ2IjoxLCJyZXNvdXJjZSI6ImhhIn0"])
async def test_a_token_nobody_gave_is_refused(token: str) -> None:
    """A continue token that is not ours is 400, never an error of ours."""
    async with asking() as ada:
        await ada.refused(400, "GET", LEASES, limit="3", **{"continue": token})


async def test_versions_of_a_list() -> None:
    """Not older than: the newest. Exact: that state. One still to come: 504. One that is no number: 400."""
    async with asking() as ada:
        await ada.ok("POST", LEASES, lease("a"))
        old = (await ada.ok("GET", LEASES))["metadata"]["resourceVersion"]
        await ada.ok("POST", LEASES, lease("b"))
        assert await ada.names(LEASES, resourceVersion=old) == ["a", "b"]
        assert await ada.names(LEASES, resourceVersion=old, resourceVersionMatch="Exact") == ["a"]
        assert await ada.names(LEASES, resourceVersion="0") == ["a", "b"]
        told = await ada.refused(504, "GET", LEASES, resourceVersion="999999")
        assert told["reason"] == "Timeout"
        await ada.refused(400, "GET", LEASES, resourceVersion="x")
        await ada.refused(400, "GET", LEASES, resourceVersionMatch="Exact")


async def test_selectors() -> None:
    """Label and field selectors choose; a field nobody knows is refused."""
    async with asking() as ada:
        await ada.ok("POST", LEASES, lease("a", labels={"site": "x"}))
        await ada.ok("POST", LEASES, lease("b", labels={"site": "y"}))
        assert await ada.names(LEASES, labelSelector="site in (x,z)") == ["a"]
        assert await ada.names(LEASES, labelSelector="!site") == []
        assert await ada.names(LEASES, fieldSelector="metadata.name=b") == ["b"]
        await ada.refused(400, "GET", LEASES, fieldSelector="spec.holderIdentity=me")
        await ada.refused(400, "GET", LEASES, labelSelector="((")


async def test_forms() -> None:
    """A Table has columns and rows, metadata alone has no spec; a form there is not is 406."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        table = await ada.ok("GET", CLUSTERS, accept=TABLE)
        assert (table["kind"], table["rows"][0]["cells"][0]) == ("Table", "nas")
        assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
        one = await ada.ok("GET", f"{CLUSTERS}/nas", accept=TABLE, includeObject="None")
        assert "object" not in one["rows"][0]
        partial = await ada.ok("GET", CLUSTERS, accept=PARTIAL)
        assert "spec" not in partial["items"][0]
        await ada.refused(406, "GET", CLUSTERS, accept="application/vnd.kubernetes.protobuf")
        await ada.ok("GET", CLUSTERS, accept="application/vnd.kubernetes.protobuf,application/json")


async def test_namespaces() -> None:
    """There is one; elsewhere lists are empty and objects are not there."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        assert await ada.names("/api/v1/namespaces") == ["default"]
        assert await ada.names(CLUSTERS.replace("default", "other")) == []
        await ada.refused(404, "GET", CLUSTERS.replace("default", "other") + "/nas")
        told = await ada.refused(404, "POST", CLUSTERS.replace("default", "other"), document("x"))
        assert told["message"] == 'namespaces "other" not found'


async def test_events_are_about_the_cluster() -> None:
    """Events name the cluster's uid, so that describe finds them; selectors on them work."""
    async with asking() as ada:
        uid = (await ada.ok("POST", CLUSTERS, document()))["metadata"]["uid"]
        await ada.ok("POST", CLUSTERS, document("other"))
        found = await ada.ok("GET", EVENTS, fieldSelector=f"involvedObject.uid={uid},involvedObject.kind=HACluster")
        reasons = [event["reason"] for event in found["items"]]
        assert reasons == ["DocumentAccepted", "RequestAccepted"]
        assert {event["involvedObject"]["name"] for event in found["items"]} == {"nas"}
        name = found["items"][0]["metadata"]["name"]
        assert (await ada.ok("GET", f"{EVENTS}/{name}"))["reason"] == "DocumentAccepted"


@pytest.mark.parametrize(
    "path",
    ["/apis/x", "/apis/hactl.dev/v2", f"{CLUSTERS}/nas/scale", "/", "/api/v2", "/api/v1/pods", "//",
     f"{CLUSTERS}/a/b/c", "/apis/hactl.dev/v1alpha1/haclusters/nas", "/openapi/v3/apis/x/v1", "/favicon.ico"],
)  # fmt: skip
async def test_what_is_not_there_is_404(path: str) -> None:
    """Unknown paths are a Status of 404."""
    async with asking() as ada:
        told = await ada.refused(404, "GET", path)
        assert told["reason"] == "NotFound"


async def test_descriptions() -> None:
    """Discovery in both forms, OpenAPI v3 and the stub of v2, and the version are there."""
    async with asking() as ada:
        assert (await ada.ok("GET", "/apis"))["groups"][0]["name"] == "hactl.dev"
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
        aggregated = await ada.ask("GET", "/apis", accept=accept)
        assert aggregated.body["kind"] == "APIGroupDiscoveryList"
        assert "APIGroupDiscoveryList" in aggregated.content_type
        for path in (await ada.ok("GET", "/openapi/v3"))["paths"]:
            found = await ada.ask("GET", f"/openapi/v3/{path}")
            assert json.loads(found.raw or b"")["openapi"].startswith("3.")
        stub = await ada.ask("GET", "/openapi/v2")
        assert stub.raw == b"\x0a\x032.0"
        assert (await ada.ok("GET", "/version"))["major"] == "1"


async def test_nobody_sees_nothing_but_the_version() -> None:
    """Without a credential everything but the version is 401; with one that may nothing it is 403."""
    async with asking() as ada:
        nobody = ada.as_role(None, "anonymous")
        for path in (CLUSTERS, "/apis", "/openapi/v3", EVENTS, "/nothing", "/api/v1/namespaces"):
            told = await nobody.ask("GET", path)
            assert told.status == 401, path
            assert told.headers["WWW-Authenticate"] == "Bearer"
        assert (await nobody.ask("GET", "/version")).status == 200
        await ada.as_role(None, "cert:eve").refused(403, "GET", CLUSTERS)


_RESOURCES = {
    "haclusters": CLUSTERS,
    "leases": LEASES,
    "events": EVENTS,
    "haoperations": CLUSTERS.replace("haclusters", "haoperations"),
    "namespaces": "/api/v1/namespaces",
}
_REQUESTS = {
    "get": ("GET", "/x"), "list": ("GET", ""), "create": ("POST", ""), "update": ("PUT", "/x"),
    "patch": ("PATCH", "/x"), "delete": ("DELETE", "/x"), "deletecollection": ("DELETE", ""),
}  # fmt: skip


async def test_who_may_what() -> None:
    """Role x verb x resource: 403 exactly where the table of permissions says so, and the refusal is on record."""
    async with asking() as ada:
        for resource, path in _RESOURCES.items():
            for verb, (method, rest) in _REQUESTS.items():
                needed = LEAST[resource, ""].get(verb)
                for number, role in enumerate(ROLES):
                    may = needed is not None and number >= ROLES.index(needed)  # type: ignore[arg-type]
                    response = await ada.as_role(role).ask(
                        method, path + rest, {} if method in ("POST", "PUT") else None
                    )
                    if needed is None:
                        assert response.status == 405
                    else:
                        assert (response.status == 403) is not may, (resource, verb, role, response.status)
        rows = await ada.store.history({"kind": "RequestRefused"})
        assert {"actor": "bob@there", "verb": "create", "resource": "haclusters", "code": 403}.items() <= next(
            row["detail"] for row in rows if row["detail"]["resource"] == "haclusters"
        ).items()


async def test_may_i() -> None:
    """SelfSubjectAccessReview says what the table says, for names and short names of resources."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    async with asking() as ada:
        viewer = ada.as_role("viewer")
        for verb, name, may in (("list", "hac", True), ("create", "haclusters", False), ("*", "*", False)):
            asked = {"spec": {"resourceAttributes": {"verb": verb, "resource": name, "group": "hactl.dev"}}}
            assert (await viewer.ok("POST", path, asked))["status"]["allowed"] is may
        elsewhere = {"spec": {"resourceAttributes": {"verb": "list", "resource": "haclusters", "group": "apps"}}}
        assert not (await viewer.ok("POST", path, elsewhere))["status"]["allowed"]
        await viewer.refused(422, "POST", path, {"spec": {}})
        await viewer.refused(415, "POST", path, b"x", kind="text/plain")
        await viewer.refused(400, "POST", path, b"k8s\0\xff\xff", kind="application/vnd.kubernetes.protobuf")


@pytest.mark.parametrize(
    ("verb", "where", "role"),
    [
        ("get", "/tokens", "admin"), ("create", "/tokens", "admin"), ("delete", "/tokens/ci", "admin"),
        ("get", "/metrics", "viewer"), ("get", "/apis/hactl.dev", "viewer"), ("get", "/healthz", None),
        ("get", "/version", None), ("*", "*", "admin"), ("post", "/metrics", "nobody"), ("put", "/healthz", "nobody"),
        ("get", "/nothing/here", "nobody"),
    ],
)  # fmt: skip
async def test_may_i_for_a_path(verb: str, where: str, role: str | None) -> None:
    """The answer for a path that is no resource is about that path and that verb, as the path itself would answer."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked = {"spec": {"nonResourceAttributes": {"verb": verb, "path": where}}}
    async with asking() as ada:
        for number, name in enumerate(ROLES):
            status = (await ada.as_role(name).ok("POST", path, asked))["status"]
            may = role is None or (role in ROLES and number >= ROLES.index(role))  # type: ignore[arg-type]
            assert status["allowed"] is may, (name, status)


async def test_answers_in_yaml() -> None:
    """One object and a short list as people read YAML, a long list as JSON, which is YAML too; no watch."""
    async with asking() as ada:
        odd = {
            "on": "yes",
            "octal": "010",
            "time": "1:30",
            "lines": "a\nb\n",
            "bell": "\a\x7f",
            "sign": "- x: #y",
            "y": "",
        }
        await ada.ok("POST", LEASES, lease("a", annotations=odd))
        plain = await ada.ok("GET", f"{LEASES}/a")
        response = await ada.ask("GET", f"{LEASES}/a", accept="application/yaml")
        assert response.content_type == "application/yaml"
        assert response.raw is not None
        assert b"\nspec:\n  holderIdentity: me\n" in response.raw
        for version in ("1.1", "1.2"):
            reader = YAML(typ="safe", pure=True)
            reader.version = version
            assert reader.load(response.raw) == plain
        for number in range(INLINE_OBJECTS):
            await ada.ok("POST", LEASES, lease(f"l{number}"))
        long = await ada.ask("GET", LEASES, accept="application/yaml")
        assert (long.content_type, long.raw, len(long.body["items"])) == ("application/yaml", None, INLINE_OBJECTS + 1)
        patched = await ada.ask("PATCH", f"{LEASES}/a", {"spec": {}}, kind=MERGE, accept="application/yaml")
        assert patched.raw == response.raw
        await ada.refused(406, "GET", LEASES, watch="true", accept="application/yaml")
        await ada.ok("GET", LEASES, accept="application/json, application/yaml")


async def test_who_am_i_and_what_may_i() -> None:
    """SelfSubjectReview and SelfSubjectRulesReview; the rules say the same as each question alone would."""
    async with asking() as ada:
        for role in ("viewer", "operator", "editor", "admin"):
            user = ada.as_role(role)
            told = await user.ok("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
            assert told["status"]["userInfo"]["username"] == user.identity.actor
            assert f"hactl:{role}" in told["status"]["userInfo"]["groups"]
            path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
            status = (await user.ok("POST", path, {"spec": {"namespace": "default"}}))["status"]
            assert status["incomplete"] is False
            rules = {(r["apiGroups"][0], r["resources"][0]): set(r["verbs"]) for r in status["resourceRules"]}
            assert ("delete" in rules["hactl.dev", "haclusters"]) is (role in ("editor", "admin"))
            assert ("create" in rules["hactl.dev", "haoperations"]) is (role != "viewer")
            paths = {url: rule["verbs"] for rule in status["nonResourceRules"] for url in rule["nonResourceURLs"]}
            assert ("/tokens" in paths) is (role == "admin")
            assert "/healthz" in paths


async def test_a_405_says_which_methods_there_are() -> None:
    """The header Allow (RFC 9110)."""
    async with asking() as ada:
        for method, path, methods in (
            ("PUT", CLUSTERS, "GET, POST, DELETE"),
            ("POST", f"{CLUSTERS}/nas", "GET, PUT, PATCH, DELETE"),
            ("DELETE", "/api/v1/namespaces/default/events", "GET"),
            ("GET", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "POST"),
        ):
            response = await ada.ask(method, path, {})
            assert (response.status, response.headers.get("Allow")) == (405, methods), path


async def test_what_is_got_is_as_it_may_be_believed_now_and_what_was_at_a_revision_as_it_was() -> None:
    """A watch too tells what is stored: nothing in it is newer than its revision."""
    async with asking() as ada:
        await ada.ok("POST", CLUSTERS, document())
        await ada.store.put_status("nas", {"active": "nas-a", "groups": [], "conditions": []})
        ada.service.reader.as_of_now = lambda body: {**body, "status": {**body["status"], "active": "unknown"}}
        assert (await ada.ok("GET", f"{CLUSTERS}/nas"))["status"]["active"] == "unknown"
        found = await ada.ok("GET", CLUSTERS)
        assert found["items"][0]["status"]["active"] == "unknown"
        revision = found["metadata"]["resourceVersion"]
        was = await ada.ok("GET", CLUSTERS, resourceVersion=revision, resourceVersionMatch="Exact")
        assert was["items"][0]["status"]["active"] != "unknown"
