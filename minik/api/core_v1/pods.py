"""Reading Pods: what controllers, the scheduler, the node and the printer ask of one.

All functions take a read-only Pod and allocate little. Resource sums follow KEP-753 (sidecars): the larger of what runs and what
initialises, plus overhead; a pod-level request replaces the sum (KEP-2837).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from minik.api import meta, quantity
from minik.api.meta import ROObj

TERMINAL = ("Succeeded", "Failed")
PREEMPTED_BY = "minik.io/preempted-by"
"""An annotation of the scheduler's Evictions, with its name: the pod goes for one of higher priority."""
QOS = Literal["Guaranteed", "Burstable", "BestEffort"]


def phase(pod: ROObj) -> str:
    return (pod.get("status") or {}).get("phase") or ""


def node_name(pod: ROObj) -> str:
    return (pod.get("spec") or {}).get("nodeName") or ""


def ip(pod: ROObj) -> str:
    return (pod.get("status") or {}).get("podIP") or ""


def ip_of(pod: ROObj, family: str) -> str:
    """Its address of the family `IPv4` or `IPv6`, or ""."""
    status = pod.get("status") or {}
    several = [row.get("ip") or "" for row in status.get("podIPs") or ()] or [status.get("podIP") or ""]
    return next((text for text in several if text and (":" in text) == (family == "IPv6")), "")


def ephemeral_claim(pod: ROObj, volume: str) -> str:
    """The name of the claim behind a generic ephemeral volume."""
    return f"{pod['metadata']['name']}-{volume}"


def claim_names(pod: ROObj) -> list[str]:
    """The names of the PersistentVolumeClaims it uses, those made for it included."""
    found = []
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if volume.get("persistentVolumeClaim") is not None:
            found.append(volume["persistentVolumeClaim"].get("claimName") or "")
        elif volume.get("ephemeral") is not None:
            found.append(ephemeral_claim(pod, volume["name"]))
    return found


def is_finished(pod: ROObj) -> bool:
    """Succeeded or Failed: it will not run again."""
    return (pod.get("status") or {}).get("phase") in TERMINAL


def is_active(pod: ROObj) -> bool:
    """Neither finished nor being deleted (controller.IsPodActive)."""
    status = pod.get("status")
    return not (status and status.get("phase") in TERMINAL) and not pod["metadata"].get("deletionTimestamp")


def is_scheduled(pod: ROObj) -> bool:
    return bool(node_name(pod))


def is_ready(pod: ROObj) -> bool:
    """Whether the Ready condition is True."""
    return has_condition(pod, "Ready")


def has_condition(pod: ROObj, type_: str) -> bool:
    condition = meta.condition(pod, type_)
    return condition is not None and condition.get("status") == "True"


def ready_since(pod: ROObj) -> str | None:
    """The wire time at which the pod became ready, or None if it is not."""
    condition = meta.condition(pod, "Ready")
    if condition is None or condition.get("status") != "True":
        return None
    return condition.get("lastTransitionTime")


def is_host_network(pod: ROObj) -> bool:
    return bool((pod.get("spec") or {}).get("hostNetwork"))


def containers(pod: ROObj) -> Sequence[Mapping[str, Any]]:
    return (pod.get("spec") or {}).get("containers") or ()


def init_containers(pod: ROObj) -> Sequence[Mapping[str, Any]]:
    return (pod.get("spec") or {}).get("initContainers") or ()


def is_sidecar(container: Mapping[str, Any]) -> bool:
    """An init container that keeps running (`restartPolicy: Always`)."""
    return container.get("restartPolicy") == "Always"


def statuses(pod: ROObj) -> Iterator[Mapping[str, Any]]:
    """What its status says of its containers and init containers."""
    status = pod.get("status") or {}
    yield from status.get("containerStatuses") or ()
    yield from status.get("initContainerStatuses") or ()


def status_of(pod: ROObj, name: str) -> Mapping[str, Any] | None:
    """What its status says of one container, init container or ephemeral one."""
    ephemeral = (pod.get("status") or {}).get("ephemeralContainerStatuses") or ()
    return next((entry for entry in (*statuses(pod), *ephemeral) if entry.get("name") == name), None)


