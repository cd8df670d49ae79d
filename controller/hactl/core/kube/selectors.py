"""Label and field selectors as kubectl sends them: `a=b,c!=d,e in (x,y),!f,g` and `metadata.name=nas`.

Grammar and error texts are those of Kubernetes: apimachinery, packages labels and fields.
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from hactl.core.kube.errors import bad_request
from hactl.core.kube.kinds import part

_OPERATORS = ("in", "notin", "=", "==", "!=", "gt", "lt")
#: How an operator is spelled -> what it is.
_SPELLED = {"in": "in", "notin": "notin", "=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}
_TOKEN = re.compile(r"[ \t\r\n]*(?:(==|!=|[=!(),<>])|([^=!(),<> \t\r\n]+))")
_END = ""

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_CHARACTERS = "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label: operator is in, notin, exists, !exists, gt or lt."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def match(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it; what is not there is not in any set and not equal to anything."""
        value = labels.get(self.key)
        if self.operator == "exists":
            return value is not None
        if self.operator == "!exists":
            return value is None
        if self.operator == "notin":
            return value is None or value not in self.values
        if self.operator == "in":
            return value is not None and value in self.values
        if value is None or not _INTEGER.fullmatch(value):
            return False
        [bound] = self.values
        return int(value) > int(bound) if self.operator == "gt" else int(value) < int(bound)


