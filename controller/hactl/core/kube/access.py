"""Who may do what: the least role for every verb on every resource, as one table.

Rules: roles only grow (`viewer < operator < editor < admin`), so one role a cell says it all; what is not in the table
nobody may do, an admin neither. Verbs are Kubernetes': a watch is a verb of its own, a POST is `create`. What has no
place in Kubernetes (tokens, the event stream, metrics, the nudge, answers for load balancers) is a resource here too.
"""

from __future__ import annotations

from collections.abc import Mapping

#: From least to most; each may do what the ones before may. None (nobody knows who asks) is below all.
ROLES: tuple[str, ...] = ("viewer", "operator", "editor", "admin")

#: Everyone, without a name: the table's word for it.
ANYONE = ""
#: Any verb, any resource (`kubectl auth can-i '*' '*'`).
ALL = "*"


def _verbs(role: str, *verbs: str) -> dict[str, str]:
    return dict.fromkeys(verbs, role)


_READ = _verbs("viewer", "get", "list", "watch")

#: (resource, subresource) -> verb -> the least role that may.
LEAST: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("haclusters", ""): _READ | _verbs("editor", "create", "update", "patch", "delete", "deletecollection"),
    # Written by hactl itself only, from what it sees on the nodes.
    ("haclusters", "status"): _verbs("viewer", "get"),
    ("haoperations", ""): _READ | _verbs("operator", "create", "update", "patch", "delete", "deletecollection"),
    ("events", ""): _READ,
    ("namespaces", ""): _READ,
    ("leases", ""): _READ | _verbs("editor", "create", "update", "patch", "delete", "deletecollection"),
    ("selfsubjectaccessreviews", ""): _verbs("viewer", "create"),
    ("selfsubjectrulesreviews", ""): _verbs("viewer", "create"),
    ("selfsubjectreviews", ""): _verbs("viewer", "create"),
    # Paths that Kubernetes does not have.
    ("tokens", ""): _verbs("admin", "get", "list", "create", "delete"),
    ("stream", ""): _verbs("viewer", "get", "watch"),
    ("metrics", ""): _verbs("viewer", "get"),
    ("clusters", "active"): _verbs("viewer", "get"),
    ("clusters", "role"): _verbs("viewer", "get"),
    # A hint to look again, at most a load: but whoever asks hactl to do something is an operator.
    ("nudge", ""): _verbs("viewer", "create"),
    # /api, /apis, /openapi: what there is; /healthz, /livez, /readyz, /version: whether and what runs.
    ("discovery", ""): _verbs("viewer", "get"),
    ("health", ""): _verbs(ANYONE, "get"),
    ("version", ""): _verbs(ANYONE, "get"),
}


def least(verb: str, resource: str, subresource: str = "") -> str | None:
    """The least role that may do that; ANYONE: nobody has to say who they are; None: nobody may."""
    return LEAST.get((resource, subresource), {}).get(verb)


def allowed(role: str | None, verb: str, resource: str, subresource: str = "") -> bool:
    """Whether that role may do that; `role` None: nobody knows who asks. `*` as verb or resource: all of them."""
    if resource == ALL:
        return all(_every(role, verb, cells) for cells in LEAST.values())
    return _every(role, verb, LEAST.get((resource, subresource), {}))


def all_allowed(role: str | None) -> dict[tuple[str, str], list[str]]:
    """(resource, subresource) -> the verbs that role may use there; what it may not touch at all is left out."""
    found = {place: [verb for verb in cells if _reaches(role, cells[verb])] for place, cells in LEAST.items()}
    return {place: verbs for place, verbs in found.items() if verbs}


def _every(role: str | None, verb: str, cells: Mapping[str, str]) -> bool:
    """Whether the role may use the verb there; for `*` every verb that exists there."""
    if verb == ALL:
        return bool(cells) and all(_reaches(role, needed) for needed in cells.values())
    return verb in cells and _reaches(role, cells[verb])


def _reaches(role: str | None, needed: str) -> bool:
    if needed == ANYONE:
        return True
    return role in ROLES and ROLES.index(role) >= ROLES.index(needed)


def refusal(actor: str, role: str | None, verb: str, resource: str, subresource: str = "") -> str:
    """Why not, for the message of a 403: who, what, and which role would do."""
    what = f"{resource}/{subresource}" if subresource else resource
    needed = least(verb, resource, subresource)
    who = f"{actor} has the role {role}" if role else f"{actor} has no role"
    takes = f"it takes the role {needed}" if needed else "nobody can"
    return f"{who} and cannot {verb} {what}; {takes}"
