"""What somebody changed by hand, one thing at a time, and exactly the commands that put it back."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..outcome.timelines import longest
from .exam import Bench, exam

ACTIVE, STANDBY = "active", "standby"
_PACE_SECONDS = 2.0
_COMMAND = 160
_LIST = "{ cat /etc/hast.conf; } >/tmp/h && "


@dataclass(frozen=True)
class Drift:
    """Done by hand on one node, and the steps that mend it, on that node."""

    name: str
    where: str
    script: str
    #: All of them, in any order; nothing else may run anywhere but `also`.
    verbs: tuple[str, ...]
    #: What may follow from it: a copy is noted complete again.
    also: tuple[str, ...] = ("ConfirmCopy",)


def _hook(name: str, script: str, *verbs: str) -> Drift:
    return Drift(name, STANDBY, script, verbs or ("WriteHook",), ("ConfirmCopy", "RestartDevd"))


_NETIF, _HOOK = "/etc/rc.conf.d/netif", "/usr/local/libexec/hactl/hook"
_RULE = "/usr/local/etc/devd/hactl.conf"
DRIFTS = (
    Drift("preempt-active", ACTIVE, "sysctl net.inet.carp.preempt=0", ("SetSysctl",)),
    Drift("preempt-standby", STANDBY, "sysctl net.inet.carp.preempt=0", ("SetSysctl",)),
    Drift("demotion", STANDBY, "sysctl net.inet.carp.demotion=100", ("AdjustDemotion",)),
    Drift("advskew-active", ACTIVE, "ifconfig vtnet1 vhid 80 advskew 50", ("SetVhid",)),
    Drift("advskew-standby", STANDBY, "ifconfig vtnet1 vhid 80 advskew 200", ("SetVhid",)),
    Drift("advbase", STANDBY, "ifconfig vtnet1 vhid 80 advbase 3", ("SetVhid",)),
    Drift("password", STANDBY, "ifconfig vtnet1 vhid 80 pass another", ("SetVhid",)),
    Drift("address-standby", STANDBY, "ifconfig vtnet1 inet 192.0.2.80 -alias", ("AddAddress",)),
    Drift("address-active", ACTIVE, "ifconfig vtnet1 inet 192.0.2.80 -alias", ("AddAddress",)),
    Drift("address-more", STANDBY, "ifconfig vtnet1 inet 192.0.2.99/24 vhid 80 alias", ("RemoveAddress",)),
    Drift("address-mask", STANDBY, "ifconfig vtnet1 inet 192.0.2.80 -alias; "
          "ifconfig vtnet1 inet 192.0.2.80/32 vhid 80 advskew 100 pass exam.pass.1 alias",
          ("AddAddress",)),
    Drift("module", STANDBY, "ifconfig vtnet1 inet 192.0.2.80 -alias; kldunload carp",
          ("LoadModule", "AddAddress"), ("ConfirmCopy", "SetSysctl")),
    Drift("service-stopped", ACTIVE, "service nfsd onestop || :", ("StartService",)),
    Drift("service-started", STANDBY, "service nfsd onestart", ("StopService",)),
    Drift("service-own-stopped", ACTIVE, "service records onestop", ("StartService",)),
    Drift("unmounted", ACTIVE, "service records onestop; service nfsd onestop; umount /data",
          ("CheckFilesystem", "Mount", "StartService", "StartService")),
    Drift("mount-options", ACTIVE, "mount -u -o atime /data", ("Remount",)),
    Drift("role", STANDBY, "hastctl role init data", ("SetRole",)),
    Drift("hastd-stopped", STANDBY, "service hastd onestop", ("StartHastd", "SetRole")),
    Drift("hast-conf-file", STANDBY, _LIST + "sed 's/timeout .*/timeout 30/' /tmp/h >/etc/hast.conf",
          ("WriteHastConf",), ("ConfirmCopy", "ReloadHastd")),
    Drift("hast-conf-reloaded", STANDBY, _LIST + "sed 's/memsync/fullsync/' /tmp/h >/etc/hast.conf && "
          "service hastd onereload", ("WriteHastConf", "ReloadHastd")),
    Drift("hast-conf-gone", STANDBY, "rm /etc/hast.conf", ("WriteHastConf",), ("ConfirmCopy", "ReloadHastd")),
    Drift("hast-conf-torn", STANDBY, _LIST + "{ head -c 60 /tmp/h; head -c 50 /dev/zero; } >/etc/hast.conf",
          ("WriteHastConf",), ("ConfirmCopy", "ReloadHastd")),
    Drift("sysctl-conf-gone", STANDBY, "sed -i '' /carp/d /etc/sysctl.conf", ("SetSysctlConf",)),
    Drift("sysctl-conf-other", ACTIVE, "sed -i '' s/preempt=1/preempt=0/ /etc/sysctl.conf", ("SetSysctlConf",)),
    Drift("kld-list", STANDBY, "sysrc -x kld_list", ("SetRcVariable",)),
    Drift("hastd-enable", ACTIVE, "sysrc hastd_enable=NO", ("SetRcVariable",)),
    Drift("node-enable", STANDBY, "sysrc -x hactl_node_enable", ("SetRcVariable",)),
    Drift("rc-conf-torn", STANDBY, "head -c 58 /dev/zero >>/etc/rc.conf", ("MendTornFile",)),
    Drift("netif-gone", STANDBY, f"rm {_NETIF}", ("WriteBootAliases",)),
    Drift("netif-advskew", ACTIVE, f"sed -i '' 's/advskew [0-9]*/advskew 77/' {_NETIF}", ("WriteBootAliases",)),
    Drift("netif-rights", STANDBY, f"chmod 644 {_NETIF}", ("WriteBootAliases",)),
    Drift("service-at-boot", STANDBY, "sysrc nfs_server_enable=YES", ("DisableService",)),
    _hook("hook-gone", f"rm {_HOOK}"),
    _hook("hook-changed", f"echo exit 0 >>{_HOOK}"),
    _hook("hook-rights", f"chmod 644 {_HOOK}"),
    _hook("devd-rule-gone", f"rm {_RULE}", "WriteHook", "RestartDevd"),
    _hook("devd-rule-changed", f"echo '# mine' >>{_RULE}"),
    _hook("guard-gone", "rm /usr/local/etc/rc.d/hactl_guard"),
    _hook("node-gone", "rm /usr/local/etc/rc.d/hactl_node"),
    _hook("devd-stopped", "service devd onestop", "RestartDevd"),
    Drift("confirmed", STANDBY, "rm /var/db/hactl/confirmed.data", ("ConfirmCopy",)),
    Drift("drained", STANDBY, "echo by hand >/var/db/hactl/drained", ("ForgetDrained",)),
)  # fmt: skip


@exam("drift", [each.name for each in DRIFTS])
def drift(bench: Bench, name: str) -> None:
    """One thing is changed by hand: exactly the commands that put it back run, and nothing else."""
    change = next(each for each in DRIFTS if each.name == name)
    active = bench.ready()
    where = active if change.where == ACTIVE else bench.nodes.peer(active)
    known = max((row["id"] for row in bench.site.steps()), default=0)
    with bench.load(_PACE_SECONDS) as load:
        bench.nodes[where].must(change.script)
        bench.say(f"{where}: {change.script}")
        time.sleep(2)
        applied = bench.site.apply()
        bench.outcome.must(applied.ready, f"not Ready: {applied.text.strip().splitlines()[-1:]}")
        bench.outcome.seconds["apply"] = applied.seconds
        steps = bench.site.steps(known)
        bench.outcome.details += [commands_of(step) for step in steps]
        for wrong in unexpected(change, where, steps):
            bench.outcome.must(False, wrong)
    bench.judge(load)
    bench.outcome.must(bench.steps == 0, f"another apply took {bench.steps} steps more")


#: Settings of the first resource: what they are changed to, and what hastd shows then; nothing: it shows them nowhere.
SETTINGS = {"replication": ("fullsync", "replication: fullsync"), "timeoutSeconds": (12, "")}
#: What a client may notice of it, in seconds: nothing but a busy machine.
_CALM_SECONDS = 2.0


@exam("document", tuple(SETTINGS))
def document(bench: Bench, name: str) -> None:
    """A setting of HAST is changed in the document and back, while a client writes: it is in force, hastd answers."""
    active = bench.ready()
    value, shown = SETTINGS[name]
    with bench.load(_PACE_SECONDS) as load:
        began = bench.say(f"{name} is changed in the document")
        for changed in (True, False):
            wanted = copy.deepcopy(bench.document)
            if changed:
                wanted["spec"]["groups"][0]["storage"][0].setdefault("hast", {})[name] = value
            bench.site.write(wanted)
            applied = bench.site.apply()
            bench.outcome.must(applied.ready, f"not Ready: {applied.text.strip().splitlines()[-1:]}")
            bench.outcome.seconds["there" if changed else "back"] = applied.seconds
            for node in bench.nodes.both:
                listed = node.must("timeout 10 hastctl list data")
                bench.outcome.must((shown in listed) is changed or not shown, f"{node.name}: hastd has {listed}")
        bench.outcome.seconds["longest gap"] = max(longest(load.seen(), kind, began) for kind in ("tcp", "ping"))
        gap = bench.outcome.seconds["longest gap"]
        bench.outcome.must(gap <= _CALM_SECONDS, f"a client was not answered for {gap:.1f} s")
    bench.outcome.must(bench.site.active() == active, "the group moved")
    bench.judge(load)


def commands_of(step: dict[str, Any]) -> str:
    """One line: where, what, how it went."""
    command = " ".join(step["command"].split())
    return f"{step['node']} {step['verb']} {step['outcome']}: {command[:_COMMAND]}"


def unexpected(change: Drift, where: str, steps: Sequence[dict[str, Any]]) -> list[str]:
    """What should have run and did not, or the other way round."""
    missing, found = list(change.verbs), []
    for step in steps:
        verb = step["verb"]
        if step["node"] == where and verb in missing:
            missing.remove(verb)
        elif verb not in change.also:
            found.append(f"{verb} on {step['node']} ran too")
    return [*found, *(f"{verb} did not run" for verb in missing)]
