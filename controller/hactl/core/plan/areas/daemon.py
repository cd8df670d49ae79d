"""/etc/hast.conf and hastd: written, checked, taken over, started.

Rules: the file is compared by meaning; hastctl itself checks the new one before it is put in place; the old one is
kept; a running hastd is told to reload only when that destroys no device and drops no resource that is in use
(docs/freebsd-facts.md#2.3). Man pages: hast.conf(5), hastd(8), hastctl(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hactl.core.catalogue import HoldReason
from hactl.core.changes.hast import HAST_CONF, ReloadHastd, SetRole, StartHastd, WriteHastConf
from hactl.core.cluster import storages_of
from hactl.core.facts import File, HastResource, HastRole, known
from hactl.core.hastconf import render_hastconf
from hactl.core.hook.render import HOOK
from hactl.core.objects import StorageSpec
from hactl.core.parse.hastconf import ConfResource, HastConf, HastConfError, parse_hastconf
from hactl.core.plan import checks
from hactl.core.plan.adopted import as_kept, hast_settings, kept, waits
from hactl.core.plan.areas.filesystems import clear_dead
from hactl.core.plan.scene import Findings, Scene
from hactl.core.sh import quote
from hactl.core.steps import Check, Hold, Risk, Step


def config_steps(scene: Scene) -> Findings:
    """Write the file where hastd does not run."""
    for node, facts in scene.view.facts.items():
        hastd = known(facts.hastd)
        if storages_of(scene.view.cluster, node) and hastd is not None and not hastd.running:
            yield from _write(scene, node)


def reload_steps(scene: Scene) -> Findings:
    """Write the file and have it taken over where hastd runs, the standby first."""
    taken_over: set[str] = set()
    for node in _standbys_first(scene):
        facts = scene.view.facts[node]
        hastd = known(facts.hastd)
        if hastd is None:
            yield Hold(HoldReason.FACTS_UNKNOWN, f"{node}: cannot tell whether hastd runs", node, "hastd")
        elif hastd.running:
            for each in _take_over(scene, node, taken_over):
                yield each
                taken_over |= {node} if isinstance(each, Step) else set()


def _take_over(scene: Scene, node: str, before: set[str]) -> Findings:
    """Write the file where it differs and have hastd take it over; `before`: nodes that have steps for that already."""
    write = list(_write(scene, node))
    if _other_file(scene, node):
        yield from write
        return
    yield from (each for each in write if isinstance(each, Hold))
    steps = [each for each in write if isinstance(each, Step)]
    if known(scene.view.facts[node].resources) is None:
        # Without a file hastctl asks nobody; once it is there, the next look tells what hastd runs with. With one
        # that can be read hastd itself is silent, and may be primary: its file waits (I5).
        file = _file(scene, node)
        readable = file is not None and isinstance(_parsed(file), HastConf)
        yield from [_silent_daemon(node)] if readable or not steps else steps
        return
    why = _taken_over(scene, node, written=bool(steps))
    if why is None:
        return
    refusal = _reload_unsafe(scene, node) or _standby_in_doubt(scene, node, before)
    if refusal is not None:
        yield refusal
        return
    closing = _closing(scene, node, written=bool(steps))
    for storage in closing:
        if scene.view.role(storage.name, node) is HastRole.PRIMARY:
            yield from _let_go_of_peer(scene, storage, node)
    yield from (*steps, _reload(scene, node, why, closing))


def start_daemon_steps(scene: Scene) -> Findings:
    """Start hastd where it does not run and its file is right; what died with the last one is let go of before."""
    for node, facts in scene.view.facts.items():
        hastd = known(facts.hastd)
        if hastd is None or hastd.running or not storages_of(scene.view.cluster, node) or not _in_sync(scene, node):
            continue
        if _other_file(scene, node):
            continue
        for group, storage in scene.view.storages():
            if node in storage.hast.devices:
                yield from clear_dead(scene, group, storage, node)
        yield Step.of(
            node, StartHastd(), "it does not run", Risk.NONE, after=(checks.hastd_answers(),), timeout_seconds=60.0
        )


def _standbys_first(scene: Scene) -> list[str]:
    """Nodes with resources; those where a group is active come last."""
    nodes = [node for node in scene.view.facts if storages_of(scene.view.cluster, node)]
    return sorted(nodes, key=lambda node: (_serves(scene, node), -scene.view.nodes.index(node)))


def _serves(scene: Scene, node: str) -> bool:
    """Whether a group with storage is active there, or, while nobody knows where it is (two primaries), it is primary
    itself.
    """
    stored = {group.name for group in scene.view.cluster.groups if group.storage}
    return any(group in stored and at == node for group, at in scene.active.items()) or any(
        scene.view.role(storage.name, node) is HastRole.PRIMARY for storage in storages_of(scene.view.cluster, node)
    )


def _file(scene: Scene, node: str) -> File | None:
    return known(scene.view.facts[node].files.get(HAST_CONF))


def _parsed(file: File) -> HastConf | HastConfError | None:
    return parse_hastconf(file.text) if file.exists and file.text is not None else None


def _whole(scene: Scene, node: str) -> HastConf | None:
    """What the file on the node says; None: nothing that counts, for it is torn or hastd would refuse it."""
    file = _file(scene, node)
    have = _parsed(file) if file is not None and not file.torn else None
    return have if isinstance(have, HastConf) else None


def knows(scene: Scene, node: str, resource: str) -> bool:
    """Whether the file on the node names the resource: hastctl knows no other one."""
    have = _whole(scene, node)
    return have is not None and resource in have.resources


def tells_hook(scene: Scene, node: str, resource: str) -> bool:
    """Whether hastd there calls the node hook for the resource, by its file."""
    have = _whole(scene, node)
    return have is not None and resource in have.resources and have.resources[resource].exec == HOOK


def _in_sync(scene: Scene, node: str) -> bool:
    """Whether the file on the node means what the document wants."""
    found = _compared(scene, node)
    return found is not None and same_meaning(as_kept(scene, *found), found[1])


def _compared(scene: Scene, node: str) -> tuple[HastConf, HastConf] | None:
    """What the file on the node says and what the document wants; None: the file says nothing that counts."""
    have, wanted = _whole(scene, node), parse_hastconf(render_hastconf(scene.view.cluster, node))
    return (have, wanted) if have is not None and isinstance(wanted, HastConf) else None


def same_meaning(have: HastConf, wanted: HastConf) -> bool:
    """Equal in everything hastd would do; a `source` that is not given is the route's choice and no difference."""
    if set(have.resources) != set(wanted.resources):
        return False
    filled = {
        name: replace(
            resource,
            nodes={
                node: replace(on, source=on.source or wanted_on.source)
                for node, on in resource.nodes.items()
                if (wanted_on := wanted.resources[name].nodes.get(node, on)) is not None
            },
        )
        for name, resource in have.resources.items()
    }
    return replace(have, resources=filled) == wanted


