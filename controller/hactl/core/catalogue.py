"""The closed sets of words, each an enum: reasons not to act, events, conditions and their reasons, causes, refusals.

Whatever is not named here cannot happen, and whatever is named here is documented (tests/repo checks both). A member is
the very text that stands in statuses, in the record and in the reference; its `meaning` is its one sentence there.
The verbs have a table of their own: `hactl.core.verbs`.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Self


class Named(StrEnum):
    """A word and what it means."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """The text people and programs see, and its sentence in the reference."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class About(Enum):
    """What a hold is about."""

    #: Something is not known; nothing is known to be wrong.
    UNKNOWN = "unknown"
    #: How a node is configured or equipped.
    CONFIGURATION = "configuration"
    #: Where things are, what state they are in, or who may act.
    SITUATION = "situation"


class HoldReason(Named):
    """Why hactl does not act (yet)."""

    about: About

    def __new__(cls, value: str, meaning: str, about: About) -> Self:
        """A word, what it means, and what such a hold is about."""
        member = str.__new__(cls, value)
        member._value_, member.meaning, member.about = value, meaning, about
        return member

    ADDRESS_ELSEWHERE = (
        "AddressElsewhere",
        "A vhid is MASTER on another node than its group is active on; preemption should bring it.",
        About.SITUATION,
    )
    ADDRESS_IN_USE = (
        "AddressInUse",
        "A wanted address is an ordinary address of the interface already.",
        About.CONFIGURATION,
    )
    ADDRESS_WAITS = ("AddressWaits", "Addresses come up only when their group serves.", About.SITUATION)
    BOOT_CONFIG_BY_HAND = (
        "BootConfigByHand",
        "A hand-written boot setting contradicts the document where hactl does not edit.",
        About.CONFIGURATION,
    )
    BOOT_CONFIG_UNKNOWN = (
        "BootConfigUnknown",
        "rc.conf cannot be read as rc would read it, for instance a syntax error.",
        About.UNKNOWN,
    )
    COPY_MISSING = (
        "CopyMissing",
        "One disk is blank and the other node has data but does not serve it.",
        About.SITUATION,
    )
    COUNTERS_DISAGREE = (
        "CountersDisagree",
        "The metadata counters of the two copies fit no state that HAST knows.",
        About.SITUATION,
    )
    DEMOTED = ("Demoted", "net.inet.carp.demotion is not 0 and not all of it was added by hand.", About.SITUATION)
    DEVICE_IN_USE = ("DeviceInUse", "A device to be initialised is used by something.", About.CONFIGURATION)
    DEVICE_MISSING = ("DeviceMissing", "A device of the document does not exist on the node.", About.CONFIGURATION)
    DEVICE_NEVER_CAME = (
        "DeviceNeverCame",
        "A node is primary and its worker lives, but its /dev/hast device never appeared although the peer answers.",
        About.SITUATION,
    )
    DEVICE_NOT_READY = (
        "DeviceNotReady",
        "The node is primary and its /dev/hast device is not there yet.",
        About.CONFIGURATION,
    )
    DISK_ERRORS = (
        "DiskErrors",
        "A primary has had I/O errors on its own disk: its copy may be old although hastd does not say so.",
        About.CONFIGURATION,
    )
    DRAINED = (
        "Drained",
        "A node is drained and a group stays on it, because no other node could take it.",
        About.SITUATION,
    )
    DUAL_PRIMARY = ("DualPrimary", "Two nodes are primary for one resource.", About.SITUATION)
    ELECTING = ("Electing", "CARP has not elected a MASTER yet.", About.SITUATION)
    FACTS_UNKNOWN = ("FactsUnknown", "A reading that the decision needs is Unknown.", About.UNKNOWN)
    FLEET_SILENT = (
        "FleetSilent",
        "Many nodes vanished at once: our own network is suspected and nothing is changed.",
        About.SITUATION,
    )
    FOREIGN_COPY = ("ForeignCopy", "The two disks belong to different HAST resources.", About.SITUATION)
    FOREIGN_DATA = ("ForeignData", "A device holds something that is not this resource's metadata.", About.SITUATION)
    FOREIGN_RESOURCE = (
        "ForeignResource",
        "hastd has a resource in use that the document does not have.",
        About.CONFIGURATION,
    )
    HASTD_NEVER_CONNECTS = (
        "HastdNeverConnects",
        "The hastd of a node does not connect when it is primary, as in FreeBSD 15.0 and 15.1 (bug 292322).",
        About.CONFIGURATION,
    )
    HASTD_SILENT = ("HastdSilent", "hastd runs and does not answer hastctl.", About.UNKNOWN)
    HELD_AT_BOOT = (
        "HeldAtBoot",
        "A rebooted node is held back (demotion) until it could really serve.",
        About.SITUATION,
    )
    INTERFACE_DOWN = ("InterfaceDown", "A vhid is INIT because its interface is down or has no link.", About.SITUATION)
    INTERFACE_MISSING = ("InterfaceMissing", "A node does not have an interface of the document.", About.CONFIGURATION)
    LEFT_BEHIND = (
        "LeftBehind",
        "A service that left the document goes on running, or a resource that left it is still in use.",
        About.CONFIGURATION,
    )
    LEASE_LOST = (
        "LeaseLost",
        "A newer controller acts on the node; this one does not, until that one is gone.",
        About.SITUATION,
    )
    MACHINE_TAKEN = (
        "MachineTaken",
        "A node is a machine of another cluster, by its host key, kern.hostuuid or its own note: nothing is changed.",
        About.SITUATION,
    )
    METADATA_UNKNOWN = ("MetadataUnknown", "What is on a device could not be read.", About.UNKNOWN)
    MOUNTPOINT_BUSY = ("MountpointBusy", "Something else is mounted on the mountpoint.", About.CONFIGURATION)
    MOVE_WAITS = ("MoveWaits", "A group is to move to another node that could not take it yet.", About.SITUATION)
    MOVES_LIMITED = (
        "MovesLimited",
        "A group moved so often within an hour that hactl moves it no more by itself.",
        About.SITUATION,
    )
    NODE_SILENT = ("NodeSilent", "A node gave no facts.", About.UNKNOWN)
    NOT_BLANK = ("NotBlank", "A device to be initialised is not blank.", About.SITUATION)
    NOT_FREE_BSD = ("NotFreeBSD", "The node does not run FreeBSD.", About.CONFIGURATION)
    NOT_IN_DOCUMENT = (
        "NotInDocument",
        "Something of an administrator's works on a node, the document does not say it, and hactl would end it.",
        About.CONFIGURATION,
    )
    NOT_INITIALISED = (
        "NotInitialised",
        "A device holds nothing and the document does not let hactl initialise it.",
        About.SITUATION,
    )
    NOT_JUST_CREATED = (
        "NotJustCreated",
        "A replicated device is blank, but its copies are not known to be new.",
        About.SITUATION,
    )
    NOT_ROOT = ("NotRoot", "The login on the node is not root.", About.CONFIGURATION)
    OBSERVE_ONLY = ("ObserveOnly", "mode is Observe: hactl looks and never touches.", About.CONFIGURATION)
    PAUSED = (
        "Paused",
        "A person paused the fleet, the cluster, the group or the node; it is observed and not changed.",
        About.SITUATION,
    )
    PEER_SILENT = ("PeerSilent", "What is to be done needs the word of a node that cannot be asked.", About.UNKNOWN)
    POOL_DEGRADED = ("PoolDegraded", "A ZFS pool works without one of its devices.", About.SITUATION)
    POOL_DIFFERS = (
        "PoolDiffers",
        "A ZFS pool stands on other devices, or in another layout, than the document says.",
        About.SITUATION,
    )
    POOL_SICK = ("PoolSick", "A ZFS pool is neither ONLINE nor DEGRADED, or cannot be imported.", About.SITUATION)
    RECONNECTING = (
        "Reconnecting",
        "A primary and its secondary are not connected; they connect again by themselves.",
        About.SITUATION,
    )
    RELOAD_UNSAFE = ("ReloadUnsafe", "Reloading hastd would destroy a device that is in use.", About.CONFIGURATION)
    RESOLVE_WAITS = (
        "ResolveWaits",
        "A copy that a person asked to be thrown away cannot be thrown away now.",
        About.SITUATION,
    )
    ROLE_UNKNOWN = ("RoleUnknown", "A node does not report its HAST role.", About.UNKNOWN)
    SECURE_LEVEL = ("SecureLevel", "The kernel's securelevel forbids loading the carp module.", About.CONFIGURATION)
    SERVICE_FAILING = (
        "ServiceFailing",
        "A service stopped by itself, and its onFailure does not let hactl start it there again for now.",
        About.CONFIGURATION,
    )
    SERVICE_MISSING = ("ServiceMissing", "A node does not have a service of the document.", About.CONFIGURATION)
    SERVICE_UNKNOWN = ("ServiceUnknown", "It is not known whether a service runs.", About.UNKNOWN)
    SERVICE_WAITS = (
        "ServiceWaits",
        "A service is not started because one that it comes after does not run.",
        About.CONFIGURATION,
    )
    SIZES_DIFFER = ("SizesDiffer", "The copies of a resource differ in size.", About.CONFIGURATION)
    SPLIT_BRAIN = ("SplitBrain", "Both copies of a resource were written while they were apart.", About.SITUATION)
    STALE_FACTS = ("StaleFacts", "What a node said is too old to act on.", About.UNKNOWN)
    STANDBY_FIRST = (
        "StandbyFirst",
        "The active node is not changed before the standby has taken the same change.",
        About.CONFIGURATION,
    )
    STEP_FAILING = ("StepFailing", "A step failed a short while ago and is tried again later.", About.CONFIGURATION)
    STORAGE_APART = (
        "StorageApart",
        "The resources of one group are, or would be, primary on different nodes.",
        About.SITUATION,
    )
    SYNCHRONISING = (
        "Synchronising",
        "A copy is being brought up to date, so its node cannot take over yet.",
        About.SITUATION,
    )
    SYSTEM_UNKNOWN = ("SystemUnknown", "It is not known what system a node runs.", About.UNKNOWN)
    TWO_MASTERS = ("TwoMasters", "Two nodes are MASTER for one vhid.", About.SITUATION)
    UNICAST_PEER = (
        "UnicastPeer",
        "A vhid talks to one peer only, which the document cannot express.",
        About.CONFIGURATION,
    )
    WAITING_FOR_APPROVAL = (
        "WaitingForApproval",
        "mode is Propose and nobody has approved this plan's digest.",
        About.SITUATION,
    )
    WRONG_HOST = ("WrongHost", "The machine calls itself otherwise than the document does.", About.CONFIGURATION)


