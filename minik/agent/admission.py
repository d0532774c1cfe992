"""Whether this node takes a pod that was bound to it: the last look, after the scheduler's. Pure.

A pod that is refused is Failed with the reason (kubelet `pkg/kubelet/lifecycle/predicate.go`), so that its controller makes
another. Pods that have run here before are never asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minik.agent.actions import Pending
from minik.agent.plan import all_containers, is_terminal
from minik.agent.resources import pod_requests
from minik.api import meta
from minik.api.meta import ROObj
from minik.api.selectors import Requirement

WRONG_NODE = "NodeAffinity"
"""The reason where it is for the node's labels."""


class Refusal(NamedTuple):
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Room:
    """What the node has for pods: milli-CPU, bytes, number of pods; and its labels."""

    cpus: int
    memory: int
    pods: int = 110
    labels: Mapping[str, str] = field(default_factory=dict)


def is_new(pod: ROObj) -> bool:
    """No node has begun with it."""
    status = pod.get("status") or {}
    return not status.get("startTime") and not meta.is_deleting(pod) and not is_terminal(pod)


def host_ports(pod: ROObj) -> set[tuple[str, str, int]]:
    """(address, protocol, port) of the host that the pod takes."""
    found = set()
    for container in all_containers(pod):
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port["containerPort"] if pod["spec"].get("hostNetwork") else 0)
            if number:
                found.add((port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(number)))
    return found


def admit(pod: ROObj, others: Iterable[ROObj], room: Room) -> Refusal | None:
    """Whether `pod` fits beside `others`, the live pods of this node. None: it does."""
    if why := _wrong_node(pod, room.labels):
        return why
    taken = list(others)
    if len(taken) + 1 > room.pods:
        return Refusal(
            "OutOfpods",
            f"Node didn't have enough resource: pods, requested: 1, used: {len(taken)}, capacity: {room.pods}",
        )
    wanted = pod_requests(pod)
    used = [pod_requests(other) for other in taken]
    for index, (name, capacity) in enumerate((("cpu", room.cpus), ("memory", room.memory))):
        sum_used = sum(requests[index] for requests in used)
        if wanted[index] and wanted[index] + sum_used > capacity:
            return Refusal(
                f"OutOf{name}",
                f"Node didn't have enough resource: {name}, requested: {wanted[index]}, used: {sum_used}, capacity: {capacity}",
            )
    ports = host_ports(pod)
    if ports and any(_collide(port, other) for pod_ in taken for other in host_ports(pod_) for port in ports):
        return Refusal(
            "NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
        )
    return None


def resize_pending(pod: ROObj, current: ROObj, others: Iterable[ROObj], room: Room) -> Pending | None:
    """Why `pod` cannot be what its spec wants beside `others`; None: it can. `current`: the pod as it is now. What asks for no more
    than it has always fits (kubelet `pkg/kubelet/allocation`)."""
    wanted, has = pod_requests(pod), pod_requests(current)
    used = [pod_requests(other) for other in others]
    for index, (name, capacity) in enumerate((("cpu", room.cpus), ("memory", room.memory))):
        if wanted[index] <= has[index]:
            continue
        if wanted[index] > capacity:
            text = f"Node didn't have enough capacity: {name}, requested: {wanted[index]}, capacity: {capacity}"
            return Pending("Infeasible", text)
        sum_used = sum(requests[index] for requests in used)
        if wanted[index] + sum_used > capacity:
            text = f"{name}, requested: {wanted[index]}, used: {sum_used}, capacity: {capacity}"
            return Pending("Deferred", f"Node didn't have enough resource: {text}")
    return None


def _collide(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    return one[1:] == other[1:] and (one[0] == other[0] or "0.0.0.0" in (one[0], other[0]))


def _wrong_node(pod: ROObj, labels: Mapping[str, str]) -> Refusal | None:
    spec = pod["spec"]
    system = (spec.get("os") or {}).get("name")
    if system and system != "linux":
        return Refusal("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    if not labels:
        return None
    selector: Mapping[str, str] = spec.get("nodeSelector") or {}
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    terms = required.get("nodeSelectorTerms")
    fits = all(labels.get(key) == value for key, value in selector.items())
    if fits and (terms is None or any(_term_matches(term, labels) for term in terms)):
        return None
    return Refusal(WRONG_NODE, "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector")


def _term_matches(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    fields = {"metadata.name": labels.get("kubernetes.io/hostname", "")}
    expressions = [(e, labels) for e in term.get("matchExpressions") or ()]
    expressions += [(e, fields) for e in term.get("matchFields") or ()]
    return bool(expressions) and all(
        Requirement(e["key"], e["operator"], tuple(e.get("values") or ())).matches(table) for e, table in expressions
    )
