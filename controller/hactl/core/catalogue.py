"""The closed sets, each an enum with its table: verbs, reasons not to act, conditions, their reasons, events.

Whatever is not named here cannot happen, and whatever is named here is documented (tests/repo checks both). A member is
the very text that stands in statuses, in the record and in the reference; its `meaning` is its one sentence there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Verb(StrEnum):
    """What a step does. What is to be known of each is in `VERBS`."""

    LOAD_MODULE = "LoadModule"
    SET_SYSCTL = "SetSysctl"
    ADJUST_DEMOTION = "AdjustDemotion"
    ADD_ADDRESS = "AddAddress"
    REMOVE_ADDRESS = "RemoveAddress"
    SET_VHID = "SetVhid"
    WRITE_BOOT_ALIASES = "WriteBootAliases"
    SET_RC_VARIABLE = "SetRcVariable"
    REMOVE_RC_VARIABLE = "RemoveRcVariable"
    SET_SYSCTL_CONF = "SetSysctlConf"
    WRITE_HAST_CONF = "WriteHastConf"
    RELOAD_HASTD = "ReloadHastd"
    START_HASTD = "StartHastd"
    CREATE_METADATA = "CreateMetadata"
    SET_ROLE = "SetRole"
    MAKE_FILESYSTEM = "MakeFilesystem"
    CREATE_POOL = "CreatePool"
    CHECK_FILESYSTEM = "CheckFilesystem"
    MOUNT = "Mount"
    REMOUNT = "Remount"
    UNMOUNT = "Unmount"
    IMPORT_POOL = "ImportPool"
    EXPORT_POOL = "ExportPool"
    START_SERVICE = "StartService"
    STOP_SERVICE = "StopService"
    ENABLE_SERVICE = "EnableService"
    DISABLE_SERVICE = "DisableService"
    WRITE_HOOK = "WriteHook"
    REMOVE_HOOK = "RemoveHook"
    RESTART_DEVD = "RestartDevd"
    CONFIRM_COPY = "ConfirmCopy"
    LIFT_HOLD = "LiftHold"
    NOTE_DRAINED = "NoteDrained"
    FORGET_DRAINED = "ForgetDrained"
    PRESERVE_COPY = "PreserveCopy"
    DISCARD_COPY = "DiscardCopy"

    @property
    def meaning(self) -> str:
        """What such a step does, for people."""
        return VERBS[self].meaning

    @property
    def traits(self) -> VerbTraits:
        """Everything that is to be known of the verb."""
        return VERBS[self]


@dataclass(frozen=True, slots=True)
class VerbTraits:
    """What is to be known of a verb."""

    #: What such a step does, for people.
    meaning: str
    #: It changes only what the next boot does.
    boot_only: bool = False
    #: Data on a named device is gone.
    destructive: bool = False
    #: What it usually takes as a part of a move, seconds; None: it is no part of one. Measured moves correct it.
    usual_seconds: float | None = None
    #: It takes a part of a group's service away where the group is: the first half of a move.
    lets_go: bool = False
    #: It notes on a node what other steps brought about, which no plan can foretell: part of any approved plan.
    note: bool = False
    #: A healthy cluster does it again and again, so that doing it often does not mean that somebody undoes it.
    routine: bool = False
    #: The verb of the step that takes it back; None: nothing does.
    reversed_by: Verb | None = None

    @property
    def moves(self) -> bool:
        """It may be a part of a move."""
        return self.usual_seconds is not None


#: Every verb, in the order of a convergence.
VERBS: dict[Verb, VerbTraits] = {
    Verb.LOAD_MODULE: VerbTraits("Loads the carp kernel module now (kldload -n carp)."),
    Verb.SET_SYSCTL: VerbTraits("Sets a net.inet.carp sysctl now.", reversed_by=Verb.SET_SYSCTL),
    Verb.ADJUST_DEMOTION: VerbTraits(
        "Takes back a demotion somebody added by hand (the sysctl adds, so it writes the negative)."
    ),
    Verb.ADD_ADDRESS: VerbTraits(
        "Adds an address to a vhid, creating the vhid when it is the first.", reversed_by=Verb.REMOVE_ADDRESS
    ),
    Verb.REMOVE_ADDRESS: VerbTraits(
        "Removes an address from a vhid; the vhid goes with its last address.", reversed_by=Verb.ADD_ADDRESS
    ),
    Verb.SET_VHID: VerbTraits(
        "Changes advskew, advbase or password of a vhid in place, without dropping MASTER.",
        usual_seconds=0.5,
        reversed_by=Verb.SET_VHID,
    ),
    Verb.WRITE_BOOT_ALIASES: VerbTraits(
        "Writes the CARP aliases for the next boot to /etc/rc.conf.d/netif, mode 0600.",
        boot_only=True,
        reversed_by=Verb.WRITE_BOOT_ALIASES,
    ),
    Verb.SET_RC_VARIABLE: VerbTraits(
        "Sets an rc.conf variable for the next boot.", boot_only=True, reversed_by=Verb.SET_RC_VARIABLE
    ),
    Verb.REMOVE_RC_VARIABLE: VerbTraits(
        "Removes an rc.conf variable that contradicts the document.", boot_only=True, reversed_by=Verb.SET_RC_VARIABLE
    ),
    Verb.SET_SYSCTL_CONF: VerbTraits(
        "Sets a line of /etc/sysctl.conf for the next boot.", boot_only=True, reversed_by=Verb.SET_SYSCTL_CONF
    ),
    Verb.WRITE_HAST_CONF: VerbTraits(
        "Replaces /etc/hast.conf after hastctl has checked the new one; the old one is kept.",
        reversed_by=Verb.WRITE_HAST_CONF,
    ),
    Verb.RELOAD_HASTD: VerbTraits("Tells hastd to read its configuration again."),
    Verb.START_HASTD: VerbTraits("Starts hastd."),
    Verb.CREATE_METADATA: VerbTraits(
        "Writes HAST metadata to a provably blank device (destructive).", destructive=True
    ),
    Verb.SET_ROLE: VerbTraits(
        "Sets the HAST role of a resource.", usual_seconds=1.5, routine=True, reversed_by=Verb.SET_ROLE
    ),
    Verb.MAKE_FILESYSTEM: VerbTraits(
        "Makes a UFS filesystem on a provably blank replicated device (destructive).", destructive=True
    ),
    Verb.CREATE_POOL: VerbTraits(
        "Creates a ZFS pool on a provably blank replicated device (destructive).", destructive=True
    ),
    Verb.CHECK_FILESYSTEM: VerbTraits(
        "Checks a UFS filesystem before it is mounted (fsck -p).", usual_seconds=1.0, routine=True
    ),
    Verb.MOUNT: VerbTraits(
        "Mounts the filesystem of the active node.", usual_seconds=0.5, routine=True, reversed_by=Verb.UNMOUNT
    ),
    Verb.REMOUNT: VerbTraits("Changes mount options in place.", reversed_by=Verb.REMOUNT),
    Verb.UNMOUNT: VerbTraits("Unmounts a filesystem.", usual_seconds=1.0, lets_go=True, reversed_by=Verb.MOUNT),
    Verb.IMPORT_POOL: VerbTraits(
        "Imports a ZFS pool from /dev/hast.", usual_seconds=3.0, routine=True, reversed_by=Verb.EXPORT_POOL
    ),
    Verb.EXPORT_POOL: VerbTraits("Exports a ZFS pool.", usual_seconds=2.0, lets_go=True, reversed_by=Verb.IMPORT_POOL),
    Verb.START_SERVICE: VerbTraits(
        "Starts a service on the active node.", usual_seconds=2.0, reversed_by=Verb.STOP_SERVICE
    ),
    Verb.STOP_SERVICE: VerbTraits(
        "Stops a service where it should not run.", usual_seconds=2.0, lets_go=True, reversed_by=Verb.START_SERVICE
    ),
    Verb.ENABLE_SERVICE: VerbTraits(
        "Lets rc start a service at boot (runOn: All).", boot_only=True, reversed_by=Verb.DISABLE_SERVICE
    ),
    Verb.DISABLE_SERVICE: VerbTraits(
        "Keeps rc from starting a service at boot: hactl or the hook starts it on the active node.",
        boot_only=True,
        reversed_by=Verb.ENABLE_SERVICE,
    ),
    Verb.WRITE_HOOK: VerbTraits(
        "Writes a file of the node hook: what the node does by itself when CARP moves the addresses.",
        reversed_by=Verb.REMOVE_HOOK,
    ),
    Verb.REMOVE_HOOK: VerbTraits(
        "Removes the node hook where the document has nothing for it to move any more.", reversed_by=Verb.WRITE_HOOK
    ),
    Verb.RESTART_DEVD: VerbTraits("Restarts devd, which reads its rules only when it starts.", routine=True),
    Verb.CONFIRM_COPY: VerbTraits(
        "Notes on the standby that its copy is complete, so that its hook may promote it.", note=True, routine=True
    ),
    Verb.LIFT_HOLD: VerbTraits(
        "Takes back the demotion a node was held at since it booted: it can serve now.", routine=True
    ),
    Verb.NOTE_DRAINED: VerbTraits(
        "Notes on a node that it is drained, so that its hook takes nothing over.", reversed_by=Verb.FORGET_DRAINED
    ),
    Verb.FORGET_DRAINED: VerbTraits("Removes that note: the node takes over again.", reversed_by=Verb.NOTE_DRAINED),
    Verb.PRESERVE_COPY: VerbTraits(
        "Copies the device of a copy that is to be thrown away to a file (operator's request)."
    ),
    Verb.DISCARD_COPY: VerbTraits(
        "Throws away one of two diverged copies: role init, hastctl create (destructive, asked for).", destructive=True
    ),
}


class Named(StrEnum):
    """A word and what it means."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """The text people and programs see, and its sentence in the reference."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class HoldReason(Named):
    """Why hactl does not act (yet)."""

    ADDRESS_ELSEWHERE = (
        "AddressElsewhere",
        "A vhid is MASTER on another node than its group is active on; preemption should bring it.",
    )
    ADDRESS_IN_USE = ("AddressInUse", "A wanted address is an ordinary address of the interface already.")
    ADDRESS_WAITS = ("AddressWaits", "Addresses come up only when their group serves.")
    BOOT_CONFIG_BY_HAND = (
        "BootConfigByHand",
        "A hand-written boot setting contradicts the document where hactl does not edit.",
    )
    BOOT_CONFIG_UNKNOWN = (
        "BootConfigUnknown",
        "rc.conf cannot be read as rc would read it, for instance a syntax error.",
    )
    COPY_MISSING = ("CopyMissing", "One disk is blank and the other node has data but does not serve it.")
    COUNTERS_DISAGREE = ("CountersDisagree", "The metadata counters of the two copies fit no state that HAST knows.")
    DEMOTED = ("Demoted", "net.inet.carp.demotion is not 0 and not all of it was added by hand.")
    DEVICE_IN_USE = ("DeviceInUse", "A device to be initialised is used by something.")
    DEVICE_MISSING = ("DeviceMissing", "A device of the document does not exist on the node.")
    DEVICE_NOT_READY = ("DeviceNotReady", "The node is primary and its /dev/hast device is not there yet.")
    DISK_ERRORS = (
        "DiskErrors",
        "A primary has had I/O errors on its own disk: its copy may be old although hastd does not say so.",
    )
    DRAINED = ("Drained", "A node is drained and a group stays on it, because no other node could take it.")
    DUAL_PRIMARY = ("DualPrimary", "Two nodes are primary for one resource.")
    ELECTING = ("Electing", "CARP has not elected a MASTER yet.")
    FACTS_UNKNOWN = ("FactsUnknown", "A reading that the decision needs is Unknown.")
    FLEET_SILENT = ("FleetSilent", "Many nodes vanished at once: our own network is suspected and nothing is changed.")
    FOREIGN_COPY = ("ForeignCopy", "The two disks belong to different HAST resources.")
    FOREIGN_DATA = ("ForeignData", "A device holds something that is not this resource's metadata.")
    FOREIGN_RESOURCE = ("ForeignResource", "hastd has a resource in use that the document does not have.")
    HASTD_SILENT = ("HastdSilent", "hastd runs and does not answer hastctl.")
    HELD_AT_BOOT = ("HeldAtBoot", "A rebooted node is held back (demotion) until it could really serve.")
    INTERFACE_DOWN = ("InterfaceDown", "A vhid is INIT because its interface is down or has no link.")
    INTERFACE_MISSING = ("InterfaceMissing", "A node does not have an interface of the document.")
    LEASE_LOST = ("LeaseLost", "A newer controller acts on the node; this one does not any more.")
    METADATA_UNKNOWN = ("MetadataUnknown", "What is on a device could not be read.")
    MOUNTPOINT_BUSY = ("MountpointBusy", "Something else is mounted on the mountpoint.")
    MOVE_WAITS = ("MoveWaits", "A group is to move to another node that could not take it yet.")
    MOVES_LIMITED = ("MovesLimited", "A group moved so often within an hour that hactl moves it no more by itself.")
    NODE_SILENT = ("NodeSilent", "A node gave no facts.")
    NOT_BLANK = ("NotBlank", "A device to be initialised is not blank.")
    NOT_FREE_BSD = ("NotFreeBSD", "The node does not run FreeBSD.")
    NOT_INITIALISED = ("NotInitialised", "A device holds nothing and the document does not let hactl initialise it.")
    NOT_JUST_CREATED = ("NotJustCreated", "A replicated device is blank, but its copies are not known to be new.")
    NOT_ROOT = ("NotRoot", "The login on the node is not root.")
    OBSERVE_ONLY = ("ObserveOnly", "mode is Observe: hactl looks and never touches.")
    PAUSED = (
        "Paused",
        "A person paused the fleet, the cluster, the group or the node; it is observed and not changed.",
    )
    PEER_SILENT = ("PeerSilent", "What is to be done needs the word of a node that cannot be asked.")
    POOL_SICK = ("PoolSick", "A ZFS pool is neither ONLINE nor DEGRADED.")
    RECONNECTING = ("Reconnecting", "A primary and its secondary are not connected; they connect again by themselves.")
    RELOAD_UNSAFE = ("ReloadUnsafe", "Reloading hastd would destroy a device that is in use.")
    RESOLVE_WAITS = ("ResolveWaits", "A copy that a person asked to be thrown away cannot be thrown away now.")
    ROLE_UNKNOWN = ("RoleUnknown", "A node does not tell its HAST role.")
    SECURE_LEVEL = ("SecureLevel", "The kernel's securelevel forbids loading the carp module.")
    SERVICE_MISSING = ("ServiceMissing", "A node does not have a service of the document.")
    SERVICE_UNKNOWN = ("ServiceUnknown", "Whether a service runs could not be told.")
    SIZES_DIFFER = ("SizesDiffer", "The copies of a resource differ in size.")
    SPLIT_BRAIN = ("SplitBrain", "Both copies of a resource were written while they were apart.")
    STALE_FACTS = ("StaleFacts", "What a node said is too old to act on.")
    STANDBY_FIRST = ("StandbyFirst", "The active node is not changed before the standby has taken the same change.")
    STEP_FAILING = ("StepFailing", "A step failed a short while ago and is tried again later.")
    STORAGE_APART = ("StorageApart", "The resources of one group are, or would be, primary on different nodes.")
    SYNCHRONISING = ("Synchronising", "A copy is being brought up to date, so its node cannot take over yet.")
    SYSTEM_UNKNOWN = ("SystemUnknown", "What system a node runs could not be told.")
    TWO_MASTERS = ("TwoMasters", "Two nodes are MASTER for one vhid.")
    UNICAST_PEER = ("UnicastPeer", "A vhid talks to one peer only, which the document cannot express.")
    WAITING_FOR_APPROVAL = ("WaitingForApproval", "mode is Propose and nobody has approved this plan's digest.")
    WRONG_HOST = ("WrongHost", "The machine calls itself otherwise than the document does.")

    @property
    def not_known(self) -> bool:
        """It says that something is not known, not that something is wrong."""
        return self in _NOT_KNOWN

    @property
    def configuration(self) -> bool:
        """It says how a node is configured, not where things are or who may act."""
        return self not in _NOT_CONFIGURATION


