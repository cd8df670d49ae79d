"""/etc/hast.conf and hastd: written, checked, taken over, started.

Rules: the file is compared by meaning; hastctl itself checks the new one before it is put in place; the old one is
kept; a running hastd is told to reload only when that destroys no device and drops no resource that is in use
(docs/freebsd-facts.md#2.3). Man pages: hast.conf(5), hastd(8), hastctl(8).
"""

from __future__ import annotations

from dataclasses import replace

from hactl.core.facts import File, HastResource, HastRole
from hactl.core.hastconf import PATH, render_hastconf, storages_of
from hactl.core.parse.hastconf import HastConf, HastConfError, parse_hastconf
from hactl.core.plan import checks
from hactl.core.plan.areas.boot import FLUSH
from hactl.core.plan.areas.filesystems import clear_dead
from hactl.core.plan.scene import Scene, Steps, known
from hactl.core.steps import Check, Risk, Step, quote


def config_steps(scene: Scene) -> Steps:
    """Write the file where hastd does not run."""
    steps: Steps = []
    for node, facts in scene.facts.items():
        hastd = known(facts.hastd)
        if storages_of(scene.cluster, node) and hastd is not None and not hastd.running:
            steps += _write(scene, node)
    return steps


def reload_steps(scene: Scene) -> Steps:
    """Write the file and have it taken over where hastd runs, the standby first."""
    steps: Steps = []
    for node in _standbys_first(scene):
        facts = scene.facts[node]
        hastd = known(facts.hastd)
        if hastd is None:
            scene.hold("FactsUnknown", f"{node}: cannot tell whether hastd runs", node=node, target="hastd")
            continue
        if not hastd.running:
            continue
        write = _write(scene, node)
        if known(facts.resources) is None:
            # Without a file hastctl asks nobody; once it is there, the next look tells what hastd runs with. With one
            # that can be read hastd itself is silent, and may be primary: its file waits (I5).
            file = _file(scene, node)
            readable = file is not None and isinstance(_parsed(file), HastConf)
            steps += _silent_daemon(scene, node) if readable or not write else write
            continue
        why = _taken_over(scene, node, written=bool(write))
        if why is None or not _reload_is_safe(scene, node):
            continue
        if _standby_in_doubt(scene, node, {step.node for step in steps}):
            continue
        steps += [*write, _reload(scene, node, why)]
    return steps


def start_daemon_steps(scene: Scene) -> Steps:
    """Start hastd where it does not run and its file is right; what died with the last one is let go of before."""
    steps: Steps = []
    for node, facts in scene.facts.items():
        hastd = known(facts.hastd)
        if hastd is None or hastd.running or not storages_of(scene.cluster, node) or not _in_sync(scene, node):
            continue
        for group, storage in scene.storages():
            if node in storage.hast.devices:
                steps += clear_dead(scene, group, storage, node)
        steps.append(
            Step(
                node,
                "StartHastd",
                "hastd",
                "it does not run",
                "service hastd onestart",
                Risk.NONE,
                after=(checks.hastd_answers(),),
                timeout_seconds=60.0,
            )
        )
    return steps


def _standbys_first(scene: Scene) -> list[str]:
    """Nodes with resources; those where a group is active come last."""
    nodes = [node for node in scene.facts if storages_of(scene.cluster, node)]
    return sorted(nodes, key=lambda node: (_serves(scene, node), -scene.nodes.index(node)))


def _serves(scene: Scene, node: str) -> bool:
    """Whether a group is active there, or, while nobody knows where it is (two primaries), it is primary itself."""
    return node in scene.active.values() or any(
        scene.role(storage.name, node) is HastRole.PRIMARY for storage in storages_of(scene.cluster, node)
    )


def _file(scene: Scene, node: str) -> File | None:
    return known(scene.facts[node].files.get(PATH))


def _parsed(file: File) -> HastConf | HastConfError | None:
    return parse_hastconf(file.text) if file.exists and file.text is not None else None


def _in_sync(scene: Scene, node: str) -> bool:
    """Whether the file on the node means what the document wants."""
    file = _file(scene, node)
    have = _parsed(file) if file is not None else None
    wanted = parse_hastconf(render_hastconf(scene.cluster, node))
    return isinstance(have, HastConf) and isinstance(wanted, HastConf) and same_meaning(have, wanted)


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


def _write(scene: Scene, node: str) -> Steps:
    file = _file(scene, node)
    if file is None:
        scene.hold("FactsUnknown", f"{node}: cannot read {PATH}", node=node, target=PATH)
        return []
    if _in_sync(scene, node):
        return []
    foreign = _foreign_resources(scene, node, file)
    if foreign:
        scene.hold(
            "ForeignResource",
            f"{node}: {PATH} has {', '.join(foreign)}, which the document has not and hastd is using",
            node=node,
            target=PATH,
            remedy=f"add it to the document, or give it up yourself: hastctl role init {foreign[0]} on {node}",
        )
        return []
    return [_write_step(scene, node, file)]


def _foreign_resources(scene: Scene, node: str, file: File) -> list[str]:
    """Resources of the file that the new one would drop while hastd has them in a role."""
    have = _parsed(file)
    resources = known(scene.facts[node].resources) or {}
    wanted = {storage.name for storage in storages_of(scene.cluster, node)}
    names = set(have.resources) if isinstance(have, HastConf) else set()
    return sorted(
        name
        for name in (names | set(resources)) - wanted
        if name in resources and resources[name].role is not HastRole.INIT
    )


