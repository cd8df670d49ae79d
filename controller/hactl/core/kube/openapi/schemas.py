"""The schemas of OpenAPI v3 documents: our kinds, and those of Kubernetes that they are made of.

Names are Kubernetes' (`io.k8s.api.core.v1.Event`, a group's name backwards), and every kind says which group, version
and kind it is: kubectl finds the schema of an object by that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from hactl.core.document.crd.cluster import custom_resource_definition
from hactl.core.document.crd.operation import operation_schema
from hactl.core.document.schema import Schema
from hactl.core.kube.kinds import (
    ACCESS_REVIEWS,
    EVENTS,
    HACLUSTERS,
    HAOPERATIONS,
    LEASES,
    NAMESPACES,
    RULES_REVIEWS,
    SELF_REVIEWS,
    Resource,
)

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_PREFIXES = {
    "": "io.k8s.api.core",
    "coordination.k8s.io": "io.k8s.api.coordination",
    "authorization.k8s.io": "io.k8s.api.authorization",
    "authentication.k8s.io": "io.k8s.api.authentication",
    "hactl.dev": "dev.hactl",
}

OBJECT_META = f"{_META}.ObjectMeta"
LIST_META = f"{_META}.ListMeta"
STATUS = f"{_META}.Status"
DELETE_OPTIONS = f"{_META}.DeleteOptions"
RESOURCE_LIST = f"{_META}.APIResourceList"


def name_of(resource: Resource) -> str:
    """The name of a kind's schema."""
    return f"{_PREFIXES[resource.group]}.{resource.version}.{resource.kind}"


def list_name_of(resource: Resource) -> str:
    """The name of the schema of a list of that kind."""
    return f"{name_of(resource)}List"


def reference(name: str, description: str = "") -> Schema:
    """A reference; with a description of the field beside it, as Kubernetes writes that."""
    target = {"$ref": f"#/components/schemas/{name}"}
    return {"allOf": [target], "description": description} if description else target


def gvk(resource: Resource, kind: str | None = None) -> Schema:
    """Group, version and kind, as the extension x-kubernetes-group-version-kind has it."""
    return {"group": resource.group, "version": resource.version, "kind": kind or resource.kind}


def _text(description: str, **more: object) -> Schema:
    return {"type": "string", "description": description, **more}


def _number(description: str, form: str = "int64", **more: object) -> Schema:
    return {"type": "integer", "format": form, "description": description, **more}


def _flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def _time(description: str) -> Schema:
    return _text(description, format="date-time")


def _list(items: Schema, description: str, kind: str = "atomic", **more: object) -> Schema:
    return {"type": "array", "items": items, "description": description, "x-kubernetes-list-type": kind, **more}


def _map(description: str) -> Schema:
    return {"type": "object", "additionalProperties": {"type": "string"}, "description": description}


def _object(description: str, properties: Mapping[str, Any], required: tuple[str, ...] = (), **more: object) -> Schema:
    found: Schema = {"type": "object", "description": description, "properties": dict(properties), **more}
    return {**found, "required": list(required)} if required else found


_API_VERSION = _text("The version of the schema of this object.")
_KIND = _text("What kind of object this is.")


def _kind(
    resource: Resource, description: str, properties: Mapping[str, Any], required: tuple[str, ...] = ()
) -> Schema:
    """The schema of a kind, with the three fields every object has."""
    every = {
        "apiVersion": _API_VERSION,
        "kind": _KIND,
        "metadata": reference(OBJECT_META, "Name, labels, versions."),
    }
    extra = {"x-kubernetes-group-version-kind": [gvk(resource)]}
    return _object(description, {**every, **properties}, required, **extra)


def _list_of(resource: Resource) -> Schema:
    properties = {
        "apiVersion": _API_VERSION,
        "kind": _KIND,
        "metadata": reference(LIST_META, "The version of the list."),
        "items": {"type": "array", "items": reference(name_of(resource)), "description": "The objects."},
    }
    extra = {"x-kubernetes-group-version-kind": [gvk(resource, f"{resource.kind}List")]}
    return _object(f"A list of {resource.kind}.", properties, ("items",), **extra)


@cache
def schemas(group: str, version: str) -> Schema:
    """Every schema that the document of a group's version needs. Built once: callers must not change it."""
    return {**_OWN[group, version](), **meta()}


def _hactl() -> Schema:
    found = {}
    crd = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for resource, schema in ((HACLUSTERS, crd), (HAOPERATIONS, operation_schema())):
        properties = {key: schema["properties"][key] for key in ("spec", "status")}
        found[name_of(resource)] = _kind(resource, schema["description"], properties, ("spec",))
        found[list_name_of(resource)] = _list_of(resource)
    return found


