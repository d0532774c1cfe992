"""Custom kinds and their definitions: a definition gets its names and conditions with the write that makes or changes it (one of its
status too: whoever writes that cannot lose them), and one that is being deleted takes nothing new."""

from __future__ import annotations

from minik.api import times
from minik.api.apiextensions_v1.customresourcedefinition import RESOURCE
from minik.api.errors import MethodNotAllowed, TooManyRequests
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

    _reserve_names(core, draft, attributes)
    others = [entry.obj for entry in core.cache.list(RESOURCE)]
    draft["status"] = plan_status(draft, others, now=times.format_time(core.clock.now()))


def _reserve_names(core: Core, draft: Obj, attributes: Attributes) -> None:
    """Two definitions that are written at the same time must not be given the same name: the second is told to come again."""
    from minik.api.apiextensions_v1.names import group_of, wanted_names

    names = wanted_names(draft)
    own = attributes.name
    wanted = {
        f"{group_of(draft)} {name}"
        for name in (
            names.get("plural"),
            names["singular"],
            names.get("kind"),
            names["listKind"],
            *names.get("shortNames", ()),
        )
    }
    held = core.reserved.held(RESOURCE)
    if any(mark.partition("=")[0] in wanted and mark.partition("=")[2] != own for mark in held):
        raise TooManyRequests(
            "another definition with one of these names is being written, please try again later",
            details={"retryAfterSeconds": 1},
        )
    attributes.done += [core.reserved.hold(RESOURCE, f"{name}={own}") for name in sorted(wanted)]