_NOT_KNOWN = frozenset(
    {
        HoldReason.BOOT_CONFIG_UNKNOWN,
        HoldReason.FACTS_UNKNOWN,
        HoldReason.HASTD_SILENT,
        HoldReason.METADATA_UNKNOWN,
        HoldReason.NODE_SILENT,
        HoldReason.PEER_SILENT,
        HoldReason.ROLE_UNKNOWN,
        HoldReason.SERVICE_UNKNOWN,
        HoldReason.STALE_FACTS,
        HoldReason.SYSTEM_UNKNOWN,
    }
)


_NOT_CONFIGURATION = frozenset(
    {
        HoldReason.ADDRESS_ELSEWHERE,
        HoldReason.ADDRESS_WAITS,
        HoldReason.COPY_MISSING,
        HoldReason.COUNTERS_DISAGREE,
        HoldReason.DEMOTED,
        HoldReason.DRAINED,
        HoldReason.DUAL_PRIMARY,
        HoldReason.ELECTING,
        HoldReason.FLEET_SILENT,
        HoldReason.FOREIGN_COPY,
        HoldReason.FOREIGN_DATA,
        HoldReason.HELD_AT_BOOT,
        HoldReason.INTERFACE_DOWN,
        HoldReason.LEASE_LOST,
        HoldReason.MOVE_WAITS,
        HoldReason.MOVES_LIMITED,
        HoldReason.NOT_BLANK,
        HoldReason.NOT_INITIALISED,
        HoldReason.NOT_JUST_CREATED,
        HoldReason.PAUSED,
        HoldReason.POOL_SICK,
        HoldReason.RECONNECTING,
        HoldReason.RESOLVE_WAITS,
        HoldReason.SPLIT_BRAIN,
        HoldReason.STORAGE_APART,
        HoldReason.SYNCHRONISING,
        HoldReason.TWO_MASTERS,
        HoldReason.WAITING_FOR_APPROVAL,
    }
)


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
        "A person asked for something: a switchover, a drain, a pause, an approval, a resolution.",
    )
    OPERATION_ENDED = ("OperationEnded", "Such a request is over: Done, Failed, Cancelled or Expired.")
    GROUP_MOVED = ("GroupMoved", "A group became active on another node.")
    LEASE_TAKEN = ("LeaseTaken", "This process acts on the cluster now, after another one did.")
    REQUEST_ACCEPTED = ("RequestAccepted", "A request to the API changed something.")
    REQUEST_REFUSED = (
        "RequestRefused",
        "A request to the API that would have changed something was refused, or nobody knew who asked.",
        True,
    )
    TOKEN_CREATED = ("TokenCreated", "A token of the API was made.")
    TOKEN_REVOKED = ("TokenRevoked", "A token of the API is not accepted any more.")


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


