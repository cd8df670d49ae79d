"""The closed sets: every verb, hold reason, condition reason and event, with one sentence each.

Whatever is not named here cannot happen, and whatever is named here is documented (tests/repo checks both).
"""

from __future__ import annotations

#: verb -> what the step does.
VERBS: dict[str, str] = {
    "LoadModule": "Loads the carp kernel module now (kldload -n carp).",
    "SetSysctl": "Sets a net.inet.carp sysctl now.",
    "AdjustDemotion": "Takes back a demotion somebody added by hand (the sysctl adds, so it writes the negative).",
    "AddAddress": "Adds an address to a vhid, creating the vhid when it is the first.",
    "RemoveAddress": "Removes an address from a vhid; the vhid goes with its last address.",
    "SetVhid": "Changes advskew, advbase or password of a vhid in place, without dropping MASTER.",
    "WriteBootAliases": "Writes the CARP aliases for the next boot to /etc/rc.conf.d/netif, mode 0600.",
    "SetRcVariable": "Sets an rc.conf variable for the next boot.",
    "RemoveRcVariable": "Removes an rc.conf variable that contradicts the document.",
    "SetSysctlConf": "Sets a line of /etc/sysctl.conf for the next boot.",
    "WriteHastConf": "Replaces /etc/hast.conf after hastctl has checked the new one; the old one is kept.",
    "ReloadHastd": "Tells hastd to read its configuration again.",
    "StartHastd": "Starts hastd.",
    "CreateMetadata": "Writes HAST metadata to a provably blank device (destructive).",
    "SetRole": "Sets the HAST role of a resource.",
    "MakeFilesystem": "Makes a UFS filesystem on a provably blank replicated device (destructive).",
    "CreatePool": "Creates a ZFS pool on a provably blank replicated device (destructive).",
    "CheckFilesystem": "Checks a UFS filesystem before it is mounted (fsck -p).",
    "Mount": "Mounts the filesystem of the active node.",
    "Remount": "Changes mount options in place.",
    "Unmount": "Unmounts a filesystem.",
    "ImportPool": "Imports a ZFS pool from /dev/hast.",
    "ExportPool": "Exports a ZFS pool.",
    "StartService": "Starts a service on the active node.",
    "StopService": "Stops a service where it should not run.",
    "EnableService": "Lets rc start a service at boot (runOn: All).",
    "DisableService": "Keeps rc from starting a service at boot: hactl or the hook starts it on the active node.",
}

#: hold reason -> what it means.
HOLDS: dict[str, str] = {}

#: event kind -> what it records.
EVENTS: dict[str, str] = {
    "DocumentAccepted": "A document became a new generation.",
    "DocumentRefused": "A document was refused; the last good generation stays in force.",
    "DocumentVanished": "A document disappeared from its source; the cluster is unmanaged, nothing is torn down.",
    "PlanChanged": "What is to be done changed.",
    "StepBegun": "A step was about to run.",
    "StepEnded": "A step ended: Done, Failed or Indeterminate.",
    "StateChanged": "A CARP state, a HAST role, a mount or a service changed on a node.",
    "ConditionChanged": "A condition of the cluster changed.",
    "HoldChanged": "A reason not to act appeared or went away.",
    "NodeLost": "A node stopped answering.",
    "NodeBack": "A node answers again.",
    "NodeRebooted": "A node's boot time changed.",
    "ControllerStarted": "A controller or an apply began.",
    "ControllerStopped": "A controller or an apply ended.",
}
