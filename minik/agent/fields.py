"""The downward API: values of a pod's fields and of its containers' resources, for env and volumes. Pure.

Rules: kubelet `pkg/fieldpath` and `pkg/api/v1/resource` (ExtractContainerResourceValue).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from minik.api import meta, quantity
from minik.api.meta import ROObj

_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['(.+)'\]")


class FieldError(Exception):
    """A reference to a field that cannot be answered. The message is for a person."""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What is known of a pod's place before its status says so. `cpus` in milli, `memory` in bytes: the node's."""

    node_name: str = ""
    node_ip: str = ""
    pod_ip: str = ""
    cpus: int = 0
    memory: int = 0


def field_value(pod: ROObj, path: str, facts: PodFacts) -> str:
    """The value at `fieldRef.fieldPath`. FieldError for a field that is not offered."""
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        kind, key = subscript.groups()
        table = meta.labels(pod) if kind == "metadata.labels" else pod["metadata"].get("annotations") or {}
        return table.get(key, "")
    simple = {
        "metadata.name": meta.name(pod),
        "metadata.namespace": meta.namespace(pod),
        "metadata.uid": meta.uid(pod),
        "spec.nodeName": facts.node_name or pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
        "status.hostIP": facts.node_ip,
        "status.hostIPs": facts.node_ip,
        "status.podIP": facts.pod_ip,
        "status.podIPs": facts.pod_ip,
    }
    if path in simple:
        return str(simple[path])
    if path in ("metadata.labels", "metadata.annotations"):
        table = meta.labels(pod) if path == "metadata.labels" else pod["metadata"].get("annotations") or {}
        return "\n".join(f"{key}={orjson.dumps(value).decode()}" for key, value in sorted(table.items()))
    raise FieldError(f"unsupported fieldPath: {path}")


def resource_value(pod: ROObj, container: Mapping[str, Any] | None, ref: Mapping[str, Any], facts: PodFacts) -> str:
    """The value of a `resourceFieldRef`, divided and rounded up. A limit that is not set is what the node has."""
    name = ref.get("containerName")
    if name:
        everything = [*(pod["spec"].get("initContainers") or ()), *(pod["spec"].get("containers") or ())]
        container = next((c for c in everything if c["name"] == name), None)
    if container is None:
        raise FieldError(f"container {name} not found")
    which, _, resource = ref["resource"].partition(".")
    if which not in ("limits", "requests") or not resource:
        raise FieldError(f"unsupported container resource : {ref['resource']}")
    resources = container.get("resources") or {}
    text = (resources.get(which) or {}).get(resource)
    if text is None and which == "requests":
        text = (resources.get("limits") or {}).get(resource, "0")
    divisor = quantity.parse(ref.get("divisor") or "0")
    if not divisor:
        divisor = quantity.parse("1")
    if text is None:
        of_node = {"cpu": f"{facts.cpus}m", "memory": str(facts.memory)}
        text = of_node.get(resource, "0")
    amount = quantity.parse(text)
    return str(-(-amount.nanos // divisor.nanos))
