"""What types cannot say about a document: names that must exist, numbers that must differ, words FreeBSD cannot carry.

Every rule is a function from a cluster to faults; `RULES` is the table of them. A rule looks at one thing and
stays silent about what another rule reports. FreeBSD facts are cited as in docs/freebsd-facts.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from hactl.core.document.problems import Fault, FieldPath, Problem, Stage, path_text
from hactl.core.document.rules import failover, network, nodes, services, storage
from hactl.core.objects import HACluster

#: ifconfig(8) copies at most 19 characters of `pass`; the rest is silently dropped (docs/freebsd-facts.md#1.1).
MAX_PASSWORD_CHARACTERS = 19
#: rc.conf evaluates alias entries twice, and takes a hex digit followed by `-` for a range (docs/freebsd-facts.md#1.8).
_PASSWORD = re.compile(r"[A-Za-z0-9_.+=:@%,]+")
#: As words of an alias entry these begin the next entry (docs/freebsd-facts.md#1.8).
_ENTRY_WORDS = frozenset({"inet", "inet6", "link", "ether"})

#: A label key: [prefix/]name; a label value: at most 63 characters (Kubernetes, "Labels and Selectors").
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_ANNOTATIONS_CHARACTERS = 256 * 1024

Rule = Callable[[HACluster], Iterator[Fault]]


def check(cluster: HACluster, source: str, at: Callable[[FieldPath, bool], tuple[int, int]]) -> list[Problem]:
    """Every problem of meaning, in document order. `at(path, at_key)` gives line and column, from 1."""
    problems = []
    for fault in faults(cluster):
        line, column = at(fault.path, fault.at_key)
        problems.append(Problem(source, line, column, path_text(fault.path), fault.text, fault.fix, Stage.MEANING))
    return sorted(problems)


def faults(cluster: HACluster) -> list[Fault]:
    """Every fault of meaning, rule by rule."""
    return [fault for rule in RULES for fault in rule(cluster)]


def password_problem(text: str) -> str | None:
    """Why a CARP password cannot be used, or None. The answer never contains the password."""
    if not text:
        return "the password is empty; FreeBSD cannot clear a CARP key, so it takes at least one character"
    if len(text) > MAX_PASSWORD_CHARACTERS:
        return (
            f"the password has {len(text)} characters; ifconfig uses the first {MAX_PASSWORD_CHARACTERS} and "
            "silently drops the rest"
        )
    if text.endswith("\r"):
        return "the password ends with a carriage return (a file with Windows line ends?)"
    if not _PASSWORD.fullmatch(text):
        return (
            "the password has a character that rc.conf cannot carry; use letters, digits and _ . + = : @ % , "
            "(a - after a hex digit is an address range to rc.conf)"
        )
    if text in _ENTRY_WORDS:
        return "the password is a word that begins an address entry in rc.conf; use another"
    return None


def _labels(cluster: HACluster) -> Iterator[Fault]:
    for field, values in (("labels", cluster.metadata.labels), ("annotations", cluster.metadata.annotations)):
        for key, value in values.items():
            path = ("metadata", field, key)
            prefix, slash, name = key.rpartition("/")
            if not _LABEL_NAME.fullmatch(name) or (slash and not _is_prefix(prefix)):
                form = "[domain/]name, the name at most 63 letters, digits, - _ ."
                yield Fault(path, f"not a valid key of {field}", form, at_key=True)
            if field == "labels" and value and not _LABEL_NAME.fullmatch(value):
                yield Fault(path, "not a valid label value", "at most 63 letters, digits, - _ . ; or an annotation")
    if sum(len(key) + len(value) for key, value in cluster.metadata.annotations.items()) > _MAX_ANNOTATIONS_CHARACTERS:
        yield Fault(("metadata", "annotations"), "annotations are larger than 256 KiB", "keep them elsewhere")


def _is_prefix(text: str) -> bool:
    return len(text) <= 253 and _LABEL_PREFIX.fullmatch(text) is not None


def _groups_hold_something(cluster: HACluster) -> Iterator[Fault]:
    for index, group in enumerate(cluster.spec.groups):
        if not (group.virtual_ips or group.storage or group.services):
            yield Fault(("spec", "groups", index), "the group holds nothing", "give it virtualIPs, storage or services")


def _group_names(cluster: HACluster) -> Iterator[Fault]:
    names = [(("spec", "groups", index, "name"), group.name) for index, group in enumerate(cluster.spec.groups)]
    yield from nodes.repeated(names, "group")


def _secret_references(cluster: HACluster) -> Iterator[Fault]:
    for path, vip in network.virtual_ips(cluster):
        secret = vip.password_from
        if secret is not None:
            yield from nodes.exactly_one((*path, "passwordFrom"), secret.file, secret.env, ("file", "env"))


#: What is checked, in this order.
RULES: tuple[Rule, ...] = (
    _labels,
    *nodes.RULES,
    _group_names,
    _groups_hold_something,
    *network.RULES,
    _secret_references,
    *storage.RULES,
    *services.RULES,
    *failover.RULES,
)
