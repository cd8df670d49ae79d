r"""Templates of kubectl's JSONPath: `{.items[*].metadata.name}`, with text around them.

kubectl has a dialect of its own (https://kubernetes.io/docs/reference/kubectl/jsonpath/), which libraries for JSONPath
do not read. Here is what its page lists: `.name` with `\.` for a point in a name, `['name']`, `[0]`, `[-1]`, `[0:2]`,
`[0:4:2]`, `['a','b']`, `*`, `..`, `[?(@.type=="Ready")]`, `{range}` and `{end}`, quoted text. As there, `$` and `@` are
the object at hand, several results stand with a space between them, and what is missing is printed as nothing.
Other than there, `*` and `..` give the entries of a mapping in their own order, and an index that a list does not reach
is nothing, and no error.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias


class TemplateError(ValueError):
    """A template that cannot be read, or does not fit what it is put on: what, where, and what to write instead."""


#: A segment of a path: from one value to those it names.
Segment: TypeAlias = Callable[[Any], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Path:
    """`.items[*].metadata.name`: segments, one after the other."""

    segments: tuple[Segment, ...]

    def find(self, value: Any) -> list[Any]:
        """Every value it names. Raises TemplateError for a comparison of several values."""
        found = [value]
        for segment in self.segments:
            found = [each for one in found for each in segment(one)]
        return found


@dataclass(frozen=True, slots=True)
class Range:
    """`{range PATH}...{end}`: the parts once for every value of the path."""

    path: Path
    parts: tuple[Part, ...]


Part: TypeAlias = "str | Path | Range"


@dataclass(frozen=True, slots=True)
class Template:
    """Text and paths."""

    parts: tuple[Part, ...]

    def render(self, value: Any) -> str:
        """The text for that value. Raises TemplateError."""
        return "".join(_rendered(self.parts, value))

    def find(self, value: Any) -> list[Any]:
        """Every value that its paths name, without the text. Raises TemplateError."""
        return [found for part in self.parts if isinstance(part, Path) for found in part.find(value)]


def parse_template(text: str) -> Template:
    """A template. Raises TemplateError."""
    reader = _Reader(text)
    parts = reader.parts(inside_range=False)
    if not any(isinstance(part, Path | Range) for part in parts):
        raise TemplateError("nothing of it is a path: paths stand in braces, as in '{.metadata.name}'")
    return Template(parts)


def parse_path(text: str) -> Path:
    """A path with or without braces, point and `$`: as custom columns have them. Raises TemplateError."""
    inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if inner[:1] not in (".", "[", "$", "@"):
        inner = f".{inner}"
    reader = _Reader(inner)
    path = reader.path()
    if not reader.at_end:
        raise reader.error("expected a point or [")
    return path


def as_text(value: Any) -> str:
    """A value as it is printed: text as it is, anything that has parts as JSON in one line."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False, default=str)


def _rendered(parts: Sequence[Part], value: Any) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, Path):
            yield " ".join(as_text(found) for found in part.find(value))
        else:
            for each in part.path.find(value):
                yield from _rendered(part.parts, each)


# --- segments ---------------------------------------------------------------------------------------------------------


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value


def _named(*names: str) -> Segment:
    def segment(value: Any) -> Iterator[Any]:
        if isinstance(value, Mapping):
            yield from (value[name] for name in names if name in value)

    return segment


def _every(value: Any) -> Iterator[Any]:
    """The value itself and all that is below it."""
    yield value
    for child in _children(value):
        yield from _every(child)


def _indexed(wanted: Sequence[int | slice]) -> Segment:
    def segment(value: Any) -> Iterator[Any]:
        if not isinstance(value, list | tuple):
            return
        for each in wanted:
            if isinstance(each, slice):
                yield from value[each]
            elif -len(value) <= each < len(value):
                yield value[each]

    return segment


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


def _filtered(left: Path, sign: str, right: Path | str | float | bool | None) -> Segment:
    """Of a list what compares so; without a sign what has the path at all."""

    def segment(value: Any) -> Iterator[Any]:
        if not isinstance(value, list | tuple):
            return
        for each in value:
            found = left.find(each)
            if not sign:
                if found:
                    yield each
                continue
            others = right.find(each) if isinstance(right, Path) else [right]
            if found and others and _compared(found, sign, others):
                yield each

    return segment


def _compared(lefts: Sequence[Any], sign: str, rights: Sequence[Any]) -> bool:
    if len(lefts) > 1 or len(rights) > 1:
        raise TemplateError(f"a filter compares one value with one: a side of {sign} has several")
    left, right = lefts[0], rights[0]
    if isinstance(left, bool) != isinstance(right, bool) or isinstance(left, str) != isinstance(right, str):
        # Of different kinds: they are not equal, and neither is less.
        return sign == "!="
    try:
        return _COMPARISONS[sign](left, right)
    except TypeError:
        return sign == "!="


# --- reading ----------------------------------------------------------------------------------------------------------