def _core() -> Schema:
    involved = _object(
        "The object it is about.",
        {key: _text(f"Its {key}.") for key in ("apiVersion", "kind", "namespace", "name", "uid", "resourceVersion")},
    )
    source = _object(
        "Who says so.", {"component": _text("The program."), "host": _text("The node it is about, if one.")}
    )
    event = _kind(
        EVENTS,
        "Something that happened, from the history.",
        {
            "involvedObject": involved,
            "reason": _text("What happened, in one word."),
            "message": _text("What happened, for people."),
            "type": _text("Normal or Warning."),
            "source": source,
            "firstTimestamp": _time("When it began."),
            "lastTimestamp": _time("When it ended."),
            "count": _number("How often it happened.", "int32"),
            "reportingComponent": _text("The program that says so."),
            "reportingInstance": _text("The node it is about, if one."),
        },
        ("metadata", "involvedObject"),
    )
    namespace = _kind(
        NAMESPACES,
        "Where objects live; there is one.",
        {
            "spec": _object("Nothing of it is used.", {"finalizers": _list({"type": "string"}, "Always kubernetes.")}),
            "status": _object("How it is.", {"phase": _text("Always Active.")}),
        },
    )
    return {
        name_of(EVENTS): event,
        list_name_of(EVENTS): _list_of(EVENTS),
        name_of(NAMESPACES): namespace,
        list_name_of(NAMESPACES): _list_of(NAMESPACES),
    }


def _coordination() -> Schema:
    spec = _object(
        "Who leads, and for how long.",
        {
            "holderIdentity": _text("Who has it."),
            "leaseDurationSeconds": _number("How long it lasts after it was renewed.", "int32"),
            "acquireTime": _time("When its holder got it."),
            "renewTime": _time("When its holder renewed it last."),
            "leaseTransitions": _number("How often it changed hands.", "int32"),
            "strategy": _text("How the holder is chosen."),
            "preferredHolder": _text("Who should have it."),
        },
    )
    lease = _kind(LEASES, "A right to lead that ends unless it is renewed.", {"spec": spec})
    return {name_of(LEASES): lease, list_name_of(LEASES): _list_of(LEASES)}


def _authorization() -> Schema:
    attributes = {
        "namespace": _text("Where."),
        "verb": _text("What is to be done; *: everything."),
        "group": _text("Group of the resource; *: every one."),
        "version": _text("Version of the resource; *: every one."),
        "resource": _text("The resource; *: every one."),
        "subresource": _text("The subresource, if one."),
        "name": _text("Name of the object; empty: all of them."),
    }
    spec = {
        "resourceAttributes": _object("A question about a resource.", attributes),
        "nonResourceAttributes": _object(
            "A question about a path.", {"path": _text("The path."), "verb": _text("What is to be done.")}
        ),
    }
    answer = {
        "allowed": _flag("Whether it may be done."),
        "denied": _flag("Whether it is forbidden on purpose."),
        "reason": _text("Why."),
        "evaluationError": _text("What went wrong while finding out."),
    }
    properties = {
        "spec": _object("The question: exactly one of the fields.", spec),
        "status": _object("The answer.", answer, ("allowed",)),
    }
    verbs = _list(_text("A verb."), "What may be done.")
    resources = {
        "verbs": verbs,
        "apiGroups": _list(_text("A group."), "Their groups."),
        "resources": _list(_text("A resource."), "Plural names, of subresources with a slash."),
    }
    paths = {"verbs": verbs, "nonResourceURLs": _list(_text("A path."), "Paths; `*` at the end is any.")}
    rules = {
        "resourceRules": _list(_object("One rule.", resources, ("verbs",)), "What may be done with resources."),
        "nonResourceRules": _list(_object("One rule.", paths, ("verbs",)), "What may be done with other paths."),
        "incomplete": _flag("Whether there may be more."),
        "evaluationError": _text("What went wrong while finding out."),
    }
    all_of_it = {
        "spec": _object("The question.", {"namespace": _text("The namespace it is about.")}),
        "status": _object("The answer.", rules, ("resourceRules", "nonResourceRules", "incomplete")),
    }
    return {
        name_of(ACCESS_REVIEWS): _kind(ACCESS_REVIEWS, "Whether whoever asks may do something.", properties, ("spec",)),
        name_of(RULES_REVIEWS): _kind(RULES_REVIEWS, "Everything that whoever asks may do.", all_of_it, ("spec",)),
    }


def _authentication() -> Schema:
    user = {
        "username": _text("The name."),
        "uid": _text("Not used."),
        "groups": _list(_text("A group."), "Groups: the role is one of them."),
    }
    status = {"userInfo": _object("Who it is.", user)}
    properties = {"status": _object("The answer.", status)}
    return {name_of(SELF_REVIEWS): _kind(SELF_REVIEWS, "Who asks, as the server knows them.", properties, ())}


_OWN = {
    ("", "v1"): _core,
    ("hactl.dev", "v1alpha1"): _hactl,
    ("coordination.k8s.io", "v1"): _coordination,
    ("authorization.k8s.io", "v1"): _authorization,
    ("authentication.k8s.io", "v1"): _authentication,
}