def restarts(pod: ROObj) -> int:
    """All restarts of its containers."""
    return sum(s.get("restartCount", 0) for s in (pod.get("status") or {}).get("containerStatuses") or ())


def host_ports(pod: ROObj) -> list[tuple[str, str, int]]:
    """(host address, protocol, port) of every host port it takes; the address "" reads as 0.0.0.0."""
    found = []
    for container in (*containers(pod), *(c for c in init_containers(pod) if is_sidecar(c))):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                found.append((port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"]))
    return found


# --- resources ------------------------------------------------------------------------------------------------------


def amount(resource: str, text: str | int | float) -> int:
    """A quantity as the number that minik counts in: millicores for cpu, whole units (bytes) for everything else."""
    parsed = quantity.parse(text)
    return parsed.milli() if resource == "cpu" else parsed.value()


def amounts(resources: Mapping[str, Any] | None) -> dict[str, int]:
    """A ResourceList in the numbers that minik counts in."""
    return {name: amount(name, text) for name, text in (resources or {}).items()}


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, number in more.items():
        total[name] = total.get(name, 0) + number


def _largest(total: dict[str, int], other: Mapping[str, int]) -> None:
    for name, number in other.items():
        if number > total.get(name, 0):
            total[name] = number


OfContainer: TypeAlias = Callable[[Mapping[str, Any]], dict[str, int]]


def pod_requests(pod: ROObj, of_container: OfContainer | None = None) -> dict[str, int]:
    """What the pod asks of a node: millicores for `cpu`, bytes for `memory`, whole numbers otherwise.

    `of_container`: what one container counts with, if not its requests (a dict of its own)."""
    return _pod_resources(pod, "requests", of_container)


def pod_limits(pod: ROObj) -> dict[str, int]:
    """The same for limits. A container without a limit adds nothing."""
    return _pod_resources(pod, "limits")


def _pod_resources(pod: ROObj, which: str, of_container: OfContainer | None = None) -> dict[str, int]:
    spec = pod.get("spec") or {}
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        if of_container is not None:
            _add(total, of_container(container))
        elif resources := container.get("resources"):
            _add(total, amounts(resources.get(which)))
    if spec.get("initContainers"):
        sidecars: dict[str, int] = {}
        peak: dict[str, int] = {}
        for container in spec["initContainers"]:
            own = of_container(container) if of_container else amounts((container.get("resources") or {}).get(which))
            if is_sidecar(container):
                _add(sidecars, own)
                _largest(peak, sidecars)
            else:
                _add(own, sidecars)
                _largest(peak, own)
        _add(total, sidecars)
        _largest(total, peak)
    at_pod_level = (spec.get("resources") or {}).get(which)
    if at_pod_level:
        total.update(amounts(at_pod_level))
    overhead = spec.get("overhead")
    if overhead:
        for name, number in amounts(overhead).items():
            if which == "requests" or name in total:
                total[name] = total.get(name, 0) + number
    return total


def qos_class(pod: ROObj) -> QOS:
    """Guaranteed, Burstable or BestEffort (kubernetes `pkg/apis/core/v1/helper/qos`): cpu and memory alone count."""
    spec = pod.get("spec") or {}
    if spec.get("resources"):
        everyone: list[Mapping[str, Any]] = [spec]
    else:
        everyone = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    requested: dict[str, int] = {}
    limited: dict[str, int] = {}
    guaranteed = True
    for container in everyone:
        resources = container.get("resources") or {}
        requests = {k: v for k, v in amounts(resources.get("requests")).items() if v and k in ("cpu", "memory")}
        limits = {k: v for k, v in amounts(resources.get("limits")).items() if v and k in ("cpu", "memory")}
        _add(requested, requests)
        _add(limited, limits)
        guaranteed = guaranteed and len(limits) == 2
    if not requested and not limited:
        return "BestEffort"
    return "Guaranteed" if guaranteed and requested in (limited, {}) else "Burstable"
