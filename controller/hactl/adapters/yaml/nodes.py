"""YAML text as nodes that know their place: built from ruamel.yaml's event stream, within limits.

The limits hold before anything is built: depth, and number of values with aliases expanded (a billion laughs is
refused at its second line). Tags other than !!str, !!seq and !!map are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hactl.core.document.problems import printable, shown

if TYPE_CHECKING:
    from ruamel.yaml.events import Event

#: Values of one document, aliases expanded.
MAX_VALUES = 20_000
#: A document is ten levels deep.
MAX_DEPTH = 40

_STR = "tag:yaml.org,2002:str"
_SEQ = "tag:yaml.org,2002:seq"
_MAP = "tag:yaml.org,2002:map"
_ADVICE: tuple[tuple[str, str], ...] = (
    ("mapping values are not allowed here", 'check the indentation, and quote a text that contains ": "'),
    ("could not find expected ':'", 'every line of a mapping is "key: value"'),
    ("cannot start any token", "quote a text that begins with this character"),
    ("expected <block end>", "check the indentation: what belongs together starts in the same column"),
    ("while scanning a quoted scalar", "close the quote"),
    ("unexpected end of stream", "close the quote or bracket"),
    ("expected ',' or", "close the bracket, or put a comma between the items"),
    ("undefined alias", "define the anchor (&name) before it is used (*name)"),
)


class Unreadable(Exception):
    """This document cannot be read on; carries the problem."""

    def __init__(self, line: int, column: int, message: str, fix: str = "", path: str = "") -> None:
        self.line, self.column, self.message, self.fix, self.path = line, column, message, fix, path
        super().__init__(message)


@dataclass(slots=True)
class Node:
    """One value. `line` and `column` count from 1."""

    line: int
    column: int
    #: Values inside with aliases expanded, itself included; levels below it, itself included.
    size: int = 1
    height: int = 1


@dataclass(slots=True)
class ScalarNode(Node):
    """A scalar as written; `plain` means unquoted and untagged."""

    text: str = ""
    plain: bool = False


@dataclass(slots=True)
class ListNode(Node):
    """A sequence."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class MapNode(Node):
    """A mapping: its pairs in document order, keys still unread."""

    pairs: list[tuple[Node, Node]] = field(default_factory=list)


def compose(text: str) -> Node:
    """The tree of one document from its events. Raises Unreadable, with line and column from 0 within the text."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return _Composer().compose(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark is not None else (0, 0)
        # An unclosed quote or bracket is found at the end of the file; where it was opened helps more.
        if error.context_mark is not None and "end of stream" in str(error.problem):
            line, column = error.context_mark.line, error.context_mark.column
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise Unreadable(line, column, f"not YAML: {_one_line(reason)}", _advice(reason)) from None
    except (YAMLError, ValueError, OverflowError) as error:
        # A bad escape ("\U00110000") reaches chr() in ruamel.yaml.
        raise Unreadable(0, 0, f"not YAML: {_one_line(str(error))}") from None


def _one_line(text: str) -> str:
    """The first line, safe for a terminal."""
    return printable(text.strip().split("\n", 1)[0][:200])


def _advice(message: str) -> str:
    """What would be right, for what ruamel.yaml says."""
    return next((advice for words, advice in _ADVICE if words in message), "")


class _Composer:
    """Builds the nodes of one document from events, within the limits."""

    def __init__(self) -> None:
        self._anchors: dict[str, Node | None] = {}
        self._open: list[tuple[Node, str | None, Node | None]] = []
        self._root: Node | None = None

    def compose(self, events: Iterator[Event]) -> Node:
        """The root of the document."""
        from ruamel.yaml import events as kinds

        for event in events:
            mark = event.start_mark
            if isinstance(event, kinds.ScalarEvent):
                self._add(self._scalar(event), event.anchor)
            elif isinstance(event, kinds.SequenceStartEvent):
                self._begin(ListNode(mark.line, mark.column), event, _SEQ)
            elif isinstance(event, kinds.MappingStartEvent):
                self._begin(MapNode(mark.line, mark.column), event, _MAP)
            elif isinstance(event, kinds.SequenceEndEvent | kinds.MappingEndEvent):
                self._end()
            elif isinstance(event, kinds.AliasEvent):
                self._alias(event)
            elif isinstance(event, kinds.DocumentStartEvent) and (event.tags or event.version):
                raise Unreadable(mark.line, mark.column, "directives are not read", "remove it")
        if self._root is None:
            raise Unreadable(0, 0, "the document is empty")
        return self._root

    def _scalar(self, event: Any) -> ScalarNode:
        mark = event.start_mark
        tag = event.tag
        if tag not in (None, "!", _STR):
            raise _bad_tag(event)
        if any(0xD800 <= ord(character) <= 0xDFFF for character in event.value):
            raise Unreadable(mark.line, mark.column, "half a surrogate pair is no character", "write it as \\UXXXXXXXX")
        return ScalarNode(mark.line, mark.column, text=event.value, plain=event.style is None and tag is None)

    def _begin(self, node: Node, event: Any, allowed: str) -> None:
        if event.tag not in (None, "!", allowed):
            raise _bad_tag(event)
        if len(self._open) >= MAX_DEPTH:
            raise Unreadable(node.line, node.column, f"more than {MAX_DEPTH} levels deep", "no document is that deep")
        if event.anchor:
            # Known but unfinished: an alias to it from within would be endless.
            self._anchors[event.anchor] = None
        self._open.append((node, event.anchor, None))

    def _end(self) -> None:
        node, anchor, _ = self._open.pop()
        self._add(node, anchor)

    def _alias(self, event: Any) -> None:
        mark = event.start_mark
        if event.anchor not in self._anchors:
            what = f"undefined alias {shown(event.anchor)}"
            raise Unreadable(mark.line, mark.column, what, _advice("undefined alias"))
        node = self._anchors[event.anchor]
        if node is None:
            raise Unreadable(mark.line, mark.column, "an alias inside its own anchor has no end", "write it out")
        self._add(node, None)

    def _add(self, node: Node, anchor: str | None) -> None:
        """A finished value goes into what is open around it."""
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self._root = node
            return
        parent, parent_anchor, key = self._open[-1]
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if parent.size > MAX_VALUES or len(self._open) + node.height > MAX_DEPTH:
            what = f"more than {MAX_VALUES} values, aliases expanded, or more than {MAX_DEPTH} levels"
            raise Unreadable(node.line, node.column, what, "split it, and use fewer aliases")
        if isinstance(parent, ListNode):
            parent.items.append(node)
        elif isinstance(parent, MapNode) and key is None:
            self._open[-1] = (parent, parent_anchor, node)
        elif isinstance(parent, MapNode) and key is not None:
            parent.pairs.append((key, node))
            self._open[-1] = (parent, parent_anchor, None)


def _bad_tag(event: Any) -> Unreadable:
    mark = event.start_mark
    tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
    return Unreadable(mark.line, mark.column, f"the tag {shown(tag)} is not read", "remove the tag")
