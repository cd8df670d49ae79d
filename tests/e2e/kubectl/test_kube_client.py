"""A second, independent client of Kubernetes: it lists, watches, patches and applies without special cases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.client.exceptions import ApiException

from support.api.kubectl_site import Server, a_server
from support.api.service import document
from support.limits import LIMIT_SECONDS

ARGUMENTS = ("hactl.dev", "v1alpha1", "default", "haclusters")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests here."""
    with a_server(tmp_path_factory.mktemp("client")) as running:
        yield running


@pytest.fixture(scope="module")
def kubeconfig(server: Server) -> Path:
    """The file of an admin."""
    return server.kubectl().config


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[client.ApiClient]:
    """As its documentation says."""
    configuration = client.Configuration()
    await config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    async with client.ApiClient(configuration) as api:
        yield api


async def test_list_watch_patch(kubeconfig: Path) -> None:
    """From a list's revision a watch sees a creation, a patch and a deletion, and nothing else of that name."""
    async with connected(kubeconfig) as api:
        objects = client.CustomObjectsApi(api)
        listed = await objects.list_namespaced_custom_object(*ARGUMENTS)
        seen: list[tuple[str, Any]] = []

        async def follow() -> None:
            async with watch.Watch() as watching:
                stream = watching.stream(
                    objects.list_namespaced_custom_object,
                    *ARGUMENTS,
                    resource_version=listed["metadata"]["resourceVersion"],
                    field_selector="metadata.name=second",
                    timeout_seconds=30,
                )
                async for event in stream:
                    seen.append((event["type"], event["object"]["spec"]["mode"]))
                    if event["type"] == "DELETED":
                        return

        following = asyncio.ensure_future(follow())
        await objects.create_namespaced_custom_object(*ARGUMENTS, document("other"))
        made = await objects.create_namespaced_custom_object(*ARGUMENTS, document("second"))
        patched = await objects.patch_namespaced_custom_object(
            *ARGUMENTS, "second", {"spec": {"mode": "Observe"}}, _content_type="application/merge-patch+json"
        )
        assert patched["metadata"]["generation"] == made["metadata"]["generation"] + 1
        with pytest.raises(ApiException) as stale:
            await objects.replace_namespaced_custom_object(*ARGUMENTS, "second", made)
        assert stale.value.status == 409
        await objects.delete_namespaced_custom_object(*ARGUMENTS, "second")
        await asyncio.wait_for(following, LIMIT_SECONDS)
        # Statuses may come in between.
        assert [change for change in dict.fromkeys(seen) if change != ("MODIFIED", "Apply")] == [
            ("ADDED", "Apply"), ("MODIFIED", "Observe"), ("DELETED", "Observe"),
        ]  # fmt: skip
        assert (await objects.get_namespaced_custom_object(*ARGUMENTS, "other"))["metadata"]["name"] == "other"


async def test_the_typed_apis(kubeconfig: Path) -> None:
    """Core events and namespaces, leases and access reviews, through the client's own types."""
    async with connected(kubeconfig) as api:
        await client.CustomObjectsApi(api).create_namespaced_custom_object(*ARGUMENTS, document("typed"))
        events = await client.CoreV1Api(api).list_namespaced_event(
            "default", field_selector="involvedObject.name=typed", limit=500
        )
        assert events.items[0].reason == "DocumentAccepted"
        assert [each.metadata.name for each in (await client.CoreV1Api(api).list_namespace()).items] == ["default"]
        leases = client.CoordinationV1Api(api)
        wanted = client.V1Lease(
            metadata=client.V1ObjectMeta(name="leader"),
            spec=client.V1LeaseSpec(holder_identity="me", lease_duration_seconds=15),
        )
        made = await leases.create_namespaced_lease("default", wanted)
        made.spec.holder_identity = "you"
        assert (await leases.replace_namespaced_lease("leader", "default", made)).spec.holder_identity == "you"
        with pytest.raises(ApiException) as late:
            await leases.replace_namespaced_lease("leader", "default", made)
        assert late.value.status == 409
        review = client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(
                resource_attributes=client.V1ResourceAttributes(verb="create", resource="haclusters", group="hactl.dev")
            )
        )
        found = await client.AuthorizationV1Api(api).create_self_subject_access_review(review)
        assert found.status.allowed
        assert (await client.VersionApi(api).get_code()).major == "1"
        groups = await client.ApisApi(api).get_api_versions()
        assert "hactl.dev" in [group.name for group in groups.groups]