def _other_file(scene: Scene, node: str) -> str:
    """The file that hastd reads instead of ours, by its options in rc.conf; empty: ours."""
    boot = known(scene.view.facts[node].boot)
    found = re.search(r"(?:^|\s)-c\s*(\S+)", boot.rc.get("hastd_flags", "")) if boot is not None else None
    return found[1] if found is not None and found[1] != HAST_CONF else ""


def _write(scene: Scene, node: str) -> Findings:
    if other := _other_file(scene, node):
        yield Hold(
            HoldReason.BOOT_CONFIG_BY_HAND,
            f"{node}: hastd reads {other} (hastd_flags in rc.conf), and hactl knows {HAST_CONF} only: it writes "
            "neither, and neither starts hastd nor has it reload",
            node=node,
            target="hastd_flags",
            remedy=f"in a quiet hour: what {other} says into {HAST_CONF}, no -c in hastd_flags, and hastd started anew",
        )
        return
    file = _file(scene, node)
    if file is None:
        yield Hold(HoldReason.FACTS_UNKNOWN, f"{node}: cannot read {HAST_CONF}", node, HAST_CONF)
        return
    if _in_sync(scene, node):
        return
    foreign = _foreign_resources(scene, node, file)
    if foreign:
        yield Hold(
            HoldReason.FOREIGN_RESOURCE,
            f"{node}: {HAST_CONF} has {', '.join(foreign)}, which hastd is using and the document does not have",
            node=node,
            target=HAST_CONF,
            remedy=f"add it to the document, or give it up yourself: hastctl role init {foreign[0]} on {node}",
        )
        return
    settings = list(hast_settings(scene, node))
    waiting = list(waits(scene, node, iter(settings)))
    left_alone = [each.name for each in settings if each.name in kept(scene)]
    yield from waiting
    if left_alone and not waiting:
        yield Hold(
            HoldReason.BOOT_CONFIG_BY_HAND,
            f"{node}: {HAST_CONF} differs from the document in more than {', '.join(left_alone)}, which is to be left "
            "alone: hactl does not write the file",
            node=node,
            target=HAST_CONF,
            remedy=f"make the rest of it what `hactl render --system -f FILE {node}` shows, by hand",
        )
    if not waiting and not left_alone:
        yield _write_step(scene, node, file)


