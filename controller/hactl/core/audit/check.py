"""A second opinion on every plan, written separately: is it safe at every prefix?

Rules: `audit` shares no code with the planner. It believes no verb: it reads what each command would do, keeps its own
model of the nodes, and walks the plan step by step; where steps of different nodes run in parallel it tries every
interleaving of two nodes. A plan with a complaint is not executed. Invariants I1 to I10 are those of
docs/safety.md#invariants; what is not covered here: I9 (two controllers), which is the store's lock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from hactl.core.audit.case import Case, too_old
from hactl.core.audit.effects import (
    ChecksFilesystem,
    CreatesMetadata,
    Effect,
    Ifconfig,
    LoadsModule,
    MakesFilesystem,
    Mounts,
    RunsService,
    RunsText,
    SetsRc,
    SetsRole,
    SetsSysctl,
    TriesHastd,
    Unmounts,
    WritesFile,
    Zpool,
)
from hactl.core.audit.model import ANY_ROLE, HAST_CONF, HAST_DEVICES, Node, World, applied, first_world, known
from hactl.core.audit.reader.lexer import Unreadable, clear_passwords, read_commands, secret_variables
from hactl.core.audit.reader.programs import BESIDE, SECRET_MAY_BE_SEEN_BY, read_effects
from hactl.core.audit.rules import boot, carp, filesystems, hast, hook
from hactl.core.audit.rules.durable import durable
from hactl.core.cluster import Cluster
from hactl.core.facts import Snapshot
from hactl.core.steps import Plan, Risk, Stage, Step
from hactl.core.verbs import Verb


@dataclass(frozen=True, slots=True)
class _Demand:
    """What the steps of a verb may do, and what judges them."""

    kinds: tuple[type, ...]
    rule: Callable[[Case], Iterator[str]]
    #: Files it may write besides its own temporary ones, as a regular expression.
    files: str = r"(?!)"
    #: Exactly one effect of its kinds; files come in several.
    single: bool = True


_BESIDE_ETC = r"/etc/\.hactl\.new"
_HAST_CONF_FILES = rf"/etc/hast\.conf([.][\w.-]+)?|{_BESIDE_ETC}"
_SYSCTL_CONF_FILES = rf"/etc/sysctl\.conf([.][\w.-]+)?|{_BESIDE_ETC}"
_RC_FILES = rf"/etc/rc\.conf(\.local)?|(/usr/local)?/etc/rc\.conf\.d/([\w-][\w.-]*/)?([\w-]|\.h)[\w.-]*|{_BESIDE_ETC}"
_NETIF_FILES = r"/etc/rc\.conf\.d(/(netif(/[\w.-]+|\.[\w.-]+)?|\.hactl[\w.-]*))?"

_DEMANDS: Mapping[str, _Demand] = {
    Verb.LOAD_MODULE: _Demand((LoadsModule,), carp.load_module),
    Verb.SET_SYSCTL: _Demand((SetsSysctl,), carp.set_sysctl),
    Verb.ADJUST_DEMOTION: _Demand((SetsSysctl,), carp.adjust_demotion),
    Verb.ADD_ADDRESS: _Demand((Ifconfig,), carp.add_address),
    Verb.REMOVE_ADDRESS: _Demand((Ifconfig,), carp.remove_address),
    Verb.SET_VHID: _Demand((Ifconfig,), carp.set_vhid),
    Verb.WRITE_BOOT_ALIASES: _Demand((WritesFile,), boot.write_boot_aliases, _NETIF_FILES, single=False),
    Verb.SET_RC_VARIABLE: _Demand((SetsRc,), boot.set_rc_variable, _RC_FILES),
    Verb.REMOVE_RC_VARIABLE: _Demand((SetsRc,), boot.remove_rc_variable, _RC_FILES, single=False),
    Verb.SET_SYSCTL_CONF: _Demand((WritesFile,), boot.set_sysctl_conf, _SYSCTL_CONF_FILES, single=False),
    Verb.MEND_TORN_FILE: _Demand(
        (WritesFile,), boot.mend_torn_file, f"{_RC_FILES}|{_SYSCTL_CONF_FILES}|{_NETIF_FILES}", single=False
    ),
    Verb.WRITE_HAST_CONF: _Demand((WritesFile,), hast.write_hast_conf, _HAST_CONF_FILES, single=False),
    Verb.TRY_HASTD: _Demand((TriesHastd,), hast.try_hastd, hast.TRIAL_FILES, single=False),
    Verb.RELOAD_HASTD: _Demand((RunsService,), hast.reload_hastd),
    Verb.START_HASTD: _Demand((RunsService,), hast.start_hastd),
    Verb.CREATE_METADATA: _Demand((CreatesMetadata,), hast.create_metadata),
    Verb.SET_ROLE: _Demand((SetsRole,), hast.set_role),
    Verb.MAKE_FILESYSTEM: _Demand((MakesFilesystem,), filesystems.make_filesystem),
    Verb.CREATE_POOL: _Demand((Zpool,), filesystems.create_pool),
    Verb.CHECK_FILESYSTEM: _Demand((ChecksFilesystem,), filesystems.check_filesystem),
    Verb.MOUNT: _Demand((Mounts,), filesystems.mount),
    Verb.REMOUNT: _Demand((Mounts,), filesystems.remount),
    Verb.UNMOUNT: _Demand((Unmounts,), filesystems.unmount),
    Verb.IMPORT_POOL: _Demand((Zpool,), filesystems.import_pool),
    Verb.EXPORT_POOL: _Demand((Zpool,), filesystems.export_pool),
    Verb.START_SERVICE: _Demand((RunsService,), filesystems.start_service),
    Verb.STOP_SERVICE: _Demand((RunsService,), filesystems.stop_service),
    Verb.ENABLE_SERVICE: _Demand((SetsRc, RunsService), boot.enable_service, _RC_FILES),
    Verb.DISABLE_SERVICE: _Demand((SetsRc, RunsService), boot.disable_service, _RC_FILES),
    Verb.WRITE_HOOK: _Demand((WritesFile,), hook.write_hook, f"{hook.HOOK_FILES}|{hook.RUN_NOTES}", single=False),
    Verb.PRESERVE_COPY: _Demand((WritesFile,), hast.preserve_copy, single=False),
    Verb.DISCARD_COPY: _Demand((SetsRole, CreatesMetadata), hast.discard_copy, single=False),
    Verb.REMOVE_HOOK: _Demand((RunsService,), hook.remove_hook, f"{hook.HOOK_FILES}|{hook.RUN_NOTES}"),
    Verb.RESTART_DEVD: _Demand((RunsService,), hook.restart_devd, hook.RUN_NOTES),
    Verb.CONFIRM_COPY: _Demand((WritesFile,), hook.confirm_copy, hook.NOTES, single=False),
    Verb.LIFT_HOLD: _Demand((SetsSysctl,), hook.lift_hold, hook.RUN_NOTES, single=False),
    Verb.NOTE_DRAINED: _Demand((WritesFile,), hook.note_drained, hook.NOTES, single=False),
    Verb.FORGET_DRAINED: _Demand((WritesFile,), hook.note_drained, hook.NOTES, single=False),
}


def audit(cluster: Cluster, snapshot: Snapshot, plan: Plan, now: float) -> tuple[str, ...]:
    """Complaints about a plan, each `stage N: STEP: what is wrong`; empty when it is safe at every prefix.

    `now` is the controller's monotonic clock, seconds. Stage 0 is judged on the facts; of later stages, what the facts
    cannot tell is taken from this module's own model of the earlier steps.
    """
    world = first_world(cluster, snapshot, now)
    complaints: dict[str, None] = {}
    if (plan.cluster, plan.generation) != (cluster.name, cluster.generation):
        complaints[f"the plan is for {plan.cluster} generation {plan.generation}"] = None
    for number, stage in enumerate(plan.stages):
        walk = _ordered if stage.ordered else _parallel
        for step, what in walk(plan, stage, number, world):
            complaints[f"stage {number}: {step.key}: {what}"] = None
        world = _after_stage(world, stage)
    return tuple(complaints)


def _ordered(plan: Plan, stage: Stage, number: int, world: World) -> Iterator[tuple[Step, str]]:
    """One step after the other."""
    for step in stage.steps:
        yield from ((step, what) for what in _judge(plan, step, number, world))
        world = _after_step(world, step)


def _parallel(plan: Plan, stage: Stage, number: int, world: World) -> Iterator[tuple[Step, str]]:
    """Nodes in parallel: each step is judged with each other node at every point of its own steps."""
    points: dict[str, list[Node]] = {name: [node] for name, node in world.nodes.items()}
    for step in stage.steps:
        if step.node in points:
            states = points[step.node]
            states.append(_after_step(world.with_node(states[-1]), step).nodes[step.node])
    done = dict.fromkeys(points, 0)
    for step in stage.steps:
        if step.node not in points:
            yield step, f"I10: {step.node} is not in the document"
            continue
        here = world.with_node(points[step.node][done[step.node]])
        done[step.node] += 1
        views = [here]
        for name, states in points.items():
            if name != step.node:
                views += [here.with_node(state) for state in states[1:]]
        for view in views:
            yield from ((step, what) for what in _judge(plan, step, number, view))


def _after_stage(world: World, stage: Stage) -> World:
    for step in stage.steps:
        world = _after_step(world, step)
    return world


def _after_step(world: World, step: Step) -> World:
    """The world if the step ends as it should; a step that cannot be read changes nothing here (and is refused)."""
    node = world.nodes.get(step.node)
    if node is None:
        return world
    try:
        effects = read_effects(step.command)
        for effect in effects:
            node = applied(node, effect, world.cluster)
        if any(isinstance(effect, WritesFile) and effect.path == HAST_CONF for effect in effects):
            node = replace(node, hast_conf=hast.written_hast_conf(step.command), conf_unread=True, wrote_conf=True)
    except Unreadable:
        return world
    return world.with_node(node)


# --- one step -----------------------------------------------------------------------------------------------------


def _judge(plan: Plan, step: Step, stage: int, world: World) -> Iterator[str]:
    """Everything that is wrong with a step in this world."""
    if step.node not in world.nodes:
        yield f"I10: {step.node} is not in the document"
        return
    yield from _node_is_ours(world, step)
    yield from _secrets(world.cluster, step)
    yield from _checks_only_look(world.cluster, step)
    demand = _DEMANDS.get(step.verb)
    if demand is None:
        yield f"{step.verb} is not a verb the audit knows"
        return
    try:
        effects = read_effects(step.command)
        case = Case(plan, step, stage, world, effects)
        yield from _does_what_it_says(case, demand)
        yield from demand.rule(case)
        yield from _risk(case)
        if step.verb != Verb.MOUNT:  # whoever mounts makes the mount point anew
            yield from durable(step.command)
    except Unreadable as what:
        yield f"the command cannot be read: {what}"


def _node_is_ours(world: World, step: Step) -> Iterator[str]:
    """I6 and I10: the node answered a short while ago, and is the FreeBSD machine the document names."""
    node = world.nodes[step.node]
    if node.facts is None:
        yield f"I6: {step.node} does not answer: {node.silence}"
        return
    if old := too_old(node, world.now):
        yield old
    system = known(node.facts.system)
    if system is None:
        yield f"I10: what machine answers as {step.node} is not known"
    elif system.sysname != "FreeBSD":
        yield f"I10: {step.node} runs {system.sysname}, not FreeBSD"
    elif step.node not in (system.hostname, system.hostname.split(".")[0]):
        yield f"I10: the machine that answers as {step.node} calls itself {system.hostname}"


def _secrets(cluster: Cluster, step: Step) -> Iterator[str]:
    """I8: passwords only as shell variables of the step, seen by nothing but the shell and ifconfig."""
    texts = [step.command, *(check.test for check in (*step.before, *step.after))]
    declared = {use.variable for use in step.secrets}
    owners = {
        (group.name, vip.name) for group in cluster.groups for vip in group.virtual_ips if vip.password_from is not None
    }
    for use in step.secrets:
        if (use.group, use.virtual_ip) not in owners:
            yield f"I8: {use.variable} is for {use.group}/{use.virtual_ip}, which has no password in the document"
    for text in texts:
        if any(True for _ in clear_passwords(text)):
            yield "I8: a password stands in clear"
        for variable in sorted(secret_variables(text) - declared):
            yield f"I8: {variable} is not a secret of the step"
        try:
            commands, _ = read_commands(text)
        except Unreadable:
            continue  # said elsewhere for the command; a check with secrets is refused below
        for command in commands:
            if command.secret_words and command.words[0] not in SECRET_MAY_BE_SEEN_BY:
                yield f"I8: {command.words[0]} would show a secret on its command line"


def _checks_only_look(cluster: Cluster, step: Step) -> Iterator[str]:
    """The conditions of a step change nothing; what the document names to look at its service is taken at its word."""
    specs = (service for group in cluster.groups for service in group.services if service.name == step.target)
    named = {RunsText(spec.check.command) for spec in specs if spec.check is not None and spec.check.command}
    for check in (*step.before, *step.after):
        try:
            effects = read_effects(check.test)
        except Unreadable as what:
            yield f"the check {check.says!r} cannot be read: {what}"
            continue
        if not named.issuperset(effects):
            yield f"the check {check.says!r} changes something"


def _does_what_it_says(case: Case, demand: _Demand) -> Iterator[str]:
    """The command does what the verb says, once, and nothing else."""
    main = [effect for effect in case.effects if isinstance(effect, demand.kinds)]
    if not main or (demand.single and len(main) != 1):
        yield f"does {len(main)} things of the kind {case.step.verb} does"
    for effect in case.effects:
        if isinstance(effect, WritesFile):
            yield from _file(case, effect, demand)
        elif not isinstance(effect, demand.kinds):
            yield f"does something {case.step.verb} does not say: {type(effect).__name__}"
    yield from _secret_of_vhid(case)


def _file(case: Case, effect: WritesFile, demand: _Demand) -> Iterator[str]:
    """I10: only the files hactl is known to write."""
    temporary = re.fullmatch(r"/(var/)?tmp/hactl[\w.-]*|/var/(run|db)/hactl[\w./-]*", effect.path)
    own = re.fullmatch(demand.files, effect.path) or _is_image(case, effect.path)
    if effect.how == "mkdir" and effect.path in _directories(case.world.cluster):
        return
    if not (temporary or own) or ".." in effect.path:
        yield f"I10: {effect.how} of {effect.path}"
    elif _is_image(case, effect.path):
        return
    elif effect.how in ("rm", "rmdir") and not BESIDE.search(effect.path) and not (temporary or _is_note(effect.path)):
        yield f"I10: removes {effect.path}"


def _is_image(case: Case, path: str) -> bool:
    """The file in which a person asked for an image of a copy, and its unfinished part."""
    images = [where for node, where in case.plan.discards.values() if node == case.step.node and where]
    return case.step.verb == Verb.PRESERVE_COPY and any(path in (image, f"{image}.part") for image in images)


def _is_note(path: str) -> bool:
    """A note of the node hook, and the hook itself, may be taken away."""
    return re.fullmatch(rf"{hook.NOTES}|{hook.RUN_NOTES}|{hook.OWN}", path) is not None


def _directories(cluster: Cluster) -> set[str]:
    found = set()
    for group in cluster.groups:
        for storage in group.storage:
            spec = storage.filesystem
            if spec and spec.ufs:
                found.add(spec.ufs.mountpoint)
            if spec and spec.zfs:
                found.add(spec.zfs.mountpoint or f"/{spec.zfs.pool}")
    return found


def _secret_of_vhid(case: Case) -> Iterator[str]:
    """A vhid gets its own password, not another's."""
    for effect in case.all_of(Ifconfig):
        found = case.vip(effect.interface, effect.vhid)
        if effect.secret and found is not None:
            mine = {
                use.variable
                for use in case.step.secrets
                if (use.group, use.virtual_ip) == (found[0].name, found[1].name)
            }
            if effect.secret not in mine:
                yield f"I8: {effect.secret} is not the password of {found[1].name}"


