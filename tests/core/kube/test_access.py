"""Who may do what: every cell of role, verb, resource and subresource, written out."""

from __future__ import annotations

import pytest

from hactl.core.kube.access import ALL, LEAST, ROLES, allowed, least, refusal
from hactl.core.kube.discovery import SUBRESOURCE_VERBS
from hactl.core.kube.kinds import RESOURCES

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
WHO = (None, *ROLES)

#: One line a resource; a cell is the least role, by its first letter: v, o, e, a, * (everyone), . (nobody).
MATRIX = """
                          get list watch create update patch delete deletecollection
haclusters                v   v    v     e      e      e     e      e
haclusters/status         v   .    .     .      .      .     .      .
haoperations              v   v    v     o      o      o     o      o
events                    v   v    v     .      .      .     .      .
namespaces                v   v    v     .      .      .     .      .
leases                    v   v    v     e      e      e     e      e
selfsubjectaccessreviews  .   .    .     v      .      .     .      .
selfsubjectrulesreviews   .   .    .     v      .      .     .      .
selfsubjectreviews        .   .    .     v      .      .     .      .
tokens                    a   a    .     a      .      .     a      .
stream                    v   .    v     .      .      .     .      .
metrics                   v   .    .     .      .      .     .      .
clusters/active           v   .    .     .      .      .     .      .
clusters/role             v   .    .     .      .      .     .      .
nudge                     .   .    .     v      .      .     .      .
discovery                 v   .    .     .      .      .     .      .
health                    *   .    .     .      .      .     .      .
version                   *   .    .     .      .      .     .      .
"""


def cells():
    """(resource, subresource, verb, mark) of every cell."""
    header, *lines = MATRIX.strip("\n").splitlines()
    assert tuple(header.split()) == VERBS
    for line in lines:
        name, *marks = line.split()
        resource, _, subresource = name.partition("/")
        yield from ((resource, subresource, verb, mark) for verb, mark in zip(VERBS, marks, strict=True))


def may(role, mark):
    """What the mark says about a role."""
    if mark in "*.":
        return mark == "*"
    return role is not None and ROLES.index(role) >= [r[0] for r in ROLES].index(mark)


@pytest.mark.parametrize("role", WHO)
@pytest.mark.parametrize(("resource", "subresource", "verb", "mark"), list(cells()))
def test_every_cell(role, resource, subresource, verb, mark):
    """A role may exactly what the matrix says."""
    assert allowed(role, verb, resource, subresource) is may(role, mark)


def test_the_matrix_has_every_resource():
    """Nothing is served that the matrix says nothing about, and nothing is allowed that is not in it."""
    written = {(resource, subresource) for resource, subresource, _, _ in cells()}
    assert written == set(LEAST)
    for resource in RESOURCES:
        assert set(resource.verbs) == set(LEAST[resource.plural, ""])
        for name in resource.subresources:
            assert set(SUBRESOURCE_VERBS) == set(LEAST[resource.plural, name])
    assert {verb for found in LEAST.values() for verb in found} <= set(VERBS)


@pytest.mark.parametrize("role", [*WHO, "root", "Admin", ""])
def test_what_is_not_known_is_refused(role):
    """Unknown verbs, resources and subresources are for nobody, and an unknown role is no role."""
    assert not allowed(role, "bind", "haclusters")
    assert not allowed(role, "get", "secrets")
    assert not allowed(role, "get", "haclusters", "scale")
    assert not allowed(role, "get", "tokens", "status")
    if role not in ROLES:
        assert not allowed(role, "get", "haclusters")
        assert not allowed(role, "create", "tokens")


def test_roles_only_grow():
    """Whatever a role may, the next one may too."""
    for (resource, subresource), verbs in LEAST.items():
        for verb in verbs:
            answers = [allowed(role, verb, resource, subresource) for role in WHO]
            assert answers == sorted(answers)
            assert answers[-1]


def test_all_means_all():
    """`*` is yes only when every verb of every resource is."""
    assert [allowed(role, ALL, ALL) for role in WHO] == [False, False, False, False, True]
    assert [allowed(role, ALL, "haclusters") for role in WHO] == [False, False, False, True, True]
    assert [allowed(role, ALL, "events") for role in WHO] == [False, True, True, True, True]
    assert not allowed("admin", ALL, "secrets")
    assert not allowed("admin", "list", ALL)


def test_a_refusal_says_who_would_be_let():
    """The message of a 403 names who asked, what for, and the role that would do."""
    assert least("create", "haclusters") == "editor"
    assert refusal("token:ci", "viewer", "create", "haclusters") == (
        "token:ci has the role viewer and cannot create haclusters; it takes the role editor"
    )
    assert refusal("token:ci", "admin", "patch", "events").endswith("cannot patch events; nobody can")
    assert "haclusters/status" in refusal("cert:a", None, "patch", "haclusters", "status")
