"""The paths of OpenAPI v3 documents: every request the API answers, with every answer it may give.

kubectl reads from a PATCH operation whether `fieldValidation` and `dryRun` exist; the rest is for people and fuzzers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hactl.core.document.schema import Schema
from hactl.core.kube.discovery import SUBRESOURCE_VERBS
from hactl.core.kube.kinds import RESOURCES, Resource
from hactl.core.kube.openapi.schemas import (
    DELETE_OPTIONS,
    RESOURCE_LIST,
    STATUS,
    gvk,
    list_name_of,
    name_of,
    reference,
)

JSON = "application/json"
YAML = "application/yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
PATCH_TYPES = (APPLY_PATCH, JSON_PATCH, MERGE_PATCH)

#: Every refusal, by HTTP status.
REFUSALS = {
    400: "The request is not understood.",
    401: "Nobody knows who asks.",
    403: "Who asks may not.",
    404: "There is no such object.",
    405: "That cannot be done with it.",
    406: "There is no such form of it.",
    409: "It was changed meanwhile, exists already, or is kept elsewhere.",
    410: "The version asked for is no longer kept; list again.",
    413: "The request is too large.",
    415: "The body is of a type that is not taken.",
    422: "The object is not valid; the causes name every field.",
    429: "Too many requests; later.",
    503: "The record cannot be read or written now.",
    504: "That version is still to come.",
}
#: Refusals of what changes something; a reading has none of these.
_OF_WRITES = frozenset({409, 415})
_READ = tuple(code for code in REFUSALS if code not in _OF_WRITES)
_WRITE = tuple(REFUSALS)


def patch_types(resource: Resource) -> tuple[str, ...]:
    """The types of patches that are taken.

    A strategic one is answered with 415 for custom resources, as a real API server does; kubectl apply sends it
    wherever a document lists it.
    """
    return PATCH_TYPES if resource.is_custom else (*PATCH_TYPES, STRATEGIC_PATCH)


def query_parameter(name: str, description: str, kind: str = "string", **schema: object) -> Schema:
    """One parameter of the query."""
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": kind, **schema},
    }


def path_parameter(name: str, description: str) -> Schema:
    """One part of the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


_NAMESPACE = path_parameter("namespace", "The namespace; there is one, default.")
_NAME = path_parameter("name", "Name of the object.")
_PRETTY = query_parameter("pretty", "true: with indentation.")
_DRY_RUN = query_parameter("dryRun", "All: only say what would be stored.")
_MANAGER = query_parameter("fieldManager", "Who the changed fields belong to from now on.")
_VALIDATION = query_parameter(
    "fieldValidation", "Unknown and duplicate fields: Ignore, Warn (the default) or Strict (they are refused)."
)
_FORCE = query_parameter("force", "Server-side apply: take fields that others own.", "boolean")

_LIST = (
    query_parameter("labelSelector", "Only objects with these labels."),
    query_parameter("fieldSelector", "Only objects with these fields, e.g. metadata.name=nas."),
    query_parameter("limit", "At most so many; the answer says how to go on.", "integer"),
    query_parameter("continue", "Go on with a list where it stopped."),
    query_parameter("resourceVersion", "List: not older than that. Watch: what changed after it."),
    query_parameter("resourceVersionMatch", "How resourceVersion is meant: Exact or NotOlderThan."),
    query_parameter("timeoutSeconds", "A watch ends after so many seconds.", "integer"),
)
_WATCH = (
    query_parameter("watch", "Go on with every change, one a line.", "boolean"),
    query_parameter("allowWatchBookmarks", "Say now and then how far the watch is.", "boolean"),
    query_parameter("sendInitialEvents", "A watch begins with every object there is, and a bookmark.", "boolean"),
)
_DELETE = (
    _DRY_RUN,
    query_parameter("gracePeriodSeconds", "Not used: there is nothing to stop.", "integer"),
    query_parameter("orphanDependents", "Not used; see propagationPolicy.", "boolean"),
    query_parameter("propagationPolicy", "Orphan, Background or Foreground."),
)


def paths(group: str, version: str) -> Schema:
    """Every path of a group's version."""
    found: Schema = {}
    for resource in RESOURCES:
        if (resource.group, resource.version) != (group, version):
            continue
        found.setdefault(f"{resource.prefix}/", {"get": _discovery(resource)})
        found |= _paths_of(resource)
    return found


def _discovery(resource: Resource) -> Schema:
    return {
        "tags": [_tag(resource)],
        "description": "What there is.",
        "operationId": f"get{_words(resource)}APIResources",
        "responses": {"200": answered("What there is.", reference(RESOURCE_LIST)), **refusals(_READ)},
    }


def _paths_of(resource: Resource) -> Schema:
    """The paths of a resource: of all namespaces, of one, of one object, of its subresources."""
    everywhere = f"{resource.prefix}/{resource.plural}"
    collection = f"{resource.prefix}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else everywhere
    scope = [_NAMESPACE] if resource.namespaced else []
    found: Schema = {}
    if resource.namespaced and "list" in resource.verbs:
        found[everywhere] = {"get": _list(resource, "ForAllNamespaces"), "parameters": [_PRETTY]}
    methods: Schema = {}
    if "list" in resource.verbs:
        methods["get"] = _list(resource)
    if "create" in resource.verbs:
        methods["post"] = _create(resource)
    if "deletecollection" in resource.verbs:
        methods["delete"] = _delete(resource, collection=True)
    if methods:
        found[collection] = {**methods, "parameters": [*scope, _PRETTY]}
    if one := _object_methods(resource, resource.verbs):
        found[f"{collection}/{{name}}"] = {**one, "parameters": [_NAME, *scope, _PRETTY]}
    for name in resource.subresources:
        one = _object_methods(resource, SUBRESOURCE_VERBS, name)
        found[f"{collection}/{{name}}/{name}"] = {**one, "parameters": [_NAME, *scope, _PRETTY]}
    return found