def _write_step(scene: Scene, node: str, file: File) -> Step:
    text = render_hastconf(scene.cluster, node)
    command = "\n".join(
        [
            f"hactl_new=$(mktemp {PATH}.hactl.XXXXXX) || exit 1",
            'cat > "$hactl_new" <<\'HACTL_END\' || { rm -f "$hactl_new"; exit 1; }',
            text.rstrip("\n"),
            "HACTL_END",
            'hactl_said=$(hastctl dump -c "$hactl_new" all 2>&1)',
            'case $? in 64|70|72|78|126|127) printf \'%s\\n\' "$hactl_said"; rm -f "$hactl_new"; exit 1 ;; esac',
            f"hactl_old={PATH}.old",
            f"grep -q '^# Written by hactl' {PATH} 2>/dev/null || hactl_old={PATH}.$(date +%Y%m%d%H%M%S)",
            f'{{ [ ! -e {PATH} ] || cp -p {PATH} "$hactl_old"; }} && chmod 644 "$hactl_new" && {FLUSH} &&',
            f'  mv -f "$hactl_new" {PATH} || {{ rm -f "$hactl_new"; exit 1; }}',
        ]
    )
    unchanged = (
        Check(f"{PATH} is as it was seen", f'[ "$(sha256 -q {PATH})" = {quote(file.sha256)} ]')
        if file.exists and file.sha256
        else Check(f"{PATH} does not exist", f"[ ! -e {PATH} ]")
    )
    why = "it does not say what the document says" if file.exists else "it does not exist"
    return Step(
        node,
        "WriteHastConf",
        PATH,
        why,
        command,
        Risk.NONE,
        before=(unchanged,),
        after=(Check(f"{PATH} is the new one", f"grep -q '^# Written by hactl' {PATH}"),),
        timeout_seconds=60.0,
    )


def _taken_over(scene: Scene, node: str, *, written: bool) -> str | None:
    """Why hastd has to reload; None when it runs with what the document wants."""
    if written:
        return f"{PATH} is new"
    if not _in_sync(scene, node):
        return None  # the file could not be written; the hold says why
    resources = known(scene.facts[node].resources)
    if resources is None:
        return None
    for storage in storages_of(scene.cluster, node):
        have = resources.get(storage.name)
        if have is None:
            return f"hastd does not know {storage.name}"
        differs = _live_differences(scene, node, storage.name, have)
        if differs:
            return f"hastd runs {storage.name} with another {' and '.join(differs)}"
    extra = sorted(set(resources) - {storage.name for storage in storages_of(scene.cluster, node)})
    return f"hastd still has {', '.join(extra)}" if extra else None


def _live_differences(scene: Scene, node: str, name: str, have: HastResource) -> list[str]:
    """What `hastctl list` shows otherwise than the document says; the rest of the file it does not show."""
    storage = next(s for s in storages_of(scene.cluster, node) if s.name == name)
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


def _silent_daemon(scene: Scene, node: str) -> Steps:
    """hastd runs, its file is right, and it does not say what it does: nothing is done to it (recording 04)."""
    scene.hold(
        "HastdSilent",
        f"{node}: hastd runs and does not answer hastctl; it is not told to reload",
        node=node,
        target="hastd",
        remedy=f"on {node}: timeout 10 hastctl list; if it was started with an empty file: service hastd onereload",
    )
    return []


def _reload_is_safe(scene: Scene, node: str) -> bool:
    """Whether no resource would lose its device or its role by it."""
    resources = known(scene.facts[node].resources) or {}
    wanted = {storage.name: storage for storage in storages_of(scene.cluster, node)}
    for name, have_resource in resources.items():
        if have_resource.role is HastRole.INIT:
            continue
        if name not in wanted:
            scene.hold(
                "ForeignResource",
                f"{node}: hastd has {name} as {have_resource.role}; the document has not",
                node=node,
                target=name,
                remedy=f"hastctl role init {name} on {node}, when nothing uses it any more",
            )
            return False
        if have_resource.role is HastRole.PRIMARY and have_resource.localpath != wanted[name].hast.devices[node]:
            scene.hold(
                "ReloadUnsafe",
                f"{node}: {name} is primary on {have_resource.localpath}; taking over another device would "
                f"destroy /dev/hast/{name} under its users",
                node=node,
                target=name,
                remedy=f"move the group away from {node} first",
            )
            return False
    return True


def _standby_in_doubt(scene: Scene, node: str, before: set[str]) -> bool:
    """The active node's hastd is not disturbed while a standby cannot take the same first (I5).

    `before`: the nodes whose steps come before this one's in the same stage.
    """
    if not _serves(scene, node):
        return False
    peers = {peer for s in storages_of(scene.cluster, node) for peer in s.hast.devices if peer != node} - before
    doubtful = sorted(peer for peer in peers if peer in scene.silent or not _in_sync(scene, peer))
    if doubtful:
        scene.hold(
            "StandbyFirst",
            f"hastd on {node} is left as it is until {', '.join(doubtful)} can take the change first",
            node=node,
            target=PATH,
        )
    return bool(doubtful)


def _reload(scene: Scene, node: str, why: str) -> Step:
    names = [storage.name for storage in storages_of(scene.cluster, node)]
    known_now = " && ".join(f"hastctl list {quote(name)} | grep -q '^  role: '" for name in names)
    return Step(
        node,
        "ReloadHastd",
        "hastd",
        why,
        "service hastd onereload",
        Risk.REDUNDANCY,
        after=(Check(f"hastd has {', '.join(names)}", known_now, 15.0),),
    )
