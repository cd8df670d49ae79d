"""Everything that a thief of a key that only looks may send to the gate of a node.

`{mark}` is a file that must never be there, `{gate}` the id of the gate.
"""

from __future__ import annotations

_END = ["bounded 0", "services ", "pids ", "."]
_BEGIN = ["gate {gate}", "look 5", "nonce 0123456789abcdef", "parts carp", "quick 0"]


def said(*lines: str, instead_of: str = "") -> str:
    """A look with other lines added, or in place of one."""
    begin = [line for line in _BEGIN if not instead_of or not line.startswith(instead_of)]
    end = [line for line in _END if not instead_of or not line.startswith(instead_of)]
    return "\n".join([*begin, *lines, *end]) + "\n"


#: Requests that are none: sent on standard input, refused.
REQUESTS = {
    "a script": "touch {mark}\n",
    "a script in braces": "{\ntouch {mark}\n}\n",
    "hactl's own script": "set -u\numask 077\ntouch {mark}\n",
    "nothing": "",
    "only the end": ".\n",
    "an expansion": "$(touch {mark})\n.\n",
    "a verb with more": said("look 5; touch {mark}", instead_of="look"),
    "a verb of another level": said("step SetRole data primary", instead_of="look"),
    "two verbs": said("listen"),
    "a time with an expansion": said("look $(touch${IFS}{mark})", instead_of="look"),
    "a time that is an option": said("look -k", instead_of="look"),
    "a time that is none": said("look 0", instead_of="look"),
    "a time without an end": said("look 99999999", instead_of="look"),
    "a time that overflows": said("look 99999999999999999999", instead_of="look"),
    "a nonce with a quote": said("nonce 0123'; touch {mark}; '", instead_of="nonce"),
    "a nonce with an expansion": said("nonce `touch${IFS}{mark}`", instead_of="nonce"),
    "a nonce that is a format": said("nonce %s%s%s%s%n", instead_of="nonce"),
    "a long nonce": said("nonce " + "a" * 65, instead_of="nonce"),
    "no nonce": said(instead_of="nonce"),
    "a part that is none": said("parts carp ../../etc", instead_of="parts"),
    "a part with a pattern": said("parts *", instead_of="parts"),
    "a part with an expansion": said("parts $(touch${IFS}{mark})", instead_of="parts"),
    "quick is sh": said("quick 1;touch", instead_of="quick"),
    "quick is arithmetic": said("quick a[$(touch${IFS}{mark})]", instead_of="quick"),
    "bounded is a command": said("bounded touch {mark} ", instead_of="bounded"),
    "services are names": said("services nfsd", instead_of="services"),
    "pids are sh": said("pids 1 $(touch${IFS}{mark})", instead_of="pids"),
    "a file by its name": said("text /etc/master.passwd"),
    "a file by another number": said("text 99"),
    "a file by a negative number": said("text -1"),
    "a variable of the probe": said("h_bound touch {mark}"),
    "a variable of the gate": said("g_self /tmp/x"),
    "an assignment": said("PATH=/tmp"),
    "control characters": said("file a\tb\x1b[2J"),
    "a carriage return": said("file a\r"),
    "something after the end": said() + "touch {mark}\n",
    "no end": said().removesuffix(".\n"),
    "too long": said("file " + "a" * 500_000),
    "too many lines": said(*["file a"] * 100_000),
    "another gate": said("gate 0000000000000000", instead_of="gate"),
    "no gate": said(instead_of="gate"),
}  # fmt: skip
#: Good requests whose words would act if anything ever ran them: answered, and nothing happens.
HARMLESS = {
    "a file that is an expansion": said("file $(touch {mark})"),
    "a file that is a quote": said("file '; touch {mark}; '"),
    "a file that is a pattern": said("file *"),
    "a process that is sh": said("process 1 2 `touch {mark}`; touch {mark}"),
    "a process that ends the text": said("process END_OF_REQUEST", "process touch {mark}"),
    "bytes that are no text": said("file \udcff\udcfe"),
}


def filled(text: str, gate: str, mark: str) -> str:
    """With the names of a place in it."""
    return text.replace("{gate}", gate).replace("{mark}", mark)
