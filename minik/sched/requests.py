"""What a pod asks of a node, as the scheduler counts it: requests, also while a resize in place is under way (KEP-1287).

Until a resize is done, a container counts with the most of what its spec wants, what its node has allotted to it
(`status.containerStatuses[].allocatedResources`) and what it really has (`.resources`); a resize that the node called infeasible counts
for nothing. Called by `snapshot.PodInfo`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import ROObj

MIN_CPU = 100
MIN_MEMORY = 200 * 1024 * 1024
"""What a container without requests counts as where nodes are compared, so that such pods spread too (millicores, bytes;
kube-scheduler's DefaultMilliCPURequest and DefaultMemoryRequest)."""


def requests_of(pod: ROObj) -> dict[str, int]:
    """Millicores for `cpu`, bytes for `memory`, whole numbers otherwise."""
    statuses = _statuses(pod)
    if not statuses:
        return pods.pod_requests(pod)
    infeasible = _is_infeasible(pod)
    return pods.pod_requests(pod, lambda container: _of_container(container, statuses, infeasible))


def weighed(pod: ROObj, requests: Mapping[str, int]) -> tuple[int, int]:
    """CPU and memory that the pod counts with in comparisons. `requests`: what `requests_of` gave."""
    spec = pod["spec"]
    if len(spec["containers"]) == 1 and not (
        spec.get("initContainers") or spec.get("overhead") or spec.get("resources")
    ):  # most pods: what the container lacks, the pod lacks
        return requests.get("cpu", MIN_CPU), requests.get("memory", MIN_MEMORY)
    statuses, infeasible = _statuses(pod), _is_infeasible(pod)

    def of_container(container: Mapping[str, Any]) -> dict[str, int]:
        found = _of_container(container, statuses, infeasible)
        found.setdefault("cpu", MIN_CPU)
        found.setdefault("memory", MIN_MEMORY)
        return found

    total = pods.pod_requests(pod, of_container)
    return total["cpu"], total["memory"]


def _statuses(pod: ROObj) -> Mapping[str, Mapping[str, Any]]:
    """By container: the statuses that say something about resources."""
    return {
        each["name"]: each for each in pods.statuses(pod) if each.get("resources") or each.get("allocatedResources")
    }


def _is_infeasible(pod: ROObj) -> bool:
    pending = meta.condition(pod, "PodResizePending")
    return pending is not None and pending.get("status") == "True" and pending.get("reason") == "Infeasible"


def _of_container(
    container: Mapping[str, Any], statuses: Mapping[str, Mapping[str, Any]], infeasible: bool
) -> dict[str, int]:
    wanted = pods.amounts((container.get("resources") or {}).get("requests"))
    status = statuses.get(container.get("name") or "")
    if status is None:
        return wanted
    found = {} if infeasible else wanted
    for part in ((status.get("resources") or {}).get("requests"), status.get("allocatedResources")):
        for name, number in pods.amounts(part).items():
            if number > found.get(name, 0):
                found[name] = number
    return found


def has_changed(old: ROObj, new: ROObj) -> bool:
    """Whether the status of a pod whose spec is the same makes it count differently."""
    before, after = _statuses(old), _statuses(new)
    if not before and not after:
        return False
    if _is_infeasible(old) != _is_infeasible(new) or before.keys() != after.keys():
        return True
    return any(
        (before[name].get("resources"), before[name].get("allocatedResources"))
        != (each.get("resources"), each.get("allocatedResources"))
        for name, each in after.items()
    )