def meta() -> Schema:
    """What all documents share: metadata, Status, options of a deletion, discovery."""
    list_meta = _object(
        "The version of a list, and how to go on.",
        {
            "resourceVersion": _text("Watch from here."),
            "continue": _text("Ask for the rest with it."),
            "remainingItemCount": _number("How many more there are."),
            "selfLink": _text("Not used."),
        },
    )
    return {
        OBJECT_META: _object_meta(),
        LIST_META: list_meta,
        STATUS: _status(),
        DELETE_OPTIONS: _delete_options(),
        RESOURCE_LIST: _resource_list(),
    }


def _status() -> Schema:
    cause = _object(
        "One reason.",
        {"reason": _text("For programs."), "message": _text("For people."), "field": _text("The field, if one.")},
    )
    details = _object(
        "More about it.",
        {
            "name": _text("Name of the object."),
            "group": _text("Its group."),
            "kind": _text("Its resource or kind."),
            "uid": _text("Its uid."),
            "causes": _list(cause, "Every reason."),
            "retryAfterSeconds": _number("Ask again after so many seconds.", "int32"),
        },
    )
    return _object(
        "The answer to a request that gives no object: why it was refused, or that it worked.",
        {
            "apiVersion": _API_VERSION,
            "kind": _KIND,
            "metadata": reference(LIST_META, "Always empty."),
            "status": _text("Success or Failure.", enum=["Success", "Failure"]),
            "message": _text("For people."),
            "reason": _text("For programs, in one word."),
            "details": details,
            "code": _number("The HTTP status.", "int32"),
        },
        ("status",),
        **{"x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Status"}]},
    )


def _delete_options() -> Schema:
    conditions = _object(
        "What must be so, else 409.", {"uid": _text("The uid."), "resourceVersion": _text("The version.")}
    )
    return _object(
        "How to delete.",
        {
            "apiVersion": _API_VERSION,
            "kind": _KIND,
            "dryRun": _list({"type": "string", "enum": ["All"]}, "All: only say what would happen."),
            "gracePeriodSeconds": _number("Not used: there is nothing to stop."),
            "orphanDependents": _flag("Not used; see propagationPolicy."),
            "preconditions": conditions,
            "propagationPolicy": _text("Orphan, Background or Foreground."),
        },
        (),
        **{"x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "DeleteOptions"}]},
    )


def _object_meta() -> Schema:
    owner = _object(
        "An object this one belongs to.",
        {
            "apiVersion": _API_VERSION,
            "kind": _KIND,
            "name": _text("Its name."),
            "uid": _text("Its uid."),
            "controller": _flag("Whether it takes care of this one."),
            "blockOwnerDeletion": _flag("Whether it waits for this one."),
        },
        ("apiVersion", "kind", "name", "uid"),
    )
    entry = _object(
        "Which fields one writer set.",
        {
            "manager": _text("The writer."),
            "operation": _text("Apply or Update."),
            "apiVersion": _API_VERSION,
            "time": _time("When."),
            "fieldsType": _text("Always FieldsV1."),
            "fieldsV1": {"type": "object", "description": "The fields."},
            "subresource": _text("status, or nothing."),
        },
    )
    return _object(
        "What every object has.",
        {
            "name": _text("Name, unique in its namespace; never changes."),
            "generateName": _text("Without a name: the server makes one that begins so."),
            "namespace": _text("Always default."),
            "labels": _map("Labels for selection."),
            "annotations": _map("Notes for tools and people."),
            "uid": _text("Unique for all time. Read-only."),
            "resourceVersion": _text("Changes with every change; an update that names an older one is refused."),
            "generation": _number("Counts changes of the spec. Read-only."),
            "creationTimestamp": _time("When it was made. Read-only."),
            "deletionTimestamp": _time("When its deletion was asked for. Read-only."),
            "deletionGracePeriodSeconds": _number("Not used. Read-only."),
            "finalizers": _list({"type": "string"}, "Who must agree before it is gone.", "set"),
            "ownerReferences": _list(owner, "What it belongs to.", "map", **{"x-kubernetes-list-map-keys": ["uid"]}),
            "managedFields": _list(entry, "Who set which field. Read-only but for removing all."),
            "selfLink": _text("Not used."),
        },
    )


def _resource_list() -> Schema:
    text = {"type": "string"}
    resource = _object(
        "One resource.",
        {
            "name": _text("Plural name."),
            "singularName": _text("Singular name."),
            "namespaced": _flag("Whether it lives in a namespace."),
            "kind": _KIND,
            "verbs": _list(text, "What can be done."),
            "shortNames": _list(text, "Short names."),
            "categories": _list(text, "Groups of resources for kubectl get."),
        },
        ("name", "singularName", "namespaced", "kind", "verbs"),
    )
    return _object(
        "What a group's version has.",
        {
            "apiVersion": _API_VERSION,
            "kind": _KIND,
            "groupVersion": _text("The group and version."),
            "resources": _list(resource, "Its resources."),
        },
        ("groupVersion", "resources"),
    )
