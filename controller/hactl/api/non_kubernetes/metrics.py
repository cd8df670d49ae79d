"""`/metrics`: what the newest statuses say, and what passes, steps and moves came to, for Prometheus.

Rules: gauges are read from the newest status when somebody asks; of one that is past its age the conditions are
Unknown, and the age of what is known of a node goes on growing; counters start at 0 with the
process; labels are names of the document or closed sets, never addresses, messages or actors.
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from hactl import __version__
from hactl.core.catalogue import EventKind
from hactl.core.status.freshness import FRESH_SECONDS, believed, is_fresh
from hactl.ports import SourceHealth, WriteHealth

__all__ = ["CONTENT_TYPE_LATEST", "METRICS", "Metrics"]

Statuses = Callable[[], Mapping[str, Mapping[str, Any]]]

#: name -> what it says; `Metrics` offers exactly these (a test compares).
METRICS = {
    "hactl_build_info": "1, with the version of hactl.",
    "hactl_condition": "1 for the status (True, False, Unknown) a condition of a cluster has, else 0.",
    "hactl_carp_state": "1 for the CARP state a node has for a vhid.",
    "hactl_hast_role": "1 for the HAST role a node has for a resource.",
    "hactl_hast_dirty_bytes": "Bytes that are on the primary only.",
    "hactl_carp_demotion": "net.inet.carp.demotion of a node.",
    "hactl_group_active": "1 for the node a group is active on.",
    "hactl_observation_age_seconds": "Age of what is known of a node.",
    "hactl_node_answers": "1 if the node answered the newest look.",
    "hactl_holds": "Reasons not to act, by reason.",
    "hactl_plan_steps": "Steps the newest plan has.",
    "hactl_queue_depth": "Clusters that wait for their look or are looked at.",
    "hactl_reconcile_seconds": "How long looks took, by result.",
    "hactl_steps_total": "Steps that ended, by risk and outcome.",
    "hactl_moves_total": "Groups that became active on another node.",
    "hactl_failover_seconds": "How long the newest move of a group took, as measured.",
    "hactl_api_requests_total": "Requests to the API by verb, resource and status code.",
    "hactl_api_watches": "Watches that are open.",
    "hactl_source_ready": "1 if the newest read of a source succeeded and nothing is wrong with it, else 0.",
    "hactl_source_age_seconds": "Since a source was read well; none for one that never was.",
    "hactl_documents_refused": "Faults for which documents of a source are refused now.",
    "hactl_record_writable": "1 if the newest write to the record succeeded, else 0: nothing is begun then.",
    "hactl_record_writes_failed_total": "Writes to the record that failed, since the process began.",
    "hactl_loop_lag_seconds": "How late the controller's event loop was, measured four times a second.",
}
_TRUTHS = ("True", "False", "Unknown")


class Metrics:
    """Everything `/metrics` tells, in a registry of its own."""

    def __init__(
        self,
        statuses: Statuses,
        queue_depth: Callable[[], int],
        now: Callable[[], datetime],
        *,
        sources: Callable[[], Mapping[str, SourceHealth]] = dict,
        writes: Callable[[], WriteHealth] = WriteHealth,
        limit: float = FRESH_SECONDS,
    ) -> None:
        """`statuses`: the newest status of every cluster by name; `now`: timezone-aware.

        `limit`: a status that is older says Unknown, seconds.
        """
        # A second series for every counter, whose time nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry(auto_describe=False)
        self._reconcile = Histogram(
            "hactl_reconcile_seconds",
            METRICS["hactl_reconcile_seconds"],
            ["result"],
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
            registry=self._registry,
        )
        self._steps = Counter("hactl_steps", METRICS["hactl_steps_total"], ["risk", "outcome"], registry=self._registry)
        self._moves = Counter(
            "hactl_moves", METRICS["hactl_moves_total"], ["cluster", "group"], registry=self._registry
        )
        self._failover = Gauge(
            "hactl_failover_seconds", METRICS["hactl_failover_seconds"], ["cluster", "group"], registry=self._registry
        )
        self._requests = Counter(
            "hactl_api_requests",
            METRICS["hactl_api_requests_total"],
            ["verb", "resource", "code"],
            registry=self._registry,
        )
        self.watches = Gauge("hactl_api_watches", METRICS["hactl_api_watches"], registry=self._registry)
        self._lag = Histogram(
            "hactl_loop_lag_seconds",
            METRICS["hactl_loop_lag_seconds"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self._registry,
        )
        self._statuses, self._queue_depth, self._now = statuses, queue_depth, now
        self._sources, self._writes, self._limit = sources, writes, limit

    def passed(self, result: str, seconds: float) -> None:
        """A look ended: `result` again, wait or failed (`core.pace.result.PassResult.next`)."""
        self._reconcile.labels(result).observe(seconds)

    def lagged(self, seconds: float) -> None:
        """The event loop was so late with something that was due."""
        self._lag.observe(seconds)

    def took_in(self, row: Mapping[str, Any]) -> None:
        """A row of the history, once each: counts steps that ended, and moves with their measured seconds."""
        if row["kind"] == EventKind.STEP_ENDED:
            self._steps.labels(row["risk"], row["outcome"]).inc()
        elif row["kind"] in (EventKind.GROUP_MOVED, EventKind.OPERATION_ENDED):
            detail = row.get("detail") or {}
            group = str(detail.get("group", ""))
            if row["kind"] == EventKind.GROUP_MOVED:
                self._moves.labels(row["cluster"], group).inc()
            # A move of the nodes' own is measured by their hook, one of ours when its request ends.
            if group and detail.get("seconds") is not None:
                self._failover.labels(row["cluster"], group).set(float(detail["seconds"]))

    def requested(self, verb: str, resource: str, code: int) -> None:
        """A request to the API was answered; `resource` is a plural name or a fixed path."""
        self._requests.labels(verb, resource, str(code)).inc()

    def writer(self) -> Callable[[], bytes]:
        """What writes how it is now, in another thread if need be: in the format of type `CONTENT_TYPE_LATEST`."""
        newest = CollectorRegistry(auto_describe=False)
        newest.register(
            _Newest(
                dict(self._statuses()),
                self._queue_depth(),
                self._now(),
                dict(self._sources()),
                replace(self._writes()),
                self._limit,
            )
        )
        return lambda: generate_latest(newest) + generate_latest(self._registry)


class _Newest(Collector):
    """Gauges made of the newest statuses, for one who asks."""

    def __init__(
        self,
        statuses: Mapping[str, Mapping[str, Any]],
        queue_depth: int,
        now: datetime,
        sources: Mapping[str, SourceHealth],
        writes: WriteHealth,
        limit: float,
    ) -> None:
        self._statuses, self._queue_depth, self._now = statuses, queue_depth, now
        self._sources, self._writes, self._limit = sources, writes, limit

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        families = _Families()
        families.add("hactl_build_info", {"version": __version__}, 1)
        families.add("hactl_queue_depth", {}, self._queue_depth)
        for cluster, status in self._statuses.items():
            _conditions(families, cluster, believed(status, self._now, why="", limit=self._limit))
            _nodes(families, cluster, status, self._now)
            # Where things were when somebody looked last says nothing of where they are.
            for group in status.get("groups", ()) if is_fresh(status, self._now, self._limit) else ():
                _group(families, cluster, group)
        for label, source in self._sources.items():
            families.add("hactl_source_ready", {"source": label}, not source.trouble)
            families.add("hactl_documents_refused", {"source": label}, source.refused)
            if source.age_seconds is not None:
                families.add("hactl_source_age_seconds", {"source": label}, source.age_seconds)
        families.add("hactl_record_writable", {}, not self._writes.trouble)
        yield from families.families.values()
        name = "hactl_record_writes_failed"
        yield CounterMetricFamily(name, METRICS[f"{name}_total"], value=self._writes.failed)


class _Families:
    """Gauges by name, made when the first value comes."""

    def __init__(self) -> None:
        self.families: dict[str, GaugeMetricFamily] = {}

    def add(self, name: str, labels: Mapping[str, str], value: float) -> None:
        family = self.families.get(name)
        if family is None:
            family = self.families[name] = GaugeMetricFamily(name, METRICS[name], labels=list(labels))
        family.add_metric(list(labels.values()), float(value))


def _conditions(families: _Families, cluster: str, status: Mapping[str, Any]) -> None:
    for condition in status.get("conditions", ()):
        for truth in _TRUTHS:
            labels = {"cluster": cluster, "type": condition["type"], "status": truth}
            families.add("hactl_condition", labels, condition["status"] == truth)
    reasons: dict[str, int] = {}
    for hold in status.get("holds", ()):
        reasons[hold["reason"]] = reasons.get(hold["reason"], 0) + 1
    for reason, count in reasons.items():
        families.add("hactl_holds", {"cluster": cluster, "reason": reason}, count)
    families.add("hactl_plan_steps", {"cluster": cluster}, (status.get("plan") or {}).get("steps", 0))


def _nodes(families: _Families, cluster: str, status: Mapping[str, Any], now: datetime) -> None:
    observed = status.get("observedAt")
    since = (now - datetime.fromisoformat(observed)).total_seconds() if observed else 0.0
    for node in status.get("nodes", ()):
        labels = {"cluster": cluster, "node": node["name"]}
        families.add("hactl_node_answers", labels, node["answers"])
        families.add("hactl_observation_age_seconds", labels, max(0.0, since) + float(node["ageSeconds"]))
        if node["carpDemotion"] is not None:
            families.add("hactl_carp_demotion", labels, node["carpDemotion"])


def _group(families: _Families, cluster: str, group: Mapping[str, Any]) -> None:
    where = {"cluster": cluster, "group": group["name"]}
    if group["active"]:
        families.add("hactl_group_active", {**where, "node": group["active"]}, 1)
    for vip in group["addresses"]:
        for node, state in vip["states"].items():
            labels = {**where, "vhid": str(vip["vhid"]), "address": vip["name"], "node": node, "state": state}
            families.add("hactl_carp_state", labels, 1)
    for storage in group["storage"]:
        for node, role in storage["roles"].items():
            labels = {**where, "resource": storage["name"], "node": node, "role": role}
            families.add("hactl_hast_role", labels, 1)
        if storage["dirtyBytes"] is not None:
            families.add("hactl_hast_dirty_bytes", {**where, "resource": storage["name"]}, storage["dirtyBytes"])
