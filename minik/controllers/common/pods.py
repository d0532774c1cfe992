"""Finding pods by node, and ending them from outside: shared by the controllers that watch over nodes and pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.errors import NotFound
from minik.api.meta import Obj, ROObj
from minik.client.controller import Context

BY_NODE = "node"
"""Index of pods by `spec.nodeName`; a controller that uses it declares `indexes={"pods": {BY_NODE: by_node}}`."""


def by_node(pod: ROObj) -> Iterable[str]:
    """The index function of `BY_NODE`."""
    name = pods.node_name(pod)
    return (name,) if name else ()


def disruption(reason: str, message: str, *, now: datetime) -> Obj:
    """The condition that says that a pod is ended for a reason outside of it (KEP-3329)."""
    return {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": times.format_time(now),
    }


async def mark(ctx: Context, pod: ROObj, condition: Mapping[str, object], *, phase: str = "") -> None:
    """Set one condition of a pod (and its phase), as one that goes by the pod as it is here. A pod that is gone is nobody's trouble."""
    status: Obj = {"conditions": [{**condition, "observedGeneration": meta.generation(pod)}]}
    if phase:
        status["phase"] = phase
    patch = {"metadata": {"uid": meta.uid(pod)}, "status": status}
    await ctx.client.patch_status("pods", meta.name(pod), meta.namespace(pod), patch, type="strategic")


async def delete(ctx: Context, pod: ROObj, *, grace_seconds: int | None = None) -> None:
    """Delete this very pod (by uid), with its own grace unless one is given. One that is gone is fine."""
    try:
        await ctx.client.delete(
            "pods", meta.name(pod), meta.namespace(pod), uid=meta.uid(pod), grace_seconds=grace_seconds
        )
    except NotFound:
        return