def _rendered(scene: Scene, node: str) -> str:
    """The file as it is written: what is served without `source` stays so, for a new one costs the connection."""
    routed = [storage.name for _, storage in scene.view.storages() if _is_routed(scene, storage)]
    return render_hastconf(scene.view.cluster, node, routed=routed)


def _is_routed(scene: Scene, storage: StorageSpec) -> bool:
    """Whether the primary of a resource runs without `source`, and no file names one."""
    for node in storage.hast.devices:
        conf = _whole(scene, node) if node in scene.view.facts else None
        resource = conf.resources.get(storage.name) if conf is not None else None
        if resource is not None and any(on.source for on in resource.nodes.values()):
            return False
    running = (scene.view.resource(storage.name, node) for node in storage.hast.devices)
    return any(have is not None and have.role is HastRole.PRIMARY and have.sourceaddr is None for have in running)


def _foreign_resources(scene: Scene, node: str, file: File) -> list[str]:
    """Resources of the file that the new one would drop while hastd has them in a role."""
    have = _parsed(file)
    resources = known(scene.view.facts[node].resources) or {}
    wanted = {storage.name for storage in storages_of(scene.view.cluster, node)}
    names = set(have.resources) if isinstance(have, HastConf) else set()
    return sorted(
        name
        for name in (names | set(resources)) - wanted
        if name in resources and resources[name].role is not HastRole.INIT
    )


def _write_step(scene: Scene, node: str, file: File) -> Step:
    unchanged = (
        Check(f"{HAST_CONF} is as it was seen", f'[ "$(sha256 -q {HAST_CONF})" = {quote(file.sha256)} ]')
        if file.exists and file.sha256
        else Check(f"{HAST_CONF} does not exist", f"[ ! -e {HAST_CONF} ]")
    )
    return Step.of(
        node,
        WriteHastConf(_rendered(scene, node)),
        "it has NUL bytes: a power cut tore it"
        if file.torn
        else f"it does not say what the document says (sha256 {(file.sha256 or '')[:12]} was found)"
        if file.exists
        else "it does not exist",
        Risk.NONE,
        before=(unchanged,),
        after=(Check(f"{HAST_CONF} is the new one", f"grep -q '^# Written by hactl' {HAST_CONF}"),),
        timeout_seconds=60.0,
    )


def _taken_over(scene: Scene, node: str, *, written: bool) -> str | None:
    """Why hastd has to reload; None when it runs with what the document wants."""
    if written:
        return f"{HAST_CONF} is new"
    if not _in_sync(scene, node):
        return None  # the file could not be written; the hold says why
    resources = known(scene.view.facts[node].resources)
    if resources is None:
        return None
    for storage in storages_of(scene.view.cluster, node):
        have = resources.get(storage.name)
        if have is None:
            return f"hastd does not know {storage.name}"
        differs = _live_differences(scene, node, storage.name, have)
        if differs:
            return f"hastd runs {storage.name} with another {' and '.join(differs)}"
    extra = sorted(set(resources) - {storage.name for storage in storages_of(scene.view.cluster, node)})
    return f"hastd still has {', '.join(extra)}" if extra else None