_SPACE = re.compile(r"\s*")
_FIELD = re.compile(r"(?:\\.|[^\\.,\[\]$@{}()\s=!<>'\"|&])+")
_QUOTED = re.compile(r"""'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)\"""")
_SLICE = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?![\w.])")
_WORD = re.compile(r"[A-Za-z]+")
_SIGN = re.compile(r"==|!=|<=|>=|<|>")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class _Reader:
    """Reads a template from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def error(self, what: str) -> TemplateError:
        rest = self._text[self._at : self._at + 20]
        where = f"at {rest!r} (character {self._at + 1})" if rest else "at its end"
        return TemplateError(f"{where}: {what}")

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _skip(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _spaces(self) -> None:
        self._take(_SPACE)

    def _must(self, text: str) -> None:
        self._spaces()
        if not self._skip(text):
            raise self.error(f"expected {text}")

    def parts(self, *, inside_range: bool) -> tuple[Part, ...]:
        """Up to the end, or to the {end} of a range."""
        found: list[Part] = []
        while not self.at_end:
            start = self._text.find("{", self._at)
            if start < 0:
                start = len(self._text)
            if start > self._at:
                found.append(self._text[self._at : start])
                self._at = start
                continue
            self._at += 1
            self._spaces()
            if self._word("end"):
                if not inside_range:
                    raise self.error("{end} without {range ...}")
                self._must("}")
                return tuple(found)
            found.append(self._action())
        if inside_range:
            raise self.error("the {range ...} has no {end}")
        return tuple(found)

    def _word(self, word: str) -> bool:
        found = _WORD.match(self._text, self._at)
        if found is None or found[0] != word:
            return False
        self._at = found.end()
        return True

    def _action(self) -> Part:
        """What stands in braces, after the opening one."""
        if self._word("range"):
            self._spaces()
            path = self.path()
            self._must("}")
            return Range(path, self.parts(inside_range=True))
        if quoted := self._take(_QUOTED):
            self._must("}")
            return _unquoted(quoted)
        path = self.path()
        self._spaces()
        if not self._skip("}"):
            raise self.error("expected a point, [ or }; each path has braces of its own")
        return path

    def path(self) -> Path:
        """`.a.b[0]`; `$`, `@` or a lone point: the object at hand."""
        segments: list[Segment] = []
        begun = self._skip("$") or self._skip("@")
        while True:
            if self._skip(".."):
                segments.append(_every)
                if not self._text.startswith("[", self._at):
                    segments.append(self._field())
            elif self._skip("."):
                # `.[0]`, and a lone point, are the object itself.
                if _FIELD.match(self._text, self._at):
                    segments.append(self._field())
                elif begun and not self._text.startswith("[", self._at):
                    raise self.error("expected a name after the point")
            elif self._skip("["):
                segments.append(self._brackets())
            elif begun:
                return Path(tuple(segments))
            else:
                raise self.error("a path begins with a point, as in {.metadata.name}")
            begun = True

    def _field(self) -> Segment:
        found = self._take(_FIELD)
        if found is None:
            raise self.error("expected a name, [ or *")
        return _children if found[0] == "*" else _named(re.sub(r"\\(.)", r"\1", found[0]))

    def _brackets(self) -> Segment:
        """What stands in brackets, after the opening one."""
        self._spaces()
        if self._skip("*"):
            self._must("]")
            return _children
        if self._skip("?("):
            return self._filter()
        if self._text.startswith(("'", '"'), self._at):
            names = self._listed(self._name)
            return _named(*names)
        return _indexed(self._listed(self._index))

    def _listed(self, one: Callable[[], Any]) -> list[Any]:
        """`x,y,z]`."""
        found = []
        while True:
            self._spaces()
            found.append(one())
            self._spaces()
            if self._skip("]"):
                return found
            if not self._skip(","):
                raise self.error("expected , or ]")

    def _name(self) -> str:
        found = self._take(_QUOTED)
        if found is None:
            raise self.error("expected a name in quotes, as the one before")
        return _unquoted(found)

    def _index(self) -> int | slice:
        found = self._take(_SLICE)
        if found is None or not found[0]:
            raise self.error("expected a number, a slice as 0:2, a name in quotes, * or ?(...)")
        start, stop, step = found[1], found[2], found[3]
        bounds = [(part or "").lstrip(":") for part in (start, stop, step)]
        if "-" in bounds:
            raise self.error("expected a number after -")
        if stop is None:
            return int(start)
        if step is not None and bounds[2] and int(bounds[2]) == 0:
            raise self.error("a slice takes a step other than 0")
        return slice(*(int(bound) if bound else None for bound in bounds))

    def _filter(self) -> Segment:
        """`@.type=="Ready")]`."""
        self._spaces()
        left = self.path()
        self._spaces()
        sign = self._take(_SIGN)
        right: Path | str | float | bool | None = None
        if sign is not None:
            self._spaces()
            right = self._operand()
        self._spaces()
        if self._text.startswith(("&&", "||"), self._at):
            raise self.error("a filter has one comparison, as kubectl's: put two filters one behind the other for and")
        if not self._skip(")"):
            raise self.error("expected ), or one of == != < <= > >=")
        self._must("]")
        return _filtered(left, sign[0] if sign else "", right)

    def _operand(self) -> Path | str | float | bool | None:
        if quoted := self._take(_QUOTED):
            return _unquoted(quoted)
        if number := self._take(_NUMBER):
            return float(number[0]) if "." in number[0] else int(number[0])
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self._word(word):
                return value
        if self._text.startswith(("@", "$", "."), self._at):
            return self.path()
        raise self.error("expected a text in quotes, a number, true, false or a path")


def _unquoted(found: re.Match[str]) -> str:
    inner = found[1] if found[1] is not None else found[2]
    return re.sub(r"\\(.)", lambda each: _ESCAPES.get(each[1], each[1]), inner or "")
