"""The static part of the node hook: POSIX sh, base system only. `render` puts the settings in front of it.

Rules: triggers are hints, the state is read again under the lock; every step is bounded, idempotent and logged; the
next run heals what a killed one left; a role is never changed under a device that is in use (I2), a node is promoted
only when its copy is known to be complete (I4) and the peer has let go or is gone (I1).
Sources: docs/freebsd-facts.md#1.2 (carp(4) timing), #2.1 to #2.9 (hastd(8)), #3.1 (service(8)); man pages devd.conf(5),
lockf(1), rc(8).
"""

from __future__ import annotations

from hactl.core.hook.calls import CALLS
from hactl.core.hook.give import GIVE
from hactl.core.hook.questions import QUESTIONS
from hactl.core.hook.take import TAKE

BODY = QUESTIONS + TAKE + GIVE + CALLS
