"""Resizing in place (KEP-1287): what the spec wants, what this node has allotted, and what a container really runs with. Pure.

    spec.containers[].resources ──fits here?──► Memory.allotted ──act.py: Resize or Stop──► Memory.applied

`podloop.py` calls `allot` before it plans and then plans for `allotted_pod`; `plan.py` compares with `applied`; `status.py` tells of
both and of what holds a resize up. After a restart of the agent both are read off the status, which is where Kubernetes keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from minik.agent.actions import Container, Memory, Pending
from minik.agent.containers.base import ContainerInfo
from minik.api.core_v1 import pods
from minik.api.meta import ROObj

Resources: TypeAlias = Mapping[str, Any]
Fits: TypeAlias = Callable[[ROObj], Pending | None]
"""Whether the node has room for the pod as its spec wants it; if not, why."""

PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"


class Verdict(NamedTuple):
    """What became of a resize: an Event's type, reason and message."""

    kind: str
    reason: str
    message: str


def resources_of(container: Container) -> Resources:
    return container.get("resources") or {}


def delay_key(name: str) -> str:
    """Under which `Memory.delays` has a resize of the container that failed."""
    return f"{name}/resize"


def allot(pod: ROObj, memory: Memory, fits: Fits) -> Verdict | None:
    """Give the pod what its spec wants, if it fits; else note why not. What there is to tell of it, when that is new."""
    wanted = {container["name"]: resources_of(container) for container in _resizable(pod)}
    if not any(wanted.values()):
        return None  # BestEffort: it cannot become anything else
    if memory.allotted is None:
        memory.allotted = {name: _told(pod, name) or resources for name, resources in wanted.items()}
    if wanted == memory.allotted:
        memory.pending = None
        return None
    before, memory.pending = memory.pending, fits(pod)
    if memory.pending is None:
        memory.allotted = wanted
        for name in wanted:
            memory.delays.pop(delay_key(name), None)
        return Verdict("Normal", "ResizeStarted", "Pod resize started")
    if memory.pending == before:
        return None
    reason, message = memory.pending
    return Verdict("Warning", f"Resize{reason}", f"Pod resize {reason.lower()}: {message}")


def allotted_pod(pod: ROObj, memory: Memory) -> ROObj:
    """`pod` with the resources that the node has allotted to it."""
    allotted = memory.allotted
    if not allotted or all(resources_of(c) == allotted.get(c["name"], resources_of(c)) for c in _resizable(pod)):
        return pod
    spec = dict(pod["spec"])
    for field in ("initContainers", "containers"):
        if field in spec:
            spec[field] = [{**c, "resources": allotted[c["name"]]} if c["name"] in allotted else c for c in spec[field]]
    return {**pod, "spec": spec}


def applied(pod: ROObj, memory: Memory, container: Container, info: ContainerInfo) -> Resources:
    """What the running container `info` has; of one nobody knows that about: what was allotted to it."""
    name = container["name"]
    known = memory.applied.get(name)
    if known is not None and known[0] == info.id:
        return known[1]
    status = pods.status_of(pod, name)
    if status is not None and status.get("containerID") == info.uri and status.get("resources"):
        return status["resources"]  # type: ignore[no-any-return]  # JSON
    return (memory.allotted or {}).get(name, resources_of(container))


def needs_restart(container: Container, before: Resources, after: Resources) -> bool:
    """Whether its resizePolicy wants the container started anew for this change."""
    policies = {each["resourceName"]: each["restartPolicy"] for each in container.get("resizePolicy") or ()}
    return any(
        policies.get(resource) == "RestartContainer" and _amount(before, which, resource) != _amount(after, which, resource)
        for resource in ("cpu", "memory")
        for which in ("requests", "limits")
    )  # fmt: skip


def conditions(pod: ROObj, memory: Memory, running: Mapping[str, ContainerInfo]) -> dict[str, tuple[str, str]]:
    """type → (reason, message) of the conditions that tell of a resize. `running`: by name."""
    found = {}
    if memory.pending is not None:
        found[PENDING] = (memory.pending.reason, memory.pending.message)
    for container in _resizable(pod):
        name = container["name"]
        wanted = (memory.allotted or {}).get(name)
        if wanted is not None and name in running and applied(pod, memory, container, running[name]) != wanted:
            delay = memory.delays.get(delay_key(name))
            if delay is not None or IN_PROGRESS not in found:
                found[IN_PROGRESS] = (delay.reason, delay.message) if delay is not None else ("", "")
    return found


def _resizable(pod: ROObj) -> Iterator[Container]:
    yield from filter(pods.is_sidecar, pods.init_containers(pod))
    yield from pods.containers(pod)


def _told(pod: ROObj, name: str) -> Resources | None:
    """What the status says that the container has; None for one that never ran."""
    status = pods.status_of(pod, name) or {}
    return status.get("resources") if status.get("containerID") else None


def _amount(resources: Resources, which: str, resource: str) -> Any:
    return (resources.get(which) or {}).get(resource)