def _live_differences(scene: Scene, node: str, name: str, have: HastResource) -> list[str]:
    """What `hastctl list` shows otherwise than the document says; the rest of the file it does not show."""
    storage = next(s for s in storages_of(scene.view.cluster, node) if s.name == name)
    remote = next((a for n, a in storage.hast.addresses.items() if n != node), "")
    differs = []
    if have.localpath != storage.hast.devices[node]:
        differs.append("local device")
    if have.replication != storage.hast.replication:
        differs.append("replication")
    if bare_address(have.remoteaddr) != remote:
        differs.append("remote address")
    return differs


def bare_address(text: str) -> str:
    """An address of hast.conf without protocol and port."""
    text = text.split("://", 1)[-1]
    if text.startswith("["):
        return text[1:].split("]")[0]
    host, _, port = text.rpartition(":")
    return host if host and port.isdigit() and ":" not in host else text


def _silent_daemon(node: str) -> Hold:
    """hastd runs, its file is right, and it does not say what it does: nothing is done to it (recording 04)."""
    return Hold(
        HoldReason.HASTD_SILENT,
        f"{node}: hastd runs and does not answer hastctl; it is not told to reload",
        node=node,
        target="hastd",
        remedy=f"on {node}: timeout 10 hastctl list; if it was started with an empty file: service hastd onereload; if "
        "it hangs since a reload: kill -9 its worker (ps ax | grep 'hastd: .*primary'), whose device stays, and do not "
        "call hastctl for ten seconds",
    )


def _reload_unsafe(scene: Scene, node: str) -> Hold | None:
    """A resource that would lose its device or its role by it."""
    resources = known(scene.view.facts[node].resources) or {}
    wanted = {storage.name: storage for storage in storages_of(scene.view.cluster, node)}
    for name, have in resources.items():
        if have.role is HastRole.INIT:
            continue
        if name not in wanted:
            return Hold(
                HoldReason.FOREIGN_RESOURCE,
                f"{node}: hastd has {name} as {have.role}; the document does not have it",
                node=node,
                target=name,
                remedy=f"hastctl role init {name} on {node}, when nothing uses it any more",
            )
        if have.role is HastRole.PRIMARY and have.provname != _called(scene, node, name):
            return Hold(
                HoldReason.RELOAD_UNSAFE,
                f"{node}: {name} is primary as /dev/hast/{have.provname}; a reload with another name would destroy "
                "that device under its users",
                node=node,
                target=name,
                remedy=f"stop what uses it and make it secondary on {node} first",
            )
        if have.role is HastRole.PRIMARY and have.localpath != wanted[name].hast.devices[node]:
            return Hold(
                HoldReason.RELOAD_UNSAFE,
                f"{node}: {name} is primary on {have.localpath}; taking over another device would "
                f"destroy {wanted[name].device} under its users",
                node=node,
                target=name,
                remedy=f"move the group away from {node} first",
            )
    return None


def _closing(scene: Scene, node: str, *, written: bool) -> list[StorageSpec]:
    """Resources whose connection this node's hastd would close by itself while it reloads, were it primary then.

    Its worker closes it, tells the main process and waits for an answer; the main process waits for the worker's word
    on the reload. Neither ever answers again (docs/freebsd-facts.md#7.68). Without a connection nothing is closed.
    """
    found = _compared(scene, node)
    wanted = parse_hastconf(_rendered(scene, node))
    to_be = wanted if written or found is None else found[0]
    resources = known(scene.view.facts[node].resources) or {}
    if not isinstance(to_be, HastConf):
        return []
    return [
        storage
        for storage in storages_of(scene.view.cluster, node)
        if (have := resources.get(storage.name)) is not None
        and storage.name in to_be.resources
        and _connection(have) != _connection_of(to_be.resources[storage.name], node)
    ]


def _connection(have: HastResource) -> tuple[str, str, str]:
    """What a running resource's connection is made of: remote, source, replication."""
    return bare_address(have.remoteaddr), bare_address(have.sourceaddr or ""), have.replication


