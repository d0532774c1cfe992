"""What may change in a pod that exists: by an update of the pod itself, and through `status`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minik.api.core_v1 import pods
from minik.api.errors import Path, duplicate, field_forbidden, invalid, show
from minik.api.meta import ROObj, draft
from minik.api.validation import Errors, check_name, immutable_field
from minik.api.validation_names import dns_subdomain, ip, qualified_name
from minik.api.validation_pod import SPEC

STATUS = Path("status")
MAY_CHANGE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only"
    " additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was"
    " previously negative)"
)
_LISTS = ("containers", "initContainers")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def validate_pod_update(new: ROObj, old: ROObj) -> Errors:
    """An update of the pod itself (ValidatePodUpdate). `validate_pod(new)` has run too."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    errors: Errors = []
    if after == before:
        return errors
    for field in _LISTS:
        if len(after.get(field) or ()) != len(before.get(field) or ()):
            errors.append(field_forbidden(SPEC.child(field), "pod updates may not add or remove containers"))
            return errors
    if not _deadline(errors, after.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")):
        return errors
    _tolerations(errors, after.get("tolerations") or (), before.get("tolerations") or ())
    _scheduling_gates(errors, after.get("schedulingGates") or (), before.get("schedulingGates") or ())
    munged = draft(after)
    for field in _LISTS:
        for mine, theirs in zip(munged.get(field) or (), before.get(field) or (), strict=True):
            _copy(mine, theirs, "image")
    for field in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        _copy(munged, before, field)
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and after.get("terminationGracePeriodSeconds") == 1:
        _copy(munged, before, "terminationGracePeriodSeconds")
    if before.get("schedulingGates"):
        _gated(errors, munged, before)
    changes = list(_differences("", before, munged))
    if changes:
        listed = "\n".join(changes)
        errors.append(field_forbidden(SPEC, f"pod updates may not change fields other than {MAY_CHANGE}\n{listed}\n"))
    return errors


def _copy(target: dict[str, Any], source: Mapping[str, Any], field: str) -> None:
    if field in source:
        target[field] = source[field]
    else:
        target.pop(field, None)


def _deadline(errors: Errors, after: int | None, before: int | None) -> bool:
    path = SPEC.child("activeDeadlineSeconds")
    if after is None:
        if before is not None:
            errors.append(invalid(path, None, "must not update from a positive integer to nil value"))
    elif before is not None and before < after:
        errors.append(invalid(path, after, "must be less than or equal to previous value"))
        return False
    return True


def _tolerations(errors: Errors, after: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> None:
    def plain(toleration: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in toleration.items() if k != "tolerationSeconds"}

    kept = [plain(toleration) for toleration in after]
    if any(plain(toleration) not in kept for toleration in before):
        why = "existing toleration can not be modified except its tolerationSeconds"
        errors.append(field_forbidden(SPEC.child("tolerations"), why))


def _scheduling_gates(errors: Errors, after: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> None:
    known = {gate.get("name") for gate in before}
    for number, gate in enumerate(after):
        if gate.get("name") not in known:
            why = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            errors.append(field_forbidden(SPEC.child("schedulingGates").index(number).child("name"), why))


def _gated(errors: Errors, munged: dict[str, Any], before: Mapping[str, Any]) -> None:
    """A gated pod's node selector and node affinity may be narrowed (KEP-3838)."""
    old, new = before.get("nodeSelector") or {}, munged.get("nodeSelector") or {}
    if any(new.get(key) != value for key, value in old.items()):
        why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        errors.append(invalid(SPEC.child("nodeSelector"), new, why))
    _copy(munged, before, "nodeSelector")
    affinity = munged.get("affinity") or {}
    mine, theirs = affinity.get("nodeAffinity"), (before.get("affinity") or {}).get("nodeAffinity")
    if mine == theirs:
        return
    _narrowed(errors, mine or {}, theirs)
    kept = (
        {**affinity, "nodeAffinity": theirs} if theirs else {k: v for k, v in affinity.items() if k != "nodeAffinity"}
    )
    if kept or before.get("affinity") is not None:
        munged["affinity"] = kept
    else:
        munged.pop("affinity", None)


def _narrowed(errors: Errors, after: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
    """Required terms may get further expressions; where there were none, any may be set. What is preferred is free."""
    path = SPEC.child("affinity").child("nodeAffinity").child(_REQUIRED).child("nodeSelectorTerms")
    old = ((before or {}).get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()
    new = (after.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()
    if not old:
        return
    if len(old) != len(new):
        why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        errors.append(invalid(path, new, why))
        return
    for number, (mine, theirs) in enumerate(zip(new, old, strict=True)):
        if not _only_more(mine, theirs):
            why = "only additions are allowed (no mutations or deletions)"
            errors.append(invalid(path.index(number), mine, why))


def _only_more(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    parts = [(new.get(field) or [], old.get(field) or []) for field in ("matchExpressions", "matchFields")]
    if not any(before for _, before in parts):
        return not any(after for after, _ in parts)  # a term without expressions matches nothing: more would widen it
    return all(after[: len(before)] == before for after, before in parts)


def _differences(path: str, before: Any, after: Any) -> Iterator[str]:
    """`-`/`+` lines for what differs. (Kubernetes prints a Go diff here; no client reads it.)"""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from _differences(f"{path}.{key}" if path else key, before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _differences(f"{path}[{number}]", old, new)
    elif before or after or (before is None) == (after is None):
        if before is not None:
            yield f"- \t{path}: {show(before)}"
        if after is not None:
            yield f"+ \t{path}: {show(after)}"


# --- status ---------------------------------------------------------------------------------------------------------


def validate_pod_status(new: ROObj, old: ROObj) -> Errors:
    """An update through `pods/status` (ValidatePodStatusUpdate)."""
    errors: Errors = []
    after, before = new.get("status") or {}, old.get("status") or {}
    spec = old.get("spec") or {}
    for number, condition in enumerate(after.get("conditions") or ()):
        at = Path("metadata.conditions").index(number).child("Type")
        check_name(errors, at, condition.get("type") or "", qualified_name)
    if pods.node_name(new) != pods.node_name(old):
        errors.append(field_forbidden(STATUS.child("nodeName"), "may not be changed directly"))
    nominated = after.get("nominatedNodeName") or ""
    if nominated and nominated != before.get("nominatedNodeName"):
        check_name(errors, STATUS.child("nominatedNodeName"), nominated, dns_subdomain)
    immutable_field(errors, STATUS.child("qosClass"), after.get("qosClass"), before.get("qosClass"))
    policy = spec.get("restartPolicy", "Always")
    sidecars = {c.get("name") for c in pods.init_containers(old) if pods.is_sidecar(c)}
    restartable = sidecars | {
        c.get("name")
        for f in _LISTS
        for c in spec.get(f) or ()
        if c.get("restartPolicy") or c.get("restartPolicyRules")
    }
    for field in ("containerStatuses", "initContainerStatuses"):
        _transitions(errors, STATUS.child(field), after.get(field), before.get(field), policy, restartable)
    field = "ephemeralContainerStatuses"
    _transitions(errors, STATUS.child(field), after.get(field), before.get(field), "Never", set())
    _addresses(errors, after)
    return errors


def _transitions(
    errors: Errors,
    path: Path,
    after: Sequence[Mapping[str, Any]] | None,
    before: Sequence[Mapping[str, Any]] | None,
    policy: str,
    restartable: set[Any],
) -> None:
    """A container that ended for good does not run again."""
    if policy == "Always" or not before:
        return
    states = {status.get("name"): status.get("state") or {} for status in after or ()}
    for number, status in enumerate(before):
        ended = (status.get("state") or {}).get("terminated")
        if ended is None or status.get("name") in restartable:
            continue
        if ended.get("exitCode") and policy == "OnFailure":
            continue
        state = states.get(status.get("name"))
        if state is not None and state.get("terminated") is None:
            why = "may not be transitioned to non-terminated state"
            errors.append(field_forbidden(path.index(number).child("state"), why))


def _addresses(errors: Errors, status: Mapping[str, Any]) -> None:
    for field in ("podIPs", "hostIPs"):
        path, seen = STATUS.child(field), set()
        for number, entry in enumerate(status.get(field) or ()):
            address = entry.get("ip") or ""
            check_name(errors, path.index(number), address, ip)
            if address in seen:
                errors.append(duplicate(path.index(number), entry))
            seen.add(address)
