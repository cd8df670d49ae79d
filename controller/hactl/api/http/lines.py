"""Values as lines of JSON. What many watchers are told is written once and not once for each."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

#: So many bytes of lines are kept: what is there when watches begin, and the changes that watchers are apart.
KEPT_BYTES = 16 * 1024 * 1024


def text(value: Any) -> bytes:
    """A value as JSON; half surrogate pairs, which a client may have sent in a header, become `?`.

    The members of a list of objects one by one: json keeps the interpreter to itself for as long as one call takes.
    """
    if isinstance(value, dict):
        for key in ("items", "rows"):
            if isinstance(value.get(key), list):
                head = _text({name: each for name, each in value.items() if name != key})
                comma = b"," if len(value) > 1 else b""
                members = b",".join(_text(each) for each in value[key])
                return b"%s%s%s:[%s]}" % (head[:-1], comma, _text(key), members)
    return _text(value)


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


class Lines:
    """Writes the events of watches; objects are shared between watches, so that they are known again."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        #: (type, identity of the object) -> the object, which keeps the identity its own, and the line.
        self._known: OrderedDict[tuple[str, int], tuple[object, bytes]] = OrderedDict()
        self._size = 0

    def of(self, event: Mapping[str, Any]) -> bytes:
        """An event as one line."""
        body = event.get("object")
        key = (str(event.get("type")), id(body))
        known = self._known.get(key)
        if known is not None and known[0] is body:
            return known[1]
        line = text(event) + b"\n"
        self._size += len(line) - (0 if known is None else len(known[1]))
        self._known[key] = body, line
        while self._size > KEPT_BYTES:
            _, (_, oldest) = self._known.popitem(last=False)
            self._size -= len(oldest)
        return line


def server_sent(value: Mapping[str, Any]) -> bytes:
    """A server-sent event: the keys are its fields; what is no text is sent as JSON."""
    lines = []
    for field, content in value.items():
        words = content if isinstance(content, str) else text(content).decode()
        lines += [f"{field}: {line}" for line in words.split("\n")]
    return ("\n".join(lines) + "\n\n").encode()
