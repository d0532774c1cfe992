"""What becomes of an object's metadata on create, update and delete: pure functions, called by `resources.py`.

Source of the rules: apiserver `pkg/registry/rest` (BeforeCreate, BeforeUpdate, BeforeDelete) and `registry/generic/registry/store.go`
(graceful deletion, finalizers for the garbage collector).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from minik.api import meta, times
from minik.api.errors import BadRequest, Conflict, Forbidden, conflict, resource_details
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.server.options import DeleteOptions

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
_NAME_LIMIT = 63
_SUFFIX = 5


def system_fields(draft: Obj, kind: Kind, *, now: datetime, uid: str) -> None:
    """Set what the server owns of a new object's metadata. Raises BadRequest if a resourceVersion is already there."""
    metadata = draft["metadata"]
    if metadata.get("resourceVersion"):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion", "selfLink"):
        metadata.pop(name, None)
    metadata["uid"] = uid
    metadata["creationTimestamp"] = times.format_time(now)
    if kind.generation:
        metadata["generation"] = 1


def generated_name(base: str, suffix: str) -> str:
    """`base` cut so that the name with its suffix fits in 63 characters (names.SimpleNameGenerator)."""
    return base[: _NAME_LIMIT - _SUFFIX] + suffix


def carry_metadata(draft: Obj, old: ROObj) -> None:
    """Give an update what it may leave out of its metadata, and take away what it may not set."""
    metadata, before = draft["metadata"], old["metadata"]
    metadata.pop("selfLink", None)
    for name in ("uid", "creationTimestamp"):
        if not metadata.get(name) and name in before:
            metadata[name] = before[name]
    if before.get("deletionTimestamp"):
        metadata["deletionTimestamp"] = before["deletionTimestamp"]
        if metadata.get("deletionGracePeriodSeconds") is None and "deletionGracePeriodSeconds" in before:
            metadata["deletionGracePeriodSeconds"] = before["deletionGracePeriodSeconds"]
    else:
        metadata.pop("deletionTimestamp", None)
        metadata.pop("deletionGracePeriodSeconds", None)
    for name in ("namespace", "generateName"):
        if name in before and not metadata.get(name):
            metadata[name] = before[name]
    if "generation" in before:
        metadata["generation"] = before["generation"]
    else:
        metadata.pop("generation", None)


def count_generation(draft: Obj, old: ROObj, kind: Kind) -> None:
    """One more if anything outside metadata and status differs. A custom kind's status is as any field unless it is a subresource."""
    before = old["metadata"].get("generation")
    if before is None:
        return
    for name in draft.keys() | old.keys():
        if name == "status" and (kind.custom is None or kind.has_status):
            continue
        if name not in ("metadata", "apiVersion", "kind") and draft.get(name) != old.get(name):
            draft["metadata"]["generation"] = before + 1
            return


def with_status(draft: Obj, old: ROObj, kind: Kind) -> Obj:
    """An update through the status subresource: `old` with the draft's status and what metadata such an update may touch."""
    metadata = draft["metadata"]
    if kind.resource == "pods":
        _keep(metadata, old["metadata"], "ownerReferences")
    elif kind.group == "apps":
        _keep(metadata, old["metadata"], "labels")
    elif kind.custom is not None:
        metadata = {
            **old["metadata"],
            **{k: metadata[k] for k in ("resourceVersion", "managedFields") if k in metadata},
        }
    new = dict(old)
    new["metadata"] = metadata
    if kind.other is not None:
        kind.other.keep_spec(new, old)
    if "status" in draft:
        new["status"] = draft["status"]
    else:
        new.pop("status", None)
    return new


def _keep(metadata: Obj, before: Mapping[str, Any], name: str) -> None:
    if name in before:
        metadata[name] = before[name]
    else:
        metadata.pop(name, None)


def keep_status(draft: Obj, old: ROObj) -> None:
    """An update of the main resource leaves the status alone."""
    if "status" in old:
        draft["status"] = old["status"]
    else:
        draft.pop("status", None)


def is_finished(new: ROObj) -> bool:
    """Whether an update leaves nothing that holds up the object's deletion (ShouldDeleteDuringUpdate)."""
    metadata = new["metadata"]
    if (
        not metadata.get("deletionTimestamp")
        or metadata.get("finalizers")
        or metadata.get("deletionGracePeriodSeconds")
    ):
        return False
    return not (new.get("kind") == "Namespace" and (new.get("spec") or {}).get("finalizers"))


def check_preconditions(entry_obj: ROObj, kind: Kind, *, uid: str = "", resource_version: str = "") -> None:
    """Raises Conflict if the object is not the one that is meant."""
    metadata = entry_obj["metadata"]
    have = metadata.get("uid", "")
    if uid and uid != have:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {have}"
        raise conflict(kind.plural, kind.group, metadata["name"], why)
    have = metadata.get("resourceVersion", "")
    if resource_version and resource_version != have:
        why = (
            f"Precondition failed: ResourceVersion in precondition: {resource_version}, "
            f"ResourceVersion in object meta: {have}"
        )
        raise conflict(kind.plural, kind.group, metadata["name"], why)


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """`remove`: delete the key. `update`: write `draft`. `nothing`: the deletion is already under way."""

    action: Literal["remove", "update", "nothing"]
    draft: Obj | None = None