class EventKind(Named):
    """What a line of the history records."""

    #: Something went wrong: a Warning among Kubernetes' events.
    warning: bool

    def __new__(cls, value: str, meaning: str, warning: bool = False) -> Self:
        """A word, what it means, and whether it is a warning."""
        member = str.__new__(cls, value)
        member._value_, member.meaning, member.warning = value, meaning, warning
        return member

    DOCUMENT_ACCEPTED = ("DocumentAccepted", "A document became a new generation.")
    DOCUMENT_REFUSED = ("DocumentRefused", "A document was refused; the last good generation stays in force.", True)
    DOCUMENT_VANISHED = (
        "DocumentVanished",
        "A document disappeared from its source; the cluster is unmanaged, nothing is torn down.",
        True,
    )
    PLAN_CHANGED = ("PlanChanged", "What is to be done changed.")
    STEP_BEGUN = ("StepBegun", "A step was about to run.")
    STEP_ENDED = ("StepEnded", "A step ended: Done, Failed or Indeterminate.")
    STATE_CHANGED = ("StateChanged", "A CARP state, a HAST role, a mount or a service changed on a node.")
    CONDITION_CHANGED = ("ConditionChanged", "A condition of the cluster changed.")
    HOLD_CHANGED = ("HoldChanged", "A reason not to act appeared or went away.")
    NODE_LOST = ("NodeLost", "A node stopped answering.", True)
    NODE_BACK = ("NodeBack", "A node answers again.")
    NODE_REBOOTED = ("NodeRebooted", "A node's boot time changed.")
    CONTROLLER_STARTED = ("ControllerStarted", "A controller or an apply began.")
    CONTROLLER_STOPPED = ("ControllerStopped", "A controller or an apply ended.")
    OPERATION_OPENED = (
        "OperationOpened",
        "A person asked for an operation: a switchover, a drain, a pause, an approval, a resolution.",
    )
    OPERATION_ENDED = ("OperationEnded", "Such an operation is over: Done, Failed, Cancelled or Expired.")
    GROUP_MOVED = ("GroupMoved", "A group became active on another node.")
    LEASE_TAKEN = ("LeaseTaken", "This process acts on the cluster now, after another one did.")
    REQUEST_ACCEPTED = ("RequestAccepted", "A request to the API changed something.")
    REQUEST_REFUSED = (
        "RequestRefused",
        "A request to the API that would have changed something, or that the role did not allow, was refused.",
        True,
    )
    TOLD = ("Told", "What another controller told of a cluster that it looks after (spec.managedBy).")
    TOKEN_CREATED = ("TokenCreated", "A token of the API was made.")
    TOKEN_REVOKED = ("TokenRevoked", "A token of the API is not accepted any more.")
    RECORD_FULL = (
        "RecordFull",
        "The disk of the record is full: nothing is begun that could not be recorded, until there is room.",
        True,
    )
    RECORD_WRITABLE = ("RecordWritable", "The record can be written again, after writes to it had failed.")
    SIMULATED = ("Simulated", "A document was played on simulated nodes, fault by fault (hactl simulate).")


