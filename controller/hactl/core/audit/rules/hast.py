"""What the audit demands of steps that change HAST: hast.conf, hastd, metadata, roles.

Rules: docs/safety.md#I1 to I6; promotion by the decision table of FreeBSD sbin/hastd/secondary.c
(docs/freebsd-facts.md#2.6); what a reload does by hastd.c (docs/freebsd-facts.md#2.3). Man pages: hastctl(8),
hast.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hactl.core.audit.case import PROMOTION_LIMIT_SECONDS, Case, pool_of
from hactl.core.audit.effects import CreatesMetadata, SetsRole, TriesHastd, WritesFile
from hactl.core.audit.model import HAST_CONF, Node
from hactl.core.audit.reader.hastconf import ResourcePart, address, contradictions, meaning
from hactl.core.audit.reader.lexer import read_commands
from hactl.core.audit.reader.programs import BESIDE
from hactl.core.audit.rules.hook import lets_go
from hactl.core.choices import Initialize, OnStaleWriter
from hactl.core.cluster import failover_of
from hactl.core.facts import Connects, HastMetadata, HastResource, NoMetadata
from hactl.core.objects import StorageSpec


def written_hast_conf(text: str) -> dict[str, ResourcePart] | None:
    """The meaning of the hast.conf that a step's command writes; None when it cannot be found or read."""
    commands, _ = read_commands(text)
    texts = [command.here for command in commands] + [word for command in commands for word in command.words]
    found = [parts for candidate in texts if "resource" in candidate and (parts := meaning(candidate))]
    return found[0] if len(found) == 1 else None


def write_hast_conf(case: Case) -> Iterator[str]:
    """WriteHastConf: the document's meaning, atomically, the old file kept, standby first."""
    writes = [effect for effect in case.all_of(WritesFile) if effect.path == HAST_CONF]
    if not writes or any(effect.how != "mv" for effect in writes):
        yield f"does not replace {HAST_CONF} by one rename"
    file = case.here.seen(lambda facts: facts.files.get(HAST_CONF))
    kept = any(effect.how == "cp" and not BESIDE.search(effect.path) for effect in case.all_of(WritesFile))
    if (file is None or file.exists) and not kept:
        yield f"I10: does not keep the old {HAST_CONF}"
    parts = written_hast_conf(case.step.command)
    if not parts:
        yield "the new hast.conf cannot be read"
        return
    yield from (f"the new hast.conf {what}" for what in contradictions(case.world.cluster, parts))
    if case.here.hast_conf is not None and case.here.hast_conf == parts and not (file is not None and file.torn):
        yield f"I7: {HAST_CONF} says the same already"
    before = case.here.hast_conf or {}
    changed = [name for name, part in parts.items() if before.get(name) != part]
    served = [name for name in changed if case.here.says_primary(name) and name in before]
    if len(served) == len([name for name in changed if name in before]):
        # Where this node is the standby of another changed resource, its file cannot wait for the peer's.
        yield from _standby_has(case, {name: parts[name] for name in served})


def _standby_has(case: Case, parts: dict[str, ResourcePart]) -> Iterator[str]:
    """I5: the other nodes of these resources have the same hast.conf for them, and hastd there was told."""
    for name, part in parts.items():
        for other in case.world.others(case.step.node, part.nodes):
            if other.facts is None:
                yield f"I5: disturbs the active node of {name} although {other.name} does not answer"
            elif old := case.too_old(other):
                yield old
            elif (other.hast_conf or {}).get(name) != part:
                yield f"I5: disturbs the active node of {name} before {other.name} has the same hast.conf"


#: What a trial of hastd may write: a directory of its own, and its note.
TRIAL_FILES = r"/var/run/hactl\.trial(/\w+)?|/var/db/hactl(/hastd(\.new)?)?"


def try_hastd(case: Case) -> Iterator[str]:
    """TryHastd: beside the hastd that runs, on a file and loopback addresses, where nobody knows the answer."""
    for effect in case.all_of(TriesHastd):
        if effect.where not in ("", "127.0.0.1"):
            yield f"I10: {effect.program} listens on {effect.where}"
    texts = [command.here for command in read_commands(case.step.command)[0] if command.here]
    if len(texts) != 1:
        yield "does not write one configuration of its own"
    for line in "\n".join(texts).splitlines():
        word, _, value = line.strip().partition(" ")
        own = value.removeprefix("uds://").startswith("/var/run/hactl.trial/") and ".." not in value
        if word in ("local", "control", "listen", "pidfile", "exec") and not own:
            yield f"I3: the trial's {word} is {value}"
        elif word == "remote" and not re.fullmatch(r"tcp4://127\.0\.0\.1:\d+", value):
            yield f"I10: the trial connects to {value}"
        elif word == "resource" and case.storage(value.split()[0]) is not None:
            yield f"the trial's resource is called {value.split()[0]}, as one of the document's"
    if case.here.seen(lambda facts: facts.connects) is not Connects.UNTRIED:
        yield "I7: whether hastd connects is known, or was not asked"


