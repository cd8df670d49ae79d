"""Documents that come over a network, as text or as JSON: read as files are, and held to stricter rules.

They may name secrets of the controller only as `hactl.core.document.remote_references` allows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hactl.adapters.yaml.documents import FileContent, digest, read_documents
from hactl.adapters.yaml.tree import MAX_PROBLEMS
from hactl.core.document.load import read_cluster
from hactl.core.document.problems import Fault, Problem, path_text
from hactl.core.document.recover import more_faults
from hactl.core.document.remote_references import check_remote
from hactl.core.document.rules.check import faults
from hactl.core.kube.codec import document_data
from hactl.core.objects import HACluster
from hactl.ports import Document


@dataclass(frozen=True, slots=True)
class Origin:
    """Which version of a text it is, as the fields of `Document` say it."""

    revision: str = ""
    author: str = ""
    revised_at: str = ""


def remote_documents(content: bytes, *, source: str, directory: str, origin: Origin) -> FileContent:
    """The documents of a file that came over a network; like `read_documents` it never raises.

    `directory` is where their relative references start: that of the secrets.
    """
    found = read_documents(content, source=source, directory=directory, rules=check_remote)
    return replace(found, documents=tuple(_marked(document, origin) for document in found.documents))


def _marked(document: Document, origin: Origin) -> Document:
    return replace(document, revision=origin.revision, author=origin.author, revised_at=origin.revised_at)


def object_document(body: Mapping[str, Any], *, source: str, directory: str, origin: Origin) -> FileContent:
    """The document of an object that came as JSON, e.g. from a Kubernetes API. Never raises."""
    data = document_data(body)
    found = read_cluster(data)
    if isinstance(found, HACluster):
        wrong: list[Fault] = [*faults(found), *check_remote(found)]
    else:
        wrong = [*found, *more_faults(data, found)]
    if wrong or not isinstance(found, HACluster):
        name = (data.get("metadata") or {}).get("name")
        problems = [Problem(source, 0, 0, path_text(each.path), each.text, each.fix) for each in wrong]
        broken = frozenset({name} if isinstance(name, str) else ())
        return FileContent(problems=tuple(problems[:MAX_PROBLEMS]), broken=broken, nameless=0 if broken else 1)
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    document = Document(found, source, directory, digest(found), text)
    return FileContent((_marked(document, origin),), ((0, 0),))


def whole(label: str, message: str, fix: str = "") -> Problem:
    """A problem of a whole file or source."""
    return Problem(label, 0, 0, "", message, fix)
