"""Where a node's demotion is from, whether what caused it still lasts, and how to be rid of it.

Rules: the kernel's own log accounts (`carp: demoted by N to M (reason)`, docs/freebsd-facts.md#1.3); the boot guard of
the node hook adds with the sysctl and notes how much; what the log has forgotten is called so. The sysctl adds what is
written.
"""

from __future__ import annotations

from dataclasses import dataclass

from hactl.core.cluster import interface_on
from hactl.core.evidence.carp import UNLOGGED, demotion_sources
from hactl.core.facts import known
from hactl.core.why.answer import Fact, Remedy
from hactl.core.why.subject import Subject

#: What the boot guard adds is no news once it is lifted.
HELD = "boot hold"
_SYSCTL = "net.inet.carp.demotion"


@dataclass(frozen=True, slots=True)
class Demotion:
    """The demotion of one node and the largest of its sources."""

    node: str
    amount: int
    #: interface, send errors, pfsync, sysctl, boot hold or unlogged.
    source: str
    #: True: its cause is over and it stayed.
    sticky: bool
    #: The interface that is down, for `interface`; empty: none is.
    interface: str
    facts: tuple[Fact, ...]
    remedy: Remedy

    @property
    def clause(self) -> str:
        """One clause, for headlines."""
        why = {
            "interface": f"{self.interface} is down" if self.interface else "an interface was down and is up again",
            "send errors": "its advertisements could not be sent",
            "pfsync": "pfsync has not finished its bulk update",
            "sysctl": "somebody set it by hand",
            HELD: "it is held back since it booted",
            UNLOGGED: "the kernel log does not say where it came from",
        }
        return f"{self.node} is demoted by {self.amount}: {why.get(self.source, self.source)}"


def demotion_of(subject: Subject, node: str) -> Demotion | None:
    """The node's demotion; None when it is 0 or not known."""
    facts = subject.facts(node)
    amount = subject.view.sysctl(node, "demotion")
    if facts is None or not amount:
        return None
    hook = subject.view.hook(node)
    held = min(hook.held, amount) if hook is not None and hook.held > 0 else 0
    log = known(facts.demotions) or ()
    sources = demotion_sources(log, amount)
    if held:
        # The guard writes the sysctl, mostly before anything else is logged.
        paid = "sysctl" if sources.get("sysctl", 0) >= held else UNLOGGED
        sources[paid] = sources.get(paid, 0) - held
        sources[HELD] = held
    source = max((name for name in sources if sources[name]), key=lambda name: sources[name], default=UNLOGGED)
    down = _down(subject, node)
    rows = [subject.fact(node, f"{_SYSCTL} is {amount}" + (f", of which hactl's boot hold {held}" if held else ""))]
    rows += [
        subject.fact(node, f"kernel: carp: demoted by {by} to {to} ({why})") for by, to, why in _telling(log, source)
    ]
    if source == "interface":
        text = f"{down} is down" if down else "every interface that has a vhid is up now"
        rows.append(subject.fact(node, text))
    sticky = source in ("sysctl", UNLOGGED, "send errors") or (source == "interface" and not down)
    return Demotion(node, amount, source, sticky, down, tuple(rows), _remedy(subject, node, source, sources, down))


def _telling(log: tuple[tuple[int, int, str], ...], source: str) -> list[tuple[int, int, str]]:
    """The last lines that name the source: enough to see it come."""
    words = {"send errors": "send ", HELD: "sysctl"}.get(source, source)
    return [line for line in log if line[2].startswith(words) or (source == "interface" and "vhid" in line[2])][-2:]


def _down(subject: Subject, node: str) -> str:
    """An interface of the cluster's vhids that is not up; empty: none, or not known."""
    for group in subject.view.cluster.groups:
        for vip in group.virtual_ips:
            interface = subject.view.interface(vip, node)
            if interface is not None and not interface.up:
                return interface_on(vip, node)
    return ""


def _remedy(subject: Subject, node: str, source: str, sources: dict[str, int], down: str) -> Remedy:
    if source == "interface" and down:
        return Remedy(f"ifconfig {down} up", node, "or look at the cable and the switch port")
    if source == "pfsync":
        return Remedy("ifconfig pfsync0", node, "it ends with the bulk update; check syncdev and the peer")
    if source == HELD:
        return subject.looked_at("hactl lifts it once the node could serve; the plan says what it waits for")
    amount = sources.get(source, 0)
    note = "the sysctl adds, so this takes it back"
    if source == "send errors":
        note = "after the firewall lets carp pass; " + note
    return Remedy(f"sysctl {_SYSCTL}={-amount}", node, note)
