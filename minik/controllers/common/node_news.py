"""What is worth an Event about a node: that it came, went, became ready or short of something, or takes no more pods. Pure.

In Kubernetes the kubelet tells most of this of its own node; here the node lifecycle controller does, which sees every node anyway.
Reasons and messages are upstream's (`pkg/kubelet/events`, `pkg/controller/nodelifecycle`).
"""

from __future__ import annotations

from collections.abc import Iterator

from minik.api import meta
from minik.api.core_v1 import nodes
from minik.api.meta import ROObj

_TURNS = {
    ("Ready", "True"): "NodeReady",
    ("Ready", "False"): "NodeNotReady",
    ("MemoryPressure", "True"): "NodeHasInsufficientMemory",
    ("MemoryPressure", "False"): "NodeHasSufficientMemory",
    ("DiskPressure", "True"): "NodeHasDiskPressure",
    ("DiskPressure", "False"): "NodeHasNoDiskPressure",
    ("PIDPressure", "True"): "NodeHasInsufficientPID",
    ("PIDPressure", "False"): "NodeHasSufficientPID",
}
"""(condition, its new status) → reason. That a node has fallen silent is said by who finds it out."""


def turns(old: ROObj, new: ROObj) -> Iterator[tuple[str, str]]:
    """(reason, message) of what is otherwise than before."""
    name = meta.name(new)
    for type_ in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready"):
        before, after = ((meta.condition(node, type_) or {}).get("status") for node in (old, new))
        reason = _TURNS.get((type_, after or ""))
        if before != after and reason is not None:
            yield reason, f"Node {name} status is now: {reason}"
    if nodes.is_schedulable(old) != nodes.is_schedulable(new):
        reason = "NodeSchedulable" if nodes.is_schedulable(new) else "NodeNotSchedulable"
        yield reason, f"Node {name} status is now: {reason}"


def came(node: ROObj) -> tuple[str, str]:
    name = meta.name(node)
    return "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller"


def went(node: ROObj) -> tuple[str, str]:
    name = meta.name(node)
    return "RemovingNode", f"Node {name} event: Removing Node {name} from Controller"
