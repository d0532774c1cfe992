"""Pod priority (admission plugin Priority): a pod gets the number and the preemption policy of its PriorityClass, or of the one that
is `globalDefault`, or 0; and there is at most one such default.

The two built-in classes are known by name even before `bootstrap.py` has made them. Source: kubernetes
`plugin/pkg/admission/priority/admission.go`.
"""

from __future__ import annotations

from collections.abc import Iterable

from minik.api import errors, meta
from minik.api.meta import Obj, ROObj
from minik.api.scheduling_v1 import priorityclass
from minik.server.core import Attributes, Core

PREEMPTS = "PreemptLowerPriority"
_DEFAULTS = "minik.globalDefault"


def _is_default(priority_class: ROObj) -> str | Iterable[str]:
    return "true" if priority_class.get("globalDefault") else ()


def default_class(core: Core) -> ROObj | None:
    """The class of pods that name none: of several (two servers' worth of history may have them) the lowest."""
    core.cache.add_index(priorityclass.RESOURCE, _DEFAULTS, _is_default)
    found = [entry.obj for entry in core.cache.by_index(priorityclass.RESOURCE, _DEFAULTS, "true")]
    return min(found, key=lambda obj: obj.get("value") or 0, default=None)


def admit_priority_class(core: Core, draft: Obj, attributes: Attributes) -> None:
    """There is one global default. What is under way at the same time counts too: the first one wins."""
    if attributes.kind is not priorityclass.KIND or attributes.subresource or not draft.get("globalDefault"):
        return
    known = default_class(core)
    other = meta.name(known) if known is not None and meta.name(known) != attributes.name else ""
    other = other or next((name for name in core.reserved.held(_DEFAULTS) if name != attributes.name), "")
    if other:
        why = f"PriorityClass {other} is already marked as default. Only one default can exist"
        raise errors.forbidden("priorityclasses", "scheduling.k8s.io", attributes.name, why)
    attributes.done.append(core.reserved.hold(_DEFAULTS, attributes.name))


def admit_pod_priority(core: Core, draft: Obj, attributes: Attributes) -> None:
    if attributes.kind.resource != "pods" or attributes.subresource or attributes.verb == "delete":
        return
    spec = draft.get("spec")
    if not isinstance(spec, dict):
        return
    if attributes.old is not None:
        before = attributes.old.get("spec") or {}
        for field in ("priority", "preemptionPolicy"):
            if spec.get(field) is None and before.get(field) is not None:
                spec[field] = before[field]
        return
    priority, policy = _of_class(core, spec, attributes)
    given = spec.get("priority")
    if given is not None and given != priority:
        why = (
            f"the integer value of priority ({given}) must not be provided in pod spec; "
            f"priority admission controller computed {priority} from the given PriorityClass name"
        )
        raise errors.forbidden("pods", "", attributes.name, why)
    chosen = spec.get("preemptionPolicy")
    if chosen is not None and chosen != policy:
        why = (
            f"the string value of PreemptionPolicy ({chosen}) must not be provided in pod spec; "
            f"priority admission controller computed {policy} from the given PriorityClass name"
        )
        raise errors.forbidden("pods", "", attributes.name, why)
    spec["priority"] = priority
    spec["preemptionPolicy"] = policy


def _of_class(core: Core, spec: Obj, attributes: Attributes) -> tuple[int, str]:
    """(priority, preemption policy) of the class that the pod names, or that it is given now."""
    name = spec.get("priorityClassName") or ""
    if not name:
        found = default_class(core)
        if found is None:
            return 0, PREEMPTS
        spec["priorityClassName"] = meta.name(found)
    else:
        entry = core.cache.get(priorityclass.KIND.key("", name))
        found = entry.obj if entry is not None else None
    if found is not None:
        return found.get("value") or 0, found.get("preemptionPolicy") or PREEMPTS
    if name in priorityclass.SYSTEM_VALUES:
        return priorityclass.SYSTEM_VALUES[name], PREEMPTS
    raise errors.forbidden("pods", "", attributes.name, f"no PriorityClass with name {name} was found")
