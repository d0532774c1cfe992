"""Node, core/v1."""

from __future__ import annotations

from minik.api import columns, meta
from minik.api.columns import NONE, UNKNOWN, column
from minik.api.core_v1 import nodes
from minik.api.kind import Kind, status_of
from minik.api.meta import ROObj


def _status(node: ROObj) -> str:
    ready = meta.condition(node, "Ready")
    text = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return text if nodes.is_schedulable(node) else f"{text},SchedulingDisabled"


def _info(node: ROObj, field: str) -> str:
    return ((node.get("status") or {}).get("nodeInfo") or {}).get(field) or ""


KIND = Kind(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    singular="node",
    namespaced=False,
    schema="io.k8s.api.core.v1.Node",
    short_names=("no",),
    subresources=(status_of("Node"),),
    columns=(
        column("Status", _status),
        column("Roles", lambda node: ",".join(nodes.roles(node)) or NONE),
        columns.AGE,
        column("Version", lambda node: _info(node, "kubeletVersion")),
        column("Internal-IP", lambda node: nodes.address(node, "InternalIP") or NONE, wide=True),
        column("External-IP", lambda node: nodes.address(node, "ExternalIP") or NONE, wide=True),
        column("OS-Image", lambda node: _info(node, "osImage") or UNKNOWN, wide=True),
        column("Kernel-Version", lambda node: _info(node, "kernelVersion") or UNKNOWN, wide=True),
        column("Container-Runtime", lambda node: _info(node, "containerRuntimeVersion") or UNKNOWN, wide=True),
    ),
    fields={"spec.unschedulable": lambda node: "false" if nodes.is_schedulable(node) else "true"},
    generation=False,
)