def reload_hastd(case: Case) -> Iterator[str]:
    """ReloadHastd."""
    yield from case.runs_only("hastd", "reload")
    here = case.here
    if here.hastd is False:
        yield "I7: hastd does not run"
    if here.hast_conf is None or here.running_conf is None:
        if any(here.says_primary(name) for name in here.roles):
            yield "I2: what the reload changes is not known, and the node may be primary"
        return
    differing = [name for name in here.running_conf if _differences(here, name)]
    added = [name for name in here.hast_conf if name not in here.running_conf]
    if not here.conf_unread and not differing and not added:
        yield f"I7: hastd runs with what {HAST_CONF} says"
    for name in differing:
        yield from _reload_of_served(case, name)
        yield from _reload_that_hangs(case, name)
    served = {name: part for name, part in here.hast_conf.items() if here.says_primary(name)}
    yield from _standby_has(case, served)


def _differences(node: Node, name: str) -> set[str]:
    """What of a running resource the file says otherwise; {"resource"} when it does not name it any more."""
    running: HastResource = (node.running_conf or {})[name]
    part = (node.hast_conf or {}).get(name)
    if part is None or node.name not in part.nodes:
        return {"resource"}
    here = part.nodes[node.name]
    settings = {
        "local": (here.local, running.localpath),
        "name": (here.name, running.provname),
        "remote": (here.remote, address(running.remoteaddr)),
        "source": (here.source, address(running.sourceaddr) if running.sourceaddr else ""),
        "replication": (part.settings["replication"], running.replication),
    }
    return {word for word, (wanted, have) in settings.items() if wanted != have}


def _reload_of_served(case: Case, name: str) -> Iterator[str]:
    """I2: a reload that takes the device of a primary away while it is in use (a changed mode is taken over live)."""
    taken = _differences(case.here, name) & {"resource", "local", "name"}
    found = case.storage(name)
    why = case.here.in_use(name, pool_of(found[1]) if found else None)
    if taken and why and case.here.says_primary(name):
        yield f"I2: the reload changes {' and '.join(sorted(taken))} of {name}, and {why}"


def _reload_that_hangs(case: Case, name: str) -> Iterator[str]:
    """A primary that closes its connection while it reloads never answers again (docs/freebsd-facts.md#7.68)."""
    closes = _differences(case.here, name) & {"remote", "source", "replication"}
    found = case.storage(name)
    if closes and found and case.here.says_primary(name):
        for peer in case.peers(found[1]):
            if peer.roles.get(name) != frozenset({"init"}):
                what = f"{' and '.join(sorted(closes))} of {name}"
                yield f"hastd would hang: the reload changes {what}, and {peer.name} may be connected"


def start_hastd(case: Case) -> Iterator[str]:
    """StartHastd."""
    yield from case.runs_only("hastd", "start")
    if case.here.hastd:
        yield "I7: hastd runs already"
    if not case.here.hast_conf:
        yield "hastd would start without a known resource (recording 04: it then answers nothing)"


def create_metadata(case: Case) -> Iterator[str]:
    """CreateMetadata: `hastctl create` never refuses, so everything is checked here (I3)."""
    for effect in case.all_of(CreatesMetadata):
        if len(effect.resources) != 1 or (found := case.storage(effect.resources[0])) is None:
            yield f"hastctl create {' '.join(effect.resources)} is not for a resource of this node"
            continue
        storage = found[1]
        if storage.hast.initialize is not Initialize.IF_BLANK:
            yield f"I3: the document does not say initialize: IfBlank for {storage.name}"
        yield from _provably_blank(case, case.here, storage)
        if case.here.may_be_primary(storage.name):
            yield f"I3: {case.here.name} may be primary for {storage.name}"
        for node in (case.here, *case.peers(storage)):
            if node.seen(lambda facts: facts.connects) is Connects.NEVER:
                yield f"creates {storage.name} although the hastd of {node.name} never connects"
        for peer in case.peers(storage):
            yield from _peer_lets_create(case, peer, storage, effect)


