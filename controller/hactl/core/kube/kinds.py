"""The resources the API serves, and how Kubernetes calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Every namespaced object lives here; other namespaces are empty.
NAMESPACE = "default"

#: Annotations of the Event of a step, for clients that show it: the command (of several lines only what it is about),
#: why it runs; and once it has ended how, after how many seconds, what it printed (the end of it, at most so many
#: characters), and, unless it is done, the last line of what is on record as its output.
STEP_COMMAND, STEP_WHY = "hactl.dev/command", "hactl.dev/why"
STEP_OUTCOME, STEP_SECONDS, STEP_REASON = "hactl.dev/outcome", "hactl.dev/seconds", "hactl.dev/reason"
STEP_OUTPUT, STEP_OUTPUT_CHARACTERS = "hactl.dev/output", 4096

_ALL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of one group and version."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    #: Names of subresources, each with get, patch and update.
    subresources: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """`v1`, `hactl.dev/v1alpha1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def is_custom(self) -> bool:
        """Kubernetes has no such kind: to its clients it is a custom resource, without strategic merge patches."""
        return self.group == HACLUSTERS.group

    @property
    def prefix(self) -> str:
        """The path of the group's version."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


HACLUSTERS = Resource(
    "hactl.dev", "v1alpha1", "haclusters", "hacluster", "HACluster", _ALL,
    short_names=("hac",), categories=("all", "hactl"), subresources=("status",),
)  # fmt: skip
#: What people ask for: switchovers, drains, pauses, approvals, resolutions. Their spec never changes.
HAOPERATIONS = Resource(
    "hactl.dev", "v1alpha1", "haoperations", "haoperation", "HAOperation", _ALL,
    short_names=("haop",), categories=("hactl",),
)  # fmt: skip
EVENTS = Resource("", "v1", "events", "event", "Event", ("get", "list", "watch"), short_names=("ev",))
NAMESPACES = Resource(
    "", "v1", "namespaces", "namespace", "Namespace", ("get", "list", "watch"), short_names=("ns",), namespaced=False
)
#: For leader election of another hactl (or anything else) that uses this API.
LEASES = Resource(
    "coordination.k8s.io",
    "v1",
    "leases",
    "lease",
    "Lease",
    _ALL,
)
ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview",
    ("create",), namespaced=False,
)  # fmt: skip

#: All that somebody may do, and who it is: `kubectl auth can-i --list`, `kubectl auth whoami`.
RULES_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview",
    ("create",), namespaced=False,
)  # fmt: skip
SELF_REVIEWS = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview",
    ("create",), namespaced=False,
)  # fmt: skip
#: Questions about who asks; nothing of them is stored.
REVIEWS = (ACCESS_REVIEWS, RULES_REVIEWS, SELF_REVIEWS)

RESOURCES = (HACLUSTERS, HAOPERATIONS, EVENTS, NAMESPACES, LEASES, *REVIEWS)
#: Those whose objects the store keeps whole, in its table `objects`.
STORED = (HACLUSTERS, HAOPERATIONS, LEASES)


def find(group: str, version: str, plural: str) -> Resource | None:
    """The resource of that path, or None."""
    for resource in RESOURCES:
        if (resource.group, resource.version, resource.plural) == (group, version, plural):
            return resource
    return None


def part(body: Mapping[str, Any] | None, *path: str) -> Mapping[str, Any]:
    """A part of an object; empty when it is not there or no object itself: somebody may have written anything."""
    found: Any = body
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
