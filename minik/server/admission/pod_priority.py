"""Pod priority: without PriorityClasses every pod has priority 0 and may preempt lower ones (admission plugin Priority).

The two built-in classes are known by name.
"""

from __future__ import annotations

from minik.api import errors
from minik.api.meta import Obj
from minik.server.core import Attributes, Core

_BUILT_IN = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def admit_pod_priority(_core: Core, draft: Obj, attributes: Attributes) -> None:
    if attributes.kind.resource != "pods" or attributes.verb != "create" or attributes.subresource:
        return
    spec = draft.get("spec")
    if not isinstance(spec, dict):
        return
    name = spec.get("priorityClassName") or ""
    if name and name not in _BUILT_IN:
        raise errors.forbidden("pods", "", attributes.name, f"no PriorityClass with name {name} was found")
    priority = _BUILT_IN.get(name, 0)
    given = spec.get("priority")
    if given is not None and given != priority:
        why = (
            f"the integer value of priority ({given}) must not be provided in pod spec; "
            f"priority admission controller computed {priority} from the given PriorityClass name"
        )
        raise errors.forbidden("pods", "", attributes.name, why)
    spec["priority"] = priority
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