@dataclass(frozen=True, slots=True)
class Labels:
    """A label selector: every requirement must be met; none: everything matches."""

    requirements: tuple[Requirement, ...] = ()

    def match(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(requirement.match(labels) for requirement in self.requirements)


def label_key_faults(key: str) -> list[str]:
    """Why this is no key of a label or annotation, in the words of Kubernetes; [] when it is one."""
    *prefixes, name = key.split("/")
    result: list[str] = []
    if len(prefixes) > 1:
        return [
            f"a qualified name must consist of {_CHARACTERS} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
            f"for validation is '{_NAME.pattern}') with an optional DNS subdomain prefix and '/' (e.g. "
            "'example.com/MyName')"
        ]
    for prefix in prefixes:
        if not prefix:
            result.append("prefix part must be non-empty")
        elif len(prefix) > 253:
            result.append("prefix part must be no more than 253 bytes")
        elif not _SUBDOMAIN.fullmatch(prefix):
            result.append(
                "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
                "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
                f"validation is '{_SUBDOMAIN.pattern}')"
            )
    if not name:
        result.append("name part must be non-empty")
    elif len(name.encode(errors="surrogatepass")) > 63:
        result.append("name part must be no more than 63 bytes")
    if not _NAME.fullmatch(name):
        result.append(
            f"name part must consist of {_CHARACTERS} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
            f"validation is '{_NAME.pattern}')"
        )
    return result


def label_value_faults(value: str) -> list[str]:
    """Why this is no value of a label, in the words of Kubernetes; [] when it is one."""
    result: list[str] = []
    if len(value.encode(errors="surrogatepass")) > 63:
        result.append("must be no more than 63 bytes")
    if value and not _NAME.fullmatch(value):
        result.append(
            f"a valid label must be an empty string or consist of {_CHARACTERS} (e.g. 'MyValue',  or 'my_value',  or "
            f"'12345', regex used for validation is '({_NAME.pattern})?')"
        )
    return result


def parse_labels(text: str) -> Labels:
    """A label selector; "" selects everything. Raises ApiError (400)."""
    return _LabelParser(text).parse()


#: A token and whether it is a word (which may read like an operator).
_Token: TypeAlias = tuple[str, bool]


class _LabelParser:
    """The grammar of apimachinery's `labels.Parse`; a word is a key or value wherever one may stand."""

    def __init__(self, text: str) -> None:
        self._tokens: list[_Token] = []
        for found in _TOKEN.finditer(text):
            self._tokens.append((found[1], False) if found[1] else (found[2], True))
        self._tokens.append((_END, False))
        self._position = 0

    def _peek(self) -> _Token:
        return self._tokens[min(self._position, len(self._tokens) - 1)]

    def _next(self) -> _Token:
        token = self._peek()
        self._position += 1
        return token

    def parse(self) -> Labels:
        requirements: list[Requirement] = []
        while self._peek() != (_END, False):
            text, is_word = self._peek()
            if not is_word and text != "!":
                raise bad_request(f"found '{text}', expected: !, identifier, or 'end of string'")
            requirements.append(self._requirement())
            text, is_word = self._next()
            if (text, is_word) == (_END, False):
                break
            if is_word or text != ",":
                raise bad_request(f"found '{text}', expected: ',' or 'end of string'")
            text, is_word = self._peek()
            if not is_word and text != "!":
                raise bad_request(f"found '{text}', expected: identifier after ','")
        return Labels(tuple(requirements))

    def _requirement(self) -> Requirement:
        negated = self._peek() == ("!", False)
        if negated:
            self._next()
        key, is_word = self._next()
        if not is_word:
            raise _unparsable(f"found '{key}', expected: identifier")
        if faults := label_key_faults(key):
            raise _unparsable(f'<nil>: Invalid value: "{key}": {"; ".join(faults)}')
        if negated or self._peek() in ((_END, False), (",", False)):
            return Requirement(key, "!exists" if negated else "exists")
        text, _ = self._next()
        if text not in _SPELLED:
            raise _unparsable(f"found '{text}', expected: {', '.join(_OPERATORS)}")
        values = self._set() if text in ("in", "notin") else [self._value()]
        operator = _SPELLED[text]
        self._check(key, operator, values)
        return Requirement(key, operator, frozenset(values))

    def _check(self, key: str, operator: str, values: list[str]) -> None:
        for index, value in enumerate(values):
            if faults := label_value_faults(value):
                raise _unparsable(f'values[{index}][{key}]: Invalid value: "{value}": {"; ".join(faults)}')
            if operator in ("gt", "lt") and not (_INTEGER.fullmatch(value) and abs(int(value)) < 2**63):
                why = "for 'Gt', 'Lt' operators, the value must be an integer"
                raise _unparsable(f'values[{index}]: Invalid value: "{value}": {why}')

    def _value(self) -> str:
        """The right side of `=`; nothing is the empty value."""
        if self._peek() in ((_END, False), (",", False)):
            return ""
        text, is_word = self._next()
        if not is_word:
            raise _unparsable(f"found '{text}', expected: identifier")
        return text

    def _set(self) -> list[str]:
        """The right side of `in`: `(a,b)`; an empty place is the empty value."""
        text, _ = self._next()
        if text != "(":
            raise _unparsable(f"found '{text}' expected: '('")
        values: list[str] = []
        place = ""
        while True:
            text, is_word = self._next()
            if is_word:
                if place:
                    raise _unparsable(f"found '{text}', expected: ',' or ')'")
                place = text
            elif text in (",", ")"):
                values.append(place)
                place = ""
                if text == ")":
                    return sorted(set(values))
            else:
                expected = "',' or ')'" if place else "',', ')' or identifier"
                raise _unparsable(f"found '{text}', expected: {expected}")


def _unparsable(why: str) -> Exception:
    return bad_request(f"unable to parse requirement: {why}")


#: Fields by which objects can be selected; the second only of events.
_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT_FIELDS = frozenset(
    {"reason", "reportingComponent", "source", "type"} | {f"involvedObject.{name}" for name in _INVOLVED}
)


@dataclass(frozen=True, slots=True)
class _Term:
    field: str
    value: str
    equal: bool

    def match(self, body: Mapping[str, Any]) -> bool:
        return (_field_value(body, self.field) == self.value) is self.equal


@dataclass(frozen=True, slots=True)
class Fields:
    """A field selector: every term must hold; none: everything matches."""

    terms: tuple[_Term, ...] = ()

    @property
    def name(self) -> str | None:
        """The value that metadata.name must have, or None."""
        return self._demanded("metadata.name")

    @property
    def namespace(self) -> str | None:
        """The value that metadata.namespace must have, or None."""
        return self._demanded("metadata.namespace")

    def _demanded(self, field: str) -> str | None:
        return next((term.value for term in self.terms if term.field == field and term.equal), None)

    def match(self, body: Mapping[str, Any]) -> bool:
        """Whether an object is selected."""
        return all(term.match(body) for term in self.terms)


def parse_fields(text: str, *, events: bool = True) -> Fields:
    """A field selector; "" selects everything; `events` False: the fields that only events have are refused.

    Raises ApiError (400).
    """
    known = _FIELDS | _EVENT_FIELDS if events else _FIELDS
    terms: list[_Term] = []
    for piece in re.findall(r"(?:\\.|[^,\\]|\\$)+", text, re.DOTALL):
        found = re.fullmatch(r"((?:\\.|[^=!\\]|!(?!=))*)(!=|==|=)(.*)", piece, re.DOTALL)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{piece}'")
        field, operator, value = found.groups()
        if field not in known:
            raise bad_request(f"field label not supported: {field}")
        terms.append(_Term(field, _unescaped(value), operator != "!="))
    return Fields(tuple(terms))


def _unescaped(value: str) -> str:
    r"""A value with `\,`, `\=` and `\\` read; nothing else may be escaped, and these must be."""
    if not re.fullmatch(r"(?:[^,=\\]|\\[,=\\])*", value):
        raise bad_request(f"invalid field selector: invalid escape sequence in: {value}")
    return re.sub(r"\\(.)", r"\1", value)


def _field_value(body: Mapping[str, Any], field: str) -> str:
    """The text of a field; "" when it is not there. An event's source is the component that reports it."""
    *above, name = {"source": "source.component"}.get(field, field).split(".")
    value = part(body, *above).get(name)
    return value if isinstance(value, str) else ""
