"""Every code of `hactl lint`: what it is called for ever, how bad it is, and its one sentence.

A code is never given another meaning and never used again. Its section in docs/lint.md says why it is so.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from hactl.core.document.problems import Stage


class Severity(StrEnum):
    """How bad a finding is."""

    #: It will not work, or it breaks something.
    ERROR = "error"
    #: It works until the day for which the pair was bought.
    WARNING = "warning"
    #: Worth knowing; often as wanted.
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


class Code(StrEnum):
    """A code, its severity and what it says."""

    severity: Severity
    meaning: str

    def __new__(cls, value: str, severity: Severity, meaning: str) -> Self:
        """The text people and programs see, how bad it is, and its sentence."""
        member = str.__new__(cls, value)
        member._value_, member.severity, member.meaning = value, severity, meaning
        return member

    # What `hactl validate` finds.
    UNREADABLE = "HA001", _ERROR, "A file cannot be read, or is no YAML."
    SHAPE = "HA002", _ERROR, "A field is unknown, missing, or of another type."
    MEANING = "HA003", _ERROR, "Fields contradict each other, or say what FreeBSD cannot do."
    # CARP.
    NO_PASSWORD = "HL101", _WARNING, "A virtual IP has no password."
    LADDERS_APART = "HL102", _ERROR, "The advskews of one group prefer different nodes."
    LADDER_AGAINST_ORDER = "HL103", _WARNING, "The advskews prefer another node than preferred does."
    PREEMPT_BRINGS_BACK = "HL104", _WARNING, "CARP brings a group back although failback is Never."
    LADDER_OF_SOME = "HL105", _WARNING, "Some virtual IPs of a group have advskews and others have none."
    NO_PREEMPT = "HL106", _WARNING, "Without preempt a demoted node keeps its addresses."
    NO_PREEMPT_APART = "HL107", _WARNING, "Without preempt the addresses of a group can stay apart."
    NO_PREEMPT_FAILBACK = "HL108", _WARNING, "Without preempt failback WhenReady brings no address back."
    SLOW_ADVBASE = "HL109", _WARNING, "advbase makes every failover slow."
    ADVBASES_DIFFER = "HL110", _WARNING, "The virtual IPs of one group have different advbase."
    MIXED_FAMILIES = "HL111", _INFO, "One vhid has IPv4 and IPv6 addresses."
    MASK = "HL112", _WARNING, "The network of a virtual IP has one node inside and another outside."
    # HAST.
    SHARED_LINK = "HL201", _WARNING, "Replication uses the network of a virtual IP."
    ASYNC_AUTOMATIC = "HL202", _WARNING, "Failover is automatic and replication is async."
    SHORT_TIMEOUT = "HL203", _WARNING, "timeoutSeconds is not longer than hastd's keepalive."
    LONG_TIMEOUT = "HL204", _INFO, "timeoutSeconds is longer than hastd's own default."
    UNSAFE_MOUNT = "HL205", _WARNING, "A mount option gives up what a failover needs."
    BARE_DEVICE = "HL206", _INFO, "A group has services and a disk that hactl does not mount."
    # Failover.
    ONE_CUT = "HL301", _ERROR, "One cut cable makes both nodes serve."
    NO_WITNESS = "HL302", _INFO, "Failover of a disk is automatic and no witness is asked."
    SOLO_NO_WITNESS = "HL303", _WARNING, "soloStart is set and no witness is asked."
    SOLO_TOO_SOON = "HL304", _WARNING, "soloStart is shorter than a boot."
    ONE_MOVE = "HL305", _WARNING, "maxMovesPerHour 1 stops failback after every failover."
    MANUAL = "HL306", _INFO, "The policy Manual leaves failover to a person."
    LONG_SETTLE = "HL307", _INFO, "settleSeconds is added to every failover."
    ONE_WITNESS = "HL308", _INFO, "Only one witness is asked."
    # Groups and services.
    NO_ADDRESS = "HL401", _WARNING, "A group without virtual IP never fails over by itself."
    ONE_SIDE = "HL402", _INFO, "Every group prefers the same node."
    ALL_NEEDS_DISK = "HL403", _WARNING, "A service that runs on all nodes is in a group with a disk."
    NEEDED_EVERYWHERE = "HL404", _WARNING, "A service that every node needs follows a group."
    OBSERVE = "HL405", _INFO, "The mode is Observe: nothing is repaired."
    ONE_NODE = "HL406", _INFO, "The cluster has one node."
    AFTER_LATER = "HL407", _INFO, "A service stands in the list before one that it comes after."
    MOVE_ASYNC = "HL408", _INFO, "A service is to move its group, and replication is async."
    # Nodes.
    HOST_NAME = "HL501", _WARNING, "A node is reached by a name."
    ONLY_REPLICATION = "HL502", _WARNING, "A node is reached over its replication link."
    SAME_HOST_KEY = "HL503", _WARNING, "Two nodes have the same host key."
    # Several documents.
    VHID_TWICE = "HL601", _ERROR, "Two clusters use one vhid on one network."
    ADDRESS_TWICE = "HL602", _WARNING, "Two clusters use one address."
    MACHINE_TWICE = "HL603", _ERROR, "Two clusters name the same machine."
    MASKS_DIFFER = "HL604", _WARNING, "Two clusters write one network with different prefix lengths."
    SHARED_PASSWORD = "HL605", _INFO, "Two clusters have the same CARP password."
    WITNESS_MOVES = "HL606", _WARNING, "A witness is a virtual IP of another cluster."
    # What documents refer to.
    REFERENCE_ABSENT = "HL701", _INFO, "A file or variable that the document names is not here."
    REFERENCE_UNUSABLE = "HL702", _ERROR, "A file that the document names cannot be used."
    REFERENCE_OPEN = "HL703", _WARNING, "A secret is open to others."
    PASSWORD = "HL704", _ERROR, "A CARP password is one that rc.conf or ifconfig(8) breaks."
    # Comments that silence findings.
    IGNORE_NO_REASON = "HL901", _WARNING, "A hactl:ignore gives no reason."
    IGNORE_UNKNOWN = "HL902", _WARNING, "A hactl:ignore names no code that can be ignored."
    IGNORE_UNUSED = "HL903", _INFO, "A hactl:ignore silences nothing."

    @property
    def can_be_ignored(self) -> bool:
        """Whether a comment or an option may silence it: not what keeps a document from being loaded."""
        return not self.startswith("HA")


#: The code of a problem that `hactl validate` finds.
OF_STAGE = {Stage.TEXT: Code.UNREADABLE, Stage.SHAPE: Code.SHAPE, Stage.MEANING: Code.MEANING}
