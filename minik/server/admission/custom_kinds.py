"""Custom kinds and their definitions: a definition gets its names and conditions with the write that makes or changes it (one of its
status too: whoever writes that cannot lose them), and one that is being deleted takes nothing new."""

from __future__ import annotations

from minik.api import times
from minik.api.apiextensions_v1.customresourcedefinition import RESOURCE
from minik.api.errors import MethodNotAllowed
from minik.api.meta import Obj
from minik.server.core import Attributes, Core


def admit_custom_kinds(core: Core, draft: Obj, attributes: Attributes) -> None:
    kind = attributes.kind
    if kind.custom is not None:
        if kind.custom.terminating and attributes.verb == "create" and not attributes.subresource:
            raise MethodNotAllowed(
                f"create not allowed while custom resource definition is terminating: {kind.plural}.{kind.group}",
                details={"group": kind.group, "kind": kind.plural},
            )
        return
    if kind.resource != RESOURCE:
        return
    from minik.api.apiextensions_v1.names import plan_status

    others = [entry.obj for entry in core.cache.list(RESOURCE)]
    draft["status"] = plan_status(draft, others, now=times.format_time(core.clock.now()))
