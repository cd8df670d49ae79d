"""YAML text as a tree in which every value knows its line and column.

Anchors, aliases and merge keys are read; duplicate keys, keys that are not text, and plain scalars on which YAML
1.1 and 1.2 differ are refused. A stream is cut at its `---` lines first, so one broken document does not hide the
others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from hactl.adapters.yaml.nodes import ListNode, MapNode, Node, ScalarNode, Unreadable, compose
from hactl.core.document.problems import FieldPath, Problem, may_show, path_text, shown
from hactl.core.document.scalars import Ambiguous, Scalar, read_plain

#: A document of a hundred nodes is about 50 KiB.
MAX_BYTES = 1024 * 1024
#: Documents of one file.
MAX_DOCUMENTS = 1000
#: More of the same says nothing new.
MAX_PROBLEMS = 100

Data: TypeAlias = Scalar | list["Data"] | dict[str, "Data"]

_MERGE = "<<"
_LINE_BREAK = re.compile(r"\r\n|\n|\r")
#: Outside YAML's printable set, or a line break to some readers and not to others.
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


@dataclass(slots=True)
class Tree:
    """One YAML document: its data, where everything stands, and what is wrong with it as YAML."""

    #: Line of the source file the document starts on, from 1.
    line: int
    text: str
    data: Data = None
    #: Lines of comments before its `---`, and the line of the file they start on.
    before: str = ""
    before_line: int = 1
    #: False: not YAML; `data` is nothing. True with problems: `data` is what could be understood.
    readable: bool = True
    problems: list[Problem] = field(default_factory=list)
    _keys: dict[FieldPath, Node] = field(default_factory=dict)
    _values: dict[FieldPath, Node] = field(default_factory=dict)

    def at(self, path: FieldPath, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a value (or of its key); of the nearest thing around it when it does not exist."""
        if key and path in self._keys:
            return self._keys[path].line, self._keys[path].column
        for length in range(len(path), -1, -1):
            node = self._values.get(path[:length])
            if node is None:
                continue
            # What is missing in a mapping is best shown at the mapping's own key.
            shown_at = self._keys.get(path[:length], node) if length < len(path) else node
            return shown_at.line, shown_at.column
        return self.line, 1


def read_trees(content: bytes, source: str) -> tuple[list[Tree], list[Problem]]:
    """The documents of a file, and the problems of the file as a whole (then there are no documents)."""
    if len(content) > MAX_BYTES:
        return [], [Problem(source, 0, 0, "", f"the file is larger than {MAX_BYTES // 1024} KiB", "split it")]
    text, problem = _decode(content, source)
    if problem is not None:
        return [], [problem]
    if sum(1 for _ in _documents(text)) > MAX_DOCUMENTS:
        return [], [Problem(source, 0, 0, "", f"the file has more than {MAX_DOCUMENTS} documents", "split it")]
    trees: list[Tree] = []
    before = (1, "")
    for line, chunk in _documents(text):
        tree = _read(line, chunk, source)
        if tree is None:
            before = (line, chunk)
            continue
        tree.before_line, tree.before = before
        before = (1, "")
        trees.append(tree)
    if not trees:
        what = "the file is empty" if not text.strip() else "the file holds no document, only comments"
        return [], [Problem(source, 1, 1, "", what, "a document starts with apiVersion: hactl.dev/v1alpha1")]
    return trees, []


def _decode(content: bytes, source: str) -> tuple[str, Problem | None]:
    """UTF-8 text without surprising characters."""
    if b"\0" in content:
        return "", Problem(source, 0, 0, "", "the file is binary or UTF-16", "documents are UTF-8 text")
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line, column = _position(content[: error.start].decode(errors="replace"))
        byte = content[error.start]
        return "", Problem(source, line, column, "", f"byte 0x{byte:02x} is not UTF-8", "save the file as UTF-8")
    if found := _UNWANTED.search(text):
        line, column = _position(text[: found.start()])
        what = f"the character U+{ord(found[0]):04X} is not allowed"
        return "", Problem(source, line, column, "", what, "remove it, or write it as an escape in double quotes")
    return text, None


def _position(before: str) -> tuple[int, int]:
    """Line and column, from 1, of what follows this text."""
    lines = _LINE_BREAK.split(before)
    return len(lines), len(lines[-1]) + 1


def _documents(text: str) -> Iterator[tuple[int, str]]:
    """The text cut at its document markers: (line of the file, from 1; text from its `---` line on).

    A line that starts with `---` or `...` is a marker wherever it stands, in a block scalar too (YAML 1.2.2, 9.1).
    """
    start, lines = 1, list[str]()
    for number, line in enumerate(_LINE_BREAK.split(text), 1):
        marker = re.match(r"(---|\.\.\.)(?=[ \t]|$)", line)
        if marker:
            yield start, "\n".join(lines)
            rest = line[3:].strip()
            start, lines = number, [line]
            if marker[1] == "...":
                start, lines = (number, [line]) if rest and not rest.startswith("#") else (number + 1, [])
        else:
            lines.append(line)
    yield start, "\n".join(lines)


