"""Reading Nodes."""

from __future__ import annotations

from minik.api import meta
from minik.api.meta import ROObj

ROLE_PREFIX = "node-role.kubernetes.io/"
ROLE_LABEL = "kubernetes.io/role"


def is_ready(node: ROObj) -> bool:
    condition = meta.condition(node, "Ready")
    return condition is not None and condition.get("status") == "True"


def is_schedulable(node: ROObj) -> bool:
    return not (node.get("spec") or {}).get("unschedulable")


def address(node: ROObj, type_: str) -> str:
    """The first address of a type (`InternalIP`, `ExternalIP`, `Hostname`), or ""."""
    for entry in (node.get("status") or {}).get("addresses") or ():
        if entry.get("type") == type_:
            return entry.get("address") or ""
    return ""


def pod_cidr(node: ROObj) -> str:
    return (node.get("spec") or {}).get("podCIDR") or ""


def roles(node: ROObj) -> list[str]:
    """The roles that its labels give it, sorted (printers' findNodeRoles)."""
    found = set()
    for key, value in meta.labels(node).items():
        if key.startswith(ROLE_PREFIX) and len(key) > len(ROLE_PREFIX):
            found.add(key[len(ROLE_PREFIX) :])
        elif key == ROLE_LABEL and value:
            found.add(value)
    return sorted(found)
