"""Plain data as a YAML document with remarks: comments, each on lines of its own before the field it is about."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from hactl.core.document.problems import FieldPath
from hactl.core.document.scalars import read_plain

#: A comment is no wider than the code here.
_WIDTH = 110
#: Maps by node name, and references: they stand on one line, as lists of plain values do.
_SHORT = frozenset({"devices", "addresses", "interfaces", "advskews", "passwordFrom", "hostKeyFrom"})


def written(data: Mapping[str, Any], remarks: Mapping[FieldPath, str], head: str = "") -> str:
    """The document as text; it reads back as the same data."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    tree = _tree(dict(data))
    for path, text in remarks.items():
        _remark(tree, path, text)
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return "".join(f"# {line}\n" for line in _lines(head, _WIDTH)) + stream.getvalue()


def _tree(value: Any, name: str = "") -> Any:
    made: Any
    if isinstance(value, dict):
        made = CommentedMap((_text(key), _tree(each, key)) for key, each in value.items())
    elif isinstance(value, list):
        made = CommentedSeq(_tree(each) for each in value)
    else:
        return _text(value) if isinstance(value, str) else value
    parts = value.values() if isinstance(value, dict) else value
    if (isinstance(value, list) or name in _SHORT) and not any(isinstance(each, dict | list) for each in parts):
        made.fa.set_flow_style()
    return made


def _text(value: str) -> str:
    """In quotes what is a text only so, as a key too: a number, `on`, a date (hactl.core.document.scalars)."""
    return SingleQuotedScalarString(value) if read_plain(value) != value else value


def _remark(tree: Any, path: FieldPath, text: str) -> None:
    """Before a key of a block: a place that ruamel's lists and first keys do not have."""
    *way, key = path
    indent = 0
    for part in way:
        tree = tree[part]
        # An entry of a list begins two columns after its dash, and the dash two after the list's own key.
        indent += 2
    tree.yaml_set_comment_before_after_key(key, "\n".join(_lines(text, _WIDTH - indent)), indent)


def _lines(text: str, width: int) -> list[str]:
    """Cut at blanks only: `ssh-keygen` is one word."""
    return textwrap.wrap(text, width, break_on_hyphens=False)