def _risk(case: Case) -> Iterator[str]:
    least = _least_risk(case)
    if case.step.risk.rank < least.rank:
        yield f"its risk is at least {least}, it says {case.step.risk}"
    if _destroys(case) and not case.step.before:
        yield "a destructive step without a check just before it"


def _destroys(case: Case) -> bool:
    """Whether data on a device is gone afterwards, whatever the step calls itself."""
    return any(
        isinstance(effect, CreatesMetadata | MakesFilesystem)
        or (isinstance(effect, Zpool) and effect.action == "create")
        for effect in case.effects
    )


def _least_risk(case: Case) -> Risk:
    """The least a step of this kind can do to service and data, here and now."""
    here = case.here
    if _destroys(case):
        return Risk.DESTRUCTIVE
    for effect in case.effects:
        match effect:
            case Ifconfig(ip=ip, interface=interface, vhid=vhid) if ip:
                present = (here.interfaces or {}).get(interface)
                number = vhid if vhid is not None else present.addresses.get(ip, (0, None))[1] if present else None
                if number is not None and here.may_be_master(interface, number):
                    return Risk.BLIP
            case SetsRole(role=role, resources=names) if role != "primary":
                if any("primary" in here.roles.get(name, ANY_ROLE) for name in names):
                    return Risk.OUTAGE
            case Unmounts(target=target):
                specials = [m.special for m in here.mounts or () if target in (m.node, m.special)]
                if any(here.may_be_primary(special.removeprefix(HAST_DEVICES)) for special in specials):
                    return Risk.OUTAGE
            case Zpool(action="export") | RunsService(action="onestop" | "stop"):
                return _risk_of_stopping(case, effect)
            case _:
                pass
    return Risk.NONE


def _risk_of_stopping(case: Case, effect: Effect) -> Risk:
    """Stopping a service, or exporting a pool, where the group serves is an outage."""
    for group in case.world.cluster.groups:
        names = {service.name for service in group.services}
        theirs = effect.name in names if isinstance(effect, RunsService) else isinstance(effect, Zpool)
        if theirs and group.storage and filesystems.serves(case.here, group):
            return Risk.OUTAGE
    return Risk.NONE