class ConditionType(Named):
    """What is said of a cluster; the meaning is that of status True."""

    READY = ("Ready", "Every node is as the document says, and addresses, storage and configuration are healthy.")
    RECONCILING = ("Reconciling", "Work is in progress or waited for. Exists only while true.")
    STALLED = (
        "Stalled",
        "Blocked until a person or the world changes something; the reason may be any hold. Only while true.",
    )
    ADDRESSES_HEALTHY = (
        "AddressesHealthy",
        "Each vhid has exactly one MASTER, seen from all its nodes, on the node that has the storage.",
    )
    STORAGE_HEALTHY = ("StorageHealthy", "Each resource has exactly one primary, complete, and nothing falls behind.")
    CONFIG_IN_SYNC = ("ConfigInSync", "Running and boot-time configuration both match the document.")
    FAILOVER_READY = (
        "FailoverReady",
        "If the active node died this second, the standby would take over completely by itself.",
    )
    SPLIT_BRAIN = ("SplitBrain", "Two MASTERs, two primaries or diverged copies. Exists only while true.")
    SPEC_ACCEPTED = (
        "SpecAccepted",
        "The newest document of its source is in force; False: it was refused, and an older one stays in force.",
    )
    SOURCE_READY = (
        "SourceReady",
        "The source of the document can be read; False: what is in force is as old as the last good read.",
    )


