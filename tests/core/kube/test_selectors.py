"""Selectors: what kubectl sends selects what it would select from a real server, and is refused in the same words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hactl.core.kube.errors import ApiError
from hactl.core.kube.selectors import label_key_faults, label_value_faults, parse_fields, parse_labels

LABELS = {"env": "prod", "site": "b", "tier": "", "rack": "12", "example.com/owner": "it"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "env=prod",
        "env==prod",
        " env = prod ",
        "env!=test",
        "absent!=test",
        "env in (prod, test)",
        "env in(prod),site notin(a,c)",
        "absent notin (x)",
        "site",
        "!absent",
        "! absent",
        "tier=",
        "tier in ()",
        "tier in (,x)",
        "tier in (x,)",
        "rack>11,rack<13",
        "example.com/owner=it",
        "env=prod,site!=a,env in (prod,x),!absent,rack",
        "env=prod,env!=test",
    ],
)
def test_labels_that_are_selected(text):
    """Every form of the grammar, blanks and empty values included."""
    assert parse_labels(text).match(LABELS)


@pytest.mark.parametrize(
    "text",
    [
        "env=test",
        "env!=prod",
        "absent",
        "!env",
        "absent=",
        "absent in (x)",
        "env notin (prod)",
        "rack>12",
        "rack<12",
        "env>1",
        "absent>1",
        "env=prod,site=a",
    ],
)
def test_labels_that_are_not_selected(text):
    """All requirements must be met; what is absent equals nothing; what is no number is not greater."""
    assert not parse_labels(text).match(LABELS)


def test_in_and_notin_are_keys_and_values_too():
    """A word is an operator only where an operator may stand."""
    assert parse_labels("in in (in,notin)").match({"in": "notin"})
    assert parse_labels("notin=in").match({"notin": "in"})
    assert parse_labels("in").match({"in": ""})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=b,", "found '', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
        ("a=(", "unable to parse requirement: found '(', expected: identifier"),
        ("a=b)", "found ')', expected: ',' or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        (
            "a>x",
            'unable to parse requirement: values[0]: Invalid value: "x": '
            "for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ],
)
def test_bad_label_selectors_are_refused_in_kubernetes_words(text, message):
    """400 with the message of apimachinery's parser."""
    with pytest.raises(ApiError) as caught:
        parse_labels(text)
    assert caught.value.code == 400
    assert str(caught.value) == message


def test_bad_keys_and_values_are_refused():
    """With the rule they break."""
    with pytest.raises(ApiError, match=r'unable to parse requirement: <nil>: Invalid value: "a\$": name part must'):
        parse_labels("a$=b")
    with pytest.raises(ApiError, match=r'values\[0\]\[a\]: Invalid value: "-": a valid label must be'):
        parse_labels("a=-")


@pytest.mark.parametrize("key", ["a", "A.b_c-9", "example.com/a", "x" * 63, f"{'a' * 253}/b"])
def test_good_label_keys(key):
    """Names with an optional DNS prefix."""
    assert label_key_faults(key) == []


@pytest.mark.parametrize("key", ["", "-a", "a-", "/a", "a/", "Example.com/a", "a/b/c", "x" * 64, f"{'a' * 254}/b", "ä"])
def test_bad_label_keys(key):
    """Each with a reason."""
    assert label_key_faults(key)


def test_label_values():
    """At most 63 characters, may be empty."""
    assert [value for value in ("", "a", "1.2_3-x", "x" * 63) if label_value_faults(value)] == []
    assert all(label_value_faults(value) for value in ("x" * 64, "a b", ".", "a/b", "\ud800"))


@given(st.text(alphabet="ab/=!,() in<>\t-.", max_size=30))
def test_any_text_is_a_label_selector_or_a_refusal(text):
    """Nothing else than ApiError 400 comes out."""
    try:
        result = parse_labels(text).match(LABELS)
    except ApiError as error:
        result = error.code
    assert result in (True, False, 400)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.from_regex(r"[a-z0-9]{0,8}", fullmatch=True)))
def test_the_selector_of_some_labels_selects_them(labels):
    """`k=v` for each label matches, and `k!=v` for any of them does not."""
    assert parse_labels(",".join(f"{key}={value}" for key, value in labels.items())).match(labels)
    for key, value in labels.items():
        assert not parse_labels(f"{key}!={value}").match(labels)


EVENT = {
    "metadata": {"name": "nas.1", "namespace": "default"},
    "involvedObject": {"kind": "HACluster", "name": "nas", "namespace": "default", "uid": "u-1"},
    "reason": "StepEnded",
    "type": "Warning",
    "source": {"component": "hactl"},
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "metadata.name=nas.1",
        "metadata.name==nas.1,metadata.namespace=default",
        "metadata.name!=other",
        "involvedObject.name=nas,involvedObject.namespace=default,involvedObject.kind=HACluster,involvedObject.uid=u-1",
        "type!=Normal,reason=StepEnded",
        "source=hactl",
        "involvedObject.fieldPath=",
        ",,",
    ],
)
def test_fields_that_are_selected(text):
    """What `kubectl describe`, `events` and `wait` send."""
    assert parse_fields(text).match(EVENT)


def test_fields_that_are_not_selected():
    """One term that does not hold is enough."""
    for text in ("metadata.name=x", "metadata.name!=nas.1", "type=Normal", "reason=StepEnded,type=Normal"):
        assert not parse_fields(text).match(EVENT)


def test_the_demanded_name():
    """A watch of one object is found out by its name."""
    assert parse_fields("metadata.name=nas").name == "nas"
    assert parse_fields("metadata.namespace=default,metadata.name==nas").name == "nas"
    assert parse_fields("metadata.name!=nas").name is None
    assert parse_fields("").name is None
    assert parse_fields("metadata.namespace=kube-system").namespace == "kube-system"


def test_fields_nobody_can_select_by():
    """400 with the name of the field; those of events only for events."""
    with pytest.raises(ApiError, match=r"^field label not supported: spec\.mode$") as caught:
        parse_fields("spec.mode=Apply")
    assert caught.value.code == 400
    with pytest.raises(ApiError, match="field label not supported: type"):
        parse_fields("type=Normal", events=False)


def test_field_selectors_that_are_none():
    """Kubernetes' words; a backslash escapes only comma, equals sign and backslash."""
    with pytest.raises(ApiError, match=r"^invalid selector: 'metadata.name'; can't understand 'metadata.name'$"):
        parse_fields("metadata.name")
    with pytest.raises(ApiError, match="invalid escape sequence"):
        parse_fields(r"metadata.name=a\b")
    with pytest.raises(ApiError, match="invalid escape sequence"):
        parse_fields("metadata.name=a=b")


def test_escaped_values():
    """A value may have commas, equals signs and backslashes."""
    selector = parse_fields(r"reason=a\,b\=c\\d,type=Warning")
    assert selector.match({"reason": r"a,b=c\d", "type": "Warning"})


@given(st.text(alphabet="abmetadata.name=!,\\ ", max_size=40))
def test_any_text_is_a_field_selector_or_a_refusal(text):
    """Nothing else than ApiError 400 comes out."""
    try:
        result = parse_fields(text).match(EVENT)
    except ApiError as error:
        result = error.code
    assert result in (True, False, 400)