def _read(line: int, text: str, source: str) -> Tree | None:
    """One document; None when there is nothing in it."""
    tree = Tree(line=line, text=text)
    meaningful = [
        (number, row)
        for number, row in enumerate(text.split("\n"), line)
        if row.strip() and not row.lstrip().startswith("#") and not re.fullmatch(r"---\s*(#.*)?", row)
    ]
    if not meaningful:
        return None
    if all(row.startswith("%") for _, row in meaningful):
        wrong = [(number, row) for number, row in meaningful if not re.fullmatch(r"%YAML\s+1\.2\s*(#.*)?", row)]
        tree.problems = [Problem(source, number, 1, "", "directives are not read", "remove it") for number, _ in wrong]
        tree.readable = False
        return tree if wrong else None
    try:
        root = compose(text)
    except Unreadable as refused:
        tree.readable = False
        tree.problems = _syntax_problems(tree, source, refused)
        return tree
    _Reader(tree, source).read(root)
    return tree


def _syntax_problems(tree: Tree, source: str, refused: Unreadable) -> list[Problem]:
    """The parser stops at its first error; tabs are shown all, because they come in herds."""
    tabs = [
        Problem(
            source, number, row.index("\t") + 1, "", "a tab is used for indentation", "YAML is indented with spaces"
        )
        for number, row in enumerate(tree.text.split("\n"), tree.line)
        if re.match(r" *\t[ \t]*[^ \t#]", row)
    ]
    if tabs and refused.message.startswith("not YAML"):
        return tabs[:MAX_PROBLEMS]
    line = tree.line + refused.line
    return [Problem(source, line, refused.column + 1, refused.path, refused.message, refused.fix)]


class _Reader:
    """Turns nodes into data, remembering where each field path stands; collects problems and goes on."""

    def __init__(self, tree: Tree, source: str) -> None:
        self._tree = tree
        self._source = source
        # Nodes count lines from 0 within their chunk.
        self._offset = tree.line

    def read(self, root: Node) -> None:
        """Fill the tree."""
        self._tree.data = self._value((), root)

    def _place(self, node: Node) -> Node:
        return Node(node.line + self._offset, node.column + 1)

    def _problem(self, node: Node, path: FieldPath, message: str, fix: str = "") -> None:
        if len(self._tree.problems) < MAX_PROBLEMS:
            place = self._place(node)
            self._tree.problems.append(Problem(self._source, place.line, place.column, path_text(path), message, fix))

    def _value(self, path: FieldPath, node: Node) -> Data:
        self._tree._values[path] = self._place(node)
        if isinstance(node, ListNode):
            return [self._value((*path, index), item) for index, item in enumerate(node.items)]
        if isinstance(node, MapNode):
            return self._mapping(path, node)
        assert isinstance(node, ScalarNode)
        return self._scalar(path, node)

    def _scalar(self, path: FieldPath, node: ScalarNode) -> Scalar:
        if not node.plain:
            return node.text
        value = read_plain(node.text)
        if isinstance(value, Ambiguous):
            if may_show(path):
                self._problem(node, path, value.message, value.fix)
            else:
                self._problem(node, path, "YAML 1.1 and 1.2 read this plain value differently", "quote it")
            # As text, so that reading can go on and find what else is wrong.
            return node.text
        return value

    def _mapping(self, path: FieldPath, node: MapNode) -> dict[str, Data]:
        data: dict[str, Data] = {}
        for key, (key_node, value_node) in self._pairs(path, node).items():
            self._tree._keys[(*path, key)] = self._place(key_node)
            data[key] = self._value((*path, key), value_node)
        return data

    def _pairs(self, path: FieldPath, node: MapNode, *, merging: bool = False) -> dict[str, tuple[Node, Node]]:
        """Key and value nodes by key; what a merge key (`<<`) brings comes first and gives way to own keys.

        With `merging` nothing is reported: the mapping is read, and reported on, where it stands.
        """
        own: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key_node, value_node in node.pairs:
            key = self._key(path, key_node, merging=merging)
            if key is None:
                continue
            if key in own:
                if not merging:
                    first = own[key][0].line + self._offset
                    what = f"the key {shown(key)} is there twice (first in line {first})"
                    self._problem(key_node, (*path, key), what, "keep one of them")
                continue
            if key == _MERGE and isinstance(key_node, ScalarNode) and key_node.plain:
                merged = self._merged(path, value_node, merging=merging) | merged
            else:
                own[key] = (key_node, value_node)
        return merged | own

    def _key(self, path: FieldPath, node: Node, *, merging: bool) -> str | None:
        """A key as text; None, with a problem, when it cannot be one."""
        if not isinstance(node, ScalarNode):
            if not merging:
                self._problem(node, path, "a key must be text, not a list or a mapping")
            return None
        value = read_plain(node.text) if node.plain and node.text != _MERGE else node.text
        if isinstance(value, str) or merging:
            return node.text
        if isinstance(value, Ambiguous):
            self._problem(node, path, f"as a key, {value.message}", f'quote it: "{node.text}"')
        else:
            kind = "nothing" if value is None else "a truth value" if isinstance(value, bool) else "a number"
            self._problem(node, path, f"the key {shown(node.text)} is {kind}, a key must be text", "quote it")
        return node.text

    def _merged(self, path: FieldPath, node: Node, *, merging: bool) -> dict[str, tuple[Node, Node]]:
        """The pairs a merge key brings; of several mappings the first that has a key wins."""
        pairs: dict[str, tuple[Node, Node]] = {}
        for source in node.items if isinstance(node, ListNode) else [node]:
            if isinstance(source, MapNode):
                pairs = self._pairs(path, source, merging=True) | pairs
            elif not merging:
                self._problem(source, path, "a merge key takes a mapping or a list of mappings", "write <<: *anchor")
        return pairs
