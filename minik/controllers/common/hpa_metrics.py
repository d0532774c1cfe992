"""How many replicas one metric asks for: readiness of pods, missing values, ratios and tolerance. Pure.

Called by `hpa_propose.py` with what `hpa_sources.py` read. All values are in thousandths of the metric's unit. Source of the rules:
kubernetes `pkg/controller/podautoscaler/replica_calculator.go` and `metrics/utilization.go`; whole-number divisions are where upstream
has them, since they decide results.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from minik.api import meta, quantity, times
from minik.api.core_v1 import pods
from minik.api.meta import ROObj

CPU_INITIALIZATION = timedelta(minutes=5)
"""After its start, a pod's cpu counts only while it is ready (--horizontal-pod-autoscaler-cpu-initialization-period)."""
INITIAL_READINESS_DELAY = timedelta(seconds=30)
"""A pod that became unready this soon after its start has never been ready (…-initial-readiness-delay)."""
TOLERANCE = 0.1
MAX_REPLICAS = 2**31 - 1
_ALWAYS = datetime.max.replace(tzinfo=UTC)

NO_PODS = "no pods returned by selector while calculating replica count"
NOT_READY = "did not receive metrics for targeted pods (pods might be unready)"


class MetricError(Exception):
    """A metric from which no number of replicas follows; the words are upstream's."""


@dataclass(frozen=True, slots=True)
class PodMetric:
    """One pod's value, and the seconds up to `timestamp` that it is of."""

    value: int
    timestamp: datetime = _ALWAYS
    window: float = 0.0


PodMetrics = Mapping[str, PodMetric]
"""By pod name."""


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far from 1 the ratio of usage to target may be without anything being done."""

    down: float = TOLERANCE
    up: float = TOLERANCE

    def within(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True)
class Proposal:
    """`replicas`; `value`: current value (an average, except of object and external metrics with a plain target); `utilization`: in
    percent of the requests, of resource metrics with such a target."""

    replicas: int
    value: int
    utilization: int | None = None


@dataclass(frozen=True, slots=True)
class Groups:
    """Pods by what their metrics are good for. `ignored` ones (going or failed) count for nothing."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


@dataclass(frozen=True, slots=True)
class Readiness:
    """When a young pod's cpu counts."""

    initialization: timedelta = CPU_INITIALIZATION
    delay: timedelta = INITIAL_READINESS_DELAY


def group_pods(
    selected: Iterable[ROObj], metrics: PodMetrics, resource: str, *, now: datetime, readiness: Readiness = Readiness()
) -> Groups:
    ready = 0
    unready, missing, ignored = set(), set(), set()
    for pod in selected:
        name, phase = meta.name(pod), pods.phase(pod)
        if meta.is_deleting(pod) or phase == "Failed":
            ignored.add(name)
        elif phase == "Pending":
            unready.add(name)
        elif name not in metrics:
            missing.add(name)
        elif resource == "cpu" and _is_unready(pod, metrics[name], now, readiness):
            unready.add(name)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _is_unready(pod: ROObj, metric: PodMetric, now: datetime, readiness: Readiness) -> bool:
    condition = meta.condition(pod, "Ready")
    started = (pod.get("status") or {}).get("startTime")
    if condition is None or not started:
        return True
    start = times.parse_time(started)
    changed = condition.get("lastTransitionTime")
    since = times.parse_time(changed) if changed else start
    is_unready = condition.get("status") == "False"
    if start + readiness.initialization > now:
        return is_unready or metric.timestamp < since + timedelta(seconds=metric.window)
    return is_unready and start + readiness.delay > since


def requests_of(selected: Iterable[ROObj], resource: str, container: str = "") -> dict[str, int]:
    """What each pod (or its `container`) asks for, by pod name. Raises MetricError if one asks for nothing."""
    return {meta.name(pod): _request(pod, resource, container) for pod in selected}


def _request(pod: ROObj, resource: str, container: str) -> int:
    spec, name = pod["spec"], meta.name(pod)
    if not container and (spec.get("resources") or {}).get("requests"):
        whole = pods.pod_requests(pod).get(resource)
        if whole is None:
            raise MetricError(f"missing pod-level request for {resource} in Pod {name}")
        return whole if resource == "cpu" else whole * 1000
    total = 0
    for each in (*pods.containers(pod), *filter(pods.is_sidecar, pods.init_containers(pod))):
        if container and each["name"] != container:
            continue
        asked = ((each.get("resources") or {}).get("requests") or {}).get(resource)
        if asked is None:
            raise MetricError(f"missing request for {resource} in container {each['name']} of Pod {name}")
        total += quantity.parse(asked).milli()
        if container:
            return total
    if container:
        raise MetricError(f"container {container} not found in Pod {name}")
    return total


def utilization_ratio(metrics: PodMetrics, requests: Mapping[str, int], target: int) -> tuple[float, int, int]:
    """(ratio to `target`, utilization, average value); both percentages whole. Raises MetricError if no pod is known."""
    known = [(metric.value, requests[name]) for name, metric in metrics.items() if name in requests]
    asked = sum(request for _, request in known)
    if not asked:
        raise MetricError("no metrics returned matched known pods")
    used = sum(value for value, _ in known)
    utilization = used * 100 // asked
    return utilization / target, utilization, used // len(known)


