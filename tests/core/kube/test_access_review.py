"""Questions of `kubectl auth can-i` in protobuf: real ones are read, anything else is a 400."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hactl.core.kube.access_review import MAGIC, read_review
from hactl.core.kube.errors import ApiError
from hactl.core.kube.kinds import ACCESS_REVIEWS, RULES_REVIEWS, SELF_REVIEWS

#: Sent by kubectl 1.37.1: `auth can-i get hac --subresource status`, `auth can-i get /metrics`.
RESOURCE = bytes.fromhex(
    "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c665375626a656374416363657373526576696577"
    "12510a100a0012001a0022002a0032003800420012330a310a0764656661756c7412036765741a09686163746c2e64657622002a0a686163"
    "6c75737465727332067374617475733a001a08080012001a0020001a002200"
)
PATH = bytes.fromhex(
    "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c665375626a656374416363657373526576696577"
    "122f0a100a0012001a0022002a003200380042001211120f0a082f6d65747269637312036765741a08080012001a0020001a002200"
)


def code(body):
    """200 for a question that was read, else the code of the refusal."""
    try:
        read_review(body, ACCESS_REVIEWS)
    except ApiError as refused:
        return refused.code
    return 200


def test_a_question_about_a_resource():
    """Every part that was said is there, what is empty is not."""
    assert read_review(RESOURCE, ACCESS_REVIEWS) == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {},
        "spec": {
            "resourceAttributes": {
                "namespace": "default",
                "verb": "get",
                "group": "hactl.dev",
                "resource": "haclusters",
                "subresource": "status",
            }
        },
    }


def test_a_question_about_a_path():
    """Paths that are no resource can be asked about too."""
    assert read_review(PATH, ACCESS_REVIEWS)["spec"] == {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}}


def test_reviews_without_a_question_of_their_own():
    """`auth can-i --list` names a namespace, `auth whoami` nothing; envelopes as kubectl makes them."""

    def message(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    def envelope(version, kind, content):
        return MAGIC + message(1, message(1, version) + message(2, kind)) + message(2, content)

    listing = envelope(b"authorization.k8s.io/v1", b"SelfSubjectRulesReview", message(2, message(1, b"default")))
    assert read_review(listing, RULES_REVIEWS)["spec"] == {"namespace": "default"}
    self = envelope(b"authentication.k8s.io/v1", b"SelfSubjectReview", message(1, b""))
    assert read_review(self, SELF_REVIEWS)["kind"] == "SelfSubjectReview"


def test_only_this_kind_is_read():
    """Another kind, or JSON, is refused in words."""
    other = RESOURCE.replace(b"SelfSubjectAccessReview", b"SelfSubjectRulesReview!")
    for body in (other, b"{}", b"", MAGIC):
        with pytest.raises(ApiError) as refused:
            read_review(body, ACCESS_REVIEWS)
        assert refused.value.code == 400


@pytest.mark.parametrize("length", range(4, len(RESOURCE)))
def test_a_question_that_was_cut(length):
    """Wherever it is cut: an answer or a 400, never anything else."""
    assert code(RESOURCE[:length]) in (200, 400)


@given(st.binary(max_size=200), st.integers(min_value=4, max_value=len(RESOURCE)))
def test_no_bytes_break_it(garbage, at):
    """Garbage, alone or within a real question, is an answer or a 400."""
    for body in (MAGIC + garbage, RESOURCE[:at] + garbage, RESOURCE[:at] + garbage + RESOURCE[at:]):
        assert code(body) in (200, 400)