def _object_methods(resource: Resource, verbs: Sequence[str], subresource: str = "") -> Schema:
    found: Schema = {}
    if "get" in verbs:
        known = [query_parameter("resourceVersion", "Not older than that.")]
        found["get"] = _one(resource, "get", "read", "The object.", known, subresource=subresource)
    if "update" in verbs:
        found["put"] = _one(
            resource, "put", "replace", "Replace the object.", [_DRY_RUN, _MANAGER, _VALIDATION],
            subresource=subresource, body=_object_body(resource),
        )  # fmt: skip
    if "delete" in verbs:
        found["delete"] = _delete(resource)
    if "patch" in verbs:
        # Any JSON: a merge patch is an object, a JSON patch a list; the schema of the whole object fits neither.
        body = {"required": True, "content": {kind: {"schema": _patch_schema(kind)} for kind in patch_types(resource)}}
        found["patch"] = _one(
            resource, "patch", "patch", "Change some fields.", [_DRY_RUN, _MANAGER, _VALIDATION, _FORCE],
            subresource=subresource, body=body,
        )  # fmt: skip
    return found


def _patch_schema(kind: str) -> Schema:
    if kind != JSON_PATCH:
        return {"type": "object", "description": "The fields to change; null removes one."}
    step = {
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"type": "string", "enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string"},
            "from": {"type": "string"},
            "value": {"description": "Any JSON value."},
        },
    }
    return {"type": "array", "items": step, "description": "Operations of RFC 6902."}


def _list(resource: Resource, where: str = "") -> Schema:
    watch = _WATCH if "watch" in resource.verbs else ()
    answer = reference(list_name_of(resource))
    name = f"list{_words(resource)}{where or _scope(resource)}"
    return _operation(
        resource, "list", name, f"Objects of kind {resource.kind}.", [*_LIST, *watch],
        {"200": answered("The list.", answer)},
    )  # fmt: skip


def _create(resource: Resource) -> Schema:
    answer = reference(name_of(resource))
    # A dry run creates nothing, but answers as if.
    answers = {str(code): answered(text, answer) for code, text in ((200, "OK"), (201, "Created"), (202, "Accepted"))}
    return _operation(
        resource, "post", f"create{_words(resource)}{_scope(resource)}", f"Make a {resource.kind}.",
        [_DRY_RUN, _MANAGER, _VALIDATION], answers, _object_body(resource),
    )  # fmt: skip


def _delete(resource: Resource, *, collection: bool = False) -> Schema:
    body = {"content": {JSON: {"schema": reference(DELETE_OPTIONS)}}}
    answer = reference(STATUS)
    if collection:
        both = {"anyOf": [reference(list_name_of(resource)), answer]}
        return _operation(
            resource, "deletecollection", f"deleteCollection{_words(resource)}{_scope(resource)}",
            f"Delete every {resource.kind} that is selected.", [*_DELETE, *_LIST],
            {"200": answered("They are gone, or going.", both)}, body,
        )  # fmt: skip
    # With finalizers the object itself is answered, with its deletionTimestamp.
    either = {"anyOf": [answer, reference(name_of(resource))]}
    answers = {"200": answered("It is gone, or going.", either), "202": answered("It is going.", either)}
    return _operation(
        resource, "delete", f"delete{_words(resource)}{_scope(resource)}", f"Delete a {resource.kind}.",
        list(_DELETE), answers, body,
    )  # fmt: skip


def _one(
    resource: Resource,
    action: str,
    verb: str,
    description: str,
    parameters: Sequence[Schema],
    *,
    subresource: str = "",
    body: Schema | None = None,
) -> Schema:
    """A request about one object that is answered with it; one that changes it may have made it."""
    answer = reference(name_of(resource))
    answers = {"200": answered("The object.", answer)}
    if body is not None:
        answers["201"] = answered("The object, which was made.", answer)
    name = f"{verb}{_words(resource)}{_scope(resource)}{subresource.capitalize()}"
    return _operation(resource, action, name, description, parameters, answers, body)


def _operation(
    resource: Resource,
    action: str,
    name: str,
    description: str,
    parameters: Sequence[Schema],
    answers: Schema,
    body: Schema | None = None,
) -> Schema:
    """What a request is and how it is answered; without a body it changes nothing."""
    return {
        "tags": [_tag(resource)],
        "description": description,
        "operationId": name,
        "parameters": list(parameters),
        **({"requestBody": body} if body is not None else {}),
        "responses": {**answers, **refusals(_READ if body is None else _WRITE)},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk(resource),
    }


def _object_body(resource: Resource) -> Schema:
    schema = {"schema": reference(name_of(resource))}
    return {"required": True, "content": {JSON: schema, YAML: schema}}


def answered(description: str, schema: Schema) -> Schema:
    """One answer in JSON."""
    return {"description": description, "content": {JSON: {"schema": schema}}}


def refusals(codes: Iterable[int]) -> Schema:
    """Answers by HTTP status that are a Status object."""
    return {str(code): answered(REFUSALS[code], reference(STATUS)) for code in sorted(codes)}


def _scope(resource: Resource) -> str:
    return "Namespaced" if resource.namespaced else ""


def _tag(resource: Resource) -> str:
    return f"{(resource.group or 'core').split('.')[0]}_{resource.version}"


def _words(resource: Resource) -> str:
    """`HactlV1alpha1HACluster`, for operation ids."""
    return f"{(resource.group or 'core').split('.')[0].capitalize()}{resource.version.capitalize()}{resource.kind}"
