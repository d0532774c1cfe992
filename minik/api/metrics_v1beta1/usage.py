"""NodeMetrics and PodMetrics, metrics.k8s.io/v1beta1: never stored, only read. Names and columns are those of metrics-server.

`node_metrics` and `pod_metrics` make the objects; the numbers come from `server/metricsapi.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from minik.api import meta, quantity, times
from minik.api.columns import column
from minik.api.kind import Column, Kind
from minik.api.meta import Obj, ROObj
from minik.api.quantity import Quantity

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
_SCHEMA = "io.k8s.metrics.pkg.apis.metrics.v1beta1."


def usage(cpu: int, memory: int) -> Obj:
    """A ResourceList. `cpu`: thousand-millionths of a core, `memory`: bytes."""
    return {"cpu": str(Quantity(cpu)), "memory": str(quantity.from_value(memory))}


def _metadata(of: ROObj, now: datetime) -> Obj:
    metadata: Obj = {"name": meta.name(of), "creationTimestamp": times.format_time(now)}
    if meta.namespace(of):
        metadata["namespace"] = meta.namespace(of)
    if meta.labels(of):
        metadata["labels"] = meta.labels(of)
    return metadata


def node_metrics(node: ROObj, used: Obj, *, timestamp: datetime, window: float, now: datetime) -> Obj:
    """`used`: as from `usage`, measured in the `window` seconds up to `timestamp`."""
    return {
        "kind": "NodeMetrics", "apiVersion": f"{GROUP}/{VERSION}", "metadata": _metadata(node, now),
        "timestamp": times.format_time(timestamp), "window": times.format_duration(window), "usage": used,
    }  # fmt: skip


def pod_metrics(pod: ROObj, containers: Mapping[str, Obj], *, timestamp: datetime, window: float, now: datetime) -> Obj:
    """`containers`: name → its usage."""
    return {
        "kind": "PodMetrics", "apiVersion": f"{GROUP}/{VERSION}", "metadata": _metadata(pod, now),
        "timestamp": times.format_time(timestamp), "window": times.format_duration(window),
        "containers": [{"name": name, "usage": used} for name, used in containers.items()],
    }  # fmt: skip


def _sum(usages: Iterable[ROObj], resource: str) -> str:
    return str(quantity.add(quantity.parse(each.get(resource, "0")) for each in usages))


def _amount(resource: str) -> Column:
    def cell(obj: ROObj) -> str:
        containers = obj.get("containers")
        return _sum(
            [obj.get("usage") or {}] if containers is None else [each["usage"] for each in containers], resource
        )

    return column(resource, cell, format="quantity")


_COLUMNS = (_amount("cpu"), _amount("memory"), column("Window", lambda obj: obj.get("window") or "", format="duration"))


def _kind(kind: str, plural: str, *, namespaced: bool) -> Kind:
    return Kind(
        group=GROUP, version=VERSION, kind=kind, plural=plural, singular="", namespaced=namespaced, schema=_SCHEMA + kind,
        verbs=("get", "list"), columns=_COLUMNS, generation=False,
    )  # fmt: skip


NODES = _kind("NodeMetrics", "nodes", namespaced=False)
PODS = _kind("PodMetrics", "pods", namespaced=True)
