"""The gate of one node as a file: gate.sh with what the document says of the node, and the probe, in front of it.

Rules: everything of the document is quoted; no secret is in it; a file for the same document and the same hactl is the
same to the letter, and its id names it, so that a controller that asks for something else is told so.
"""

from __future__ import annotations

import hashlib

from hactl.core.changes.hast import HAST_CONF
from hactl.core.cluster import Cluster
from hactl.core.hook.render import DEVD_RULE, HOOK, RC_GUARD, RC_NODE
from hactl.core.onestatus.judge import JUDGE
from hactl.core.packaged import packaged
from hactl.core.parse.answer.frames import FRAME
from hactl.core.parse.question import Part
from hactl.core.probe.listening import LISTEN
from hactl.core.probe.script import BOUND, PROGRAM, RIVALS, cases, node_settings
from hactl.core.probe.texts import TEXT_LIMIT
from hactl.core.script import PATH
from hactl.core.sh import quote

#: Where the gate stands on a node.
GATE = "/usr/local/libexec/hactl/gate"
#: What it takes and how it answers, but for the settings of a node.
GATE_PROGRAM = packaged("hactl.core.gate", "gate.sh")
#: Files whose text it tells; no secret is in them.
TEXTS = (HAST_CONF, HOOK, DEVD_RULE, RC_GUARD, RC_NODE)
_ID_MARK = "@id@"


def gate_text(cluster: Cluster, node: str, *, path: str = GATE) -> str:
    """The file as it stands on the node. `path`: where, for a test that has no /usr/local of its own."""
    text = _rendered(cluster, node, path)
    return text.replace(_ID_MARK, _id(text), 1)


def gate_id(cluster: Cluster, node: str, *, path: str = GATE) -> str:
    """Names the gate file, 16 hex digits."""
    return _id(_rendered(cluster, node, path))


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rendered(cluster: Cluster, node: str, path: str) -> str:
    return "\n".join(
        [
            "#!/bin/sh",
            f"# hactl: the gate of {node} in cluster {cluster.name}. Made by `hactl node-access`; do not edit.",
            "set -u",
            "umask 077",
            f"PATH={PATH}; LC_ALL=C; export PATH LC_ALL",
            f"g_id={_ID_MARK} g_self={quote(path)} g_frame={quote(FRAME)} g_bound={quote(BOUND)}",
            f"g_every_part={quote(' '.join(sorted(Part)))} g_last_text={len(TEXTS) - 1}",
            *cases("g_text", [f"head -c {TEXT_LIMIT + 1} {quote(each)} 2>/dev/null" for each in TEXTS]),
            *node_settings(cluster, node),
            JUDGE,
            RIVALS,
            "g_probe() {",
            PROGRAM,
            "}",
            "g_listen() {",
            LISTEN,
            "}",
            GATE_PROGRAM,
        ]
    )