class ConditionReason(Named):
    """Why a condition is as it is. Stalled and Ready may also give the reason of a hold."""

    ACCEPTED = ("Accepted", "The newest document is in force.")
    ADDRESS_ELSEWHERE = (
        "AddressElsewhere",
        "A vhid is MASTER on another node than the one that has its group's storage.",
    )
    ADDRESS_WITHOUT_STORAGE = (
        "AddressWithoutStorage",
        "A vhid is MASTER on a node while no node has its group's storage.",
    )
    ADDRESSES_APART = ("AddressesApart", "The addresses of one group are MASTER on different nodes.")
    AS_DESIRED = ("AsDesired", "Every node is as the document says.")
    CARP_OFF = ("CarpOff", "net.inet.carp.allow is 0 on the standby.")
    CARP_SILENT = (
        "CarpSilent",
        "net.inet.carp.log is 0 on a node: its hook cannot read why an address came or went.",
    )
    CHANGES_PENDING = ("ChangesPending", "The plan has steps.")
    COMPLETE = ("Complete", "Every resource has one primary, complete.")
    COPY_NOT_CONFIRMED = (
        "CopyNotConfirmed",
        "The standby's hook would not promote its copy: not confirmed, or it lost its primary.",
    )
    DEVD_STOPPED = ("DevdStopped", "devd does not run on a node, so nothing there can call the node hook.")
    DEGRADED = ("Degraded", "A primary and its secondary are not connected, as one of them says.")
    DEVICE_NEVER_CAME = (
        "DeviceNeverCame",
        "A node is primary and its worker lives, but its /dev/hast device never appeared although the peer answers.",
    )
    DIVERGED = (
        "Diverged",
        "Both copies of a resource were written while they were apart; the metadata counters show it.",
    )
    DOCUMENT_REFUSED = ("DocumentRefused", "A newer document was refused; the message names the first fault.")
    DRAINED = ("Drained", "The standby is drained: its hook takes nothing over.")
    DUPLICATE_ADDRESS = ("DuplicateAddress", "Another machine uses an IPv6 address of a vhid.")
    FALLING_BEHIND = ("FallingBehind", "More and more data is on the primary only.")
    HASTD_DEAF = ("HastdDeaf", "hastd of a node takes no connections: nobody listens on its port.")
    HASTD_NEVER_CONNECTS = (
        "HastdNeverConnects",
        "The hastd of a node does not connect when it is primary: it could not serve while its peer answers.",
    )
    HELD = ("Held", "Something differs and hactl does not act on it; the message names the holds.")
    HELD_AT_BOOT = ("HeldAtBoot", "The standby is held back (demotion) since it booted, until it could really serve.")
    HOOK_MISSING = ("HookMissing", "A file of the node hook is missing or is not as the document makes it.")
    HOOK_NOT_LOADED = (
        "HookNotLoaded",
        "devd was not started with the rule of the node hook, so the hook is not called.",
    )
    HOOK_OVERTAKEN = (
        "HookOvertaken",
        "devd prefers a rule of somebody else for CARP to the node hook's, so the hook is not called.",
    )
    HOOK_UNKNOWN = ("HookUnknown", "What a node has of the node hook is not known.")
    IN_SYNC = ("InSync", "Running and boot-time configuration are as the document says.")
    LOCAL_ERRORS = ("LocalErrors", "The primary has had I/O errors on its own disk; later reads may be stale.")
    MANUAL_POLICY = (
        "ManualPolicy",
        "failover.policy is Manual: the hook only reports, storage and services wait for a person.",
    )
    METADATA_UNKNOWN = ("MetadataUnknown", "The copies of a resource could not be compared.")
    MOUNTPOINT_TAKEN = ("MountpointTaken", "Something else is mounted where the standby would mount a filesystem.")
    MOUNT_DEAD = ("MountDead", "A filesystem or pool is in use whose HAST device is gone: every access to it fails.")
    NO_ACTIVE_NODE = ("NoActiveNode", "No single node is known to have the whole group.")
    NO_ADDRESSES = ("NoAddresses", "The document has no virtual IPs.")
    NO_MASTER = ("NoMaster", "No node is MASTER for a vhid.")
    NO_PRIMARY = ("NoPrimary", "No node is primary for a resource.")
    NO_ROOM = ("NoRoom", "A node has no room left where the node hook keeps its notes.")
    NO_STANDBY = ("NoStandby", "The group has no other node.")
    NO_STORAGE = ("NoStorage", "The document has no storage.")
    NOT_ON_EVERY_NODE = ("NotOnEveryNode", "A node does not take part in a vhid: it is INIT or not there.")
    NOT_SYNCHRONISED = ("NotSynchronised", "Part of the data is on the active node only.")
    OBSERVE_ONLY = ("ObserveOnly", "The document's mode is Observe: what differs is not changed.")
    ONE_MASTER = ("OneMaster", "Every vhid has exactly one MASTER.")
    PASSWORD_DIFFERS = ("PasswordDiffers", "A vhid of the standby has another password.")
    PEER_REFUSED = ("PeerRefused", "A route of a node refuses the replication address of its peer.")
    PREEMPT_OFF = (
        "PreemptOff",
        "net.inet.carp.preempt is 0 on the standby, so demotion of the active node moves nothing.",
    )
    READINGS_UNKNOWN = ("ReadingsUnknown", "Readings the document needs are not known.")
    REPLICATION_CUT = (
        "ReplicationCut",
        "The interface of a replication address is down or has no carrier: nothing reaches the other copy.",
    )
    ROLE_UNKNOWN = ("RoleUnknown", "The HAST role of a node is not known.")
    RUNTIME_DRIFT = ("RuntimeDrift", "What runs now differs from the document.")
    SERVICE_MISSING = ("ServiceMissing", "The standby does not have a service of the document.")
    SOURCE_READ = ("SourceRead", "The newest read of the source succeeded.")
    SOURCE_SILENT = ("SourceSilent", "The source cannot be read, or something is wrong with it.")
    STALE = ("Stale", "Nobody has looked at the nodes for too long: no condition can be told.")
    STANDBY_DEMOTED = ("StandbyDemoted", "The standby is demoted, so it does not win an election it should win.")
    STANDBY_INTERFACE_DOWN = ("StandbyInterfaceDown", "The standby's interface of a vhid is down.")
    STANDBY_NOT_BACKUP = ("StandbyNotBackup", "The standby is not BACKUP for a vhid.")
    STANDBY_NOT_SECONDARY = ("StandbyNotSecondary", "The standby is not secondary for a resource.")
    STANDBY_READY = (
        "StandbyReady",
        "The standby takes everything over by itself; the message says how long it would take.",
    )
    STANDBY_SILENT = ("StandbySilent", "The standby does not answer.")
    STATE_UNKNOWN = ("StateUnknown", "The CARP state of a vhid on a node is not known.")
    STEP_FAILING = ("StepFailing", "A step fails again and again.")
    STEPS_PENDING = ("StepsPending", "A stage is about to run or runs.")
    STORAGE_STAYS_PUT = (
        "StorageStaysPut",
        "The group has no virtual IP, so no node sees a move: storage and services wait for hactl.",
    )
    SYNCHRONISING = ("Synchronising", "A copy is being brought up to date.")
    SYSCTLS_UNKNOWN = ("SysctlsUnknown", "The CARP sysctls of the standby are not known.")
    TWO_MASTERS = ("TwoMasters", "Two nodes are MASTER for one vhid.")
    TWO_PRIMARIES = ("TwoPrimaries", "Two nodes are primary for one resource.")
    WAITING = ("Waiting", "Time, or hactl itself, will clear what is waited for.")
    WRONG_AFTER_REBOOT = (
        "WrongAfterReboot",
        "Right now but wrong after a reboot: only boot-time configuration differs.",
    )