def usage_ratio(metrics: PodMetrics, target: int) -> tuple[float, int]:
    """(ratio to `target`, average value)."""
    average = sum(metric.value for metric in metrics.values()) // len(metrics)
    return average / target, average


def resource_replicas(
    current: int, target: int, resource: str, metrics: PodMetrics, selected: Sequence[ROObj], *, tolerances: Tolerances,
    now: datetime, container: str = "", readiness: Readiness = Readiness(),
) -> Proposal:  # fmt: skip
    """For a target in percent of the requests. Raises MetricError."""
    if not selected:
        raise MetricError(NO_PODS)
    groups = group_pods(selected, metrics, resource, now=now, readiness=readiness)
    counted = _without(metrics, groups)
    requests = requests_of(selected, resource, container)
    ratio, utilization, average = utilization_ratio(counted, requests, target)
    missing = {name: requests[name] * max(100, target) // 100 for name in groups.missing}
    filled = _filled(counted, groups, ratio, missing)
    if filled is None:
        replicas = current if tolerances.within(ratio) else _ceil(ratio * groups.ready)
    else:
        replicas = _careful(current, ratio, utilization_ratio(filled, requests, target)[0], len(filled), tolerances)
    return Proposal(replicas, average, utilization)


def plain_replicas(
    current: int, target: int, resource: str, metrics: PodMetrics, selected: Sequence[ROObj], *, tolerances: Tolerances,
    now: datetime, readiness: Readiness = Readiness(),
) -> Proposal:  # fmt: skip
    """For a target that is an average value. `resource`: "" for other than resource metrics. Raises MetricError."""
    if not selected:
        raise MetricError(NO_PODS)
    groups = group_pods(selected, metrics, resource, now=now, readiness=readiness)
    counted = _without(metrics, groups)
    ratio, average = usage_ratio(counted, target)
    filled = _filled(counted, groups, ratio, dict.fromkeys(groups.missing, target))
    if filled is None:
        replicas = current if tolerances.within(ratio) else _ceil(ratio * groups.ready)
    else:
        replicas = _careful(current, ratio, usage_ratio(filled, target)[0], len(filled), tolerances)
    return Proposal(replicas, average)


def _without(metrics: PodMetrics, groups: Groups) -> dict[str, PodMetric]:
    counted = {n: m for n, m in metrics.items() if n not in groups.ignored and n not in groups.unready}
    if not counted:
        raise MetricError(NOT_READY)
    return counted


def _filled(
    counted: Mapping[str, PodMetric], groups: Groups, ratio: float, missing: Mapping[str, int]
) -> dict[str, PodMetric] | None:
    """With values for those that have none, such as speak against scaling: of missing ones, `missing` on the way down and 0 on the way
    up; of unready ones, 0 on the way up. None if there is nothing to fill in."""
    up_with_unready = bool(groups.unready) and ratio > 1.0
    if not up_with_unready and not groups.missing:
        return None
    filled = dict(counted)
    if ratio < 1.0:
        filled |= {name: PodMetric(value) for name, value in missing.items()}
    elif ratio > 1.0:
        filled |= dict.fromkeys(groups.missing, PodMetric(0))
    if up_with_unready:
        filled |= dict.fromkeys(groups.unready, PodMetric(0))
    return filled


def _careful(current: int, ratio: float, new_ratio: float, count: int, tolerances: Tolerances) -> int:
    """The replicas by the ratio with filled-in values, unless these turn the direction round."""
    if tolerances.within(new_ratio) or (ratio < 1.0 < new_ratio) or (ratio > 1.0 > new_ratio):
        return current
    replicas = _ceil(new_ratio * count)
    if (new_ratio < 1.0 and replicas > current) or (new_ratio > 1.0 and replicas < current):
        return current
    return replicas


def value_replicas(
    current: int, target: int, usage: int, selected: Sequence[ROObj], *, tolerances: Tolerances
) -> Proposal:
    """For an object or external metric with a target for its whole value. Raises MetricError."""
    ratio = usage / target
    if not current:
        return Proposal(_ceil(ratio), usage)  # from nothing: to as many as the ratio says
    if tolerances.within(ratio):
        return Proposal(current, usage)
    if not selected:
        raise MetricError(f"unable to calculate ready pods: {NO_PODS}")
    ready = sum(1 for pod in selected if pods.phase(pod) == "Running" and pods.is_ready(pod))
    return Proposal(_ceil(ratio * ready), usage)


def per_pod_replicas(status_replicas: int, target: int, usage: int, *, tolerances: Tolerances) -> Proposal:
    """For an object or external metric with a target for its value divided by the replicas."""
    replicas = status_replicas
    if not replicas or not tolerances.within(usage / (target * replicas)):
        replicas = _ceil(usage / target)
    return Proposal(replicas, _ceil(usage / status_replicas, 2**63 - 1) if status_replicas else usage)


def _ceil(value: float, most: int = MAX_REPLICAS) -> int:
    return most if value >= most else math.ceil(value)
