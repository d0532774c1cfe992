"""Node, core/v1."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns, meta
from minik.api.columns import NONE, UNKNOWN, column
from minik.api.core_v1 import nodes
from minik.api.core_v1.pod_defaults import canonical_list
from minik.api.errors import FieldError, Path, duplicate, field_forbidden, invalid
from minik.api.kind import Kind, Subresource, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors
from minik.api.validation_names import is_cidr
from minik.api.validation_resources import quantity_value
from minik.api.validation_scheduling import taints


def _status(node: ROObj) -> str:
    ready = meta.condition(node, "Ready")
    text = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return text if nodes.is_schedulable(node) else f"{text},SchedulingDisabled"


def _info(node: ROObj, field: str) -> str:
    return ((node.get("status") or {}).get("nodeInfo") or {}).get(field) or ""


def default(node: Obj) -> None:
    """What is allocatable is the whole capacity if the node does not say."""
    status = node.get("status")
    if not status:
        return
    for field in ("capacity", "allocatable"):
        if status.get(field):
            canonical_list(status[field])
    if status.get("allocatable") is None and status.get("capacity") is not None:
        status["allocatable"] = dict(status["capacity"])


def validate(node: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = node.get("spec") or {}
    if spec.get("taints"):
        taints(errors, Path("metadata.taints"), spec["taints"])
    status = node.get("status") or {}
    for field in ("capacity", "allocatable"):
        for name, text in (status.get(field) or {}).items():
            quantity_value(errors, Path("status").child(field, name), name, text)
    path, cidrs = Path("spec.podCIDRs"), spec.get("podCIDRs") or ()
    for number, cidr in enumerate(cidrs):
        if not is_cidr(cidr):
            why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            errors.append(invalid(path.index(number), cidr, why))
        if cidr in cidrs[:number]:
            errors.append(duplicate(path.index(number), cidr))
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    """Pod network and provider id are given once."""
    errors: Errors = []
    after, before = new.get("spec") or {}, old.get("spec") or {}
    seen: list[object] = []
    for number, address in enumerate((new.get("status") or {}).get("addresses") or ()):
        if address in seen:
            errors.append(duplicate(Path("status.addresses").index(number), address))
        seen.append(address)
    if before.get("podCIDRs") and after.get("podCIDRs") != before["podCIDRs"]:
        why = 'node updates may not change podCIDR except from "" to valid'
        errors.append(field_forbidden("spec.podCIDRs", why))
    if before.get("providerID") and after.get("providerID") != before["providerID"]:
        why = 'node updates may not change providerID except from "" to valid'
        errors.append(field_forbidden("spec.providerID", why))
    return errors


def prepare_update(node: Obj, old: ROObj) -> None:
    """`podCIDR` and `podCIDRs[0]` are one field in two places."""
    prepare_create(node)
    spec, before = node.get("spec") or {}, old.get("spec") or {}
    for field in ("podCIDR", "podCIDRs"):
        if not spec.get(field) and before.get(field) and not spec.get("podCIDR"):
            node.setdefault("spec", {})[field] = before[field]


def prepare_create(node: Obj) -> None:
    """A node brings its own status: the kubelet's first registration does."""
    spec = node.get("spec") or {}
    if spec.get("podCIDR") and not spec.get("podCIDRs"):
        spec["podCIDRs"] = [spec["podCIDR"]]
    elif spec.get("podCIDRs") and not spec.get("podCIDR"):
        spec["podCIDR"] = spec["podCIDRs"][0]


KIND = Kind(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    singular="node",
    namespaced=False,
    schema="io.k8s.api.core.v1.Node",
    short_names=("no",),
    subresources=(status_of("Node"), Subresource(name="proxy", kind="NodeProxyOptions", verbs=("get",))),
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_update,
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