def _without_metadata(case: Case, node: Node, storage: StorageSpec) -> bool:
    """No metadata: hastctl said so; or, in a later stage, it will be asked once this plan has written its hast.conf.

    Before there is a hast.conf `hastctl dump` cannot answer. A device whose first MiB was seen to be zero holds no
    metadata; the step's own stage is planned again, on what hastctl says then.
    """
    metadata = node.metadata.get(storage.name)
    device = node.device(storage.hast.devices[node.name])
    later = case.stage > 0 and node.wrote_conf and device is not None and device.blank is True
    return metadata is NoMetadata.ABSENT or (metadata is None and later)


def _provably_blank(case: Case, node: Node, storage: StorageSpec) -> Iterator[str]:
    """I3: everything that must be known of a device before metadata is written to it."""
    path = storage.hast.devices[node.name]
    device = node.device(path)
    if not _without_metadata(case, node, storage):
        yield f"I3: {path} on {node.name} is not known to be without metadata"
    if device is None or not device.exists:
        yield f"I3: {path} on {node.name} is not known to exist"
        return
    if device.blank is not True:
        yield f"I3: {path} on {node.name} is not known to be blank"
    if not device.use_known:
        yield f"I3: whether {path} on {node.name} is used is not known"
    if device.used_by:
        yield f"I3: {path} on {node.name} is used by {', '.join(device.used_by)}"


def is_fresh(metadata: HastMetadata | NoMetadata | None) -> bool:
    """Metadata as `hastctl create` and the first meeting leave it: a virgin pair may count to 1.

    See docs/freebsd-facts.md#2.5, rule 4.
    """
    return isinstance(metadata, HastMetadata) and metadata.localcnt <= 1 and metadata.remotecnt <= 1


def _peer_lets_create(case: Case, peer: Node, storage: StorageSpec, effect: CreatesMetadata) -> Iterator[str]:
    if peer.facts is None:
        yield f"I6: {peer.name} does not answer; whether it has data of {storage.name} is not known"
        return
    if old := case.too_old(peer):
        yield old
    metadata = peer.metadata.get(storage.name)
    if _without_metadata(case, peer, storage):
        yield from _provably_blank(case, peer, storage)
    elif not isinstance(metadata, HastMetadata):
        yield f"I3: what {peer.name} has of {storage.name} is not known"
    elif metadata.resuid and not peer.is_primary(storage.name):
        yield f"I3: {peer.name} has data of {storage.name} and is not known to serve it"
    yield from _sizes(case, peer, storage, effect)


def _sizes(case: Case, peer: Node, storage: StorageSpec, effect: CreatesMetadata) -> Iterator[str]:
    """Copies of different size never connect (docs/freebsd-facts.md#2.6, #trap-29)."""
    mine = case.here.device(storage.hast.devices[case.here.name])
    theirs = peer.device(storage.hast.devices[peer.name])
    if mine is None or theirs is None or not mine.mediasize or not theirs.mediasize:
        return
    size = effect.mediasize or mine.mediasize
    if size > theirs.mediasize:
        yield f"{storage.name} would be larger here ({size} bytes) than {peer.name} can hold ({theirs.mediasize} bytes)"


def set_role(case: Case) -> Iterator[str]:
    """SetRole."""
    for effect in case.all_of(SetsRole):
        if len(effect.resources) != 1 or (found := case.storage(effect.resources[0])) is None:
            yield f"hastctl role {effect.role} {' '.join(effect.resources)} is not for a resource of this node"
        elif effect.role not in ("init", "primary", "secondary"):
            yield f"{effect.role} is not a role"
        else:
            storage = found[1]
            if case.here.roles.get(storage.name) == frozenset({effect.role}):
                yield f"I7: {storage.name} is {effect.role} already"
            if effect.role == "primary":
                yield from _promotion(case, storage)
            elif case.here.says_primary(storage.name) and (why := case.here.in_use(storage.name, pool_of(storage))):
                yield f"I2: {storage.name} would lose its device, and {why}"
            elif case.here.says_primary(storage.name):
                yield from lets_go(case, storage)


def _promotion(case: Case, storage: StorageSpec) -> Iterator[str]:
    """I1, I4 and I6 for a node that becomes primary."""
    if case.age_seconds(case.here) > PROMOTION_LIMIT_SECONDS:
        yield f"I6: what is known of {case.here.name} is too old for a promotion"
    mine = case.here.metadata.get(storage.name)
    if not isinstance(mine, HastMetadata):
        yield f"I4: what {case.here.name} has of {storage.name} is {mine.value if mine else 'not known'}"
    for peer in case.peers(storage):
        if peer.facts is None:
            yield f"I1: {peer.name} does not answer and may be primary for {storage.name}"
            continue
        if case.age_seconds(peer) > PROMOTION_LIMIT_SECONDS:
            yield f"I1: what is known of {peer.name} is {case.age_seconds(peer):.0f} s old; it may be primary by now"
        if peer.may_be_primary(storage.name):
            yield f"I1: {peer.name} is, or may be, primary for {storage.name}"
        yield from _was_complete(case, peer, storage.name)
        if isinstance(mine, HastMetadata):
            yield from _newer_copy(mine, peer, storage.name)