def _connection_of(conf: ConfResource, node: str) -> tuple[str, str, str]:
    """The same of a file."""
    on = conf.nodes[node]
    return bare_address(on.remote or ""), bare_address(on.source or ""), conf.replication


def _let_go_of_peer(scene: Scene, storage: StorageSpec, node: str) -> Iterator[Step]:
    """The standby of a resource has no role for as long as the primary's hastd reloads: then nothing is connected."""
    for peer in storage.hast.devices:
        if peer != node and scene.view.role(storage.name, peer) is HastRole.SECONDARY:
            yield Step.of(
                peer,
                SetRole(storage.name, HastRole.INIT),
                f"hastd on {node} hangs if it closes a connection while it reloads; {peer} is secondary again after it",
                Risk.REDUNDANCY,
                before=(checks.role_is(storage.name, HastRole.SECONDARY),),
                after=(checks.role_is(storage.name, HastRole.INIT, 5.0),),
            )


def _called(scene: Scene, node: str, name: str) -> str:
    """How the file calls the device of a resource: after the step that writes it, if there is one."""
    have = _whole(scene, node)
    if have is None or name not in have.resources or not _in_sync(scene, node):
        return name
    return have.resources[name].nodes[node].provname or have.resources[name].provname


def _standby_in_doubt(scene: Scene, node: str, before: set[str]) -> Hold | None:
    """The active node's hastd is not disturbed while a standby cannot take the same first (I5).

    `before`: the nodes whose steps come before this one's in the same stage. Where the others serve groups too, none of
    them is only a standby: then it is enough that they have what is served here as the document wants it.
    """
    if not _serves(scene, node):
        return None
    storages = storages_of(scene.view.cluster, node)
    peers = {peer for s in storages for peer in s.hast.devices if peer != node} - before
    doubtful = sorted(
        peer
        for peer in peers
        if peer in scene.view.silent
        or not (_in_sync(scene, peer) or (_serves(scene, peer) and _stands_by(scene, peer, node)))
    )
    if not doubtful:
        return None
    why = f"hastd on {node} is left as it is until {', '.join(doubtful)} can take the change first"
    return Hold(HoldReason.STANDBY_FIRST, why, node, HAST_CONF)


def _stands_by(scene: Scene, node: str, primary: str) -> bool:
    """Whether the file of a node has what `primary` is primary for as the document wants it."""
    found = _compared(scene, node)
    if found is None:
        return False
    have, wanted = found
    names = {name for name in wanted.resources if scene.view.role(name, primary) is HastRole.PRIMARY}
    return same_meaning(_only(have, names), _only(wanted, names))


def _only(conf: HastConf, names: set[str]) -> HastConf:
    return replace(conf, resources={name: each for name, each in conf.resources.items() if name in names})


#: How long a primary may take to see that its connection ended, seconds: it looks every ten (HAST_KEEPALIVE).
_CLOSED_SECONDS = 15


def _not_connected(storage: StorageSpec) -> Check:
    """Waits for it. Asked of every role: a failover may make it primary between the look and the reload."""
    both = f"hastctl list {quote(storage.name)} | grep -cE '^  (role: primary|status: complete)'"
    test = (
        f'hactl_n=0; while [ "$({both})" -eq 2 ]; do '
        f"hactl_n=$((hactl_n + 1)); [ $hactl_n -le {_CLOSED_SECONDS} ] || exit 1; sleep 1; done"
    )
    return Check(f"{storage.name} is not connected as a primary", test)


def _reload(scene: Scene, node: str, why: str, closing: Sequence[StorageSpec]) -> Step:
    names = [storage.name for storage in storages_of(scene.view.cluster, node)]
    listed = " && ".join(f"hastctl list {quote(name)} | grep -q '^  role: '" for name in names)
    after = Check(f"hastd has {', '.join(names)}", listed, 15.0)
    before = tuple(_not_connected(storage) for storage in closing)
    limit = 60.0 if before else 30.0
    return Step.of(node, ReloadHastd(), why, Risk.REDUNDANCY, before=before, after=(after,), timeout_seconds=limit)