class ConditionReason(Named):
    """Why a condition is as it is. Stalled and Ready may also give the reason of a hold."""

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
    CHANGES_PENDING = ("ChangesPending", "The plan has steps.")
    COMPLETE = ("Complete", "Every resource has one primary, complete.")
    COPY_NOT_CONFIRMED = (
        "CopyNotConfirmed",
        "The standby's hook would not promote its copy: not confirmed, or it lost its primary.",
    )
    DEGRADED = ("Degraded", "A primary and its secondary are not connected, as one of them says.")
    DIVERGED = (
        "Diverged",
        "Both copies of a resource were written while they were apart; the metadata counters show it.",
    )
    DRAINED = ("Drained", "The standby is drained: its hook takes nothing over.")
    DUPLICATE_ADDRESS = ("DuplicateAddress", "Another machine uses an IPv6 address of a vhid.")
    FALLING_BEHIND = ("FallingBehind", "More and more data is on the primary only.")
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
    MOUNT_DEAD = ("MountDead", "A filesystem or pool is in use whose HAST device is gone: every access to it fails.")
    NO_ACTIVE_NODE = ("NoActiveNode", "No single node is known to have the whole group.")
    NO_ADDRESSES = ("NoAddresses", "The document has no virtual IPs.")
    NO_MASTER = ("NoMaster", "No node is MASTER for a vhid.")
    NO_PRIMARY = ("NoPrimary", "No node is primary for a resource.")
    NO_STANDBY = ("NoStandby", "The group has no other node.")
    NO_STORAGE = ("NoStorage", "The document has no storage.")
    NOT_ON_EVERY_NODE = ("NotOnEveryNode", "A node does not take part in a vhid: it is INIT or not there.")
    NOT_SYNCHRONISED = ("NotSynchronised", "Part of the data is on the active node only.")
    OBSERVE_ONLY = ("ObserveOnly", "The document's mode is Observe: what differs is not changed.")
    ONE_MASTER = ("OneMaster", "Every vhid has exactly one MASTER.")
    PASSWORD_DIFFERS = ("PasswordDiffers", "A vhid of the standby has another password.")
    PREEMPT_OFF = (
        "PreemptOff",
        "net.inet.carp.preempt is 0 on the standby, so demotion of the active node moves nothing.",
    )
    READINGS_UNKNOWN = ("ReadingsUnknown", "Readings the document needs are not known.")
    ROLE_UNKNOWN = ("RoleUnknown", "The HAST role of a node is not known.")
    RUNTIME_DRIFT = ("RuntimeDrift", "What runs now differs from the document.")
    SERVICE_MISSING = ("ServiceMissing", "The standby does not have a service of the document.")
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