def _newer_copy(mine: HastMetadata, peer: Node, resource: str) -> Iterator[str]:
    """I4: the decision table, seen from the node that would be primary."""
    theirs = peer.metadata.get(resource)
    if theirs is None:
        yield f"I4: what {peer.name} has of {resource} is not known; it may be the newer copy"
    elif theirs is NoMetadata.INVALID or theirs is NoMetadata.FOREIGN:
        yield f"I4: the device of {resource} on {peer.name} holds {theirs.value} metadata"
    elif isinstance(theirs, HastMetadata) and theirs.resuid:
        if not mine.resuid:
            yield f"I4: this copy of {resource} is empty and {peer.name} has data"
        elif mine.resuid != theirs.resuid:
            yield f"I4: this copy of {resource} and that of {peer.name} are of different resources"
        elif theirs.localcnt > mine.remotecnt and mine.localcnt > theirs.remotecnt:
            yield f"I4: {resource} is in split-brain with {peer.name}"
        elif theirs.localcnt > mine.remotecnt:
            yield f"I4: {peer.name} has the newer copy of {resource}"


def _was_complete(case: Case, peer: Node, resource: str) -> Iterator[str]:
    """I4: the peer was primary when it was looked at, and its data is not all here."""
    seen = peer.resource(resource)
    if seen is None or seen.role.value != "primary":
        return
    if seen.status != "complete":
        yield f"I4: {peer.name} was primary for {resource} and {seen.status or 'alone'}: this copy is not complete"
    elif seen.dirty and case.stage == 0:
        yield f"I4: {peer.name} has {seen.dirty} dirty bytes of {resource} that are not here"


def preserve_copy(case: Case) -> Iterator[str]:
    """PreserveCopy: an image of the local device of a copy that a person asked to be thrown away."""
    named = [name for name, (node, path) in case.plan.discards.items() if node == case.here.name and path]
    devices = [storage.hast.devices[case.here.name] for name in named if (storage := _storage(case, name)) is not None]
    if not any(f"dd if={device} " in case.step.command for device in devices):
        yield "I10: copies what nobody asked to be kept"


def discard_copy(case: Case) -> Iterator[str]:
    """DiscardCopy: only on a person's word by name, or the document's for a node that slept; never the copy in use,
    while the other one serves (I2, I3, I4).
    """
    for effect in case.all_of(SetsRole):
        if effect.role != "init" or len(effect.resources) != 1:
            yield f"hastctl role {effect.role} {' '.join(effect.resources)} throws no copy away"
    for created in case.all_of(CreatesMetadata):
        storage = _storage(case, created.resources[0]) if len(created.resources) == 1 else None
        if storage is None:
            yield f"hastctl create {' '.join(created.resources)} is not for a resource of this node"
            continue
        if case.plan.discards.get(storage.name, ("", ""))[0] != case.here.name and not _slept(case, storage):
            yield f"I3: nobody asked for the copy of {storage.name} on {case.here.name} to be thrown away"
        if why := case.here.in_use(storage.name, pool_of(storage)):
            yield f"I2: throws the copy of {storage.name} away, and {why}"
        serving = [peer for peer in case.peers(storage) if peer.is_primary(storage.name)]
        if not serving:
            yield f"I4: throws a copy of {storage.name} away while no other node is known to serve it"
        for peer in serving:
            if old := case.too_old(peer):
                yield old
    if not any("localcnt" in check.test for check in case.step.before):
        yield "I3: does not make sure that the copy is still the one a person was shown"


def _slept(case: Case, storage: StorageSpec) -> bool:
    """Whether the document gives away what this node wrote after its sleep, and its hook alone noted that it did."""
    group = next(group for group in case.world.cluster.groups if storage in group.storage)
    if failover_of(case.world.cluster, group).on_stale_writer is not OnStaleWriter.DISCARD:
        return False
    noted = {
        node.name
        for node in (case.here, *case.peers(storage))
        if (hook := node.seen(lambda facts: facts.hook)) is not None and storage.name in hook.fenced
    }
    return noted == {case.here.name}


def _storage(case: Case, resource: str) -> StorageSpec | None:
    found = case.storage(resource)
    return found[1] if found else None
