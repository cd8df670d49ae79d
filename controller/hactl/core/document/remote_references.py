"""What a document that came over the network may refer to on the controller.

Rules: whoever may write documents may choose the machine hactl logs in to, and a CARP password is sent there. So a
document that is not a file of the controller's own (API, http, git, another API server) names files below one
directory only (`hactl run --secrets`), and variables of the environment only by a prefix; nothing else of the
controller can be sent anywhere by an editor. Every reference is found by its type, so a new field cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from hactl.core.document.problems import Fault, FieldPath, shown
from hactl.core.objects import FileRef, HACluster, SecretRef

#: Variables of the controller's environment that such a document may name begin with this.
ENV_PREFIX = "HACTL_SECRET_"


def check_remote(cluster: HACluster) -> list[Fault]:
    """Every reference of the document that reaches outside what a document from the network may see."""
    return list(_walk((), cluster))


def _walk(path: FieldPath, value: object) -> Iterator[Fault]:
    if isinstance(value, SecretRef | FileRef):
        yield from _reference(path, value)
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _walk((*path, field.alias or name), getattr(value, name))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk((*path, key), inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _walk((*path, index), inner)


def _reference(path: FieldPath, reference: SecretRef | FileRef) -> Iterator[Fault]:
    if reference.file is not None and (wrong := _file_problem(reference.file)):
        yield Fault((*path, "file"), f"{shown(reference.file)} {wrong}", "name a file below the directory of --secrets")
    if isinstance(reference, SecretRef) and reference.env is not None:
        name = reference.env
        if not name.startswith(ENV_PREFIX) or name == ENV_PREFIX:
            yield Fault(
                (*path, "env"),
                f"{shown(name)} is not for documents that come over the network",
                f"name a variable that begins with {ENV_PREFIX}",
            )


def _file_problem(name: str) -> str | None:
    """Why the file may not be named; None when it may. `~` is a home directory when the reference is resolved."""
    if name.startswith("/"):
        return "is an absolute path, which a document that comes over the network may not name"
    if name.startswith("~"):
        return "begins with ~ (a home directory), which a document that comes over the network may not name"
    if ".." in name.split("/"):
        return "leads out of its directory (..), which a document that comes over the network may not do"
    if not [part for part in name.split("/") if part not in ("", ".")]:
        return "names no file"
    return None
