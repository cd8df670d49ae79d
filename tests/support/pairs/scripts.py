"""What gives roles on a pair without hactl: rules of devd, rc.local, crontabs, scripts of rc.d."""

from __future__ import annotations

from random import Random

from support.pairs.hast_conf import Drawn
from support.pairs.pair import Pair

_HANDBOOK = """\
notify 30 {
	match "system" "CARP";
	match "subsystem" "[0-9]+@[0-9a-z.-]+";
	match "type" "(MASTER|BACKUP)";
	action "/usr/local/sbin/carp-hast-switch $subsystem $type";
};
"""
#: File -> what stands in it, with {} for a resource: these act.
_ACTING = {
    "/etc/rc.local": "#!/bin/sh\nsleep 5\n/sbin/hastctl role secondary {}\n",
    "/etc/crontab": "SHELL=/bin/sh\n*/5\t*\t*\t*\t*\troot\t/usr/sbin/newsyslog\n"
    "@reboot root sleep 20; hastctl role secondary all  # after a crash\n",
    "/var/cron/tabs/root": "* * * * * [ -e /tmp/primary ] && /sbin/hastctl role primary {}\n",
    "/etc/cron.d/hast": "*/2 * * * * root mount | grep -q hast || mount /dev/hast/{} /mnt\n",
    "/usr/local/etc/rc.d/hast_roles": '#!/bin/sh\n# PROVIDE: hast_roles\nstart_cmd="roles"\nroles() {{\n'
    '\tfor each in {}; do hastctl role secondary "$each"; done\n}}\n',
    "/usr/local/etc/ifstated.conf": 'state primary {{\n\tinit {{ run "ipmitool -H 10.0.0.9 chassis power off" }}\n}}\n',
}
#: And these do not, although the words are near.
_IDLE = {
    "/etc/rc.local": "#!/bin/sh\n# hastctl role secondary all\n/sbin/hastctl status >/var/log/hast.boot\n",
    "/etc/crontab": "*/5 * * * * root hastctl status | mail -s hast ops\n0 3 * * * root ifconfig em0 | grep vhid\n",
    "/usr/local/etc/rc.d/monitor": '#!/bin/sh\nname="monitor"\nrole="none"\n',
}
#: A crontab that calls a program of one's own, and that one acts.
_CALLED = "/usr/local/sbin/ha-check"


def write(random: Random, pair: Pair, resources: list[Drawn]) -> None:
    """On both nodes the same."""
    files: dict[str, str] = {}
    if random.random() < 0.3:
        path = random.choice(list(_IDLE))
        files[path] = _IDLE[path]
    acting = ""
    if resources and random.random() < 0.35:
        acting = random.choice([*_ACTING, _CALLED, "devd", "vhid"])
    elif random.random() < 0.1:
        acting = "vhid"
    if acting == "devd":
        files["/usr/local/etc/devd/carp.conf"] = _HANDBOOK
        pair.waiting.add("/usr/local/etc/devd/carp.conf")
    elif acting == _CALLED:
        files["/etc/cron.d/ha"] = f"* * * * * root {_CALLED} --quiet\n"
        files[_CALLED] = f"#!/bin/sh\nhastctl role primary {resources[0].name}\n"
        pair.waiting.add(_CALLED)
    elif acting == "vhid":
        number = next(iter(v.number for port in pair.machines[0].ports.values() for v in port.vhids.values()))
        files["/etc/cron.d/load"] = f"* * * * * root ifconfig em0 vhid {number} advskew 5 pass h1dden\n"
        pair.waiting.add("/etc/cron.d/load")
    elif acting:
        files[acting] = _ACTING[acting].format(resources[0].name)
        pair.waiting.add(acting)
    pair.drawn += [f"acting: {acting}"] if acting else []
    for machine in pair.machines:
        machine.files |= files
    if acting and resources:
        # The node hook waits, and what it alone would do.
        if any(each.startswith("exec ") for each in pair.drawn):
            pair.held.discard("BootConfigByHand")  # it is the hook's line alone that the file lacks
        pair.missing = {each for each in pair.missing if each[0].split()[1] not in _OF_THE_HOOK and each[1] != _RCVAR}


_OF_THE_HOOK = {"WriteHook", "RestartDevd", "ConfirmCopy"}
_RCVAR = "hactl_node_enable"
