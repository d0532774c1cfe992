"""Requests and limits of containers as the engine's limits, and the quality-of-service class. Pure.

Rules: kubelet `pkg/kubelet/cm` (MilliCPUToShares, MilliCPUToQuota) and `pkg/kubelet/qos/policy.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.agent.containers.base import Limits
from minik.api import quantity
from minik.api.core_v1 import pods
from minik.api.meta import ROObj

CPU_PERIOD = 100_000
SANDBOX_OOM_SCORE = -998

Container = Mapping[str, Any]


def _amounts(container: Container, which: str) -> Mapping[str, Any]:
    return (container.get("resources") or {}).get(which) or {}


def milli_cpu(container: Container, which: str) -> int:
    amount = _amounts(container, which).get("cpu")
    return 0 if amount is None else quantity.parse(amount).milli()


def memory(container: Container, which: str) -> int:
    amount = _amounts(container, which).get("memory")
    return 0 if amount is None else quantity.parse(amount).value()


def oom_score_adj(pod: ROObj, container: Container, node_memory: int) -> int:
    """How readily the kernel kills it: -997 Guaranteed, 1000 BestEffort, between 3 and 999 by its share of the node's memory."""
    if (pod["spec"].get("priorityClassName") or "") == "system-node-critical":
        return -997
    qos = pods.qos_class(pod)
    if qos == "Guaranteed":
        return -997
    if qos == "BestEffort":
        return 1000
    request = memory(container, "requests") or memory(container, "limits")
    score = 1000 - (1000 * request) // max(node_memory, 1)
    return max(3, min(score, 999))


def container_limits(pod: ROObj, container: Container, *, node_memory: int, min_oom_score: int = -1000) -> Limits:
    """`min_oom_score`: the lowest value the engine is able to set (0 where it has not the capability)."""
    limit_cpu = milli_cpu(container, "limits")
    request_cpu = milli_cpu(container, "requests")
    if "cpu" not in _amounts(container, "requests"):
        request_cpu = limit_cpu
    quota = max(limit_cpu * CPU_PERIOD // 1000, 1000) if limit_cpu else 0
    return Limits(
        cpu_shares=min(max(request_cpu * 1024 // 1000, 2), 262144),
        cpu_quota=quota,
        cpu_period=CPU_PERIOD if quota else 0,
        memory=memory(container, "limits"),
        oom_score_adj=max(oom_score_adj(pod, container, node_memory), min_oom_score),
    )


def pod_requests(pod: ROObj) -> tuple[int, int]:
    """(milli-CPU, bytes of memory) that the pod asks of a node: its app containers and sidecars together, or more where an
    init container needs more at its time (`resource.PodRequests`)."""
    total = [0, 0]
    for container in pod["spec"].get("containers") or ():
        total[0] += milli_cpu(container, "requests")
        total[1] += memory(container, "requests")
    peak, sidecars = [0, 0], [0, 0]
    for container in pod["spec"].get("initContainers") or ():
        own = (milli_cpu(container, "requests"), memory(container, "requests"))
        if container.get("restartPolicy") == "Always":
            for i in (0, 1):
                total[i] += own[i]
                sidecars[i] += own[i]
            own = (0, 0)
        for i in (0, 1):
            peak[i] = max(peak[i], sidecars[i] + own[i])
    overhead = pod["spec"].get("overhead") or {}
    return (
        max(total[0], peak[0]) + quantity.parse(overhead.get("cpu", "0")).milli(),
        max(total[1], peak[1]) + quantity.parse(overhead.get("memory", "0")).value(),
    )
