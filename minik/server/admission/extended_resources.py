"""What a node can give away of an extended resource follows what it has: somebody who adds `example.com/dongle` to a node's capacity
need not add it to `allocatable` as well.

In Kubernetes the kubelet sees to that some seconds later (`pkg/kubelet/nodestatus`, MachineInfo; the task "Advertise Extended Resources for
a Node"). Here it is done in the write itself, so no node has to look at what others write into its status. Who does say how much is
allocatable, a device plugin whose device is ill, is not overruled.
"""

from __future__ import annotations

from minik.api.meta import Obj
from minik.api.validation_resources import is_extended
from minik.server.core import Attributes, Core


def admit_extended_resources(_core: Core, draft: Obj, attributes: Attributes) -> None:
    if attributes.kind.resource != "nodes" or attributes.subresource != "status" or attributes.old is None:
        return
    status, before = draft.get("status") or {}, attributes.old.get("status") or {}
    capacity, allocatable = status.get("capacity") or {}, status.get("allocatable") or {}
    had, gave = before.get("capacity") or {}, before.get("allocatable") or {}
    follows = {
        name: amount
        for name, amount in capacity.items()
        if is_extended(name) and (allocatable.get(name) is None or had.get(name) == gave.get(name) == allocatable[name])
    }
    gone = {name for name in allocatable if name not in capacity and is_extended(name)}
    changed = {**{name: amount for name, amount in allocatable.items() if name not in gone}, **follows}
    if changed != allocatable:
        status["allocatable"] = changed