class Cause(Named):
    """What an explanation of `hactl why` comes down to. It may also be the reason of a hold or of a condition."""

    ABOUT_TO_PROMOTE = ("AboutToPromote", "The next step makes the node primary.")
    CARP_NOT_LOADED = ("CarpNotLoaded", "A node has not loaded the carp module.")
    COPY_OLDER = ("CopyOlder", "The copy of another node is newer, so this node is not made primary.")
    EQUAL_SKEWS = ("EqualSkews", "Two nodes are equal for a vhid, and a BACKUP never preempts an equal MASTER.")
    FOUGHT = ("Fought", "Something on the node undoes what hactl does, each time.")
    HASTD_DOWN = ("HastdDown", "hastd does not run on the node.")
    HEALTHY = ("Healthy", "Nothing is wrong; the headline says why the group is active where it is.")
    HOOK_STOPPED = ("HookStopped", "The node hook began to take the group over and stopped.")
    IT_IS = ("ItIs", "The node is what the question says it is not.")
    MOUNTED_ELSEWHERE = ("MountedElsewhere", "The replicated device is mounted where the document does not say.")
    MOUNTED_ON_STANDBY = ("MountedOnStandby", "A filesystem or pool is in use on a node that is not primary.")
    NO_COPY = ("NoCopy", "The disk of the node holds no copy of the resource.")
    NO_RESOURCE = ("NoResource", "hastd of the node does not know the resource.")
    NOT_MOUNTED = ("NotMounted", "The active node is primary, but has not mounted the filesystem or imported the pool.")
    NUMBERS_UNKNOWN = ("NumbersUnknown", "The CARP numbers of a node are not known, so the election is not explained.")
    ORPHAN_VHID = ("OrphanVhid", "A vhid has no address: it stays INIT and never elects.")
    PEER_ADVERTISES = ("PeerAdvertises", "The node hears a MASTER that does not answer hactl.")
    PEER_PRIMARY = ("PeerPrimary", "Another node is primary for the resource, and two nodes never are.")
    RAW_DEVICE_MOUNTED = ("RawDeviceMounted", "The disk under a HAST resource is mounted directly, past HAST.")
    SERVICE_ON_STANDBY = ("ServiceOnStandby", "A service runs on a node where its group is not active.")
    SERVICE_STOPPED = ("ServiceStopped", "A service does not run on the node where its group is active.")
    SLOWER_THAN_MASTER = ("SlowerThanMaster", "The MASTER advertises faster than the node would.")
    STICKY_DEMOTION = ("StickyDemotion", "A node is demoted although what demoted it is over.")
    STORAGE_ELSEWHERE = ("StorageElsewhere", "A vhid is MASTER on one node and its storage is primary on another.")
    TWO_MASTERS_ADDRESS_SETS_DIFFER = (
        "TwoMastersAddressSetsDiffer",
        "Two nodes are MASTER: their vhid has different addresses, which are part of what is authenticated.",
    )
    TWO_MASTERS_HEARD_ONE_WAY = ("TwoMastersHeardOneWay", "Two nodes are MASTER: only one hears the other.")
    TWO_MASTERS_NOT_KNOWN = ("TwoMastersNotKnown", "Two nodes are MASTER: what is seen does not explain it.")
    TWO_MASTERS_NOTHING_HEARD = ("TwoMastersNothingHeard", "Two nodes are MASTER: no advertisement gets through.")
    TWO_MASTERS_PASSWORD_DIFFERS = ("TwoMastersPasswordDiffers", "Two nodes are MASTER: their passwords differ.")
    TWO_MASTERS_UNICAST_PEER = ("TwoMastersUnicastPeer", "Two nodes are MASTER: one of them sends to one peer only.")
    TWO_MASTERS_VHID_CLASH = ("TwoMastersVhidClash", "Two nodes are MASTER: another machine uses the same vhid.")
    VHID_MISSING = ("VhidMissing", "A node does not have the vhid.")
    WRONG_VHID = ("WrongVhid", "An address is on another vhid or interface than the document says.")