def plan_delete(kind: Kind, obj: ROObj, options: DeleteOptions, *, now: datetime) -> DeletePlan:
    """What one delete request does to `obj`: grace, finalizers of the garbage collector, or removal at once."""
    metadata = obj["metadata"]
    graceful, pending, times_to_set = _grace(kind, obj, options, now)
    if pending:
        return DeletePlan("nothing")
    before: Sequence[str] = metadata.get("finalizers") or ()
    finalizers = _collector_finalizers(kind, before, options)
    if kind.cleanup_finalizer and not metadata.get("deletionTimestamp") and kind.cleanup_finalizer not in finalizers:
        finalizers.append(kind.cleanup_finalizer)
    holds = bool(finalizers) or (kind.kind == "Namespace" and bool((obj.get("spec") or {}).get("finalizers")))
    if not graceful and not holds:
        return DeletePlan("remove")
    if graceful and not holds and times_to_set and times_to_set["deletionGracePeriodSeconds"] == 0:
        return DeletePlan("remove")
    draft = meta.draft(obj)
    changed = draft["metadata"]
    if list(before) != finalizers:
        changed["finalizers"] = finalizers
        if not finalizers:
            del changed["finalizers"]
    if times_to_set:
        changed.update(times_to_set)
    elif not changed.get("deletionTimestamp"):
        changed["deletionTimestamp"] = times.format_time(now)
        changed["deletionGracePeriodSeconds"] = 0
    elif changed.get("deletionGracePeriodSeconds"):
        changed["deletionGracePeriodSeconds"] = 0
    if not metadata.get("deletionTimestamp") and changed.get("generation"):
        changed["generation"] += 1
    if kind.kind == "Namespace":
        draft.setdefault("status", {})["phase"] = "Terminating"
    return DeletePlan("nothing") if draft == obj else DeletePlan("update", draft)


def _grace(kind: Kind, obj: ROObj, options: DeleteOptions, now: datetime) -> tuple[bool, bool, dict[str, Any] | None]:
    """(graceful, already pending, deletion times to set): rest.BeforeDelete."""
    metadata = obj["metadata"]
    asked = options.grace_period_seconds
    deleting = metadata.get("deletionTimestamp")
    if deleting:
        current = metadata.get("deletionGracePeriodSeconds")
        if not current or kind.grace_seconds is None:
            return False, False, None
        if asked is None or asked >= current:
            return False, True, None
        asked = max(asked, 0)
        moment = times.parse_time(deleting) - timedelta(seconds=current - asked)
        return True, False, {"deletionTimestamp": times.format_time(moment), "deletionGracePeriodSeconds": asked}
    if kind.grace_seconds is None:
        return False, False, None
    seconds = kind.grace_seconds(obj, asked)
    moment = now + timedelta(seconds=seconds)
    return True, False, {"deletionTimestamp": times.format_time(moment), "deletionGracePeriodSeconds": seconds}


def _collector_finalizers(kind: Kind, before: Sequence[str], options: DeleteOptions) -> list[str]:
    """The object's finalizers once `orphan` and `foregroundDeletion` are as the options say."""
    policy = options.propagation_policy
    if options.orphan_dependents is not None:
        policy = "Orphan" if options.orphan_dependents else "Background"
    if not policy:
        if ORPHAN in before:
            policy = "Orphan"
        elif FOREGROUND in before:
            policy = "Foreground"
        elif kind.orphans_by_default:
            policy = "Orphan"
    finalizers = [f for f in before if f not in (ORPHAN, FOREGROUND)]
    if policy == "Orphan":
        finalizers.append(ORPHAN)
    elif policy == "Foreground":
        finalizers.append(FOREGROUND)
    return finalizers


def terminating(kind: Kind, name: str, namespace: str) -> Forbidden:
    """403: nothing new in a namespace that is being deleted."""
    shown = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
    details = resource_details(group=kind.group, kind=kind.plural, name=name)
    why = f"namespace {namespace} is being terminated"
    details["causes"] = [{"reason": "NamespaceTerminating", "message": why, "field": "metadata.namespace"}]
    named = f'{shown} "{name}"' if name else shown
    return Forbidden(
        f"{named} is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
        details=details,
    )


__all__ = [
    "FOREGROUND", "ORPHAN", "Conflict", "DeletePlan", "carry_metadata", "check_preconditions", "count_generation",
    "generated_name", "is_finished", "keep_status", "plan_delete", "system_fields", "terminating", "with_status",
]  # fmt: skip
