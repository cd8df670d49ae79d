"""The verbs: what a step can do, and what is to be known of each.

A verb that is not named here cannot be planned, and each one is documented (tests/repo checks both).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    MEND_TORN_FILE = "MendTornFile"
    WRITE_HAST_CONF = "WriteHastConf"
    TRY_HASTD = "TryHastd"
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
    #: The conditions after it tell all there is to tell: it is Done when they hold, whatever its exit status says,
    #: and only then. Not for what destroys, writes a file, or leaves a state that half of it would have left too.
    state_decides: bool = False
    #: The verb of the step that takes it back; None: nothing does.
    reversed_by: Verb | None = None

    @property
    def moves(self) -> bool:
        """It may be a part of a move."""
        return self.usual_seconds is not None


#: Every verb, in the order of a convergence.
VERBS: dict[Verb, VerbTraits] = {
    Verb.LOAD_MODULE: VerbTraits("Loads the carp kernel module now (kldload -n carp).", state_decides=True),
    Verb.SET_SYSCTL: VerbTraits("Sets a net.inet.carp sysctl now.", reversed_by=Verb.SET_SYSCTL, state_decides=True),
    Verb.ADJUST_DEMOTION: VerbTraits(
        "Takes back a demotion somebody added by hand (the sysctl adds, so it writes the negative).", state_decides=True
    ),
    Verb.ADD_ADDRESS: VerbTraits(
        "Adds an address to a vhid, creating the vhid when it is the first.",
        reversed_by=Verb.REMOVE_ADDRESS,
        state_decides=True,
    ),
    Verb.REMOVE_ADDRESS: VerbTraits(
        "Removes an address from a vhid; the vhid goes with its last address.",
        reversed_by=Verb.ADD_ADDRESS,
        state_decides=True,
    ),
    Verb.SET_VHID: VerbTraits(
        "Changes advskew, advbase or password of a vhid in place, without dropping MASTER; takes it where it is to be.",
        usual_seconds=0.5,
        reversed_by=Verb.SET_VHID,
        state_decides=True,
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
    Verb.MEND_TORN_FILE: VerbTraits(
        "Takes the NUL bytes of a power cut out of a file the next boot reads; the torn file is kept.", boot_only=True
    ),
    Verb.WRITE_HAST_CONF: VerbTraits(
        "Replaces /etc/hast.conf after hastctl has checked the new one; the old one is kept.",
        reversed_by=Verb.WRITE_HAST_CONF,
    ),
    Verb.TRY_HASTD: VerbTraits(
        "Tries a node's hastd on a file and loopback addresses: does it connect as a primary? FreeBSD 15 and later."
    ),
    Verb.RELOAD_HASTD: VerbTraits("Tells hastd to read its configuration again."),
    Verb.START_HASTD: VerbTraits("Starts hastd.", state_decides=True),
    Verb.CREATE_METADATA: VerbTraits(
        "Writes HAST metadata to a provably blank device (destructive).", destructive=True
    ),
    Verb.SET_ROLE: VerbTraits(
        "Sets the HAST role of a resource.",
        usual_seconds=1.5,
        routine=True,
        reversed_by=Verb.SET_ROLE,
        state_decides=True,
    ),
    Verb.MAKE_FILESYSTEM: VerbTraits(
        "Makes a UFS filesystem on a provably blank replicated device (destructive).", destructive=True
    ),
    Verb.CREATE_POOL: VerbTraits(
        "Creates a ZFS pool on provably blank replicated devices (destructive).", destructive=True
    ),
    Verb.CHECK_FILESYSTEM: VerbTraits(
        "Checks a UFS filesystem before it is mounted (fsck -p).", usual_seconds=1.0, routine=True
    ),
    Verb.MOUNT: VerbTraits(
        "Mounts the filesystem of the active node.",
        usual_seconds=0.5,
        routine=True,
        reversed_by=Verb.UNMOUNT,
        state_decides=True,
    ),
    Verb.REMOUNT: VerbTraits("Changes mount options in place.", reversed_by=Verb.REMOUNT, state_decides=True),
    Verb.UNMOUNT: VerbTraits(
        "Unmounts a filesystem.", usual_seconds=1.0, lets_go=True, reversed_by=Verb.MOUNT, state_decides=True
    ),
    Verb.IMPORT_POOL: VerbTraits(
        "Imports a ZFS pool from /dev/hast.",
        usual_seconds=3.0,
        routine=True,
        reversed_by=Verb.EXPORT_POOL,
        state_decides=True,
    ),
    Verb.EXPORT_POOL: VerbTraits(
        "Exports a ZFS pool.", usual_seconds=2.0, lets_go=True, reversed_by=Verb.IMPORT_POOL, state_decides=True
    ),
    Verb.START_SERVICE: VerbTraits(
        "Starts a service on the active node.", usual_seconds=2.0, reversed_by=Verb.STOP_SERVICE, state_decides=True
    ),
    Verb.STOP_SERVICE: VerbTraits(
        "Stops a service where it should not run.",
        usual_seconds=2.0,
        lets_go=True,
        reversed_by=Verb.START_SERVICE,
        state_decides=True,
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
        "Copies the device of a copy that is to be thrown away to a file (an operator asks for it)."
    ),
    Verb.DISCARD_COPY: VerbTraits(
        "Throws away one of two diverged copies: role init, hastctl create (destructive, asked for).", destructive=True
    ),
}