class RefusalReason(Named):
    """Why a copy that a person asked to be thrown away is not."""

    #: The world can lift it: the operation stays open and waits.
    passing: bool

    def __new__(cls, value: str, meaning: str, passing: bool) -> Self:
        """A word, what it means, and whether the operation waits."""
        member = str.__new__(cls, value)
        member._value_, member.meaning, member.passing = value, meaning, passing
        return member

    BAD_PATH = ("BadPath", "The image of the copy cannot be kept under that path.", False)
    COPIES_UNKNOWN = ("CopiesUnknown", "The two copies could not be compared.", True)
    IN_USE = ("InUse", "The copy to be thrown away is mounted, imported or otherwise in use.", True)
    NO_SPLIT_BRAIN = ("NoSplitBrain", "The copies did not diverge: nothing is to be resolved.", False)
    NO_SUCH_RESOURCE = ("NoSuchResource", "The document does not have the resource.", False)
    NODE_SILENT = ("NodeSilent", "One of the two nodes does not answer.", True)
    NOT_A_COPY = ("NotACopy", "The device holds something that is no copy of the resource.", False)
    NOT_ITS_NODE = ("NotItsNode", "The node has no copy of the resource.", False)
    OTHER_NOT_COMPLETE = ("OtherNotComplete", "The copy that would stay is not whole.", False)
    OTHER_NOT_PRIMARY = ("OtherNotPrimary", "The node of the copy that would stay is not primary.", True)
    ROLE_UNKNOWN = ("RoleUnknown", "The node does not report its HAST role.", True)
    SERVING = ("Serving", "The copy to be thrown away is the one in service.", False)
    SIZES_DIFFER = ("SizesDiffer", "The device is smaller than the copy that would fill it.", False)
    STALE_FACTS = ("StaleFacts", "What a node reported is too old.", True)
    USE_UNKNOWN = ("UseUnknown", "What the node has mounted is not known.", True)
